//! `swap`, `rollback`, `retire`: one row says which generation is in use. To change it, the generation in use is taken
//! from its worker so that it stops, every sink of the other generation has to pass its position, and then the row is
//! updated and the lease given back: so no reader ever sees an older state than before.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::TransactionTrait as _;
use serde_json::{Value, json};
use soonshop_event_log::{Checkpoint, Error};
use soonshop_projections::generation::{KnownGeneration, State as GenerationState};
use soonshop_projections::runner::ROWS;
use soonshop_projections::runs::{NewRun, State};
use soonshop_projections::status::GenerationStatus;
use soonshop_projections::{Generation, Projector, operations};
use tokio::time::Instant;

use crate::hold::hold;
use crate::sentences::Word;
use crate::{Ended, Failure, Outcome, Sentence, Tool};

#[derive(Debug, Clone)]
pub struct Swap {
    pub projection: String,
    /// The candidate; none: the newest that is not in use.
    pub generation: Option<i32>,
    /// The generation that must be in use.
    pub expect: Option<i32>,
    /// Whether it must have been verified.
    pub verified: bool,
    /// The run whose differences are accepted.
    pub accept: Option<i64>,
    /// How many events the candidate may be behind at the start.
    pub max_lag: i64,
    pub reason: Option<String>,
}

impl Swap {
    pub fn new(projection: &str) -> Self {
        Self {
            projection: projection.to_owned(),
            generation: None,
            expect: None,
            verified: true,
            accept: None,
            max_lag: 100,
            reason: None,
        }
    }
}

/// How long the generation in use may be stopped.
const HOLD_TIME: Duration = Duration::from_secs(5);

async fn status(
    tool: &Tool,
    projector: &Arc<dyn Projector>,
    known: &KnownGeneration,
) -> Result<GenerationStatus, Failure> {
    let head = tool.log.head().await?.position;
    Ok(tool.status_reader().generation(known, projector.searchable(), head).await?)
}

/// Moves readers to a candidate.
pub async fn swap(tool: &Tool, options: &Swap) -> Outcome {
    let projector = tool.projector(&options.projection)?;
    tool.under_generation_lease(&options.projection, swap_under_lease(tool, options, &projector)).await
}

pub(crate) async fn swap_under_lease(tool: &Tool, options: &Swap, projector: &Arc<dyn Projector>) -> Outcome {
    let active = tool.known(&options.projection, None).await?;
    let candidate = tool.candidate(&options.projection, options.generation).await?;
    let (from, to) = (&active.generation, &candidate.generation);
    let refused = |why| Err(Failure::Refused(why));
    if let Some(expected) = options.expect.filter(|expected| *expected != from.number) {
        return refused(Sentence::UnexpectedGeneration { found: from.number, expected });
    }
    if from == to {
        return refused(Sentence::InUseAlready { number: to.number });
    }
    if candidate.state != GenerationState::Ready {
        let (state, projection) = (Word::of(candidate.state), options.projection.clone());
        return refused(Sentence::Unfinished { number: to.number, state, projection });
    }
    let mut accepted = None;
    if options.verified && candidate.verified_by.is_none() {
        accepted = Some(accept(tool, options, to).await?);
    }
    let now = status(tool, projector, &candidate).await?;
    if now.parked > 0 && accepted.is_none() {
        return refused(Sentence::HasParked { number: to.number, count: now.parked });
    }
    if now.lag_events > options.max_lag {
        let (lag, most) = (now.lag_events, options.max_lag);
        return refused(Sentence::TooFarBehind { number: to.number, lag, most });
    }
    let reason = options.reason.as_deref();
    let moved = Move { verb: "swap", from, to, rejected: false, accepted, reason, alarm: None };
    moved.carry_out(tool, projector, &candidate).await
}

/// The run whose differences are accepted for this generation, or the reason why none is.
async fn accept(tool: &Tool, options: &Swap, to: &Generation) -> Result<i64, Failure> {
    let runs = tool.runs.last(Some(&options.projection), 100).await?;
    let last = runs.iter().find(|run| run.verb == "verify" && run.generation == Some(to.number));
    let Some(number) = options.accept else {
        return Err(Failure::Refused(match last.filter(|run| run.state == State::Found) {
            Some(run) => {
                let count =
                    run.result.as_ref().and_then(|result| result["differences"].as_i64()).unwrap_or(0);
                Sentence::NotClean { number: to.number, count, run: run.run }
            }
            None => Sentence::NotVerified { number: to.number, projection: options.projection.clone() },
        }));
    };
    if options.reason.is_none() {
        return Err(Failure::Usage(Sentence::ReasonNeeded));
    }
    match last {
        Some(run) if run.run == number && run.state == State::Found => Ok(number),
        Some(run) => Err(Failure::Refused(Sentence::LastVerification { number: to.number, run: run.run })),
        None => Err(Failure::Refused(Sentence::NoVerification { run: number, number: to.number })),
    }
}

#[derive(Debug, Clone)]
pub struct Rollback {
    pub projection: String,
    /// The target; none: the previous generation.
    pub generation: Option<i32>,
    /// Wait until it has caught up, however long that takes.
    pub wait: bool,
    pub reason: Option<String>,
    /// The figure that raised an alarm, where nobody said why.
    pub alarm: Option<&'static str>,
}

impl Rollback {
    pub fn new(projection: &str) -> Self {
        Self { projection: projection.to_owned(), generation: None, wait: false, reason: None, alarm: None }
    }
}

/// Moves readers back to the previous generation; the one that they leave is rejected.
pub async fn rollback(tool: &Tool, options: &Rollback) -> Outcome {
    let projector = tool.projector(&options.projection)?;
    tool.under_generation_lease(&options.projection, rollback_under_lease(tool, options, &projector)).await
}

pub(crate) async fn rollback_under_lease(
    tool: &Tool,
    options: &Rollback,
    projector: &Arc<dyn Projector>,
) -> Outcome {
    let active = tool.known(&options.projection, None).await?;
    let all = tool.registry.all(Some(&options.projection)).await?;
    let target = match options.generation {
        Some(number) => tool.known(&options.projection, Some(number)).await?,
        None => all
            .into_iter()
            .find(|known| known.previous)
            .ok_or(Failure::Refused(Sentence::NoPrevious { number: active.generation.number }))?,
    };
    if target.generation == active.generation {
        return Err(Failure::Refused(Sentence::InUseAlready { number: target.generation.number }));
    }
    if target.state != GenerationState::Ready {
        let (number, state) = (target.generation.number, Word::of(target.state));
        return Err(Failure::Refused(Sentence::NotReadable { number, state }));
    }
    // A generation that was never in use must pass the conditions of a swap.
    let left = operations::left_at(tool.registry.operations(), &options.projection, target.generation.number);
    if !target.previous && left.await?.is_none() {
        let (number, projection) = (target.generation.number, options.projection.clone());
        return Err(Failure::Refused(Sentence::NeverInUse { number, projection }));
    }
    loop {
        let now = status(tool, projector, &target).await?;
        if !options.wait || now.lag_events <= 100 || !now.is_kept() {
            break;
        }
        tokio::select! {
            () = tool.stop.requested() => return Err(tool.stop.failure()),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    let (from, to) = (&active.generation, &target.generation);
    let reason = options.reason.as_deref();
    let moved =
        Move { verb: "rollback", from, to, rejected: true, accepted: None, reason, alarm: options.alarm };
    moved.carry_out(tool, projector, &target).await
}

/// How long to wait for a worker to keep a generation: one that has just released it takes it again, at the latest a
/// second after the lease of a killed tool has expired.
const KEEPER: Duration = Duration::from_secs(8);

async fn kept(tool: &Tool, projector: &Arc<dyn Projector>, known: &KnownGeneration) -> Result<bool, Failure> {
    let deadline = Instant::now() + KEEPER;
    while !status(tool, projector, known).await?.is_kept() {
        if Instant::now() >= deadline || tool.stop.is_asked() {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(true)
}

/// A swap from one generation to another.
struct Move<'a> {
    verb: &'static str,
    from: &'a Generation,
    to: &'a Generation,
    /// Whether the generation that they leave is rejected for good.
    rejected: bool,
    accepted: Option<i64>,
    reason: Option<&'a str>,
    /// The figure that raised an alarm.
    alarm: Option<&'static str>,
}

impl Move<'_> {
    async fn carry_out(
        &self,
        tool: &Tool,
        projector: &Arc<dyn Projector>,
        target: &KnownGeneration,
    ) -> Outcome {
        // After a restore of the log, rows that have read more events belong to a history that no longer exists.
        let db = self.to.db(tool.registry.database())?;
        if let Some((at, _)) = Checkpoint::load(&db, &db.connection, ROWS).await? {
            tool.log.read_after(&self.to.namespace(), &at, 1).await?;
        }
        if !kept(tool, projector, target).await? {
            let Generation { number, version, projection, .. } = self.to.clone();
            return Err(Failure::Refused(Sentence::NoWorkerForTarget { number, version, projection }));
        }
        let beginning = NewRun {
            verb: self.verb,
            projection: &self.from.projection,
            generation: Some(self.to.number),
            actor: crate::ACTOR,
            limit_rate: None,
        };
        let run = tool.runs.begin(&beginning).await?;
        let outcome = self.under_lease(tool, projector, target, run).await;
        let (state, result) = match &outcome {
            Ok(ended) => (State::Done, ended.summary.clone()),
            Err(failure @ Failure::Refused(_)) => (State::Refused, failure.message()),
            Err(failure) => (State::Failed, failure.message()),
        };
        tool.runs.end(run, state, Some(&result)).await?;
        outcome
    }

    async fn under_lease(
        &self,
        tool: &Tool,
        projector: &Arc<dyn Projector>,
        target: &KnownGeneration,
        run: i64,
    ) -> Outcome {
        let began = Instant::now();
        let (lease, at) = hold(tool, self.from).await?;
        let outcome = async {
            // If the log went back to an older state, its own end is the furthest position to wait for.
            let barrier = match tool.log.read_after(self.verb, &at, 1).await {
                Ok(_) => at.position,
                Err(Error::AheadOfLog { .. }) => tool.log.head().await?.position,
                Err(error) => return Err(error.into()),
            };
            self.passed(tool, projector, target, barrier).await?;
            let mut detail = json!({
                "run": run, "from": self.from.number, "to": self.to.number, "position": barrier,
                "accepted": self.accepted, "rejected": self.rejected,
            });
            if let Some(figure) = self.alarm {
                detail["alarm"] = figure.into();
            }
            let done = tool.done(self.verb, self.to, detail, self.reason).await?;
            let db = tool.registry.operations();
            let tx = db.connection.begin().await?;
            if !tool.leases().holds(&tx, &lease).await? {
                return Err(Failure::Refused(Sentence::TakenByOther { number: self.from.number }));
            }
            if !tool.registry.switch(&tx, self.from, self.to, self.rejected).await? {
                return Err(Failure::Refused(Sentence::ReadersMoved { number: self.from.number }));
            }
            if let Some(run) = self.accepted {
                tool.registry.verified(&tx, self.to, Some(run)).await?;
            }
            operations::record(db, &tx, &done).await?;
            tx.commit().await?;
            Ok(barrier)
        };
        let outcome = outcome.await;
        // Released whatever the result: the generation that readers left goes on as well, so a rollback stays possible.
        tool.leases().release(&lease).await?;
        let position = outcome?;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let summary = json!({
            "run": run, "projection": self.from.projection, "result": self.verb, "from": self.from.number,
            "to": self.to.number, "position": position, "milliseconds": millis,
        });
        let (projection, from, to) = (self.from.projection.clone(), self.from.number, self.to.number);
        let sentence = if self.rejected {
            Sentence::RolledBack { projection, from, to, millis }
        } else {
            Sentence::Swapped { projection, from, to, millis }
        };
        tool.out.result("verbose", &summary, |language| sentence.text(language));
        Ok(Ended::done(summary))
    }

    /// Waits until every sink of the target has passed the position.
    async fn passed(
        &self,
        tool: &Tool,
        projector: &Arc<dyn Projector>,
        target: &KnownGeneration,
        barrier: i64,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + HOLD_TIME;
        let mut pause = Duration::from_millis(2);
        loop {
            let now = status(tool, projector, target).await?;
            let behind = now.sinks.iter().find(|sink| sink.position.unwrap_or(-1) < barrier);
            let Some(behind) = behind else {
                if projector.searchable() {
                    // Search results must not go back in time either.
                    tool.search.refresh(&self.to.namespace()).await?;
                }
                return Ok(());
            };
            if Instant::now() >= deadline {
                let (sink, number) = (Word::of(behind.name), self.to.number);
                return Err(Failure::Refused(match behind.position {
                    Some(at) => Sentence::SinkBehind { sink, number, at, barrier },
                    None => Sentence::SinkNotStarted { sink, number, barrier },
                }));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

#[derive(Debug, Clone)]
pub struct Retire {
    pub projection: String,
    /// The generation; none: all that are not in use any more and are old enough.
    pub generation: Option<i32>,
    /// The least time since it was made or in use.
    pub min_age: Duration,
    pub dry_run: bool,
    pub reason: Option<String>,
}

/// Drops generations that are not in use: rows, index and cache.
pub async fn retire(tool: &Tool, options: &Retire) -> Outcome {
    let projector = tool.projector(&options.projection)?;
    tool.under_generation_lease(&options.projection, retire_under_lease(tool, options, &projector)).await
}

async fn retire_under_lease(tool: &Tool, options: &Retire, projector: &Arc<dyn Projector>) -> Outcome {
    if !options.dry_run {
        sweep(tool, projector).await?;
    }
    let all = tool.registry.all(Some(&options.projection)).await?;
    let chosen: Vec<KnownGeneration> = match options.generation {
        Some(number) => vec![tool.known(&options.projection, Some(number)).await?],
        // Generations that `sweep` removes are not chosen by age.
        None => all
            .iter()
            .filter(|known| {
                !known.active && !matches!(known.state, GenerationState::Retired | GenerationState::Scratch)
            })
            .cloned()
            .collect(),
    };
    let now = soonshop_domain::clock::now().timestamp_millis();
    let least = i64::try_from(options.min_age.as_millis()).unwrap_or(i64::MAX);
    let mut retired: Vec<Value> = Vec::new();
    for known in chosen {
        let generation = &known.generation;
        let number = generation.number;
        if known.active {
            return Err(Failure::Refused(Sentence::SwapFirst { number }));
        }
        if known.state == GenerationState::Retired {
            return Err(Failure::Refused(Sentence::RetiredAlready { number }));
        }
        let left = operations::left_at(tool.registry.operations(), &options.projection, number).await?;
        let since = [left, known.ended_at, known.made_at].into_iter().flatten().max();
        if let Some(since) = since.filter(|since| now - since < least) {
            let minutes = (now - since) / 60_000;
            let why = Sentence::TooRecent { number, minutes };
            if options.generation.is_some() {
                return Err(Failure::Refused(why));
            }
            tool.out.say(&why);
            continue;
        }
        if options.dry_run {
            let would = Sentence::WouldRetire { number };
            tool.out.result("plan", &json!({ "generation": number }), |language| would.text(language));
        } else {
            let why = match options.reason.as_deref() {
                Some(reason) => WhyRetired::Said(reason),
                None => WhyRetired::NotNeeded,
            };
            drop_generation(tool, generation, why).await?;
            let gone = Sentence::Retired { number };
            tool.out.result("verbose", &json!({ "generation": number }), |language| gone.text(language));
        }
        retired.push(number.into());
    }
    Ok(Ended::done(
        json!({ "projection": options.projection, "retired": retired, "dry_run": options.dry_run }),
    ))
}

/// Removes what a killed run left behind: generations that were made only for its comparison, and retired ones that
/// still exist. The caller holds the lease for changing generations, so no other run needs them.
pub(crate) async fn sweep(tool: &Tool, projector: &Arc<dyn Projector>) -> Result<(), Failure> {
    for known in tool.registry.all(Some(projector.name())).await? {
        let generation = &known.generation;
        if known.state == GenerationState::Scratch {
            drop_generation(tool, generation, WhyRetired::LeftBehind).await?;
        } else if known.state == GenerationState::Retired && tool.registry.is_there(generation).await? {
            tool.generation_remover().remove(generation).await?;
        }
    }
    Ok(())
}

/// Why a generation is retired. What nobody said is recorded as a code (`because`): pages say it in their language.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WhyRetired<'a> {
    /// A person said so, in their own words.
    Said(&'a str),
    NotNeeded,
    /// A comparison that was killed left it behind.
    LeftBehind,
    /// It was made for a comparison, which has ended.
    Compared,
    /// A rebuild begins anew.
    BegunAnew,
}

impl<'a> WhyRetired<'a> {
    /// The words, or the code.
    fn parts(self) -> Result<&'a str, &'static str> {
        match self {
            Self::Said(reason) => Ok(reason),
            Self::NotNeeded => Err("not-needed"),
            Self::LeftBehind => Err("left-behind"),
            Self::Compared => Err("compared"),
            Self::BegunAnew => Err("begun-anew"),
        }
    }
}

/// Takes a generation from its worker, and removes its data.
pub(crate) async fn drop_generation(
    tool: &Tool,
    generation: &Generation,
    why: WhyRetired<'_>,
) -> Result<(), Failure> {
    let mut detail = json!({ "generation": generation.number });
    if let Err(code) = why.parts() {
        detail["because"] = code.into();
    }
    let done = tool.done("retire", generation, detail, why.parts().ok()).await?;
    Ok(tool.generation_remover().retire(generation, &done).await?)
}
