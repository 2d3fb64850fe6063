//! What a client may do with its own tokens: revoke them (RFC 7009), and ask what they are (RFC 7662).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use soonshop_identity::{Revoked, TokenState};
use utoipa::ToSchema;
use uuid::Uuid;

use super::authenticate;
use super::fields::Fields;
use super::refusal::Refusal;
use super::state::OAuthState;
use crate::accounts::people::cause;

pub(super) async fn revoke(
    State(state): State<Arc<OAuthState>>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let (headers, fields) = Fields::read(request).await?;
    let client = authenticate::client(&state, &headers, &fields).await?;
    // A hint is no more than that: each token says by its form what it is.
    let revoked = state.accounts.identity.revoke(&client, fields.required("token")?, &cause()).await;
    state.accounts.clear();
    match revoked? {
        Revoked::Ended | Revoked::Nothing => Ok(StatusCode::OK),
        Revoked::NotAlone => Err(Refusal::new(
            "unsupported_token_type",
            "a token of a client that acts for itself ends with the client: an operator removes it",
        )),
    }
}

/// What there is to know of a token.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Introspection)]
pub(super) struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "own read")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Uuid>,
    /// `Bearer` of an access token, `refresh_token` of the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// The account, or the client that acts for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Uuid>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

pub(super) async fn introspect(
    State(state): State<Arc<OAuthState>>,
    request: Request,
) -> Result<Json<Introspection>, Refusal> {
    let (headers, fields) = Fields::read(request).await?;
    let client = authenticate::client(&state, &headers, &fields).await?;
    if client.public {
        return Err(Refusal::client());
    }
    let found = state.accounts.identity.introspect(&client, fields.required("token")?).await?;
    let Some(TokenState { is_access, subject, scope, issued_at, expires_at }) = found else {
        return Ok(Json(Introspection::default()));
    };
    Ok(Json(Introspection {
        active: true,
        scope: Some(scope),
        client_id: Some(client.id),
        token_type: Some(if is_access { "Bearer" } else { "refresh_token" }),
        sub: Some(subject),
        iat: issued_at,
        exp: Some(expires_at),
    }))
}
