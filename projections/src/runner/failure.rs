//! Why a batch failed, and which part of that may be shown to people.

use sea_orm::{DbErr, RuntimeErr, sqlx};
use soonshop_event_log::Stopped;

/// Why a batch failed.
pub(super) enum Broken {
    /// The event fails: park it, and do the rest.
    Event {
        position: i64,
        cause: String,
    },
    /// The rows were refused, and the event is unknown: try them one by one.
    Rows(String),
    Stopped(Stopped),
}

impl From<DbErr> for Broken {
    fn from(error: DbErr) -> Self {
        if of_the_data(&error) {
            Self::Rows(message_of(&error))
        } else {
            Self::Stopped(Stopped::Log(error.into()))
        }
    }
}

impl From<Stopped> for Broken {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// Whether the data is the cause, so that another event might succeed. (If a table is missing, none would.)
fn of_the_data(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    match error {
        sqlx::Error::Encode(_) => true,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // PostgreSQL's error classes for data, integrity and limits.
            Some(code) if code.len() == 5 => ["22", "23", "54"].iter().any(|class| code.starts_with(class)),
            // SQLite: too big, constraint, mismatch; the higher bytes hold details.
            Some(code) => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18..=20)),
            None => false,
        },
        _ => false,
    }
}

/// The database's message. A message about a value may quote it, so then only the code is given: people see why an
/// event was parked, and that text stays.
fn message_of(error: &DbErr) -> String {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::Encode(_)))
        | DbErr::Query(RuntimeErr::SqlxError(sqlx::Error::Encode(_))) => {
            "a value cannot be sent to the database".to_owned()
        }
        DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::Database(refusal)))
        | DbErr::Query(RuntimeErr::SqlxError(sqlx::Error::Database(refusal))) => {
            match refusal.code().as_deref().filter(|code| code.len() == 5 && code.starts_with("22")) {
                Some(code) => format!("the database refused a value ({code})"),
                None => error.to_string(),
            }
        }
        _ => error.to_string(),
    }
}
