//! Folding a stream's history into its state, by the code that commands are decided on. Every state of the past that is
//! shown comes from here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use soonshop_domain::catalog::{self, Visitor};
use soonshop_domain::{Decider, Event};
use soonshop_event_log::{Content, EventLog, RecordedEvent, StoredEvent};
use soonshop_service_kit::Problem;
use uuid::Uuid;

use super::read::failed;

/// Events of a stream that are read at a time.
pub(super) const PAGE: i64 = 1_000;

/// A history being folded, whatever its type.
pub(super) trait History: Send {
    fn apply(&mut self, event: Arc<RecordedEvent>) -> Result<(), Problem>;
    /// The state with personal values sealed: nobody shows it as it is.
    fn sealed(&self) -> Result<Value, Problem>;
    /// The part of it that this event can change, where that is less than the whole.
    fn around(&self, event: &Event) -> Result<Option<Value>, Problem>;
    fn opened(&self) -> &Opened;
}

/// Begins a history of an aggregate type that is known by its name.
struct Begin;

impl Visitor for Begin {
    type Output = fn() -> Box<dyn History>;

    fn visit<A: Decider>(self) -> Self::Output {
        || Box::new(Fold::<A>::new())
    }
}

/// What a history of that type begins with; `None`: there is no such type.
pub(super) fn of(kind: &str) -> Option<fn() -> Box<dyn History>> {
    catalog::visit(kind, Begin)
}

/// Decodes rows of one stream; one that cannot be read is a refusal.
pub(super) async fn decode(
    log: &EventLog,
    rows: Vec<StoredEvent>,
) -> Result<Vec<Arc<RecordedEvent>>, Problem> {
    let entries = log.decode(rows).await.map_err(failed)?;
    let event = |entry: soonshop_event_log::Entry| match entry.content {
        Content::Event(event) => Ok(event),
        _ => Err(unreadable(entry.position)),
    };
    entries.into_iter().map(event).collect()
}

fn unreadable(position: i64) -> Problem {
    let detail =
        format!("the event at position {position} is of a newer release, or holds what cannot be opened");
    Problem::unavailable("history-unreadable", detail, Duration::from_mins(1)).with("position", position)
}

/// What is kept of the last event.
pub(super) struct Last {
    pub(super) version: i64,
    pub(super) position: i64,
    pub(super) event_id: Uuid,
    pub(super) kind: String,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) recorded_at: DateTime<Utc>,
}

pub(super) struct Fold<A> {
    pub(super) state: A,
    pub(super) last: Option<Last>,
    pub(super) opened: Opened,
}

impl<A: Decider> Fold<A> {
    pub(super) fn new() -> Self {
        Self { state: A::default(), last: None, opened: Opened::default() }
    }

    pub(super) fn apply(&mut self, recorded: Arc<RecordedEvent>) -> Result<(), Problem> {
        let RecordedEvent { position, event_id, version, occurred_at, recorded_at, event, .. } =
            Arc::unwrap_or_clone(recorded);
        let kind = event.event_type().to_owned();
        let mut event: A::Event = event.try_into().map_err(|_| unreadable(position))?;
        self.opened.remember(&mut event)?;
        self.state.apply(event);
        self.last = Some(Last { version, position, event_id, kind, occurred_at, recorded_at });
        Ok(())
    }
}

impl<A: Decider + Send> History for Fold<A> {
    fn apply(&mut self, event: Arc<RecordedEvent>) -> Result<(), Problem> {
        Self::apply(self, event)
    }

    fn sealed(&self) -> Result<Value, Problem> {
        serde_json::to_value(&self.state).map_err(Problem::internal)
    }

    fn around(&self, event: &Event) -> Result<Option<Value>, Problem> {
        let part = self.state.around(event);
        part.map(|part| serde_json::to_value(part)).transpose().map_err(Problem::internal)
    }

    fn opened(&self) -> &Opened {
        &self.opened
    }
}

/// What stands behind each seal of a history. A state serializes its personal values as their seals; here alone they
/// become what people may read.
#[derive(Default)]
pub(super) struct Opened {
    texts: HashMap<String, Option<Value>>,
    /// The seals as they came.
    order: Vec<String>,
}

/// The plaintext of a seal.
#[derive(serde::Deserialize)]
struct Inner {
    value: Value,
}

impl Opened {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Each seal in the order in which they came, with the text behind it; none where it was erased.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.order.iter().map(|seal| (seal.as_str(), self.texts.get(seal).and_then(Option::as_ref)))
    }

    fn remember(&mut self, event: &mut impl soonshop_domain::Sensitive) -> Result<(), Problem> {
        for value in event.personal() {
            let Some(seal) = value.jwe().map(str::to_owned) else { continue };
            let text = value.plaintext().transpose().map_err(Problem::internal)?;
            let inner = text.map(|text| serde_json::from_slice::<Inner>(&text)).transpose();
            let inner = inner.map_err(|_| Problem::internal("a seal without a value"))?;
            if self.texts.insert(seal.clone(), inner.map(|inner| inner.value)).is_none() {
                self.order.push(seal);
            }
        }
        Ok(())
    }

    /// Puts the clear text in place of each seal, and null where it was erased; true if any was.
    pub(super) fn show(&self, state: &mut Value) -> bool {
        match state {
            Value::String(text) => match self.texts.get(text.as_str()) {
                Some(Some(clear)) => {
                    *state = clear.clone();
                    false
                }
                Some(None) => {
                    *state = Value::Null;
                    true
                }
                None => false,
            },
            Value::Array(items) => items.iter_mut().fold(false, |erased, item| self.show(item) | erased),
            Value::Object(fields) => {
                fields.values_mut().fold(false, |erased, field| self.show(field) | erased)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use soonshop_domain::TYPES;

    #[test]
    fn every_type_of_ours_can_be_folded_and_no_other() {
        for kind in TYPES {
            assert!(super::of(kind).is_some(), "{kind}");
        }
        assert!(super::of("payment").is_none());
    }
}
