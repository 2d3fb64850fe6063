//! The endpoints under `/auth`, and the public keys of access tokens.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use soonshop_domain::identity::session::EndedBy;
use soonshop_identity::{CredentialKind, Error, Password, SignIn};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Access, PasswordWanted, SelfService as _};
use soonshop_service_kit::rates::{Class, Who, count, counted_as};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{never_stored, read};
use super::factors;
use super::mailed;
use super::own::OwnAccounts;
use super::passkeys;
use super::people::cause;
use super::problem::problem;
use super::request::{AuthState, device, signed_in, tokens};

/// How long others may keep the public keys: a new one is published for longer before it signs.
const KEYS_KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The largest text that is taken for an address or a token.
const LONGEST: usize = 2_048;

/// The endpoints.
pub(crate) fn router(own: OwnAccounts, access: Access) -> Router {
    let state = Arc::new(AuthState { accounts: own.accounts.clone(), own, access });
    let auth = Router::new()
        .route("/auth/login", post(login))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(logout))
        .route("/auth/logout-everywhere", post(logout_everywhere))
        .route("/auth/sessions", get(sessions))
        .route("/auth/sessions/{id}", delete(end_session))
        .route("/auth/password", post(password))
        .merge(factors::router())
        .merge(passkeys::router())
        .merge(mailed::router())
        .layer(from_fn(never_stored));
    let keys = Router::new().route("/.well-known/jwks.json", get(jwks)).with_state(Arc::clone(&state));
    auth.with_state(state).merge(counted_as(keys, Class::Reads))
}

/// The body of a sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub(super) struct Login {
    #[schema(example = "ada@example.org")]
    email: String,
    password: String,
    /// As it came with the last sign-in on this device.
    #[schema(example = "ssd_…")]
    device_token: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refresh)]
pub(super) struct Refresh {
    /// As it came with the last sign-in or refresh. It is used once.
    refresh_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordChange)]
pub(super) struct PasswordChange {
    old_password: String,
    /// 8 to 128 characters of any kind.
    #[schema(min_length = 8, max_length = 128)]
    new_password: String,
}

/// A session that may be used.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct Session {
    id: Uuid,
    /// `soonshop`: the shop itself. Otherwise the id of a client of OAuth.
    client: String,
    /// Of a client of OAuth.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    /// What the device said of itself when it signed in.
    #[schema(required)]
    device: Option<String>,
    began_at: DateTime<Utc>,
    /// The last sign-in or refresh.
    used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// It is the one that asks.
    current: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Sessions)]
pub(super) struct Sessions {
    items: Vec<Session>,
}

async fn login(State(state): State<Arc<AuthState>>, request: Request) -> Result<Response, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (headers, network, body) = read::<Login>(request, "email, password, and device_token").await?;
    if body.email.len() > LONGEST {
        return Err(Problem::invalid("invalid-body", "the address is too long").with_pointer("/email"));
    }
    let asked = SignIn {
        address: &body.email,
        password: Password::typed(&body.password),
        network: &network,
        device: device(&headers, body.device_token.as_deref()),
        kind: CredentialKind::Tokens,
    };
    match state.accounts.identity.sign_in(asked, &cause()).await {
        Err(Error::SecondFactor(pending)) => Ok(factors::waits(pending)),
        outcome => tokens(outcome.map_err(problem)?),
    }
}

async fn refresh(State(state): State<Arc<AuthState>>, request: Request) -> Result<Response, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, _, body) = read::<Refresh>(request, "refresh_token").await?;
    let refreshed = state.accounts.identity.refresh(&body.refresh_token, &cause()).await;
    if refreshed.is_err() {
        // It may have ended the session.
        state.accounts.clear();
    }
    tokens(refreshed.map_err(problem)?)
}

async fn logout(State(state): State<Arc<AuthState>>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    let (active, cause) = signed_in(&state, &headers, Class::Writes).await?;
    let identity = &state.accounts.identity;
    let ended = identity.end_session(active.account, active.session, EndedBy::SignedOut, &cause).await;
    state.accounts.clear();
    ended.map(|_| StatusCode::NO_CONTENT).map_err(problem)
}

async fn logout_everywhere(
    State(state): State<Arc<AuthState>>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (active, cause) = signed_in(&state, &headers, Class::Writes).await?;
    let ended = state.accounts.identity.end_all_sessions(active.account, &cause).await;
    state.accounts.clear();
    ended.map(|()| StatusCode::NO_CONTENT).map_err(problem)
}

async fn sessions(
    State(state): State<Arc<AuthState>>,
    headers: HeaderMap,
) -> Result<Json<Sessions>, Problem> {
    let (active, _) = signed_in(&state, &headers, Class::Reads).await?;
    let items = state.own.sessions(active.session).await?.into_iter().map(|one| Session {
        id: one.id,
        client: one.client,
        client_name: one.client_name,
        device: one.device,
        began_at: one.began_at,
        used_at: one.used_at,
        expires_at: one.expires_at,
        current: one.current,
    });
    Ok(Json(Sessions { items: items.collect() }))
}

async fn end_session(
    State(state): State<Arc<AuthState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (active, _) = signed_in(&state, &headers, Class::Writes).await?;
    let id = Uuid::try_parse(&id).map_err(|_| {
        Problem::malformed("invalid-id", "the id in the path is not a UUID").with("parameter", "id")
    })?;
    state.own.end_session(active.session, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn password(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    count(Class::SignIns, Who::Guest).await?;
    let (_, network, body) = read::<PasswordChange>(request, "old_password, new_password").await?;
    let wanted = PasswordWanted { old: &body.old_password, new: &body.new_password, network: &network };
    state.own.change_password(active.session, wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn jwks(State(state): State<Arc<AuthState>>) -> Result<Response, Problem> {
    let keys = state.accounts.identity.jwks().await.map_err(problem)?;
    let body = Json(serde_json::json!({ "keys": keys }));
    Ok(([(CACHE_CONTROL, KEYS_KEPT)], body).into_response())
}
