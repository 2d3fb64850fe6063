//! What people keep with the shop beside their account, and the port that changes it: details, address book, consents.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use soonshop_domain::user::address::Typed;
use soonshop_domain::user::consent::{Medium, Via, Wording};
use uuid::Uuid;

use crate::Problem;

/// Details that their owner types. `None`: none from now on.
#[derive(Debug, Clone, Copy)]
pub struct DetailsWanted<'a> {
    pub name: Option<&'a str>,
    pub phone: Option<&'a str>,
}

/// An address of somebody's own, in clear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddress {
    pub id: Uuid,
    pub label: Option<String>,
    pub name: Option<String>,
    pub street: Option<String>,
    pub postal_code: Option<String>,
    pub city: Option<String>,
    pub region: Option<String>,
    pub country: String,
    pub phone: Option<String>,
    pub default_shipping: bool,
    pub default_billing: bool,
}

/// An address that its owner types.
#[derive(Debug, Clone, Copy)]
pub struct AddressTyped<'a> {
    pub typed: Typed<'a>,
    pub default_shipping: bool,
    pub default_billing: bool,
}

/// A consent that was given or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentChange {
    pub medium: Medium,
    /// `None`: it was withdrawn.
    pub given: Option<Wording>,
    pub via: Via,
    pub at: DateTime<Utc>,
}

/// What somebody agreed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnConsents {
    /// The media that they agreed to.
    pub given: Vec<Medium>,
    /// The newest first.
    pub history: Vec<ConsentChange>,
}

/// What people do with their own data. `session` is that of the one who asks.
#[async_trait]
pub trait OwnData: Send + Sync {
    /// Changes name and telephone number; the other details stay.
    async fn change_details(&self, session: Uuid, wanted: DetailsWanted<'_>) -> Result<(), Problem>;

    /// The address book, the oldest first.
    async fn addresses(&self, session: Uuid) -> Result<Vec<OwnAddress>, Problem>;

    /// Adds an address. The same `form` adds it once.
    async fn add_address(&self, session: Uuid, form: Uuid, wanted: AddressTyped<'_>) -> Result<(), Problem>;

    /// Changes an address. 404 where there is none of this id.
    async fn change_address(&self, session: Uuid, id: Uuid, wanted: AddressTyped<'_>) -> Result<(), Problem>;

    /// Removes an address. One that is not there is what was asked for.
    async fn remove_address(&self, session: Uuid, id: Uuid) -> Result<(), Problem>;

    /// What they agreed to, and when.
    async fn consents(&self, session: Uuid) -> Result<OwnConsents, Problem>;

    /// Agrees in these words, or withdraws.
    async fn set_consent(&self, session: Uuid, medium: Medium, words: Option<Wording>)
    -> Result<(), Problem>;
}
