//! The classes of endpoints, and how often each may be asked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use soonshop_cache::Rate;

/// The class of an endpoint, for rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Class {
    /// The health of the shop: never counted, and never refused.
    Health,
    /// A look at one thing or at a list, a page, a file.
    Reads,
    /// A full-text search, a report, a search of the audit trail, an export.
    Searches,
    /// A command, and every other change.
    Writes,
    /// A look at a person: a user's details, the person who has a known value, values that are revealed.
    LookUps,
    /// A check of a key or a session that this process has not found right before. Counted by address, where the check
    /// is made.
    SignIns,
}

/// Every class with its rate, as a setting says it.
pub const DEFAULTS: &str =
    "reads=6000/60s,searches=1200/60s,writes=600/60s,look-ups=120/60s,sign-ins=300/60s";

impl Class {
    /// Those that are counted.
    pub const ALL: [Self; 5] = [Self::Reads, Self::Searches, Self::Writes, Self::LookUps, Self::SignIns];

    /// Whether it is counted for all processes together. To count reads so would cost as much as many of them.
    pub(super) fn is_shared(self) -> bool {
        self != Self::Reads
    }

    /// Some of it, for a sentence.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Health => "questions how it stands",
            Self::Reads => "queries",
            Self::Searches => "searches and reports",
            Self::Writes => "changes",
            Self::LookUps => "look-ups of people",
            Self::SignIns => "keys that are not known yet",
        }
    }
}

/// A setting: the rate of one class, or none of any class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `off`: nothing is counted.
    Off,
    /// `writes=600/60s`; `writes=off` is `None`: this class is not counted.
    Of(Class, Option<Rate>),
}

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: a rate is like writes=600/60s (reads, searches, writes, look-ups, sign-ins; s, m or h), writes=off, or off"
)]
pub struct BadSetting(String);

impl FromStr for Setting {
    type Err = BadSetting;

    fn from_str(text: &str) -> Result<Self, BadSetting> {
        let bad = |why: &str| BadSetting(why.to_owned());
        if text == "off" {
            return Ok(Self::Off);
        }
        let (class, rate) = text.split_once('=').ok_or_else(|| bad("there is no = in it"))?;
        let class = Class::ALL.into_iter().find(|known| known.as_ref() == class);
        let class = class.ok_or_else(|| bad("there is no such class"))?;
        if rate == "off" {
            return Ok(Self::Of(class, None));
        }
        let (count, time) = rate.split_once('/').ok_or_else(|| bad("it has no count and time"))?;
        let count = whole(count).ok_or_else(|| bad("the count is no whole number"))?;
        let unit = time.chars().last().unwrap_or_default();
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            _ => return Err(bad("the time has no unit")),
        };
        let time = whole(&time[..time.len() - 1]).ok_or_else(|| bad("the time is no whole number"))?;
        let time = Duration::from_secs(u64::from(time) * seconds);
        Rate::new(count, time).map(|rate| Self::Of(class, Some(rate))).map_err(bad)
    }
}

/// Digits only.
fn whole(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Of(class, None) => write!(f, "{class}=off"),
            Self::Of(class, Some(rate)) => {
                write!(f, "{class}={}/{}s", rate.count(), rate.window().as_secs())
            }
        }
    }
}

/// The rate of each class that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RateTable(Vec<(Class, Rate)>);

impl RateTable {
    /// The defaults, with these settings over them. Of two for one class the last counts.
    pub(super) fn of(settings: &[Setting]) -> Self {
        let defaults = DEFAULTS.split(',').filter_map(|text| text.parse().ok());
        let mut rates = Vec::new();
        for setting in defaults.chain(settings.iter().copied()) {
            match setting {
                Setting::Off => rates.clear(),
                Setting::Of(class, rate) => {
                    rates.retain(|(known, _)| *known != class);
                    rates.extend(rate.map(|rate| (class, rate)));
                }
            }
        }
        Self(rates)
    }

    /// The rate of a class; `None`: it is not counted.
    pub(super) fn rate(&self, class: Class) -> Option<Rate> {
        self.0.iter().find(|(known, _)| *known == class).map(|(_, rate)| *rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_rate_by_default_and_settings_replace_single_ones() {
        let minute = Duration::from_mins(1);
        let rates = RateTable::of(&[]);
        for class in Class::ALL {
            assert!(rates.rate(class).is_some(), "{class}");
        }
        assert_eq!(rates.rate(Class::Health), None);
        let rates = RateTable::of(&["writes=7/1m".parse().unwrap(), "searches=off".parse().unwrap()]);
        assert_eq!(rates.rate(Class::Writes), Rate::new(7, minute).ok());
        assert_eq!(rates.rate(Class::Searches), None);
        assert_eq!(rates.rate(Class::LookUps), Rate::new(120, minute).ok());
        assert_eq!(RateTable::of(&[Setting::Off]), RateTable(Vec::new()));
        let only = RateTable::of(&[Setting::Off, "sign-ins=1/1h".parse().unwrap()]);
        assert_eq!(only.0.len(), 1);
    }

    #[test]
    fn a_setting_reads_back_and_a_wrong_one_is_refused_with_a_sentence() {
        for text in DEFAULTS.split(',').chain(["off", "look-ups=off", "reads=1000000/86400s"]) {
            assert_eq!(text.parse::<Setting>().unwrap().to_string(), text);
        }
        assert_eq!("writes=2/3h".parse::<Setting>().unwrap().to_string(), "writes=2/10800s");
        for bad in [
            "",
            "on",
            "writes",
            "writes=",
            "writes=600",
            "writes=600/60",
            "writes=600/s",
            "writes=600/",
            "writes=-1/60s",
            "writes=0/60s",
            "writes=+1/60s",
            "writes=1/0s",
            "writes=1/25h",
            "writes=1000001/60s",
            "writes=99999999999/60s",
            "writes=1/60é",
            "orders=1/60s",
            "health=1/60s",
            "Writes=1/60s",
        ] {
            let error = bad.parse::<Setting>().unwrap_err().to_string();
            assert!(error.contains("writes=600/60s"), "{bad}: {error}");
        }
    }
}
