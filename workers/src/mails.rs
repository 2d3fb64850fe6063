//! Decides what strangers asked for with an address, and sends the mails that come of it: a worker of the reactor role. It
//! also finishes registrations and changes of addresses that a crash left.
//!
//! A mail is sent before its row is deleted, so at least once; one that could not be sent is tried again after a pause that
//! grows, until its link has expired.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use soonshop_event_log::follow::{Next, NoEvents, Wait, Work, follow_noted};
use soonshop_event_log::{Checkpoint, Db, Error, Leases, Stopped};
use soonshop_event_store::EventStore;
use soonshop_identity::{Identity, Mail, Unsent};
use tokio_util::sync::CancellationToken;

use crate::facts::failed;
use crate::readdressing;
use crate::registering::{Unfinished, address_of, finish, later};

/// The name of its lease.
pub const NAME: &str = "mails";

/// How often it looks for work.
const EVERY: Duration = Duration::from_millis(500);

/// The most requests, and the most mails, of one round.
const REQUESTS: u32 = 100;
const MAILS: u32 = 20;

/// Sends mails.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands a mail over. It may come more than once.
    async fn send(&self, mail: &Mail) -> Result<(), Unsent>;
}

/// The worker.
pub struct Mails {
    pub store: EventStore,
    /// The namespace `process`.
    pub process: Db,
    pub identity: Identity,
    /// `None`: nothing is set that could send mails. They wait, and expire.
    pub mailer: Option<Arc<dyn Mailer>>,
    pub holder: String,
}

/// The worker under one lease.
struct Mailing<'a> {
    mails: &'a Mails,
    source: NoEvents,
}

#[async_trait]
impl Work for Mailing<'_> {
    type Source = NoEvents;

    fn name(&self) -> &str {
        NAME
    }

    fn source(&mut self) -> &mut NoEvents {
        &mut self.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        None
    }

    async fn work(&mut self, _: Vec<Infallible>) -> Result<Next, Stopped> {
        let more = self.mails.round().await?;
        Ok(if more { Next::Read } else { Next::Wait(Wait::steady(EVERY)) })
    }
}

fn stopped(error: Unfinished) -> Stopped {
    match error {
        Unfinished::Log(error) => Stopped::Log(error),
        Unfinished::Identity(error) => failed(error),
    }
}

impl Mails {
    /// Works until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let begin = |_| -> BoxFuture<'_, Result<Mailing<'_>, Stopped>> {
            Box::pin(async { Ok(Mailing { mails: &self, source: NoEvents }) })
        };
        follow_noted(&leases, NAME, &stop, begin).await;
    }

    /// Decides, finishes and sends what waits. True: there may be more.
    pub async fn round(&self) -> Result<bool, Stopped> {
        let decided = self.decide().await?;
        self.finish().await?;
        self.address().await?;
        let sent = self.send().await?;
        Ok(decided || sent)
    }

    async fn decide(&self) -> Result<bool, Stopped> {
        let undecided = self.identity.undecided(REQUESTS).await.map_err(failed)?;
        for request in &undecided {
            let stored = match request.account {
                Some(account) => address_of(&self.store, account).await.map_err(stopped)?,
                None => None,
            };
            self.identity.decide(request, stored.as_deref()).await.map_err(failed)?;
        }
        Ok(!undecided.is_empty())
    }

    async fn finish(&self) -> Result<(), Stopped> {
        for registration in self.identity.unfinished(REQUESTS).await.map_err(failed)? {
            let finished = finish(&self.store, &self.identity, &registration, &later()).await;
            let finished = finished.map_err(stopped)?;
            tracing::info!(request = %registration.request, ?finished, "a registration was finished later");
        }
        for change in self.identity.unfinished_changes(REQUESTS).await.map_err(failed)? {
            let changed = readdressing::finish(&self.store, &self.identity, &change, &later()).await;
            let changed = changed.map_err(stopped)?;
            tracing::info!(request = %change.request, ?changed, "an address was changed later");
        }
        Ok(())
    }

    /// Looks up the addresses of mails to the owners of accounts.
    async fn address(&self) -> Result<(), Stopped> {
        for mail in self.identity.unaddressed(REQUESTS).await.map_err(failed)? {
            let stored = match address_of(&self.store, mail.account).await {
                Ok(stored) => stored,
                // It is looked up again; the mails of others go out.
                Err(error) => {
                    tracing::warn!(account = %mail.account, %error, "the address of a mail cannot be looked up");
                    continue;
                }
            };
            self.identity.give_address(&mail, stored.as_deref()).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn send(&self) -> Result<bool, Stopped> {
        let Some(mailer) = &self.mailer else { return Ok(false) };
        let mut sent = false;
        for mail in self.identity.due_mails(MAILS).await.map_err(failed)? {
            match mailer.send(&mail).await {
                Ok(()) => {
                    self.identity.mail_sent(&mail).await.map_err(failed)?;
                    sent = true;
                }
                Err(unsent) => {
                    let (kind, tries) = (mail.kind.name(), mail.tries + 1);
                    tracing::warn!(
                        kind,
                        tries,
                        refused = unsent.refused,
                        "a mail was not sent, and is tried again"
                    );
                    self.identity.mail_failed(&mail, &unsent).await.map_err(failed)?;
                    if !unsent.refused {
                        // The others would have to wait as long for the same answer.
                        break;
                    }
                }
            }
        }
        Ok(sent)
    }
}

/// Why mails are not sent, for a check of the shop. `set`: there is something that could send them.
pub async fn fault(identity: &Db, set: bool) -> Result<Option<String>, Error> {
    let failed = |error: soonshop_identity::Error| Error::Database(error.to_string());
    if !set {
        let waiting = soonshop_identity::mails::waiting(identity).await.map_err(failed)?;
        return Ok(
            (waiting > 0).then(|| format!("no server that sends them is named; mails that wait: {waiting}"))
        );
    }
    let failing = soonshop_identity::mails::failing(identity).await.map_err(failed)?;
    Ok(failing
        .map(|(count, reason)| format!("mails that could not be sent: {count}; the last one: {reason}")))
}
