//! The timeline: a search, the events that it finds, and what can be done with them.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use soonshop_domain::{ActorKind, Channel, TYPES};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use strum::IntoEnumIterator as _;
use url::form_urlencoded;
use uuid::Uuid;

use super::{View, address, described, page, see_other, shape, shown, value, with};
use crate::http::audit::look_up;
use crate::http::audit::redactor::Redacted;
use crate::http::audit::timeline::{self, Entry, Page};
use crate::http::audit::trail::Change;
use crate::http::audit::views::{self, Saved};
use crate::http::call::{Call, Visit};
use crate::http::params::{Kind, Param, Params};
use crate::http::{Action, Endpoint};

/// Events among which it is looked whether all are of one aggregate.
const AMONG: usize = 50;

/// Fields of an event that its row shows.
pub(super) const MOST_FIELDS: usize = 3;

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        page(
            "/audit/timeline",
            "audit.timeline-page",
            Action::new(with(timeline::params()), described(), |call| async move {
                let found = find(&call).await;
                Ok(shown(&call, "timeline", found, list))
            }),
        ),
        page("/audit/e/{position}", "audit.event-page", Action::new(with(Vec::new()), described(), leads)),
        page(
            "/audit/jump",
            "audit.jump-page",
            Action::new(
                with(vec![Param::new("id", Kind::Text, "Any id, or a position.")]),
                described(),
                jumps,
            ),
        ),
        page("/audit/look-up", "audit.look-up-page", {
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = look_up::find(&call).await.map(|found| (0, found));
                Ok(match found {
                    Ok((_, found)) if found.subjects.len() == 1 => {
                        let term =
                            found.subjects.first().map(|id| format!("subject:{id}")).unwrap_or_default();
                        see_other(&View::of(&call.asked).to("/audit/timeline", &[("q", &term)]))
                    }
                    found => shown(&call, "look-up", found, people),
                })
            })
            .takes(look_up::fields())
        }),
        page(
            "/audit/views",
            "audit.save-view",
            Action::new(with(Vec::new()), described(), |call| async move {
                let slug = views::save(&call).await?;
                Ok(see_other(&view_address(&slug)))
            })
            .takes(views::fields()),
        ),
        page(
            "/audit/views/{slug}",
            "audit.view-page",
            Action::new(with(Vec::new()), described(), |call| async move {
                let query = views::query(&call, &call.key).await?;
                Ok(see_other(&format!("/audit/timeline?{query}")))
            }),
        ),
    ]
}

fn view_address(slug: &str) -> String {
    let slug: String = form_urlencoded::byte_serialize(slug.as_bytes()).collect();
    format!("/audit/views/{slug}")
}

struct Found {
    page: Page,
    /// `None`: more than are counted.
    count: Option<i64>,
    saved: Vec<Saved>,
    position: i64,
    may_look_up: bool,
}

async fn find(call: &Call) -> Result<(i64, Found), Problem> {
    let (position, page) = timeline::find(call).await?;
    let (count, saved) = (timeline::count(call).await?, views::all(call).await?);
    let may_look_up = call.may(Permission::Audit) && call.asked.file.is_none();
    Ok((position, Found { page, count, saved, position, may_look_up }))
}

/// A position leads to its aggregate, at the version that it made.
async fn leads(call: Call) -> Result<Response, Problem> {
    let nothing = || Problem::not_found("not-found", "there is no event at this position");
    let position: i64 = call.key.parse().map_err(|_| nothing())?;
    let event = call.shared.queries.log.read(position, 1).await.map_err(crate::http::read::failed)?;
    let event = event.into_iter().next().filter(|event| event.position == position).ok_or_else(nothing)?;
    let to = format!("/audit/a/{}/{}", event.aggregate_type, event.aggregate_id);
    let version = event.sequence.to_string();
    Ok(see_other(&View::of(&call.asked).to(&to, &[("v", &version)])))
}

/// Whatever somebody has in hand leads where it belongs: a position, or the id of an event, an aggregate, a correlation
/// or a person; the rest is searched for.
async fn jumps(call: Call) -> Result<Response, Problem> {
    let view = View::of(&call.asked);
    let id = call.params.text("id").unwrap_or_default().trim();
    if !id.is_empty() && id.len() < 19 && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(see_other(&view.to(&format!("/audit/e/{id}"), &[])));
    }
    if let Ok(id) = Uuid::try_parse(id) {
        for (term, column) in [("id", "aggregate_id"), ("event", "id"), ("correlation", "correlation_id")] {
            let search = timeline::Search::only(&format!("{column} = ?"), id.to_string());
            let (_, found) = timeline::read(&call, &search, None, 1).await?;
            if let Some(entry) = found.first() {
                let to = match term {
                    "id" => view.to(&format!("/audit/a/{}/{id}", entry.aggregate_type), &[]),
                    "event" => view.to(&format!("/audit/e/{}", entry.position), &[]),
                    _ => view.to(&format!("/audit/c/{id}"), &[]),
                };
                return Ok(see_other(&to));
            }
        }
        return Ok(see_other(&view.to("/audit/timeline", &[("q", &format!("subject:{id}"))])));
    }
    let text = id.replace('"', "");
    let term = if text.contains([':', ' ']) { format!("\"{text}\"") } else { text };
    // An order's number, a SKU: what stands in the events of one aggregate alone leads there.
    let search = timeline::Search::of(&Params::default().with("q", &term))?;
    let (_, found) = timeline::read(&call, &search, None, AMONG).await?;
    if let Some(first) = found.first().filter(|_| found.len() < AMONG)
        && found.iter().all(|one| one.aggregate_id == first.aggregate_id)
    {
        return Ok(see_other(
            &view.to(&format!("/audit/a/{}/{}", first.aggregate_type, first.aggregate_id), &[]),
        ));
    }
    Ok(see_other(&view.to("/audit/timeline", &[("q", &term)])))
}

/// A row of the list, as it is shown when it comes in alive.
pub(in crate::http::audit) fn row(asked: &Visit, entry: &Entry) -> String {
    item(&View::of(asked), entry).into_string()
}

fn item(view: &View<'_>, entry: &Entry) -> Markup {
    html! {
        li data-position=(entry.position) data-id=(entry.id) {
            (told(view, entry, true, MOST_FIELDS))
        }
    }
}

/// An event as a sentence, with what stands around it and the first `most` of its fields; and with the way to all that
/// followed, unless that is shown.
pub(super) fn told(view: &View<'_>, entry: &Entry, leads_on: bool, most: usize) -> Markup {
    let kind = entry.actor.as_ref().map(|actor| actor.kind.as_str());
    let id = entry.actor.as_ref().and_then(|actor| actor.id.as_deref());
    let version = entry.version.to_string();
    let stream = format!("/audit/a/{}/{}", entry.aggregate_type, entry.aggregate_id);
    html! {
        div.said {
            span.shape aria-hidden="true" { (shape(&entry.aggregate_type)) }
            a.row href=(view.to(&stream, &[("v", &version)])) { (view.language.sentence(&entry.kind, &entry.summary)) }
        }
        div.about {
            (view.time(entry.recorded_at))
            span { (view.label(&entry.aggregate_type)) " v" (entry.version) }
            span { (view.actor(kind, id)) }
            @if let Some(channel) = &entry.channel {
                span { (view.word("channel")) " " (view.label(&format!("channel-{channel}")).trim_start_matches("channel-")) }
            }
            @if let Some(whom) = &entry.on_behalf_of {
                @let (kind, id) = super::actor_of(Some(whom));
                span { (view.word("on-behalf-of")) " " (view.actor(kind, id)) }
            }
            @if let Some(reason) = &entry.reason_code {
                span { (view.word("reason")) ": " span translate="no" { (reason) } }
            }
            @if let Some(correlation) = entry.correlation_id.as_ref().filter(|_| leads_on) {
                a href=(view.to(&format!("/audit/c/{correlation}"), &[])) { span aria-hidden="true" { "⤳ " } (view.word("correlation")) }
            }
            code translate="no" { (entry.kind) " #" (entry.position) }
        }
        @match entry.changes.fields() {
            [] => (fields(view, &entry.summary, most)),
            changes => (changed(view, changes, most)),
        }
    }
}

/// The first of the fields that an event changed, before and after.
fn changed(view: &View<'_>, changes: &[Change], most: usize) -> Markup {
    let side = |word, field: Option<&Redacted>| {
        html! {
            span.unseen { (view.word(word)) " " }
            @if let Some(field) = field { (value(view, field.value())) } @else { "–" }
        }
    };
    html! {
        div.fields.changes {
            @for change in changes.iter().take(most) {
                span data-path=(change.path) {
                    code translate="no" { (change.path.trim_start_matches('/')) } " "
                    @if change.before == change.after {
                        // That it is another text is all that is told.
                        span.mask { span aria-hidden="true" { "•••• " } (view.word("masked-changed")) }
                    } @else {
                        del { (side("before", change.before.as_ref())) } span aria-hidden="true" { " → " }
                        ins { (side("after", change.after.as_ref())) }
                    }
                }
            }
            @if changes.len() > most { span.soft { "+" (changes.len() - most) } }
        }
    }
}

/// The first of an event's fields.
fn fields(view: &View<'_>, summary: &Value, most: usize) -> Markup {
    let fields: Vec<_> = summary.as_object().into_iter().flatten().collect();
    html! {
        @if !fields.is_empty() {
            div.fields {
                @for (name, field) in fields.iter().take(most) {
                    span { code translate="no" { (name) } " " (value(view, field)) }
                }
                @if fields.len() > most { span.soft { "+" (fields.len() - most) } }
            }
        }
    }
}

fn search(view: &View<'_>) -> Markup {
    let kept: Vec<(String, String)> = form_urlencoded::parse(view.asked.query.as_bytes())
        .into_owned()
        .filter(|(name, _)| {
            !["q", "before", "after", "from", "to", "order", "agg", "actor", "chan"].contains(&name.as_str())
        })
        .collect();
    let order = view.asked.parameter("order");
    html! {
        form.search method="get" action="/audit/timeline" role="search" {
            @for (name, value) in &kept {
                input type="hidden" name=(name) value=(value);
            }
            div.line {
                input type="search" name="q" id="q" value=[view.asked.parameter("q")] aria-label=(view.word("search"))
                    placeholder=(view.word("search-hint")) autocomplete="off" spellcheck="false";
                button { (view.word("search")) }
            }
            div.line {
                @for (name, values) in choices() {
                    (chosen(view, name, &values))
                }
                label { (view.word("from")) " " input name="from" size="12" value=[view.asked.parameter("from")] placeholder="2026-11-01"; }
                label { (view.word("to")) " " input name="to" size="12" value=[view.asked.parameter("to")] placeholder="2026-11-22"; }
                label { (view.word("sorted")) " "
                    select name="order" {
                        option value="desc" selected[order.as_deref() != Some("asc")] { (view.word("newest")) }
                        option value="asc" selected[order.as_deref() == Some("asc")] { (view.word("oldest")) }
                    }
                }
            }
        }
    }
}

/// Filters of few values.
fn choices() -> [(&'static str, Vec<String>); 3] {
    [
        ("agg", TYPES.iter().map(|(name, _)| (*name).to_owned()).collect()),
        ("actor", ActorKind::iter().map(|kind| kind.as_ref().to_owned()).collect()),
        ("chan", Channel::iter().map(|channel| channel.as_ref().to_owned()).collect()),
    ]
}

/// A filter to choose; what the address says stays, be it none of these.
fn chosen(view: &View<'_>, name: &'static str, values: &[String]) -> Markup {
    let now = view.asked.parameter(name).filter(|now| !now.is_empty());
    let other = now.as_ref().filter(|now| !values.contains(now));
    html! {
        select name=(name) aria-label=(view.word_of(&format!("filter-{name}")).unwrap_or(name)) {
            option value="" { (view.word_of(&format!("filter-{name}")).unwrap_or(name)) }
            @for value in values.iter().chain(other) {
                @let word = if name == "chan" { view.word_of(&format!("channel-{value}")) } else { view.word_of(value) };
                option value=(value) selected[now.as_ref() == Some(value)] { (word.unwrap_or(value)) }
            }
        }
    }
}

/// What narrows the list, each with a way to drop it.
fn filters(view: &View<'_>) -> Vec<(String, String)> {
    let names: Vec<_> = timeline::params().iter().map(|param| param.name).collect();
    form_urlencoded::parse(view.asked.query.as_bytes())
        .into_owned()
        .filter(|(name, value)| {
            names.contains(&name.as_str())
                && !["order", "limit", "before", "after"].contains(&name.as_str())
                && !value.is_empty()
        })
        .collect()
}

/// Searches that somebody saved, and a way to save this one.
fn saved(view: &View<'_>, found: &Found) -> Markup {
    html! {
        details.menu {
            summary { (view.word("views")) }
            div.sheet {
                @for one in &found.saved {
                    div { a translate="no" href=(view_address(&one.slug)) { (one.title) } }
                }
                form.column method="post" action="/audit/views" {
                    input type="hidden" name="query" value=(view.asked.query);
                    label for="title" { (view.word("view-name")) }
                    input id="title" name="title" required maxlength="100";
                    label { input type="checkbox" name="until" value=(found.position); " " (view.word("view-frozen")) }
                    button { (view.word("view-save")) }
                }
            }
        }
    }
}

fn list(view: &View<'_>, found: &Found) -> Markup {
    let page = &found.page;
    let further = page.next.map(|next| next.to_string());
    let ascends = view.asked.parameter("order").as_deref() == Some("asc");
    let parameter = if ascends { "after" } else { "before" };
    let export = |kind: &str| {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(view.asked.query.as_bytes())
            .into_owned()
            .filter(|(name, _)| !["before", "after", "limit", "lang", "theme", "tz"].contains(&name.as_str()))
            .collect();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        address(&format!("/api/audit/export.{kind}"), pairs)
    };
    html! {
        h1 { (view.word("timeline")) }
        (search(view))
        @if view.asked.file.is_some() { p.soft { (view.word("texts-of-rows")) } }
        div.tools {
            span.count {
                @match found.count {
                    Some(count) => strong { (count) },
                    None => strong { "> 10 000" },
                }
                " " (view.word("events"))
            }
            @if view.asked.file.is_none() {
                button.quiet type="button" data-live=(found.position) aria-pressed="false" hidden { (view.word("live")) }
            }
            a href=(export("csv")) data-export download { "CSV" }
            a href=(export("ndjson")) download { "NDJSON" }
            @if view.asked.file.is_none() { (saved(view, found)) }
            @if found.may_look_up {
                details.menu {
                    summary { (view.word("look-up")) }
                    div.sheet {
                        form.column method="post" action="/audit/look-up" {
                            label for="value" { (view.word("look-up-what")) }
                            input id="value" name="value" required maxlength="200" autocomplete="off";
                            p.soft { (view.word("look-up-recorded")) }
                            button { (view.word("look-up")) }
                        }
                    }
                }
            }
        }
        @if page.items.is_empty() {
            p { (view.word("nothing")) }
            ul.drops {
                @for (name, value) in filters(view) {
                    li { a href=(view.but(&name, None)) { "× " code translate="no" { (name) "=" (value) } } }
                }
                li { a href=(view.to("/audit/timeline", &[])) { (view.word("all")) } }
            }
        }
        p.more hidden { button type="button" data-news {} }
        ol.trail data-rows {
            @for entry in &page.items { (item(view, entry)) }
        }
        @if let Some(further) = &further {
            p { a rel="next" href=(view.but(parameter, Some(further))) { (view.word("older")) " ▸" } }
        }
    }
}

/// A search that could not be read: what was typed, with what is wrong in it marked and explained, and no rows.
pub(super) fn misread(view: &View<'_>, problem: &Problem) -> Markup {
    let tokens = problem.extensions().get("tokens").and_then(Value::as_array).cloned().unwrap_or_default();
    let typed = view.asked.parameter("q").unwrap_or_default();
    let wrong = |number: usize| tokens.iter().find(|token| token["token"] == number);
    html! {
        h1 { (view.word("timeline")) }
        (search(view))
        div.ill role="alert" {
            p { span aria-hidden="true" { "⚠ " } (view.word("misread")) }
            @if tokens.is_empty() {
                p { code translate="no" { (problem.extensions().get("parameter").and_then(Value::as_str).unwrap_or("q")) } " — " (view.word("misread-value")) }
            } @else {
                p.typed translate="no" {
                    @for (number, text) in timeline::typed(&typed) {
                        @if wrong(number).is_some() { mark { (text) } } @else { span { (text) } }
                        " "
                    }
                }
                ul {
                    @for token in &tokens {
                        @let filter = token["filter"].as_str().unwrap_or("none");
                        li { (token["token"]) ". " (view.word_of(&format!("term-{filter}")).unwrap_or_else(|| view.word("misread-value"))) }
                    }
                }
            }
        }
        p { a href=(view.to("/audit/timeline", &[])) { (view.word("all")) } }
    }
}

/// Whom a look-up found: nobody, or more than one.
fn people(view: &View<'_>, found: &look_up::Found) -> Markup {
    html! {
        h1 { (view.word("look-up")) }
        @if found.subjects.is_empty() {
            p { (view.word("look-up-nobody")) }
        } @else {
            ul {
                @for id in &found.subjects {
                    li { a href=(view.to("/audit/timeline", &[("q", &format!("subject:{id}"))])) { code translate="no" { (id) } } }
                }
            }
        }
        p.soft { (view.word("look-up-recorded")) }
        p { a href=(view.to("/audit/timeline", &[])) { (view.word("timeline")) } }
    }
}
