//! Whether the log, and the record of operations, still match their seals.

use std::time::{Duration, Instant};

use axum::response::Response;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use soonshop_audit::integrity::{Cause, SealedLogs, causes, find as known};
use soonshop_audit::name::Names;
use soonshop_audit::names;
use soonshop_domain::clock;
use soonshop_event_log::seal::{Positions, RECORD_SEALS, Report, SEALS, Seals, Verdict};
use soonshop_event_log::{EventLog, LOG};
use soonshop_projections::integrity::{self, CHECK, Checked, Integrity, Range, SealedLog, State};
use soonshop_projections::integrity_check;
use soonshop_projections::operations::{self, Recorded};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{self, Permission};
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::params::{Kind, Param, refused};
use soonshop_service_kit::rates::Class;

use super::correlation::duration;
use super::frame::{View, described, page, positions, refusal, refused_with, see_other, shown, with};
use super::parts::command;
use super::reasons::{REVEAL, reason};
use crate::state::{Action, Call, Endpoint, Shared, failed};
use crate::{fields, find, naming};

/// How long a check from this page may take; a longer one is done at the command line.
const PATIENCE: Duration = Duration::from_secs(25);

/// The number of recent checks in which the last one of each log is searched.
const CHECKS: u32 = 50;

/// The most ranges of one log that are listed.
const LISTED: usize = 100;

/// The log, and its seals.
fn opened(of: SealedLog, call: &Call) -> Result<(EventLog, Seals), Problem> {
    let shared = &call.shared;
    let (log, seals) = match of {
        SealedLog::Log => (shared.reader.log.clone(), SEALS),
        SealedLog::Record => (shared.status_reader.record(), RECORD_SEALS),
    };
    let seals = Seals::new(shared.reader.log.db().beside(seals).map_err(failed)?);
    Ok((log, seals))
}

/// The data of the page.
struct Page {
    sealed: [Sealed; 2],
    known: SealedLogs,
    causes: Vec<Cause>,
    /// The names of who checked and acknowledged.
    names: Names,
    /// The check that was made just now.
    made: Option<FinishedCheck>,
    /// The visitor may acknowledge what was found.
    may_acknowledge: bool,
}

impl Page {
    /// Something is proved, and nothing was found that a person has to judge.
    fn claims(&self) -> bool {
        let has = |state: State| {
            self.known.items.iter().flat_map(|one| &one.known.ranges).any(|one| one.state == state)
        };
        self.known.well && has(State::Proved) && !has(State::Acknowledged)
    }
}

async fn found(call: &Call, made: Option<FinishedCheck>) -> Result<(i64, Page), Problem> {
    let sealed = both(call).await?;
    let known = known(&call.shared.reader).await?;
    let causes = causes(&call.shared.reader, &known, &call.caller().actor).await?;
    let last = sealed.iter().filter_map(|one| one.checked.as_ref()).map(|last| last.actor.as_str());
    let by = causes.iter().map(|cause| cause.by.as_str()).chain(last);
    let names = names::in_texts(&call.shared.reader, by).await?;
    let may_acknowledge = call.may(Permission::Acknowledge);
    Ok((sealed[0].head, Page { sealed, known, causes, names, made, may_acknowledge }))
}

pub(crate) fn table() -> Vec<Endpoint> {
    let positions = Kind::Number(1, i64::MAX);
    let form = vec![
        Param::new(
            "of",
            Kind::OneOf(&SealedLog::NAMES),
            "`log`, or `record` for the record of operations; the log by default.",
        ),
        Param::new("from", positions, "The first position; 1 by default.").or_empty(),
        Param::new(
            "upto",
            positions,
            "The last position, which must be sealed; by default all positions are checked.",
        )
        .or_empty(),
    ];
    vec![
        page(
            "/audit/integrity",
            "audit.integrity-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = found(&call, None).await;
                shown(&call, "integrity", found, body)
            }),
        ),
        Endpoint::page(
            "/audit/integrity",
            "audit.check",
            Class::Searches,
            Action::new(with(Vec::new()), described(), |call| async move {
                let made = verify(&call).await?;
                call.shared.alarm.look(&call.shared.status_reader).await;
                let found = found(&call, Some(made)).await;
                shown(&call, "integrity", found, body)
            })
            .takes(access::Owner::TheShop, form),
            refused_check,
        ),
        page(
            "/audit/integrity/acknowledgements",
            "audit.acknowledge-page",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                find::acknowledge(&call).await?;
                Ok(see_other(&View::of(&call).to("/audit/integrity", &[])))
            })
            .takes(access::Owner::TheShop, fields::acknowledgement())
            .needs(Permission::Acknowledge),
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
    of: SealedLog,
    pub(crate) head: i64,
    /// Position, number, key fingerprint and time of the last seal.
    pub(crate) last: Option<(i64, i64, String, DateTime<Utc>)>,
    /// Why the last seal cannot be read.
    pub(crate) broken: Option<String>,
    /// The age of the first event that is not sealed.
    pub(crate) waiting: Option<Duration>,
    /// The last check that was made, wherever it was made.
    checked: Option<Recorded>,
}

impl Sealed {
    pub(crate) fn tail(&self) -> i64 {
        self.head - self.last.as_ref().map_or(0, |last| last.0)
    }
}

/// How far the log and the record of operations are sealed now.
pub(crate) async fn both(call: &Call) -> Result<[Sealed; 2], Problem> {
    let [log, record] = SealedLog::ALL;
    Ok([sealed(call, log).await?, sealed(call, record).await?])
}

async fn sealed(call: &Call, of: SealedLog) -> Result<Sealed, Problem> {
    let (log, seals) = opened(of, call)?;
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
    let checks = operations::last_of(operations, CHECK, CHECKS).await.map_err(failed)?;
    let checked = checks.into_iter().find(|check| check.subject == of.name());
    Ok(Sealed { of, head, last, broken, waiting, checked })
}

/// The range of a log that was proved last.
pub(crate) struct LastProof {
    /// The positions, as far as nothing else is known of them since then.
    ranges: Vec<Range>,
    /// When they were checked.
    at: DateTime<Utc>,
    /// The check in the record of operations.
    entry: i64,
}

/// What was proved last of a log; `None`: nothing is proved.
pub(crate) async fn last_proof(call: &Call, known: &Integrity) -> Result<Option<LastProof>, Problem> {
    let proved = || known.ranges.iter().filter(|range| range.state == State::Proved);
    let Some(entry) = proved().map(|range| range.entry).max() else { return Ok(None) };
    let operations = call.shared.reader.registry.operations();
    let check = operations::at(operations, &[entry]).await.map_err(failed)?.into_iter().next();
    Ok(check.map(|check| LastProof {
        ranges: proved().filter(|range| range.entry == entry).copied().collect(),
        at: clock::from_micros(check.at.saturating_mul(1_000)),
        entry,
    }))
}

/// The range that was proved last, and when.
pub(crate) fn last_proved(view: &View<'_>, proof: Option<&LastProof>) -> Markup {
    html! {
        p {
            @if let Some(LastProof { ranges, at, entry }) = proof {
                a href=(view.to(&format!("/audit/operations/{entry}"), &[])) { (view.word("last-proved")) } (view.word("colon"))
                @for (number, range) in ranges.iter().enumerate() {
                    @if number > 0 { (view.word("list-comma")) }
                    (positions(view, &range.to_string()))
                }
                " · " (view.time(*at))
            } @else {
                (view.word("proved-nothing"))
            }
        }
    }
}

/// A check that was made on this page.
struct FinishedCheck {
    report: Report,
    took: Duration,
}

async fn verify(call: &Call) -> Result<FinishedCheck, Problem> {
    let of = SealedLog::named(call.form.text("of"));
    let from = call.form.number("from").unwrap_or(1);
    let to = call.form.number("upto");
    if to.is_some_and(|to| to < from) {
        return Err(refused("upto", "it is before `from`").with("fault", "backwards"));
    }
    let busy = |_| {
        let detail = "another check is running, and only one runs at a time";
        Problem::too_many("too-many-checks", detail).with_retry_after(PATIENCE)
    };
    let _alone = call.shared.checking.try_lock().map_err(busy)?;
    let (begun, positions) = (Instant::now(), Positions { from, to });
    let checking = integrity_check::check(&call.shared.status_reader, of, positions, None);
    let too_long = |_| {
        let detail = "this check takes too long for a page: check a part, or use the command line";
        Problem::unavailable("timed-out", detail, Duration::from_secs(1))
    };
    let checked = tokio::time::timeout(PATIENCE, checking).await.map_err(too_long)?.map_err(failed)?;
    let (actor, proof) =
        (call.caller().actor.to_string(), call.shared.status_reader.record_proof().map_err(failed)?);
    integrity::record_check(&proof, &actor, of, positions, &checked).await.map_err(failed)?;
    let Checked { report, .. } = checked;
    Ok(FinishedCheck { report, took: begun.elapsed() })
}

fn body(view: &View<'_>, page: &Page) -> Markup {
    html! {
        h1 { (view.word("integrity")) }
        @if let Some(made) = &page.made { (verdict(view, made)) }
        @for sealed in &page.sealed { (section(view, sealed, page)) }
        @if page.claims() {
            h2 { (view.word("proves")) }
            p { (view.word("proves-what")) }
            p { (view.word("proves-not")) }
        } @else if !page.known.well {
            h2 { (view.word("alarm-what")) }
            p { (view.word("alarm-ends")) }
        }
        (command(view, "soonshop seals check --pubkey …"))
        (command(view, "soonshop seals check --record --pubkey …"))
        (command(view, "soonshop seals export audit.seals && soonshop seals check --offline audit.seals --pubkey …"))
    }
}

/// How far one log is sealed, what is known of it, and a form to check it.
fn section(view: &View<'_>, sealed: &Sealed, page: &Page) -> Markup {
    let of = sealed.of.name();
    let known = page.known.items.iter().find(|one| one.of == sealed.of);
    let ranges = known.map_or(&[][..], |one| &one.known.ranges);
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
                        @if let Some(waiting) = sealed.waiting { " " (duration(view.language, i64::try_from(waiting.as_micros()).unwrap_or(i64::MAX))) }
                    }
                }
            }
        }
        h3 { (view.word("known-ranges")) }
        @if ranges.is_empty() { p.soft { (view.word("known-none")) } }
        ul.plain.ranges {
            // Ranges that need attention come first.
            @for range in ranges.iter().filter(|range| range.state != State::Proved).chain(ranges.iter().filter(|range| range.state == State::Proved)).take(LISTED) {
                (range_known(view, sealed.of, range, page))
            }
            @if ranges.len() > LISTED { li { "+" (ranges.len() - LISTED) } }
        }
        form.line method="post" action="/audit/integrity" {
            input type="hidden" name="of" value=(of);
            label { (view.word("from-position")) " " input type="number" name="from" min="1" value="1"; }
            label { (view.word("to-position")) " " input type="number" name="upto" min="1"; }
            button { (view.word("verify")) }
        }
        @if let Some(last) = &sealed.checked {
            p.soft {
                (view.word("last-check")) " " (view.micros(last.at * 1_000)) " · " (naming::actor_in(view, Some(&last.actor), &page.names)) " · "
                (verdict_text(view, last.detail["verdict"].as_str().unwrap_or_default(), last.detail["tail"].as_i64().unwrap_or(0)))
                @if last.detail["verdict"] == "intact" { " " (last.detail["from"]) "…" (last.detail["to"]) }
            }
        }
    }
}

/// The state of a range, who checked or acknowledged it, and the form to acknowledge it.
fn range_known(view: &View<'_>, of: SealedLog, range: &Range, page: &Page) -> Markup {
    let (class, sign, word) = match range.state {
        State::Proved => ("well", "✓ ", "range-proved"),
        State::Broken => ("ill", "⚠ ", "range-broken"),
        State::OtherKey => ("ill", "⚠ ", "range-other-key"),
        State::AfterBrokenSeal => ("ill", "⚠ ", "range-after-broken-seal"),
        State::Acknowledged => ("open", "◐ ", "range-acknowledged"),
    };
    let cause = page.causes.iter().find(|cause| cause.entry == range.entry);
    html! {
        li {
            span class=(class) { span aria-hidden="true" { (sign) } (view.word_of(word).unwrap_or(word)) } " "
            strong translate="no" { (range) }
            @if let Some(cause) = cause {
                @let entry = view.to(&format!("/audit/operations/{}", cause.entry), &[]);
                " · " a href=(entry) { (view.word("record-operation")) " #" (cause.entry) }
                " · " (view.time(cause.at)) " · " (naming::actor_in(view, Some(&cause.by), &page.names))
                @if cause.reason.is_some() { " · " (reason(view, cause.reason.as_ref(), Some(&format!("{entry}#{REVEAL}")))) }
            }
            @if range.state.is_red() && page.may_acknowledge {
                form.line method="post" action=(view.to("/audit/integrity/acknowledgements", &[])) {
                    input type="hidden" name="of" value=(of.name());
                    input type="hidden" name="from" value=(range.from);
                    input type="hidden" name="upto" value=(range.to);
                    label { (view.word("reason")) " " input name="reason" minlength="3" maxlength="500" required autocomplete="off"; }
                    button { (view.word("acknowledge")) " " span translate="no" { (range) } }
                }
            }
        }
    }
}

/// The text of a verdict. With a tail it cannot be proved that no events were cut off there, so it is not called intact.
fn verdict_text(view: &View<'_>, verdict: &str, tail: i64) -> &'static str {
    let name = if verdict == "intact" && tail > 0 { "tail" } else { verdict };
    view.word_of(&format!("verdict-{name}")).unwrap_or("–")
}

fn verdict(view: &View<'_>, FinishedCheck { report, took }: &FinishedCheck) -> Markup {
    let name = serde_json::to_value(report.verdict).ok().and_then(|name| name.as_str().map(str::to_owned));
    let tail = report.tail.as_ref().map_or(0, |tail| tail.events);
    let word = verdict_text(view, &name.unwrap_or_default(), tail);
    let (class, sign) = match (report.verdict, tail) {
        (Verdict::Intact, 0) => ("well", "✓ "),
        (Verdict::Intact, _) => ("open", "◐ "),
        (Verdict::Nothing, _) => ("open", "☐ "),
        _ => ("ill", "⚠ "),
    };
    let broken = report.verdict == Verdict::Broken;
    html! {
        div.verdict role="status" {
            p class=(class) {
                @let of = if report.log == LOG { SealedLog::Log } else { SealedLog::Record };
                span aria-hidden="true" { (sign) }
                (view.word_of(&format!("sealed-{}", of.name())).unwrap_or("–")) (view.word("colon")) strong { (word) }
            }
            @if report.verdict != Verdict::Nothing {
                p.facts {
                    @if !broken { span { (view.word("positions")) " " strong { (report.from) "…" (report.to) } } }
                    span { strong { (report.rows) } " " (view.counted("rows", report.rows)) }
                    span { strong { (report.seals) } " " (view.counted("seals", report.seals)) }
                    span { (view.word("took")) " " (duration(view.language, i64::try_from(took.as_micros()).unwrap_or(i64::MAX))) }
                    @if !broken { @for key in &report.keys { span { (view.word("key-is")) " " code translate="no" { (key) } } } }
                }
                @if !broken && !report.key_given { p.soft { (view.word("key-not-given")) } }
                @if let Some(tail) = report.tail.as_ref().filter(|_| !broken) {
                    p.soft { (view.language.fill("tail", &[&tail.events.to_string()])) " " (view.word("since")) " " (view.time(tail.since)) }
                }
            }
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
