//! What one connection waits for, and since when. Its socket, its requests and its answers say it here; who closes
//! connections reads it here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::limits::Limits;

/// How long a connection without a request may stay once the process stops.
const LAST: Duration = Duration::from_secs(1);

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was read yet.
    New,
    /// Part of a head was read; its first line to its end, or not.
    Head { line_ended: bool },
    /// Requests are being answered.
    Answering,
    /// The last request was answered, and the next one has not begun.
    Idle,
}

/// What was waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The rest of a head.
    Head,
    /// Anything: the connection is not in use.
    Nothing,
    /// The client, to take an answer.
    Answer,
}

/// Which connection is closed first for a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Its head is not whole.
    Head,
    /// It is not in use.
    Idle,
    /// It has waited for its client in the middle of a request.
    Waiting,
}

struct Inner {
    stage: Stage,
    since: Instant,
    requests: usize,
    http2: bool,
    stopping: bool,
    /// A body was not read to its end.
    unread: bool,
    /// Since when the socket takes too little, and how much it took since.
    blocked: Option<(Instant, usize)>,
    /// Since when a body is waited for.
    body: Option<Instant>,
    /// Answers of which something was handed over and nothing was asked for since.
    handed_over: HashMap<u64, Instant>,
    next_answer: u64,
}

/// Shared by all parts of a connection.
pub(super) struct State(Mutex<Inner>);

impl State {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner {
            stage: Stage::New,
            since: Instant::now(),
            requests: 0,
            http2: false,
            stopping: false,
            unread: false,
            blocked: None,
            body: None,
            handed_over: HashMap::new(),
            next_answer: 0,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection speaks HTTP/2, which reads heads by itself.
    pub(super) fn speaks_http2(&self) {
        self.lock().http2 = true;
    }

    pub(super) fn received(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        if bytes.is_empty() || inner.http2 || inner.stage == Stage::Answering {
            return;
        }
        let line_ended = bytes.contains(&b'\n');
        match inner.stage {
            Stage::Head { line_ended: true } => {}
            Stage::Head { .. } => inner.stage = Stage::Head { line_ended },
            _ => {
                inner.stage = Stage::Head { line_ended };
                inner.since = Instant::now();
            }
        }
    }

    /// If no request is being answered, what hyper writes is an answer of its own, or the end of the last one.
    pub(super) fn is_answering(&self) -> bool {
        self.lock().requests > 0
    }

    /// Whether the first line of the head was read to its end.
    pub(super) fn line_ended(&self) -> bool {
        self.lock().stage != Stage::Head { line_ended: false }
    }

    /// A request was read, and is being answered until the guard is dropped.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        let mut inner = self.lock();
        inner.requests += 1;
        inner.stage = Stage::Answering;
        inner.since = Instant::now();
        inner.next_answer += 1;
        Answering { state: Arc::clone(self), id: inner.next_answer }
    }

    /// The socket takes nothing now.
    pub(super) fn blocks(&self) {
        let mut inner = self.lock();
        if inner.blocked.is_none() {
            inner.blocked = Some((Instant::now(), 0));
        }
    }

    /// The socket took some bytes.
    pub(super) fn took(&self, bytes: usize) {
        let mut inner = self.lock();
        if let Some((_, taken)) = &mut inner.blocked {
            *taken += bytes;
            if *taken >= Limits::STEP {
                inner.blocked = None;
            }
        }
    }

    /// The socket took all that there was.
    pub(super) fn took_all(&self) {
        let mut inner = self.lock();
        if inner.blocked.take().is_some() && inner.stage == Stage::Idle {
            inner.since = Instant::now();
        }
    }

    /// More of a body is waited for, or came. With HTTP/2 other requests may be at work meanwhile.
    pub(super) fn waits_for_body(&self, waits: bool) {
        let mut inner = self.lock();
        match (waits && !inner.http2, inner.body) {
            (true, None) => inner.body = Some(Instant::now()),
            (true, Some(_)) => {}
            (false, _) => inner.body = None,
        }
    }

    pub(super) fn leaves_body_unread(&self) {
        self.lock().unread = true;
    }

    pub(super) fn left_body_unread(&self) -> bool {
        self.lock().unread
    }

    /// The process stops. Whether no request is under way and no answer, so that the connection can be closed.
    pub(super) fn stop(&self) -> bool {
        let mut inner = self.lock();
        inner.stopping = true;
        if inner.requests == 0 {
            inner.since = Instant::now();
        }
        inner.requests == 0 && inner.blocked.is_none()
    }

    /// Until when the client may take for its next step, and what is overdue then.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<(Instant, Overdue)> {
        let inner = self.lock();
        let idle = if inner.stopping { LAST } else { limits.idle };
        let stage = match inner.stage {
            Stage::New => Some((inner.since + limits.head.min(idle), Overdue::Nothing)),
            Stage::Head { .. } => Some((inner.since + limits.head, Overdue::Head)),
            Stage::Idle if inner.blocked.is_none() => Some((inner.since + idle, Overdue::Nothing)),
            // The handler's end is not the end of its answer.
            Stage::Idle | Stage::Answering => None,
        };
        let blocked = inner.blocked.map(|(since, _)| since);
        let untaken = inner.handed_over.values().copied().chain(blocked).min();
        let untaken = untaken.map(|since| (since + limits.write, Overdue::Answer));
        stage.into_iter().chain(untaken).min_by_key(|(at, _)| *at)
    }

    /// How gladly it is closed for a new connection, and since when it waits for its client. `None`: not at all.
    pub(super) fn waits(&self, now: Instant) -> Option<(Rank, Instant)> {
        let inner = self.lock();
        match inner.stage {
            Stage::New | Stage::Head { .. } => Some((Rank::Head, inner.since)),
            Stage::Idle if inner.blocked.is_none() => Some((Rank::Idle, inner.since)),
            Stage::Idle | Stage::Answering => {
                let blocked = inner.blocked.map(|(since, _)| since);
                let since = inner.body.into_iter().chain(blocked).min()?;
                (now.duration_since(since) >= Limits::WAITED).then_some((Rank::Waiting, since))
            }
        }
    }
}

/// A request that is being answered.
pub(super) struct Answering {
    state: Arc<State>,
    id: u64,
}

impl Answering {
    /// Part of the answer was handed over to be sent.
    pub(super) fn handed_over(&self) {
        self.state.lock().handed_over.insert(self.id, Instant::now());
    }

    /// More of the answer is asked for: what was handed over has found room.
    pub(super) fn asked(&self) {
        self.state.lock().handed_over.remove(&self.id);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut inner = self.state.lock();
        inner.handed_over.remove(&self.id);
        inner.requests = inner.requests.saturating_sub(1);
        if inner.requests == 0 {
            inner.stage = Stage::Idle;
            inner.since = Instant::now();
            inner.body = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::default()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_byte_however_slowly_it_comes() {
        let state = State::new();
        let begun = Instant::now();
        assert_eq!(state.deadline(&limits()), Some((begun + limits().head, Overdue::Nothing)));
        tokio::time::advance(Duration::from_secs(3)).await;
        state.received(b"GET /");
        let first = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        state.received(b"x");
        assert!(!state.line_ended());
        state.received(b" HTTP/1.1\r\nHost");
        assert!(state.line_ended());
        assert_eq!(state.deadline(&limits()), Some((first + limits().head, Overdue::Head)));
        assert_eq!(state.waits(Instant::now()), Some((Rank::Head, first)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_no_deadline_here_and_then_the_connection_is_idle() {
        let state = Arc::new(State::new());
        state.received(b"GET");
        let answering = state.answer();
        assert!(state.is_answering());
        assert_eq!((state.deadline(&limits()), state.waits(Instant::now())), (None, None));
        state.received(b"the body");
        drop(answering);
        let now = Instant::now();
        assert_eq!(state.deadline(&limits()), Some((now + limits().idle, Overdue::Nothing)));
        assert_eq!(state.waits(now), Some((Rank::Idle, now)));
        state.stop();
        assert_eq!(state.deadline(&limits()), Some((now + LAST, Overdue::Nothing)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_its_client_does_not_take_is_overdue_and_small_sips_do_not_help() {
        let state = Arc::new(State::new());
        let answering = state.answer();
        let begun = Instant::now();
        state.blocks();
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            state.took(100);
            state.blocks();
        }
        let overdue = Some((begun + limits().write, Overdue::Answer));
        assert_eq!(state.deadline(&limits()), overdue);
        assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)));
        state.took(Limits::STEP);
        assert_eq!(state.deadline(&limits()), None);

        // HTTP/2: the socket is free, but the stream's window is not.
        let now = Instant::now();
        answering.handed_over();
        assert_eq!(state.deadline(&limits()), Some((now + limits().write, Overdue::Answer)));
        answering.asked();
        assert_eq!(state.deadline(&limits()), None);

        // The handler has ended, and its answer has not.
        state.blocks();
        drop(answering);
        assert_eq!(state.waits(Instant::now()), None);
        assert!(!state.stop(), "its end is still to be sent");
        tokio::time::advance(Duration::from_secs(3)).await;
        state.took_all();
        assert_eq!(state.waits(Instant::now()), Some((Rank::Idle, Instant::now())));
        assert!(state.stop());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_gives_its_connection_away_after_a_while() {
        let state = Arc::new(State::new());
        let _answering = state.answer();
        let begun = Instant::now();
        state.waits_for_body(true);
        assert_eq!(state.waits(Instant::now()), None, "it has only begun to wait");
        tokio::time::advance(Limits::WAITED).await;
        assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)));
        state.waits_for_body(false);
        assert_eq!(state.waits(Instant::now()), None);
    }
}
