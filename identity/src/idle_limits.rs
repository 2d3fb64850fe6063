//! After how long without use a session ends.

use std::time::Duration;

use crate::stored::{HOUR, milliseconds};

/// After how long without use a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleLimits {
    pub staff: Duration,
    pub customers: Duration,
}

impl Default for IdleLimits {
    fn default() -> Self {
        let customers = Duration::from_millis(30 * 24 * HOUR.unsigned_abs());
        Self { staff: Duration::from_hours(1), customers }
    }
}

impl IdleLimits {
    /// In milliseconds.
    pub(crate) fn of(self, staff: bool) -> i64 {
        milliseconds(if staff { self.staff } else { self.customers })
    }

    /// Whether a session that was used then was not used for too long.
    pub(crate) fn are_over(self, staff: bool, used_at: i64, now: i64) -> bool {
        now - used_at >= self.of(staff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_its_limit_has_passed_of_staff_sooner() {
        let limits = IdleLimits::default();
        for (staff, unused, over) in [
            (true, HOUR - 1, false),
            (true, HOUR, true),
            (false, HOUR, false),
            (false, 30 * 24 * HOUR - 1, false),
            (false, 30 * 24 * HOUR, true),
        ] {
            assert_eq!(limits.are_over(staff, 1_000, 1_000 + unused), over, "{staff} {unused}");
        }
        assert!(!limits.are_over(true, 2_000, 1_000), "a clock that went back");
    }
}
