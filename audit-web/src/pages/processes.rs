//! Process managers: how each follows the log, and the list of their instances.

use maud::{Markup, html};
use soonshop_audit::name::Names;
use soonshop_audit::processes::Page;
use soonshop_projections::processes::{Instance, Status};
use soonshop_service_kit::rates::Class;

use super::frame::{View, described, page, shown, with};
use super::parts::{behind, command};
use super::process_instance::{address, command_name, refused, step, subject, timeouts};
use super::projections::trouble;
use crate::fields::{self, STATES};
use crate::find;
use crate::state::{Action, Endpoint};

pub(crate) fn table() -> Vec<Endpoint> {
    vec![page(
        "/audit/processes",
        "audit.processes-page",
        Class::Reads,
        Action::new(with(fields::processes()), described(), |call| async move {
            let found = find::processes(&call).await;
            shown(&call, "processes", found, body)
        }),
    )]
}

fn body(view: &View<'_>, found: &Page) -> Markup {
    let chosen = view.visit.parameter("state");
    let state = STATES.into_iter().find(|one| chosen.as_deref() == Some(one)).unwrap_or(STATES[0]);
    html! {
        h1 { (view.word("processes")) }
        p.soft { (view.word("processes-what")) }
        div data-poll {
            (managers(view, &found.processes))
            h2 { (view.word("instances")) }
            p.tools {
                @for one in STATES {
                    a href=(view.but("state", Some(one))) aria-current=[(one == state).then_some("true")] { (view.word_of(&format!("instances-{one}")).unwrap_or(one)) }
                }
                @if view.visit.parameter("process").is_some() {
                    a href=(view.but("process", None)) { (view.word("processes-all")) }
                }
            }
            @if found.items.is_empty() {
                p { (view.word("instances-none")) }
            } @else {
                (instances(view, &found.items, &found.names))
            }
            @if let Some(next) = &found.next {
                p.tools { a rel="next" href=(view.but("after", Some(next))) { (view.word("instances-more")) } }
            }
        }
        p.soft { (view.word("command")) }
        (command(view, "soonshop process list --stuck"))
        @if let Some(one) = found.items.iter().find(|one| one.stuck) {
            (command(view, &format!("soonshop process show {} {}", one.process, one.instance)))
            (command(view, &format!("soonshop process retry {} {} --reason \"…\"", one.process, one.instance)))
        }
    }
}

/// Whether it is healthy, and if not, why.
pub(crate) fn state(view: &View<'_>, one: &Status) -> Markup {
    let word = view.word_of(&format!("process-{}", one.state)).unwrap_or(&one.state);
    html! {
        @if let Some(found) = &one.progress.trouble {
            span.ill { span aria-hidden="true" { "⚠ " } (word) (view.word("colon")) (trouble(view, Some(found))) }
        } @else {
            span.well { span aria-hidden="true" { "✓ " } (word) }
        }
    }
}

fn managers(view: &View<'_>, all: &[Status]) -> Markup {
    html! {
        table.list {
            thead {
                tr {
                    th scope="col" { (view.word("process")) } th scope="col" { (view.word("state")) } th scope="col" { (view.word("seen")) }
                    th scope="col" { (view.word("lag")) } th scope="col" { (view.word("to-send")) } th scope="col" { (view.word("have-to-wait")) }
                    th scope="col" { (view.word("kept-by")) }
                }
            }
            tbody {
                @for one in all {
                    tr {
                        td { a href=(view.to("/audit/processes", &[("process", &one.name)])) { strong translate="no" { (one.name) } } }
                        td data-name=(view.word("state")) { (state(view, one)) @if let Some(since) = one.since { " " span.soft { (view.word("since")) " " (view.time(since)) } } }
                        td data-name=(view.word("seen")) { @if let Some(position) = one.progress.position { (position) } @else { "–" } }
                        td data-name=(view.word("lag")) { (behind(view, one.progress.lag_events, one.progress.lag_seconds)) }
                        td data-name=(view.word("to-send")) { (one.unsent) }
                        td data-name=(view.word("have-to-wait")) { (one.waiting) }
                        td data-name=(view.word("kept-by")) { @if let Some(holder) = &one.progress.holder { code.holder translate="no" { (holder) } } @else { "–" } }
                    }
                }
            }
        }
    }
}

fn instances(view: &View<'_>, all: &[Instance], names: &Names) -> Markup {
    html! {
        table.list {
            thead {
                tr {
                    th scope="col" { (view.word("instance")) } th scope="col" { (view.word("process")) } th scope="col" { (view.word("step")) }
                    th scope="col" { (view.word("since")) } th scope="col" { (view.word("waits-with")) } th scope="col" { (view.word("last-refused")) }
                    th scope="col" { (view.word("times-out")) }
                }
            }
            tbody { @for one in all { (row(view, one, names)) } }
        }
    }
}

fn row(view: &View<'_>, one: &Instance, names: &Names) -> Markup {
    html! {
        tr {
            td {
                a href=(address(view, &one.key(), &[])) { (subject(view, one, names)) " " code.soft translate="no" { (one.instance) } }
                @if let (Some(kind), Some(id)) = (&one.aggregate_type, one.aggregate_id) {
                    " " a.soft href=(view.to(&format!("/audit/a/{kind}/{id}"), &[])) { (view.label(kind)) }
                }
            }
            td data-name=(view.word("process")) { span translate="no" { (one.process) } }
            td data-name=(view.word("step")) { (step(view, one)) }
            td data-name=(view.word("since")) { @if let Some(since) = one.since { (view.time(since)) } @else { "–" } }
            td data-name=(view.word("waits-with")) {
                @if let Some(unsent) = &one.waits_with {
                    (command_name(view, unsent))
                    @if one.unsent > 1 { " " (view.language.fill("of-unsent", &[&one.unsent.to_string()])) }
                    @if let Some(reason) = &unsent.reason {
                        div.ill lang="en" { (reason) }
                        div.soft {
                            @if let Some(since) = unsent.waiting_since { (view.word("since")) " " (view.time(since)) " · " }
                            (view.word("tried")) " " (unsent.attempts)
                        }
                    }
                } @else { "–" }
            }
            td data-name=(view.word("last-refused")) {
                @if let Some(last) = &one.refused { (refused(view, last)) } @else { "–" }
            }
            td data-name=(view.word("times-out")) { (timeouts(view, one)) }
        }
    }
}
