//! Process managers and their instances: how each follows the log, which step an instance is at, which command waits,
//! and what was refused. Used by the endpoints and the pages.

use serde::Serialize;
use soonshop_domain::{QueryError, process_managers};
use soonshop_event_log::Db;
use soonshop_projections::processes::{self, Instance, InstanceEvent, InstanceQuery, Key, Status, Which};
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

/// Which instances are listed.
#[derive(Debug, Clone, Copy)]
pub struct InstanceList<'a> {
    /// Of this process manager; of all where it is left out.
    pub process: Option<&'a str>,
    /// Those in this state.
    pub which: Which,
    /// The `next` of the previous page.
    pub after: Option<&'a str>,
    /// The most instances on a page.
    pub most: u64,
}

fn rows(reader: &Reader) -> Result<Db, QueryError> {
    Ok(reader.log.db().beside("process")?)
}

/// The list, and the head of the log.
///
/// # Errors
/// There is no process manager of this name, the cursor is invalid, or the database does not answer.
pub async fn find(reader: &Reader, listed: InstanceList<'_>) -> Result<(i64, Page), QueryError> {
    let InstanceList { process, which, after, most } = listed;
    if process.is_some_and(|name| !process_managers::names().contains(&name)) {
        let known = process_managers::names().join(", ");
        return Err(QueryError::parameter("process", &format!("there is no such process: {known}")));
    }
    let after = match after.map(|after| after.split_once('/')) {
        Some(Some((process, instance))) => {
            Some(Key { process: process.to_owned(), instance: instance.to_owned() })
        }
        Some(None) => {
            let detail = "it is not a cursor of this list: take it from the previous answer";
            return Err(QueryError::parameter("after", detail));
        }
        None => None,
    };
    let position = reader.log.head().await?.position;
    let asked = InstanceQuery { process: process.map(str::to_owned), which, after, most };
    let (items, next) = processes::list(&rows(reader)?, &asked).await?;
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
