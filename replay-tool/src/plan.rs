//! `plan`: what a rebuild would do, and about how long it would take. Writes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use serde_json::json;
use soonshop_domain::catalog;
use soonshop_event_log::database::sqlite_file;
use soonshop_event_log::{Content, DatabaseLocation};
use soonshop_projections::projector::{Unit, Wants};
use soonshop_projections::{Generation, Projector};
use tokio::time::Instant;

use crate::status::lines;
use crate::{Ended, Failure, Outcome, Sentence, Tool};

/// Positions that are read to measure the speed.
const SAMPLE: i64 = 20_000;

/// Events of one type and version.
#[derive(Debug, Clone)]
struct Kind {
    aggregate_type: String,
    event_type: String,
    event_version: String,
    count: i64,
    first: i64,
}

async fn kinds(tool: &Tool) -> Result<Vec<Kind>, Failure> {
    let db = tool.log.db();
    let sql = "SELECT aggregate_type, event_type, event_version, count(*), min(position) FROM @events \
               GROUP BY aggregate_type, event_type, event_version ORDER BY aggregate_type, event_type, event_version";
    let rows = db.connection.query_all(db.statement(sql, [])).await?;
    let mut kinds = Vec::with_capacity(rows.len());
    for row in rows {
        kinds.push(Kind {
            aggregate_type: row.try_get_by_index(0)?,
            event_type: row.try_get_by_index(1)?,
            event_version: row.try_get_by_index(2)?,
            count: row.try_get_by_index(3)?,
            first: row.try_get_by_index(4)?,
        });
    }
    Ok(kinds)
}

/// Whether the projector handles the first event of this kind.
async fn is_handled(tool: &Tool, projector: &Arc<dyn Projector>, kind: &Kind) -> Result<bool, Failure> {
    let rows = tool.log.read(kind.first, 1).await?;
    let Some(entry) = tool.log.decode(rows).await?.into_iter().next() else { return Ok(true) };
    let (Content::Event(event) | Content::Damaged(event, _)) = &entry.content else { return Ok(true) };
    let mut wants = Wants::default();
    projector.wants(event, &mut wants);
    let mut unit = Unit::default();
    // Earlier rows are missing here, so a failure means that the event would have changed one.
    let touched = projector.project(event, &mut unit).is_err() || unit.is_changed();
    Ok(touched || !wants.names().is_empty() || kind.aggregate_type == "person")
}

/// Events of followed types that the projector does not handle, and how many there are.
pub(crate) async fn unhandled(
    tool: &Tool,
    projector: &Arc<dyn Projector>,
) -> Result<Vec<(String, i64)>, Failure> {
    let mut unhandled = BTreeMap::new();
    for kind in kinds(tool).await? {
        if projector.follows().contains(&kind.aggregate_type.as_str())
            && !is_handled(tool, projector, &kind).await?
        {
            *unhandled.entry(kind.event_type).or_insert(0) += kind.count;
        }
    }
    Ok(unhandled.into_iter().collect())
}

/// The size of the generation in use, in bytes.
async fn size(tool: &Tool, generation: &Generation) -> Result<i64, Failure> {
    let db = tool.registry.operations();
    if db.backend() == DatabaseBackend::Postgres {
        let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
                   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'";
        let row = db.connection.query_one(db.statement(sql, [generation.namespace().into()])).await?;
        return Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0));
    }
    let DatabaseLocation::Sqlite(folder) = tool.registry.database().location() else { return Ok(0) };
    let file: PathBuf = sqlite_file(folder, &generation.namespace());
    Ok(std::fs::metadata(file).map_or(0, |data| i64::try_from(data.len()).unwrap_or(i64::MAX)))
}

/// Positions per second: of the last completed rebuild, or else of reading and folding a part of the log in memory,
/// about a third of which remains with writing.
async fn speed(tool: &Tool, projector: &Arc<dyn Projector>) -> Result<(i64, Sentence), Failure> {
    for run in tool.runs.last(Some(projector.name()), 50).await? {
        let result = run.result.as_ref().filter(|_| run.verb == "rebuild");
        let rate =
            result.and_then(|result| result.get("events_per_second")).and_then(serde_json::Value::as_i64);
        if let Some(rate) = rate.filter(|rate| *rate > 0) {
            return Ok((rate, Sentence::AsRunWas { run: run.run }));
        }
    }
    let began = Instant::now();
    let mut pages = tool.log.read_all(0, 2_000);
    let mut passed = 0;
    while passed < SAMPLE {
        let page = pages.next().await?;
        let Some(last) = page.last() else { break };
        passed = last.position;
        for entry in &page {
            if let Content::Event(event) = &entry.content
                && projector.follows().contains(&&*entry.aggregate_type)
            {
                // The rows of earlier events are missing, but only the time counts.
                drop(projector.project(event, &mut Unit::default()));
            }
        }
    }
    let millis = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX).max(1);
    Ok(((passed * 1_000 / millis / 3).max(1), Sentence::Sampled { passed }))
}

fn bytes(size: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let size = size as f64;
    match size {
        size if size >= 1e9 => format!("{:.1} GB", size / 1e9),
        size if size >= 1e6 => format!("{:.1} MB", size / 1e6),
        size => format!("{:.0} kB", size / 1e3),
    }
}

/// Prints what a rebuild would do.
pub async fn plan(tool: &Tool, projection: &str) -> Outcome {
    let projector = tool.projector(projection)?;
    let head = tool.log.head().await?.position;
    let active = tool.known(projection, None).await?;
    let all = tool.registry.all(Some(projection)).await?;
    let next = all.iter().map(|known| known.generation.number).max().unwrap_or(0) + 1;
    let resumes = all.iter().rev().find(|known| {
        known.state == soonshop_projections::generation::State::Building
            && !known.active
            && known.generation.version == projector.version()
    });
    let kinds = kinds(tool).await?;
    let (mut folded, mut types) = (0, std::collections::BTreeSet::new());
    let mut upcast: BTreeMap<String, i64> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| projector.follows().contains(&kind.aggregate_type.as_str())) {
        folded += kind.count;
        types.insert(kind.event_type.as_str());
        let now = catalog::version_of(&kind.aggregate_type, &kind.event_type, catalog::UPCASTERS);
        let stored = kind.event_version.parse().unwrap_or_default();
        if catalog::is_upcast(&kind.aggregate_type, &kind.event_type, stored, catalog::UPCASTERS) {
            let name = format!("{} {}->{now}", kind.event_type, kind.event_version);
            *upcast.entry(name).or_insert(0) += kind.count;
        }
    }
    let unhandled = unhandled(tool, &projector).await?;
    let (rate, how) = speed(tool, &projector).await?;
    let seconds = head / rate.max(1);
    let size = size(tool, &active.generation).await?;
    let role = role(tool).await?;
    let value = json!({
        "projection": projection, "from_generation": active.generation.number, "to_generation": next,
        "resumes": resumes.map(|known| known.generation.number), "fold": folded, "skip": head - folded,
        "types": types.len(), "head": head, "estimate_seconds": seconds, "estimate_rate": rate, "estimate_from": how.to_string(),
        "disk_bytes": size, "upcasters": upcast, "unhandled": unhandled, "side_effects": "none possible",
        "writes_as": role.to_string(),
    });
    let name = || projection.to_owned();
    let from = active.generation.number;
    let mut sentences = vec![match resumes {
        Some(known) => Sentence::PlanStarted { projection: name(), from, to: known.generation.number },
        None => Sentence::PlanNew { projection: name(), from, to: next },
    }];
    sentences.push(Sentence::PlanFold { folded, head, types: types.len(), skipped: head - folded });
    sentences.push(Sentence::PlanEstimate { seconds, rate, how: Box::new(how), size: bytes(size) });
    let each = |(name, count): (&String, &i64)| (name.clone(), *count);
    sentences.extend(upcast.iter().map(each).map(|(name, count)| Sentence::PlanUpcaster { name, count }));
    sentences.extend(unhandled.into_iter().map(|(name, count)| Sentence::PlanUnhandled { name, count }));
    sentences.push(Sentence::PlanEffects { role: Box::new(role) });
    sentences.push(Sentence::PlanRun { projection: name() });
    tool.out.result("plan", &value, |language| lines(&sentences, language));
    Ok(Ended::done(value))
}

/// The database role under which the log is read.
async fn role(tool: &Tool) -> Result<Sentence, Failure> {
    let db = tool.log.db();
    if db.backend() != DatabaseBackend::Postgres {
        return Ok(Sentence::NoCodeToWrite);
    }
    let sql = "SELECT current_user::text, has_table_privilege('log.events', 'INSERT')";
    let row = db.connection.query_one(db.statement(sql, [])).await?;
    let row = row.ok_or(Failure::Unexpected(Sentence::RoleUnknown))?;
    let (name, writes): (String, bool) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(if writes { Sentence::RoleCould { name } } else { Sentence::RoleCannot { name } })
}
