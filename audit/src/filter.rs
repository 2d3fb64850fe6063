//! The filters of the timeline, as plain values.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use soonshop_domain::{QueryError, clock};
use uuid::Uuid;

use crate::sorting::Sorting;

/// Search terms that can also be given as parameters, by name.
pub const OUTSIDE: [&str; 6] = ["type", "agg", "id", "actor", "chan", "correlation"];

/// The parameter that names the time zone.
const ZONE: &str = "tz";

/// The longest text, in bytes.
const LONGEST: usize = 2_000;

/// The filters of the timeline, and its order.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A search as people type it.
    pub q: String,
    /// Search terms by name, from [`OUTSIDE`].
    pub terms: BTreeMap<&'static str, String>,
    /// Recorded at this time or later, in microseconds since 1970.
    pub from: Option<i64>,
    /// Recorded before this time.
    pub to: Option<i64>,
    /// Happened at this time or later, by business time.
    pub occurred_from: Option<i64>,
    /// Happened before this time.
    pub occurred_to: Option<i64>,
    /// Positions above this one.
    pub after: Option<i64>,
    /// Positions below this one.
    pub before: Option<i64>,
    /// Only refusals and parked events.
    pub failures: bool,
    /// Oldest first.
    pub ascends: bool,
    /// The time that the events are sorted by.
    pub sorting: Sorting,
    /// Only what comes after the event at this position, in the order of the list.
    pub past: Option<i64>,
    /// The time zone in which days begin, also those of `q`; UTC where there is none.
    pub zone: Option<Tz>,
}

/// A search without other filters.
impl From<&str> for Filter {
    fn from(q: &str) -> Self {
        Self { q: q.to_owned(), ..Self::default() }
    }
}

impl Filter {
    /// The same filter without the bounds of a page.
    #[must_use]
    pub fn everywhere(&self) -> Self {
        Self { after: None, before: None, past: None, sorting: Sorting::Recorded, ..self.clone() }
    }

    /// The time zone in which days begin.
    pub(crate) fn zone(&self) -> Tz {
        self.zone.unwrap_or(Tz::UTC)
    }

    /// Parses names and typed values; a wrong value is refused by its name.
    pub fn read(pairs: &[(&str, &str)]) -> Result<Self, QueryError> {
        let (mut filter, mut seen) = (Self::default(), Vec::new());
        if let Some((name, raw)) = pairs.iter().find(|(name, _)| *name == ZONE) {
            let refuse = |_| {
                QueryError::parameter(name, "it is not a time zone: give an IANA name such as Europe/London")
            };
            filter.zone = Some(raw.parse().map_err(refuse)?);
        }
        for (name, raw) in pairs {
            if seen.contains(name) {
                return Err(QueryError::parameter(name, "it is given twice"));
            }
            seen.push(*name);
            filter.take(name, raw).map_err(|detail| QueryError::parameter(name, &detail))?;
        }
        Ok(filter)
    }

    fn take(&mut self, name: &str, raw: &str) -> Result<(), String> {
        match name {
            "q" => self.q = text(raw)?,
            "from" => self.from = moment(raw, self.zone())?,
            "to" => self.to = moment(raw, self.zone())?,
            "occurred_from" => self.occurred_from = moment(raw, self.zone())?,
            "occurred_to" => self.occurred_to = moment(raw, self.zone())?,
            // It was read before all others.
            ZONE => {}
            "after" => self.after = Some(position(raw)?),
            "before" => self.before = Some(position(raw)?),
            "failures" => self.failures = one_of(&["1"], raw)? == "1",
            "order" => self.ascends = one_of(&["desc", "asc"], raw)? == "asc",
            "sort" => self.sorting = Sorting::named(one_of(&Sorting::NAMES, raw)?),
            _ => {
                let known = OUTSIDE.into_iter().find(|known| *known == name);
                let known = known.ok_or_else(|| "there is no such parameter here".to_owned())?;
                let value = if ["id", "correlation"].contains(&known) { id(raw)? } else { text(raw)? };
                self.terms.insert(known, value);
            }
        }
        Ok(())
    }
}

fn text(raw: &str) -> Result<String, String> {
    if raw.len() > LONGEST { Err("it is longer than 2,000 bytes".to_owned()) } else { Ok(raw.to_owned()) }
}

fn id(raw: &str) -> Result<String, String> {
    Uuid::try_parse(raw).map(|id| id.to_string()).map_err(|_| "it is not a UUID".to_owned())
}

fn one_of<'n>(names: &[&'n str], raw: &str) -> Result<&'n str, String> {
    let found = names.iter().find(|name| **name == raw).copied();
    found.ok_or_else(|| format!("it is one of {}", names.join(", ")))
}

/// Microseconds since 1970; `None` where the value is empty.
fn moment(raw: &str, zone: Tz) -> Result<Option<i64>, String> {
    if raw.is_empty() {
        return Ok(None);
    }
    let expected = "it is a day such as 2011-06-30, or a moment such as 2011-06-30T12:00:00Z";
    clock::parse_in(raw, &zone)
        .map(|moment| Some(moment.timestamp_micros()))
        .ok_or_else(|| expected.to_owned())
}

/// Digits only: no sign and no space.
fn position(raw: &str) -> Result<i64, String> {
    let digits = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| raw.parse().ok()).flatten();
    number.ok_or_else(|| format!("it is a number from 0 to {}", i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_become_a_filter() {
        let pairs = [("q", "mug"), ("type", "Order*"), ("from", "1970-01-02"), ("to", ""), ("after", "7")];
        let filter = Filter::read(&pairs).unwrap();
        assert_eq!((filter.q.as_str(), filter.terms["type"].as_str()), ("mug", "Order*"));
        assert_eq!((filter.from, filter.to, filter.after), (Some(86_400_000_000), None, Some(7)));
        assert!(!filter.ascends && Filter::read(&[("order", "asc")]).unwrap().ascends);
        assert_eq!(filter.everywhere().after, None);
    }

    #[test]
    fn events_are_filtered_and_sorted_by_business_time() {
        let pairs = [("occurred_from", "1970-01-02"), ("occurred_to", "1970-01-03"), ("sort", "occurred")];
        let filter = Filter::read(&pairs).unwrap();
        assert_eq!((filter.occurred_from, filter.occurred_to), (Some(86_400_000_000), Some(172_800_000_000)));
        assert_eq!((filter.from, filter.to, filter.sorting), (None, None, Sorting::Occurred));
        assert_eq!(Filter::read(&[("sort", "recorded")]).unwrap().sorting, Sorting::Recorded);
    }

    #[test]
    fn days_begin_in_the_zone_of_the_filter() {
        let filter = Filter::read(&[("from", "1970-01-02"), ("tz", "Asia/Shanghai")]).unwrap();
        assert_eq!(filter.from, Some(86_400_000_000 - 8 * 3_600_000_000));
        let error = Filter::read(&[("tz", "Mars")]).unwrap_err();
        assert!(error.detail().contains("such as Europe/London"), "{error}");
    }

    #[test]
    fn a_value_of_a_wrong_type_is_refused_by_name_and_not_repeated() {
        let long = "secret".repeat(400);
        for (name, value) in [
            ("secret", "1"),
            ("id", "secret"),
            ("from", "secret"),
            ("before", "+1"),
            ("order", "secret"),
            ("sort", "secret"),
            ("occurred_from", "secret"),
            ("failures", "0"),
            ("q", &long),
        ] {
            let error = Filter::read(&[(name, value)]).unwrap_err();
            assert_eq!((error.slug(), &error.members()["parameter"]), ("invalid-query", &name.into()));
            assert!(name == "secret" || !error.detail().contains("secret"), "{error}");
        }
        assert!(Filter::read(&[("q", "a"), ("q", "b")]).is_err());
    }
}
