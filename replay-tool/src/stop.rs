//! Requests to stop: after the first one the current chunk is completed; after the second it is rolled back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Signal(&'static str),
    TimedOut,
}

/// How long the current chunk may still take after SIGTERM or a time-out.
const GRACE: Duration = Duration::from_secs(4);

/// The request to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    soon: CancellationToken,
    now: CancellationToken,
    why: Arc<OnceLock<Why>>,
    /// The command's progress is saved, so that it can be resumed.
    saves: Arc<AtomicBool>,
}

impl Stop {
    /// Listens for signals, and for the command's time limit.
    pub fn listen(&self, timeout: Option<Duration>) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {
                    stop.because(Why::Signal("SIGINT"));
                    interrupt.recv().await;
                }
                _ = terminate.recv() => {
                    stop.because(Why::Signal("SIGTERM"));
                    tokio::select! {
                        () = tokio::time::sleep(GRACE) => {}
                        _ = interrupt.recv() => {}
                    }
                }
            }
            stop.now.cancel();
        });
        if let Some(timeout) = timeout {
            let stop = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(timeout).await;
                stop.because(Why::TimedOut);
                tokio::time::sleep(GRACE).await;
                stop.now.cancel();
            });
        }
        Ok(())
    }

    fn because(&self, why: Why) {
        // Only the first reason counts.
        self.why.get_or_init(|| why);
        self.soon.cancel();
    }

    /// Sets whether the same command can resume from the progress so far.
    pub fn saves(&self, saves: bool) {
        self.saves.store(saves, Ordering::Relaxed);
    }

    /// Acts as if SIGINT had been received.
    pub fn interrupt(&self) {
        self.because(Why::Signal("SIGINT"));
    }

    pub fn is_asked(&self) -> bool {
        self.soon.is_cancelled()
    }

    /// Resolves at the first request: finish the current step.
    pub async fn requested(&self) {
        self.soon.cancelled().await;
    }

    /// Resolves at the second request: abort.
    pub async fn now(&self) {
        self.now.cancelled().await;
    }

    /// The failure that the command ends with.
    pub fn failure(&self) -> Failure {
        let saved = self.saves.load(Ordering::Relaxed);
        match self.why.get() {
            Some(Why::TimedOut) => Failure::TimedOut { saved },
            Some(Why::Signal(signal)) => Failure::Interrupted { signal, saved },
            None => Failure::Interrupted { signal: "SIGINT", saved },
        }
    }
}
