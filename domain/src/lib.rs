//! The rules of the shop: aggregates, their commands, events and refusals, and the process managers, as pure functions.
//!
//! This crate knows no database, no broker and no web server. Input from outside (the time, a price, an id) arrives in
//! the command or in [`Facts`]. One file per bounded context; start reading at [`order`], then [`process`] and
//! [`fulfilment`], then [`Decider`].
//!
//! The names and shapes of events never change: `tests/golden/` holds each of them as it is stored.

pub mod aggregate_type;
pub mod cart;
pub mod cart_expiry;
pub mod catalog;
pub mod checkout;
pub mod checkout_process;
pub mod claim;
pub mod clock;
pub mod context;
pub mod decider;
pub mod error;
pub mod event_info;
pub mod fulfilment;
#[cfg(test)]
mod golden;
pub mod identity;
pub mod ids;
pub mod inventory;
pub mod metadata;
pub mod money;
pub mod order;
pub mod payment;
pub mod personal;
pub mod process;
pub mod process_managers;
pub mod product;
pub mod query_error;
pub mod reasons;
pub mod release_unshipped;
pub mod tender;
pub mod text;
pub mod user;

pub use aggregate_type::AggregateType;
pub use catalog::{AGGREGATES, Command, Dispatch, Event, TYPES, Upcaster, context_of, state_types};
pub use claim::Hold;
pub use decider::{Decider, Facts, PartsPage, type_of};
pub use error::{Classified, ErrorKind};
pub use event_info::{EventInfo, EventType, Expectation};
pub use metadata::{Actor, ActorKind, Channel, Metadata};
pub use money::{Currency, Money};
pub use personal::{Personal, PersonalValue, Purpose, Sensitive};
pub use query_error::{QueryError, QueryErrorKind};
