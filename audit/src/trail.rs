//! What became of one aggregate: its events, its state at any version, what changed between two, and which event each
//! field is owed to. Folded from the log by the code that commands are decided on, and shown through the redactor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use soonshop_domain::Metadata;
use soonshop_event_log::seal::Seals;
use soonshop_event_log::{EventLog, RecordedEvent};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::notes::{self, Note};
use super::pending::{self, Pending};
use super::redactor::{Redacted, Redactor, Sight};
use crate::http::Action;
use crate::http::as_of;
use crate::http::call::Call;
use crate::http::fold::{self, History, Opened, PAGE};
use crate::http::openapi::Described;
use crate::http::params::{Kind, Param, Params, refused};
use crate::http::read::{LONGEST_QUERY, failed};

/// Events that are listed at once.
pub(super) const LISTED: i64 = 200;

/// The longest history whose fields are traced to their events: each version is looked at whole.
const MOST_TRACED: usize = 1_000;

/// One event of the aggregate.
#[derive(Serialize, ToSchema)]
pub(super) struct Step {
    pub(super) position: i64,
    pub(super) id: Uuid,
    pub(super) version: i64,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    pub(super) kind: String,
    /// The version that its shape was stored in.
    pub(super) event_version: u32,
    pub(super) recorded_at: DateTime<Utc>,
    /// Business time.
    pub(super) occurred_at: DateTime<Utc>,
    /// As `kind:id`.
    #[schema(example = "staff:42")]
    pub(super) actor: Option<String>,
    pub(super) on_behalf_of: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) command_type: Option<String>,
    pub(super) command_id: Option<Uuid>,
    pub(super) correlation_id: Option<Uuid>,
    pub(super) causation_id: Option<Uuid>,
    pub(super) reason_code: Option<String>,
    /// A note was left with the command, which is not shown.
    pub(super) has_note: bool,
    /// What people noted on the event afterwards, as far as it is for whoever asks.
    pub(super) notes: Vec<Note>,
}

impl Trail {
    /// Its state, as it may be shown.
    pub fn state(&self) -> &Value {
        self.state.value()
    }

    pub fn changes(&self) -> &[Change] {
        &self.diff.changes
    }
}

impl Step {
    fn of(event: &RecordedEvent) -> Result<Self, Problem> {
        let metadata: Metadata = event.metadata().map_err(failed)?;
        Ok(Self {
            position: event.position,
            id: event.event_id,
            version: event.version,
            kind: event.event.event_type().to_owned(),
            event_version: event.event_version,
            recorded_at: event.recorded_at,
            occurred_at: event.occurred_at,
            actor: metadata.actor().map(|actor| actor.to_string()),
            on_behalf_of: metadata.on_behalf_of,
            channel: metadata.channel.map(|channel| channel.to_string()),
            command_type: metadata.command_type,
            command_id: metadata.command_id,
            correlation_id: metadata.correlation_id,
            causation_id: metadata.causation_id,
            reason_code: metadata.reason_code,
            has_note: metadata.reason_note.is_some(),
            notes: Vec::new(),
        })
    }
}

/// One field that differs. What was not there is left out.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Items of a list are named by their number or SKU.
    #[schema(example = "/placed/lines/number=1/quantity")]
    pub(super) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(super) before: Option<Redacted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(super) after: Option<Redacted>,
}

/// What changed from one version to another.
#[derive(Serialize, ToSchema)]
pub(super) struct Diff {
    /// 0: before there was anything.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) changes: Vec<Change>,
}

/// The event that last set a field.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Owed {
    pub(super) version: i64,
    pub(super) position: i64,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// An aggregate, as it was at a version.
#[derive(Serialize, ToSchema)]
pub struct Trail {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: String,
    /// The one that is shown, and the last there is.
    pub(super) version: i64,
    pub(super) last: i64,
    /// As commands see it. A personal value is `{"personal": "masked"}`, where `value` numbers the texts that it was,
    /// or `{"personal": "erased"}`.
    #[schema(value_type = Object)]
    pub(super) state: Redacted,
    pub(super) diff: Diff,
    /// By field, the event that it is owed to; null where the history is too long for that.
    pub(super) blame: Option<BTreeMap<String, Owed>>,
    /// At most 200, the last of those before `before`; those around the version where it is left out.
    pub(super) events: Vec<Step>,
    /// Whether there are events before these.
    pub(super) more: bool,
    /// Steps that had to follow on its events, and have not.
    pub(super) pending: Vec<Pending>,
    /// The event that made this version, as it lies in the log: before any upcaster, with what is personal masked.
    #[schema(value_type = Object)]
    pub(super) stored: Option<Redacted>,
    /// The number of the seal that covers it; null: none does yet.
    pub(super) seal: Option<i64>,
}

/// The trail of one aggregate.
pub(super) fn follows() -> Action {
    Action::new(params(), Described::one::<Trail>(), follow)
}

/// What can be chosen.
pub(super) fn params() -> Vec<Param> {
    vec![
        Param::new("v", Kind::Number(1, i64::MAX), "The version to show; the last where it is left out."),
        Param::new(
            "cmp",
            Kind::Number(0, i64::MAX),
            "The version to compare with; the one before where it is left out.",
        ),
        Param::new(
            "before",
            Kind::Number(1, i64::MAX),
            "List events below this version; those around `v` where it is left out.",
        ),
        Param::new(
            "asof",
            Kind::Time,
            "Show the version that it had then, by the log's clock; not with `v`.",
        ),
        Param::new(
            "where",
            Kind::Text,
            "Show the first version in which a field has a value, such as `/status=shipped`; not with `v` or `asof`.",
        ),
    ]
}

async fn follow(call: Call) -> Result<Response, Problem> {
    let (head, trail) = find(&call, Sight::Masked).await?;
    call.page(head, &trail, None)
}

/// The trail, and the head of the log that it was read under.
pub(super) async fn find(call: &Call, sight: Sight) -> Result<(i64, Trail), Problem> {
    let nothing = || Problem::not_found("not-found", "there is nothing of this name");
    let name = call.more_keys.first().map(String::as_str).unwrap_or_default();
    let malformed = || Problem::malformed("invalid-id", "the id in the path is not a UUID");
    if fold::of(&call.key).is_none() {
        return Err(nothing());
    }
    let id = Uuid::try_parse(name).map_err(|_| malformed())?;
    let head = as_of::head(&call.shared, call.wanted).await?;
    let stream = Stream::read(&call.shared.queries.log, &call.key, id).await?.ok_or_else(nothing)?;
    let last = stream.last();
    let version = chosen(&call.params, &stream)?;
    let other = call.params.number("cmp").unwrap_or(version - 1);
    for (name, wanted) in [("v", version), ("cmp", other)] {
        if wanted > last {
            return Err(refused(name, "the aggregate has no such version yet").with("version", last));
        }
    }
    let mut trail = stream.seen(sight, version, other, call.params.number("before"))?;
    let mut noted = notes::on(call, &trail.kind, &trail.id).await?;
    for step in &mut trail.events {
        step.notes = noted.remove(&step.id).unwrap_or_default();
    }
    if let Some(event) = stream.event(version) {
        let log = &call.shared.queries.log;
        let row = log.read(event.position, 1).await.map_err(failed)?.into_iter().next();
        let payload = row.filter(|row| row.position == event.position).map(|row| row.payload);
        let payload: Option<Value> =
            payload.map(|text| serde_json::from_str(&text)).transpose().map_err(Problem::internal)?;
        trail.stored =
            payload.map(|payload| Redactor::new(Sight::Masked, &Opened::default()).redact(payload));
        let seals = Seals::new(log.db().beside("seals").map_err(failed)?);
        trail.seal = seals.over(event.position).await.map_err(failed)?;
    }
    Ok((head, trail))
}

/// The version that is asked for: by number, by time, or by what it holds first.
fn chosen(params: &Params, stream: &Stream) -> Result<i64, Problem> {
    let ways = ["v", "asof", "where"].into_iter().filter(|name| params.value(name).is_some());
    if let Some(second) = ways.collect::<Vec<_>>().get(1) {
        return Err(refused(second, "a version is chosen one way at a time"));
    }
    if let Some(version) = params.number("v") {
        return Ok(version);
    }
    if let Some(micros) = params.number("asof") {
        let nothing = || refused("asof", "there was nothing of it yet").with("version", 1);
        return stream.version_as_of(micros).ok_or_else(nothing);
    }
    let Some(wanted) = params.text("where") else { return Ok(stream.last()) };
    // A path can hold the sign as well, as in `/lines/number=1/quantity`.
    let ways: Vec<_> = wanted.match_indices('=').map(|(at, _)| (&wanted[..at], &wanted[at + 1..])).collect();
    if !wanted.starts_with('/') || ways.is_empty() {
        return Err(refused("where", "it is a field's path, = and a value, such as /status=shipped"));
    }
    stream.first_where(&ways)?.ok_or_else(|| refused("where", "it is so in no version"))
}

/// The whole history of one aggregate.
pub struct Stream {
    kind: String,
    id: String,
    events: Vec<Arc<RecordedEvent>>,
    begin: fn() -> Box<dyn History>,
}

impl Stream {
    /// `None`: there is no such type, or nothing of that id.
    pub async fn read(log: &EventLog, kind: &str, id: Uuid) -> Result<Option<Self>, Problem> {
        let Some(begin) = fold::of(kind) else { return Ok(None) };
        let (mut events, id): (Vec<Arc<RecordedEvent>>, _) = (Vec::new(), id.to_string());
        loop {
            let version = events.last().map_or(0, |event| event.version);
            let rows = log.stream(kind, &id, version, PAGE).await.map_err(failed)?;
            let full = i64::try_from(rows.len()).unwrap_or(PAGE) == PAGE;
            events.extend(fold::decode(log, rows).await?);
            if !full {
                break;
            }
        }
        Ok((!events.is_empty()).then(|| Self { kind: kind.to_owned(), id, events, begin }))
    }

    /// Its last version.
    pub fn last(&self) -> i64 {
        self.events.last().map_or(0, |event| event.version)
    }

    /// The version that it had at a position of the log; `None`: there was nothing yet.
    pub fn version_at(&self, position: i64) -> Option<i64> {
        self.events.iter().rev().find(|event| event.position <= position).map(|event| event.version)
    }

    /// The version that it had at a moment, by the clock that recorded its events.
    fn version_as_of(&self, micros: i64) -> Option<i64> {
        let then = |event: &&Arc<RecordedEvent>| event.recorded_at.timestamp_micros() <= micros;
        self.events.iter().rev().find(then).map(|event| event.version)
    }

    /// The first version in which a field of one of these paths has its value. A personal value is none that can be
    /// asked for.
    fn first_where(&self, ways: &[(&str, &str)]) -> Result<Option<i64>, Problem> {
        let redactor = Redactor::new(Sight::Masked, &Opened::default());
        let mut history = (self.begin)();
        let begun = Instant::now();
        for event in &self.events {
            if begun.elapsed() > LONGEST_QUERY {
                let detail =
                    "the history is too long to look through all of it: choose a version or a moment";
                return Err(Problem::unavailable("timed-out", detail, Duration::from_secs(1)));
            }
            history.apply(Arc::clone(event))?;
            let state = redactor.redact(history.sealed()?);
            let fields = leaves(state.value());
            let here = ways.iter().any(|(path, value)| match fields.get(*path) {
                Some(Value::String(text)) => text == value,
                Some(found) if found.get("personal").is_some() => false,
                Some(found) => serde_json::from_str(value).is_ok_and(|value: Value| value == *found),
                None => false,
            });
            if here {
                return Ok(Some(event.version));
            }
        }
        Ok(None)
    }

    /// The event that made a version.
    pub fn event(&self, version: i64) -> Option<&RecordedEvent> {
        self.events.iter().find(|event| event.version == version).map(|event| &**event)
    }

    /// How it was at `version`, compared with `other`; the events listed are the last before `before`, or those around it.
    /// Personal values are masked.
    pub fn trail(&self, version: i64, other: i64, before: Option<i64>) -> Result<Trail, Problem> {
        self.seen(Sight::Masked, version, other, before)
    }

    fn seen(&self, sight: Sight, version: i64, other: i64, before: Option<i64>) -> Result<Trail, Problem> {
        let states = states(self.begin, &self.events, version, other, sight)?;
        // The version that is shown is among those that are listed, with as many around it as there can be.
        let around = || version.saturating_add(LISTED / 2).max(LISTED) + 1;
        let before = before.unwrap_or_else(around);
        let listed: Vec<_> = self.events.iter().filter(|event| event.version < before).collect();
        let first = listed.len().saturating_sub(usize::try_from(LISTED).unwrap_or(usize::MAX));
        Ok(Trail {
            diff: Diff { from: other, to: version, changes: changes(&states.other, &states.shown) },
            state: states.shown,
            blame: states.blame,
            events: listed[first..].iter().map(|event| Step::of(event)).collect::<Result<_, _>>()?,
            more: first > 0,
            pending: pending::of_stream(
                self.events.iter().map(|event| (event.position, event.event.event_type(), event.recorded_at)),
            ),
            kind: self.kind.clone(),
            id: self.id.clone(),
            version,
            last: self.last(),
            stored: None,
            seal: None,
        })
    }
}

struct States {
    shown: Redacted,
    /// What it is compared with.
    other: Redacted,
    blame: Option<BTreeMap<String, Owed>>,
}

/// Folds twice: what is personal is known, with the texts that are the same, once all of it has been read.
fn states(
    begin: fn() -> Box<dyn History>,
    events: &[Arc<RecordedEvent>],
    version: i64,
    other: i64,
    sight: Sight,
) -> Result<States, Problem> {
    let mut whole = begin();
    for event in events {
        whole.apply(Arc::clone(event))?;
    }
    let redactor = Redactor::new(sight, whole.opened());
    let nothing = || redactor.redact(Value::Null);
    let (mut shown, mut compared) = (nothing(), nothing());
    let mut owed = (events.len() <= MOST_TRACED).then(BTreeMap::new);
    let (mut history, mut known) = (begin(), BTreeMap::new());
    for event in events.iter().take_while(|event| event.version <= version.max(other)) {
        history.apply(Arc::clone(event))?;
        let traced = owed.as_mut().filter(|_| event.version <= version);
        if traced.is_none() && event.version != version && event.version != other {
            continue;
        }
        let state = redactor.redact(history.sealed()?);
        if let Some(owed) = traced {
            let now = leaves(state.value());
            owed.retain(|path: &String, _| now.contains_key(path));
            for (path, value) in &now {
                if known.get(path) != Some(value) {
                    let kind = event.event.event_type().to_owned();
                    let one = Owed { version: event.version, position: event.position, kind };
                    owed.insert(path.clone(), one);
                }
            }
            known = now;
        }
        if event.version == other {
            compared = state.clone();
        }
        if event.version == version {
            shown = state;
        }
    }
    Ok(States { shown, other: compared, blame: owed })
}

/// What the items of a list are known by in the business, where it tells them apart.
fn key_of(items: &[Value]) -> Option<&'static str> {
    ["number", "sku"].into_iter().find(|key| {
        let mut values: Vec<_> =
            items.iter().filter_map(|item| item.get(key)).map(Value::to_string).collect();
        values.sort_unstable();
        values.dedup();
        values.len() == items.len()
    })
}

/// Whether the fields of an object are values of their own; an amount and a marker are one value.
fn has_parts(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && !fields.contains_key("personal") && !fields.contains_key("currency")
}

/// The path of what is called that below another path.
fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Every value by its path. Amounts and markers are values.
pub(super) fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    walk(value, "", &mut all);
    all
}

fn walk(value: &Value, path: &str, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if has_parts(fields) => {
            for (name, value) in fields {
                walk(value, &below(path, name), into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let key = key_of(items);
            for (index, item) in items.iter().enumerate() {
                let name = match key.and_then(|key| Some((key, item.get(key)?))) {
                    Some((key, Value::String(text))) => format!("{key}={text}"),
                    Some((key, value)) => format!("{key}={value}"),
                    None => index.to_string(),
                };
                walk(item, &below(path, &name), into);
            }
        }
        Value::Null => {}
        _ => drop(into.insert(path.to_owned(), value.clone())),
    }
}

fn changes(before: &Redacted, after: &Redacted) -> Vec<Change> {
    differing(before.parts(leaves), after.parts(leaves)).collect()
}

fn differing(
    mut left: BTreeMap<String, Redacted>,
    mut right: BTreeMap<String, Redacted>,
) -> impl Iterator<Item = Change> {
    let paths: BTreeSet<String> = left.keys().chain(right.keys()).cloned().collect();
    paths.into_iter().filter_map(move |path| {
        let (before, after) = (left.remove(&path), right.remove(&path));
        (before != after).then_some(Change { path, before, after })
    })
}

/// What [`changes`] finds between two states that are still sealed. Parts that are the same seals are passed over whole,
/// so that the work is that of the change and not of the state.
pub(super) fn between(before: &Value, after: &Value, redactor: &Redactor) -> Vec<Change> {
    let mut all = Vec::new();
    compare(before, after, "", redactor, &mut all);
    all.sort_by(|one: &Change, other| one.path.cmp(&other.path));
    all
}

fn compare(before: &Value, after: &Value, path: &str, redactor: &Redactor, into: &mut Vec<Change>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) if has_parts(old) && has_parts(new) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let (before, after) = (old.get(name), new.get(name));
                let (before, after) = (before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null));
                compare(before, after, &below(path, name), redactor, into);
            }
        }
        _ => {
            let parts = |value: &Value| {
                redactor.redact(value.clone()).parts(|value| {
                    let mut all = BTreeMap::new();
                    walk(value, path, &mut all);
                    all
                })
            };
            into.extend(differing(parts(before), parts(after)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_of_a_list_are_named_by_what_tells_them_apart() {
        let lines = json!({ "lines": [{ "number": 1, "sku": "MUG" }, { "number": 2, "sku": "MUG" }] });
        assert!(leaves(&lines).contains_key("/lines/number=2/sku"));
        let variants = json!([{ "sku": "A/B" }, { "sku": "C" }]);
        assert_eq!(leaves(&variants).keys().collect::<Vec<_>>(), ["/sku=A~1B/sku", "/sku=C/sku"]);
        let same = json!([{ "sku": "A" }, { "sku": "A" }]);
        assert_eq!(leaves(&same).keys().collect::<Vec<_>>(), ["/0/sku", "/1/sku"]);
        let amount = json!({ "total": { "amount": 1, "currency": "GBP" }, "name": { "personal": "erased" } });
        assert_eq!(leaves(&amount).keys().collect::<Vec<_>>(), ["/name", "/total"]);
    }

    #[test]
    fn what_is_found_between_sealed_states_is_what_is_found_between_shown_ones() {
        let amount = |amount: i64| json!({ "amount": amount, "currency": "GBP" });
        let states = [
            Value::Null,
            json!({}),
            json!({ "status": "placed", "total": amount(1), "lines": [{ "number": 1, "sku": "A" }] }),
            json!({ "status": "placed", "total": amount(2), "lines": [{ "number": 1, "sku": "B" }] }),
            json!({ "status": { "shipped": 3 }, "lines": [{ "number": 2, "sku": "A" }, { "number": 1, "sku": "A" }] }),
            json!({ "status": { "shipped": null, "at": [1, 2] }, "lines": {}, "total": null }),
            json!({ "attributes": { "personal": "Ada", "a/b": 1 }, "lines": [1], "status": [] }),
            json!({ "attributes": { "personal": "Eve", "a/b": 1 }, "lines": [2], "status": {} }),
            json!({ "attributes": { "a/b": 2, "c~d": { "e": 1 } }, "lines": { "x": { "personal": "masked" } } }),
        ];
        let redactor = Redactor::new(Sight::Masked, &Opened::default());
        let mut found = 0;
        for before in &states {
            for after in &states {
                let shown = |state: &Value| redactor.redact(state.clone());
                let expected = changes(&shown(before), &shown(after));
                assert_eq!(between(before, after, &redactor), expected, "{before} {after}");
                found += expected.len();
            }
        }
        assert!(found > 100, "{found}");
    }
}
