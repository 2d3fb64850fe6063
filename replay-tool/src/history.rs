//! `show`, `diff`, `step`: the state of an aggregate at any version, and a row of a read model after each event that
//! changed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait as _;
use serde_json::{Map, Value, json};
use soonshop_audit::amounts;
use soonshop_audit::trail::Stream;
use soonshop_domain::{Event, TYPES};
use soonshop_event_log::{Content, Database, DatabaseLocation, quoted};
use soonshop_migrations::Namespace;
use soonshop_projections::generation::Generation;
use soonshop_projections::projector::{PersonalColumns, Wants};
use soonshop_projections::runner::{Poison, ROWS};
use soonshop_projections::{Projector, Registry};
use uuid::Uuid;

use crate::folder::Folder;
use crate::{Ended, Failure, Language, Outcome, Sentence, Tool, naming};

/// Replaces a personal value that is not shown. Its length does not depend on the value.
pub const MASK: &str = "••••";

/// Selects a state of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Now,
    Version(i64),
    Position(i64),
    /// The version that was recorded at this time.
    Moment(DateTime<Utc>),
}

impl std::str::FromStr for Point {
    type Err = Sentence;

    fn from_str(text: &str) -> Result<Self, Sentence> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let point = match text.split_at_checked(1) {
            Some(("v", version)) => number(version.trim_start_matches(':')).map(Self::Version),
            Some(("p", position)) => number(position.trim_start_matches(':')).map(Self::Position),
            _ => DateTime::parse_from_rfc3339(text).ok().map(|moment| Self::Moment(moment.to_utc())),
        };
        point.ok_or_else(|| Sentence::BadPoint { text: text.to_owned() })
    }
}

pub(crate) async fn stream(tool: &Tool, kind: &str, id: &str) -> Result<Stream, Failure> {
    if !TYPES.contains(&kind) {
        return Err(Failure::Usage(Sentence::NoType { kind: kind.to_owned(), known: TYPES.join(", ") }));
    }
    let id = naming::id(tool, kind, id).await?;
    let found = Stream::read(&tool.log, kind, id).await?;
    found.ok_or_else(|| Failure::Usage(Sentence::NoAggregate { kind: kind.to_owned(), id: id.to_string() }))
}

/// The selected version; 0 is the state before the first event.
pub(crate) async fn version(tool: &Tool, stream: &Stream, point: Point) -> Result<i64, Failure> {
    let last = stream.last();
    let at = |position| {
        let found = stream.version_at(position);
        found.ok_or(Failure::Usage(Sentence::NotYetCreated))
    };
    match point {
        Point::Now => Ok(last),
        Point::Version(version) if version > last => {
            Err(Failure::Usage(Sentence::NoVersion { version, last }))
        }
        Point::Version(version) => Ok(version),
        Point::Position(position) => at(position),
        Point::Moment(moment) => at(tool.log.position_at(moment).await?),
    }
}

/// Prints the state of an aggregate with personal values masked: `state` of the audit trail.
pub async fn show(tool: &Tool, kind: &str, id: &str, point: Point) -> Outcome {
    let stream = stream(tool, kind, id).await?;
    let version = version(tool, &stream, point).await?;
    let event = stream.event(version);
    let event = event.ok_or(Failure::Usage(Sentence::VersionZero))?;
    let trail = stream.trail(version, version, None)?;
    let names = naming::names_of(tool, &trail).await?;
    let (kind, position) = (event.event.event_type(), event.position);
    let value = json!({
        "type": trail.kind, "name": names.get(&trail.id).map(|own| &own.name), "id": trail.id, "version": version,
        "position": position, "event_type": kind, "recorded_at": event.recorded_at, "occurred_at": event.occurred_at,
        "state": trail.state(), "names": names,
    });
    tool.out.result("status", &value, |language| {
        let heading = naming::heading(&trail, &names, (kind, position), language);
        format!("{heading}\n{}", serde_json::to_string_pretty(&value).unwrap_or_default())
    });
    Ok(Ended::done(json!({ "version": version, "position": event.position })))
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

/// The differences between two rows: pointer, before, after; none where there is no value.
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

/// A JSON Patch (RFC 6902) that turns one document into the other.
fn patch(before: &Value, after: &Value, path: &str, into: &mut Vec<Value>) {
    let below = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            let gone = old.keys().filter(|name| !new.contains_key(*name));
            into.extend(gone.map(|name| json!({ "op": "remove", "path": below(name) })));
            for (name, value) in new {
                match old.get(name) {
                    Some(old) => patch(old, value, &below(name), into),
                    None => into.push(json!({ "op": "add", "path": below(name), "value": value })),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                patch(old, new, &below(&index.to_string()), into);
            }
            // From the end, so that a removal does not shift the items that are removed later.
            let gone = (new.len()..old.len()).rev();
            into.extend(gone.map(|index| json!({ "op": "remove", "path": below(&index.to_string()) })));
            let more = new.iter().skip(old.len());
            into.extend(more.map(|value| json!({ "op": "add", "path": below("-"), "value": value })));
        }
        _ => into.push(json!({ "op": "replace", "path": path, "value": after })),
    }
}

/// A value of a state in a column of text.
fn shown_value(path: &str, value: Option<&Value>, language: Language) -> String {
    let named = |value: &Value| language.value_of(path, value.as_str()?);
    if let Some(name) = value.and_then(named).filter(|_| language != Language::English) {
        return name.to_owned();
    }
    match value.map(|value| (value, value["personal"].as_str())) {
        None => "–".to_owned(),
        Some((_, Some("erased"))) => Sentence::Erased.text(language),
        // The number only shows which masked texts are equal.
        Some((value, Some(_))) => format!("{MASK} {}", value["value"]),
        Some((value, None)) => amounts::shown_value(value).unwrap_or_else(|| value.to_string()),
    }
}

/// Prints what changed between two states of an aggregate: `diff` of the audit trail.
pub async fn diff(tool: &Tool, kind: &str, id: &str, from: Point, to: Point, as_patch: bool) -> Outcome {
    let stream = stream(tool, kind, id).await?;
    let (from, to) = (version(tool, &stream, from).await?, version(tool, &stream, to).await?);
    let trail = stream.trail(to, from, None)?;
    if as_patch {
        let (before, mut all) = (stream.trail(from, from, None)?, Vec::new());
        patch(before.state(), trail.state(), "", &mut all);
        let value = json!({ "patch": all });
        tool.out
            .result("diff", &value, |_| serde_json::to_string_pretty(&value["patch"]).unwrap_or_default());
    } else {
        for change in trail.changes() {
            let value = json!(change);
            tool.out.result("diff", &value, |language| {
                let path = value["path"].as_str().unwrap_or("");
                let side = |name: &str| shown_value(path, value.get(name), language);
                let (before, after) = (side("before"), side("after"));
                let field = match language {
                    Language::English => path.to_owned(),
                    Language::Chinese => language.field(path),
                };
                format!("{field:<40} {before:<30} {after}")
            });
        }
    }
    let changes = trail.changes().len();
    if changes == 0 {
        tool.out.say(&Sentence::VersionsEqual { from, to });
    }
    Ok(Ended::done(json!({ "from_version": from, "to_version": to, "changes": changes })))
}

/// A read model in temporary files, to see how a row changes without writing to a real one.
struct Scratch {
    _folder: Folder,
    registry: Registry,
    generation: Generation,
}

impl Scratch {
    async fn new(projector: &Arc<dyn Projector>) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let database = Database::new(DatabaseLocation::Sqlite(folder.path().to_owned()));
        let operations = database.namespace(Namespace::Operations.name())?;
        soonshop_migrations::migrate(Namespace::Operations, &operations.connection)
            .await
            .map_err(Failure::unexpected)?;
        let registry = Registry::new(&database)?;
        let generation = registry.create(&**projector).await?;
        Ok(Self { _folder: folder, registry, generation })
    }
}

/// The rows of a group in one generation, with personal columns masked: table, key, row.
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
            quoted(table.group()),
            crate::rows::names(&table.keys())
        );
        for row in db.connection.query_all(db.statement(&sql, [key.into()])).await? {
            let mut row = crate::rows::parsed(&row.try_get_by_index::<String>(0)?)?;
            mask_columns(&mut row, &name, projector.personal());
            found.push((name.clone(), Value::Object(row)));
        }
    }
    Ok(found)
}

/// Masks the personal columns of a row.
pub(crate) fn mask_columns(row: &mut Map<String, Value>, table: &str, personal: &[PersonalColumns]) {
    for columns in personal.iter().filter(|personal| personal.table == table) {
        for column in columns.columns {
            if let Some(value) = row.get_mut(*column).filter(|value| !value.is_null()) {
                *value = MASK.into();
            }
        }
    }
}

/// Prints a row of a read model after each event that changed it, as this release projects it, and compares it with
/// each existing generation.
pub async fn step(tool: &Tool, projection: &str, key: &str, until: Option<i64>) -> Outcome {
    let projector = tool.projector(projection)?;
    if key.is_empty() {
        return Err(Failure::Usage(Sentence::KeyNeeded));
    }
    let key = &naming::key(tool, projector.follows(), key).await?;
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
        let (key, projection) = (key.to_owned(), projection.to_owned());
        return Err(Failure::Usage(Sentence::NothingTouches { key, projection }));
    }
    for known in tool.registry.all(Some(projection)).await? {
        if !known.state.lives() || known.generation.shape != projector.shape() {
            continue;
        }
        let rows = rows_of(&tool.registry, &projector, &known.generation, key).await?;
        let name = known.generation.namespace();
        let value = json!({ "generation": known.generation.number, "rows": shown(&rows) });
        let equal = rows == before;
        let rows: Vec<String> = rows.iter().map(|(table, row)| format!("  {table} {row}")).collect();
        let rows = rows.join("\n");
        let sentence =
            if equal { Sentence::RowsEqual { name, rows } } else { Sentence::RowsDiffer { name, rows } };
        tool.out.result("status", &value, |language| sentence.text(language));
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
    // Some rows belong to a single event, so no event names them by key.
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
    tool.out.result("diff", &value, |_| {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies a patch, as its recipient would.
    fn applied(mut document: Value, patch: &[Value]) -> Value {
        for operation in patch {
            let path = operation["path"].as_str().unwrap();
            let Some((parent, last)) = path.rsplit_once('/') else {
                document = operation["value"].clone();
                continue;
            };
            let name = last.replace("~1", "/").replace("~0", "~");
            match (document.pointer_mut(parent).unwrap(), operation["op"].as_str().unwrap()) {
                (Value::Object(fields), "remove") => drop(fields.remove(&name).unwrap()),
                (Value::Object(fields), "add") => {
                    assert!(fields.insert(name, operation["value"].clone()).is_none());
                }
                (Value::Array(items), "remove") => drop(items.remove(name.parse().unwrap())),
                (Value::Array(items), "add") if name == "-" => items.push(operation["value"].clone()),
                (_, "replace") => *document.pointer_mut(path).unwrap() = operation["value"].clone(),
                other => panic!("{other:?}"),
            }
        }
        document
    }

    #[test]
    fn a_patch_turns_one_state_into_the_other_and_back() {
        let states = [
            Value::Null,
            json!({ "lines": [{ "sku": "A", "units": 1 }], "a/b": 1, "m~n": null }),
            json!({ "lines": [{ "sku": "A", "units": 2 }, { "sku": "B" }], "name": { "personal": "masked" } }),
            json!({ "lines": [], "a/b": { "c": [1, 2, 3] } }),
            json!({ "lines": [{}], "a/b": { "c": [3] } }),
        ];
        for before in &states {
            for after in &states {
                let mut operations = Vec::new();
                patch(before, after, "", &mut operations);
                assert_eq!(applied(before.clone(), &operations), *after, "{operations:?}");
                assert_eq!(operations.is_empty(), before == after);
            }
        }
    }

    #[test]
    fn a_point_is_parsed_as_version_position_or_moment() {
        assert_eq!("v13".parse(), Ok(Point::Version(13)));
        assert_eq!("v:0".parse(), Ok(Point::Version(0)));
        assert_eq!("p7".parse(), Ok(Point::Position(7)));
        for bad in ["", "13", "v", "v-1", "pp", "yesterday", "é1"] {
            assert!(bad.parse::<Point>().is_err(), "{bad}");
        }
    }
}
