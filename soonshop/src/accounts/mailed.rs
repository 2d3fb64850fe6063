//! The endpoints that lead to a mail, and those that take the link in one: registering, and a forgotten password. Who asks
//! with an address gets one answer, whether it has an account or not.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use soonshop_domain::user::consent::Wording;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{
    AddressLink, AddressWanted, ClaimWanted, LinkUsed, MailAsked, NewAccount, SelfService as _,
};
use soonshop_service_kit::rates::{Class, Who, count};
use soonshop_texts::Language;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::read;
use super::request::{AuthState, signed_in};

/// The endpoints.
pub(super) fn router() -> Router<Arc<AuthState>> {
    Router::new()
        .route("/auth/register", post(register))
        .route("/auth/register/confirm", post(confirm))
        .route("/auth/forgot", post(forgot))
        .route("/auth/reset", post(reset))
        .route("/auth/email", post(email))
        .route("/auth/email/confirm", post(confirm_email))
        .route("/auth/email/undo", post(undo_email))
        .route("/auth/claims", post(ask_claim))
        .route("/auth/claims/confirm", post(claim))
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
    /// The words in which somebody agrees to advertising by e-mail. Left out: they do not agree.
    advertising: Option<AgreedWords>,
}

/// Words that somebody saw and agreed to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgreedWords)]
pub(super) struct AgreedWords {
    /// Their version: a code, under which the shop keeps them.
    #[schema(min_length = 1, max_length = 64, example = "2026-11")]
    wording: String,
    /// The tag of the language in which they were seen.
    #[schema(min_length = 2, max_length = 35, example = "zh-CN")]
    language: String,
}

impl AgreedWords {
    fn understood(&self) -> Result<Wording, Problem> {
        Wording::try_new(&self.wording, &self.language).map_err(|(field, error)| {
            Problem::invalid("invalid-body", error.to_string()).with_pointer(format!("/advertising{field}"))
        })
    }
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

/// The order of a guest that the account is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClaimRequest)]
pub(super) struct ClaimRequest {
    /// As `GET /claimable-orders` lists it.
    order: Uuid,
    /// Of the mail. Without it, the language that `Accept-Language` prefers.
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

/// The answer where a link was used.
fn used(link: LinkUsed) -> StatusCode {
    match link {
        LinkUsed::Done => StatusCode::NO_CONTENT,
        LinkUsed::Later => StatusCode::ACCEPTED,
    }
}

/// Writes down what somebody asks for.
async fn ask(state: &AuthState, request: Request, what: MailAsked) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (headers, network, body) = read::<MailRequest>(request, "email, and language, en or zh-CN").await?;
    state.own.ask_mail(what, &body.email, language(body.language, &headers), &network).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn register(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    ask(&state, request, MailAsked::Register).await
}

async fn forgot(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    ask(&state, request, MailAsked::Reset).await
}

async fn confirm(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, network, body) =
        read::<Registration>(request, "link, password, and name and advertising").await?;
    let advertising = body.advertising.as_ref().map(AgreedWords::understood).transpose()?;
    let new = NewAccount {
        link: &body.link,
        name: body.name.as_deref(),
        password: &body.password,
        advertising: advertising.as_ref(),
        network: &network,
    };
    state.own.register(new).await.map(used)
}

async fn reset(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, network, body) = read::<PasswordReset>(request, "link, password").await?;
    state.own.reset(&body.link, &body.password, &network).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn email(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    count(Class::SignIns, Who::Guest).await?;
    let (headers, network, body) =
        read::<EmailChange>(request, "email, password, and language, en or zh-CN").await?;
    let wanted = AddressWanted {
        email: &body.email,
        password: &body.password,
        language: language(body.language, &headers),
        network: &network,
    };
    state.own.ask_address(active.session, wanted).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn confirm_email(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    change_address(&state, request, AddressLink::Confirm).await
}

async fn undo_email(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    change_address(&state, request, AddressLink::Undo).await
}

async fn change_address(
    state: &AuthState,
    request: Request,
    which: AddressLink,
) -> Result<StatusCode, Problem> {
    count(Class::SignIns, Who::Guest).await?;
    let (_, _, body) = read::<MailedLink>(request, "link").await?;
    state.own.use_address_link(&body.link, which).await.map(used)
}

async fn ask_claim(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    let (headers, network, body) = read::<ClaimRequest>(request, "order, and language, en or zh-CN").await?;
    let language = language(body.language, &headers);
    let wanted = ClaimWanted { order: body.order, language, network: &network };
    state.own.ask_claim(active.session, wanted).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn claim(State(state): State<Arc<AuthState>>, request: Request) -> Result<StatusCode, Problem> {
    let (active, _) = signed_in(&state, request.headers(), Class::Writes).await?;
    count(Class::SignIns, Who::Guest).await?;
    let (_, _, body) = read::<MailedLink>(request, "link").await?;
    state.own.claim(active.session, &body.link).await?;
    Ok(StatusCode::NO_CONTENT)
}
