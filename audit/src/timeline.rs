//! The timeline of the audit trail: all events of all aggregates, as far as a search narrows them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::QueryError;
use soonshop_projections::source::query_failed;
use soonshop_projections::wait::AtLeast;
use utoipa::ToSchema;

use crate::entry::Entry;
use crate::filter::Filter;
use crate::groups::{self, Group, Groups};
use crate::reader::Reader;
use crate::search::Search;
use crate::{changes, names};

/// A row of the timeline.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = TimelineItem)]
pub enum Item {
    Event(Box<Entry>),
    /// With `group=1`.
    Command(Group),
}

/// A page of the timeline.
#[derive(Serialize, ToSchema)]
pub struct Page {
    /// In the requested order.
    pub items: Vec<Item>,
    /// The terms of `q`, in their normal form.
    pub understood: Vec<String>,
    /// Where the next page begins: send it as `past`; or, with `sort=recorded`, as `before`, or as `after` in the order
    /// `asc`.
    pub next: Option<i64>,
    /// When the row after the last one was recorded.
    #[serde(skip)]
    pub beyond: Option<DateTime<Utc>>,
}

/// How the timeline is listed.
#[derive(Debug, Clone, Copy)]
pub struct ListOptions {
    /// Rows on a page.
    pub limit: usize,
    /// One row for each command, with its direct effects.
    pub by_command: bool,
}

/// One page, and the position at which it was read.
pub async fn find(
    reader: &Reader,
    at_least: Option<AtLeast>,
    filter: &Filter,
    listed: ListOptions,
) -> Result<(i64, Page), QueryError> {
    let search = searched(reader, filter).await?;
    let limit = listed.limit;
    if listed.by_command {
        let found = groups::find(reader, at_least, &search, limit).await?;
        let (position, Groups { items, next, beyond }) = found;
        let items = items.into_iter().map(Item::Command).collect();
        return Ok((position, Page { items, understood: search.understood, next, beyond }));
    }
    let (position, mut items) = read(reader, at_least, &search, limit + 1).await?;
    let mut beyond = items.get(limit).map(|entry| entry.recorded_at);
    items.truncate(limit);
    changes::add_to(reader, &mut items, changes::FOR_PAGE).await?;
    names::add_to(reader, &mut items).await?;
    let fit = fit(&items)?;
    beyond = items.get(fit).map(|entry| entry.recorded_at).or(beyond);
    items.truncate(fit);
    let next = items.last().filter(|_| beyond.is_some()).map(|entry| entry.position);
    let items = items.into_iter().map(|entry| Item::Event(Box::new(entry))).collect();
    Ok((position, Page { items, understood: search.understood, next, beyond }))
}

/// The most bytes of the events on a page, unless a single one is larger: a page may end before its limit.
const MOST_BYTES: usize = 1 << 20;

/// How many of the events fit on a page.
fn fit(items: &[Entry]) -> Result<usize, QueryError> {
    let mut bytes = 0;
    for (number, entry) in items.iter().enumerate() {
        bytes += serde_json::to_vec(entry).map_err(QueryError::internal)?.len();
        if bytes > MOST_BYTES && number > 0 {
            return Ok(number);
        }
    }
    Ok(items.len())
}

/// The search of a filter, with everything looked up that it needs.
async fn searched(reader: &Reader, filter: &Filter) -> Result<Search, QueryError> {
    let mut search = Search::of(filter)?;
    search.load_parked(&reader.registry).await?;
    search.load_past(reader).await?;
    Ok(search)
}

/// The first matching events, and the position at which they were read.
pub async fn read(
    reader: &Reader,
    at_least: Option<AtLeast>,
    search: &Search,
    limit: usize,
) -> Result<(i64, Vec<Entry>), QueryError> {
    let source = &reader.source().await?;
    let read = |piece: Search, limit| async move {
        let (sql, values) = piece.sql(limit);
        source.rows(at_least, None, &sql, &values, piece.order()).await
    };
    let (position, rows) = search.gather(source, limit, read).await?;
    Ok((position, rows.iter().map(Entry::read).collect::<Result<_, _>>()?))
}

/// The most events to count: a larger number is of no use, and counting takes long.
const MOST_COUNTED: i64 = 10_000;

/// How many events match; `None`: more than are counted.
pub async fn count(reader: &Reader, filter: &Filter) -> Result<Option<i64>, QueryError> {
    let mut search = searched(reader, &filter.everywhere()).await?;
    let source = reader.source().await?;
    search.locate(&source).await?;
    let mut count = 0;
    for piece in search.pieces() {
        let (filter, values) = piece.filter();
        let most = MOST_COUNTED + 1 - count;
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM @audit {filter} LIMIT {most}) counted");
        for row in source.plain(&sql, values).await? {
            count += row.try_get_by_index::<i64>(0).map_err(query_failed)?;
        }
        if count > MOST_COUNTED {
            return Ok(None);
        }
    }
    Ok(Some(count))
}
