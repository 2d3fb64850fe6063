//! Refusals as RFC 6749, 5.2 has them. They hold nothing that was sent.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use soonshop_identity::Error;
use soonshop_service_kit::Problem;
use soonshop_service_kit::problem::Kind;
use utoipa::ToSchema;

use crate::accounts::problem::problem;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<u64>,
}

/// The JSON of a refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthError)]
pub(super) struct Body {
    /// A code of RFC 6749, 5.2.
    #[schema(example = "invalid_grant")]
    error: &'static str,
    error_description: String,
}

impl Refusal {
    pub(super) fn new(error: &'static str, description: &str) -> Self {
        let description = description.to_owned();
        Self { status: StatusCode::BAD_REQUEST, error, description, retry_after: None }
    }

    pub(super) fn request(description: &str) -> Self {
        Self::new("invalid_request", description)
    }

    /// The same for whatever is wrong with a client.
    pub(super) fn client() -> Self {
        let description = "the client is unknown or was removed, or what it proves itself with is wrong";
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Client => Self::client(),
            Error::Grant => Self::new(
                "invalid_grant",
                "the code was used, has expired, is another client's, or does not fit redirect_uri or code_verifier",
            ),
            Error::Token | Error::Idle => Self::new(
                "invalid_grant",
                "the refresh token was used before, has expired or was revoked, or is another client's",
            ),
            Error::Scope => Self::new("invalid_scope", "the scope is wider than what there is to give"),
            other => problem(other).into(),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let (status, error) = match problem.kind() {
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            Kind::TooMany | Kind::Unavailable => (problem.status(), "temporarily_unavailable"),
            Kind::Internal => (problem.status(), "server_error"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        };
        let retry_after = problem.retry_after_seconds();
        Self { status, error, description: problem.detail().replace(['"', '\\'], "'"), retry_after }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Body { error: self.error, error_description: self.description };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"soonshop\""));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
