//! The changes that each event of a list made to its aggregate, with the values before and after. They are folded from
//! the log on request, by the code that decides commands, and shown through the redactor. They are never stored.
//!
//! A list covers many streams, and several versions of some. All missing events are read in a few queries; each stream
//! is folded once, and only up to its last version in the list.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sea_orm::Value as SqlValue;
use serde_json::Value;
use soonshop_domain::QueryError;
use soonshop_event_log::history::{self, History, PageSize};
use soonshop_event_log::{Content, EventLog, RecordedEvent, Span, places};
use soonshop_projections::source::{Source, query_failed};

use crate::diff::{Change, between};
use crate::entry::{Changed, Entry};
use crate::reader::{ChangesFrom, Reader};
use crate::redactor::{Redacted, Redactor, Visibility};

/// Events read per query.
const AT_ONCE: i64 = 5_000;

/// The most events to read for one page of the timeline, or for one message to followers: a list must be fast, and
/// readers must not slow down writers.
pub const FOR_PAGE: i64 = 5_000;
pub const FOR_MESSAGE: i64 = 1_000;

/// How much of the streams is kept from one page of an export to the next: the number of folded events, plus a fixed
/// amount for each stream.
const MOST_KEPT: i64 = 200_000;
const APIECE: i64 = 20;

/// Adds to each entry what its event changed. Where the log or its keys cannot be read, the page is shown without.
pub async fn add_to(reader: &Reader, entries: &mut [Entry], most: i64) -> Result<(), QueryError> {
    match reader.changes {
        ChangesFrom::Nowhere => return Ok(()),
        ChangesFrom::Rows => return read_back(&reader.source().await?, entries).await,
        ChangesFrom::Log => {}
    }
    match Gatherer::for_one_list(&reader.log, most).add_to(entries).await {
        Err(error) if error.retry_after().is_some() => {
            tracing::warn!(%error, "the timeline is shown without changes");
            Ok(())
        }
        other => other,
    }
}

/// The table with the changes of an export file, in the read model of its rows. An entry without a row has no changes.
pub const TABLE: &str = "CREATE TABLE @changes (position BIGINT PRIMARY KEY, changes TEXT NOT NULL)";

/// Adds to each entry the changes that the file states.
pub async fn read_back(source: &Source, entries: &mut [Entry]) -> Result<(), QueryError> {
    for page in entries.chunks_mut(1_000) {
        let places = places(1, page.len());
        let sql = format!("SELECT position, changes FROM @changes WHERE position IN ({places})");
        let positions: Vec<SqlValue> = page.iter().map(|entry| entry.position.into()).collect();
        let mut changes_by_position = HashMap::new();
        for row in source.plain(&sql, positions).await? {
            let read = || Ok((row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<String>(1)?));
            let (position, changes) = read().map_err(query_failed)?;
            changes_by_position
                .insert(position, serde_json::from_str(&changes).map_err(QueryError::internal)?);
        }
        for entry in page {
            entry.changes =
                changes_by_position.remove(&entry.position).map_or(Changed::Unknown, Changed::These);
        }
    }
    Ok(())
}

/// A stream, folded up to some version.
struct Folded {
    history: Box<dyn History>,
    version: i64,
    /// The state with its personal values still encrypted; `None` when it is not fully known.
    state: Option<Value>,
    /// When it was last used.
    used: u64,
}

impl Folded {
    /// Applies the next event. If it is `wanted`, returns what it changed.
    fn take(&mut self, event: Arc<RecordedEvent>, required: bool) -> Result<Option<Vec<Change>>, QueryError> {
        let known = self.state.take();
        if !required {
            self.apply(event)?;
            return Ok(None);
        }
        let (before, after, whole) = match self.history.around(&event.event)? {
            Some(before) => {
                self.apply(Arc::clone(&event))?;
                let gone = || QueryError::internal("the state before this event is not known any more");
                (before, self.history.around(&event.event)?.ok_or_else(gone)?, false)
            }
            None => {
                let before = known.map_or_else(|| self.history.encrypted(), Ok)?;
                self.apply(event)?;
                (before, self.history.encrypted()?, true)
            }
        };
        let redactor = Redactor::new(Visibility::Masked, self.history.decrypted());
        let mut changes = between(&before, &after, &redactor);
        for change in &mut changes {
            change.before = change.before.take().map(Redacted::without_number);
            change.after = change.after.take().map(Redacted::without_number);
        }
        self.state = whole.then_some(after);
        Ok(Some(changes))
    }

    fn apply(&mut self, event: Arc<RecordedEvent>) -> Result<(), QueryError> {
        self.history.apply(event)?;
        self.version += 1;
        Ok(())
    }
}

/// A stream that is being read for a list.
struct Reading {
    kind: String,
    id: String,
    folded: Folded,
    /// The versions of it that are in the list, in order, with their index in the list.
    required: VecDeque<(i64, usize)>,
    last: i64,
    /// Its history cannot be read.
    unreadable: bool,
}

impl Reading {
    /// How many events of it are still to be read.
    fn missing(&self) -> i64 {
        if self.unreadable { 0 } else { self.last - self.folded.version }
    }

    fn take(&mut self, content: Content, entries: &mut [Entry]) {
        let Content::Event(event) = content else {
            self.unreadable = true;
            return;
        };
        if self.unreadable || event.version != self.folded.version + 1 {
            self.unreadable = true;
            return;
        }
        let (version, id) = (event.version, event.event_id.to_string());
        let required = self.required.pop_front_if(|(required, _)| *required == version);
        // A row whose id differs belongs to a read model that was built from another history.
        let required = required.filter(|(_, at)| version > 1 && entries[*at].id == id);
        match self.folded.take(event, required.is_some()) {
            Ok(changes) => {
                if let Some(((_, at), changes)) = required.zip(changes) {
                    entries[at].changes = Changed::These(changes);
                }
            }
            Err(error) => {
                tracing::warn!(%error, causes = error.causes(), kind = self.kind, id = self.id, "a history cannot be folded");
                self.unreadable = true;
            }
        }
    }
}

/// Finds what the events of lists changed.
pub struct Gatherer {
    log: EventLog,
    /// The most events to read for a list; `None`: no limit, and states are kept for the next list.
    most: Option<i64>,
    at_once: i64,
    most_kept: i64,
    kept: HashMap<(String, String), Folded>,
    weight: i64,
    now: u64,
}

impl Gatherer {
    pub fn for_one_list(log: &EventLog, most: i64) -> Self {
        Self { most: Some(most), ..Self::for_many_lists(log) }
    }

    /// For lists whose events come in ascending order.
    pub fn for_many_lists(log: &EventLog) -> Self {
        Self {
            log: log.clone(),
            most: None,
            at_once: AT_ONCE,
            most_kept: MOST_KEPT,
            kept: HashMap::new(),
            weight: 0,
            now: 0,
        }
    }

    pub async fn add_to(&mut self, entries: &mut [Entry]) -> Result<(), QueryError> {
        self.now += 1;
        let mut readings = self.begin(entries);
        if let Some(most) = self.most {
            // The shortest first, so that most rows get their changes.
            readings.sort_by_key(Reading::missing);
            let mut sum = 0;
            readings.retain(|reading| {
                sum += reading.missing();
                sum <= most
            });
        }
        let mut size = PageSize::up_to(self.at_once);
        loop {
            let (requested, spans): (Vec<usize>, Vec<_>) =
                spans(&readings, size.events()).into_iter().unzip();
            if spans.is_empty() {
                break;
            }
            let requested: Vec<_> = requested.into_iter().zip(spans.iter().map(|span| span.upto)).collect();
            let rows = self.log.spans(&spans).await?;
            size.next(&rows);
            let places: HashMap<(&str, &str), usize> =
                (0..).zip(&readings).map(|(at, one)| ((one.kind.as_str(), one.id.as_str()), at)).collect();
            let at: Vec<Option<usize>> = rows
                .iter()
                .map(|row| places.get(&(row.aggregate_type.as_str(), row.aggregate_id.as_str())).copied())
                .collect();
            let read = self.log.decode(rows).await?;
            for (number, (at, entry)) in at.into_iter().zip(read).enumerate() {
                if let Some(at) = at {
                    readings[at].take(entry.content, entries);
                }
                if number % 32 == 31 {
                    // Folding computes: other requests have their turn in between.
                    tokio::task::yield_now().await;
                }
            }
            for (at, upto) in requested {
                // An event that is missing from the log now will be missing next time, too.
                readings[at].unreadable |= readings[at].folded.version < upto;
            }
        }
        if self.most.is_none() {
            self.keep(readings);
        }
        Ok(())
    }

    /// The streams of a list, each from where it was left, or from its start.
    fn begin(&mut self, entries: &mut [Entry]) -> Vec<Reading> {
        let mut streams: HashMap<(String, String), Vec<(i64, usize)>> = HashMap::new();
        for (at, entry) in entries.iter_mut().enumerate() {
            entry.changes = Changed::Unknown;
            let stream = (entry.aggregate_type.clone(), entry.aggregate_id.clone());
            streams.entry(stream).or_default().push((entry.version, at));
        }
        let mut readings = Vec::with_capacity(streams.len());
        for (stream, mut required) in streams {
            required.sort_unstable();
            let (first, last) = (required[0].0, required[required.len() - 1].0);
            // A first version has nothing before it, so its stream need not be read.
            let Some(begin) = history::of(&stream.0).filter(|_| last > 1) else { continue };
            let kept = self.evict(&stream).filter(|kept| kept.version < first);
            let folded =
                kept.unwrap_or_else(|| Folded { history: begin(), version: 0, state: None, used: 0 });
            let (kind, id) = stream;
            readings.push(Reading { kind, id, folded, required: required.into(), last, unreadable: false });
        }
        readings
    }

    fn evict(&mut self, stream: &(String, String)) -> Option<Folded> {
        let folded = self.kept.remove(stream)?;
        self.weight -= folded.version + APIECE;
        Some(folded)
    }

    /// Keeps the folded streams; when there are too many, drops the half that was unused for longest.
    fn keep(&mut self, readings: Vec<Reading>) {
        for Reading { kind, id, mut folded, unreadable, .. } in readings {
            if let Slot::Vacant(place) = self.kept.entry((kind, id))
                && !unreadable
            {
                folded.used = self.now;
                self.weight += folded.version + APIECE;
                place.insert(folded);
            }
        }
        if self.weight <= self.most_kept {
            return;
        }
        let mut ages: Vec<(u64, i64)> =
            self.kept.values().map(|one| (one.used, one.version + APIECE)).collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        let mut sum = 0;
        let young = ages.iter().take_while(|(_, weight)| {
            sum += weight;
            sum <= self.most_kept / 2
        });
        let oldest = young.last().map_or(self.now, |(used, _)| *used);
        self.kept.retain(|_, folded| folded.used > oldest || folded.used == self.now);
        self.weight = self.kept.values().map(|folded| folded.version + APIECE).sum();
    }
}

/// The spans to read next: the missing events of each stream, as far as there is room.
fn spans(readings: &[Reading], at_once: i64) -> Vec<(usize, Span<'_>)> {
    let (mut room, mut spans) = (at_once, Vec::new());
    for (at, reading) in readings.iter().enumerate() {
        let length = reading.missing().min(room);
        if length > 0 {
            room -= length;
            let above = reading.folded.version;
            spans.push((at, Span { kind: &reading.kind, stream: &reading.id, above, upto: above + length }));
        }
    }
    spans
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;
    use soonshop_domain::product::{Command, Details, Product, Variant};
    use soonshop_domain::text::Sku;
    use soonshop_domain::{Currency, Metadata, Money, ids};
    use soonshop_event_log::{Database, DatabaseLocation, KeyStore, MasterKeys};
    use soonshop_event_store::{CommandContext, EventStore, KeyMaker};
    use soonshop_migrations::Namespace;
    use uuid::Uuid;

    use super::*;
    use crate::trail::Stream;

    pub(crate) async fn store(folder: &std::path::Path) -> EventStore {
        let database = Database::new(DatabaseLocation::Sqlite(folder.to_owned()));
        for namespace in Namespace::ALL {
            let connection = database.namespace(namespace.name()).unwrap().connection;
            soonshop_migrations::migrate(namespace, &connection).await.unwrap();
        }
        let file = folder.join("master.key");
        MasterKeys::create(&file).unwrap();
        let masters = MasterKeys::read(&file).unwrap();
        let keys = KeyMaker::new(KeyStore::new(database.namespace("keys").unwrap(), masters));
        keys.prepare(&database.namespace("log").unwrap()).await.unwrap();
        EventStore::open(&database, keys).unwrap()
    }

    pub(crate) async fn done(store: &EventStore, id: Uuid, command: Command) {
        let context = CommandContext::new(ids::new(), vec![7; 32], Metadata::default());
        store.execute::<Product>(id, command, context).await.unwrap();
    }

    /// Products whose prices change in turns, the first most often: all events, and what each of them changed.
    async fn history(store: &EventStore) -> (Vec<Value>, Vec<Changed>) {
        let products: Vec<_> = (0..5).map(|number| (ids::new(), number)).collect();
        let sku = |number: i64| Sku::try_new(&format!("sku-{number}")).unwrap();
        for (id, number) in &products {
            let variants = vec![Variant { sku: sku(*number), price: None }];
            let details = Details { name: format!("P{number}"), ..Details::default() };
            done(store, *id, Command::Create { details, variants }).await;
        }
        for round in 1..=12 {
            for (id, number) in products.iter().filter(|(_, number)| round % (number + 1) == 0) {
                let price = Money::new(round, Currency::GBP);
                done(store, *id, Command::SetPrice { sku: sku(*number), price }).await;
            }
        }
        let (mut rows, mut expected) = (Vec::new(), Vec::new());
        for event in store.log().read(1, 1_000).await.unwrap() {
            let id = event.aggregate_id.parse().unwrap();
            let stream = Stream::read(store.log(), "product", id).await.unwrap().unwrap();
            let mut trail = stream.trail(event.sequence, event.sequence - 1, None).unwrap();
            let changes = std::mem::take(&mut trail.diff.changes);
            expected.push(if event.sequence == 1 { Changed::Unknown } else { Changed::These(changes) });
            rows.push(json!({
                "position": event.position, "id": event.event_id, "aggregate_type": "product",
                "aggregate_id": id, "version": event.sequence, "context": "product", "type": event.event_type,
                "event_version": 1, "recorded_at": event.recorded_at, "occurred_at": event.occurred_at,
                "has_note": false, "summary": {},
            }));
        }
        (rows, expected)
    }

    fn entries(rows: &[Value]) -> Vec<Entry> {
        rows.iter().map(|row| serde_json::from_value(row.clone()).unwrap()).collect()
    }

    fn changes_of(entries: Vec<Entry>) -> Vec<Changed> {
        entries.into_iter().map(|entry| entry.changes).collect()
    }

    #[tokio::test]
    async fn changes_do_not_depend_on_read_size_or_kept_states() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let (rows, expected) = history(&store).await;
        assert!(
            rows.len() > 25
                && expected.iter().filter(|one| **one != Changed::Unknown).count() == rows.len() - 5
        );
        // Every event, every second one, and only the last ones: the versions between are skipped.
        for (every, from) in [(1, 0), (2, 1), (3, 20)] {
            let thinned = |at: &usize| *at >= from && at.is_multiple_of(every);
            let rows: Vec<_> =
                (0..).zip(&rows).filter(|(at, _)| thinned(at)).map(|(_, row)| row.clone()).collect();
            let expected: Vec<_> =
                (0..).zip(&expected).filter(|(at, _)| thinned(at)).map(|(_, one)| one).collect();
            for page in [1, 3, 7, 1_000] {
                for at_once in [1, 4, AT_ONCE] {
                    for most_kept in [0, 60, MOST_KEPT] {
                        let many = Gatherer::for_many_lists(store.log());
                        let mut gatherer = Gatherer { at_once, most_kept, ..many };
                        let mut found = Vec::new();
                        for piece in rows.chunks(page) {
                            let mut list = entries(piece);
                            gatherer.add_to(&mut list).await.unwrap();
                            found.extend(changes_of(list));
                            let weight: i64 = gatherer.kept.values().map(|one| one.version + APIECE).sum();
                            assert_eq!(gatherer.weight, weight);
                            assert!(
                                page > 1 || weight <= most_kept.max(APIECE + 13),
                                "{weight} of {most_kept}"
                            );
                        }
                        assert!(
                            found.iter().eq(expected.iter().copied()),
                            "{every} {page} {at_once} {most_kept}"
                        );
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn a_history_too_long_for_a_page_does_not_hide_the_changes_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let (rows, expected) = history(&store).await;
        // Thirteen events of the first product, seven of the second, five, four and three of the others.
        for (most, left) in [(32, 5), (31, 4), (12, 3), (11, 2), (2, 0)] {
            let mut list = entries(&rows);
            list.reverse();
            Gatherer::for_one_list(store.log(), most).add_to(&mut list).await.unwrap();
            list.reverse();
            let of: std::collections::BTreeSet<_> = list
                .iter()
                .filter(|one| one.changes != Changed::Unknown)
                .map(|one| one.aggregate_id.clone())
                .collect();
            assert_eq!(of.len(), left, "{most}");
            for (found, expected) in
                list.iter().zip(&expected).filter(|(one, _)| of.contains(&one.aggregate_id))
            {
                assert_eq!(&found.changes, expected);
            }
        }
    }

    #[tokio::test]
    async fn a_row_without_its_event_in_the_log_has_no_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let (mut rows, expected) = history(&store).await;
        let last = rows.len() - 1;
        rows[last]["id"] = json!(Uuid::nil());
        rows[last - 1]["version"] = json!(4_711);
        rows[last - 2]["aggregate_id"] = json!(Uuid::nil());
        rows[last - 3]["aggregate_type"] = json!("payment");
        let mut list = entries(&rows);
        Gatherer::for_many_lists(store.log()).add_to(&mut list).await.unwrap();
        let found = changes_of(list);
        assert!(found[last - 3..].iter().all(|one| *one == Changed::Unknown));
        assert_eq!(found[..last - 3], expected[..last - 3]);
    }
}
