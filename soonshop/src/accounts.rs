//! Accounts of people at the edges of the shop: over HTTP, in the cookies of pages, and at the command line. What they are
//! is decided in the crate `identity`.

pub(crate) mod body;
mod cache;
pub mod command_line;
mod described;
mod factors;
mod http;
mod idle;
mod mailed;
mod own;
mod own_data;
pub mod own_roles;
mod passkeys;
pub(crate) mod people;
pub(crate) mod problem;
mod providers;
mod request;
pub(crate) mod roles;
mod settings;
mod typed;

pub(crate) use described::openapi;
pub(crate) use http::router;
pub use idle::SessionSettings;
pub(crate) use own::OwnAccounts;
pub(crate) use passkeys::relying_party;
pub(crate) use people::Accounts;
pub use providers::ProviderOptions;
pub(crate) use providers::Service as Providers;
pub use settings::FactorSettings;
