//! The gate that all sign-ins go through: what concerns no account alone. A stream is a day's.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plain_facts;
use crate::{Decider, EventInfo, Expectation, Facts, Money, PersonalValue, Sensitive, ids};

pub use super::Never as Error;

/// The stream of a day, in UTC.
pub fn stream(day: NaiveDate) -> Uuid {
    ids::derived(ids::GATES, &[&day.format("%Y-%m-%d").to_string()])
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    /// So many since that moment, over so many accounts; at others no account was named.
    ManySignInsFailed { count: i64, accounts: i64, since: chrono::DateTime<chrono::Utc> },
}

fn nobody(_: &Event, _: Uuid) -> Option<Uuid> {
    None
}

plain_facts!(nobody, Gate);

/// What the facts of a day come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// In how many of its hours many sign-ins failed.
    pub hours: u32,
}

impl Gate {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::ManySignInsFailed { .. } => self.hours = self.hours.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Sample;

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::ManySignInsFailed => Self::ManySignInsFailed {
                    count: 1_001,
                    accounts: 640,
                    since: "2026-01-02T03:04:05.006Z".parse().unwrap(),
                },
            }
        }
    }

    #[test]
    fn a_day_has_one_stream_for_ever() {
        let day = NaiveDate::from_ymd_opt(2026, 1, 2).unwrap();
        assert_eq!(stream(day), stream(day));
        assert_ne!(stream(day), stream(day.succ_opt().unwrap()));
    }
}
