//! `deploy`: rebuild, verify, swap, watch; and an automatic rollback when an alarm is raised.

use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::sentences::Word;
use crate::{Ended, Failure, Outcome, Sentence, Tool, exit, rebuild, swap, verify};

/// The condition that triggers a rollback: `lag>1000 || errors>0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm(Vec<(Figure, i64)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    /// The lag of the slowest sink, in events.
    Lag,
    /// Sinks that stopped.
    Errors,
    /// Parked events.
    Parked,
}

impl FromStr for Alarm {
    type Err = Sentence;

    fn from_str(text: &str) -> Result<Self, Sentence> {
        let one = |part: &str| {
            let bad = || Sentence::BadAlarm { text: part.to_owned() };
            let (figure, most) = part.split_once('>').ok_or_else(bad)?;
            let figure = match figure.trim() {
                "lag" => Figure::Lag,
                "errors" => Figure::Errors,
                "parked" => Figure::Parked,
                _ => return Err(bad()),
            };
            Ok((figure, most.trim().parse().map_err(|_| bad())?))
        };
        text.split("||").map(one).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    pub rebuild: rebuild::Options,
    /// How long the new generation is watched.
    pub bake: Duration,
    pub alarm: Alarm,
}

/// Runs all steps. It ends at a verification with differences, or at an alarm.
pub async fn deploy(tool: &Tool, options: &Options) -> Outcome {
    let name = &options.rebuild.projection;
    let reason = options.rebuild.reason.clone();
    let built = rebuild::rebuild(tool, &options.rebuild).await?;
    if built.code != exit::DONE {
        return Ok(built);
    }
    let generation = built.summary["generation"].as_i64().and_then(|number| i32::try_from(number).ok());
    let check = verify::Options { generation, reason: reason.clone(), ..verify::Options::new(name) };
    let verified = verify::verify(tool, &check).await?;
    if verified.code != exit::DONE {
        return Ok(verified);
    }
    let step = swap::Swap { generation, reason: reason.clone(), max_lag: 10_000, ..swap::Swap::new(name) };
    swap::swap(tool, &step).await?;
    let until = Instant::now() + options.bake;
    tool.out.say(&Sentence::Watching { seconds: options.bake.as_secs() });
    loop {
        if let Some((figure, what)) = alarm(tool, name, generation, &options.alarm).await? {
            tool.out.warn(Sentence::RollingBack { why: Box::new(what.clone()) });
            let back = swap::Rollback { alarm: Some(figure), ..swap::Rollback::new(name) };
            swap::rollback(tool, &back).await?;
            let summary = json!({ "projection": name, "result": "rolled_back", "because": what.to_string() });
            return Ok(Ended { code: exit::FOUND, summary });
        }
        if Instant::now() >= until {
            let summary = json!({ "projection": name, "result": "deployed", "generation": generation });
            return Ok(Ended::done(summary));
        }
        tokio::select! {
            () = tool.stop.requested() => return Err(tool.stop.failure()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

async fn alarm(
    tool: &Tool,
    projection: &str,
    generation: Option<i32>,
    alarm: &Alarm,
) -> Result<Option<(&'static str, Sentence)>, Failure> {
    let projector = tool.projector(projection)?;
    let known = tool.known(projection, None).await?;
    if Some(known.generation.number) != generation {
        let number = known.generation.number;
        return Err(Failure::Refused(Sentence::SwappedByOther { number }));
    }
    let head = tool.log.head().await?.position;
    let status = tool.status_reader().generation(&known, projector.searchable(), head).await?;
    let stopped = status.sinks.iter().filter(|sink| sink.stopped.is_some()).count();
    for (figure, most) in &alarm.0 {
        let (name, value) = match figure {
            Figure::Lag => ("lag", status.lag_events),
            Figure::Errors => ("errors", i64::try_from(stopped).unwrap_or(i64::MAX)),
            Figure::Parked => ("parked", status.parked),
        };
        if value > *most {
            return Ok(Some((name, Sentence::Alarm { figure: Word::of(name), value, most: *most })));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarm_conditions_are_parsed() {
        let alarm: Alarm = "lag>1000 || errors>0".parse().unwrap();
        assert_eq!(alarm, Alarm(vec![(Figure::Lag, 1_000), (Figure::Errors, 0)]));
        for bad in ["", "lag", "lag>x", "age>1", "lag>1 && errors>0"] {
            assert!(bad.parse::<Alarm>().is_err(), "{bad}");
        }
    }
}
