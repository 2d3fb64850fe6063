//! The rights in PostgreSQL: one role for each part of the shop, without a login. An operator makes a login a member
//! of the roles that it needs; `replay-tool` switches to its role by itself.
//!
//! Generations belong to a group role, and the roles that write them are its members.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, TransactionTrait as _};

use crate::{Error, Namespace};

/// Writes the log, its claims and command records, keys, accounts, and the tables of process managers.
pub const COMMAND: &str = "soonshop_command";
/// Reads the log and keys; writes generations.
pub const PROJECTOR: &str = "soonshop_projector";
/// Reads the log, keys, read models, the tables of process managers, and of accounts what tells who asks; adds to the
/// record of operations, and requests retries.
pub const QUERY: &str = "soonshop_query";
/// Reads the log and keys; makes, writes and swaps generations, adds to the record of operations.
pub const REPLAY: &str = "soonshop_replay";
/// Owns generations.
pub const GENERATIONS: &str = "soonshop_generations";

const ROLES: [&str; 5] = [COMMAND, PROJECTOR, QUERY, REPLAY, GENERATIONS];

/// Members and their groups.
const MEMBERS: [(&str, &str); 2] = [(PROJECTOR, GENERATIONS), (REPLAY, GENERATIONS)];

/// Role, rights, tables of the namespace (`*`: all of them).
type Rights = &'static [(&'static str, &'static str, &'static str)];

fn rights(namespace: Namespace) -> Rights {
    match namespace {
        // Locking the head's row needs the right to update it.
        Namespace::Log => &[
            (COMMAND, "SELECT, INSERT", "events, commands, claims, claim_keys, states, head, purged"),
            (COMMAND, "UPDATE", "head, states, claims, purged"),
            (COMMAND, "DELETE", "claims, states, commands"),
            (PROJECTOR, "SELECT", "events, head"),
            (QUERY, "SELECT", "events, head"),
            (REPLAY, "SELECT", "events, head"),
        ],
        Namespace::Keys => &[
            (COMMAND, "SELECT, INSERT, UPDATE, DELETE", "*"),
            (PROJECTOR, "SELECT", "data_keys"),
            (QUERY, "SELECT", "data_keys, hmac_keys"),
            (REPLAY, "SELECT", "data_keys"),
        ],
        // The API looks up keys and records their use; it changes nothing else of them.
        Namespace::Operations => &[
            (COMMAND, "SELECT", "api_keys"),
            // Whether `migrate` made every read model.
            (COMMAND, "SELECT", "generations, active"),
            // To seal the record, and to see what its checks found.
            (COMMAND, "SELECT", "events, head, entries"),
            (COMMAND, "UPDATE (used_at)", "api_keys"),
            // The pages of people's own accounts: a cookie may be that of a session that was begun with a key.
            (COMMAND, "SELECT, UPDATE (ended_at)", "sessions"),
            (QUERY, "UPDATE (used_at)", "api_keys"),
            (PROJECTOR, "SELECT", "generations, active, leases"),
            (PROJECTOR, "INSERT, UPDATE", "leases"),
            // It removes unused generations that an erasure has to reach, and records that.
            (PROJECTOR, "UPDATE", "generations, active, entries_head"),
            (PROJECTOR, "SELECT, INSERT", "entries"),
            (PROJECTOR, "SELECT", "entries_head"),
            (QUERY, "SELECT", "*"),
            (QUERY, "INSERT", "entries, sessions, sign_ins, views"),
            (QUERY, "UPDATE, DELETE", "sessions, sign_ins, views"),
            (QUERY, "UPDATE", "entries_head"),
            // Since when something is wrong: whoever sees it first writes it down for all.
            (QUERY, "INSERT, UPDATE, DELETE", "verdicts"),
            (REPLAY, "SELECT", "*"),
            (REPLAY, "INSERT, UPDATE", "generations, active, leases, runs"),
            (REPLAY, "INSERT", "entries"),
            (REPLAY, "UPDATE", "entries_head"),
            (REPLAY, "INSERT, UPDATE, DELETE", "verdicts"),
        ],
        Namespace::Seals | Namespace::RecordSeals => &[
            (COMMAND, "SELECT, INSERT", "seals"),
            (PROJECTOR, "SELECT", "seals"),
            (QUERY, "SELECT", "seals"),
            (REPLAY, "SELECT", "seals"),
        ],
        // Viewer and tool show instances and their waiting commands; the viewer can bring a retry forward, and
        // acknowledge failures.
        Namespace::Process => &[
            (COMMAND, "SELECT, INSERT, UPDATE, DELETE", "*"),
            (QUERY, "SELECT", "checkpoints, leases, processes, instances, outbox, timeouts, failures"),
            (QUERY, "UPDATE (retry_at)", "outbox"),
            (QUERY, "UPDATE (acknowledged_at)", "failures"),
            (REPLAY, "SELECT", "checkpoints, processes, instances, outbox, timeouts, failures"),
            (REPLAY, "SELECT (name, holder, expires_at, stopped, stopped_at)", "leases"),
        ],
        // Whoever answers queries finds out who asks, and nothing else: neither passwords nor tokens.
        Namespace::Identity => &[
            (COMMAND, "SELECT, INSERT, UPDATE, DELETE", "*"),
            (QUERY, "SELECT (id, roles, staff_since, disabled_at, epoch)", "accounts"),
            (
                QUERY,
                "SELECT (id, account, epoch, client, scope, cookie_hash, proved_at, used_at, expires_at, ended_at, \
                 provider)",
                "sessions",
            ),
            (QUERY, "UPDATE (used_at)", "sessions"),
            (QUERY, "SELECT", "roles"),
            (QUERY, "SELECT (id, scope, removed_at)", "clients"),
            (QUERY, "SELECT (id, token_hash, first_command, used_at)", "guests"),
            (QUERY, "UPDATE (used_at)", "guests"),
            (QUERY, "SELECT (kid, public_key, made_at, signs_from, signs_until, retired_at)", "signing_keys"),
        ],
        Namespace::Payments | Namespace::Erasures => &[(COMMAND, "SELECT, INSERT, UPDATE, DELETE", "*")],
    }
}

async fn one(connection: &impl ConnectionTrait, sql: &str) -> Result<bool, sea_orm::DbErr> {
    let statement = sea_orm::Statement::from_string(DatabaseBackend::Postgres, sql);
    let row = connection.query_one(statement).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false))
}

/// Makes missing roles. They belong to the whole server: another database may make them at the same time.
async fn make_roles(connection: &DatabaseConnection) -> Result<(), sea_orm::DbErr> {
    for role in ROLES {
        let make = format!(
            "DO $$ BEGIN IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role} NOLOGIN; END IF; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        );
        connection.execute_unprepared(&make).await?;
    }
    let settable = one(connection, "SELECT current_setting('server_version_num')::int >= 160000").await?;
    let own = "(SELECT current_user::text)";
    let members = MEMBERS.map(|(member, group)| (format!("'{member}'"), member.to_owned(), group));
    // The migrating login keeps its rights: it may write the group's objects, and switch to the roles of its
    // programs.
    let mine = [GENERATIONS, REPLAY].map(|group| (own.to_owned(), "CURRENT_USER".to_owned(), group));
    for (name, member, group) in members.into_iter().chain(mine) {
        for attempt in 0.. {
            // Superusers are members of every role, but own nothing through it: they are looked up by name. From
            // PostgreSQL 16 on who makes a role is its member, but may neither use its rights nor switch to it.
            let whole = if settable { "AND m.set_option AND m.inherit_option" } else { "" };
            let there = format!(
                "SELECT EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.roleid = '{group}'::regrole \
                 AND m.member = {name}::regrole {whole})"
            );
            if one(connection, &there).await? {
                break;
            }
            let with = if settable { " WITH SET TRUE, INHERIT TRUE" } else { "" };
            match connection.execute_unprepared(&format!("GRANT {group} TO {member}{with}")).await {
                // Two at once: one of them finds its row changed, and looks again.
                Err(_) if attempt < 20 => {}
                other => {
                    other?;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Gives each role its rights in the namespace, and no others. Nothing to do on SQLite.
pub async fn grant(namespace: Namespace, connection: &DatabaseConnection) -> Result<(), Error> {
    if connection.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(());
    }
    let granted = async {
        make_roles(connection).await?;
        let schema = namespace.name();
        let all = ROLES.join(", ");
        let tx = connection.begin().await?;
        tx.execute_unprepared(&format!(
            "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {all}; REVOKE ALL ON SCHEMA {schema} FROM {all}; \
             GRANT SELECT ON soonshop_{schema}_steps TO {all}"
        ))
        .await?;
        for (role, rights, tables) in rights(namespace) {
            tx.execute_unprepared(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).await?;
            let on = if *tables == "*" {
                format!("ALL TABLES IN SCHEMA {schema}")
            } else {
                tables.split(", ").map(|table| format!("{schema}.{table}")).collect::<Vec<_>>().join(", ")
            };
            tx.execute_unprepared(&format!("GRANT {rights} ON {on} TO {role}")).await?;
        }
        if namespace == Namespace::Operations {
            give_generations(&tx).await?;
        }
        tx.commit().await
    };
    granted.await.map_err(|source| Error::Database { namespace: namespace.name(), source })
}

/// Generations are made and owned by their group; those of an older release are given to it.
async fn give_generations(tx: &impl ConnectionTrait) -> Result<(), sea_orm::DbErr> {
    tx.execute_unprepared(&format!(
        "DO $$ DECLARE one record; BEGIN \
           EXECUTE format('GRANT CREATE ON DATABASE %I TO {GENERATIONS}', current_database()); \
           FOR one IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^rm_[a-z_]+_[0-9]+$' \
               AND nspowner <> '{GENERATIONS}'::regrole LOOP \
             EXECUTE format('ALTER SCHEMA %I OWNER TO {GENERATIONS}', one.nspname); \
           END LOOP; \
           FOR one IN SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname ~ '^rm_[a-z_]+_[0-9]+$' AND c.relkind = 'r' AND c.relowner <> '{GENERATIONS}'::regrole LOOP \
             EXECUTE format('ALTER TABLE %I.%I OWNER TO {GENERATIONS}', one.nspname, one.relname); \
           END LOOP; \
           FOR one IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^rm_[a-z_]+_[0-9]+$' LOOP \
             EXECUTE format('GRANT USAGE ON SCHEMA %I TO {QUERY}', one.nspname); \
             EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {QUERY}', one.nspname); \
             EXECUTE format('GRANT INSERT ON %I.retries TO {QUERY}', one.nspname); \
           END LOOP; \
         END $$"
    ))
    .await
    .map(drop)
}

/// A table, a right, and the columns that the right is limited to; no column: the whole table. `*`: all tables.
fn needed(
    namespace: Namespace,
    parts: &[&str],
) -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    let of_parts: Vec<_> = rights(namespace).iter().filter(|(part, ..)| parts.contains(part)).collect();
    of_parts.into_iter().flat_map(|(_, rights, tables)| {
        let rights: Vec<(&str, Vec<&str>)> = match rights.split_once(" (") {
            Some((right, columns)) => vec![(right, columns.trim_end_matches(')').split(", ").collect())],
            None => rights.split(", ").map(|right| (right, Vec::new())).collect(),
        };
        let of_table = move |table| {
            let rights = rights.clone().into_iter();
            rights.map(move |(right, columns)| (table, right, columns)).collect::<Vec<_>>()
        };
        tables.split(", ").flat_map(of_table)
    })
}

/// The first table of the namespace that is not there, or that this login has not the rights on that these parts need,
/// and the reason. In SQLite, which has no rights, only that a table is not there.
pub async fn missing(
    namespace: Namespace,
    connection: &DatabaseConnection,
    parts: &[&str],
) -> Result<Option<(String, String)>, sea_orm::DbErr> {
    let backend = connection.get_database_backend();
    let name = namespace.name();
    if backend != DatabaseBackend::Postgres {
        let sql = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')";
        let rows = connection.query_all(sea_orm::Statement::from_string(backend, sql)).await?;
        let there =
            rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<BTreeSet<String>, _>>()?;
        let missing = needed(namespace, parts).map(|(table, ..)| table);
        let mut missing = missing.filter(|table| *table != "*" && !there.contains(*table));
        return Ok(missing.next().map(|table| (format!("{name}.{table}"), "no such table".to_owned())));
    }
    let mut rows = Vec::new();
    for (table, right, columns) in needed(namespace, parts) {
        if table == "*" {
            rows.push(format!(
                "SELECT c.oid::regclass::text, '{right}', c.oid, has_table_privilege(c.oid, '{right}') FROM pg_class c \
                 WHERE c.relnamespace = '{name}'::regnamespace AND c.relkind IN ('r', 'v')"
            ));
            continue;
        }
        let place = format!("to_regclass('{name}.{table}')");
        let has = match columns[..] {
            [] => format!("has_table_privilege({place}, '{right}')"),
            _ => columns
                .iter()
                .map(|column| format!("has_column_privilege({place}, '{column}', '{right}')"))
                .collect::<Vec<_>>()
                .join(" AND "),
        };
        rows.push(format!("SELECT '{name}.{table}', '{right}', {place}::oid, {has}"));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT place, needed, there IS NOT NULL FROM ({}) AS all_needed (place, needed, there, has) \
         WHERE NOT coalesce(has, false) LIMIT 1",
        rows.join(" UNION ALL ")
    );
    let row = connection.query_one(sea_orm::Statement::from_string(backend, sql)).await?;
    let Some(row) = row else { return Ok(None) };
    let (place, right): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let reason = if row.try_get_by_index(2)? {
        format!("permission denied: this login may not {right}")
    } else {
        "relation does not exist".to_owned()
    };
    Ok(Some((place, reason)))
}

/// Why the role of `replay-tool` could write the log; `None` if it cannot, or if there are no roles.
pub async fn replay_writes(connection: &DatabaseConnection) -> Result<Option<String>, Error> {
    if connection.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(None);
    }
    let asked = async {
        if !one(connection, &format!("SELECT to_regrole('{REPLAY}') IS NOT NULL")).await? {
            return Ok(Some(format!("there is no role {REPLAY}")));
        }
        for right in ["INSERT", "UPDATE", "DELETE", "TRUNCATE"] {
            let sql = format!(
                "SELECT coalesce(bool_or(has_table_privilege('{REPLAY}', c.oid, '{right}')), false) FROM pg_class c \
                 WHERE c.relnamespace = 'log'::regnamespace AND c.relkind = 'r'"
            );
            if one(connection, &sql).await? {
                return Ok(Some(format!("the role {REPLAY} has {right} on a table of the log")));
            }
        }
        Ok(None)
    };
    asked.await.map_err(|source| Error::Database { namespace: Namespace::Log.name(), source })
}
