//! Work by the clock: timeouts that are due fire, and waiting commands are retried.

use std::time::Duration;

use soonshop_domain::process::Input;
use soonshop_event_log::Stopped;
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes::Changes;
use super::status;
use super::work::{Named, Work};

/// How often the timeouts are polled.
const EVERY: Duration = Duration::from_millis(500);

impl Work {
    /// Fires timeouts that are due, once everything that was in the log when they came due has been read; and has
    /// commands tried again that had to wait.
    pub(super) async fn clock(self, position: watch::Receiver<i64>) -> Stopped {
        let mut ticks = tokio::time::interval_at(Instant::now() + EVERY, EVERY);
        let mut message = false;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Stopped::Lost,
                _ = ticks.tick() => {}
            }
            let at = *position.borrow();
            if let Err(stopped) = self.tick(at, &mut message).await {
                return stopped;
            }
        }
    }

    async fn tick(&self, position: i64, message: &mut bool) -> Result<(), Stopped> {
        if !*message {
            // Only now: one that stops as soon as it goes on is stopped all the time.
            status::write(&self.reactor.db, self.reactor.process.name(), "running", None).await?;
            *message = true;
        }
        for instance in self.rows().waiting().await? {
            self.name(Named::Again(instance));
        }
        self.fire(position).await
    }

    async fn fire(&self, position: i64) -> Result<(), Stopped> {
        let (process, rows) = (&*self.reactor.process, self.rows());
        let head = async || self.reactor.store.log().head().await.map(|head| head.position);
        for due in rows.due(head, position).await? {
            let held = self.lock.lock().await;
            let tx = self.begin().await?;
            if rows.fire(&tx, &due).await? {
                let mut instances = rows.load(&tx, &[&due.instance]).await?;
                let instance = instances.entry(due.instance.clone()).or_default();
                let first = process.timeouts().first().copied();
                let name = first.filter(|_| due.name.is_empty()).unwrap_or(&due.name);
                let reaction = instance.react(process, Input::TimedOut { name })?;
                let id = due.id.parse().unwrap_or_default();
                let mut changes = Changes::of(process);
                changes.add(&due.instance, instance, reaction, id, &due.causes);
                changes.write(&rows, &tx).await?;
                rows.save(&tx, &instances).await?;
            }
            tx.commit().await?;
            self.name(Named::New(due.instance, None));
            drop(held);
        }
        Ok(())
    }
}
