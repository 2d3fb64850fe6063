//! The history of one aggregate: its events, its state at any version, the differences between two versions, and the
//! event that set each field. Folded from the log by the code that decides commands, and shown through the redactor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use soonshop_domain::decider::PARTS_SHOWN;
use soonshop_domain::{Metadata, QueryError};
use soonshop_event_log::history::{self, History, Opened, PAGE};
use soonshop_event_log::{EventLog, RecordedEvent};
use soonshop_projections::source::LONGEST_QUERY;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::diff::{Change, changes, leaves};
use crate::name::Name;
use crate::notes::Note;
use crate::pending::{self, Pending};
use crate::redactor::{Redacted, Redactor, Sight};
use crate::related::Relations;

/// Events on one page.
pub const LISTED: i64 = 200;

/// The longest history whose fields are traced to their events, because every version is compared in full.
const MOST_TRACED: usize = 1_000;

/// One event of the aggregate.
#[derive(Serialize, ToSchema)]
pub struct Step {
    pub position: i64,
    pub id: Uuid,
    pub version: i64,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    pub kind: String,
    /// The version of the schema it was stored with.
    pub event_version: u32,
    pub recorded_at: DateTime<Utc>,
    /// Business time.
    pub occurred_at: DateTime<Utc>,
    /// As `kind:id`.
    #[schema(example = "staff:42")]
    pub actor: Option<String>,
    pub on_behalf_of: Option<String>,
    pub channel: Option<String>,
    pub command_type: Option<String>,
    pub command_id: Option<Uuid>,
    pub correlation_id: Option<Uuid>,
    pub causation_id: Option<Uuid>,
    pub reason_code: Option<String>,
    /// The command had a note, which is not shown.
    pub has_note: bool,
    /// People's notes on the event, as far as the caller may see them.
    pub notes: Vec<Note>,
}

impl Trail {
    /// Its redacted state.
    pub fn state(&self) -> &Value {
        self.state.value()
    }

    pub fn changes(&self) -> &[Change] {
        &self.diff.changes
    }
}

impl Step {
    fn of(event: &RecordedEvent) -> Result<Self, QueryError> {
        let metadata: Metadata = event.metadata()?;
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

/// The differences between two versions.
#[derive(Serialize, ToSchema)]
pub struct Diff {
    /// 0: the state before the first event.
    pub from: i64,
    pub to: i64,
    /// In the audit trail at most 500.
    pub changes: Vec<Change>,
    /// How many more there are; left out if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The most changes in one answer.
const MOST_CHANGES: usize = 500;

/// Which of the parts of a state are shown: at most 100, in the order of their keys.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrailParts {
    /// How many there are in all.
    pub total: usize,
    /// The last key, if there are more: `parts_after` with it gives the next ones.
    pub next: Option<String>,
}

/// The event that last set a field.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SetBy {
    pub version: i64,
    pub position: i64,
    #[serde(rename = "type")]
    pub kind: String,
}

/// An aggregate at one version.
#[derive(Serialize, ToSchema)]
pub struct Trail {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    /// What people call it, such as an order's number; left out where it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "558638")]
    pub name: Option<String>,
    /// The version that is shown, and the last one.
    pub version: i64,
    pub last: i64,
    /// As commands see it. A personal value is `{"personal": "masked"}`, where an equal `value` number means an equal
    /// text, or `{"personal": "erased"}`.
    #[schema(value_type = Object)]
    pub state: Redacted,
    /// Of a state that grows with its history, such as the lines of a stock, which parts are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<TrailParts>,
    pub diff: Diff,
    /// By field, the event that set it; null where the history is too long for that.
    pub blame: Option<BTreeMap<String, SetBy>>,
    /// At most 200: the last of those before `before`, or those around the version where that is left out.
    pub events: Vec<Step>,
    /// Whether there are earlier events.
    pub more: bool,
    /// Steps that should have followed its events by now, and have not.
    pub pending: Vec<Pending>,
    /// The event that made this version, as stored in the log: before any upcaster, with personal values masked.
    #[schema(value_type = Option<Object>)]
    pub stored: Option<Redacted>,
    /// The number of the seal that covers it; null while it is not sealed.
    pub seal: Option<i64>,
    /// The names of what it refers to by an id, by that id; left out if there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Name>,
    /// What it has to do with: other aggregates, and process managers; left out where nothing was found.
    #[serde(skip_serializing_if = "Relations::is_empty")]
    pub related: Relations,
}

/// All events of one aggregate.
pub struct Stream {
    kind: String,
    id: String,
    events: Vec<Arc<RecordedEvent>>,
    begin: fn() -> Box<dyn History>,
}

impl Stream {
    /// `None`: there is no such type, or no such aggregate.
    pub async fn read(log: &EventLog, kind: &str, id: Uuid) -> Result<Option<Self>, QueryError> {
        let Some(begin) = history::of(kind) else { return Ok(None) };
        let (mut events, id): (Vec<Arc<RecordedEvent>>, _) = (Vec::new(), id.to_string());
        loop {
            let version = events.last().map_or(0, |event| event.version);
            let rows = log.stream(kind, &id, version, PAGE).await?;
            let full = i64::try_from(rows.len()).unwrap_or(PAGE) == PAGE;
            events.extend(history::decode(log, rows).await?);
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

    /// Its version at a position of the log; `None`: it did not exist yet.
    pub fn version_at(&self, position: i64) -> Option<i64> {
        self.events.iter().rev().find(|event| event.position <= position).map(|event| event.version)
    }

    /// Its version at a moment, by the time at which its events were recorded.
    pub fn version_as_of(&self, micros: i64) -> Option<i64> {
        let then = |event: &&Arc<RecordedEvent>| event.recorded_at.timestamp_micros() <= micros;
        self.events.iter().rev().find(then).map(|event| event.version)
    }

    /// The first version in which a field of one of these paths has its value. Personal values cannot be searched
    /// for.
    pub fn first_where(&self, ways: &[(&str, &str)]) -> Result<Option<i64>, QueryError> {
        let redactor = Redactor::new(Sight::Masked, &Opened::default());
        let mut history = (self.begin)();
        let begun = Instant::now();
        for event in &self.events {
            if begun.elapsed() > LONGEST_QUERY {
                return Err(too_long("the history is too long to search: choose a version or a moment"));
            }
            history.apply(Arc::clone(event))?;
            // Where it did not hold before, it can hold only in what the event changed.
            let state = history.around(&event.event)?.map_or_else(|| history.encrypted(), Ok)?;
            let state = redactor.redact(state);
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

    /// The aggregate at `version`, compared with `other`; lists the last events before `before`, or those around
    /// `version`. Personal values are masked.
    pub fn trail(&self, version: i64, other: i64, before: Option<i64>) -> Result<Trail, QueryError> {
        self.seen(Sight::Masked, version, other, before, None)
    }

    /// The same, with personal values as far as `sight` allows; and, with a key, bounded: the parts of the state after
    /// that key, and the first changes, in limited time.
    pub fn seen(
        &self,
        sight: Sight,
        version: i64,
        other: i64,
        before: Option<i64>,
        parts_after: Option<&str>,
    ) -> Result<Trail, QueryError> {
        let States { shown, other: compared, page, blame } =
            states(self.begin, &self.events, version, other, sight, parts_after)?;
        let mut changes = changes(&compared, &shown);
        let more = if parts_after.is_some() { changes.len().saturating_sub(MOST_CHANGES) } else { 0 };
        changes.truncate(changes.len() - more);
        let (state, parts) = page.map_or((shown, None), |(state, parts)| (state, Some(parts)));
        // The listed events include the version that is shown, with as many around it as possible.
        let around = || version.saturating_add(LISTED / 2).max(LISTED) + 1;
        let before = before.unwrap_or_else(around);
        let listed: Vec<_> = self.events.iter().filter(|event| event.version < before).collect();
        let first = listed.len().saturating_sub(usize::try_from(LISTED).unwrap_or(usize::MAX));
        Ok(Trail {
            diff: Diff { from: other, to: version, changes, more },
            state,
            parts,
            blame,
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
            name: None,
            names: BTreeMap::new(),
            related: Relations::default(),
        })
    }
}

/// The refusal of a history that takes too long to fold.
pub(crate) const TOO_LONG: &str = "the history is too long to be shown: ask for the state at a point with `as_of`, or list its \
                        events in the timeline";

pub(crate) fn too_long(detail: &'static str) -> QueryError {
    QueryError::unavailable("timed-out", detail, Duration::from_secs(1))
}

struct States {
    shown: Redacted,
    /// The state that it is compared with.
    other: Redacted,
    /// The state that is shown, with some of its parts.
    page: Option<(Redacted, TrailParts)>,
    blame: Option<BTreeMap<String, SetBy>>,
}

/// Folds twice: personal values, and which of them are equal, are known only once all events have been read.
fn states(
    begin: fn() -> Box<dyn History>,
    events: &[Arc<RecordedEvent>],
    version: i64,
    other: i64,
    sight: Sight,
    parts_after: Option<&str>,
) -> Result<States, QueryError> {
    let begun = Instant::now();
    let bounded = parts_after.is_some();
    let in_time =
        || if bounded && begun.elapsed() > LONGEST_QUERY { Err(too_long(TOO_LONG)) } else { Ok(()) };
    let mut whole = begin();
    for event in events {
        in_time()?;
        whole.apply(Arc::clone(event))?;
    }
    let redactor = Redactor::new(sight, whole.opened());
    let nothing = || redactor.redact(Value::Null);
    let (mut shown, mut compared, mut page) = (nothing(), nothing(), None);
    let mut owed = (events.len() <= MOST_TRACED).then(BTreeMap::new);
    let (mut history, mut known) = (begin(), BTreeMap::new());
    for event in events.iter().take_while(|event| event.version <= version.max(other)) {
        in_time()?;
        history.apply(Arc::clone(event))?;
        let traced = owed.as_mut().filter(|_| event.version <= version);
        if traced.is_none() && event.version != version && event.version != other {
            continue;
        }
        let state = redactor.redact(history.encrypted()?);
        if let Some(owed) = traced {
            let now = leaves(state.value());
            owed.retain(|path: &String, _| now.contains_key(path));
            for (path, value) in &now {
                if known.get(path) != Some(value) {
                    let kind = event.event.event_type().to_owned();
                    let one = SetBy { version: event.version, position: event.position, kind };
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
            if let Some(after) = parts_after
                && let (part, Some(of)) = history.page(after, PARTS_SHOWN)?
            {
                page = Some((redactor.redact(part), TrailParts { total: of.total, next: of.next }));
            }
        }
    }
    Ok(States { shown, other: compared, page, blame: owed })
}
