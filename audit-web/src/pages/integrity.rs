//! Whether the log, and the record of operations, still match their seals.

use std::time::{Duration, Instant};

use axum::response::Response;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::json;
use soonshop_audit::record::write_down;
use soonshop_domain::clock;
use soonshop_event_log::seal::{Positions, RECORD_SEALS, Report, SEALS, Seals, Verdict, check};
use soonshop_event_log::{EventLog, LOG};
use soonshop_projections::operations::{self, Recorded};
use soonshop_projections::runner::ROWS;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Of as Whose;
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::params::{Kind, Param, refused};
use soonshop_service_kit::rates::Class;

use super::correlation::duration;
use super::frame::{View, described, page, refusal, refused_with, shown, with};
use super::parts::command;
use crate::find;
use crate::state::{Action, Call, Endpoint, Shared, failed};

/// How long a check from this page may take; a longer one is done at the command line.
const PATIENCE: Duration = Duration::from_secs(25);

/// The action of a check in the record of operations.
const CHECKED: &str = "check";

/// The number of recent checks in which the last one of each log is searched.
const CHECKS: u32 = 50;

/// A sealed log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Log,
    /// The record of operations.
    Record,
}

impl Of {
    const ALL: [Self; 2] = [Self::Log, Self::Record];
    const NAMES: [&str; 2] = ["log", "record"];

    /// Its name in forms and in the record of operations.
    fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Record => "record",
        }
    }

    /// The log, and its seals.
    fn opened(self, call: &Call) -> Result<(EventLog, Seals), Problem> {
        let shared = &call.shared;
        let (log, seals) = match self {
            Self::Log => (shared.reader.log.clone(), SEALS),
            Self::Record => (shared.status_reader.record(), RECORD_SEALS),
        };
        let seals = Seals::new(shared.reader.log.db().beside(seals).map_err(failed)?);
        Ok((log, seals))
    }
}

pub(crate) fn table() -> Vec<Endpoint> {
    let positions = Kind::Number(1, i64::MAX);
    let fields = vec![
        Param::new(
            "of",
            Kind::OneOf(&Of::NAMES),
            "`log`, or `record` for the record of operations; the log by default.",
        ),
        Param::new("from", positions, "The first position; 1 by default."),
        Param::new(
            "upto",
            positions,
            "The last position, which must be sealed; by default all positions are checked.",
        ),
    ];
    vec![
        page(
            "/audit/integrity",
            "audit.integrity-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = both(&call).await.map(|both| (both[0].head, (both, None)));
                shown(&call, "integrity", found, body)
            }),
        ),
        Endpoint::page(
            "/audit/integrity",
            "audit.check",
            Class::Searches,
            Action::new(with(Vec::new()), described(), |call| async move {
                let checked = verify(&call).await?;
                let both = both(&call).await?;
                let found = Ok::<_, Problem>((both[0].head, (both, Some(checked))));
                shown(&call, "integrity", found, body)
            })
            .takes(Whose::TheShop, fields),
            refused_check,
        ),
    ]
}

/// Renders the refusal of a check: what can be done about it depends on the check.
fn refused_check(shared: &Shared, visit: &Visit, problem: &Problem) -> Response {
    refused_with(shared, visit, problem, |view, problem| {
        let text = match problem.slug() {
            "timed-out" => view.word("check-too-long"),
            "invalid-query" => view.word("check-range"),
            _ => return refusal(view, problem),
        };
        html! {
            h1 { span aria-hidden="true" { "⚠ " } (view.word("refused")) }
            p { (text) }
            p.soft { code translate="no" { (problem.slug()) } }
            p { a href=(view.to("/audit/integrity", &[])) { (view.word("integrity")) } }
            @if problem.slug() == "timed-out" { (command(view, "soonshop seals check --pubkey …")) }
        }
    })
}

/// How far a log is sealed.
pub(crate) struct Sealed {
    of: Of,
    pub(crate) head: i64,
    /// Position, number, key fingerprint and time of the last seal.
    pub(crate) last: Option<(i64, i64, String, DateTime<Utc>)>,
    /// Why the last seal cannot be read.
    pub(crate) broken: Option<String>,
    /// The age of the first event that is not sealed.
    pub(crate) waiting: Option<Duration>,
    /// The last check that was made on this page.
    pub(crate) checked: Option<Recorded>,
}

impl Sealed {
    pub(crate) fn tail(&self) -> i64 {
        self.head - self.last.as_ref().map_or(0, |last| last.0)
    }

    /// The last check found a change, or the last seal cannot be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some() || self.checked.as_ref().is_some_and(|last| last.detail["verdict"] == "broken")
    }
}

/// How far the log and the record of operations are sealed now.
pub(crate) async fn both(call: &Call) -> Result<[Sealed; 2], Problem> {
    let [log, record] = Of::ALL;
    Ok([sealed(call, log).await?, sealed(call, record).await?])
}

async fn sealed(call: &Call, of: Of) -> Result<Sealed, Problem> {
    let (log, seals) = of.opened(call)?;
    let head = log.head().await.map_err(failed)?.position;
    let (mut last, mut broken) = (None, None);
    match seals.last().await.map_err(failed)? {
        Some(Ok(seal)) => {
            let at = clock::from_micros(seal.sealed_at);
            last = Some((seal.last, seal.number, seal.key.fingerprint(), at));
        }
        Some(Err(bad)) => broken = Some(bad.reason),
        None => {}
    }
    let sealed = last.as_ref().map_or(0, |last| last.0);
    let first = if sealed < head { log.read(sealed + 1, 1).await.map_err(failed)? } else { Vec::new() };
    let now = clock::now();
    let waiting = first.first().map(|event| (now - event.recorded_at).to_std().unwrap_or_default());
    let operations = call.shared.reader.registry.operations();
    let checks = operations::last_of(operations, CHECKED, CHECKS).await.map_err(failed)?;
    let checked = checks.into_iter().find(|check| check.subject == of.name());
    Ok(Sealed { of, head, last, broken, waiting, checked })
}

/// The result of a check.
pub(crate) struct Checked {
    report: Report,
    took: Duration,
    /// Events after the last seal that were read by a follower, and are missing now.
    gone: i64,
}

impl Checked {
    /// Events that no seal covers, whether they are present or missing.
    fn tail(&self) -> i64 {
        let there = self.report.tail.as_ref().map_or(0, |tail| tail.events);
        there.saturating_add(self.gone)
    }
}

/// The furthest position that any follower has read. It is read before the log, so that the log must hold it.
async fn seen(call: &Call) -> Result<i64, Problem> {
    let (head, health) = find::health(call).await?;
    let sinks = health.items.iter().flat_map(|one| &one.status.sinks);
    let rows = sinks.filter(|sink| sink.name == ROWS).filter_map(|sink| sink.position);
    Ok(rows.chain(health.relay.position).fold(head, i64::max))
}

async fn verify(call: &Call) -> Result<Checked, Problem> {
    let of = if call.form.text("of") == Some(Of::Record.name()) { Of::Record } else { Of::Log };
    let from = call.form.number("from").unwrap_or(1);
    let to = call.form.number("upto");
    if to.is_some_and(|to| to < from) {
        return Err(refused("upto", "it is before `from`"));
    }
    let busy = |_| {
        let detail = "another check is running, and only one runs at a time";
        Problem::too_many("too-many-checks", detail).with_retry_after(PATIENCE)
    };
    let _alone = call.shared.checking.try_lock().map_err(busy)?;
    let (begun, (log, seals)) = (Instant::now(), of.opened(call)?);
    let seen = match of {
        Of::Log => seen(call).await?,
        // Only the sealer follows the record of operations.
        Of::Record => log.head().await.map_err(failed)?.position,
    };
    let checking = check(&log, &seals, Positions { from, to }, None);
    let too_long = |_| {
        let detail = "this check takes too long for a page: check a part, or use the command line";
        Problem::unavailable("timed-out", detail, Duration::from_secs(1))
    };
    let report = tokio::time::timeout(PATIENCE, checking).await.map_err(too_long)?.map_err(failed)?;
    let mut checked = Checked { report, took: begun.elapsed(), gone: 0 };
    // Only when the whole tail was read is it known which of its events are missing.
    if to.is_none() && from <= checked.report.sealed_to.saturating_add(1) {
        checked.gone = (seen - checked.report.sealed_to - checked.tail()).max(0);
    }
    let report = &checked.report;
    let detail = json!({
        "verdict": report.verdict, "from": report.from, "to": report.to, "rows": report.rows,
        "tail": checked.tail(), "first_bad": report.first_bad().map(|finding| finding.position),
    });
    write_down(&call.shared.reader, &call.caller().actor, CHECKED, of.name().to_owned(), detail, None)
        .await?;
    Ok(checked)
}

fn body(view: &View<'_>, (both, checked): &([Sealed; 2], Option<Checked>)) -> Markup {
    html! {
        h1 { (view.word("integrity")) }
        @if let Some(checked) = checked { (verdict(view, checked)) }
        @for sealed in both { (section(view, sealed)) }
        h2 { (view.word("proves")) }
        p { (view.word("proves-what")) }
        p { (view.word("proves-not")) }
        (command(view, "soonshop seals check --pubkey …"))
        (command(view, "soonshop seals check --record --pubkey …"))
        (command(view, "soonshop seals export audit.seals && soonshop seals check --offline audit.seals --pubkey …"))
    }
}

/// How far one log is sealed, and a form to check it.
fn section(view: &View<'_>, sealed: &Sealed) -> Markup {
    let of = sealed.of.name();
    html! {
        h2 { (view.word_of(&format!("sealed-{of}")).unwrap_or(of)) }
        @match (&sealed.last, &sealed.broken) {
            (_, Some(reason)) => p.ill { span aria-hidden="true" { "⚠ " } (view.word("seal-broken")) " " span lang="en" { (reason) } },
            (None, None) => p.ill { span aria-hidden="true" { "☐ " } (view.word("seal-none")) },
            (Some((position, number, key, at)), None) => {
                p.facts {
                    span { (view.word("sealed-to")) " " strong { (position) } " / " (sealed.head) }
                    span { (view.word("seal")) " #" (number) }
                    span { (view.time(*at)) }
                    span { (view.word("key-is")) " " code translate="no" { (key) } }
                }
                @if sealed.tail() > 0 {
                    p.soft {
                        (view.language.fill("tail", &[&sealed.tail().to_string()]))
                        @if let Some(waiting) = sealed.waiting { " " (duration(i64::try_from(waiting.as_micros()).unwrap_or(i64::MAX))) }
                    }
                }
            }
        }
        form.line method="post" action="/audit/integrity" {
            input type="hidden" name="of" value=(of);
            label { (view.word("from-position")) " " input type="number" name="from" min="1" value="1"; }
            button { (view.word("verify")) }
        }
        @if let Some(last) = &sealed.checked {
            p.soft {
                (view.word("last-check")) " " (view.micros(last.at * 1_000)) " · " (last.actor) " · "
                (verdict_text(view, last.detail["verdict"].as_str().unwrap_or_default(), last.detail["tail"].as_i64().unwrap_or(0)))
                " " (last.detail["from"]) "…" (last.detail["to"])
            }
        }
    }
}

/// The text of a verdict. With a tail it cannot be proved that no events were cut off there, so it is not called intact.
fn verdict_text(view: &View<'_>, verdict: &str, tail: i64) -> &'static str {
    let name = if verdict == "intact" && tail > 0 { "tail" } else { verdict };
    view.word_of(&format!("verdict-{name}")).unwrap_or("–")
}

fn verdict(view: &View<'_>, checked: &Checked) -> Markup {
    let Checked { report, took, gone } = checked;
    let name = serde_json::to_value(report.verdict).ok().and_then(|name| name.as_str().map(str::to_owned));
    let word = verdict_text(view, &name.unwrap_or_default(), checked.tail());
    let (class, sign) = match (report.verdict, checked.tail(), gone) {
        (Verdict::Intact, 0, _) => ("well", "✓ "),
        (Verdict::Intact, _, 0) => ("open", "◐ "),
        _ => ("ill", "⚠ "),
    };
    html! {
        div.verdict role="status" {
            p class=(class) {
                @let of = if report.log == LOG { Of::Log } else { Of::Record };
                span aria-hidden="true" { (sign) }
                (view.word_of(&format!("sealed-{}", of.name())).unwrap_or("–")) ": " strong { (word) }
            }
            p.facts {
                span { (view.word("positions")) " " strong { (report.from) "…" (report.to) } }
                span { strong { (report.rows) } " " (view.counted("rows", report.rows)) }
                span { strong { (report.seals) } " " (view.counted("seals", report.seals)) }
                span { (view.word("took")) " " (duration(i64::try_from(took.as_micros()).unwrap_or(i64::MAX))) }
                @for key in &report.keys { span { (view.word("key-is")) " " code translate="no" { (key) } } }
            }
            @if !report.key_given { p.soft { (view.word("key-not-given")) } }
            @if let Some(tail) = &report.tail {
                p.soft { (view.language.fill("tail", &[&tail.events.to_string()])) " " (view.word("since")) " " (view.time(tail.since)) }
            }
            @if *gone > 0 { p.ill { (view.language.fill("tail-gone", &[&gone.to_string()])) } }
            @if let Some(first) = report.first_bad() {
                p {
                    (view.word("first-bad")) " "
                    @if report.log == LOG {
                        a href=(view.to(&format!("/audit/e/{}", first.position), &[])) { "#" (first.position) }
                    } @else { strong { "#" (first.position) } }
                }
                ul {
                    @for finding in &report.findings {
                        li { "#" (finding.position) " " (view.language.fault(&finding.fault)) }
                    }
                    @if report.findings_left > 0 { li { "+" (report.findings_left) } }
                }
            }
        }
    }
}
