//! Lists of any read model: some filters, some orders, and pages by the key of the last row, so that no row is skipped
//! or repeated, even if rows are added meanwhile.
//!
//! A cursor names the generation that it came from, and stays valid while that one exists.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sea_orm::{EntityTrait, IdenStatic as _, Iterable as _};
use serde::{Deserialize, Serialize};
use soonshop_projections::source::query_failed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param, Params, Value, refused};
use uuid::Uuid;

use super::shown::{Shown, table_of};
use super::state::{Action, Call, at_least};

const DEFAULT_LIMIT: usize = 50;

/// A page.
#[derive(Serialize)]
struct Page<V> {
    items: Vec<V>,
    /// What to send as `after` for the next page; absent on the last one.
    next: Option<String>,
}

/// The value of the sort column.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

/// Where a page ended.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    #[serde(rename = "g")]
    generation: i32,
    /// A hash of filters and order: a cursor is only valid with the same ones.
    #[serde(rename = "q")]
    query: Uuid,
    #[serde(rename = "k")]
    key: Key,
    #[serde(rename = "i")]
    id: String,
}

impl Cursor {
    fn encode(&self) -> Result<String, Problem> {
        Ok(BASE64.encode(serde_json::to_vec(self).map_err(Problem::internal)?))
    }

    fn decode(text: &str, query: Uuid, numbers: bool) -> Result<Self, Problem> {
        let bytes = BASE64.decode(text).ok();
        let cursor = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let fits = |cursor: &Self| {
            cursor.query == query
                && match &cursor.key {
                    Key::Number(_) => numbers,
                    Key::Text(text) => !numbers && !text.contains('\0'),
                }
                && !cursor.id.contains('\0')
        };
        cursor.filter(fits).ok_or_else(|| {
            refused("after", "it is not a cursor of this query: take it from the previous answer")
        })
    }
}

/// The list endpoint of a read model.
pub(crate) fn lists<M: Shown>() -> Action {
    let mut params = vec![
        Param::new("limit", Kind::Number(1, 200), "Items on a page, 50 by default."),
        Param::new(
            "after",
            Kind::Cursor,
            "`next` of the previous page, with all other parameters unchanged.",
        ),
        Param::new("sort", Kind::Order(M::MODEL.sorts), "The order; the first one where it is left out."),
    ];
    params.extend(M::MODEL.filters.iter().map(|filter| filter.param));
    Action::new(params, Described::list::<M::View>(), list::<M>)
}

/// A parameter's value in SQL.
pub(crate) fn sql_value(value: Value) -> sea_orm::Value {
    match value {
        Value::Text(text) => text.into(),
        Value::Number(number) => number.into(),
        // No filter takes it.
        Value::AsOf(_) => sea_orm::Value::BigInt(None),
    }
}

/// Conditions in SQL with their values, and a text that identifies the query in cursors.
fn conditions<M: Shown>(params: &Params) -> (Vec<String>, Vec<sea_orm::Value>, String) {
    let (mut sql, mut values, mut said) = (Vec::new(), Vec::new(), table_of::<M>());
    for filter in M::MODEL.filters {
        let default = || filter.default.map(|text| Value::Text(text.to_owned()));
        let Some(value) = params.value(filter.param.name).cloned().or_else(default) else { continue };
        said = format!("{said}&{}={value:?}", filter.param.name);
        values.push(sql_value(value));
        sql.push(filter.sql.replace('?', &format!("${}", values.len())));
    }
    (sql, values, said)
}

/// The column with this name, and whether it holds numbers.
fn column<M: Shown>(name: &str) -> Option<<M::Entity as EntityTrait>::Column> {
    <M::Entity as EntityTrait>::Column::iter().find(|column| column.as_str() == name)
}

async fn list<M: Shown>(call: Call) -> Result<Response, Problem> {
    let asked = call.params.text("sort");
    let sort = M::MODEL.sorts.iter().find(|sort| asked.is_none_or(|asked| asked == sort.name));
    let sort = sort.ok_or_else(|| Problem::internal("a list without an order"))?;
    let column = column::<M>(sort.column).ok_or_else(|| Problem::internal("an order by no column"))?;
    let (mut wheres, mut values, said) = conditions::<M>(&call.params);
    let query = Uuid::new_v5(&Uuid::nil(), format!("{said}&{}", sort.name).as_bytes());
    let numbers = {
        use sea_orm::{ColumnTrait as _, ColumnType};
        matches!(column.def().get_column_type(), ColumnType::BigInteger)
    };
    let cursor = call.params.text("after").map(|text| Cursor::decode(text, query, numbers)).transpose()?;
    let (compare, direction) = if sort.descends() { ("<", "DESC") } else { (">", "ASC") };
    let generation = cursor.as_ref().map(|cursor| cursor.generation);
    if let Some(cursor) = cursor {
        values.push(match cursor.key {
            Key::Number(number) => number.into(),
            Key::Text(text) => text.into(),
        });
        values.push(cursor.id.into());
        let (key, id) = (values.len() - 1, values.len());
        wheres.push(format!("({}, id) {compare} (${key}, ${id})", sort.column));
    }
    let limit = call.params.limit(DEFAULT_LIMIT);
    let filter = if wheres.is_empty() { String::new() } else { format!("WHERE {}", wheres.join(" AND ")) };
    let order = format!("{} {direction}, id {direction}", sort.column);
    let sql = format!("SELECT * FROM @{} {filter} ORDER BY {order} LIMIT {}", table_of::<M>(), limit + 1);

    let source = call.shared.source(M::MODEL.projection, generation).await?;
    let (position, rows) = source.rows(at_least(&call), None, &sql, &values, &order).await?;
    let more = rows.len() > limit;
    let mut items = Vec::with_capacity(rows.len().min(limit));
    let mut last = None;
    for row in rows.iter().take(limit) {
        let row = M::from_query_result(row, "").map_err(query_failed)?;
        if more && items.len() + 1 == limit {
            last = Some((row.get(column), row.key()));
        }
        items.push(row.view());
    }
    let next = match last {
        Some((key, id)) => {
            let key = match key {
                sea_orm::Value::BigInt(Some(number)) => Key::Number(number),
                sea_orm::Value::String(Some(text)) => Key::Text(*text),
                _ => return Err(Problem::internal("an order by a column that may be empty")),
            };
            Some(Cursor { generation: source.generation.number, query, key, id }.encode()?)
        }
        None => None,
    };
    call.page(position, &Page { items, next: next.clone() }, next.as_deref())
}
