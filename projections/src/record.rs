//! The record of operations as a trail: its entries by who, what and when, page by page to the oldest one. Notes on
//! events are lines of the same table, and belong to their events: none of this shows them.

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Value};
use soonshop_event_log::{Db, Error};

use crate::operations::{EVENT_NOTE, Recorded, SIGN_IN, lines};

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Which entries of the record are asked for; all of its parts must match.
#[derive(Debug, Clone, Default)]
pub struct RecordQuery {
    /// `kind:id`, or a kind alone.
    pub actor: Option<String>,
    pub action: Option<String>,
    pub subject: Option<String>,
    /// Recorded at this time or later, in microseconds since 1970.
    pub from: Option<i64>,
    /// Recorded before this time.
    pub to: Option<i64>,
    /// Below this position.
    pub before: Option<i64>,
    /// With sign-ins, also where the action is not asked for by name.
    pub sign_ins: bool,
    /// Without the actions that only change saved views.
    pub without_views: bool,
}

/// The conditions of a statement, and their values.
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition; `?` in it stands for its value.
    fn add(&mut self, sql: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        // The first value of the statement is its limit.
        self.sql.push(sql.replace('?', &format!("${}", self.values.len() + 1)));
    }
}

/// The first whole millisecond that is not before this microsecond.
fn milliseconds(micros: i64) -> i64 {
    micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) > 0)
}

impl RecordQuery {
    fn conditions(&self, backend: DatabaseBackend) -> Conditions {
        let mut all = Conditions { sql: Vec::new(), values: Vec::new() };
        // Written out, or no database would use the partial index that leaves these actions out.
        if self.action.is_none() && !self.sign_ins {
            all.sql.push(format!("action <> '{SIGN_IN}'"));
        }
        all.sql.push(format!("action <> '{EVENT_NOTE}'"));
        if self.without_views {
            all.sql.push("action NOT IN ('save-view', 'rename-view', 'delete-view')".to_owned());
        }
        if let Some(action) = &self.action {
            all.add("action = ?", action.as_str());
        }
        // In the order of bytes, whatever the order of the database is: the index on actors has it, too.
        let column = match backend {
            DatabaseBackend::Postgres => "actor COLLATE \"C\"",
            _ => "actor",
        };
        match self.actor.as_deref() {
            None => {}
            Some(actor) if actor.contains(':') => all.add(&format!("{column} = ?"), actor),
            // The sign after a colon is a semicolon: everything between the two begins with the kind.
            Some(kind) => {
                all.add(&format!("{column} >= ?"), format!("{kind}:"));
                all.add(&format!("{column} < ?"), format!("{kind};"));
            }
        }
        if let Some(subject) = &self.subject {
            all.add("subject = ?", subject.as_str());
        }
        // Times never decrease, so a time is a position: an index finds it.
        let at = "coalesce((SELECT position FROM @entries WHERE at >= ? ORDER BY at, position LIMIT 1), \
                  9223372036854775807)";
        if let Some(from) = self.from {
            all.add(&format!("position >= {at}"), milliseconds(from));
        }
        if let Some(to) = self.to {
            all.add(&format!("position < {at}"), milliseconds(to));
        }
        if let Some(before) = self.before {
            all.add("position < ?", before);
        }
        all
    }
}

/// The matching entries, the newest first, at most `most`.
pub async fn page(db: &Db, query: &RecordQuery, most: usize) -> Result<Vec<Recorded>, Error> {
    let Conditions { sql, values } = query.conditions(db.backend());
    lines(db, &sql.join(" AND "), values, i64::try_from(most).unwrap_or(i64::MAX)).await
}

/// The entry at a position; `None`: there is none, or a note is there.
pub async fn entry(db: &Db, position: i64) -> Result<Option<Recorded>, Error> {
    let which = format!("position = $2 AND action <> '{EVENT_NOTE}'");
    Ok(lines(db, &which, vec![position.into()], 1).await?.pop())
}

/// How often a caller signed in on the day of this millisecond; `None` once that is too long ago, or was before it was
/// counted.
pub async fn sign_ins(db: &Db, actor: &str, at: i64) -> Result<Option<i64>, Error> {
    let sql = "SELECT count FROM @sign_ins WHERE actor = $1 AND day = $2";
    let row = db.connection.query_one(db.statement(sql, [actor.into(), at.div_euclid(DAY).into()])).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// The last position of the record.
pub async fn head(db: &Db) -> Result<i64, Error> {
    let row = db.connection.query_one(db.statement("SELECT max(position) FROM @entries", [])).await?;
    Ok(row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?.flatten().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_query_has_a_place_of_its_own() {
        let all = RecordQuery {
            actor: Some("staff".to_owned()),
            action: Some("swap".to_owned()),
            subject: Some("rm_orders_3".to_owned()),
            from: Some(1),
            to: Some(2_000),
            before: Some(9),
            sign_ins: false,
            without_views: false,
        };
        let Conditions { sql, values } = all.conditions(DatabaseBackend::Postgres);
        let sql = sql.join(" AND ");
        assert_eq!(values.len(), 7);
        assert!((2..=8).all(|place| sql.contains(&format!("${place}"))) && !sql.contains('?'), "{sql}");
        assert!(!sql.contains("sign-in"), "an action that is asked for is not left out");
        let none = RecordQuery::default().conditions(DatabaseBackend::Postgres);
        assert_eq!(none.sql, ["action <> 'sign-in'", "action <> 'event.note'"]);
    }

    #[test]
    fn a_kind_of_actor_is_found_in_the_order_of_bytes_whatever_the_order_of_the_database_is() {
        let of = |backend, actor: &str| {
            RecordQuery { actor: Some(actor.to_owned()), ..RecordQuery::default() }.conditions(backend).sql
        };
        let in_bytes = [r#"actor COLLATE "C" >= $2"#, r#"actor COLLATE "C" < $3"#];
        assert_eq!(of(DatabaseBackend::Postgres, "staff")[2..], in_bytes);
        assert_eq!(of(DatabaseBackend::Postgres, "staff:42")[2..], [r#"actor COLLATE "C" = $2"#]);
        assert_eq!(of(DatabaseBackend::Sqlite, "staff")[2..], ["actor >= $2", "actor < $3"]);
    }

    #[test]
    fn a_moment_between_two_milliseconds_is_the_later_one() {
        assert_eq!([0, 1, 999, 1_000, 1_001].map(milliseconds), [0, 1, 1, 1, 2]);
        assert_eq!([-1, -1_000, i64::MAX].map(milliseconds), [0, -1, i64::MAX / 1_000 + 1]);
    }
}
