//! Appends what the accounts' tables say to the log: a worker of the reactor role. Each fact waits in the outbox of the
//! namespace `identity` and becomes exactly the version of its stream that it was given with the change, so in the order of
//! the changes, and once: also when this is killed between the append and the deletion of its row, and when the record of
//! its command was purged meanwhile.
//!
//! It also does what those tables need now and then: signing keys are rotated, old rows deleted.

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use soonshop_domain::identity::{account, client, gate, registration, role, session, signing_key};
use soonshop_domain::{Decider, Event, ids};
use soonshop_event_log::follow::{Next, NoEvents, Wait, Work, follow_noted};
use soonshop_event_log::{Checkpoint, Db, Error, Leases, Stopped};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use soonshop_identity::Identity;
use soonshop_identity::outbox::{self, Waiting};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The name of its lease, and the first part of the ids of its commands.
pub const NAME: &str = "facts";

/// How often the outbox is looked into.
const EVERY: Duration = Duration::from_millis(250);

/// How often keys are looked after.
const TENDED: Duration = Duration::from_mins(1);

/// The most facts that are read at once.
const MOST: u32 = 200;

pub struct Facts {
    pub store: EventStore,
    /// The namespace `process`.
    pub process: Db,
    /// The namespace `identity`.
    pub outbox: Db,
    pub identity: Identity,
    pub holder: String,
}

/// The outcome of appending a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Appended {
    /// The log has it, from now on or from before.
    Done,
    /// The one before it has to come first.
    Later,
    /// The log has something else there.
    Refused(String),
}

/// The worker under one lease.
struct Appending<'a> {
    facts: &'a Facts,
    source: NoEvents,
    tended: Option<Instant>,
}

#[async_trait]
impl Work for Appending<'_> {
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
        if self.tended.is_none_or(|at| at.elapsed() > TENDED) {
            self.facts.identity.tend().await.map_err(failed)?;
            self.tended = Some(Instant::now());
        }
        let more = self.facts.round().await?;
        Ok(if more { Next::Read } else { Next::Wait(Wait::steady(EVERY)) })
    }
}

impl Facts {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let begin = |_| -> BoxFuture<'_, Result<Appending<'_>, Stopped>> {
            Box::pin(async { Ok(Appending { facts: &self, source: NoEvents, tended: None }) })
        };
        follow_noted(&leases, NAME, &stop, begin).await;
    }

    /// Appends what waits. True: there may be more.
    pub async fn round(&self) -> Result<bool, Stopped> {
        let waiting = outbox::waiting(&self.outbox, MOST).await.map_err(failed)?;
        let mut done = 0;
        // A stream that does not go on has nothing more of this round.
        let mut held: Vec<(String, Uuid)> = Vec::new();
        for fact in waiting {
            let stream = (fact.aggregate_type.clone(), fact.stream);
            if held.contains(&stream) {
                continue;
            }
            match self.append(&fact).await? {
                Appended::Done => {
                    outbox::remove(&self.outbox, &fact).await.map_err(failed)?;
                    done += 1;
                }
                Appended::Later => held.push(stream),
                Appended::Refused(reason) => {
                    tracing::error!(
                        aggregate_type = fact.aggregate_type,
                        stream = %fact.stream,
                        number = fact.number,
                        reason,
                        "the log did not take a fact about an account: its stream stands still"
                    );
                    outbox::refuse(&self.outbox, &fact, &reason).await.map_err(failed)?;
                    held.push(stream);
                }
            }
        }
        Ok(done > 0)
    }

    /// The id of the command that appends a fact: the same however often it is tried.
    fn command_id(fact: &Waiting) -> Uuid {
        let (stream, number) = (fact.stream.to_string(), fact.number.to_string());
        ids::derived(ids::PROCESSES, &[NAME, &fact.aggregate_type, &stream, &number])
    }

    async fn append(&self, fact: &Waiting) -> Result<Appended, Stopped> {
        use account::Command as OfAccount;
        use client::Command as OfClient;
        use gate::Command as OfGate;
        use registration::Command as OfRegistration;
        use role::Command as OfRole;
        use session::Command as OfSession;
        use signing_key::Command as OfKey;
        match fact.event.clone() {
            Event::Account(event) => self.record::<account::Account>(fact, OfAccount::Record(event)).await,
            Event::Registration(event) => {
                self.record::<registration::Registration>(fact, OfRegistration::Record(event)).await
            }
            Event::Role(event) => self.record::<role::Role>(fact, OfRole::Record(event)).await,
            Event::Client(event) => self.record::<client::Client>(fact, OfClient::Record(event)).await,
            Event::Gate(event) => self.record::<gate::Gate>(fact, OfGate::Record(event)).await,
            Event::Session(event) => self.record::<session::Session>(fact, OfSession::Record(event)).await,
            Event::SigningKey(event) => {
                self.record::<signing_key::SigningKey>(fact, OfKey::Record(event)).await
            }
            _ => Ok(Appended::Refused("it is no fact about an account".to_owned())),
        }
    }

    async fn record<A: Decider>(&self, fact: &Waiting, command: A::Command) -> Result<Appended, Stopped> {
        let id = Self::command_id(fact);
        let stream = fact.stream.to_string();
        let number = fact.number.to_string();
        let parts: [&[u8]; 5] = [
            NAME.as_bytes(),
            A::TYPE.as_bytes(),
            stream.as_bytes(),
            number.as_bytes(),
            fact.payload.as_bytes(),
        ];
        let fingerprint = self.store.keys().fingerprint(&parts).await?;
        let mut context = CommandContext::new(id, fingerprint, fact.metadata.clone());
        context.occurred_at = fact.occurred_at;
        context.expected = Some(fact.number - 1);
        context.record = true;
        let appended = self.store.execute::<A>(fact.stream, command, context).await;
        match appended {
            Ok(Executed { .. }) => Ok(Appended::Done),
            Err(ExecuteError::Stale { actual, .. }) if actual >= fact.number => self.already(fact, id).await,
            Err(ExecuteError::Stale { actual, .. }) => {
                if outbox::follows(&self.outbox, fact).await.map_err(failed)? {
                    return Ok(Appended::Later);
                }
                Ok(Appended::Refused(format!("the log has {actual} events of its stream")))
            }
            Err(ExecuteError::Unavailable(reason)) => Err(Stopped::Log(Error::Unavailable(reason))),
            Err(error) => Ok(Appended::Refused(error.to_string())),
        }
    }

    /// Whether the version that the stream has there is this very fact: the record of its command may be gone.
    async fn already(&self, fact: &Waiting, id: Uuid) -> Result<Appended, Stopped> {
        let stream = fact.stream.to_string();
        let rows = self.store.log().stream(&fact.aggregate_type, &stream, fact.number - 1, 1).await?;
        let there = rows.first().and_then(|row| {
            let metadata: soonshop_domain::Metadata = serde_json::from_str(&row.metadata).ok()?;
            metadata.command_id
        });
        if there == Some(id) {
            return Ok(Appended::Done);
        }
        Ok(Appended::Refused(format!("the log has another event as version {} of its stream", fact.number)))
    }
}

pub(crate) fn failed(error: soonshop_identity::Error) -> Stopped {
    match error {
        soonshop_identity::Error::Store(error) => Stopped::Log(error),
        other => Stopped::Log(Error::Database(other.to_string())),
    }
}
