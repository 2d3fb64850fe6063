//! The endpoints of passkeys. What a browser is asked and answers has the form that WebAuthn gives it in JSON.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soonshop_identity::RelyingParty;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::People as _;
use soonshop_service_kit::rates::{Class, Who, count};
use url::{Host, Url};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::read;
use super::factors::{RecoveryCodes, in_path};
use super::request::{AuthState, signed_in};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasskeyWanted)]
pub(super) struct PasskeyWanted {
    /// As `POST /auth/login` gave it.
    pending_token: String,
}

/// What to ask a passkey.
#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyOptions, example = json!({ "options": {
        "challenge": "1bE1N7d9Y0Xy6o3pW2ZQxA", "timeout": 300_000, "rpId": "shop.example",
        "allowCredentials": [{ "type": "public-key", "id": "q83vASNFZ4mrze8BI0VniQ", "transports": ["internal"] }],
        "userVerification": "preferred", "hints": [], "extensions": {}
    } }))]
pub(super) struct PasskeyOptions {
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON()`, and then `navigator.credentials.get()`. It is answered once,
    /// within five minutes.
    #[schema(value_type = Object)]
    options: Value,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPasskey)]
pub(super) struct NewPasskey {
    /// What its owner calls it.
    #[schema(example = "Laptop", min_length = 1, max_length = 60)]
    name: String,
    /// That of the account, once more.
    password: String,
}

/// A passkey that waits for the browser's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = StartedPasskey, example = json!({ "id": "01890a5d-ac96-774b-bcce-b302099a8058", "options": {
        "rp": { "name": "shop.example", "id": "shop.example" },
        "user": {
            "name": "01890a5d-ac96-774b-bcce-b302099a8057", "id": "AYkKXayWd0u8zrMCCZqAVw", "displayName": ""
        },
        "challenge": "1bE1N7d9Y0Xy6o3pW2ZQxA",
        "pubKeyCredParams": [
            { "type": "public-key", "alg": -8 }, { "type": "public-key", "alg": -7 },
            { "type": "public-key", "alg": -257 }
        ],
        "timeout": 300_000, "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "discouraged", "requireResidentKey": false, "userVerification": "preferred"
        },
        "hints": [], "attestation": "none", "attestationFormats": ["none"], "extensions": {}
    } }))]
pub(super) struct StartedPasskey {
    id: Uuid,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON()`, and then `navigator.credentials.create()`. It is answered
    /// once, within five minutes.
    #[schema(value_type = Object)]
    options: Value,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasskeyAnswer, example = json!({ "passkey": {
        "id": "q83vASNFZ4mrze8BI0VniQ", "rawId": "q83vASNFZ4mrze8BI0VniQ", "type": "public-key", "clientExtensionResults": {},
        "response": {
            "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIiwi…", "attestationObject": "o2NmbXRkbm9uZWdhdHRTdG10oGhh…",
            "transports": ["internal"]
        }
    } }))]
pub(super) struct PasskeyAnswer {
    /// What the browser answered, as `PublicKeyCredential.toJSON()` gives it.
    #[schema(value_type = Object)]
    passkey: Value,
}

/// The endpoints.
pub(super) fn router() -> Router<Arc<AuthState>> {
    Router::new()
        .route("/auth/second-factor/options", post(ask_at_sign_in))
        .route("/auth/step-up/options", post(ask_for_step_up))
        .route("/auth/passkeys", post(add))
        .route("/auth/passkeys/{id}/proof", post(prove))
}

/// The site that passkeys are for, by the public address of the shop: one with a name, to which browsers talk over TLS or
/// which is this machine. `None`: there are none.
pub(crate) fn relying_party(public: Option<&str>) -> Option<RelyingParty> {
    let url = Url::parse(public?).ok()?;
    let Some(Host::Domain(name)) = url.host() else { return None };
    let secure = url.scheme() == "https" || url.scheme() == "http" && name == "localhost";
    secure.then(|| RelyingParty::new(name, &url.origin().ascii_serialization())).flatten()
}

async fn ask_at_sign_in(
    State(state): State<Arc<AuthState>>,
    request: Request,
) -> Result<Json<PasskeyOptions>, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, _, body) = read::<PasskeyWanted>(request, "pending_token").await?;
    let options = state.accounts.ask_at_sign_in(&body.pending_token).await?;
    Ok(Json(PasskeyOptions { options }))
}

async fn ask_for_step_up(
    State(state): State<Arc<AuthState>>,
    headers: HeaderMap,
) -> Result<Json<PasskeyOptions>, Problem> {
    let (active, _) = signed_in(&state, &headers, Class::Writes).await?;
    let options = state.accounts.ask_for_step_up(active.session).await?;
    Ok(Json(PasskeyOptions { options }))
}

async fn add(State(state): State<Arc<AuthState>>, request: Request) -> Result<Json<StartedPasskey>, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    count(Class::SignIns, Who::Guest).await?;
    let (_, network, body) = read::<NewPasskey>(request, "name and password").await?;
    let typed = (body.name.as_str(), body.password.as_str());
    let started = state.accounts.add_passkey(active.session, typed, &network).await?;
    Ok(Json(StartedPasskey { id: started.id, options: started.options }))
}

async fn prove(
    State(state): State<Arc<AuthState>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<RecoveryCodes>, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    let id = in_path(&id)?;
    let (_, _, body) = read::<PasskeyAnswer>(request, "passkey").await?;
    let recovery_codes = state.accounts.prove_passkey(active.session, id, &body.passkey.to_string()).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_offered_where_the_public_address_has_a_name() {
        for good in [
            "https://shop.example",
            "https://shop.example:8443/en",
            "http://localhost:8000",
            "https://xn--wxa.example",
        ] {
            assert!(relying_party(Some(good)).is_some(), "{good}");
        }
        for bad in [
            "http://127.0.0.1:8000",
            "https://192.0.2.1",
            "https://[2001:db8::1]",
            "http://shop.example",
            "shop.example",
            "",
        ] {
            assert!(relying_party(Some(bad)).is_none(), "{bad}");
        }
        assert!(relying_party(None).is_none());
    }
}
