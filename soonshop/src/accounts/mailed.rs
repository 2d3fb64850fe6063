//! The endpoints that lead to a mail, and those that take the link in one: registering, and a forgotten password. Who asks
//! with an address gets one answer, whether it has an account or not.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::routing::post;
use serde::Deserialize;
use soonshop_domain::text;
use soonshop_event_store::EventStore;
use soonshop_identity::{Asked, Given, Password, Purpose};
use soonshop_service_kit::rates::{Class, Who, count};
use soonshop_service_kit::{Problem, grammar};
use soonshop_texts::Language;
use soonshop_workers::registering::{Finished, finish};
use utoipa::ToSchema;

use super::body::{never_stored, read};
use super::people::{Accounts, cause};
use super::problem::problem;

struct MailedState {
    accounts: Accounts,
    store: EventStore,
}

/// The endpoints.
pub(super) fn router(accounts: Accounts, store: EventStore) -> Router {
    Router::new()
        .route("/auth/register", post(register))
        .route("/auth/register/confirm", post(confirm))
        .route("/auth/forgot", post(forgot))
        .route("/auth/reset", post(reset))
        .layer(from_fn(never_stored))
        .with_state(Arc::new(MailedState { accounts, store }))
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

/// The tag of the language of a mail.
fn language(asked: Option<MailLanguage>, headers: &HeaderMap) -> &'static str {
    let language = match asked {
        Some(MailLanguage::English) => Language::English,
        Some(MailLanguage::Chinese) => Language::Chinese,
        None => grammar::languages(headers).first().map_or(Language::English, |tag| Language::of(tag)),
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
