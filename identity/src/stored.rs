//! Ids, moments and times as the tables hold them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Error;

/// An hour in milliseconds.
pub(crate) const HOUR: i64 = 60 * 60 * 1000;

pub(crate) fn uuid(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::internal("a stored id is no UUID"))
}

pub(crate) fn moment(milliseconds: i64) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| Error::internal(format!("{milliseconds} is no moment")))
}

pub(crate) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
