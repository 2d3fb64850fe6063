//! The two times of an event: when it happened, and when it was recorded.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::frame::View;

/// Times that are further apart are both shown, in seconds.
const APART: i64 = 60;

/// When an event was recorded; before it, when it happened, if that was at another time.
pub(crate) fn times(view: &View<'_>, recorded: DateTime<Utc>, occurred: DateTime<Utc>) -> Markup {
    html! {
        @if are_apart(recorded, occurred) {
            span.happened { (view.word("happened")) " " (view.time(occurred)) }
            span.recorded { (view.word("recorded-at")) " " (view.time(recorded)) }
        } @else {
            (view.time(recorded))
        }
    }
}

/// Whether an event happened at another time than it was recorded, by more than a minute.
pub(crate) fn are_apart(recorded: DateTime<Utc>, occurred: DateTime<Utc>) -> bool {
    (recorded - occurred).abs() > chrono::TimeDelta::seconds(APART)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn times_are_apart_by_more_than_a_minute_in_either_direction() {
        let now = soonshop_domain::clock::now();
        for (millis, apart) in
            [(0, false), (60_000, false), (60_001, true), (-60_000, false), (-60_001, true)]
        {
            assert_eq!(are_apart(now, now - TimeDelta::milliseconds(millis)), apart, "{millis}");
        }
    }
}
