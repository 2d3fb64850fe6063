//! How an aggregate decides: a pure function of its state, a command and a few facts from outside.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Currency;
use crate::claim::Hold;
use crate::error::Classified;
use crate::event_info::EventInfo;

/// Facts that a decision may use besides the state and the command.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When it happened, in the business's terms.
    pub now: DateTime<Utc>,
}

/// An aggregate with a row in the catalog. The row implements it.
#[diagnostic::on_unimplemented(message = "`{Self}` has no row in `catalog!` (domain/src/catalog.rs)")]
pub trait InCatalog {}

/// An aggregate whose decision is a pure, synchronous function; `cqrs_es::Aggregate::handle` calls it.
pub trait Decider:
    InCatalog
    + cqrs_es::Aggregate<
        Services = Facts,
        Command: Clone + Send + Sync,
        Event: EventInfo + 'static,
        Error: Classified,
    > + Clone
    + 'static
{
    /// Goes up with every change of what `apply` makes of a history; a snapshot of another version does not count.
    const STATE_VERSION: u32;

    /// The oldest version of a snapshot from which this code still goes on.
    const OLDEST_STATE: u32 = Self::STATE_VERSION;

    /// A state that grows with its history keeps what grows in parts, each under a key. These are the fields of events
    /// whose values, joined by `/`, are the key: events are found by them (`EventLog::part`). Empty: no parts.
    const PART_KEY: &'static [&'static str] = &[];

    /// The aggregate type under whose name its [holds](Self::holds) stand: of two types that share their ids, one may go on
    /// with what the other holds.
    const HOLDER: &'static str = Self::TYPE;

    /// Where the state's JSON holds an amount without its currency, as a bare number of minor units: the names of the
    /// fields with dots between them, `*` for any name. They are shown with [`currency`](Self::currency).
    const BARE_AMOUNTS: &'static [&'static str] = &[];

    /// The currency of the [bare amounts](Self::BARE_AMOUNTS).
    fn currency(&self) -> Option<Currency> {
        None
    }

    /// The events that the command leads to, or why it is refused. No events: it is done already.
    fn decide(&self, command: Self::Command, facts: &Facts) -> Result<Vec<Self::Event>, Self::Error>;

    /// The unique values that the aggregate holds once `event` (with its personal values clear) has happened.
    fn holds(&self, _event: &Self::Event) -> Vec<Hold> {
        Vec::new()
    }

    /// The person that a note beside the event is about: the note is erased with them.
    fn note_about(&self, event: &Self::Event, stream: Uuid) -> Option<Uuid> {
        event.subject(stream)
    }

    /// The state without most of what the event cannot change, for states that grow with their history: what differs
    /// before and after it is what differs in the whole. `None`: the whole is as good.
    fn around(&self, _event: &Self::Event) -> Option<Self> {
        None
    }

    /// The keys of the parts that the decision on this command reads. The store keeps few parts in memory, and has these
    /// there when it asks for the decision.
    fn parts_read(_command: &Self::Command) -> Vec<String> {
        Vec::new()
    }

    /// The key of the part that the event changes. A part depends on the events of its key alone, and nothing else of
    /// the state depends on a part.
    fn part_changed(_event: &Self::Event) -> Option<String> {
        None
    }

    /// Whether this is the key of a part, present or not.
    fn is_part(_key: &str) -> bool {
        false
    }

    /// Puts the part of this key, present or absent, into another state, in place of the one there.
    fn move_part(&mut self, _key: &str, _to: &mut Self) {}

    /// The state without its parts: what a snapshot holds.
    fn without_parts(&self) -> Cow<'_, Self> {
        Cow::Borrowed(self)
    }

    /// The state with at most so many of its parts, from the first key after `after` on, for an answer that must not
    /// grow with the history. `None`: there are no parts.
    fn page(&self, _after: &str, _most: usize) -> Option<PartsPage<Self>> {
        None
    }
}

/// The most parts of a state in one answer.
pub const PARTS_SHOWN: usize = 100;

/// A state with some of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsPage<A> {
    pub state: A,
    /// How many parts there are in all.
    pub total: usize,
    /// The last key on this page, if there are more after it.
    pub next: Option<String>,
}

/// The name of its type in the log.
pub fn type_of<A: Decider>() -> &'static str {
    A::TYPE
}

/// A state as JSON for people: every amount has its currency, which comes from `of`, the whole state. (`part` may be less
/// than the whole: see [`Decider::around`].)
pub fn state_to_show<A: Decider>(part: &A, of: &A) -> serde_json::Result<Value> {
    let mut state = serde_json::to_value(part)?;
    if let Some(currency) = of.currency() {
        for path in A::BARE_AMOUNTS {
            add_currency(&mut state, path, currency);
        }
    }
    Ok(state)
}

/// Makes the numbers at this path into amounts of the currency.
fn add_currency(value: &mut Value, path: &str, currency: Currency) {
    if path.is_empty() {
        if value.is_number() {
            *value = json!({ "amount": value.take(), "currency": currency });
        }
        return;
    }
    let (name, below) = path.split_once('.').unwrap_or((path, ""));
    let Value::Object(fields) = value else { return };
    for (_, field) in fields.iter_mut().filter(|(field, _)| name == "*" || *field == name) {
        add_currency(field, below, currency);
    }
}
