//! Accounts of people: passwords, sessions, refresh tokens, access tokens, and the keys that sign them.
//!
//! Sign-ins are decided here, by the tables of the namespace `identity`, which hold hashes and sealed values only.
//! What an auditor wants to know of it are facts, which go into the log through an [outbox]. Nothing here knows
//! HTTP. Start reading at [`Identity`], then [`sign_in`] and [`sessions`]; the decisions are in
//! `docs/adr/0017-accounts-sessions-and-tokens.md`.

pub mod access_token;
pub mod accounts;
mod authorization_code;
mod authorizing;
mod beginning;
mod breached;
pub mod cause;
pub mod changes;
mod claiming;
mod clients;
mod codes;
mod delays;
mod devices;
mod error;
mod factors;
mod facts;
mod gate;
mod grant_scope;
mod guess;
mod guesses;
mod guests;
mod keyring;
mod links;
pub mod mails;
pub mod outbox;
mod own_roles;
pub mod passwords;
mod pending;
mod pending_token;
pub mod readdressing;
mod redeeming;
mod refresh_token;
mod refreshing;
pub mod registering;
pub mod requests;
mod resetting;
mod roles;
pub mod rotation;
mod rule;
mod sealed;
pub mod sessions;
pub mod sign_in;
mod signing;
mod store;
mod stored;
mod token_bytes;
mod tokens_of_clients;
pub mod totp;
mod unusual;
mod upkeep;

pub use access_token::{Claims, Holder};
pub use accounts::{Listed, Opening};
pub use authorization_code::is_challenge;
pub use authorizing::{CodeAsked, Consent};
pub use cause::Cause;
pub use changes::NewPassword;
pub use claiming::{ClaimAsked, ClaimLink};
pub use clients::{Client, ListedClient, NewClient};
pub use devices::SignInDevice;
pub use error::Error;
pub use factors::{ListedFactor, ListedFactors, NewFactor, StartedFactor};
pub use grant_scope::narrowed;
pub use guests::Guest;
pub use links::Purpose;
pub use mails::{Mail, MailKind, Unsent};
pub use own_roles::{DefinedRole, MOST_ROLES, RoleRemoval};
pub use passwords::{Cost, Password, generate};
pub use pending::SecondStep;
pub use pending_token::PendingSignIn;
pub use readdressing::{AddressAsked, AddressChange};
pub use redeeming::Redemption;
pub use refreshing::Refresher;
pub use registering::{Given, Proven};
pub use requests::{Asked, Undecided};
pub use roles::{CUSTOMER, Roles};
pub use rule::BadPassword;
pub use sessions::{ActiveSession, CredentialKind, Credentials, FactorGiven, ListedSession, StartedSession};
pub use sign_in::SignIn;
pub use store::Identity;
pub use tokens_of_clients::{Revoked, TokenState};
pub use unusual::Unaddressed;
