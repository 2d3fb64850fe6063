//! Code shared by the adapters of real brokers: pausing, reconnecting, and limiting every wait.
//!
//! An adapter says how a session opens and what it can do; a [`Link`] holds one session at a time, opens it when
//! needed, and replaces it when it is broken. Nothing runs in the background: a link works only during a call.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::{Confirmation, Delivery, Error, Message, Publisher, Settings, Subscription, message};

/// How many messages a broker hands out before it waits for [`Subscription::acknowledge`].
pub(crate) const UNACKNOWLEDGED: u16 = 500;

/// The sending side of a session. Opened by its [`Link`], dropped when [`broken`](Self::broken).
pub(crate) trait Outlet: Send + 'static {
    /// Hands the message over. An error that is not [`Error::Refused`] breaks the session.
    fn send(&mut self, message: Message) -> impl Future<Output = Result<Confirmation, Error>> + Send;
    fn limit(&self) -> usize;
    fn broken(&self) -> bool;
}

/// The receiving side of a session. An error breaks it.
pub(crate) trait Inlet: Send + 'static {
    /// As [`Subscription::next`]: safe to drop at any await.
    fn next(&mut self, most: usize) -> impl Future<Output = Result<Vec<Message>, Error>> + Send;
    fn acknowledge(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The pause after failures. It grows with each failure in a row; it ends at a fixed time, so that a caller who gives
/// up and asks again does not restart it; and it is random within limits, so that many processes do not reconnect at
/// once.
pub(crate) struct Pause {
    least: Duration,
    most: Duration,
    failures: u32,
    until: Option<Instant>,
}

impl Settings {
    /// The pauses between two attempts to connect.
    pub(crate) fn pause(&self) -> Pause {
        Pause::new(self.pause_least, self.pause_most)
    }
}

impl Pause {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, failures: 0, until: None }
    }

    pub(crate) fn failed(&mut self) {
        let whole = self.least.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        let spread = u32::from(RandomState::new().hash_one(self.failures).to_le_bytes()[0]);
        self.until = Some(Instant::now() + whole / 2 + whole / 512 * spread);
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    async fn over(&mut self) {
        if let Some(until) = self.until {
            sleep_until(until).await;
            self.until = None;
        }
    }
}

type Open<S> = Box<dyn Fn() -> BoxFuture<'static, Result<S, Error>> + Send>;

/// One session at a time, opened when needed.
pub(crate) struct Link<S> {
    open: Open<S>,
    /// Kept when a caller gives up waiting: otherwise a caller less patient than the broker would never get a
    /// session.
    opening: Option<BoxFuture<'static, Result<S, Error>>>,
    session: Option<(S, Instant)>,
    pause: Pause,
}

impl<S> Link<S> {
    pub(crate) fn new<F, T>(pause: Pause, open: F) -> Self
    where
        F: Fn() -> T + Send + 'static,
        T: Future<Output = Result<S, Error>> + Send + 'static,
    {
        let open: Open<S> = Box::new(move || Box::pin(open()));
        Self { open, opening: None, session: None, pause }
    }

    /// The session; opens a new one if there is none, after the pause that the last failure requires.
    pub(crate) async fn session(&mut self) -> Result<&mut S, Error> {
        self.pause.over().await;
        let session = match self.session.take() {
            Some(session) => session,
            None => (self.opened().await?, Instant::now()),
        };
        Ok(&mut self.session.insert(session).0)
    }

    async fn opened(&mut self) -> Result<S, Error> {
        let outcome = self.opening.get_or_insert_with(|| (self.open)()).await;
        self.opening = None;
        if outcome.is_err() {
            self.pause.failed();
        }
        outcome
    }

    /// The session works: the next failure counts as the first.
    pub(crate) fn worked(&mut self) {
        self.pause.succeeded();
    }

    /// The broker answered but refused: pause, and keep the session.
    pub(crate) fn refused(&mut self) {
        self.pause.failed();
    }

    /// The session is broken. One that lived long was fine until now; one that broke at once was not.
    pub(crate) fn lost(&mut self) {
        if let Some((_, since)) = self.session.take() {
            if since.elapsed() > self.pause.most {
                self.pause.succeeded();
            }
            self.pause.failed();
        }
    }

    pub(crate) fn open_session(&self) -> Option<&S> {
        self.session.as_ref().map(|(session, _)| session)
    }
}

/// Whether a session can still be trusted; shared with the confirmations of its messages.
#[derive(Clone, Default)]
pub(crate) struct Health(Arc<AtomicBool>);

impl Health {
    pub(crate) fn broken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Limits the wait for one message's answer. No answer, or a lost one, breaks the session.
    pub(crate) fn watch<F>(&self, backend: &'static str, patience: Duration, answer: F) -> Confirmation
    where
        F: Future<Output = Result<Delivery, Error>> + Send + 'static,
    {
        let health = self.clone();
        let deadline = Instant::now() + patience;
        Box::pin(async move {
            let outcome = timeout_at(deadline, answer).await.unwrap_or_else(|_| {
                Err(Error::Unreachable {
                    backend,
                    reason: format!("no answer for a message in {patience:?}"),
                })
            });
            if matches!(outcome, Err(Error::Unreachable { .. })) {
                health.0.store(true, Ordering::Relaxed);
            }
            outcome
        })
    }
}

/// A [`Publisher`] over a link.
pub(crate) struct LinkedPublisher<S> {
    pub(crate) backend: &'static str,
    pub(crate) link: Link<S>,
    pub(crate) patience: Duration,
    /// The limit to assume until the broker reports its own.
    pub(crate) limit: usize,
}

#[async_trait]
impl<S: Outlet> Publisher for LinkedPublisher<S> {
    async fn send(&mut self, message: Message) -> Result<Confirmation, Error> {
        message::check(self.backend, &message, self.limit())?;
        if self.link.open_session().is_some_and(Outlet::broken) {
            self.link.lost();
        }
        let session = self.link.session().await?;
        message::check(self.backend, &message, session.limit())?;
        let sent = timeout(self.patience, session.send(message)).await.unwrap_or_else(|_| {
            let reason = format!("took no message in {:?}", self.patience);
            Err(Error::Unreachable { backend: self.backend, reason })
        });
        match &sent {
            Ok(_) => self.link.worked(),
            Err(Error::Refused { .. }) => self.link.refused(),
            Err(_) => self.link.lost(),
        }
        sent
    }

    fn limit(&self) -> usize {
        self.link.open_session().map_or(self.limit, Outlet::limit)
    }
}

/// A [`Subscription`] over a link.
pub(crate) struct LinkedSubscription<S> {
    link: Link<S>,
}

impl<S: Inlet> LinkedSubscription<S> {
    /// Declares the queue now if the broker is up, so that it gets every message published after this. If not, or if
    /// it takes longer than `patience`, [`Subscription::next`] continues it.
    pub(crate) async fn new(mut link: Link<S>, patience: Duration) -> Self {
        if let Ok(Err(error)) = timeout(patience, link.session()).await {
            tracing::debug!(%error, "a subscription begins without its broker");
        }
        Self { link }
    }
}

#[async_trait]
impl<S: Inlet> Subscription for LinkedSubscription<S> {
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, Error> {
        let came = self.link.session().await?.next(most.max(1)).await;
        match &came {
            Ok(_) => self.link.worked(),
            Err(_) => self.link.lost(),
        }
        came
    }

    async fn acknowledge(&mut self) -> Result<(), Error> {
        // Without a session there is nothing to acknowledge: messages of the last one come again.
        let Some((session, _)) = &mut self.link.session else { return Ok(()) };
        let done = session.acknowledge().await;
        if done.is_err() {
            self.link.lost();
        }
        done
    }
}
