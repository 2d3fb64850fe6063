//! What a projector is: a pure fold of events over rows.

use async_trait::async_trait;
use sea_orm::{DbErr, Value};
use soonshop_domain::Purpose;
use soonshop_event_log::{Db, RecordedEvent};
use soonshop_search::Change;

use crate::row::CHUNK;
use crate::row::table_of;
pub(crate) use crate::row::written;
pub use crate::row::{Row, TableFor, TableOf, by_id, column_name, id};
use crate::texts::Texts;
pub use crate::unit::{Failure, Unit, Wants};

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
