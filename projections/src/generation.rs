//! Generations of read models, and the registry that says which one is read.
//!
//! A generation is a namespace: a schema in PostgreSQL, a file in SQLite, an index in the search server, a prefix in
//! the cache, all with the same name. One row names the active one for all of them together.

use std::path::Path;

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, TransactionTrait as _, Value};
use soonshop_event_log::checkpoint::CHECKPOINTS;
use soonshop_event_log::database::sqlite_file;
use soonshop_event_log::{Checkpoint, Database, DatabaseLocation, Db, Error, Leases, READ_MODEL};

use crate::Projector;
use crate::projector::TableOf;
use crate::texts;

/// The name of the follower that keeps a generation's rows, and of their checkpoint in its namespace.
pub const ROWS: &str = "rows";

/// One generation of one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    pub projection: String,
    pub number: i32,
    /// The version of the projector that makes it.
    pub version: i32,
    pub shape: i32,
}

/// The name of a generation's schema, file, index and prefix.
pub(crate) fn namespace(projection: &str, number: i32) -> String {
    format!("{READ_MODEL}{projection}_{number}")
}

/// Whether rows of this projection, version and shape are what a projector makes.
pub(crate) fn is_made_by(projector: &dyn Projector, projection: &str, version: i32, shape: i32) -> bool {
    (projector.name(), projector.version(), projector.shape()) == (projection, version, shape)
}

/// The projection and the number in a generation's name; `None`: it is not such a name.
pub fn named(namespace: &str) -> Option<(&str, i32)> {
    let (projection, number) = namespace.strip_prefix(READ_MODEL)?.rsplit_once('_')?;
    Some((projection, number.parse().ok()?))
}

impl Generation {
    /// The name of its schema, file, index and prefix: `rm_orders_3`.
    pub fn namespace(&self) -> String {
        namespace(&self.projection, self.number)
    }

    /// The name of the lease of one of its followers: `rm_orders_3:rows`.
    pub fn lease(&self, follower: &str) -> String {
        format!("{}:{follower}", self.namespace())
    }

    /// Whether it is what this projector makes.
    pub fn is_made_by(&self, projector: &dyn Projector) -> bool {
        is_made_by(projector, &self.projection, self.version, self.shape)
    }

    /// Opens its rows.
    pub fn db(&self, database: &Database) -> Result<Db, Error> {
        database.namespace(&self.namespace())
    }
}

/// A generation as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownGeneration {
    pub generation: Generation,
    pub state: State,
    /// Readers use it.
    pub active: bool,
    /// Readers used it before, and can go back to it; never one that was rejected.
    pub previous: bool,
    /// The run that verified it, or that accepted its differences.
    pub verified_by: Option<i64>,
    /// Milliseconds since 1970, by the database's clock; `None` if an older release made it.
    pub made_at: Option<i64>,
    /// When it was rejected or retired.
    pub ended_at: Option<i64>,
}

/// The state of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::AsRefStr, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum State {
    Building,
    /// It has caught up, and is kept so.
    Ready,
    /// Readers were moved away from it for good.
    Rejected,
    /// Its rows are removed, or are about to be.
    Retired,
    /// Made only for a comparison: no worker keeps it up to date, and no reader uses it.
    Scratch,
}

impl State {
    /// Whether a worker of its version keeps it up to date.
    pub fn lives(self) -> bool {
        matches!(self, Self::Building | Self::Ready)
    }
}

/// The tables that every generation has besides its rows: checkpoints, parked events, requests to try them again, and
/// why a follower stopped.
const OWN_TABLES: &[&str] = &[
    CHECKPOINTS,
    "CREATE TABLE @parked (position BIGINT PRIMARY KEY, event_id TEXT NOT NULL, rows TEXT NOT NULL, \
     cause TEXT NOT NULL, attempts BIGINT NOT NULL DEFAULT 1)",
    "CREATE TABLE @retries (position BIGINT PRIMARY KEY)",
    "CREATE TABLE @status (follower TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL)",
    // Streams whose parked events were projected later. A sink that has passed those positions finds them here.
    "CREATE TABLE @repeated (number BIGINT PRIMARY KEY, stream TEXT NOT NULL)",
    ERASED,
];

/// The erasures that the rows were cleaned for: an erasure is complete once every generation has its event.
pub const ERASED: &str =
    "CREATE TABLE @erased (subject TEXT NOT NULL, position BIGINT NOT NULL, PRIMARY KEY (subject, position))";

/// The registry, in the read models' database.
#[derive(Debug, Clone)]
pub struct Registry {
    database: Database,
    operations: Db,
}

impl Registry {
    pub fn new(database: &Database) -> Result<Self, Error> {
        Ok(Self { database: database.clone(), operations: database.namespace("operations")? })
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    pub fn operations(&self) -> &Db {
        &self.operations
    }

    /// All generations of a projection that are not retired or rejected.
    pub async fn generations(&self, projection: &str) -> Result<Vec<Generation>, Error> {
        let sql = "SELECT projection, generation, version, shape FROM @generations \
                   WHERE projection = $1 AND state IN ('building', 'ready') ORDER BY generation";
        let rows =
            self.operations.connection.query_all(self.operations.statement(sql, [projection.into()])).await?;
        rows.iter().map(generation).collect()
    }

    /// The generation that readers use.
    pub async fn active(&self, projection: &str) -> Result<Option<Generation>, Error> {
        let sql = "SELECT g.projection, g.generation, g.version, g.shape FROM @active a JOIN @generations g \
                   ON g.projection = a.projection AND g.generation = a.generation WHERE a.projection = $1";
        let row =
            self.operations.connection.query_one(self.operations.statement(sql, [projection.into()])).await?;
        row.as_ref().map(generation).transpose()
    }

    /// Makes the first generation if there is none. An existing one of another version stays: a new version is built
    /// beside it, on request.
    pub async fn ensure(&self, projector: &dyn Projector) -> Result<Generation, Error> {
        if let Some(active) = self.active(projector.name()).await? {
            return Ok(active);
        }
        let generation = self.make(projector, State::Building, true, None).await?;
        self.activate(&generation).await?;
        Ok(generation)
    }

    /// Makes the next generation: its namespace, its tables, and its checkpoint at the start of the log. Its follower
    /// builds the indexes once it has reached the head.
    pub async fn create(&self, projector: &dyn Projector) -> Result<Generation, Error> {
        self.make(projector, State::Building, false, None).await
    }

    /// Makes the next generation for a process that folds it itself: from the moment at which workers can see it, its
    /// rows are held by `holder`, so that no worker folds it first, without the holder's limits.
    pub async fn create_held(&self, projector: &dyn Projector, holder: &str) -> Result<Generation, Error> {
        self.make(projector, State::Building, false, Some(holder)).await
    }

    /// Makes a generation only for a comparison.
    pub async fn create_scratch(&self, projector: &dyn Projector) -> Result<Generation, Error> {
        self.make(projector, State::Scratch, false, None).await
    }

    /// One at a time: the second caller sees the generation of the first. On PostgreSQL all of it is one transaction;
    /// on SQLite the registry's row comes last, so a file without a row was left by a process that was killed.
    async fn make(
        &self,
        projector: &dyn Projector,
        state: State,
        first: bool,
        holder: Option<&str>,
    ) -> Result<Generation, Error> {
        let registry = self.operations.connection.begin().await?;
        let postgres = self.operations.backend() == DatabaseBackend::Postgres;
        let lock = if postgres {
            "LOCK TABLE @generations IN EXCLUSIVE MODE"
        } else {
            "DELETE FROM @generations WHERE false"
        };
        registry.execute_unprepared(&self.operations.sql(lock)).await?;
        if first {
            let sql = "SELECT projection, generation, version, shape FROM @generations \
                       WHERE projection = $1 AND state IN ('building', 'ready') ORDER BY generation LIMIT 1";
            let row = registry.query_one(self.operations.statement(sql, [projector.name().into()])).await?;
            if let Some(row) = row {
                return generation(&row);
            }
        }
        let sql = "SELECT CAST(coalesce(max(generation), 0) + 1 AS INTEGER) FROM @generations WHERE projection = $1";
        let row = registry.query_one(self.operations.statement(sql, [projector.name().into()])).await?;
        let number = row.map(|row| row.try_get_by_index::<i32>(0)).transpose()?.unwrap_or(1);
        let generation = Generation {
            projection: projector.name().to_owned(),
            number,
            version: projector.version(),
            shape: projector.shape(),
        };
        let name = generation.namespace();
        if let DatabaseLocation::Sqlite(folder) = self.database.location() {
            self.database.close(&name).await?;
            remove(&sqlite_file(folder, &name))?;
            let db = generation.db(&self.database)?;
            let tables = db.connection.begin().await?;
            create_tables(projector, &db, &tables).await?;
            tables.commit().await?;
        } else {
            // It belongs to the role that writes generations, if `migrate` gave this database to that role. (Roles
            // belong to the whole server, and may be another shop's.)
            let group = "SELECT set_config('role', 'soonshop_generations', true) FROM pg_roles r \
                         WHERE r.rolname = 'soonshop_generations' AND CASE \
                             WHEN current_setting('server_version_num')::int >= 160000 \
                             THEN pg_has_role(current_user, r.oid, 'SET') \
                             ELSE pg_has_role(current_user, r.oid, 'MEMBER') END \
                         AND has_database_privilege(r.oid, current_database(), 'CREATE')";
            registry.execute_unprepared(group).await?;
            registry.execute_unprepared(&format!("CREATE SCHEMA {name}")).await?;
            create_tables(projector, &generation.db(&self.database)?, &registry).await?;
            registry.execute_unprepared(&readable(&name)).await?;
            registry.execute_unprepared("RESET ROLE").await?;
        }
        let sql = format!(
            "INSERT INTO @generations (projection, generation, version, shape, state, made_at) \
             VALUES ($1, $2, $3, $4, $5, {})",
            self.operations.now()
        );
        let values: [Value; 5] = [
            projector.name().into(),
            number.into(),
            generation.version.into(),
            generation.shape.into(),
            state.as_ref().into(),
        ];
        registry.execute(self.operations.statement(&sql, values)).await?;
        if let Some(holder) = holder {
            let leases = Leases::new(self.operations.clone(), holder);
            leases.take_on(&registry, &generation.lease(ROWS)).await?;
        }
        registry.commit().await?;
        Ok(generation)
    }

    /// Every generation of one projection or of all, with those that were retired or rejected.
    pub async fn all(&self, projection: Option<&str>) -> Result<Vec<KnownGeneration>, Error> {
        let sql = "SELECT g.projection, g.generation, g.version, g.shape, g.state, g.verified_by, g.made_at, g.ended_at, \
                   CAST(coalesce(a.generation = g.generation, false) AS INTEGER), \
                   CAST(coalesce(a.previous = g.generation AND g.state = 'ready', false) AS INTEGER) \
                   FROM @generations g LEFT JOIN @active a ON a.projection = g.projection \
                   WHERE $1 = '' OR g.projection = $1 ORDER BY g.projection, g.generation";
        let statement = self.operations.statement(sql, [projection.unwrap_or_default().into()]);
        let rows = self.operations.connection.query_all(statement).await?;
        rows.iter().map(known).collect()
    }

    /// One generation, in any state.
    pub async fn get(&self, projection: &str, number: i32) -> Result<Option<KnownGeneration>, Error> {
        Ok(self.all(Some(projection)).await?.into_iter().find(|known| known.generation.number == number))
    }

    /// Marks it as ready: it has reached the head, and readers may be moved to it once it is verified.
    pub async fn complete(&self, generation: &Generation) -> Result<(), Error> {
        let sql = "UPDATE @generations SET state = 'ready' \
                   WHERE projection = $1 AND generation = $2 AND state = 'building'";
        let values = [generation.projection.as_str().into(), Value::from(generation.number)];
        self.operations.connection.execute(self.operations.statement(sql, values)).await?;
        Ok(())
    }

    /// Records the run that found it equal or accepted its differences; `None` takes that back.
    pub async fn verified(
        &self,
        on: &impl ConnectionTrait,
        generation: &Generation,
        run: Option<i64>,
    ) -> Result<(), Error> {
        let sql = "UPDATE @generations SET verified_by = $3 WHERE projection = $1 AND generation = $2";
        let values =
            [generation.projection.as_str().into(), Value::from(generation.number), Value::from(run)];
        on.execute(self.operations.statement(sql, values)).await?;
        Ok(())
    }

    /// Moves readers from one generation to another: one row, in the transaction `on`. With `rejected`, the one that
    /// they leave is never read again. False: readers were not on `from` any more.
    pub async fn switch(
        &self,
        on: &DatabaseTransaction,
        from: &Generation,
        to: &Generation,
        rejected: bool,
    ) -> Result<bool, Error> {
        let sql =
            "UPDATE @active SET previous = $2, generation = $3 WHERE projection = $1 AND generation = $2";
        let values = [from.projection.as_str().into(), from.number.into(), Value::from(to.number)];
        if on.execute(self.operations.statement(sql, values)).await?.rows_affected() != 1 {
            return Ok(false);
        }
        if rejected {
            self.end(on, from, "rejected").await?;
        }
        Ok(true)
    }

    async fn end(
        &self,
        on: &impl ConnectionTrait,
        generation: &Generation,
        state: &str,
    ) -> Result<(), Error> {
        let sql = format!(
            "UPDATE @generations SET state = $3, ended_at = {} WHERE projection = $1 AND generation = $2",
            self.operations.now()
        );
        let values = [generation.projection.as_str().into(), generation.number.into(), Value::from(state)];
        on.execute(self.operations.statement(&sql, values)).await?;
        Ok(())
    }

    /// Retires it: from here on no worker keeps it up to date, and no reader goes back to it.
    pub async fn retire(&self, on: &DatabaseTransaction, generation: &Generation) -> Result<(), Error> {
        self.end(on, generation, "retired").await?;
        let sql = "UPDATE @active SET previous = NULL WHERE projection = $1 AND previous = $2";
        let values = [generation.projection.as_str().into(), Value::from(generation.number)];
        on.execute(self.operations.statement(sql, values)).await?;
        Ok(())
    }

    /// Whether its rows, or a part of them, still exist.
    pub async fn is_there(&self, generation: &Generation) -> Result<bool, Error> {
        let name = generation.namespace();
        match self.database.location() {
            DatabaseLocation::Sqlite(folder) => Ok(sqlite_file(folder, &name).exists()),
            DatabaseLocation::Postgres(_) => {
                let sql = "SELECT to_regnamespace($1) IS NOT NULL";
                let row = self
                    .operations
                    .connection
                    .query_one(self.operations.statement(sql, [name.into()]))
                    .await?;
                Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false))
            }
        }
    }

    /// Removes the rows of a retired generation. Doing it again changes nothing.
    pub async fn remove(&self, generation: &Generation) -> Result<(), Error> {
        let name = generation.namespace();
        match self.database.location() {
            DatabaseLocation::Sqlite(folder) => {
                self.database.close(&name).await?;
                remove(&sqlite_file(folder, &name))
            }
            DatabaseLocation::Postgres(_) => {
                let sql = format!("DROP SCHEMA IF EXISTS {name} CASCADE");
                self.operations.connection.execute_unprepared(&sql).await?;
                Ok(())
            }
        }
    }

    /// Moves readers to the generation: one row.
    pub async fn activate(&self, generation: &Generation) -> Result<(), Error> {
        let registry = self.operations.connection.begin().await?;
        let sql = "UPDATE @generations SET state = 'ready' WHERE projection = $1 AND generation = $2";
        let values = || [generation.projection.as_str().into(), Value::from(generation.number)];
        registry.execute(self.operations.statement(sql, values())).await?;
        let sql = "INSERT INTO @active (projection, generation) VALUES ($1, $2) ON CONFLICT (projection) \
                   DO UPDATE SET previous = active.generation, generation = excluded.generation \
                   WHERE active.generation <> excluded.generation";
        registry.execute(self.operations.statement(sql, values())).await?;
        Ok(registry.commit().await?)
    }

    /// The generations that this projector can keep up to date.
    pub async fn projected_by(&self, projector: &dyn Projector) -> Result<Vec<Generation>, Error> {
        let generations = self.generations(projector.name()).await?;
        Ok(generations.into_iter().filter(|generation| generation.is_made_by(projector)).collect())
    }
}

/// Lets the read-only role, if there is one, read it and ask for retries.
fn readable(name: &str) -> String {
    format!(
        "DO $$ BEGIN IF to_regrole('soonshop_query') IS NOT NULL THEN \
           GRANT USAGE ON SCHEMA {name} TO soonshop_query; GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO soonshop_query; \
           GRANT INSERT ON {name}.retries TO soonshop_query; END IF; END $$"
    )
}

/// The tables whose primary keys are built with the other indexes: no query uses them before.
pub(crate) fn keyed_later(projector: &dyn Projector, db: &Db) -> Vec<Box<dyn TableOf>> {
    let later = projector.only_adds() && db.backend() == DatabaseBackend::Postgres;
    if later { projector.tables() } else { Vec::new() }
}

/// Texts are sorted by their bytes in any language of the database: this is the order of the embedded shop, and an
/// index can then find prefixes. Long texts are compressed with LZ4 if the server has it.
const PLAIN_TEXTS: &str = r#"DO $$
DECLARE
    name text;
    packed text := '';
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE pg_settings.name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        packed := ', ALTER %1$I SET COMPRESSION lz4';
    END IF;
    FOR name IN SELECT attname FROM pg_attribute
        WHERE attrelid = '@table'::regclass AND attnum > 0 AND atttypid = 'text'::regtype
    LOOP
        EXECUTE format('ALTER TABLE @table ALTER %1$I TYPE text COLLATE "C"' || packed, name);
    END LOOP;
END $$"#;

/// Makes the tables of a namespace, and its checkpoint.
async fn create_tables(projector: &dyn Projector, db: &Db, on: &DatabaseTransaction) -> Result<(), Error> {
    for table in projector.tables() {
        on.execute(table.create(db)).await?;
        if db.backend() == DatabaseBackend::Postgres {
            on.execute_unprepared(&db.sql(&PLAIN_TEXTS.replace("@table", &format!("@{}", table.name()))))
                .await?;
        }
    }
    for sql in OWN_TABLES {
        on.execute(db.statement(sql, [])).await?;
    }
    for table in keyed_later(projector, db) {
        let sql = format!("ALTER TABLE @{0} DROP CONSTRAINT {0}_pkey", table.name());
        on.execute(db.statement(&sql, [])).await?;
    }
    if projector.texts().is_some() {
        for statement in texts::create(db) {
            on.execute(statement).await?;
        }
    }
    Checkpoint::start().begin(db, on, ROWS).await
}

/// Removes a SQLite file and the files that belong to it, if they exist.
fn remove(file: &Path) -> Result<(), Error> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Unavailable(format!("{} cannot be removed: {error}", file.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn known(row: &sea_orm::QueryResult) -> Result<KnownGeneration, Error> {
    let state: String = row.try_get_by_index(4)?;
    Ok(KnownGeneration {
        generation: generation(row)?,
        state: state.parse().map_err(|_| {
            Error::Database(format!("a generation is {state:?}, which this release does not know"))
        })?,
        verified_by: row.try_get_by_index(5)?,
        made_at: row.try_get_by_index(6)?,
        ended_at: row.try_get_by_index(7)?,
        active: row.try_get_by_index::<i32>(8)? == 1,
        previous: row.try_get_by_index::<i32>(9)? == 1,
    })
}

fn generation(row: &sea_orm::QueryResult) -> Result<Generation, Error> {
    Ok(Generation {
        projection: row.try_get_by_index(0)?,
        number: row.try_get_by_index(1)?,
        version: row.try_get_by_index(2)?,
        shape: row.try_get_by_index(3)?,
    })
}
