//! `/.well-known/oauth-authorization-server` (RFC 8414).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::clients::scopes;

use super::state::OAuthState;

pub(super) const PATH: &str = "/.well-known/oauth-authorization-server";

/// How long others may keep it.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(super) async fn metadata(State(state): State<Arc<OAuthState>>) -> Result<Response, Problem> {
    let issuer = state.issuer.as_deref().ok_or_else(|| {
        Problem::not_found(
            "not-found",
            "this shop was not told its own address: an operator sets --public-url",
        )
    })?;
    Ok(([(CACHE_CONTROL, KEPT)], Json(document(issuer))).into_response())
}

pub(super) fn document(issuer: &str) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let confidential = ["client_secret_basic", "client_secret_post"];
    let all = ["client_secret_basic", "client_secret_post", "none"];
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "token_endpoint_auth_methods_supported": all,
        "revocation_endpoint": at("/oauth/revoke"),
        "revocation_endpoint_auth_methods_supported": all,
        "introspection_endpoint": at("/oauth/introspect"),
        "introspection_endpoint_auth_methods_supported": confidential,
        "jwks_uri": at("/.well-known/jwks.json"),
        "scopes_supported": scopes(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "service_documentation": at("/documentation/api"),
    })
}
