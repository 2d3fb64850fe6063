//! Process managers and their instances: how each follows the log, which step an instance is at, which command waits,
//! and what was refused; a way to retry a waiting command at once, and one to acknowledge failures. Used by the
//! endpoints, the pages and the command line.

use serde::Serialize;
use serde_json::json;
use soonshop_domain::{Actor, QueryError, process_managers};
use soonshop_event_log::Db;
use soonshop_projections::processes::{self, Instance, InstanceEvent, InstanceQuery, Key, Status};
use utoipa::ToSchema;

use crate::name::Names;
use crate::names::unless_unavailable;
use crate::reader::Reader;
use crate::record::write_down;

/// Every process manager, and a page of instances.
#[derive(Serialize, ToSchema)]
#[schema(as = Processes)]
pub struct Page {
    #[schema(value_type = Vec<Object>)]
    pub processes: Vec<Status>,
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Instance>,
    /// Send this as `after` for the next page; null on the last one.
    pub next: Option<String>,
    /// The names of the aggregates that the instances are about, by id; left out if there are none.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub names: Names,
}

/// One instance, and the events of its aggregate.
#[derive(Serialize, ToSchema)]
#[schema(as = ProcessInstance)]
pub struct InstanceDetail {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub instance: Instance,
    #[schema(value_type = Vec<Object>)]
    pub history: Vec<InstanceEvent>,
    /// The names of the aggregates that it is about, by id; left out if there are none.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub names: Names,
}

/// Names by id: of the aggregates of instances, and of the targets of their waiting commands.
async fn named(reader: &Reader, instances: &[Instance]) -> Result<Names, QueryError> {
    let ids = instances.iter().flat_map(|one| {
        let stream = one.waits_with.as_ref().and_then(|unsent| unsent.stream);
        one.aggregate_id.into_iter().chain(stream).map(|id| id.to_string())
    });
    Ok(unless_unavailable(reader.namer().find(&ids.collect()).await)?.unwrap_or_default())
}

fn rows(reader: &Reader) -> Result<Db, QueryError> {
    Ok(reader.log.db().beside("process")?)
}

/// The cursor that a page gave as `next`.
///
/// # Errors
/// It is not a cursor of this list.
pub fn cursor(after: &str) -> Result<Key, QueryError> {
    let detail = "it is not a cursor of this list: take it from the previous answer";
    after.parse().map_err(|_| QueryError::parameter("after", detail))
}

/// The list, and the head of the log.
///
/// # Errors
/// There is no process manager of this name, or the database does not answer.
pub async fn find(reader: &Reader, query: &InstanceQuery) -> Result<(i64, Page), QueryError> {
    if query.process.as_deref().is_some_and(|name| !process_managers::names().contains(&name)) {
        let known = process_managers::names().join(", ");
        return Err(QueryError::parameter("process", &format!("there is no such process: {known}")));
    }
    let position = reader.log.head().await?.position;
    let (items, next) = processes::list(&rows(reader)?, query).await?;
    let statuses = processes::statuses(&reader.log).await?;
    let names = named(reader, &items).await?;
    Ok((position, Page { processes: statuses, items, next: next.map(|next| next.to_string()), names }))
}

async fn instance(reader: &Reader, key: &Key) -> Result<Instance, QueryError> {
    let nothing = || QueryError::not_found("not-found", "there is no such instance of this process");
    processes::show(&rows(reader)?, key).await?.ok_or_else(nothing)
}

/// One instance of a process manager, and the head of the log.
///
/// # Errors
/// There is no such instance, or the database does not answer.
pub async fn read(reader: &Reader, key: &Key) -> Result<(i64, InstanceDetail), QueryError> {
    let position = reader.log.head().await?.position;
    let instance = instance(reader, key).await?;
    let history = processes::history(&reader.log, &instance).await?;
    let names = named(reader, std::slice::from_ref(&instance)).await?;
    Ok((position, InstanceDetail { instance, history, names }))
}

/// Acknowledges the failures of an instance: they are no alarm any more. How many they were; none is recorded.
///
/// # Errors
/// There is no such instance, or a database does not answer.
pub async fn acknowledge(
    reader: &Reader,
    actor: &Actor,
    key: &Key,
    reason: Option<&str>,
) -> Result<u64, QueryError> {
    let one = instance(reader, key).await?;
    let Some(failed) = one.failed else { return Ok(0) };
    let detail = json!({ "process": key.process, "count": one.failures, "refusal": failed.slug });
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    write_down(reader, actor, "process-acknowledge", key.instance.clone(), detail, reason).await?;
    Ok(processes::acknowledge(&rows(reader)?, key).await?)
}

/// The result of a request to retry the waiting command of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The command is sent at once, where its process manager runs.
    Requested,
    /// The command was sent while the request was recorded.
    SentMeanwhile,
    /// The instance has no command to send: nothing was done or recorded.
    NothingToSend,
}

/// Requests that the first command of an instance is sent at once.
///
/// # Errors
/// There is no such instance, or a database does not answer.
pub async fn retry(
    reader: &Reader,
    actor: &Actor,
    key: &Key,
    reason: Option<&str>,
) -> Result<Retry, QueryError> {
    let Some(unsent) = instance(reader, key).await?.waits_with else { return Ok(Retry::NothingToSend) };
    let detail =
        json!({ "process": key.process, "command": unsent.command_type, "attempts": unsent.attempts });
    // Recorded first, so that nothing is retried without a record.
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    write_down(reader, actor, "process-retry", key.instance.clone(), detail, reason).await?;
    let requested = processes::retry(&rows(reader)?, key).await?;
    Ok(if requested { Retry::Requested } else { Retry::SentMeanwhile })
}
