//! The endpoints that lead to a mail, and those that take the link in one: registering, and a forgotten password. Who asks
//! with an address gets one answer, whether it has an account or not.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::routing::post;
use serde::Deserialize;
use soonshop_domain::text;
use soonshop_event_store::EventStore;
use soonshop_identity::{AddressAsked, Asked, Given, Password, Purpose};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::rates::{Class, Who, count};
use soonshop_texts::Language;
use soonshop_workers::readdressing::{self, Changed};
use soonshop_workers::registering::{Finished, address_of, finish};
use utoipa::ToSchema;

use super::body::{never_stored, read};
use super::people::{Accounts, cause, in_session};
use super::problem::problem;

struct MailedState {
    accounts: Accounts,
    access: Access,
    store: EventStore,
}

/// The endpoints.
pub(super) fn router(accounts: Accounts, access: Access, store: EventStore) -> Router {
    Router::new()
        .route("/auth/register", post(register))
        .route("/auth/register/confirm", post(confirm))
        .route("/auth/forgot", post(forgot))
        .route("/auth/reset", post(reset))
        .route("/auth/email", post(email))
        .route("/auth/email/confirm", post(confirm_email))
        .route("/auth/email/undo", post(undo_email))
        .layer(from_fn(never_stored))
        .with_state(Arc::new(MailedState { accounts, access, store }))
}

/// A language of mails.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = MailLanguage)]
pub(super) enum MailLanguage {
    #[serde(rename = "en")]
    English,
    #[serde(rename = "zh-CN")]
    Chinese,
}

/// Where a mail is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailRequest)]
pub(super) struct MailRequest {
    #[schema(example = "ada@example.org", max_length = 254)]
    email: String,
    /// Of the mail. Without it, the language that `Accept-Language` prefers.
    language: Option<MailLanguage>,
}

/// What opens an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
pub(super) struct Registration {
    /// The token in the mail's link.
    #[schema(example = "ssl_…")]
    link: String,
    /// 8 to 128 characters of any kind.
    #[schema(min_length = 8, max_length = 128)]
    password: String,
    #[schema(max_length = 200)]
    name: Option<String>,
}

/// What sets another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordReset)]
pub(super) struct PasswordReset {
    /// The token in the mail's link.
    #[schema(example = "ssl_…")]
    link: String,
    /// 8 to 128 characters of any kind.
    #[schema(min_length = 8, max_length = 128)]
    password: String,
}

/// Another address of the account that is signed in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmailChange)]
pub(super) struct EmailChange {
    #[schema(example = "ada@example.org", max_length = 254)]
    email: String,
    /// The account's.
    password: String,
    /// Of the mails. Without it, the language that `Accept-Language` prefers.
    language: Option<MailLanguage>,
}

/// A link without anything else.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailedLink)]
pub(super) struct MailedLink {
    /// The token in the mail's link.
    #[schema(example = "ssl_…")]
    link: String,
}

/// The tag of the language of a mail.
fn language(asked: Option<MailLanguage>, headers: &HeaderMap) -> &'static str {
    let language = match asked {
        Some(MailLanguage::English) => Language::English,
        Some(MailLanguage::Chinese) => Language::Chinese,
        None => super::request::language(headers),
    };
    language.tag()
}

/// Writes down what somebody asks for. Nothing here looks whether there is an account.
async fn ask(state: &MailedState, request: Request, purpose: Purpose) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (headers, _, body) = read::<MailRequest>(request, "email, and language, en or zh-CN").await?;
    let address = text::email(&body.email)
        .map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/email"))?;
    let asked =
        Asked { purpose, typed: &body.email, address: &address, language: language(body.language, &headers) };
    state.accounts.identity.ask(asked, &cause()).await.map_err(problem)?;
    Ok(StatusCode::ACCEPTED)
}

async fn register(State(state): State<Arc<MailedState>>, request: Request) -> Result<StatusCode, Problem> {
    ask(&state, request, Purpose::Register).await
}

async fn forgot(State(state): State<Arc<MailedState>>, request: Request) -> Result<StatusCode, Problem> {
    ask(&state, request, Purpose::Reset).await
}

/// A password by the rule.
fn password(typed: &str) -> Result<Password, Problem> {
    Password::new(typed).map_err(|error| problem(error).with_pointer("/password"))
}

async fn confirm(State(state): State<Arc<MailedState>>, request: Request) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, network, body) = read::<Registration>(request, "link, password, and name").await?;
    let name = body.name.as_deref().map(|name| text::line(name, 200)).transpose();
    let name =
        name.map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/name"))?;
    let given = Given {
        link: &body.link,
        name: name.as_deref(),
        password: password(&body.password)?,
        network: &network,
    };
    let identity = &state.accounts.identity;
    let proven = identity.use_registration(given).await.map_err(problem)?;
    match finish(&state.store, identity, &proven, &cause()).await {
        Ok(Finished::Open(_)) => Ok(StatusCode::NO_CONTENT),
        Ok(Finished::Taken) => Err(problem(soonshop_identity::Error::Link)),
        // The link is used, and what was given is written down: a worker goes on with it.
        Err(error) => {
            tracing::warn!(error = crate::cause::chain(&error), "a registration is finished later");
            Ok(StatusCode::ACCEPTED)
        }
    }
}

async fn reset(State(state): State<Arc<MailedState>>, request: Request) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, network, body) = read::<PasswordReset>(request, "link, password").await?;
    let new = password(&body.password)?;
    let reset = state.accounts.identity.reset_by_link(&body.link, new, &network, &cause()).await;
    // Sessions of this process may have ended.
    state.accounts.clear();
    reset.map(|()| StatusCode::NO_CONTENT).map_err(problem)
}

async fn email(State(state): State<Arc<MailedState>>, request: Request) -> Result<StatusCode, Problem> {
    let (active, cause) =
        in_session(&state.accounts, &state.access, request.headers(), Class::Writes).await?;
    count(Class::SignIns, Who::Guest).await?;
    let (headers, network, body) =
        read::<EmailChange>(request, "email, password, and language, en or zh-CN").await?;
    let address = text::email(&body.email)
        .map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/email"))?;
    let asked = AddressAsked {
        active: &active,
        password: Password::typed(&body.password),
        typed: &body.email,
        address: &address,
        language: language(body.language, &headers),
        network: &network,
    };
    let asked = state.accounts.identity.ask_address(asked, &cause).await;
    asked.map(|()| StatusCode::ACCEPTED).map_err(|error| match error {
        soonshop_identity::Error::WrongPassword => {
            Problem::invalid("wrong-password", "the password is wrong").with_pointer("/password")
        }
        error => problem(error),
    })
}

async fn confirm_email(
    State(state): State<Arc<MailedState>>,
    request: Request,
) -> Result<StatusCode, Problem> {
    change_address(&state, request, Purpose::Email).await
}

async fn undo_email(State(state): State<Arc<MailedState>>, request: Request) -> Result<StatusCode, Problem> {
    change_address(&state, request, Purpose::Undo).await
}

async fn change_address(
    state: &MailedState,
    request: Request,
    purpose: Purpose,
) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, _, body) = read::<MailedLink>(request, "link").await?;
    let (identity, cause) = (&state.accounts.identity, cause());
    let account = identity.address_link(&body.link, purpose).await.map_err(problem)?;
    let old = address_of(&state.store, account).await.map_err(|error| {
        tracing::warn!(error = crate::cause::chain(&error), "the address of a user cannot be read");
        let detail = "the address cannot be changed just now";
        Problem::unavailable("event-store-unavailable", detail, Duration::from_secs(1))
    })?;
    let change = identity.use_address_link(&body.link, purpose, old.as_deref(), &cause).await;
    // Sessions of this process may have ended.
    state.accounts.clear();
    match readdressing::finish(&state.store, identity, &change.map_err(problem)?, &cause).await {
        Ok(Changed::Done) => Ok(StatusCode::NO_CONTENT),
        Ok(Changed::Taken) => Err(problem(soonshop_identity::Error::Link)),
        // The link is used: a worker goes on with it.
        Err(error) => {
            tracing::warn!(error = crate::cause::chain(&error), "an address is changed later");
            Ok(StatusCode::ACCEPTED)
        }
    }
}
