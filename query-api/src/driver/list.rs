//! Lists of any read model: some filters, some orders, and pages by the key of the last row, so that no row is skipped
//! or repeated, even if rows are added meanwhile.
//!
//! A page has a bound of bytes as well as of rows: rows are read in parts, and a page ends where it is full.
//!
//! A cursor names the generation that it came from, and stays valid while that one exists.
//!
//! Where the order is by a value that changes, such as the available stock, a row could move past a page. So a cursor
//! also names the position at which the first page was read: rows that changed since then are left out where they
//! stood, and listed at the end, on pages that say so.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sea_orm::{EntityTrait, IdenStatic as _, Iterable as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use soonshop_event_log::quoted;
use soonshop_projections::source::{Source, query_failed};
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param, Params, Sort, Value, refused};
use soonshop_service_kit::problem::Kind as ProblemKind;
use soonshop_service_kit::work::Price;
use uuid::Uuid;

use super::personal;
use super::shown::{Shown, own_rows, table_of};
use super::state::{Action, Call, at_least};

const DEFAULT_LIMIT: usize = 50;

const ZONE: Param = Param::new(
    "tz",
    Kind::Zone,
    "The time zone in which days begin: an IANA name such as Europe/London; UTC where it is left out.",
);

/// The most bytes of the items on a page, unless a single one is larger: a page may end before its limit.
pub(crate) const MOST_BYTES: usize = 1 << 20;

/// The rows that are read at first, to learn how large the rows of this list are.
const FIRST_ROWS: usize = 20;

/// A page.
#[derive(Serialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    /// Send this as `after` for the next page; absent on the last one.
    next: Option<String>,
    /// These rows changed after the first page was read: they may have been listed before, with other values.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    changed: bool,
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
    /// The position at which the first page was read, where the order is by a value that changes.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    began: Option<i64>,
    /// Only the rows that changed since then are left, in the order of their ids.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    changed: bool,
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
        Param::new(
            "limit",
            Kind::Number(1, 200),
            "Items on a page, 50 by default. A page of large items ends sooner.",
        ),
        Param::new(
            "after",
            Kind::Cursor,
            "`next` of the previous page, with all other parameters unchanged.",
        ),
        Param::new("sort", Kind::Order(M::MODEL.sorts), "The order; the first one where it is left out."),
    ];
    params.extend(M::MODEL.filters.iter().map(|filter| filter.param));
    params.extend(M::MODEL.together.iter().flat_map(|together| together.params));
    if params.iter().any(|param| matches!(param.kind, Kind::Time)) {
        params.push(ZONE);
    }
    let described = Described::list::<M::View>();
    let described = if M::MODEL.changing.is_empty() { described } else { described.that_changes() };
    // The generation of a cursor can be gone.
    Action::new(params, described, list::<M>).refuses([ProblemKind::Gone]).costs(price)
}

/// A short page in the usual order is read from an index; any other may read many rows.
fn price(params: &Params) -> Price {
    let short = params.only(&["limit", "after"]) && params.limit(DEFAULT_LIMIT) <= DEFAULT_LIMIT;
    if short { Price::Low } else { Price::Query }
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

/// Adds the conditions of the filters in SQL with their values; returns a text that identifies the query in cursors.
fn conditions<M: Shown>(params: &Params, sql: &mut Vec<String>, values: &mut Vec<sea_orm::Value>) -> String {
    let mut message = table_of::<M>();
    for filter in M::MODEL.filters {
        let default = || filter.default.map(|text| Value::Text(text.to_owned()));
        let Some(value) = params.value(filter.param.name).cloned().or_else(default) else { continue };
        message = format!("{message}&{}={value:?}", filter.param.name);
        values.push(sql_value(value));
        sql.push(filter.sql.replace('?', &format!("${}", values.len())));
    }
    for param in M::MODEL.together.iter().flat_map(|together| together.params) {
        if let Some(value) = params.value(param.name) {
            message = format!("{message}&{}={value:?}", param.name);
        }
    }
    message
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
    let (mut wheres, mut values) = (Vec::new(), Vec::new());
    let rows =
        M::MODEL.together.as_ref().and_then(|together| (together.rows)(&call.params, sort, &mut values));
    let rows = rows.unwrap_or_else(|| format!("@{}", table_of::<M>()));
    let message = conditions::<M>(&call.params, &mut wheres, &mut values);
    if let Some((own, id)) = own_rows::<M>(&call) {
        values.push(id.into());
        wheres.push(format!("({})", own.replace('?', &format!("${}", values.len()))));
    }
    let query = Uuid::new_v5(&Uuid::nil(), format!("{message}&{}", sort.name).as_bytes());
    let numbers = {
        use sea_orm::{ColumnTrait as _, ColumnType};
        matches!(column.def().get_column_type(), ColumnType::BigInteger)
    };
    let cursor = call.params.text("after").map(|text| Cursor::decode(text, query, numbers)).transpose()?;
    let generation = cursor.as_ref().map(|cursor| cursor.generation);
    let source = call.shared.source(M::MODEL.projection, generation).await?;
    let narrowed = Narrowed { rows, wheres, values };
    let listed = Listed::<M> { source, narrowed, sort, column, columns: columns::<M>() };
    let generation = listed.source.generation.number;
    let changes = M::MODEL.changing.contains(&sort.column);
    let changed = cursor.as_ref().is_some_and(|cursor| cursor.changed);
    let mut began = cursor.as_ref().and_then(|cursor| cursor.began);
    let limit = call.params.limit(DEFAULT_LIMIT);
    let (mut from, mut items, mut bytes, mut read_at) = (cursor, Vec::new(), 0, None);
    let next = loop {
        let part = listed.part(&call, from.as_ref(), room(limit, items.len(), bytes)).await?;
        let position = *read_at.get_or_insert(part.position);
        let (mut last, mut full) = (None, false);
        for (item, key, id) in part.rows {
            let length = item.get().len();
            full = !items.is_empty() && bytes + length > MOST_BYTES;
            if full {
                break;
            }
            bytes += length;
            items.push(item);
            last = Some((key, id));
        }
        if !full && !part.more {
            // The rows that changed while the others were listed are left.
            break match began.filter(|_| !changed) {
                Some(began) if listed.narrowed.has_changed(&listed.source, began).await? => {
                    let key = if numbers { Key::Number(0) } else { Key::Text(String::new()) };
                    let (id, began) = (String::new(), Some(began));
                    Some(Cursor { generation, query, key, id, began, changed: true })
                }
                _ => None,
            };
        }
        began = began.or_else(|| changes.then_some(position));
        let after = |(key, id)| Cursor { generation, query, key, id, began, changed };
        from = last.map(after).or(from);
        if full || items.len() >= limit {
            break from;
        }
    };
    let next = next.map(|cursor| cursor.encode()).transpose()?;
    call.page(read_at.unwrap_or(0), &Page { items, next: next.clone(), changed }, next.as_deref())
}

/// How many rows to read next: as many as are likely to fit.
fn room(limit: usize, items: usize, bytes: usize) -> usize {
    let left = limit.saturating_sub(items).max(1);
    match bytes.checked_div(items) {
        Some(each) => left.min((MOST_BYTES.saturating_sub(bytes) / each.max(1)).max(1)),
        None => left.min(FIRST_ROWS),
    }
}

/// The columns of a row in a list, in SQL.
fn columns<M: Shown>() -> String {
    let column = |column: <M::Entity as EntityTrait>::Column| {
        let name = column.as_str();
        match M::MODEL.shortened.iter().find(|(long, _)| *long == name) {
            Some((long, short)) => format!("{short} AS {long}"),
            None => quoted(name),
        }
    };
    <M::Entity as EntityTrait>::Column::iter().map(column).collect::<Vec<_>>().join(", ")
}

/// The filters of a list, and its order.
struct Listed<M: Shown> {
    source: Source,
    narrowed: Narrowed,
    sort: &'static Sort,
    column: <M::Entity as EntityTrait>::Column,
    columns: String,
}

/// Rows of a list, with the values by which the next ones are found.
struct Part {
    position: i64,
    rows: Vec<(Box<RawValue>, Key, String)>,
    /// There are rows after these.
    more: bool,
}

impl<M: Shown> Listed<M> {
    /// At most so many of the rows after a cursor.
    async fn part(&self, call: &Call, from: Option<&Cursor>, most: usize) -> Result<Part, Problem> {
        let (compare, direction) = if self.sort.descends() { ("<", "DESC") } else { (">", "ASC") };
        let changed = from.is_some_and(|cursor| cursor.changed);
        let mut page = self.narrowed.clone();
        let order = if changed {
            "id ASC".to_owned()
        } else {
            format!("{} {direction}, id {direction}", self.sort.column)
        };
        if let Some(cursor) = from {
            if let Some(began) = cursor.began {
                page.must(if changed { "position > ?" } else { "position <= ?" }, began);
            }
            if changed {
                page.must("id > ?", cursor.id.as_str());
            } else {
                page.values.push(match &cursor.key {
                    Key::Number(number) => (*number).into(),
                    Key::Text(text) => text.as_str().into(),
                });
                let key = page.values.len();
                page.must(&format!("({}, id) {compare} (${key}, ?)", self.sort.column), cursor.id.as_str());
            }
        }
        let (sql, values) = page.sql(&self.columns, &format!("ORDER BY {order} LIMIT {}", most + 1));
        let (position, found) = self.source.rows(at_least(call), None, &sql, &values, &order).await?;
        let mut rows = Vec::with_capacity(found.len().min(most));
        for row in found.iter().take(most) {
            let row = M::from_query_result(row, "").map_err(query_failed)?;
            let key = match row.get(self.column) {
                sea_orm::Value::BigInt(Some(number)) => Key::Number(number),
                sea_orm::Value::String(Some(text)) => Key::Text(*text),
                _ => return Err(Problem::internal("an order by a column that may be empty")),
            };
            let id = row.key();
            let mut view = row.view();
            personal::in_list(call, M::personal(&mut view));
            rows.push((serde_json::value::to_raw_value(&view).map_err(Problem::internal)?, key, id));
        }
        Ok(Part { position, rows, more: found.len() > most })
    }
}

/// The rows of a list, as far as the parameters narrow them.
#[derive(Clone)]
struct Narrowed {
    rows: String,
    wheres: Vec<String>,
    values: Vec<sea_orm::Value>,
}

impl Narrowed {
    /// Adds a condition, with `?` in place of its value.
    fn must(&mut self, condition: &str, value: impl Into<sea_orm::Value>) {
        self.values.push(value.into());
        self.wheres.push(condition.replace('?', &format!("${}", self.values.len())));
    }

    fn sql(&self, columns: &str, ending: &str) -> (String, Vec<sea_orm::Value>) {
        let filter = if self.wheres.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.wheres.join(" AND "))
        };
        (format!("SELECT {columns} FROM {} {filter} {ending}", self.rows), self.values.clone())
    }

    /// Whether any of them changed after a position.
    async fn has_changed(&self, source: &Source, began: i64) -> Result<bool, Problem> {
        let mut changed = self.clone();
        changed.must("position > ?", began);
        let (sql, values) = changed.sql("1 AS one", "LIMIT 1");
        Ok(!source.plain(&sql, values).await?.is_empty())
    }
}
