//! Trying parked events again.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::{Checkpoint, Content, Entry, RecordedEvent, Stopped};

use super::failure::Broken;
use super::fold::Fold;
use super::parking::{Parking, tried};
use crate::generation::ROWS;
use crate::left_out;
use crate::projector::{Unit, Wants};
use crate::texts::Index;
use crate::transaction::Transaction;

impl Fold<'_> {
    /// Tries parked events again, in order, if it was requested. If one fails again, the events behind it stay
    /// parked.
    pub(super) async fn retry(&mut self) -> Result<(), Stopped> {
        self.written().await?;
        let statement = self.db.statement("SELECT position FROM @retries LIMIT 1", []);
        if self.db.connection.query_one(statement).await?.is_none() {
            return Ok(());
        }
        let at = &self.checkpoint.clone();
        self.clear_memory();
        let sql = "DELETE FROM @retries AS r WHERE NOT EXISTS (SELECT 1 FROM @parked p WHERE p.position = r.position)";
        if self.db.connection.execute(self.db.statement(sql, [])).await?.rows_affected() > 0 {
            tracing::info!(
                follower = self.follower.name(ROWS),
                "events that are not parked are not tried again"
            );
        }
        let sql = "SELECT position, event_id, rows FROM @parked ORDER BY position";
        let rows = self.db.connection.query_all(self.db.statement(sql, [])).await?;
        // Rows that are added late are not in the gathered texts: they must be read from the database.
        self.texts.as_mut().map(Index::break_off);
        let mut blocked: BTreeSet<String> = BTreeSet::new();
        for row in &rows {
            let (position, id): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let names: String = row.try_get_by_index(2)?;
            let names: BTreeSet<String> = serde_json::from_str(&names).unwrap_or_default();
            let outcome = match names.iter().find(|name| blocked.contains(*name)) {
                Some(name) => Err(format!("behind {name}")),
                None if left_out::is_document(&names) => Ok(self.index_again(position, &names, at).await?),
                None => self.again(position, &id, at).await?,
            };
            if let Err(cause) = outcome {
                blocked.extend(names);
                let tx = self.begin(at).await?;
                let sql = "UPDATE @parked SET attempts = attempts + 1, cause = $2 WHERE position = $1";
                tx.execute(self.db.statement(sql, [position.into(), cause.into()])).await?;
                tried(&self.db, &tx, position).await?;
                tx.commit().await?;
            }
        }
        self.parking = Parking::load(&self.db).await?;
        Ok(())
    }

    /// Has the index apply documents again that it left out: it parks them again if it still does not take them.
    async fn index_again(
        &self,
        position: i64,
        names: &BTreeSet<String>,
        at: &Checkpoint,
    ) -> Result<(), Stopped> {
        let tx = self.begin(at).await?;
        tx.execute(self.db.statement("DELETE FROM @parked WHERE position = $1", [position.into()])).await?;
        for id in left_out::ids(names) {
            tx.execute(self.db.statement(left_out::REPEAT, [id.into()])).await?;
        }
        tried(&self.db, &tx, position).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Tries one parked event again. The inner error says why it stays parked.
    async fn again(&self, position: i64, id: &str, at: &Checkpoint) -> Result<Result<(), String>, Stopped> {
        let stored = self.follower.feed.log().read(position, 1).await?;
        let entry = self.follower.feed.log().decode(stored).await?.into_iter().next();
        let event = match entry {
            Some(entry) if entry.event_id.to_string() != id => {
                return Ok(Err("the log has another event there".to_owned()));
            }
            Some(Entry { content: Content::Event(event), .. }) => event,
            Some(Entry { content: Content::Damaged(_, reason) | Content::Unknown(reason), .. }) => {
                return Ok(Err(reason));
            }
            Some(Entry { content: Content::Foreign, .. }) | None => {
                return Ok(Err("the log has no such event".to_owned()));
            }
        };
        let tx = self.begin(at).await?;
        match self.project_again(&tx, &event).await {
            Ok(()) => {
                tried(&self.db, &tx, position).await?;
                tx.commit().await?;
                tracing::info!(follower = self.follower.name(ROWS), position, "a parked event was projected");
                Ok(Ok(()))
            }
            Err(Broken::Event { cause, .. } | Broken::Rows(cause)) => {
                tx.rollback().await?;
                Ok(Err(cause))
            }
            Err(Broken::Stopped(stopped)) => Err(stopped),
        }
    }

    async fn project_again(&self, tx: &Transaction, event: &RecordedEvent) -> Result<(), Broken> {
        let projector = &self.follower.projector;
        let position = event.position;
        let mut wants = Wants::default();
        projector.wants(event, &mut wants);
        let mut unit = Unit::default();
        unit.load(&self.db, tx, wants, false).await?;
        projector
            .project(event, &mut unit)
            .map_err(|failure| Broken::Event { position, cause: failure.0 })?;
        unit.store(&self.db, tx).await?;
        tx.execute(self.db.statement("DELETE FROM @parked WHERE position = $1", [position.into()])).await?;
        // The sinks have already passed this position: this table tells them to apply it again.
        tx.execute(self.db.statement(left_out::REPEAT, [event.stream.to_string().into()])).await?;
        Ok(())
    }
}
