//! Taking over the history of an application that wrote with the `postgres-es` crate.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};
use soonshop_event_log::{Database, Error};

/// Copies the events of `source` (such as `public.events`, in the same database) into the empty log, and numbers them
/// once: by sequence, then type, then id. The crate kept no order between streams, so any order that keeps each
/// stream's own is correct; this one is always the same. Event ids are random; the times are that of the adoption.
/// Its snapshots are not copied: they may be wrong. Returns how many events there were.
///
/// The table stays as it is, and is locked against writers meanwhile. Applications that still write with the crate
/// must use `log.events` afterwards.
pub async fn adopt(database: &Database, source: &str) -> Result<u64, Error> {
    let log = database.namespace("log")?;
    if database.location().is_sqlite() {
        return Err(Error::Database("a history is adopted within a PostgreSQL database".to_owned()));
    }
    let source = quoted(source)?;
    let tx = log.connection.begin().await?;
    tx.execute_unprepared("SET LOCAL statement_timeout = 0; SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await?;
    tx.execute_unprepared("SELECT 1 FROM log.head WHERE name = 'main' FOR UPDATE").await?;
    tx.execute_unprepared(&format!("LOCK TABLE {source} IN SHARE MODE")).await?;
    if is_true(&tx, "SELECT EXISTS (SELECT 1 FROM log.events)").await? {
        return Err(Error::Database(
            "the log has events: a history is adopted once, into an empty log".to_owned(),
        ));
    }
    let broken = format!(
        "SELECT EXISTS (SELECT 1 FROM {source} GROUP BY aggregate_type, aggregate_id \
         HAVING min(sequence) <> 1 OR max(sequence) <> count(*))"
    );
    if is_true(&tx, &broken).await? {
        return Err(Error::Database(format!(
            "{source} has a stream whose sequences are not 1, 2, 3 and so on"
        )));
    }
    let copy = format!(
        "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
            position, event_id, occurred_at, recorded_at) \
         SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
            row_number() OVER (ORDER BY sequence, aggregate_type COLLATE \"C\", aggregate_id COLLATE \"C\"), \
            gen_random_uuid(), statement_timestamp(), statement_timestamp() FROM {source}"
    );
    let events = tx.execute_unprepared(&copy).await?.rows_affected();
    tx.commit().await?;
    Ok(events)
}

async fn is_true(tx: &DatabaseTransaction, sql: &str) -> Result<bool, Error> {
    let row = tx.query_one(sea_orm::Statement::from_string(tx.get_database_backend(), sql)).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false))
}

/// `schema.table` or `table`, quoted for SQL.
fn quoted(name: &str) -> Result<String, Error> {
    let parts: Vec<_> = name.split('.').collect();
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty() || part.contains('\u{0}')) {
        return Err(Error::Database(format!("{name:?} is not a table's name, such as public.events")));
    }
    Ok(parts.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_table_is_quoted_and_nothing_else_is_taken_for_one() {
        for (name, expected) in [
            ("events", r#""events""#),
            ("public.events", r#""public"."events""#),
            (r#"pub"lic.events; DROP TABLE x"#, r#""pub""lic"."events; DROP TABLE x""#),
        ] {
            assert_eq!(quoted(name).unwrap(), expected);
        }
        for name in ["", ".", "public.", ".events", "a.public.events", "eve\0nts", "public.\0"] {
            assert!(quoted(name).unwrap_err().to_string().contains("is not a table's name"), "{name:?}");
        }
    }
}
