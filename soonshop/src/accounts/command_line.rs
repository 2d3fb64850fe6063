//! Accounts at the command line: the operator opens the first ones, and decides about all of them.

use std::io::BufRead as _;

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use soonshop_domain::claim::scope;
use soonshop_domain::user::{self, User};
use soonshop_domain::{Channel, Metadata, ids, text};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};
use soonshop_identity::{CUSTOMER, Cause, Error, Identity, Listed, Opening, Password, Roles, generate};
use soonshop_projections::operations::{self, Operation};
use soonshop_service_kit::access::Caller;
use uuid::Uuid;

use super::roles::check;
use super::settings::account_role;
use crate::outcome::Outcome;
use crate::{Shop, api_keys};

/// What to do with accounts.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Open an account for somebody whose e-mail address is known to be theirs, and show its password once
    Open {
        /// The address that its owner signs in with
        #[arg(long)]
        email: String,
        /// customer, or some of support, warehouse, finance, auditor, ops, admin and the shop's own roles
        #[arg(long = "role", required = true, value_delimiter = ',', value_parser = account_role)]
        roles: Vec<String>,
        /// Its owner's name
        #[arg(long)]
        person: Option<String>,
        /// Read the password from standard input, one line, in place of making one
        #[arg(long)]
        password_stdin: bool,
    },
    /// Show all accounts, without anything personal
    List {
        /// As JSON, one account a line
        #[arg(long)]
        json: bool,
    },
    /// End all sessions of an account, and let nobody sign in to it
    Disable {
        /// The account's id
        id: Uuid,
        /// Why, as a code such as left
        #[arg(long, default_value = "operator", value_parser = reason)]
        reason: String,
    },
    /// Let its owner sign in again
    Enable {
        /// The account's id
        id: Uuid,
        /// Why, as a code such as mistake
        #[arg(long, default_value = "operator", value_parser = reason)]
        reason: String,
    },
    /// Give an account these roles in the place of those before, from its next request on
    Roles {
        /// The account's id
        id: Uuid,
        /// customer, or some of support, warehouse, finance, auditor, ops, admin and the shop's own roles
        #[arg(long = "role", required = true, value_delimiter = ',', value_parser = account_role)]
        roles: Vec<String>,
    },
    /// End all sessions of an account
    EndSessions {
        /// The account's id
        id: Uuid,
    },
    /// Remove the second factors and recovery codes of an account whose owner lost them, and end all of its sessions
    ResetFactor {
        /// The account's id
        id: Uuid,
    },
    /// Give an account another password, which ends all of its sessions, and show it once
    Password {
        /// The account's id
        id: Uuid,
        /// Read the password from standard input, one line, in place of making one
        #[arg(long)]
        password_stdin: bool,
    },
}

pub(crate) fn reason(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err("a reason is a code of a-z, 0-9 and -, such as left".to_owned())
}

/// The operator, at the command line.
pub(super) fn cause() -> Cause {
    Cause { correlation: Some(ids::new()), ..Cause::of(Caller::operator().actor) }
}

/// A password, and the text that shows it where it was made here.
fn password(from_stdin: bool) -> anyhow::Result<(Password, Option<String>)> {
    if !from_stdin {
        let made = generate()?;
        return Ok((Password::new(&made)?, Some(made)));
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("standard input")?;
    let typed = line.strip_suffix('\n').unwrap_or(&line);
    Ok((Password::new(typed.strip_suffix('\r').unwrap_or(typed))?, None))
}

/// Does it, on a shop that is up to date.
pub async fn run(shop: &Shop, verb: &Verb) -> anyhow::Result<Outcome> {
    let identity = shop.identity()?;
    let text = match verb {
        Verb::Open { email, roles, person, password_stdin } => {
            check_roles(&identity, roles).await?;
            let (password, made) = password(*password_stdin)?;
            let id = open(shop, &identity, email, roles, person.as_deref(), password).await?;
            shown(&format!("account {id} is open, with {}", roles_in_words(roles)), made)
        }
        Verb::List { json } => {
            let accounts = identity.accounts().await?;
            let lines: Result<Vec<String>, _> = accounts
                .iter()
                .map(|one| if *json { serde_json::to_string(one) } else { Ok(line(one)) })
                .collect();
            lines?.join("\n")
        }
        Verb::Disable { id, reason } => {
            let changed = found(*id, identity.disable(*id, reason, &cause()).await)?;
            done(shop, *id, "account-disable", json!({ "reason": reason }), changed).await?;
            outcome(*id, changed, "is disabled, and its sessions have ended", "is disabled already")
        }
        Verb::Enable { id, reason } => {
            let changed = found(*id, identity.enable(*id, reason, &cause()).await)?;
            done(shop, *id, "account-enable", json!({ "reason": reason }), changed).await?;
            outcome(*id, changed, "may sign in again", "may sign in already")
        }
        Verb::Roles { id, roles } => {
            check_roles(&identity, roles).await?;
            let given = Roles::given(roles.iter().cloned());
            let changed = found(*id, identity.set_roles(*id, &given, &cause()).await)?;
            done(shop, *id, "account-roles", json!({ "roles": roles }), changed).await?;
            let words = roles_in_words(roles);
            outcome(*id, changed, &format!("has {words}"), &format!("has {words} already"))
        }
        Verb::EndSessions { id } => {
            found(*id, identity.end_all_sessions(*id, &cause()).await)?;
            done(shop, *id, "account-end-sessions", json!({}), true).await?;
            format!("all sessions of account {id} have ended")
        }
        Verb::ResetFactor { id } => {
            let changed = found(*id, identity.reset_factors(*id, &cause()).await)?;
            done(shop, *id, "account-reset-factor", json!({}), changed).await?;
            outcome(
                *id,
                changed,
                "has no second factor any more, and its sessions have ended",
                "has no second factor",
            )
        }
        Verb::Password { id, password_stdin } => {
            let (password, made) = password(*password_stdin)?;
            found(*id, identity.reset_password(*id, password, &cause()).await)?;
            done(shop, *id, "account-password", json!({}), true).await?;
            shown(&format!("account {id} has another password, and its sessions have ended"), made)
        }
    };
    Ok(Outcome { text, exit_code: 0 })
}

fn shown(sentence: &str, made: Option<String>) -> String {
    match made {
        Some(password) => format!("{sentence}\npassword: {password}"),
        None => sentence.to_owned(),
    }
}

fn outcome(id: Uuid, changed: bool, done: &str, already: &str) -> String {
    format!("account {id} {}", if changed { done } else { already })
}

fn found<T>(id: Uuid, outcome: Result<T, Error>) -> anyhow::Result<T> {
    outcome.map_err(|error| match error {
        Error::NotFound => anyhow::anyhow!("there is no account {id}: `soonshop account list` shows them"),
        error => error.into(),
    })
}

/// Adds it to the record of operations, if it changed something.
async fn done(
    shop: &Shop,
    id: Uuid,
    action: &'static str,
    detail: Value,
    changed: bool,
) -> anyhow::Result<()> {
    if changed { record(shop, id.to_string(), action, detail).await } else { Ok(()) }
}

/// Adds what the operator did to the record of operations.
pub(super) async fn record(
    shop: &Shop,
    subject: String,
    action: &'static str,
    detail: Value,
) -> anyhow::Result<()> {
    let entry = Operation { subject, ..api_keys::done(action, Uuid::nil(), detail) };
    operations::add(&shop.read_database.namespace("operations")?, &entry).await?;
    Ok(())
}

/// Refuses roles that nobody defines, and a customer's beside those of staff.
async fn check_roles(identity: &Identity, roles: &[String]) -> anyhow::Result<()> {
    if roles.len() > 1 && roles.iter().any(|role| role == CUSTOMER) {
        bail!("the role {CUSTOMER} is given alone: every other one makes its holder staff");
    }
    check(identity, roles).await
}

fn roles_in_words(roles: &[String]) -> String {
    match roles {
        [role] => format!("the role {role}"),
        roles => format!("the roles {}", roles.join(", ")),
    }
}

/// Opens an account for the user who has this address, whom it makes where there is none.
async fn open(
    shop: &Shop,
    identity: &Identity,
    email: &str,
    roles: &[String],
    person: Option<&str>,
    password: Password,
) -> anyhow::Result<Uuid> {
    let email = text::email(email).map_err(|error| anyhow::anyhow!("--email: {error}"))?;
    EventStore::check_owner(&shop.store_database).context(
        "an account has a user, who is written to the log: stop the process that serves this shop first",
    )?;
    let store = shop.event_store()?;
    let opened = open_in(&store, identity, &email, roles, person, password).await;
    store.close().await;
    let id = opened?;
    done(shop, id, "account-open", json!({ "roles": roles }), true).await?;
    Ok(id)
}

async fn open_in(
    store: &EventStore,
    identity: &Identity,
    email: &str,
    roles: &[String],
    person: Option<&str>,
    password: Password,
) -> anyhow::Result<Uuid> {
    let id = user_of(store, email, person).await?;
    let user_version = store.version::<User>(id).await?;
    let roles = Roles::given(roles.iter().cloned());
    let opening = Opening { id, address: email, roles, password, user_version };
    match identity.open(opening, &cause()).await {
        Ok(()) => Ok(id),
        Err(Error::Exists) => bail!(
            "account {id} has this address already: `soonshop account password {id}` gives it another password, and \
             `soonshop account roles {id}` another role"
        ),
        Err(error) => Err(error.into()),
    }
}

/// The user who has this address: the one who holds it, or a new one.
async fn user_of(store: &EventStore, email: &str, person: Option<&str>) -> anyhow::Result<Uuid> {
    let owner = async || -> anyhow::Result<Option<Uuid>> {
        let owner = store.owner_of(scope::EMAIL, &text::email_key(email)).await?;
        owner.map(|owner| id_of(&owner)).transpose()
    };
    if let Some(owner) = owner().await? {
        return Ok(owner);
    }
    let id = ids::new();
    let details = user::Details::try_new(id, person, Some(email), None, None)
        .map_err(|(field, error)| anyhow::anyhow!("{field}: {error}"))?;
    let command_id = ids::new();
    let fingerprint = store.keys().fingerprint(&[b"account.open", command_id.as_bytes()]).await?;
    let actor = Caller::operator().actor;
    let metadata = Metadata {
        correlation_id: Some(command_id),
        command_type: Some("user.register".to_owned()),
        actor_kind: Some(actor.kind),
        actor_id: Some(actor.id),
        channel: Some(Channel::Cli),
        ..Metadata::default()
    };
    let context = CommandContext::new(command_id, fingerprint, metadata);
    match store.execute::<User>(id, user::Command::Register { details }, context).await {
        Ok(_) => Ok(id),
        // Somebody else was quicker.
        Err(ExecuteError::Taken { owner, .. }) => id_of(&owner),
        Err(error) => Err(error.into()),
    }
}

/// The id in `user:<id>`.
fn id_of(owner: &str) -> anyhow::Result<Uuid> {
    let id = owner.strip_prefix("user:").and_then(|id| Uuid::try_parse(id).ok());
    id.with_context(|| format!("{owner} has this address, and is no user"))
}

fn line(account: &Listed) -> String {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let disabled = account.disabled_at.map_or_else(|| "-".to_owned(), at);
    format!(
        "{}  {:<9} opened {}  disabled {disabled:<20}  sessions {}",
        account.id,
        account.roles.join(","),
        at(account.opened_at),
        account.sessions,
    )
}
