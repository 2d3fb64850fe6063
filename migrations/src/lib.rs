//! The linear schemas: log, keys, register of erasures, process managers, registry and operations, seals, accounts, payments.
//! Each is a namespace (a schema in PostgreSQL, a file in SQLite) with its own history. Read models are not here: a generation
//! is created from its entities.
//!
//! Start reading at [`Namespace`], then `src/sql/`.

pub mod indexes;
pub mod rights;

use sea_orm::sea_query::IntoIden as _;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager};

/// A schema of PostgreSQL, or a file of SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    Log,
    Keys,
    Erasures,
    Process,
    Operations,
    Seals,
    /// The seals of the record of operations.
    RecordSeals,
    /// Accounts and their sessions.
    Identity,
    /// What the worker of payments asks about, and what the sandbox did.
    Payments,
}

impl Namespace {
    pub const ALL: [Self; 9] = [
        Self::Log,
        Self::Keys,
        Self::Erasures,
        Self::Process,
        Self::Operations,
        Self::Seals,
        Self::RecordSeals,
        Self::Identity,
        Self::Payments,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Keys => "keys",
            Self::Erasures => "erasures",
            Self::Process => "process",
            Self::Operations => "operations",
            Self::Seals => "seals",
            Self::RecordSeals => "record_seals",
            Self::Identity => "identity",
            Self::Payments => "payments",
        }
    }
}

/// Why a schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{namespace} has the step {step}, which this release does not know: it was written by a newer release"
    )]
    Newer { namespace: &'static str, step: String },
    #[error("{namespace} is missing the step {step}: run `soonshop migrate`")]
    Pending { namespace: &'static str, step: String },
    #[error("the schema {namespace} could not be read or changed")]
    Database {
        namespace: &'static str,
        #[source]
        source: DbErr,
    },
}

/// One step: the SQL for each backend, with `@` in place of the namespace.
struct Step {
    name: &'static str,
    namespace: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = match connection.get_database_backend() {
            DatabaseBackend::Postgres => self.postgres.replace('@', &format!("{}.", self.namespace)),
            _ => self.sqlite.replace('@', ""),
        };
        connection.execute_unprepared(&sql).await.map(drop)
    }
}

macro_rules! migrators {
    ($($migrator:ident: $namespace:ident, $table:literal, [$(($step:literal, $postgres:literal, $sqlite:literal)),+];)+) => {
        $(
            struct $migrator;

            impl MigratorTrait for $migrator {
                fn migrations() -> Vec<Box<dyn MigrationTrait>> {
                    vec![$(Box::new(Step {
                        name: $step,
                        namespace: Namespace::$namespace.name(),
                        postgres: include_str!($postgres),
                        sqlite: include_str!($sqlite),
                    })),+]
                }

                fn migration_table_name() -> sea_orm::DynIden {
                    sea_orm::sea_query::Alias::new($table).into_iden()
                }
            }
        )+

        /// Brings the namespace's schema up to this release. It succeeds if there is nothing to do.
        pub async fn migrate(namespace: Namespace, connection: &DatabaseConnection) -> Result<(), Error> {
            let database = |source| Error::Database { namespace: namespace.name(), source };
            refuse_newer(namespace, connection).await?;
            if connection.get_database_backend() == DatabaseBackend::Postgres {
                let create = format!("CREATE SCHEMA IF NOT EXISTS {}", namespace.name());
                connection.execute_unprepared(&create).await.map_err(database)?;
            }
            match namespace {
                $(Namespace::$namespace => $migrator::up(connection, None).await.map_err(database),)+
            }
        }

        /// The SQL of all steps, with `@` in place of the namespace.
        fn sources(namespace: Namespace, backend: DatabaseBackend) -> Vec<&'static str> {
            match (namespace, backend) {
                $(
                    (Namespace::$namespace, DatabaseBackend::Postgres) => vec![$(include_str!($postgres)),+],
                    (Namespace::$namespace, _) => vec![$(include_str!($sqlite)),+],
                )+
            }
        }

        fn known(namespace: Namespace) -> (&'static str, Vec<&'static str>) {
            match namespace {
                $(Namespace::$namespace => ($table, vec![$($step),+]),)+
            }
        }
    };
}

migrators! {
    Log: Log, "soonshop_log_steps", [
        ("001_log", "sql/log.postgres.sql", "sql/log.sqlite.sql"),
        ("002_records", "sql/records.postgres.sql", "sql/records.sqlite.sql"),
        ("003_parts", "sql/parts.postgres.sql", "sql/parts.sqlite.sql"),
        ("004_credits", "sql/credits.postgres.sql", "sql/credits.sqlite.sql"),
        ("005_append_one", "sql/append_one.postgres.sql", "sql/append_one.sqlite.sql"),
        ("006_stocks", "sql/stocks.postgres.sql", "sql/stocks.sqlite.sql"),
        ("007_claims", "sql/claims.postgres.sql", "sql/claims.sqlite.sql"),
        ("008_carts", "sql/carts.postgres.sql", "sql/carts.sqlite.sql")
    ];
    Keys: Keys, "soonshop_keys_steps", [("001_keys", "sql/keys.sql", "sql/keys.sql")];
    Erasures: Erasures, "soonshop_erasures_steps", [("001_erasures", "sql/erasures.sql", "sql/erasures.sql")];
    Process: Process, "soonshop_process_steps", [
        ("001_process", "sql/process.sql", "sql/process.sql"),
        ("002_operate", "sql/operate.sql", "sql/operate.sql"),
        ("003_failures", "sql/failures.sql", "sql/failures.sql"),
        ("004_stopped", "sql/stopped.sql", "sql/stopped.sql"),
        ("005_timeouts", "sql/timeouts.postgres.sql", "sql/timeouts.sqlite.sql")
    ];
    Operations: Operations, "soonshop_operations_steps", [
        ("001_operations", "sql/operations.sql", "sql/operations.sql"),
        ("002_runs", "sql/runs.sql", "sql/runs.sql"),
        ("003_guard", "sql/guard.postgres.sql", "sql/guard.sqlite.sql"),
        ("004_api_keys", "sql/api_keys.sql", "sql/api_keys.sql"),
        ("005_sessions", "sql/sessions.sql", "sql/sessions.sql"),
        ("006_record", "sql/record.postgres.sql", "sql/record.sqlite.sql"),
        ("007_notes", "sql/notes.sql", "sql/notes.sql"),
        ("008_integrity", "sql/integrity.sql", "sql/integrity.sql"),
        ("009_sign_ins", "sql/sign_ins.postgres.sql", "sql/sign_ins.sqlite.sql"),
        ("010_key_limits", "sql/key_limits.sql", "sql/key_limits.sql")
    ];
    Seals: Seals, "soonshop_seals_steps", [("001_seals", "sql/seals.postgres.sql", "sql/seals.sqlite.sql")];
    RecordSeals: RecordSeals, "soonshop_record_seals_steps", [
        ("001_seals", "sql/seals.postgres.sql", "sql/seals.sqlite.sql")
    ];
    Identity: Identity, "soonshop_identity_steps", [
        ("001_identity", "sql/identity.sql", "sql/identity.sql"),
        ("002_factors", "sql/factors.sql", "sql/factors.sql"),
        ("003_links", "sql/links.sql", "sql/links.sql"),
        ("004_devices", "sql/devices.sql", "sql/devices.sql"),
        ("005_guests", "sql/guests.sql", "sql/guests.sql"),
        ("006_clients", "sql/clients.sql", "sql/clients.sql"),
        ("007_providers", "sql/providers.sql", "sql/providers.sql"),
        ("008_language", "sql/language.sql", "sql/language.sql"),
        ("009_roles", "sql/roles.sql", "sql/roles.sql"),
        ("010_claims", "sql/claim_links.sql", "sql/claim_links.sql"),
        ("011_idle", "sql/idle.sql", "sql/idle.sql"),
        ("012_passkeys", "sql/passkeys.sql", "sql/passkeys.sql"),
        ("013_told_clients", "sql/told_clients.sql", "sql/told_clients.sql"),
        ("014_agreed", "sql/agreed.sql", "sql/agreed.sql")
    ];
    Payments: Payments, "soonshop_payments_steps", [
        ("001_payments", "sql/payments.sql", "sql/payments.sql")
    ];
}

/// The steps already applied, in order; none if the namespace was never migrated.
async fn taken(namespace: Namespace, connection: &DatabaseConnection) -> Result<Vec<String>, Error> {
    let database = |source| Error::Database { namespace: namespace.name(), source };
    let (table, _) = known(namespace);
    let there = SchemaManager::new(connection).has_table(table).await.map_err(database)?;
    if !there {
        return Ok(Vec::new());
    }
    let backend = connection.get_database_backend();
    let rows = connection
        .query_all(Statement::from_string(backend, format!("SELECT version FROM {table} ORDER BY version")))
        .await
        .map_err(database)?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(database)
}

async fn refuse_newer(namespace: Namespace, connection: &DatabaseConnection) -> Result<(), Error> {
    let (_, known) = known(namespace);
    match taken(namespace, connection).await?.into_iter().find(|step| !known.contains(&step.as_str())) {
        Some(step) => Err(Error::Newer { namespace: namespace.name(), step }),
        None => Ok(()),
    }
}

/// Succeeds if the schema is exactly that of this release.
pub async fn check(namespace: Namespace, connection: &DatabaseConnection) -> Result<(), Error> {
    refuse_newer(namespace, connection).await?;
    let taken = taken(namespace, connection).await?;
    match known(namespace).1.into_iter().find(|step| !taken.iter().any(|have| have == step)) {
        Some(step) => Err(Error::Pending { namespace: namespace.name(), step: step.to_owned() }),
        None => Ok(()),
    }
}
