//! The projector: a pure fold of events over rows.

use async_trait::async_trait;
use sea_orm::{DbErr, Value};
use soonshop_domain::Purpose;
use soonshop_event_log::{Db, RecordedEvent, places, quoted};
use soonshop_search::Change;

use crate::row::CHUNK;
use crate::row::table_of;
pub(crate) use crate::row::written;
pub use crate::row::{Row, TableFor, TableOf, by_id, id};
use crate::texts::Texts;
pub use crate::unit::{Failure, Unit, Wants};

/// A fold of events over rows. It uses nothing but the unit: no clock, no other service.
pub trait Projector: Send + Sync + 'static {
    /// The read model's name, in lower case: part of its namespaces.
    fn name(&self) -> &'static str;
    /// The version of the logic: a projector with other output for the same events is another version.
    fn version(&self) -> i32;
    /// The version of the tables.
    fn shape(&self) -> i32;
    /// The aggregate types that it follows; events of other types are skipped undecoded.
    fn follows(&self) -> &'static [&'static str];
    /// The tables to create; their indexes are built later, when there is something to index.
    fn tables(&self) -> Vec<Box<dyn TableOf>>;
    fn indexes(&self) -> &'static [&'static str] {
        &[]
    }
    /// Whether it only ever adds rows: then no event reads or changes a row.
    fn only_adds(&self) -> bool {
        false
    }
    /// Names the groups of rows that the event reads or writes.
    fn wants(&self, event: &RecordedEvent, wants: &mut Wants);
    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure>;
    /// The columns of its rows that hold personal values.
    fn personal(&self) -> &'static [PersonalColumns] {
        &[]
    }
    /// The columns of its rows that hold names by which people ask for an aggregate.
    fn names(&self) -> &'static [NameColumn] {
        &[]
    }
    /// The search documents of its rows; `None`: it has no search index.
    fn documents(&self) -> Option<Box<dyn Documents>> {
        None
    }
    fn searchable(&self) -> bool {
        self.documents().is_some()
    }
    /// The texts of its rows that a full-text search looks in.
    fn texts(&self) -> Option<Box<dyn Texts>> {
        None
    }
}

/// Rows that have a document in the search index.
pub trait Indexed: Row {
    /// The change of the index for this row; the document's id is the row's group.
    fn document(&self) -> Change;
}

/// The search documents of a read model, from its rows.
#[async_trait]
pub trait Documents: Send + Sync {
    /// The documents of these groups; of all rows if `groups` is `None`.
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
            let sql = format!("{all} WHERE {} IN ({})", quoted(M::GROUP), places(1, chunk.len()));
            let statement = db.statement(&sql, chunk.iter().map(|group| Value::from(*group)));
            let rows = M::find_by_statement(statement).all(&db.connection).await?;
            changes.extend(rows.iter().map(M::document));
        }
        Ok(changes)
    }
}

/// Columns that hold personal values in the clear: absent in the rows of an erased person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonalColumns {
    pub table: &'static str,
    /// The column with the data subject.
    pub subject: &'static str,
    pub purpose: Purpose,
    pub columns: &'static [&'static str],
    /// The columns by which a person can be looked up, with the exact value.
    pub found_by: &'static [&'static str],
}

/// A column that holds a name of an aggregate, which is no personal value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameColumn {
    pub table: &'static str,
    /// The type of the aggregates, and the column with their ids.
    pub aggregate_type: &'static str,
    pub id: &'static str,
    /// The column with the name, and what kind of name it is: `number`, `sku` or `name`.
    pub column: &'static str,
    pub kind: &'static str,
    /// The name is a text in which capital and small letters are the same. Otherwise it is compared as a code: as it
    /// was typed, in capital letters, and in small ones.
    pub is_text: bool,
}

impl PersonalColumns {
    /// SQL that removes the personal values of a data subject (`$1`).
    pub fn clean(&self) -> String {
        let Self { table, subject, .. } = self;
        format!("UPDATE @{table} SET {} = NULL WHERE {} = $1", self.columns(" = NULL, "), quoted(subject))
    }

    /// SQL that counts the rows of a data subject (`$1`), and per column those that still hold a value.
    pub fn left(&self) -> String {
        let Self { table, subject, .. } = self;
        let counts = self.columns("), count(");
        format!("SELECT count(*), count({counts}) FROM @{table} WHERE {} = $1", quoted(subject))
    }

    fn columns(&self, between: &str) -> String {
        self.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(between)
    }
}
