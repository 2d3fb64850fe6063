//! The step that one connection waits for, and since when. Its socket, its requests and its answers set it; the code
//! that closes connections reads it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use axum::body::Bytes;
use tokio::time::{Duration, Instant};

use super::limits::Limits;

/// How long a connection without a request may stay once the process stops.
const LAST: Duration = Duration::from_secs(1);

/// The step of a connection.
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

/// The step that took too long.
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

/// The step of the client that one request waits for.
#[derive(Default)]
struct Asked {
    /// Since when more of its body is waited for, and how many bytes of it came since.
    body: Option<(Instant, usize)>,
    /// Pieces of its answer that HTTP/2 keeps until the client takes them.
    pieces: usize,
    /// Since when the first of them waits.
    untaken: Option<Instant>,
    /// The bytes of the answer that the client has taken.
    taken: usize,
}

impl Asked {
    /// Since when it waits for its client. `None`: the shop works on it.
    fn waits(&self) -> Option<Instant> {
        self.body.map(|(since, _)| since).into_iter().chain(self.untaken).min()
    }

    /// Until when the next piece has to be taken. A client may say of a megabyte at once that it has read it, so one that
    /// has taken much already has more time.
    fn takes_until(&self, write: Duration) -> Option<Instant> {
        let earned = (self.taken / Limits::STEP).min(Limits::PATIENCE);
        let patience = u32::try_from(1 + earned).unwrap_or(1);
        self.untaken.map(|since| since + write * patience)
    }
}

struct Inner {
    stage: Stage,
    since: Instant,
    requests: HashMap<u64, Asked>,
    /// The requests whose handlers run; also those that their client has given up.
    handlers: HashSet<u64>,
    next_request: u64,
    http2: bool,
    stopping: bool,
    /// A body was not read to its end.
    unread: bool,
    /// Since when the socket takes too little, and how much it took since.
    blocked: Option<(Instant, usize)>,
    /// The task that drives the connection, while it waits. Requests of HTTP/2 have tasks of their own, so it has to be
    /// told when they change the deadline.
    watcher: Option<Waker>,
}

impl Inner {
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Overdue)> {
        let idle = if self.stopping { LAST } else { limits.idle };
        let stage = match self.stage {
            Stage::New => Some((self.since + limits.head.min(idle), Overdue::Nothing)),
            Stage::Head { .. } => Some((self.since + limits.head, Overdue::Head)),
            Stage::Idle if self.blocked.is_none() => Some((self.since + idle, Overdue::Nothing)),
            // The handler's end is not the end of its answer.
            Stage::Idle | Stage::Answering => None,
        };
        let blocked = self.blocked.map(|(since, _)| since + limits.write);
        let untaken = self.requests.values().filter_map(|asked| asked.takes_until(limits.write));
        let untaken = untaken.chain(blocked).min().map(|at| (at, Overdue::Answer));
        stage.into_iter().chain(untaken).min_by_key(|(at, _)| *at)
    }
}

/// Shared by all parts of a connection.
pub(super) struct State(Mutex<Inner>);

impl State {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner {
            stage: Stage::New,
            since: Instant::now(),
            requests: HashMap::new(),
            handlers: HashSet::new(),
            next_request: 0,
            http2: false,
            stopping: false,
            unread: false,
            blocked: None,
            watcher: None,
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
        !self.lock().requests.is_empty()
    }

    /// Whether the first line of the head was read to its end.
    pub(super) fn line_ended(&self) -> bool {
        self.lock().stage != Stage::Head { line_ended: false }
    }

    /// A request was read, and is being answered until the guard is dropped.
    pub(super) fn answer(self: &Arc<Self>) -> Arc<Answering> {
        let mut inner = self.lock();
        inner.next_request += 1;
        let id = inner.next_request;
        inner.requests.insert(id, Asked::default());
        inner.stage = Stage::Answering;
        inner.since = Instant::now();
        Arc::new(Answering { state: Arc::clone(self), id })
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

    /// The socket took all that there was. With HTTP/2 that may be an answer to a ping, which is no use of the connection.
    pub(super) fn took_all(&self) {
        let mut inner = self.lock();
        if inner.blocked.take().is_some() && inner.stage == Stage::Idle && !inner.http2 {
            inner.since = Instant::now();
        }
    }

    pub(super) fn left_body_unread(&self) -> bool {
        self.lock().unread
    }

    /// The process stops. Whether no request is under way and no answer, so that the connection can be closed.
    pub(super) fn stop(&self) -> bool {
        let mut inner = self.lock();
        inner.stopping = true;
        if inner.requests.is_empty() {
            inner.since = Instant::now();
        }
        inner.requests.is_empty() && inner.blocked.is_none()
    }

    /// The connection is being driven: its deadline is looked at afterwards in any case.
    pub(super) fn is_driven(&self) {
        self.lock().watcher = None;
    }

    /// Until when the client may take for its next step, and what is overdue then. `watcher` is woken when that changes.
    pub(super) fn deadline(&self, limits: &Limits, watcher: &Waker) -> Option<(Instant, Overdue)> {
        let mut inner = self.lock();
        if inner.http2 {
            inner.watcher = Some(watcher.clone());
        }
        inner.deadline(limits)
    }

    /// How gladly it is closed for a new connection, and since when it waits for its client. `None`: not at all.
    pub(super) fn waits(&self, now: Instant) -> Option<(Rank, Instant)> {
        let inner = self.lock();
        // Its place would be free, and the work that it asked for goes on.
        if inner.handlers.iter().any(|id| !inner.requests.contains_key(id)) {
            return None;
        }
        match inner.stage {
            Stage::New | Stage::Head { .. } => Some((Rank::Head, inner.since)),
            Stage::Idle if inner.blocked.is_none() => Some((Rank::Idle, inner.since)),
            Stage::Idle | Stage::Answering => {
                let blocked = inner.blocked.map(|(since, _)| since);
                let requests = inner.requests.values().map(Asked::waits);
                // Of the requests of HTTP/2 some may be at work while others wait.
                let since = if inner.http2 && !inner.requests.is_empty() {
                    requests.collect::<Option<Vec<_>>>()?.into_iter().min()?
                } else {
                    requests.flatten().chain(blocked).min()?
                };
                (now.duration_since(since) >= Limits::WAITED).then_some((Rank::Waiting, since))
            }
        }
    }
}

/// A request that is being answered: until its answer was given to the network, or thrown away.
pub(super) struct Answering {
    state: Arc<State>,
    id: u64,
}

impl Answering {
    /// The body that it came with.
    pub(super) fn body(&self) -> AwaitedBody {
        AwaitedBody { state: Arc::clone(&self.state), id: self.id }
    }

    /// Its handler runs, until the guard is dropped.
    pub(super) fn begins_handler(&self) -> Handler {
        self.state.lock().handlers.insert(self.id);
        Handler { state: Arc::clone(&self.state), id: self.id }
    }

    /// A piece of the answer that HTTP/2 keeps until the client takes it: it counts for as long as it is in memory.
    pub(super) fn hand_over(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        let mut inner = self.state.lock();
        let asked = inner.requests.entry(self.id).or_default();
        asked.pieces += 1;
        let watcher = if asked.untaken.is_none() {
            asked.untaken = Some(Instant::now());
            inner.watcher.take()
        } else {
            None
        };
        drop(inner);
        watcher.into_iter().for_each(Waker::wake);
        Bytes::from_owner(Piece { bytes, answering: Arc::clone(self) })
    }

    fn taken(&self, bytes: usize) {
        let mut inner = self.state.lock();
        if let Some(asked) = inner.requests.get_mut(&self.id) {
            asked.taken = asked.taken.saturating_add(bytes);
            asked.pieces = asked.pieces.saturating_sub(1);
            // The next one has its time from now on.
            asked.untaken = (asked.pieces > 0).then(Instant::now);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut inner = self.state.lock();
        inner.requests.remove(&self.id);
        if inner.requests.is_empty() {
            inner.stage = Stage::Idle;
            inner.since = Instant::now();
            let watcher = inner.watcher.take();
            drop(inner);
            watcher.into_iter().for_each(Waker::wake);
        }
    }
}

/// A handler that runs.
pub(super) struct Handler {
    state: Arc<State>,
    id: u64,
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.state.lock().handlers.remove(&self.id);
    }
}

struct Piece {
    bytes: Bytes,
    answering: Arc<Answering>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.answering.taken(self.bytes.len());
    }
}

/// The body of a request, which may come later than its head.
pub(super) struct AwaitedBody {
    state: Arc<State>,
    id: u64,
}

impl AwaitedBody {
    /// More of it is waited for.
    pub(super) fn is_waited_for(&self) {
        self.change(|body| {
            body.get_or_insert_with(|| (Instant::now(), 0));
        });
    }

    /// Some of it came. A client that sends a byte now and then still lets the shop wait.
    pub(super) fn came(&self, bytes: usize) {
        self.change(|body| match body {
            Some((_, came)) if came.saturating_add(bytes) < Limits::BODY_STEP => *came += bytes,
            body => *body = None,
        });
    }

    /// No more of it is read.
    pub(super) fn ended(&self) {
        self.change(|body| *body = None);
    }

    fn change(&self, change: impl FnOnce(&mut Option<(Instant, usize)>)) {
        // The request may have been answered already.
        if let Some(asked) = self.state.lock().requests.get_mut(&self.id) {
            change(&mut asked.body);
        }
    }

    pub(super) fn is_left_unread(&self) {
        self.state.lock().unread = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::default()
    }

    fn deadline(state: &State) -> Option<(Instant, Overdue)> {
        state.deadline(&limits(), Waker::noop())
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_byte_however_slowly_it_comes() {
        let state = State::new();
        let begun = Instant::now();
        assert_eq!(deadline(&state), Some((begun + limits().head, Overdue::Nothing)));
        tokio::time::advance(Duration::from_secs(3)).await;
        state.received(b"GET /");
        let first = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        state.received(b"x");
        assert!(!state.line_ended());
        state.received(b" HTTP/1.1\r\nHost");
        assert!(state.line_ended());
        assert_eq!(deadline(&state), Some((first + limits().head, Overdue::Head)));
        assert_eq!(state.waits(Instant::now()), Some((Rank::Head, first)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_no_deadline_here_and_then_the_connection_is_idle() {
        let state = Arc::new(State::new());
        state.received(b"GET");
        let answering = state.answer();
        assert!(state.is_answering());
        assert_eq!((deadline(&state), state.waits(Instant::now())), (None, None));
        state.received(b"the body");
        drop(answering);
        let now = Instant::now();
        assert_eq!(deadline(&state), Some((now + limits().idle, Overdue::Nothing)));
        assert_eq!(state.waits(now), Some((Rank::Idle, now)));
        state.stop();
        assert_eq!(deadline(&state), Some((now + LAST, Overdue::Nothing)));
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
        assert_eq!(deadline(&state), overdue);
        assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)));
        state.took(Limits::STEP);
        assert_eq!(deadline(&state), None);

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
    async fn a_piece_of_an_http2_answer_counts_until_it_is_dropped_also_the_last_one() {
        let state = Arc::new(State::new());
        state.speaks_http2();
        let answering = state.answer();
        let begun = Instant::now();
        let first = answering.hand_over(Bytes::from_static(b"first"));
        tokio::time::advance(Duration::from_secs(1)).await;
        let last = answering.hand_over(Bytes::from_static(b"last"));
        assert_eq!((&first[..], &last[..]), (&b"first"[..], &b"last"[..]));
        // The body has ended, and hyper has let it go.
        drop(answering);
        assert!(state.is_answering() && !state.stop());
        assert_eq!(deadline(&state), Some((begun + limits().write, Overdue::Answer)));
        tokio::time::advance(Limits::WAITED).await;
        assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)));
        drop(first);
        let now = Instant::now();
        assert_eq!(deadline(&state), Some((now + limits().write, Overdue::Answer)), "each has its time");
        assert_eq!(state.waits(now), None);
        drop(last);
        assert!(!state.is_answering());
        assert_eq!(state.waits(now), Some((Rank::Idle, now)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_taken_much_of_an_http2_answer_has_more_time_for_the_rest_but_not_without_end()
    {
        let state = Arc::new(State::new());
        state.speaks_http2();
        let answering = state.answer();
        let piece = Bytes::from(vec![0; Limits::HTTP2_PIECE]);
        for (steps, patience) in [(0, 1), (1, 2), (2, 3), (100, 3)] {
            for _ in 0..steps * (Limits::STEP / Limits::HTTP2_PIECE) {
                drop(answering.hand_over(piece.clone()));
            }
            let _untaken = answering.hand_over(piece.clone());
            let until = Instant::now() + limits().write * patience;
            assert_eq!(deadline(&state), Some((until, Overdue::Answer)), "{steps}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_driver_of_a_connection_notices_a_deadline_that_another_task_sets() {
        struct Woken(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let woken = Arc::new(Woken(0.into()));
        let (waker, times) =
            (Waker::from(Arc::clone(&woken)), || woken.0.load(std::sync::atomic::Ordering::Relaxed));
        let state = Arc::new(State::new());
        state.speaks_http2();
        let answering = state.answer();
        assert_eq!(state.deadline(&limits(), &waker), None);
        let piece = answering.hand_over(Bytes::from_static(b"x"));
        assert_eq!(times(), 1);
        state.deadline(&limits(), &waker);
        drop((piece, answering));
        assert_eq!(times(), 2);
        // A change while it is driven is seen afterwards.
        state.deadline(&limits(), &waker);
        state.is_driven();
        drop(state.answer());
        assert_eq!(times(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_gives_its_connection_away_after_a_while() {
        for http2 in [false, true] {
            let state = Arc::new(State::new());
            if http2 {
                state.speaks_http2();
            }
            let answering = state.answer();
            let body = answering.body();
            let begun = Instant::now();
            body.is_waited_for();
            assert_eq!(state.waits(Instant::now()), None, "it has only begun to wait");
            tokio::time::advance(Limits::WAITED).await;
            body.is_waited_for();
            assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)));
            for _ in 0..10 {
                body.came(1);
                body.is_waited_for();
            }
            assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)), "byte by byte");
            body.came(Limits::BODY_STEP - 10);
            body.is_waited_for();
            assert_eq!(state.waits(Instant::now()), None);
            tokio::time::advance(Limits::WAITED).await;
            body.ended();
            assert_eq!(state.waits(Instant::now()), None, "the shop works on it");
            body.is_waited_for();
            drop(answering);
            body.is_waited_for();
            assert_eq!(state.waits(Instant::now()), Some((Rank::Idle, Instant::now())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_keeps_its_place_until_the_handler_of_an_abandoned_request_has_ended() {
        let state = Arc::new(State::new());
        let answering = state.answer();
        let handler = answering.begins_handler();
        let body = answering.body();
        body.is_waited_for();
        tokio::time::advance(Limits::WAITED).await;
        assert!(state.waits(Instant::now()).is_some(), "the handler, too, waits for the client");
        drop(answering);
        assert_eq!(state.waits(Instant::now()), None);
        let another = state.answer();
        another.body().is_waited_for();
        tokio::time::advance(Limits::WAITED).await;
        assert_eq!(state.waits(Instant::now()), None);
        drop(another);
        drop(handler);
        assert!(matches!(state.waits(Instant::now()), Some((Rank::Idle, _))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_connection_with_a_request_at_work_is_not_closed_for_another_one() {
        let state = Arc::new(State::new());
        state.speaks_http2();
        let (withheld, untaken, at_work) = (state.answer(), state.answer(), state.answer());
        let begun = Instant::now();
        withheld.body().is_waited_for();
        tokio::time::advance(Duration::from_secs(1)).await;
        let _piece = untaken.hand_over(Bytes::from_static(b"x"));
        tokio::time::advance(Limits::WAITED).await;
        assert_eq!(state.waits(Instant::now()), None);
        // A socket that takes nothing makes no difference to the handler.
        state.blocks();
        tokio::time::advance(Limits::WAITED).await;
        assert_eq!(state.waits(Instant::now()), None);
        drop(at_work);
        assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)));
        // One that has only begun does not save the others.
        let new = state.answer();
        new.body().is_waited_for();
        assert_eq!(state.waits(Instant::now()), Some((Rank::Waiting, begun)));
    }
}
