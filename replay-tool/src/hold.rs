//! Holds generations at one position: takes the lease of their rows from their worker, and gives it back.

use std::sync::Arc;
use std::time::Duration;

use soonshop_event_log::{Checkpoint, Lease};
use soonshop_projections::runner::ROWS;
use soonshop_projections::{Generation, Projector};
use tokio::time::Instant;

use crate::fold::fold_to;
use crate::rows::Side;
use crate::{Failure, Sentence, Tool};

/// How long the generation in use is held at a time.
pub(crate) const HOLD_TIME: Duration = Duration::from_secs(2);

/// How long to wait for a generation that this release cannot advance itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Two generations that are held at one position.
pub(crate) struct HeldGenerations(pub(crate) [Lease; 2]);

impl HeldGenerations {
    /// Runs `work` while both are held; aborts it if one of the leases is lost.
    pub(crate) async fn keeping<T>(
        &self,
        tool: &Tool,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let leases = tool.leases();
        let [first, second] = &self.0;
        tokio::select! {
            outcome = work => outcome,
            lost = leases.keep(first) => Err(lost.into()),
            lost = leases.keep(second) => Err(lost.into()),
        }
    }

    pub(crate) async fn release(self, tool: &Tool) -> Result<(), Failure> {
        for lease in self.0 {
            tool.leases().release(&lease).await?;
        }
        Ok(())
    }
}

/// Takes the lease of a generation's rows: from here on no other process advances them.
pub(crate) async fn hold(tool: &Tool, generation: &Generation) -> Result<(Lease, Checkpoint), Failure> {
    let lease = tool.leases().take(&format!("{}:{ROWS}", generation.namespace())).await?;
    let db = generation.db(tool.registry.database())?;
    if !Checkpoint::fence(&db, &db.connection, ROWS, lease.epoch).await? {
        return Err(Failure::Unexpected(Sentence::CannotHold { name: generation.namespace() }));
    }
    let at = Checkpoint::load(&db, &db.connection, ROWS).await?;
    let at =
        at.ok_or_else(|| Failure::Unexpected(Sentence::NoCheckpoint { name: generation.namespace() }))?;
    Ok((lease, at.0))
}

pub(crate) async fn together(
    tool: &Tool,
    projector: &Arc<dyn Projector>,
    left: &Side,
    right: &Side,
) -> Result<HeldGenerations, Failure> {
    let ours = |side: &Side| {
        (side.generation.version, side.generation.shape) == (projector.version(), projector.shape())
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (right_lease, right_at) = hold(tool, &right.generation).await?;
        let (left_lease, left_at) = hold(tool, &left.generation).await?;
        let (behind, lease, to) = if left_at.position < right_at.position {
            (left, &left_lease, right_at.position)
        } else {
            (right, &right_lease, left_at.position)
        };
        let held = HeldGenerations([left_lease.clone(), right_lease.clone()]);
        if left_at == right_at {
            return Ok(held);
        }
        if ours(behind) {
            let folding = async { fold_to(tool, projector, &behind.generation, lease, to).await.map(drop) };
            return match held.keeping(tool, folding).await {
                Ok(()) => Ok(held),
                Err(failure) => {
                    held.release(tool).await?;
                    Err(failure)
                }
            };
        }
        // Only a process with its version can advance it: let it do so, while the other generation waits.
        tool.leases().release(lease).await?;
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while behind.checkpoint().await?.position < to {
            if Instant::now() >= deadline {
                held.release(tool).await?;
                let name = behind.generation.namespace();
                return Err(Failure::Refused(Sentence::StoppedBefore { name, position: to }));
            }
            pause.tick().await;
        }
        held.release(tool).await?;
    }
}
