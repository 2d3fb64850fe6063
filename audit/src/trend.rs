//! Whether a lag grows: its value now compared with a minute ago, as far as it was looked at.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

/// The age of the value that a lag is compared with.
const SPAN: Duration = Duration::from_mins(1);

/// The least time between two remembered values: frequent looks do not shorten the minute.
const EACH: Duration = Duration::from_secs(1);

/// How a lag changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    Growing,
    Shrinking,
    Steady,
}

/// Past lags by follower, one value per look.
#[derive(Default)]
pub struct Trends {
    looks: Mutex<HashMap<String, VecDeque<(Instant, i64)>>>,
}

impl Trends {
    /// Remembers a lag in events, and returns how it changes.
    pub fn look(&self, follower: &str, lag: i64) -> Trend {
        self.look_at(Instant::now(), follower, lag)
    }

    fn look_at(&self, now: Instant, follower: &str, lag: i64) -> Trend {
        let mut all = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = all.entry(follower.to_owned()).or_default();
        // Keeps the newest value that is older than the span, and all newer ones.
        while looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= SPAN) {
            looks.pop_front();
        }
        let before = looks.front().map_or(lag, |(_, lag)| *lag);
        if looks.back().is_none_or(|(at, _)| now.duration_since(*at) >= EACH) {
            looks.push_back((now, lag));
        }
        match lag.cmp(&before) {
            std::cmp::Ordering::Greater => Trend::Growing,
            std::cmp::Ordering::Less => Trend::Shrinking,
            std::cmp::Ordering::Equal => Trend::Steady,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_looks_do_not_shorten_the_minute() {
        let (trends, begun) = (Trends::default(), Instant::now());
        let at = |millis, lag| trends.look_at(begun + Duration::from_millis(millis), "orders", lag);
        assert_eq!(at(0, 0), Trend::Steady);
        let often: Vec<_> = (1..300).map(|look| at(20 * look, 7)).collect();
        assert!(often.iter().all(|trend| *trend == Trend::Growing), "{often:?}");
    }

    #[test]
    fn a_lag_is_compared_with_its_value_a_minute_ago() {
        let (trends, begun) = (Trends::default(), Instant::now());
        let at = |seconds, lag| trends.look_at(begun + Duration::from_secs(seconds), "orders", lag);
        assert_eq!((at(0, 0), at(10, 50), at(20, 100)), (Trend::Steady, Trend::Growing, Trend::Growing));
        assert_eq!(at(70, 60), Trend::Growing, "it was 50 a minute ago");
        assert_eq!(at(85, 60), Trend::Shrinking, "it was 100");
        assert_eq!(at(200, 60), Trend::Steady);
        assert_eq!(trends.look_at(begun, "users", 7), Trend::Steady, "each by itself");
    }
}
