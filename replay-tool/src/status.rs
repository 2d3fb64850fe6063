//! `list`, `status`, `runs`: the state of read models, and the operations on them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use soonshop_projections::runs::Run;
use soonshop_projections::status::{FollowerStatus, GenerationStatus, ShopStatus};
use soonshop_projections::verdict::Trouble;

use crate::sentences::{Remedy, Rounded, Word};
use crate::{Ended, Failure, Language, Outcome, Sentence, Tool, exit};

/// How long the status of the shop may be looked up.
const LIMIT: Duration = Duration::from_secs(8);

fn place(status: &GenerationStatus) -> &'static str {
    match (status.active, status.previous) {
        (true, _) => "active",
        (_, true) => "previous",
        _ => "",
    }
}

fn row(status: &GenerationStatus, head: i64, wide: bool) -> Vec<Sentence> {
    let mut lines = vec![Sentence::StatusRow {
        projection: status.projection.clone(),
        generation: status.generation,
        state: Word::of(status.state),
        place: Word::of(place(status)),
        position: status.position(),
        head,
        lag: status.lag_events,
        seconds: status.lag_seconds,
        parked: status.parked,
    }];
    if wide {
        for sink in &status.sinks {
            let holder = Word::of(sink.holder.as_deref().unwrap_or("nobody"));
            lines.push(Sentence::SinkRow { sink: Word::of(sink.name), at: at(sink.position), holder });
            let reason = |reason: &String| reason.clone();
            lines.extend(sink.stopped.as_ref().map(reason).map(|reason| Sentence::SinkStopped { reason }));
            lines.extend(sink.unknown.as_ref().map(reason).map(|reason| Sentence::SinkUnknown { reason }));
        }
    }
    if let Some(found) = &status.complaint {
        lines.extend(trouble_lines(&found.trouble, Some(found.since), Some(found.remedy)));
    }
    lines
}

/// A trouble, in a sentence.
pub(crate) fn what_is_wrong(trouble: &Trouble) -> Sentence {
    match trouble {
        Trouble::Stopped { sink, reason } => {
            Sentence::Stopped { sink: Word::of(sink), reason: reason.clone() }
        }
        Trouble::Parked { count } => Sentence::EventsParked { count: *count },
        Trouble::Unkept => Sentence::NoWorker,
        Trouble::Late { seconds } => Sentence::Late { seconds: Rounded(*seconds) },
        Trouble::Stalled { position } => Sentence::Stalled { position: *position },
        Trouble::Other { detail } => Sentence::OtherComplaint { detail: detail.clone() },
    }
}

/// A trouble, since when, and the remedy.
fn trouble_lines(
    trouble: &Trouble,
    since: Option<DateTime<Utc>>,
    remedy: Option<&'static str>,
) -> Vec<Sentence> {
    let mut lines = vec![complaint(what_is_wrong(trouble))];
    lines.extend(
        since.map(|at| Sentence::UnhealthySince { at: at.to_rfc3339_opts(SecondsFormat::Secs, true) }),
    );
    lines.extend(remedy.map(|code| Sentence::WhatToDo { remedy: Remedy(code) }));
    lines
}

fn at(position: Option<i64>) -> String {
    position.map_or_else(|| "-".to_owned(), |position| position.to_string())
}

fn complaint(complaint: Sentence) -> Sentence {
    Sentence::Complaint { complaint: Box::new(complaint) }
}

fn following(name: &str, one: &FollowerStatus, head: i64) -> Vec<Sentence> {
    let mut lines = vec![Sentence::FollowingRow {
        name: Word::of(name),
        at: at(one.position),
        head,
        lag: one.lag_events,
        seconds: one.lag_seconds,
    }];
    if let Some(trouble) = &one.trouble {
        lines.extend(trouble_lines(trouble, one.unhealthy_since, one.remedy));
    }
    lines
}

/// The parts that belong to no read model: the head of the log, the relay, the process managers and the seals.
fn shop(shop_status: &ShopStatus) -> Vec<Sentence> {
    let (name, head) = (Word::of("log"), shop_status.append.position);
    let mut lines = vec![match shop_status.append.age_seconds {
        Some(seconds) => Sentence::LogRowAged { name, head, seconds },
        None => Sentence::LogRow { name, head },
    }];
    lines.extend(following("relay", &shop_status.relay, head));
    for one in &shop_status.processes {
        lines.extend(following(&one.follower(), &one.progress, head));
    }
    lines.extend(following("seals", &shop_status.seals, head));
    // The record of operations is a log of its own, so its length is not compared with the shop's log.
    let record = shop_status.record_seals.position.unwrap_or(0) + shop_status.record_seals.lag_events;
    lines.extend(following("record seals", &shop_status.record_seals, record));
    if let Some(ranges) = shop_status.integrity.red_ranges() {
        lines.push(complaint(Sentence::TamperingFound { ranges }));
        lines.push(Sentence::WhatToDo { remedy: Remedy("integrity") });
    }
    lines
}

/// One line per sentence.
pub(crate) fn lines(all: &[Sentence], language: Language) -> String {
    all.iter().map(|line| line.text(language)).collect::<Vec<_>>().join("\n")
}

/// Prints the state of every generation, the relay, the process managers and the seals; or of one read model.
pub async fn status(tool: &Tool, projection: Option<&str>, wide: bool) -> Outcome {
    if let Some(name) = projection {
        tool.projector(name)?;
    }
    let reader = tool.status_reader();
    let read = tokio::time::timeout(LIMIT, reader.read(&tool.projectors)).await;
    // A table may be kept locked.
    let late =
        || soonshop_event_log::Error::Unavailable(format!("no answer within {} seconds", LIMIT.as_secs()));
    let shop_status = read.unwrap_or_else(|_| Err(late()))?;
    let head = shop_status.append.position;
    let shown: Vec<&GenerationStatus> = shop_status
        .generations
        .iter()
        .filter(|status| projection.is_none_or(|name| name == status.projection))
        .collect();
    for status in &shown {
        let mut value = serde_json::to_value(status).unwrap_or_default();
        value["head"] = head.into();
        let found = status.complaint.as_ref();
        value["complaint"] = found.map(|one| one.trouble.to_string()).into();
        value["unhealthy_since"] = serde_json::to_value(found.map(|one| one.since)).unwrap_or_default();
        value["remedy"] = found.map(|one| one.remedy).into();
        tool.out.result("status", &value, |language| lines(&row(status, head, wide), language));
    }
    let runs = tool.runs.alive().await?;
    for run in runs.iter().filter(|run| projection.is_none_or(|name| name == run.projection)) {
        tool.out.result("status", &as_json(run), |language| line(run).text(language));
    }
    let healthy = match projection {
        Some(_) => shown.iter().all(|status| status.complaint.is_none()),
        None => shop_status.healthy(),
    };
    if projection.is_none() {
        let ShopStatus { append, relay, processes, seals, record_seals, integrity, .. } = &shop_status;
        let value = json!({
            "append": append, "relay": relay, "processes": processes, "seals": seals, "record_seals": record_seals,
            "parked": shop_status.parked(), "integrity": integrity,
        });
        tool.out.result("status", &value, |language| lines(&shop(&shop_status), language));
    }
    let summary =
        json!({ "head": head, "generations": shown.len(), "running": runs.len(), "healthy": healthy });
    Ok(Ended { code: if healthy { exit::DONE } else { exit::FOUND }, summary })
}

fn as_json(run: &Run) -> Value {
    serde_json::to_value(run).unwrap_or_default()
}

fn line(run: &Run) -> Sentence {
    let state = Word::of(if run.is_dead() { "died" } else { run.state.as_ref() });
    let of = match run.generation {
        Some(number) => format!("{} v{number}", run.projection),
        None => run.projection.clone(),
    };
    let field = |name: &str| run.result.as_ref().and_then(|result| result.get(name)).and_then(Value::as_str);
    let at = DateTime::from_timestamp_millis(run.started_at).unwrap_or_default();
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let Run { run: number, verb, actor, .. } = run;
    let (run_number, verb, actor) = (*number, verb.clone(), actor.clone());
    let (position, to) = (run.progress.position, run.progress.to_position);
    let process = format!("{}/{}", run.host, run.pid);
    match (field("result"), field("message")) {
        (Some(result), _) => Sentence::RunRowEnded {
            run: run_number,
            at,
            verb,
            of,
            state,
            position,
            to,
            actor,
            process,
            result: Word::of(result),
        },
        (None, Some(message)) => Sentence::RunRowFailed {
            run: run_number,
            at,
            verb,
            of,
            state,
            position,
            to,
            actor,
            process,
            message: message.to_owned(),
        },
        (None, None) => {
            Sentence::RunRow { run: run_number, at, verb, of, state, position, to, actor, process }
        }
    }
}

/// The operations on read models, newest first.
pub async fn runs(tool: &Tool, projection: Option<&str>, most: u32) -> Outcome {
    if let Some(name) = projection {
        tool.projector(name)?;
    }
    let runs = tool.runs.last(projection, most).await?;
    for run in &runs {
        tool.out.result("status", &as_json(run), |language| line(run).text(language));
    }
    Ok(Ended::done(json!({ "runs": runs.len() })))
}

/// Follows a run until it ends; returns its result.
pub async fn watch(tool: &Tool, run: i64) -> Outcome {
    let mut before = None;
    loop {
        let now = tool.runs.get(run).await?;
        let now = now.ok_or(Failure::Usage(Sentence::NoRun { run }))?;
        if before.as_ref() != Some(&(now.progress, now.state)) {
            before = Some((now.progress, now.state));
            tool.out.result("status", &as_json(&now), |language| line(&now).text(language));
        }
        if now.is_dead() {
            let position = now.progress.position;
            return Err(Failure::Unavailable(Sentence::RunNotResponding { run, position }));
        }
        if now.state.is_over() {
            let code = now.result.as_ref().and_then(|result| result.get("code")).and_then(Value::as_u64);
            let code = code.and_then(|code| u8::try_from(code).ok());
            let done = if now.state.as_ref() == "found" { exit::FOUND } else { exit::DONE };
            return Ok(Ended { code: code.unwrap_or(done), summary: as_json(&now) });
        }
        tokio::select! {
            () = tool.stop.requested() => return Err(tool.stop.failure()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}
