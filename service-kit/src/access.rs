//! Callers, and what they may do. One table, [`Permission::holders`], holds the rule for every endpoint and field.
//!
//! A caller sends an API key, the access token of an account, the operator's token, or nothing. This module does not know
//! where keys and accounts are stored: the process passes in a [`Keys`] and a [`People`]. A look-up is cached for [`REMEMBERED`], so a revoked key stops working that much later
//! in every process at the latest.

pub mod caller;
pub mod clients;
mod details;
pub mod factor;
#[cfg(test)]
mod guessing;
pub mod key;
pub mod keys;
mod more_roles;
pub mod own_data;
pub mod owner;
pub mod people;
pub mod personal_access;
mod personal_fields;
pub mod providers;
pub mod role;
pub mod scope;
pub mod self_service;
pub mod session;
pub mod step_up;

pub use caller::{Access, Caller, REMEMBERED};
pub use clients::{Clients, CodeWanted, KnownClient, OwnConsent};
pub use factor::{Factor, RefundLimit};
pub use key::ApiKey;
pub use keys::{Keys, Secret, StoredKey, StoredSession, Unavailable};
pub use more_roles::MoreRoles;
pub use own_data::{AddressTyped, ConsentChange, DetailsWanted, OwnAddress, OwnConsents, OwnData};
pub use owner::Owner;
pub use people::{
    ActingClient, Bearer, Begun, Browser, Employment, KnownGuest, ListedFactor, ListedFactors, People,
    SignInStep, SignedIn, StartedFactor, StartedPasskey, Typed,
};
pub use providers::{Leaving, OfferedProvider, OwnProvider, ProviderAnswer, Providers, Returned};
pub use role::{Permission, Role};
pub use scope::{Networks, Scope};
pub use self_service::{
    AddressLink, AddressWanted, ClaimWanted, LinkUsed, MailAsked, NewAccount, OwnProfile, OwnSession,
    PasswordWanted, SelfService,
};
pub use session::Visitor;
