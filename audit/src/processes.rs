//! Process managers and their instances: how each follows the log, which step an instance is at, which command waits,
//! and what was refused. Used by the endpoints and the pages.

use serde::Serialize;
use soonshop_domain::{QueryError, process_managers};
use soonshop_event_log::Db;
use soonshop_projections::processes::{self, Instance, InstanceEvent, InstanceQuery, Key, Status};
use utoipa::ToSchema;

use crate::reader::Reader;

/// Every process manager, and a page of instances.
#[derive(Serialize, ToSchema)]
#[schema(as = Processes)]
pub struct Page {
    #[schema(value_type = Vec<Object>)]
    pub processes: Vec<Status>,
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Instance>,
    /// What to send as `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// One instance, and the events of its aggregate.
#[derive(Serialize, ToSchema)]
#[schema(as = ProcessInstance)]
pub struct InstanceDetail {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    instance: Instance,
    #[schema(value_type = Vec<Object>)]
    history: Vec<InstanceEvent>,
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
    Ok((position, Page { processes: statuses, items, next: next.map(|next| next.to_string()) }))
}

/// One instance of a process manager, and the head of the log.
///
/// # Errors
/// There is no such instance, or the database does not answer.
pub async fn read(
    reader: &Reader,
    process: &str,
    instance: &str,
) -> Result<(i64, InstanceDetail), QueryError> {
    let key = Key { process: process.to_owned(), instance: instance.to_owned() };
    let nothing = || QueryError::not_found("not-found", "there is no such instance of this process");
    let position = reader.log.head().await?.position;
    let instance = processes::show(&rows(reader)?, &key).await?.ok_or_else(nothing)?;
    let history = processes::history(&reader.log, &instance).await?;
    Ok((position, InstanceDetail { instance, history }))
}
