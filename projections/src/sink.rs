//! Sinks behind the rows: the search index and the cache of a generation. Each keeps its own checkpoint inside itself
//! and never passes that of the rows, which it reads; when it is down, nothing else stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use soonshop_cache::Cache;
use soonshop_event_log::{Checkpoint, Content, Db, Entry, Error, Stopped};
use soonshop_search::Search;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::runner::{Follower, ROWS};

/// The followers' names in their namespace.
pub const INDEX: &str = "index";
pub const CACHE: &str = "cache";

/// The most entries that a sink takes at once.
const PAGE: usize = 1_000;

/// How long a checkpoint may stay unwritten while nothing of interest happens.
const LAZY: Duration = Duration::from_millis(200);

fn failed(error: impl std::fmt::Display) -> Stopped {
    Stopped::Log(Error::Unavailable(error.to_string()))
}

/// How often a sink that has nothing to do looks whether its checkpoint still stands: in the log, and in itself.
const VERIFIED: Duration = Duration::from_secs(1);

/// The shortest and the longest pause while the rows have not come further.
const LEAST: Duration = Duration::from_millis(10);
const MOST: Duration = Duration::from_millis(250);

/// Where a sink is.
struct Place {
    db: Db,
    checkpoint: Checkpoint,
    /// What it has written into itself, and when.
    written: (Checkpoint, Instant),
    verified: Instant,
    pause: Duration,
    /// The last of what was projected after its turn that it has seen.
    repeated: i64,
}

impl Place {
    fn new(db: Db, checkpoint: Checkpoint, repeated: i64) -> Self {
        let now = Instant::now();
        Self { db, written: (checkpoint.clone(), now), checkpoint, verified: now, pause: LEAST, repeated }
    }

    fn wrote(&mut self) {
        self.written = (self.checkpoint.clone(), Instant::now());
    }

    /// The checkpoint moved a while ago, and was not written since.
    fn is_due(&self) -> bool {
        self.written.0 != self.checkpoint && self.written.1.elapsed() > LAZY
    }
}

/// What a sink gets to see next.
struct Next {
    /// Never more than the rows have seen.
    entries: Vec<Entry>,
    /// What changed out of turn, as far as anything did.
    repeated: BTreeSet<String>,
    /// It is time to compare with what is written in the sink.
    verify: bool,
}

impl Follower {
    /// Keeps the generation's search index up to date until told to stop.
    pub async fn keep_index(&self, search: Arc<dyn Search>, stop: CancellationToken) {
        self.hold(INDEX, &stop, |_| Box::pin(self.follow_index(&*search, &stop))).await;
        if let Err(error) = search.let_go(&self.generation.namespace()).await {
            tracing::warn!(%error, follower = self.name(INDEX), "what only one process can hold was not given up");
        }
    }

    async fn follow_index(&self, search: &dyn Search, stop: &CancellationToken) -> Result<(), Stopped> {
        let Some(documents) = self.projector.documents() else { return Ok(()) };
        let db = self.generation.db(self.registry.database())?;
        let index = self.generation.namespace();
        search.create(&index).await.map_err(failed)?;
        let written = search.checkpoint(&index).await.map_err(failed)?;
        let checkpoint = written.map_or_else(|| Ok(Checkpoint::start()), |text| text.parse())?;
        // All that was ever repeated is done again: documents have versions.
        let mut place = Place::new(db, checkpoint, 0);
        let mut running = false;
        while !stop.is_cancelled() {
            let next = self.next(INDEX, &mut place).await?;
            if !running {
                self.report(INDEX, "running", "").await;
                running = true;
            }
            if next.verify {
                let there = search.checkpoint(&index).await.map_err(failed)?;
                let there =
                    there.map_or_else(|| Ok(Checkpoint::start()), |text| text.parse::<Checkpoint>())?;
                if there != place.written.0 {
                    return Err(failed("the index is not what was written: it was lost, or restored"));
                }
            }
            let mut touched = self.touched(&next.entries);
            touched.extend(next.repeated);
            let groups: Vec<&str> = touched.iter().map(String::as_str).collect();
            let changes = documents.read(&place.db, Some(&groups)).await?;
            if !changes.is_empty() || place.is_due() {
                search.apply(&index, &changes, &place.checkpoint.to_string()).await.map_err(failed)?;
                place.wrote();
            }
            if next.entries.is_empty() {
                self.rest(&mut place, stop).await;
            }
        }
        Ok(())
    }

    /// Invalidates what events change in the cache, until told to stop. A cache of this process alone needs no lease.
    pub async fn keep_cache(&self, cache: Arc<dyn Cache>, stop: CancellationToken) {
        if cache.shared() {
            self.hold(CACHE, &stop, |_| Box::pin(self.follow_cache(&*cache, &stop))).await;
            return;
        }
        let mut pause = Duration::from_millis(50);
        while !stop.is_cancelled() {
            let began = Instant::now();
            if let Err(stopped) = self.follow_cache(&*cache, &stop).await {
                if began.elapsed() > Duration::from_secs(5) {
                    pause = Duration::from_millis(50);
                }
                tracing::warn!(follower = self.name(CACHE), reason = %stopped, "stopped; trying again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
                }
            }
        }
    }

    async fn follow_cache(&self, cache: &dyn Cache, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = self.generation.db(self.registry.database())?;
        let space = self.generation.namespace();
        let mut place = match cache.checkpoint(&space).await.map_err(failed)? {
            Some(text) => Place::new(db, text.parse()?, 0),
            None => {
                // Empty, or lost: nothing in it may be old, so it begins where the rows are.
                cache.drop_space(&space).await.map_err(failed)?;
                let repeated = repeated(&db, 0).await?.0;
                let rows = Checkpoint::load(&db, &db.connection, ROWS).await?;
                let (rows, _) = rows.ok_or(Stopped::Lost)?;
                cache.set_checkpoint(&space, &rows.to_string()).await.map_err(failed)?;
                Place::new(db, rows, repeated)
            }
        };
        let mut running = !cache.shared();
        while !stop.is_cancelled() {
            let next = self.next(CACHE, &mut place).await?;
            if !running {
                self.report(CACHE, "running", "").await;
                running = true;
            }
            let mut changed = false;
            let keys: Vec<String> = self.touched(&next.entries).into_iter().collect();
            if !keys.is_empty() {
                cache.invalidate(&space, &keys, place.checkpoint.position).await.map_err(failed)?;
                changed = true;
            }
            if !next.repeated.is_empty() {
                // The rows changed at a checkpoint that they already had: only what is read above it is new for sure.
                let rows = Checkpoint::load(&place.db, &place.db.connection, ROWS).await?;
                let floor = rows.map_or(0, |(rows, _)| rows.position) + 1;
                let keys: Vec<String> = next.repeated.into_iter().collect();
                cache.invalidate(&space, &keys, floor).await.map_err(failed)?;
            }
            let write = changed || place.is_due();
            if write || next.verify {
                // A cache that was emptied meanwhile, or came back as it was earlier, does not have what was written.
                let there = cache.checkpoint(&space).await.map_err(failed)?;
                if there != Some(place.written.0.to_string()) {
                    return Err(failed("the cache is not what was written: it was emptied, or restored"));
                }
            }
            if write {
                cache.set_checkpoint(&space, &place.checkpoint.to_string()).await.map_err(failed)?;
                place.wrote();
            }
            if next.entries.is_empty() {
                self.rest(&mut place, stop).await;
            }
        }
        Ok(())
    }

    /// Moves the place on, and says what is there to do.
    async fn next(&self, sink: &str, place: &mut Place) -> Result<Next, Stopped> {
        let rows = Checkpoint::load(&place.db, &place.db.connection, ROWS).await?;
        let ahead = rows.map_or(0, |(rows, _)| rows.position) - place.checkpoint.position;
        let mut next = Next { entries: Vec::new(), repeated: BTreeSet::new(), verify: false };
        if place.verified.elapsed() > VERIFIED {
            (place.verified, next.verify) = (Instant::now(), true);
        }
        if next.verify {
            (place.repeated, next.repeated) = repeated(&place.db, place.repeated).await?;
        }
        if next.verify && ahead <= 0 {
            // The log may have gone back to an older state.
            place.checkpoint.rows_after(self.feed.log(), &self.name(sink), 0).await?;
        }
        if ahead > 0 {
            let most = usize::try_from(ahead).unwrap_or(PAGE).min(PAGE);
            next.entries = self.feed.after(&self.name(sink), &place.checkpoint, most).await?;
        }
        if let Some(last) = next.entries.last() {
            (place.checkpoint, place.pause) = (last.checkpoint(), LEAST);
        }
        Ok(next)
    }

    /// The groups of rows that the entries change.
    fn touched(&self, entries: &[Entry]) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for entry in entries {
            if let Content::Event(event) | Content::Damaged(event, _) = &entry.content
                && self.projector.follows().contains(&&*entry.aggregate_type)
            {
                ids.insert(event.stream.to_string());
            }
        }
        ids
    }

    async fn rest(&self, place: &mut Place, stop: &CancellationToken) {
        let behind =
            self.feed.known_head() > place.checkpoint.position || place.written.0 != place.checkpoint;
        let pause = if behind { place.pause } else { VERIFIED };
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.feed.wait(place.checkpoint.position), if !behind => place.pause = LEAST,
            () = tokio::time::sleep(pause) => place.pause = (place.pause * 2).min(MOST),
        }
    }
}

/// The streams whose rows changed out of turn after that number, and the last number there is.
async fn repeated(db: &Db, after: i64) -> Result<(i64, BTreeSet<String>), Stopped> {
    let sql = "SELECT number, stream FROM @repeated WHERE number > $1";
    let (mut last, mut streams) = (after, BTreeSet::new());
    for row in db.connection.query_all(db.statement(sql, [after.into()])).await? {
        last = last.max(row.try_get_by_index(0)?);
        streams.insert(row.try_get_by_index(1)?);
    }
    Ok((last, streams))
}
