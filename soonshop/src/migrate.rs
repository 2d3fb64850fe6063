//! Brings every schema up to this release, and makes what has to be there once: keys, the operator's token, the first
//! generation of every read model, the checkpoints of what acts.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SecureRandom as _;
use soonshop_domain::Purpose;
use soonshop_event_log::seal::SealKeys;
use soonshop_event_log::{Database, MasterKeys};
use soonshop_event_store::{EventStore, KeyMaker};
use soonshop_migrations::Namespace;
use soonshop_projections::operations;
use soonshop_workers::reactor::Reactor;

use crate::Shop;
use crate::api_keys::ensure_writers;
use crate::cause::chain;

/// The database in which each namespace lives.
pub(crate) fn homes(shop: &Shop) -> [(Namespace, &Database); 7] {
    [
        (Namespace::Log, &shop.store_database),
        (Namespace::Process, &shop.store_database),
        (Namespace::Seals, &shop.store_database),
        (Namespace::RecordSeals, &shop.store_database),
        (Namespace::Keys, &shop.keys_database),
        (Namespace::Erasures, &shop.erasures_database),
        (Namespace::Operations, &shop.read_database),
    ]
}

/// Does everything; done twice, it changes nothing.
pub async fn migrate(shop: &Shop) -> anyhow::Result<()> {
    EventStore::check_owner(&shop.store_database)?;
    for (namespace, database) in homes(shop) {
        soonshop_migrations::migrate(namespace, &database.namespace(namespace.name())?.connection).await?;
    }
    MasterKeys::create(&shop.config.master_key_file)?;
    SealKeys::create(&shop.config.seal_key_file)?;
    create_token(&shop.config.operator_token_file)?;
    let log = shop.log()?;
    let keys = KeyMaker::new(shop.key_store()?);
    keys.prepare(log.db()).await?;
    keys.ensure(operations::OPERATOR, Purpose::Account).await.context("the key of operators' notes")?;
    ensure_writers(shop, &keys).await?;
    Reactor::begin(&log, &shop.store_database.namespace("process")?).await?;
    let registry = shop.registry()?;
    // Roles come before generations, which belong to one of them.
    for (namespace, database) in homes(shop) {
        let connection = database.namespace(namespace.name())?.connection;
        if let Err(error) = soonshop_migrations::rights::grant(namespace, &connection).await {
            tracing::warn!(
                error = chain(&error),
                "roles were not set up: whoever migrates must be allowed to make them"
            );
        }
    }
    for projector in soonshop_projections::all() {
        registry.ensure(&*projector).await?;
    }
    Ok(())
}

/// Succeeds if every schema is that of this release.
pub async fn check(shop: &Shop) -> anyhow::Result<()> {
    for (namespace, database) in homes(shop) {
        soonshop_migrations::check(namespace, &database.namespace(namespace.name())?.connection).await?;
    }
    Ok(())
}

/// A token that only the file's owner can read; one that is there stays.
fn create_token(file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut open) => {
            let mut token = [0_u8; 32];
            ring::rand::SystemRandom::new()
                .fill(&mut token)
                .map_err(|_| anyhow::anyhow!("no random numbers are to be had"))?;
            writeln!(open, "{}", BASE64.encode(token))?;
            open.sync_all()?;
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}
