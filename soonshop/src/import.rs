//! Imports the invoices of a real shop through the commands: `soonshop import online-retail FILE…`.
//!
//! All files of an import are judged before anything is written: their form (`form`, `rows`), their rows against each
//! other (`book`), and their documents against those that imports have stored (`stored`, `judge`). What is missing is
//! planned and given as commands; what differs is reported.
//!
//! Each command has a natural key in the source (a code, a customer's number, an invoice's number): its ids are derived
//! from it, and its stream claims it in the scope `import`. So a second import changes nothing, over HTTP or not, and
//! an import that was killed is completed by the next. Start reading at [`run`]; the rules from rows to commands are in
//! `tests/data/online-retail/README.md`, and in code in `judge`.

mod book;
mod form;
mod judge;
mod local;
mod natural;
mod plan;
mod progress;
mod remote;
mod report;
mod rows;
mod stored;
mod target;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use futures::{StreamExt as _, TryStreamExt as _};
use sea_orm::DatabaseBackend;
use soonshop_domain::ids;
use soonshop_domain::text::folded;
use soonshop_event_log::{Lease, Leases};
use soonshop_event_store::EventStore;
use soonshop_projections::runner::Readers;
use soonshop_workers::relay::Published;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::{Role, Shop, migrate, roles};
use book::Book;
use local::Local;
use natural::{Kind, adjustment_key, guest, key, receipt_key, sale_key};
use plan::{Adjustment, Buyer, Plan, PlannedProduct, Receipt, Sale};
use progress::Progress;
use remote::Remote;
use rows::{RowOutcome, Sheet};
use stored::EarlierImports;
use target::{BuyerId, Step, StepContent, StepOutcome, Target};

pub use form::{DateOrder, DecimalSign, FormOptions, Separator};
pub use report::{Broken, Count, Difference, REFUSED, Refused, Report};
pub use rows::FileRefused;

/// How many order lines are sent between two checks that stock is reserved as fast.
const LINES_BETWEEN_LOOKS: usize = 500;

/// Where the rows come from.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Source {
    /// The public 'Online Retail' format: one invoice line a row
    ///
    /// The exit code is 0 when all that the files say is in the shop; 3 when something of it is not, or differs there:
    /// rows that cannot be read, documents that are left out with them, lines that differ from what is stored, and
    /// documents that the shop's rules refuse, each of them reported; 4 when nothing was stored, as no row could be taken,
    /// or a file is no such file or could be read in two ways; 1 when it failed: it can be started again.
    OnlineRetail(Options),
}

#[derive(Debug, Clone, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Options {
    /// Comma-separated values, packed with gzip or not
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The URL of a running shop, which the operator's token opens; without it, a store that no process serves
    #[arg(long, value_name = "URL")]
    pub to: Option<Url>,
    #[command(flatten)]
    pub form: FormOptions,
    /// The files are parts of whole documents: rows that are alike count each, and lines that are stored and that the
    /// files lack are no difference
    #[arg(long)]
    pub parts: bool,
    /// Say what an import of the files would do, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
    /// Show nothing until it is done
    #[arg(long)]
    pub quiet: bool,
}

/// Imports the files, which are judged as one, and waits until every follower has processed them.
///
/// Without a URL no other process may serve the store: relay, projectors and reactors then run in this process. A dry
/// run only reads.
pub async fn run(shop: &Shop, options: &Options) -> anyhow::Result<Report> {
    let asked = options.clone();
    // A file of another format is refused before anything is changed.
    let (book, mut report) = tokio::task::spawn_blocking(move || read(&asked)).await??;
    report.dry_run = options.dry_run;
    if report.nothing_taken() {
        return Ok(report);
    }
    if let Some(url) = &options.to {
        let target = Remote::open(url, &shop.operator_token()?)?;
        let stored = target.stored(&expected(&book)).await?;
        let Some(plan) = plan(book, &stored, options, &mut report) else { return Ok(report) };
        return import(target, plan, report, options.quiet).await;
    }
    migrate::check(shop).await?;
    if options.dry_run {
        let stored = EarlierImports::read(&shop.log()?, &expected(&book)).await?;
        plan(book, &stored, options, &mut report);
        return Ok(report);
    }
    EventStore::check_owner(&shop.store_database)?;
    let Some((leases, lease)) = turn(shop).await? else {
        return Box::pin(into_store(shop, options, book, report)).await;
    };
    let outcome = tokio::select! {
        outcome = Box::pin(into_store(shop, options, book, report)) => outcome,
        stopped = leases.keep(&lease) => {
            Err(anyhow!("it ended, because another import may have begun: {stopped}. Start it again"))
        }
    };
    leases.release(&lease).await?;
    outcome
}

/// The numbers of all documents, folded.
fn expected(book: &Book) -> HashSet<String> {
    book.documents().map(|(number, _)| folded(number)).collect()
}

/// The plan of an import; `None` after a dry run, whose report has it.
fn plan(book: Book, stored: &EarlierImports, options: &Options, report: &mut Report) -> Option<Plan> {
    let plan = judge::judge(&book, stored, options.parts, report);
    drop(book);
    if options.dry_run {
        planned(&plan, stored, report);
        return None;
    }
    Some(plan)
}

/// How long building the indexes of the read models may take in the end.
const INDEXED: Duration = Duration::from_mins(10);

/// Waits for the turn of this import: two that run at once could not tell what the other is about to store. A store
/// that one process owns needs none.
async fn turn(shop: &Shop) -> anyhow::Result<Option<(Leases, Lease)>> {
    let process = shop.store_database.namespace("process")?;
    if process.backend() != DatabaseBackend::Postgres {
        return Ok(None);
    }
    let leases = Leases::new(process, format!("import {}", ids::new()));
    let mut waits = false;
    loop {
        match leases.acquire("import").await? {
            Ok(lease) => return Ok(Some((leases, lease))),
            Err(_) if waits => {}
            Err(_) => {
                tracing::info!("another import is under way: this one begins when it ends");
                waits = true;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Imports into a store that no other process serves.
async fn into_store(
    shop: &Shop,
    options: &Options,
    book: Book,
    mut report: Report,
) -> anyhow::Result<Report> {
    let stored = EarlierImports::read(&shop.log()?, &expected(&book)).await?;
    let Some(plan) = plan(book, &stored, options, &mut report) else { return Ok(report) };
    drop(stored);
    let store = shop.event_store()?;
    let quit = CancellationToken::new();
    let guard = quit.clone().drop_guard();
    let published = Published::default();
    // A store that one process owns has no readers while this is that process.
    let alone = shop.store_database.namespace("process")?.backend() != DatabaseBackend::Postgres;
    let (readers, deadline) =
        if alone { (Readers::Later, INDEXED) } else { (Readers::Now, crate::serve::DEADLINE) };
    let projectors = soonshop_projections::all();
    let mut followers = roles::start(shop, Role::All, Some(&store), &published, projectors, readers, &quit)?;
    let began = Instant::now();
    let mut outcome = match Local::new(shop, store.clone()) {
        Ok(target) => import(target, plan, report, options.quiet).await,
        Err(error) => Err(error),
    };
    drop(guard);
    let ended = async { while followers.tasks.join_next().await.is_some() {} };
    // An error is reported soon: the next start builds the indexes.
    let deadline = if outcome.is_ok() { deadline } else { crate::serve::DEADLINE };
    if tokio::time::timeout(deadline, ended).await.is_ok() {
        if let Ok(report) = &mut outcome {
            report.took(report.seconds_giving, began.elapsed().as_secs_f64());
        }
    } else {
        tracing::warn!(
            "ended with followers that had not stopped by the deadline; they go on from their checkpoints"
        );
    }
    drop(followers);
    store.close().await;
    outcome
}

/// All rows of the files, judged against each other.
fn read(options: &Options) -> anyhow::Result<(Book, Report)> {
    let files = &options.files;
    let mut report = Report { files: u64::try_from(files.len()).unwrap_or(0), ..Report::default() };
    let mut book = Book::default();
    for file in files {
        let mut sheet = Sheet::open(file, &options.form)?;
        let name = file.display().to_string();
        report.read_as.push(format!("{name}: {}", sheet.read_as));
        book.file(name.clone(), std::mem::take(&mut sheet.hash));
        sheet.rows(|found| {
            report.rows += 1;
            match found {
                RowOutcome::Row(row) => book.add(row),
                RowOutcome::Ignored => report.rows_ignored += 1,
                RowOutcome::Broken { line, invoice, reason } => {
                    if let Some(invoice) = invoice {
                        book.broken(invoice, line);
                    }
                    report.broken(Broken { file: name.clone(), line, reason });
                }
            }
        });
    }
    book.judge(options.parts, &mut report);
    Ok((book, report))
}

/// Counts what the plan would do to the shop.
fn planned(plan: &Plan, stored: &EarlierImports, report: &mut Report) {
    for good in &plan.goods {
        match stored.has_price(&good.sku) {
            None => report.products.new += 1,
            Some(priced) => {
                report.products.there += 1;
                report.prices.new += u64::from(!priced && good.pence.is_some());
            }
        }
    }
    for buyer in &plan.buyers {
        match stored.user_of(&buyer.number) {
            None => report.customers.new += 1,
            Some(_) => report.customers.there += 1,
        }
    }
    for (kind, planned) in [
        (Kind::Receipt, plan.receipts.len()),
        (Kind::Adjustment, plan.adjustments.len()),
        (Kind::Order, plan.orders.len()),
        (Kind::CreditNote, plan.credit_notes.len()),
    ] {
        report.count(kind).new += u64::try_from(planned).unwrap_or(u64::MAX);
    }
}

async fn import<D: Target>(target: D, plan: Plan, report: Report, quiet: bool) -> anyhow::Result<Report> {
    let began = Instant::now();
    let before = target.head().await?;
    let run = Run {
        target,
        report: Mutex::new(report),
        customers: Mutex::default(),
        placed: Mutex::default(),
        progress: Progress::new(plan.rows(), quiet),
    };
    run.bring(&plan).await?;
    let giving = began.elapsed();
    run.progress.doing("waiting until all is done".to_owned());
    run.target.finish().await?;
    let placed = std::mem::take(&mut *run.placed.lock().unwrap_or_else(PoisonError::into_inner));
    for refused in
        run.target.refused_since(before).await?.into_iter().filter(|order| placed.contains(&order.id))
    {
        run.report().refused(format!("order {}", refused.number), refused.reason);
    }
    let events = run.target.head().await? - before;
    let mut report = run.report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.events = events;
    report.took(giving.as_secs_f64(), began.elapsed().max(Duration::from_millis(1)).as_secs_f64());
    Ok(report)
}

/// An import under way.
struct Run<D> {
    target: D,
    report: Mutex<Report>,
    /// The user behind each number.
    customers: Mutex<HashMap<String, Uuid>>,
    /// The orders that are new.
    placed: Mutex<HashSet<Uuid>>,
    progress: Progress,
}

/// An order or an adjustment, in the order of time.
enum Movement<'a> {
    Adjust(&'a Adjustment),
    Place(&'a Sale),
}

impl Movement<'_> {
    fn lines(&self) -> usize {
        match self {
            Self::Adjust(_) => 1,
            Self::Place(sale) => sale.lines.len(),
        }
    }
}

impl<D: Target> Run<D> {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn bring(&self, plan: &Plan) -> anyhow::Result<()> {
        let width = self.target.width();
        self.progress.doing(format!("{} products", plan.goods.len()));
        all(plan.goods.iter().map(|good| self.list(good)), width).await?;
        self.progress.doing(format!("{} customers", plan.buyers.len()));
        all(plan.buyers.iter().map(|buyer| self.register(buyer)), width).await?;
        self.progress.doing(format!("{} receipts of stock", plan.receipts.len()));
        all(plan.receipts.iter().map(|receipt| self.receive(receipt)), width).await?;
        self.progress.doing(format!("{} orders, {} adjustments", plan.orders.len(), plan.adjustments.len()));
        let mut movements: Vec<(_, Movement)> =
            plan.adjustments.iter().map(|one| (one.at, Movement::Adjust(one))).collect();
        movements.extend(plan.orders.iter().map(|one| (one.at, Movement::Place(one))));
        movements.sort_by_key(|(at, _)| *at);
        let mut lines = 0;
        let movements = movements.into_iter().map(|(_, movement)| {
            lines += movement.lines();
            let looks = lines >= LINES_BETWEEN_LOOKS;
            if looks {
                lines = 0;
            }
            (looks, movement)
        });
        let paced = futures::stream::iter(movements).then(async |(looks, movement)| {
            if looks {
                self.target.room().await?;
            }
            anyhow::Ok(movement)
        });
        let done = paced.map(async |movement| self.apply(movement?).await).buffer_unordered(width);
        done.try_collect::<()>().await?;
        self.progress.doing(format!("{} credit notes", plan.credit_notes.len()));
        all(plan.credit_notes.iter().map(|sale| self.sell(Kind::CreditNote, sale)), width).await
    }

    async fn list(&self, good: &PlannedProduct) -> anyhow::Result<()> {
        let PlannedProduct { sku, name, pence, at } = good;
        let (code, at) = (sku.as_str(), *at);
        let step = |kind: Kind, what| Step { kind, key: key(kind, code), at, what };
        let product = step(Kind::Product, StepContent::Product { sku, name, pence: *pence });
        let StepOutcome::There(product) = self.give(code, product).await? else { return Ok(()) };
        // One that was never sold before has no price.
        if let Some(pence) = *pence
            && self.target.lacks_price(product, sku).await?
        {
            self.give(code, step(Kind::Price, StepContent::Price { product, sku, pence })).await?;
        }
        Ok(())
    }

    async fn register(&self, buyer: &Buyer) -> anyhow::Result<()> {
        let Buyer { number, country, at } = buyer;
        let (kind, what) = (Kind::Customer, StepContent::Customer { country });
        let step = Step { kind, key: key(kind, number), at: *at, what };
        if let StepOutcome::New(id) | StepOutcome::There(id) = self.give(number, step).await? {
            self.customers.lock().unwrap_or_else(PoisonError::into_inner).insert(number.clone(), id);
        }
        Ok(())
    }

    async fn receive(&self, receipt: &Receipt) -> anyhow::Result<()> {
        let Receipt { sku, quantity, total, cause, at } = receipt;
        let what = StepContent::Receipt { sku, quantity: *quantity };
        let step = Step { kind: Kind::Receipt, key: receipt_key(sku, *total, *cause), at: *at, what };
        self.give(sku.as_str(), step).await.map(drop)
    }

    async fn apply(&self, movement: Movement<'_>) -> anyhow::Result<()> {
        match movement {
            Movement::Place(sale) => self.sell(Kind::Order, sale).await,
            Movement::Adjust(Adjustment { invoice, sku, occurrence, quantity, at }) => {
                let (kind, what) = (Kind::Adjustment, StepContent::Adjustment { sku, quantity: *quantity });
                let key = adjustment_key(invoice, sku, *occurrence);
                self.give(&format!("{invoice} of {sku}"), Step { kind, key, at: *at, what }).await?;
                self.progress.rows(1);
                Ok(())
            }
        }
    }

    /// Places an order, or issues a credit note.
    async fn sell(&self, kind: Kind, sale: &Sale) -> anyhow::Result<()> {
        let by = match &sale.buyer {
            None => BuyerId::Guest(guest(&sale.document)),
            Some(number) => {
                let customers = self.customers.lock().unwrap_or_else(PoisonError::into_inner);
                // A customer who could not be registered has no id: the nil id makes the shop refuse the order.
                BuyerId::User(customers.get(number).copied().unwrap_or_default())
            }
        };
        let what = if kind == Kind::Order {
            StepContent::Order { sale, by }
        } else {
            StepContent::CreditNote { sale, by }
        };
        let step = Step { kind, key: sale_key(kind, &sale.document, sale.piece), at: sale.at, what };
        let given = self.give(&sale.number(), step).await?;
        if let (StepOutcome::New(id), Kind::Order) = (given, kind) {
            self.placed.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
        self.progress.rows(sale.lines.len());
        Ok(())
    }

    /// Sends a command, and counts it; `name` is its name for people.
    async fn give(&self, name: &str, step: Step<'_>) -> anyhow::Result<StepOutcome> {
        let given = self.target.give(&step).await?;
        let mut report = self.report();
        match &given {
            StepOutcome::New(_) => report.count(step.kind).new += 1,
            StepOutcome::There(_) => report.count(step.kind).there += 1,
            StepOutcome::Refused(reason) => {
                report.refused(format!("{} {name}", step.kind.name()), reason.clone());
            }
        }
        Ok(given)
    }
}

/// Runs them, so many at a time.
async fn all(
    steps: impl Iterator<Item: Future<Output = anyhow::Result<()>>>,
    width: usize,
) -> anyhow::Result<()> {
    futures::stream::iter(steps).buffer_unordered(width).try_collect::<()>().await
}
