//! After how long without use a session ends.

use std::time::Duration;

use soonshop_identity::IdleLimits;

/// The limits of sessions. The defaults are those of NIST SP 800-63B-4: an hour for who works for the shop; for customers the
/// longest time that a session lasts anyway.
#[derive(Debug, Clone, clap::Args)]
pub struct SessionSettings {
    /// After how many minutes without use a session of staff ends
    #[arg(long, env = "SOONSHOP_IDLE_STAFF_MINUTES", default_value_t = 60, global = true,
          value_parser = clap::value_parser!(u16).range(5..=720))]
    pub idle_staff_minutes: u16,
    /// After how many minutes without use a session of a customer ends
    #[arg(long, env = "SOONSHOP_IDLE_CUSTOMERS_MINUTES", default_value_t = 43_200, global = true,
          value_parser = clap::value_parser!(u16).range(5..=43_200))]
    pub idle_customers_minutes: u16,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { idle_staff_minutes: 60, idle_customers_minutes: 43_200 }
    }
}

impl SessionSettings {
    pub(crate) fn limits(&self) -> IdleLimits {
        IdleLimits {
            staff: Duration::from_mins(self.idle_staff_minutes.into()),
            customers: Duration::from_mins(self.idle_customers_minutes.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        sessions: SessionSettings,
    }

    #[test]
    fn a_session_ends_after_five_minutes_at_least_and_by_default_as_the_identity_says() {
        let parsed = |flags: &[&str]| Cli::try_parse_from([&["soonshop"], flags].concat());
        assert_eq!(parsed(&[]).unwrap().sessions.limits(), IdleLimits::default());
        assert_eq!(SessionSettings::default().limits(), IdleLimits::default());
        let short = parsed(&["--idle-staff-minutes", "5", "--idle-customers-minutes", "30"]).unwrap();
        assert_eq!(short.sessions.limits().staff, Duration::from_mins(5));
        for bad in [
            ["--idle-staff-minutes", "4"],
            ["--idle-staff-minutes", "721"],
            ["--idle-customers-minutes", "0"],
        ] {
            assert!(parsed(&bad).is_err(), "{bad:?}");
        }
    }
}
