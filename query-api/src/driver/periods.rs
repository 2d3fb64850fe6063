//! The periods of reports in a time zone: which day, month or year a moment belongs to, in SQL.
//!
//! Databases know no time zones (SQLite), or those of their server (PostgreSQL). So the offsets of a zone are worked
//! out here, and every database gets the same ones. Days of 23 and 25 hours follow from that by themselves.

use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use soonshop_domain::clock;

/// The beginning of business times, 1900, in microseconds since 1970.
const EARLIEST: i64 = -2_208_988_800_000_000;

/// Seconds from the year 1 to 1970: with them every moment is positive, and a division rounds down.
const BEFORE_1970: i64 = 62_135_596_800;

/// A span of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interval {
    Day,
    Month,
    Year,
}

impl Interval {
    /// The interval of this name; `None`: no interval.
    pub(crate) fn named(name: Option<&str>) -> Option<Self> {
        match name? {
            "day" => Some(Self::Day),
            "month" => Some(Self::Month),
            "year" => Some(Self::Year),
            _ => None,
        }
    }

    /// SQL for the period of a row, such as `2011-06`, in a zone. `from` and `to` are the bounds of the report.
    pub(crate) fn sql(self, zone: Tz, from: Option<i64>, to: Option<i64>, sqlite: bool) -> String {
        let offsets = offsets(zone, from, to);
        if offsets.iter().all(|(_, offset)| *offset == 0) {
            return match self {
                Self::Day => "day",
                Self::Month => "substr(day, 1, 7)",
                Self::Year => "substr(day, 1, 4)",
            }
            .to_owned();
        }
        let local = format!("(at + {})", case(&offsets));
        if sqlite {
            let format = match self {
                Self::Day => "%Y-%m-%d",
                Self::Month => "%Y-%m",
                Self::Year => "%Y",
            };
            let seconds = format!("({local} + {BEFORE_1970}000000) / 1000000 - {BEFORE_1970}");
            format!("strftime('{format}', {seconds}, 'unixepoch')")
        } else {
            let format = match self {
                Self::Day => "YYYY-MM-DD",
                Self::Month => "YYYY-MM",
                Self::Year => "YYYY",
            };
            format!("to_char(TIMESTAMP '1970-01-01' + {local} * INTERVAL '1 microsecond', '{format}')")
        }
    }
}

/// The offset of a zone at a moment, in microseconds.
fn offset_at(zone: Tz, moment: DateTime<Utc>) -> i64 {
    i64::from(zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc()) * 1_000_000
}

/// The offsets of a zone between two moments: when each begins, and the offset, in microseconds. The first one also
/// counts before, and the last one after.
fn offsets(zone: Tz, from: Option<i64>, to: Option<i64>) -> Vec<(i64, i64)> {
    // Business times end now, by the clock of any process.
    let latest = (clock::now() + TimeDelta::days(2)).timestamp_micros();
    let last = clock::from_micros(to.unwrap_or(latest).clamp(EARLIEST, latest));
    let mut moment = clock::from_micros(from.unwrap_or(EARLIEST).clamp(EARLIEST, latest));
    let mut offsets = vec![(moment.timestamp_micros(), offset_at(zone, moment))];
    while moment < last {
        let next = moment + TimeDelta::days(1);
        let (before, after) = (offset_at(zone, moment), offset_at(zone, next));
        if before != after {
            let (mut old, mut new) = (moment, next);
            while new - old > TimeDelta::microseconds(1) {
                let middle = old + (new - old) / 2;
                if offset_at(zone, middle) == before { old = middle } else { new = middle }
            }
            offsets.push((new.timestamp_micros(), after));
        }
        moment = next;
    }
    offsets
}

/// SQL for the offset of a row: a few comparisons, however many offsets there are.
fn case(offsets: &[(i64, i64)]) -> String {
    match offsets {
        [] => "0".to_owned(),
        [(_, offset)] => format!("({offset})"),
        several => {
            let (earlier, later) = several.split_at(several.len() / 2);
            let begins = later.first().map_or(EARLIEST, |(begins, _)| *begins);
            format!("CASE WHEN at < {begins} THEN {} ELSE {} END", case(earlier), case(later))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        clock::parse(text).unwrap().timestamp_micros()
    }

    #[test]
    fn every_change_of_an_offset_is_found_to_the_second() {
        let hours = |hours: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "a small number of seconds")]
            let seconds = (hours * 3_600.0) as i64;
            seconds * 1_000_000
        };
        let of = |zone, from: &str, to: &str| offsets(zone, Some(micros(from)), Some(micros(to)));
        assert_eq!(
            of(Tz::Europe__London, "2025-01-01", "2026-01-01"),
            [
                (micros("2025-01-01"), 0),
                (micros("2025-03-30T01:00:00Z"), hours(1.0)),
                (micros("2025-10-26T01:00:00Z"), 0)
            ]
        );
        assert_eq!(
            of(Tz::Australia__Lord_Howe, "2025-01-01", "2025-12-01"),
            [
                (micros("2025-01-01"), hours(11.0)),
                (micros("2025-04-05T15:00:00Z"), hours(10.5)),
                (micros("2025-10-04T15:30:00Z"), hours(11.0))
            ]
        );
        assert_eq!(
            of(Tz::Asia__Kathmandu, "2020-01-01", "2021-01-01"),
            [(micros("2020-01-01"), hours(5.75))]
        );
        assert!(offsets(Tz::Europe__London, None, None).len() > 200);
        assert_eq!(offsets(Tz::UTC, Some(i64::MIN), Some(i64::MAX)).len(), 1);
    }
}
