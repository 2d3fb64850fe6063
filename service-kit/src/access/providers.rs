//! Signing in with a provider of identities, and the port that does it: for the pages.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::people::{Begun, Browser};
use crate::Problem;

/// A provider that people may sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedProvider {
    /// In addresses.
    pub name: String,
    /// As people know it.
    pub title: String,
}

/// Somebody who goes to a provider.
pub struct Leaving {
    /// The address there.
    pub to: String,
    /// The secret of the cookie by which this browser is known when it comes back.
    pub secret: [u8; 32],
}

/// What a provider sent a browser back with.
#[derive(Clone, Copy, Default)]
pub struct ProviderAnswer<'a> {
    pub code: Option<&'a str>,
    pub state: Option<&'a str>,
    /// The issuer, as the answer names it (RFC 9207).
    pub issuer: Option<&'a str>,
    pub error: Option<&'a str>,
}

/// What a sign-in at a provider came to.
pub enum Returned {
    /// A session began; the page to go on to.
    SignedIn(Box<Begun>, String),
    /// A second factor is asked for: the token that goes on, and the page after it.
    SecondFactor(String, String),
    /// The provider is linked; nobody signed in.
    Linked,
    /// The account is opened soon: a worker goes on with it.
    Later,
}

/// A provider that an account is linked to, as its owner sees it.
#[derive(Debug, Clone)]
pub struct OwnProvider {
    pub name: String,
    pub linked_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
}

/// The providers of a shop. `session` is that of the one who asks.
#[async_trait]
pub trait Providers: Send + Sync {
    /// Those that people may sign in with, in the order of the settings.
    fn offered(&self) -> Vec<OfferedProvider>;

    /// Begins a sign-in, which leads on to `next`. 404: there is no such provider.
    async fn leave(&self, provider: &str, next: &str) -> Result<Leaving, Problem>;

    /// Begins to link a provider, with the account's password.
    async fn leave_to_link(
        &self,
        session: Uuid,
        provider: &str,
        password: &str,
        network: &str,
    ) -> Result<Leaving, Problem>;

    /// Ends what one of these began. `secret` is that of the browser's cookie.
    async fn come_back(
        &self,
        provider: &str,
        secret: Option<[u8; 32]>,
        answer: ProviderAnswer<'_>,
        browser: Browser<'_>,
    ) -> Result<Returned, Problem>;

    /// Those that the account is linked to.
    async fn linked(&self, session: Uuid) -> Result<Vec<OwnProvider>, Problem>;

    /// Unlinks one, with the account's password.
    async fn unlink(
        &self,
        session: Uuid,
        provider: &str,
        password: &str,
        network: &str,
    ) -> Result<(), Problem>;
}
