//! Writing the text index of blocks that have none.

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::Stopped;

use super::fold::Fold;

impl Fold<'_> {
    /// Writes the lines of complete blocks that have none: those that began before this process, and those that
    /// waited for a parked event.
    pub(super) async fn complete_texts(&mut self) -> Result<(), Stopped> {
        let Some(texts) = &mut self.texts else { return Ok(()) };
        let missing = texts.missing(&self.db, self.checkpoint.position).await?;
        let Some(texts) = &self.texts else { return Ok(()) };
        for block in missing {
            let lines = texts.again(&self.db, block).await?;
            let tx = self.begin(&self.checkpoint).await?;
            tx.execute(lines).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
