//! The health of the shop: what is wrong, since when, and what to do.

use maud::{Markup, html};
use soonshop_audit::operations::{OperationEntry, latest};
use soonshop_audit::status::Health;
use soonshop_projections::integrity::{FOUND, SealedLog};
use soonshop_projections::runs::{Run, Runs};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::health::Outcome;
use soonshop_service_kit::rates::Class;

use super::correlation::duration;
use super::frame::{View, described, page, shown, with};
use super::integrity::{self, LastProof, Sealed, last_proved};
use super::operations::rows as operation_rows;
use super::parts::{bars, behind, command, failed_check, what_to_do};
use super::processes;
use super::projections::{complaint, rows, runs, trouble};
use crate::find;
use crate::state::{Action, Call, Endpoint, failed};

/// The minutes for which the number of appended events is shown.
const MINUTES: i64 = 30;

/// Entries of the record of operations that are shown.
const LINES: usize = 12;

pub(crate) fn table() -> Vec<Endpoint> {
    vec![page(
        "/audit",
        "audit.overview-page",
        Class::Reads,
        Action::new(with(Vec::new()), described(), |call| async move {
            let found = overview(&call).await;
            shown(&call, "overview", found, body)
        }),
    )]
}

struct Overview {
    head: i64,
    checks: Vec<Outcome>,
    health: Health,
    sealed: [Sealed; 2],
    /// What was proved last of the log.
    proved: Option<LastProof>,
    /// Events recorded in each of the last minutes, oldest first.
    minutes: Vec<i64>,
    alive: Vec<Run>,
    record: Vec<OperationEntry>,
}

async fn overview(call: &Call) -> Result<(i64, Overview), Problem> {
    let operations = call.shared.reader.registry.operations();
    let (head, find::ShopHealth { checks, followers: health }) = find::shop_health(call, true).await?;
    let log = health.integrity.iter().find(|one| one.of == SealedLog::Log);
    let proved = match log {
        Some(log) => integrity::last_proof(call, &log.known).await?,
        None => None,
    };
    let overview = Overview {
        head,
        proved,
        checks,
        health,
        sealed: integrity::both(call).await?,
        minutes: minutes(call).await?,
        alive: Runs::new(operations.clone()).alive().await.map_err(failed)?,
        record: latest(&call.shared.reader, &call.caller().actor, LINES).await?,
    };
    Ok((head, overview))
}

/// Counts events per minute from the last position before each minute: positions have no gaps, so this needs one
/// look-up per minute, however many events there are.
async fn minutes(call: &Call) -> Result<Vec<i64>, Problem> {
    let minute = 60_000_000;
    let end = soonshop_domain::clock::now().timestamp_micros() / minute + 1;
    let sql = format!(
        "WITH RECURSIVE minutes (minute) AS (SELECT CAST({} AS BIGINT) UNION ALL SELECT minute + 1 FROM minutes \
             WHERE minute < {end}) \
         SELECT coalesce((SELECT position FROM @audit WHERE recorded_at < minute * {minute} \
             ORDER BY recorded_at DESC, position DESC LIMIT 1), 0) AS last FROM minutes ORDER BY minute",
        end - MINUTES
    );
    let rows = call.shared.reader.source().await?.plain(&sql, Vec::new()).await?;
    let last: Vec<i64> =
        rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(query_failed)?;
    Ok(last.windows(2).map(|pair| pair[1] - pair[0]).collect())
}

fn body(view: &View<'_>, all: &Overview) -> Markup {
    let parked = all.health.parked;
    let active = || all.health.items.iter().filter(|one| one.status.active);
    let worst = active().map(|one| one.status.lag_seconds).fold(0.0, f64::max);
    html! {
        h1 { (view.word("overview")) }
        div data-poll {
            (verdict(view, all))
            div.cards {
                (card(view, "appended", "/audit/timeline", &html! {
                    p.figure { (all.head) } p.soft { (view.counted("events", all.head)) }
                    @let recent: i64 = all.minutes.iter().sum();
                    (bars(&all.minutes, &view.language.fill("appended-lately", &[&recent.to_string(), &MINUTES.to_string()])))
                    p.soft { (view.language.fill("appended-lately", &[&recent.to_string(), &MINUTES.to_string()])) }
                }))
                (card(view, "relay", "/audit/projections", &html! {
                    p.figure { (all.health.relay.lag_events) } p.soft { (view.counted("relay-waits", all.health.relay.lag_events)) }
                    p { (format!("{:.1}", all.health.relay.lag_seconds)) " " (view.word("unit-s")) }
                }))
                (card(view, "projections", "/audit/projections", &html! {
                    p.figure { (active().count()) } p.soft { (view.word("in-use")) }
                    p { (view.word("worst-lag")) " " strong { (format!("{worst:.1}")) " " (view.word("unit-s")) } }
                    @if !all.alive.is_empty() { p { (view.language.fill("runs-alive", &[&all.alive.len().to_string()])) } }
                }))
                (card(view, "processes", "/audit/processes", &html! {
                    @let waiting: i64 = all.health.processes.iter().map(|one| one.waiting).sum();
                    p class=(if waiting > 0 { "figure ill" } else { "figure" }) { (waiting) } p.soft { (view.counted("commands-wait", waiting)) }
                    @for one in &all.health.processes {
                        p { span translate="no" { (one.name) } " · " (view.word("lag")) " " (behind(view, one.progress.lag_events, one.progress.lag_seconds)) " · " (processes::state(view, one)) }
                    }
                }))
                (card(view, "parked", "/audit/parked", &html! {
                    p class=(if parked > 0 { "figure ill" } else { "figure" }) { (parked) }
                    p.soft { (view.word(if parked > 0 { "parked-look" } else { "parked-none" })) }
                }))
                (card(view, "integrity", "/audit/integrity", &html! {
                    @match &all.sealed[0].last {
                        Some((position, ..)) => {
                            p.figure { (position) } p.soft { (view.word("sealed-to")) }
                            p { (view.language.fill("tail", &[&all.sealed[0].tail().to_string()]))
                                @if let Some(waiting) = all.sealed[0].waiting { " " (duration(view.language, i64::try_from(waiting.as_micros()).unwrap_or(i64::MAX))) } }
                        },
                        None if all.sealed[0].broken.is_some() => p.ill { (view.word("seal-broken")) },
                        None => p { (view.word("seal-none")) },
                    }
                    (last_proved(view, all.proved.as_ref()))
                }))
            }
            h2 { (view.word("projections")) }
            (rows(view, all.head, &all.health.items))
            @if !all.alive.is_empty() {
                h2 { (view.word("runs")) }
                (runs(view, &all.alive))
            }
            h2 { (view.word("record")) }
            (operation_rows(view, &all.record))
            p { a href=(view.to("/audit/operations", &[])) { (view.word("record-all")) } }
        }
    }
}

/// Whether all is well; if not, what is wrong, since when, and what to do.
fn verdict(view: &View<'_>, all: &Overview) -> Markup {
    let ill = all.health.items.iter().filter(|one| one.complaint.is_some()).collect::<Vec<_>>();
    html! {
        @if all.health.healthy {
            p.banner.well { span aria-hidden="true" { "✓ " } strong { (view.word("all-well")) } }
        } @else {
            div.banner.ill role="alert" {
                p { span aria-hidden="true" { "⚠ " } strong { (view.word("unhealthy")) } }
                ul {
                    // Tampering is shown with a link below.
                    @for one in all.checks.iter().filter(|one| !one.ok && one.reason.as_deref() != Some(FOUND)) {
                        li { (failed_check(view, one)) }
                    }
                    @for one in &ill {
                        li {
                            a href=(view.to(&format!("/audit/projections/{}", one.status.projection), &[])) { span translate="no" { (one.status.projection) } " v" (one.status.generation) }
                            " · " (view.word("lag")) " " (behind(view, one.status.lag_events, one.status.lag_seconds))
                            @if let Some(since) = one.unhealthy_since { " · " (view.word("since")) " " (view.time(since)) }
                            " · " (complaint(view, one))
                            (what_to_do(view, one.remedy))
                        }
                    }
                    @for one in all.health.integrity.iter().filter(|one| !one.well) {
                        li {
                            a href=(view.to("/audit/integrity", &[])) { (view.word("integrity")) } " · "
                            (view.word_of(&format!("sealed-{}", one.of.name())).unwrap_or(one.of.name())) " · " (view.word("verdict-broken"))
                            (what_to_do(view, Some("integrity")))
                        }
                    }
                    @for one in all.health.processes.iter().filter(|one| one.progress.complaint.is_some()) {
                        li {
                            a href=(view.to("/audit/processes", &[("process", &one.name)])) { (view.word("process")) " " span translate="no" { (one.name) } }
                            " · " (view.word("lag")) " " (behind(view, one.progress.lag_events, one.progress.lag_seconds)) " · " (processes::state(view, one))
                            @if let Some(since) = one.progress.unhealthy_since { " · " (view.word("since")) " " (view.time(since)) }
                            (what_to_do(view, one.progress.remedy))
                        }
                    }
                    @for (name, one) in [("relay", &all.health.relay), ("seals-of", &all.health.seals), ("seals-of-record", &all.health.record_seals)] {
                        @if let Some(found) = &one.trouble {
                            li { (view.word_of(name).unwrap_or(name)) " · " (view.word("lag")) " " (behind(view, one.lag_events, one.lag_seconds))
                                @if let Some(since) = one.unhealthy_since { " · " (view.word("since")) " " (view.time(since)) }
                                " · " (trouble(view, Some(found))) (what_to_do(view, one.remedy))
                            }
                        }
                    }
                }
                (command(view, "soonshop doctor"))
            }
        }
    }
}

fn card(view: &View<'_>, word: &'static str, to: &str, inside: &Markup) -> Markup {
    html! {
        section.card {
            h2 { a href=(view.to(to, &[])) { (view.word(word)) } }
            (inside)
        }
    }
}
