//! `soonshop verify erased PERSON`: searches every store for data of a person who was erased, and lists the places that
//! it searched. Without their values it checks the known places; with them, every text (`erased/values.rs`).

mod guests;
mod incomplete;
pub mod overdue;
mod report;
mod stores;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::Days;
use soonshop_domain::user::person;
use soonshop_domain::{Event, Purpose, personal};
use soonshop_event_log::{Db, StoredEvent, codec};
use soonshop_projections::PersonalColumns;
use soonshop_workers::claimed_guests::orders_of;
use uuid::Uuid;

pub use incomplete::{IncompleteErasure, incomplete};
pub use report::{Backups, GuestOfPerson, KeptBecause, Leftover, Report, SearchedPlace};

use self::report::count;
use self::stores::{generations, projector_of, query};
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

/// Searches every store. An error means that the search is incomplete and proves nothing.
///
/// With values it reads the files of SQLite byte by byte, and so wants a process of its own: where a process closes a
/// file, it loses all locks that it has on it, also those that SQLite took.
pub async fn verify(shop: Shop, options: &Options) -> anyhow::Result<Report> {
    let shop = &shop;
    let mut report = Report::of(options.person);
    let expected = match &options.values {
        Some(file) => Some(values::KnownValues::read(file)?),
        None => None,
    };
    known_places(shop, options.backup_days, &mut report).await?;
    guests::add(&shop.log()?, &mut report).await?;
    let erased = report.guests.iter().filter(|guest| !guest.asked.is_empty()).map(|guest| guest.guest);
    let erased: Vec<Uuid> = erased.collect();
    for guest in &erased {
        let mut theirs = Report::of(*guest);
        known_places(shop, options.backup_days, &mut theirs).await?;
        report.add_guest(theirs);
    }
    log(shop, &erased, &mut report).await?;
    match expected {
        Some(expected) => values::search(shop, &expected, &mut report).await?,
        None => report.not_looked_at.push(
            "every text of every store: with --values FILE it is searched for the values themselves"
                .to_owned(),
        ),
    }
    report.not_looked_at.push("the bus: its messages hold only encrypted values, like the log".to_owned());
    report.not_looked_at.push("backups, replicas and logs of other programs: they are yours".to_owned());
    Ok(report)
}

/// The places where something of theirs is known to be kept.
async fn known_places(shop: &Shop, backup_days: u32, report: &mut Report) -> anyhow::Result<()> {
    history(shop, backup_days, report).await?;
    keys(shop, report).await?;
    account(shop, report).await?;
    for namespace in generations(shop).await? {
        rows(&shop.read_database.namespace(&namespace)?, report).await?;
    }
    for one in incomplete(shop, Some(report.person)).await? {
        report.find(&one.sink, format!("position {}", one.position), one.to_string());
    }
    Ok(())
}

/// Reads from the log which erasures were requested and confirmed.
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
        report.find("log", "the person's stream", "no erasure was requested");
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

/// Checks the key store (tombstones instead of keys, no new keys) and the register of erasures.
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

/// The account that they signed in to, which is deleted before their keys.
async fn account(shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    let identity = shop.store_database.namespace("identity")?;
    for (table, sql) in [
        ("accounts", "SELECT id FROM @accounts WHERE id = $1"),
        ("sessions", "SELECT id FROM @sessions WHERE account = $1"),
        ("factors", "SELECT id FROM @factors WHERE account = $1"),
        ("sign_ins", "SELECT account FROM @sign_ins WHERE account = $1"),
        ("challenges", "SELECT account FROM @challenges WHERE account = $1"),
        ("devices", "SELECT account FROM @devices WHERE account = $1"),
        ("codes", "SELECT account FROM @codes WHERE account = $1"),
        ("consents", "SELECT account FROM @consents WHERE account = $1"),
        ("guests", "SELECT id FROM @guests WHERE id = $1"),
        ("links", "SELECT account FROM @links WHERE account = $1"),
        ("mails", "SELECT account FROM @mails WHERE account = $1"),
        ("requests", "SELECT id FROM @requests WHERE account = $1 OR user_id = $1"),
        ("providers", "SELECT account FROM @providers WHERE account = $1"),
        ("provider_sign_ins", "SELECT account FROM @provider_sign_ins WHERE account = $1"),
    ] {
        let rows = query(&identity, sql, [report.person.to_string().into()]).await?;
        report.look("identity", table, count(rows.len()));
        // A guest's token goes with whatever is erased of them.
        let gone =
            report.asked.contains(&Purpose::Account) || (table == "guests" && !report.asked.is_empty());
        if !rows.is_empty() && gone {
            report.find("identity", table, "what they signed in with is still there");
        }
    }
    if report.asked.contains(&Purpose::Invoice) {
        let orders = orders_of(&shop.log()?, report.person).await?;
        for order in orders {
            let sql = "SELECT id FROM @links WHERE purpose = 'claim' AND order_id = $1";
            if !query(&identity, sql, [order.to_string().into()]).await?.is_empty() {
                report.find("identity", "links", format!("somebody may still claim the order {order}"));
            }
        }
    }
    Ok(())
}

/// The log's own tables: encrypted values of the person and of these guests, which stay for ever, and claims, which must be
/// released.
async fn log(shop: &Shop, guests: &[Uuid], report: &mut Report) -> anyhow::Result<()> {
    let people = std::iter::once(report.person).chain(guests.iter().copied());
    let headers: Vec<String> = people.flat_map(personal::kids).map(|kid| codec::header(&kid)).collect();
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
        // An import key stays claimed by its number in the source, so that it is imported once.
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

/// The rows of a generation in any state, also of one that no query reads any more.
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
                let why = format!("it is of another release and cannot be searched: {error:#}");
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
