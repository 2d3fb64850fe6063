//! Log and seals in one order: each seal after the events that it covers. Both the check and the export read them in
//! this order.

use std::iter::Peekable;
use std::vec::IntoIter;

use sea_orm::ConnectionTrait as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::{ReadSeal, Seals, log_id};
use crate::log::PageReader;
use crate::{Error, EventLog, StoredEvent};

/// The version of this format of exports.
pub(super) const FORM: i64 = 1;

/// A range of positions. Seals are checked whole, so more positions than these may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    pub from: i64,
    /// The last position. `None`: to the end; rows that are not sealed yet are then reported, but unproven. With a
    /// value, every position up to it must be under a seal.
    pub to: Option<i64>,
}

impl Positions {
    pub const ALL: Self = Self { from: 1, to: None };
}

/// How many rows are read at once.
const PAGE: i64 = 1_000;

/// How many seals are read at once: their leaves make them large.
const SEALS: i64 = 16;

/// The manifest of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of the format.
    pub(super) export: i64,
    pub(super) log: String,
    pub(super) log_id: Uuid,
    /// The requested range.
    pub(super) from: i64,
    pub(super) to: Option<i64>,
    /// The first position: seals are whole.
    pub(super) start: i64,
    /// Rows after it are not sealed.
    pub(super) sealed_to: i64,
    /// The fingerprint of the key of the newest seal.
    pub(super) key: Option<String>,
}

/// One step of the walk.
pub(super) enum Step {
    Open(Manifest),
    /// A seal from before the range.
    Before(ReadSeal),
    Event(StoredEvent),
    Unreadable(Unreadable),
    /// A seal, after the events that it covers.
    Seal(ReadSeal),
}

/// A row of the log that is not an event: SQLite accepts any value in any column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Unreadable {
    pub(super) position: i64,
    pub(super) reason: String,
}

/// Goes through log and seals, each seal after the events that it covers.
pub(super) async fn walk(
    log: &EventLog,
    seals: &Seals,
    positions: Positions,
    each: &mut (impl FnMut(Step) -> Result<(), Error> + Send),
) -> Result<(), Error> {
    let Positions { from, to } = positions;
    let newest = seals.last().await?;
    let numbers = match &newest {
        None => None,
        // If all positions are wanted, read all seals, whatever positions they claim.
        Some(newest) if from <= 1 && to.is_none() => Some((1, number(newest))),
        Some(_) => seals.numbers(from, to.unwrap_or(i64::MAX)).await?,
    };
    let mut before = Vec::new();
    let mut start = from.max(1);
    if let Some((first, _)) = numbers {
        if first > 1 {
            before = seals.key_changes(first - 1).await?;
            before.extend(seals.read(first - 1, 1).await?.into_iter().filter(|found| number(found) < first));
        }
        start = match before.last() {
            Some(Ok(seal)) => seal.last + 1,
            Some(Err(_)) => start,
            None => 1,
        };
    }
    let sealed_to = seals.sealed_to().await?;
    let key = newest.and_then(Result::ok).map(|seal| seal.key.fingerprint());
    let log_id = log_id(log).await?;
    each(Step::Open(Manifest {
        export: FORM,
        log: log.name().to_owned(),
        log_id,
        from,
        to,
        start,
        sealed_to,
        key,
    }))?;
    before.into_iter().try_for_each(|found| each(Step::Before(found)))?;
    // From the very start: also rows at impossible positions.
    let after = if start == 1 { i64::MIN } else { start - 1 };
    let mut rows = Rows::after(log, after);
    if let Some((first, last)) = numbers {
        let mut next = first;
        while next <= last {
            let page = seals.read(next, SEALS.min(last - next + 1)).await?;
            let Some(end) = page.last().map(number) else { break };
            for found in page.into_iter().filter(|found| number(found) <= last) {
                if let Ok(seal) = &found {
                    while let Some(row) = rows.up_to(seal.last).await? {
                        each(row.map_or_else(Step::Unreadable, Step::Event))?;
                    }
                }
                each(Step::Seal(found))?;
            }
            next = end + 1;
        }
    }
    let end = to.unwrap_or(i64::MAX);
    if end > sealed_to || numbers.is_none() {
        while let Some(row) = rows.up_to(end).await? {
            each(row.map_or_else(Step::Unreadable, Step::Event))?;
        }
    }
    Ok(())
}

fn number(found: &ReadSeal) -> i64 {
    match found {
        Ok(seal) => seal.number,
        Err(broken) => broken.number,
    }
}

/// The rows of the log, within the requested range.
struct Rows<'a> {
    log: &'a EventLog,
    reader: PageReader,
    page: Peekable<IntoIter<StoredEvent>>,
    /// The last position that was read.
    at: i64,
}

impl<'a> Rows<'a> {
    fn after(log: &'a EventLog, position: i64) -> Self {
        let reader = log.read_all(position, PAGE);
        Self { log, reader, page: Vec::new().into_iter().peekable(), at: position }
    }

    async fn up_to(&mut self, position: i64) -> Result<Option<Result<StoredEvent, Unreadable>>, Error> {
        if self.page.peek().is_none() {
            let page = match self.reader.next_stored().await {
                Ok(rows) => rows,
                Err(Error::Database(_) | Error::Damaged(_)) => match self.log.read(self.at + 1, 1).await {
                    Ok(rows) => {
                        // One at a time, up to the unreadable row.
                        let next = rows.last().map_or(self.at, |row| row.position);
                        self.reader = self.log.read_all(next, PAGE);
                        rows
                    }
                    Err(Error::Database(reason) | Error::Damaged(reason)) => {
                        return self.unreadable(position, reason).await;
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            };
            self.page = page.into_iter().peekable();
        }
        let row = self.page.next_if(|row| row.position <= position);
        self.at = row.as_ref().map_or(self.at, |row| row.position);
        Ok(row.map(Ok))
    }

    /// Skips the next row, which cannot be read; unless the cause is not the row.
    async fn unreadable(
        &mut self,
        position: i64,
        reason: String,
    ) -> Result<Option<Result<StoredEvent, Unreadable>>, Error> {
        let db = self.log.db();
        let sql = "SELECT min(position) FROM @events WHERE position > $1";
        let row = db.connection.query_one(db.statement(sql, [self.at.into()])).await?;
        let bad: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        let Some(bad) = bad else { return Err(Error::Database(reason)) };
        let before = if bad > position { bad - 1 } else { bad };
        self.reader = self.log.read_all(before, PAGE);
        self.at = before;
        Ok((bad <= position).then_some(Err(Unreadable { position: bad, reason })))
    }
}
