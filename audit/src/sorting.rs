//! The time that events are sorted by: when they were recorded, which is the order of the log, or when they happened.

use soonshop_domain::QueryError;
use soonshop_projections::source::{Source, query_failed};

use crate::reader::Reader;

/// The time that the events of a list are sorted by. Equal times are in the order of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sorting {
    /// When they were recorded: the order of the log.
    #[default]
    Recorded,
    /// When they happened: business time.
    Occurred,
}

impl Sorting {
    /// The names of all, the default first.
    pub const NAMES: [&str; 2] = ["recorded", "occurred"];

    /// The one of this name; the default for any other.
    pub fn named(name: &str) -> Self {
        if name == Self::NAMES[1] { Self::Occurred } else { Self::Recorded }
    }

    /// In SQL.
    pub(crate) fn order(self, ascends: bool) -> &'static str {
        match (self, ascends) {
            (Self::Recorded, true) => "position ASC",
            (Self::Recorded, false) => "position DESC",
            (Self::Occurred, true) => "occurred_at ASC, position ASC",
            (Self::Occurred, false) => "occurred_at DESC, position DESC",
        }
    }
}

/// When the event at a position happened, in microseconds since 1970. It may be parked in this read model: then the log
/// says it.
pub(crate) async fn occurred_at(reader: &Reader, source: &Source, position: i64) -> Result<i64, QueryError> {
    let sql = "SELECT occurred_at FROM @audit WHERE position = $1";
    if let Some(row) = source.plain(sql, vec![position.into()]).await?.first() {
        return row.try_get_by_index(0).map_err(query_failed);
    }
    let event = reader.log.read(position, 1).await?.into_iter().next();
    let event = event.filter(|event| event.position == position);
    let nothing =
        || QueryError::parameter("past", "there is no event at this position: begin anew, without it");
    Ok(event.ok_or_else(nothing)?.occurred_at.timestamp_micros())
}
