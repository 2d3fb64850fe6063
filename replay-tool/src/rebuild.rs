//! `rebuild`: makes a new generation, folds the log into it chunk by chunk, and hands it over to a worker with its
//! version. However it is interrupted, the next call continues after the last chunk.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use soonshop_event_log::{Entry, Lease};
use soonshop_projections::generation::State as GenerationState;
use soonshop_projections::runner::{Fold, Poison, ROWS, Readers};
use soonshop_projections::runs::{NewRun, Progress, RunRequest, State};
use soonshop_projections::sink::{CACHE, INDEX};
use soonshop_projections::{Generation, Projector};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use crate::fold::{CHUNK, KEPT, Pages};
use crate::output::Line;
use crate::record::write_down;
use crate::sentences::Word;
use crate::{Ended, Failure, Outcome, Sentence, Tool, exit};

/// The options of a rebuild.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone)]
pub struct Options {
    pub projection: String,
    /// Start a new rebuild, even if one could be resumed.
    pub fresh: bool,
    /// Events per transaction.
    pub chunk: usize,
    /// The most positions per second.
    pub max_rate: Option<i64>,
    /// Slow down while the generation in use falls behind.
    pub yield_to_live: bool,
    /// Stop there instead of at the head; the generation stays unfinished.
    pub until: Option<i64>,
    pub poison: Poison,
    /// Refuse if the projector does not handle an event of a type that it follows.
    pub fail_unhandled: bool,
    /// Keep the generation up to date afterwards, until stopped.
    pub tail: bool,
    pub reason: Option<String>,
}

impl Options {
    /// The default options for a read model.
    pub fn new(projection: &str) -> Self {
        Self {
            projection: projection.to_owned(),
            fresh: false,
            chunk: CHUNK,
            max_rate: None,
            yield_to_live: false,
            until: None,
            poison: Poison::Park,
            fail_unhandled: false,
            tail: false,
            reason: None,
        }
    }
}

/// How often a run reports its progress and reads requests to it.
const BEAT: Duration = Duration::from_millis(250);

/// When the generation in use is this many seconds behind, a rebuild that yields slows down.
const LIVE_LAG: f64 = 1.0;

/// How long to wait for a worker to take over the generation.
const HANDOVER: Duration = Duration::from_secs(8);

/// Keeps a rate of positions per second.
struct Pace {
    limit: Option<i64>,
    since: Instant,
    passed: i64,
    /// When the last chunk was started.
    let_through: Instant,
    /// The most by which a chunk was late.
    late: Duration,
}

impl Pace {
    fn new(limit: Option<i64>) -> Self {
        let now = Instant::now();
        Self { limit, since: now, passed: 0, let_through: now, late: Duration::ZERO }
    }

    fn set(&mut self, limit: Option<i64>) {
        if self.limit != limit {
            *self = Self::new(limit);
        }
    }

    /// When the next chunk may begin.
    fn after(&mut self, positions: i64) -> Option<Instant> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        self.passed += positions;
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        let due = Duration::from_secs_f64(self.passed as f64 / limit as f64);
        let due = self.since + due;
        self.late = self.late.max(Instant::now().saturating_duration_since(due));
        Some(due)
    }

    /// Its progress and the time since the limit was set.
    fn summary(&self) -> serde_json::Value {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.limit.map_or(serde_json::Value::Null, |limit| {
            json!({
                "limit": limit, "positions": self.passed,
                "milliseconds": milliseconds(self.let_through - self.since), "late_milliseconds": milliseconds(self.late),
            })
        })
    }
}

/// A rebuild in progress.
struct Work<'a> {
    tool: &'a Tool,
    options: &'a Options,
    projector: Arc<dyn Projector>,
    generation: Generation,
    run: i64,
    progress: Progress,
    began: Instant,
    began_at: i64,
    beat: Instant,
    pace: Pace,
    /// The requested limit, while yielding has lowered it.
    max_rate: Option<i64>,
    lag_checked_at: Instant,
    /// It was cancelled by request.
    cancelled: bool,
}

/// Rebuilds a read model.
pub async fn rebuild(tool: &Tool, options: &Options) -> Outcome {
    let projector = tool.projector(&options.projection)?;
    if options.chunk == 0 || options.max_rate.is_some_and(|rate| rate <= 0) {
        return Err(Failure::Usage(Sentence::AtLeastOne));
    }
    if options.fail_unhandled {
        let unhandled = crate::plan::unhandled(tool, &projector).await?;
        if !unhandled.is_empty() {
            let names: Vec<_> = unhandled.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            return Err(Failure::Refused(Sentence::Unhandled { names: names.join(", ") }));
        }
    }
    let (ended, generation) = tool
        .under_generation_lease(&options.projection, Box::pin(rebuild_under_lease(tool, options, &projector)))
        .await?;
    if options.tail && options.until.is_none() {
        // Keeping it up to date does not need the lease for changing generations, which verify and swap need.
        let Generation { projection, number, .. } = generation.clone();
        tool.out.say(&Sentence::Following { projection, number });
        tail(tool, &projector, &generation).await;
    }
    Ok(ended)
}

/// An interrupted rebuild of this version; or a new generation.
async fn resume_or_create(
    tool: &Tool,
    options: &Options,
    projector: &Arc<dyn Projector>,
) -> Result<(Generation, bool), Failure> {
    let all = tool.registry.all(Some(&options.projection)).await?;
    let unfinished = all.into_iter().rev().find(|known| {
        known.state == GenerationState::Building
            && !known.active
            && known.generation.version == projector.version()
            && known.generation.shape == projector.shape()
    });
    if let Some(known) = unfinished {
        if !options.fresh {
            return Ok((known.generation, true));
        }
        crate::swap::drop_generation(tool, &known.generation, crate::swap::WhyRetired::BegunAnew).await?;
    }
    Ok((tool.registry.create_held(&**projector, &tool.holder).await?, false))
}

async fn rebuild_under_lease(
    tool: &Tool,
    options: &Options,
    projector: &Arc<dyn Projector>,
) -> Result<(Ended, Generation), Failure> {
    crate::swap::sweep(tool, projector).await?;
    let (generation, resumed) = resume_or_create(tool, options, projector).await?;
    let beginning = NewRun {
        verb: "rebuild",
        projection: &options.projection,
        generation: Some(generation.number),
        actor: crate::ACTOR,
        limit_rate: options.max_rate,
    };
    let run = tool.runs.begin(&beginning).await?;
    let detail = json!({ "run": run, "generation": generation.number, "version": generation.version, "resumed": resumed });
    let done = tool.done("rebuild", &generation, detail, options.reason.as_deref()).await?;
    write_down(tool, &done).await?;
    let now = Instant::now();
    let mut work = Work {
        tool,
        options,
        projector: Arc::clone(projector),
        generation,
        run,
        progress: Progress::default(),
        began: now,
        began_at: 0,
        beat: now,
        pace: Pace::new(options.max_rate),
        max_rate: options.max_rate,
        lag_checked_at: now,
        cancelled: false,
    };
    tool.stop.saves(true);
    let outcome = Box::pin(work.all(resumed)).await;
    let (state, result) = match &outcome {
        Ok(ended) => (State::Done, ended.summary.clone()),
        Err(failure @ (Failure::Interrupted { .. } | Failure::TimedOut { .. })) => {
            (State::Interrupted, failure.message())
        }
        Err(failure @ Failure::Refused(_)) if work.cancelled => (State::Cancelled, failure.message()),
        Err(failure @ Failure::Refused(_)) => (State::Refused, failure.message()),
        Err(failure) => (State::Failed, failure.message()),
    };
    tool.out.finish();
    tool.runs.end(run, state, Some(&result)).await?;
    if outcome.is_err() {
        let (position, projection) = (work.progress.position, options.projection.clone());
        tool.out.say(&Sentence::SavedAt { position, run, projection });
    } else {
        // Later steps, such as a comparison, cannot be resumed.
        tool.stop.saves(false);
    }
    Ok((outcome?, work.generation))
}

impl Work<'_> {
    fn name(&self) -> String {
        format!("{} v{}", self.generation.projection, self.generation.number)
    }

    async fn all(&mut self, resumed: bool) -> Outcome {
        let tool = self.tool;
        let follower = tool.follower(&self.projector, &self.generation);
        let leases = follower.leases();
        // A new generation is held since it was made. A worker with this version may have gone on with one that is
        // resumed: it waits until this is done.
        let rows = follower.name(ROWS);
        let lease = match leases.acquire(&rows).await? {
            Ok(lease) => lease,
            Err(_worker) => leases.take(&rows).await?,
        };
        let kept = lease.clone();
        let outcome = {
            let work = self.fold(&follower, &lease, resumed);
            tokio::select! {
                outcome = work => outcome,
                lost = leases.keep(&kept) => Err(lost.into()),
            }
        };
        // Rows first: another worker can take them over while the other sinks are completed.
        leases.release(&lease).await?;
        outcome?;
        if self.options.until.is_some() {
            let position = self.progress.position;
            tool.out.say(&Sentence::StoppedAt { name: self.name(), position });
            return Ok(self.ended("until", None));
        }
        Box::pin(self.sinks(&follower)).await?;
        tool.registry.complete(&self.generation).await?;
        let keeper = self.handover().await?;
        if keeper.is_none() && !self.options.tail {
            let version = self.generation.version;
            tool.out.warn(Sentence::NoWorkerFor { name: self.name(), version });
        }
        Ok(self.ended("caught_up", keeper))
    }

    fn ended(&self, result: &str, keeper: Option<String>) -> Ended {
        let seconds = self.began.elapsed().as_secs_f64();
        let Progress { position, folded, skipped, parked, .. } = self.progress;
        let warnings = self.tool.out.warnings();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a rate")]
        let rate = ((position - self.began_at) as f64 / seconds.max(0.001)) as i64;
        let summary = json!({
            "run": self.run, "projection": self.generation.projection, "result": result,
            "generation": self.generation.number, "position": position, "folded": folded, "skipped": skipped,
            "parked": parked, "warnings": warnings, "seconds": (seconds * 10.0).round() / 10.0,
            "events_per_second": rate, "paced": self.pace.summary(), "kept_by": keeper,
        });
        if !self.tool.out.is_json() {
            self.tool.out.finish();
            let (result, name) = (Word::of(result.replace('_', " ")), self.name());
            let sentence = match keeper {
                Some(keeper) => Sentence::RebuiltFor {
                    result,
                    name,
                    position,
                    folded,
                    skipped,
                    parked,
                    warnings,
                    seconds,
                    rate,
                    keeper,
                },
                None => Sentence::Rebuilt {
                    result,
                    name,
                    position,
                    folded,
                    skipped,
                    parked,
                    warnings,
                    seconds,
                    rate,
                },
            };
            self.tool.out.result("summary", &summary, |language| sentence.text(language));
        }
        Ended { code: if parked > 0 { exit::PARKED } else { exit::DONE }, summary }
    }

    /// Folds everything up to the head, or to the requested position.
    async fn fold(
        &mut self,
        follower: &soonshop_projections::runner::Follower,
        lease: &Lease,
        resumed: bool,
    ) -> Result<(), Failure> {
        let mut fold = follower.fold(lease, self.options.poison).await?;
        fold.keep(KEPT);
        let from = fold.checkpoint().position;
        let head = self.tool.log.head().await?.position;
        self.progress =
            Progress { from_position: from, to_position: head, position: from, ..Progress::default() };
        self.began_at = from;
        let epoch = lease.epoch;
        let (run, name) = (self.run, self.name());
        self.tool.out.say(&if resumed {
            Sentence::RunResumes { run, name, from, head, epoch }
        } else {
            Sentence::RunStarts { run, name, epoch }
        });
        self.catch_up(&mut fold).await?;
        if self.options.until.is_none() {
            fold.index().await?;
            // Events that were appended while the indexes were built.
            self.catch_up(&mut fold).await?;
        }
        self.report_progress(true).await?;
        Ok(())
    }

    async fn catch_up(&mut self, fold: &mut Fold<'_>) -> Result<(), Failure> {
        loop {
            // Its own checkpoint is read as well: is this the log that was folded so far?
            let name = self.generation.namespace();
            let next = self.tool.log.read_after(&name, fold.folded(), 1).await?;
            let end = self.options.until.unwrap_or(i64::MAX);
            if next.is_empty() || fold.folded().position >= end {
                return self.written(fold).await;
            }
            let mut pages = Pages::after(&self.tool.log, fold.folded().position, self.chunk());
            loop {
                let mut page = pages.next().await?;
                page.retain(|entry| entry.position <= end);
                if page.is_empty() {
                    break;
                }
                self.chunk_of(fold, page).await?;
                if self.tool.stop.is_asked() {
                    self.written(fold).await?;
                    return Err(self.tool.stop.failure());
                }
            }
        }
    }

    /// Waits for the rows that are being written, and reports progress.
    async fn written(&mut self, fold: &mut Fold<'_>) -> Result<(), Failure> {
        fold.written().await?;
        self.progress.position = fold.checkpoint().position;
        Ok(())
    }

    /// A slow rate uses small chunks.
    fn chunk(&self) -> usize {
        let tenth = self.pace.limit.map(|limit| usize::try_from(limit / 10).unwrap_or(1).max(1));
        tenth.map_or(self.options.chunk, |tenth| tenth.min(self.options.chunk))
    }

    async fn chunk_of(&mut self, fold: &mut Fold<'_>, page: Vec<Entry>) -> Result<(), Failure> {
        let follows = self.projector.follows();
        let length = i64::try_from(page.len()).unwrap_or(i64::MAX);
        let folded = page.iter().filter(|entry| follows.contains(&&*entry.aggregate_type)).count();
        let folded = i64::try_from(folded).unwrap_or(i64::MAX);
        if page[0].position != fold.folded().position + 1 {
            let (after, found) = (fold.folded().position, page[0].position);
            return Err(Failure::Unexpected(Sentence::LogHasGap { after, found }));
        }
        fold.take(&page).await?;
        // No chunk is being written while it waits or reports progress.
        if self.pace.limit.is_some() || self.beat.elapsed() >= BEAT {
            fold.written().await?;
        }
        self.progress.position = fold.checkpoint().position;
        self.progress.folded += folded;
        self.progress.skipped += length - folded;
        if let Some(due) = self.pace.after(length) {
            let limit = self.pace.limit;
            // A change of the limit applies at once.
            while Instant::now() < due && self.pace.limit == limit && !self.tool.stop.is_asked() {
                let until = due.min(Instant::now() + BEAT);
                tokio::select! {
                    () = self.tool.stop.requested() => {}
                    () = tokio::time::sleep_until(until) => {}
                }
                self.report_progress(false).await?;
            }
            self.pace.let_through = Instant::now();
        }
        self.report_progress(false).await
    }

    /// Reports progress from time to time, and obeys requests: a new limit, a pause, a cancellation.
    async fn report_progress(&mut self, now: bool) -> Result<(), Failure> {
        if !now && self.beat.elapsed() < BEAT {
            return Ok(());
        }
        self.beat = Instant::now();
        let db = self.generation.db(self.tool.registry.database())?;
        self.progress.parked = crate::parked::count(&db).await?;
        let mut state = State::Running;
        loop {
            let number = Some(self.generation.number);
            let (expected, limit) = self.tool.runs.beat(self.run, number, state, &self.progress).await?;
            self.yield_to_live(limit).await?;
            self.show();
            match expected {
                RunRequest::Run => return Ok(()),
                RunRequest::Cancel => {
                    self.cancelled = true;
                    return Err(Failure::Refused(Sentence::RunCancelled { run: self.run }));
                }
                RunRequest::Pause => {
                    state = State::Paused;
                    tokio::select! {
                        () = self.tool.stop.requested() => return Err(self.tool.stop.failure()),
                        () = tokio::time::sleep(BEAT) => {}
                    }
                }
            }
        }
    }

    /// Halves the rate while the generation in use falls behind, and raises it slowly again.
    async fn yield_to_live(&mut self, limit: Option<i64>) -> Result<(), Failure> {
        if limit != self.max_rate {
            self.max_rate = limit;
            self.pace.set(limit);
        }
        if !self.options.yield_to_live || self.lag_checked_at.elapsed() < Duration::from_secs(1) {
            return Ok(());
        }
        self.lag_checked_at = Instant::now();
        let active = self.tool.known(&self.generation.projection, None).await?;
        let head = self.tool.log.head().await?.position;
        let status = self.tool.status_reader().generation(&active, false, head).await?;
        let now = self.pace.limit.unwrap_or_else(|| self.rate().max(1_000));
        let next = if status.lag_seconds > LIVE_LAG { (now / 2).max(100) } else { now + now / 4 + 1 };
        let next = self.max_rate.map_or(next, |max_rate| next.min(max_rate));
        if status.lag_seconds > LIVE_LAG || self.pace.limit != self.max_rate {
            self.pace.set(Some(next));
        }
        Ok(())
    }

    /// Positions per second so far.
    fn rate(&self) -> i64 {
        let passed = self.progress.position - self.began_at;
        let millis = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX).max(1);
        passed.saturating_mul(1_000) / millis
    }

    fn show(&self) {
        let Progress { to_position, position, parked, .. } = self.progress;
        let (rate, total) = (self.rate(), self.options.until.unwrap_or(to_position).max(position));
        let left = if rate > 0 { (total - position) / rate } else { 0 };
        let percent = if total == 0 { 100 } else { position * 100 / total };
        let (run, name) = (self.run, self.name());
        let text = match self.pace.limit {
            Some(limit) => Sentence::RebuildProgressLimited {
                run,
                name,
                percent,
                position,
                total,
                rate,
                limit,
                left,
                parked,
            },
            None => Sentence::RebuildProgress { run, name, percent, position, total, rate, left, parked },
        };
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let fraction = if total == 0 { 1.0 } else { position as f64 / total as f64 };
        let status = json!({
            "run": self.run, "projection": self.generation.projection, "generation": self.generation.number,
            "phase": "fold", "done": position, "total": total, "fraction": fraction, "rate": rate,
            "seconds_elapsed": self.began.elapsed().as_secs(), "seconds_remaining": left,
            "limit": self.pace.limit, "parked": parked, "position": position,
        });
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        self.tool.out.progress(&Line { done: number(position), total: number(total), text, status }, false);
    }

    /// Waits until index and cache have reached the rows; builds them here, unless another process does.
    async fn sinks(&mut self, follower: &soonshop_projections::runner::Follower) -> Result<(), Failure> {
        if !self.projector.searchable() {
            return Ok(());
        }
        let stop = CancellationToken::new();
        let _ended = stop.clone().drop_guard();
        let watching = follower.feed.clone().watch_head(stop.clone());
        let index = follower.keep_index(Arc::clone(&self.tool.search), stop.clone());
        let cache = async {
            if self.tool.cache.shared() {
                follower.keep_cache(Arc::clone(&self.tool.cache), stop.clone()).await;
            }
        };
        let target = self.progress.position;
        let reached = async {
            loop {
                self.report_progress(true).await?;
                let at = self.sinks_at().await?;
                if at >= target {
                    return Ok::<(), Failure>(());
                }
                tokio::select! {
                    () = self.tool.stop.requested() => return Err(self.tool.stop.failure()),
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
        };
        let all = async { tokio::join!(watching, index, cache) };
        tokio::pin!(all);
        let outcome = tokio::select! {
            outcome = reached => outcome,
            _ = &mut all => Ok(()),
        };
        // They release their leases.
        stop.cancel();
        drop(tokio::time::timeout(Duration::from_secs(5), all).await);
        outcome
    }

    async fn sinks_at(&self) -> Result<i64, Failure> {
        let known = self.tool.known(&self.generation.projection, Some(self.generation.number)).await?;
        let status = self.tool.status_reader().generation(&known, true, i64::MAX).await?;
        let behind = status.sinks.iter().filter(|sink| [INDEX, CACHE].contains(&sink.name));
        Ok(behind.map(|sink| sink.position.unwrap_or(0)).min().unwrap_or(i64::MAX))
    }

    /// Waits a moment for a worker of the shop to take over; returns its name.
    async fn handover(&self) -> Result<Option<String>, Failure> {
        let leases = self.tool.leases();
        let name = format!("{}:{ROWS}", self.generation.namespace());
        let deadline = Instant::now() + HANDOVER;
        loop {
            if let Some(holder) = leases.holder(&name).await? {
                return Ok(Some(holder));
            }
            if Instant::now() >= deadline || self.options.tail || self.tool.stop.is_asked() {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Keeps a generation up to date here until stopped.
async fn tail(tool: &Tool, projector: &Arc<dyn Projector>, generation: &Generation) {
    let follower = tool.follower(projector, generation);
    let stop = CancellationToken::new();
    let stopping = async {
        tool.stop.requested().await;
        stop.cancel();
    };
    let cache = async {
        if projector.searchable() && tool.cache.shared() {
            follower.keep_cache(Arc::clone(&tool.cache), stop.clone()).await;
        }
    };
    let index = async {
        if projector.searchable() {
            follower.keep_index(Arc::clone(&tool.search), stop.clone()).await;
        }
    };
    let rows = follower.keep_rows(Readers::Now, stop.clone());
    let watching = follower.feed.clone().watch_head(stop.clone());
    tokio::join!(stopping, rows, index, cache, watching);
}
