//! The command line.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::Serialize;
use soonshop::migrate::StartProcess;
use soonshop::serve::{self, Options};
use soonshop::{
    Config, Role, Shop, accounts, api_keys, clock, contexts, doctor, erased, import, migrate, oauth,
    processes, seals, seed, settle, stock,
};
use soonshop_domain::context;
use soonshop_service_kit::{serve as kit, telemetry};

#[cfg(test)]
mod example_env;

/// Rows and JSON are many small pieces of memory: a third of a rebuild was getting and giving them back.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An event-sourced shop: one process or many, embedded or on real servers.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    config: Config,
    /// How to write logs: text or json
    #[arg(long, env = "SOONSHOP_LOG_FORMAT", default_value = "text", global = true)]
    log_format: String,
    /// The filter of log lines
    #[arg(
        long,
        env = "SOONSHOP_LOG",
        default_value = "info,sqlx=warn,sea_orm_migration=warn,lapin=error,tantivy=warn",
        global = true
    )]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring every schema up to this release, and make the keys and the operator's token
    Migrate {
        /// Where a process manager starts that is new to a log with a history: NAME=beginning or NAME=head. Without
        /// this, it starts at the head
        #[arg(long, value_name = "NAME=WHERE")]
        start_process: Vec<StartProcess>,
    },
    /// Run a role, or all of them
    Serve {
        #[arg(long, value_enum, default_value = "all")]
        role: Role,
        #[arg(long, help = format!("Only these contexts' endpoints: {}", context::NAMES.join(",")))]
        contexts: Option<String>,
        /// The address to listen on; each role has a port of its own
        #[arg(long, env = "SOONSHOP_LISTEN")]
        listen: Option<SocketAddr>,
    },
    /// Migrate, add sample data and serve everything, embedded
    Dev {
        #[arg(long, env = "SOONSHOP_LISTEN")]
        listen: Option<SocketAddr>,
    },
    /// Add sample data to a store that no process serves
    Seed,
    /// Import the data of another shop, through the commands
    Import {
        #[command(subcommand)]
        source: import::Source,
    },
    /// Print the description of the API (OpenAPI 3.1), as `/openapi.json` answers it and `docs/openapi.json` holds it
    Openapi,
    /// Check every part of the shop, and say what is wrong and what to do
    Doctor {
        /// As JSON, one finding a line
        #[arg(long)]
        json: bool,
    },
    /// Check every store for data that should not be there, and the log for units that were sold twice
    Verify {
        #[command(subcommand)]
        what: Verify,
    },
    /// API keys
    Key {
        #[command(subcommand)]
        verb: api_keys::Verb,
    },
    /// Accounts of people who sign in
    Account {
        #[command(subcommand)]
        verb: accounts::command_line::Verb,
    },
    /// Roles of staff that the shop defines itself
    Role {
        #[command(subcommand)]
        verb: accounts::own_roles::Verb,
    },
    /// Clients of OAuth: the shop's own programs
    Client {
        #[command(subcommand)]
        verb: oauth::command_line::Verb,
    },
    /// Process managers: their instances, and why one waits
    Process {
        #[command(subcommand)]
        verb: processes::Verb,
    },
    /// The clock of this machine
    Clock {
        #[command(subcommand)]
        verb: clock::Verb,
    },
    /// Check that the log is unchanged since it was sealed
    Seals {
        #[command(subcommand)]
        verb: seals::Verb,
    },
}

#[derive(Subcommand)]
enum Verify {
    /// Check that no store holds data of a person who was erased
    ///
    /// The exit code is 0 if nothing was found, 3 if something was, and 1 if not everything could be searched.
    Erased(erased::Options),
    /// Check that no more stock was ever reserved than was on hand, and that every confirmed order has its units
    ///
    /// Reads the whole log, and changes nothing. The exit code is 0 if nothing was found, 3 if something was, and 1 if not
    /// everything could be read.
    Stock(stock::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let started = cli
        .log_format
        .parse::<telemetry::LogFormat>()
        .map_err(anyhow::Error::msg)
        .and_then(|format| telemetry::init(format, &cli.log).map_err(anyhow::Error::from));
    let outcome = started.and_then(|()| {
        if matches!(cli.command, Command::Serve { .. } | Command::Dev { .. }) {
            keep_pages_small();
        }
        // TLS uses ring; nothing has installed another provider before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(cli))
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("soonshop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the kernel to give this process pages of 4 KiB, never of 2 MiB. The allocator asks for huge ones, and an idle
/// shop touches a bit of each: half of its memory would be nearly empty pages.
#[cfg(target_os = "linux")]
fn keep_pages_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "huge pages stay on: this process takes more memory than it uses");
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_pages_small() {}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Migrate { start_process } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            for line in migrate::migrate_and_start(&shop, &start_process).await? {
                eprintln!("{line}");
            }
            eprintln!(
                "every schema is up to date; the operator's token is in {}",
                cli.config.operator_token_file.display()
            );
        }
        Command::Serve { role, contexts: list, listen } => {
            let shop = Shop::open(&cli.config, role)?;
            let contexts = contexts(list.as_deref())?;
            let port = serve::default_port(role, &contexts);
            let listen = listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            serve_until_stopped(shop, Options { role, contexts, listen }, false).await?;
        }
        Command::Dev { listen } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            migrate::migrate(&shop).await?;
            let renewed = migrate::renew_read_models(&shop).await?;
            if !renewed.is_empty() {
                eprintln!("made anew for this release: the read models {}", renewed.join(", "));
            }
            let listen = listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)));
            serve_until_stopped(shop, Options { role: Role::All, contexts: contexts(None)?, listen }, true)
                .await?;
        }
        Command::Seed => {
            let shop = Shop::open(&cli.config, Role::All)?;
            migrate::check(&shop).await?;
            soonshop_event_store::EventStore::check_owner(&shop.store_database)?;
            seed::seed(&shop.event_store()?).await?;
        }
        Command::Import { source: import::Source::OnlineRetail(options) } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            return match import::run(&shop, &options).await {
                Ok(done) => report(&done, options.json, done.exit_code()),
                Err(error) if error.is::<import::FileRefused>() => {
                    eprintln!("soonshop: {error}");
                    Ok(ExitCode::from(import::REFUSED))
                }
                Err(error) => Err(error),
            };
        }
        Command::Openapi => print_file(&serve::openapi_file()?)?,
        Command::Doctor { json } => return examine(&Shop::open(&cli.config, Role::All)?, json).await,
        Command::Verify { what } => return verify(Shop::open(&cli.config, Role::All)?, what).await,
        Command::Key { verb } => {
            // Here `--name` is the name of the key, in any words.
            let config = Config { name: "soonshop".to_owned(), ..cli.config };
            let shop = Shop::open(&config, Role::All)?;
            migrate::check(&shop).await?;
            return Ok(say(&api_keys::run(&shop, &verb).await?));
        }
        Command::Account { verb } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            migrate::check(&shop).await?;
            return Ok(say(&accounts::command_line::run(&shop, &verb).await?));
        }
        Command::Role { verb } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            migrate::check(&shop).await?;
            return Ok(say(&accounts::own_roles::run(&shop, &verb).await?));
        }
        Command::Client { verb } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            migrate::check(&shop).await?;
            return Ok(say(&oauth::command_line::run(&shop, &verb).await?));
        }
        Command::Process { verb } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            migrate::check(&shop).await?;
            let outcome = processes::run(&shop, &verb).await?;
            if outcome.exit_code == processes::NOT_FOUND {
                eprintln!("soonshop: {}", outcome.text);
                return Ok(ExitCode::from(outcome.exit_code));
            }
            return Ok(say(&outcome));
        }
        Command::Clock { verb } => {
            let shop = Shop::open(&cli.config, Role::All)?;
            migrate::check(&shop).await?;
            return Ok(say(&clock::run(&shop, &verb).await?));
        }
        Command::Seals { verb } => {
            return Ok(say(&seals::run(&cli.config, &verb).await?));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve_until_stopped(shop: Shop, options: Options, sample: bool) -> anyhow::Result<()> {
    let role = options.role;
    if sample {
        // The appender of this store must be gone before the server's takes the log.
        let store = shop.event_store()?;
        seed::seed(&store).await.context("sample data")?;
        store.close().await;
    }
    let running = serve::start(shop.clone(), options, soonshop_projections::all()).await?;
    let address = running.address;
    if sample {
        settle::settle(&shop, Duration::from_secs(30)).await?;
        let scheme = if shop.server_settings.tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{address}");
        let mails = shop.mailing.folder.as_ref();
        let mails = mails
            .map(|folder| format!("                      mails are written into {}\n", folder.display()));
        eprintln!(
            "\n  The shop is open.\n\n    start here        {address}/\n    API description   {address}/docs\n    products          {address}/products\n    \
             search            {address}/products/search?q=mug\n    audit trail       {address}/audit\n                      sign in with the token in {token}\n    \
             your account      {address}/account\n{mails}    health            {address}/health/ready\n\n  Stop it with Ctrl-C.\n",
            token = shop.config.operator_token_file.display(),
            mails = mails.unwrap_or_default()
        );
    } else {
        tracing::info!(%address, ?role, "serving");
    }
    let stop = running.stop.clone();
    let signal = tokio::spawn(async move {
        match kit::shutdown_signal().await {
            Ok(signal) => tracing::info!(signal, "stopping"),
            Err(error) => tracing::error!(%error, "signals cannot be heard"),
        }
        stop.cancel();
    });
    running.ended().await?;
    signal.abort();
    Ok(())
}

/// Prints a report: for people, or as JSON.
fn report(report: &(impl Display + Serialize), json: bool, exit_code: u8) -> anyhow::Result<ExitCode> {
    let text = if json { serde_json::to_string(report)? } else { report.to_string() };
    Ok(say(&seals::Outcome { text, exit_code }))
}

/// As it is, without another end of line.
fn print_file(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}

#[expect(clippy::print_stdout, reason = "the result of a command goes to standard output")]
fn say(outcome: &seals::Outcome) -> ExitCode {
    println!("{}", outcome.text);
    ExitCode::from(outcome.exit_code)
}

async fn verify(shop: Shop, what: Verify) -> anyhow::Result<ExitCode> {
    match what {
        Verify::Erased(options) => {
            let found = erased::verify(shop, &options).await?;
            report(&found, options.json, found.exit_code())
        }
        Verify::Stock(options) => {
            let found = stock::verify(&shop.log()?).await?;
            report(&found, options.json, found.exit_code())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of a command goes to standard output")]
async fn examine(shop: &Shop, json: bool) -> anyhow::Result<ExitCode> {
    let findings = doctor::examine(shop).await;
    for finding in &findings {
        if json {
            println!("{}", serde_json::to_string(finding)?);
        } else {
            println!("{} {:<24} {}", if finding.ok { "ok  " } else { "FAIL" }, finding.what, finding.detail);
            if !finding.ok {
                println!("     {:<24} -> {}", "", finding.cure);
            }
        }
    }
    Ok(if findings.iter().all(|finding| finding.ok) { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
