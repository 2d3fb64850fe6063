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

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, MappedLocalTime, NaiveDateTime};

    use super::*;

    /// A zone that sets its clock an hour forward at a moment: one hour of its days does not exist.
    #[derive(Debug, Clone)]
    struct Forward {
        at: NaiveDateTime,
    }

    impl Forward {
        /// So many minutes before midnight UTC of 31 March 2024, which its clock shows until then.
        fn before_midnight(minutes: i64) -> Self {
            let midnight = NaiveDate::from_ymd_opt(2024, 3, 31).unwrap().and_time(NaiveTime::MIN);
            Self { at: midnight - TimeDelta::minutes(minutes) }
        }

        fn hours(hours: i32) -> FixedOffset {
            FixedOffset::east_opt(hours * 3600).unwrap()
        }
    }

    impl TimeZone for Forward {
        type Offset = FixedOffset;

        fn from_offset(_: &FixedOffset) -> Self {
            Self::before_midnight(0)
        }

        fn offset_from_local_date(&self, _: &NaiveDate) -> MappedLocalTime<FixedOffset> {
            MappedLocalTime::None
        }

        fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
            if *local < self.at {
                MappedLocalTime::Single(Self::hours(0))
            } else if *local < self.at + TimeDelta::hours(1) {
                MappedLocalTime::None
            } else {
                MappedLocalTime::Single(Self::hours(1))
            }
        }

        fn offset_from_utc_date(&self, _: &NaiveDate) -> FixedOffset {
            Self::hours(0)
        }

        fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
            Self::hours(i32::from(*utc >= self.at))
        }
    }

    fn utc(text: &str) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc())
    }

    #[test]
    fn a_moment_has_whole_microseconds_and_is_the_same_in_microseconds() {
        let now = now();
        assert_eq!(now, now.trunc_subsecs(6));
        assert_eq!(from_micros(now.timestamp_micros()), now);
        assert_eq!(Some(from_micros(1)), utc("1970-01-01T00:00:00.000001Z"));
        assert_eq!(from_micros(i64::MAX), DateTime::UNIX_EPOCH);
    }

    #[test]
    fn a_moment_has_a_time_and_an_offset() {
        for (text, moment) in [
            ("2024-03-31T12:00:00Z", "2024-03-31T12:00:00Z"),
            ("2024-03-31T12:00:00.5+02:00", "2024-03-31T10:00:00.5Z"),
            ("2024-03-31T12:00:00-02:30", "2024-03-31T14:30:00Z"),
            // Its `+` arrived as a space.
            ("2024-03-31T12:00:00 02:00", "2024-03-31T10:00:00Z"),
            // Written with a space in place of the T.
            ("2024-03-31 12:00:00Z", "2024-03-31T12:00:00Z"),
            ("2024-03-31", "2024-03-31T00:00:00Z"),
        ] {
            assert_eq!(parse(text), utc(moment), "{text}");
            assert!(parse(text).is_some(), "{text}");
        }
        for bad in [
            "",
            "2024",
            "2024-3-1",
            "2024-02-30",
            " 2024-03-31",
            "2024-03-31T12:00:00",
            "2024-03-31 12:00",
            "noon",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        let begins = |zone: &FixedOffset| parse_in("2024-03-31", zone);
        assert_eq!(begins(&Forward::hours(2)), utc("2024-03-30T22:00:00Z"));
        assert_eq!(begins(&Forward::hours(-5)), utc("2024-03-31T05:00:00Z"));
    }

    #[test]
    fn a_day_whose_midnight_is_left_out_begins_when_the_clock_is_set_forward() {
        for (minutes, begins) in
            [(0, "2024-03-31T00:00:00Z"), (30, "2024-03-30T23:30:00Z"), (59, "2024-03-30T23:01:00Z")]
        {
            let day = parse_in("2024-03-31", &Forward::before_midnight(minutes));
            assert_eq!(day, utc(begins), "{minutes} minutes before midnight");
        }
    }
}
