//! `export` and `tail`: the audit trail as a file, and as it grows. The search, the masking and the format are those of
//! the endpoints, and an export is recorded as it is there.

use std::collections::BTreeSet;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use soonshop_audit::entry::Entry;
use soonshop_audit::export::{Format, Manifest, Separator, Written};
use soonshop_audit::listing::{Listing, ListingRequest, Reached, export as listed};
use soonshop_domain::clock;
use soonshop_event_log::private_files;
use soonshop_event_log::seal::{PublicKey, SealKeys, Seals};
use soonshop_projections::operations::Operation;

use crate::output::Line;
use crate::record::write_down;
use crate::{Ended, Failure, Language, Outcome, Sentence, Tool, must_be_there};

/// The role that everything is masked for: there is no sign-in here.
const ROLE: &str = "support";

/// How many of the last events `tail` begins with.
const LAST: i64 = 10;

/// Times of an event that are further apart are both shown.
const APART: TimeDelta = TimeDelta::minutes(1);

/// The pause between polls.
const PAUSE: Duration = Duration::from_millis(250);

/// The filters.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Search {
    #[arg(long, allow_hyphen_values = true)]
    pub q: Option<String>,
    #[arg(long = "type")]
    pub kind: Option<String>,
    #[arg(long)]
    pub agg: Option<String>,
    #[arg(long)]
    pub id: Option<String>,
    #[arg(long)]
    pub actor: Option<String>,
    #[arg(long)]
    pub chan: Option<String>,
    #[arg(long)]
    pub correlation: Option<String>,
    #[arg(long)]
    pub tz: Option<String>,
    #[arg(long)]
    pub from: Option<String>,
    #[arg(long)]
    pub to: Option<String>,
    #[arg(long)]
    pub occurred_from: Option<String>,
    #[arg(long)]
    pub occurred_to: Option<String>,
    #[arg(long)]
    pub after: Option<String>,
}

impl Search {
    fn request(&self, more: &[(&str, &str)]) -> Result<ListingRequest, Failure> {
        let all = [
            ("q", &self.q),
            ("type", &self.kind),
            ("agg", &self.agg),
            ("id", &self.id),
            ("actor", &self.actor),
            ("chan", &self.chan),
            ("correlation", &self.correlation),
            ("tz", &self.tz),
            ("from", &self.from),
            ("to", &self.to),
            ("occurred_from", &self.occurred_from),
            ("occurred_to", &self.occurred_to),
            ("after", &self.after),
        ];
        let given = all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let pairs: Vec<_> = given.chain(more.iter().copied()).collect();
        Ok(ListingRequest::of(&pairs)?)
    }
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    Ndjson,
    Csv,
}

#[derive(Debug, Clone)]
pub struct Export {
    pub search: Search,
    pub before: Option<String>,
    /// `asc` or `desc`.
    pub order: String,
    /// The time to sort by: `recorded` or `occurred`.
    pub sort: String,
    pub format: FileFormat,
    /// Between the cells of CSV: `comma`, `semicolon` or `tab`.
    pub separator: String,
    /// None: standard output.
    pub out: Option<PathBuf>,
    /// A second place for the manifest. CSV cannot contain it: by default it goes beside the file, or to standard
    /// error.
    pub manifest: Option<PathBuf>,
    /// Leaves out what each event changed.
    pub no_changes: bool,
    /// The file with the seal keys, if the export is to be signed.
    pub sign: Option<PathBuf>,
}

/// Writes the found events to a file, or to standard output.
pub async fn export(tool: &Tool, options: &Export) -> Outcome {
    if tool.out.is_json() && options.out.is_none() {
        return Err(Failure::Usage(Sentence::OutNeeded));
    }
    let format = match options.format {
        FileFormat::Ndjson => Format::Ndjson,
        FileFormat::Csv => Format::Csv,
    };
    let mut more = vec![("order", options.order.as_str()), ("sort", options.sort.as_str())];
    more.extend(options.before.as_deref().map(|before| ("before", before)));
    more.extend(options.no_changes.then_some(("changes", "0")));
    let mut request = options.search.request(&more)?;
    request.separator = Separator::named(Some(&options.separator));
    let signer = match &options.sign {
        Some(file) => Some(signer(tool, file).await?),
        None => None,
    };
    let written = listed(&tool.registry, &tool.log, &request, format, ROLE, |count| {
        let status = json!({ "phase": "export", "done": count });
        let text = Sentence::Exporting { count };
        tool.out.progress(&Line { done: count, total: 0, text, status }, false);
        if tool.stop.is_asked() { Err(tool.stop.failure()) } else { Ok(()) }
    });
    let mut written = written.await?;
    tool.out.finish();
    if let Some((keys, public)) = &signer
        && let Some(key) = keys.of(*public)
    {
        written.sign(key).map_err(Failure::unexpected)?;
    }
    let unwritten = |error: serde_json::Error| {
        Failure::Unexpected(Sentence::ManifestUnwritten { detail: error.to_string() })
    };
    let manifest = serde_json::to_value(&written.manifest).map_err(unwritten)?;
    let text = written.manifest.text().map_err(unwritten)?;
    write_down(tool, &record_of(&request, format, &written.manifest)).await?;
    let count = written.manifest.count();
    put(written, options.out.as_deref())?;
    put_manifest(tool, options, &text)?;
    if let Some(path) = &options.out {
        tool.out.say(&Sentence::Exported { count, file: path.display().to_string() });
    }
    Ok(Ended::done(manifest))
}

/// The keys, and the one that signs: the key of the shop's last seal, which people who check the file know.
async fn signer(tool: &Tool, file: &Path) -> Result<(SealKeys, PublicKey), Failure> {
    must_be_there(file)?;
    let keys = SealKeys::read(file)
        .map_err(|error| Failure::Usage(Sentence::CannotSign { detail: error.to_string() }))?;
    let last = Seals::new(tool.store.namespace("seals")?).last().await?;
    let public = match last {
        None => keys.current().public(),
        Some(Ok(seal)) => seal.key,
        Some(Err(broken)) => {
            return Err(Failure::Refused(Sentence::CannotSign { detail: broken.reason }));
        }
    };
    if keys.of(public).is_none() {
        let (file, fingerprint) = (file.display().to_string(), public.fingerprint());
        return Err(Failure::Refused(Sentence::SealKeyMissing { file, fingerprint }));
    }
    Ok((keys, public))
}

/// The line about an export in the record of operations: without any text of its filter that may be a name.
fn record_of(request: &ListingRequest, format: Format, manifest: &Manifest) -> Operation {
    let mut detail = json!({ "count": manifest.count(), "format": format, "search": request.recorded() });
    if let Some(signer) = manifest.signed_by() {
        detail["signed_by"] = signer.fingerprint.as_str().into();
    }
    let (actor, subject) = (crate::ACTOR.to_owned(), "timeline".to_owned());
    Operation { actor, action: "export", subject, detail, note: None }
}

/// That a file cannot be written because a symbolic link is in its place; `None`: there is none.
pub fn link_at(path: &Path) -> Option<Sentence> {
    private_files::is_link(path).then(|| Sentence::LinkUnwritten { file: path.display().to_string() })
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let (file, detail) = (path.display().to_string(), error.to_string());
    Failure::Usage(link_at(path).unwrap_or(Sentence::FileUnwritten { file, detail }))
}

fn put(mut written: Written, to: Option<&Path>) -> Result<(), Failure> {
    let copied = match to {
        Some(path) => {
            let mut file = private_files::create(path).map_err(|error| failed(path, &error))?;
            io::copy(&mut written, &mut file).map(drop)
        }
        None => copy_out(&mut written),
    };
    match copied {
        // The reader closed the pipe: it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => {
            other.map_err(|error| Failure::Unexpected(Sentence::ExportCutShort { detail: error.to_string() }))
        }
    }
}

fn copy_out(written: &mut impl Read) -> io::Result<()> {
    let mut out = io::stdout().lock();
    io::copy(written, &mut out)?;
    out.flush()
}

fn put_manifest(tool: &Tool, options: &Export, manifest: &str) -> Result<(), Failure> {
    let beside = || options.out.as_deref().map(crate::check::beside);
    let csv = options.format == FileFormat::Csv;
    match options.manifest.clone().or_else(|| beside().filter(|_| csv)) {
        Some(path) => private_files::create(&path)
            .and_then(|mut file| file.write_all(format!("{manifest}\n").as_bytes()))
            .map_err(|error| failed(&path, &error)),
        None => {
            if csv {
                tool.out.put(manifest);
            }
            Ok(())
        }
    }
}

/// How `tail` shows an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TailFormat {
    Text,
    Ndjson,
}

#[derive(Debug, Clone)]
pub struct Tail {
    pub search: Search,
    pub follow: bool,
    pub format: TailFormat,
}

/// Prints the events after a position, oldest first, and follows new ones if requested.
pub async fn tail(tool: &Tool, options: &Tail) -> Outcome {
    let request = options.search.request(&[("order", "asc")])?;
    let mut reached = match &options.search.after {
        Some(after) => after.parse().ok(),
        None => Some((tool.log.head().await?.position - LAST).max(0)),
    };
    let mut count = 0_u64;
    let mut parked = Parked { seen: reached.unwrap_or(0), waiting: BTreeSet::new() };
    loop {
        // Readers may have been moved meanwhile: each poll uses the generation in use.
        let now = Reached::read(&tool.registry).await?;
        for position in parked.released(&now) {
            let before = Some(position - 1);
            let late = Listing::open(&tool.registry, &tool.log, &request, before)
                .await?
                .up_to(position)
                .next()
                .await?;
            if let Some(entry) = late.into_iter().next() {
                tool.out.say(&Sentence::TailLate { position });
                show(tool, &entry, options.format)?;
                count += 1;
            }
        }
        // Only up to where parked events are known: events projected later are shown in the next round.
        let mut listing =
            Listing::open(&tool.registry, &tool.log, &request, reached).await?.up_to(now.position);
        loop {
            let page = listing.next().await?;
            let Some(last) = page.last() else { break };
            reached = Some(last.position());
            for entry in &page {
                show(tool, entry, options.format)?;
                parked.waiting.remove(&entry.position());
                count += 1;
            }
            if tool.stop.is_asked() {
                break;
            }
        }
        if !options.follow {
            parked.tell(tool);
            return Ok(Ended::done(json!({ "position": reached, "count": count })));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = tool.stop.requested() => {
                let at = reached.unwrap_or(0);
                tool.out.say(&Sentence::TailResume { position: at });
                parked.tell(tool);
                return Err(tool.stop.failure());
            }
        }
    }
}

/// Events that were parked when they should have been shown.
struct Parked {
    /// Everything up to here was shown, does not match, or is parked.
    seen: i64,
    waiting: BTreeSet<i64>,
}

impl Parked {
    /// The events that are not parked any more; remembers the parked ones up to the new position.
    fn released(&mut self, now: &Reached) -> Vec<i64> {
        let freed = self.waiting.difference(&now.parked).copied().collect();
        self.waiting.retain(|position| now.parked.contains(position));
        let new = now.parked.iter().filter(|position| (self.seen + 1..=now.position).contains(position));
        self.waiting.extend(new);
        self.seen = self.seen.max(now.position);
        freed
    }

    fn tell(&self, tool: &Tool) {
        if let Some(first) = self.waiting.first() {
            let (count, after) = (self.waiting.len(), first - 1);
            tool.out.say(&Sentence::TailParked { count, first: *first, after });
        }
    }
}

fn show(tool: &Tool, entry: &Entry, format: TailFormat) -> Result<(), Failure> {
    let value = serde_json::to_value(entry).map_err(Failure::unexpected)?;
    tool.out.result("status", &value, |language| match format {
        TailFormat::Ndjson => value.to_string(),
        TailFormat::Text => sentence(&value, language),
    });
    Ok(())
}

/// When an event happened, if that was not when it was recorded.
fn happened(entry: &Value) -> Option<String> {
    let at = |name: &str| clock::parse(entry[name].as_str()?);
    let apart = (at("recorded_at")? - at("occurred_at")?).abs() > APART;
    entry["occurred_at"].as_str().filter(|_| apart).map(str::to_owned)
}

/// A code in the language; English has the codes themselves.
fn named(language: Language, prefix: &str, code: &str) -> String {
    let name = language.find(&format!("{prefix}{code}")).filter(|_| language != Language::English);
    name.unwrap_or(code).to_owned()
}

/// The person or key that somebody acted for, from `kind:id`: by the name of the id, if it has one.
fn acted_for(entry: &Value, who: &str, language: Language) -> String {
    match who.split_once(':') {
        Some((kind, id)) => {
            let name = entry["names"][id]["name"].as_str().unwrap_or(id);
            format!("{}:{name}", named(language, "actor-", kind))
        }
        None => named(language, "actor-", who),
    }
}

fn sentence(entry: &Value, language: Language) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or("");
    let actor = &entry["actor"];
    let actor = match (actor["kind"].as_str(), actor["name"].as_str().or(actor["id"].as_str())) {
        (Some(kind), Some(id)) => format!("{}:{id}", named(language, "actor-", kind)),
        (Some(kind), None) => named(language, "actor-", kind),
        (None, _) => "–".to_owned(),
    };
    let name = entry["name"].as_str().map(|name| format!("{name}  ")).unwrap_or_default();
    let mut line = format!(
        "{}  {}  {} v{}  {name}{}-{}  {actor}",
        entry["position"],
        text("recorded_at"),
        named(language, "event-", text("type")),
        entry["version"],
        named(language, "aggregate-", text("aggregate_type")),
        text("aggregate_id"),
    );
    let given = |name: &str| entry[name].as_str().map(str::to_owned);
    let more = [
        happened(entry).map(|at| Sentence::HappenedAt { at }),
        given("on_behalf_of").map(|who| Sentence::OnBehalfOf { who: acted_for(entry, &who, language) }),
        given("channel")
            .map(|code| Sentence::ViaChannel { channel: named(language, "page-channel-", &code) }),
        given("reason_code").map(|code| Sentence::Because { code: named(language, "field-reason.", &code) }),
    ];
    for sentence in more.into_iter().flatten() {
        line.extend(["  ", &sentence.text(language)]);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64, parked: &[i64]) -> Reached {
        Reached { position, parked: parked.iter().copied().collect() }
    }

    #[test]
    fn a_line_of_the_trail_is_in_its_language_and_says_when_it_happened() {
        let mut entry = json!({
            "position": 7, "recorded_at": "2026-11-29T10:00:00Z", "occurred_at": "2011-01-04T08:26:00Z",
            "type": "OrderCancelled", "version": 3, "aggregate_type": "order", "aggregate_id": "0199",
            "actor": { "kind": "staff", "id": "42" }, "channel": "admin", "reason_code": "not-shipped-in-time",
        });
        let english = "7  2026-11-29T10:00:00Z  OrderCancelled v3  order-0199  staff:42  happened 2011-01-04T08:26:00Z  \
                       via admin  reason not-shipped-in-time";
        assert_eq!(sentence(&entry, Language::English), english);
        let chinese = "7  2026-11-29T10:00:00Z  订单已取消 v3  订单-0199  员工:42  发生于 2011-01-04T08:26:00Z  \
                       渠道 管理后台  原因 未按时发货";
        assert_eq!(sentence(&entry, Language::Chinese), chinese);
        entry["on_behalf_of"] = json!("staff:77");
        entry["names"] = json!({ "77": { "type": "key", "name": "help desk" } });
        assert!(sentence(&entry, Language::English).contains("  for staff:help desk  via admin"));
        assert!(sentence(&entry, Language::Chinese).contains("  代表 员工:help desk  渠道 "));
        entry["on_behalf_of"] = json!("customer:78");
        assert!(sentence(&entry, Language::Chinese).contains("  代表 顾客:78  "));
        entry["occurred_at"] = json!("2026-11-29T09:59:00Z");
        assert!(!sentence(&entry, Language::English).contains("happened"), "a minute is nothing");
    }

    #[test]
    fn a_parked_event_is_shown_once_after_it_was_projected() {
        let mut parked = Parked { seen: 10, waiting: BTreeSet::new() };
        // Events before the start are not shown.
        assert_eq!(parked.released(&at(15, &[7, 12, 14])), [0; 0]);
        assert_eq!(parked.released(&at(16, &[12, 14])), [0; 0]);
        assert_eq!(parked.released(&at(20, &[14, 18])), [12]);
        // It was shown in the listing that followed.
        parked.waiting.remove(&18);
        assert_eq!(parked.released(&at(20, &[])), [14]);
        // It was already shown from the previous generation, though it is parked in this one.
        assert_eq!(parked.released(&at(21, &[12])), [0; 0]);
        assert_eq!(parked.released(&at(22, &[])), [0; 0]);
    }
}
