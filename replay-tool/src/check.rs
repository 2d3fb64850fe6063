//! `check` and `doctor`: whether the log still holds what was sealed, and whether everything that this tool stands on is
//! there.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use serde_json::json;
use soonshop_event_log::seal::{self, Positions, Report, Seals, TrustedKey, Verdict};
use soonshop_migrations::rights;

use crate::{Ended, Failure, Outcome, Output, Tool, exit};

#[derive(Debug, Clone)]
pub struct Options {
    pub from: i64,
    /// None: as far as there are seals.
    pub to: Option<i64>,
    pub trusted: Option<TrustedKey>,
}

fn shown(out: &Output, report: &Report) -> Outcome {
    let value = serde_json::to_value(report).map_err(|error| Failure::Unexpected(error.to_string()))?;
    out.result("status", &value, || report.to_string());
    // Nothing to check is no success either.
    let code = if report.verdict == Verdict::Intact { exit::DONE } else { exit::FOUND };
    Ok(Ended { code, summary: value })
}

/// Compares the log with its seals.
pub async fn check(tool: &Tool, options: &Options) -> Outcome {
    let seals = Seals::new(tool.store.namespace("seals")?);
    let positions = Positions { from: options.from, to: options.to };
    let report = seal::check(&tool.log, &seals, positions, options.trusted.as_ref()).await?;
    shown(&tool.out, &report)
}

/// Checks a file that `soonshop seals export` wrote; no database is needed.
pub fn check_file(out: &Output, file: &PathBuf, trusted: &TrustedKey) -> Outcome {
    let named = |error: String| Failure::Usage(format!("{}: {error}", file.display()));
    let open = File::open(file).map_err(|error| named(error.to_string()))?;
    let report =
        seal::check_offline(BufReader::new(open), Some(trusted)).map_err(|error| named(error.to_string()))?;
    shown(out, &report)
}

/// Looks at each part, and says what is wrong. (What must be there for any verb was looked at before this one.)
pub async fn doctor(tool: &Tool) -> Outcome {
    let mut well = true;
    let mut note = |what: &str, outcome: Result<String, String>| {
        let (ok, said) = match outcome {
            Ok(said) => (true, said),
            Err(said) => (false, said),
        };
        well &= ok;
        let value = json!({ "what": what, "ok": ok, "said": said });
        tool.out
            .result("status", &value, || format!("{} {what:<22} {said}", if ok { "ok  " } else { "FAIL" }));
    };
    let head = tool.log.head().await.map(|head| format!("its last position is {}", head.position));
    note("event log", head.map_err(|error| error.to_string()));
    let role = rights::replay_writes(&tool.log.db().connection).await.map_err(|error| error.to_string());
    note("rights", role.and_then(|why| why.map_or_else(|| Ok("cannot write the log".to_owned()), Err)));
    let note_key = soonshop_projections::operations::note(tool.log.keys(), "a test").await;
    note("key of notes", note_key.map(|_| "there".to_owned()).map_err(|error| error.to_string()));
    note(
        "search",
        tool.search.ping().await.map(|()| "answers".to_owned()).map_err(|error| error.to_string()),
    );
    note("cache", tool.cache.ping().await.map(|()| "answers".to_owned()).map_err(|error| error.to_string()));
    for known in tool.registry.all(None).await?.iter().filter(|known| known.state.lives()) {
        let generation = &known.generation;
        let ours = tool.projectors.iter().any(|projector| {
            (projector.name(), projector.version(), projector.shape())
                == (&*generation.projection, generation.version, generation.shape)
        });
        let said = format!("version {}, shape {}", generation.version, generation.shape);
        let other = format!("{said}: this release makes another one, and can only read and drop it");
        note(&generation.namespace(), if ours { Ok(said) } else { Err(other) });
    }
    Ok(Ended { code: if well { exit::DONE } else { exit::FOUND }, summary: json!({ "healthy": well }) })
}
