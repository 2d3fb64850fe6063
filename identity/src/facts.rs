//! Facts about what was changed, written in the transaction of the change: their numbers are the versions of their stream.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::Event;
use soonshop_domain::identity::{account, registration, session, signing_key};
use uuid::Uuid;

use crate::store::Account;
use crate::{Cause, Error, Identity};

/// A fact of which it is known where it goes.
pub(crate) struct Fact<'a> {
    pub(crate) stream: Uuid,
    pub(crate) number: i64,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// `<type>.<command>`.
    pub(crate) command: &'static str,
    pub(crate) cause: &'a Cause,
}

impl Identity {
    pub(crate) async fn record(
        &self,
        tx: &DatabaseTransaction,
        fact: Fact<'_>,
        event: impl Into<Event>,
    ) -> Result<(), Error> {
        let event: Event = event.into();
        let payload = event.encode().map_err(Error::internal)?;
        let metadata = serde_json::to_string(&fact.cause.metadata(fact.command)).map_err(Error::internal)?;
        let sql = "INSERT INTO @outbox (aggregate_type, aggregate_id, number, payload, metadata, occurred_at) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let values = [
            event.aggregate_type().into(),
            fact.stream.to_string().into(),
            fact.number.into(),
            payload.into(),
            metadata.into(),
            fact.at.into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// The next fact of an account that is locked.
    pub(crate) async fn record_of_account(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        at: i64,
        (command, cause): (&'static str, &Cause),
        event: account::Event,
    ) -> Result<(), Error> {
        account.number += 1;
        let sql = "UPDATE @accounts SET number = $2 WHERE id = $1";
        let values = [account.id.to_string().into(), account.number.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        let fact = Fact { stream: account.id, number: account.number, at, command, cause };
        self.record(tx, fact, event).await
    }

    /// That a session ended: its second fact, and its last.
    pub(crate) async fn record_end(
        &self,
        tx: &DatabaseTransaction,
        session: Uuid,
        at: i64,
        cause: &Cause,
        reason: session::EndedBy,
    ) -> Result<(), Error> {
        let fact = Fact { stream: session, number: 2, at, command: "session.end", cause };
        self.record(tx, fact, session::Event::SessionEnded { reason }).await
    }

    /// That a registration has a link: its only fact.
    pub(crate) async fn record_of_registration(
        &self,
        tx: &DatabaseTransaction,
        request: Uuid,
        at: i64,
        cause: &Cause,
        event: registration::Event,
    ) -> Result<(), Error> {
        let fact = Fact { stream: request, number: 1, at, command: "registration.request", cause };
        self.record(tx, fact, event).await
    }

    /// A change of a signing key.
    pub(crate) async fn record_of_key(
        &self,
        tx: &DatabaseTransaction,
        (kid, number): (Uuid, i64),
        at: i64,
        cause: &Cause,
        event: signing_key::Event,
    ) -> Result<(), Error> {
        let command = if number == 1 { "signing_key.make" } else { "signing_key.retire" };
        self.record(tx, Fact { stream: kid, number, at, command, cause }, event).await
    }
}
