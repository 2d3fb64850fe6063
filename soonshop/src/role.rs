//! The roles of a process.

/// One role, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Everything, in one process
    All,
    /// Takes commands
    CommandApi,
    /// Answers queries
    QueryApi,
    /// Builds read models, index and cache
    Projector,
    /// Publishes the log on the bus
    Relay,
    /// Runs process managers, the eraser, the purger and the sealer
    Reactor,
}

impl Role {
    pub(crate) fn has(self, role: Self) -> bool {
        self == Self::All || self == role
    }

    /// Whether it writes the log.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::All | Self::CommandApi | Self::Reactor)
    }
}
