//! The command line.
#![expect(clippy::result_large_err, reason = "a command fails once, and what it says then need not be small")]

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
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
    Config, Ended, Failure, Language, Outcome, Output, Sentence, Stop, Tool, check, deploy, plan, rebuild,
    status, swap, verify, view,
};
use tracing_subscriber::EnvFilter;

mod help;
mod misread;

/// Rows and JSON are many small allocations: with the default allocator they took a third of a rebuild.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Its texts are in the catalogues: see `help.rs`.
#[derive(Parser)]
#[command(name = "replay-tool", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[arg(long, global = true)]
    json: bool,
    #[arg(long, value_enum, default_value = "auto", global = true)]
    progress: ShowProgress,
    #[arg(long, value_parser = language(), global = true)]
    lang: Option<Language>,
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[arg(long, global = true)]
    log_file: Option<PathBuf>,
    #[arg(long, value_parser = duration, global = true)]
    timeout: Option<Duration>,
    #[arg(long, short = 'y', global = true)]
    yes: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    search: listing::Search,
    #[arg(long)]
    before: Option<String>,
    #[arg(long, value_parser = ["asc", "desc"], default_value = "desc")]
    order: String,
    #[arg(long, value_parser = ["recorded", "occurred"], default_value = "recorded")]
    sort: String,
    #[arg(long, value_enum, default_value = "ndjson")]
    format: listing::FileFormat,
    #[arg(long, value_parser = ["comma", "semicolon", "tab"], default_value = "comma")]
    separator: String,
    #[arg(long)]
    out: Option<PathBuf>,
    #[arg(long)]
    manifest: Option<PathBuf>,
    #[arg(long)]
    no_changes: bool,
    #[arg(long)]
    sign: bool,
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
    List,
    Status {
        projection: Option<String>,
        #[arg(long)]
        wide: bool,
        #[arg(long)]
        run: Option<i64>,
    },
    Plan {
        projection: String,
    },
    Rebuild {
        #[command(flatten)]
        rebuild: RebuildArgs,
        #[arg(long)]
        dry_run: bool,
    },
    Verify {
        projection: String,
        #[arg(long)]
        generation: Option<i32>,
        #[arg(long, value_enum, default_value = "full")]
        mode: Mode,
        #[arg(long, default_value_t = 10_000)]
        sample: u64,
        #[arg(long, default_value_t = 7)]
        seed: u64,
        #[arg(long, value_enum, default_value = "active")]
        against: Against,
        #[arg(long)]
        ignore: Vec<String>,
        #[arg(long)]
        report: Option<PathBuf>,
        #[arg(long)]
        reason: Option<String>,
    },
    Swap {
        projection: String,
        #[arg(long)]
        generation: Option<i32>,
        #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
        require_verified: bool,
        #[arg(long, value_parser = run_number)]
        accept_diff: Option<i64>,
        #[arg(long, default_value_t = 100)]
        max_lag: i64,
        #[arg(long)]
        expect_gen: Option<i32>,
        #[arg(long)]
        reason: Option<String>,
    },
    Rollback {
        projection: String,
        #[arg(long)]
        to_gen: Option<i32>,
        #[arg(long)]
        wait: bool,
        #[arg(long)]
        reason: Option<String>,
    },
    Retire {
        projection: String,
        #[arg(long = "gen")]
        generation: Option<i32>,
        #[arg(long, value_parser = duration, default_value = "72h")]
        min_age: Duration,
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        reason: Option<String>,
    },
    Deploy {
        #[command(flatten)]
        rebuild: RebuildArgs,
        #[arg(long, value_parser = duration, default_value = "10m")]
        bake: Duration,
        #[arg(long, default_value = "lag>1000 || errors>0")]
        rollback_if: deploy::Alarm,
    },
    Pause {
        run: i64,
    },
    Resume {
        run: i64,
    },
    Cancel {
        run: i64,
    },
    Throttle {
        run: i64,
        #[arg(long, value_parser = rate)]
        max_rate: i64,
    },
    #[command(alias = "history")]
    Runs {
        projection: Option<String>,
        #[arg(long, default_value_t = 20)]
        most: u32,
    },
    Show {
        aggregate: String,
        id: String,
        #[arg(long)]
        as_of: Option<Point>,
        #[arg(long, value_enum, default_value = "text")]
        format: ShowFormat,
    },
    Diff {
        aggregate: String,
        id: String,
        from: Point,
        to: Option<Point>,
        #[arg(long)]
        patch: bool,
    },
    Step {
        projection: String,
        #[arg(long)]
        key: String,
        #[arg(long)]
        until: Option<i64>,
    },
    Export(ExportArgs),
    Tail {
        #[command(flatten)]
        search: listing::Search,
        #[arg(long, short)]
        follow: bool,
        #[arg(long, value_enum, default_value = "text")]
        format: listing::TailFormat,
    },
    Check {
        #[arg(long, default_value_t = 1)]
        from: i64,
        #[arg(long)]
        to: Option<i64>,
        #[arg(long, value_parser = public_key)]
        pubkey: Option<TrustedKey>,
        #[arg(long)]
        record: bool,
        #[arg(long, requires = "pubkey", conflicts_with_all = ["from", "to", "record"])]
        offline: Option<PathBuf>,
    },
    Acknowledge {
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        from: i64,
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        to: Option<i64>,
        #[arg(long)]
        record: bool,
        #[arg(long)]
        reason: String,
    },
    View {
        file: PathBuf,
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: std::net::SocketAddr,
        #[arg(long, value_name = "FILE", requires = "tls_key")]
        tls_cert: Option<PathBuf>,
        #[arg(long, value_name = "FILE", requires = "tls_cert")]
        tls_key: Option<PathBuf>,
    },
    Doctor,
    Parked {
        #[command(subcommand)]
        verb: ParkedVerb,
    },
    Completions {
        shell: clap_complete::Shell,
    },
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
    #[arg(long, default_value_t = rebuild::CHUNK)]
    chunk: usize,
    #[arg(long, value_parser = rate)]
    max_rate: Option<i64>,
    #[arg(long)]
    yield_to_live: bool,
    #[arg(long)]
    until: Option<i64>,
    #[arg(long, value_parser = ["stop", "park"], default_value = "park")]
    on_poison: String,
    #[arg(long)]
    fail_unhandled: bool,
    #[arg(long, conflicts_with = "fresh")]
    resume: bool,
    #[arg(long)]
    fresh: bool,
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
    List {
        #[command(flatten)]
        which: WhichArgs,
    },
    Retry {
        #[command(flatten)]
        which: WhichArgs,
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        reason: Option<String>,
    },
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
    #[arg(long)]
    position: Option<i64>,
    #[arg(long)]
    stream: Option<String>,
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

/// The command line, with help and faults in this language.
fn parse(language: Language) -> Result<Cli, clap::Error> {
    let mut command = help::translated(Cli::command(), language);
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Shows help, the version, or what is wrong with the command line, and ends.
fn end_unparsed(error: &clap::Error, language: Language) -> ! {
    let Some(fault) = misread::fault(error) else { error.exit() };
    // With `--json`, scripts get the error as an object, too.
    let json = std::env::args_os().any(|arg| arg == "--json");
    let out = Output::new(json, ShowProgress::None).speaking(language);
    out.message("exit_error", &Failure::Usage(fault.clone()).message());
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    out.say(&misread::explained(error, fault));
    std::process::exit(error.exit_code())
}

fn main() -> ExitCode {
    let language = language_of(std::env::args_os().map(|word| word.to_string_lossy().into_owned()));
    let cli = parse(language).unwrap_or_else(|error| end_unparsed(&error, language));
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
                Failure::Usage(listing::link_at(path).unwrap_or(Sentence::OfFile { file, detail }))
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
            let mut command = help::translated(Cli::command(), out.language());
            clap_complete::generate(*shell, &mut command, "replay-tool", &mut text);
        }
        Verb::Check { offline: Some(file), pubkey: Some(key), .. } => {
            return check::check_file(&out, file, key);
        }
        Verb::Man => {
            let command = help::translated(Cli::command(), out.language());
            text = help::manual(command, out.language()).map_err(failed)?.into_bytes();
        }
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
            let options = swap::Rollback { projection, generation: to_gen, wait, reason, alarm: None };
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

async fn want(tool: &Tool, run: i64, expected: RunRequest) -> Outcome {
    let of = tool.runs.get(run).await?.filter(|run| !run.state.is_over());
    if let Some(of) = of
        && !(of.verb == "rebuild" || of.verb == "verify" && expected == RunRequest::Cancel)
    {
        return Err(Failure::Refused(Sentence::RunTakesNoOrders { run, verb: of.verb }));
    }
    accepted(tool.runs.want(run, expected).await?, run)
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
