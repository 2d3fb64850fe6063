//! Rates that are counted in this process. The table of callers has a bound: when it is full, those go first who have
//! most of their rate back, so that a caller who is at its limit does not get rid of it by calling under many names.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Rate, Rates, Taken, take};
use crate::port::Error;

/// The most callers in the table: with them it has about 3 MiB.
const MOST: usize = 65_536;

/// Rates that are counted in this process.
#[derive(Debug)]
pub struct InProcess {
    begun: Instant,
    /// A caller is kept as 128 bits of its name, under hashes that nobody outside knows: the names have no bound, and
    /// may be addresses of people.
    hashes: [RandomState; 2],
    /// The moment, in microseconds from the beginning, at which a caller has all back.
    full_at: Mutex<HashMap<[u64; 2], u64>>,
}

impl Default for InProcess {
    fn default() -> Self {
        let hashes = [RandomState::new(), RandomState::new()];
        Self { begun: Instant::now(), hashes, full_at: Mutex::default() }
    }
}

impl InProcess {
    /// Like [`Rates::take`], and always answered at once.
    pub fn take_now(&self, caller: &str, rate: Rate) -> Taken {
        let name = [self.hashes[0].hash_one(caller), self.hashes[1].hash_one(caller)];
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Each change under the lock is a single step, so what a panic left is valid.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, after) = take(rate, now, full_at.get(&name).copied());
        if let Some(after) = after {
            if full_at.len() >= MOST && !full_at.contains_key(&name) {
                make_room(&mut full_at, now);
            }
            full_at.insert(name, after);
        }
        taken
    }
}

/// Removes those who have all back: they are as if they had never called. If these are few, also the half that has
/// most back.
fn make_room(full_at: &mut HashMap<[u64; 2], u64>, now: u64) {
    full_at.retain(|_, at| *at > now);
    if full_at.len() > MOST / 4 * 3 {
        let mut moments: Vec<u64> = full_at.values().copied().collect();
        let middle = moments.len() / 2;
        let (_, middle, _) = moments.select_nth_unstable(middle);
        full_at.retain(|_, at| *at > *middle);
    }
}

#[async_trait]
impl Rates for InProcess {
    fn backend(&self) -> &'static str {
        "in-process"
    }

    async fn take(&self, caller: &str, rate: Rate) -> Result<Taken, Error> {
        Ok(self.take_now(caller, rate))
    }

    async fn examine(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn callers(rates: &InProcess) -> usize {
        rates.full_at.lock().unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_million_addresses_fit_in_the_table_and_do_not_free_a_caller_at_its_limit() {
        let (rates, rate) = (InProcess::default(), Rate::new(100, Duration::from_mins(1)).unwrap());
        while rates.take_now("at its limit", rate).allowed {}
        for address in 0..1_000_000_u32 {
            assert!(rates.take_now(&std::net::Ipv4Addr::from(address).to_string(), rate).allowed);
            assert!(callers(&rates) <= MOST);
        }
        assert!(!rates.take_now("at its limit", rate).allowed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_has_all_back_is_forgotten_first() {
        let (rates, rate) = (InProcess::default(), Rate::new(1, Duration::from_mins(1)).unwrap());
        for number in 0..MOST {
            assert!(rates.take_now(&number.to_string(), rate).allowed);
        }
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!rates.take_now("0", rate).allowed);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(rates.take_now("another", rate).allowed);
        assert_eq!(callers(&rates), 1);
        assert!(rates.take_now("0", rate).allowed);
    }
}
