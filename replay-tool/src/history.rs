//! `show`, `diff`, `step`: what an aggregate was at any version, and what a row of a read model was after each event
//! that touched it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait as _;
use serde_json::{Map, Value, json};
use soonshop_domain::{Event, TYPES, catalog};
use soonshop_event_log::{Content, Database, Place, codec};
use soonshop_migrations::Namespace;
use soonshop_projections::generation::Generation;
use soonshop_projections::projector::{PersonalColumns, Wants};
use soonshop_projections::runner::{Poison, ROWS};
use soonshop_projections::{Projector, Registry};
use uuid::Uuid;

use crate::{Ended, Failure, Outcome, Tool};

/// What stands for a personal value that is not shown. Its length says nothing of the value's.
pub const MASK: &str = "••••";

/// Which state of an aggregate is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Now,
    Version(i64),
    Position(i64),
    /// As it was known then.
    Moment(DateTime<Utc>),
}

impl std::str::FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number > 0);
        let point = match text.split_at_checked(1) {
            Some(("v", version)) => number(version.trim_start_matches(':')).map(Self::Version),
            Some(("p", position)) => number(position.trim_start_matches(':')).map(Self::Position),
            _ => DateTime::parse_from_rfc3339(text).ok().map(|moment| Self::Moment(moment.to_utc())),
        };
        point.ok_or_else(|| {
            format!("{text:?} is no point in time: v13 (a version), p1204881 (a position), or 2026-11-22T09:00:00Z")
        })
    }
}

/// A state, and what it was folded from.
struct Folded {
    state: Value,
    version: i64,
    position: i64,
    event_type: String,
}

/// Puts a mask in place of every sealed value.
fn mask(state: &mut Value) {
    match state {
        Value::String(text) if codec::kid_of(text).is_ok() => *state = MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => fields.values_mut().for_each(mask),
        _ => {}
    }
}

async fn fold(tool: &Tool, kind: &str, id: &str, point: Point) -> Result<Folded, Failure> {
    let Some((kind, _)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(Failure::Usage(format!("there is no type {kind:?}: {}", names.join(", "))));
    };
    let limit = match point {
        Point::Now => (i64::MAX, i64::MAX),
        Point::Version(version) => (version, i64::MAX),
        Point::Position(position) => (i64::MAX, position),
        Point::Moment(moment) => (i64::MAX, tool.log.position_at(moment).await?),
    };
    let (mut history, mut version): (Vec<Event>, i64) = (Vec::new(), 0);
    let mut last = None;
    'pages: loop {
        let rows = tool.log.stream(kind, id, version, 1_000).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if row.sequence > limit.0 || row.position > limit.1 {
                break 'pages;
            }
            let (position, name) = (row.position, row.event_type.clone());
            version = row.sequence;
            let event =
                tool.log.decode_row(row).ok_or_else(|| Failure::Unexpected(format!("{kind} is unknown")))?;
            let event = event.map_err(|reason| {
                Failure::Refused(format!("the event at position {position} is of a newer release: {reason}"))
            })?;
            history.push(event.event);
            last = Some((position, name));
        }
    }
    let Some((position, event_type)) = last else {
        return Err(Failure::Usage(format!("there is no {kind} {id}, or not yet at that point")));
    };
    if let Point::Version(wanted) = point
        && wanted > version
    {
        return Err(Failure::Usage(format!("{kind} {id} has no version {wanted}: its last is {version}")));
    }
    let mut state =
        catalog::fold_to_json(&history).map_err(|error| Failure::Unexpected(error.to_string()))?;
    mask(&mut state);
    Ok(Folded { state, version, position, event_type })
}

/// Shows the state of an aggregate, personal values masked.
pub async fn show(tool: &Tool, kind: &str, id: &str, point: Point) -> Outcome {
    let folded = fold(tool, kind, id, point).await?;
    let value = json!({
        "type": kind, "id": id, "version": folded.version, "position": folded.position,
        "event_type": folded.event_type, "state": folded.state,
    });
    tool.out.result("status", &value, || serde_json::to_string_pretty(&value).unwrap_or_default());
    Ok(Ended::done(json!({ "version": folded.version, "position": folded.position })))
}

/// Every value of a document, by JSON pointer.
fn leaves(value: &Value, at: String, into: &mut BTreeMap<String, Value>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(value, format!("{at}/{}", escaped(name)), into);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, format!("{at}/{index}"), into);
            }
        }
        _ => drop(into.insert(at, value.clone())),
    }
}

/// What differs between two documents: pointer, before, after; none where there is none.
pub(crate) fn differences(before: &Value, after: &Value) -> Vec<(String, Option<Value>, Option<Value>)> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    leaves(before, String::new(), &mut left);
    leaves(after, String::new(), &mut right);
    let mut all = Vec::new();
    for (at, value) in &left {
        if right.get(at) != Some(value) {
            all.push((at.clone(), Some(value.clone()), right.get(at).cloned()));
        }
    }
    all.extend(
        right
            .iter()
            .filter(|(at, _)| !left.contains_key(*at))
            .map(|(at, value)| (at.clone(), None, Some(value.clone()))),
    );
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The difference as RFC 6902, JSON Patch.
fn patch(differences: &[(String, Option<Value>, Option<Value>)]) -> Value {
    let operation = |(path, before, after): &(String, Option<Value>, Option<Value>)| match (before, after) {
        (_, None) => json!({ "op": "remove", "path": path }),
        (None, Some(value)) => json!({ "op": "add", "path": path, "value": value }),
        (Some(_), Some(value)) => json!({ "op": "replace", "path": path, "value": value }),
    };
    // Later elements of an array go first, so that what is removed moves nothing that is still meant.
    let (gone, rest): (Vec<_>, Vec<_>) = differences.iter().partition(|(_, _, after)| after.is_none());
    gone.into_iter().rev().chain(rest).map(operation).collect()
}

/// Shows what changed between two states of an aggregate.
pub async fn diff(tool: &Tool, kind: &str, id: &str, from: Point, to: Point, as_patch: bool) -> Outcome {
    let (before, after) = (fold(tool, kind, id, from).await?, fold(tool, kind, id, to).await?);
    let all = differences(&before.state, &after.state);
    if as_patch {
        let value = json!({ "patch": patch(&all) });
        tool.out.result("diff", &value, || serde_json::to_string_pretty(&value["patch"]).unwrap_or_default());
    } else {
        for (path, old, new) in &all {
            let value = json!({ "path": path, "before": old, "after": new });
            let text =
                |value: &Option<Value>| value.as_ref().map_or_else(|| "–".to_owned(), Value::to_string);
            tool.out.result("diff", &value, || format!("{path:<40} {:<30} {}", text(old), text(new)));
        }
    }
    if all.is_empty() {
        tool.out.say(&format!("version {} and version {} are equal", before.version, after.version));
    }
    Ok(Ended::done(
        json!({ "from_version": before.version, "to_version": after.version, "changes": all.len() }),
    ))
}

/// A read model of one process, in files that go with it: what a row becomes, without writing anywhere else.
struct Scratch {
    _folder: Folder,
    registry: Registry,
    generation: Generation,
}

/// A folder that only its owner may enter, removed when dropped: rows hold what is personal.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("replay-tool-{}", soonshop_domain::ids::new().simple()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failure::Unexpected(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a folder was not removed");
        }
    }
}

impl Scratch {
    async fn new(projector: &Arc<dyn Projector>) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let database = Database::new(Place::Sqlite(folder.0.clone()));
        let operations = database.namespace(Namespace::Operations.name())?;
        soonshop_migrations::migrate(Namespace::Operations, &operations.connection)
            .await
            .map_err(|error| Failure::Unexpected(error.to_string()))?;
        let registry = Registry::new(&database)?;
        let generation = registry.create(&**projector).await?;
        Ok(Self { _folder: folder, registry, generation })
    }
}

/// The rows of a group in one generation, personal columns masked: table, key, row.
async fn rows_of(
    registry: &Registry,
    projector: &Arc<dyn Projector>,
    generation: &Generation,
    key: &str,
) -> Result<Vec<(String, Value)>, Failure> {
    let db = generation.db(registry.database())?;
    let mut found = Vec::new();
    for table in projector.tables() {
        let name = table.name();
        let columns = crate::rows::columns(&db, &name).await?;
        let select = crate::rows::as_json(&db, &columns);
        let sql = format!(
            "SELECT {select} FROM @{name} t WHERE {} = $1 ORDER BY {}",
            table.group(),
            table.keys().join(", ")
        );
        for row in db.connection.query_all(db.statement(&sql, [key.into()])).await? {
            let mut row = crate::rows::parsed(&row.try_get_by_index::<String>(0)?)?;
            mask_columns(&mut row, &name, projector.personal());
            found.push((name.clone(), Value::Object(row)));
        }
    }
    Ok(found)
}

/// Masks what is personal in a row.
pub(crate) fn mask_columns(row: &mut Map<String, Value>, table: &str, personal: &[PersonalColumns]) {
    for columns in personal.iter().filter(|personal| personal.table == table) {
        for column in columns.columns {
            if let Some(value) = row.get_mut(*column).filter(|value| !value.is_null()) {
                *value = MASK.into();
            }
        }
    }
}

/// Shows a row of a read model after each event that touched it, as this release projects it; and as each living
/// generation has it.
pub async fn step(tool: &Tool, projection: &str, key: &str, until: Option<i64>) -> Outcome {
    let projector = tool.projector(projection)?;
    if key.is_empty() {
        return Err(Failure::Usage("--key names the row: an order's id, a SKU's stock".to_owned()));
    }
    let scratch = Scratch::new(&projector).await?;
    let follower = soonshop_projections::runner::Follower {
        registry: scratch.registry.clone(),
        ..tool.follower(&projector, &scratch.generation)
    };
    let lease = follower.leases().take(&follower.name(ROWS)).await?;
    let mut fold = follower.fold(&lease, Poison::Park).await?;
    let mut pages = tool.log.read_all(0, 5_000);
    let mut before: Vec<(String, Value)> = Vec::new();
    let mut steps = 0;
    let ends = until.unwrap_or(i64::MAX);
    loop {
        let mut page = pages.next().await?;
        page.retain(|entry| entry.position <= ends);
        if page.is_empty() {
            break;
        }
        for piece in page.chunk_by(|a, _| !touches(&projector, a, key)) {
            fold.take(piece).await?;
            let Some(last) = piece.last().filter(|last| touches(&projector, last, key)) else { continue };
            let rows = rows_of(&scratch.registry, &projector, &scratch.generation, key).await?;
            steps += 1;
            show_step(tool, last, &before, &rows);
            before = rows;
        }
        if tool.stop.is_asked() {
            return Err(tool.stop.failure());
        }
    }
    if steps == 0 {
        return Err(Failure::Usage(format!("no event touches a row {key:?} of {projection}")));
    }
    for known in tool.registry.all(Some(projection)).await? {
        if !known.state.lives() || known.generation.shape != projector.shape() {
            continue;
        }
        let rows = rows_of(&tool.registry, &projector, &known.generation, key).await?;
        let name = known.generation.namespace();
        let value = json!({ "generation": known.generation.number, "rows": shown(&rows) });
        tool.out.result("status", &value, || {
            let equal = if rows == before { "as above" } else { "otherwise" };
            let rows: Vec<String> = rows.iter().map(|(table, row)| format!("  {table} {row}")).collect();
            format!("{name} has it {equal}\n{}", rows.join("\n"))
        });
    }
    Ok(Ended::done(json!({ "steps": steps })))
}

fn shown(rows: &[(String, Value)]) -> Value {
    rows.iter().map(|(table, row)| json!({ "table": table, "row": row })).collect()
}

fn touches(projector: &Arc<dyn Projector>, entry: &soonshop_event_log::Entry, key: &str) -> bool {
    let (Content::Event(event) | Content::Damaged(event, _)) = &entry.content else { return false };
    if !projector.follows().contains(&&*entry.aggregate_type) {
        return false;
    }
    let mut wants = Wants::default();
    projector.wants(event, &mut wants);
    // Some rows are of their event alone, and nobody has to name them.
    let own = key == event.event_id.to_string();
    let person =
        matches!(event.event, Event::Person(_)) && key.parse::<Uuid>().is_ok_and(|key| key == event.stream);
    own || person
        || wants.names().iter().any(|name| name.split_once('/').is_some_and(|(_, group)| group == key))
}

fn show_step(
    tool: &Tool,
    entry: &soonshop_event_log::Entry,
    before: &[(String, Value)],
    after: &[(String, Value)],
) {
    let (Content::Event(event) | Content::Damaged(event, _)) = &entry.content else { return };
    let all = differences(&shown(before), &shown(after));
    let value = json!({
        "position": entry.position, "event_id": entry.event_id, "event_type": event.event.event_type(),
        "stream": format!("{}-{}", entry.aggregate_type, event.stream), "version": event.version,
        "recorded_at": event.recorded_at, "rows": shown(after),
        "changes": all.iter().map(|(path, old, new)| json!({"path": path, "before": old, "after": new})).collect::<Vec<_>>(),
    });
    tool.out.result("diff", &value, || {
        let mut text = format!(
            "{}  {} v{}  {}-{}",
            entry.position,
            event.event.event_type(),
            event.version,
            entry.aggregate_type,
            event.stream
        );
        let one = |value: &Option<Value>| value.as_ref().map_or_else(|| "–".to_owned(), Value::to_string);
        for (path, old, new) in &all {
            text.extend([format!("\n    {path:<40} {:<30} {}", one(old), one(new))]);
        }
        text
    });
}
