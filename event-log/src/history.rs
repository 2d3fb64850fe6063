//! Folding the history of a stream into its state, with the code that commands are decided on. Every past state that
//! is shown comes from here. The personal values of a state stay encrypted; [`DecryptedValues`] has their plaintexts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use soonshop_domain::catalog::{self, Visitor};
use soonshop_domain::decider::state_to_show;
use soonshop_domain::{Decider, Event, QueryError};
use uuid::Uuid;

use crate::{Content, Entry, EventLog, RecordedEvent, StoredEvent};

/// How many events are read first, before it is known how long they are.
const FIRST_EVENTS: i64 = 200;
/// About how many bytes of events are read at a time.
const PAGE_BYTES: usize = 4 << 20;

/// How many events to read next: fewer where they are long, so that a page is about as large as any other.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    events: i64,
    most: i64,
}

impl Default for PageSize {
    fn default() -> Self {
        Self::up_to(FIRST_EVENTS)
    }
}

impl PageSize {
    /// Never more than so many.
    pub fn up_to(most: i64) -> Self {
        Self { events: most.min(FIRST_EVENTS), most }
    }

    /// The events of the next page.
    pub fn events(self) -> i64 {
        self.events
    }

    /// Whether a page of this size was the last one of its stream.
    pub fn is_last(self, page: &[StoredEvent]) -> bool {
        i64::try_from(page.len()).is_ok_and(|events| events < self.events)
    }

    /// The size of the page that follows this one: as many events as fit, but no more than four times as many as now,
    /// since the next ones may be longer. Returns the bytes of this page.
    pub fn next(&mut self, page: &[StoredEvent]) -> usize {
        let bytes = page.iter().map(|row| row.payload.len() + row.metadata.len()).sum::<usize>();
        let each = bytes.div_ceil(page.len().max(1)).max(1);
        let fit = i64::try_from(PAGE_BYTES / each).unwrap_or(i64::MAX);
        self.events = fit.min(self.events.saturating_mul(4)).clamp(1, self.most.max(1));
        bytes
    }
}

/// A history that is folded, for any aggregate type.
pub trait History: Send {
    /// Folds the next event.
    fn apply(&mut self, event: Arc<RecordedEvent>) -> Result<(), QueryError>;
    /// The state with encrypted personal values: it must not be shown like this.
    fn encrypted(&self) -> Result<Value, QueryError>;
    /// The part of the state that this event can change, if that is less than all of it.
    fn around(&self, event: &Event) -> Result<Option<Value>, QueryError>;
    /// The state with at most so many of its parts, from the first key after `after` on, with encrypted personal values.
    fn page(&self, after: &str, most: usize) -> Result<(Value, Option<PartsShown>), QueryError>;
    /// Whether this is the key of a part.
    fn is_part(&self, key: &str) -> bool;
    /// The personal values of the events so far.
    fn decrypted(&self) -> &DecryptedValues;
}

/// Which parts of a state an answer has: see [`Decider::page`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsShown {
    /// How many parts the state has in all.
    pub total: usize,
    /// The key after which the next page begins; absent on the last.
    pub next: Option<String>,
}

/// Begins a history of the aggregate type of this name.
struct Begin;

impl Visitor for Begin {
    type Output = fn() -> Box<dyn History>;

    fn visit<A: Decider>(self) -> Self::Output {
        || Box::new(Fold::<A>::default())
    }
}

/// How a history of this type begins; `None`: the type does not exist.
pub fn of(kind: &str) -> Option<fn() -> Box<dyn History>> {
    catalog::visit(kind, Begin)
}

/// Decodes rows of one stream; an unreadable row is an error.
pub async fn decode(log: &EventLog, rows: Vec<StoredEvent>) -> Result<Vec<Arc<RecordedEvent>>, QueryError> {
    let entries = log.decode(rows).await?;
    let event = |entry: Entry| match entry.content {
        Content::Event(event) => Ok(event),
        _ => Err(unreadable(entry.position)),
    };
    entries.into_iter().map(event).collect()
}

fn unreadable(position: i64) -> QueryError {
    let detail = format!(
        "the event at position {position} is from a newer release, or has a value that cannot be decrypted"
    );
    QueryError::unavailable("history-unreadable", detail, Duration::from_mins(1)).with("position", position)
}

/// The last event of a history.
pub struct Last {
    pub version: i64,
    pub position: i64,
    pub event_id: Uuid,
    pub kind: String,
    pub occurred_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
}

/// The history of one aggregate type.
#[derive(Default)]
pub struct Fold<A> {
    /// Its personal values are encrypted.
    pub state: A,
    /// `None`: nothing was folded yet.
    pub last: Option<Last>,
    /// The personal values of the events so far.
    pub decrypted: DecryptedValues,
}

impl<A: Decider> Fold<A> {
    /// Folds the next event.
    pub fn apply(&mut self, recorded: Arc<RecordedEvent>) -> Result<(), QueryError> {
        let RecordedEvent { position, event_id, version, occurred_at, recorded_at, event, .. } =
            Arc::unwrap_or_clone(recorded);
        let kind = event.event_type().to_owned();
        let mut event = event.downcast::<A::Event>().ok_or_else(|| unreadable(position))?;
        self.decrypted.remember(&mut event)?;
        self.state.apply(event);
        self.last = Some(Last { version, position, event_id, kind, occurred_at, recorded_at });
        Ok(())
    }
}

impl<A: Decider + Send> History for Fold<A> {
    fn apply(&mut self, event: Arc<RecordedEvent>) -> Result<(), QueryError> {
        Self::apply(self, event)
    }

    fn encrypted(&self) -> Result<Value, QueryError> {
        state_to_show(&self.state, &self.state).map_err(QueryError::internal)
    }

    fn around(&self, event: &Event) -> Result<Option<Value>, QueryError> {
        let part = event.downcast_ref().and_then(|event| self.state.around(event));
        part.map(|part| state_to_show(&part, &self.state)).transpose().map_err(QueryError::internal)
    }

    fn page(&self, after: &str, most: usize) -> Result<(Value, Option<PartsShown>), QueryError> {
        let page = self.state.page(after, most);
        let state = state_to_show(page.as_ref().map_or(&self.state, |page| &page.state), &self.state);
        let shown = page.map(|page| PartsShown { total: page.total, next: page.next });
        Ok((state.map_err(QueryError::internal)?, shown))
    }

    fn is_part(&self, key: &str) -> bool {
        A::is_part(key)
    }

    fn decrypted(&self) -> &DecryptedValues {
        &self.decrypted
    }
}

/// The personal values of a history, by their ciphertext. A state serializes personal values as ciphertext; only here
/// it is replaced by the plaintext.
#[derive(Default)]
pub struct DecryptedValues {
    /// `None`: it was erased.
    texts: HashMap<String, Option<Value>>,
    /// The ciphertexts, in the order of the events.
    order: Vec<String>,
}

/// The plaintext of a personal value.
#[derive(serde::Deserialize)]
struct Inner {
    value: Value,
}

impl DecryptedValues {
    /// Whether no event had a personal value.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Each ciphertext in the order of the events, with its plaintext; `None` if it was erased.
    pub fn values(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.order.iter().map(|one| (one.as_str(), self.texts.get(one).and_then(Option::as_ref)))
    }

    /// The plaintext of a ciphertext of the history; `None` if it was erased, and for any other text.
    pub(crate) fn clear(&self, ciphertext: &str) -> Option<&Value> {
        self.texts.get(ciphertext).and_then(Option::as_ref)
    }

    /// Whether it is a ciphertext of the history whose plaintext was erased.
    pub(crate) fn is_erased(&self, ciphertext: &str) -> bool {
        self.texts.get(ciphertext).is_some_and(Option::is_none)
    }

    pub(crate) fn remember(&mut self, event: &mut impl soonshop_domain::Sensitive) -> Result<(), QueryError> {
        for value in event.personal() {
            let Some(ciphertext) = value.jwe().map(str::to_owned) else { continue };
            let text = value.plaintext().transpose().map_err(QueryError::internal)?;
            let inner = text.map(|text| serde_json::from_slice::<Inner>(&text)).transpose();
            let inner = inner.map_err(|_| QueryError::internal("a personal value without its text"))?;
            if self.texts.insert(ciphertext.clone(), inner.map(|inner| inner.value)).is_none() {
                self.order.push(ciphertext);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use soonshop_domain::TYPES;

    use super::*;

    #[test]
    fn a_page_of_long_events_has_few_of_them() {
        let row = |bytes: usize| StoredEvent {
            position: 1,
            event_id: Uuid::nil(),
            aggregate_type: "product".to_owned(),
            aggregate_id: String::new(),
            sequence: 1,
            event_type: String::new(),
            event_version: "1".to_owned(),
            payload: "x".repeat(bytes),
            metadata: String::new(),
            occurred_at: DateTime::UNIX_EPOCH,
            recorded_at: DateTime::UNIX_EPOCH,
        };
        let mut size = PageSize::up_to(1_000);
        for (events, bytes, next) in [
            (200, 100, 800),
            (800, 256 << 10, 16),
            (16, 256 << 10, 16),
            (16, 100, 64),
            (64, 100, 256),
            (1, 8 << 20, 1),
        ] {
            let page = vec![row(bytes); events];
            assert_eq!((size.next(&page), size.events()), (events * bytes, next), "{events} of {bytes}");
        }
        let size = PageSize::default();
        assert!(size.is_last(&vec![row(1); 199]) && !size.is_last(&vec![row(1); 200]));
        assert_eq!(PageSize::up_to(7).events(), 7);
    }

    #[test]
    fn every_known_aggregate_type_can_be_folded_and_no_other() {
        for kind in TYPES {
            assert!(super::of(kind).is_some(), "{kind}");
        }
        assert!(super::of("parcel").is_none());
    }
}
