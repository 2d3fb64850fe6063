//! `POST /oauth/token`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use soonshop_identity::{Client, Credentials, Redemption, Refresher, StartedSession, narrowed};
use utoipa::ToSchema;

use super::authenticate;
use super::fields::Fields;
use super::refusal::Refusal;
use super::state::OAuthState;
use crate::accounts::people::cause;

/// The tokens that a client gets.
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthTokens)]
pub(super) struct Tokens {
    /// For `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// For how many seconds the access token is valid.
    #[schema(example = 600)]
    expires_in: i64,
    /// For the next tokens, once. A client that acts for itself has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ssr_…")]
    refresh_token: Option<String>,
    /// What the access token may, at most.
    #[schema(example = "own read")]
    scope: String,
}

pub(super) async fn token(
    State(state): State<Arc<OAuthState>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (headers, fields) = Fields::read(request).await?;
    let client = authenticate::client(&state, &headers, &fields).await?;
    let tokens = match fields.required("grant_type")? {
        "client_credentials" => for_itself(&state, &client, &fields).await?,
        "authorization_code" => redeem(&state, &client, &fields).await?,
        "refresh_token" => refresh(&state, &client, &fields).await?,
        _ => {
            let known = "grant_type is authorization_code, refresh_token or client_credentials";
            return Err(Refusal::new("unsupported_grant_type", known));
        }
    };
    Ok(Json(tokens).into_response())
}

async fn for_itself(state: &OAuthState, client: &Client, fields: &Fields) -> Result<Tokens, Refusal> {
    if client.acts_for_people() {
        let why = "this client acts for people: register another one that acts for itself";
        return Err(Refusal::new("unauthorized_client", why));
    }
    let scope = narrowed(fields.get("scope"), &client.scope)?;
    let (access_token, expires_in) = state.accounts.identity.token_of_client(client.id, &scope).await?;
    let scope = scope.join(" ");
    Ok(Tokens { access_token, token_type: "Bearer", expires_in, refresh_token: None, scope })
}

/// 400 for a client that acts for itself.
fn for_people(client: &Client) -> Result<(), Refusal> {
    if client.acts_for_people() {
        return Ok(());
    }
    let why = "this client acts for itself: register another one that acts for people";
    Err(Refusal::new("unauthorized_client", why))
}

async fn redeem(state: &OAuthState, client: &Client, fields: &Fields) -> Result<Tokens, Refusal> {
    for_people(client)?;
    let sent = Redemption {
        client,
        code: fields.required("code")?,
        redirect: fields.required("redirect_uri")?,
        // Without one it is as wrong as with another one.
        verifier: fields.get("code_verifier").unwrap_or_default(),
    };
    let redeemed = state.accounts.identity.redeem(sent, &cause()).await;
    if redeemed.is_err() {
        // It may have ended the session that it began.
        state.accounts.clear();
    }
    tokens(redeemed?)
}

async fn refresh(state: &OAuthState, client: &Client, fields: &Fields) -> Result<Tokens, Refusal> {
    for_people(client)?;
    let id = client.id.to_string();
    let refresher = Refresher { client: &id, scope: fields.get("scope") };
    let sent = fields.required("refresh_token")?;
    let refreshed = state.accounts.identity.refresh_for(refresher, sent, &cause()).await;
    if refreshed.is_err() {
        // It may have ended the session.
        state.accounts.clear();
    }
    tokens(refreshed?)
}

fn tokens(started: StartedSession) -> Result<Tokens, Refusal> {
    let Credentials::Tokens { access, refresh } = started.credentials else {
        return Err(
            soonshop_service_kit::Problem::internal("a session of a client began with a cookie").into()
        );
    };
    Ok(Tokens {
        access_token: access,
        token_type: "Bearer",
        expires_in: started.expires_in,
        refresh_token: Some(refresh),
        scope: started.active.scope,
    })
}
