//! The endpoints of second factors: the second step of a sign-in, step-up, and the factors of an account.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soonshop_identity::{CredentialKind, PendingSignIn, SecondStep};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::People as _;
use soonshop_service_kit::rates::{Class, Who, count};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::read;
use super::people::cause;
use super::problem::problem;
use super::request::{AuthState, device, signed_in, tokens};
use super::typed::given;

/// What a sign-in with a password goes on with.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingSignIn)]
pub(super) struct Pending {
    /// For `POST /auth/second-factor`, and nothing else.
    pending_token: String,
    /// For how many seconds it is valid.
    #[schema(example = 300)]
    expires_in: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecondStep, example = json!({ "pending_token": "ssp_…", "passkey": {
        "id": "q83vASNFZ4mrze8BI0VniQ", "rawId": "q83vASNFZ4mrze8BI0VniQ", "type": "public-key", "clientExtensionResults": {},
        "response": {
            "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0Iiwi…", "authenticatorData": "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2M…",
            "signature": "MEUCIQDX…"
        }
    } }))]
pub(super) struct Second {
    /// As `POST /auth/login` gave it.
    pending_token: String,
    /// The six digits that the app shows, or a recovery code; or else `passkey`.
    #[schema(example = "123456")]
    code: Option<String>,
    /// What the browser answered `POST /auth/second-factor/options`, as `PublicKeyCredential.toJSON()` gives it.
    #[schema(value_type = Option<Object>)]
    passkey: Option<Value>,
    /// As it came with the last sign-in on this device.
    #[schema(example = "ssd_…")]
    device_token: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Code)]
pub(super) struct Code {
    /// The six digits that the app shows.
    #[schema(example = "123456")]
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StepUp, example = json!({ "passkey": {
        "id": "q83vASNFZ4mrze8BI0VniQ", "rawId": "q83vASNFZ4mrze8BI0VniQ", "type": "public-key", "clientExtensionResults": {},
        "response": {
            "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0Iiwi…", "authenticatorData": "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2M…",
            "signature": "MEUCIQDX…"
        }
    } }))]
pub(super) struct StepUp {
    /// The six digits that the app shows, or a recovery code; or else `passkey`.
    #[schema(example = "123456")]
    code: Option<String>,
    /// What the browser answered `POST /auth/step-up/options`, as `PublicKeyCredential.toJSON()` gives it.
    #[schema(value_type = Option<Object>)]
    passkey: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSecondFactor)]
pub(super) struct NewFactor {
    /// That of the account, once more.
    password: String,
}

/// A second factor that waits for its first code.
#[derive(Serialize, ToSchema)]
#[schema(as = StartedSecondFactor)]
pub(super) struct Started {
    id: Uuid,
    /// In base32. It is shown this once.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// The same for an app.
    uri: String,
}

/// A second factor.
#[derive(Serialize, ToSchema)]
#[schema(as = SecondFactor)]
pub(super) struct Factor {
    id: Uuid,
    /// `totp`: codes of an app; `passkey`.
    #[schema(example = "totp")]
    kind: String,
    /// Of a passkey: what its owner calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Laptop")]
    name: Option<String>,
    added_at: DateTime<Utc>,
    #[schema(required)]
    used_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SecondFactors)]
pub(super) struct Factors {
    items: Vec<Factor>,
    /// How many recovery codes are left.
    recovery_codes: i64,
}

/// Codes that stand in for a second factor, each once.
#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodes)]
pub(super) struct RecoveryCodes {
    /// They are shown this once. Empty where the account has some already.
    pub(super) recovery_codes: Vec<String>,
}

/// The endpoints.
pub(super) fn router() -> Router<Arc<AuthState>> {
    Router::new()
        .route("/auth/second-factor", post(second_factor))
        .route("/auth/step-up", post(step_up))
        .route("/auth/factors", get(factors).post(add))
        .route("/auth/factors/{id}", delete(remove))
        .route("/auth/factors/{id}/proof", post(prove))
        .route("/auth/recovery-codes", post(recovery_codes))
}

/// `202`: a second factor is asked for.
pub(super) fn waits(pending: PendingSignIn) -> Response {
    let body = Pending { pending_token: pending.token, expires_in: pending.expires_in };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

async fn second_factor(State(state): State<Arc<AuthState>>, request: Request) -> Result<Response, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (headers, _, body) =
        read::<Second>(request, "pending_token, code or passkey, and device_token").await?;
    let code = given(body.code, body.passkey)?;
    let step = SecondStep {
        token: &body.pending_token,
        code: &code,
        device: device(&headers, body.device_token.as_deref()),
        kind: CredentialKind::Tokens,
    };
    tokens(state.accounts.identity.second_factor(step, &cause()).await.map_err(problem)?)
}

async fn step_up(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    let (_, _, body) = read::<StepUp>(request, "code or passkey").await?;
    state.accounts.step_up(active.session, &given(body.code, body.passkey)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn factors(State(state): State<Arc<AuthState>>, headers: HeaderMap) -> Result<Json<Factors>, Problem> {
    let (active, _) = signed_in(&state, &headers, Class::Reads).await?;
    let listed = state.accounts.factors(active.session).await?;
    let items = listed.factors.into_iter().map(|one| Factor {
        id: one.id,
        kind: one.kind,
        name: one.name,
        added_at: one.added_at,
        used_at: one.used_at,
    });
    Ok(Json(Factors { items: items.collect(), recovery_codes: listed.recovery_codes }))
}

async fn add(State(state): State<Arc<AuthState>>, request: Request) -> Result<Json<Started>, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    count(Class::SignIns, Who::Guest).await?;
    let (_, network, body) = read::<NewFactor>(request, "password").await?;
    let started = state.accounts.add_factor(active.session, &body.password, &network).await?;
    Ok(Json(Started { id: started.id, secret: started.secret, uri: started.uri }))
}

async fn prove(
    State(state): State<Arc<AuthState>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<RecoveryCodes>, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    let id = in_path(&id)?;
    let (_, _, body) = read::<Code>(request, "code").await?;
    let recovery_codes = state.accounts.prove_factor(active.session, id, &body.code).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

async fn remove(
    State(state): State<Arc<AuthState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (active, _) = signed_in(&state, &headers, Class::Writes).await?;
    state.accounts.remove_factor(active.session, in_path(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn recovery_codes(
    State(state): State<Arc<AuthState>>,
    headers: HeaderMap,
) -> Result<Json<RecoveryCodes>, Problem> {
    let (active, _) = signed_in(&state, &headers, Class::Writes).await?;
    let recovery_codes = state.accounts.make_recovery_codes(active.session).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

pub(super) fn in_path(id: &str) -> Result<Uuid, Problem> {
    let malformed =
        |_| Problem::malformed("invalid-id", "the id in the path is not a UUID").with("parameter", "id");
    Uuid::try_parse(id).map_err(malformed)
}
