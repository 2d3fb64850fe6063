//! Errors of reading the log, and which database errors are temporary.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};
use soonshop_domain::QueryError;
use uuid::Uuid;

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Temporary: the server is down, full, or refuses connections now.
    #[error("the database cannot be used just now: {0}")]
    Unavailable(String),
    #[error("the database refused: {0}")]
    Database(String),
    #[error("the database address {url:?} cannot be used: {reason}")]
    Address { url: String, reason: String },
    /// The row in the log is not as it was written.
    #[error("the event at position {position} cannot be read: {reason}")]
    Undecodable { position: i64, reason: String },
    /// The log has another history at a checkpoint: it was restored, or failed over to an older state.
    #[error(
        "ahead-of-log: {follower} was at position {position} with event {expected}, and the log has {found} there; rebuild {follower}"
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

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if sqlx_unavailable(&error) {
            Self::Unavailable(error.to_string())
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

/// True for temporary errors: a server that is down, full, starting, or out of connections.
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
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // SQLite: busy, locked, out of memory, read only, I/O, full, cannot open. The higher bytes of a code hold
            // details.
            Some(code) if code.len() < 5 => {
                code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5..=8 | 10 | 13 | 14))
            }
            Some(code) => {
                // PostgreSQL: connection, resources (a full disk is 53100), shutting down or starting, a standby,
                // a lock or statement that took too long, and tables that are not there yet.
                ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) && code.len() == 5
                    || matches!(code, "25006" | "55P03" | "40001" | "40P01")
            }
            None => false,
        },
        _ => false,
    }
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

    /// What a database answers: a code, and a message.
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
            // SQLite: busy, locked, read-only, I/O with details, full, cannot open.
            "5", "6", "8", "266", "13",
            "14", // PostgreSQL: connections, resources, shutting down, a standby, a lock.
            "08006", "53100", "57P01", "58030", "25006", "55P03", "40001", "40P01",
        ];
        for code in temporary {
            assert!(sqlx_unavailable(&answered(Some(code), "")), "{code}");
        }
        for code in ["1", "9", "19", "11", "22P02", "23505", "42P01", "25001", "0800", "5310", "x"] {
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
    fn a_query_is_told_to_ask_again_only_where_that_can_help() {
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
