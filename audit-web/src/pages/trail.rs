//! One aggregate: its history, its state at any version, what changed, and the event that set each field.

use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::aggregate::Choice;
use soonshop_audit::diff::{Change, leaves};
use soonshop_audit::name::Names;
use soonshop_audit::notes::Note;
use soonshop_audit::redactor::Redacted;
use soonshop_audit::trail::{SetBy, Step, Trail};
use soonshop_domain::QueryError;
use soonshop_projections::operations::MOST_ON_EVENT;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;

use super::correlation::missing;
use super::frame::{View, answered_as, described, page, see_other, shown_as, with};
use super::labels;
use super::parts::{command, value};
use super::reasons::{REVEAL, reason, reveal_form};
use super::related::related;
use super::timeline::{causes, moment};
use super::times::{are_apart, times};
use super::titles;
use crate::state::{Action, Call, Endpoint};
use crate::{fields, find, naming};

/// Versions before the selected one that the page lists: so few that the selected one is in view at once.
pub(crate) const BEFORE: i64 = 4;

/// Versions after the selected one that the page lists.
const AFTER: i64 = 20;

/// Versions on one page of the list.
const LISTED: i64 = BEFORE + 1 + AFTER;

/// Rows of a table that are shown; the others are folded.
const UNFOLDED: usize = 30;

pub(crate) fn table() -> Vec<Endpoint> {
    vec![
        page(
            "/audit/a/{type}/{id}",
            "audit.trail-page",
            Class::Reads,
            Action::new(with(params()), described(), |call| async move {
                let (position, trail, missed) = found(&call).await?;
                let view = View::of(&call);
                let status = match missed {
                    Some(missed) => NotFound::status(missed),
                    None if ["v", "cmp"].iter().any(|name| call.params.was_passed_over(name)) => {
                        StatusCode::BAD_REQUEST
                    }
                    None => StatusCode::OK,
                };
                let may = Reveals { may: call.may(Permission::Reveal), done: false };
                let body = body(&view, &trail, may, missed);
                Ok(answered_as(&view, status, &title(&view, &trail), Some(position), &body))
            }),
        ),
        page(
            "/audit/a/{type}/{id}",
            "audit.reveal-page",
            Class::LookUps,
            Action::new(with(fields::trail()), described(), |call| async move {
                let found = find::reveal(&call).await;
                let done = Reveals { may: true, done: true };
                shown_as(&call, found, title, |view, trail| body(view, trail, done, None))
            })
            .takes(Owner::Anyone, fields::reveal())
            .needs(Permission::Reveal),
        ),
        page(
            "/audit/a/{type}/{id}/notes",
            "audit.note-page",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let left = find::leave_note(&call).await?;
                let version = left.version.to_string();
                let trail = call.visit.path.trim_end_matches("/notes");
                let to = View::of(&call).to(trail, &[("v", &version)]);
                Ok(see_other(&format!("{to}#v{version}")))
            })
            .takes(Owner::Anyone, fields::notes()),
        ),
    ]
}

fn title(view: &View<'_>, trail: &Trail) -> String {
    titles::aggregate(view, &trail.kind, name(trail), &trail.id, Some(trail.version))
}

/// The parameters of the page: those of the trail, where a moment may be written as a browser does, and the version
/// that the reader sees.
fn params() -> Vec<Param> {
    let mut params = fields::trail();
    params.push(Param::new("here", Kind::Number(1, i64::MAX), "The version to stay at if none is found."));
    for param in &mut params {
        if param.name == "asof" {
            param.kind = Kind::Free;
        }
        // The page says which version it shows.
        param.is_display = true;
    }
    params
}

/// Why the version that was looked for is not shown.
#[derive(Clone, Copy)]
enum NotFound {
    /// The moment cannot be read.
    UnreadableMoment,
    /// The aggregate did not exist yet.
    NotYet,
    /// The condition cannot be read.
    UnreadableCondition,
    /// It never held.
    Never,
    /// The history does not reach so far yet.
    NoVersion,
}

impl NotFound {
    /// Why a version was refused; `None` for a refusal of something else.
    fn of(error: &QueryError, choice: &Choice) -> Option<Self> {
        if error.slug() != "invalid-query" {
            return None;
        }
        let ways =
            [choice.version.is_some(), choice.as_of.is_some(), choice.first_where.is_some()].into_iter();
        let one = ways.filter(|given| *given).count() == 1;
        match error.members().get("parameter").and_then(Value::as_str)? {
            "asof" if one => Some(Self::NotYet),
            "where" if one => {
                let is_read = choice.first_where.as_deref().is_some_and(is_condition);
                Some(if is_read { Self::Never } else { Self::UnreadableCondition })
            }
            "v" | "cmp" if error.members().contains_key("version") => Some(Self::NoVersion),
            _ => None,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::UnreadableMoment | Self::UnreadableCondition => StatusCode::BAD_REQUEST,
            Self::NotYet | Self::Never | Self::NoVersion => StatusCode::NOT_FOUND,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::UnreadableMoment => "missed-asof-unreadable",
            Self::NotYet => "missed-asof",
            Self::UnreadableCondition => "missed-where-unreadable",
            Self::Never => "missed-where",
            Self::NoVersion => "missed-version",
        }
    }

    /// The field of a form that he filled in.
    fn field(self) -> &'static str {
        match self {
            Self::UnreadableMoment | Self::NotYet => "asof",
            Self::UnreadableCondition | Self::Never => "where",
            Self::NoVersion => "v",
        }
    }
}

/// Whether this is a field's path, `=` and a value.
fn is_condition(text: &str) -> bool {
    text.starts_with('/') && text.contains('=')
}

/// The trail at the version that was looked for. Where there is none, it stays at the version that the reader sees.
async fn found(call: &Call) -> Result<(i64, Trail, Option<NotFound>), Problem> {
    let typed = call.params.text("asof").filter(|typed| !typed.is_empty());
    let moment = typed.map(|typed| moment(typed, View::of(call).zone));
    let as_of = moment.flatten().map(|moment| moment.timestamp_micros());
    let choice = Choice { as_of, ..fields::choice(call) };
    let missed = if moment == Some(None) {
        NotFound::UnreadableMoment
    } else {
        match find::trail_at(call, &choice).await {
            Ok((position, trail)) => return Ok((position, trail, None)),
            Err(error) => match NotFound::of(&error, &choice) {
                Some(missed) => missed,
                None => return Err(error.into()),
            },
        }
    };
    let stays = Choice { as_of: None, first_where: None, compared: None, ..choice };
    let here = call.params.number("here");
    let (position, trail) = match find::trail_at(call, &Choice { version: here, ..stays.clone() }).await {
        Ok(found) => found,
        // Such a version was never shown.
        Err(error) if here.is_some() && error.slug() == "invalid-query" => {
            find::trail_at(call, &Choice { version: None, ..stays }).await?
        }
        Err(error) => return Err(error.into()),
    };
    Ok((position, trail, Some(missed)))
}

/// Whether personal values may be revealed, and are.
#[derive(Clone, Copy)]
struct Reveals {
    may: bool,
    done: bool,
}

fn body(view: &View<'_>, trail: &Trail, reveals: Reveals, missed: Option<NotFound>) -> Markup {
    let path = &view.visit.path;
    let step = |version: i64| view.to(path, &[("v", &version.to_string())]);
    let current = trail.events.iter().find(|event| event.version == trail.version);
    let message = current.map(|event| view.language.kind(&event.kind)).unwrap_or_default();
    let valuetext =
        view.language.fill("slider-at", &[&trail.version.to_string(), &trail.last.to_string(), &message]);
    html! {
        div data-swap="trail" {
            (naming::heading(view, &trail.kind, name(trail).or_else(|| revealed_name(trail)), &trail.id))
            (related(view, &trail.related))
            div.stepper {
                div.steps {
                    @if trail.version > 1 { a rel="prev" data-step="-1" href=(step(trail.version - 1)) { "◂ " (view.word("previous")) } }
                    strong { (view.word("version")) " " (trail.version) " / " (trail.last) }
                    @if trail.version < trail.last { a rel="next" data-step="1" href=(step(trail.version + 1)) { (view.word("next")) " ▸" } }
                    button.quiet type="button" data-copy-link hidden { (view.word("copy-link")) }
                }
                form.slider method="get" action=(path) {
                    (view.hidden())
                    input type="range" name="v" min="1" max=(trail.last) value=(trail.version) data-slider
                        aria-label=(view.word("version")) aria-valuetext=(valuetext);
                    button data-go-button { (view.word("go")) }
                    @if trail.last > 1 {
                        button.quiet type="button" data-play=(trail.last) data-stop=(view.word("play-stop")) aria-pressed="false" hidden { (view.word("play")) }
                    }
                }
            }
            @for one in &trail.pending { p.banner.missing { (missing(view, one)) } }
            (choices(view, trail, missed))
            div.two {
                (history(view, trail))
                (at_version(view, trail))
            }
            @if reveals.may && !reveals.done {
                (reveal_form(view, &if missed.is_some() { step(trail.version) } else { view.but("", None) }))
            }
            @if reveals.done {
                p.soft { (view.word("revealed")) " " a href=(step(trail.version)) { (view.word("hide")) } }
            }
            (command(view, &format!("replay-tool show {} {} --as-of v{}", trail.kind, given(trail), trail.version)))
        }
    }
}

/// The name for a command line: its number, which no other has, or its id.
fn given(trail: &Trail) -> &str {
    let is_plain = |number: &&str| {
        number.starts_with(|sign: char| sign.is_ascii_alphanumeric())
            && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
    };
    let has_number = ["order", "credit_note"].contains(&trail.kind.as_str());
    trail.name.as_deref().filter(is_plain).filter(|_| has_number).unwrap_or(&trail.id)
}

/// Its name. Where the read model does not know it yet, its state may.
fn name(trail: &Trail) -> Option<&str> {
    trail.name.as_deref().or_else(|| titles::name_in(trail.state()))
}

/// The name of a person, where it is revealed. It is only in the heading: a browser keeps the titles of windows.
fn revealed_name(trail: &Trail) -> Option<&str> {
    let name = trail.state().get("name").filter(|name| name["personal"] == "revealed")?;
    name["value"].as_str()
}

/// Ways to find a version other than by number. What leads to none stays in its form, with the reason.
fn choices(view: &View<'_>, trail: &Trail, missed: Option<NotFound>) -> Markup {
    let path = &view.visit.path;
    let chosen = |name: &str| view.visit.parameter(name);
    let missed_here = |name: &str| missed.filter(|missed| missed.field() == name);
    let wrong = |name: &str| missed_here(name).map(|_| "true");
    let described = |name: &str| missed_here(name).map(|_| "missed");
    let reason = |name: &str| {
        let text =
            missed_here(name).map(|missed| view.language.fill(missed.word(), &[&trail.version.to_string()]));
        html! { @if let Some(text) = text { (super::parts::missed(&text)) } }
    };
    let here = html! { (view.hidden()) input type="hidden" name="here" value=(trail.version); };
    html! {
        (reason("v"))
        details.ways open[chosen("asof").is_some() || chosen("where").is_some()] {
            summary { (view.word("ways")) }
            form.line method="get" action=(path) {
                (here)
                label for="asof" { (view.word("as-it-was")) }
                input id="asof" name="asof" required placeholder="2026-11-22T10:45:00Z" value=[chosen("asof")]
                    aria-invalid=[wrong("asof")] aria-describedby=[described("asof")];
                button { (view.word("go")) }
                (reason("asof"))
            }
            form.line method="get" action=(path) {
                (here)
                label for="where" { (view.word("first-where")) }
                input id="where" name="where" required placeholder="/status=shipped" value=[chosen("where")] list="fields"
                    aria-invalid=[wrong("where")] aria-describedby=[described("where")];
                datalist id="fields" {
                    @for field in leaves(trail.state.value()).keys() { option value=(format!("{field}=")) {} }
                }
                button { (view.word("find")) }
                (reason("where"))
            }
        }
    }
}

/// The events that the page lists: those around the selected version, or the last ones before `before`.
fn window(trail: &Trail, before: Option<i64>) -> &[Step] {
    // Beyond the last page the last page is shown.
    let beyond = |before: &i64| before.saturating_sub(LISTED) > trail.last;
    let (first, end) = match before {
        Some(before) if beyond(&before) => (trail.last - LISTED + 1, before),
        Some(before) => (before.saturating_sub(LISTED), before),
        None => (trail.version.saturating_sub(BEFORE), trail.version.saturating_add(AFTER + 1)),
    };
    let first = trail.events.partition_point(|event| event.version < first);
    let end = trail.events.partition_point(|event| event.version < end);
    &trail.events[first..end.max(first)]
}

fn history(view: &View<'_>, trail: &Trail) -> Markup {
    let path = &view.visit.path;
    let before = view.visit.parameter("before").and_then(|before| before.parse().ok());
    let events = window(trail, before);
    let earlier = events.first().map(|event| event.version).filter(|first| *first > 1);
    let earlier = earlier.map(|first| first.to_string());
    let later = events.last().map(|event| event.version).filter(|last| *last < trail.last);
    let later = later.map(|last| (last + 1 + LISTED).to_string());
    html! {
        section aria-label=(view.word("history")) {
            div.line {
                h2 { (view.word("history")) }
                @if let Some(earlier) = &earlier {
                    a href=(view.but("before", Some(earlier))) { "▴ " (view.word("earlier")) }
                }
            }
            ol.trail {
                @for event in events {
                    @let is_shown = event.version == trail.version;
                    li id={ "v" (event.version) } aria-current=[is_shown.then_some("true")] data-position=(event.position) data-id=(event.id) {
                        div.event.step {
                            div.sentence {
                                a.row href=(view.to(path, &[("v", &event.version.to_string())])) { "v" (event.version) " " (view.language.kind(&event.kind)) }
                            }
                            div.about { (about(view, event, &trail.names)) }
                            @if !are_apart(event.recorded_at, event.occurred_at) { div.when { (view.time(event.recorded_at)) } }
                            @if let Some(correlation) = event.correlation_id { (causes(view, correlation)) }
                        }
                        @for note in &event.notes { (noted(view, note, &trail.names)) }
                        @if is_shown { (note_form(view, event.version, event.notes.len())) }
                    }
                }
            }
            @if let Some(later) = &later {
                p { a href=(view.but("before", Some(later))) { "▾ " (view.word("later")) } }
            }
        }
    }
}

fn about(view: &View<'_>, event: &Step, names: &Names) -> Markup {
    html! {
        @if are_apart(event.recorded_at, event.occurred_at) { (times(view, event.recorded_at, event.occurred_at)) }
        span { (naming::actor_in(view, event.actor.as_deref(), names)) }
        @if let Some(channel) = &event.channel {
            span { (view.word("channel")) " " (view.label(&format!("channel-{channel}")).trim_start_matches("channel-")) }
        }
        @if let Some(reason) = &event.reason_code {
            span { (view.word("reason")) (view.word("colon")) (labels::reason(view, reason)) }
        }
        @if let Some(whom) = &event.on_behalf_of {
            span { (view.word("on-behalf-of")) " " (naming::actor_in(view, Some(whom), names)) }
        }
        (reason(view, event.reason_note.as_ref(), Some(&format!("#{REVEAL}"))))
        code translate="no" { (event.kind) "/" (event.event_version) " #" (event.position) }
    }
}

/// A note on an event.
fn noted(view: &View<'_>, note: &Note, names: &Names) -> Markup {
    html! {
        div.note {
            @if let Some(text) = &note.text { p { (value(view, text.value())) } }
            p.soft {
                @for tag in &note.tags { span.tag translate="no" { (tag) } " " }
                (view.time(note.at)) " · " (naming::actor_in(view, Some(&note.by), names)) " · " (view.word(if note.shared { "note-shared" } else { "note-private" }))
            }
        }
    }
}

/// The form for a note, on the selected event only: one on each event would be too many.
fn note_form(view: &View<'_>, version: i64, there: usize) -> Markup {
    let to = view.to(&format!("{}/notes", view.visit.path), &[]);
    html! {
        details.reveal.leave {
            summary {
                (view.word("note-add"))
                @if there > 0 { " " span.soft { (view.language.fill("notes-there", &[&there.to_string(), &MOST_ON_EVENT.to_string()])) } }
            }
            form.column method="post" action=(to) {
                input type="hidden" name="version" value=(version);
                label for="note" { (view.word("note-text")) }
                textarea id="note" name="text" rows="3" maxlength="2000" {}
                label for="tags" { (view.word("note-tags")) }
                input id="tags" name="tags" maxlength="400" autocomplete="off" placeholder="call-back late";
                label { input type="checkbox" name="shared" value="1"; " " (view.word("note-share")) }
                p.soft { (view.word("note-kept")) }
                button { (view.word("note-add")) }
            }
        }
    }
}

fn at_version(view: &View<'_>, trail: &Trail) -> Markup {
    let path = &view.visit.path;
    html! {
        section aria-label=(view.word("state")) {
            h2 { (view.word("changes")) (view.word("colon")) "v" (trail.diff.from) " → v" (trail.diff.to) }
            form.line method="get" action=(path) {
                (view.hidden())
                input type="hidden" name="v" value=(trail.version);
                label for="cmp" { (view.word("compare")) }
                input id="cmp" type="number" name="cmp" min="0" max=(trail.last) value=(trail.diff.from);
                button { (view.word("go")) }
            }
            @if trail.diff.changes.is_empty() {
                p { (view.word("no-changes")) }
            } @else {
                (in_part(view, &trail.diff.changes, |changes| changed(view, changes, &trail.names)))
            }
            @if trail.diff.more > 0 { p.soft { (view.counted("changes-more", trail.diff.more)) } }
            h2 { (view.word("state")) (view.word("colon")) "v" (trail.version) }
            (state(view, trail))
            @if let Some(parts) = &trail.parts {
                p.soft {
                    (view.counted("parts-total", parts.total))
                    @if let Some(next) = &parts.next { " " a href=(view.but("parts_after", Some(next))) { (view.word("parts-next")) } }
                }
            }
            @if let Some(stored) = &trail.stored {
                details {
                    summary { (view.word("stored")) }
                    p.soft {
                        @match trail.seal {
                            Some(number) => { (view.word("in-seal")) " #" (number) },
                            None => (view.word("not-sealed")),
                        }
                    }
                    pre translate="no" tabindex="0" { (serde_json::to_string_pretty(stored.value()).unwrap_or_default()) }
                }
            }
        }
    }
}

/// The first rows as a table, and the others as a second one that is folded.
fn in_part<T>(view: &View<'_>, rows: &[T], table: impl Fn(&[T]) -> Markup) -> Markup {
    let (first, others) = rows.split_at(rows.len().min(UNFOLDED));
    html! {
        (table(first))
        @if !others.is_empty() {
            details.others {
                summary { (view.counted("state-more", others.len())) }
                (table(others))
            }
        }
    }
}

fn changed(view: &View<'_>, changes: &[Change], names: &Names) -> Markup {
    let side = |path: &str, field: Option<&Redacted>| {
        field.map(|field| labels::value(view, path, field.value(), names))
    };
    html! {
        table.compared {
            thead { tr { th scope="col" { (view.word("field")) } th scope="col" { (view.word("before")) } th scope="col" { (view.word("after")) } } }
            tbody {
                @for change in changes {
                    tr {
                        td { (labels::field(view, &change.path, names)) }
                        td data-name=(view.word("before")) { @if let Some(was) = side(&change.path, change.before.as_ref()) { del { (was) } } @else { "–" } }
                        td data-name=(view.word("after")) { @if let Some(is) = side(&change.path, change.after.as_ref()) { ins { (is) } } @else { "–" } }
                    }
                }
            }
        }
    }
}

fn state(view: &View<'_>, trail: &Trail) -> Markup {
    let path = &view.visit.path;
    let leaves: Vec<(String, Value)> = leaves(trail.state.value()).into_iter().collect();
    let set_by = |field: &str| -> Option<&SetBy> { trail.blame.as_ref()?.get(field) };
    in_part(view, &leaves, |leaves| {
        html! {
            table.state {
                thead { tr { th scope="col" { (view.word("field")) } th scope="col" { (view.word("value")) } th scope="col" { (view.word("set-by")) } } }
                tbody {
                    @for (field, now) in leaves {
                        tr {
                            td { (labels::field(view, field, &trail.names)) }
                            td data-name=(view.word("value")) { (labels::value(view, field, now, &trail.names)) }
                            td data-name=(view.word("set-by")) {
                                @if let Some(owed) = set_by(field) {
                                    a href=(view.to(path, &[("v", &owed.version.to_string())])) { "v" (owed.version) } " " (view.language.kind(&owed.kind))
                                } @else { "–" }
                            }
                        }
                    }
                }
            }
        }
    })
}
