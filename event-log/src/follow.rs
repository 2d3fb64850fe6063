//! The one loop of all followers of the log: take the lease, load the checkpoint, read the events after it, work on
//! them, wait for more.
//!
//! Two traits hold the differences between followers. A [`Source`] reads the events, and knows when to read again;
//! both readers of the log compare the checkpoint with the log ([`Checkpoint::rows_after`]). A [`Work`] processes the
//! events under one lease. It moves its checkpoint itself, through a [`Fence`](crate::Fence), because the checkpoint
//! moves in the transaction of the work.

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lease::Backoff;
use crate::{Checkpoint, Error, EventLog, Lease, Leases, Stopped, StoredEvent};

/// The source of a follower's events.
#[async_trait]
pub trait Source: Send {
    /// An event of this source: stored or decoded.
    type Event: Send;

    /// The events after a checkpoint, at most `most`, in order.
    async fn after(
        &mut self,
        follower: &str,
        checkpoint: &Checkpoint,
        most: usize,
    ) -> Result<Vec<Self::Event>, Error>;

    /// Resolves when the log may have reached this position; never, if nothing announces positions. Safe to drop.
    async fn news(&mut self, position: i64);
}

/// The rows of the log as stored. Appends of this process are announced.
pub struct LogSource {
    log: EventLog,
    appended: watch::Receiver<i64>,
}

impl LogSource {
    /// `appended` holds the last position that this process appended.
    pub fn new(log: EventLog, appended: watch::Receiver<i64>) -> Self {
        Self { log, appended }
    }
}

#[async_trait]
impl Source for LogSource {
    type Event = StoredEvent;

    async fn after(
        &mut self,
        follower: &str,
        checkpoint: &Checkpoint,
        most: usize,
    ) -> Result<Vec<StoredEvent>, Error> {
        checkpoint.rows_after(&self.log, follower, i64::try_from(most).unwrap_or(i64::MAX - 1)).await
    }

    async fn news(&mut self, position: i64) {
        // Only a change counts: the log may have been restored to an older state since the last one.
        while self.appended.changed().await.is_ok() {
            if *self.appended.borrow_and_update() >= position {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// No events: the source of periodic work that does not depend on the log.
pub struct NoEvents;

#[async_trait]
impl Source for NoEvents {
    type Event = Infallible;

    async fn after(&mut self, _: &str, _: &Checkpoint, _: usize) -> Result<Vec<Infallible>, Error> {
        Ok(Vec::new())
    }

    async fn news(&mut self, _: i64) {
        std::future::pending::<()>().await;
    }
}

/// The work of a follower under one lease.
#[async_trait]
pub trait Work: Send {
    type Source: Source;

    /// The follower's name, for messages.
    fn name(&self) -> &str;

    fn source(&mut self) -> &mut Self::Source;

    /// The checkpoint to read after, and the most events. `None`: nothing is read this time.
    fn place(&self) -> Option<(Checkpoint, usize)>;

    /// Processes the events that were read, which may be none, and says when to read again.
    async fn work(&mut self, events: Vec<<Self::Source as Source>::Event>) -> Result<Next, Stopped>;

    /// Called once at the end, with `Ok` if the follower was stopped. It is not called if the lease is lost: then the
    /// work is dropped at once.
    async fn end(&mut self, outcome: Result<(), Stopped>) -> Result<(), Stopped> {
        outcome
    }
}

/// When a follower reads again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there may be more events.
    Read,
    Wait(Wait),
}

/// How a follower waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    shortest: Duration,
    longest: Duration,
    news: Option<i64>,
    at_least: Duration,
}

impl Wait {
    /// Waits this long.
    pub fn steady(pause: Duration) -> Self {
        Self::doubling(pause, pause)
    }

    /// Waits the shortest pause at first, and twice as long each time no event came, up to the longest.
    pub fn doubling(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest: longest.max(shortest), news: None, at_least: Duration::ZERO }
    }

    /// Ends the wait early when the source announces that the log has reached this position.
    #[must_use]
    pub fn or_news_of(self, position: i64) -> Self {
        Self { news: Some(position), ..self }
    }

    /// Waits at least this long, even if the announcement comes at once.
    #[must_use]
    pub fn at_least(self, at_least: Duration) -> Self {
        Self { at_least, ..self }
    }

    /// Waits. `before` is the pause that the last wait returned; the result is the pause of this one.
    async fn pass(self, source: &mut impl Source, before: Duration, stop: &CancellationToken) -> Duration {
        let pause = before.clamp(self.shortest, self.longest);
        let earliest = Instant::now() + self.at_least;
        let news = async {
            match self.news {
                Some(position) => source.news(position).await,
                None => std::future::pending().await,
            }
            tokio::time::sleep_until(earliest).await;
        };
        tokio::select! {
            () = stop.cancelled() => before,
            () = news => Duration::ZERO,
            () = tokio::time::sleep(pause) => if self.longest > self.shortest { pause * 2 } else { before },
        }
    }
}

/// Follows under the lease of this name until stopped. `begin` starts the work each time that the lease is taken;
/// `report` gets the reason why it ended.
pub async fn follow<'a, W: Work + 'a>(
    leases: &Leases,
    name: &str,
    stop: &CancellationToken,
    begin: impl Fn(Lease) -> BoxFuture<'a, Result<W, Stopped>> + Send + Sync,
    report: impl Fn(String) -> BoxFuture<'a, ()> + Send + Sync,
) {
    let (begin, report) = (&begin, &report);
    let under = move |lease: Lease| -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move { run(&mut begin(lease).await?, stop).await })
    };
    leases.hold(name, stop, under, move |reason| report(reason)).await;
}

/// Like [`follow`], for a worker whose lease is in the namespace `process`: why it stopped is kept beside the lease until
/// it works again.
pub async fn follow_noted<'a, W: Work + 'a>(
    leases: &Leases,
    name: &str,
    stop: &CancellationToken,
    begin: impl Fn(Lease) -> BoxFuture<'a, Result<W, Stopped>> + Send + Sync,
) {
    let begin = &begin;
    let under = move |lease: Lease| -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move {
            let mut work = begin(lease).await?;
            let outcome = turns(&mut work, stop, Some((leases, name))).await;
            work.end(outcome).await
        })
    };
    let report = move |reason: String| -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = leases.note_stopped(name, &reason).await {
                tracing::warn!(follower = name, %error, "the reason why it stopped could not be stored");
            }
        })
    };
    leases.hold(name, stop, under, report).await;
}

/// Like [`follow`] without a lease: for work that belongs to this process alone.
pub async fn follow_alone<'a, W: Work + 'a>(
    name: &str,
    stop: &CancellationToken,
    begin: impl Fn() -> BoxFuture<'a, Result<W, Stopped>> + Send + Sync,
) {
    let mut backoff = Backoff::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let outcome = async { run(&mut begin().await?, stop).await };
        if let Err(stopped) = outcome.await {
            backoff.ran_since(began);
            tracing::warn!(follower = name, reason = %stopped, "stopped; trying again");
            backoff.pass(stop).await;
        }
    }
}

/// The loop itself: runs until stopped, or until the work fails.
pub async fn run<W: Work>(work: &mut W, stop: &CancellationToken) -> Result<(), Stopped> {
    let outcome = turns(work, stop, None).await;
    work.end(outcome).await
}

/// A worker that got so far without waiting for more works, however much there is to do.
const WORKS_AFTER: Duration = Duration::from_secs(5);

/// `noted`: once the work has reached the end of its source, it is noted beside this lease that it works.
async fn turns<W: Work>(
    work: &mut W,
    stop: &CancellationToken,
    mut noted: Option<(&Leases, &str)>,
) -> Result<(), Stopped> {
    let name = work.name().to_owned();
    let mut pause = Duration::ZERO;
    let (began, mut note_at) = (Instant::now(), Instant::now());
    while !stop.is_cancelled() {
        let events = match work.place() {
            Some((at, most)) => work.source().after(&name, &at, most).await?,
            None => Vec::new(),
        };
        let next = work.work(events).await?;
        let works = matches!(next, Next::Wait(_)) || began.elapsed() > WORKS_AFTER;
        if let Some((leases, lease)) = noted.filter(|_| works && Instant::now() >= note_at) {
            match leases.note_works(lease).await {
                Ok(()) => noted = None,
                Err(error) => {
                    tracing::warn!(follower = name, %error, "that it works could not be stored");
                    note_at = Instant::now() + WORKS_AFTER;
                }
            }
        }
        match next {
            Next::Read => pause = Duration::ZERO,
            Next::Wait(wait) => pause = wait.pass(work.source(), pause, stop).await,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Announces positions, and returns the given number of events.
    struct Scripted {
        announced: watch::Receiver<i64>,
        left: usize,
    }

    #[async_trait]
    impl Source for Scripted {
        type Event = usize;

        async fn after(&mut self, _: &str, _: &Checkpoint, most: usize) -> Result<Vec<usize>, Error> {
            let page = self.left.min(most);
            self.left -= page;
            Ok(vec![0; page])
        }

        async fn news(&mut self, position: i64) {
            if self.announced.wait_for(|at| *at >= position).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Records the pages that it gets; stops at a page of this size.
    struct Noted {
        source: Scripted,
        pages: Vec<usize>,
        fails_at: usize,
        stop: CancellationToken,
        ended: Option<bool>,
    }

    #[async_trait]
    impl Work for Noted {
        type Source = Scripted;

        fn name(&self) -> &'static str {
            "noted"
        }

        fn source(&mut self) -> &mut Scripted {
            &mut self.source
        }

        fn place(&self) -> Option<(Checkpoint, usize)> {
            (self.pages.len() != 1).then(|| (Checkpoint::start(), 3))
        }

        async fn work(&mut self, events: Vec<usize>) -> Result<Next, Stopped> {
            self.pages.push(events.len());
            if events.len() == self.fails_at {
                return Err(Stopped::Lost);
            }
            if self.pages.len() < 4 {
                return Ok(Next::Read);
            }
            self.stop.cancel();
            Ok(Next::Wait(Wait::steady(Duration::from_hours(1))))
        }

        async fn end(&mut self, outcome: Result<(), Stopped>) -> Result<(), Stopped> {
            self.ended = Some(outcome.is_ok());
            outcome
        }
    }

    fn noted(fails_at: usize) -> Noted {
        let source = Scripted { announced: watch::channel(0).1, left: 4 };
        Noted { source, pages: Vec::new(), fails_at, stop: CancellationToken::new(), ended: None }
    }

    #[tokio::test]
    async fn pages_are_read_until_the_follower_is_stopped() {
        let mut work = noted(usize::MAX);
        let stop = work.stop.clone();
        assert!(run(&mut work, &stop).await.is_ok());
        assert_eq!((work.pages, work.ended), (vec![3, 0, 1, 0], Some(true)));
    }

    #[tokio::test]
    async fn work_that_fails_ends_with_the_reason() {
        let mut work = noted(1);
        let stop = work.stop.clone();
        assert!(matches!(run(&mut work, &stop).await, Err(Stopped::Lost)));
        assert_eq!((work.pages, work.ended), (vec![3, 0, 1], Some(false)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_doubles_while_nothing_comes_and_is_short_after_news() {
        let (announce, announced) = watch::channel(0);
        let mut source = Scripted { announced, left: 0 };
        let stop = CancellationToken::new();
        let wait = Wait::doubling(Duration::from_millis(10), Duration::from_millis(35)).or_news_of(7);
        let (mut pause, mut waited) = (Duration::ZERO, Vec::new());
        for _ in 0..4 {
            let began = Instant::now();
            pause = wait.pass(&mut source, pause, &stop).await;
            waited.push(began.elapsed().as_millis());
        }
        assert_eq!(waited, [10, 20, 35, 35]);
        // A wait of another kind in between changes nothing.
        pause = Wait::steady(Duration::from_secs(9)).pass(&mut source, pause, &stop).await;
        assert_eq!(pause, Duration::from_millis(70));
        announce.send_replace(7);
        let began = Instant::now();
        assert_eq!(wait.pass(&mut source, pause, &stop).await, Duration::ZERO);
        assert_eq!(began.elapsed(), Duration::ZERO);
        // Announced events are gathered for the requested time.
        wait.at_least(Duration::from_millis(4)).pass(&mut source, pause, &stop).await;
        assert_eq!(began.elapsed(), Duration::from_millis(4));
        stop.cancel();
        assert_eq!(Wait::steady(Duration::from_secs(9)).pass(&mut source, pause, &stop).await, pause);
        assert_eq!(began.elapsed(), Duration::from_millis(4));
    }
}
