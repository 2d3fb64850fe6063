//! The thing that a search of the timeline names: an order by its number or id, with its own events first, and related
//! aggregates beside them.

use maud::{Markup, html};
use soonshop_audit::entry::Entry;
use soonshop_audit::finder::{self, SIMILAR, Thing};
use soonshop_audit::name::Names;
use soonshop_audit::related::{self, Relations};
use soonshop_audit::search::Search;
use soonshop_audit::{names, terms, timeline};
use soonshop_service_kit::Problem;

use super::frame::View;
use super::related::related as links;
use super::times::times;
use crate::state::{Call, at_least};
use crate::{fields, naming};

/// The most aggregates that are shown for a search.
const MOST: usize = 3;

/// The most of their events.
const EVENTS: usize = 10;

/// An aggregate that a search names.
pub(crate) struct Named {
    kind: String,
    id: String,
    name: Option<String>,
    /// The first of its events, and whether there are more.
    events: Vec<Entry>,
    more: bool,
    relations: Relations,
}

/// The thing that the search names, if it is one name and nothing else, on its first page.
pub(crate) async fn find(call: &Call) -> Result<Vec<Named>, Problem> {
    let reader = &call.shared.reader;
    let Some(text) = name_in(call).filter(|_| call.shared.file.is_none()) else { return Ok(Vec::new()) };
    let finds = finder::find(reader, &text).await?;
    let mut all = Vec::new();
    for one in finds.found.into_iter().filter(|one| one.by != SIMILAR).take(MOST) {
        let Thing::Aggregate { kind, id } = one.thing else { continue };
        let search = Search::only("aggregate_id = ?", id.as_str());
        let (_, mut events) = timeline::read(reader, at_least(call), &search, EVENTS + 1).await?;
        events.retain(|event| event.aggregate_type == kind);
        let more = events.len() > EVENTS;
        events.truncate(EVENTS);
        names::add_to(reader, &mut events).await?;
        let referred: Names = events.iter().flat_map(|event| event.names.clone()).collect();
        let relations = related::of(reader, (&kind, &id), &referred).await?;
        let name = finds.names.get(&id).map(|one| one.name.clone());
        all.push(Named { kind, id, name, events, more, relations });
    }
    Ok(all)
}

/// The one name that the search consists of: a text, or the id of an aggregate.
fn name_in(call: &Call) -> Option<String> {
    let params = &call.params;
    let others = ["type", "agg", "id", "actor", "chan", "correlation", "failures"];
    let is_given = |name: &&str| params.text(name).is_some_and(|value| !value.is_empty());
    let bounds = ["from", "to", "occurred_from", "occurred_to", "before", "after", fields::PAST];
    let is_narrowed = bounds.iter().any(|name| params.number(name).is_some());
    if others.iter().any(is_given) || is_narrowed {
        return None;
    }
    let mut typed = terms::typed(params.text("q")?).into_iter();
    let ((_, term), None) = (typed.next()?, typed.next()) else { return None };
    match term.strip_prefix("id:") {
        Some(id) => Some(id.to_owned()),
        None if term.starts_with('"') => Some(term.trim_matches('"').to_owned()),
        None => (!term.contains(':')).then_some(term),
    }
}

/// Each of them by its name, with its own events and what it has to do with.
pub(crate) fn shown(view: &View<'_>, all: &[Named]) -> Markup {
    html! {
        @for one in all {
            section.card.named-thing {
                h2 { (naming::link(view, &one.kind, one.name.as_deref(), &one.id)) }
                ol.own {
                    @for event in &one.events {
                        @let version = event.version.to_string();
                        @let to = format!("/audit/a/{}/{}", event.aggregate_type, event.aggregate_id);
                        li {
                            a href=(view.to(&to, &[("v", &version)])) { (naming::sentence(view.language, event)) }
                            " " span.soft { (times(view, event.recorded_at, event.occurred_at)) }
                        }
                    }
                }
                @if one.more {
                    @let all = format!("agg:{} id:{}", one.kind, one.id);
                    p { a href=(view.to("/audit/timeline", &[("q", &all), ("order", "asc")])) { (view.word("all-of-it")) } }
                }
                (links(view, &one.relations))
            }
        }
        @if !all.is_empty() { h2 { (view.word("found-texts")) } }
    }
}
