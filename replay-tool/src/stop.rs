//! Being told to stop: once, and the chunk at hand is finished; twice, and it is rolled back.

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

/// How long after SIGTERM, or when the time is up, the chunk at hand may still take.
const GRACE: Duration = Duration::from_secs(4);

/// Whether to go on. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    soon: CancellationToken,
    now: CancellationToken,
    why: Arc<OnceLock<Why>>,
    /// What is at hand can be gone on with.
    saves: Arc<AtomicBool>,
}

impl Stop {
    /// Hears signals, and the end of the time that the command was given.
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
        // The first reason is the one that counts.
        self.why.get_or_init(|| why);
        self.soon.cancel();
    }

    /// Says whether the same command goes on from what was done so far.
    pub fn saves(&self, saves: bool) {
        self.saves.store(saves, Ordering::Relaxed);
    }

    /// As if SIGINT had come.
    pub fn interrupt(&self) {
        self.because(Why::Signal("SIGINT"));
    }

    pub fn is_asked(&self) -> bool {
        self.soon.is_cancelled()
    }

    /// Resolves when it is time to finish what is at hand.
    pub async fn asked(&self) {
        self.soon.cancelled().await;
    }

    /// Resolves when somebody insists.
    pub async fn now(&self) {
        self.now.cancelled().await;
    }

    /// What the command ends with.
    pub fn failure(&self) -> Failure {
        let saved = self.saves.load(Ordering::Relaxed);
        match self.why.get() {
            Some(Why::TimedOut) => Failure::TimedOut { saved },
            Some(Why::Signal(signal)) => Failure::Interrupted { signal, saved },
            None => Failure::Interrupted { signal: "SIGINT", saved },
        }
    }
}
