//! All events that a search finds, page by page, at one position of the log: the source of exports, over HTTP and at
//! the command line.

use std::collections::{BTreeMap, BTreeSet};

use soonshop_domain::QueryError;
use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::source::{At, Source, query_failed};
use tokio_util::task::AbortOnDropHandle;

use crate::changes::{self, Gatherer};
use crate::entry::Entry;
use crate::export::{Column, Export, Format, Order, Scope, Separator, Written};
use crate::filter::Filter;
use crate::names::Namer;
use crate::operations;
use crate::reading::CsvShape;
use crate::search::Search;
use crate::sorting::Sorting;

/// Rows read per query.
const PAGE: usize = 1_000;

/// The changes of each event: path, before and after of each field, as JSON.
const CHANGES: Column = ("changes", "/changes");

/// The columns of CSV.
const COLUMNS: &[Column] = &[
    ("position", "/position"),
    ("recorded_at", "/recorded_at"),
    ("occurred_at", "/occurred_at"),
    ("type", "/type"),
    ("event_version", "/event_version"),
    ("aggregate_type", "/aggregate_type"),
    ("name", "/name"),
    ("aggregate_id", "/aggregate_id"),
    ("version", "/version"),
    ("context", "/context"),
    ("actor_kind", "/actor/kind"),
    ("actor_name", "/actor/name"),
    ("actor_id", "/actor/id"),
    ("on_behalf_of", "/on_behalf_of"),
    ("channel", "/channel"),
    ("command_type", "/command_type"),
    ("command_id", "/command_id"),
    ("correlation_id", "/correlation_id"),
    ("causation_id", "/causation_id"),
    ("reason_code", "/reason_code"),
    ("has_note", "/has_note"),
    ("subject", "/subject"),
    ("id", "/id"),
    ("names", "/names"),
    CHANGES,
    ("summary", "/summary"),
];

/// The columns of CSV whose cells hold JSON.
const JSON: &[&str] = &[
    "position",
    "event_version",
    "version",
    "has_note",
    "names",
    CHANGES.0,
    "summary",
    "has_reason",
    "detail",
];

/// The exports in CSV that can be read back: the columns of every file that a release wrote.
pub fn csv_shape() -> CsvShape {
    let of_trail = [true, false].into_iter().flat_map(|changes| [columns(changes), without_names(changes)]);
    CsvShape { columns: of_trail.chain([operations::columns()]).collect(), json: JSON }
}

/// The parameter that leaves out what each event changed.
pub const WITHOUT_CHANGES: &str = "changes";

/// The parameter that names the separator of CSV.
pub const SEPARATOR: &str = "separator";

/// The columns with or without what each event changed.
fn columns(changes: bool) -> Vec<Column> {
    COLUMNS.iter().filter(|column| changes || **column != CHANGES).copied().collect()
}

/// The columns of files that earlier releases wrote, which had no names.
fn without_names(changes: bool) -> Vec<Column> {
    let named = ["/name", "/actor/name", "/names"];
    columns(changes).into_iter().filter(|(_, pointer)| !named.contains(pointer)).collect()
}

/// A search, its filters, and the options of a listing.
pub struct ListingRequest {
    search: Search,
    pub(crate) filter: BTreeMap<String, String>,
    /// With what each event changed.
    pub(crate) changes: bool,
    /// Read from an export file.
    pub(crate) of_file: bool,
    /// Between the cells of CSV.
    pub separator: Separator,
}

impl ListingRequest {
    /// The listing of a filter. `said` is the request by parameter, for the manifest.
    pub fn new(
        filter: &Filter,
        message: impl IntoIterator<Item = (String, String)>,
        changes: bool,
    ) -> Result<Self, QueryError> {
        let search = Search::of(filter)?;
        let narrows = |name: &str| !["order", "sort", SEPARATOR].contains(&name);
        let filter = message.into_iter().filter(|(name, _)| narrows(name)).collect();
        Ok(Self { search, filter, changes, of_file: false, separator: Separator::default() })
    }

    /// Parses names and typed values.
    pub fn of(pairs: &[(&str, &str)]) -> Result<Self, QueryError> {
        let message = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let changes = |name: &str| name == WITHOUT_CHANGES;
        let narrow: Vec<_> = pairs.iter().copied().filter(|(name, _)| !changes(name)).collect();
        Self::new(&Filter::read(&narrow)?, message, narrow.len() == pairs.len())
    }

    /// The filters for the record of operations, which holds nothing personal: of texts, which may be names, only their
    /// number.
    pub fn recorded(&self) -> serde_json::Value {
        let (texts, terms): (Vec<_>, Vec<_>) =
            self.search.understood.iter().partition(|term| term.starts_with('"'));
        let mut filter = self.filter.clone();
        filter.retain(|name, value| !["q", "file.q"].contains(&name.as_str()) && !value.is_empty());
        serde_json::json!({ "terms": terms, "texts": texts.len(), "parameters": filter })
    }
}

/// The found events in ascending order.
pub struct Listing<'a> {
    source: Source,
    request: &'a ListingRequest,
    search: Search,
    changes: Gatherer,
    names: Namer,
    head: Option<i64>,
    /// The next page, read while the changes of the current one are looked up.
    ahead: Option<AbortOnDropHandle<PageResult>>,
    reached: Option<i64>,
    ended: bool,
}

impl<'a> Listing<'a> {
    /// Reads the generation in use once it is past a position, if one is given; adds from the log what each event
    /// changed.
    pub async fn open(
        registry: &Registry,
        log: &EventLog,
        request: &'a ListingRequest,
        reached: Option<i64>,
    ) -> Result<Self, QueryError> {
        let source = Source::of(registry, "audit", None).await?;
        let changes = Gatherer::for_many_lists(log);
        let mut search = request.search.clone().ascending();
        search.load_parked(registry).await?;
        search.locate(&source).await?;
        let names = Namer::new(registry, request.of_file);
        Ok(Self { source, request, search, changes, names, head: None, ahead: None, reached, ended: false })
    }

    /// The next page; an empty one is the end. Events added after the first page was read are left out.
    pub async fn next(&mut self) -> Result<Vec<Entry>, QueryError> {
        if self.ended {
            return Ok(Vec::new());
        }
        let (position, mut entries) = match self.ahead.take() {
            Some(page) => page.await.map_err(QueryError::internal)??,
            None => page(self.source.clone(), self.search.clone(), self.reached).await?,
        };
        let head = *self.head.get_or_insert(position);
        self.ended = entries.len() < PAGE;
        entries.retain(|entry| entry.position <= head);
        self.ended |= entries.is_empty();
        self.reached = entries.last().map(|entry| entry.position);
        if !self.ended {
            let following = page(self.source.clone(), self.search.clone(), self.reached);
            self.ahead = Some(AbortOnDropHandle::new(tokio::spawn(following)));
        }
        match (self.request.changes, self.request.of_file) {
            (true, true) => changes::read_back(&self.source, &mut entries).await?,
            (true, false) => self.changes.add_to(&mut entries).await?,
            (false, _) => {}
        }
        self.names.add_to(&mut entries).await?;
        Ok(entries)
    }

    /// The same listing, without events after a position.
    #[must_use]
    pub fn up_to(self, position: i64) -> Self {
        Self { head: Some(position), ..self }
    }

    /// The position of the log at which it is read, once a page was read.
    pub fn head(&self) -> i64 {
        self.head.unwrap_or(0)
    }
}

/// Events, and the position of the trail.
type PageResult = Result<At<Vec<Entry>>, QueryError>;

/// The first events found beyond a position.
async fn page(source: Source, search: Search, reached: Option<i64>) -> PageResult {
    let read = async |piece: Search, limit| {
        let (sql, values) = piece.sql(limit);
        source.read(&sql, values, piece.order()).await
    };
    let (position, rows) = search.beyond(reached).gather(&source, PAGE, read).await?;
    Ok((position, rows.iter().map(Entry::read).collect::<Result<_, _>>()?))
}

/// How far the trail has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    pub position: i64,
    /// Positions up to there that are parked, and so are in no listing.
    pub parked: BTreeSet<i64>,
}

impl Reached {
    /// The state of the generation in use at one moment.
    pub async fn read(registry: &Registry) -> Result<Self, QueryError> {
        let source = Source::of(registry, "audit", None).await?;
        let (position, rows) = source.read("SELECT position FROM @parked", Vec::new(), "position").await?;
        let parked = rows.iter().map(|row| row.try_get("", "position").map_err(query_failed));
        Ok(Self { position, parked: parked.collect::<Result<_, _>>()? })
    }
}

/// The numbers of rows in the order of their times; equal ones in the order of the rows, or all of them the other way
/// round.
fn by_time(times: &[i64], ascends: bool) -> Vec<usize> {
    let mut sequence: Vec<usize> = (0..times.len()).collect();
    sequence.sort_by_key(|row| times[*row]);
    if !ascends {
        sequence.reverse();
    }
    sequence
}

/// Everything that is found, as a file, masked for a role. `goes_on` is called after each page, and can end it.
///
/// It is read in ascending order whatever the order of the file, so that each history is folded only once.
pub async fn export<E: From<QueryError>>(
    registry: &Registry,
    log: &EventLog,
    request: &ListingRequest,
    format: Format,
    role: &str,
    mut goes_on: impl FnMut(u64) -> Result<(), E>,
) -> Result<Written, E> {
    let mut listing = Listing::open(registry, log, request, None).await?;
    let columns = columns(request.changes);
    let Search { sorting, ascends, .. } = request.search;
    let mut times = Vec::new();
    let (mut export, mut count) = (Export::begin(format, columns).separated(request.separator), 0);
    let mut page = listing.next().await?;
    while !page.is_empty() {
        count += page.len() as u64;
        if sorting == Sorting::Occurred {
            times.extend(page.iter().map(|entry| entry.occurred_at.timestamp_micros()));
        }
        // One page is written while the changes of the next one are looked up.
        let adding = tokio::task::spawn_blocking(move || {
            page.iter().try_for_each(|entry| export.add(entry)).map(|()| export)
        });
        let (added, following) = tokio::join!(adding, listing.next());
        export = added.map_err(QueryError::internal)?.map_err(QueryError::internal)?;
        page = following?;
        goes_on(count)?;
    }
    let listed = Scope {
        of: None,
        filter: request.filter.clone(),
        order: if ascends { "asc" } else { "desc" }.to_owned(),
        sort: (sorting == Sorting::Occurred).then(|| Sorting::NAMES[1].to_owned()),
        head: listing.head(),
        role: role.to_owned(),
    };
    let order = match (sorting, ascends) {
        (Sorting::Recorded, true) => Order::AsAdded,
        (Sorting::Recorded, false) => Order::LastFirst,
        (Sorting::Occurred, _) => Order::Sequence(by_time(&times, ascends)),
    };
    // The rows may have to be turned round, and their file be read once more.
    let finishing = tokio::task::spawn_blocking(move || export.finish(listed, order));
    Ok(finishing.await.map_err(QueryError::internal)?.map_err(QueryError::internal)?)
}
