//! The position of the audit trail, polled once for everyone who follows it in this process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use serde_json::value::RawValue;
use soonshop_audit::reader::Reader;
use tokio::sync::watch;

/// How often the checkpoint is polled while there are followers.
const LOOK: Duration = Duration::from_millis(200);

/// For how long, and how many, messages are kept for other followers of the same search.
const SHARED_FOR: Duration = Duration::from_secs(1);
const MOST_SHARED: u64 = 64;

/// The new events after a position.
pub(crate) struct Batch {
    /// The part of a message about them; none where no event matched.
    pub(crate) rows: Option<Rows>,
    /// Every matching event up to this position is included.
    pub(crate) last: i64,
    pub(crate) full: bool,
}

/// Events as they are sent to followers.
pub(crate) struct Rows {
    pub(crate) items: Box<RawValue>,
    /// The same as the page shows them, for followers that ask for it.
    pub(crate) html: Option<Vec<String>>,
}

/// The position of the trail, for everyone who follows it in this process.
pub(crate) struct Head {
    reader: Reader,
    position: Mutex<Option<watch::Sender<i64>>>,
    /// By search, look, and start position.
    pub(crate) batches: Cache<String, Arc<Batch>>,
}

impl Head {
    /// Without followers.
    pub(crate) fn new(reader: Reader) -> Self {
        let batches = Cache::builder().max_capacity(MOST_SHARED).time_to_live(SHARED_FOR).build();
        Self { reader, position: Mutex::default(), batches }
    }

    /// Subscribes to changes; the checkpoint is polled as long as anybody is subscribed.
    pub(crate) fn listen(self: &Arc<Self>) -> watch::Receiver<i64> {
        let mut held = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = held.as_ref() {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(0);
        *held = Some(sender);
        let head = Arc::clone(self);
        tokio::spawn(async move { head.look().await });
        receiver
    }

    async fn look(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            {
                let mut held = self.position.lock().unwrap_or_else(PoisonError::into_inner);
                if held.as_ref().is_none_or(|sender| sender.receiver_count() == 0) {
                    *held = None;
                    return;
                }
            }
            let now = async { self.reader.source().await?.position().await };
            match now.await {
                Ok(position) => {
                    let held = self.position.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(sender) = held.as_ref() {
                        sender.send_if_modified(|known| std::mem::replace(known, position) != position);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, causes = error.causes(), "the audit trail cannot be followed at the moment");
                }
            }
        }
    }
}
