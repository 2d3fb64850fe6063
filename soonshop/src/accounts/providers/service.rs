//! What people do with providers, for the pages.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use serde_json::Value;
use soonshop_domain::text;
use soonshop_event_store::EventStore;
use soonshop_identity::{
    CredentialKind, Credentials, Error, LinkAsked, OnTheWay, Password, ProviderIdentity, ProviderSecret,
    Unlink,
};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Browser;
use soonshop_service_kit::access::providers::{
    Leaving, OfferedProvider, OwnProvider, ProviderAnswer, Providers, Returned,
};
use soonshop_texts::Language;
use soonshop_workers::registering::{Finished, finish};
use uuid::Uuid;

use super::client::{Client, Stated};
use super::fault::Fault;
use super::settings::{self, ProviderOptions};
use crate::accounts::people::{Accounts, cause, device};
use crate::accounts::problem::{factor_problem, problem};

/// When to come back to a provider that does not answer.
const LATER: Duration = Duration::from_secs(30);

/// The providers of this shop.
pub(crate) struct Service {
    accounts: Accounts,
    store: EventStore,
    clients: Vec<Arc<Client>>,
}

/// Where a sign-in failed: the same for each reason.
fn failed() -> Problem {
    Problem::unauthenticated(
        "provider-sign-in-failed",
        "the provider signed nobody in, or this sign-in was begun in another browser, took too long or was used: begin again",
    )
}

impl Service {
    /// With the providers of the settings; none are fine.
    pub(crate) fn new(
        accounts: Accounts,
        store: EventStore,
        options: &ProviderOptions,
        public_url: Option<&str>,
    ) -> anyhow::Result<Self> {
        let Some(file) = &options.providers else { return Ok(Self { accounts, store, clients: Vec::new() }) };
        let public = public_url.context("--providers needs --public-url: providers lead back to it")?;
        let clients = settings::read(file)?.into_iter().map(|one| Client::new(one, public).map(Arc::new));
        Ok(Self { accounts, store, clients: clients.collect::<anyhow::Result<_>>()? })
    }

    fn client(&self, name: &str) -> Result<&Arc<Client>, Problem> {
        let client = self.clients.iter().find(|client| client.settings.name == name);
        client.ok_or_else(|| Problem::not_found("provider-not-found", "there is no provider of this name"))
    }

    /// The problem of what a provider did wrong, which is counted as a failed sign-in.
    async fn refused(&self, client: &Client, fault: Fault) -> Problem {
        tracing::warn!(provider = client.settings.name, error = %fault, "a sign-in with a provider failed");
        match fault {
            Fault::Away(_) => Problem::unavailable(
                "provider-unavailable",
                "the provider does not answer just now: try again later, or sign in with the password",
                LATER,
            ),
            Fault::Refused(_) => self.count().await.err().unwrap_or_else(failed),
        }
    }

    async fn count(&self) -> Result<(), Problem> {
        self.accounts.identity.refuse_provider(None).await.map_err(problem)
    }

    async fn leaving(
        &self,
        client: &Arc<Client>,
        next: &str,
        link: Option<LinkAsked<'_>>,
    ) -> Result<Leaving, Problem> {
        let of = (client.settings.name.as_str(), client.settings.issuer.as_str());
        let secret = self.accounts.identity.leave_for_provider(of, next, link).await;
        let secret = secret.map_err(factor_problem)?;
        match client.address(&secret).await {
            Ok(to) => Ok(Leaving { to, secret: *secret.bytes() }),
            Err(fault) => Err(self.refused(client, fault).await),
        }
    }

    /// Judges what a browser came back with, up to what the provider states of somebody.
    async fn judged(
        &self,
        client: &Arc<Client>,
        secret: Option<[u8; 32]>,
        answer: ProviderAnswer<'_>,
    ) -> Result<(OnTheWay, Stated), Problem> {
        let Some(secret) = secret.map(ProviderSecret::from) else {
            return Err(self.refused(client, Fault::refused("the browser has no cookie of it")).await);
        };
        if !answer.state.is_some_and(|state| secret.is_of(state)) {
            return Err(self.refused(client, Fault::refused("its state is of another browser")).await);
        }
        let of = (client.settings.name.as_str(), client.settings.issuer.as_str());
        let way = match self.accounts.identity.return_from_provider(&secret, of).await {
            Ok(way) => way,
            Err(Error::SignInEnded) => {
                return Err(self.refused(client, Fault::refused("it was used, or took too long")).await);
            }
            Err(error) => return Err(problem(error)),
        };
        match client.is_issuer(answer.issuer).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(self.refused(client, Fault::refused("its answer is of another issuer")).await);
            }
            Err(fault) => return Err(self.refused(client, fault).await),
        }
        let code = answer.code.filter(|_| answer.error.is_none());
        let Some(code) = code else {
            return Err(self.refused(client, Fault::refused("it sent an error, or no code")).await);
        };
        match client.redeem(code, &secret).await {
            Ok(stated) => Ok((way, stated)),
            Err(fault) => Err(self.refused(client, fault).await),
        }
    }

    async fn signed_in(
        &self,
        who: &ProviderIdentity<'_>,
        browser: &Browser<'_>,
        next: String,
    ) -> Result<Returned, Error> {
        let identity = &self.accounts.identity;
        let started = identity.sign_in_with(who, device(browser), CredentialKind::Cookie, &cause()).await;
        match started {
            Ok(started) => match started.credentials {
                Credentials::Cookie(_) => {
                    let begun = self.accounts.of_browser(started);
                    let begun = begun.map_err(|problem| Error::Internal(problem.detail().to_owned()))?;
                    Ok(Returned::SignedIn(Box::new(begun), next))
                }
                Credentials::Tokens { .. } => Err(Error::Internal("a browser got tokens".to_owned())),
            },
            Err(Error::SecondFactor(pending)) => Ok(Returned::SecondFactor(pending.token, next)),
            Err(error) => Err(error),
        }
    }

    /// Opens an account for somebody whom nobody here knows, and signs them in.
    async fn opened(
        &self,
        who: &ProviderIdentity<'_>,
        browser: &Browser<'_>,
        next: String,
    ) -> Result<Returned, Error> {
        let identity = &self.accounts.identity;
        let language = Language::of(&browser.language).tag();
        let proven = identity.open_with_provider(who, language, &cause()).await?;
        match finish(&self.store, identity, &proven, &cause()).await {
            Ok(Finished::Open(_)) => {}
            // The identity or the address was opened by another one of the same moment.
            Ok(Finished::Taken) => {
                return match self.signed_in(who, browser, next).await {
                    Err(Error::NotLinked) => Err(Error::Exists),
                    other => other,
                };
            }
            Err(error) => {
                tracing::warn!(error = crate::cause::chain(&error), "an account is opened later");
                return Ok(Returned::Later);
            }
        }
        self.signed_in(who, browser, next).await
    }
}

/// The roles that the claims of somebody give; `None`: this provider gives none.
fn roles(client: &Client, stated: &Stated) -> Option<Vec<String>> {
    let claim = stated.claim(client.settings.roles_claim.as_deref()?);
    let groups: Vec<&str> = match claim {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let given = client.settings.roles.iter().filter(|(group, _)| groups.contains(&group.as_str()));
    Some(given.map(|(_, role)| role.clone()).collect())
}

/// The problem of an identity that nobody is signed in with.
fn of_identity(error: Error) -> Problem {
    match error {
        Error::SignIn | Error::SignInEnded => failed(),
        Error::NoVerifiedAddress => Problem::forbidden(
            "provider-address-unverified",
            "the provider does not say that it has verified your e-mail address: register here with it",
        ),
        Error::Exists => Problem::conflict(
            "provider-address-taken",
            "your e-mail address has an account here: sign in to it with its password, and link the provider there",
        ),
        Error::ProviderNotForRole => {
            Problem::forbidden("provider-not-for-account", "this provider is not for accounts like yours")
        }
        Error::LinkedElsewhere => Problem::conflict(
            "provider-linked-elsewhere",
            "this identity is linked to another account, or your account to another identity of this provider",
        ),
        other => problem(other),
    }
}

#[async_trait]
impl Providers for Service {
    fn offered(&self) -> Vec<OfferedProvider> {
        let offered = self.clients.iter().map(|client| OfferedProvider {
            name: client.settings.name.clone(),
            title: client.settings.title.clone(),
        });
        offered.collect()
    }

    async fn leave(&self, provider: &str, next: &str) -> Result<Leaving, Problem> {
        self.leaving(self.client(provider)?, next, None).await
    }

    async fn leave_to_link(
        &self,
        session: Uuid,
        provider: &str,
        password: &str,
        network: &str,
    ) -> Result<Leaving, Problem> {
        let client = self.client(provider)?;
        let (active, _) = self.accounts.owner(session).await?;
        let asked = LinkAsked { active: &active, password: Password::typed(password), network };
        self.leaving(client, "", Some(asked)).await
    }

    async fn come_back(
        &self,
        provider: &str,
        secret: Option<[u8; 32]>,
        answer: ProviderAnswer<'_>,
        browser: Browser<'_>,
    ) -> Result<Returned, Problem> {
        let client = self.client(provider)?;
        let (way, stated) = self.judged(client, secret, answer).await?;
        let address = stated.verified_address().and_then(|address| text::email(address).ok());
        let name = stated.claim("name").and_then(Value::as_str);
        let name = name.and_then(|name| text::line(name, 200).ok());
        let who = ProviderIdentity {
            provider: &client.settings.name,
            issuer: &client.settings.issuer,
            subject: &stated.subject,
            address: address.as_deref(),
            name: name.as_deref(),
            roles: roles(client, &stated),
            customers: client.settings.customers,
            staff: client.settings.staff,
        };
        let outcome = match way.linking {
            Some(linking) => {
                let linked = self.accounts.identity.link_provider(linking, &who, &cause()).await;
                linked.map(|()| Returned::Linked)
            }
            None => match self.signed_in(&who, &browser, way.next.clone()).await {
                Err(Error::NotLinked) => self.opened(&who, &browser, way.next).await,
                other => other,
            },
        };
        let counts =
            matches!(outcome, Err(Error::NoVerifiedAddress | Error::Exists | Error::LinkedElsewhere));
        if counts {
            self.count().await?;
        }
        outcome.map_err(of_identity)
    }

    async fn linked(&self, session: Uuid) -> Result<Vec<OwnProvider>, Problem> {
        let (active, _) = self.accounts.owner(session).await?;
        let linked = self.accounts.identity.linked_providers(active.account).await.map_err(problem)?;
        let own = linked.into_iter().map(|one| OwnProvider {
            name: one.provider,
            linked_at: one.linked_at,
            used_at: one.used_at,
        });
        Ok(own.collect())
    }

    async fn unlink(
        &self,
        session: Uuid,
        provider: &str,
        password: &str,
        network: &str,
    ) -> Result<(), Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let unlink = Unlink { active: &active, provider, password: Password::typed(password), network };
        let unlinked = self.accounts.identity.unlink_provider(unlink, &cause).await;
        // Sessions of this process may have ended.
        self.accounts.clear();
        unlinked.map(drop).map_err(factor_problem)
    }
}
