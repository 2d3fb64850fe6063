//! Conditions on the rows of the audit trail: SQL and its values.

use sea_orm::Value;

/// A condition in SQL, with one `?` for each value.
#[derive(Debug, Clone)]
pub struct Condition {
    pub sql: String,
    pub values: Vec<Value>,
    /// A text, in lower case, that one of the row's texts must contain for the condition to hold.
    pub text: Option<String>,
}

impl Condition {
    /// A condition with one value.
    pub fn new(sql: &str, value: impl Into<Value>) -> Self {
        Self::of(sql.to_owned(), vec![value.into()])
    }

    /// A condition with these values.
    pub fn of(sql: String, values: Vec<Value>) -> Self {
        Self { sql, values, text: None }
    }

    /// Both conditions hold.
    pub fn and(self, other: Self) -> Self {
        let sql = format!("({} AND {})", self.sql, other.sql);
        Self::of(sql, self.values.into_iter().chain(other.values).collect())
    }
}

/// All conditions joined by AND, with numbered placeholders.
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
