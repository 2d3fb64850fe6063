//! The rows that a batch of events works on: the rows that its events name, loaded together and written together.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use sea_orm::sea_query::sea_value_to_json_value;
use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DbErr, EntityTrait, IdenStatic as _, Iterable as _, ModelTrait,
    PrimaryKeyToColumn, Value,
};
use soonshop_event_log::{Db, places, quoted};

use crate::arrays::Arrays;
use crate::copy_in::copy_in;
use crate::row::{CHUNK, Row, column_names, table_of};
use crate::transaction::{Transaction, Write};

/// Why an event could not be projected. It is stored with the parked event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// The rows of one type that events ask for.
struct RequestedRows {
    table: String,
    rows: Box<dyn AnyRows>,
    groups: HashSet<String>,
}

/// The groups of rows that events need, before they are projected.
#[derive(Default)]
pub struct Wants {
    tables: HashMap<TypeId, RequestedRows>,
    /// The rows that the last event asks for.
    last: Vec<(TypeId, String)>,
}

impl Wants {
    pub fn want<M: Row>(&mut self, group: impl Into<String>) {
        let (kind, group) = (TypeId::of::<M>(), group.into());
        let expected = self.tables.entry(kind).or_insert_with(|| RequestedRows {
            table: table_of::<M>(),
            rows: Box::<Rows<M>>::default(),
            groups: HashSet::new(),
        });
        expected.groups.insert(group.clone());
        self.last.push((kind, group));
    }

    /// The calls from here on are for the next event.
    pub(crate) fn next(&mut self) {
        self.last.clear();
    }

    /// `<table>/<group>` of each group that the last event asks for: it is parked under these if it fails.
    pub fn names(&self) -> BTreeSet<String> {
        let name = |(kind, group): &(TypeId, String)| {
            self.tables.get(kind).map(|expected| format!("{}/{group}", expected.table))
        };
        self.last.iter().filter_map(name).collect()
    }
}

struct Cell<M> {
    row: M,
    changed: bool,
    /// It is not in the database yet.
    new: bool,
}

struct Group<M> {
    /// All rows of the table are in memory: a row that is not here does not exist.
    whole: bool,
    cells: BTreeMap<String, Cell<M>>,
}

impl<M> Group<M> {
    fn new(whole: bool) -> Self {
        Self { whole, cells: BTreeMap::new() }
    }
}

struct Rows<M> {
    groups: HashMap<String, Group<M>>,
    /// Rows that were only added since the last write, in order.
    added: Vec<M>,
}

impl<M> Default for Rows<M> {
    fn default() -> Self {
        Self { groups: HashMap::new(), added: Vec::new() }
    }
}

/// Rows of one type, without the type.
#[async_trait]
trait AnyRows: Send + Sync {
    /// `whole`: rows that are not in memory are not in the database either.
    async fn load(
        &mut self,
        db: &Db,
        tx: &Transaction,
        groups: HashSet<String>,
        whole: bool,
    ) -> Result<(), DbErr>;
    /// Keeps all rows, and notes that the rows of these groups that are not in memory do not exist.
    fn assume(&mut self, groups: HashSet<String>);
    /// The writes of the changed rows.
    fn writes(&self, db: &Db, writes: &mut Vec<Write>) -> Result<(), DbErr>;
    fn is_changed(&self) -> bool;
    /// Marks all rows as written; returns how many rows stay. Without `keep` they are dropped.
    fn settle(&mut self, keep: bool) -> usize;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// Rows per statement.
const WRITTEN: usize = 2_000;

type Columns<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;

/// SQL that inserts rows: one value per column, for any number of rows.
fn insert<M: Row>(columns: &[Columns<M>], (all, source): (String, String)) -> String {
    let names = column_names(columns);
    format!("INSERT INTO @{} ({names}) SELECT {all} FROM {source} WHERE true", table_of::<M>())
}

/// Like [`insert`], but replaces rows that exist.
fn upsert<M: Row>(columns: &[Columns<M>], source: (String, String)) -> String {
    let keys: Vec<_> =
        <M::Entity as EntityTrait>::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect();
    let keys: Vec<&str> = keys.iter().map(sea_orm::IdenStatic::as_str).collect();
    let set: Vec<String> = columns
        .iter()
        .map(sea_orm::IdenStatic::as_str)
        .filter(|name| !keys.contains(name))
        .map(quoted)
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let keys: Vec<String> = keys.into_iter().map(quoted).collect();
    let insert = insert::<M>(columns, source);
    format!("{insert} ON CONFLICT ({}) DO UPDATE SET {}", keys.join(", "), set.join(", "))
}

#[async_trait]
impl<M: Row> AnyRows for Rows<M> {
    async fn load(
        &mut self,
        db: &Db,
        tx: &Transaction,
        groups: HashSet<String>,
        whole: bool,
    ) -> Result<(), DbErr> {
        if whole {
            self.assume(groups);
            return Ok(());
        }
        let missing: Vec<String> =
            groups.into_iter().filter(|group| !self.groups.contains_key(group)).collect();
        for chunk in missing.chunks(CHUNK) {
            let (table, places) = (table_of::<M>(), places(1, chunk.len()));
            let sql = format!("SELECT * FROM @{table} WHERE {} IN ({places})", quoted(M::GROUP));
            let statement = db.statement(&sql, chunk.iter().map(|group| Value::from(group.as_str())));
            for row in tx.query_all(statement).await? {
                let row = M::from_query_result(&row, "")?;
                let (group, key) = (row.group(), row.key());
                let cell = Cell { row, changed: false, new: false };
                self.groups.entry(group).or_insert_with(|| Group::new(true)).cells.insert(key, cell);
            }
            for group in chunk {
                self.groups.entry(group.clone()).or_insert_with(|| Group::new(true));
            }
        }
        Ok(())
    }

    fn assume(&mut self, groups: HashSet<String>) {
        for group in groups {
            self.groups.entry(group).or_insert_with(|| Group::new(true));
        }
    }

    fn writes(&self, db: &Db, writes: &mut Vec<Write>) -> Result<(), DbErr> {
        let cells = self.groups.values().flat_map(|group| group.cells.values());
        let (new, changed): (Vec<_>, Vec<_>) = cells.filter(|cell| cell.changed).partition(|cell| cell.new);
        let added: Vec<&M> = self.added.iter().chain(new.into_iter().map(|cell| &cell.row)).collect();
        let changed: Vec<&M> = changed.into_iter().map(|cell| &cell.row).collect();
        let columns: Vec<Columns<M>> = Columns::<M>::iter().collect();
        if db.backend() == DatabaseBackend::Postgres {
            if !added.is_empty() {
                writes.push(copy_in(db, added.into_iter())?);
            }
            if changed.is_empty() {
                return Ok(());
            }
            let arrays = Arrays::of(&columns)?;
            let sql = upsert::<M>(&columns, arrays.source());
            for chunk in changed.chunks(WRITTEN) {
                writes.push(Write::Statement(db.statement(&sql, arrays.values(chunk)?)));
            }
            return Ok(());
        }
        // SQLite has no arrays: the rows come as one JSON text.
        let fields: Vec<String> =
            columns.iter().map(|column| format!("value ->> '{}'", column.as_str())).collect();
        let source = || (fields.join(", "), "json_each($1)".to_owned());
        for (sql, rows) in
            [(insert::<M>(&columns, source()), added), (upsert::<M>(&columns, source()), changed)]
        {
            for chunk in rows.chunks(WRITTEN) {
                let row = |row: &&M| -> serde_json::Map<String, serde_json::Value> {
                    let field = |column: &Columns<M>| {
                        (column.as_str().to_owned(), sea_value_to_json_value(&row.get(*column)))
                    };
                    columns.iter().map(field).collect()
                };
                let rows: Vec<_> = chunk.iter().map(row).collect();
                let rows = serde_json::to_string(&rows).map_err(|error| DbErr::Custom(error.to_string()))?;
                writes.push(Write::Statement(db.statement(&sql, [rows.into()])));
            }
        }
        Ok(())
    }

    fn settle(&mut self, keep: bool) -> usize {
        if !keep {
            self.groups.clear();
        }
        self.added.clear();
        let mut rows = 0;
        for cell in self.groups.values_mut().flat_map(|group| group.cells.values_mut()) {
            (cell.changed, cell.new) = (false, false);
            rows += 1;
        }
        rows
    }

    fn is_changed(&self) -> bool {
        let mut cells = self.groups.values().flat_map(|group| group.cells.values());
        !self.added.is_empty() || cells.any(|cell| cell.changed)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The rows of a batch: loaded once, changed in memory, written once.
#[derive(Default)]
pub struct Unit {
    tables: HashMap<TypeId, Box<dyn AnyRows>>,
    /// The row types that events ask for; other rows are only ever put.
    expected: HashSet<TypeId>,
}

impl Unit {
    /// Loads the requested rows that are not in memory. `whole`: rows that are not in memory do not exist.
    pub(crate) async fn load(
        &mut self,
        db: &Db,
        tx: &Transaction,
        wants: Wants,
        whole: bool,
    ) -> Result<(), DbErr> {
        for (kind, expected) in wants.tables {
            self.expected.insert(kind);
            self.tables.entry(kind).or_insert(expected.rows).load(db, tx, expected.groups, whole).await?;
        }
        Ok(())
    }

    /// Marks all rows as written, so that the next batch can use them; returns how many there are.
    pub(crate) fn settle(&mut self) -> usize {
        let expected = &self.expected;
        self.tables.iter_mut().map(|(kind, rows)| rows.settle(expected.contains(kind))).sum()
    }

    /// Notes that requested rows that are not in memory do not exist: all rows are in memory.
    pub(crate) fn assume(&mut self, wants: Wants) {
        for (kind, expected) in wants.tables {
            self.expected.insert(kind);
            self.tables.entry(kind).or_insert(expected.rows).assume(expected.groups);
        }
    }

    /// The writes of all changes.
    pub(crate) fn writes(&self, db: &Db) -> Result<Vec<Write>, DbErr> {
        let mut writes = Vec::new();
        for rows in self.tables.values() {
            rows.writes(db, &mut writes)?;
        }
        Ok(writes)
    }

    /// Writes all changes.
    pub(crate) async fn store(&self, db: &Db, tx: &Transaction) -> Result<(), DbErr> {
        for write in self.writes(db)? {
            tx.write(write).await?;
        }
        Ok(())
    }

    /// Whether any row was put, added or changed.
    pub fn is_changed(&self) -> bool {
        self.tables.values().any(|rows| rows.is_changed())
    }

    fn rows<M: Row>(&self) -> Option<&Rows<M>> {
        self.tables.get(&TypeId::of::<M>()).and_then(|rows| rows.as_any().downcast_ref())
    }

    fn rows_mut<M: Row>(&mut self) -> Option<&mut Rows<M>> {
        let rows = self.tables.entry(TypeId::of::<M>()).or_insert_with(|| Box::<Rows<M>>::default());
        rows.as_any_mut().downcast_mut()
    }

    pub fn find<M: Row>(&self, group: &str, key: &str) -> Option<&M> {
        Some(&self.rows::<M>()?.groups.get(group)?.cells.get(key)?.row)
    }

    /// Changes a row that must exist.
    pub fn change<M: Row>(
        &mut self,
        group: &str,
        key: &str,
        change: impl FnOnce(&mut M),
    ) -> Result<(), Failure> {
        let missing = || Failure(format!("{} has no row {group} {key}", table_of::<M>()));
        let group = self.rows_mut::<M>().and_then(|rows| rows.groups.get_mut(group));
        let cell = group.and_then(|group| group.cells.get_mut(key)).ok_or_else(missing)?;
        change(&mut cell.row);
        cell.changed = true;
        Ok(())
    }

    /// Changes every row of a group.
    pub fn change_all<M: Row>(&mut self, group: &str, mut change: impl FnMut(&mut M)) {
        let group = self.rows_mut::<M>().and_then(|rows| rows.groups.get_mut(group));
        for cell in group.into_iter().flat_map(|group| group.cells.values_mut()) {
            change(&mut cell.row);
            cell.changed = true;
        }
    }

    /// Inserts or replaces a row.
    pub fn put<M: Row>(&mut self, row: M) {
        let (group, key) = (row.group(), row.key());
        if let Some(rows) = self.rows_mut::<M>() {
            let group = rows.groups.entry(group).or_insert_with(|| Group::new(false));
            let new = group.cells.get(&key).map_or(group.whole, |cell| cell.new);
            group.cells.insert(key, Cell { row, changed: true, new });
        }
    }

    /// Adds a row that does not exist and that no later event changes. The checkpoint in the same transaction
    /// prevents adding it twice.
    pub fn add<M: Row>(&mut self, row: M) {
        if let Some(rows) = self.rows_mut::<M>() {
            rows.added.push(row);
        }
    }

    /// The added rows that are not written yet, in order.
    pub(crate) fn added<M: Row>(&self) -> &[M] {
        self.rows::<M>().map_or(&[], |rows| &rows.added)
    }
}
