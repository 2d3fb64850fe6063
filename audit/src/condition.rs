//! Conditions on the rows of the audit trail, in SQL, with their values beside them.

use sea_orm::Value;

/// A condition in SQL, with `?` for each use of its value.
#[derive(Debug, Clone)]
pub struct Condition {
    pub sql: String,
    pub values: Vec<Value>,
    /// What stands in a line of one of their texts, in small letters, wherever it holds.
    pub text: Option<String>,
}

impl Condition {
    /// One with one value.
    pub fn new(sql: &str, value: impl Into<Value>) -> Self {
        Self::of(sql.to_owned(), vec![value.into()])
    }

    /// One with these values.
    pub fn of(sql: String, values: Vec<Value>) -> Self {
        Self { sql, values, text: None }
    }

    /// Both of them hold.
    pub fn and(self, other: Self) -> Self {
        let sql = format!("({} AND {})", self.sql, other.sql);
        Self::of(sql, self.values.into_iter().chain(other.values).collect())
    }
}

/// Conditions that all hold, with numbered places.
pub(crate) fn numbered(conditions: &[Condition], values: &mut Vec<Value>) -> String {
    let mut wheres = Vec::new();
    for condition in conditions {
        let mut pieces = condition.sql.split('?');
        let mut sql = pieces.next().unwrap_or_default().to_owned();
        for (piece, value) in pieces.zip(&condition.values) {
            values.push(value.clone());
            sql.extend([&format!("${}", values.len()), piece]);
        }
        wheres.push(sql);
    }
    if wheres.is_empty() { "1 = 1".to_owned() } else { wheres.join(" AND ") }
}
