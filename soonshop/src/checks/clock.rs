//! The check of the clock: it agrees with the database's, and is not before the last event.
//!
//! The time at which events are recorded never goes back. So after a clock was ahead once, all events have the time of
//! the last one until that time is reached. Embedded, the database has the same clock: nothing there tells a clock that
//! was ahead from one that is behind now. So the check fails until that time is reached, says when that is, or until
//! somebody who looked at another clock confirms that this one is right.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use soonshop_domain::clock;
use soonshop_service_kit::health::Fault;

use crate::Shop;
use crate::clock::{Confirmed, newest};

/// How far clocks may be apart.
const APART: Duration = Duration::from_secs(30);

/// Compares this machine's clock with the database's, and with the time of the last event.
pub(super) async fn ask(shop: &Shop) -> Result<(), Fault> {
    let log = shop.log().map_err(|error| format!("{error:#}"))?;
    let db = log.db();
    let before = clock::now().timestamp_millis();
    if db.backend() != DatabaseBackend::Sqlite {
        let sql = format!("SELECT {}", db.now());
        let row = db.connection.query_one(db.statement(&sql, [])).await.map_err(|error| error.to_string())?;
        let theirs: i64 = row
            .ok_or_else(|| String::from("the database does not say what time it is"))?
            .try_get_by_index(0)
            .map_err(|error| error.to_string())?;
        // The time of the last event says no more: it stays ahead where the clock was ahead when it was recorded.
        return compare(before, clock::now().timestamp_millis(), theirs).map_err(Fault::from);
    }
    let newest = newest(shop).await.map_err(|error| format!("{error:#}"))?;
    let Some((_, last)) = newest else { return Ok(()) };
    let Some(ahead) = ahead(clock::now(), last) else { return Ok(()) };
    let confirmed = Confirmed::last(shop).await.map_err(|error| format!("{error:#}"))?;
    if confirmed.is_some_and(|confirmed| confirmed.covers(last)) {
        return Ok(());
    }
    let until = last.to_rfc3339_opts(SecondsFormat::Secs, true);
    let reason = format!(
        "it is {ahead} seconds before the time of the last event: it is behind, or was ahead when that event was recorded. \
         Until {until} all events get that time"
    );
    Err(Fault { object: None, reason, remedy: Some(CONFIRM_REMEDY) })
}

/// The remedy that names `soonshop clock confirm`.
const CONFIRM_REMEDY: &str = "clock-was-ahead";

/// `theirs` was read between `before` and `after`; all in milliseconds since 1970.
fn compare(before: i64, after: i64, theirs: i64) -> Result<(), String> {
    let apart = i64::try_from(APART.as_millis()).unwrap_or(i64::MAX);
    let (ahead, behind) = (before - theirs, theirs - after);
    if ahead <= apart && behind <= apart {
        return Ok(());
    }
    let (seconds, way) = if ahead > apart { (ahead / 1000, "ahead of") } else { (behind / 1000, "behind") };
    Err(format!("it is {seconds} seconds {way} that of the database"))
}

/// How many seconds the last event is ahead of now, if that is more than clocks may be apart.
fn ahead(now: DateTime<Utc>, last: DateTime<Utc>) -> Option<i64> {
    let ahead = (last - now).to_std().ok().filter(|ahead| *ahead > APART)?;
    i64::try_from(ahead.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_clock_that_was_stepped_by_an_hour_is_noticed_in_either_direction() {
        let hour = 3_600_000;
        let now = 1_700_000_000_000;
        assert_eq!(compare(now, now + 5, now + 2), Ok(()));
        assert!(compare(now + hour, now + hour, now).unwrap_err().contains("3600 seconds ahead of"));
        assert!(compare(now - hour, now - hour, now).unwrap_err().contains("3600 seconds behind"));
        // A slow database is no wrong clock.
        assert_eq!(compare(now, now + 60_000, now + 45_000), Ok(()));
    }

    #[test]
    fn an_event_of_later_than_now_is_noticed_unless_clocks_may_be_so_far_apart() {
        let now = clock::now();
        assert_eq!(ahead(now, now), None);
        assert_eq!(ahead(now, now - TimeDelta::hours(1)), None);
        assert_eq!(ahead(now, now + TimeDelta::seconds(30)), None);
        assert_eq!(ahead(now, now + TimeDelta::hours(1)), Some(3_600));
    }

    #[test]
    fn the_remedy_names_the_verb_that_confirms() {
        let cure = soonshop_texts::Language::English.find(&format!("page-remedy-{CONFIRM_REMEDY}"));
        assert!(cure.is_some_and(|cure| cure.contains("soonshop clock confirm")));
    }
}
