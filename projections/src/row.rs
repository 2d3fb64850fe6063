//! The rows of a read model, and the tables that they are in.

use sea_orm::sea_query::{Alias, IntoIden, TableRef};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityName as _, EntityTrait, FromQueryResult, IdenStatic as _,
    Iterable as _, ModelTrait, PrimaryKeyToColumn, Schema, Statement,
};
use serde::Serialize;
use soonshop_event_log::{Db, RecordedEvent, quoted};
use uuid::Uuid;

/// A row of a read model. Rows are loaded, and parked, by group: one column whose value every event can name.
pub trait Row:
    ModelTrait<Entity: Default> + FromQueryResult + Serialize + Clone + PartialEq + Send + Sync + 'static
{
    /// The column that holds the group.
    const GROUP: &'static str;
    fn group(&self) -> String;
    /// The row's key within its group.
    fn key(&self) -> String;
}

pub(crate) fn table_of<M: Row>() -> String {
    M::Entity::default().table_name().to_owned()
}

/// A table of a read model, from its entity.
pub trait TableOf: Send + Sync {
    fn create(&self, db: &Db) -> Statement;
    /// Without the schema.
    fn name(&self) -> String;
    /// The column that holds the group of a row: events ask for rows by it, and look-ups use it.
    fn group(&self) -> &'static str;
    /// The columns of its primary key, in order.
    fn keys(&self) -> Vec<String>;
    /// All of its columns, as the entity has them.
    fn columns(&self) -> Vec<String>;
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

    fn columns(&self) -> Vec<String> {
        let columns = <M::Entity as EntityTrait>::Column::iter();
        columns.map(|column| column.as_str().to_owned()).collect()
    }
}

/// Groups per statement: well below the number of values that both databases allow.
pub(crate) const CHUNK: usize = 500;

pub(crate) fn column_names<C: ColumnTrait>(columns: &[C]) -> String {
    columns.iter().map(|column| quoted(column.as_str())).collect::<Vec<_>>().join(", ")
}

/// The text form of a stream's id, as rows hold it.
pub fn id(event: &RecordedEvent) -> String {
    written(event.stream)
}

/// An id as rows hold it. (Its `Display` is four times slower.)
pub(crate) fn written(id: Uuid) -> String {
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

/// Reads a row by its id.
pub async fn by_id<M: Row>(db: &Db, on: &impl ConnectionTrait, id: Uuid) -> Result<Option<M>, DbErr> {
    let sql = format!("SELECT * FROM @{} WHERE id = $1", table_of::<M>());
    M::find_by_statement(db.statement(&sql, [id.to_string().into()])).one(on).await
}
