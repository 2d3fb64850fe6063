//! Lines for the blocks of texts that have none.

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::Stopped;

use super::fold::Fold;

impl Fold<'_> {
    /// Gives the blocks their lines that are complete and have none: of those that began before this process did, and of
    /// those that waited for a parked event.
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
