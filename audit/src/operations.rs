//! The record of operations: what people did with the shop and with the audit trail, by whom, when and why. Entries are
//! listed page by page to the oldest one, and exported.
//!
//! A reason is hidden from everybody but its writer. It is shown for a reason that is recorded first, to those who may
//! reveal.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use soonshop_domain::{Actor, Personal, PersonalValue, QueryError, Sensitive, clock};
use soonshop_event_log::seal::{RECORD_SEALS, Seals};
use soonshop_projections::integrity::{ACKNOWLEDGE, CHECK};
use soonshop_projections::operations::{Recorded, SIGN_IN};
use soonshop_projections::record::{self, RecordQuery};
use utoipa::ToSchema;

use crate::export::{Column, Export, Format, Order, Scope, Separator, Written};
use crate::name::{Names, ids_in};
use crate::names;
use crate::reader::Reader;
use crate::reasons::given;
use crate::record::write_down;
use crate::redactor::Redacted;

/// The subject of an export of the record, and of entries about one of its entries: `operation/12`.
pub const OPERATIONS: &str = "operations";
const OPERATION: &str = "operation";

/// Entries read per query of an export.
const PAGE: usize = 1_000;

/// The columns of CSV.
const COLUMNS: &[Column] = &[
    ("position", "/position"),
    ("at", "/at"),
    ("actor", "/actor"),
    ("action", "/action"),
    ("subject", "/subject"),
    ("has_reason", "/has_reason"),
    ("detail", "/detail"),
    ("names", "/names"),
];

/// An entry of the record of operations.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationEntry {
    /// In the record, from 1, without gaps; notes on events have positions there, too, and are not listed.
    pub position: i64,
    pub at: DateTime<Utc>,
    /// The actor, as `kind:id`.
    #[schema(example = "staff:42")]
    pub actor: String,
    #[schema(example = "swap")]
    pub action: String,
    /// The object of the operation.
    #[schema(example = "rm_orders_3")]
    pub subject: String,
    /// Ids, numbers and names; nothing personal.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// Somebody gave a reason in their own words.
    pub has_reason: bool,
    /// The reason: a text for its writer and in a reveal, otherwise `{"personal": "masked"}`, or
    /// `{"personal": "erased"}`; null where none was given.
    #[schema(value_type = Value)]
    pub reason: Option<Redacted>,
    /// Names by id: of the actor, of the object, and of each thing whose id is in the details; left out if there are none.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub names: Names,
}

/// A page of the record.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationsPage {
    pub items: Vec<OperationEntry>,
    /// The value for `before`; null on the last page.
    pub next: Option<i64>,
}

/// One entry, with what is known about it beside the record.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationDetail {
    #[serde(flatten)]
    pub entry: OperationEntry,
    /// The number of the seal of the record that covers it; null while it is not sealed.
    pub seal: Option<i64>,
    /// Of a sign-in: how often the caller signed in on that day, as long as this is kept.
    pub sign_ins: Option<i64>,
}

/// An entry whose reason may be decrypted.
struct Decrypted {
    entry: Recorded,
    reason: Option<Personal<String>>,
}

impl Sensitive for Decrypted {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        self.reason.iter_mut().map(|reason| reason as &mut dyn PersonalValue).collect()
    }
}

/// The writers whose reasons are shown.
enum VisibleReasons<'a> {
    /// Those that this actor wrote.
    WrittenBy(&'a str),
    All,
    None,
}

impl VisibleReasons<'_> {
    fn has(&self, writer: &str) -> bool {
        match self {
            Self::WrittenBy(actor) => *actor == writer,
            Self::All => true,
            Self::None => false,
        }
    }
}

async fn entries(
    reader: &Reader,
    lines: Vec<Recorded>,
    shown: &VisibleReasons<'_>,
) -> Result<Vec<OperationEntry>, QueryError> {
    let mut read = Vec::with_capacity(lines.len());
    for entry in lines {
        let reason = entry.note.clone().map(|jwe| serde_json::from_value(Value::String(jwe)));
        read.push(Decrypted { reason: reason.transpose().map_err(QueryError::internal)?, entry });
    }
    let damaged = reader.log.keys().decrypt(&mut read.iter_mut().collect::<Vec<_>>()).await?;
    for (index, why) in damaged {
        tracing::warn!(
            entry = read[index].entry.position,
            why,
            "the reason of an operation cannot be decrypted"
        );
    }
    let entry = |Decrypted { entry, reason }: Decrypted| OperationEntry {
        position: entry.position,
        at: clock::from_micros(entry.at.saturating_mul(1_000)),
        has_reason: reason.is_some(),
        reason: reason.map(|reason| {
            let readable = reason.is_erased() || shown.has(&entry.actor);
            if readable { Redacted::note(&reason) } else { Redacted::masked() }
        }),
        actor: entry.actor,
        detail: facts(&entry.action, entry.detail),
        action: entry.action,
        subject: entry.subject,
        names: Names::new(),
    };
    let mut entries: Vec<_> = read.into_iter().map(entry).collect();
    let texts: Vec<_> = entries.iter().map(ids_of).collect();
    let names = names::in_texts(reader, texts.iter().map(String::as_str)).await?;
    for (entry, text) in entries.iter_mut().zip(&texts) {
        let named = ids_in(text).filter_map(|id| Some((id.to_owned(), names.get(id)?.clone())));
        entry.names = named.collect();
    }
    Ok(entries)
}

/// All that may hold an id of an entry, in one text.
fn ids_of(entry: &OperationEntry) -> String {
    format!("{} {} {}", entry.actor, entry.subject, entry.detail)
}

/// The details of an entry, without those for later checks.
fn facts(action: &str, mut detail: Value) -> Value {
    if [CHECK, ACKNOWLEDGE].contains(&action)
        && let Some(detail) = detail.as_object_mut()
    {
        detail.remove("integrity");
    }
    detail
}

/// A page of entries, the newest first, and the last position of the record.
pub async fn find(
    reader: &Reader,
    actor: &Actor,
    query: &RecordQuery,
    limit: usize,
) -> Result<(i64, OperationsPage), QueryError> {
    let db = reader.registry.operations();
    let head = record::head(db).await?;
    let mut lines = record::page(db, query, limit + 1).await?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|line| line.position);
    let items = entries(reader, lines, &VisibleReasons::WrittenBy(&actor.to_string())).await?;
    Ok((head, OperationsPage { items, next }))
}

/// The latest entries: no sign-ins, and nothing about saved views, which anybody may save in any number.
pub async fn latest(reader: &Reader, actor: &Actor, most: usize) -> Result<Vec<OperationEntry>, QueryError> {
    let query = RecordQuery { without_views: true, ..RecordQuery::default() };
    Ok(find(reader, actor, &query, most).await?.1.items)
}

/// One entry, and the last position of the record.
pub async fn one(
    reader: &Reader,
    actor: &Actor,
    position: i64,
) -> Result<(i64, OperationDetail), QueryError> {
    detail(reader, line(reader, position).await?, &VisibleReasons::WrittenBy(&actor.to_string())).await
}

/// The same with its reason; the access is recorded before it is decrypted.
pub async fn reveal(
    reader: &Reader,
    actor: &Actor,
    position: i64,
    reason: &str,
) -> Result<(i64, OperationDetail), QueryError> {
    let reason = given(reason)?;
    let line = line(reader, position).await?;
    let about = json!({ "entry": line.position, "action": line.action });
    write_down(reader, actor, "reveal", format!("{OPERATION}/{position}"), about, Some(reason)).await?;
    detail(reader, line, &VisibleReasons::All).await
}

async fn line(reader: &Reader, position: i64) -> Result<Recorded, QueryError> {
    let found = record::entry(reader.registry.operations(), position).await?;
    found.ok_or_else(|| QueryError::not_found("not-found", "the record of operations has no such entry"))
}

async fn detail(
    reader: &Reader,
    line: Recorded,
    shown: &VisibleReasons<'_>,
) -> Result<(i64, OperationDetail), QueryError> {
    let db = reader.registry.operations();
    let sign_ins =
        if line.action == SIGN_IN { record::sign_ins(db, &line.actor, line.at).await? } else { None };
    let seal = Seals::new(reader.log.db().beside(RECORD_SEALS)?).over(line.position).await?;
    let head = record::head(db).await?;
    let mut read = entries(reader, vec![line], shown).await?;
    let entry = read.pop().ok_or_else(|| QueryError::internal("an entry was lost while it was read"))?;
    Ok((head, OperationDetail { entry, seal, sign_ins }))
}

/// An export of the record.
pub struct OperationsExport {
    pub query: RecordQuery,
    pub format: Format,
    pub separator: Separator,
    /// The filters by parameter, for the manifest.
    pub filter: BTreeMap<String, String>,
}

impl OperationsExport {
    /// The filters for the record itself, which holds nothing that somebody typed: their names, and the action.
    pub fn recorded(&self) -> Value {
        json!({ "filters": self.filter.keys().collect::<Vec<_>>(), "action": self.query.action })
    }
}

/// All matching entries as a file, the newest first, with every reason hidden. `goes_on` is called after each page, and
/// can end it.
pub async fn export<E: From<QueryError>>(
    reader: &Reader,
    request: &OperationsExport,
    role: &str,
    mut goes_on: impl FnMut(u64) -> Result<(), E>,
) -> Result<Written, E> {
    let db = reader.registry.operations();
    let head = record::head(db).await.map_err(QueryError::from)?;
    let mut export = Export::begin(request.format, COLUMNS.to_vec()).separated(request.separator);
    let (mut query, mut count) = (request.query.clone(), 0);
    // Entries that are added meanwhile, such as this export, are not in the file.
    let end = head.saturating_add(1);
    query.before = Some(query.before.map_or(end, |before| before.min(end)));
    loop {
        let lines = record::page(db, &query, PAGE).await.map_err(QueryError::from)?;
        let Some(last) = lines.last() else { break };
        query.before = Some(last.position);
        count += lines.len() as u64;
        for entry in entries(reader, lines, &VisibleReasons::None).await? {
            export.add(&entry).map_err(QueryError::internal)?;
        }
        goes_on(count)?;
    }
    let listed = Scope {
        of: Some(OPERATIONS.to_owned()),
        filter: request.filter.clone(),
        order: "desc".to_owned(),
        sort: None,
        head,
        role: role.to_owned(),
    };
    Ok(export.finish(listed, Order::AsAdded).map_err(QueryError::internal)?)
}

/// The columns of an export of the record in CSV.
pub fn columns() -> Vec<Column> {
    COLUMNS.to_vec()
}
