//! Clients at the command line: the operator alone makes and removes them.

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use soonshop_domain::{ids, text};
use soonshop_identity::{Cause, Error, Identity, ListedClient, NewClient};
use soonshop_service_kit::access::clients::{OWN, is_scope, scopes};
use soonshop_service_kit::access::{Caller, Permission, Role};
use uuid::Uuid;

use super::redirects;
use crate::Shop;
use crate::outcome::Outcome;

/// What to do with clients.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Register a client, and show its secret once. With --redirect it acts for people who consent; without, for itself
    Create {
        /// What it is. It is not treated as personal data: do not name a person
        name: String,
        /// An address that codes may go to, letter by letter: repeated
        #[arg(long = "redirect", value_name = "URI")]
        redirects: Vec<String>,
        /// A permission that it may have, or `own`, what a customer may with what is theirs: repeated, or with commas.
        /// docs/api.md lists them
        #[arg(long = "scope", value_name = "PERMISSION", value_delimiter = ',', required = true, value_parser = scope)]
        scopes: Vec<String>,
        /// It has no secret: an app or a page, which could keep none
        #[arg(long, requires = "redirects")]
        public: bool,
    },
    /// Show all clients, without their secrets
    List {
        /// As JSON, one client a line
        #[arg(long)]
        json: bool,
    },
    /// Give a client another secret, and show it once; the one before counts no more
    Secret {
        /// The client's id
        id: Uuid,
    },
    /// Refuse a client from now on, and all tokens that it holds
    Remove {
        /// The client's id
        id: Uuid,
        /// Why, as a code such as left
        #[arg(long, default_value = "operator", value_parser = crate::accounts::command_line::reason)]
        reason: String,
    },
}

fn scope(text: &str) -> Result<String, String> {
    if is_scope(text) {
        return Ok(text.to_owned());
    }
    Err(format!("a scope is one of {}", scopes().join(", ")))
}

/// The operator, at the command line.
fn cause() -> Cause {
    Cause { correlation: Some(ids::new()), ..Cause::of(Caller::operator().actor) }
}

/// Does it, on a shop that is up to date.
pub async fn run(shop: &Shop, verb: &Verb) -> anyhow::Result<Outcome> {
    let identity = shop.identity()?;
    let text = match verb {
        Verb::Create { name, redirects, scopes, public } => {
            create(&identity, name, redirects, scopes, *public).await?
        }
        Verb::List { json } => {
            let clients = identity.clients().await?;
            let lines: Result<Vec<String>, _> = clients
                .iter()
                .map(|one| if *json { serde_json::to_string(one) } else { Ok(line(one)) })
                .collect();
            lines?.join("\n")
        }
        Verb::Secret { id } => match identity.change_client_secret(*id, &cause()).await {
            Ok(secret) => format!("client {id} has another secret\nsecret: {secret}"),
            Err(Error::NotFound) => {
                bail!("there is no client {id} with a secret: `soonshop client list` shows them")
            }
            Err(error) => return Err(error.into()),
        },
        Verb::Remove { id, reason } => match identity.remove_client(*id, reason, &cause()).await {
            Ok(true) => format!("client {id} is removed, and its tokens open nothing any more"),
            Ok(false) => format!("client {id} is removed already"),
            Err(Error::NotFound) => bail!("there is no client {id}: `soonshop client list` shows them"),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(Outcome { text, exit_code: 0 })
}

async fn create(
    identity: &Identity,
    name: &str,
    redirects: &[String],
    asked: &[String],
    public: bool,
) -> anyhow::Result<String> {
    let Ok(name) = text::line(name, 100) else {
        bail!("the name of a client has 1 to 100 characters on one line");
    };
    for redirect in redirects {
        redirects::check(redirect, public).map_err(anyhow::Error::msg)?;
    }
    if redirects.is_empty() {
        let may = |name: &str| name.parse::<Permission>().is_ok_and(|one| Role::Service.may(one));
        if let Some(lacking) = asked.iter().find(|name| !may(name)) {
            let why = if lacking == OWN { "nothing is its own" } else { "no program may" };
            bail!("a client without --redirect acts for itself, as a program: {why} (--scope {lacking})");
        }
    }
    // Each once, in the order in which they are listed everywhere.
    let scope: Vec<_> = scopes().into_iter().filter(|name| asked.iter().any(|one| one == name)).collect();
    let new = NewClient {
        name: name.clone(),
        public,
        redirects: redirects.to_vec(),
        scope: scope.into_iter().map(str::to_owned).collect(),
    };
    let (id, secret) = identity.register_client(new, &cause()).await?;
    Ok(match secret {
        Some(secret) => format!("client {id} is registered: {name}\nsecret: {secret}"),
        None => format!("client {id} is registered: {name}, without a secret"),
    })
}

fn line(client: &ListedClient) -> String {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let removed = client.removed_at.map_or_else(|| "-".to_owned(), at);
    let kind = if client.public { "public" } else { "secret" };
    let first = format!(
        "{}  {kind}  made {}  removed {removed:<20}  scope {}  {}",
        client.id,
        at(client.made_at),
        client.scope.join(","),
        client.name,
    );
    let redirects = client.redirects.iter().map(|one| format!("    {one}"));
    std::iter::once(first).chain(redirects).collect::<Vec<_>>().join("\n")
}
