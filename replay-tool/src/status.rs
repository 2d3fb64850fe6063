//! `list`, `status`, `runs`: how read models stand, and what was done to them.

use std::time::Duration;

use serde_json::{Value, json};
use soonshop_projections::runs::Run;
use soonshop_projections::standing::{Following, Standing, Whole};

use crate::{Ended, Failure, Outcome, Tool, exit};

fn place(standing: &Standing) -> &'static str {
    match (standing.active, standing.previous) {
        (true, _) => "active",
        (_, true) => "previous",
        _ => "",
    }
}

fn row(standing: &Standing, head: i64, wide: bool) -> String {
    let position = standing.position();
    let mut text = format!(
        "{:<12} v{:<4} {:<9} {:<9} {position:>12} of {head:<12} lag {:>8}  {:>8.1} s  parked {:<4}",
        standing.projection,
        standing.generation,
        standing.state.as_ref(),
        place(standing),
        standing.lag_events,
        standing.lag_seconds,
        standing.parked,
    );
    if wide {
        for sink in &standing.sinks {
            let at = sink.position.map_or_else(|| "-".to_owned(), |position| position.to_string());
            let holder = sink.holder.as_deref().unwrap_or("nobody");
            text.extend([format!("\n    {:<6} at {at:<12} kept by {holder}", sink.name)]);
            if let Some(reason) = &sink.stopped {
                text.extend([format!("\n           stopped: {reason}")]);
            }
            if let Some(reason) = &sink.unknown {
                text.extend([format!("\n           cannot be asked: {reason}")]);
            }
        }
    }
    if let Some(complaint) = standing.complaint() {
        text.extend([format!("\n    ! {complaint}")]);
    }
    text
}

fn following(name: &str, one: &Following, head: i64) -> String {
    let at = one.position.map_or_else(|| "-".to_owned(), |position| position.to_string());
    let mut text =
        format!("{name:<12} {at:>37} of {head:<12} lag {:>8}  {:>8.1} s", one.lag_events, one.lag_seconds);
    if let Some(complaint) = &one.complaint {
        text.extend([format!("\n    ! {complaint}")]);
    }
    text
}

/// What is not of one read model: the end of the log, the relay and the seals.
fn shop(whole: &Whole) -> String {
    let head = whole.append.position;
    let age = whole.append.age_seconds.map_or_else(String::new, |seconds| format!("  {seconds:.1} s old"));
    let one = |name, one: &Following| following(name, one, head);
    // The record is a log of its own, whose length is nobody's measure here.
    let record = whole.record_seals.position.unwrap_or(0) + whole.record_seals.lag_events;
    let parts = [
        one("relay", &whole.relay),
        one("seals", &whole.seals),
        following("record seals", &whole.record_seals, record),
    ];
    format!("{:<12} {head:>37}{age}\n{}", "log", parts.join("\n"))
}

/// Shows every generation, the relay and the seals; or the generations of one read model.
pub async fn status(tool: &Tool, projection: Option<&str>, wide: bool) -> Outcome {
    if let Some(name) = projection {
        tool.projector(name)?;
    }
    let whole = tool.looked().whole(&tool.projectors).await?;
    let head = whole.append.position;
    let shown: Vec<&Standing> = whole
        .generations
        .iter()
        .filter(|standing| projection.is_none_or(|name| name == standing.projection))
        .collect();
    for standing in &shown {
        let mut value = serde_json::to_value(standing).unwrap_or_default();
        value["head"] = head.into();
        value["complaint"] = standing.complaint().into();
        tool.out.result("status", &value, || row(standing, head, wide));
    }
    let runs = tool.runs.alive().await?;
    for run in runs.iter().filter(|run| projection.is_none_or(|name| name == run.projection)) {
        tool.out.result("status", &as_json(run), || line(run));
    }
    let healthy = match projection {
        Some(_) => shown.iter().all(|standing| standing.complaint().is_none()),
        None => whole.healthy(),
    };
    if projection.is_none() {
        let Whole { append, relay, seals, record_seals, .. } = &whole;
        let value = json!({
            "append": append, "relay": relay, "seals": seals, "record_seals": record_seals,
            "parked": whole.parked(),
        });
        tool.out.result("status", &value, || shop(&whole));
    }
    let summary =
        json!({ "head": head, "generations": shown.len(), "running": runs.len(), "healthy": healthy });
    Ok(Ended { code: if healthy { exit::DONE } else { exit::FOUND }, summary })
}

fn as_json(run: &Run) -> Value {
    serde_json::to_value(run).unwrap_or_default()
}

fn line(run: &Run) -> String {
    let state = if run.is_dead() { "died" } else { run.state.as_ref() };
    let generation = run.generation.map_or_else(String::new, |number| format!(" v{number}"));
    let result =
        run.result.as_ref().and_then(|result| result.get("result").or_else(|| result.get("message")));
    let result = result.and_then(Value::as_str).map_or_else(String::new, |text| format!("  {text}"));
    let at = chrono::DateTime::from_timestamp_millis(run.started_at).unwrap_or_default();
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let (position, to) = (run.progress.position, run.progress.to_position);
    format!(
        "#{:<4} {at}  {:<8} {}{generation}  {state}  {position}/{to}  by {} on {}/{}{result}",
        run.run, run.verb, run.projection, run.actor, run.host, run.pid
    )
}

/// What was done to read models, the newest first.
pub async fn runs(tool: &Tool, projection: Option<&str>, most: u32) -> Outcome {
    if let Some(name) = projection {
        tool.projector(name)?;
    }
    let runs = tool.runs.last(projection, most).await?;
    for run in &runs {
        tool.out.result("status", &as_json(run), || line(run));
    }
    Ok(Ended::done(json!({ "runs": runs.len() })))
}

/// Follows a run until it is over; ends as it did.
pub async fn watch(tool: &Tool, run: i64) -> Outcome {
    let mut before = None;
    loop {
        let now = tool.runs.get(run).await?;
        let now = now
            .ok_or_else(|| Failure::Usage(format!("there is no run {run}: `replay-tool runs` shows them")))?;
        if before.as_ref() != Some(&(now.progress, now.state)) {
            before = Some((now.progress, now.state));
            tool.out.result("status", &as_json(&now), || line(&now));
        }
        if now.is_dead() {
            let last = now.progress.position;
            return Err(Failure::Unavailable(format!(
                "run {run} gives no sign of life; it was at position {last}"
            )));
        }
        if now.state.is_over() {
            let code = now.result.as_ref().and_then(|result| result.get("code")).and_then(Value::as_u64);
            let code = code.and_then(|code| u8::try_from(code).ok());
            let done = if now.state.as_ref() == "found" { exit::FOUND } else { exit::DONE };
            return Ok(Ended { code: code.unwrap_or(done), summary: as_json(&now) });
        }
        tokio::select! {
            () = tool.stop.asked() => return Err(tool.stop.failure()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}
