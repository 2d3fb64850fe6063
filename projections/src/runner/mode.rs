//! How a generation is folded: what is done about an event that fails, and how much is kept in memory between batches.

use crate::projector::Unit;
use crate::transaction::Durable;

/// What is done about an event that a projector cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// It is parked, with what follows for its rows; the rest goes on.
    Park,
    /// Nothing goes on: [`Stopped::Poison`](soonshop_event_log::Stopped::Poison).
    Stop,
}

/// How batches follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each is in the database before the next one begins.
    Stepwise,
    /// Live: one is folded while the one before it is written, where that takes no rows at all.
    Live,
    /// A rebuild: rows stay in memory from one batch to the next, up to so many, and as long as all rows that there are
    /// stay there, a batch is folded while the one before it is written. Nobody reads what is being built, so commits
    /// do not wait for the disk.
    Bulk { keep: usize },
}

impl Mode {
    /// How many rows stay in memory from one batch to the next. Nobody else changes them: a batch begins with the
    /// checkpoint.
    pub(super) fn keep(self) -> usize {
        match self {
            Self::Stepwise | Self::Live => 0,
            Self::Bulk { keep } => keep,
        }
    }

    pub(super) fn durable(self) -> Durable {
        match self {
            Self::Stepwise | Self::Live => Durable::AtOnce,
            Self::Bulk { .. } => Durable::Soon,
        }
    }
}

/// The rows that are in memory between two batches.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) unit: Unit,
    /// They are all rows that there are and that an event could ask for.
    pub(super) all: bool,
}
