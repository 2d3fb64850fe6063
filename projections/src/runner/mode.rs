//! How a generation is folded: how failing events are handled, and how much stays in memory between batches.

use crate::projector::Unit;

/// How an event that a projector cannot take is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// It is parked, and so are later events for the same rows; all others go on.
    Park,
    /// The fold stops: [`Stopped::Poison`](soonshop_event_log::Stopped::Poison).
    Stop,
}

/// How batches follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each is committed before the next one begins.
    Stepwise,
    /// Live: for projectors that only add rows, one is folded while the one before it is written.
    Live,
    /// Without readers, as in a rebuild: up to this many rows stay in memory between batches. While all rows of the
    /// generation are in memory, a batch is folded while the one before it is written.
    Bulk { keep: usize },
}

impl Mode {
    /// How many rows stay in memory between batches. No other process changes them: each batch begins with the
    /// checkpoint.
    pub(super) fn keep(self) -> usize {
        match self {
            Self::Stepwise | Self::Live => 0,
            Self::Bulk { keep } => keep,
        }
    }
}

/// The rows that stay in memory between two batches.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) unit: Unit,
    /// All rows that exist and that an event could ask for are in memory.
    pub(super) all: bool,
}
