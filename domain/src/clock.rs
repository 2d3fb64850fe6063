//! The one place where the time of day comes from, and how moments are written and kept.

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, Utc};

/// Now, in whole microseconds: the precision of the log and of every answer.
#[expect(clippy::disallowed_methods, reason = "this is the one clock; all other code calls it")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Microseconds since 1970, as a moment.
pub fn from_micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// RFC 3339: a moment, or a day, which begins at midnight UTC.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return (text.len() == 10).then(|| day.and_time(NaiveTime::MIN).and_utc());
    }
    // A `+` that was not percent-encoded in an address arrives as a space.
    let text = match text.rsplit_once(' ') {
        Some((moment, offset)) if moment.contains('T') => format!("{moment}+{offset}"),
        _ => text.to_owned(),
    };
    DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc())
}
