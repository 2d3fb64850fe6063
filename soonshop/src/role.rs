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
    /// Runs process managers, the eraser, the purger, the sealer, and what accounts need
    Reactor,
}

impl Role {
    /// As `--role` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::CommandApi => "command-api",
            Self::QueryApi => "query-api",
            Self::Projector => "projector",
            Self::Relay => "relay",
            Self::Reactor => "reactor",
        }
    }

    pub(crate) fn has(self, role: Self) -> bool {
        self == Self::All || self == role
    }

    /// Whether it writes the log.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::All | Self::CommandApi | Self::Reactor)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::Role;

    #[test]
    fn a_role_is_named_as_it_is_asked_for() {
        for role in Role::value_variants() {
            assert_eq!(Role::from_str(role.name(), false), Ok(*role));
        }
    }
}
