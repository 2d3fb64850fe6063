//! The generations and tables in the databases.

use std::collections::BTreeMap;

use anyhow::Context as _;
use sea_orm::{ConnectionTrait as _, Value};
use soonshop_event_log::database::sqlite_file;
use soonshop_event_log::{DatabaseLocation, Db, READ_MODEL};
use soonshop_projections::{Projector, generation};

use crate::Shop;

/// Every generation in the read models' database, also one that the registry does not list.
pub(super) async fn generations(shop: &Shop) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = match shop.read_database.location() {
        DatabaseLocation::Postgres(_) => {
            let sql = "SELECT CAST(nspname AS TEXT) FROM pg_namespace WHERE starts_with(nspname, 'rm_')";
            let rows = query(&shop.read_database.namespace("operations")?, sql, []).await?;
            rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?
        }
        DatabaseLocation::Sqlite(folder) => {
            let files = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
            let name = |file: std::fs::DirEntry| {
                let name = file.file_name().to_str()?.strip_suffix(".sqlite")?.to_owned();
                (name.starts_with(READ_MODEL) && file.path() == sqlite_file(folder, &name)).then_some(name)
            };
            files.filter_map(Result::ok).filter_map(name).collect()
        }
    };
    names.sort();
    Ok(names)
}

/// The projector that makes generations of this name: `rm_orders_3` is of `orders`.
pub(super) fn projector_of(namespace: &str) -> Option<std::sync::Arc<dyn Projector>> {
    let (name, _) = generation::named(namespace)?;
    soonshop_projections::all().into_iter().find(|projector| projector.name() == name)
}

pub(super) async fn query(
    db: &Db,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> anyhow::Result<Vec<sea_orm::QueryResult>> {
    let rows = db.connection.query_all(db.statement(sql, values)).await;
    rows.map_err(|error| anyhow::Error::from(soonshop_event_log::Error::from(error)))
        .with_context(|| format!("the namespace {}", db.name()))
}

/// A table as the database describes it.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// The columns of its key, in order, with their types.
    pub(super) key: BTreeMap<i64, (String, String)>,
}

pub(super) async fn tables(db: &Db) -> anyhow::Result<Vec<Table>> {
    let rows = if db.backend() == sea_orm::DatabaseBackend::Postgres {
        let sql = "SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT), format_type(a.atttypid, a.atttypmod), \
                   CAST(coalesce(array_position(CAST(i.indkey AS SMALLINT[]), a.attnum), -1) AS BIGINT) \
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                   LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary \
                   WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') ORDER BY 1, a.attnum";
        query(db, sql, [db.name().into()]).await?
    } else {
        let sql = "SELECT t.name, c.name, c.type, c.pk - 1 FROM sqlite_master t JOIN pragma_table_info(t.name) c \
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid";
        query(db, sql, []).await?
    };
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let (name, column): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (kind, in_key): (String, i64) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        if tables.last().is_none_or(|last| last.name != name) {
            tables.push(Table { name, columns: Vec::new(), key: BTreeMap::new() });
        }
        let Some(table) = tables.last_mut() else { continue };
        if in_key >= 0 {
            table.key.insert(in_key, (column.clone(), kind));
        }
        table.columns.push(column);
    }
    Ok(tables)
}
