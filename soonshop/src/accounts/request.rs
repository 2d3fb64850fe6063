//! What the endpoints under `/auth` have in common: their state, who asks, and the answer with tokens.

use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use soonshop_identity::{ActiveSession, Cause, Credentials, SignInDevice, StartedSession};
use soonshop_service_kit::access::Access;
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::{Problem, grammar};
use soonshop_texts::Language;
use utoipa::ToSchema;

use super::own::OwnAccounts;
use super::people::{Accounts, in_session};

/// What the endpoints share.
pub(super) struct AuthState {
    pub(super) accounts: Accounts,
    pub(super) own: OwnAccounts,
    pub(super) access: Access,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct Tokens {
    /// For `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// For how many seconds the access token is valid.
    #[schema(example = 600)]
    expires_in: i64,
    /// For `POST /auth/refresh`, once.
    refresh_token: String,
    /// After a sign-in: by this the device is known at the next one. It opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ssd_…")]
    device_token: Option<String>,
}

pub(super) fn tokens(started: StartedSession) -> Result<Response, Problem> {
    match started.credentials {
        Credentials::Tokens { access, refresh } => Ok(Json(Tokens {
            access_token: access,
            token_type: "Bearer",
            expires_in: started.expires_in,
            refresh_token: refresh,
            device_token: started.device_token,
        })
        .into_response()),
        Credentials::Cookie(_) => Err(Problem::internal("a session of a program began with a cookie")),
    }
}

/// The device that a program signs in on, with the token that it sent.
pub(super) fn device<'a>(headers: &'a HeaderMap, token: Option<&'a str>) -> SignInDevice<'a> {
    let name = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    SignInDevice { name, token, language: language(headers).tag() }
}

/// The language that a client prefers.
pub(super) fn language(headers: &HeaderMap) -> Language {
    grammar::languages(headers).first().map_or(Language::English, |tag| Language::of(tag))
}

/// Who is signed in with an access token, and their session.
pub(super) async fn signed_in(
    state: &AuthState,
    headers: &HeaderMap,
    class: Class,
) -> Result<(ActiveSession, Cause), Problem> {
    in_session(&state.accounts, &state.access, headers, class).await
}
