//! The forms in which earlier releases recorded a command.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::{Db, Error};
use uuid::Uuid;

use crate::appender::unhex;

/// How an earlier release would have recorded a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierForm {
    pub command_id: Uuid,
    /// From [`KeyMaker::fingerprint`](crate::KeyMaker::fingerprint).
    pub fingerprint: Vec<u8>,
}

/// Looks up the command records under the ids of these forms.
pub(crate) async fn recorded(db: &Db, forms: &[EarlierForm]) -> Result<Vec<EarlierForm>, Error> {
    let ids: BTreeSet<String> = forms.iter().map(|form| format!("'{}'", form.command_id)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let fingerprint = match db.backend() {
        sea_orm::DatabaseBackend::Postgres => "encode(fingerprint, 'hex')",
        _ => "fingerprint",
    };
    let ids = ids.into_iter().collect::<Vec<_>>().join(", ");
    let sql =
        format!("SELECT CAST(command_id AS TEXT), {fingerprint} FROM @commands WHERE command_id IN ({ids})");
    let rows = db.connection.query_all(db.statement(&sql, [])).await?;
    let form = |row: &sea_orm::QueryResult| {
        let (id, fingerprint): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let command_id = Uuid::try_parse(&id)
            .map_err(|_| Error::Database(format!("the command record {id} has no id that can be read")))?;
        Ok(EarlierForm { command_id, fingerprint: unhex(&fingerprint) })
    };
    rows.iter().map(form).collect()
}
