//! Forgets people: a worker of the reactor role. A request for erasure in the log → no key is made for that person any
//! more, those that were are deleted, the register is told → every process's copy of a key has expired → the erasure
//! is confirmed in the log. Killed anywhere, it does all of it again, which changes nothing.

use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::ConnectionTrait as _;
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::{Actor, Channel, Event, Metadata, Purpose, ids};
use soonshop_event_log::checkpoint::Renewal;
use soonshop_event_log::keys::KEY_LIFETIME;
use soonshop_event_log::{Checkpoint, Content, Db, Entry, Error, LOG, Lease, Leases, RecordedEvent, Stopped};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The follower's name: of its lease and its checkpoint; and the name that it acts under, as `system:eraser`.
pub const NAME: &str = "eraser";

pub struct Eraser {
    pub store: EventStore,
    /// The namespace `process`.
    pub process: Db,
    /// The namespace `erasures`: the register, in a database of its own.
    pub register: Db,
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

impl Eraser {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let follow = |lease: Lease| -> BoxFuture<'_, Result<(), Stopped>> { Box::pin(self.follow(&leases, lease, &stop)) };
        leases.hold(NAME, &stop, follow, |_| Box::pin(async {})).await;
    }

    async fn follow(&self, leases: &Leases, lease: Lease, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = &self.process;
        self.apply_register().await?;
        Checkpoint::start().begin(db, &db.connection, NAME).await?;
        if !Checkpoint::fence(db, &db.connection, NAME, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        let (mut checkpoint, _) = Checkpoint::load(db, &db.connection, NAME).await?.ok_or(Stopped::Lost)?;
        let mut renewal = Renewal::new(leases, &lease);
        let mut appended = self.store.appended();
        while !stop.is_cancelled() {
            renewal.keep().await?;
            let entries = self.store.log().read_after(NAME, &checkpoint, 1_000).await?;
            let Some(last) = entries.last().map(Entry::checkpoint) else {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = appended.changed() => {}
                    () = tokio::time::sleep(Duration::from_millis(250)) => {}
                }
                continue;
            };
            let mut pending = Vec::new();
            for entry in &entries {
                if let Content::Event(event) = &entry.content
                    && let Event::Person(person::Event::ErasureRequested { purposes }) = &event.event
                {
                    pending.push(self.forget(event, purposes).await?);
                }
                if let (Content::Unknown(reason), "person") = (&entry.content, &*entry.aggregate_type) {
                    return Err(Stopped::UnknownEvent { position: entry.position, reason: reason.clone() });
                }
            }
            if !pending.is_empty() {
                // Longer than any process may use a key that it has read.
                let ready = Instant::now() + KEY_LIFETIME + Duration::from_secs(1);
                while Instant::now() < ready {
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(Duration::from_secs(1)) => renewal.keep().await?,
                    }
                }
            }
            for one in pending {
                self.confirm(one).await?;
            }
            if !checkpoint.advance(db, &db.connection, NAME, &last, lease.epoch).await? {
                return Err(Stopped::Lost);
            }
            checkpoint = last;
        }
        Ok(())
    }

    async fn forget(&self, event: &RecordedEvent, purposes: &[Purpose]) -> Result<Pending, Stopped> {
        self.store.keys().erase(event.stream, purposes).await?;
        for purpose in purposes {
            let sql = "INSERT INTO @erasures (subject, purpose, log, position) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (subject, purpose) DO NOTHING";
            let values =
                [event.stream.to_string().into(), purpose.as_ref().into(), LOG.into(), event.position.into()];
            self.register.connection.execute(self.register.statement(sql, values)).await?;
        }
        tracing::info!(subject = %event.stream, "the keys of a person were erased");
        Ok(Pending {
            subject: event.stream,
            purposes: purposes.to_vec(),
            cause: event.event_id,
            metadata: event.metadata()?,
        })
    }

    async fn confirm(&self, request: Pending) -> Result<(), Stopped> {
        let id = ids::derived(ids::PROCESSES, &[NAME, &request.subject.to_string(), &request.cause.to_string(), "confirm"]);
        let parts: [&[u8]; 2] = [NAME.as_bytes(), request.cause.as_bytes()];
        let fingerprint = self.store.keys().fingerprint(&parts).await?;
        let actor = Actor::system(NAME);
        let before = request.metadata;
        let metadata = Metadata {
            correlation_id: before.correlation_id,
            causation_id: Some(request.cause),
            command_type: Some("person.confirm_erasure".to_owned()),
            actor_kind: Some(actor.kind),
            actor_id: Some(actor.id.clone()),
            on_behalf_of: before.on_behalf_of.clone().or_else(|| before.actor().map(|actor| actor.to_string())),
            channel: Some(Channel::Process),
            traceparent: before.traceparent,
            ..Metadata::default()
        };
        let context = CommandContext { record: true, ..CommandContext::new(id, fingerprint, metadata) };
        let command = person::Command::ConfirmErasure { purposes: request.purposes };
        match self.store.execute::<Person>(request.subject, command, context).await {
            Ok(_) | Err(ExecuteError::RejectedBefore { .. }) => Ok(()),
            Err(error) => Err(Stopped::Log(Error::Unavailable(error.to_string()))),
        }
    }

    /// Keys that came back with a backup are erased again.
    async fn apply_register(&self) -> Result<(), Stopped> {
        let rows = self
            .register
            .connection
            .query_all(self.register.statement("SELECT subject, purpose FROM @erasures", []))
            .await?;
        for row in rows {
            let (subject, purpose): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if let (Ok(subject), Ok(purpose)) = (subject.parse(), purpose.parse()) {
                self.store.keys().erase(subject, &[purpose]).await?;
            }
        }
        Ok(())
    }
}
