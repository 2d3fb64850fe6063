//! Clients and consents for the pages.

use std::sync::Arc;

use async_trait::async_trait;
use soonshop_identity::{ActiveSession, Client, CodeAsked, is_challenge, narrowed};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Clients, CodeWanted, KnownClient, OwnConsent};
use uuid::Uuid;

use crate::accounts::Accounts;
use crate::accounts::problem::problem;

/// The clients, and the accounts that consent.
pub(crate) struct ClientsOfAccounts {
    accounts: Accounts,
    issuer: Option<Arc<str>>,
}

impl ClientsOfAccounts {
    pub(crate) fn new(accounts: Accounts, issuer: Option<Arc<str>>) -> Self {
        Self { accounts, issuer }
    }
}

fn stored(client: &KnownClient) -> Client {
    let KnownClient { id, name, public, redirects, scope } = client.clone();
    Client { id, name, public, redirects, scope }
}

fn asked<'a>(active: &'a ActiveSession, client: &'a Client, wanted: CodeWanted<'a>) -> CodeAsked<'a> {
    let CodeWanted { redirect, challenge, scope, .. } = wanted;
    CodeAsked { active, client, redirect, challenge, scope }
}

#[async_trait]
impl Clients for ClientsOfAccounts {
    fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    async fn client(&self, id: &str) -> Result<Option<KnownClient>, Problem> {
        let found = self.accounts.identity.client(id).await.map_err(problem)?;
        Ok(found.filter(Client::acts_for_people).map(|client| {
            let Client { id, name, public, redirects, scope } = client;
            KnownClient { id, name, public, redirects, scope }
        }))
    }

    fn narrowed(&self, asked: Option<&str>, client: &KnownClient) -> Option<Vec<String>> {
        narrowed(asked, &client.scope).ok()
    }

    fn is_challenge(&self, text: &str) -> bool {
        is_challenge(text)
    }

    async fn code_by_consent(
        &self,
        session: Uuid,
        wanted: CodeWanted<'_>,
    ) -> Result<Option<String>, Problem> {
        let (active, _) = self.accounts.owner(session).await?;
        let client = stored(wanted.client);
        let code = self.accounts.identity.code_by_consent(asked(&active, &client, wanted)).await;
        code.map_err(problem)
    }

    async fn consent(&self, session: Uuid, wanted: CodeWanted<'_>) -> Result<String, Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let client = stored(wanted.client);
        self.accounts.identity.consent(asked(&active, &client, wanted), &cause).await.map_err(problem)
    }

    async fn consents(&self, session: Uuid) -> Result<Vec<OwnConsent>, Problem> {
        let (active, _) = self.accounts.owner(session).await?;
        let all = self.accounts.identity.consents(active.account).await.map_err(problem)?;
        let own = all.into_iter().map(|one| OwnConsent {
            client: one.client,
            name: one.name,
            scope: one.scope,
            given_at: one.given_at,
        });
        Ok(own.collect())
    }

    async fn withdraw(&self, session: Uuid, client: Uuid) -> Result<(), Problem> {
        let (active, cause) = self.accounts.owner(session).await?;
        let withdrawn = self.accounts.identity.withdraw_consent(active.account, client, &cause).await;
        self.accounts.clear();
        withdrawn.map(drop).map_err(problem)
    }
}
