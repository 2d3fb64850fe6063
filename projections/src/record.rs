//! The record of operations as a trail: its entries by who, what and when, page by page to the oldest one. Notes on
//! events are lines of the same table, and belong to their events: none of this shows them.

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Value};
use soonshop_event_log::{Db, Error, places};

use crate::operations::{EVENT_NOTE, Recorded, SIGN_IN, lines};

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Which entries of the record are asked for; all of its parts must match.
#[derive(Debug, Clone, Default)]
pub struct RecordQuery {
    /// One of these: `kind:id`, or a kind alone.
    pub actors: Option<Vec<String>>,
    pub action: Option<String>,
    /// One of these.
    pub subjects: Option<Vec<String>>,
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

    /// Adds the condition that a column has one of these values.
    fn add_one_of(&mut self, column: &str, values: &[&str]) {
        if let [one] = values {
            return self.add(&format!("{column} = ?"), *one);
        }
        let first = self.values.len() + 2;
        self.values.extend(values.iter().map(|value| Value::from(*value)));
        // No database takes an empty list.
        let none = values.is_empty().then(|| "1 = 0".to_owned());
        self.sql.push(none.unwrap_or_else(|| format!("{column} IN ({})", places(first, values.len()))));
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
        match self.actors.as_deref() {
            None => {}
            // The sign after a colon is a semicolon: everything between the two begins with the kind.
            Some([kind]) if !kind.contains(':') => {
                all.add(&format!("{column} >= ?"), format!("{kind}:"));
                all.add(&format!("{column} < ?"), format!("{kind};"));
            }
            Some(actors) => {
                all.add_one_of(column, &actors.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        if let Some(subjects) = &self.subjects {
            all.add_one_of("subject", &subjects.iter().map(String::as_str).collect::<Vec<_>>());
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
            actors: Some(vec!["staff".to_owned()]),
            action: Some("swap".to_owned()),
            subjects: Some(vec!["rm_orders_3".to_owned()]),
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
            RecordQuery { actors: Some(vec![actor.to_owned()]), ..RecordQuery::default() }
                .conditions(backend)
                .sql
        };
        let in_bytes = [r#"actor COLLATE "C" >= $2"#, r#"actor COLLATE "C" < $3"#];
        assert_eq!(of(DatabaseBackend::Postgres, "staff")[2..], in_bytes);
        assert_eq!(of(DatabaseBackend::Postgres, "staff:42")[2..], [r#"actor COLLATE "C" = $2"#]);
        assert_eq!(of(DatabaseBackend::Sqlite, "staff")[2..], ["actor >= $2", "actor < $3"]);
    }

    #[test]
    fn several_actors_and_subjects_are_alternatives_and_none_is_nothing() {
        let of = |actors: &[&str], subjects: &[&str]| {
            let all = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
            RecordQuery { actors: all(actors), subjects: all(subjects), ..RecordQuery::default() }
                .conditions(DatabaseBackend::Sqlite)
        };
        let two = of(&["staff:1", "staff:2"], &["a", "b"]);
        assert_eq!(two.sql[2..], ["actor IN ($2, $3)", "subject IN ($4, $5)"]);
        assert_eq!(two.values.len(), 4);
        assert_eq!(of(&[], &["a"]).sql[2..], ["1 = 0", "subject = $2"]);
    }

    #[test]
    fn a_moment_between_two_milliseconds_is_the_later_one() {
        assert_eq!([0, 1, 999, 1_000, 1_001].map(milliseconds), [0, 1, 1, 1, 2]);
        assert_eq!([-1, -1_000, i64::MAX].map(milliseconds), [0, -1, i64::MAX / 1_000 + 1]);
    }
}
