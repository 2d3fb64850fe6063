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

/// A live follower collects events for this long, because each commit leaves a dead row version of the checkpoint.
const GATHER: Duration = Duration::from_millis(10);

/// How often it looks for requests to try parked events again.
const RETRIES: Duration = Duration::from_millis(500);

/// How often, at least, the checkpoint's event is read again: the log may have been restored meanwhile.
const VERIFIED: Duration = Duration::from_secs(1);

/// The rows of a generation under one lease.
struct Rows<'a> {
    fold: Fold<'a>,
    name: String,
    feed: Feed,
    /// The rows were reported as running.
    running: bool,
    indexed: bool,
    retries_checked: Instant,
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
        let began = Instant::now();
        self.fold.take(&entries).await?;
        if entries.len() < BATCH {
            self.fold.written().await?;
        }
        if !self.running {
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
        if entries.is_empty() && !self.indexed {
            self.fold.index().await?;
            self.indexed = true;
        }
        if entries.len() >= BATCH / 4 {
            return Ok(Next::Read);
        }
        let gather = GATHER.saturating_sub(began.elapsed());
        if !entries.is_empty() {
            return Ok(Next::Wait(Wait::steady(gather)));
        }
        // Also after an announcement without an event: the announced event may not be committed yet, or never will
        // be.
        let news = self.fold.checkpoint().position + 1;
        Ok(Next::Wait(Wait::steady(VERIFIED).or_news_of(news).at_least(gather)))
    }

    async fn end(&mut self, outcome: Result<(), Stopped>) -> Result<(), Stopped> {
        outcome?;
        self.fold.written().await
    }
}

impl Follower {
    /// Keeps the rows up to date until it is stopped.
    pub async fn keep_rows(&self, stop: CancellationToken) {
        self.follow(ROWS, &stop, |lease| Box::pin(self.begin_rows(lease))).await;
    }

    async fn begin_rows(&self, lease: Lease) -> Result<Rows<'_>, Stopped> {
        let mut fold = self.fold(&lease, Poison::Park).await?;
        fold.go_live();
        let (name, feed) = (self.name(ROWS), self.feed.clone());
        Ok(Rows { fold, name, feed, running: false, indexed: false, retries_checked: Instant::now() })
    }
}
