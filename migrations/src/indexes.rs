//! The indexes that the steps make: whether each is there, and can be used.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, DatabaseConnection, Statement};

use crate::{Error, Namespace, sources};

/// An index that a step made, and that is not there any more, or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingIndex {
    namespace: &'static str,
    name: String,
    /// The statement that makes it.
    statement: String,
}

impl MissingIndex {
    /// `<namespace>.<name>`.
    pub fn object(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    /// The fault, and the remedy.
    pub fn reason(&self) -> String {
        format!(
            "the index is missing or invalid: drop it if it is there, and run `{}`",
            self.statement.split_whitespace().collect::<Vec<_>>().join(" ")
        )
    }
}

/// The indexes of a namespace that are missing or invalid, in the order in which they are made.
pub async fn missing(
    namespace: Namespace,
    connection: &DatabaseConnection,
) -> Result<Vec<MissingIndex>, Error> {
    let database = |source| Error::Database { namespace: namespace.name(), source };
    let backend = connection.get_database_backend();
    let sql = match backend {
        DatabaseBackend::Postgres => format!(
            "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = '{}' AND i.indisvalid AND i.indisready",
            namespace.name()
        ),
        _ => "SELECT name FROM sqlite_master WHERE type = 'index'".to_owned(),
    };
    let rows = connection.query_all(Statement::from_string(backend, sql)).await.map_err(database)?;
    let there: BTreeSet<String> =
        rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(database)?;
    let mut missing = made(namespace, backend);
    // A table that a later step makes anew has its indexes made twice.
    let mut names = BTreeSet::new();
    missing.retain(|index| !there.contains(&index.name) && names.insert(index.name.clone()));
    Ok(missing)
}

/// Every index that the steps of a namespace make.
fn made(namespace: Namespace, backend: DatabaseBackend) -> Vec<MissingIndex> {
    let prefix = match backend {
        DatabaseBackend::Postgres => format!("{}.", namespace.name()),
        _ => String::new(),
    };
    let mut made = Vec::new();
    for source in sources(namespace, backend) {
        let begins = ["CREATE INDEX ", "CREATE UNIQUE INDEX "];
        let starts = source.match_indices("CREATE ").filter(|(at, _)| {
            let line = &source[*at..];
            (*at == 0 || source[..*at].ends_with('\n')) && begins.iter().any(|begin| line.starts_with(begin))
        });
        for (at, _) in starts {
            let statement = source[at..].split(';').next().unwrap_or_default();
            let (_, rest) = statement.split_once(" INDEX ").unwrap_or_default();
            let rest = rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest);
            let name = rest.split_whitespace().next().unwrap_or_default().to_owned();
            made.push(MissingIndex {
                namespace: namespace.name(),
                name,
                statement: statement.replace('@', &prefix),
            });
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_of_the_sources_is_known_by_its_name() {
        for backend in [DatabaseBackend::Postgres, DatabaseBackend::Sqlite] {
            for namespace in Namespace::ALL {
                let words = |source: &&str| source.matches(" INDEX ").count();
                let written: usize = sources(namespace, backend).iter().map(words).sum();
                let made = made(namespace, backend);
                assert_eq!(made.len(), written, "{backend:?} {namespace:?}");
                for index in &made {
                    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
                    assert!(!index.name.is_empty() && index.name.chars().all(plain), "{index:?}");
                }
            }
        }
        let log: Vec<_> = made(Namespace::Log, DatabaseBackend::Postgres);
        let names: Vec<_> = log.iter().map(|index| index.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "commands_by_time",
                "claims_by_owner",
                "stock_parts",
                "credit_notes_by_order",
                "stocks_by_sku",
                "orders_by_account",
                "orders_by_guest",
                "carts_by_user",
                "carts_by_owner",
                "carts_by_guest"
            ]
        );
        assert!(log[3].reason().contains("ON log.events"), "{}", log[3].reason());
    }
}
