//! Checking that a log still holds what was sealed. Rows and seals come in order, from the database or from a file,
//! and are judged by the same code.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::encoding::{Bytes, Content, Hash};
use super::fault::{Fault, as_text};
use super::key::{PublicKey, TrustedKey};
use super::statement::{Kind, Seal};
use super::table::{Broken, ReadSeal, Seals};
use super::walk::{Manifest, Positions, Step, Unreadable, walk};
use crate::{Checkpoint, Error, EventLog, StoredEvent};

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every requested position is under a seal, and is as it was sealed.
    Intact,
    /// Something is not as it was sealed.
    Broken,
    /// Nothing wrong was found, but not every requested position is under a seal.
    Unproven,
    /// There is neither an event nor a seal.
    Nothing,
}

/// The kinds of mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// The row is not the one that was sealed.
    Changed,
    /// The sealed row does not exist.
    Missing,
    /// A row is before a sealed one, or at a position that cannot exist.
    Inserted,
    /// The row was sealed at another position.
    Reordered,
    /// A seal is missing, or does not match the seal before it or itself.
    SealBroken,
    SignatureBad,
    /// The signing key is neither the given one nor named by it.
    KeyUnknown,
    /// The file was changed after it was written.
    ExportBroken,
}

/// One mismatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub position: i64,
    pub wrong: Wrong,
    /// Why; in JSON, its text in English.
    #[serde(rename = "said", serialize_with = "as_text")]
    pub fault: Fault,
}

/// The rows after the last seal. They may be changed or cut off without a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tail {
    pub events: i64,
    /// When the first of them was recorded.
    pub since: DateTime<Utc>,
}

/// The report of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    pub log: String,
    pub log_id: Uuid,
    /// The checked positions: those of the valid seals, which are checked whole. `to` is 0 if no seal is valid.
    pub from: i64,
    pub to: i64,
    /// The number of rows read, and of seals.
    pub rows: i64,
    pub seals: i64,
    /// Fingerprints of the keys that signed, in order.
    pub keys: Vec<String>,
    /// False: the keys come from the seals themselves. An attacker who can write seals can put in a key of their own.
    pub key_given: bool,
    /// When `to` was sealed, and the hash of that seal: if it is also kept elsewhere, it proves that nothing was cut
    /// off before it.
    pub sealed_at: Option<DateTime<Utc>>,
    pub last_seal: Option<Hash>,
    /// The last position under any seal, according to the seals.
    pub sealed_to: i64,
    /// `None` if everything is sealed, or if the requested range ends before the last seal.
    pub tail: Option<Tail>,
    /// In order of position; at most a hundred.
    pub findings: Vec<Finding>,
    /// The number of further findings, which are only counted.
    pub findings_left: i64,
}

/// The knowledge about a log before a check of it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Before {
    /// Events that were there, such as those that followers have read.
    pub read: Vec<Checkpoint>,
    /// The last position that was there.
    pub end: i64,
    /// The last position that a check has proved by a seal.
    pub proved_to: i64,
}

impl Report {
    pub fn first_bad(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// Adds what is missing of what is known to have been there: events and seals. Those that were cut off leave no other
    /// trace. Returns the checkpoints whose events are missing.
    pub async fn compare_with(
        &mut self,
        log: &EventLog,
        positions: Positions,
        before: &Before,
    ) -> Result<Vec<Checkpoint>, Error> {
        let asked =
            |position: i64| position >= positions.from && positions.to.is_none_or(|to| position <= to);
        let mut known: Vec<_> = before.read.iter().filter(|at| at.event_id.is_some()).cloned().collect();
        known.sort_by_key(|at| (at.position, at.event_id));
        known.dedup();
        let head = log.head().await?.position;
        let farthest = known.iter().map(|at| at.position).fold(before.end, i64::max);
        let cut_off = (head + 1).max(positions.from);
        if cut_off <= farthest && positions.to.is_none_or(|to| cut_off <= to) {
            let fault = Fault::EventsCutOff { to: farthest };
            self.findings.push(Finding { position: cut_off, wrong: Wrong::Missing, fault });
        }
        let mut missing = Vec::new();
        for at in known.into_iter().filter(|at| asked(at.position)) {
            let there = log.read(at.position, 1).await?.into_iter().find(|row| row.position == at.position);
            let (wrong, fault) = match there {
                Some(row) if Some(row.event_id) == at.event_id => continue,
                Some(_) => (Wrong::Changed, Fault::OtherThanRead),
                None => (Wrong::Missing, Fault::EventsCutOff { to: at.position }),
            };
            // Everything beyond the end of the log is one finding already.
            let found = self.findings.iter().any(|finding| finding.position == at.position);
            if at.position <= head && !found {
                self.findings.push(Finding { position: at.position, wrong, fault });
            }
            missing.push(at);
        }
        let unsealed = (self.sealed_to + 1).max(positions.from);
        if unsealed <= before.proved_to && positions.to.is_none_or(|to| unsealed <= to) {
            let fault = Fault::SealsCutOff { to: before.proved_to };
            self.findings.push(Finding { position: unsealed, wrong: Wrong::SealBroken, fault });
        }
        self.findings.sort_by_key(|finding| finding.position);
        if !self.findings.is_empty() {
            self.verdict = Verdict::Broken;
        }
        Ok(missing)
    }
}

/// The report as text for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, from, to, rows, seals, .. } = self;
        let read = format!("{rows} events read, {seals} seals");
        match self.verdict {
            Verdict::Intact => write!(f, "intact    {log}:{from} to {to}: {read}"),
            Verdict::Broken => write!(f, "BROKEN    {log}: {read}"),
            Verdict::Unproven => {
                write!(f, "UNPROVEN  {log}: not everything that was asked for is under a seal; {read}")
            }
            Verdict::Nothing => {
                write!(f, "NOTHING   {log}: nothing to check, there is neither an event nor a seal there")
            }
        }?;
        for Finding { position, wrong, fault } in self.findings.iter().take(10) {
            write!(f, "\n  {log}:{position}  {wrong:?}: {fault}")?;
        }
        let more = i64::try_from(self.findings.len().saturating_sub(10)).unwrap_or(i64::MAX);
        if more + self.findings_left > 0 {
            write!(f, "\n  and {} more", more + self.findings_left)?;
        }
        // Where something is wrong, the rest claims nothing.
        if self.verdict == Verdict::Broken {
            return Ok(());
        }
        if let (Some(at), Some(hash)) = (self.sealed_at, self.last_seal) {
            write!(f, "\nsealed    up to {log}:{to} at {at:?}, seal {hash}")?;
        }
        for key in &self.keys {
            write!(f, "\nkey       {key}")?;
        }
        if !self.keys.is_empty() && !self.key_given {
            write!(f, "\n          found in the seals, not given by you: compare it with the one you know")?;
        }
        match &self.tail {
            Some(Tail { events, since }) => write!(
                f,
                "\ntail      unprovable: {events} events since {since:?} are under no seal; more may have been cut off without a trace"
            ),
            None if self.verdict == Verdict::Nothing => Ok(()),
            None => write!(
                f,
                "\ntail      no events; if some were cut off after the last seal, there is no trace"
            ),
        }
    }
}

/// Reads log and seals, and reports whether they agree.
pub async fn check(
    log: &EventLog,
    seals: &Seals,
    positions: Positions,
    trusted: Option<&TrustedKey>,
) -> Result<Report, Error> {
    let mut verifier = None;
    walk(log, seals, positions, &mut |step| {
        match (step, &mut verifier) {
            (Step::Open(manifest), _) => verifier = Some(Verifier::new(manifest, trusted)),
            (Step::Before(found), Some(verifier)) => verifier.before(found),
            (Step::Event(row), Some(verifier)) => verifier.event(&row),
            (Step::Unreadable(row), Some(verifier)) => verifier.unreadable(row),
            (Step::Seal(found), Some(verifier)) => verifier.seal(found),
            (_, None) => return Err(Error::Seals("a row or seal came before the manifest".to_owned())),
        }
        Ok(())
    })
    .await?;
    verifier.map(Verifier::finish).ok_or_else(|| Error::Seals("there was no manifest".to_owned()))
}

/// The most findings that are kept.
const KEPT: usize = 100;

/// A row that waits for its seal.
struct Row {
    position: i64,
    /// `None`: it cannot be read, which was reported.
    content: Option<Content>,
}

/// A sealed position that has another row, or none. It is classified once all mismatches are known.
struct Mismatch {
    position: i64,
    leaf: Hash,
    found: Option<Content>,
}

pub(super) struct Verifier {
    manifest: Manifest,
    trusted: Option<TrustedKey>,
    /// The last position that was read.
    at: i64,
    recorded_at: Option<DateTime<Utc>>,
    rows: i64,
    waiting: Vec<Row>,
    /// The last seal that was read, without its leaves.
    previous: Option<Seal>,
    seals: i64,
    /// The first position of valid seals, and the last one with its time and hash.
    covered_from: Option<i64>,
    covered_to: Option<(i64, i64, Hash)>,
    keys: Vec<PublicKey>,
    /// Changes of keys before the range: the key that names the next one, and that key.
    named: Vec<(PublicKey, PublicKey)>,
    mismatches: Vec<Mismatch>,
    findings: Vec<Finding>,
    left: i64,
    tail: Option<Tail>,
}

impl Verifier {
    pub(super) fn new(manifest: Manifest, trusted: Option<&TrustedKey>) -> Self {
        Self {
            at: manifest.start - 1,
            manifest,
            trusted: trusted.cloned(),
            recorded_at: None,
            rows: 0,
            waiting: Vec::new(),
            previous: None,
            seals: 0,
            covered_from: None,
            covered_to: None,
            keys: Vec::new(),
            named: Vec::new(),
            mismatches: Vec::new(),
            findings: Vec::new(),
            left: 0,
            tail: None,
        }
    }

    pub(super) fn find(&mut self, position: i64, wrong: Wrong, fault: Fault) {
        if self.findings.len() < KEPT {
            self.findings.push(Finding { position, wrong, fault });
        } else {
            self.left += 1;
        }
    }

    /// The position after the last one that was read.
    pub(super) fn next(&self) -> i64 {
        self.at + 1
    }

    /// A seal from before the range: the one that the range's first seal follows, or a change of keys.
    pub(super) fn before(&mut self, found: ReadSeal) {
        match found {
            Ok(seal) => {
                if !seal.signature_holds() {
                    let fault = Fault::SealSignature { seal: seal.number, key: seal.key.fingerprint() };
                    self.find(seal.first, Wrong::SignatureBad, fault);
                } else if let (Kind::KeyChange, Some(next)) = (seal.kind, seal.other_key) {
                    self.named.push((seal.key, next));
                }
                self.previous = Some(seal);
            }
            Err(Broken { number, reason }) => {
                self.find(self.next(), Wrong::SealBroken, Fault::SealUnreadable { seal: number, reason });
            }
        }
    }

    pub(super) fn event(&mut self, row: &StoredEvent) {
        self.rows += 1;
        if row.position <= self.at {
            let fault = Fault::RowOutOfOrder { event: row.event_id.to_string(), position: self.at };
            self.find(row.position, Wrong::Inserted, fault);
            return;
        }
        if row.position > self.manifest.sealed_to {
            self.unsealed(row);
        } else {
            self.waiting.push(Row { position: row.position, content: Some(Content::of(row)) });
        }
        (self.at, self.recorded_at) = (row.position, Some(row.recorded_at));
    }

    pub(super) fn unreadable(&mut self, row: Unreadable) {
        self.rows += 1;
        self.find(row.position, Wrong::Changed, Fault::RowUnreadable { reason: row.reason });
        self.waiting.push(Row { position: row.position, content: None });
        self.at = row.position.max(self.at);
    }

    /// The only check for a row that no seal covers.
    fn unsealed(&mut self, row: &StoredEvent) {
        let expected = self.at.max(self.manifest.sealed_to) + 1;
        if row.position > expected {
            self.find(expected, Wrong::Missing, Fault::RowsMissing { position: row.position });
        }
        if self.recorded_at.is_some_and(|before| row.recorded_at < before) {
            self.find(row.position, Wrong::Reordered, Fault::RecordedEarlier);
        }
        match &mut self.tail {
            Some(tail) => tail.events += 1,
            None => self.tail = Some(Tail { events: 1, since: row.recorded_at }),
        }
    }

    pub(super) fn seal(&mut self, found: ReadSeal) {
        self.seals += 1;
        let seal = match found {
            Ok(seal) => seal,
            Err(Broken { number, reason }) => {
                let position = self.previous.as_ref().map_or(self.manifest.start, |seal| seal.last + 1);
                self.find(position, Wrong::SealBroken, Fault::SealUnreadable { seal: number, reason });
                self.previous = None;
                return;
            }
        };
        let position = self.previous.as_ref().map_or(seal.first, |before| before.last + 1);
        let rows = self.rows_up_to(seal.last);
        if let Err((wrong, fault)) = self.judge(&seal) {
            self.find(position, wrong, fault);
        } else {
            self.compare(&seal, rows);
            self.covered_from.get_or_insert(seal.first);
            self.covered_to = Some((seal.last, seal.sealed_at, seal.hash()));
            if !self.keys.contains(&seal.key) {
                self.keys.push(seal.key);
            }
        }
        self.previous = Some(Seal { leaves: Bytes(Vec::new()), ..seal });
    }

    fn rows_up_to(&mut self, position: i64) -> Vec<Row> {
        let later = self.waiting.partition_point(|row| row.position <= position);
        let rest = self.waiting.split_off(later);
        std::mem::replace(&mut self.waiting, rest)
    }

    /// Whether a seal is valid and follows the one before it.
    fn judge(&self, seal: &Seal) -> Result<(), (Wrong, Fault)> {
        let broken = |fault| Err((Wrong::SealBroken, fault));
        let number = seal.number;
        if (seal.log.as_str(), seal.log_id) != (self.manifest.log.as_str(), self.manifest.log_id) {
            return broken(Fault::SealOfOtherLog { seal: number, log: seal.log.clone(), id: seal.log_id });
        }
        let none = seal.kind == Kind::KeyChange;
        if seal.count != seal.last - seal.first + 1 || none != (seal.count == 0) {
            let Seal { count, first, last, .. } = *seal;
            return broken(Fault::SealCount { seal: number, count, first, last });
        }
        if i64::try_from(seal.leaves.0.len()) != Ok(seal.count * 32) || Hash::of(&seal.leaves.0) != seal.root
        {
            return broken(Fault::SealLeaves { seal: number });
        }
        let key = || seal.key.fingerprint();
        if !seal.signature_holds() {
            return Err((Wrong::SignatureBad, Fault::SealSignature { seal: number, key: key() }));
        }
        let Some(before) = &self.previous else {
            return match number {
                1 if seal.first == 1 && seal.previous == Hash::default() && seal.other_key.is_none() => {
                    Ok(())
                }
                1 => broken(Fault::SealNotFirst { seal: number }),
                _ => broken(Fault::SealBeforeMissing { seal: number }),
            };
        };
        if number != before.number + 1 {
            return broken(Fault::SealsMissing { seal: number, last: before.number });
        }
        if seal.previous != before.hash() || seal.first != before.last + 1 {
            return broken(Fault::SealNotNext { seal: number });
        }
        let changed = before.kind == Kind::KeyChange;
        let (expected, other) =
            if changed { (before.other_key, Some(before.key)) } else { (Some(before.key), None) };
        if expected != Some(seal.key) {
            return Err((Wrong::KeyUnknown, Fault::KeyNotNamed { seal: number, key: key() }));
        }
        if !none && seal.other_key != other || none && seal.other_key.is_none() {
            return broken(Fault::OtherKeyNotNamed { seal: number });
        }
        Ok(())
    }

    /// Compares rows with the leaves of a valid seal.
    fn compare(&mut self, seal: &Seal, rows: Vec<Row>) {
        let mut rows = rows.into_iter().peekable();
        for position in seal.first..=seal.last {
            // The rows before it belong to a missing seal, which was reported.
            while rows.next_if(|row| row.position < position).is_some() {}
            let found = match rows.next_if(|row| row.position == position) {
                Some(Row { content: None, .. }) => continue,
                row => row.and_then(|row| row.content),
            };
            let Some(leaf) = seal.leaf(position) else { continue };
            let same = found.as_ref().is_some_and(|content| content.at(position) == leaf);
            if same {
                continue;
            }
            if self.mismatches.len() < KEPT {
                self.mismatches.push(Mismatch { position, leaf, found });
            } else {
                self.left += 1;
            }
        }
    }

    /// Classifies each mismatch: the sealed row may now be at another position, and the row at this position may have
    /// been sealed at another.
    fn classify(&mut self) {
        let mismatches = std::mem::take(&mut self.mismatches);
        for one in &mismatches {
            let others = || mismatches.iter().filter(|other| other.position != one.position);
            let sealed_at = one.found.as_ref().and_then(|content| {
                others().find(|other| content.at(other.position) == other.leaf).map(|other| other.position)
            });
            let moved_to = others()
                .find(|other| {
                    other.found.as_ref().is_some_and(|content| content.at(one.position) == one.leaf)
                })
                .map(|other| other.position);
            let (wrong, fault) = match (&one.found, sealed_at, moved_to) {
                (None, _, None) => (Wrong::Missing, Fault::EventGone),
                (None, _, Some(position)) => (Wrong::Missing, Fault::EventMoved { position }),
                (Some(_), Some(position), Some(_)) => (Wrong::Reordered, Fault::SealedElsewhere { position }),
                (Some(_), Some(position), None) => (Wrong::Missing, Fault::EventReplaced { position }),
                (Some(_), None, Some(position)) => (Wrong::Inserted, Fault::NeverSealed { position }),
                (Some(_), None, None) => (Wrong::Changed, Fault::EventChanged),
            };
            self.find(one.position, wrong, fault);
        }
    }

    /// Whether the given key is one of the chain's, or one that named the chain's first.
    fn judge_keys(&mut self) {
        let Some(trusted) = &self.trusted else { return };
        let mut reached = vec![trusted.fingerprint().to_owned()];
        for (key, next) in &self.named {
            if reached.contains(&key.fingerprint()) {
                reached.push(next.fingerprint());
            }
        }
        // The chain links all its keys in both directions: matching one is enough.
        if self.keys.is_empty() || self.keys.iter().any(|key| reached.contains(&key.fingerprint())) {
            return;
        }
        let fault = Fault::SignedByOthers { key: trusted.fingerprint().to_owned() };
        let position = self.covered_from.unwrap_or(self.manifest.start);
        self.findings.insert(0, Finding { position, wrong: Wrong::KeyUnknown, fault });
    }

    pub(super) fn finish(mut self) -> Report {
        self.classify();
        self.judge_keys();
        // A stable sort: findings of one position keep their order.
        self.findings.sort_by_key(|finding| finding.position);
        let Manifest { from, to, .. } = self.manifest;
        let (last, sealed_at, last_seal) = match self.covered_to {
            Some((last, at, hash)) => (last, DateTime::from_timestamp_micros(at), Some(hash)),
            None => (0, None, None),
        };
        let covered = self.covered_from.is_some_and(|first| first <= from.max(1))
            && last >= to.unwrap_or(from)
            && to.is_none_or(|to| from <= to);
        let verdict = match (self.findings.is_empty(), covered) {
            (false, _) => Verdict::Broken,
            (true, true) => Verdict::Intact,
            (true, false) if self.rows == 0 && self.seals == 0 => Verdict::Nothing,
            (true, false) => Verdict::Unproven,
        };
        Report {
            verdict,
            log: self.manifest.log,
            log_id: self.manifest.log_id,
            from: self.covered_from.unwrap_or(self.manifest.start),
            to: last,
            rows: self.rows,
            seals: self.seals,
            keys: self.keys.iter().map(PublicKey::fingerprint).collect(),
            key_given: self.trusted.is_some(),
            sealed_at,
            last_seal,
            sealed_to: self.manifest.sealed_to,
            tail: self.tail,
            findings: self.findings,
            findings_left: self.left,
        }
    }
}
