//! People who sign in with an account, and the port that knows their sessions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::role::Role;
use crate::Problem;

/// Somebody who is signed in, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The id of the account, which is that of the user.
    pub account: Uuid,
    pub session: Uuid,
    /// The role of staff; `None`: a customer.
    pub role: Option<Role>,
    /// The latest end of the session.
    pub expires_at: DateTime<Utc>,
}

/// What somebody types to sign in on a page, and where from.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a> {
    pub email: &'a str,
    pub password: &'a str,
    /// The network that it comes from, as rates count it.
    pub network: &'a str,
    /// What the browser says of itself.
    pub device: Option<&'a str>,
}

/// Whether an account works for the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Employment {
    /// It never did, or there is none.
    Never,
    /// It did, and may not sign in as staff any more.
    Once,
    /// It does.
    Now,
}

/// Where people's sessions are. Each answer is of now, or at most two seconds old for a customer.
#[async_trait]
pub trait People: Send + Sync {
    /// Whose session an access token names; `None`: it is not valid, or the session has ended.
    async fn bearer(&self, token: &str) -> Result<Option<SignedIn>, Problem>;

    /// Whose session a cookie with that secret is of; `None`: none that lives.
    async fn cookie(&self, secret: &[u8; 32]) -> Result<Option<SignedIn>, Problem>;

    /// Begins a session for a browser: its cookie's secret. The same 401 for whatever is wrong.
    async fn sign_in(&self, typed: Typed<'_>) -> Result<(SignedIn, [u8; 32]), Problem>;

    /// Ends the session of that cookie, if there is one.
    async fn sign_out(&self, secret: &[u8; 32]) -> Result<(), Problem>;

    /// Whether the account of that id works for the shop.
    async fn employment(&self, id: Uuid) -> Result<Employment, Problem>;
}
