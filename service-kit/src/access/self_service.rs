//! What people do with their own accounts, and the port that does it: for the endpoints under `/auth` and for the pages.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use soonshop_domain::user::consent::Wording;
use uuid::Uuid;

use super::own_data::OwnData;
use crate::Problem;

/// What somebody asks for with nothing but an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailAsked {
    /// To open an account.
    Register,
    /// To set another password.
    Reset,
}

/// A link that changes the address of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressLink {
    /// To take the new one.
    Confirm,
    /// To take the old one back.
    Undo,
}

/// What a link that was used came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkUsed {
    /// It is done.
    Done,
    /// It will be: a worker goes on with it.
    Later,
}

/// What opens an account.
#[derive(Debug, Clone, Copy)]
pub struct NewAccount<'a> {
    /// The token in the mail's link.
    pub link: &'a str,
    pub name: Option<&'a str>,
    pub password: &'a str,
    /// The words of a consent to advertising by e-mail; `None`: it is not given.
    pub advertising: Option<&'a Wording>,
    /// The network that it comes from, as rates count it.
    pub network: &'a str,
}

/// Another address for an account.
#[derive(Debug, Clone, Copy)]
pub struct AddressWanted<'a> {
    pub email: &'a str,
    /// The account's.
    pub password: &'a str,
    /// Of the mails, as a tag.
    pub language: &'static str,
    pub network: &'a str,
}

/// Another password in the place of the one before.
#[derive(Debug, Clone, Copy)]
pub struct PasswordWanted<'a> {
    pub old: &'a str,
    pub new: &'a str,
    pub network: &'a str,
}

/// The order of a guest that a customer wants to claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimWanted<'a> {
    pub order: Uuid,
    /// Of the mail, as a tag.
    pub language: &'static str,
    pub network: &'a str,
}

/// A session that may be used, as its owner sees it.
#[derive(Debug, Clone)]
pub struct OwnSession {
    pub id: Uuid,
    pub client: String,
    /// The name of a client of OAuth.
    pub client_name: Option<String>,
    /// What the device said of itself.
    pub device: Option<String>,
    pub began_at: DateTime<Utc>,
    /// The last sign-in or refresh.
    pub used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// It is the one that asks.
    pub current: bool,
}

/// What the shop knows of somebody who has an account.
#[derive(Debug, Clone, Default)]
pub struct OwnProfile {
    pub name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
}

/// What people do with their own accounts. `session` is that of the one who asks.
#[async_trait]
pub trait SelfService: OwnData {
    /// Writes down that a mail is asked for, in that language. The same for every address.
    async fn ask_mail(
        &self,
        what: MailAsked,
        email: &str,
        language: &'static str,
        network: &str,
    ) -> Result<(), Problem>;

    /// Opens an account with the link of its mail.
    async fn register(&self, new: NewAccount<'_>) -> Result<LinkUsed, Problem>;

    /// Sets another password with the link of its mail. Nobody is signed in by it.
    async fn reset(&self, link: &str, password: &str, network: &str) -> Result<(), Problem>;

    /// Changes the address of an account with the link of its mail.
    async fn use_address_link(&self, link: &str, which: AddressLink) -> Result<LinkUsed, Problem>;

    /// Asks for the mail to a new address.
    async fn ask_address(&self, session: Uuid, wanted: AddressWanted<'_>) -> Result<(), Problem>;

    /// Changes the password. All other sessions end.
    async fn change_password(&self, session: Uuid, wanted: PasswordWanted<'_>) -> Result<(), Problem>;

    /// Asks for the mail with the link that claims the order of a guest. 422 for every order that was not placed with the
    /// account's address, or that is no guest's any more.
    async fn ask_claim(&self, session: Uuid, wanted: ClaimWanted<'_>) -> Result<(), Problem>;

    /// Claims an order with the link of its mail.
    async fn claim(&self, session: Uuid, link: &str) -> Result<(), Problem>;

    /// The sessions that may be used.
    async fn sessions(&self, session: Uuid) -> Result<Vec<OwnSession>, Problem>;

    /// Ends one of them. 404 for any other.
    async fn end_session(&self, session: Uuid, id: Uuid) -> Result<(), Problem>;

    /// Ends all of them but the one that asks.
    async fn end_other_sessions(&self, session: Uuid) -> Result<(), Problem>;

    /// What is known of the owner.
    async fn profile(&self, session: Uuid) -> Result<OwnProfile, Problem>;
}
