//! The timeline: a search, the events that it finds, and links from them.

use std::fmt::Display;

use axum::http::StatusCode;
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
use soonshop_audit::sorting::Sorting;
use soonshop_audit::terms;
use soonshop_audit::timeline::{Item, Page};
use soonshop_audit::views::{self, Saved};
use soonshop_domain::text::visible;
use soonshop_domain::{ActorKind, Channel, TYPES, catalog, clock};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use strum::IntoEnumIterator as _;
use url::form_urlencoded;

use super::frame::{
    COMMON, View, address, answered_as, described, page, refusal, refused_with, see_other, shown, with,
};
use super::named::{self, Named};
use super::parts::shape;
use super::times::times;
use super::views::view_address;
use super::{labels, refused_form, titles};
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
                let missed = match leap(&call).await? {
                    Leap::To(address) => return Ok(see_other(&address)),
                    Leap::None => None,
                    Leap::NotFound(missed) => Some(missed),
                };
                let (position, found) = found(&call).await?;
                let view = View::of(&call);
                let status = missed.map_or(StatusCode::OK, NotFound::status);
                let title = titles::about(&view, "timeline", &searched(&view));
                Ok(answered_as(&view, status, &title, Some(position), &list(&view, &found, missed)))
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
            .takes(Owner::Anyone, fields::look_up())
        }),
    ]
}

/// The views in the menu: all of them are on their page.
const IN_MENU: usize = 50;

/// The parameters of the page, beside those of the list.
fn params() -> Vec<Param> {
    let mut params = fields::timeline();
    params.push(Param::new("at", Kind::Free, "Leads to the page that begins at this moment."));
    params
}

/// Where a moment in the address leads.
enum Leap {
    /// There is none.
    None,
    /// To the same list from this moment on.
    To(String),
    /// Nowhere: the list stays as it is.
    NotFound(NotFound),
}

/// Why a moment leads nowhere.
#[derive(Clone, Copy, PartialEq)]
enum NotFound {
    Unreadable,
    /// Everything was recorded later, or happened later.
    BeforeAll(Sorting),
    /// Everything was recorded earlier, or happened earlier.
    AfterAll(Sorting),
}

impl NotFound {
    fn status(self) -> StatusCode {
        if self == Self::Unreadable { StatusCode::BAD_REQUEST } else { StatusCode::NOT_FOUND }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Unreadable => "missed-at-unreadable",
            Self::BeforeAll(Sorting::Recorded) => "missed-at-before",
            Self::AfterAll(Sorting::Recorded) => "missed-at-after",
            Self::BeforeAll(Sorting::Occurred) => "missed-at-happened-before",
            Self::AfterAll(Sorting::Occurred) => "missed-at-happened-after",
        }
    }
}

/// The parameters that say where in the list a page begins.
const PLACES: [&str; 4] = ["at", "before", "after", fields::PAST];

/// The address of the same list from the moment in the address on.
async fn leap(call: &Call) -> Result<Leap, Problem> {
    let Some(typed) = call.params.text("at").filter(|typed| !typed.is_empty()) else { return Ok(Leap::None) };
    let Some(micros) = moment(typed, View::of(call).zone).map(|moment| moment.timestamp_micros()) else {
        return Ok(Leap::NotFound(NotFound::Unreadable));
    };
    let (sorting, ascends) = (fields::sorting(&call.params), fields::ascends(&call.params));
    // The last event before the page, in the order of the list; in the order of the log, the position of the last one
    // by then is enough.
    let then = match (sorting, ascends) {
        (Sorting::Recorded, true) => "recorded_at < $1 ORDER BY recorded_at DESC, position DESC",
        (Sorting::Recorded, false) => "recorded_at <= $1 ORDER BY recorded_at DESC, position DESC",
        (Sorting::Occurred, true) => "occurred_at < $1 ORDER BY occurred_at DESC, position DESC",
        (Sorting::Occurred, false) => "occurred_at > $1 ORDER BY occurred_at ASC, position ASC",
    };
    let source = call.shared.reader.source().await?;
    let head = source.position().await?;
    let one = async |then: &str| {
        let sql = format!("SELECT position FROM @audit WHERE {then} LIMIT 1");
        let rows = source.plain(&sql, vec![micros.into()]).await?;
        Ok::<_, Problem>(
            rows.first().map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(query_failed)?,
        )
    };
    let last = one(then).await?;
    let begins = match (sorting, last) {
        (Sorting::Recorded, None) if !ascends => return Ok(Leap::NotFound(NotFound::BeforeAll(sorting))),
        (Sorting::Recorded, Some(last)) if ascends && last >= head => {
            return Ok(Leap::NotFound(NotFound::AfterAll(sorting)));
        }
        (Sorting::Recorded, last) if ascends => Some(last.unwrap_or(0)),
        (Sorting::Recorded, last) => Some(last.unwrap_or(0) + 1),
        (Sorting::Occurred, last) => {
            // The page would be empty.
            let (rest, missed) = if ascends {
                ("occurred_at >= $1", NotFound::AfterAll(sorting))
            } else {
                ("occurred_at <= $1", NotFound::BeforeAll(sorting))
            };
            if one(rest).await?.is_none() {
                return Ok(Leap::NotFound(missed));
            }
            last
        }
    };
    let name = fields::further(&call.params);
    let kept = form_urlencoded::parse(call.visit.query.as_bytes())
        .filter(|(name, value)| !PLACES.contains(&&**name) && !value.is_empty());
    let pairs: Vec<(String, String)> = kept
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .chain(begins.map(|position| (name.to_owned(), position.to_string())))
        .collect();
    Ok(Leap::To(address(
        "/audit/timeline",
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())),
    )))
}

/// A moment as a person or a browser writes it, in the zone of the page.
pub(crate) fn moment(typed: &str, zone: Tz) -> Option<DateTime<Utc>> {
    clock::parse_in(typed, &zone).or_else(|| local(typed, zone))
}

/// A local time in a zone, as a browser sends it; of two equal ones, the first.
fn local(typed: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let read = |format| NaiveDateTime::parse_from_str(typed, format).ok();
    let naive = read("%Y-%m-%dT%H:%M").or_else(|| read("%Y-%m-%dT%H:%M:%S%.f"))?;
    Some(naive.and_local_timezone(zone).earliest()?.to_utc())
}

/// The form to jump to a moment of the list. A moment that leads nowhere stays in it, with the reason.
fn jump_form(view: &View<'_>, missed: Option<NotFound>) -> Markup {
    let kept: Vec<(String, String)> = form_urlencoded::parse(view.visit.query.as_bytes())
        .into_owned()
        .filter(|(name, value)| name != "at" && !value.is_empty())
        .collect();
    let kind = if missed == Some(NotFound::Unreadable) { "text" } else { "datetime-local" };
    html! {
        form.leap method="get" action="/audit/timeline" {
            @for (name, value) in &kept { input type="hidden" name=(name) value=(value); }
            label for="at" { (view.word("jump-to")) }
            input id="at" name="at" type=(kind) step="1" required value=[view.visit.parameter("at")]
                aria-invalid=[missed.map(|_| "true")] aria-describedby=[missed.map(|_| "missed")];
            span.soft translate="no" { (view.zone.name()) }
            button.quiet { (view.word("go")) }
            @if let Some(missed) = missed { (super::parts::missed(view.word(missed.word()))) }
        }
    }
}

struct Timeline {
    page: Page,
    /// `None`: more than are counted.
    count: Option<i64>,
    saved: Vec<Saved>,
    position: i64,
    may_look_up: bool,
    /// The thing that the search names.
    named: Vec<Named>,
}

async fn found(call: &Call) -> Result<(i64, Timeline), Problem> {
    let (position, page) = find::timeline(call).await?;
    let (count, saved) = (find::count(call).await?, views::page(&call.shared.reader, None, IN_MENU).await?);
    let saved = saved.items;
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
pub(crate) fn row(view: &View<'_>, one: &Item, before: Option<DateTime<Utc>>) -> String {
    item(view, one, before).into_string()
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

/// An event as a sentence, beside it what it changed, or else the first of its own fields, and below it a line of
/// context. The link to everything that followed is at the end of both lines.
pub(crate) fn event_summary(view: &View<'_>, entry: &Entry, detail: &Detail) -> Markup {
    let Detail { leads_on, most, since } = *detail;
    html! {
        div.event {
            div.sentence { (sentence(view, entry)) }
            div.about {
                (times(view, entry.recorded_at, entry.occurred_at))
                @if let Some(since) = since { span.since { (passed(view, since, entry.recorded_at)) } }
                (context(view, entry))
            }
            (shown_fields(view, entry, most))
            @if let Some(correlation) = entry.correlation_id.as_ref().filter(|_| leads_on) {
                (causes(view, correlation))
            }
        }
    }
}

/// The link to everything that followed from the same request.
pub(crate) fn causes(view: &View<'_>, correlation: impl Display) -> Markup {
    let word = view.word("correlation");
    html! {
        a.causes href=(view.to(&format!("/audit/c/{correlation}"), &[])) title=(word) {
            span aria-hidden="true" { "⤳" } span.unseen { (word) }
        }
    }
}

/// The icon of an event's aggregate, and the event's sentence, which leads to the aggregate.
pub(crate) fn sentence(view: &View<'_>, entry: &Entry) -> Markup {
    let version = entry.version.to_string();
    html! {
        span.shape aria-hidden="true" { (shape(&entry.aggregate_type)) }
        a.row href=(view.to(&stream_path(entry), &[("v", &version)])) { (naming::sentence(view.language, entry)) }
    }
}

/// The address of an event's aggregate.
fn stream_path(entry: &Entry) -> String {
    format!("/audit/a/{}/{}", entry.aggregate_type, entry.aggregate_id)
}

/// The actor of an event, its channel, its reason, and its position and id.
pub(crate) fn context(view: &View<'_>, entry: &Entry) -> Markup {
    // The spaces separate the parts also where they are copied or read out.
    html! {
        " " span { (naming::actor_of(view, entry)) }
        @if let Some(channel) = &entry.channel {
            " " span { (view.word("channel")) " " (view.label(&format!("channel-{channel}")).trim_start_matches("channel-")) }
        }
        @if let Some(reason) = &entry.reason_code {
            " " span { (view.word("reason")) (view.word("colon")) (labels::reason(view, reason)) }
        }
        @if entry.has_note {
            " " span { (view.word("reason-in-words")) (view.word("colon")) (view.word("reason-hidden")) }
        }
        @if let Some(whom) = &entry.on_behalf_of {
            " " span { (view.word("on-behalf-of")) " " (naming::actor_in(view, Some(whom), &entry.names)) }
        }
        " " span { (view.label(&entry.aggregate_type)) " v" (entry.version) }
        " " code translate="no" { (entry.kind) " #" (entry.position) }
    }
}

/// The changes of an event; where they are not known, the first of its own fields.
pub(crate) fn shown_fields(view: &View<'_>, entry: &Entry, most: usize) -> Markup {
    match entry.changes.fields() {
        [] => fields(view, entry, most),
        changes => changed(view, changes, &entry.names, most),
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
    let side = |word, path: &str, field: Option<&Redacted>| {
        html! {
            span.unseen { (view.word(word)) " " }
            @if let Some(field) = field { (labels::value(view, path, field.value(), names)) } @else { "–" }
        }
    };
    html! {
        div.fields.changes {
            @for change in changes.iter().take(most) {
                span data-path=(change.path) {
                    (labels::field(view, change.path.trim_start_matches('/'), names)) " "
                    @if change.before == change.after {
                        // Of a masked value, only that it changed is shown.
                        span.mask { span aria-hidden="true" { "•••• " } (view.word("masked-changed")) }
                    } @else {
                        del { (side("before", &change.path, change.before.as_ref())) } span aria-hidden="true" { " → " }
                        ins { (side("after", &change.path, change.after.as_ref())) }
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
                    span { (labels::field(view, name, &entry.names)) " " (labels::value(view, name, field, &entry.names)) }
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
                "q",
                "before",
                "after",
                "past",
                "from",
                "to",
                "occurred_from",
                "occurred_to",
                "order",
                "sort",
                "type",
                "agg",
                "actor",
                "chan",
                "group",
                "failures",
            ]
            .contains(&name.as_str())
        })
        .collect();
    let order = view.visit.parameter("order");
    let sorted = view.visit.parameter("sort").unwrap_or_default();
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
                label { (view.word("occurred-from")) " " input name="occurred_from" size="12" value=[view.visit.parameter("occurred_from")] placeholder="2011-01-01"; }
                label { (view.word("occurred-to")) " " input name="occurred_to" size="12" value=[view.visit.parameter("occurred_to")] placeholder="2011-03-01"; }
                label { (view.word("sorted-by")) " "
                    select name="sort" {
                        @for name in Sorting::NAMES {
                            option value=(name) selected[sorted == name] { (view.word_of(&format!("sort-{name}")).unwrap_or(name)) }
                        }
                    }
                }
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
                && !["order", "sort", "limit", "before", "after", fields::PAST, "group"]
                    .contains(&name.as_str())
                && !value.is_empty()
        })
        .collect()
}

/// The search of this page in one line, for its title.
fn searched(view: &View<'_>) -> String {
    let terms = filters(view).into_iter().map(|(name, value)| match name.as_str() {
        "q" => value,
        _ => format!("{name}:{value}"),
    });
    terms.collect::<Vec<_>>().join(" ")
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
                @if !found.saved.is_empty() { div { a href=(view.to("/audit/views", &[])) { (view.word("views-manage")) } } }
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

fn list(view: &View<'_>, found: &Timeline, missed: Option<NotFound>) -> Markup {
    let page = &found.page;
    let further = page.next.map(|next| next.to_string());
    let ascends = view.visit.parameter("order").as_deref() == Some("asc");
    let by_recording = view.visit.parameter("sort").as_deref() != Some("occurred");
    let parameter = match (by_recording, ascends) {
        (false, _) => fields::PAST,
        (true, true) => "after",
        (true, false) => "before",
    };
    let moments: Vec<_> = page.items.iter().map(recorded).chain([page.beyond]).collect();
    // The time since the row before is the time between their recordings: other orders have none.
    let before = |at: usize| {
        let before = if ascends { at.checked_sub(1).and_then(|at| moments[at]) } else { moments[at + 1] };
        before.filter(|_| by_recording)
    };
    let export = |kind: &str| {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(view.visit.query.as_bytes())
            .into_owned()
            .filter(|(name, _)| {
                !["before", "after", fields::PAST, "limit", "group"].contains(&name.as_str())
                    && COMMON.iter().all(|common| common.name != name)
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
            @if view.file.is_none() {
                @if by_recording { (follow(view, found)) } @else { span.soft { (view.word("live-not-sorted")) } }
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
        p.more hidden {
            button type="button" data-news data-one=(view.counted("live-new", 1)) data-many=(view.counted("live-new", "{count}")) {}
        }
        ol.trail data-rows {
            @for (at, one) in page.items.iter().enumerate() { (item(view, one, before(at))) }
        }
        p.soft data-cut hidden { (view.word("live-cut")) " " a href=(view.but(parameter, None)) { (view.word("live-older")) } }
        div.line.ends {
            @if let Some(further) = &further {
                a rel="next" href=(view.but(parameter, Some(further))) { (view.word("older")) " ▸" }
            }
            (jump_form(view, missed))
        }
    }
}

/// The button to follow the list live, and how that goes. Where new events would not be on this page, the button leads
/// to the page on which they are.
fn follow(view: &View<'_>, found: &Timeline) -> Markup {
    let ascends = view.visit.parameter("order").as_deref() == Some("asc");
    let given = |name: &str| view.visit.parameter(name).is_some_and(|value| !value.is_empty());
    let ends_before = given("before") || !ascends && given(fields::PAST);
    let elsewhere = (ends_before || ascends && found.page.next.is_some()).then(|| {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(view.visit.query.as_bytes())
            .into_owned()
            .filter(|(name, _)| !["before", "after", fields::PAST, "at", "order"].contains(&name.as_str()))
            .collect();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        format!("{}#live", address("/audit/timeline", pairs))
    });
    html! {
        span.soft data-live-state hidden data-say-begun=(view.word("live-begun")) data-say-behind=(view.word("live-behind"))
            data-say-live=(view.word("live-caught-up")) data-say-lost=(view.word("live-lost"))
            data-say-refused=(view.word("live-refused")) {}
        button.quiet type="button" data-live=(found.position) data-live-from=[elsewhere]
            data-left-out=(view.language.fill("live-left-out", &["{from}", "{to}"])) aria-pressed="false" hidden { (view.word("live")) }
    }
}

/// When a row of the list was recorded.
pub(crate) fn recorded(item: &Item) -> Option<DateTime<Utc>> {
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
                @let (name, why) = refused_form::fault(view, problem).unwrap_or(("q", view.word("misread-value")));
                p { code translate="no" { (visible(name)) } " — " (why) }
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
