//! Folding the log into a generation, page by page.

use std::sync::Arc;

use soonshop_event_log::{Checkpoint, Entry, Error, EventLog, Lease, Stopped};
use soonshop_projections::runner::Poison;
use soonshop_projections::{Generation, Projector};
use tokio::sync::mpsc;

use crate::{Failure, Sentence, Tool};

/// Events per transaction, by default.
pub const CHUNK: usize = 10_000;

/// Rows that are kept in memory from one chunk to the next.
pub const KEPT: usize = 200_000;

/// Decoded pages of the log, read ahead by a separate task.
pub struct Pages {
    pages: mpsc::Receiver<Result<Vec<Entry>, Error>>,
    task: tokio::task::JoinHandle<()>,
}

impl Pages {
    /// The events after a position, in pages of this size.
    pub fn after(log: &EventLog, position: i64, page: usize) -> Self {
        let (sender, pages) = mpsc::channel(2);
        let mut reader = log.read_all(position, i64::try_from(page).unwrap_or(i64::MAX));
        let task = tokio::spawn(async move {
            loop {
                let page = reader.next().await;
                let last = page.as_ref().map_or(true, Vec::is_empty);
                if sender.send(page).await.is_err() || last {
                    return;
                }
            }
        });
        Self { pages, task }
    }

    /// The next page; empty at the end. An error is never taken for the end.
    pub async fn next(&mut self) -> Result<Vec<Entry>, Error> {
        let broken = || Err(Error::Unavailable("reading the log was interrupted".to_owned()));
        self.pages.recv().await.unwrap_or_else(broken)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Advances a generation's rows to a position, under a lease of this process.
pub(crate) async fn fold_to(
    tool: &Tool,
    projector: &Arc<dyn Projector>,
    generation: &Generation,
    lease: &Lease,
    position: i64,
) -> Result<Checkpoint, Failure> {
    let follower = tool.follower(projector, generation);
    let mut fold = follower.fold(lease, Poison::Park).await?;
    fold.keep(KEPT);
    let name = generation.namespace();
    tool.log.read_after(&name, fold.checkpoint(), 1).await?;
    let mut pages = Pages::after(&tool.log, fold.checkpoint().position, CHUNK);
    while fold.folded().position < position {
        let mut page = pages.next().await?;
        page.retain(|entry| entry.position <= position);
        if page.is_empty() {
            return Err(Failure::Unexpected(Sentence::LogEnds { position }));
        }
        fold.take(&page).await.map_err(|stopped: Stopped| Failure::from(stopped))?;
        if tool.stop.is_asked() {
            return Err(tool.stop.failure());
        }
    }
    fold.written().await.map_err(|stopped: Stopped| Failure::from(stopped))?;
    Ok(fold.checkpoint().clone())
}
