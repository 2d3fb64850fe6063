//! Signing in with providers of identities (OpenID Connect): `docs/adr/0019-sign-in-with-providers.md`. What a sign-in
//! there means here is decided in the crate `identity`.

mod client;
mod fault;
mod kept;
mod remote;
mod service;
mod settings;

pub(crate) use service::Service;
pub use settings::ProviderOptions;
