//! An export in place of a shop: its rows in a read model of their own. Whatever needs the log, the record of
//! operations or another read model is not available.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use sea_orm::{ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, SqlErr, TransactionTrait as _};
use soonshop_domain::QueryError;
use soonshop_event_log::Error;
use soonshop_projections::audit::{Audit, Entity, Model};
use soonshop_projections::source::query_failed;
use soonshop_projections::{Projector as _, Registry, runner};

use crate::entry::{Changed, Entry};
use crate::export::{InvalidExport, Manifest, Scope};
use crate::listing::{ListingRequest, WITHOUT_CHANGES, csv_shape};
use crate::name::{Name, Names};
use crate::reader::ChangesFrom;
use crate::reading::Reading;
use crate::{changes, names, operations};

/// Rows per INSERT: SQLite takes 32,766 values.
const AT_ONCE: usize = 1_000;

/// A loaded export.
#[derive(Debug)]
pub struct File {
    name: String,
    manifest: Manifest,
}

impl File {
    /// Reads an export into an empty read model on SQLite. `may_see` says whether a role may see the audit trail: the
    /// role that it is masked for must be one that could see it in the shop. `goes_on` is called now and then, and can
    /// end the load.
    pub async fn load<E: From<InvalidExport> + From<QueryError>>(
        name: String,
        input: impl BufRead,
        registry: &Registry,
        may_see: impl Fn(&str) -> bool,
        mut goes_on: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let may_see = |manifest: &Manifest| {
            let why = "its manifest names a role that may not see the audit trail";
            if !may_see(&manifest.listed().role) {
                return Err(E::from(InvalidExport::NoExport(why.to_owned())));
            }
            if manifest.listed().of.is_some() { Err(of_operations()) } else { Ok(()) }
        };
        let mut reading = Reading::begin(input, &csv_shape())?;
        reading.manifest().map_or(Ok(()), may_see)?;
        if reading.columns() == Some(&*operations::columns()) {
            return Err(of_operations());
        }
        let of_audit = |error: Error| E::from(QueryError::from(error));
        let generation = registry.ensure(&Audit).await.map_err(of_audit)?;
        let db = generation.db(registry.database()).map_err(of_audit)?;
        let of_rows = |error| E::from(query_failed(error));
        let tx = db.connection.begin().await.map_err(of_rows)?;
        for table in [changes::TABLE, names::TABLE] {
            tx.execute_unprepared(&db.sql(table)).await.map_err(of_rows)?;
        }
        let mut count = 0;
        loop {
            let FilePage { rows, changes, names } = page(&mut reading)?;
            if rows.is_empty() {
                break;
            }
            count += rows.len() as u64;
            for (position, changes) in changes {
                let sql = "INSERT INTO @changes (position, changes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                tx.execute(db.statement(sql, [position.into(), changes.into()])).await.map_err(of_rows)?;
            }
            for (id, Name { kind, name }) in names {
                let sql = "INSERT INTO @names (id, kind, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
                tx.execute(db.statement(sql, [id.into(), kind.into(), name.into()]))
                    .await
                    .map_err(of_rows)?;
            }
            let written = Entity::insert_many(rows.into_iter().map(Model::into_active_model));
            written.exec_without_returning(&tx).await.map_err(|error| match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(_)) => {
                    E::from(InvalidExport::Differs("it contains an event twice".to_owned()))
                }
                _ => of_rows(error),
            })?;
            goes_on(count)?;
        }
        let manifest = reading.finish()?;
        // In CSV it comes last.
        may_see(&manifest)?;
        let head = "UPDATE @checkpoints SET position = $1 WHERE follower = $2";
        let values = [manifest.listed().head.into(), runner::ROWS.into()];
        tx.execute(db.statement(head, values)).await.map_err(of_rows)?;
        for index in Audit.indexes() {
            tx.execute_unprepared(&db.sql(index)).await.map_err(of_rows)?;
        }
        tx.commit().await.map_err(of_rows)?;
        Ok(Self { name, manifest })
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The role that it is masked for.
    pub fn role(&self) -> &str {
        &self.manifest.listed().role
    }

    /// Where the changes of its events come from.
    pub fn changes(&self) -> ChangesFrom {
        if self.has_changes() { ChangesFrom::Rows } else { ChangesFrom::Nowhere }
    }

    /// Narrows the same listing of this file by the filters that narrowed the file.
    #[must_use]
    pub fn narrow(&self, mut request: ListingRequest) -> ListingRequest {
        request.of_file = true;
        request.changes &= self.has_changes();
        let Scope { filter, .. } = self.manifest().listed();
        request.filter.insert("file".to_owned(), self.manifest().sha256().to_owned());
        request.filter.extend(filter.iter().map(|(name, value)| (format!("file.{name}"), value.clone())));
        request
    }

    /// Whether it was exported with what its events changed.
    fn has_changes(&self) -> bool {
        // Also true where that file came from another export.
        let left_out = |name: &str| name.rsplit('.').next() == Some(WITHOUT_CHANGES);
        !self.filter().keys().any(|name| left_out(name))
    }

    /// The filters that narrowed it.
    pub fn filter(&self) -> &BTreeMap<String, String> {
        &self.manifest.listed().filter
    }
}

/// The error for an export of something that the pages do not show.
fn of_operations<E: From<InvalidExport>>() -> E {
    let why = "it is an export of the record of operations, and the pages show the timeline";
    InvalidExport::NoExport(why.to_owned()).into()
}

/// Some of the rows; by position the changes of those that state them, and the names that they state.
#[derive(Default)]
struct FilePage {
    rows: Vec<Model>,
    changes: Vec<(i64, String)>,
    names: Names,
}

fn page(reading: &mut Reading<impl BufRead>) -> Result<FilePage, InvalidExport> {
    let mut page = FilePage::default();
    while page.rows.len() < AT_ONCE {
        let Some(entry) = reading.row::<Entry>()? else { break };
        if let Changed::These(changes) = &entry.changes {
            let text = serde_json::to_string(changes).map_err(io::Error::from)?;
            page.changes.push((entry.position, text));
        }
        page.names.extend(names::stated_by(&entry));
        page.rows.push(entry.into_row());
    }
    Ok(page)
}
