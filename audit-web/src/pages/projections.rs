//! Read models: the state of each generation, the commands for it, and the list of its runs.

use maud::{Markup, html};
use soonshop_audit::name::Names;
use soonshop_audit::status::{GenerationHealth, Health};
use soonshop_audit::trend::Trend;
use soonshop_projections::runs::{Run, Runs};
use soonshop_projections::verdict::Trouble;
use soonshop_service_kit::Problem;
use soonshop_service_kit::rates::Class;

use super::frame::{View, described, page, shown, shown_as, with};
use super::parts::{behind, command, what_to_do};
use super::titles;
use crate::state::{Action, Call, Endpoint, failed};
use crate::{find, naming};

/// Runs that are listed for one read model.
const LISTED: u32 = 20;

pub(crate) fn table() -> Vec<Endpoint> {
    vec![
        page(
            "/audit/projections",
            "audit.projections-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = find::health(&call).await;
                shown(&call, "projections", found, list)
            }),
        ),
        page(
            "/audit/projections/{name}",
            "audit.projection-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = one(&call).await;
                shown_as(&call, found, |view, one| titles::about(view, "projections", &one.name), detail)
            }),
        ),
    ]
}

struct Detail {
    name: String,
    /// The database has roles: that of a rebuild has no right to write to the log.
    has_roles: bool,
    head: i64,
    generations: Vec<GenerationHealth>,
    runs: Vec<Run>,
}

async fn one(call: &Call) -> Result<(i64, Detail), Problem> {
    let (head, health) = find::health(call).await?;
    let generations: Vec<_> =
        health.items.into_iter().filter(|one| one.status.projection == call.key).collect();
    if generations.is_empty() {
        return Err(Problem::not_found("not-found", "there is no read model of this name"));
    }
    let runs = Runs::new(call.shared.reader.registry.operations().clone());
    let runs = runs.last(Some(&call.key), LISTED).await.map_err(failed)?;
    let has_roles = !call.shared.reader.log.db().is_sqlite();
    Ok((head, Detail { name: call.key.clone(), has_roles, head, generations, runs }))
}

/// Every read model, what is wrong with it, and the command to find out more.
fn list(view: &View<'_>, health: &Health) -> Markup {
    html! {
        h1 { (view.word("projections")) }
        div data-poll {
            @if health.items.iter().all(|one| one.complaint.is_none()) {
                p.well { span aria-hidden="true" { "✓ " } (view.word("healthy")) }
            } @else {
                p.ill { span aria-hidden="true" { "⚠ " } (view.word("unhealthy")) }
            }
            (rows(view, health.head, &health.items))
        }
        p.soft { (view.word("command")) }
        (command(view, "replay-tool status --wide"))
    }
}

pub(crate) fn rows(view: &View<'_>, head: i64, items: &[GenerationHealth]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { (view.word("read-model")) } th scope="col" { (view.word("state")) } th scope="col" { (view.word("seen")) }
                    th scope="col" { (view.word("lag")) } th scope="col" { (view.word("parked")) } th scope="col" { (view.word("kept-by")) }
                }
            }
            tbody { @for one in items { (row(view, head, one)) } }
        }
    }
}

fn place(view: &View<'_>, one: &GenerationHealth) -> &'static str {
    match (one.status.active, one.status.previous) {
        (true, _) => view.word("in-use"),
        (_, true) => view.word("way-back"),
        _ => view.word("candidate"),
    }
}

/// The complaint, in the reader's language if there is a text for it.
pub(crate) fn complaint(view: &View<'_>, one: &GenerationHealth) -> Markup {
    trouble(view, one.status.complaint.as_ref().map(|found| &found.trouble))
}

/// The trouble of a follower, in the reader's language if there is a text for it.
pub(crate) fn trouble(view: &View<'_>, found: Option<&Trouble>) -> Markup {
    html! {
        @match found {
            Some(Trouble::Stopped { reason, .. }) => { (view.word("is-stopped")) (view.word("colon")) span lang="en" { (reason) } },
            Some(Trouble::Parked { count }) => { (view.word("parked")) (view.word("colon")) (count) },
            Some(Trouble::Unkept) => (view.word("kept-by-nobody")),
            Some(Trouble::Late { .. }) => (view.word("is-late")),
            Some(Trouble::Stalled { position }) => (view.language.fill("is-stalled", &[&position.to_string()])),
            Some(Trouble::Other { detail }) => span lang="en" { (detail) },
            None => "–",
        }
    }
}

fn trend(view: &View<'_>, trend: Trend) -> Markup {
    let (sign, word) = match trend {
        Trend::Growing => ("↑", "trend-growing"),
        Trend::Shrinking => ("↓", "trend-shrinking"),
        Trend::Steady => ("→", "trend-steady"),
    };
    html! { span.soft title=(view.word_of(word).unwrap_or(word)) { span aria-hidden="true" { (sign) } span.news { (view.word_of(word).unwrap_or(word)) } } }
}

fn row(view: &View<'_>, head: i64, one: &GenerationHealth) -> Markup {
    let status = &one.status;
    let holders: std::collections::BTreeSet<&str> =
        status.sinks.iter().filter_map(|sink| sink.holder.as_deref()).collect();
    html! {
        tr {
            td { a href=(view.to(&format!("/audit/projections/{}", status.projection), &[])) { strong translate="no" { (status.projection) } } " v" (status.generation) }
            td data-name=(view.word("state")) {
                @if one.complaint.is_some() {
                    span.ill { span aria-hidden="true" { "⚠ " } (complaint(view, one)) }
                } @else {
                    span.well { span aria-hidden="true" { "✓ " } (place(view, one)) }
                }
            }
            td data-name=(view.word("seen")) { (status.position()) " / " (head) }
            td data-name=(view.word("lag")) { (behind(view, status.lag_events, status.lag_seconds)) " " (trend(view, one.trend)) }
            td data-name=(view.word("parked")) { (status.parked) }
            td data-name=(view.word("kept-by")) {
                @for holder in &holders { code translate="no" { (holder) } " " }
                @if holders.is_empty() { (view.word("nobody")) }
            }
        }
    }
}

fn detail(view: &View<'_>, detail: &Detail) -> Markup {
    let active = detail.generations.iter().find(|one| one.status.active);
    // Generations older than the active one were in use before.
    let in_use = active.map_or(0, |one| one.status.generation);
    let candidate = detail.generations.iter().rfind(|one| one.status.generation > in_use);
    html! {
        h1 { (view.word("read-model")) " " span translate="no" { (detail.name) } }
        div data-poll {
            @for one in &detail.generations {
                @let status = &one.status;
                section.generation {
                    h2 { "v" (status.generation) " · " (place(view, one)) }
                    progress max=(detail.head.max(1)) value=(status.position()) aria-label=(view.word("seen")) {}
                    p.facts {
                        span { (view.word("seen")) " " strong { (status.position()) } " / " (detail.head) }
                        span { (view.word("lag")) " " (behind(view, status.lag_events, status.lag_seconds)) }
                        span { (view.word("parked")) " " (status.parked) }
                        @if one.complaint.is_some() {
                            span.ill {
                                span aria-hidden="true" { "⚠ " } (complaint(view, one))
                                @if let Some(since) = one.unhealthy_since { " · " (view.word("since")) " " (view.time(since)) }
                                (what_to_do(view, one.remedy))
                            }
                        }
                    }
                    @for sink in &status.sinks {
                        p.soft {
                            (view.word_of(&format!("sink-{}", sink.name)).unwrap_or(sink.name)) (view.word("colon"))
                            @match sink.position { Some(position) => (view.language.fill("at-positions", &["1", &position.to_string()])), None => (view.word("never-begun")) }
                            @if let Some(holder) = &sink.holder { " · " code translate="no" { (holder) } }
                        }
                    }
                }
            }
            @if let (Some(active), Some(candidate)) = (active, candidate) { (gate(view, active, candidate)) }
        }
        h2 { (view.word("runs")) }
        @if detail.runs.is_empty() { p { (view.word("no-runs")) } } @else { (runs(view, &detail.runs)) }
        h2 { (view.word("what-to-run")) }
        (command(view, &format!("replay-tool plan {}", detail.name)))
        (command(view, &format!("replay-tool rebuild {} --reason \"…\"", detail.name)))
        (command(view, &format!("replay-tool verify {}", detail.name)))
        (command(view, &format!("replay-tool swap {} --reason \"…\"", detail.name)))
        (command(view, &format!("replay-tool rollback {} --reason \"…\"", detail.name)))
        @if detail.has_roles { p.soft { (view.word("guard")) } }
    }
}

/// The conditions of a swap.
fn gate(view: &View<'_>, active: &GenerationHealth, candidate: &GenerationHealth) -> Markup {
    let mark = |good: bool| if good { "✓ " } else { "☐ " };
    let verified = candidate.status.verified_by;
    let near = candidate.status.lag_events <= 100;
    let shape = candidate.status.shape == active.status.shape;
    html! {
        h2 { (view.word("gate")) (view.word("colon")) "v" (active.status.generation) " → v" (candidate.status.generation) }
        ul.plain {
            li { span aria-hidden="true" { (mark(near)) } (view.word("gate-lag")) " " (candidate.status.lag_events) }
            li {
                span aria-hidden="true" { (mark(verified.is_some())) }
                @match verified {
                    Some(run) => { (view.word("gate-verified")) " " a href=(view.to(&format!("/audit/runs/{run}"), &[])) { "#" (run) } },
                    None => (view.word("gate-not-verified")),
                }
            }
            li { span aria-hidden="true" { (mark(shape)) } (view.word(if shape { "gate-shape" } else { "gate-other-shape" })) }
        }
    }
}

pub(crate) fn runs(view: &View<'_>, runs: &[Run]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { (view.word("run")) } th scope="col" { (view.word("state")) } th scope="col" { (view.word("seen")) } th scope="col" { (view.word("by")) } th scope="col" { (view.word("begun")) } } }
            tbody {
                @for run in runs {
                    tr {
                        td { a href=(view.to(&format!("/audit/runs/{}", run.run), &[])) { "#" (run.run) } " " code translate="no" { (run.verb) " " (run.projection) } }
                        td data-name=(view.word("state")) { (run_state(view, run)) }
                        td data-name=(view.word("seen")) { (run.progress.position) " / " (run.progress.to_position) }
                        td data-name=(view.word("by")) { (naming::actor_in(view, Some(&run.actor), &Names::new())) " " code translate="no" { (run.host) "/" (run.pid) } }
                        td data-name=(view.word("begun")) { (view.micros(run.started_at * 1_000)) }
                    }
                }
            }
        }
    }
}

/// The state of a run.
pub(crate) fn run_state(view: &View<'_>, run: &Run) -> Markup {
    let name = if run.is_dead() { "silent" } else { run.state.as_ref() };
    html! { (view.word_of(&format!("run-{name}")).unwrap_or_else(|| view.word("unknown-actor"))) }
}
