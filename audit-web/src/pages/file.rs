//! Pages that differ between an export and a shop: an export has no log to fold a state from, so an aggregate is shown
//! as a list of its events.

use axum::response::Response;
use maud::{Markup, html};
use soonshop_audit::entry::Entry;
use soonshop_audit::search::Search;
use soonshop_audit::{changes, names, timeline};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use uuid::Uuid;

use super::frame::{View, described, page, see_other, shown_as, with};
use super::timeline::{self as rows, Detail};
use super::titles;
use super::trail::BEFORE;
use crate::naming;
use crate::state::{self, Action, Call, Endpoint, at_least};

/// Events on one page.
const LISTED: i64 = 30;

/// The most of them that come after the marked one.
const AFTER: i64 = LISTED - 1 - BEFORE;

pub(crate) fn table() -> Vec<Endpoint> {
    let positions = Kind::Number(1, i64::MAX);
    let params = vec![
        Param::new("v", positions, "The version to mark.").display_only(),
        Param::new("before", positions, "List events below this version.").display_only(),
    ];
    let pages = [
        page(
            "/",
            "audit.file-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), redirect_to_timeline),
        ),
        page(
            "/audit",
            "audit.file-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), redirect_to_timeline),
        ),
        page(
            "/audit/e/{position}",
            "audit.event-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), redirect_to_aggregate),
        ),
        page(
            "/audit/a/{type}/{id}",
            "audit.events-page",
            Class::Reads,
            Action::new(with(params), described(), |call| async move {
                let found = find(&call).await;
                shown_as(&call, found, title, body)
            }),
        ),
    ];
    pages.into_iter().map(|page| page.needs(Permission::Audit)).collect()
}

/// An export has no overview, so it redirects to the timeline.
async fn redirect_to_timeline(call: Call) -> Result<Response, Problem> {
    Ok(see_other(&View::of(&call).to("/audit/timeline", &[])))
}

/// Redirects from a position to its aggregate, at the version that it made.
async fn redirect_to_aggregate(call: Call) -> Result<Response, Problem> {
    let nothing = || Problem::not_found("not-found", "there is no event at this position");
    let position: i64 = call.key.parse().map_err(|_| nothing())?;
    let search = Search::only("position = ?", position);
    let (_, found) = timeline::read(&call.shared.reader, at_least(&call), &search, 1).await?;
    let entry = found.first().ok_or_else(nothing)?;
    let to = format!("/audit/a/{}/{}", entry.aggregate_type, entry.aggregate_id);
    Ok(see_other(&View::of(&call).to(&to, &[("v", &entry.version.to_string())])))
}

/// The events of one aggregate, the oldest first.
struct Events {
    kind: String,
    id: String,
    items: Vec<Entry>,
    /// Whether there are earlier events.
    more: bool,
    /// The list of later events ends below this version; `None`: there are none.
    later: Option<i64>,
}

async fn find(call: &Call) -> Result<(i64, Events), Problem> {
    let (kind, name) = state::aggregate(call);
    let id = Uuid::try_parse(name)
        .map_err(|_| Problem::malformed("invalid-id", "the id in the path is not a UUID"))?
        .to_string();
    // The page includes the marked version, near its top; any other page has a range of versions, so that pages join.
    let (marked, before) = (call.params.number("v"), call.params.number("before"));
    let first = match before {
        Some(before) => before.saturating_sub(LISTED),
        None => marked.map_or(0, |version| version.saturating_sub(BEFORE)),
    };
    let before = before.or(marked.map(|version| version.saturating_add(AFTER + 1))).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT * FROM @audit WHERE aggregate_id = $1 AND aggregate_type = $2 AND version < $3 \
         ORDER BY version DESC LIMIT {}",
        LISTED + 1
    );
    let values = [id.as_str().into(), kind.into(), before.into()];
    let source = call.shared.reader.source().await?;
    let (position, rows) = source.rows(at_least(call), None, &sql, &values, "version DESC").await?;
    let most = usize::try_from(LISTED).unwrap_or(usize::MAX);
    let mut items: Vec<_> = rows.iter().take(most).map(Entry::read).collect::<Result<_, _>>()?;
    if items.iter().any(|entry| entry.version >= first) {
        items.retain(|entry| entry.version >= first);
    }
    let more = rows.len() > items.len();
    if items.is_empty() {
        return Err(Problem::not_found("not-found", "there is nothing of this name"));
    }
    items.reverse();
    changes::add_to(&call.shared.reader, &mut items, changes::FOR_PAGE).await?;
    names::add_to(&call.shared.reader, &mut items).await?;
    // A file need not hold every version: the next page begins with the next that it has.
    let sql = "SELECT version FROM @audit WHERE aggregate_id = $1 AND aggregate_type = $2 AND version > $3 \
               ORDER BY version LIMIT 1";
    let shown = items.last().map_or(0, |entry| entry.version);
    let rows = source.plain(sql, vec![id.as_str().into(), kind.into(), shown.into()]).await?;
    let next: Option<i64> =
        rows.first().map(|row| row.try_get_by_index(0)).transpose().map_err(query_failed)?;
    let later = next.map(|next| next.saturating_add(LISTED));
    Ok((position, Events { kind: kind.to_owned(), id, items, more, later }))
}

/// The name of the aggregate.
fn name(events: &Events) -> Option<&str> {
    events.items.first()?.name.as_deref()
}

fn title(view: &View<'_>, events: &Events) -> String {
    let marked = view.visit.parameter("v").and_then(|version| version.parse().ok());
    titles::aggregate(view, &events.kind, name(events), &events.id, marked)
}

fn body(view: &View<'_>, events: &Events) -> Markup {
    let Events { kind, id, items, more, later } = events;
    let marked = view.visit.parameter("v").and_then(|version| version.parse::<i64>().ok());
    let earlier = items.first().filter(|_| *more).map(|entry| entry.version.to_string());
    let later = later.map(|end| end.to_string());
    let all = format!("agg:{kind} id:{id}");
    html! {
        (naming::heading(view, kind, name(events), id))
        p.soft { (view.word("no-states")) }
        p.tools {
            @if let Some(earlier) = &earlier {
                a href=(view.but("before", Some(earlier))) { "▴ " (view.word("earlier")) }
            }
            a href=(view.to("/audit/timeline", &[("q", &all), ("order", "asc")])) { (view.word("all-of-it")) }
        }
        ol.trail {
            @for entry in items {
                li aria-current=[(Some(entry.version) == marked).then_some("true")] data-position=(entry.position) data-id=(entry.id) {
                    (rows::event_summary(view, entry, &Detail { most: usize::MAX, ..Detail::default() }))
                    details {
                        summary { (view.word("row-in-file")) }
                        pre translate="no" tabindex="0" { (serde_json::to_string_pretty(entry).unwrap_or_default()) }
                    }
                }
            }
        }
        @if let Some(later) = &later {
            p { a href=(view.but("before", Some(later))) { "▾ " (view.word("later")) } }
        }
    }
}
