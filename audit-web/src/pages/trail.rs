//! One aggregate: its history, its state at any version, what changed, and the event that set each field.

use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::diff::leaves;
use soonshop_audit::name::Names;
use soonshop_audit::notes::Note;
use soonshop_audit::redactor::Redacted;
use soonshop_audit::trail::{LISTED, Step, Trail};
use soonshop_service_kit::access::{Of, Permission};
use soonshop_service_kit::rates::Class;

use super::correlation::missing;
use super::frame::{View, described, page, see_other, shown, with};
use super::parts::{command, value};
use super::related::related;
use crate::state::{Action, Endpoint};
use crate::{fields, find, naming};

pub(crate) fn table() -> Vec<Endpoint> {
    vec![
        page(
            "/audit/a/{type}/{id}",
            "audit.trail-page",
            Class::Reads,
            Action::new(with(fields::trail()), described(), |call| async move {
                let found = find::trail(&call).await;
                let may_reveal = call.may(Permission::Reveal);
                shown(&call, "history", found, |view, trail| body(view, trail, may_reveal, false))
            }),
        ),
        page(
            "/audit/a/{type}/{id}",
            "audit.reveal-page",
            Class::LookUps,
            Action::new(with(fields::trail()), described(), |call| async move {
                let found = find::reveal(&call).await;
                shown(&call, "history", found, |view, trail| body(view, trail, true, true))
            })
            .takes(Of::Anyone, fields::reveal())
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
            .takes(Of::Anyone, fields::notes()),
        ),
    ]
}

fn body(view: &View<'_>, trail: &Trail, may_reveal: bool, revealed: bool) -> Markup {
    let path = &view.visit.path;
    let step = |version: i64| view.to(path, &[("v", &version.to_string())]);
    let current = trail.events.iter().find(|event| event.version == trail.version);
    let said = current.map(|event| view.language.kind(&event.kind)).unwrap_or_default();
    let valuetext =
        view.language.fill("slider-at", &[&trail.version.to_string(), &trail.last.to_string(), &said]);
    html! {
        div data-swap="trail" data-title=(title(view, trail)) {
            (naming::heading(view, &trail.kind, trail.name.as_deref().or_else(|| revealed_name(trail)), &trail.id))
            (related(view, &trail.related))
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
            @for one in &trail.pending { p.banner.missing { (missing(view, one)) } }
            (choices(view, trail))
            div.two {
                (history(view, trail))
                (at_version(view, trail))
            }
            @if may_reveal && !revealed { (reveal_form(view)) }
            @if revealed {
                p.soft { (view.word("revealed")) " " a href=(step(trail.version)) { (view.word("hide")) } }
            }
            (command(view, &format!("replay-tool show {} {} --as-of v{}", trail.kind, trail.id, trail.version)))
        }
    }
}

/// The name of a person, where it is revealed. It is only in the heading: a browser keeps the titles of windows.
fn revealed_name(trail: &Trail) -> Option<&str> {
    let name = trail.state().get("name").filter(|name| name["personal"] == "revealed")?;
    name["value"].as_str()
}

/// The title of the window.
fn title(view: &View<'_>, trail: &Trail) -> String {
    let name = naming::called(trail.name.as_deref(), &trail.id);
    format!("{} {name} v{} · {}", view.label(&trail.kind), trail.version, view.word("audit"))
}

/// Ways to find a version other than by number.
fn choices(view: &View<'_>, trail: &Trail) -> Markup {
    let path = &view.visit.path;
    let chosen = |name: &str| view.visit.parameter(name);
    html! {
        details.ways open[chosen("asof").is_some() || chosen("where").is_some()] {
            summary { (view.word("ways")) }
            form.line method="get" action=(path) {
                (view.hidden())
                label for="asof" { (view.word("as-it-was")) }
                input id="asof" name="asof" required placeholder="2026-11-22T10:45:00Z" value=[chosen("asof")];
                button { (view.word("go")) }
            }
            form.line method="get" action=(path) {
                (view.hidden())
                label for="where" { (view.word("first-where")) }
                input id="where" name="where" required placeholder="/status=shipped" value=[chosen("where")] list="fields";
                datalist id="fields" {
                    @for field in leaves(trail.state.value()).keys() { option value=(format!("{field}=")) {} }
                }
                button { (view.word("find")) }
            }
        }
    }
}

fn history(view: &View<'_>, trail: &Trail) -> Markup {
    let path = &view.visit.path;
    let earlier = trail.events.first().filter(|_| trail.more).map(|event| event.version.to_string());
    let later = trail.events.last().map(|event| event.version).filter(|last| *last < trail.last);
    let later = later.map(|last| (last + LISTED + 1).to_string());
    html! {
        section aria-label=(view.word("history")) {
            h2 { (view.word("history")) }
            @if let Some(earlier) = &earlier {
                p { a href=(view.but("before", Some(earlier))) { "▴ " (view.word("earlier")) } }
            }
            ol.trail {
                @for event in &trail.events {
                    @let is_shown = event.version == trail.version;
                    li id={ "v" (event.version) } aria-current=[is_shown.then_some("true")] data-position=(event.position) data-id=(event.id) {
                        div.said {
                            a.row href=(view.to(path, &[("v", &event.version.to_string())])) { "v" (event.version) " " (view.language.kind(&event.kind)) }
                        }
                        (about(view, event, &trail.names))
                        @for note in &event.notes { (noted(view, note, &trail.names)) }
                        @if is_shown { (note_form(view, event.version)) }
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
        div.about {
            (view.time(event.recorded_at))
            span { (naming::actor_in(view, event.actor.as_deref(), names)) }
            @if let Some(channel) = &event.channel {
                span { (view.word("channel")) " " (view.label(&format!("channel-{channel}")).trim_start_matches("channel-")) }
            }
            @if let Some(whom) = &event.on_behalf_of {
                span { (view.word("on-behalf-of")) " " (naming::actor_in(view, Some(whom), names)) }
            }
            @if let Some(reason) = &event.reason_code {
                span { (view.word("reason")) ": " span translate="no" { (reason) } }
            }
            @if event.has_note {
                span { (view.word("note-left")) }
            }
            @if let Some(correlation) = event.correlation_id {
                a href=(view.to(&format!("/audit/c/{correlation}"), &[])) { span aria-hidden="true" { "⤳ " } (view.word("correlation")) }
            }
            code translate="no" { (event.kind) "/" (event.event_version) " #" (event.position) }
        }
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
fn note_form(view: &View<'_>, version: i64) -> Markup {
    let to = view.to(&format!("{}/notes", view.visit.path), &[]);
    html! {
        details.reveal.leave {
            summary { (view.word("note-add")) }
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
    let side = |field: Option<&Redacted>| field.map(|field| naming::value(view, field.value(), &trail.names));
    html! {
        section aria-label=(view.word("state")) {
            h2 { (view.word("changes")) ": v" (trail.diff.from) " → v" (trail.diff.to) }
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
                table {
                    thead { tr { th scope="col" { (view.word("field")) } th scope="col" { (view.word("before")) } th scope="col" { (view.word("after")) } } }
                    tbody {
                        @for change in &trail.diff.changes {
                            tr {
                                td { code translate="no" data-field=(change.path) { (naming::path(view, &change.path, &trail.names)) } }
                                td data-name=(view.word("before")) { @if let Some(was) = side(change.before.as_ref()) { del { (was) } } @else { "–" } }
                                td data-name=(view.word("after")) { @if let Some(is) = side(change.after.as_ref()) { ins { (is) } } @else { "–" } }
                            }
                        }
                    }
                }
            }
            @if trail.diff.more > 0 { p.soft { (view.counted("changes-more", trail.diff.more)) } }
            h2 { (view.word("state")) ": v" (trail.version) }
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

fn state(view: &View<'_>, trail: &Trail) -> Markup {
    let path = &view.visit.path;
    let leaves: Vec<(String, Value)> = leaves(trail.state.value()).into_iter().collect();
    html! {
        table {
            thead { tr { th scope="col" { (view.word("field")) } th scope="col" { (view.word("value")) } th scope="col" { (view.word("set-by")) } } }
            tbody {
                @for (field, now) in &leaves {
                    tr {
                        td { code translate="no" data-field=(field) { (naming::path(view, field, &trail.names)) } }
                        td data-name=(view.word("value")) { (naming::value(view, now, &trail.names)) }
                        td data-name=(view.word("set-by")) {
                            @if let Some(owed) = trail.blame.as_ref().and_then(|blame| blame.get(field)) {
                                a href=(view.to(path, &[("v", &owed.version.to_string())])) { "v" (owed.version) } " " code translate="no" { (owed.kind) }
                            } @else { "–" }
                        }
                    }
                }
            }
        }
    }
}

fn reveal_form(view: &View<'_>) -> Markup {
    html! {
        details.reveal {
            summary { (view.word("reveal")) }
            form.column method="post" action=(view.but("", None)) {
                label for="why" { (view.word("reveal-why")) }
                input id="why" name="reason" required minlength="3" maxlength="500" autocomplete="off";
                p.soft { (view.word("reveal-recorded")) }
                button { (view.word("reveal")) }
            }
        }
    }
}
