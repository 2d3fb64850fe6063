//! One provider, as the shop talks to it: what it publishes of itself, the address to go to, and what came back.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::{TimeDelta, Utc};
use openidconnect::core::{
    CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeVerifier, RedirectUrl, TokenResponse as _,
};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use soonshop_domain::clock;
use soonshop_identity::ProviderSecret;
use url::Url;

use super::fault::Fault;
use super::kept::Kept;
use super::remote::{Remote, is_safe};
use super::settings::ProviderSettings;

/// How far clocks may differ.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// The longest `sub` (OpenID Connect Core, section 2).
const LONGEST_SUBJECT: usize = 255;

/// What a provider publishes of itself.
struct Published {
    metadata: CoreProviderMetadata,
    /// Its answers name the issuer (RFC 9207).
    names_itself: bool,
}

/// What an ID token, and what the provider says beside it, states of somebody.
pub(super) struct Stated {
    pub(super) subject: String,
    /// Of the ID token.
    token: Value,
    /// Of the provider's endpoint for it.
    more: Value,
}

impl Stated {
    /// The claim of the ID token, or else of what was said beside it.
    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.token.get(name).or_else(|| self.more.get(name))
    }

    /// The address, if the same source says that it is verified.
    pub(super) fn verified_address(&self) -> Option<&str> {
        let source = if self.token.get("email").is_some() { &self.token } else { &self.more };
        let verified = source.get("email_verified") == Some(&Value::Bool(true));
        source.get("email").and_then(Value::as_str).filter(|_| verified)
    }
}

/// A provider.
pub(super) struct Client {
    pub(super) settings: ProviderSettings,
    redirect: String,
    remote: Remote,
    published: Kept<Published>,
    keys: Kept<CoreJsonWebKeySet>,
}

impl Client {
    pub(super) fn new(settings: ProviderSettings, public_url: &str) -> anyhow::Result<Self> {
        let redirect =
            format!("{}/account/sign-in/{}/callback", public_url.trim_end_matches('/'), settings.name);
        let remote = Remote::new()?;
        Ok(Self { settings, redirect, remote, published: Kept::default(), keys: Kept::default() })
    }

    async fn published(self: &Arc<Self>) -> Result<Arc<Published>, Fault> {
        if let Some(published) = self.published.get() {
            if self.published.is_old() {
                let client = Arc::clone(self);
                tokio::spawn(async move { client.published.renew(client.discover()).await });
            }
            return Ok(published);
        }
        let found = self.published.renew(self.discover()).await;
        found.ok_or_else(|| Fault::away("its document cannot be read"))
    }

    async fn discover(&self) -> Result<Published, Fault> {
        let issuer = &self.settings.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document: Value = self.remote.read(&url, None).await?;
        if document.get("issuer").and_then(Value::as_str) != Some(issuer.as_str()) {
            return Err(Fault::away("its document is of another issuer"));
        }
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
            let Some(url) = document.get(name) else { continue };
            let url = url.as_str().and_then(|url| Url::parse(url).ok());
            if !url.is_some_and(|url| is_safe(&url)) {
                return Err(Fault::away(format!("its {name} is not encrypted")));
            }
        }
        let names_itself =
            document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true));
        let metadata: CoreProviderMetadata = serde_json::from_value(document).map_err(Fault::away)?;
        if metadata.token_endpoint().is_none() {
            return Err(Fault::away("its document names no token endpoint"));
        }
        Ok(Published { metadata, names_itself })
    }

    /// The address that a browser goes to.
    pub(super) async fn address(self: &Arc<Self>, secret: &ProviderSecret) -> Result<String, Fault> {
        let published = self.published().await?;
        let mut url = published.metadata.authorization_endpoint().url().clone();
        let scopes: Vec<&str> =
            ["openid"].into_iter().chain(self.settings.scopes.iter().map(String::as_str)).collect();
        let challenge = BASE64.encode(digest(&SHA256, secret.verifier().as_bytes()));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &secret.state())
            .append_pair("nonce", &secret.nonce())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Whether the issuer that an answer names is this one: it may be left out only where the provider never names it.
    pub(super) async fn is_issuer(self: &Arc<Self>, named: Option<&str>) -> Result<bool, Fault> {
        match named {
            Some(named) => Ok(named == self.settings.issuer),
            None => Ok(!self.published().await?.names_itself),
        }
    }

    /// Exchanges a code for what the provider states of its owner.
    pub(super) async fn redeem(
        self: &Arc<Self>,
        code: &str,
        secret: &ProviderSecret,
    ) -> Result<Stated, Fault> {
        let published = self.published().await?;
        let metadata = published.metadata.clone();
        let by_form = metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let client = CoreClient::from_provider_metadata(
            metadata,
            ClientId::new(self.settings.client_id.clone()),
            self.settings.client_secret.clone().map(ClientSecret::new),
        );
        let client = client
            .set_redirect_uri(RedirectUrl::new(self.redirect.clone()).map_err(Fault::away)?)
            .set_auth_type(if by_form { AuthType::RequestBody } else { AuthType::BasicAuth });
        let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(Fault::away)?;
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(secret.verifier()));
        let tokens = exchange.request_async(&self.remote).await.map_err(|error| match error {
            openidconnect::RequestTokenError::Request(fault) => fault,
            // What the provider sent may be a token: it is not repeated.
            openidconnect::RequestTokenError::Parse(..) => Fault::refused("its tokens cannot be read"),
            other => Fault::refused(other),
        })?;
        let token = tokens.id_token().ok_or_else(|| Fault::refused("there is no ID token"))?;
        let (subject, token) = self.verified(token, &secret.nonce(), &published.metadata).await?;
        let more = if token.get("email").is_some() {
            Value::Null
        } else {
            self.more(&published.metadata, tokens.access_token().secret(), &subject).await?
        };
        Ok(Stated { subject, token, more })
    }

    /// What the provider says beside the ID token, of the same person.
    async fn more(
        &self,
        metadata: &CoreProviderMetadata,
        token: &str,
        subject: &str,
    ) -> Result<Value, Fault> {
        let Some(endpoint) = metadata.userinfo_endpoint() else { return Ok(Value::Null) };
        let said: Value = self.remote.read(endpoint.as_str(), Some(token)).await?;
        if said.get("sub").and_then(Value::as_str) == Some(subject) {
            return Ok(said);
        }
        Err(Fault::refused("what is said beside the ID token is of somebody else"))
    }

    /// Checks an ID token, and reads it.
    async fn verified(
        self: &Arc<Self>,
        token: &CoreIdToken,
        nonce: &str,
        metadata: &CoreProviderMetadata,
    ) -> Result<(String, Value), Fault> {
        let text = token.to_string();
        let part = |at: usize| -> Option<Value> {
            serde_json::from_slice(&BASE64.decode(text.split('.').nth(at)?).ok()?).ok()
        };
        let header = part(0).ok_or_else(|| Fault::refused("the ID token has no head"))?;
        let kid = header.get("kid").and_then(Value::as_str);
        let keys = self.keys_with(kid, metadata).await?;
        check(token, &self.settings, (*keys).clone(), nonce)
            .and_then(|subject| Ok((subject, part(1).ok_or_else(|| Fault::refused("it has no claims"))?)))
    }

    /// The key set, fetched again where it lacks this key.
    async fn keys_with(
        self: &Arc<Self>,
        kid: Option<&str>,
        metadata: &CoreProviderMetadata,
    ) -> Result<Arc<CoreJsonWebKeySet>, Fault> {
        let url = metadata.jwks_uri().as_str().to_owned();
        let held = self.keys.get();
        if let Some(held) = held.filter(|held| has(held, kid)) {
            if self.keys.is_old() {
                let client = Arc::clone(self);
                tokio::spawn(async move { client.keys.renew(client.key_set(&url)).await });
            }
            return Ok(held);
        }
        let found = self.keys.renew(self.key_set(&url)).await;
        let found = found.ok_or_else(|| Fault::away("its keys cannot be read"))?;
        if has(&found, kid) { Ok(found) } else { Err(Fault::refused("the ID token has an unknown key")) }
    }

    async fn key_set(&self, url: &str) -> Result<CoreJsonWebKeySet, Fault> {
        let keys: CoreJsonWebKeySet = self.remote.read(url, None).await?;
        if keys.keys().is_empty() {
            return Err(Fault::away("its key set has no key"));
        }
        Ok(keys)
    }
}

fn has(keys: &CoreJsonWebKeySet, kid: Option<&str>) -> bool {
    use openidconnect::JsonWebKey as _;
    kid.is_none_or(|kid| keys.keys().iter().any(|key| key.key_id().is_some_and(|id| id.as_str() == kid)))
}

/// Checks everything that an ID token has to have; its `sub`.
fn check(
    token: &CoreIdToken,
    settings: &ProviderSettings,
    keys: CoreJsonWebKeySet,
    nonce: &str,
) -> Result<String, Fault> {
    let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(Fault::away)?;
    let client = ClientId::new(settings.client_id.clone());
    let now = clock::now();
    // As of a client without a secret: nothing is signed with one.
    let verifier = CoreIdTokenVerifier::new_public_client(client, issuer, keys)
        .set_allowed_algs([
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            CoreJwsSigningAlgorithm::EdDsa,
        ])
        // Others are looked at below, with `azp`.
        .set_other_audience_verifier_fn(|_| true)
        .set_time_fn(move || now - SKEW)
        .set_issue_time_verifier_fn(move |at: chrono::DateTime<Utc>| {
            if at <= now + SKEW { Ok(()) } else { Err("it was made in the future".to_owned()) }
        });
    let ours = |sent: Option<&Nonce>| match sent {
        Some(sent) if sent.secret() == nonce => Ok(()),
        Some(_) => Err("the nonce is another one".to_owned()),
        None => Err("there is no nonce".to_owned()),
    };
    let claims = token.claims(&verifier, ours).map_err(Fault::refused)?;
    let audiences: BTreeSet<&str> = claims.audiences().iter().map(|one| one.as_str()).collect();
    match claims.authorized_party() {
        Some(party) if party.as_str() != settings.client_id => {
            return Err(Fault::refused("it was made for another client (azp)"));
        }
        None if audiences.len() > 1 => return Err(Fault::refused("it has several audiences, and no azp")),
        _ => {}
    }
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT || subject.contains('\0') {
        return Err(Fault::refused("its sub is none"));
    }
    Ok(subject.to_owned())
}
