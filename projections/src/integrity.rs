//! Which positions of a sealed log were proved, and where tampering was found: what the checks and acknowledgements in
//! the record of operations say, one after the other.
//!
//! An alarm stays: a range in which something was found is red until a check of all of it finds nothing, or until
//! somebody acknowledges it with a reason. Each entry carries the ranges as they are after it, so the newest one is all
//! that has to be read. One that is not as it was sealed counts as no entry, and is an alarm itself.

mod proof;

use std::fmt::{self, Write as _};

use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soonshop_domain::Personal;
use soonshop_event_log::seal::{Fault, Positions, Report, Verdict, Wrong};
use soonshop_event_log::{Checkpoint, Error};
use uuid::Uuid;

pub use self::proof::RecordProof;
use self::proof::Sealed;
use crate::operations::{self, Operation, Recorded};

/// The action of a check in the record of operations.
pub const CHECK: &str = "check";

/// The action of an acknowledgement.
pub const ACKNOWLEDGE: &str = "acknowledge";

/// The findings, as a check of the shop reports them.
pub const FOUND: &str = "tampering was found there, and it is neither proved again nor acknowledged";

/// The most ranges that are kept apart.
const MOST: usize = 1_000;

/// The greatest position that a range can have.
const LAST: i64 = i64::MAX - 1;

/// How many events that are missing are kept by their ids.
const MOST_MISSING: usize = 100;

/// The name of the list of entries that are not as they were sealed, in an entry that was added after them.
const CHANGED: &str = "changed";

/// How many of them are kept.
const MOST_CHANGED: usize = 100;

/// How many entries of an earlier release, which carry no ranges, are read at once.
const PAGE: i64 = 200;

/// A sealed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealedLog {
    /// The event log.
    Log,
    /// The record of operations.
    Record,
}

impl SealedLog {
    pub const ALL: [Self; 2] = [Self::Log, Self::Record];
    pub const NAMES: [&str; 2] = ["log", "record"];

    /// Its name, also in the record of operations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Record => "record",
        }
    }

    /// The one with this name; the event log where none is given.
    pub fn named(name: Option<&str>) -> Self {
        if name == Some(Self::Record.name()) { Self::Record } else { Self::Log }
    }
}

/// The state of a range. A position in no range was never checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A check found that it is as it was sealed.
    Proved,
    /// A check found something wrong.
    Broken,
    /// A check with a given key found that other keys sealed it: only a check with a key proves it again.
    OtherKey,
    /// A check found a seal before it that does not hold: only a check from before that seal on proves it again, as any
    /// other takes the seal before its range as given.
    AfterBrokenSeal,
    /// Something was found, and somebody has acknowledged it. It is not proved.
    Acknowledged,
}

impl State {
    /// Something was found there, and nobody has acknowledged it.
    pub fn is_red(self) -> bool {
        self.strictness() > 0
    }

    /// How much a check needs to prove it again.
    fn strictness(self) -> u8 {
        match self {
            Self::Proved | Self::Acknowledged => 0,
            Self::Broken => 1,
            Self::AfterBrokenSeal => 2,
            Self::OtherKey => 3,
        }
    }
}

/// The red states that not every check proves again, the strictest first.
const STRICT: [State; 2] = [State::OtherKey, State::AfterBrokenSeal];

/// Neighbouring positions of which the same is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub from: i64,
    pub to: i64,
    pub state: State,
    /// The position of the entry in the record of operations that says so.
    pub entry: i64,
}

/// The range as people write it.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}", self.from)
        } else {
            write!(f, "{}…{}", self.from, self.to)
        }
    }
}

/// The evidence of an entry: the ranges that it proves, those in which it found something, and those it acknowledges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The positions that are as they were sealed.
    pub proved: Option<(i64, i64)>,
    /// Where something was found, and what it means.
    pub found: Vec<(i64, i64, State)>,
    /// The positions of an acknowledgement.
    pub acknowledged: Option<(i64, i64)>,
    /// The check had a key that was given to it.
    pub with_key: bool,
    /// The last entry of the record before the check began: it proves nothing about what later ones say. `None`: it began
    /// after all entries before its own.
    pub begun_after: Option<i64>,
    /// The last position that was there.
    pub head: i64,
    /// Events that a follower had read and that are not there any more.
    pub missing: Vec<(i64, Uuid)>,
}

impl Evidence {
    /// The evidence of a check. One with findings proves nothing, and one of an empty range has no evidence.
    pub fn of_check(positions: Positions, Checked { report, missing, begun_after }: &Checked) -> Self {
        let tail = report.tail.as_ref().map_or(0, |tail| tail.events);
        let head = report.sealed_to.saturating_add(tail);
        let missing = missing.iter().filter_map(|at| Some((at.position, at.event_id?))).collect();
        let begun_after = Some(*begun_after);
        let mut evidence = Self { with_key: report.key_given, begun_after, head, missing, ..Self::default() };
        if report.verdict != Verdict::Broken {
            evidence.proved =
                (report.seals > 0 && report.from <= report.to).then_some((report.from, report.to));
            return evidence;
        }
        let end = positions.to.unwrap_or(head).max(report.to);
        evidence.found = report
            .findings
            .iter()
            .map(|finding| {
                let from = finding.position.max(1);
                let (to, state) = match (&finding.fault, finding.wrong) {
                    (Fault::SignedByOthers { .. }, _) => (end, State::OtherKey),
                    (Fault::EventsCutOff { to } | Fault::SealsCutOff { to }, _) => (*to, State::Broken),
                    (Fault::RowsMissing { position }, _) => (position - 1, State::Broken),
                    // Nothing proves the events after a seal that does not hold.
                    (
                        _,
                        Wrong::SealBroken | Wrong::SignatureBad | Wrong::KeyUnknown | Wrong::ExportBroken,
                    ) => (end, State::AfterBrokenSeal),
                    _ => (from, State::Broken),
                };
                (from, to.max(from), state)
            })
            .collect();
        if report.findings_left > 0 {
            // Those that are only counted may be anywhere.
            let from = positions.from.min(report.from).max(1);
            evidence.found.push((from, end.max(from), State::Broken));
        }
        evidence
    }

    /// The evidence of an entry of the record.
    fn of_entry(line: &Recorded) -> Self {
        let number = |name: &str| line.detail[name].as_i64();
        let range = || number("from").zip(number("to")).filter(|(from, to)| from <= to);
        if line.action == ACKNOWLEDGE {
            return Self { acknowledged: range(), ..Self::default() };
        }
        let head = number("head").unwrap_or(0);
        let with_key = line.detail["key_given"] == true;
        match line.detail["verdict"].as_str() {
            Some("broken") => {
                let from = number("first_bad").unwrap_or(1).max(1);
                let found = vec![(from, number("to").unwrap_or(from).max(from), State::Broken)];
                Self { found, with_key, head, ..Self::default() }
            }
            Some("intact" | "unproven") => Self { proved: range(), with_key, head, ..Self::default() },
            _ => Self { with_key, head, ..Self::default() },
        }
    }
}

/// The findings in a sealed log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Integrity {
    /// In order, without overlaps.
    pub ranges: Vec<Range>,
    /// The last position that a check has seen.
    pub head: i64,
    /// Events that were there, by position and id: a check proves their positions only once they are there again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<(i64, Uuid)>,
}

impl Integrity {
    /// Takes in what an entry says.
    pub fn take(&mut self, entry: i64, evidence: &Evidence) {
        self.head = self.head.max(evidence.head);
        if let Some((from, to)) = evidence.proved {
            let chain = self.broken_chain(from);
            let open = |before: Range| match before.state {
                State::Proved => true,
                _ if evidence.begun_after.is_some_and(|last| before.entry > last) => false,
                State::OtherKey => evidence.with_key,
                State::AfterBrokenSeal => !chain.contains(&before.from),
                State::Broken | State::Acknowledged => true,
            };
            self.paint(Range { from, to, state: State::Proved, entry }, |before| before.is_none_or(open));
            let red: Vec<_> = self.red().copied().collect();
            self.missing.retain(|(position, _)| {
                let is_red = red.iter().any(|range| (range.from..=range.to).contains(position));
                is_red || !(from..=to).contains(position)
            });
        }
        for &(from, to, state) in &evidence.found {
            // A finding that only a stricter check can prove again stays, and is found anew.
            for kept in STRICT.into_iter().filter(|kept| kept.strictness() > state.strictness()) {
                let new = Range { from, to, state: kept, entry };
                self.paint(new, |before| before.is_some_and(|range| range.state == kept));
            }
            self.paint(Range { from, to, state, entry }, |before| {
                before.is_none_or(|range| range.state.strictness() <= state.strictness())
            });
        }
        if let Some((from, to)) = evidence.acknowledged {
            // The log may end before what is missing at its end.
            let reaches = |range: &&Range| range.from <= self.head && self.head <= range.to.min(to);
            let end = self.red().filter(|range| range.state == State::Broken).find(reaches);
            if let Some(start) = end.map(|range| range.from.max(from)).filter(|start| *start <= self.head) {
                self.head = start - 1;
            }
            self.paint(Range { from, to, state: State::Acknowledged, entry }, |before| {
                before.is_some_and(|range| range.state.is_red())
            });
            self.missing.retain(|(position, _)| !(from..=to).contains(position));
        }
        for one in &evidence.missing {
            if !self.missing.contains(one) && self.missing.len() < MOST_MISSING {
                self.missing.push(*one);
            }
        }
        self.bound();
    }

    /// Where the ranges begin that a proof from this position on does not reach: a seal before it does not hold.
    fn broken_chain(&self, from: i64) -> Vec<i64> {
        let (mut all, mut first, mut next) = (Vec::new(), None, 0);
        for range in &self.ranges {
            if range.state == State::Proved || range.from != next {
                first = None;
            }
            next = range.to.saturating_add(1);
            if range.state == State::AfterBrokenSeal && *first.get_or_insert(range.from) < from {
                all.push(range.from);
            }
        }
        all
    }

    /// Puts a range over those that are there, where they are `open` to it.
    fn paint(&mut self, new: Range, open: impl Fn(Option<Range>) -> bool) {
        let new = Range { from: new.from.max(1), to: new.to.min(LAST), ..new };
        let (mut all, mut after) = (Vec::with_capacity(self.ranges.len() + 2), Vec::new());
        let mut next = new.from;
        for old in self.ranges.drain(..) {
            if old.to < new.from {
                all.push(old);
                continue;
            }
            if old.from > new.to {
                after.push(old);
                continue;
            }
            if next < old.from && open(None) {
                all.push(Range { from: next, to: old.from - 1, ..new });
            }
            next = old.to + 1;
            if !open(Some(old)) {
                all.push(old);
                continue;
            }
            if old.from < new.from {
                all.push(Range { to: new.from - 1, ..old });
            }
            all.push(Range { from: old.from.max(new.from), to: old.to.min(new.to), ..new });
            if old.to > new.to {
                all.push(Range { from: new.to + 1, ..old });
            }
        }
        if next <= new.to && open(None) {
            all.push(Range { from: next, ..new });
        }
        all.extend(after);
        self.ranges = joined(all);
    }

    /// Keeps it small, and never greener than it was.
    fn bound(&mut self) {
        if self.ranges.len() > MOST {
            self.ranges.retain(|range| range.state != State::Proved);
        }
        if self.ranges.len() > MOST
            && let (Some(first), Some(last)) = (self.ranges.first().copied(), self.ranges.last().copied())
        {
            let has = |state: State| self.ranges.iter().any(|range| range.state == state);
            let strict = STRICT.into_iter().find(|state| has(*state));
            let state = strict.unwrap_or(State::Broken);
            let entry = self.ranges.iter().map(|range| range.entry).fold(last.entry, i64::max);
            self.ranges = vec![Range { from: first.from, to: last.to, state, entry }];
        }
    }

    /// The ranges in which something was found that nobody has acknowledged.
    pub fn red(&self) -> impl Iterator<Item = &Range> {
        self.ranges.iter().filter(|range| range.state.is_red())
    }

    /// Nothing was found that is not proved again or acknowledged.
    pub fn is_well(&self) -> bool {
        self.red().next().is_none()
    }

    /// The last position that is proved; 0: none is.
    pub fn proved_to(&self) -> i64 {
        self.ranges.iter().rev().find(|range| range.state == State::Proved).map_or(0, |range| range.to)
    }

    /// Takes in that entries of the record itself are not what was sealed. Nothing else is known of them.
    fn suspect(&mut self, from: i64, to: i64) {
        let found = Range { from, to, state: State::Broken, entry: from };
        self.paint(found, |before| before.is_none_or(|range| range.state == State::Proved));
        self.bound();
    }

    /// The red ranges in words, the first of them where there are many.
    pub fn red_ranges(&self) -> String {
        let red: Vec<_> = self.red().collect();
        let mut text = red.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if red.len() > 3 {
            // Writing to a string cannot fail.
            let _ = write!(text, " (+{})", red.len() - 3);
        }
        text
    }

    /// The findings that an entry carries. One that carries nothing that this release can read is folded.
    fn carried_by(detail: &Value) -> Option<Self> {
        serde_json::from_value(detail.get("integrity")?.clone()).ok()
    }
}

/// Neighbours that say the same as one; ranges that are proved by several checks as proved by the last.
fn joined(all: Vec<Range>) -> Vec<Range> {
    let mut joined: Vec<Range> = Vec::with_capacity(all.len());
    for range in all {
        match joined.last_mut() {
            Some(last)
                if last.state == range.state
                    && last.to.checked_add(1) == Some(range.from)
                    && (last.entry == range.entry || range.state == State::Proved) =>
            {
                last.to = range.to;
                last.entry = last.entry.max(range.entry);
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// The findings in both sealed logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Both {
    /// The event log.
    pub log: Integrity,
    /// The record of operations.
    pub record: Integrity,
}

impl Both {
    pub fn of(&self, of: SealedLog) -> &Integrity {
        match of {
            SealedLog::Log => &self.log,
            SealedLog::Record => &self.record,
        }
    }

    pub fn is_well(&self) -> bool {
        self.log.is_well() && self.record.is_well()
    }

    /// Where something was found: `log 323880; record 7…9`. `None`: nowhere.
    pub fn red_ranges(&self) -> Option<String> {
        let red = SealedLog::ALL.into_iter().filter(|of| !self.of(*of).is_well());
        let parts: Vec<_> = red.map(|of| format!("{} {}", of.name(), self.of(of).red_ranges())).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The findings in both, from the newest entries about them.
pub async fn read(proof: &RecordProof) -> Result<Both, Error> {
    let on = &proof.db().connection;
    Ok(Both {
        log: read_one(proof, on, SealedLog::Log).await?,
        record: read_one(proof, on, SealedLog::Record).await?,
    })
}

/// The findings in one sealed log. The newest entry has them; only entries of earlier releases are folded again. In the
/// record, entries about the seals that are not as they were sealed are findings, too, and so is a missing end.
pub async fn read_one(
    proof: &RecordProof,
    on: &impl ConnectionTrait,
    of: SealedLog,
) -> Result<Integrity, Error> {
    found(proof, on, of).await.map(|(known, _)| known)
}

/// The same, with the positions of the entries about this log that are not as they were sealed.
async fn found(
    proof: &RecordProof,
    on: &impl ConnectionTrait,
    of: SealedLog,
) -> Result<(Integrity, Vec<i64>), Error> {
    let (mut known, changed) = of_entries(proof, on, of).await?;
    if of == SealedLog::Record {
        let (_, about_log) = of_entries(proof, on, SealedLog::Log).await?;
        for &position in changed.iter().chain(&about_log) {
            known.suspect(position, position);
        }
        if let Some((from, to)) = proof.cut_off(on).await? {
            known.suspect(from, to);
        }
    }
    Ok((known, changed))
}

/// The findings according to the entries, and the positions of those that are not as they were sealed.
async fn of_entries(
    proof: &RecordProof,
    on: &impl ConnectionTrait,
    of: SealedLog,
) -> Result<(Integrity, Vec<i64>), Error> {
    let (mut entries, mut changed, mut before, mut most) = (Vec::new(), Vec::new(), i64::MAX, 1);
    loop {
        let page = operations::about_integrity(proof.db(), on, of.name(), (before, most)).await?;
        let whole = i64::try_from(page.len()) == Ok(most);
        for line in page {
            before = line.position;
            let sealed = proof.of(line.position, line.at).await?;
            if sealed != Sealed::Holds {
                changed.push(line.position);
            }
            if sealed == Sealed::Changed {
                continue;
            }
            if let Some(carried) = Integrity::carried_by(&line.detail) {
                for position in carried_changes(&line.detail) {
                    // One that was put back is no finding any more.
                    if !changed.contains(&position) && proof.of(position, 0).await? != Sealed::Holds {
                        changed.push(position);
                    }
                }
                return Ok((folded(carried, &entries), changed));
            }
            entries.push(line);
        }
        if !whole {
            return Ok((folded(Integrity::default(), &entries), changed));
        }
        most = PAGE;
    }
}

/// The positions of the entries before this one that were not as they were sealed when it was added.
fn carried_changes(detail: &Value) -> Vec<i64> {
    let carried = detail[CHANGED].as_array().into_iter().flatten();
    carried.filter_map(Value::as_i64).collect()
}

/// The entries, the newest first, taken in one after the other.
fn folded(mut known: Integrity, entries: &[Recorded]) -> Integrity {
    for line in entries.iter().rev() {
        known.take(line.position, &Evidence::of_entry(line));
    }
    known
}

/// A check that was made.
#[derive(Debug, Clone)]
pub struct Checked {
    pub report: Report,
    /// Events that a follower had read and that are not there any more.
    pub missing: Vec<Checkpoint>,
    /// The last entry of the record of operations before the check began: what later ones found is not undone by it.
    pub begun_after: i64,
}

/// Records a check, with the ranges as they are after it.
pub async fn record_check(
    proof: &RecordProof,
    actor: &str,
    of: SealedLog,
    positions: Positions,
    checked: &Checked,
) -> Result<Integrity, Error> {
    let (evidence, report) = (Evidence::of_check(positions, checked), &checked.report);
    let detail = json!({
        "verdict": report.verdict, "from": report.from, "to": report.to, "rows": report.rows,
        "tail": report.tail.as_ref().map_or(0, |tail| tail.events), "head": evidence.head,
        "first_bad": report.first_bad().map(|finding| finding.position), "key_given": report.key_given,
    });
    let mut done = Operation {
        actor: actor.to_owned(),
        action: CHECK,
        subject: of.name().to_owned(),
        detail,
        note: None,
    };
    let tx = proof.db().connection.begin().await?;
    let known = add(proof, &tx, of, &mut done, &evidence).await?;
    tx.commit().await?;
    Ok(known)
}

/// Records that somebody knows of what was found between these positions, and why it is no alarm any more. `None`:
/// nothing red is there, and nothing was recorded.
pub async fn acknowledge(
    proof: &RecordProof,
    actor: &str,
    of: SealedLog,
    (from, to): (i64, i64),
    reason: Personal<String>,
) -> Result<Option<Integrity>, Error> {
    let evidence = Evidence { acknowledged: Some((from, to)), ..Evidence::default() };
    let detail = json!({ "from": from, "to": to });
    let subject = of.name().to_owned();
    let mut done =
        Operation { actor: actor.to_owned(), action: ACKNOWLEDGE, subject, detail, note: Some(reason) };
    let db = proof.db();
    let tx = db.connection.begin().await?;
    operations::lock(db, &tx).await?;
    let red = read_one(proof, &tx, of).await?;
    if !red.red().any(|range| range.from <= to && from <= range.to) {
        tx.rollback().await?;
        return Ok(None);
    }
    let known = add(proof, &tx, of, &mut done, &evidence).await?;
    tx.commit().await?;
    Ok(Some(known))
}

async fn add(
    proof: &RecordProof,
    tx: &DatabaseTransaction,
    of: SealedLog,
    done: &mut Operation,
    evidence: &Evidence,
) -> Result<Integrity, Error> {
    let db = proof.db();
    operations::lock(db, tx).await?;
    // Nothing is added meanwhile: what is known is that of all entries before this one.
    let (mut known, mut changed) = found(proof, tx, of).await?;
    changed.truncate(MOST_CHANGED);
    let row = tx.query_one(db.statement("SELECT coalesce(max(position), 0) + 1 FROM @entries", [])).await?;
    let entry: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(1);
    known.take(entry, evidence);
    done.detail["integrity"] =
        serde_json::to_value(&known).map_err(|error| Error::Database(error.to_string()))?;
    if !changed.is_empty() {
        // The newest entry is all that is read: without this they would be forgotten once it is sealed.
        done.detail[CHANGED] = json!(changed);
    }
    operations::record(db, tx, done).await?;
    Ok(known)
}

#[cfg(test)]
mod tests;
