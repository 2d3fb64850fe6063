//! An export in place of a shop: its rows in a read model of their own, and those endpoints that need nothing else. What
//! needs the log, the record of operations or another read model is not there.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use sea_orm::{ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, SqlErr, TransactionTrait as _};
use soonshop_event_log::Error;
use soonshop_projections::audit::{Audit, Entity, Model};
use soonshop_projections::{Projector as _, Registry, runner};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Permission, Role};

use super::changes::{self, Changed};
use super::listing::WITHOUT_CHANGES;
use super::pages;
use super::timeline::Entry;
use crate::export::{Manifest, Reading, Unread};
use crate::http::Endpoint;
use crate::http::read::{failed, query_failed};

/// Rows that are written at a time: SQLite takes 32,766 values.
const AT_ONCE: usize = 1_000;

/// The addresses that answer as they do in a shop.
const SAME: [&str; 11] = [
    "/api/audit/timeline",
    "/api/audit/c/{id}",
    "/api/audit/export.csv",
    "/api/audit/export.ndjson",
    "/audit/audit.css",
    "/audit/audit.js",
    "/audit/icon.svg",
    "/audit/timeline",
    "/audit/c/{id}",
    "/audit/jump",
    "/audit/keys",
];

/// Every endpoint that a file has.
pub(in crate::http) fn table() -> Vec<Endpoint> {
    let of_shops = super::table().into_iter().chain(pages::table());
    let same = of_shops.filter(|endpoint| has(endpoint.path));
    same.chain(pages::file::table()).collect()
}

/// Whether a page of a shop is one of a file, too.
pub(super) fn has(path: &str) -> bool {
    SAME.contains(&path)
}

/// An export that is looked at.
#[derive(Debug)]
pub struct File {
    name: String,
    manifest: Manifest,
    role: Role,
}

impl File {
    /// Reads an export into a read model that has nothing yet, on SQLite. `goes_on` is called now and then, and may end
    /// it.
    pub async fn load<E: From<Unread> + From<Problem>>(
        name: String,
        input: impl BufRead,
        registry: &Registry,
        mut goes_on: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut reading = Reading::begin(input)?;
        let role = masked_for(&reading.manifest)?;
        let of_audit = |error: Error| E::from(failed(error));
        let generation = registry.ensure(&Audit).await.map_err(of_audit)?;
        let db = generation.db(registry.database()).map_err(of_audit)?;
        let of_rows = |error| E::from(query_failed(error));
        let tx = db.connection.begin().await.map_err(of_rows)?;
        tx.execute_unprepared(&db.sql(changes::TABLE)).await.map_err(of_rows)?;
        let mut count = 0;
        loop {
            let Rows { rows, changes } = page(&mut reading)?;
            if rows.is_empty() {
                break;
            }
            count += rows.len() as u64;
            for (position, changes) in changes {
                let sql = "INSERT INTO @changes (position, changes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                tx.execute(db.statement(sql, [position.into(), changes.into()])).await.map_err(of_rows)?;
            }
            let written = Entity::insert_many(rows.into_iter().map(Model::into_active_model));
            written.exec_without_returning(&tx).await.map_err(|error| match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(_)) => {
                    E::from(Unread::Differs("an event stands in it twice".to_owned()))
                }
                _ => of_rows(error),
            })?;
            goes_on(count)?;
        }
        let manifest = reading.finish()?;
        let head = "UPDATE @checkpoints SET position = $1 WHERE follower = $2";
        let values = [manifest.listed().head.into(), runner::ROWS.into()];
        tx.execute(db.statement(head, values)).await.map_err(of_rows)?;
        for index in Audit.indexes() {
            tx.execute_unprepared(&db.sql(index)).await.map_err(of_rows)?;
        }
        tx.commit().await.map_err(of_rows)?;
        Ok(Self { name, manifest, role })
    }

    /// As people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whose eyes it is masked for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether it was exported with what its events changed.
    pub(super) fn tells_changes(&self) -> bool {
        // Also where that file had come out of another.
        let left_out = |name: &str| name.rsplit('.').next() == Some(WITHOUT_CHANGES.name);
        !self.filter().keys().any(|name| left_out(name))
    }

    /// What narrowed it.
    pub(super) fn filter(&self) -> &BTreeMap<String, String> {
        &self.manifest.listed().filter
    }
}

/// Whoever it was made for could look at it in the shop.
fn masked_for(manifest: &Manifest) -> Result<Role, Unread> {
    let role = manifest.listed().role.parse().ok().filter(|role: &Role| role.may(Permission::Audit));
    role.ok_or_else(|| {
        Unread::NoExport("its manifest names a role that may not see the audit trail".to_owned())
    })
}

/// Some of the rows, and by position what those changed that say it.
#[derive(Default)]
struct Rows {
    rows: Vec<Model>,
    changes: Vec<(i64, String)>,
}

fn page(reading: &mut Reading<impl BufRead>) -> Result<Rows, Unread> {
    let mut page = Rows::default();
    while page.rows.len() < AT_ONCE {
        let Some(entry) = reading.row::<Entry>()? else { break };
        if let Changed::These(changes) = &entry.changes {
            let text = serde_json::to_string(changes).map_err(io::Error::from)?;
            page.changes.push((entry.position, text));
        }
        page.rows.push(entry.into_row());
    }
    Ok(page)
}
