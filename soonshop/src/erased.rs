//! `soonshop verify erased PERSON`: looks into every store for what may be left of a person who was erased, and says
//! where it looked. Without their values it looks where values would stand; with them, everywhere (`erased/values.rs`).

pub mod overdue;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{DateTime, Days, Utc};
use sea_orm::{ConnectionTrait as _, Value};
use soonshop_domain::user::person;
use soonshop_domain::{Event, Purpose, personal};
use soonshop_event_log::database::sqlite_file;
use soonshop_event_log::{Checkpoint, Db, Leases, Place, StoredEvent, codec};
use soonshop_projections::runner::ROWS;
use soonshop_projections::sink::{CACHE, INDEX};
use soonshop_projections::{PersonalColumns, Projector, generation};
use soonshop_workers::eraser;
use uuid::Uuid;

use crate::Shop;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The person: the id of a user or a guest
    #[arg(value_name = "PERSON")]
    pub person: Uuid,
    /// A file with values that were theirs, one a line: searched for in every store
    #[arg(long, value_name = "FILE")]
    pub values: Option<PathBuf>,
    /// For how many days backups are kept
    #[arg(long, value_name = "DAYS", default_value_t = 35)]
    pub backup_days: u32,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Something that was looked into.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Looked {
    /// A namespace, `search`, `cache` or `files`.
    pub store: String,
    /// A table of it, an index, a space, a folder.
    pub what: String,
    /// How many rows, documents, entries or files.
    pub items: u64,
}

/// Something that should not be there. It names the place, never the value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Found {
    pub store: String,
    pub place: String,
    pub why: String,
}

/// Until when a backup can bring a key back.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Backups {
    pub until: DateTime<Utc>,
    pub days: u32,
    /// The event that confirms that the last key was deleted before it.
    pub position: i64,
    pub event_id: Uuid,
    pub recorded_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    pub person: Uuid,
    /// The purposes whose erasure was asked for.
    pub asked: Vec<Purpose>,
    /// The purposes that something is kept for still: nobody asked for their erasure.
    pub kept: Vec<Purpose>,
    /// How many sealed values of theirs the log has, and will always have.
    pub sealed: u64,
    pub looked_at: Vec<Looked>,
    /// What it could not look into, and why that may be.
    pub not_looked_at: Vec<String>,
    pub found: Vec<Found>,
    /// Absent until the erasure is confirmed.
    pub backups: Option<Backups>,
}

impl Report {
    /// 0: nothing was found; 3: something was.
    pub fn exit_code(&self) -> u8 {
        if self.found.is_empty() { 0 } else { 3 }
    }

    fn look(&mut self, store: &str, what: &str, items: u64) {
        self.looked_at.push(Looked { store: store.to_owned(), what: what.to_owned(), items });
    }

    fn find(&mut self, store: &str, place: impl Into<String>, why: impl Into<String>) {
        self.found.push(Found { store: store.to_owned(), place: place.into(), why: why.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |purposes: &[Purpose]| purposes.iter().map(Purpose::as_ref).collect::<Vec<_>>().join(", ");
        let or_nothing = |text: String| if text.is_empty() { "nothing".to_owned() } else { text };
        writeln!(f, "person   {}", self.person)?;
        writeln!(f, "erased   {}", or_nothing(names(&self.asked)))?;
        writeln!(f, "kept     {}", or_nothing(names(&self.kept)))?;
        writeln!(f, "sealed   {} values in the log, which no key opens once it is erased", self.sealed)?;
        for Looked { store, what, items } in &self.looked_at {
            writeln!(f, "looked   {store:<16} {what:<24} {items}")?;
        }
        for what in &self.not_looked_at {
            writeln!(f, "not      {what}")?;
        }
        for Found { store, place, why } in &self.found {
            writeln!(f, "FOUND    {store:<16} {place}: {why}")?;
        }
        match &self.backups {
            Some(backups) => writeln!(
                f,
                "backups  until {} one can bring a key back: {} days after the event at position {} ({}), \
                 recorded at {}",
                backups.until.to_rfc3339(),
                backups.days,
                backups.position,
                backups.event_id,
                backups.recorded_at.to_rfc3339()
            )?,
            None => writeln!(
                f,
                "backups  no erasure is confirmed: for how long one can bring a key back is open"
            )?,
        }
        let verdict = if self.found.is_empty() { "clean: nothing was found" } else { "NOT clean" };
        write!(f, "{verdict}")
    }
}

/// Looks everywhere. An error means that it could not: then nothing is known.
///
/// With values it reads the files of SQLite byte by byte, and so wants a process of its own: where a process closes a
/// file, it loses all locks that it has on it, also those that SQLite took.
pub async fn verify(shop: Shop, options: &Options) -> anyhow::Result<Report> {
    let shop = &shop;
    let mut report = Report {
        person: options.person,
        asked: Vec::new(),
        kept: Vec::new(),
        sealed: 0,
        looked_at: Vec::new(),
        not_looked_at: Vec::new(),
        found: Vec::new(),
        backups: None,
    };
    let wanted = match &options.values {
        Some(file) => Some(values::Wanted::read(file)?),
        None => None,
    };
    history(shop, options.backup_days, &mut report).await?;
    keys(shop, &mut report).await?;
    log(shop, &mut report).await?;
    for namespace in generations(shop).await? {
        rows(&shop.read_database.namespace(&namespace)?, &mut report).await?;
    }
    for one in incomplete(shop, Some(options.person)).await? {
        report.find(&one.sink, format!("position {}", one.position), one.to_string());
    }
    match wanted {
        Some(wanted) => values::search(shop, &wanted, &mut report).await?,
        None => report.not_looked_at.push(
            "every text of every store: with --values FILE it is searched for the values themselves"
                .to_owned(),
        ),
    }
    report.not_looked_at.push("the bus: its messages are as sealed as the log".to_owned());
    report.not_looked_at.push("backups, replicas and logs of other programs: they are yours".to_owned());
    Ok(report)
}

/// What the log says that was asked for and confirmed.
async fn history(shop: &Shop, backup_days: u32, report: &mut Report) -> anyhow::Result<()> {
    let log = shop.log()?;
    let stream = log.stream("person", &report.person.to_string(), 0, 1_000).await?;
    report.look("log", "the person's stream", count(stream.len()));
    let mut confirmed = BTreeSet::new();
    let mut last: Option<&StoredEvent> = None;
    for row in &stream {
        let position = row.position;
        match log.decode_row(row.clone()) {
            Some(Ok(event)) => match event.event {
                Event::Person(person::Event::ErasureRequested { purposes }) => report.asked.extend(purposes),
                Event::Person(person::Event::PersonErased { purposes }) => {
                    confirmed.extend(purposes);
                    last = Some(row);
                }
                _ => {}
            },
            Some(Err(reason)) => report.find("log", format!("position {position}"), reason),
            None => {}
        }
    }
    if report.asked.is_empty() {
        report.find("log", "the person's stream", "nobody asked for an erasure");
    }
    let open: Vec<Purpose> = report.asked.iter().copied().filter(|one| !confirmed.contains(one)).collect();
    for purpose in &open {
        report.find("log", "the person's stream", format!("the erasure of {purpose} is not confirmed yet"));
    }
    if let (Some(last), true) = (last, open.is_empty()) {
        let until = last.recorded_at.checked_add_days(Days::new(backup_days.into()));
        report.backups = Some(Backups {
            until: until.context("--backup-days is too long a time")?,
            days: backup_days,
            position: last.position,
            event_id: last.event_id,
            recorded_at: last.recorded_at,
        });
    }
    Ok(())
}

/// Tombstones where keys were, nothing that could make new ones, and a register that knows.
async fn keys(shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let person = report.person.to_string();
    let keys = shop.keys_database.namespace("keys")?;
    let sql =
        "SELECT purpose, CASE WHEN wrapped IS NULL THEN 1 ELSE 0 END FROM @data_keys WHERE subject = $1";
    let mut tombstones = BTreeMap::new();
    for row in query(&keys, sql, [person.as_str().into()]).await? {
        tombstones.insert(row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i32>(1)? == 1);
    }
    report.look("keys", "data_keys", count(tombstones.len()));
    let mut barred = HashSet::new();
    for kid in personal::kids(report.person) {
        let sql = "SELECT kid FROM @barred WHERE kid = $1";
        if !query(&keys, sql, [kid.as_str().into()]).await?.is_empty() {
            barred.insert(kid);
        }
    }
    report.look("keys", "barred", count(barred.len()));
    let register = shop.erasures_database.namespace("erasures")?;
    let sql = "SELECT purpose FROM @erasures WHERE subject = $1";
    let rows = query(&register, sql, [person.into()]).await?;
    let registered: HashSet<String> =
        rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    report.look("erasures", "erasures", count(registered.len()));
    for purpose in report.asked.clone() {
        let name = purpose.as_ref();
        match tombstones.get(name) {
            Some(true) => {}
            Some(false) => report.find("keys", "data_keys", format!("the key for {name} lives")),
            None => report.find("keys", "data_keys", format!("there is no tombstone for {name}")),
        }
        if !barred.contains(&personal::kid(report.person, purpose)) {
            report.find("keys", "barred", format!("a second key for {name} could be made"));
        }
        if !registered.contains(name) {
            report.find("erasures", "erasures", format!("the register does not know of {name}"));
        }
    }
    let living = tombstones.iter().filter(|(_, tombstone)| !**tombstone);
    let kept = living.filter_map(|(purpose, _)| purpose.parse().ok());
    report.kept = kept.filter(|purpose| !report.asked.contains(purpose)).collect();
    Ok(())
}

/// What the log's own tables have of the person: sealed values, for ever; and claims, which must be free.
async fn log(shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let headers: Vec<String> = personal::kids(report.person).map(|kid| codec::header(&kid)).collect();
    let sealed =
        |text: &str| headers.iter().map(|header| text.matches(header.as_str()).count()).sum::<usize>();
    let log = shop.log()?;
    let (mut pages, mut events) = (log.read_all(0, 1_000), 0);
    loop {
        let page = pages.next_stored().await?;
        if page.is_empty() {
            break;
        }
        events += count(page.len());
        report.sealed +=
            page.iter().map(|row| count(sealed(&row.payload) + sealed(&row.metadata))).sum::<u64>();
    }
    report.look("log", "events", events);
    if report.asked.contains(&Purpose::Account) {
        // What an import brought stays claimed by its number in the source, so that it is brought once.
        let sql = "SELECT scope FROM @claims WHERE owner = $1 AND scope <> 'import'";
        let owner = format!("user:{}", report.person);
        let claims = query(log.db(), sql, [owner.into()]).await?;
        report.look("log", "claims", count(claims.len()));
        for row in claims {
            let scope: String = row.try_get_by_index(0)?;
            report.find("log", "claims", format!("a unique value in the scope {scope} is still theirs"));
        }
    }
    Ok(())
}

/// The rows of a generation, of whatever state: one that nobody reads any more is looked into as well.
async fn rows(db: &Db, report: &mut Report) -> anyhow::Result<()> {
    let Some(projector) = projector_of(db.name()) else {
        report.not_looked_at.push(format!("{}: no projection of this release made it", db.name()));
        return Ok(());
    };
    let asked = report.asked.clone();
    for columns in projector.personal().iter().filter(|columns| asked.contains(&columns.purpose)) {
        let PersonalColumns { table, columns: names, .. } = columns;
        let person = report.person.to_string();
        let rows = match query(db, &columns.left(), [person.into()]).await {
            Ok(rows) => rows,
            Err(error) => {
                let why = format!("it is of another release, and cannot be looked into: {error:#}");
                report.find(db.name(), *table, why);
                continue;
            }
        };
        let Some(row) = rows.first() else { continue };
        report.look(db.name(), table, u64::try_from(row.try_get_by_index::<i64>(0)?).unwrap_or(0));
        for (index, name) in names.iter().enumerate() {
            let left: i64 = row.try_get_by_index(index + 1)?;
            if left > 0 {
                report.find(
                    db.name(),
                    format!("{table}.{name}"),
                    format!("{left} rows of theirs hold something"),
                );
            }
        }
    }
    Ok(())
}

/// A follower that an event of erasure has not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub person: Uuid,
    /// Of the event.
    pub position: i64,
    /// `rm_orders_2:rows`, `rm_products_1:index`, `eraser`.
    pub sink: String,
    /// Who works at it; `None`: nobody.
    pub kept_by: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { person, position, sink, kept_by } = self;
        write!(f, "{sink} has not dealt with the erasure of {person} at position {position}, and ")?;
        match kept_by {
            Some(holder) => write!(f, "{holder} is at it"),
            None => write!(f, "nobody keeps it alive"),
        }
    }
}

/// Every event of erasure, of one person or of all; and the purposes whose erasure is not confirmed, with the position
/// that asks for it.
async fn asked(
    shop: &Shop,
    person: Option<Uuid>,
) -> anyhow::Result<(Vec<(Uuid, i64)>, BTreeMap<(Uuid, Purpose), i64>)> {
    let log = shop.store_database.namespace("log")?;
    let mut sql = "SELECT aggregate_id, position, CAST(payload AS TEXT) FROM @events \
                   WHERE aggregate_type = 'person'"
        .to_owned();
    if person.is_some() {
        sql.push_str(" AND aggregate_id = $1");
    }
    sql.push_str(" ORDER BY position");
    let person = person.map(|person| Value::from(person.to_string()));
    let (mut events, mut open) = (Vec::new(), BTreeMap::new());
    for row in query(&log, &sql, person).await? {
        let (person, payload): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(2)?);
        let (person, position): (Uuid, i64) = (person.parse()?, row.try_get_by_index(1)?);
        events.push((person, position));
        match Event::decode("person", &payload) {
            Some(Ok(Event::Person(person::Event::ErasureRequested { purposes }))) => {
                open.extend(purposes.into_iter().map(|purpose| ((person, purpose), position)));
            }
            Some(Ok(Event::Person(person::Event::PersonErased { purposes }))) => {
                open.retain(|(who, purpose), _| *who != person || !purposes.contains(purpose));
            }
            _ => {}
        }
    }
    Ok((events, open))
}

/// The requests of one person, or of all, that are not complete: not confirmed, or not recorded by every sink of every
/// generation that is there.
pub async fn incomplete(shop: &Shop, person: Option<Uuid>) -> anyhow::Result<Vec<Missing>> {
    let (events, open) = asked(shop, person).await?;
    let mut missing = Vec::new();
    if events.is_empty() {
        return Ok(missing);
    }
    let mut note = |sink: &str, kept_by: Option<&String>, left: &mut dyn Iterator<Item = (Uuid, i64)>| {
        let sink = sink.to_owned();
        let one =
            |(person, position)| Missing { person, position, sink: sink.clone(), kept_by: kept_by.cloned() };
        missing.extend(left.map(one));
    };
    let process = Leases::new(shop.store_database.namespace("process")?, "");
    let unconfirmed: BTreeSet<(Uuid, i64)> = open.iter().map(|((subject, _), at)| (*subject, *at)).collect();
    note(eraser::NAME, process.holder(eraser::NAME).await?.as_ref(), &mut unconfirmed.into_iter());
    let leases = Leases::new(shop.registry()?.operations().clone(), "");
    for namespace in generations(shop).await? {
        let db = shop.read_database.namespace(&namespace)?;
        let name = format!("{namespace}:{ROWS}");
        let recorded = recorded(&db).await?;
        let holder = leases.holder(&name).await?;
        note(&name, holder.as_ref(), &mut events.iter().copied().filter(|one| !recorded.contains(one)));
        if !projector_of(&namespace).is_some_and(|projector| projector.searchable()) {
            continue;
        }
        // They hold nothing of anybody: what they have passed, they are clean of.
        let mut sinks = vec![(INDEX, shop.search.checkpoint(&namespace).await?)];
        if shop.cache.shared() {
            sinks.push((CACHE, shop.cache.checkpoint(&namespace).await?));
        }
        for (sink, checkpoint) in sinks {
            let name = format!("{namespace}:{sink}");
            let at =
                checkpoint.map(|text| text.parse::<Checkpoint>()).transpose()?.map_or(0, |at| at.position);
            let holder = leases.holder(&name).await?;
            note(&name, holder.as_ref(), &mut events.iter().copied().filter(|(_, position)| *position > at));
        }
    }
    Ok(missing)
}

/// What a generation was cleaned for; nothing, where it is of a release that kept no record.
async fn recorded(db: &Db) -> anyhow::Result<HashSet<(Uuid, i64)>> {
    if !values::tables(db).await?.iter().any(|table| table.name == "erased") {
        return Ok(HashSet::new());
    }
    let rows = query(db, "SELECT subject, position FROM @erased", []).await?;
    let mut recorded = HashSet::with_capacity(rows.len());
    for row in rows {
        recorded.insert((row.try_get_by_index::<String>(0)?.parse()?, row.try_get_by_index(1)?));
    }
    Ok(recorded)
}

/// Every generation that lies in the read models' database, whatever the registry says of it.
async fn generations(shop: &Shop) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = match shop.read_database.place() {
        Place::Postgres(_) => {
            let sql = "SELECT CAST(nspname AS TEXT) FROM pg_namespace WHERE starts_with(nspname, 'rm_')";
            let rows = query(&shop.read_database.namespace("operations")?, sql, []).await?;
            rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?
        }
        Place::Sqlite(folder) => {
            let files = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
            let name = |file: std::fs::DirEntry| {
                let name = file.file_name().to_str()?.strip_suffix(".sqlite")?.to_owned();
                (name.starts_with("rm_") && file.path() == sqlite_file(folder, &name)).then_some(name)
            };
            files.filter_map(Result::ok).filter_map(name).collect()
        }
    };
    names.sort();
    Ok(names)
}

/// The projector that makes generations of this name: `rm_orders_3` is of `orders`.
fn projector_of(namespace: &str) -> Option<std::sync::Arc<dyn Projector>> {
    let (name, _) = generation::named(namespace)?;
    soonshop_projections::all().into_iter().find(|projector| projector.name() == name)
}

async fn query(
    db: &Db,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> anyhow::Result<Vec<sea_orm::QueryResult>> {
    let rows = db.connection.query_all(db.statement(sql, values)).await;
    rows.map_err(|error| anyhow::Error::from(soonshop_event_log::Error::from(error)))
        .with_context(|| format!("the namespace {}", db.name()))
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
