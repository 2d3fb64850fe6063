//! `show --format json`: the answer of the endpoint, byte for byte.

use serde_json::json;
use soonshop_audit::aggregate::{self, Choice};
use soonshop_audit::reader::Reader;
use soonshop_audit::redactor::Visibility;
use soonshop_domain::{Actor, ActorKind};

use crate::history::{self, Point, stream, version};
use crate::{ACTOR, Ended, Failure, Outcome, Sentence, Tool, naming};

/// How `show` prints an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ShowFormat {
    Text,
    Json,
}

/// Prints an aggregate. With `--json` everything is one object a line, whatever the format.
pub async fn show(tool: &Tool, kind: &str, id: &str, point: Point, format: ShowFormat) -> Outcome {
    if format == ShowFormat::Json && !tool.out.is_json() {
        print(tool, kind, id, point).await
    } else {
        history::show(tool, kind, id, point).await
    }
}

/// Prints what the endpoint answers, with personal values masked. Notes are those that are shared.
async fn print(tool: &Tool, kind: &str, id: &str, point: Point) -> Outcome {
    let stream = stream(tool, kind, id).await?;
    let id = naming::id(tool, kind, id).await?.to_string();
    let version = version(tool, &stream, point).await?;
    if version == 0 {
        return Err(Failure::Usage(Sentence::VersionZero));
    }
    let choice = Choice { version: Some(version), ..Choice::default() };
    let reader = Reader::new(tool.registry.clone(), tool.log.clone());
    let caller = Actor { kind: ActorKind::Service, id: ACTOR.rsplit(':').next().unwrap_or(ACTOR).to_owned() };
    let (position, trail) =
        aggregate::find(&reader, (kind, &id), &choice, &caller, Visibility::Masked).await?;
    tool.out.document(&serde_json::to_string(&trail).map_err(Failure::unexpected)?);
    Ok(Ended::done(json!({ "version": version, "position": position })))
}
