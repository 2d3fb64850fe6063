//! The history of one aggregate: its events, its state at any version, the differences between two versions, and the
//! event that set each field. Folded from the log by the code that decides commands, and shown through the redactor.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use soonshop_domain::decider::PARTS_SHOWN;
use soonshop_domain::{Metadata, QueryError};
use soonshop_event_log::history::{self, DecryptedValues, History};
use soonshop_event_log::{EventLog, RecordedEvent, note};
use soonshop_projections::source::LONGEST_QUERY;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::amounts;
use crate::diff::{Change, changes, leaves};
use crate::events::Events;
use crate::name::Name;
use crate::notes::Note;
use crate::pending::{OfStream, Pending};
use crate::redactor::{Redacted, Redactor, Visibility};
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
    /// The command had a reason in its sender's own words.
    pub has_note: bool,
    /// That reason: a text for its writer and in a reveal, otherwise `{"personal": "masked"}`, or
    /// `{"personal": "erased"}`; null where none was given.
    #[schema(value_type = serde_json::Value)]
    pub reason_note: Option<Redacted>,
    /// The same as it is stored.
    #[serde(skip)]
    pub(crate) stored_note: Option<note::Note>,
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
            reason_note: metadata.reason_note.as_ref().map(|_| Redacted::masked()),
            stored_note: metadata
                .reason_note
                .map(|text| note::Note { text, about: metadata.reason_note_about }),
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
    /// Its name, such as an order's number; left out where it has none.
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
    /// Names by id: of each thing whose id is in it; left out if there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Name>,
    /// Related aggregates and process managers; left out where there are none.
    #[serde(skip_serializing_if = "Relations::is_empty")]
    pub related: Relations,
}

/// The history of one aggregate.
pub struct Stream {
    events: Events,
    begin: fn() -> Box<dyn History>,
}

impl Stream {
    /// With all events in memory. `None`: there is no such type, or no such aggregate.
    pub async fn read(log: &EventLog, kind: &str, id: Uuid) -> Result<Option<Self>, QueryError> {
        Self::keeping(log, kind, id, usize::MAX).await
    }

    /// With the events in memory only if they have no more than `most` bytes. Others are read again where they are
    /// needed: then everything that folds them is called beside the threads that answer requests.
    pub async fn keeping(
        log: &EventLog,
        kind: &str,
        id: Uuid,
        most: usize,
    ) -> Result<Option<Self>, QueryError> {
        let Some(begin) = history::of(kind) else { return Ok(None) };
        let events = Events::read(log, kind, id.to_string(), most).await?;
        Ok((!events.places().is_empty()).then_some(Self { events, begin }))
    }

    /// Its last version.
    pub fn last(&self) -> i64 {
        self.events.places().last().map_or(0, |place| place.version)
    }

    /// Its version at a position of the log; `None`: it did not exist yet.
    pub fn version_at(&self, position: i64) -> Option<i64> {
        self.events.places().iter().rev().find(|place| place.position <= position).map(|place| place.version)
    }

    /// Its version at a moment, by the time at which its events were recorded.
    pub fn version_as_of(&self, micros: i64) -> Option<i64> {
        self.events.places().iter().rev().find(|place| place.recorded_at <= micros).map(|place| place.version)
    }

    /// The position of the event that made a version.
    pub fn position_of(&self, version: i64) -> Option<i64> {
        self.events.places().iter().find(|place| place.version == version).map(|place| place.position)
    }

    /// The first version in which a field of one of these paths has its value. Personal values cannot be searched
    /// for.
    pub fn first_where(&self, ways: &[(&str, &str)]) -> Result<Option<i64>, QueryError> {
        let redactor = Redactor::new(Visibility::Masked, &DecryptedValues::default());
        let mut history = (self.begin)();
        let begun = Instant::now();
        for event in self.events.up_to(self.last()) {
            if begun.elapsed() > LONGEST_QUERY {
                return Err(too_long("the history is too long to search: choose a version or a moment"));
            }
            let event = event?;
            history.apply(Arc::clone(&event))?;
            // Where it did not hold before, it can hold only in what the event changed.
            let state = history.around(&event.event)?.map_or_else(|| history.encrypted(), Ok)?;
            let state = redactor.redact(state);
            let fields = leaves(state.value());
            let here = ways.iter().any(|(path, value)| match fields.get(*path) {
                Some(Value::String(text)) => text == value,
                Some(found) if found.get("personal").is_some() => false,
                Some(found) if amounts::shown_value(found).as_deref() == Some(*value) => true,
                Some(found) => serde_json::from_str(value).is_ok_and(|value: Value| value == *found),
                None => false,
            });
            if here {
                return Ok(Some(event.version));
            }
        }
        Ok(None)
    }

    /// The event that made a version, if all events are in memory.
    pub fn event(&self, version: i64) -> Option<&RecordedEvent> {
        self.events.kept(version)
    }

    /// The aggregate at `version`, compared with `other`; lists the last events before `before`, or those around
    /// `version`. Personal values are masked.
    pub fn trail(&self, version: i64, other: i64, before: Option<i64>) -> Result<Trail, QueryError> {
        self.seen(Visibility::Masked, version, other, before, None)
    }

    /// The same, with personal values as far as `visibility` allows; and, with a key, bounded: the parts of the state after
    /// that key, and the first changes, in limited time.
    pub fn seen(
        &self,
        visibility: Visibility,
        version: i64,
        other: i64,
        before: Option<i64>,
        parts_after: Option<&str>,
    ) -> Result<Trail, QueryError> {
        // The listed events include the version that is shown, with as many around it as possible.
        let around = || version.saturating_add(LISTED / 2).max(LISTED) + 1;
        let before = before.unwrap_or_else(around);
        let places = self.events.places();
        let below = &places[..places.partition_point(|place| place.version < before)];
        let first = below.len().saturating_sub(usize::try_from(LISTED).unwrap_or(usize::MAX));
        let listed = below.get(first).map_or(i64::MAX, |place| place.version)..before;

        let time = Time { begun: Instant::now(), bounded: parts_after.is_some() };
        let FullHistory { history, steps, pending } = self.fold_all(&listed, &time)?;
        let redactor = Redactor::new(visibility, history.decrypted());
        let States { shown, other: compared, page, blame } =
            self.states(&redactor, version, other, parts_after, &time)?;
        let mut changes = changes(&compared, &shown);
        let more = if parts_after.is_some() { changes.len().saturating_sub(MOST_CHANGES) } else { 0 };
        changes.truncate(changes.len() - more);
        let (state, parts) = page.map_or((shown, None), |(state, parts)| (state, Some(parts)));
        Ok(Trail {
            diff: Diff { from: other, to: version, changes, more },
            state,
            parts,
            blame,
            events: steps,
            more: first > 0,
            pending,
            kind: self.events.kind().to_owned(),
            id: self.events.id().to_owned(),
            version,
            last: self.last(),
            stored: None,
            seal: None,
            name: None,
            names: BTreeMap::new(),
            related: Relations::default(),
        })
    }

    /// Folds all events once: personal values, and which of them are equal, are known only afterwards.
    fn fold_all(&self, listed: &Range<i64>, time: &Time) -> Result<FullHistory, QueryError> {
        let (mut history, mut steps, mut pending) = ((self.begin)(), Vec::new(), OfStream::begin());
        for event in self.events.up_to(self.last()) {
            time.is_left()?;
            let event = event?;
            if listed.contains(&event.version) {
                steps.push(Step::of(&event)?);
            }
            pending.follow(event.position, event.event.event_type(), event.recorded_at);
            history.apply(event)?;
        }
        Ok(FullHistory { history, steps, pending: pending.missing() })
    }

    /// Folds the events up to both versions.
    fn states(
        &self,
        redactor: &Redactor,
        version: i64,
        other: i64,
        parts_after: Option<&str>,
        time: &Time,
    ) -> Result<States, QueryError> {
        let nothing = || redactor.redact(Value::Null);
        let (mut shown, mut compared, mut page) = (nothing(), nothing(), None);
        let mut owed = (self.events.places().len() <= MOST_TRACED).then(BTreeMap::new);
        let (mut history, mut known) = ((self.begin)(), BTreeMap::new());
        for event in self.events.up_to(version.max(other)) {
            time.is_left()?;
            let event = event?;
            history.apply(Arc::clone(&event))?;
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
                if parts_after.is_some_and(|after| !after.is_empty() && !history.is_part(after)) {
                    let detail = "it is no key of a part: take `parts.next` of an answer before";
                    return Err(QueryError::parameter("parts_after", detail));
                }
                if let Some(after) = parts_after
                    && let (part, Some(of)) = history.page(after, PARTS_SHOWN)?
                {
                    page = Some((redactor.redact(part), TrailParts { total: of.total, next: of.next }));
                }
            }
        }
        Ok(States { shown, other: compared, page, blame: owed })
    }
}

/// The time that a fold has.
struct Time {
    begun: Instant,
    bounded: bool,
}

impl Time {
    fn is_left(&self) -> Result<(), QueryError> {
        if self.bounded && self.begun.elapsed() > LONGEST_QUERY { Err(too_long(TOO_LONG)) } else { Ok(()) }
    }
}

/// The result of folding all events.
struct FullHistory {
    history: Box<dyn History>,
    /// The events that are listed.
    steps: Vec<Step>,
    pending: Vec<Pending>,
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

#[cfg(test)]
mod tests;
