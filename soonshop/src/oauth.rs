//! The authorization server for the shop's own clients (OAuth 2.0): its endpoints for programs, the clients at the command
//! line, and what the consent page asks for. What a client is, and what it gets, is decided in the crate `identity`;
//! `docs/adr/0018-clients-codes-and-consents.md` says why.

mod authenticate;
pub mod command_line;
mod described;
mod fields;
mod metadata;
mod own_tokens;
mod port;
mod redirects;
mod refusal;
mod state;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use soonshop_service_kit::access::Access;
use soonshop_service_kit::rates::{Class, counted_as};

use crate::accounts::Accounts;
use crate::accounts::body::never_stored;

pub(crate) use described::openapi;
pub(crate) use port::ClientsOfAccounts;

use state::OAuthState;

/// The endpoints. `issuer`: the public address of the shop, if it was told.
pub(crate) fn router(accounts: Accounts, access: Access, issuer: Option<Arc<str>>) -> Router {
    let state = Arc::new(OAuthState { accounts, access, issuer });
    let endpoints = Router::new()
        .route("/oauth/token", post(token::token))
        .route("/oauth/revoke", post(own_tokens::revoke))
        .route("/oauth/introspect", post(own_tokens::introspect))
        .layer(from_fn(never_stored))
        .with_state(Arc::clone(&state));
    let metadata = Router::new().route(metadata::PATH, get(metadata::metadata)).with_state(state);
    endpoints.merge(counted_as(metadata, Class::Reads))
}
