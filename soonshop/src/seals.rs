//! Seals by hand: check them, here or from a file; write that file; show and renew the keys.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;

use anyhow::Context as _;
use soonshop_event_log::seal::{
    Positions, Report, SealKeys, Seals, TrustedKey, Verdict, check_offline, export,
};
use soonshop_event_log::{EventLog, private_files};
use soonshop_projections::integrity::SealedLog;
use soonshop_projections::{integrity, integrity_check};
use soonshop_service_kit::access::Caller;

pub use crate::outcome::Outcome;
use crate::{Config, Role, Shop, migrate};

/// The commands on seals.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Check the log against its seals, and record the result. Exit code 0: intact; 3: something is wrong, or not all of
    /// it is proved; 1: an error
    Check {
        /// The first position
        #[arg(long, default_value_t = 1)]
        from: i64,
        /// The last position, which must be sealed; without it, up to the last seal
        #[arg(long)]
        to: Option<i64>,
        /// The key that you trust: its public half in base64, or its fingerprint
        #[arg(long)]
        pubkey: Option<TrustedKey>,
        /// The record of operations instead of the log
        #[arg(long)]
        record: bool,
        /// Check a file that `export` wrote; no database is needed
        #[arg(long, requires = "pubkey", conflicts_with_all = ["from", "to", "record"])]
        offline: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write log and seals into a new file, to be checked elsewhere
    Export {
        #[arg(long, default_value_t = 1)]
        from: i64,
        #[arg(long)]
        to: Option<i64>,
        /// The record of operations instead of the log
        #[arg(long)]
        record: bool,
        file: PathBuf,
    },
    /// Show the keys that sign: public half and fingerprint, the newest first
    Key {
        /// Put a new one at the top first; it signs once the reactor is started again
        #[arg(long)]
        renew: bool,
    },
}

/// The result of a check as it is printed, with its exit code.
fn outcome(report: &Report, json: bool) -> anyhow::Result<Outcome> {
    let text = if json { serde_json::to_string(report)? } else { report.to_string() };
    Ok(Outcome { text, exit_code: if report.verdict == Verdict::Intact { 0 } else { 3 } })
}

/// Does it. A check that found something is no error.
pub async fn run(config: &Config, verb: &Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Check { offline: Some(file), pubkey, json, .. } => {
            let open = File::open(file).with_context(|| file.display().to_string())?;
            let report = check_offline(BufReader::new(open), pubkey.as_ref())
                .with_context(|| file.display().to_string())?;
            outcome(&report, *json)
        }
        Verb::Check { from, to, pubkey, json, record, .. } => {
            let shop = Shop::open(config, Role::All)?;
            migrate::check(&shop).await?;
            let of = if *record { SealedLog::Record } else { SealedLog::Log };
            let positions = Positions { from: *from, to: *to };
            let reader = shop.status_reader()?;
            let checked = integrity_check::check(&reader, of, positions, pubkey.as_ref()).await?;
            let outcome = outcome(&checked.report, *json)?;
            // On record, the result is the verdict that every view of the shop shows.
            let actor = Caller::operator().actor.to_string();
            let proof = reader.record_proof()?;
            let recorded = integrity::record_check(&proof, &actor, of, positions, &checked).await;
            recorded.with_context(|| format!("{}\nthis result could not be recorded", outcome.text))?;
            Ok(outcome)
        }
        Verb::Export { from, to, record, file } => {
            let (log, seals) = opened(config, *record).await?;
            let writer =
                BufWriter::new(private_files::open_new(file).with_context(|| file.display().to_string())?);
            let positions = Positions { from: *from, to: *to };
            let events = export(&log, &seals, positions, writer).await?;
            Ok(Outcome::done(format!("{events} events are in {}", file.display())))
        }
        Verb::Key { renew } => {
            let file = &config.seal_key_file;
            let keys = if *renew { SealKeys::renew(file)? } else { SealKeys::read(file)? };
            let lines: Vec<_> = keys.publics().map(|key| format!("{key}  {}", key.fingerprint())).collect();
            Ok(Outcome::done(lines.join("\n")))
        }
    }
}

/// The log, or the record of operations, and its seals.
async fn opened(config: &Config, record: bool) -> anyhow::Result<(EventLog, Seals)> {
    let shop = Shop::open(config, Role::All)?;
    migrate::check(&shop).await?;
    Ok(if record { (shop.record()?, shop.record_seals()?) } else { (shop.log()?, shop.seals()?) })
}
