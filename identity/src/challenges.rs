//! Challenges of passkeys that wait for their answers. Each is answered once: its first answer deletes it, right or wrong.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::ids;
use uuid::Uuid;

use crate::pending_token::PendingHash;
use crate::{Error, Identity};

/// How long a challenge waits, in milliseconds.
const WAITS: i64 = 5 * 60 * 1000;

/// What asks for a passkey. Its challenge answers nothing else.
#[derive(Clone, Copy)]
pub(crate) enum Asker<'a> {
    /// A session adds this factor.
    Adding { factor: Uuid, session: Uuid },
    /// A sign-in that waits.
    SignIn(&'a PendingHash),
    /// A session, for what asks for a fresh second factor.
    StepUp(Uuid),
}

impl Asker<'_> {
    /// As it is stored.
    fn stored(self) -> String {
        match self {
            Self::Adding { factor, session } => format!("add:{factor}:{session}"),
            Self::SignIn(pending) => format!("sign-in:{}", pending.stored()),
            Self::StepUp(session) => format!("step-up:{session}"),
        }
    }
}

/// A challenge that waits.
pub(crate) struct Challenge {
    /// What asked, as it is stored.
    pub(crate) asker: String,
    sealed: String,
    /// What the answer is compared with.
    pub(crate) state: String,
}

impl Identity {
    /// Seals the state of a challenge.
    pub(crate) async fn sealed_challenge(&self, state: &str) -> Result<String, Error> {
        self.seal(&ids::new().to_string(), state).await
    }

    /// Keeps a sealed challenge, with its account locked, in the place of the one before.
    pub(crate) async fn keep_challenge(
        &self,
        tx: &DatabaseTransaction,
        account: Uuid,
        (asker, sealed): (Asker<'_>, String),
        now: i64,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO @challenges (asker, account, state, expires_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (asker) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at";
        let values = [asker.stored().into(), account.to_string().into(), sealed.into(), (now + WAITS).into()];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// The challenge that was asked, if it waits still.
    pub(crate) async fn challenge(
        &self,
        account: Uuid,
        asker: Asker<'_>,
    ) -> Result<Option<Challenge>, Error> {
        let asker = asker.stored();
        let sql = format!(
            "SELECT state FROM @challenges WHERE asker = $1 AND account = $2 AND expires_at > {}",
            self.db.now()
        );
        let values = [asker.as_str().into(), account.to_string().into()];
        let row = self.db.connection.query_one(self.db.statement(&sql, values)).await?;
        let Some(row) = row else { return Ok(None) };
        let sealed: String = row.try_get_by_index(0)?;
        let state = self.unseal(&sealed).await?;
        Ok(Some(Challenge { asker, sealed, state }))
    }

    /// Uses a challenge up, with its account locked. False: it was used, has expired, or another one has followed it.
    pub(crate) async fn use_challenge(
        &self,
        tx: &DatabaseTransaction,
        challenge: &Challenge,
        now: i64,
    ) -> Result<bool, Error> {
        let sql = "DELETE FROM @challenges WHERE asker = $1 AND state = $2 AND expires_at > $3";
        let values = [challenge.asker.as_str().into(), challenge.sealed.as_str().into(), now.into()];
        Ok(tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 1)
    }
}
