//! Errors of reading the log, and which database errors are temporary.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};
use soonshop_domain::QueryError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use uuid::Uuid;

use crate::stored::READ_MODEL;

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Temporary: the server is down, full, or refuses connections now.
    #[error("the database cannot be used just now: {0}")]
    Unavailable(String),
    #[error("the database refused: {0}")]
    Database(String),
    /// A page of a table or an index is not as it was written.
    #[error("a page of the database is damaged: {0}")]
    Damaged(String),
    #[error("the database address {url:?} cannot be used: {reason}")]
    Address { url: String, reason: String },
    /// The row in the log is not as it was written.
    #[error("the event at position {position} cannot be read: {reason}")]
    Undecodable { position: i64, reason: String },
    /// The log has another history at a checkpoint: it was restored, or failed over to an older state.
    #[error(
        "ahead-of-log: {follower} was at position {position} with event {expected}, and the log has {found} there; {}",
        after_that(follower)
    )]
    AheadOfLog { follower: String, position: i64, expected: Uuid, found: String },
    #[error("the key store cannot be used: {0}")]
    Keys(String),
    /// Far more values than an accident explains cannot be decrypted: the key store was lost; the people were not
    /// erased.
    #[error(
        "{count} personal values of one page have neither a key nor a tombstone: the key store is not the one of this log"
    )]
    KeyStoreLost { count: usize },
    #[error("the master key cannot be used: {0}")]
    MasterKey(String),
    #[error("the seal key cannot be used: {0}")]
    SealKey(String),
    /// The seals do not match the log or the keys: sealing stops.
    #[error("the log cannot be sealed: {0}")]
    Seals(String),
    #[error("line {line} of the export cannot be read: {reason}")]
    Export { line: usize, reason: String },
    #[error("the export cannot be written: {0}")]
    Write(std::io::Error),
}

/// What it means, or what to do, where the log has another history at a checkpoint.
fn after_that(follower: &str) -> String {
    if follower.starts_with(READ_MODEL) {
        format!("rebuild {follower}")
    } else {
        "its end was cut off, or it was restored to an older state".to_owned()
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else if met_damage(&error) {
            Self::Damaged(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if sqlx_unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else if is_damage(&error) {
            Self::Damaged(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}

/// The error of a query that the log or the key store did not answer.
impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        let again = Duration::from_secs(1);
        match error {
            Error::Unavailable(reason) => {
                tracing::warn!(reason, "a database did not answer a query");
                let detail = "a database cannot be used just now: ask again";
                Self::unavailable("database-unavailable", detail, again)
            }
            Error::Keys(_) | Error::KeyStoreLost { .. } => {
                tracing::warn!(%error, "the key store did not open what a query needs");
                let detail = "the key store cannot be used just now, and nothing personal is read without it";
                Self::unavailable("key-store-unavailable", detail, again)
            }
            other => Self::internal(other),
        }
    }
}

/// True for temporary errors: a server that is down, full, starting, or out of connections, or that does not let this
/// login in. All of them are mended from outside, without a restart of this process.
pub fn unavailable(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error) => match error {
            RuntimeErr::SqlxError(error) => sqlx_unavailable(error),
            RuntimeErr::Internal(_) => false,
        },
        _ => false,
    }
}

/// Like [`unavailable`], for an error of the driver.
pub fn sqlx_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => {
            ended_the_session(&**error) || error.code().as_deref().is_some_and(is_temporary)
        }
        _ => false,
    }
}

/// Whether a query met a page of the database that is not as it was written.
pub(crate) fn met_damage(error: &DbErr) -> bool {
    of_driver(error).is_some_and(is_damage)
}

/// The error of the driver that it is.
fn of_driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Whether a page of the database is not as it was written.
fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| match code.len() {
        // PostgreSQL: a table, an index.
        5 => matches!(&*code, "XX001" | "XX002"),
        // SQLite: malformed, not a database.
        _ => sqlite_code(error).is_some_and(|code| matches!(code, 11 | 26)),
    })
}

/// The code of an error of SQLite, without the details that its higher bytes hold.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Whether PostgreSQL ended the session, or did not begin it: such an error is not about the data, whatever its code is.
/// So `55000` is temporary where a database takes no connections, and is not where a statement is refused.
fn ended_the_session(error: &dyn sqlx::error::DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether the code of a database is that of a temporary error.
fn is_temporary(code: &str) -> bool {
    if code.len() < 5 {
        // SQLite: no permission, busy, locked, out of memory, read only, I/O, full, cannot open. The higher bytes of a
        // code hold details.
        return code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 3 | 5..=8 | 10 | 13 | 14));
    }
    // PostgreSQL: connection, a login that is not let in, resources (a full disk is 53100), shutting down or starting;
    // a standby, a lock or statement that took too long, a right that is missing, and a database that is not there, as
    // while it is restored.
    code.len() == 5 && ["08", "28", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || matches!(code, "25006" | "3D000" | "40001" | "40P01" | "42501" | "55P03")
}

/// Whether the database says that a table or its schema does not exist.
pub fn is_no_table(error: &DbErr) -> bool {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    error.as_database_error().is_some_and(|error| match error.code().as_deref() {
        // PostgreSQL: no such table, no such schema.
        Some("42P01" | "3F000") => true,
        _ => error.message().starts_with("no such table"),
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// The error of a database: a code, and a message.
    #[derive(Debug)]
    struct Answer(Option<&'static str>, &'static str);

    impl std::fmt::Display for Answer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.1)
        }
    }

    impl std::error::Error for Answer {}

    impl sqlx::error::DatabaseError for Answer {
        fn message(&self) -> &str {
            self.1
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            self.0.map(Cow::Borrowed)
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    fn answered(code: Option<&'static str>, message: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Answer(code, message)))
    }

    #[test]
    fn a_server_that_cannot_answer_now_is_temporary_and_an_answer_about_the_data_is_not() {
        let temporary = [
            // SQLite: no permission, busy, locked, read-only, I/O with details, full, cannot open.
            "3", "5", "6", "8", "266", "13",
            "14", // PostgreSQL: connections, resources, shutting down, a standby, a lock.
            "08006", "53100", "57P01", "58030", "25006", "55P03", "40001", "40P01",
            // A login that is not let in, a database that is not there, a right that is missing.
            "28000", "28P01", "3D000", "42501",
        ];
        for code in temporary {
            assert!(sqlx_unavailable(&answered(Some(code), "")), "{code}");
        }
        for code in ["1", "9", "19", "11", "22P02", "23505", "42P01", "25001", "55000", "0800", "5310", "x"] {
            assert!(!sqlx_unavailable(&answered(Some(code), "")), "{code}");
        }
        assert!(!sqlx_unavailable(&answered(None, "")));
        assert!(sqlx_unavailable(&sqlx::Error::PoolTimedOut) && !sqlx_unavailable(&sqlx::Error::RowNotFound));
        let of = |error| DbErr::Query(RuntimeErr::SqlxError(error));
        assert!(unavailable(&of(sqlx::Error::PoolClosed)) && !unavailable(&of(sqlx::Error::RowNotFound)));
        assert!(!unavailable(&DbErr::Query(RuntimeErr::Internal("inside".to_owned()))));
        assert!(!unavailable(&DbErr::Custom("of ours".to_owned())));
        assert!(unavailable(&DbErr::ConnectionAcquire(sea_orm::error::ConnAcquireErr::Timeout)));
        assert!(matches!(Error::from(of(sqlx::Error::PoolClosed)), Error::Unavailable(_)));
        assert!(matches!(Error::from(of(sqlx::Error::RowNotFound)), Error::Database(_)));
        assert!(matches!(Error::from(sqlx::Error::PoolClosed), Error::Unavailable(_)));
        assert!(matches!(Error::from(sqlx::Error::RowNotFound), Error::Database(_)));
    }

    #[test]
    fn a_damaged_page_is_known_from_other_answers_about_the_data() {
        let of = |code| DbErr::Query(RuntimeErr::SqlxError(answered(Some(code), "")));
        for code in ["11", "26", "779", "XX001", "XX002"] {
            assert!(matches!(Error::from(of(code)), Error::Damaged(_)), "{code}");
            assert!(matches!(Error::from(answered(Some(code), "")), Error::Damaged(_)), "{code}");
        }
        for code in ["1", "19", "XX000", "22P02"] {
            assert!(matches!(Error::from(of(code)), Error::Database(_)), "{code}");
        }
    }

    #[test]
    fn a_table_that_is_not_there_is_known_from_other_answers() {
        let of = |error| DbErr::Exec(RuntimeErr::SqlxError(error));
        for (code, message) in
            [(Some("42P01"), ""), (Some("3F000"), ""), (Some("1"), "no such table: events")]
        {
            assert!(is_no_table(&of(answered(code, message))), "{code:?} {message}");
        }
        for (code, message) in [(Some("42703"), "no such column"), (Some("1"), "syntax error")] {
            assert!(!is_no_table(&of(answered(code, message))), "{code:?} {message}");
        }
        assert!(!is_no_table(&of(sqlx::Error::PoolClosed)));
        assert!(!is_no_table(&DbErr::Custom("no such table".to_owned())));
    }

    #[test]
    fn a_query_may_be_repeated_only_where_that_can_help() {
        let slug = |error: Error| {
            let error = QueryError::from(error);
            (error.slug().to_owned(), error.retry_after())
        };
        let again = Some(Duration::from_secs(1));
        let down = || "down".to_owned();
        assert_eq!(slug(Error::Unavailable(down())), ("database-unavailable".to_owned(), again));
        assert_eq!(slug(Error::Keys(down())), ("key-store-unavailable".to_owned(), again));
        assert_eq!(slug(Error::KeyStoreLost { count: 4 }), ("key-store-unavailable".to_owned(), again));
        assert_eq!(slug(Error::Database(down())), ("internal-error".to_owned(), None));
    }
}
