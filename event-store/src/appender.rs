//! One appender per process: it collects waiting appends and writes them as one batch, in one round trip and one
//! commit, under the lock of the log's head.
//!
//! The protocol between callers and the appender: requests of one stream are submitted in the order of their
//! decisions, and each names the event that it builds on. Inside a batch a request may build on an earlier one; if
//! that one is refused, so is this one, and no other. Two requests that affect each other in another way (the same
//! command, the same unique value, a stream that an earlier request changes unseen) go into different batches, so
//! that the database judges them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use soonshop_event_log::StoredEvent;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::kind::OutcomeKind;
use crate::metrics::Appends;
use crate::purge::{Purge, Purged};
use crate::{AppendError, LastFailure};

/// An event to append. Its personal values are encrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub aggregate_type: &'static str,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: String,
    pub event_id: Uuid,
    pub occurred_at: DateTime<Utc>,
}

/// The last event of a stream that a decision has seen; sequence 0 without id: no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub aggregate_type: &'static str,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_id: Option<Uuid>,
}

/// A unique value to claim: its HMAC with one active key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub scope: &'static str,
    pub key_id: i32,
    pub value: Vec<u8>,
    /// The version of the normal form of the value.
    pub form: i16,
    /// `<type>:<id>`.
    pub owner: String,
}

/// The result of a command, as its record keeps it: ids, versions, positions and reasons, never a personal value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    pub kind: OutcomeKind,
    /// A text of the caller, kept for its answers, such as where the result is found. The store does not read it.
    pub reference: Option<String>,
    /// The stream's version after the command.
    pub version: Option<i64>,
    pub first_position: Option<i64>,
    pub last_position: Option<i64>,
    /// The slug and sentence of a refusal, as JSON. Of a success a text of the caller, kept for its answers.
    pub detail: Option<String>,
}

/// One append: events of one or a few streams, all or nothing; or a check that appends nothing.
#[derive(Debug, Clone)]
pub struct Request {
    pub command_id: Uuid,
    /// HMAC over what the command means: it detects a reused id.
    pub fingerprint: Vec<u8>,
    /// Keep the answer even if nothing is appended.
    pub record: bool,
    /// Without positions; the append fills them in.
    pub answer: Answer,
    pub streams: Vec<Expected>,
    pub claims: Vec<Claim>,
    /// Pairs of scope and owner that from now on hold only the values in `claims`.
    pub frees: Vec<(&'static str, String)>,
    /// The active keys that `claims` were made with.
    pub claim_keys: Vec<i32>,
    pub events: Vec<NewEvent>,
    pub deadline: Instant,
}

/// The outcome of a request.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It was appended now.
    Done(Answer),
    /// The command's id is known, with the answer that it got then.
    Known { answer: Answer, fingerprint: Vec<u8> },
    /// A stream is not at the version that the decision saw.
    Version {
        aggregate_type: String,
        aggregate_id: String,
        /// The stream's current sequence.
        sequence: i64,
        /// The sequence that the decision saw.
        seen: i64,
        /// All events between the two, unless the histories differ or there are very many. (Without metadata.)
        missed: Vec<StoredEvent>,
    },
    /// Another owner holds the value.
    Claimed { scope: String, owner: String },
    /// It builds on a request that was refused.
    Behind,
}

/// Writes batches to one backend. Connects by itself.
#[async_trait]
pub(crate) trait Backend: Send {
    /// Appends a batch in one transaction. The outer error concerns the whole batch.
    async fn append(&mut self, batch: &Batch<'_>) -> Result<Written, BatchError>;

    /// Purges in one transaction, which first takes the same lock as an append.
    async fn purge(&mut self, purge: &Purge) -> Result<Purged, BatchError>;
}

pub(crate) enum BatchError {
    /// Temporary; the batch may have been committed.
    Unavailable(String),
    ClaimKeysChanged,
    /// Some of the data is wrong: split the batch to find it.
    Data(String),
    /// Permanent: another process owns the log.
    Owned(String),
}

/// The last position before the batch, and the refused requests. All others were written, in order.
pub(crate) struct Written {
    pub(crate) base: i64,
    pub(crate) refused: Vec<Refused>,
    /// Requests (from 1) that build on refused ones; the backend computes them from `refused`.
    pub(crate) behind: HashSet<usize>,
}

/// A refusal in the database's words; `request` counts from 1.
#[derive(Debug, Deserialize)]
pub(crate) struct Refused {
    pub(crate) request: usize,
    #[serde(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "why", rename_all = "lowercase")]
pub(crate) enum Why {
    Command {
        fingerprint: String,
        status: i16,
        location: Option<String>,
        version: Option<i64>,
        first: Option<i64>,
        last: Option<i64>,
        detail: Option<String>,
    },
    Version {
        #[serde(rename = "type")]
        aggregate_type: String,
        id: String,
        sequence: i64,
        #[serde(default)]
        diverged: bool,
        #[serde(default)]
        missed: Option<Vec<Missed>>,
    },
    Claim {
        scope: String,
        owner: String,
    },
}

/// An event that the decision has not seen.
#[derive(Debug, Deserialize)]
pub(crate) struct Missed {
    sequence: i64,
    position: i64,
    event_id: Uuid,
    event_type: String,
    event_version: String,
    payload: String,
}

impl Missed {
    fn stored(self, aggregate_type: &str, aggregate_id: &str) -> StoredEvent {
        StoredEvent {
            position: self.position,
            event_id: self.event_id,
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            sequence: self.sequence,
            event_type: self.event_type,
            event_version: self.event_version,
            payload: self.payload,
            metadata: "{}".to_owned(),
            occurred_at: DateTime::UNIX_EPOCH,
            recorded_at: DateTime::UNIX_EPOCH,
        }
    }
}

/// Requests that are written together, which request builds on which (both from 1), and the streams that the database
/// must judge.
pub(crate) struct Batch<'a> {
    pub(crate) requests: Vec<&'a Request>,
    pub(crate) stands_on: Vec<(usize, usize)>,
    pub(crate) checks: Vec<(usize, &'a Expected)>,
    pub(crate) claim_keys: Vec<i32>,
}

type StreamKey<'a> = (&'a str, &'a str);

impl<'a> Batch<'a> {
    fn of(requests: Vec<&'a Request>) -> Self {
        let mut last: HashMap<StreamKey<'a>, usize> = HashMap::new();
        let (mut stands_on, mut checks, mut claim_keys) = (Vec::new(), Vec::new(), Vec::new());
        for (index, request) in requests.iter().enumerate() {
            let number = index + 1;
            for stream in &request.streams {
                match last.get(&(stream.aggregate_type, stream.aggregate_id.as_str())) {
                    Some(prior) => stands_on.push((number, *prior)),
                    None => checks.push((number, stream)),
                }
            }
            for event in &request.events {
                last.insert((event.aggregate_type, event.aggregate_id.as_str()), number);
            }
            if !request.claim_keys.is_empty() {
                claim_keys.clone_from(&request.claim_keys);
            }
        }
        Self { requests, stands_on, checks, claim_keys }
    }

    /// The requests (from 1) that build on refused ones.
    pub(crate) fn behind(&self, refused: &[Refused]) -> HashSet<usize> {
        let mut bad: HashSet<usize> = refused.iter().map(|refused| refused.request).collect();
        let direct = bad.clone();
        for (number, prior) in &self.stands_on {
            // Requests build only on earlier ones: one pass in order is enough.
            if bad.contains(prior) {
                bad.insert(*number);
            }
        }
        bad.difference(&direct).copied().collect()
    }
}

struct Waiting {
    request: Request,
    answer: oneshot::Sender<Result<Outcome, AppendError>>,
}

/// A purge of old records that waits its turn.
struct Purging {
    purge: Purge,
    answer: oneshot::Sender<Result<Purged, AppendError>>,
}

/// The entry to the log. Clones share one queue; dropping the last one ends it.
#[derive(Clone)]
pub struct Appender {
    queue: mpsc::UnboundedSender<Waiting>,
    /// One at a time, between two batches.
    purges: mpsc::UnboundedSender<Purging>,
    /// The last position that this process appended: it wakes followers in this process.
    appended: watch::Receiver<i64>,
    failed: LastFailure,
}

/// The most requests of one batch, and the most bytes of their events.
const MOST_REQUESTS: usize = 512;
const MOST_BYTES: usize = 4 * 1024 * 1024;

impl Appender {
    pub(crate) fn start(backend: Box<dyn Backend>, counts: Appends) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let (purges, purging) = mpsc::unbounded_channel();
        let (news, appended) = watch::channel(0);
        let failed = LastFailure::default();
        let writer = run(backend, waiting, purging, news, counts, failed.clone());
        (Self { queue, purges, appended, failed }, tokio::spawn(writer))
    }

    /// Why the last batch could not be written.
    pub(crate) fn failed(&self) -> LastFailure {
        self.failed.clone()
    }

    /// The last position that this process appended; 0 before the first.
    pub fn appended(&self) -> watch::Receiver<i64> {
        self.appended.clone()
    }

    /// Submits a request. Requests are judged in the order in which they are submitted.
    pub fn submit(&self, request: Request) -> oneshot::Receiver<Result<Outcome, AppendError>> {
        let (answer, outcome) = oneshot::channel();
        if let Err(mpsc::error::SendError(waiting)) = self.queue.send(Waiting { request, answer }) {
            // If no one receives this, the caller has gone.
            drop(waiting.answer.send(Err(AppendError::Unavailable("the process is stopping".to_owned()))));
        }
        outcome
    }

    /// Deletes some old records of commands, between two batches: only one connection writes this log.
    pub(crate) async fn purge(&self, purge: Purge) -> Result<Purged, AppendError> {
        let (answer, outcome) = oneshot::channel();
        let stopping = || AppendError::Unavailable("the process is stopping".to_owned());
        self.purges.send(Purging { purge, answer }).map_err(|_| stopping())?;
        outcome.await.unwrap_or_else(|_| Err(stopping()))
    }
}

async fn run(
    mut backend: Box<dyn Backend>,
    mut queue: mpsc::UnboundedReceiver<Waiting>,
    mut purges: mpsc::UnboundedReceiver<Purging>,
    news: watch::Sender<i64>,
    counts: Appends,
    failed: LastFailure,
) {
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let mut fresh = Vec::new();
    loop {
        if let Ok(one) = purges.try_recv() {
            purge(backend.as_mut(), one).await;
        }
        if waiting.is_empty() {
            tokio::select! {
                biased;
                count = queue.recv_many(&mut fresh, MOST_REQUESTS) => if count == 0 {
                    return;
                },
                Some(one) = purges.recv() => purge(backend.as_mut(), one).await,
            }
        }
        while fresh.len() < MOST_REQUESTS {
            match queue.try_recv() {
                Ok(more) => fresh.push(more),
                Err(_) => break,
            }
        }
        waiting.extend(fresh.drain(..));
        if waiting.is_empty() {
            continue;
        }
        let (batch, later) = choose(std::mem::take(&mut waiting));
        waiting = later;
        write(backend.as_mut(), batch, &news, &counts, &failed).await;
    }
}

/// Chooses requests that can be in one batch, in order. A request that cannot, and every one that shares something
/// with it, waits for the next batch.
fn choose(waiting: VecDeque<Waiting>) -> (Vec<Waiting>, VecDeque<Waiting>) {
    let (mut batch, mut later): (Vec<Waiting>, VecDeque<Waiting>) = (Vec::new(), VecDeque::new());
    let mut bytes = 0;
    // The keys of the first request with claims: the database compares one set of keys per batch.
    let mut claim_keys: Vec<i32> = Vec::new();
    let mut commands: HashSet<Uuid> = HashSet::new();
    let mut claims: HashSet<(&'static str, Vec<u8>)> = HashSet::new();
    let mut owners: HashSet<(&'static str, String)> = HashSet::new();
    // The last event of each stream after the chosen requests; `None` once a request on it was put off.
    let mut streams: HashMap<(&'static str, String), Option<Uuid>> = HashMap::new();
    for one in waiting {
        let request = &one.request;
        let size: usize = request.events.iter().map(|event| event.payload.len() + event.metadata.len()).sum();
        let full = batch.len() >= MOST_REQUESTS || (bytes + size > MOST_BYTES && !batch.is_empty());
        let meets = commands.contains(&request.command_id)
            || request.claims.iter().any(|claim| claims.contains(&(claim.scope, claim.value.clone())))
            || request.frees.iter().any(|free| owners.contains(free))
            || request.streams.iter().any(|stream| {
                let known = streams.get(&(stream.aggregate_type, stream.aggregate_id.clone()));
                known.is_some_and(|last| last.is_none() || *last != stream.event_id)
            });
        let other_keys =
            !request.claim_keys.is_empty() && !claim_keys.is_empty() && request.claim_keys != claim_keys;
        let put_off = full || meets || other_keys;
        // Every later request that shares something with it comes after it, in this batch or a later one.
        commands.insert(request.command_id);
        claims.extend(request.claims.iter().map(|claim| (claim.scope, claim.value.clone())));
        owners.extend(request.frees.iter().cloned());
        // A later request of the same owner may free a value that this one claims, but the database frees before it
        // claims.
        owners.extend(request.claims.iter().map(|claim| (claim.scope, claim.owner.clone())));
        if put_off {
            for stream in &request.streams {
                streams.insert((stream.aggregate_type, stream.aggregate_id.clone()), None);
            }
            later.push_back(one);
            continue;
        }
        bytes += size;
        if claim_keys.is_empty() {
            claim_keys.clone_from(&request.claim_keys);
        }
        for event in &request.events {
            streams.insert((event.aggregate_type, event.aggregate_id.clone()), Some(event.event_id));
        }
        batch.push(one);
    }
    (batch, later)
}

/// Writes until every request has its answer: again after a lost connection, in halves after wrong data.
async fn write(
    backend: &mut dyn Backend,
    batch: Vec<Waiting>,
    news: &watch::Sender<i64>,
    counts: &Appends,
    failed: &LastFailure,
) {
    let mut pieces = VecDeque::from([batch]);
    let mut pause = Duration::from_millis(10);
    while let Some(mut piece) = pieces.pop_front() {
        piece.retain(|waiting| !waiting.answer.is_closed());
        if piece.is_empty() {
            continue;
        }
        let begun = Instant::now();
        let written =
            backend.append(&Batch::of(piece.iter().map(|waiting| &waiting.request).collect())).await;
        match written {
            Ok(written) => {
                counts.written(piece.len(), begun.elapsed());
                let base = written.base;
                let last = answer(piece, written, counts);
                if last > base {
                    failed.is_over();
                }
                news.send_if_modified(|position| std::mem::replace(position, last.max(*position)) < last);
            }
            Err(BatchError::Unavailable(reason)) => {
                failed.note(&reason);
                tracing::warn!(%reason, requests = piece.len(), "the event store did not answer; sending again");
                let now = Instant::now();
                let (expired, rest): (Vec<_>, Vec<_>) =
                    piece.into_iter().partition(|waiting| waiting.request.deadline <= now + pause);
                for waiting in expired {
                    counts.refused.unavailable.inc();
                    drop(waiting.answer.send(Err(AppendError::Unavailable(reason.clone()))));
                }
                if !rest.is_empty() {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                    // If it was committed after all, the command's id is found.
                    pieces.push_front(rest);
                }
            }
            Err(BatchError::ClaimKeysChanged) => {
                let (with, without): (Vec<_>, Vec<_>) =
                    piece.into_iter().partition(|waiting| !waiting.request.claim_keys.is_empty());
                for waiting in with {
                    counts.refused.claim_keys.inc();
                    drop(waiting.answer.send(Err(AppendError::ClaimKeysChanged)));
                }
                pieces.push_front(without);
            }
            Err(BatchError::Owned(reason)) => {
                for waiting in piece {
                    counts.refused.owned.inc();
                    drop(waiting.answer.send(Err(AppendError::Owned(reason.clone()))));
                }
            }
            Err(BatchError::Data(reason)) => {
                if piece.len() == 1 {
                    tracing::error!(%reason, "the event store refused an append");
                    for waiting in piece {
                        counts.refused.data.inc();
                        drop(waiting.answer.send(Err(AppendError::Refused(reason.clone()))));
                    }
                } else {
                    let second = piece.split_off(piece.len() / 2);
                    pieces.push_front(second);
                    pieces.push_front(piece);
                }
            }
        }
    }
}

async fn purge(backend: &mut dyn Backend, Purging { purge, answer }: Purging) {
    let purged = backend.purge(&purge).await.map_err(|error| match error {
        BatchError::Unavailable(reason) => AppendError::Unavailable(reason),
        BatchError::ClaimKeysChanged => AppendError::ClaimKeysChanged,
        BatchError::Data(reason) => AppendError::Refused(reason),
        BatchError::Owned(reason) => AppendError::Owned(reason),
    });
    // A caller that has gone asks again: deleted records stay deleted.
    drop(answer.send(purged));
}

/// Answers every request, and returns the last position.
fn answer(piece: Vec<Waiting>, written: Written, counts: &Appends) -> i64 {
    let mut refused: HashMap<usize, Why> = HashMap::new();
    for one in written.refused {
        // A known command is the most important finding.
        let known = matches!(one.why, Why::Command { .. });
        if known || !refused.contains_key(&one.request) {
            refused.insert(one.request, one.why);
        }
    }
    let mut position = written.base;
    for (index, waiting) in piece.into_iter().enumerate() {
        let number = index + 1;
        let outcome = match refused.remove(&number) {
            Some(Why::Command { fingerprint, status, location, version, first, last, detail }) => {
                counts.refused.repeated.inc();
                Outcome::Known {
                    answer: Answer {
                        kind: OutcomeKind::from_stored(status),
                        reference: location,
                        version,
                        first_position: first,
                        last_position: last,
                        detail,
                    },
                    fingerprint: unhex(&fingerprint),
                }
            }
            Some(Why::Version { aggregate_type, id, sequence, diverged, missed }) => {
                counts.refused.version.inc();
                let mut streams = waiting.request.streams.iter();
                let seen = streams.find(|s| s.aggregate_type == aggregate_type && s.aggregate_id == id);
                let seen = seen.map_or(0, |stream| stream.sequence);
                let missed = missed.filter(|_| !diverged).unwrap_or_default();
                let whole = missed.last().is_some_and(|last| last.sequence == sequence);
                let missed = missed
                    .into_iter()
                    .filter(|_| whole)
                    .map(|row| row.stored(&aggregate_type, &id))
                    .collect();
                Outcome::Version { aggregate_type, aggregate_id: id, sequence, seen, missed }
            }
            Some(Why::Claim { scope, owner }) => {
                counts.refused.claimed.inc();
                Outcome::Claimed { scope, owner }
            }
            None if written.behind.contains(&number) => {
                counts.refused.behind.inc();
                Outcome::Behind
            }
            None => {
                let mut answer = waiting.request.answer.clone();
                let events = i64::try_from(waiting.request.events.len()).unwrap_or(i64::MAX);
                if events > 0 {
                    counts.commands.inc();
                    counts.events.inc_by(events.unsigned_abs());
                    answer.first_position = Some(position + 1);
                    position += events;
                    answer.last_position = Some(position);
                }
                Outcome::Done(answer)
            }
        };
        // A caller that has gone finds the answer by its command's id.
        drop(waiting.answer.send(Ok(outcome)));
    }
    position
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use soonshop_domain::ids;

    use super::*;

    fn request(command_id: Uuid) -> Request {
        Request {
            command_id,
            fingerprint: Vec::new(),
            record: false,
            answer: Answer::default(),
            streams: Vec::new(),
            claims: Vec::new(),
            frees: Vec::new(),
            claim_keys: Vec::new(),
            events: Vec::new(),
            deadline: Instant::now(),
        }
    }

    fn claiming(value: u8, owner: &str) -> Request {
        let claim = Claim { scope: "sku", key_id: 1, value: vec![value], form: 1, owner: owner.to_owned() };
        Request { claims: vec![claim], ..request(ids::new()) }
    }

    fn freeing(owner: &str) -> Request {
        Request { frees: vec![("sku", owner.to_owned())], ..request(ids::new()) }
    }

    /// The batches that the requests go into: by their places in the queue.
    fn batches(requests: &[Request]) -> Vec<Vec<usize>> {
        let place = |one: &Waiting| requests.iter().position(|r| r.deadline == one.request.deadline).unwrap();
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        for request in requests {
            let (answer, _) = oneshot::channel();
            waiting.push_back(Waiting { request: request.clone(), answer });
        }
        let mut batches = Vec::new();
        while !waiting.is_empty() {
            let (batch, later) = choose(waiting);
            batches.push(batch.iter().map(place).collect());
            waiting = later;
        }
        batches
    }

    /// Each request with a deadline of its own, by which it is known again.
    fn numbered(requests: Vec<Request>) -> Vec<Request> {
        let now = Instant::now();
        let deadline = |number: usize| now + Duration::from_secs(number as u64);
        requests.into_iter().enumerate().map(|(n, r)| Request { deadline: deadline(n), ..r }).collect()
    }

    #[test]
    fn claims_made_with_other_keys_wait_for_the_next_batch() {
        let with = |keys: &[i32], value| Request { claim_keys: keys.to_vec(), ..claiming(value, "a") };
        let requests = numbered(vec![
            with(&[1], 1),
            with(&[1, 2], 2),
            request(ids::new()),
            with(&[1], 3),
            with(&[1, 2], 4),
        ]);
        assert_eq!(batches(&requests), [vec![0, 2, 3], vec![1, 4]]);
    }

    #[test]
    fn a_repeated_command_waits_for_the_next_batch() {
        let first = request(ids::new());
        let requests = numbered(vec![first.clone(), first, request(ids::new())]);
        assert_eq!(batches(&requests), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn two_claims_of_one_value_are_never_in_one_batch() {
        let requests =
            numbered(vec![claiming(1, "product:a"), claiming(1, "product:b"), claiming(2, "product:b")]);
        // The third shares its owner with the second, but frees nothing.
        assert_eq!(batches(&requests), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn bytes_read_back_from_their_digits() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(unhex("000aff"), [0, 10, 255]);
    }

    #[test]
    fn a_batch_has_no_more_requests_than_the_most_and_no_more_bytes_than_fit() {
        let many = numbered((0..=MOST_REQUESTS).map(|_| request(ids::new())).collect());
        assert_eq!(batches(&many).iter().map(Vec::len).collect::<Vec<_>>(), [MOST_REQUESTS, 1]);
        let of = |bytes: usize| {
            let event = NewEvent {
                aggregate_type: "stock",
                aggregate_id: ids::new().to_string(),
                sequence: 1,
                event_type: String::new(),
                event_version: String::new(),
                payload: "x".repeat(bytes - 1),
                metadata: "x".to_owned(),
                event_id: ids::new(),
                occurred_at: DateTime::UNIX_EPOCH,
            };
            Request { events: vec![event], ..request(ids::new()) }
        };
        let half = MOST_BYTES / 2;
        assert_eq!(batches(&numbered(vec![of(half), of(half), of(1)])), [vec![0, 1], vec![2]]);
        // One that is too large for any batch goes alone.
        assert_eq!(batches(&numbered(vec![of(MOST_BYTES + 1), of(1)])), [vec![0], vec![1]]);
    }

    #[test]
    fn requests_of_a_stream_go_together_as_far_as_each_builds_on_the_one_before() {
        let after = |stream: &str, seen: Option<Uuid>, event_id: Option<Uuid>| {
            let expected = Expected {
                aggregate_type: "stock",
                aggregate_id: stream.to_owned(),
                sequence: 0,
                event_id: seen,
            };
            let event = event_id.map(|event_id| NewEvent {
                aggregate_type: "stock",
                aggregate_id: stream.to_owned(),
                sequence: 1,
                event_type: String::new(),
                event_version: String::new(),
                payload: String::new(),
                metadata: String::new(),
                event_id,
                occurred_at: DateTime::UNIX_EPOCH,
            });
            Request { streams: vec![expected], events: event.into_iter().collect(), ..request(ids::new()) }
        };
        let (one, two) = (Some(ids::new()), Some(ids::new()));
        let requests = numbered(vec![
            after("a", None, one),
            after("a", one, two),
            // It has not seen the event before it, and what comes after it on the stream must not overtake it.
            after("a", None, None),
            after("a", two, None),
            after("b", None, None),
        ]);
        assert_eq!(batches(&requests), [vec![0, 1, 4], vec![2, 3]]);
        let batch = Batch::of(requests.iter().collect());
        assert_eq!(batch.stands_on, [(2, 1), (3, 2), (4, 2)]);
        assert_eq!(batch.checks.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 5]);
    }

    /// The order in which a database reports what it found does not count.
    #[tokio::test]
    async fn a_known_command_is_answered_from_its_record_whatever_else_was_found() {
        let version = || Refused {
            request: 1,
            why: Why::Version {
                aggregate_type: "stock".to_owned(),
                id: "a".to_owned(),
                sequence: 3,
                diverged: true,
                missed: None,
            },
        };
        let claim = || Refused {
            request: 1,
            why: Why::Claim { scope: "sku".to_owned(), owner: "product:a".to_owned() },
        };
        let known = || Refused {
            request: 1,
            why: Why::Command {
                fingerprint: hex(b"first"),
                status: OutcomeKind::Created.stored(),
                location: None,
                version: Some(1),
                first: Some(7),
                last: Some(7),
                detail: None,
            },
        };
        for refused in [vec![known(), version(), claim()], vec![version(), claim(), known()]] {
            let (sender, outcome) = oneshot::channel();
            let waiting = Waiting { request: request(ids::new()), answer: sender };
            let written = Written { base: 9, refused, behind: HashSet::new() };
            assert_eq!(answer(vec![waiting], written, &Appends::default()), 9);
            let Outcome::Known { answer, fingerprint } = outcome.await.unwrap().unwrap() else {
                panic!("it is known")
            };
            assert_eq!((answer.first_position, fingerprint), (Some(7), b"first".to_vec()));
        }
    }

    #[test]
    fn a_value_is_freed_in_a_later_batch_than_the_one_that_claims_it() {
        let requests = numbered(vec![claiming(1, "product:a"), freeing("product:a"), freeing("product:b")]);
        assert_eq!(batches(&requests), [vec![0, 2], vec![1]]);
    }
}
