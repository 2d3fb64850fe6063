//! Brings every schema up to this release, and creates everything that must exist once: keys, the operator's token, the
//! first generation of every read model, the checkpoints of the workers.

use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SecureRandom as _;
use sea_orm::ConnectionTrait as _;
use soonshop_domain::Purpose;
use soonshop_event_log::seal::SealKeys;
use soonshop_event_log::{Database, MasterKeys, private_files};
use soonshop_event_store::{EventStore, KeyMaker};
use soonshop_migrations::Namespace;
use soonshop_projections::operations;
use soonshop_workers::reactor::{Begun, Start, begin};

use crate::Shop;
use crate::accounts::roles;
use crate::api_keys::ensure_writers;
use crate::cause::chain;

/// The database of each namespace.
pub(crate) fn homes(shop: &Shop) -> [(Namespace, &Database); 9] {
    [
        (Namespace::Log, &shop.store_database),
        (Namespace::Process, &shop.store_database),
        (Namespace::Seals, &shop.store_database),
        (Namespace::RecordSeals, &shop.store_database),
        (Namespace::Identity, &shop.store_database),
        (Namespace::Payments, &shop.store_database),
        (Namespace::Keys, &shop.keys_database),
        (Namespace::Erasures, &shop.erasures_database),
        (Namespace::Operations, &shop.read_database),
    ]
}

/// Where a process manager is to start that has not begun on this log: `NAME=beginning` or `NAME=head`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartProcess {
    pub process: String,
    pub start: Start,
}

impl FromStr for StartProcess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (process, start) = text.split_once('=').unwrap_or((text, ""));
        let names = soonshop_domain::process_managers::names();
        if !names.contains(&process) {
            return Err(format!("there is no process {process:?}: {}", names.join(", ")));
        }
        let start = match start {
            "beginning" => Start::Beginning,
            "head" => Start::Head,
            _ => {
                return Err(format!(
                    "{process} starts at its beginning or head: {process}=beginning, {process}=head"
                ));
            }
        };
        Ok(Self { process: process.to_owned(), start })
    }
}

/// Does everything; done twice, it changes nothing. Process managers that are new start at the head, unless they need all that is there.
pub async fn migrate(shop: &Shop) -> anyhow::Result<()> {
    migrate_and_start(shop, &[]).await.map(drop)
}

/// Does everything, with new process managers starting at the given place. The outcome of each that was named,
/// in a sentence.
pub async fn migrate_and_start(shop: &Shop, starts: &[StartProcess]) -> anyhow::Result<Vec<String>> {
    for StartProcess { process, .. } in starts {
        if !shop.processes().iter().any(|one| one.name() == process && one.is_on()) {
            bail!(
                "{process} is switched off, and is not started: switch it on first, as `soonshop --help` says"
            );
        }
    }
    EventStore::check_owner(&shop.store_database)?;
    for (namespace, database) in homes(shop) {
        soonshop_migrations::migrate(namespace, &database.namespace(namespace.name())?.connection).await?;
    }
    needs_no_key_back(shop).await?;
    MasterKeys::create(&shop.config.master_key_file)?;
    SealKeys::create(&shop.config.seal_key_file)?;
    create_token(&shop.config.operator_token_file)?;
    let log = shop.log()?;
    let keys = KeyMaker::new(shop.key_store()?);
    keys.prepare(log.db()).await?;
    keys.ensure(operations::OPERATOR, Purpose::Account).await.context("the key of operators' notes")?;
    ensure_writers(shop, &keys).await?;
    let identity = shop.identity()?;
    identity.prepare().await.context("the keys of accounts")?;
    identity.record_roles(&roles::of_release()).await.context("the roles of staff")?;
    let mut message = Vec::new();
    for process in shop.processes().into_iter().filter(|one| one.is_on()) {
        let name = process.name();
        let start = starts.iter().rev().find(|start| start.process == name).map(|one| one.start);
        let chosen = start.or(Start::of(&*process));
        let begun = begin(&log, &shop.store_database.namespace("process")?, name, chosen).await?;
        if start.is_some() {
            message.push(match begun {
                Begun::At { position } => format!("{name} starts after position {position}"),
                Begun::Before { position } => {
                    format!("{name} had begun before, and goes on after position {position}")
                }
            });
        }
    }
    let registry = shop.registry()?;
    // Roles come before generations, which belong to one of them.
    for (namespace, database) in homes(shop) {
        let connection = database.namespace(namespace.name())?.connection;
        if let Err(error) = soonshop_migrations::rights::grant(namespace, &connection).await {
            tracing::warn!(
                error = chain(&error),
                "roles were not set up: the user of `migrate` must be allowed to create them. Where another user \
                 made them, a superuser has to run `GRANT soonshop_generations, soonshop_replay TO <user> WITH ADMIN \
                 OPTION` (from PostgreSQL 16 on also `… WITH SET TRUE, INHERIT TRUE`); then run `soonshop migrate` again"
            );
        }
    }
    for projector in soonshop_projections::all() {
        registry.ensure(&*projector).await?;
    }
    Ok(message)
}

/// Refuses to make a key in the place of one that the shop has used: a new one would open nothing, and the next seals
/// would be signed by a key that nobody knows.
async fn needs_no_key_back(shop: &Shop) -> anyhow::Result<()> {
    let (master, seal) = (&shop.config.master_key_file, &shop.config.seal_key_file);
    let key_store = ("SELECT max(master) FROM @hmac_keys", shop.keys_database.namespace("keys")?);
    let seals = ("SELECT CAST(max(number) AS TEXT) FROM @seals", shop.store_database.namespace("seals")?);
    for (file, (sql, db), used) in [
        (master, key_store, "the keys of the shop are locked by it"),
        (seal, seals, "the log is sealed with it"),
    ] {
        if file.try_exists().with_context(|| file.display().to_string())? {
            continue;
        }
        let row = db.connection.query_one(db.statement(sql, [])).await?;
        let found: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        if let Some(found) = found {
            let file = file.display();
            bail!(
                "{file} is missing, and {used} ({found}): put it back from its backup; no new one is made in its place"
            );
        }
    }
    Ok(())
}

/// Makes those read models anew that another release made, so that this one cannot read them; their names. Readers wait
/// until they are filled, so this is for `dev`: beside live traffic `replay-tool rebuild`, `verify` and `swap` do it.
pub async fn renew_read_models(shop: &Shop) -> anyhow::Result<Vec<&'static str>> {
    let registry = shop.registry()?;
    let mut renewed = Vec::new();
    for projector in soonshop_projections::all() {
        let active = registry.active(projector.name()).await?;
        if active.is_some_and(|active| active.is_made_by(&*projector)) {
            continue;
        }
        // One that was made before a process was killed, or that `replay-tool` made.
        let generation = match registry.projected_by(&*projector).await?.pop() {
            Some(made) => made,
            None => registry.create(&*projector).await?,
        };
        registry.activate(&generation).await?;
        renewed.push(projector.name());
    }
    Ok(renewed)
}

/// Succeeds if every schema is that of this release.
pub async fn check(shop: &Shop) -> anyhow::Result<()> {
    for (namespace, database) in homes(shop) {
        soonshop_migrations::check(namespace, &database.namespace(namespace.name())?.connection).await?;
    }
    Ok(())
}

/// Succeeds if every read model exists, which is the last step of `migrate`, run here or by another process.
pub async fn check_read_models(shop: &Shop) -> anyhow::Result<()> {
    let registry = shop.registry()?;
    for projector in soonshop_projections::all() {
        if registry.active(projector.name()).await?.is_none() {
            bail!(
                "there is no read model {}: `soonshop migrate` did not finish. Run it again, and see what it says",
                projector.name()
            );
        }
    }
    Ok(())
}

/// Creates a token that only the file's owner can read; an existing one stays.
fn create_token(file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        private_files::make_folder(folder)?;
    }
    match private_files::open_new(file) {
        Ok(mut open) => {
            let mut token = [0_u8; 32];
            ring::rand::SystemRandom::new()
                .fill(&mut token)
                .map_err(|_| anyhow::anyhow!("no random numbers are available"))?;
            writeln!(open, "{}", BASE64.encode(token))?;
            open.sync_all()?;
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_names_a_process_and_a_place() {
        let start = |text: &str| text.parse::<StartProcess>();
        let expected = StartProcess { process: "release-unshipped".to_owned(), start: Start::Beginning };
        assert_eq!(start("release-unshipped=beginning"), Ok(expected));
        assert_eq!(start("fulfilment=head").unwrap().start, Start::Head);
        let error = start("nothing=head").unwrap_err();
        assert!(error.contains("fulfilment, release-unshipped, cart-expiry"), "{error}");
        for bad in ["fulfilment", "fulfilment=", "fulfilment=middle", "", "="] {
            assert!(start(bad).is_err(), "{bad}");
        }
    }
}
