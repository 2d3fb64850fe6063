//! The one place where the time of day comes from, and how moments are written and kept.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Offset as _, SubsecRound, TimeDelta, TimeZone, Utc};

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
    parse_in(text, &Utc)
}

/// RFC 3339: a moment, or a day, which begins at midnight in a time zone.
pub fn parse_in<Z: TimeZone>(text: &str, zone: &Z) -> Option<DateTime<Utc>> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return (text.len() == 10).then(|| day_begins(day, zone)).flatten();
    }
    // A `+` that was not percent-encoded in an address arrives as a space.
    let text = match text.rsplit_once(' ') {
        Some((moment, offset)) if moment.contains('T') => format!("{moment}+{offset}"),
        _ => text.to_owned(),
    };
    DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc())
}

/// When a day begins in a time zone. Where the clock is set forward over midnight, that is when it is set.
fn day_begins<Z: TimeZone>(day: NaiveDate, zone: &Z) -> Option<DateTime<Utc>> {
    let midnight = day.and_time(NaiveTime::MIN);
    if let Some(moment) = zone.from_local_datetime(&midnight).earliest() {
        return Some(moment.to_utc());
    }
    let (mut before, mut after) =
        (midnight.checked_sub_days(Days::new(2))?, midnight.checked_add_days(Days::new(2))?);
    while after - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        let shown = middle.checked_add_offset(zone.offset_from_utc_datetime(&middle).fix())?;
        if shown < midnight {
            before = middle;
        } else {
            after = middle;
        }
    }
    Some(after.and_utc())
}
