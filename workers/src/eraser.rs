//! Erases persons: a worker of the reactor role. A request for erasure in the log → no new key is made for that person,
//! the existing ones are deleted, the register records it, the guests whose orders they claimed are asked for as well → every
//! process's cached copy of a key has expired → the erasure is confirmed in the log. Killed anywhere, it repeats all of it,
//! which changes nothing.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::ConnectionTrait as _;
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Actor, Channel, Event, Metadata, Purpose, ids, personal};
use soonshop_domain::{cart, order};
use soonshop_event_log::follow::{LogSource, Next, Wait, Work, follow_noted};
use soonshop_event_log::keys::KEY_LIFETIME;
use soonshop_event_log::{
    Checkpoint, Db, Error, Fence, Key, LOG, Lease, Leases, RecordedEvent, Stopped, StoredEvent, places,
};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, KeyMaker};
use soonshop_identity::Identity;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::claimed_guests::{claimants, guests_of, orders_of, requested, requests};

/// The name of its lease and checkpoint, and of its actor, `system:eraser`.
pub const NAME: &str = "eraser";

/// How often the log is polled when nothing in this process appends.
const IDLE: Duration = Duration::from_millis(250);

/// The most events that are read at once.
const PAGE: usize = 1_000;

pub struct Eraser {
    pub store: EventStore,
    /// The namespace `process`.
    pub process: Db,
    /// The namespace `erasures`: the register, in a database of its own.
    pub register: Db,
    /// The accounts that are deleted with the personal values.
    pub identity: Identity,
    pub holder: String,
}

/// A request that is being carried out.
struct Pending {
    subject: Uuid,
    purposes: Vec<Purpose>,
    /// The request's event.
    cause: Uuid,
    metadata: Metadata,
}

/// The eraser under one lease.
struct Erasing<'a> {
    eraser: &'a Eraser,
    source: LogSource,
    fence: Fence,
    at: Checkpoint,
    stop: &'a CancellationToken,
}

#[async_trait]
impl Work for Erasing<'_> {
    type Source = LogSource;

    fn name(&self) -> &str {
        NAME
    }

    fn source(&mut self) -> &mut LogSource {
        &mut self.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        Some((self.at.clone(), PAGE))
    }

    async fn work(&mut self, rows: Vec<StoredEvent>) -> Result<Next, Stopped> {
        if rows.is_empty() {
            return Ok(Next::Wait(Wait::steady(IDLE).or_news_of(self.at.position + 1)));
        }
        let mut pending = Vec::new();
        let (mut passed, mut unknown) = (None, None);
        for row in rows {
            let at = Checkpoint::at(row.position, row.event_id);
            let is_claim = matches!(
                (row.aggregate_type.as_str(), row.event_type.as_str()),
                ("order", "OrderClaimed") | ("cart", "CartClaimed" | "CartMerged")
            );
            if row.aggregate_type == "person" || is_claim {
                match self.eraser.store.log().decode_row(row) {
                    Some(Ok(event)) => pending.extend(self.eraser.follow(event).await?),
                    Some(Err(reason)) => {
                        unknown = Some(Stopped::UnknownEvent { position: at.position, reason });
                        break;
                    }
                    None => {}
                }
            }
            passed = Some(at);
        }
        if !pending.is_empty() {
            // Longer than any process may use a key that it has read.
            tokio::select! {
                () = self.stop.cancelled() => return Ok(Next::Read),
                () = tokio::time::sleep(KEY_LIFETIME + Duration::from_secs(1)) => {}
            }
            self.eraser.overwrite_keys().await?;
        }
        for one in pending {
            self.eraser.confirm(one).await?;
        }
        if let Some(passed) = passed {
            self.fence.advance(&self.eraser.process.connection, &self.at, &passed).await?;
            self.at = passed;
        }
        unknown.map_or(Ok(Next::Read), Err)
    }
}

impl Eraser {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        follow_noted(&leases, NAME, &stop, |lease| Box::pin(self.begin(lease, &stop))).await;
    }

    async fn begin<'a>(&'a self, lease: Lease, stop: &'a CancellationToken) -> Result<Erasing<'a>, Stopped> {
        let (fence, at) = Fence::begin(&self.process, NAME, &lease).await?;
        self.apply_register().await?;
        let source = LogSource::new(self.store.log().clone(), self.store.appended());
        Ok(Erasing { eraser: self, source, fence, at, stop })
    }

    async fn follow(&self, event: RecordedEvent) -> Result<Option<Pending>, Stopped> {
        match &event.event {
            Event::Person(person::Event::ErasureRequested { purposes }) => {
                let purposes = purposes.clone();
                self.erase(&event, purposes).await
            }
            // An earlier release may have let somebody claim it whose erasure was requested before.
            Event::Order(order::Event::OrderClaimed { account, .. }) => {
                self.ask_for_guests(account.0).await?;
                Ok(None)
            }
            // A merge asks nobody whether the account is being erased.
            Event::Cart(
                cart::Event::CartClaimed { user, .. } | cart::Event::CartMerged { owner: user, .. },
            ) => {
                self.ask_for_guests(user.0).await?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Erases the keys that the event names, records it in the register, and asks for the guests of the person.
    async fn erase(&self, event: &RecordedEvent, purposes: Vec<Purpose>) -> Result<Option<Pending>, Stopped> {
        let metadata = event.metadata()?;
        if event.stream == ids::OPERATOR {
            // An earlier release took such a request from anybody who may erase a customer.
            tracing::warn!(
                "an erasure of the operator's notes was asked for: the record of operations needs them"
            );
            return Ok(None);
        }
        // Before the keys go: what signs in must not outlive what it signs in to.
        if purposes.contains(&Purpose::Account) {
            self.identity.erase(event.stream).await.map_err(crate::facts::failed)?;
        }
        self.forget_guest(event.stream, &purposes).await?;
        self.store.keys().erase(event.stream, &purposes).await?;
        for purpose in &purposes {
            let sql = "INSERT INTO @erasures (subject, purpose, log, position) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (subject, purpose) DO NOTHING";
            let values =
                [event.stream.to_string().into(), purpose.as_ref().into(), LOG.into(), event.position.into()];
            self.register.connection.execute(self.register.statement(sql, values)).await?;
        }
        tracing::info!(subject = %event.stream, "the keys of a person were erased");
        self.ask_for_guests(event.stream).await?;
        Ok(Some(Pending { subject: event.stream, purposes, cause: event.event_id, metadata }))
    }

    /// Deletes what a guest's token and the links to their orders are made of.
    async fn forget_guest(&self, subject: Uuid, purposes: &[Purpose]) -> Result<(), Stopped> {
        let orders = if purposes.contains(&Purpose::Invoice) {
            orders_of(self.store.log(), subject).await?
        } else {
            Vec::new()
        };
        self.identity.erase_guest(subject, &orders).await.map_err(crate::facts::failed)
    }

    /// Requests the erasure of the guests whose orders or carts somebody claimed, for the purposes for which it is time.
    async fn ask_for_guests(&self, account: Uuid) -> Result<(), Stopped> {
        let log = self.store.log();
        // Most claims are of people who stay.
        let Some(because) = requests(log, account).await?.pop() else { return Ok(()) };
        for guest in guests_of(log, account).await? {
            let mut purposes = guest.purposes(log).await?;
            for asked in requested(log, guest.id).await? {
                purposes.remove(&asked);
            }
            if purposes.is_empty() {
                continue;
            }
            tracing::info!(guest = %guest.id, %account, "a guest goes with the account that claimed their orders");
            let purposes: Vec<Purpose> = purposes.into_iter().collect();
            let cause = because.event_id.to_string();
            let names = purposes.iter().map(AsRef::as_ref);
            let parts: Vec<&str> = [&cause, "guest"].into_iter().chain(names).collect();
            let metadata = caused(because.event_id, because.metadata()?);
            let command = person::Command::RequestErasure { purposes: purposes.clone() };
            self.command(guest.id, &parts, command, metadata).await?;
        }
        Ok(())
    }

    async fn confirm(&self, request: Pending) -> Result<(), Stopped> {
        // A request that had read a key before it went may have begun the guest again.
        self.forget_guest(request.subject, &request.purposes).await?;
        let cause = request.cause.to_string();
        let metadata = caused(request.cause, request.metadata);
        let command = person::Command::ConfirmErasure { purposes: request.purposes };
        self.command(request.subject, &[&cause, "confirm"], command, metadata).await
    }

    /// Sends a command whose id is derived from `parts`; a user whose account is erased is deleted with it.
    async fn command(
        &self,
        subject: Uuid,
        parts: &[&str],
        command: person::Command,
        metadata: Metadata,
    ) -> Result<(), Stopped> {
        let subject_text = subject.to_string();
        let parts = [&[NAME, &subject_text], parts].concat();
        let id = ids::derived(ids::PROCESSES, &parts);
        let bytes: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let fingerprint = self.store.keys().fingerprint(&bytes).await?;
        let actor = Actor::system(NAME);
        let (kind, account) = match &command {
            person::Command::RequestErasure { purposes } => {
                ("person.request-erasure", purposes.contains(&Purpose::Account))
            }
            person::Command::ConfirmErasure { .. } => ("person.confirm_erasure", false),
            person::Command::TakeOver { .. } => ("person.take-over", false),
        };
        let metadata = Metadata {
            command_type: Some(kind.to_owned()),
            actor_kind: Some(actor.kind),
            actor_id: Some(actor.id),
            channel: Some(Channel::Process),
            ..metadata
        };
        let context = CommandContext { record: true, ..CommandContext::new(id, fingerprint, metadata) };
        let failed = |error: String| Stopped::Log(Error::Unavailable(error));
        let there = account && {
            let user = self.store.load::<User>(subject).await.map_err(|error| failed(error.to_string()))?;
            matches!(user, (User::Active { .. }, _))
        };
        let done = if there {
            let (first, second) = ((subject, command), (subject, user::Command::Delete));
            Box::pin(self.store.execute_both::<Person, User>(first, second, context)).await
        } else {
            self.store.execute::<Person>(subject, command, context).await
        };
        match done {
            Ok(_) | Err(ExecuteError::RejectedBefore { .. }) => Ok(()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// SQLite keeps deleted pages in its write-ahead log until that is written back, also the page of a key.
    async fn overwrite_keys(&self) -> Result<(), Stopped> {
        let deadline = Instant::now() + KEY_LIFETIME;
        while !self.store.keys().store().db().write_back().await? {
            if Instant::now() > deadline {
                let reason =
                    "the file of the keys is being read without end, and keeps the keys that were deleted";
                return Err(Stopped::Log(Error::Unavailable(reason.to_owned())));
            }
            tokio::time::sleep(IDLE).await;
        }
        Ok(())
    }

    /// Erases again what a backup brought back: keys, and, by a request in the log, values that were decrypted with
    /// them. A log that was restored without its keys has lost the requests as well.
    async fn apply_register(&self) -> Result<(), Stopped> {
        let registered = erase_registered(self.store.keys(), &self.register).await?;
        for chunk in registered.chunks(500) {
            let asked = self.asked(chunk).await?;
            for (subject, purpose) in chunk.iter().filter(|erasure| !asked.contains(erasure)) {
                tracing::warn!(%subject, %purpose, "the log came back without an erasure, and hears of it again");
                let command = person::Command::RequestErasure { purposes: vec![*purpose] };
                let again = ids::new().to_string();
                self.command(*subject, &[&again, "again"], command, Metadata::default()).await?;
            }
        }
        // Of those whom an earlier release erased, the guests are still there.
        let people: BTreeSet<Uuid> = registered.into_iter().map(|(subject, _)| subject).collect();
        let people: Vec<Uuid> = people.into_iter().collect();
        for chunk in people.chunks(500) {
            for account in claimants(self.store.log(), chunk).await? {
                self.ask_for_guests(account).await?;
            }
        }
        Ok(())
    }

    /// The erasures of these people that the log has a request for.
    async fn asked(&self, erasures: &[(Uuid, Purpose)]) -> Result<HashSet<(Uuid, Purpose)>, Stopped> {
        let log = self.store.log().db();
        let sql = format!(
            "SELECT aggregate_id, CAST(payload AS TEXT) FROM @events \
             WHERE aggregate_type = 'person' AND aggregate_id IN ({})",
            places(1, erasures.len())
        );
        let subjects = erasures.iter().map(|(subject, _)| subject.to_string().into());
        let mut asked = HashSet::new();
        for row in log.connection.query_all(log.statement(&sql, subjects)).await? {
            let (subject, payload): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if let (Ok(subject), Some(Ok(Event::Person(person::Event::ErasureRequested { purposes })))) =
                (subject.parse(), Event::decode("person", &payload))
            {
                asked.extend(purposes.into_iter().map(|purpose| (subject, purpose)));
            }
        }
        Ok(asked)
    }
}

/// The metadata of a command that an event led to, from the event's id and metadata.
fn caused(cause: Uuid, because: Metadata) -> Metadata {
    Metadata {
        correlation_id: because.correlation_id,
        causation_id: Some(cause),
        on_behalf_of: because.on_behalf_of.clone().or_else(|| because.actor().map(|actor| actor.to_string())),
        traceparent: because.traceparent,
        ..Metadata::default()
    }
}

/// Erases every registered key that a backup brought back, and returns the whole register. Run it before anything reads
/// the log: values decrypted with such a key would be stored, and nothing would erase them again.
pub async fn erase_registered(keys: &KeyMaker, register: &Db) -> Result<Vec<(Uuid, Purpose)>, Error> {
    let sql = "SELECT subject, purpose FROM @erasures ORDER BY subject, purpose";
    let rows = register.connection.query_all(register.statement(sql, [])).await?;
    let mut erased: Vec<(Uuid, Purpose)> = Vec::with_capacity(rows.len());
    for row in rows {
        let (subject, purpose): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        match (subject.parse(), purpose.parse()) {
            // A backup may bring the operator's key back: the record of operations needs it.
            (Ok(subject), Ok(_)) if subject == ids::OPERATOR => {}
            (Ok(subject), Ok(purpose)) => erased.push((subject, purpose)),
            // Skipping it would keep data that must be erased.
            _ => {
                let reason = format!(
                    "the register of erasures names {subject} and {purpose}, which this release cannot read"
                );
                return Err(Error::Database(reason));
            }
        }
    }
    let mut back = false;
    for chunk in erased.chunks(500) {
        let kids: HashSet<String> =
            chunk.iter().map(|(subject, purpose)| personal::kid(*subject, *purpose)).collect();
        let there = keys.store().keys(&kids).await?;
        for (subject, purpose) in chunk {
            if !matches!(there.get(&personal::kid(*subject, *purpose)), Some(Key::Tombstone)) {
                tracing::warn!(%subject, %purpose, "a person's key came back with a backup, and is erased again");
                keys.erase(*subject, &[*purpose]).await?;
                back = true;
            }
        }
    }
    if back && !keys.store().db().write_back().await? {
        tracing::warn!("the key file is being read, so it keeps the deleted keys for a while");
    }
    Ok(erased)
}
