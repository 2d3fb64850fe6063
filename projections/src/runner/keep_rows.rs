//! Keeps rows up to date while readers use them.

use std::time::Duration;

use async_trait::async_trait;
use soonshop_event_log::follow::{Next, Wait, Work};
use soonshop_event_log::{Checkpoint, Entry, Lease, Stopped};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fold::Fold;
use super::follower::Follower;
use super::mode::Poison;
use crate::Feed;
use crate::generation::ROWS;

/// The most events of one transaction.
const BATCH: usize = 1_000;

/// A live follower commits so often in the long run, because each commit leaves a dead row version of the checkpoint:
/// events that come faster are collected.
const EACH: Duration = Duration::from_millis(10);

/// So many commits may follow each other at once, after a time with fewer: a single event is visible without a pause.
const AT_ONCE: u32 = 200;

/// How often it looks for requests to try parked events again.
const RETRIES: Duration = Duration::from_millis(500);

/// How often, at least, the checkpoint's event is read again: the log may have been restored meanwhile.
const VERIFIED: Duration = Duration::from_secs(1);

/// How many rows stay in memory between batches while nobody reads them.
const KEPT: usize = 50_000;

/// How long events are gathered while nobody reads the rows.
const GATHER: Duration = Duration::from_millis(250);

/// When the rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// While they are kept up to date: an event is visible at once.
    Now,
    /// Once the follower has ended, as in an import into a store that nobody serves: batches are full, rows stay in memory
    /// between them, and indexes are built at the end.
    Later,
}

/// The rows of a generation under one lease.
struct Rows<'a> {
    fold: Fold<'a>,
    readers: Readers,
    name: String,
    feed: Feed,
    /// The position at which this attempt began.
    began_at: i64,
    /// The rows were reported as running.
    running: bool,
    indexed: bool,
    retries_checked: Instant,
    pace: Pace,
}

/// How often rows are committed: once per [`EACH`] in the long run, with up to [`AT_ONCE`] commits in advance.
struct Pace {
    /// When the commits so far would have ended, had they been evenly spread.
    spent: Instant,
}

impl Pace {
    /// With all commits in advance.
    fn new() -> Self {
        let now = Instant::now();
        Self { spent: Self::in_advance(now) }
    }

    /// What is spent at that moment where no commit in advance is.
    fn in_advance(now: Instant) -> Instant {
        now.checked_sub(EACH * AT_ONCE).unwrap_or(now)
    }

    /// Counts a commit.
    fn committed(&mut self) {
        let now = Instant::now();
        // Large pages are committed without a pause, and are not paid for later.
        self.spent = self.spent.clamp(Self::in_advance(now), now) + EACH;
    }

    /// How long to wait before the next commit.
    fn pause(&self) -> Duration {
        self.spent.saturating_duration_since(Instant::now())
    }
}

#[async_trait]
impl Work for Rows<'_> {
    type Source = Feed;

    fn name(&self) -> &str {
        &self.name
    }

    fn source(&mut self) -> &mut Feed {
        &mut self.feed
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        Some((self.fold.folded().clone(), BATCH))
    }

    async fn work(&mut self, entries: Vec<Entry>) -> Result<Next, Stopped> {
        self.fold.take(&entries).await?;
        if !entries.is_empty() {
            self.pace.committed();
        }
        if entries.len() < BATCH {
            self.fold.written().await?;
        }
        // A whole page may not be committed yet; it is, once the checkpoint has moved.
        let worked = entries.len() < BATCH || self.fold.checkpoint().position > self.began_at;
        if !self.running && worked {
            // It got this far, so any earlier problem is over.
            self.fold.follower.report(ROWS, "running", "").await;
            self.running = true;
        }
        if self.retries_checked.elapsed() > RETRIES {
            self.retries_checked = Instant::now();
            self.fold.retry().await?;
            self.fold.complete_texts().await?;
            self.fold.overwritten.write_back(&self.fold.db).await?;
        }
        if self.readers == Readers::Later {
            let full = self.fold.folded().position + i64::try_from(BATCH).unwrap_or(1);
            let gather = Wait::steady(GATHER).or_news_of(full);
            return Ok(if entries.len() < BATCH { Next::Wait(gather) } else { Next::Read });
        }
        if entries.is_empty() && !self.indexed {
            self.fold.index().await?;
            self.indexed = true;
        }
        if entries.len() >= BATCH / 4 {
            return Ok(Next::Read);
        }
        let gather = self.pace.pause();
        if !entries.is_empty() {
            return Ok(if gather.is_zero() { Next::Read } else { Next::Wait(Wait::steady(gather)) });
        }
        // Also after an announcement without an event: the announced event may not be committed yet, or never will
        // be.
        let news = self.fold.checkpoint().position + 1;
        Ok(Next::Wait(Wait::steady(VERIFIED).or_news_of(news).at_least(gather)))
    }

    async fn end(&mut self, outcome: Result<(), Stopped>) -> Result<(), Stopped> {
        outcome?;
        match self.readers {
            Readers::Now => self.fold.written().await,
            Readers::Later => self.fold.index().await,
        }
    }
}

impl Follower {
    /// Keeps the rows up to date until it is stopped.
    pub async fn keep_rows(&self, readers: Readers, stop: CancellationToken) {
        self.follow(ROWS, &stop, |lease| Box::pin(self.begin_rows(readers, lease))).await;
    }

    async fn begin_rows(&self, readers: Readers, lease: Lease) -> Result<Rows<'_>, Stopped> {
        let mut fold = self.fold(&lease, Poison::Park).await?;
        match readers {
            Readers::Now => fold.go_live(),
            Readers::Later => fold.keep(KEPT),
        }
        let (name, feed) = (self.name(ROWS), self.feed.clone());
        Ok(Rows {
            began_at: fold.checkpoint().position,
            fold,
            readers,
            name,
            feed,
            running: false,
            indexed: false,
            retries_checked: Instant::now(),
            pace: Pace::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pause that a commit is followed by, at this many milliseconds after the last one.
    async fn pauses(commits: u32, apart: u64) -> Vec<Duration> {
        let mut pace = Pace::new();
        let mut pauses = Vec::new();
        for _ in 0..commits {
            tokio::time::advance(Duration::from_millis(apart)).await;
            pace.committed();
            pauses.push(pace.pause());
        }
        pauses
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_commits_follow_each_other_without_a_pause() {
        let mut pace = Pace::new();
        // At the beginning, and after a time without commits.
        for _ in 0..2 {
            for _ in 0..AT_ONCE {
                assert_eq!(pace.pause(), Duration::ZERO);
                pace.committed();
            }
            pace.committed();
            assert_eq!(pace.pause(), EACH);
            tokio::time::advance(EACH * (AT_ONCE + 1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_long_run_there_is_one_commit_per_ten_milliseconds() {
        let slow = pauses(1_000, 10).await;
        assert!(slow.iter().all(|pause| *pause <= EACH), "{slow:?}");
        let fast = pauses(1_000, 4).await;
        assert_eq!(fast.last(), Some(&EACH), "the pause of one commit, however many there were");
    }
}
