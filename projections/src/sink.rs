//! Sinks behind the rows: the search index and the cache of a generation. Each keeps its checkpoint inside itself and
//! never passes that of the rows, which it reads. When one is down, nothing else stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::ConnectionTrait as _;
use soonshop_cache::Cache;
use soonshop_event_log::follow::{Next, Source, Wait, Work, follow_alone};
use soonshop_event_log::{Checkpoint, Content, Db, Entry, Error, Stopped};
use soonshop_search::Search;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Feed;
use crate::generation::ROWS;
use crate::left_out::LeftOut;
use crate::projector::Documents;
use crate::runner::Follower;

/// The followers' names in their namespace.
pub const INDEX: &str = "index";
pub const CACHE: &str = "cache";

/// The most entries that a sink takes at once.
const PAGE: usize = 1_000;

/// How long a moved checkpoint may stay unwritten while no entry matters to the sink.
const LAZY: Duration = Duration::from_millis(200);

fn failed(error: impl std::fmt::Display) -> Stopped {
    Stopped::Log(Error::Unavailable(error.to_string()))
}

/// How often an idle sink checks that its checkpoint is still valid: in the log, and in itself.
const VERIFIED: Duration = Duration::from_secs(1);

/// The shortest and the longest pause while the rows do not move.
const LEAST: Duration = Duration::from_millis(10);
const MOST: Duration = Duration::from_millis(250);

/// The log up to the checkpoint of the rows: a sink never passes it.
struct BehindRows {
    feed: Feed,
    /// The generation's rows.
    db: Db,
}

#[async_trait]
impl Source for BehindRows {
    type Event = Entry;

    async fn after(
        &mut self,
        follower: &str,
        checkpoint: &Checkpoint,
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        let rows = Checkpoint::load(&self.db, &self.db.connection, ROWS).await?;
        let ahead = rows.map_or(0, |(rows, _)| rows.position) - checkpoint.position;
        match usize::try_from(ahead) {
            Ok(ahead) if ahead > 0 => self.feed.after(follower, checkpoint, ahead.min(most)).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn news(&mut self, position: i64) {
        self.feed.wait(position - 1).await;
    }
}

/// The progress of a sink.
struct SinkState<'a> {
    follower: &'a Follower,
    name: String,
    source: BehindRows,
    checkpoint: Checkpoint,
    /// The checkpoint that was last written into the sink, and when.
    written: (Checkpoint, Instant),
    verified: Instant,
    /// The number of the last repeated event that it has seen.
    repeated: i64,
    /// The sink was reported as running.
    running: bool,
}

/// Work of a sink besides the changes of the entries.
struct Due {
    /// Streams whose parked events were projected since the last look.
    repeated: BTreeSet<String>,
    /// It is time to compare with the checkpoint inside the sink.
    verify: bool,
}

impl<'a> SinkState<'a> {
    fn new(follower: &'a Follower, sink: &str, db: Db, checkpoint: Checkpoint, repeated: i64) -> Self {
        let now = Instant::now();
        let source = BehindRows { feed: follower.feed.clone(), db };
        let (name, written) = (follower.name(sink), (checkpoint.clone(), now));
        Self { follower, name, source, checkpoint, written, verified: now, repeated, running: false }
    }

    fn db(&self) -> &Db {
        &self.source.db
    }

    fn wrote(&mut self) {
        self.written = (self.checkpoint.clone(), Instant::now());
    }

    /// The checkpoint moved a while ago and was not written since.
    fn is_due(&self) -> bool {
        self.written.0 != self.checkpoint && self.written.1.elapsed() > LAZY
    }

    /// Moves the checkpoint over the entries; returns the other work that is due.
    async fn pass(&mut self, entries: &[Entry]) -> Result<Due, Stopped> {
        let mut due = Due { repeated: BTreeSet::new(), verify: self.verified.elapsed() > VERIFIED };
        if due.verify {
            self.verified = Instant::now();
            (self.repeated, due.repeated) = repeated(self.db(), self.repeated).await?;
        }
        match entries.last() {
            Some(last) => self.checkpoint = last.checkpoint(),
            // The log may have been restored to an older state.
            None if due.verify => {
                self.checkpoint.rows_after(self.follower.feed.log(), &self.name, 0).await?;
            }
            None => {}
        }
        Ok(due)
    }

    /// The groups of rows that the entries change.
    fn touched(&self, entries: &[Entry]) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for entry in entries {
            if let Content::Event(event) | Content::Damaged(event, _) = &entry.content
                && self.follower.projector.follows().contains(&&*entry.aggregate_type)
            {
                ids.insert(event.stream.to_string());
            }
        }
        ids
    }

    /// Reports, once, that the sink runs: when all that it has passed is written. An attempt that fails in the end
    /// reports nothing.
    async fn report_running(&mut self, sink: &str) {
        if !self.running && self.written.0 == self.checkpoint {
            self.follower.report(sink, "running", "").await;
            self.running = true;
        }
    }

    /// When to read again.
    fn next(&self, entries: &[Entry]) -> Next {
        if !entries.is_empty() {
            return Next::Read;
        }
        let position = self.checkpoint.position;
        if self.source.feed.known_head() > position || self.written.0 != self.checkpoint {
            return Next::Wait(Wait::doubling(LEAST, MOST));
        }
        Next::Wait(Wait::steady(VERIFIED).or_news_of(position + 1))
    }
}

/// The work on a search index, under one lease.
struct IndexWork<'a> {
    place: SinkState<'a>,
    search: &'a dyn Search,
    documents: Box<dyn Documents>,
    index: String,
    left_out: LeftOut,
}

#[async_trait]
impl Work for IndexWork<'_> {
    type Source = BehindRows;

    fn name(&self) -> &str {
        &self.place.name
    }

    fn source(&mut self) -> &mut BehindRows {
        &mut self.place.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        Some((self.place.checkpoint.clone(), PAGE))
    }

    async fn work(&mut self, entries: Vec<Entry>) -> Result<Next, Stopped> {
        let due = self.place.pass(&entries).await?;
        if due.verify {
            let there = self.search.checkpoint(&self.index).await.map_err(failed)?;
            let there = there.map_or_else(|| Ok(Checkpoint::start()), |text| text.parse::<Checkpoint>())?;
            if there != self.place.written.0 {
                return Err(failed(
                    "the index was lost or restored: its checkpoint is not the one that was written",
                ));
            }
        }
        let mut touched = self.place.touched(&entries);
        touched.extend(due.repeated);
        let groups: Vec<&str> = touched.iter().map(String::as_str).collect();
        let changes = self.documents.read(self.place.db(), Some(&groups)).await?;
        if !changes.is_empty() || self.place.is_due() {
            let checkpoint = self.place.checkpoint.to_string();
            self.left_out.release(self.place.db(), &changes).await?;
            let too_large = self.search.apply(&self.index, &changes, &checkpoint).await.map_err(failed)?;
            let log = self.place.follower.feed.log();
            self.left_out.note(self.place.db(), log, &too_large).await?;
            if !too_large.is_empty() {
                // Only now, so that none is left out without a word.
                self.search.apply(&self.index, &[], &checkpoint).await.map_err(failed)?;
            }
            self.place.wrote();
        }
        self.place.report_running(INDEX).await;
        Ok(self.place.next(&entries))
    }
}

/// The work on a cache, under one lease or in one process.
struct CacheWork<'a> {
    place: SinkState<'a>,
    cache: &'a dyn Cache,
    space: String,
}

#[async_trait]
impl Work for CacheWork<'_> {
    type Source = BehindRows;

    fn name(&self) -> &str {
        &self.place.name
    }

    fn source(&mut self) -> &mut BehindRows {
        &mut self.place.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        Some((self.place.checkpoint.clone(), PAGE))
    }

    async fn work(&mut self, entries: Vec<Entry>) -> Result<Next, Stopped> {
        let due = self.place.pass(&entries).await?;
        let mut changed = false;
        let keys: Vec<String> = self.place.touched(&entries).into_iter().collect();
        if !keys.is_empty() {
            let position = self.place.checkpoint.position;
            self.cache.invalidate(&self.space, &keys, position).await.map_err(failed)?;
            changed = true;
        }
        if !due.repeated.is_empty() {
            // The rows changed without a new checkpoint: only entries read above it are surely fresh.
            let db = self.place.db();
            let rows = Checkpoint::load(db, &db.connection, ROWS).await?;
            let floor = rows.map_or(0, |(rows, _)| rows.position) + 1;
            let keys: Vec<String> = due.repeated.into_iter().collect();
            self.cache.invalidate(&self.space, &keys, floor).await.map_err(failed)?;
        }
        let write = changed || self.place.is_due();
        if write || due.verify {
            // A cache that was emptied, or restored to an earlier state, has lost the written checkpoint.
            let there = self.cache.checkpoint(&self.space).await.map_err(failed)?;
            if there != Some(self.place.written.0.to_string()) {
                return Err(failed(
                    "the cache was emptied or restored: its checkpoint is not the one that was written",
                ));
            }
        }
        if write {
            let checkpoint = self.place.checkpoint.to_string();
            self.cache.set_checkpoint(&self.space, &checkpoint).await.map_err(failed)?;
            self.place.wrote();
        }
        if self.cache.shared() {
            self.place.report_running(CACHE).await;
        }
        Ok(self.place.next(&entries))
    }
}

impl Follower {
    /// Keeps the generation's search index up to date until it is stopped.
    pub async fn keep_index(&self, search: Arc<dyn Search>, stop: CancellationToken) {
        // A read model without documents has no index.
        if self.projector.searchable() {
            self.follow(INDEX, &stop, |_| Box::pin(self.begin_index(&*search))).await;
        }
        if let Err(error) = search.let_go(&self.generation.namespace()).await {
            tracing::warn!(%error, follower = self.name(INDEX), "what only one process can hold was not given up");
        }
    }

    async fn begin_index<'a>(&'a self, search: &'a dyn Search) -> Result<IndexWork<'a>, Stopped> {
        let documents = self.projector.documents();
        let documents = documents.ok_or_else(|| failed("the read model has no documents"))?;
        let db = self.generation.db(self.registry.database())?;
        let index = self.generation.namespace();
        search.create(&index).await.map_err(failed)?;
        let written = search.checkpoint(&index).await.map_err(failed)?;
        let checkpoint = written.map_or_else(|| Ok(Checkpoint::start()), |text| text.parse())?;
        // All repeated events are applied again: documents have versions, so this does no harm.
        let place = SinkState::new(self, INDEX, db, checkpoint, 0);
        let left_out = LeftOut::load(place.db()).await?;
        Ok(IndexWork { place, search, documents, index, left_out })
    }

    /// Invalidates cache entries that events change, until it is stopped. A cache of this process alone needs no
    /// lease.
    pub async fn keep_cache(&self, cache: Arc<dyn Cache>, stop: CancellationToken) {
        if cache.shared() {
            self.follow(CACHE, &stop, |_| Box::pin(self.begin_cache(&*cache))).await;
        } else {
            follow_alone(&self.name(CACHE), &stop, || Box::pin(self.begin_cache(&*cache))).await;
        }
    }

    async fn begin_cache<'a>(&'a self, cache: &'a dyn Cache) -> Result<CacheWork<'a>, Stopped> {
        let db = self.generation.db(self.registry.database())?;
        let space = self.generation.namespace();
        let (checkpoint, repeated) = match cache.checkpoint(&space).await.map_err(failed)? {
            Some(text) => (text.parse()?, 0),
            None => {
                // The cache is empty, or was lost: it has no old entries, so it begins where the rows are.
                cache.drop_space(&space).await.map_err(failed)?;
                let repeated = repeated(&db, 0).await?.0;
                let rows = Checkpoint::load(&db, &db.connection, ROWS).await?;
                let (rows, _) = rows.ok_or(Stopped::Lost)?;
                cache.set_checkpoint(&space, &rows.to_string()).await.map_err(failed)?;
                (rows, repeated)
            }
        };
        Ok(CacheWork { place: SinkState::new(self, CACHE, db, checkpoint, repeated), cache, space })
    }
}

/// The streams whose parked events were projected after that number, and the highest number.
async fn repeated(db: &Db, after: i64) -> Result<(i64, BTreeSet<String>), Stopped> {
    let sql = "SELECT number, stream FROM @repeated WHERE number > $1";
    let (mut last, mut streams) = (after, BTreeSet::new());
    for row in db.connection.query_all(db.statement(sql, [after.into()])).await? {
        last = last.max(row.try_get_by_index(0)?);
        streams.insert(row.try_get_by_index(1)?);
    }
    Ok((last, streams))
}
