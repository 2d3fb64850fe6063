//! Log and seals in one order, for whoever checks them here or writes them down to be checked elsewhere.
//!
//! An export has one JSON object a line: a manifest; for a range that does not begin at the beginning, the seals that it
//! leans on; each seal after the events that it covers; the events that no seal covers; and a last line with counts and
//! the SHA-256 of all lines before it. Payloads and metadata are JSON strings, so that their bytes survive.

use std::io::{BufRead, Write};
use std::iter::Peekable;
use std::vec::IntoIter;

use chrono::{DateTime, Utc};
use ring::digest::{Context, SHA256};
use sea_orm::ConnectionTrait as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::check::{Positions, Report, Verifier, Wrong};
use super::{Broken, Found, Hash, Seal, Seals, TrustedKey, log_id};
#[cfg(test)]
use crate::LOG;
use crate::log::PageReader;
use crate::{Error, EventLog, StoredEvent};

/// The version of this form of exports.
const FORM: i64 = 1;

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// Seals that are read at once: with their leaves they are large.
const SEALS: i64 = 16;

/// What follows is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of the form.
    pub(super) export: i64,
    pub(super) log: String,
    pub(super) log_id: Uuid,
    /// As asked for.
    pub(super) from: i64,
    pub(super) to: Option<i64>,
    /// The position that it begins with: seals are whole.
    pub(super) start: i64,
    /// What comes after it is sealed by nothing.
    pub(super) sealed_to: i64,
    /// The fingerprint of the key of the newest seal.
    pub(super) key: Option<String>,
}

/// What comes by.
pub(super) enum Step {
    Open(Manifest),
    /// A seal from before the range.
    Before(Found),
    Event(StoredEvent),
    Unreadable(Unreadable),
    /// After the events that it covers.
    Seal(Found),
}

/// A row of the log that is no event: SQLite keeps anything in any column.
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
        // Not by what the seals say of themselves, where all are wanted.
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
    // From the very beginning: also what stands where no position is.
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

fn number(found: &Found) -> i64 {
    match found {
        Ok(seal) => seal.number,
        Err(broken) => broken.number,
    }
}

/// The rows of the log, as far as they are asked for.
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
                Err(Error::Database(_)) => match self.log.read(self.at + 1, 1).await {
                    Ok(rows) => {
                        // One at a time, up to the one that cannot be read.
                        let next = rows.last().map_or(self.at, |row| row.position);
                        self.reader = self.log.read_all(next, PAGE);
                        rows
                    }
                    Err(Error::Database(reason)) => return self.unreadable(position, reason).await,
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

    /// Passes the next row, which cannot be read; unless it is not the row that is at fault.
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

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Manifest(Manifest),
    Before(Seal),
    BeforeBroken(Broken),
    Event(#[serde(with = "Written")] StoredEvent),
    EventBroken(Unreadable),
    Seal(Seal),
    /// A row of the table of seals that is no seal.
    SealBroken(Broken),
    End {
        events: i64,
        seals: i64,
        sha256: Hash,
    },
}

/// An event as it is written down; its times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(remote = "StoredEvent")]
struct Written {
    position: i64,
    event_id: Uuid,
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    event_type: String,
    event_version: String,
    payload: String,
    metadata: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    occurred_at: DateTime<Utc>,
    #[serde(with = "chrono::serde::ts_microseconds")]
    recorded_at: DateTime<Utc>,
}

/// Writes log and seals down, so that they can be checked without the database; gives the number of events.
pub async fn export(
    log: &EventLog,
    seals: &Seals,
    positions: Positions,
    mut writer: impl Write + Send,
) -> Result<i64, Error> {
    let mut lines = Lines { writer: &mut writer, context: Context::new(&SHA256), events: 0, seals: 0 };
    walk(log, seals, positions, &mut |step| lines.write(step)).await?;
    lines.end()
}

/// What was written so far.
struct Lines<W> {
    writer: W,
    context: Context,
    events: i64,
    seals: i64,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, step: Step) -> Result<(), Error> {
        let line = match step {
            Step::Open(manifest) => Line::Manifest(manifest),
            Step::Before(Ok(seal)) => Line::Before(seal),
            Step::Before(Err(broken)) => Line::BeforeBroken(broken),
            Step::Event(row) => Line::Event(row),
            Step::Unreadable(row) => Line::EventBroken(row),
            Step::Seal(found) => found.map_or_else(Line::SealBroken, Line::Seal),
        };
        self.events += i64::from(matches!(line, Line::Event(_) | Line::EventBroken(_)));
        self.seals += i64::from(matches!(line, Line::Seal(_) | Line::SealBroken(_)));
        let bytes = bytes(&line)?;
        self.context.update(&bytes);
        self.writer.write_all(&bytes).map_err(Error::Write)
    }

    fn end(mut self) -> Result<i64, Error> {
        let sha256 = Hash::from_digest(self.context.finish());
        let end = bytes(&Line::End { events: self.events, seals: self.seals, sha256 })?;
        self.writer.write_all(&end).and_then(|()| self.writer.flush()).map_err(Error::Write)?;
        Ok(self.events)
    }
}

fn bytes(line: &Line) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec(line).map_err(|error| Error::Write(error.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What [`check`](super::check()) says, from a file that [`export`] wrote.
pub fn check_offline(mut reader: impl BufRead, trusted: Option<&TrustedKey>) -> Result<Report, Error> {
    let mut context = Context::new(&SHA256);
    let (mut text, mut number) = (Vec::new(), 0);
    let (mut events, mut seals) = (0, 0);
    let mut verifier: Option<Verifier> = None;
    let mut ended = false;
    loop {
        text.clear();
        number += 1;
        let bad = |reason: String| Error::Export { line: number, reason };
        if reader.read_until(b'\n', &mut text).map_err(|error| bad(error.to_string()))? == 0 {
            break;
        }
        if ended {
            return Err(bad("there is more after the last line".to_owned()));
        }
        let line: Line = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        match (line, &mut verifier) {
            (Line::Manifest(manifest), None) if manifest.export == FORM => {
                verifier = Some(Verifier::new(manifest, trusted));
            }
            (Line::Manifest(manifest), None) => {
                return Err(bad(format!("its form is {}, and this release knows {FORM}", manifest.export)));
            }
            (Line::Before(seal), Some(verifier)) => verifier.before(Ok(seal)),
            (Line::BeforeBroken(broken), Some(verifier)) => verifier.before(Err(broken)),
            (Line::Event(row), Some(verifier)) => {
                events += 1;
                verifier.event(&row);
            }
            (Line::EventBroken(row), Some(verifier)) => {
                events += 1;
                verifier.unreadable(row);
            }
            (Line::Seal(seal), Some(verifier)) => {
                seals += 1;
                verifier.seal(Ok(seal));
            }
            (Line::SealBroken(broken), Some(verifier)) => {
                seals += 1;
                verifier.seal(Err(broken));
            }
            (Line::End { events: all, seals: sealed, sha256 }, Some(verifier)) => {
                ended = true;
                let hash = Hash::from_digest(context.clone().finish());
                if (all, sealed, sha256) != (events, seals, hash) {
                    let said = "the file is not as it was written: its last line does not fit it";
                    verifier.find(verifier.next(), Wrong::ExportBroken, said);
                }
            }
            (_, None) => return Err(bad("an export begins with its manifest".to_owned())),
            (Line::Manifest(_), Some(_)) => return Err(bad("there is a second manifest".to_owned())),
        }
        context.update(&text);
    }
    let Some(mut verifier) = verifier else {
        return Err(Error::Export { line: 1, reason: "there is none".to_owned() });
    };
    if !ended {
        verifier.find(verifier.next(), Wrong::ExportBroken, "the file was cut off: its last line is missing");
    }
    Ok(verifier.finish())
}

/// An export of a log that holds these.
#[cfg(test)]
pub(super) fn sample(rows: &[StoredEvent], seals: &[Seal], log_id: Uuid) -> String {
    let mut text = Vec::new();
    let mut lines = Lines { writer: &mut text, context: Context::new(&SHA256), events: 0, seals: 0 };
    let key = seals.last().map(|seal| seal.key.fingerprint());
    let (sealed_to, log) = (i64::try_from(rows.len()).unwrap(), LOG.to_owned());
    let manifest = Manifest { export: FORM, log, log_id, from: 1, to: None, start: 1, sealed_to, key };
    lines.write(Step::Open(manifest)).unwrap();
    for row in rows {
        lines.write(Step::Event(row.clone())).unwrap();
    }
    for seal in seals {
        lines.write(Step::Seal(Ok(seal.clone()))).unwrap();
    }
    lines.end().unwrap();
    String::from_utf8(text).unwrap()
}
