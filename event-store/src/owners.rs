//! Look-ups in the log before anything is decided: the holder of a claim, and the record of a command.

use ring::hmac;
use sea_orm::ConnectionTrait as _;
use tokio::time::Instant;

use crate::command::PATIENCE;
use crate::earlier::{self, EarlierForm};
use crate::waiting::{FIRST_PAUSE, Patience, pass};
use crate::{EventStore, ExecuteError};

impl EventStore {
    /// The owner of a unique value: `<type>:<id>`.
    pub async fn owner_of(
        &self,
        scope: &str,
        value: &str,
    ) -> Result<Option<String>, soonshop_event_log::Error> {
        let (deadline, mut pause) = (Instant::now() + PATIENCE, FIRST_PAUSE);
        loop {
            match self.find_owner(scope, value).await {
                Err(soonshop_event_log::Error::Unavailable(_)) if Instant::now() + pause < deadline => {
                    pass(&mut pause).await;
                }
                found => return found,
            }
        }
    }

    async fn find_owner(
        &self,
        scope: &str,
        value: &str,
    ) -> Result<Option<String>, soonshop_event_log::Error> {
        let keys = self.keys.claim_keys().await?;
        let Some((key_id, key)) = keys.last() else { return Ok(None) };
        let db = self.log.db();
        let hash = claim_hash(key, scope, value);
        let hash: sea_orm::Value = match db.backend() {
            sea_orm::DatabaseBackend::Postgres => hash.into(),
            _ => crate::appender::hex(&hash).into(),
        };
        let sql = "SELECT owner FROM @claims WHERE scope = $1 AND key_id = $2 AND value = $3";
        let row = db.connection.query_one(db.statement(sql, [scope.into(), (*key_id).into(), hash])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// The first of these forms that a command was recorded in; `None`: it was in none of them.
    ///
    /// # Errors
    /// A record has one of the ids, and is of another command; or the database cannot be read.
    pub async fn recorded_form<E>(
        &self,
        forms: &[EarlierForm],
    ) -> Result<Option<EarlierForm>, ExecuteError<E>> {
        let mut patience = Patience::new();
        let recorded = loop {
            match earlier::recorded(self.log.db(), forms).await.map_err(ExecuteError::<E>::from) {
                Ok(recorded) => break recorded,
                Err(error) => patience.again(error).await?,
            }
        };
        match forms.iter().find(|form| recorded.contains(form)) {
            Some(form) => Ok(Some(form.clone())),
            None if recorded.is_empty() => Ok(None),
            None => Err(ExecuteError::IdReused),
        }
    }
}

pub(crate) fn claim_hash(key: &hmac::Key, scope: &str, value: &str) -> Vec<u8> {
    hmac::sign(key, format!("{scope}\u{0}{value}").as_bytes()).as_ref().to_vec()
}
