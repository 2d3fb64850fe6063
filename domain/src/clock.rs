//! The one place where the time of day comes from.

use chrono::{DateTime, SubsecRound, Utc};

/// Now, in whole microseconds: what the log and every answer can carry.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is told to use")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
