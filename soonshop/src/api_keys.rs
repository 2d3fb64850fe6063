//! API keys: created, listed, rotated and revoked at the command line, looked up by services that answer requests.
//!
//! They are stored beside the record of operations, so that a key and the line that says who made it are one
//! transaction.

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{ConnectionTrait as _, QueryResult, TransactionTrait as _};
use serde::Serialize;
use serde_json::json;
use soonshop_domain::{Purpose, ids, text};
use soonshop_event_log::{Database, Db, Error};
use soonshop_event_store::KeyMaker;
use soonshop_projections::operations::{self, Operation, SIGN_IN};
use soonshop_service_kit::access::{
    ApiKey, Caller, Keys, Networks, Permission, Role, Scope, Secret, StoredKey, StoredSession, Unavailable,
};
use soonshop_service_kit::rates::Network;
use uuid::Uuid;

use crate::Shop;
use crate::cause::chain;
use crate::outcome::Outcome;

const DAY: i64 = 24 * 60 * 60 * 1000;
const HOUR: i64 = 60 * 60 * 1000;

/// For how many days the number of sign-ins of each caller is kept.
const SIGN_INS_KEPT_DAYS: i64 = 400;

/// The commands on API keys.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Create a key and show it once
    Create {
        /// support, warehouse, finance, auditor, ops, admin or service
        #[arg(long, value_parser = role)]
        role: Role,
        /// The use of the key. It is not treated as personal data: do not name a person
        #[arg(long)]
        name: String,
        /// Of what the role may, these permissions alone: repeated, or with commas; without this, all of them. docs/api.md
        /// lists them
        #[arg(long = "permission", value_delimiter = ',', value_parser = permission)]
        permissions: Vec<Permission>,
        /// Addresses, or networks by their first address, from which the key is accepted: repeated, or with commas;
        /// without this, from everywhere
        #[arg(long = "from", value_delimiter = ',')]
        networks: Vec<Network>,
        /// Days until it expires; without this, it never does
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        expires_days: Option<u16>,
    },
    /// Show all keys, without their secrets
    List {
        /// As JSON, one key a line
        #[arg(long)]
        json: bool,
    },
    /// Refuse a key from now on; running processes follow within seconds
    Revoke {
        /// The part of it that is shown
        prefix: String,
    },
    /// Replace a key by a new one with the same role and limits; the old one expires a while later
    Rotate {
        /// The part of it that is shown
        prefix: String,
        /// Hours for which the old one is still accepted
        #[arg(long, default_value_t = 24)]
        overlap_hours: u16,
        /// Days until the new one expires; without this, it never does
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        expires_days: Option<u16>,
    },
}

fn role(text: &str) -> Result<Role, String> {
    match text.parse() {
        Ok(Role::Guest | Role::Own) | Err(_) => {
            Err("a role is support, warehouse, finance, auditor, ops, admin or service".to_owned())
        }
        Ok(role) => Ok(role),
    }
}

pub(crate) fn permission(text: &str) -> Result<Permission, String> {
    let names = || Permission::ALL.map(|one| one.to_string()).join(", ");
    text.parse().map_err(|_| format!("a permission is one of {}", names()))
}

/// What a new key may do, and from where.
#[derive(Debug, Clone)]
pub struct Limits {
    pub role: Role,
    /// Of what the role may, these permissions alone; none at all: all of them.
    pub permissions: Vec<Permission>,
    /// From where it is accepted; none at all: from everywhere.
    pub networks: Vec<Network>,
}

impl From<Role> for Limits {
    /// All that the role may, from everywhere.
    fn from(role: Role) -> Self {
        Self { role, permissions: Vec::new(), networks: Vec::new() }
    }
}

impl Limits {
    /// A key has a role that keys have, and no permission that its role lacks.
    fn check(&self) -> anyhow::Result<()> {
        if self.role == Role::Guest {
            bail!("a guest is a caller without a key: there are no keys with this role");
        }
        let lacking = self.permissions.iter().find(|permission| !self.role.may(**permission));
        if let Some(lacking) = lacking {
            let may = Permission::ALL.into_iter().filter(|permission| self.role.may(*permission));
            let may: Vec<_> = may.map(|permission| permission.to_string()).collect();
            bail!("the role {} may not {lacking}: it may {}", self.role, may.join(", "));
        }
        Ok(())
    }
}

/// A list as it is stored: with commas; `None` if it is empty.
fn listed<T: ToString>(all: &[T]) -> Option<String> {
    (!all.is_empty()).then(|| all.iter().map(T::to_string).collect::<Vec<_>>().join(","))
}

/// A key as it is stored, without its hash.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub id: Uuid,
    pub prefix: String,
    pub role: String,
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// To about a minute.
    pub used_at: Option<DateTime<Utc>>,
    pub rotated_from: Option<Uuid>,
    /// With commas; `None`: all that the role may.
    pub permissions: Option<String>,
    /// With commas; `None`: from everywhere.
    pub networks: Option<String>,
}

/// Where they are stored.
#[derive(Clone)]
pub struct ApiKeys {
    db: Db,
}

const COLUMNS: &str = "id, prefix, role, name, created_at, expires_at, revoked_at, used_at, rotated_from, hash, permissions, \
                       networks";

/// How many they are.
const COLUMN_COUNT: usize = 12;

fn moment(milliseconds: i64) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| Error::Database(format!("{milliseconds} is no moment")))
}

fn id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::Database("the id of an API key is no UUID".to_owned()))
}

impl Row {
    fn read(row: &QueryResult) -> Result<Self, Error> {
        let at = |index| row.try_get_by_index::<Option<i64>>(index);
        let rotated_from: Option<String> = row.try_get_by_index(8)?;
        Ok(Self {
            id: id(&row.try_get_by_index::<String>(0)?)?,
            prefix: row.try_get_by_index(1)?,
            role: row.try_get_by_index(2)?,
            name: row.try_get_by_index(3)?,
            created_at: moment(row.try_get_by_index(4)?)?,
            expires_at: at(5)?.map(moment).transpose()?,
            revoked_at: at(6)?.map(moment).transpose()?,
            used_at: at(7)?.map(moment).transpose()?,
            rotated_from: rotated_from.as_deref().map(id).transpose()?,
            permissions: row.try_get_by_index(10)?,
            networks: row.try_get_by_index(11)?,
        })
    }
}

impl ApiKeys {
    pub fn new(read_database: &Database) -> Result<Self, Error> {
        Ok(Self { db: read_database.namespace("operations")? })
    }

    /// Every key, in order of creation, also the revoked ones.
    pub async fn all(&self) -> Result<Vec<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM @api_keys ORDER BY created_at, id");
        self.db.connection.query_all(self.db.statement(&sql, [])).await?.iter().map(Row::read).collect()
    }

    /// Creates a key. The secret in the result is stored nowhere.
    pub async fn create(
        &self,
        limits: impl Into<Limits>,
        name: &str,
        expires_days: Option<u16>,
    ) -> anyhow::Result<ApiKey> {
        let limits = limits.into();
        limits.check()?;
        let lists = (listed(&limits.permissions), listed(&limits.networks));
        self.make(limits.role.as_ref(), lists, name, expires_days, None).await
    }

    /// Replaces a key by a new one. The old one expires after so many hours, if not before.
    pub async fn rotate(
        &self,
        prefix: &str,
        overlap_hours: u16,
        expires_days: Option<u16>,
    ) -> anyhow::Result<ApiKey> {
        let old = self.active(prefix).await?;
        let lists = (old.permissions.clone(), old.networks.clone());
        let instead = Some((&old, i64::from(overlap_hours) * HOUR));
        self.make(&old.role, lists, &old.name, expires_days, instead).await
    }

    async fn make(
        &self,
        role: &str,
        (permissions, networks): (Option<String>, Option<String>),
        name: &str,
        expires_days: Option<u16>,
        instead: Option<(&Row, i64)>,
    ) -> anyhow::Result<ApiKey> {
        let Ok(name) = text::line(name, 100) else {
            bail!("the name of a key has 1 to 100 characters on one line");
        };
        let id = ids::new();
        let key = ApiKey::generate(id).context("no random numbers are available")?;
        let old = instead.map(|(old, _)| old.id.to_string());
        let mut detail = json!({ "role": role, "prefix": key.prefix() });
        let more = [("permissions", &permissions), ("networks", &networks), ("rotated_from", &old)];
        for (name, value) in more {
            if let Some(value) = value {
                detail[name] = value.as_str().into();
            }
        }
        let action = if old.is_some() { "key-rotate" } else { "key-create" };
        let tx = self.db.connection.begin().await?;
        operations::record(&self.db, &tx, &done(action, id, detail)).await?;
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @api_keys \
             (id, prefix, hash, role, name, created_at, expires_at, rotated_from, permissions, networks) \
             VALUES ($1, $2, $3, $4, $5, {now}, {now} + $6, $7, $8, $9)"
        );
        let values = [
            id.to_string().into(),
            key.prefix().into(),
            BASE64.encode(key.hash()).into(),
            role.into(),
            name.into(),
            expires_days.map(|days| i64::from(days) * DAY).into(),
            old.into(),
            permissions.into(),
            networks.into(),
        ];
        tx.execute(self.db.statement(&sql, values)).await?;
        if let Some((old, overlap)) = instead {
            let sql = format!(
                "UPDATE @api_keys SET expires_at = CASE WHEN expires_at < {now} + $2 THEN expires_at \
                 ELSE {now} + $2 END WHERE id = $1 AND revoked_at IS NULL"
            );
            let values = [old.id.to_string().into(), overlap.into()];
            if tx.execute(self.db.statement(&sql, values)).await?.rows_affected() == 0 {
                bail!("the key {} was revoked meanwhile", old.prefix);
            }
        }
        tx.commit().await?;
        Ok(key)
    }

    /// Refuses it from now on.
    pub async fn revoke(&self, prefix: &str) -> anyhow::Result<()> {
        let key = self.active(prefix).await?;
        let tx = self.db.connection.begin().await?;
        operations::record(&self.db, &tx, &done("key-revoke", key.id, json!({ "prefix": key.prefix })))
            .await?;
        let sql = format!(
            "UPDATE @api_keys SET revoked_at = {} WHERE id = $1 AND revoked_at IS NULL",
            self.db.now()
        );
        let revoked = tx.execute(self.db.statement(&sql, [key.id.to_string().into()])).await?;
        if revoked.rows_affected() == 0 {
            bail!("the key {prefix} is revoked already");
        }
        tx.commit().await?;
        Ok(())
    }

    async fn row(&self, prefix: &str) -> Result<Option<QueryResult>, Error> {
        self.row_with("prefix", prefix).await
    }

    async fn row_with(&self, column: &str, value: &str) -> Result<Option<QueryResult>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM @api_keys WHERE {column} = $1");
        Ok(self.db.connection.query_one(self.db.statement(&sql, [value.into()])).await?)
    }

    /// The key of that prefix, unless it was revoked.
    async fn active(&self, prefix: &str) -> anyhow::Result<Row> {
        let row = self.row(prefix).await?.map(|row| Row::read(&row)).transpose()?;
        let row = row.with_context(|| format!("there is no key {prefix}: `soonshop key list` shows them"))?;
        if row.revoked_at.is_some() {
            bail!("the key {prefix} is revoked already");
        }
        Ok(row)
    }

    /// Stores a session, and its entry in the record of operations where it is the caller's first one of this day; and
    /// deletes sessions and counts of sign-ins that are old.
    async fn begin_session(&self, session: &StoredSession) -> Result<(), Error> {
        let tx = self.db.connection.begin().await?;
        let actor = session.caller().actor;
        let now = self.db.now();
        let counted = format!(
            "INSERT INTO @sign_ins (actor, day, count, last_at) VALUES ($1, {now} / $2, 1, {now}) \
             ON CONFLICT (actor, day) DO UPDATE SET count = sign_ins.count + 1, last_at = excluded.last_at \
             RETURNING count"
        );
        let values = [actor.to_string().into(), DAY.into()];
        let row = tx.query_one(self.db.statement(&counted, values)).await?;
        let count: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(1);
        if count == 1 {
            let subject = session.key.as_ref().map_or_else(|| actor.to_string(), |key| key.id.to_string());
            let actor = actor.to_string();
            let line = Operation { actor, action: SIGN_IN, subject, detail: json!({}), note: None };
            operations::record(&self.db, &tx, &line).await?;
        }
        let old = format!("DELETE FROM @sign_ins WHERE day < {now} / $1 - $2");
        tx.execute(self.db.statement(&old, [DAY.into(), SIGN_INS_KEPT_DAYS.into()])).await?;
        let old = format!("DELETE FROM @sessions WHERE expires_at < {now} - $1");
        tx.execute(self.db.statement(&old, [DAY.into()])).await?;
        let sql = format!(
            "INSERT INTO @sessions (hash, key_id, proof, began_at, expires_at) VALUES ($1, $2, $3, {now}, $4)"
        );
        let values = [
            BASE64.encode(session.hash).into(),
            session.key.as_ref().map(|key| key.id.to_string()).into(),
            BASE64.encode(session.proof).into(),
            session.expires_at.timestamp_millis().into(),
        ];
        tx.execute(self.db.statement(&sql, values)).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn started(&self, hash: [u8; 32]) -> Result<Option<StoredSession>, Error> {
        let columns = COLUMNS.split(", ").map(|column| format!("k.{column}")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {columns}, s.key_id, s.proof, s.expires_at FROM @sessions s LEFT JOIN @api_keys k ON k.id = s.key_id \
             WHERE s.hash = $1 AND s.ended_at IS NULL"
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [BASE64.encode(hash).into()])).await?;
        let Some(row) = row else { return Ok(None) };
        let of_key: Option<String> = row.try_get_by_index(COLUMN_COUNT)?;
        let key = of_key.map(|_| known(&row)).transpose()?;
        let proof = BASE64
            .decode(row.try_get_by_index::<String>(COLUMN_COUNT + 1)?)
            .ok()
            .and_then(|proof| proof.try_into().ok());
        let proof = proof.ok_or_else(|| Error::Database("a stored session cannot be read".to_owned()))?;
        Ok(Some(StoredSession {
            hash,
            key,
            proof,
            expires_at: moment(row.try_get_by_index(COLUMN_COUNT + 2)?)?,
        }))
    }

    async fn end_session(&self, hash: [u8; 32]) -> Result<(), Error> {
        let sql =
            format!("UPDATE @sessions SET ended_at = {} WHERE hash = $1 AND ended_at IS NULL", self.db.now());
        self.db.connection.execute(self.db.statement(&sql, [BASE64.encode(hash).into()])).await?;
        Ok(())
    }
}

/// A list as [`listed`] wrote it.
fn read_list<T, E>(stored: Option<&str>, read: impl Fn(&str) -> Result<T, E>) -> Result<Vec<T>, E> {
    stored.map_or_else(|| Ok(Vec::new()), |stored| stored.split(',').map(read).collect())
}

/// A key as it was read from the database.
fn known(stored: &QueryResult) -> Result<StoredKey, Error> {
    let row = Row::read(stored)?;
    let hash = BASE64.decode(stored.try_get_by_index::<String>(9)?).ok();
    let hash = hash.filter(|hash| hash.len() == 32).map(|hash| Secret::new(&hash));
    // A limit that this release cannot read is no permission to do more.
    let permissions = read_list(row.permissions.as_deref(), permission);
    let networks = read_list(row.networks.as_deref(), str::parse::<Network>);
    let (Some(hash), Ok(role), Ok(permissions), Ok(networks)) =
        (hash, self::role(&row.role), permissions, networks)
    else {
        return Err(Error::Database(format!("the stored API key {} cannot be read", row.prefix)));
    };
    Ok(StoredKey {
        id: row.id,
        hash,
        role,
        scope: Scope::of(&permissions),
        networks: Networks::from(networks),
        expires_at: row.expires_at,
        revoked: row.revoked_at.is_some(),
        used_at: row.used_at,
    })
}

/// An entry of the record of operations for what the operator did to something of this id.
pub(crate) fn done(action: &'static str, id: Uuid, detail: serde_json::Value) -> Operation {
    Operation {
        actor: Caller::operator().actor.to_string(),
        action,
        subject: id.to_string(),
        detail,
        note: None,
    }
}

#[async_trait]
impl Keys for ApiKeys {
    async fn find(&self, prefix: &str) -> Result<Option<StoredKey>, Unavailable> {
        let found = async { self.row(prefix).await?.as_ref().map(known).transpose() };
        found.await.map_err(|error: Error| Unavailable(chain(&error)))
    }

    async fn of_holder(&self, id: Uuid) -> Result<Option<StoredKey>, Unavailable> {
        let id = id.to_string();
        let found = async { self.row_with("id", &id).await?.as_ref().map(known).transpose() };
        found.await.map_err(|error: Error| Unavailable(chain(&error)))
    }

    async fn used(&self, id: Uuid) -> Result<(), Unavailable> {
        let sql = format!("UPDATE @api_keys SET used_at = {} WHERE id = $1", self.db.now());
        let used = self.db.connection.execute(self.db.statement(&sql, [id.to_string().into()])).await;
        used.map(drop).map_err(|error| Unavailable(chain(&error)))
    }

    async fn begin(&self, session: &StoredSession) -> Result<(), Unavailable> {
        self.begin_session(session).await.map_err(|error| Unavailable(chain(&error)))
    }

    async fn session(&self, hash: [u8; 32]) -> Result<Option<StoredSession>, Unavailable> {
        self.started(hash).await.map_err(|error| Unavailable(chain(&error)))
    }

    async fn end(&self, hash: [u8; 32]) -> Result<(), Unavailable> {
        self.end_session(hash).await.map_err(|error| Unavailable(chain(&error)))
    }
}

fn line(row: &Row) -> String {
    let at = |at: Option<DateTime<Utc>>| {
        at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    let limit = |name: &str, list: &Option<String>| {
        list.as_ref().map_or_else(String::new, |list| format!("  {name} {list}"))
    };
    format!(
        "ssk_{}  {:<8} made {}  expires {:<20}  revoked {:<20}  used {:<20}  {}{}{}",
        row.prefix,
        row.role,
        at(Some(row.created_at)),
        at(row.expires_at),
        at(row.revoked_at),
        at(row.used_at),
        row.name,
        limit("may only", &row.permissions),
        limit("from", &row.networks)
    )
}

/// Does it, on a shop that is up to date.
pub async fn run(shop: &Shop, verb: &Verb) -> anyhow::Result<Outcome> {
    let keys = ApiKeys::new(&shop.read_database)?;
    let text = match verb {
        Verb::Create { role, name, permissions, networks, expires_days } => {
            let limits = Limits { role: *role, permissions: permissions.clone(), networks: networks.clone() };
            shown(shop, keys.create(limits, name, *expires_days).await?).await
        }
        Verb::Rotate { prefix, overlap_hours, expires_days } => {
            shown(shop, keys.rotate(prefix, *overlap_hours, *expires_days).await?).await
        }
        Verb::Revoke { prefix } => {
            keys.revoke(prefix).await?;
            format!("ssk_{prefix} is revoked")
        }
        Verb::List { json } => {
            let rows = keys.all().await?;
            let lines: Result<Vec<String>, _> = rows
                .iter()
                .map(|row| if *json { serde_json::to_string(row) } else { Ok(line(row)) })
                .collect();
            lines?.join("\n")
        }
    };
    Ok(Outcome { text, exit_code: 0 })
}

/// The text of the new key. It is shown only now, so it is shown even if making the key for its holder's notes failed.
async fn shown(shop: &Shop, key: ApiKey) -> String {
    let prepared = async { ensure_writers(shop, &KeyMaker::new(shop.key_store()?)).await };
    if let Err(error) = prepared.await {
        let error = chain(error.as_ref());
        tracing::warn!(error, "the holder of this key cannot leave notes until `soonshop migrate` has run");
    }
    key.text()
}

/// The holder of an API key may leave notes, encrypted under a key of their own. It is made here: services that answer
/// queries cannot make keys.
pub(crate) async fn ensure_writers(shop: &Shop, keys: &KeyMaker) -> anyhow::Result<()> {
    for key in ApiKeys::new(&shop.read_database)?.all().await? {
        keys.ensure(key.id, Purpose::Account).await.context("the keys of notes")?;
    }
    Ok(())
}
