//! The command line.
#![expect(clippy::result_large_err, reason = "a command fails once, and what it says then need not be small")]

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};
use soonshop_event_log::private_files;
use soonshop_event_log::seal::TrustedKey;
use soonshop_projections::runner::Poison;
use soonshop_projections::runs::RunRequest;
use soonshop_replay_tool::document::{self, ShowFormat};
use soonshop_replay_tool::history::{self, Point};
use soonshop_replay_tool::listing;
use soonshop_replay_tool::output::ShowProgress;
use soonshop_replay_tool::parked::{self, Which};
use soonshop_replay_tool::sentences::language_of;
use soonshop_replay_tool::verify::{Against, Mode};
use soonshop_replay_tool::{
    Config, Ended, Failure, Language, Outcome, Output, Sentence, Stop, Tool, check, deploy, exit, plan,
    rebuild, status, swap, verify, view,
};
use tracing_subscriber::EnvFilter;

/// Rows and JSON are many small allocations: with the default allocator they took a third of a rebuild.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rebuilds read models beside live traffic, verifies them, swaps them in, and rolls back.
#[derive(Parser)]
#[command(name = "replay-tool", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    config: Config,
    /// Standard output holds one JSON object per line; the last is `summary` or `exit_error`
    #[arg(long, global = true)]
    json: bool,
    #[arg(long, value_enum, default_value = "auto", global = true)]
    progress: ShowProgress,
    /// The language of all messages, and of the pages of `view`. By default that of the environment (`LC_ALL`,
    /// `LC_MESSAGES`, `LANG`), and for the pages that of the browser
    #[arg(long, value_parser = language(), global = true)]
    lang: Option<Language>,
    /// Log more; give it twice for even more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Write log lines to this file instead of standard error
    #[arg(long, global = true)]
    log_file: Option<PathBuf>,
    /// Stop after this time: 90s, 10m, 2h. The progress of a rebuild is saved
    #[arg(long, value_parser = duration, global = true)]
    timeout: Option<Duration>,
    /// Answer yes to all questions
    #[arg(long, short = 'y', global = true)]
    yes: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    search: listing::Search,
    /// Positions below this one
    #[arg(long)]
    before: Option<String>,
    /// The order; newest first by default
    #[arg(long, value_parser = ["asc", "desc"], default_value = "desc")]
    order: String,
    /// The time that counts for the order: when it was recorded, or when it happened
    #[arg(long, value_parser = ["recorded", "occurred"], default_value = "recorded")]
    sort: String,
    #[arg(long, value_enum, default_value = "ndjson")]
    format: listing::FileFormat,
    /// Between the cells of CSV; spreadsheets with a decimal comma expect a semicolon
    #[arg(long, value_parser = ["comma", "semicolon", "tab"], default_value = "comma")]
    separator: String,
    /// The file; standard output by default
    #[arg(long)]
    out: Option<PathBuf>,
    /// A second file for the manifest. By default that of CSV is in OUT.manifest.json
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Leave out what each event changed, which is faster
    #[arg(long)]
    no_changes: bool,
    /// Sign the manifest with the key that signs the log's seals
    #[arg(long)]
    sign: bool,
    /// The file with the seal keys, for `--sign`
    #[arg(long, env = "SOONSHOP_SEAL_KEY_FILE", default_value = "data/seal.key")]
    seal_key_file: PathBuf,
}

impl ExportArgs {
    fn options(self) -> listing::Export {
        let Self { search, before, order, sort, format, separator, out, .. } = self;
        let Self { manifest, no_changes, sign, seal_key_file, .. } = self;
        let sign = sign.then_some(seal_key_file);
        listing::Export { search, before, order, sort, format, separator, out, manifest, no_changes, sign }
    }
}

#[derive(Subcommand)]
enum Verb {
    /// Show the generations of every read model
    List,
    /// Show how far each sink is, its worker, and what is wrong
    Status {
        projection: Option<String>,
        /// Show each sink on a line of its own
        #[arg(long)]
        wide: bool,
        /// Follow a run until it ends, and end with its result
        #[arg(long)]
        run: Option<i64>,
    },
    /// Show what a rebuild would do; writes nothing
    Plan { projection: String },
    /// Build a new generation from the log, or resume one
    Rebuild {
        #[command(flatten)]
        rebuild: RebuildArgs,
        /// Only show what would be done, like `plan`
        #[arg(long)]
        dry_run: bool,
    },
    /// Compare a candidate with the generation in use
    Verify {
        projection: String,
        /// The candidate; by default the newest that is not in use
        #[arg(long)]
        generation: Option<i32>,
        #[arg(long, value_enum, default_value = "full")]
        mode: Mode,
        /// How many rows to compare, with `--mode sample`
        #[arg(long, default_value_t = 10_000)]
        sample: u64,
        /// The seed that chooses the rows, with `--mode sample`
        #[arg(long, default_value_t = 7)]
        seed: u64,
        #[arg(long, value_enum, default_value = "active")]
        against: Against,
        /// A column, or part of a JSON column, to ignore: `/updated_at`
        #[arg(long)]
        ignore: Vec<String>,
        /// Write every difference to this file, one JSON object per line
        #[arg(long)]
        report: Option<PathBuf>,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Move readers to a candidate
    Swap {
        projection: String,
        #[arg(long)]
        generation: Option<i32>,
        /// Whether the candidate must have been verified
        #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
        require_verified: bool,
        /// Accept the differences of a verification: run:59
        #[arg(long, value_parser = run_number)]
        accept_diff: Option<i64>,
        /// How many events the candidate may be behind at the start
        #[arg(long, default_value_t = 100)]
        max_lag: i64,
        /// The generation that must be in use
        #[arg(long)]
        expect_gen: Option<i32>,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Move readers back to the previous generation
    Rollback {
        projection: String,
        #[arg(long)]
        to_gen: Option<i32>,
        /// Wait until it has caught up
        #[arg(long)]
        wait: bool,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Drop generations that are not in use any more
    Retire {
        projection: String,
        #[arg(long = "gen")]
        generation: Option<i32>,
        /// The least time since it was in use, or was made
        #[arg(long, value_parser = duration, default_value = "72h")]
        min_age: Duration,
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Rebuild, verify, swap and watch; roll back if something is wrong
    Deploy {
        #[command(flatten)]
        rebuild: RebuildArgs,
        /// How long to watch the new generation
        #[arg(long, value_parser = duration, default_value = "10m")]
        bake: Duration,
        /// The condition for a rollback
        #[arg(long, default_value = "lag>1000 || errors>0")]
        rollback_if: deploy::Alarm,
    },
    /// Pause a running rebuild
    Pause { run: i64 },
    /// Resume a paused rebuild
    Resume { run: i64 },
    /// Cancel a rebuild or a verification; a rebuild can be resumed later
    Cancel { run: i64 },
    /// Limit the speed of a running rebuild
    Throttle {
        run: i64,
        /// Positions per second, such as 5000/s; 0: no limit
        #[arg(long, value_parser = rate)]
        max_rate: i64,
    },
    /// The operations on read models, newest first
    #[command(visible_alias = "history")]
    Runs {
        projection: Option<String>,
        #[arg(long, default_value_t = 20)]
        most: u32,
    },
    /// The state of an aggregate, personal values masked
    Show {
        /// Such as order
        aggregate: String,
        /// Its id, or its name: the number of an order, the name or a SKU of a product
        id: String,
        /// v13 (a version), p1204881 (a position), or a moment
        #[arg(long)]
        as_of: Option<Point>,
        /// `json` is the answer of `/api/audit/a/{type}/{id}`, byte for byte
        #[arg(long, value_enum, default_value = "text")]
        format: ShowFormat,
    },
    /// The differences between two states of an aggregate
    Diff {
        aggregate: String,
        id: String,
        from: Point,
        to: Option<Point>,
        /// As RFC 6902, JSON Patch
        #[arg(long)]
        patch: bool,
    },
    /// A row of a read model after each event that changed it
    Step {
        projection: String,
        /// The key of the row: the id or the name of what it is about, such as an order's number
        #[arg(long)]
        key: String,
        /// The last position to read
        #[arg(long)]
        until: Option<i64>,
    },
    /// The audit trail as a file: its manifest, and every event that matches
    Export(ExportArgs),
    /// The events, oldest first: the last ten, or all after a position
    Tail {
        #[command(flatten)]
        search: listing::Search,
        /// Follow new events
        #[arg(long, short)]
        follow: bool,
        #[arg(long, value_enum, default_value = "text")]
        format: listing::TailFormat,
    },
    /// Check whether the log still matches its seals; the result is recorded
    Check {
        #[arg(long, default_value_t = 1)]
        from: i64,
        /// The last position to check, which must be sealed; by default the last sealed one
        #[arg(long)]
        to: Option<i64>,
        /// The key that you trust: its public half in base64, or its fingerprint
        #[arg(long, value_parser = public_key)]
        pubkey: Option<TrustedKey>,
        /// Check the record of operations instead of the log
        #[arg(long)]
        record: bool,
        /// Check a file that `soonshop seals export` or `export --sign` wrote; no database is needed. The manifest of a
        /// CSV file is expected in FILE.manifest.json
        #[arg(long, requires = "pubkey", conflicts_with_all = ["from", "to", "record"])]
        offline: Option<PathBuf>,
    },
    /// Acknowledge what a check found: it is no alarm any more, and not proved. Who did it, and why, is recorded
    Acknowledge {
        /// The first position
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        from: i64,
        /// The last position; by default the first one
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        to: Option<i64>,
        /// The record of operations instead of the log
        #[arg(long)]
        record: bool,
        /// Why it is no alarm; stored encrypted
        #[arg(long)]
        reason: String,
    },
    /// Show an export (NDJSON or CSV) as pages, on this machine only, without a shop
    View {
        /// The file from `export`, or from `/api/audit/export.ndjson` or `.csv`
        file: PathBuf,
        /// The address, on the loopback interface; port 0: any free port
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: std::net::SocketAddr,
        /// The certificate as PEM, with those that lead to its issuer, to speak TLS. It is read again when the file
        /// changes
        #[arg(long, value_name = "FILE", requires = "tls_key")]
        tls_cert: Option<PathBuf>,
        /// The certificate's private key as PEM, readable by its owner only
        #[arg(long, value_name = "FILE", requires = "tls_cert")]
        tls_key: Option<PathBuf>,
    },
    /// Check everything that this tool needs, and show what is wrong with the shop
    Doctor,
    /// Events that could not be projected
    Parked {
        #[command(subcommand)]
        verb: ParkedVerb,
    },
    /// Write a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Write the manual page
    Man,
}

impl Verb {
    /// Whether it can finish its current step when it is stopped.
    fn saves_progress(&self) -> bool {
        matches!(
            self,
            Self::Rebuild { dry_run: false, .. }
                | Self::Verify { .. }
                | Self::Swap { .. }
                | Self::Rollback { .. }
                | Self::Retire { .. }
                | Self::Deploy { .. }
                | Self::Tail { follow: true, .. }
                | Self::View { .. }
        )
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(clap::Args)]
struct RebuildArgs {
    projection: String,
    /// Events per transaction
    #[arg(long, default_value_t = rebuild::CHUNK)]
    chunk: usize,
    /// Positions per second, such as 5000/s
    #[arg(long, value_parser = rate)]
    max_rate: Option<i64>,
    /// Slow down while the generation in use falls behind
    #[arg(long)]
    yield_to_live: bool,
    /// Stop at a position, and leave the generation unfinished
    #[arg(long)]
    until: Option<i64>,
    /// What to do with an event that fails
    #[arg(long, value_parser = ["stop", "park"], default_value = "park")]
    on_poison: String,
    /// Refuse to rebuild if there are events without a handler
    #[arg(long)]
    fail_unhandled: bool,
    /// Resume an interrupted rebuild (this is the default)
    #[arg(long, conflicts_with = "fresh")]
    resume: bool,
    /// Start a new rebuild
    #[arg(long)]
    fresh: bool,
    /// Keep the generation up to date afterwards, until stopped
    #[arg(long)]
    tail: bool,
    #[arg(long)]
    reason: Option<String>,
}

impl From<RebuildArgs> for rebuild::Options {
    fn from(args: RebuildArgs) -> Self {
        Self {
            projection: args.projection,
            fresh: args.fresh,
            chunk: args.chunk,
            max_rate: args.max_rate,
            yield_to_live: args.yield_to_live,
            until: args.until,
            poison: if args.on_poison == "stop" { Poison::Stop } else { Poison::Park },
            fail_unhandled: args.fail_unhandled,
            tail: args.tail,
            reason: args.reason,
        }
    }
}

#[derive(Subcommand)]
enum ParkedVerb {
    /// List parked events by cause
    List {
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Retry them in order
    Retry {
        #[command(flatten)]
        which: WhichArgs,
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Discard them: their rows stay as they are
    Discard {
        #[command(flatten)]
        which: WhichArgs,
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
struct WhichArgs {
    projection: Option<String>,
    #[arg(long = "gen")]
    generation: Option<i32>,
    /// One event
    #[arg(long)]
    position: Option<i64>,
    /// The events of one stream, by its id
    #[arg(long)]
    stream: Option<String>,
    /// The events whose cause contains this text
    #[arg(long)]
    cause: Option<String>,
}

impl From<WhichArgs> for Which {
    fn from(args: WhichArgs) -> Self {
        let WhichArgs { projection, generation, position, stream, cause } = args;
        Self { projection, generation, position, stream, cause }
    }
}

fn duration(text: &str) -> Result<Duration, Sentence> {
    let bad = || Sentence::BadDuration { text: text.to_owned() };
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3_600),
        "d" => number.checked_mul(86_400),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(bad)
}

fn rate(text: &str) -> Result<i64, Sentence> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok().filter(|rate: &i64| *rate >= 0);
    number.ok_or_else(|| Sentence::BadRate { text: text.to_owned() })
}

fn run_number(text: &str) -> Result<i64, Sentence> {
    let number = text.strip_prefix("run:").unwrap_or(text).parse();
    number.map_err(|_| Sentence::BadRun { text: text.to_owned() })
}

fn public_key(text: &str) -> Result<TrustedKey, Sentence> {
    text.parse().map_err(|_| Sentence::BadPublicKey)
}

fn language() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(Language::TAGS.iter().copied()).map(|tag| Language::of(&tag))
}

/// A command line error as a sentence of this tool, because the parser's texts are in English only; none if it shows
/// help.
fn misread(error: &clap::Error) -> Option<Sentence> {
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let (arg, value) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue));
    let source = std::error::Error::source(error);
    let text = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::InvalidValue => {
            Sentence::NoSuchValue { value, arg, known: context(ContextKind::ValidValue) }
        }
        ErrorKind::ValueValidation => match source.and_then(|source| source.downcast_ref::<Sentence>()) {
            Some(why) => Sentence::BadValue { value, arg, why: Box::new(why.clone()) },
            None => Sentence::ValueUnfit { value, arg },
        },
        ErrorKind::UnknownArgument => Sentence::NoSuchArgument { arg },
        ErrorKind::InvalidSubcommand => {
            Sentence::NoSuchVerb { verb: context(ContextKind::InvalidSubcommand) }
        }
        ErrorKind::MissingSubcommand => Sentence::VerbMissing,
        ErrorKind::MissingRequiredArgument => Sentence::ArgumentsMissing { args: arg },
        ErrorKind::ArgumentConflict => {
            Sentence::ArgumentsClash { arg, other: context(ContextKind::PriorArg) }
        }
        _ => Sentence::CommandLine { detail: error.render().to_string().trim_end().to_owned() },
    };
    Some(Sentence::TryHelp { text: Box::new(text) })
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // With `--json`, scripts get the error as an object, too.
        if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
            let detail = error.render().to_string().trim_end().to_owned();
            let failure = Failure::Usage(Sentence::CommandLine { detail });
            Output::new(true, ShowProgress::None).message("exit_error", &failure.message());
        }
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let language = language_of(words);
        if language != Language::English
            && error.use_stderr()
            && let Some(fault) = misread(&error)
        {
            Output::new(false, ShowProgress::None).speaking(language).say(&fault);
            std::process::exit(error.exit_code());
        }
        error.exit()
    });
    let language = cli.lang.unwrap_or_else(Language::of_environment);
    let out = Output::new(cli.json, cli.progress).speaking(language);
    let outcome = begin_logging(&cli, &out).and_then(|()| {
        // All TLS here uses ring; this is the only place that chooses.
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::unexpected)?;
        let outcome = runtime.block_on(Box::pin(run(cli, out.clone())));
        // A prompt on the terminal may never be answered.
        runtime.shutdown_background();
        outcome
    });
    out.finish();
    out.remind();
    let code = match outcome {
        Ok(ended) => {
            let mut summary = ended.summary;
            summary["exit_code"] = ended.code.into();
            out.message("summary", &summary);
            ended.code
        }
        Err(failure) => {
            out.message("exit_error", &failure.message());
            out.say(&Sentence::ByTool { text: Box::new(failure.sentence()) });
            failure.code()
        }
    };
    ExitCode::from(code)
}

fn begin_logging(cli: &Cli, out: &Output) -> Result<(), Failure> {
    let level = match cli.verbose {
        0 => "warn,lapin=error,tantivy=error",
        1 => "info,sqlx=warn,tantivy=warn",
        _ => "debug,sqlx=warn,tantivy=info",
    };
    // Spans of the database layer contain the values of statements, so they are never logged below info.
    // Migrations of the tool's temporary folders are not logged.
    let filter = EnvFilter::try_new(format!("{level},sea_orm=info,sea_orm_migration=warn"))
        .map_err(Failure::unexpected)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match &cli.log_file {
        Some(path) => {
            let file = private_files::append(path).map_err(|error| {
                let (file, detail) = (path.display().to_string(), error.to_string());
                Failure::Usage(Sentence::OfFile { file, detail })
            })?;
            builder.with_ansi(false).with_writer(std::sync::Mutex::new(file)).init();
        }
        None => {
            let writer = out.log_writer();
            builder.with_ansi(std::io::stderr().is_terminal()).with_writer(move || writer.clone()).init();
        }
    }
    Ok(())
}

/// Asks on a terminal; without one, says which flag answers.
async fn confirm(tool: &Tool, yes: bool, question: Sentence) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::Usage(Sentence::CannotAsk { question: Box::new(question) }));
    }
    let asked = Sentence::Ask { question: Box::new(question) }.text(tool.out.language());
    drop(write!(std::io::stderr(), "{asked}"));
    let asking = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = tokio::select! {
        () = tool.stop.requested() => return Err(tool.stop.failure()),
        answer = asking => answer.map_err(std::io::Error::from).flatten(),
    };
    let answer = answer.map_err(Failure::unexpected)?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(Failure::Usage(Sentence::NothingDone)) }
}

async fn run(cli: Cli, out: Output) -> Outcome {
    let failed = |error: std::io::Error| Failure::unexpected(error);
    let mut text = Vec::new();
    match &cli.verb {
        Verb::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "replay-tool", &mut text);
        }
        Verb::Check { offline: Some(file), pubkey: Some(key), .. } => {
            return check::check_file(&out, file, key);
        }
        Verb::Man => clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(failed)?,
        _ => {}
    }
    if !text.is_empty() {
        // The reader closed the pipe: it has read enough.
        drop(std::io::stdout().write_all(&text));
        return Ok(Ended::done(serde_json::json!({})));
    }
    let stop = Stop::default();
    stop.listen(cli.timeout).map_err(failed)?;
    let saves = cli.verb.saves_progress();
    // A command without progress to save ends at once; others finish their step, unless stopped a second time.
    let ended = async { if saves { stop.now().await } else { stop.requested().await } };
    tokio::select! {
        outcome = Box::pin(carry_out(cli, out, stop.clone())) => outcome,
        () = ended => Err(stop.failure()),
    }
}

async fn carry_out(cli: Cli, out: Output, stop: Stop) -> Outcome {
    if let Verb::View { file, listen, tls_cert, tls_key } = cli.verb {
        let options = view::Options { file, listen, tls: tls_cert.zip(tls_key), language: cli.lang };
        return view::view(&options, &out, &stop).await;
    }
    let tool = Tool::open(&cli.config, soonshop_projections::all(), out, stop).await?;
    match cli.verb {
        Verb::List => status::status(&tool, None, false).await,
        Verb::Status { run: Some(run), .. } => status::watch(&tool, run).await,
        Verb::Status { projection, wide, run: None } => {
            status::status(&tool, projection.as_deref(), wide).await
        }
        Verb::Plan { projection } => plan::plan(&tool, &projection).await,
        Verb::Rebuild { rebuild, dry_run: true } => plan::plan(&tool, &rebuild.projection).await,
        Verb::Rebuild { rebuild, dry_run: false } => rebuild::rebuild(&tool, &rebuild.into()).await,
        Verb::Verify { projection, generation, mode, sample, seed, against, ignore, report, reason } => {
            let options = verify::Options {
                projection,
                generation,
                mode,
                sample,
                seed,
                against,
                ignore,
                report,
                reason,
            };
            verify::verify(&tool, &options).await
        }
        Verb::Swap { projection, generation, require_verified, accept_diff, max_lag, expect_gen, reason } => {
            let options = swap::Swap {
                projection,
                generation,
                expect: expect_gen,
                verified: require_verified,
                accept: accept_diff,
                max_lag,
                reason,
            };
            swap::swap(&tool, &options).await
        }
        Verb::Rollback { projection, to_gen, wait, reason } => {
            let options = swap::Rollback { projection, generation: to_gen, wait, reason };
            swap::rollback(&tool, &options).await
        }
        Verb::Retire { projection, generation, min_age, dry_run, reason } => {
            if !dry_run {
                let question = Sentence::AskRetire { projection: projection.clone() };
                confirm(&tool, cli.yes, question).await?;
            }
            swap::retire(&tool, &swap::Retire { projection, generation, min_age, dry_run, reason }).await
        }
        Verb::Deploy { rebuild, bake, rollback_if } => {
            let options = deploy::Options { rebuild: rebuild.into(), bake, alarm: rollback_if };
            deploy::deploy(&tool, &options).await
        }
        Verb::Pause { run } => want(&tool, run, RunRequest::Pause).await,
        Verb::Resume { run } => want(&tool, run, RunRequest::Run).await,
        Verb::Cancel { run } => want(&tool, run, RunRequest::Cancel).await,
        Verb::Throttle { run, max_rate } => {
            let limit = (max_rate > 0).then_some(max_rate);
            accepted(tool.runs.throttle(run, limit).await?, run)
        }
        Verb::Runs { projection, most } => status::runs(&tool, projection.as_deref(), most).await,
        Verb::Show { aggregate, id, as_of, format } => {
            document::show(&tool, &aggregate, &id, as_of.unwrap_or(Point::Now), format).await
        }
        Verb::Diff { aggregate, id, from, to, patch } => {
            history::diff(&tool, &aggregate, &id, from, to.unwrap_or(Point::Now), patch).await
        }
        Verb::Step { projection, key, until } => history::step(&tool, &projection, &key, until).await,
        Verb::Export(export) => listing::export(&tool, &export.options()).await,
        Verb::Tail { search, follow, format } => {
            listing::tail(&tool, &listing::Tail { search, follow, format }).await
        }
        Verb::Check { from, to, pubkey, record, offline: _ } => {
            check::check(&tool, &check::Options { from, to, trusted: pubkey, record }).await
        }
        Verb::Acknowledge { from, to, record, reason } => {
            let to = to.unwrap_or(from);
            if to < from {
                return Err(Failure::Usage(Sentence::RangeBackwards { from, to }));
            }
            check::acknowledge(&tool, record, (from, to), &reason).await
        }
        Verb::Doctor => check::doctor(&tool).await,
        Verb::Parked { verb } => carry_out_parked(&tool, cli.yes, verb).await,
        Verb::Completions { .. } | Verb::Man | Verb::View { .. } => Ok(Ended::done(serde_json::json!({}))),
    }
}

async fn carry_out_parked(tool: &Tool, yes: bool, verb: ParkedVerb) -> Outcome {
    match verb {
        ParkedVerb::List { which } => parked::list(tool, &which.into()).await,
        ParkedVerb::Retry { which, dry_run, reason } => {
            parked::retry(tool, &which.into(), dry_run, reason.as_deref()).await
        }
        ParkedVerb::Discard { which, dry_run, reason } => {
            let which = which.into();
            if !dry_run && !yes {
                let count = parked::find(tool, &which).await?.len();
                confirm(tool, false, Sentence::AskDiscard { count }).await?;
            }
            parked::discard(tool, &which, dry_run, &reason).await
        }
    }
}

async fn want(tool: &Tool, run: i64, wanted: RunRequest) -> Outcome {
    let of = tool.runs.get(run).await?.filter(|run| !run.state.is_over());
    if let Some(of) = of
        && !(of.verb == "rebuild" || of.verb == "verify" && wanted == RunRequest::Cancel)
    {
        return Err(Failure::Refused(Sentence::RunTakesNoOrders { run, verb: of.verb }));
    }
    accepted(tool.runs.want(run, wanted).await?, run)
}

fn accepted(accepted: bool, run: i64) -> Outcome {
    if accepted {
        Ok(Ended::done(serde_json::json!({ "run": run })))
    } else {
        Err(Failure::Refused(Sentence::RunEnded { run }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_and_rates_are_parsed() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("72h"), Ok(Duration::from_secs(259_200)));
        assert_eq!(rate("5000/s"), Ok(5_000));
        assert_eq!(run_number("run:59"), Ok(59));
        for bad in ["", "m", "10y", "-1s", "99999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(rate("-5").is_err() && run_number("x").is_err());
    }
}
