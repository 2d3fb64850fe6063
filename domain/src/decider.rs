//! How an aggregate decides: a pure function of its state, a command and a few facts from outside.

use chrono::{DateTime, Utc};

use crate::claim::Hold;
use crate::error::Classified;
use crate::event_info::EventInfo;

/// What a decision may know besides the state and the command.
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

    /// The events that the command leads to, or why it is refused. No events: it is done already.
    fn decide(&self, command: Self::Command, facts: &Facts) -> Result<Vec<Self::Event>, Self::Error>;

    /// The unique values that the aggregate holds once `event` (with its personal values clear) has happened.
    fn holds(&self, _event: &Self::Event) -> Vec<Hold> {
        Vec::new()
    }

    /// The state without most of what the event cannot change, for states that grow with their history: what differs
    /// before and after it is what differs in the whole. `None`: the whole is as good.
    fn around(&self, _event: &Self::Event) -> Option<Self> {
        None
    }
}
