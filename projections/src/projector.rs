//! What a projector is, and the rows it works on: those that its events name, loaded together, written together.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use sea_orm::sea_query::{Alias, ArrayType, IntoIden, TableRef, sea_value_to_json_value};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseBackend, DbErr, EntityName as _, EntityTrait,
    FromQueryResult, Iden, IdenStatic as _, Iterable as _, ModelTrait, PrimaryKeyToColumn, Schema, Statement,
    Value,
};
use serde::Serialize;
use soonshop_domain::Purpose;
use soonshop_event_log::{Db, RecordedEvent};
use soonshop_search::Change;
use uuid::Uuid;

use crate::copy::copy;
use crate::texts::Texts;
use crate::transaction::{Transaction, Write};

/// A row of a read model. Rows are loaded, and parked, by group: one column that every event can name.
pub trait Row:
    ModelTrait<Entity: Default> + FromQueryResult + Serialize + Clone + PartialEq + Send + Sync + 'static
{
    /// The column that holds the group.
    const GROUP: &'static str;
    fn group(&self) -> String;
    /// What tells it from the other rows of its group.
    fn key(&self) -> String;
}

pub(crate) fn table_of<M: Row>() -> String {
    M::Entity::default().table_name().to_owned()
}

/// Why an event could not be projected. It is parked with this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// A fold of events over rows. It touches nothing but the unit: no clock, no other service.
pub trait Projector: Send + Sync + 'static {
    /// The read model's name, in lower case: part of its namespaces.
    fn name(&self) -> &'static str;
    /// Of the logic: another output for the same events is another version.
    fn version(&self) -> i32;
    /// Of the tables.
    fn shape(&self) -> i32;
    /// The aggregate types that it follows; others are passed undecoded.
    fn follows(&self) -> &'static [&'static str];
    /// Creates its tables; `indexes` are built apart, once there is something to index.
    fn tables(&self) -> Vec<Box<dyn TableOf>>;
    fn indexes(&self) -> &'static [&'static str] {
        &[]
    }
    /// Whether all it does is to add rows: then there is nothing that an event could read or change.
    fn only_adds(&self) -> bool {
        false
    }
    /// Names the groups of rows that the event reads or writes.
    fn wants(&self, event: &RecordedEvent, wants: &mut Wants);
    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure>;
    /// Where its rows hold what is personal.
    fn personal(&self) -> &'static [PersonalColumns] {
        &[]
    }
    /// The search documents of its rows; `None`: it has no search index.
    fn documents(&self) -> Option<Box<dyn Documents>> {
        None
    }
    fn searchable(&self) -> bool {
        self.documents().is_some()
    }
    /// The texts of its rows that are searched for anything that stands in them.
    fn texts(&self) -> Option<Box<dyn Texts>> {
        None
    }
}

/// Rows that the search index has a document of.
pub trait Indexed: Row {
    /// What the index is told of this row; the document's id is the row's group.
    fn document(&self) -> Change;
}

/// The search documents of a read model, from its rows.
#[async_trait]
pub trait Documents: Send + Sync {
    /// Of the rows of these groups; of all rows where none are named.
    async fn read(&self, db: &Db, groups: Option<&[&str]>) -> Result<Vec<Change>, DbErr>;
}

/// The documents of a row type.
pub struct DocumentsOf<M>(std::marker::PhantomData<fn() -> M>);

impl<M> DocumentsOf<M> {
    #[expect(clippy::new_ret_no_self, reason = "it is only ever used as the port")]
    pub fn new() -> Box<dyn Documents>
    where
        M: Indexed,
    {
        Box::new(Self(std::marker::PhantomData))
    }
}

#[async_trait]
impl<M: Indexed> Documents for DocumentsOf<M> {
    async fn read(&self, db: &Db, groups: Option<&[&str]>) -> Result<Vec<Change>, DbErr> {
        let all = format!("SELECT * FROM @{}", table_of::<M>());
        let Some(groups) = groups else {
            let rows = M::find_by_statement(db.statement(&all, [])).all(&db.connection).await?;
            return Ok(rows.iter().map(M::document).collect());
        };
        let mut changes = Vec::with_capacity(groups.len());
        for chunk in groups.chunks(CHUNK) {
            let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
            let sql = format!("{all} WHERE {} IN ({})", M::GROUP, places.join(", "));
            let statement = db.statement(&sql, chunk.iter().map(|group| Value::from(*group)));
            let rows = M::find_by_statement(statement).all(&db.connection).await?;
            changes.extend(rows.iter().map(M::document));
        }
        Ok(changes)
    }
}

/// Columns that hold what is personal in the clear: absent in the rows of a person who was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonalColumns {
    pub table: &'static str,
    /// The column that says whose data it is.
    pub subject: &'static str,
    pub purpose: Purpose,
    pub columns: &'static [&'static str],
    /// Those of them that a person can be looked up by: a whole value that somebody knows of them.
    pub found_by: &'static [&'static str],
}

impl PersonalColumns {
    /// SQL that cleans what is held of a person (`$1`).
    pub fn clean(&self) -> String {
        let Self { table, subject, columns, .. } = self;
        format!("UPDATE @{table} SET {} = NULL WHERE {subject} = $1", columns.join(" = NULL, "))
    }

    /// SQL that tells the table's rows of a person (`$1`), and how many of them still hold something, by column.
    pub fn left(&self) -> String {
        let Self { table, subject, columns, .. } = self;
        format!("SELECT count(*), count({}) FROM @{table} WHERE {subject} = $1", columns.join("), count("))
    }
}

/// A table of a read model, from its entity.
pub trait TableOf: Send + Sync {
    fn create(&self, db: &Db) -> Statement;
    /// Without its schema.
    fn name(&self) -> String;
    /// The column that names a row's group: what events want, and what a person looks for.
    fn group(&self) -> &'static str;
    /// The columns of its primary key, in order.
    fn keys(&self) -> Vec<String>;
}

/// The table of a row type.
pub struct TableFor<M>(std::marker::PhantomData<fn() -> M>);

impl<M> TableFor<M> {
    #[expect(clippy::new_ret_no_self, reason = "it is only ever used as the port")]
    pub fn new() -> Box<dyn TableOf>
    where
        M: Row,
    {
        Box::new(Self(std::marker::PhantomData))
    }
}

fn located(db: &Db, table: &str) -> TableRef {
    match db.backend() {
        sea_orm::DatabaseBackend::Postgres => {
            TableRef::SchemaTable(Alias::new(db.name()).into_iden(), Alias::new(table).into_iden())
        }
        _ => TableRef::Table(Alias::new(table).into_iden()),
    }
}

impl<M: Row> TableOf for TableFor<M> {
    fn create(&self, db: &Db) -> Statement {
        let mut create = Schema::new(db.backend()).create_table_from_entity(M::Entity::default());
        create.table(located(db, &table_of::<M>()));
        db.backend().build(&create)
    }

    fn name(&self) -> String {
        table_of::<M>()
    }

    fn group(&self) -> &'static str {
        M::GROUP
    }

    fn keys(&self) -> Vec<String> {
        let keys = <M::Entity as EntityTrait>::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
        keys.map(|key| key.as_str().to_owned()).collect()
    }
}

/// Rows of one type that are wanted.
struct Wanted {
    table: String,
    rows: Box<dyn AnyRows>,
    groups: HashSet<String>,
}

/// The groups of rows that events need, before they are projected.
#[derive(Default)]
pub struct Wants {
    tables: HashMap<TypeId, Wanted>,
    /// Of the last event alone.
    last: Vec<(TypeId, String)>,
}

impl Wants {
    pub fn want<M: Row>(&mut self, group: impl Into<String>) {
        let (kind, group) = (TypeId::of::<M>(), group.into());
        let wanted = self.tables.entry(kind).or_insert_with(|| Wanted {
            table: table_of::<M>(),
            rows: Box::<Rows<M>>::default(),
            groups: HashSet::new(),
        });
        wanted.groups.insert(group.clone());
        self.last.push((kind, group));
    }

    /// What is wanted from here on is of another event.
    pub(crate) fn next(&mut self) {
        self.last.clear();
    }

    /// `<table>/<group>` of each that the last event wants: what it is parked by if it fails.
    pub fn names(&self) -> BTreeSet<String> {
        let name = |(kind, group): &(TypeId, String)| {
            self.tables.get(kind).map(|wanted| format!("{}/{group}", wanted.table))
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
    /// What is not here is not in the database either.
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
    /// Those that are only added, in their order, since the last was written.
    added: Vec<M>,
}

impl<M> Default for Rows<M> {
    fn default() -> Self {
        Self { groups: HashMap::new(), added: Vec::new() }
    }
}

/// Rows of one type, whatever the type.
#[async_trait]
trait AnyRows: Send + Sync {
    /// `whole`: what is not here is not in the database either.
    async fn load(
        &mut self,
        db: &Db,
        tx: &Transaction,
        groups: HashSet<String>,
        whole: bool,
    ) -> Result<(), DbErr>;
    /// Forgets nothing, and knows that what it is asked for and has not is nowhere.
    fn assume(&mut self, groups: HashSet<String>);
    /// What writes the rows that changed.
    fn writes(&self, db: &Db, writes: &mut Vec<Write>) -> Result<(), DbErr>;
    fn is_changed(&self) -> bool;
    /// What was written is as it is in the database; how many rows there are. `keep`: or else they are forgotten.
    fn settle(&mut self, keep: bool) -> usize;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// Groups per statement: well below the number of values that either database takes.
const CHUNK: usize = 500;

/// Rows per statement.
const WRITTEN: usize = 2_000;

/// How a column's values go to PostgreSQL: all of them in one array, which costs it half of what JSON does.
struct InArray {
    /// Of the array's elements.
    sql: &'static str,
    kind: ArrayType,
    /// What stands where there is no value: arrays of the driver have none, so a second one says where that is.
    blank: Value,
}

impl InArray {
    fn of(column: &ColumnType) -> Option<Self> {
        let (sql, kind, blank) = match column {
            ColumnType::Text | ColumnType::String(_) | ColumnType::Json | ColumnType::JsonBinary => {
                ("text", ArrayType::String, "".into())
            }
            ColumnType::BigInteger => ("bigint", ArrayType::BigInt, 0_i64.into()),
            ColumnType::Integer => ("integer", ArrayType::Int, 0_i32.into()),
            ColumnType::Boolean => ("boolean", ArrayType::Bool, false.into()),
            _ => return None,
        };
        Some(Self { sql, kind, blank })
    }
}

/// The columns of a row type that PostgreSQL is given as arrays, and the SQL that makes rows of them.
struct Arrays<C> {
    columns: Vec<(C, InArray, bool)>,
}

impl<C: ColumnTrait> Arrays<C> {
    fn of(columns: &[C]) -> Result<Self, DbErr> {
        let one = |column: &C| {
            let (definition, name) = (column.def(), column.as_str());
            let array = InArray::of(definition.get_column_type()).ok_or_else(|| {
                DbErr::Custom(format!("the column {name} has a type that no array is made of"))
            })?;
            Ok((*column, array, definition.is_null()))
        };
        Ok(Self { columns: columns.iter().map(one).collect::<Result<_, DbErr>>()? })
    }

    /// What is selected, and what from.
    fn source(&self) -> (String, String) {
        let (mut all, mut arrays, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (column, array, nullable)) in self.columns.iter().enumerate() {
            let mut place = |name: String, sql: &str| {
                names.push(name);
                arrays.push(format!("${}::{sql}[]", names.len()));
            };
            place(format!("c{number}"), array.sql);
            let value = match column.def().get_column_type() {
                ColumnType::Json => format!("c{number}::json"),
                ColumnType::JsonBinary => format!("c{number}::jsonb"),
                _ => format!("c{number}"),
            };
            if *nullable {
                place(format!("n{number}"), "boolean");
                all.push(format!("CASE WHEN NOT n{number} THEN {value} END"));
            } else {
                all.push(value);
            }
        }
        (all.join(", "), format!("unnest({}) AS given({})", arrays.join(", "), names.join(", ")))
    }

    /// The values for [`Arrays::source`].
    fn values<M: ModelTrait<Entity: EntityTrait<Column = C>>>(
        &self,
        rows: &[&M],
    ) -> Result<Vec<Value>, DbErr> {
        let mut given = Vec::with_capacity(self.columns.len());
        for (column, array, nullable) in &self.columns {
            let mut absent = Vec::with_capacity(if *nullable { rows.len() } else { 0 });
            let mut values = Vec::with_capacity(rows.len());
            for row in rows {
                let value = match row.get(*column) {
                    Value::Json(Some(json)) => json.to_string().into(),
                    Value::Json(None) => Value::String(None),
                    value => value,
                };
                let there = !matches!(
                    value,
                    Value::String(None) | Value::BigInt(None) | Value::Int(None) | Value::Bool(None)
                );
                if *nullable {
                    absent.push(Value::from(!there));
                } else if !there {
                    return Err(DbErr::Custom(format!("the column {} has to have a value", column.as_str())));
                }
                values.push(if there { value } else { array.blank.clone() });
            }
            given.push(Value::Array(array.kind.clone(), Some(Box::new(values))));
            if *nullable {
                given.push(Value::Array(ArrayType::Bool, Some(Box::new(absent))));
            }
        }
        Ok(given)
    }
}

type Columns<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;

pub(crate) fn column_names<C: ColumnTrait>(columns: &[C]) -> String {
    columns.iter().map(sea_orm::IdenStatic::as_str).collect::<Vec<_>>().join(", ")
}

/// Writes rows, of which one statement has as many values as there are columns at the most, however many rows there are.
fn insert<M: Row>(columns: &[Columns<M>], (all, source): (String, String)) -> String {
    let names = column_names(columns);
    format!("INSERT INTO @{} ({names}) SELECT {all} FROM {source} WHERE true", table_of::<M>())
}

/// Like [`insert`], over rows that may be there.
fn upsert<M: Row>(columns: &[Columns<M>], source: (String, String)) -> String {
    let keys: Vec<_> =
        <M::Entity as EntityTrait>::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect();
    let keys: Vec<&str> = keys.iter().map(sea_orm::IdenStatic::as_str).collect();
    let set: Vec<String> = columns
        .iter()
        .map(sea_orm::IdenStatic::as_str)
        .filter(|name| !keys.contains(name))
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
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
            let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
            let sql =
                format!("SELECT * FROM @{} WHERE {} IN ({})", table_of::<M>(), M::GROUP, places.join(", "));
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
                writes.push(copy(db, added.into_iter())?);
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
    /// The types of rows that events ask for; others are only ever put.
    wanted: HashSet<TypeId>,
}

impl Unit {
    /// Loads what is wanted and not here yet. `whole`: what is not here is not in the database either.
    pub(crate) async fn load(
        &mut self,
        db: &Db,
        tx: &Transaction,
        wants: Wants,
        whole: bool,
    ) -> Result<(), DbErr> {
        for (kind, wanted) in wants.tables {
            self.wanted.insert(kind);
            self.tables.entry(kind).or_insert(wanted.rows).load(db, tx, wanted.groups, whole).await?;
        }
        Ok(())
    }

    /// What was written is as it is in the database, and may be used by the next batch; how many rows that are.
    pub(crate) fn settle(&mut self) -> usize {
        let wanted = &self.wanted;
        self.tables.iter_mut().map(|(kind, rows)| rows.settle(wanted.contains(kind))).sum()
    }

    /// What is wanted and not here is nowhere: all rows that there are, are here.
    pub(crate) fn assume(&mut self, wants: Wants) {
        for (kind, wanted) in wants.tables {
            self.wanted.insert(kind);
            self.tables.entry(kind).or_insert(wanted.rows).assume(wanted.groups);
        }
    }

    /// What writes what changed.
    pub(crate) fn writes(&self, db: &Db) -> Result<Vec<Write>, DbErr> {
        let mut writes = Vec::new();
        for rows in self.tables.values() {
            rows.writes(db, &mut writes)?;
        }
        Ok(writes)
    }

    /// Writes what changed.
    pub(crate) async fn store(&self, db: &Db, tx: &Transaction) -> Result<(), DbErr> {
        for write in self.writes(db)? {
            tx.write(write).await?;
        }
        Ok(())
    }

    /// Whether anything was put, added or changed.
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

    /// Changes a row that must be there.
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

    /// Puts a row where none, or another one, was.
    pub fn put<M: Row>(&mut self, row: M) {
        let (group, key) = (row.group(), row.key());
        if let Some(rows) = self.rows_mut::<M>() {
            let group = rows.groups.entry(group).or_insert_with(|| Group::new(false));
            let new = group.cells.get(&key).map_or(group.whole, |cell| cell.new);
            group.cells.insert(key, Cell { row, changed: true, new });
        }
    }

    /// Adds a row that is not there and that no event comes back to. The checkpoint that moves with it keeps anybody
    /// from adding it again.
    pub fn add<M: Row>(&mut self, row: M) {
        if let Some(rows) = self.rows_mut::<M>() {
            rows.added.push(row);
        }
    }

    /// The rows that were added and are not written yet, in their order.
    pub(crate) fn added<M: Row>(&self) -> &[M] {
        self.rows::<M>().map_or(&[], |rows| &rows.added)
    }
}

/// The text form of a stream's id, as rows hold it.
pub fn id(event: &RecordedEvent) -> String {
    written(event.stream)
}

/// An id as rows hold it. (Its `Display` takes four times as long.)
pub(crate) fn written(id: Uuid) -> String {
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

/// Reads a row by its id.
pub async fn by_id<M: Row>(db: &Db, on: &impl ConnectionTrait, id: Uuid) -> Result<Option<M>, DbErr> {
    let sql = format!("SELECT * FROM @{} WHERE id = $1", table_of::<M>());
    M::find_by_statement(db.statement(&sql, [id.to_string().into()])).one(on).await
}

/// The name of a column, as SQL has it.
pub fn column_name(column: impl Iden) -> String {
    column.to_string()
}
