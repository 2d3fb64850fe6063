//! Folding the history of a stream into its state, with the code that commands are decided on. Every past state that
//! is shown comes from here. The personal values of a state stay encrypted; [`Opened`] has their plaintexts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use soonshop_domain::catalog::{self, Visitor};
use soonshop_domain::{Decider, Event, QueryError};
use uuid::Uuid;

use crate::{Content, Entry, EventLog, RecordedEvent, StoredEvent};

/// How many events of a stream are read at a time.
pub const PAGE: i64 = 1_000;

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
    /// The personal values of the events so far.
    fn opened(&self) -> &Opened;
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
    pub opened: Opened,
}

impl<A: Decider> Fold<A> {
    /// Folds the next event.
    pub fn apply(&mut self, recorded: Arc<RecordedEvent>) -> Result<(), QueryError> {
        let RecordedEvent { position, event_id, version, occurred_at, recorded_at, event, .. } =
            Arc::unwrap_or_clone(recorded);
        let kind = event.event_type().to_owned();
        let mut event = event.downcast::<A::Event>().ok_or_else(|| unreadable(position))?;
        self.opened.remember(&mut event)?;
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
        serde_json::to_value(&self.state).map_err(QueryError::internal)
    }

    fn around(&self, event: &Event) -> Result<Option<Value>, QueryError> {
        let part = event.downcast_ref().and_then(|event| self.state.around(event));
        part.map(|part| serde_json::to_value(part)).transpose().map_err(QueryError::internal)
    }

    fn page(&self, after: &str, most: usize) -> Result<(Value, Option<PartsShown>), QueryError> {
        let page = self.state.page(after, most);
        let state = serde_json::to_value(page.as_ref().map_or(&self.state, |page| &page.state));
        let shown = page.map(|page| PartsShown { total: page.total, next: page.next });
        Ok((state.map_err(QueryError::internal)?, shown))
    }

    fn opened(&self) -> &Opened {
        &self.opened
    }
}

/// The personal values of a history, by their ciphertext. A state serializes personal values as ciphertext; only here
/// it is replaced by the plaintext.
#[derive(Default)]
pub struct Opened {
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

impl Opened {
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

    #[test]
    fn every_known_aggregate_type_can_be_folded_and_no_other() {
        for kind in TYPES {
            assert!(super::of(kind).is_some(), "{kind}");
        }
        assert!(super::of("payment").is_none());
    }
}
