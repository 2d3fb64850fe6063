//! Rates: how often a caller may do something.
//!
//! They are counted by the generic cell rate algorithm: of 600 in a minute, a caller who was quiet may do all 600 at
//! once, and gets one back every tenth of a second. One number is kept for a caller: the moment at which all is given
//! back. It is kept in this process ([`InProcess`](crate::InProcess)), or in Redis for all processes of the shop.

pub(crate) mod in_process;

use std::time::Duration;

use async_trait::async_trait;

use crate::port::Error;

/// So many in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    window: Duration,
}

/// The longest time of a rate.
const LONGEST: Duration = Duration::from_hours(24);

/// The highest count of a rate.
const MOST: u32 = 1_000_000;

impl Rate {
    /// At most a million, in one second to one day. The error says so.
    pub fn new(count: u32, window: Duration) -> Result<Self, &'static str> {
        if !(1..=MOST).contains(&count) {
            return Err("the count is from 1 to 1,000,000");
        }
        if window < Duration::from_secs(1) || window > LONGEST {
            return Err("the time is from one second to one day");
        }
        Ok(Self { count, window })
    }

    /// How many.
    pub fn count(self) -> u32 {
        self.count
    }

    /// In which time.
    pub fn window(self) -> Duration {
        self.window
    }

    /// So many times as much in the same time, at most a million.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        Self { count: self.count.saturating_mul(factor).min(MOST), ..self }
    }

    /// The microseconds after which one is given back: at least 1, as at most a million are taken in a second.
    pub(crate) fn step(self) -> u64 {
        u64::try_from(self.window.as_micros()).unwrap_or(u64::MAX) / u64::from(self.count)
    }
}

/// The answer to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// It may be done, and was counted. What may not be done is not counted.
    pub allowed: bool,
    /// How many more may be done at once.
    pub left: u32,
    /// When all is given back.
    pub full_after: Duration,
    /// When the next may be done; zero if it may be done now.
    pub retry_after: Duration,
}

/// Where rates are counted.
#[async_trait]
pub trait Rates: Send + Sync + 'static {
    /// `in-process` or `redis`.
    fn backend(&self) -> &'static str;

    /// Takes one of the caller's, if there is one left. The name of a caller is any text.
    async fn take(&self, caller: &str, rate: Rate) -> Result<Taken, Error>;

    /// Checks that rates can be counted, for a caller of its own.
    async fn examine(&self) -> Result<(), Error>;
}

/// Takes one at the moment `now` from a caller to whom all is given back at `full_at`; returns the answer, and the new
/// moment if it may be done. All in microseconds.
pub(crate) fn take(rate: Rate, now: u64, full_at: Option<u64>) -> (Taken, Option<u64>) {
    let step = rate.step();
    let full = step * u64::from(rate.count());
    // Never further away than the whole rate: the clock may have been set back, or the rate have become lower.
    let before = full_at.unwrap_or(now).clamp(now, now + full);
    let after = before + step;
    let allowed = after <= now + full;
    let at = if allowed { after } else { before };
    let taken = Taken {
        allowed,
        left: u32::try_from((now + full - at) / step).unwrap_or(u32::MAX),
        full_after: Duration::from_micros(at - now),
        retry_after: Duration::from_micros(if allowed { 0 } else { after - full - now }),
    };
    (taken, allowed.then_some(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_rate_is_given_back_bit_by_bit_and_a_refusal_costs_nothing() {
        let rate = Rate::new(3, Duration::from_secs(30)).unwrap();
        let mut full_at = None;
        let mut taken = |now: u64| {
            let (taken, after) = take(rate, now, full_at);
            full_at = after.or(full_at);
            (taken.allowed, taken.left, taken.full_after.as_secs(), taken.retry_after.as_secs())
        };
        assert_eq!(taken(100 * SECOND), (true, 2, 10, 0));
        assert_eq!(taken(100 * SECOND), (true, 1, 20, 0));
        assert_eq!(taken(100 * SECOND), (true, 0, 30, 0));
        for _ in 0..5 {
            assert_eq!(taken(104 * SECOND), (false, 0, 26, 6));
        }
        assert_eq!(taken(110 * SECOND), (true, 0, 30, 0));
        assert_eq!(taken(110 * SECOND), (false, 0, 30, 10));
        assert_eq!(taken(500 * SECOND), (true, 2, 10, 0));
    }

    #[test]
    fn nobody_waits_longer_than_for_the_whole_rate_whatever_the_clock_does() {
        let rate = Rate::new(2, Duration::from_secs(10)).unwrap();
        let (taken, _) = take(rate, 100 * SECOND, Some(9_000 * SECOND));
        assert_eq!((taken.allowed, taken.full_after.as_secs(), taken.retry_after.as_secs()), (false, 10, 5));
    }

    #[test]
    fn a_rate_has_bounds_and_the_highest_one_is_counted_too() {
        let second = Duration::from_secs(1);
        for (count, window) in [(0, second), (MOST + 1, second), (1, second / 2), (1, LONGEST + second)] {
            assert!(Rate::new(count, window).is_err(), "{count} in {window:?}");
        }
        let most = Rate::new(600, second).unwrap().times(u32::MAX);
        assert_eq!((most.count(), most.step()), (MOST, 1));
        assert_eq!(take(most, 7, None).0.left, MOST - 1);
    }
}
