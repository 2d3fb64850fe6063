//! Names on the command line: an aggregate can be given by its name, such as an order's number, and is shown by it.

use soonshop_audit::finder;
use soonshop_audit::name::{Names, short};
use soonshop_audit::names;
use soonshop_audit::reader::Reader;
use soonshop_audit::trail::Trail;
use uuid::Uuid;

use crate::{Failure, Language, Sentence, Tool};

fn reader(tool: &Tool) -> Reader {
    Reader::new(tool.registry.clone(), tool.log.clone())
}

/// The id of the aggregate that is given by its id or by its name.
pub(crate) async fn id(tool: &Tool, kind: &str, given: &str) -> Result<Uuid, Failure> {
    let found = one(tool, &[kind], given).await?;
    found.ok_or_else(|| Failure::Usage(Sentence::BadId { id: given.to_owned() }))
}

/// The key of the rows that are given by it, or by an id or a name of an aggregate that their read model follows.
pub(crate) async fn key(tool: &Tool, kinds: &[&str], given: &str) -> Result<String, Failure> {
    let found = one(tool, kinds, given).await?;
    Ok(found.map_or_else(|| given.to_owned(), |id| id.to_string()))
}

/// The one aggregate of these types that is given by its id or by its name.
async fn one(tool: &Tool, kinds: &[&str], given: &str) -> Result<Option<Uuid>, Failure> {
    match finder::aggregates(&reader(tool), kinds, given).await?.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some(*id)),
        ids => {
            let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
            Err(Failure::Usage(Sentence::NameShared { name: given.to_owned(), ids: ids.join(", ") }))
        }
    }
}

/// The name of an aggregate, and of everything that its state refers to.
pub(crate) async fn names_of(tool: &Tool, trail: &Trail) -> Result<Names, Failure> {
    let state = trail.state().to_string();
    Ok(names::in_texts(&reader(tool), [trail.id.as_str(), &state]).await?)
}

/// The line that leads a state: what it is called, and which version is shown.
pub(crate) fn heading(
    trail: &Trail,
    names: &Names,
    (event, position): (&str, i64),
    language: Language,
) -> String {
    let title = |key: String, code: &str| language.find(&key).map_or_else(|| code.to_owned(), str::to_owned);
    let name = names.get(&trail.id).map_or_else(|| short(&trail.id), |own| own.name.clone());
    let heading = Sentence::Shown {
        kind: title(format!("aggregate-{}", trail.kind), &trail.kind),
        name,
        version: trail.version,
        last: trail.last,
        event: title(format!("event-{event}"), event),
        position,
    };
    heading.text(language)
}
