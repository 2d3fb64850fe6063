//! People who sign in with an account, and the port that knows their sessions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::factor::Factor;
use super::more_roles::MoreRoles;
use super::role::Role;
use super::scope::Scope;
use crate::Problem;

/// Somebody who is signed in, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The id of the account, which is that of the user.
    pub account: Uuid,
    pub session: Uuid,
    /// The role of staff, of several the first; `None`: a customer.
    pub role: Option<Role>,
    pub more: MoreRoles,
    /// The latest end of the session.
    pub expires_at: DateTime<Utc>,
    /// What the session gave beside a password.
    pub factor: Factor,
    /// What a client of OAuth that acts for them may; `None`: they act themselves.
    pub by_client: Option<Scope>,
}

/// A client of OAuth that acts for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActingClient {
    pub id: Uuid,
    pub scope: Scope,
}

/// Who holds an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bearer {
    Person(SignedIn),
    Client(ActingClient),
}

/// A session that began in a browser.
#[derive(Debug)]
pub struct Begun {
    pub person: SignedIn,
    /// The secret of its cookie.
    pub secret: [u8; 32],
    /// The token by which this browser is known from now on.
    pub device: Option<String>,
}

/// A buyer without an account, who is known by a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownGuest {
    /// The data subject.
    pub id: Uuid,
    /// The id of the command that the guest began with.
    pub first_command: Uuid,
}

/// What a sign-in came to.
#[derive(Debug)]
pub enum SignInStep {
    SignedIn(Begun),
    /// The password was right, and a second factor is asked for: the token that goes on.
    SecondFactor(String),
}

/// A second factor that waits for its first code. Its secret is shown once.
#[derive(Debug)]
pub struct StartedFactor {
    pub id: Uuid,
    /// In base32.
    pub secret: String,
    /// The same for an app, as `otpauth://…`.
    pub uri: String,
}

/// A passkey that waits for the browser's answer.
#[derive(Debug)]
pub struct StartedPasskey {
    pub id: Uuid,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON`.
    pub options: Value,
}

/// A second factor, as its owner sees it.
#[derive(Debug)]
pub struct ListedFactor {
    pub id: Uuid,
    /// `totp` or `passkey`.
    pub kind: String,
    /// What its owner calls it.
    pub name: Option<String>,
    pub added_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
}

/// The second factors of an account.
#[derive(Debug)]
pub struct ListedFactors {
    pub factors: Vec<ListedFactor>,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
}

/// The fields of a sign-in on a page, and the network that it came from.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a> {
    pub email: &'a str,
    pub password: &'a str,
    /// The network that it comes from, as rates count it.
    pub network: &'a str,
}

/// The browser that somebody signs in with.
#[derive(Clone)]
pub struct Browser<'a> {
    /// What it says of itself.
    pub name: Option<&'a str>,
    /// The token that it got when somebody signed in with it before.
    pub device: Option<&'a str>,
    /// The tag of the language that it prefers.
    pub language: String,
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
/// It knows guests by their tokens, too.
#[async_trait]
pub trait People: Send + Sync {
    /// Whose session an access token names, or which client; `None`: it is not valid, or the session has ended.
    async fn bearer(&self, token: &str) -> Result<Option<Bearer>, Problem>;

    /// Whose session a cookie with that secret is of; `None`: none that lives.
    async fn cookie(&self, secret: &[u8; 32]) -> Result<Option<SignedIn>, Problem>;

    /// Whether the session of that cookie ended because it was not used for too long.
    async fn was_idle(&self, secret: &[u8; 32]) -> Result<bool, Problem>;

    /// Begins a session for a browser, or its second step. The same 401 for whatever is wrong.
    async fn sign_in(&self, typed: Typed<'_>, browser: Browser<'_>) -> Result<SignInStep, Problem>;

    /// Whether there can be passkeys: the shop has a public address with a name.
    fn offers_passkeys(&self) -> bool;

    /// Asks a sign-in that waits under this token for a passkey: for `PublicKeyCredential.parseRequestOptionsFromJSON`.
    async fn ask_at_sign_in(&self, token: &str) -> Result<Value, Problem>;

    /// The same of a session, for what asks for a fresh second factor.
    async fn ask_for_step_up(&self, session: Uuid) -> Result<Value, Problem>;

    /// The second step of a sign-in: with the token that it waits under, and a code, or the answer of a passkey in JSON.
    async fn second_factor(&self, token: &str, code: &str, browser: Browser<'_>) -> Result<Begun, Problem>;

    /// Takes a second factor from a session, which is then fresh: a code, or the answer of a passkey in JSON.
    async fn step_up(&self, session: Uuid, code: &str) -> Result<(), Problem>;

    /// The second factors of the account of a session.
    async fn factors(&self, session: Uuid) -> Result<ListedFactors, Problem>;

    /// Begins to add a second factor to the account of a session.
    async fn add_factor(
        &self,
        session: Uuid,
        password: &str,
        network: &str,
    ) -> Result<StartedFactor, Problem>;

    /// Proves it by its first code: the recovery codes that come with the first factor.
    async fn prove_factor(&self, session: Uuid, factor: Uuid, code: &str) -> Result<Vec<String>, Problem>;

    /// Begins to add a passkey of this name to the account of a session.
    async fn add_passkey(
        &self,
        session: Uuid,
        (name, password): (&str, &str),
        network: &str,
    ) -> Result<StartedPasskey, Problem>;

    /// Proves it by the browser's answer, in JSON: the recovery codes that come with the first factor.
    async fn prove_passkey(&self, session: Uuid, factor: Uuid, answer: &str) -> Result<Vec<String>, Problem>;

    /// Removes a second factor.
    async fn remove_factor(&self, session: Uuid, factor: Uuid) -> Result<(), Problem>;

    /// New recovery codes in the place of those before.
    async fn make_recovery_codes(&self, session: Uuid) -> Result<Vec<String>, Problem>;

    /// Ends the session of that cookie, if there is one.
    async fn sign_out(&self, secret: &[u8; 32]) -> Result<(), Problem>;

    /// The guest of a token; `None`: it is not valid. At most two seconds old.
    async fn guest(&self, token: &str) -> Result<Option<KnownGuest>, Problem>;

    /// Makes this guest, if there is none yet: the token, always the same for one guest.
    async fn begin_guest(&self, guest: KnownGuest) -> Result<Option<String>, Problem>;

    /// Whether the user of that id has an account.
    async fn has_account(&self, id: Uuid) -> Result<bool, Problem>;

    /// Whether the account of that id works for the shop.
    async fn employment(&self, id: Uuid) -> Result<Employment, Problem>;
}
