//! `parked`: events that could not be projected. They are listed by cause, and retried or discarded, which is recorded.

use sea_orm::{ConnectionTrait as _, TransactionTrait as _, Value as Bound};
use serde_json::json;
use soonshop_event_log::Db;
use soonshop_projections::Generation;
use soonshop_projections::operations;
use soonshop_projections::parked::{self, Parked};

use crate::record::write_down;
use crate::{Ended, Failure, Outcome, Sentence, Tool};

/// Selects parked events.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// One read model; none: all.
    pub projection: Option<String>,
    pub generation: Option<i32>,
    /// One event.
    pub position: Option<i64>,
    /// The events of one stream.
    pub stream: Option<String>,
    /// The events whose cause contains this text.
    pub cause: Option<String>,
}

pub(crate) async fn count(db: &Db) -> Result<i64, Failure> {
    let row = db.connection.query_one(db.statement("SELECT count(*) FROM @parked", [])).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
}

/// All selected events, in log order.
pub async fn find(tool: &Tool, which: &Which) -> Result<Vec<Parked>, Failure> {
    if let Some(name) = &which.projection {
        tool.projector(name)?;
    }
    let all = parked::find(&tool.registry, &tool.log, which.projection.as_deref()).await?;
    let meant = |one: &Parked| {
        which.generation.is_none_or(|number| number == one.of.number)
            && which.position.is_none_or(|position| position == one.position)
            && which.stream.as_ref().is_none_or(|stream| one.stream.ends_with(stream.as_str()))
            && which.cause.as_ref().is_none_or(|cause| one.cause.contains(cause.as_str()))
    };
    Ok(all.into_iter().filter(meant).collect())
}

/// Lists them by cause.
pub async fn list(tool: &Tool, which: &Which) -> Outcome {
    let all = find(tool, which).await?;
    let mut causes: Vec<(&str, usize)> = Vec::new();
    for one in &all {
        match causes.iter_mut().find(|(cause, _)| *cause == one.cause) {
            Some((_, count)) => *count += 1,
            None => causes.push((&one.cause, 1)),
        }
    }
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (cause, count) in &causes {
        if !tool.out.is_json() {
            let sentence = Sentence::Cause { count: *count, cause: (*cause).to_owned() };
            tool.out.result("", &json!({}), |language| sentence.text(language));
        }
        for one in all.iter().filter(|one| one.cause == *cause) {
            let value = serde_json::to_value(one).unwrap_or_default();
            let Parked { generation, position, event_type: event, stream, attempts, .. } = one.clone();
            let sentence = Sentence::ParkedRow { generation, position, event, stream, attempts };
            tool.out.result("verbose", &value, |language| sentence.text(language));
        }
    }
    if all.is_empty() {
        tool.out.say(&Sentence::NothingParked);
    }
    Ok(Ended::done(json!({ "parked": all.len(), "causes": causes.len() })))
}

/// Requests a retry from the worker that keeps the generation, in order.
pub async fn retry(tool: &Tool, which: &Which, dry_run: bool, reason: Option<&str>) -> Outcome {
    let all = find(tool, which).await?;
    if !dry_run {
        for (generation, positions) in by_generation(&all) {
            parked::retry(&tool.registry, &generation, &positions).await?;
            let detail = json!({ "positions": positions });
            write_down(tool, &tool.done("retry", &generation, detail, reason).await?).await?;
        }
    }
    let count = all.len();
    let summary = json!({ "retried": count, "dry_run": dry_run });
    tool.out.say(&if dry_run { Sentence::WouldRetry { count } } else { Sentence::ToBeRetried { count } });
    Ok(Ended::done(summary))
}

/// Discards them: their rows stay as they are, and later events for these rows are retried.
pub async fn discard(tool: &Tool, which: &Which, dry_run: bool, reason: &str) -> Outcome {
    let all = find(tool, which).await?;
    if !dry_run {
        for (generation, positions) in by_generation(&all) {
            let done =
                tool.done("discard", &generation, json!({ "positions": positions }), Some(reason)).await?;
            let db = generation.db(tool.registry.database())?;
            for position in &positions {
                let sql = "DELETE FROM @parked WHERE position = $1";
                db.connection.execute(db.statement(sql, [Bound::from(*position)])).await?;
            }
            // Events that were parked behind them need not wait any more.
            let sql = "INSERT INTO @retries (position) SELECT position FROM @parked WHERE true ON CONFLICT DO NOTHING";
            db.connection.execute(db.statement(sql, [])).await?;
            let operations = tool.registry.operations();
            let tx = operations.connection.begin().await?;
            operations::record(operations, &tx, &done).await?;
            tx.commit().await?;
        }
    }
    let count = all.len();
    tool.out.say(&if dry_run { Sentence::WouldDiscard { count } } else { Sentence::Discarded { count } });
    Ok(Ended::done(json!({ "discarded": count, "dry_run": dry_run })))
}

fn by_generation(all: &[Parked]) -> Vec<(Generation, Vec<i64>)> {
    let mut grouped: Vec<(Generation, Vec<i64>)> = Vec::new();
    for one in all {
        match grouped.iter_mut().find(|(generation, _)| *generation == one.of) {
            Some((_, positions)) => positions.push(one.position),
            None => grouped.push((one.of.clone(), vec![one.position])),
        }
    }
    grouped
}
