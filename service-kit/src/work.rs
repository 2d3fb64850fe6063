//! Bounds the requests that run at the same time: every endpoint has a price, and a request that costs something waits
//! for its turn.
//!
//! A request first waits for a turn of its caller's share and then for one of the whole, so that a caller with many
//! requests waits behind its own. Nothing waits longer than [`LONGEST_WAIT`]. All bounds are in [`Bounds`], one setting.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::Problem;
use crate::access::{Caller, Role};
use crate::rates::{CallersAddress, counted_name};

/// How long a request waits for its turn.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a client should wait before it asks again.
const AGAIN: Duration = Duration::from_secs(1);
/// The same for exports, which take long.
const AGAIN_FOR_EXPORTS: Duration = Duration::from_secs(10);

/// The price of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Price {
    /// It reads nothing that somebody else waits for, or takes turns of its own: it never waits.
    Nothing,
    /// A row by its key, or a short page in the order of an index.
    Low,
    /// A question to the search index.
    Search,
    /// It may read or compute much: a filtered or long list, a report, a history.
    Query,
    /// It reads everything that was asked for, and is on the disk until it was downloaded.
    Export,
}

/// How many at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// In all.
    pub all: u32,
    /// Of one caller.
    pub each: u32,
}

/// The bounds of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows by their keys, and short pages, that are read.
    pub rows: Share,
    /// Searches that run.
    pub searches: Share,
    /// Expensive queries that run: fewer than the connections of a pool, so that some are left for all others.
    pub queries: Share,
    /// Exports that are made or downloaded.
    pub exports: Share,
    /// Queries that wait until a read model has seen what they name: each asks for it again and again.
    pub waits: Share,
    /// Mebibytes of answers that clients have not read yet; short answers over HTTP/1 do not count.
    pub answers: Share,
}

impl Bounds {
    /// The defaults of a process.
    pub const DEFAULT: Self = Self {
        rows: Share { all: 256, each: 32 },
        searches: Share { all: 16, each: 8 },
        queries: Share { all: 3, each: 2 },
        exports: Share { all: 6, each: 4 },
        waits: Share { all: 256, each: 64 },
        answers: Share { all: 64, each: 16 },
    };
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The largest number of a bound.
const MOST: u32 = 10_000;

impl Bounds {
    fn named(&mut self) -> [(&'static str, &mut Share); 6] {
        [
            ("rows", &mut self.rows),
            ("searches", &mut self.searches),
            ("queries", &mut self.queries),
            ("exports", &mut self.exports),
            ("waits", &mut self.waits),
            ("answers", &mut self.answers),
        ]
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounds = *self;
        let message = bounds.named().map(|(name, share)| format!("{name}={}/{}", share.all, share.each));
        f.write_str(&message.join(","))
    }
}

impl FromStr for Bounds {
    type Err = String;

    /// Such as `queries=3/2,answers=64/16`: a name that is left out keeps its default.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut bounds, mut seen) = (Self::default(), Vec::new());
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let wrong = || {
                format!(
                    "`{one}`: give NAME=ALL/EACH, such as queries=3/2, with 1 to {MOST} at a time in all and not more \
                     of one caller; the names are rows, searches, queries, exports, waits, answers"
                )
            };
            let (name, share) = one.split_once('=').ok_or_else(wrong)?;
            let (all, each) = share.split_once('/').ok_or_else(wrong)?;
            let number =
                |text: &str| text.trim().parse::<u32>().ok().filter(|number| (1..=MOST).contains(number));
            let (all, each) =
                number(all).zip(number(each)).filter(|(all, each)| each <= all).ok_or_else(wrong)?;
            let name = name.trim();
            if seen.contains(&name) {
                return Err(format!("`{name}` is given twice"));
            }
            seen.push(name);
            let mut named = bounds.named();
            let found = named.iter_mut().find(|(known, _)| *known == name).ok_or_else(wrong)?;
            *found.1 = Share { all, each };
        }
        Ok(bounds)
    }
}

/// The caller that takes a turn.
#[derive(Debug, Clone)]
pub struct Requester {
    name: Arc<str>,
    /// A program acts for many people: it may have all turns.
    is_program: bool,
}

impl From<Arc<str>> for Requester {
    /// A caller of this name, who acts for nobody else.
    fn from(name: Arc<str>) -> Self {
        Self { name, is_program: false }
    }
}

impl From<&str> for Requester {
    fn from(name: &str) -> Self {
        Arc::<str>::from(name).into()
    }
}

/// The caller that takes a turn: a key, or the address of a guest.
pub fn caller_of(caller: &Caller, extensions: &Extensions) -> Requester {
    let is_program = caller.role == Role::Service;
    let guest = caller.role == Role::Guest;
    let name = if guest { address_of(extensions) } else { caller.actor.to_string().into() };
    Requester { name, is_program }
}

/// Where a request comes from, as rates count it: the caller behind trusted proxies, of IPv6 its network.
pub fn address_of(extensions: &Extensions) -> Arc<str> {
    if let Some(CallersAddress(address)) = extensions.get() {
        return Arc::clone(address);
    }
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or_else(|| "unknown".into(), |peer| counted_name(peer.0.ip()).into())
}

/// A bound of one kind: the turns of all callers, and those of each caller who has one or waits for one.
#[derive(Debug)]
pub(crate) struct Lane {
    share: Share,
    all: Arc<Semaphore>,
    callers: Mutex<HashMap<Arc<str>, CallerTurns>>,
}

/// The turns of one caller.
#[derive(Debug)]
struct CallerTurns {
    turns: Arc<Semaphore>,
    /// How many have one or wait for one; nobody: the caller is forgotten.
    users: usize,
}

/// Keeps the turns of a caller.
#[derive(Debug)]
struct CallerGuard {
    lane: Arc<Lane>,
    caller: Arc<str>,
}

impl Drop for CallerGuard {
    fn drop(&mut self) {
        let mut callers = self.lane.callers();
        if let Some(turns) = callers.get_mut(&self.caller) {
            turns.users -= 1;
            if turns.users == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _caller: CallerGuard,
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The caller has all of its own.
    Own,
    /// All callers together have all.
    All,
}

impl Lane {
    pub(crate) fn new(share: Share) -> Arc<Self> {
        let all = Arc::new(Semaphore::new(share.all as usize));
        Arc::new(Self { share, all, callers: Mutex::default() })
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Arc<str>, CallerTurns>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns_of(self: &Arc<Self>, caller: Arc<str>, each: u32) -> (Arc<Semaphore>, CallerGuard) {
        let mut callers = self.callers();
        let new = || CallerTurns { turns: Arc::new(Semaphore::new(each as usize)), users: 0 };
        let turns = callers.entry(Arc::clone(&caller)).or_insert_with(new);
        turns.users += 1;
        (Arc::clone(&turns.turns), CallerGuard { lane: Arc::clone(self), caller })
    }

    /// Waits so long for so many turns; more than a caller's share are the whole share.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        requester: Requester,
        turns: u32,
        wait: Duration,
    ) -> Result<Turn, Full> {
        let deadline = Instant::now() + wait;
        let each = if requester.is_program { self.share.all } else { self.share.each };
        let turns = turns.min(each);
        let (own, guard) = self.turns_of(requester.name, each);
        let own = taken(own, turns, deadline).await.ok_or(Full::Own)?;
        let all = taken(Arc::clone(&self.all), turns, deadline).await.ok_or(Full::All)?;
        Ok(Turn { _all: all, _own: own, _caller: guard })
    }
}

/// So many turns; `None`: they were not free by then.
async fn taken(from: Arc<Semaphore>, turns: u32, by: Instant) -> Option<OwnedSemaphorePermit> {
    tokio::time::timeout_at(by, from.acquire_many_owned(turns)).await.ok()?.ok()
}

/// Gives turns to what costs something.
#[derive(Debug, Clone)]
pub struct Work(Arc<Lanes>);

#[derive(Debug)]
struct Lanes {
    rows: Arc<Lane>,
    searches: Arc<Lane>,
    queries: Arc<Lane>,
    exports: Arc<Lane>,
    waits: Arc<Lane>,
}

impl Default for Work {
    fn default() -> Self {
        Self::new(&Bounds::default())
    }
}

impl Work {
    /// With these bounds.
    pub fn new(bounds: &Bounds) -> Self {
        Self(Arc::new(Lanes {
            rows: Lane::new(bounds.rows),
            searches: Lane::new(bounds.searches),
            queries: Lane::new(bounds.queries),
            exports: Lane::new(bounds.exports),
            waits: Lane::new(bounds.waits),
        }))
    }

    /// Waits for a turn of that price; `None`: it needs none. An export does not wait: who asks again is served sooner
    /// than it would be here.
    pub async fn turn(&self, price: Price, requester: Requester) -> Result<Option<Turn>, Problem> {
        let (lane, wait) = match price {
            Price::Nothing => return Ok(None),
            Price::Low => (&self.0.rows, LONGEST_WAIT),
            Price::Search => (&self.0.searches, LONGEST_WAIT),
            Price::Query => (&self.0.queries, LONGEST_WAIT),
            Price::Export => (&self.0.exports, Duration::ZERO),
        };
        let refuse = |full| match (price, full) {
            (Price::Export, _) => too_many_exports(lane.share, full),
            (_, full) => full_problem(full),
        };
        lane.enter(requester, 1, wait).await.map(Some).map_err(refuse)
    }

    /// A turn to wait for what a read model has not seen yet.
    pub async fn waiting(&self, requester: Requester) -> Result<Turn, Problem> {
        self.0.waits.enter(requester, 1, Duration::ZERO).await.map_err(full_problem)
    }
}

/// The refusal of what would run beside too much.
pub(crate) fn full_problem(full: Full) -> Problem {
    match full {
        Full::Own => {
            let detail =
                "you have as many requests of this kind running as one caller may: wait for their answers";
            Problem::too_many("too-many-at-once", detail).with_retry_after(AGAIN)
        }
        Full::All => {
            let detail = "as much of this kind is running as may run at the same time: ask again";
            Problem::unavailable("too-busy", detail, AGAIN)
        }
    }
}

fn too_many_exports(share: Share, full: Full) -> Problem {
    let detail = match full {
        Full::Own => format!(
            "you have {} exports, which is as many as one caller may have at a time: wait",
            share.each
        ),
        Full::All => {
            format!("there are {} exports just now, which is as many as there may be: wait", share.all)
        }
    };
    Problem::too_many("too-many-exports", detail).with_retry_after(AGAIN_FOR_EXPORTS)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;
    use crate::access::Access;

    fn work(queries: &str) -> Work {
        Work::new(&format!("queries={queries},exports={queries}").parse().unwrap())
    }

    async fn slug(turn: impl Future<Output = Result<Option<Turn>, Problem>>) -> String {
        turn.await.unwrap_err().slug().to_owned()
    }

    #[test]
    fn bounds_are_read_back_as_they_are_written_and_a_wrong_one_is_refused_with_what_to_give() {
        let bounds = Bounds::default();
        assert_eq!(bounds.to_string().parse(), Ok(bounds));
        let one: Bounds = " queries = 8 / 4 ,answers=128/32".parse().unwrap();
        assert_eq!((one.queries, one.answers), (Share { all: 8, each: 4 }, Share { all: 128, each: 32 }));
        assert_eq!(one.exports, bounds.exports, "what is left out keeps its default");
        for wrong in
            ["queries", "queries=4", "queries=2/4", "queries=0/0", "queries=-1/1", "other=2/1", "queries=1/x"]
        {
            let message = wrong.parse::<Bounds>().unwrap_err();
            assert!(message.contains("such as queries=3/2"), "{message}");
        }
        assert!("queries=2/1,queries=3/1".parse::<Bounds>().unwrap_err().contains("twice"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_with_many_requests_waits_behind_its_own() {
        let work = work("4/2");
        let turn = |caller: &str| work.turn(Price::Query, caller.into());
        let _held = [turn("a").await.unwrap(), turn("a").await.unwrap()];
        assert_eq!(slug(turn("a")).await, "too-many-at-once");
        let other = turn("b").await.unwrap();
        assert!(other.is_some(), "another caller has its own share");
        assert!(turn_of(&work, Price::Low, "a").await.is_some(), "rows have turns of their own");
        assert!(turn_of(&work, Price::Nothing, "a").await.is_none());
    }

    async fn turn_of(work: &Work, price: Price, caller: &str) -> Option<Turn> {
        work.turn(price, caller.into()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_for_rows_without_end_waits_behind_itself() {
        let work = Work::new(&"rows=3/2".parse().unwrap());
        let held = (turn_of(&work, Price::Low, "a").await, turn_of(&work, Price::Low, "a").await);
        assert_eq!(slug(work.turn(Price::Low, "a".into())).await, "too-many-at-once");
        assert!(turn_of(&work, Price::Low, "b").await.is_some());
        drop(held);
        assert!(turn_of(&work, Price::Low, "a").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn all_callers_together_have_a_bound_and_a_wait_ends() {
        let work = work("2/2");
        let turn = |caller: &str| work.turn(Price::Query, caller.into());
        let held = (turn("a").await.unwrap(), turn("b").await.unwrap());
        let begun = Instant::now();
        let problem = turn("c").await.unwrap_err();
        assert_eq!((problem.slug(), problem.status().as_u16()), ("too-busy", 503));
        assert!(problem.retry_after().is_some() && begun.elapsed() >= LONGEST_WAIT);
        drop(held);
        assert!(turn("c").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_caller_gets_the_turn_that_is_given_back() {
        let work = work("1/1");
        let held = work.turn(Price::Query, "a".into()).await.unwrap();
        let waiting = tokio::spawn({
            let work = work.clone();
            async move { work.turn(Price::Query, "b".into()).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn an_export_does_not_wait_and_is_refused_with_the_time_to_ask_again() {
        let work = work("2/1");
        let begun = Instant::now();
        let _held = (work.turn(Price::Export, "a".into()).await, work.turn(Price::Export, "b".into()).await);
        for caller in ["a", "c"] {
            let problem = work.turn(Price::Export, caller.into()).await.unwrap_err();
            assert_eq!(
                (problem.slug(), problem.retry_after()),
                ("too-many-exports", Some(AGAIN_FOR_EXPORTS))
            );
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_caller_is_forgotten_once_it_has_no_turn() {
        let lane = Lane::new(Share { all: 2, each: 1 });
        for number in 0..1_000 {
            lane.enter(number.to_string().as_str().into(), 1, Duration::ZERO).await.unwrap();
        }
        assert!(lane.callers().is_empty());
        let held = lane.enter("a".into(), 1, Duration::ZERO).await.unwrap();
        assert_eq!(lane.enter("a".into(), 1, Duration::ZERO).await.unwrap_err(), Full::Own);
        assert_eq!(lane.callers().len(), 1);
        drop(held);
        assert!(lane.callers().is_empty());
    }

    #[tokio::test]
    async fn those_who_wait_have_turns_of_their_own_and_are_refused_at_once() {
        let work = Work::new(&"waits=3/2,queries=1/1".parse().unwrap());
        let _query = work.turn(Price::Query, "a".into()).await.unwrap();
        let _waiting = (work.waiting("a".into()).await.unwrap(), work.waiting("a".into()).await.unwrap());
        assert_eq!(work.waiting("a".into()).await.unwrap_err().slug(), "too-many-at-once");
        let _other = work.waiting("b".into()).await.unwrap();
        assert_eq!(work.waiting("b".into()).await.unwrap_err().slug(), "too-busy");
    }

    #[tokio::test]
    async fn a_program_may_have_all_turns_for_those_it_acts_for() {
        let work = Work::new(&"waits=3/1".parse().unwrap());
        let program = || Requester { name: "service:shop".into(), is_program: true };
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(work.waiting(program()).await.unwrap());
        }
        assert_eq!(work.waiting(program()).await.unwrap_err().slug(), "too-many-at-once");
    }

    #[tokio::test]
    async fn guests_are_known_by_their_place_and_others_by_their_key() {
        let of = |caller: &Caller, address: &str| {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 7)));
            caller_of(caller, &extensions).name.to_string()
        };
        let guest = Access::new(None).caller(&HeaderMap::new()).await.unwrap();
        assert_eq!(of(&guest, "10.0.0.7"), "10.0.0.7");
        assert_eq!(of(&guest, "::ffff:10.0.0.7"), "10.0.0.7");
        assert_eq!(of(&guest, "2001:db8:1:2::7"), of(&guest, "2001:db8:1:2:ff::8"));
        assert_ne!(of(&guest, "2001:db8:1:2::7"), of(&guest, "2001:db8:1:3::7"));
        assert_eq!(of(&Caller::operator(), "10.0.0.7"), "service:operator");
        assert_eq!(&*caller_of(&guest, &Extensions::new()).name, "unknown");
        let mut behind_a_proxy = Extensions::new();
        behind_a_proxy.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 7], 7))));
        behind_a_proxy.insert(CallersAddress("198.51.100.9".into()));
        assert_eq!(&*caller_of(&guest, &behind_a_proxy).name, "198.51.100.9");
    }
}
