//! What the shop writes, in one table: each file of SQLite, and the tables of PostgreSQL, are written (no row) under their
//! own names. So a lock that another program keeps is named where it is, and not by all that waits for it.

use soonshop_event_log::Database;
use soonshop_migrations::Namespace;
use soonshop_service_kit::health::Fault;

use super::databases::{files_can_be_used, is_standby, writable};
use crate::{Role, Shop};

/// A table that processes of some roles write.
struct Written {
    /// The name of the check that writes it.
    check: &'static str,
    namespace: Namespace,
    table: &'static str,
    by: fn(Role) -> bool,
}

const fn row(
    check: &'static str,
    namespace: Namespace,
    table: &'static str,
    by: fn(Role) -> bool,
) -> Written {
    Written { check, namespace, table, by }
}

const TABLE: [Written; 22] = [
    row("event-store", Namespace::Log, "events", Role::writes),
    row("event-store", Namespace::Log, "commands", Role::writes),
    row("event-store", Namespace::Log, "claims", Role::writes),
    row("event-store", Namespace::Log, "states", Role::writes),
    row("event-store", Namespace::Process, "checkpoints", acts),
    row("event-store", Namespace::Process, "leases", acts),
    row("event-store", Namespace::Process, "instances", reacts),
    row("event-store", Namespace::Process, "outbox", reacts),
    row("event-store", Namespace::Process, "timeouts", reacts),
    row("keys", Namespace::Keys, "data_keys", Role::writes),
    row("operations", Namespace::Operations, "entries", operates),
    row("operations", Namespace::Operations, "leases", |role| role.has(Role::Projector)),
    row("operations", Namespace::Operations, "sessions", |role| role.has(Role::QueryApi)),
    row("operations", Namespace::Operations, "verdicts", |role| role.has(Role::QueryApi)),
    row("seals", Namespace::Seals, "seals", reacts),
    row("seals", Namespace::RecordSeals, "seals", reacts),
    row("accounts", Namespace::Identity, "accounts", Role::writes),
    row("accounts", Namespace::Identity, "sessions", Role::writes),
    row("accounts", Namespace::Identity, "attempts", Role::writes),
    row("accounts", Namespace::Identity, "outbox", Role::writes),
    row("event-store", Namespace::Payments, "questions", reacts),
    row("erasure-register", Namespace::Erasures, "erasures", reacts),
];

/// Keeps a checkpoint beside the log.
pub(super) fn acts(role: Role) -> bool {
    role.writes() || role.has(Role::Relay)
}

/// Runs process managers, eraser and sealers.
pub(super) fn reacts(role: Role) -> bool {
    role.has(Role::Reactor)
}

/// Adds to the record of operations.
pub(super) fn operates(role: Role) -> bool {
    role.has(Role::QueryApi) || role.has(Role::Projector)
}

fn database(shop: &Shop, namespace: Namespace) -> &Database {
    match namespace {
        Namespace::Keys => &shop.keys_database,
        Namespace::Erasures => &shop.erasures_database,
        Namespace::Operations => &shop.read_database,
        _ => &shop.store_database,
    }
}

/// Writes what the check of this name names, as far as this process does. One that only answers queries may do so on a
/// standby, which nobody writes.
pub(super) async fn ask(shop: &Shop, role: Role, check: &str) -> Result<(), Fault> {
    let rows = || TABLE.iter().filter(|row| row.check == check && (row.by)(role));
    if role == Role::QueryApi && is_standby(&shop.read_database).await? {
        return Ok(());
    }
    for Written { namespace, .. } in rows() {
        files_can_be_used(database(shop, *namespace), namespace.name())?;
    }
    for Written { namespace, table, .. } in rows() {
        writable(database(shop, *namespace), namespace.name(), table).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_is_written_by_the_process_that_does_everything() {
        for namespace in Namespace::ALL {
            let mut rows = TABLE.iter().filter(|row| row.namespace == namespace);
            assert!(rows.any(|row| (row.by)(Role::All)), "{namespace:?}");
        }
    }
}
