//! Where the audit trail stands, looked up once for all who follow it here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use soonshop_audit::reader::Reader;
use tokio::sync::watch;

/// How often the checkpoint is looked at while there are readers.
const LOOK: Duration = Duration::from_millis(200);

/// For how long, and how many, messages are kept for others who look for the same.
const SHARED_FOR: Duration = Duration::from_secs(1);
const MOST_SHARED: u64 = 64;

/// What is new after a position.
pub(crate) struct Batch {
    /// As it is sent; none where nothing was found.
    pub(crate) data: Option<String>,
    /// Everything up to here is in it, or is not what is looked for.
    pub(crate) last: i64,
    pub(crate) full: bool,
}

/// Where the trail stands, for all who follow it here.
pub(crate) struct Head {
    reader: Reader,
    position: Mutex<Option<watch::Sender<i64>>>,
    /// By what is looked for, how it is shown, and from where on.
    pub(crate) batches: Cache<String, Arc<Batch>>,
}

impl Head {
    /// Nobody listens yet.
    pub(crate) fn new(reader: Reader) -> Self {
        let batches = Cache::builder().max_capacity(MOST_SHARED).time_to_live(SHARED_FOR).build();
        Self { reader, position: Mutex::default(), batches }
    }

    /// Told of each change; somebody looks for as long as anybody listens.
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
                    tracing::warn!(%error, causes = error.causes(), "the audit trail cannot be followed just now");
                }
            }
        }
    }
}
