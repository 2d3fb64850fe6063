//! The check of the workers: every job that one process has to do is done by one, and why not.

use std::collections::HashMap;

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::{Db, Error, Leases, checkpoint};
use soonshop_service_kit::health::Fault;
use soonshop_workers::{eraser, facts, mails, payments, purger, relay, sealer};

use super::remedies::remedy_in;
use crate::Shop;

/// The workers besides process managers, by the names of their leases.
const FIXED: [&str; 8] = [
    relay::NAME,
    eraser::NAME,
    sealer::NAME,
    sealer::OF_RECORD,
    facts::NAME,
    mails::NAME,
    payments::NAME,
    purger::NAME,
];

pub(super) async fn ask(shop: &Shop) -> Result<(), Fault> {
    let process = shop.store_database.namespace("process").map_err(|error| error.to_string())?;
    let (idle, stopped) = look(shop, &process).await.map_err(|error| error.to_string())?;
    let names = stopped.iter().map(|(name, _)| name.as_str()).chain(idle.iter().map(String::as_str));
    let names = names.collect::<Vec<_>>().join(", ");
    match stopped.first() {
        Some((name, reason)) => {
            let remedy = remedy_in(reason).unwrap_or("stopped");
            Err(Fault::of(names, format!("{name} stopped: {reason}"), remedy))
        }
        None if idle.is_empty() => Ok(()),
        None => Err(Fault::of(names, "no process does this work", "workers")),
    }
}

/// The workers that no process is, and those that stopped, each with its reason.
async fn look(shop: &Shop, process: &Db) -> Result<(Vec<String>, Vec<(String, String)>), Error> {
    let leases = Leases::new(process.clone(), "");
    let (mut idle, mut stopped) = (Vec::new(), Vec::new());
    for name in FIXED {
        match leases.stop_note(name).await?.filter(|note| note.is_retried) {
            Some(note) => stopped.push((name.to_owned(), note.reason)),
            None if leases.holder(name).await?.is_none() => idle.push(name.to_owned()),
            None => {}
        }
    }
    let reasons = stopped_processes(process).await?;
    for one in shop.processes().into_iter().filter(|one| one.is_on()) {
        let name = checkpoint::of_process(one.name());
        match reasons.get(one.name()) {
            Some(reason) => stopped.push((name, reason.clone())),
            None if leases.holder(&name).await?.is_none() => idle.push(name),
            None => {}
        }
    }
    Ok((idle, stopped))
}

/// The process managers that stopped, and why.
async fn stopped_processes(process: &Db) -> Result<HashMap<String, String>, Error> {
    let sql = "SELECT process, reason FROM @processes WHERE state = 'stopped' AND reason IS NOT NULL";
    let rows = process.connection.query_all(process.statement(sql, [])).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}
