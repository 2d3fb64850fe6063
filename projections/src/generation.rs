//! Generations of read models, and the registry that says which one readers go by.
//!
//! A generation is a namespace: a schema in PostgreSQL, a file in SQLite, an index in the search server, a prefix in
//! the cache, all with the same name. One row names the active one for all of them together.

use sea_orm::{ConnectionTrait, DatabaseBackend, Value};
use soonshop_event_log::checkpoint::CHECKPOINTS;
use soonshop_event_log::{Checkpoint, Database, Db, Error};

use crate::Projector;

/// One generation of one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    pub projection: String,
    pub number: i32,
    /// Of the projector that makes it.
    pub version: i32,
    pub shape: i32,
}

impl Generation {
    /// The name of its schema, file, index and prefix: `rm_orders_3`.
    pub fn namespace(&self) -> String {
        format!("rm_{}_{}", self.projection, self.number)
    }

    /// Opens its rows.
    pub fn db(&self, database: &Database) -> Result<Db, Error> {
        database.namespace(&self.namespace())
    }
}

/// Tables that every generation has beside its rows: its checkpoints, what is parked, what is to be tried again, and
/// why a follower stands still.
const OWN_TABLES: &[&str] = &[
    CHECKPOINTS,
    "CREATE TABLE @parked (position BIGINT PRIMARY KEY, event_id TEXT NOT NULL, rows TEXT NOT NULL, \
     cause TEXT NOT NULL, attempts BIGINT NOT NULL DEFAULT 1)",
    "CREATE TABLE @retries (position BIGINT PRIMARY KEY)",
    "CREATE TABLE @status (follower TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL)",
];

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
        let rows = self.operations.connection.query_all(self.operations.statement(sql, [projection.into()])).await?;
        rows.iter().map(generation).collect()
    }

    /// The one that readers go by.
    pub async fn active(&self, projection: &str) -> Result<Option<Generation>, Error> {
        let sql = "SELECT g.projection, g.generation, g.version, g.shape FROM @active a JOIN @generations g \
                   ON g.projection = a.projection AND g.generation = a.generation WHERE a.projection = $1";
        let row = self.operations.connection.query_one(self.operations.statement(sql, [projection.into()])).await?;
        row.as_ref().map(generation).transpose()
    }

    /// Makes the first generation where there is none. One that another version made stays as it is: a new version is
    /// built beside it, on request.
    pub async fn ensure(&self, projector: &dyn Projector) -> Result<Generation, Error> {
        if let Some(active) = self.active(projector.name()).await? {
            return Ok(active);
        }
        let generation = match self.generations(projector.name()).await?.into_iter().next() {
            Some(generation) => generation,
            None => self.create(projector).await?,
        };
        self.activate(&generation).await?;
        Ok(generation)
    }

    /// Makes the next generation: its namespace, its tables, its checkpoint at the beginning of the log.
    pub async fn create(&self, projector: &dyn Projector) -> Result<Generation, Error> {
        let connection = &self.operations.connection;
        let sql = "SELECT CAST(coalesce(max(generation), 0) + 1 AS INTEGER) FROM @generations WHERE projection = $1";
        let row = connection.query_one(self.operations.statement(sql, [projector.name().into()])).await?;
        let number = row.map(|row| row.try_get_by_index::<i32>(0)).transpose()?.unwrap_or(1);
        let generation = Generation {
            projection: projector.name().to_owned(),
            number,
            version: projector.version(),
            shape: projector.shape(),
        };
        let db = generation.db(&self.database)?;
        if db.backend() == DatabaseBackend::Postgres {
            let create = format!("CREATE SCHEMA IF NOT EXISTS {}", generation.namespace());
            db.connection.execute_unprepared(&create).await?;
        }
        for table in projector.tables() {
            db.connection.execute(table.create(&db)).await?;
        }
        for sql in OWN_TABLES.iter().chain(projector.indexes()) {
            db.connection.execute(db.statement(sql, [])).await?;
        }
        Checkpoint::start().begin(&db, &db.connection, "rows").await?;
        let sql = "INSERT INTO @generations (projection, generation, version, shape, state) \
                   VALUES ($1, $2, $3, $4, 'building')";
        let values: [Value; 4] =
            [projector.name().into(), number.into(), generation.version.into(), generation.shape.into()];
        connection.execute(self.operations.statement(sql, values)).await?;
        Ok(generation)
    }

    /// Moves readers to the generation: one row.
    pub async fn activate(&self, generation: &Generation) -> Result<(), Error> {
        let connection = &self.operations.connection;
        let sql = "UPDATE @generations SET state = 'ready' WHERE projection = $1 AND generation = $2";
        let values = || [generation.projection.as_str().into(), Value::from(generation.number)];
        connection.execute(self.operations.statement(sql, values())).await?;
        let sql = "INSERT INTO @active (projection, generation) VALUES ($1, $2) ON CONFLICT (projection) \
                   DO UPDATE SET previous = active.generation, generation = excluded.generation";
        connection.execute(self.operations.statement(sql, values())).await?;
        Ok(())
    }

    /// The generations that this projector can keep alive.
    pub async fn projected_by(&self, projector: &dyn Projector) -> Result<Vec<Generation>, Error> {
        let generations = self.generations(projector.name()).await?;
        let fits = |g: &Generation| g.version == projector.version() && g.shape == projector.shape();
        Ok(generations.into_iter().filter(fits).collect())
    }
}

fn generation(row: &sea_orm::QueryResult) -> Result<Generation, Error> {
    Ok(Generation {
        projection: row.try_get_by_index(0)?,
        number: row.try_get_by_index(1)?,
        version: row.try_get_by_index(2)?,
        shape: row.try_get_by_index(3)?,
    })
}
