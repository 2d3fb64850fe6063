//! Process managers at the command line: lists instances, shows what one of them waits for, retries its command at once,
//! and acknowledges its failures.
//!
//! Exit codes: 0 done; 2 no such process or instance, or nothing to retry or acknowledge; 3 `list --stuck` found some; 1 an error.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use soonshop_audit::processes::Retry;
use soonshop_audit::reader::Reader;
use soonshop_audit::{finder, names};
use soonshop_domain::{TYPES, process_managers};
use soonshop_event_log::Db;
use soonshop_projections::processes::{self, Instance, InstanceEvent, InstanceQuery, Key, Which};
use soonshop_service_kit::access::Caller;

use crate::Shop;
use crate::outcome::Outcome;

/// The exit code of what does not exist; its text is an error.
pub const NOT_FOUND: u8 = 2;

/// The exit code of `list --stuck` when it found some.
const FOUND: u8 = 3;

/// The commands on process managers.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Show instances that have something to do or to wait for
    List {
        /// Of this process only
        #[arg(long)]
        process: Option<String>,
        /// Only those whose command waits, whose timeout is overdue, or with a failure. Exit code 3 if there are any
        #[arg(long, conflicts_with = "all")]
        stuck: bool,
        /// Those that are done as well
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        most: u64,
        /// Those after this one, as printed at the end of the list before: PROCESS/INSTANCE
        #[arg(long)]
        after: Option<String>,
        /// text, or json: one instance a line
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Show one instance: its step, what it waits for, what was refused, and the events it has read
    Show {
        /// The name of the process
        process: String,
        /// The instance, such as an order, by its id or its number
        instance: String,
        /// text or json
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Acknowledge the failures of an instance, once what is to be done about them is done: they are no alarm any more.
    /// Who did it, and why, is recorded
    Acknowledge {
        /// The name of the process
        process: String,
        /// The instance, such as an order, by its id or its number
        instance: String,
        /// The reason, in free text; it is kept encrypted in the record of operations
        #[arg(long)]
        reason: Option<String>,
        /// text or json
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Retry the waiting command of an instance at once; who asked, and why, is recorded
    Retry {
        /// The name of the process
        process: String,
        /// The instance, such as an order, by its id or its number
        instance: String,
        /// The reason, in free text; it is kept encrypted in the record of operations
        #[arg(long)]
        reason: Option<String>,
        /// text or json
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
}

/// How to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Does it, on a shop that is up to date.
pub async fn run(shop: &Shop, verb: &Verb) -> anyhow::Result<Outcome> {
    let db = shop.store_database.namespace("process")?;
    match verb {
        Verb::List { process, stuck, all, most, after, format } => {
            let which = match (stuck, all) {
                (true, _) => Which::Stuck,
                (_, true) => Which::All,
                _ => Which::Open,
            };
            if let Some(refused) = process.as_deref().and_then(unknown) {
                return Ok(refused);
            }
            let Ok(after) = after.as_deref().map(str::parse::<Key>).transpose() else {
                return Ok(not_found("--after is a process and an instance: PROCESS/INSTANCE".to_owned()));
            };
            let query = InstanceQuery { process: process.clone(), which, after, most: *most };
            list(&db, &query, *format).await
        }
        Verb::Show { process, instance, format } => {
            let reader = Reader::new(shop.registry()?, shop.log()?);
            match find(&reader, &db, process, instance).await? {
                Ok(found) => {
                    let history = processes::history(&reader.log, &found).await?;
                    let about = found.aggregate_id.map(|id| id.to_string());
                    let names = names::in_texts(&reader, about.as_deref()).await?;
                    let name = about.and_then(|id| names.get(&id).map(|one| one.name.clone()));
                    shown(&found, name.as_deref(), &history, *format)
                }
                Err(refused) => Ok(refused),
            }
        }
        Verb::Acknowledge { process, instance, reason, format } => {
            let reader = Reader::new(shop.registry()?, shop.log()?);
            match find(&reader, &db, process, instance).await? {
                Ok(Instance { process, instance, .. }) => {
                    acknowledge(&reader, &Key { process, instance }, reason.as_deref(), *format).await
                }
                Err(refused) => Ok(refused),
            }
        }
        Verb::Retry { process, instance, reason, format } => {
            let reader = Reader::new(shop.registry()?, shop.log()?);
            match find(&reader, &db, process, instance).await? {
                Ok(Instance { process, instance, .. }) => {
                    retry(&reader, &Key { process, instance }, reason.as_deref(), *format).await
                }
                Err(refused) => Ok(refused),
            }
        }
    }
}

fn not_found(text: String) -> Outcome {
    Outcome { text, exit_code: NOT_FOUND }
}

fn unknown(process: &str) -> Option<Outcome> {
    let names = process_managers::names();
    (!names.contains(&process))
        .then(|| not_found(format!("there is no process {process:?}: {}", names.join(", "))))
}

/// The instance that is given by its own name, or by an id or a name of what it is about.
async fn find(
    reader: &Reader,
    db: &Db,
    process: &str,
    given: &str,
) -> anyhow::Result<Result<Instance, Outcome>> {
    if let Some(refused) = unknown(process) {
        return Ok(Err(refused));
    }
    let named =
        async |instance: String| processes::show(db, &Key { process: process.to_owned(), instance }).await;
    if let Some(found) = named(given.to_owned()).await? {
        return Ok(Ok(found));
    }
    let mut found = Vec::new();
    for id in finder::aggregates(reader, TYPES, given).await? {
        found.extend(named(id.to_string()).await?);
    }
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(|one| one.instance.as_str()).collect();
        let ids = ids.join(", ");
        return Ok(Err(not_found(format!(
            "{given:?} names several instances of {process}, give one of them: {ids}"
        ))));
    }
    Ok(found.pop().ok_or_else(|| {
        not_found(format!("{process} has no instance {given:?}: `soonshop process list --all` shows them"))
    }))
}

async fn list(db: &Db, query: &InstanceQuery, format: Format) -> anyhow::Result<Outcome> {
    let (instances, next) = processes::list(db, query).await?;
    let mut lines = Vec::with_capacity(instances.len() + 1);
    for one in &instances {
        lines.push(match format {
            Format::Json => serde_json::to_string(one)?,
            Format::Text => line(one),
        });
    }
    match (format, next) {
        (Format::Json, Some(next)) => lines.push(json!({ "next": next.to_string() }).to_string()),
        (Format::Text, Some(next)) => lines.push(format!("there are more: --after {next}")),
        (Format::Text, None) if instances.is_empty() => lines.push("no instances".to_owned()),
        _ => {}
    }
    let found = query.which == Which::Stuck && !instances.is_empty();
    Ok(Outcome { text: lines.join("\n"), exit_code: if found { FOUND } else { 0 } })
}

fn at(moment: Option<DateTime<Utc>>) -> String {
    moment.map_or_else(|| "-".to_owned(), |moment| moment.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// `reserve 2`.
fn command(purpose: Option<&String>, key: Option<&String>) -> String {
    let words = [purpose.map_or("?", String::as_str), key.map_or("", String::as_str)];
    words.join(" ").trim_end().to_owned()
}

fn line(one: &Instance) -> String {
    let step = one.step.as_deref().unwrap_or("?");
    let mut text = format!(
        "{} {:<18} {}  {:<10} since {:<20}",
        if one.stuck { "!" } else { " " },
        one.process,
        one.instance,
        step,
        at(one.since)
    );
    // Writing to a string cannot fail.
    if let Some(unsent) = &one.waits_with {
        let _ = write!(
            text,
            "  {} to send: {}",
            one.unsent,
            command(unsent.purpose.as_ref(), unsent.key.as_ref())
        );
        if let Some(reason) = &unsent.reason {
            let _ = write!(text, " waits since {}: {reason}", at(unsent.waiting_since));
        }
    }
    if let Some(failed) = &one.failed {
        let about = command(failed.purpose.as_ref(), failed.key.as_ref());
        let _ = write!(text, "  {} failed: {about} was refused: {}", one.failures, failed.slug);
    }
    for timeout in &one.timeouts {
        let _ = write!(text, "  times out {} ({})", at(Some(timeout.at)), timeout.name);
    }
    if let Some(error) = &one.unreadable {
        let _ = write!(text, "  {error}");
    }
    text
}

fn shown(
    one: &Instance,
    name: Option<&str>,
    history: &[InstanceEvent],
    format: Format,
) -> anyhow::Result<Outcome> {
    if format == Format::Json {
        let mut value = serde_json::to_value(one)?;
        value["history"] = serde_json::to_value(history)?;
        return Ok(Outcome { text: value.to_string(), exit_code: 0 });
    }
    let mut lines = vec![
        format!("process    {}", one.process),
        format!("instance   {}", one.instance),
        format!("step       {}", one.step.as_deref().unwrap_or("?")),
        format!("since      {}", at(one.since)),
        format!("stuck      {}", if one.stuck { "yes" } else { "no" }),
    ];
    if let (Some(kind), Some(id)) = (&one.aggregate_type, one.aggregate_id) {
        lines.push(match name {
            Some(name) => format!("about      {kind} {name} ({id})"),
            None => format!("about      {kind} {id}"),
        });
    }
    lines.extend(one.unreadable.as_ref().map(|error| format!("unreadable {error}")));
    match &one.waits_with {
        Some(unsent) => {
            let about = command(unsent.purpose.as_ref(), unsent.key.as_ref());
            let kind = unsent.command_type.as_deref().unwrap_or("?");
            let stream = unsent.stream.map_or_else(|| "?".to_owned(), |stream| stream.to_string());
            lines.push(format!("to send    {}", one.unsent));
            lines.push(format!("first      {about} ({kind} for {stream})"));
            if let Some(reason) = &unsent.reason {
                lines.push(format!(
                    "waits      since {}, tried {} times",
                    at(unsent.waiting_since),
                    unsent.attempts
                ));
                lines.push(format!("because    {reason}"));
                lines.push(format!("again at   {}", at(unsent.retry_at)));
            }
        }
        None => lines.push("to send    nothing".to_owned()),
    }
    if let Some(refused) = &one.refused {
        let about = command(refused.purpose.as_ref(), refused.key.as_ref());
        lines.push(format!("refused    {about}: {} at {}", refused.slug, at(Some(refused.at))));
    }
    if let Some(failed) = &one.failed {
        let about = command(failed.purpose.as_ref(), failed.key.as_ref());
        lines.push(format!("failed     {}", one.failures));
        lines.push(format!("first      {about}: {} at {}", failed.slug, at(Some(failed.at))));
    }
    if one.timeouts.is_empty() {
        lines.push(format!("times out  {}", at(None)));
    }
    let timeouts = one.timeouts.iter();
    lines.extend(timeouts.map(|timeout| format!("times out  {} ({})", at(Some(timeout.at)), timeout.name)));
    lines.extend(history.iter().map(|event| {
        format!("{:>10}  {} {}", event.position, at(Some(event.recorded_at)), event.event_type)
    }));
    Ok(Outcome { text: lines.join("\n"), exit_code: 0 })
}

async fn acknowledge(
    reader: &Reader,
    key: &Key,
    reason: Option<&str>,
    format: Format,
) -> anyhow::Result<Outcome> {
    let actor = Caller::operator().actor;
    let failures = soonshop_audit::processes::acknowledge(reader, &actor, key, reason).await?;
    if failures == 0 {
        return Ok(not_found(format!("{key} has no failure: there is nothing to acknowledge")));
    }
    let text = match format {
        Format::Json => {
            json!({ "process": key.process, "instance": key.instance, "acknowledged": failures }).to_string()
        }
        Format::Text => format!("{key}: failures acknowledged: {failures}"),
    };
    Ok(Outcome { text, exit_code: 0 })
}

async fn retry(reader: &Reader, key: &Key, reason: Option<&str>, format: Format) -> anyhow::Result<Outcome> {
    let actor = Caller::operator().actor;
    let requested = match soonshop_audit::processes::retry(reader, &actor, key, reason).await? {
        Retry::Requested => true,
        Retry::SentMeanwhile => false,
        Retry::NothingToSend => {
            return Ok(not_found(format!("{key} has no command to send: there is nothing to try again")));
        }
    };
    let text = match (format, requested) {
        (Format::Json, requested) => {
            json!({ "process": key.process, "instance": key.instance, "asked": requested }).to_string()
        }
        (Format::Text, true) => {
            format!("{key}: its command is tried again at once, where {} runs", key.process)
        }
        (Format::Text, false) => format!("{key} has sent its command meanwhile"),
    };
    Ok(Outcome { text, exit_code: 0 })
}
