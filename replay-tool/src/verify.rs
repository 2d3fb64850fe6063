//! `verify`: compares a candidate with the generation in use, or with a fold of the log, row by row, while both go on.
//!
//! No worker is stopped for it and no snapshot is held. A page of rows is read from each side together with that side's
//! checkpoint. A row that differs although neither side changed it after the other side's checkpoint is a
//! difference; one that was changed later is in flux, and is compared again at the end, with both sides held at one
//! position for that long. With digests only the reading differs: rows with different digests are read after their
//! page, and judged by the page's checkpoints: later changes are in flux.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum as _;
use serde_json::{Value, json};
use soonshop_event_log::{Checkpoint, Error, private_files};
use soonshop_projections::Projector;
use soonshop_projections::generation::{KnownGeneration, State as GenerationState};
use soonshop_projections::projector::PersonalColumns;
use soonshop_projections::runner::ROWS;
use soonshop_projections::runs::{NewRun, Progress, RunRequest, State};
use tokio::time::Instant;

use crate::fold::fold_to;
use crate::history::{differences, mask_columns};
use crate::hold::{HOLD_TIME, PATIENCE, together};
use crate::output::Line;
use crate::record::write_down;
use crate::rows::{
    Difference, Key, PAGE, Part, Row, Side, Table, changed_at, columns, key_of, one, page, shown_key, some,
};
use crate::sentences::Word;
use crate::{Ended, Failure, Language, Outcome, Sentence, Tool, exit};

/// How thoroughly to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    Digest,
    Full,
    Sample,
}

/// The other side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Against {
    Active,
    Fold,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub projection: String,
    /// The candidate; none: the newest that is not in use.
    pub generation: Option<i32>,
    pub mode: Mode,
    pub sample: u64,
    pub seed: u64,
    pub against: Against,
    /// Columns, or parts of JSON columns, as pointers: `/updated_at`.
    pub ignore: Vec<String>,
    /// Every difference is written to this file, one JSON object per line.
    pub report: Option<PathBuf>,
    pub reason: Option<String>,
}

impl Options {
    pub fn new(projection: &str) -> Self {
        Self {
            projection: projection.to_owned(),
            generation: None,
            mode: Mode::Full,
            sample: 10_000,
            seed: 7,
            against: Against::Active,
            ignore: Vec::new(),
            report: None,
            reason: None,
        }
    }
}

/// The row of each side, if it exists.
type Pair = (Option<Row>, Option<Row>);

/// How often a run reports that it is alive.
const SIGN: Duration = Duration::from_millis(500);

/// Differences that are explained in the output; a report has all of them.
const EXPLAINED: usize = 20;

/// Rows that the result names.
const NAMED: usize = 100;

fn by_key(table: &Table, rows: Vec<Row>) -> BTreeMap<String, Row> {
    rows.into_iter().map(|row| (shown_key(&key_of(table, &row)), row)).collect()
}

struct Comparison<'a> {
    tool: &'a Tool,
    options: &'a Options,
    projector: Arc<dyn Projector>,
    left: Side,
    right: Side,
    compared: u64,
    /// The number of rows of each side, by table.
    counts: BTreeMap<String, (u64, u64)>,
    differences: Vec<Difference>,
    flux: Vec<(usize, Key)>,
}

impl Comparison<'_> {
    fn is_ignored(&self, pointer: &str) -> bool {
        self.options.ignore.iter().any(|ignored| {
            pointer == ignored
                || pointer.strip_prefix(ignored.as_str()).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// Whether a pointer is to a column that an erasure empties.
    fn is_personal(&self, table: &Table, pointer: &str) -> bool {
        let name = pointer.strip_prefix('/').unwrap_or("");
        let mut personal = self.projector.personal().iter().filter(|personal| personal.table == table.name);
        personal.any(|personal| personal.columns.contains(&name))
    }

    /// The differences between two rows.
    fn fields(&self, table: &Table, left: Option<&Row>, right: Option<&Row>) -> Vec<String> {
        let (Some(left), Some(right)) = (left, right) else { return vec![String::new()] };
        if table.columns.iter().all(|column| left.get(column) == right.get(column)) {
            return Vec::new();
        }
        let common = |row: &Row| -> Value {
            let of =
                table.columns.iter().filter_map(|column| Some((column.clone(), row.get(column)?.clone())));
            Value::Object(of.collect())
        };
        let all = differences(&common(left), &common(right)).into_iter().map(|(pointer, _, _)| pointer);
        all.filter(|pointer| !self.is_ignored(pointer)).collect()
    }

    /// Whether the row is in the sample.
    fn is_chosen(&self, key: &Key, total: u64) -> bool {
        if self.options.mode != Mode::Sample || total <= self.options.sample {
            return true;
        }
        // FNV-1a, folded once more, over seed and key: the same rows for the same seed, in any order.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in shown_key(key).bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash ^= hash >> 29;
        hash.wrapping_mul(0xbf58_476d_1ce4_e5b9) % total < self.options.sample
    }

    fn judge(&mut self, number: usize, table: &Table, key: Key, rows: Pair, common: i64) {
        self.compared += 1;
        let fields = self.fields(table, rows.0.as_ref(), rows.1.as_ref());
        if fields.is_empty() {
            return;
        }
        let newest = rows.0.iter().chain(rows.1.iter()).map(changed_at).max().unwrap_or(0);
        // An erasure empties a row without changing its position: one side may have done so, and the other not yet.
        let cleaned = common < i64::MAX && fields.iter().all(|field| self.is_personal(table, field));
        if newest > common || cleaned {
            self.flux.push((number, key));
        } else {
            let (left, right) = rows;
            self.differences.push(Difference { table: table.name.clone(), key, left, right, fields });
        }
    }

    /// The parts of each row of a page that are read.
    fn parts(&self, table: &Table) -> Part {
        let digests = self.left.digests() && self.right.digests();
        if self.options.mode != Mode::Digest || !digests {
            return Part::Row;
        }
        let columns = table.columns.iter().filter(|column| !self.is_ignored(&format!("/{column}")));
        Part::Digest(columns.cloned().collect())
    }

    async fn compare_table(&mut self, number: usize, table: &Table) -> Result<(), Failure> {
        let total = self.left.count(&table.name).await?.max(1);
        let part = self.parts(table);
        let mut after: Option<Key> = None;
        loop {
            let (common, pairs, last) = self.window(table, after.as_ref(), &part).await?;
            match &part {
                Part::Row => {
                    for (key, rows) in pairs {
                        if self.is_chosen(&key, total) {
                            self.judge(number, table, key, rows, common);
                        }
                    }
                }
                Part::Digest(_) => {
                    let all = pairs.len();
                    let unlike: Vec<Key> = pairs
                        .into_iter()
                        .filter(|(_, (left, right))| left != right)
                        .map(|(key, _)| key)
                        .collect();
                    self.compared += u64::try_from(all - unlike.len()).unwrap_or(0);
                    // Rows only get newer: a row read after that checkpoint is in flux, as in a page.
                    let mut left = by_key(table, some(&self.left, table, &unlike).await?);
                    let mut right = by_key(table, some(&self.right, table, &unlike).await?);
                    for key in unlike {
                        let name = shown_key(&key);
                        let rows = (left.remove(&name), right.remove(&name));
                        self.judge(number, table, key, rows, common);
                    }
                }
            }
            self.show(table, total);
            if self.tool.stop.is_asked() {
                return Err(self.tool.stop.failure());
            }
            match last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// A page of both sides, by key; the position that both have reached; and its last key, if there is more.
    async fn window(
        &self,
        table: &Table,
        after: Option<&Key>,
        part: &Part,
    ) -> Result<(i64, Vec<(Key, Pair)>, Option<Key>), Failure> {
        let (mut left_at, mut left) = page(&self.left, table, part, after, None).await?;
        let mut last = (left.len() == PAGE).then(|| left.last().map(|row| key_of(table, row))).flatten();
        let (right_at, right) = page(&self.right, table, part, after, last.as_ref()).await?;
        if last.is_none() && right.len() == PAGE {
            // The other side is compared up to where this page ends, and continues from there.
            last = right.last().map(|row| key_of(table, row));
            (left_at, left) = page(&self.left, table, part, after, last.as_ref()).await?;
        }
        let mut pairs: BTreeMap<String, (Key, Pair)> = BTreeMap::new();
        for row in left {
            let key = key_of(table, &row);
            pairs.insert(shown_key(&key), (key, (Some(row), None)));
        }
        for row in right {
            let key = key_of(table, &row);
            pairs.entry(shown_key(&key)).or_insert_with(|| (key, (None, None))).1.1 = Some(row);
        }
        Ok((left_at.min(right_at), pairs.into_values().collect(), last))
    }

    fn show(&self, table: &Table, total: u64) {
        let (name, compared, differ) = (&table.name, self.compared, self.differences.len());
        let text = Sentence::Comparing { table: name.clone(), compared, differ };
        let status = json!({
            "phase": "compare", "table": name, "done": compared, "total": total, "differences": differ,
        });
        self.tool.out.progress(&Line { done: compared, total: total.max(compared), text, status }, false);
    }

    /// Compares the rows in flux again, with both sides held at one position.
    async fn settle(&mut self, tables: &[Table]) -> Result<(), Failure> {
        let flux = std::mem::take(&mut self.flux);
        if flux.is_empty() {
            return Ok(());
        }
        // The generation in use is held only a moment, and catches up before the next one.
        let (tool, mut left) = (self.tool, flux.into_iter().peekable());
        while left.peek().is_some() {
            if self.tool.stop.is_asked() {
                return Err(self.tool.stop.failure());
            }
            let held = together(self.tool, &self.projector, &self.left, &self.right).await?;
            let until = Instant::now() + HOLD_TIME;
            let outcome = async {
                while Instant::now() < until {
                    let Some((number, key)) = left.next() else { break };
                    let table = &tables[number];
                    let rows = (one(&self.left, table, &key).await?, one(&self.right, table, &key).await?);
                    self.compared -= 1;
                    self.judge(number, table, key, rows, i64::MAX);
                }
                Ok::<(), Failure>(())
            };
            let outcome = held.keeping(tool, outcome).await;
            held.release(tool).await?;
            outcome?;
        }
        Ok(())
    }
}

/// Compares, and records the result.
pub async fn verify(tool: &Tool, options: &Options) -> Outcome {
    let projector = tool.projector(&options.projection)?;
    tool.under_generation_lease(&options.projection, Box::pin(verify_under_lease(tool, options, &projector)))
        .await
}

pub(crate) async fn verify_under_lease(
    tool: &Tool,
    options: &Options,
    projector: &Arc<dyn Projector>,
) -> Outcome {
    crate::swap::sweep(tool, projector).await?;
    let candidate = tool.candidate(&options.projection, options.generation).await?;
    let generation = &candidate.generation;
    let beginning = NewRun {
        verb: "verify",
        projection: &options.projection,
        generation: Some(generation.number),
        actor: crate::ACTOR,
        limit_rate: None,
    };
    let run = tool.runs.begin(&beginning).await?;
    let outcome = Box::pin(compare(tool, options, projector, &candidate, run)).await;
    tool.out.finish();
    let (state, result) = match &outcome {
        Ok(ended) if ended.code == exit::DONE => (State::Done, ended.summary.clone()),
        Ok(ended) => (State::Found, ended.summary.clone()),
        Err(failure @ (Failure::Interrupted { .. } | Failure::TimedOut { .. })) => {
            (State::Interrupted, failure.message())
        }
        Err(failure) => (State::Failed, failure.message()),
    };
    tool.runs.end(run, state, Some(&result)).await?;
    if let Ok(ended) = &outcome {
        // A sample without differences proves nothing about the other rows, so it does not replace an earlier result.
        let (clean, sample) = (ended.code == exit::DONE, options.mode == Mode::Sample);
        let db = tool.registry.operations();
        if !(clean && sample) {
            tool.registry.verified(&db.connection, generation, clean.then_some(run)).await?;
        }
        let done = tool.done("verify", generation, ended.summary.clone(), options.reason.as_deref()).await?;
        write_down(tool, &done).await?;
    }
    outcome
}

async fn compare(
    tool: &Tool,
    options: &Options,
    projector: &Arc<dyn Projector>,
    candidate: &KnownGeneration,
    run: i64,
) -> Outcome {
    let name = candidate.generation.namespace();
    if candidate.state != GenerationState::Ready {
        // A generation that is still being built may change after the comparison.
        let state = Word::of(candidate.state);
        return Err(Failure::Refused(Sentence::OnlyReady { name, state }));
    }
    let right = Side::new(tool, &candidate.generation)?;
    tool.log.read_after(&name, &right.checkpoint().await?, 1).await?;
    match options.against {
        Against::Active => {
            let active = tool.known(&options.projection, None).await?;
            if active.generation == candidate.generation {
                return Err(Failure::Usage(Sentence::VerifiesItself { name }));
            }
            let left = Side::new(tool, &active.generation)?;
            let known = tool.log.read_after(&left.generation.namespace(), &left.checkpoint().await?, 1).await;
            if let Err(error @ Error::AheadOfLog { .. }) = known {
                let detail = error.to_string();
                return Err(Failure::Refused(Sentence::ProvesNothing { detail }));
            }
            with_heartbeat(tool, run, Box::pin(run_comparison(tool, options, projector, (left, right), run)))
                .await
        }
        Against::Fold => {
            let scratch = tool.registry.create_scratch(&**projector).await?;
            let lease = tool.leases().take(&format!("{}:{ROWS}", scratch.namespace())).await?;
            let outcome = async {
                let to = right.checkpoint().await?.position;
                let leases = tool.leases();
                tokio::select! {
                    folded = fold_to(tool, projector, &scratch, &lease, to) => drop(folded?),
                    lost = leases.keep(&lease) => return Err(lost.into()),
                }
                run_comparison(tool, options, projector, (Side::new(tool, &scratch)?, right), run).await
            };
            let outcome = Box::pin(with_heartbeat(tool, run, outcome)).await;
            crate::swap::drop_generation(tool, &scratch, crate::swap::WhyRetired::Compared).await?;
            outcome
        }
    }
}

/// Runs `work` and reports that it is alive; aborts it on request.
async fn with_heartbeat(tool: &Tool, run: i64, work: impl Future<Output = Outcome>) -> Outcome {
    let cancelled = async {
        loop {
            tokio::time::sleep(SIGN).await;
            match tool.runs.sign(run).await {
                Ok(RunRequest::Cancel) => return Failure::Refused(Sentence::RunCancelled { run }),
                Ok(_) => {}
                Err(error) => return error.into(),
            }
        }
    };
    tokio::select! {
        outcome = work => outcome,
        failure = cancelled => Err(failure),
    }
}

async fn run_comparison(
    tool: &Tool,
    options: &Options,
    projector: &Arc<dyn Projector>,
    (left, right): (Side, Side),
    run: i64,
) -> Outcome {
    let began = Instant::now();
    let mut tables = Vec::new();
    for table in projector.tables() {
        let (ours, theirs) =
            (columns(&right.db, &table.name()).await?, columns(&left.db, &table.name()).await?);
        if ours.is_empty() {
            let name = right.generation.namespace();
            return Err(Failure::Refused(Sentence::NoTable { name, table: table.name() }));
        }
        if theirs.is_empty() {
            tool.out.warn(Sentence::OneTable { table: table.name() });
            continue;
        }
        let (columns, new): (Vec<_>, Vec<_>) = ours.into_iter().partition(|column| theirs.contains(column));
        let gone = theirs.into_iter().filter(|column| !columns.contains(column));
        let other: Vec<String> = new.into_iter().chain(gone).collect();
        tables.push(Table { name: table.name(), keys: table.keys(), columns, other });
    }
    let is_column = |pointer: &str| {
        let name = pointer.strip_prefix('/').and_then(|rest| rest.split('/').next());
        name.is_some_and(|name| tables.iter().any(|table| table.columns.iter().any(|column| column == name)))
    };
    if let Some(pointer) = options.ignore.iter().find(|pointer| !is_column(pointer)) {
        return Err(Failure::Usage(Sentence::NoColumn { pointer: pointer.clone() }));
    }
    let at = right.checkpoint().await?.position;
    let mut comparison = Comparison {
        tool,
        options,
        projector: Arc::clone(projector),
        left,
        right,
        compared: 0,
        counts: BTreeMap::new(),
        differences: Vec::new(),
        flux: Vec::new(),
    };
    for (number, table) in tables.iter().enumerate() {
        if !table.other.is_empty() {
            let columns = table.other.join(", ");
            tool.out.warn(Sentence::OneColumn { table: table.name.clone(), columns });
        }
        comparison.compare_table(number, table).await?;
        let progress = Progress { to_position: at, position: at, ..Progress::default() };
        tool.runs.beat(run, Some(comparison.right.generation.number), State::Running, &progress).await?;
    }
    comparison.settle(&tables).await?;
    for table in &tables {
        let counts = (comparison.left.count(&table.name).await?, comparison.right.count(&table.name).await?);
        comparison.counts.insert(table.name.clone(), counts);
    }
    let unlike = index_unlike(tool, projector, &comparison.right).await?;
    let parked = crate::parked::count(&comparison.right.db).await?;
    report(&comparison, run, at, unlike, parked, began).await
}

/// Documents of the search index that differ from the rows.
async fn index_unlike(
    tool: &Tool,
    projector: &Arc<dyn Projector>,
    side: &Side,
) -> Result<Option<Vec<String>>, Failure> {
    use soonshop_search::{Change, Query, Sort};

    let Some(of_rows) = projector.documents() else { return Ok(None) };
    let index = side.generation.namespace();
    let mut documents = BTreeMap::new();
    for change in of_rows.read(&side.db, None).await? {
        if let Change::Put(document) = change {
            documents.insert(document.id.clone(), document);
        }
    }
    let before = side.checkpoint().await?.position;
    // The index follows the rows, so it is compared once it has reached them.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let written = tool.search.checkpoint(&index).await?;
        let at = written.map(|text| text.parse::<Checkpoint>()).transpose()?.map_or(0, |at| at.position);
        if at >= before {
            break;
        }
        if Instant::now() >= deadline {
            return Err(Failure::Refused(Sentence::IndexStuck { name: index, at, before }));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tool.search.refresh(&index).await?;
    let mut unlike = Vec::new();
    let mut query = Query { limit: 100, sort: Sort::NameAscending, ..Query::default() };
    loop {
        let found = tool.search.search(&index, &query).await?;
        for hit in found.hits {
            match documents.remove(&hit.document.id) {
                Some(document) if document == hit.document => {}
                // Documents that changed or were added later are not compared.
                Some(document) if document.version > before => {}
                _ if hit.document.version > before => {}
                _ => unlike.push(hit.document.id),
            }
        }
        match found.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    unlike.extend(
        documents.into_values().filter(|document| document.version <= before).map(|document| document.id),
    );
    Ok(Some(unlike))
}

async fn report(
    comparison: &Comparison<'_>,
    run: i64,
    at: i64,
    index: Option<Vec<String>>,
    parked: i64,
    began: Instant,
) -> Outcome {
    let (tool, options) = (comparison.tool, comparison.options);
    let (left, right) = (&comparison.left.generation, &comparison.right.generation);
    let mut file = match &options.report {
        Some(path) => Some(private_files::create(path).map_err(|error| {
            let (file, detail) = (path.display().to_string(), error.to_string());
            Failure::Usage(
                crate::listing::link_at(path).unwrap_or(Sentence::ReportUnwritten { file, detail }),
            )
        })?),
        None => None,
    };
    let mut fields: BTreeMap<String, u64> = BTreeMap::new();
    let personal = comparison.projector.personal();
    for (number, difference) in comparison.differences.iter().enumerate() {
        for field in &difference.fields {
            *fields.entry(format!("{}{field}", difference.table)).or_insert(0) += 1;
        }
        if number >= EXPLAINED && file.is_none() {
            continue;
        }
        let value = explain(tool, difference, personal, (left.number, right.number)).await?;
        if let Some(file) = &mut file {
            writeln!(file, "{value}").map_err(|error| Failure::unexpected(format!("the report: {error}")))?;
        }
        if number < EXPLAINED {
            tool.out.result("diff", &value, |language| {
                sentence(&value, (left.number, right.number), language).text(language)
            });
        }
    }
    let (differ, compared) = (comparison.differences.len(), comparison.compared);
    let unlike = index.as_ref().map_or(0, Vec::len);
    let named = || comparison.differences.iter().take(NAMED);
    let keys: Vec<String> = named().map(|one| shown_key(&one.key)).collect();
    let different: Vec<Value> = named().map(in_short).collect();
    let clean = differ == 0 && unlike == 0;
    let summary = json!({
        "run": run, "projection": options.projection, "result": if clean { "equal" } else { "different" },
        "left": left.number, "right": right.number, "position": at, "rows": compared, "differences": differ,
        "fields": fields, "keys": keys, "different": different, "index_differences": index, "parked": parked,
        "mode": options.mode.to_possible_value().map(|mode| mode.get_name().to_owned()), "ignored": options.ignore,
        "counts": comparison.counts, "bytes": comparison.left.moved() + comparison.right.moved(), "seconds": (began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
    });
    tool.out.finish();
    if !tool.out.is_json() {
        let (rows, left, right) = (compared, left.number, right.number);
        let mut sentences = vec![match (clean, &index) {
            (true, None) => Sentence::Equal { left, right, position: at, rows, run },
            (true, Some(_)) => Sentence::EqualIndexed { left, right, position: at, rows, unlike, run },
            (false, None) => Sentence::Differs { differ, rows, left, right, position: at, run },
            (false, Some(_)) => {
                Sentence::DiffersIndexed { differ, rows, left, right, position: at, unlike, run }
            }
        }];
        let each = |(field, count): (&String, &u64)| (field.clone(), *count);
        sentences
            .extend(fields.iter().map(each).map(|(field, count)| Sentence::FieldDiffers { field, count }));
        // The first column of a key names the group, which `step` searches for.
        sentences.extend(comparison.differences.first().map(|one| {
            let (projection, key) = (options.projection.clone(), shown_key(&one.key[..1]));
            Sentence::ExplainOne { projection, key }
        }));
        tool.out.result("summary", &summary, |language| crate::status::lines(&sentences, language));
    }
    Ok(Ended { code: if clean { exit::DONE } else { exit::FOUND }, summary })
}

/// The position of the event that last changed a row that differs.
fn last_changed(difference: &Difference) -> i64 {
    [&difference.right, &difference.left].into_iter().flatten().map(changed_at).max().unwrap_or(0)
}

/// A difference without values: the row, the fields that differ, where only one side has the row which one, and the
/// position of the event that last changed it.
fn in_short(difference: &Difference) -> Value {
    let only = match (&difference.left, &difference.right) {
        (Some(_), None) => Some("left"),
        (None, Some(_)) => Some("right"),
        _ => None,
    };
    let fields: &[String] = if only.is_some() { &[] } else { &difference.fields };
    json!({
        "table": difference.table, "key": shown_key(&difference.key), "only": only, "fields": fields,
        "position": last_changed(difference),
    })
}

/// A difference with the event that last changed the row, with personal columns masked.
async fn explain(
    tool: &Tool,
    difference: &Difference,
    personal: &[PersonalColumns],
    (left, right): (i32, i32),
) -> Result<Value, Failure> {
    let position = last_changed(difference);
    let event =
        tool.log.read(position, 1).await?.into_iter().next().filter(|event| event.position == position);
    let shown = |row: &Option<Row>| {
        row.as_ref().map(|row| {
            let mut row = row.clone();
            mask_columns(&mut row, &difference.table, personal);
            Value::Object(row)
        })
    };
    let (before, after) = (shown(&difference.left), shown(&difference.right));
    let at = |row: &Option<Value>, pointer: &str| row.as_ref().and_then(|row| row.pointer(pointer).cloned());
    let fields: Vec<Value> = difference
        .fields
        .iter()
        .map(
            |pointer| json!({ "field": pointer, "left": at(&before, pointer), "right": at(&after, pointer) }),
        )
        .collect();
    Ok(json!({
        "table": difference.table, "key": shown_key(&difference.key), "left": left, "right": right, "fields": fields,
        "caused_by": event.map(|event| json!({
            "position": position, "event_id": event.event_id, "event_type": event.event_type,
            "stream": format!("{}-{}", event.aggregate_type, event.aggregate_id),
        })),
    }))
}

fn sentence(value: &Value, (left, right): (i32, i32), language: Language) -> Sentence {
    let text = |name: &str| value[name].as_str().unwrap_or("").to_owned();
    let mut fields = String::new();
    for field in value["fields"].as_array().into_iter().flatten() {
        let (before, after) = (field["left"].to_string(), field["right"].to_string());
        let sentence = match field["field"].as_str().filter(|name| !name.is_empty()) {
            Some(name) => Sentence::Field { name: name.to_owned(), left, before, right, after },
            None => Sentence::WholeRow { left, before, right, after },
        };
        fields.push_str(&sentence.text(language));
    }
    let (table, key) = (text("table"), text("key"));
    match value["caused_by"].as_object() {
        Some(by) => {
            let event = by["event_type"].as_str().unwrap_or("").to_owned();
            let position = by["position"].as_i64().unwrap_or(0);
            Sentence::RowDiffersBy { table, key, fields, event, position }
        }
        None => Sentence::RowDiffers { table, key, fields },
    }
}
