//! The timeline: a search, the events that it finds, and links from them.

use axum::response::Response;
use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::diff::Change;
use soonshop_audit::entry::Entry;
use soonshop_audit::groups::Group;
use soonshop_audit::look_up::LookUpResult as People;
use soonshop_audit::name::Names;
use soonshop_audit::redactor::Redacted;
use soonshop_audit::terms;
use soonshop_audit::timeline::{Item, Page};
use soonshop_audit::views::{self, Saved};
use soonshop_domain::{ActorKind, Channel, TYPES, catalog, clock};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Of, Permission};
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::params::{Kind, Param, refused as unreadable};
use soonshop_service_kit::rates::Class;
use strum::IntoEnumIterator as _;
use url::form_urlencoded;

use super::frame::{COMMON, View, address, described, page, refusal, refused_with, see_other, shown, with};
use super::named::{self, Named};
use super::parts::shape;
use crate::state::{Action, Call, Endpoint, Shared, failed};
use crate::{fields, find, naming};

/// Fields of an event that its row shows.
pub(crate) const MOST_FIELDS: usize = 3;

pub(crate) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::page(
            "/audit/timeline",
            "audit.timeline-page",
            Class::Searches,
            Action::new(with(params()), described(), |call| async move {
                if let Some(to) = address_of_moment(&call).await? {
                    return Ok(see_other(&to));
                }
                let found = found(&call).await;
                shown(&call, "timeline", found, list)
            }),
            refused,
        ),
        page(
            "/audit/e/{position}",
            "audit.event-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), redirect_to_aggregate),
        ),
        page("/audit/look-up", "audit.look-up-page", Class::LookUps, {
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = find::look_up(&call).await?;
                if let (Some(id), 1) = (found.subjects.first(), found.subjects.len()) {
                    let term = format!("subject:{id}");
                    return Ok(see_other(&View::of(&call).to("/audit/timeline", &[("q", &term)])));
                }
                shown(&call, "look-up", Ok::<_, Problem>((0, found)), people)
            })
            .takes(Of::Anyone, fields::look_up())
        }),
        page(
            "/audit/views",
            "audit.save-view",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let slug = find::save_view(&call, &COMMON.map(|param| param.name)).await?;
                Ok(see_other(&view_address(&slug)))
            })
            .takes(Of::Own, fields::view()),
        ),
        page(
            "/audit/views/{slug}",
            "audit.view-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let query = views::query(&call.shared.reader, &call.key).await?;
                Ok(see_other(&format!("/audit/timeline?{query}")))
            }),
        ),
    ]
}

/// The parameters of the page, beside those of the list.
fn params() -> Vec<Param> {
    let mut params = fields::timeline();
    params.push(Param::new("at", Kind::Free, "Leads to the page that begins at this moment."));
    params
}

/// The address of the same list from a moment on.
async fn address_of_moment(call: &Call) -> Result<Option<String>, Problem> {
    let Some(typed) = call.params.text("at").filter(|typed| !typed.is_empty()) else { return Ok(None) };
    let zone = View::of(call).zone;
    let moment = clock::parse_in(typed, &zone).or_else(|| local(typed, zone));
    let micros = moment
        .ok_or_else(|| unreadable("at", "it is a day, or a moment such as 2026-11-22T09:41"))?
        .timestamp_micros();
    let ascends = fields::ascends(&call.params);
    let then = if ascends { "recorded_at < $1" } else { "recorded_at <= $1" };
    let sql =
        format!("SELECT position FROM @audit WHERE {then} ORDER BY recorded_at DESC, position DESC LIMIT 1");
    let rows = call.shared.reader.source().await?.plain(&sql, vec![micros.into()]).await?;
    let last: Option<i64> =
        rows.first().map(|row| row.try_get_by_index(0)).transpose().map_err(query_failed)?;
    let last = last.unwrap_or(0);
    let (name, position) = if ascends { ("after", last) } else { ("before", last + 1) };
    let kept = form_urlencoded::parse(call.visit.query.as_bytes())
        .filter(|(name, value)| !["at", "before", "after"].contains(&&**name) && !value.is_empty());
    let pairs: Vec<(String, String)> = kept
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .chain([(name.to_owned(), position.to_string())])
        .collect();
    Ok(Some(address("/audit/timeline", pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))))
}

/// A local time in a zone, as a browser sends it; of two equal ones, the first.
fn local(typed: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let read = |format| NaiveDateTime::parse_from_str(typed, format).ok();
    let naive = read("%Y-%m-%dT%H:%M").or_else(|| read("%Y-%m-%dT%H:%M:%S%.f"))?;
    Some(naive.and_local_timezone(zone).earliest()?.to_utc())
}

/// The form to jump to a moment of the list.
fn jump_form(view: &View<'_>) -> Markup {
    let kept: Vec<(String, String)> = form_urlencoded::parse(view.visit.query.as_bytes())
        .into_owned()
        .filter(|(name, value)| !["at", "before", "after"].contains(&name.as_str()) && !value.is_empty())
        .collect();
    html! {
        form.leap method="get" action="/audit/timeline" {
            @for (name, value) in &kept { input type="hidden" name=(name) value=(value); }
            label for="at" { (view.word("jump-to")) }
            input id="at" name="at" type="datetime-local" step="1" required;
            span.soft translate="no" { (view.zone.name()) }
            button.quiet { (view.word("go")) }
        }
    }
}

fn view_address(slug: &str) -> String {
    let slug: String = form_urlencoded::byte_serialize(slug.as_bytes()).collect();
    format!("/audit/views/{slug}")
}

struct Timeline {
    page: Page,
    /// `None`: more than are counted.
    count: Option<i64>,
    saved: Vec<Saved>,
    position: i64,
    may_look_up: bool,
    /// What the search names.
    named: Vec<Named>,
}

async fn found(call: &Call) -> Result<(i64, Timeline), Problem> {
    let (position, page) = find::timeline(call).await?;
    let (count, saved) = (find::count(call).await?, views::all(&call.shared.reader).await?);
    let may_look_up = call.may(Permission::Audit) && call.shared.file.is_none();
    let named = named::find(call).await?;
    Ok((position, Timeline { page, count, saved, position, may_look_up, named }))
}

/// Redirects from a position to its aggregate, at the version that it made.
async fn redirect_to_aggregate(call: Call) -> Result<Response, Problem> {
    let nothing = || Problem::not_found("not-found", "there is no event at this position");
    let position: i64 = call.key.parse().map_err(|_| nothing())?;
    let event = call.shared.reader.log.read(position, 1).await.map_err(failed)?;
    let event = event.into_iter().next().filter(|event| event.position == position).ok_or_else(nothing)?;
    let to = format!("/audit/a/{}/{}", event.aggregate_type, event.aggregate_id);
    let version = event.sequence.to_string();
    Ok(see_other(&View::of(&call).to(&to, &[("v", &version)])))
}

/// A row of the list, as it is sent to followers.
/// `before` is when the previous row in time was recorded.
pub(crate) fn row(view: &View<'_>, entry: &Entry, before: Option<DateTime<Utc>>) -> String {
    event(view, entry, before).into_string()
}

fn item(view: &View<'_>, item: &Item, before: Option<DateTime<Utc>>) -> Markup {
    match item {
        Item::Event(entry) => event(view, entry, before),
        Item::Command(group) => command(view, group, before),
    }
}

fn event(view: &View<'_>, entry: &Entry, before: Option<DateTime<Utc>>) -> Markup {
    html! {
        li data-position=(entry.position) data-id=(entry.id) {
            (event_summary(view, entry, &Detail { since: before, ..Detail::default() }))
        }
    }
}

/// A command: its events, and below them their effects, folded.
fn command(view: &View<'_>, group: &Group, before: Option<DateTime<Utc>>) -> Markup {
    let Some(first) = group.events.first() else { return html! {} };
    let since = Some(first.recorded_at);
    html! {
        li data-position=(first.position) data-id=(first.id) {
            (event_summary(view, first, &Detail { since: before, ..Detail::default() }))
            @for also in &group.events[1..] {
                div.also data-position=(also.position) { (event_summary(view, also, &Detail { leads_on: false, since, ..Detail::default() })) }
            }
            @if !group.effects.is_empty() {
                details.effects {
                    summary {
                        (view.language.fill("effects", &[&group.effects.len().to_string()]))
                        @for (kind, count) in kinds(&group.effects) {
                            span {
                                span.shape aria-hidden="true" { (shape(&kind.aggregate_type)) }
                                (view.language.kind(&kind.kind)) @if count > 1 { " × " (count) }
                            }
                        }
                    }
                    ol {
                        @for effect in &group.effects {
                            li data-position=(effect.position) data-id=(effect.id) {
                                (event_summary(view, effect, &Detail { leads_on: false, since, ..Detail::default() }))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One event of each type, in order of appearance, and how many there are.
fn kinds(entries: &[Entry]) -> Vec<(&Entry, usize)> {
    let mut kinds: Vec<(&Entry, usize)> = Vec::new();
    for entry in entries {
        match kinds.iter_mut().find(|(known, _)| known.kind == entry.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((entry, 1)),
        }
    }
    kinds
}

/// How much of an event is shown.
pub(crate) struct Detail {
    /// With a link to everything that followed.
    pub(crate) leads_on: bool,
    /// The most fields.
    pub(crate) most: usize,
    /// The time since this moment is shown.
    pub(crate) since: Option<DateTime<Utc>>,
}

impl Default for Detail {
    fn default() -> Self {
        Self { leads_on: true, most: MOST_FIELDS, since: None }
    }
}

/// An event as a sentence, with its context and what it changed, or else the first of its own fields.
pub(crate) fn event_summary(view: &View<'_>, entry: &Entry, detail: &Detail) -> Markup {
    let Detail { leads_on, most, since } = *detail;
    let version = entry.version.to_string();
    let stream = format!("/audit/a/{}/{}", entry.aggregate_type, entry.aggregate_id);
    html! {
        div.said {
            span.shape aria-hidden="true" { (shape(&entry.aggregate_type)) }
            a.row href=(view.to(&stream, &[("v", &version)])) { (naming::sentence(view.language, entry)) }
        }
        div.about {
            (view.time(entry.recorded_at))
            @if let Some(since) = since { span.since { (passed(view, since, entry.recorded_at)) } }
            span { (view.label(&entry.aggregate_type)) " v" (entry.version) }
            span { (naming::actor_of(view, entry)) }
            @if let Some(channel) = &entry.channel {
                span { (view.word("channel")) " " (view.label(&format!("channel-{channel}")).trim_start_matches("channel-")) }
            }
            @if let Some(whom) = &entry.on_behalf_of {
                span { (view.word("on-behalf-of")) " " (naming::actor_in(view, Some(whom), &entry.names)) }
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
            [] => (fields(view, entry, most)),
            changes => (changed(view, changes, &entry.names, most)),
        }
    }
}

/// The time between two moments, in short form.
fn passed(view: &View<'_>, from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let micros = (to - from).num_microseconds().unwrap_or(i64::MAX);
    let (sign, whole) = (if micros < 0 { "−" } else { "+" }, micros.unsigned_abs());
    let tenths = whole / 100_000;
    let (unit, shown) = match whole / 1_000_000 {
        0 if tenths == 0 => ("unit-ms", (whole / 1_000).to_string()),
        0..60 => ("unit-s", format!("{}.{}", tenths / 10, tenths % 10)),
        seconds @ 60..3_600 => ("unit-min", (seconds / 60).to_string()),
        seconds @ 3_600..172_800 => ("unit-h", (seconds / 3_600).to_string()),
        seconds => ("unit-d", (seconds / 86_400).to_string()),
    };
    format!("{sign}{shown} {}", view.word_of(unit).unwrap_or(unit))
}

/// The order in which a row shows fields: top-level fields first, and without lists or maps that were empty before.
fn in_order(changes: &[Change]) -> Vec<&Change> {
    let says = |field: Option<&Redacted>| match field.map(Redacted::value) {
        None => false,
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let mut shown_fields: Vec<_> =
        changes.iter().filter(|one| says(one.before.as_ref()) || says(one.after.as_ref())).collect();
    shown_fields.sort_by_key(|change| change.path.matches('/').count());
    shown_fields
}

/// The first of the fields that an event changed, before and after.
fn changed(view: &View<'_>, changes: &[Change], names: &Names, most: usize) -> Markup {
    let changes = in_order(changes);
    let side = |word, field: Option<&Redacted>| {
        html! {
            span.unseen { (view.word(word)) " " }
            @if let Some(field) = field { (naming::value(view, field.value(), names)) } @else { "–" }
        }
    };
    html! {
        div.fields.changes {
            @for change in changes.iter().take(most) {
                span data-path=(change.path) {
                    code translate="no" { (naming::path(view, change.path.trim_start_matches('/'), names)) } " "
                    @if change.before == change.after {
                        // Of a masked value, only that it changed is shown.
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
fn fields(view: &View<'_>, entry: &Entry, most: usize) -> Markup {
    let fields: Vec<_> = entry.summary.as_object().into_iter().flatten().collect();
    html! {
        @if !fields.is_empty() {
            div.fields {
                @for (name, field) in fields.iter().take(most) {
                    span { code translate="no" { (name) } " " (naming::value(view, field, &entry.names)) }
                }
                @if fields.len() > most { span.soft { "+" (fields.len() - most) } }
            }
        }
    }
}

fn search(view: &View<'_>) -> Markup {
    let kept: Vec<(String, String)> = form_urlencoded::parse(view.visit.query.as_bytes())
        .into_owned()
        .filter(|(name, _)| {
            ![
                "q", "before", "after", "from", "to", "order", "type", "agg", "actor", "chan", "group",
                "failures",
            ]
            .contains(&name.as_str())
        })
        .collect();
    let order = view.visit.parameter("order");
    html! {
        form.search method="get" action="/audit/timeline" role="search" {
            @for (name, value) in &kept {
                input type="hidden" name=(name) value=(value);
            }
            div.line {
                input type="search" name="q" id="q" value=[view.visit.parameter("q")] aria-label=(view.word("search"))
                    placeholder=(view.word("search-hint")) autocomplete="off" spellcheck="false";
                button { (view.word("search")) }
            }
            div.line {
                input name="type" size="18" list="types" value=[view.visit.parameter("type")] aria-label=(view.word("filter-type"))
                    placeholder=(view.word("filter-type")) autocomplete="off" spellcheck="false";
                datalist id="types" {
                    @for event in catalog::event_types() { option value=(event.name) { (view.language.kind(event.name)) } }
                }
                @for (name, values) in choices() {
                    (chosen(view, name, &values))
                }
                label { (view.word("from")) " " input name="from" size="12" value=[view.visit.parameter("from")] placeholder="2026-11-01"; }
                label { (view.word("to")) " " input name="to" size="12" value=[view.visit.parameter("to")] placeholder="2026-11-22"; }
                label { (view.word("sorted")) " "
                    select name="order" {
                        option value="desc" selected[order.as_deref() != Some("asc")] { (view.word("newest")) }
                        option value="asc" selected[order.as_deref() == Some("asc")] { (view.word("oldest")) }
                    }
                }
                @for name in ["group", "failures"] {
                    label.tick {
                        input type="checkbox" name=(name) value="1" checked[view.visit.parameter(name).is_some()]; " "
                        (view.word_of(&format!("only-{name}")).unwrap_or(name))
                    }
                }
            }
        }
    }
}

/// Filters with few values.
fn choices() -> [(&'static str, Vec<String>); 3] {
    [
        ("agg", TYPES.iter().map(|name| (*name).to_owned()).collect()),
        ("actor", ActorKind::iter().map(|kind| kind.as_ref().to_owned()).collect()),
        ("chan", Channel::iter().map(|channel| channel.as_ref().to_owned()).collect()),
    ]
}

/// A filter with choices; an unknown value from the address stays.
fn chosen(view: &View<'_>, name: &'static str, values: &[String]) -> Markup {
    let now = view.visit.parameter(name).filter(|now| !now.is_empty());
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

/// The filters of the list, each with a link that removes it.
fn filters(view: &View<'_>) -> Vec<(String, String)> {
    let names: Vec<_> = fields::timeline().iter().map(|param| param.name).collect();
    form_urlencoded::parse(view.visit.query.as_bytes())
        .into_owned()
        .filter(|(name, value)| {
            names.contains(&name.as_str())
                && !["order", "limit", "before", "after", "group"].contains(&name.as_str())
                && !value.is_empty()
        })
        .collect()
}

/// Saved searches, and a form to save this one.
fn saved(view: &View<'_>, found: &Timeline) -> Markup {
    // Its days begin in the zone of this page, for every reader.
    let kept = view.zone != Tz::UTC && view.visit.parameter("tz").is_none();
    let zone = kept.then(|| ("tz", view.zone.name()));
    let query = form_urlencoded::Serializer::new(view.visit.query.clone()).extend_pairs(zone).finish();
    html! {
        details.menu {
            summary { (view.word("views")) }
            div.sheet {
                @for one in &found.saved {
                    div { a translate="no" href=(view_address(&one.slug)) { (one.title) } }
                }
                form.column method="post" action="/audit/views" {
                    input type="hidden" name="query" value=(query);
                    label for="title" { (view.word("view-name")) }
                    input id="title" name="title" required maxlength="100";
                    label { input type="checkbox" name="until" value=(found.position); " " (view.word("view-frozen")) }
                    button { (view.word("view-save")) }
                }
            }
        }
    }
}

fn list(view: &View<'_>, found: &Timeline) -> Markup {
    let page = &found.page;
    let further = page.next.map(|next| next.to_string());
    let ascends = view.visit.parameter("order").as_deref() == Some("asc");
    let parameter = if ascends { "after" } else { "before" };
    let grouped = view.visit.parameter("group").is_some();
    let moments: Vec<_> = page.items.iter().map(recorded).chain([page.beyond]).collect();
    let before =
        |at: usize| if ascends { at.checked_sub(1).and_then(|at| moments[at]) } else { moments[at + 1] };
    let export = |kind: &str| {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(view.visit.query.as_bytes())
            .into_owned()
            .filter(|(name, _)| {
                !["before", "after", "limit", "group", "lang", "theme", "tz"].contains(&name.as_str())
            })
            .collect();
        // Days of the file begin where those of the page do.
        let zone = (view.zone != Tz::UTC).then(|| ("tz", view.zone.name()));
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        address(&format!("/api/audit/export.{kind}"), pairs.chain(zone))
    };
    html! {
        h1 { (view.word("timeline")) }
        (search(view))
        @if view.file.is_some() { p.soft { (view.word("texts-of-rows")) } }
        div.tools {
            span.count {
                @match found.count {
                    Some(count) => strong { (count) },
                    None => strong { "> 10 000" },
                }
                " " (view.counted("events", found.count.unwrap_or(i64::MAX)))
            }
            @if grouped {
                @if view.file.is_none() { span.soft { (view.word("live-not-grouped")) } }
            } @else if view.file.is_none() {
                button.quiet type="button" data-live=(found.position) aria-pressed="false" hidden { (view.word("live")) }
            }
            a href=(export("csv")) data-export download { "CSV" }
            a href=(export("ndjson")) download { "NDJSON" }
            @if view.file.is_none() { (saved(view, found)) }
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
        (named::shown(view, &found.named))
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
            @for (at, one) in page.items.iter().enumerate() { (item(view, one, before(at))) }
        }
        div.line.ends {
            @if let Some(further) = &further {
                a rel="next" href=(view.but(parameter, Some(further))) { (view.word("older")) " ▸" }
            }
            (jump_form(view))
        }
    }
}

/// When a row of the list was recorded.
fn recorded(item: &Item) -> Option<DateTime<Utc>> {
    match item {
        Item::Event(entry) => Some(entry.recorded_at),
        Item::Command(group) => Some(group.events.first()?.recorded_at),
    }
}

/// Renders a refusal of this page.
fn refused(shared: &Shared, visit: &Visit, problem: &Problem) -> Response {
    let render = if problem.slug() == "invalid-query" { misread } else { refusal };
    refused_with(shared, visit, problem, render)
}

/// A search that could not be read: the typed text with its errors marked and explained, and no rows.
fn misread(view: &View<'_>, problem: &Problem) -> Markup {
    let tokens = problem.extensions().get("tokens").and_then(Value::as_array).cloned().unwrap_or_default();
    let typed = view.visit.parameter("q").unwrap_or_default();
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
                    @for (number, text) in terms::typed(&typed) {
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

/// The people that a look-up found: none, or more than one.
fn people(view: &View<'_>, found: &People) -> Markup {
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
