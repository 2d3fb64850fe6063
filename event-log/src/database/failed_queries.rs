//! Queries that failed. A damaged page is met only by those that read it, so the last failed query of each namespace is
//! kept, and asked again by a check until it is answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::metric::Info;
use sea_orm::{DatabaseConnection, Statement};

#[derive(Debug, Clone, Default)]
pub(super) struct FailedQueries(Arc<Mutex<BTreeMap<String, Statement>>>);

impl FailedQueries {
    /// Keeps what fails on this connection, of this namespace; `None`: the statement names it.
    pub(super) fn watch(&self, connection: &mut DatabaseConnection, namespace: Option<&str>) {
        let (kept, namespace) = (self.clone(), namespace.map(str::to_owned));
        connection.set_metric_callback(move |info: &Info<'_>| {
            if info.failed && only_reads(&info.statement.sql) {
                let named = namespace.as_deref().or_else(|| namespace_of(&info.statement.sql));
                if let Some(name) = named {
                    kept.keep(name, info.statement);
                }
            }
        });
    }

    /// Keeps the first query of a namespace that failed.
    pub(super) fn keep(&self, namespace: &str, statement: &Statement) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(namespace.to_owned()).or_insert_with(|| statement.clone());
    }

    pub(super) fn all(&self) -> Vec<(String, Statement)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(name, statement)| (name.clone(), statement.clone())).collect()
    }

    pub(super) fn forget(&self, namespace: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }
}

/// Whether the statement may be repeated at any time.
fn only_reads(sql: &str) -> bool {
    let begins = ["SELECT ", "WITH "].iter().any(|word| sql.starts_with(word));
    begins && !["INSERT", "UPDATE", "DELETE"].iter().any(|word| sql.contains(word))
}

/// The schema that a statement of PostgreSQL reads first.
fn namespace_of(sql: &str) -> Option<&str> {
    sql.split("FROM ").skip(1).find_map(|rest| {
        let (name, _) = rest.split_once('.')?;
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        (!name.is_empty() && name.chars().all(is_name)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_its_schema_and_is_repeated_only_if_it_reads() {
        let sql = "SELECT id FROM rm_orders_1.orders WHERE id = $1";
        assert_eq!((namespace_of(sql), only_reads(sql)), (Some("rm_orders_1"), true));
        assert_eq!(namespace_of("WITH a AS (SELECT 1 FROM a) SELECT 1 FROM log.events"), Some("log"));
        assert_eq!(namespace_of("SELECT extract(epoch FROM clock_timestamp()), 1.5"), None);
        for writes in ["INSERT INTO log.events SELECT 1", "SELECT 1 FROM log.head FOR UPDATE", "SET x = 1"] {
            assert!(!only_reads(writes), "{writes}");
        }
    }
}
