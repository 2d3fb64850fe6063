//! What the shop is and what may happen in it: aggregates, their commands, events and refusals, and the process
//! managers, as pure functions.
//!
//! This crate knows no database, no broker and no web server. Whatever comes from outside (the time, a price, an id)
//! arrives in the command or in [`Facts`]. One file per bounded context; start reading at [`order`], then
//! [`process`] and [`fulfilment`], then [`Decider`].
//!
//! The names and shapes of events are for ever: `tests/golden/` holds each of them as it is stored.

pub mod catalog;
pub mod claim;
pub mod clock;
pub mod context;
pub mod error;
pub mod event_info;
pub mod fulfilment;
#[cfg(test)]
mod golden;
pub mod ids;
pub mod inventory;
pub mod metadata;
pub mod money;
pub mod order;
pub mod personal;
pub mod process;
pub mod product;
pub mod query_error;
pub mod release_unshipped;
pub mod text;
pub mod user;

pub use catalog::{AGGREGATES, Command, Dispatch, Event, TYPES, Upcaster, context_of, state_types};
pub use claim::Hold;
pub use error::{Classified, ErrorKind};
pub use event_info::{EventInfo, EventType, Expectation};
pub use metadata::{Actor, ActorKind, Channel, Metadata};
pub use money::{Currency, Money};
pub use personal::{Personal, PersonalValue, Purpose, Sensitive};
pub use query_error::{QueryError, QueryErrorKind};

use chrono::{DateTime, Utc};

/// What a decision may know besides the state and the command.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When it happened, in the business's terms.
    pub now: DateTime<Utc>,
}

/// An aggregate whose decision is a pure, synchronous function; `cqrs_es::Aggregate::handle` calls it.
pub trait Decider:
    cqrs_es::Aggregate<
        Services = Facts,
        Command: Clone + Send + Sync,
        Event: EventInfo + TryFrom<Event>,
        Error: Classified,
    > + Clone
    + 'static
{
    /// Goes up with every change of what `apply` makes of a history; a snapshot of another version does not count.
    const STATE_VERSION: u32;

    /// The events that the command leads to, or why it is refused. No events: it is done already.
    fn decide(&self, command: Self::Command, facts: &Facts) -> Result<Vec<Self::Event>, Self::Error>;

    /// The unique values that the aggregate holds once `event` (with its personal values clear) has happened.
    fn holds(&self, _event: &Self::Event) -> Vec<Hold> {
        Vec::new()
    }

    /// The state without most of what the event cannot change, for states that grow with their history: what differs
    /// before and after it is what differs in the whole. `None`: the whole is as good.
    fn around(&self, _event: &Event) -> Option<Self> {
        None
    }
}
