//! A provider of identities that says whatever a test wants it to say, and signs it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use soonshop_domain::clock;

/// The name of the shop there.
pub(super) const CLIENT: &str = "the-shop";

/// What the key set's address answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    There,
    Broken,
    Empty,
}

struct Shared {
    issuer: String,
    pair: Mutex<(String, Ed25519KeyPair)>,
    keys: Mutex<Keys>,
    fetched: AtomicU32,
    next: AtomicU64,
    /// By code: the ID token, and the challenge that its verifier has to match.
    codes: Mutex<HashMap<String, (String, String)>>,
}

/// The provider.
pub(super) struct Provider {
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn pair() -> Ed25519KeyPair {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let shared = Arc::new(Shared {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            pair: Mutex::new(("one".to_owned(), pair())),
            keys: Mutex::new(Keys::There),
            fetched: AtomicU32::new(0),
            next: AtomicU64::new(0),
            codes: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, server }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// How often its key set was fetched.
    pub(super) fn fetched(&self) -> u32 {
        self.shared.fetched.load(Ordering::Relaxed)
    }

    pub(super) fn answer_keys(&self, keys: Keys) {
        *self.shared.keys.lock().unwrap() = keys;
    }

    /// From now on it has another key, and no more the one before.
    pub(super) fn rotate(&self, kid: &str) {
        *self.shared.pair.lock().unwrap() = (kid.to_owned(), pair());
    }

    /// The claims of somebody who signed in there just now, with this nonce.
    pub(super) fn claims(&self, sub: &str, email: &str, nonce: &str) -> Value {
        let now = clock::now().timestamp();
        json!({ "iss": self.issuer(), "sub": sub, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce,
            "email": email, "email_verified": true, "name": "Ada" })
    }

    /// An ID token with this head and these claims, signed as the head says.
    pub(super) fn token(&self, head: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let text = format!("{}.{}", part(head), part(claims));
        let (_, pair) = &*self.shared.pair.lock().unwrap();
        let signature = match head["alg"].as_str() {
            Some("none") => Vec::new(),
            // The public key as the secret: key confusion.
            Some("HS256") => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, pair.public_key().as_ref());
                hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
            }
            _ => pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        format!("{text}.{}", BASE64.encode(signature))
    }

    /// The head of its tokens.
    pub(super) fn head(&self) -> Value {
        json!({ "alg": "EdDSA", "kid": self.shared.pair.lock().unwrap().0, "typ": "JWT" })
    }

    /// A code for this ID token.
    pub(super) fn code(&self, token: String, challenge: &str) -> String {
        let code = format!("code-{}", self.shared.next.fetch_add(1, Ordering::Relaxed));
        self.shared.codes.lock().unwrap().insert(code.clone(), (token, challenge.to_owned()));
        code
    }
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", shared.issuer);
    Json(json!({
        "issuer": shared.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Value>) {
    shared.fetched.fetch_add(1, Ordering::Relaxed);
    let (kid, pair) = &*shared.pair.lock().unwrap();
    let x = BASE64.encode(pair.public_key().as_ref());
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x });
    match *shared.keys.lock().unwrap() {
        Keys::There => (StatusCode::OK, Json(json!({ "keys": [key] }))),
        Keys::Empty => (StatusCode::OK, Json(json!({ "keys": [] }))),
        Keys::Broken => (StatusCode::INTERNAL_SERVER_ERROR, Json(Value::Null)),
    }
}

/// Each code is good once, and for the verifier of its challenge.
async fn token(State(shared): State<Arc<Shared>>, body: String) -> (StatusCode, Json<Value>) {
    let field = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(body.as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let refused = (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })));
    let Some((token, challenge)) = shared.codes.lock().unwrap().remove(&field("code")) else {
        return refused;
    };
    let verifier = BASE64.encode(digest(&SHA256, field("code_verifier").as_bytes()));
    if field("grant_type") != "authorization_code" || verifier != challenge {
        return refused;
    }
    let answer = json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": token });
    (StatusCode::OK, Json(answer))
}
