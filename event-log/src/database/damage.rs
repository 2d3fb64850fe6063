//! Damaged pages, as the queries that met one find them when they are asked again.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbErr, Statement};

use super::{Database, Db};
use crate::Error;
use crate::error::met_damage;

/// How long a query is asked again.
const LIMIT: Duration = Duration::from_millis(1_500);

impl Db {
    /// Keeps a query that met a damaged page, so that a check asks it again: for queries that are not sent through
    /// [`Db::connection`], where this is seen by itself.
    pub fn keep_damage(&self, statement: &Statement, error: &DbErr) {
        if met_damage(error) {
            self.database.failed.keep(&self.name, statement);
        }
    }
}

impl Database {
    /// The namespaces in which a query met a damaged page that still cannot be read, and what the database says.
    pub async fn damage(&self) -> Vec<(String, Error)> {
        let mut found = Vec::new();
        for (name, statement) in self.failed.all() {
            let Ok(db) = self.namespace(&name) else { continue };
            match tokio::time::timeout(LIMIT, db.connection.query_all(statement)).await {
                Ok(Err(error)) => match Error::from(error) {
                    error @ Error::Damaged(_) => found.push((name, error)),
                    // Whether it is damaged shows once it can be read again.
                    Error::Unavailable(_) => {}
                    _ => self.failed.forget(&name),
                },
                Ok(Ok(_)) => self.failed.forget(&name),
                Err(_) => {}
            }
        }
        found
    }

    /// Forgets the failed query of a namespace that is not used any more.
    pub fn forget_damage(&self, namespace: &str) {
        self.failed.forget(namespace);
    }
}
