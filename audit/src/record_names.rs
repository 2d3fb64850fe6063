//! Whom and what a filter of the record of operations names: entries hold ids, people know names. A key is found by what
//! it is for, a thing by every name that [`find`](crate::finder::find) knows, a view by its title.

use std::collections::BTreeSet;

use soonshop_domain::{ActorKind, QueryError};
use strum::IntoEnumIterator as _;
use uuid::Uuid;

use crate::finder::{self, NamedThing, SIMILAR, Thing};
use crate::reader::Reader;
use crate::views;

/// The actors, as `kind:id`, or a kind alone; the text itself where it names nobody.
pub async fn actors(reader: &Reader, typed: &str) -> Result<Vec<String>, QueryError> {
    let typed = typed.trim();
    let kind = typed.split_once(':').map_or(typed, |(kind, _)| kind);
    if kind.parse::<ActorKind>().is_ok() {
        return Ok(vec![typed.to_owned()]);
    }
    not_personal("actor", typed)?;
    let mut actors = BTreeSet::new();
    if let Ok(id) = Uuid::try_parse(typed) {
        actors.extend(of_every_kind(&id.to_string()));
    }
    for found in certain(reader, typed).await? {
        match found.thing {
            Thing::Key { actor, .. } => drop(actors.insert(actor)),
            // An account acts under the id of its user.
            Thing::Person(id) => actors.extend(of_every_kind(&id)),
            Thing::Aggregate { kind, id } if kind == "user" => actors.extend(of_every_kind(&id)),
            _ => {}
        }
    }
    Ok(if actors.is_empty() { vec![typed.to_owned()] } else { actors.into_iter().collect() })
}

/// What has this name; not what has a similar one.
async fn certain(reader: &Reader, typed: &str) -> Result<Vec<NamedThing>, QueryError> {
    let mut found = finder::find(reader, typed).await?.found;
    found.retain(|one| one.by != SIMILAR);
    Ok(found)
}

/// An id with every kind of actor.
fn of_every_kind(id: &str) -> impl Iterator<Item = String> {
    ActorKind::iter().map(move |kind| format!("{}:{id}", kind.as_ref()))
}

/// The objects of entries, with the text itself: `rm_orders_3`, `order/<id>`, the id of a key or an account, the name of
/// a view in its address.
pub async fn subjects(reader: &Reader, typed: &str) -> Result<Vec<String>, QueryError> {
    let typed = typed.trim();
    not_personal("subject", typed)?;
    let mut subjects = BTreeSet::from([typed.to_owned()]);
    subjects.extend(views::name(typed).ok());
    // As pages show a generation of a read model: `orders v3`.
    if let Some((name, number)) = typed.rsplit_once(" v").filter(|(_, number)| number.parse::<i32>().is_ok())
    {
        subjects.insert(format!("{}{name}_{number}", soonshop_event_log::READ_MODEL));
    }
    for found in certain(reader, typed).await? {
        match found.thing {
            Thing::Aggregate { kind, id } => {
                subjects.insert(format!("{kind}/{id}"));
                subjects.insert(id);
            }
            Thing::Key { actor, .. } => {
                subjects.extend(actor.split_once(':').map(|(_, id)| id.to_owned()));
            }
            Thing::Person(id) => drop(subjects.insert(id)),
            Thing::Event(_) | Thing::Command(_) | Thing::Correlation(_) | Thing::Seal(..) => {}
        }
    }
    Ok(subjects.into_iter().collect())
}

/// Refuses an e-mail address: filters stand in the URL, which browsers, proxies and logs keep.
fn not_personal(name: &str, typed: &str) -> Result<(), QueryError> {
    if typed.contains('@') {
        let detail = "an e-mail address is personal, and is no part of an address: look the person up, and give their id";
        return Err(QueryError::parameter(name, detail).because("personal"));
    }
    Ok(())
}
