//! Log and seals in a file, to be checked without the database.
//!
//! An export has one JSON object per line: a manifest; for a range that does not begin at position 1, the earlier
//! seals that it needs; each seal after the events that it covers; the events that no seal covers; and a last line
//! with counts and the SHA-256 of all lines before it. Payloads and metadata are JSON strings, so that their bytes
//! stay the same.

use std::io::{BufRead, Write};

use chrono::{DateTime, Utc};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::check::{Report, Verifier, Wrong};
use super::encoding::Hash;
use super::fault::Fault;
use super::key::TrustedKey;
use super::statement::Seal;
use super::table::{Broken, Seals};
use super::walk::{FORM, Manifest, Positions, Step, Unreadable, walk};
#[cfg(test)]
use crate::LOG;
use crate::{Error, EventLog, StoredEvent};

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
    /// A row of the table of seals that is not a seal.
    SealBroken(Broken),
    End {
        events: i64,
        seals: i64,
        sha256: Hash,
    },
}

/// An event in the export; its times are microseconds since 1970.
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

/// Writes log and seals into an export, which can be checked without the database; returns the number of events.
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

/// The lines written so far.
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

/// The report of [`check`](super::check()), for a file that [`export`] wrote.
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
                    verifier.find(verifier.next(), Wrong::ExportBroken, Fault::FileChanged);
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
        verifier.find(verifier.next(), Wrong::ExportBroken, Fault::FileCutOff);
    }
    Ok(verifier.finish())
}

/// The export of a log with these rows and seals.
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
