//! Writing behind: a batch goes into the database while the next one is folded.

use soonshop_event_log::{Checkpoint, Db, Entry, Error, Fence};
use tokio::task::JoinHandle;

use super::failure::Broken;
use crate::transaction::{Durable, Transaction, Write};

/// A batch that is being written while the next one is folded. It is a normal transaction, and the next one begins
/// when it is done.
pub(super) struct Writing {
    /// The entries of the batch: if the database refuses a row, they are applied again, in smaller pieces.
    pub(super) entries: Vec<Entry>,
    pub(super) to: Checkpoint,
    task: JoinHandle<Result<(), Broken>>,
}

impl Writing {
    /// Begins to write the result of folding these entries.
    pub(super) fn begin(
        db: Db,
        fence: Fence,
        entries: &[Entry],
        (from, to): (Checkpoint, Checkpoint),
        writes: Vec<Write>,
    ) -> Self {
        let task = tokio::spawn(write(db, fence, from, to.clone(), writes));
        Self { entries: entries.to_vec(), to, task }
    }

    /// Waits until the batch is committed.
    pub(super) async fn done(&mut self) -> Result<(), Broken> {
        (&mut self.task).await.unwrap_or_else(|broken| {
            let error = Error::Database(format!("the write was interrupted: {broken}"));
            Err(Broken::Stopped(error.into()))
        })
    }
}

/// A process that lets go of the rows drops what is not committed.
impl Drop for Writing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One transaction: the checkpoint, then the rows.
async fn write(
    db: Db,
    fence: Fence,
    from: Checkpoint,
    to: Checkpoint,
    writes: Vec<Write>,
) -> Result<(), Broken> {
    let tx = Transaction::begin(&db, Durable::Soon).await?;
    fence.advance(&tx, &from, &to).await?;
    for write in writes {
        tx.write(write).await?;
    }
    Ok(tx.commit().await?)
}
