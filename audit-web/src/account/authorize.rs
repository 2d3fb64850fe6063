//! `/oauth/authorize`: a client asks to act for somebody, who signs in and consents. What is asked for is read here and not
//! by a row of the table, as OAuth has rules of its own: unknown parameters are passed over, and what is wrong goes back to
//! the client, once it is known which one that is.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use soonshop_domain::text::visible;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::session::from_here;
use soonshop_service_kit::access::{Clients, CodeWanted, OwnProfile};
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::call::form_body;
use soonshop_service_kit::rates::Class;
use uuid::Uuid;

use super::authorization::{Asked, AuthorizationError, Fields, Judged, Requester, form_source};
use super::next::SIGN_IN;
use super::state::{AccountPages, refused};
use crate::pages::frame::{View, answered, leading_to, see_other};

pub(super) const AUTHORIZE: &str = "/oauth/authorize";

/// The longest query: it has to fit into the address of the page to sign in on.
const LONGEST: usize = 1_800;

pub(super) fn router(pages: Arc<AccountPages>) -> Router {
    Router::new().route(AUTHORIZE, get(asked).post(decided)).with_state(pages)
}

async fn asked(State(pages): State<Arc<AccountPages>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    drop(body);
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let visit = visit(&pages, &parts).await;
    match visit {
        Ok(visit) => {
            let answer = ask(&pages, &visit, &parts.headers, &query).await;
            answer.unwrap_or_else(|problem| refused(&pages, &visit, &problem))
        }
        Err(problem) => refused(&pages, &Visit::of(&parts, None), &problem),
    }
}

async fn decided(State(pages): State<Arc<AccountPages>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match visit(&pages, &parts).await {
        Ok(visit) => {
            let answer = decide(&pages, &visit, &parts.headers, body).await;
            answer.unwrap_or_else(|problem| refused(&pages, &visit, &problem))
        }
        Err(problem) => refused(&pages, &Visit::of(&parts, None), &problem),
    }
}

/// Who asks.
async fn visit(pages: &AccountPages, parts: &Parts) -> Result<Visit, Problem> {
    let visitor = pages.access.visitor(&parts.headers).await?;
    visitor.caller.count(Class::Reads).await?;
    Ok(Visit::of(parts, Some(&visitor)))
}

/// The session of a browser: who holds no more than a token, for minutes, begins nothing that lasts longer.
fn session(visit: &Visit, headers: &HeaderMap) -> Option<Uuid> {
    let visitor = visit.visitor.as_ref().filter(|_| !headers.contains_key(AUTHORIZATION));
    visitor.and_then(|visitor| visitor.caller.own_session())
}

/// The client of a request, and where it wants its answer. Only once both are known is anything sent there.
async fn requester(clients: &dyn Clients, fields: &Fields) -> Result<Requester, Problem> {
    let bad = |detail| Problem::malformed("bad-authorization-request", detail);
    let issuer = clients.issuer().ok_or_else(|| {
        Problem::not_found(
            "not-found",
            "this shop was not told its own address: an operator sets --public-url",
        )
    })?;
    let id = fields.once("client_id").map_err(bad)?;
    let client = clients.client(id).await?;
    let client = client.ok_or_else(|| bad("the program that sent you here is not known to this shop"))?;
    let redirect = fields.once("redirect_uri").map_err(bad)?;
    if !client.redirects.iter().any(|known| known == redirect) {
        return Err(bad("the address to go back to is not one that this program registered"));
    }
    Ok(Requester { issuer: issuer.to_owned(), redirect: redirect.to_owned(), state: fields.state(), client })
}

fn read(query: &str) -> Result<Fields, Problem> {
    if query.len() > LONGEST {
        let detail = "the request of the program that sent you here is too long";
        return Err(Problem::malformed("bad-authorization-request", detail));
    }
    Ok(Fields::parse(query))
}

async fn ask(
    pages: &AccountPages,
    visit: &Visit,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, Problem> {
    let clients = pages.clients.as_ref();
    let fields = read(query)?;
    let requester = requester(clients, &fields).await?;
    let asked = match Asked::judge(clients, &fields, &requester) {
        Judged::Good(asked) => asked,
        Judged::Bad(error) => return Ok(requester.refuse(error)),
    };
    let view = View::account(visit, &[]);
    let Some(session) = session(visit, headers) else {
        let here = format!("{AUTHORIZE}?{query}");
        if came_from_elsewhere(headers) {
            return Ok(goes_on(&view, &here));
        }
        return Ok(see_other(&view.to(SIGN_IN, &[("next", &here)])));
    };
    let wanted = asked.wanted(&requester);
    match clients.code_by_consent(session, wanted).await {
        Ok(Some(code)) => Ok(after_form(&view, headers, requester.answer(&code))),
        Ok(None) => {
            let profile = pages.own.profile(session).await?;
            Ok(consent_page(&view, &requester, wanted, &fields, &profile))
        }
        Err(problem) => failed(&requester, problem),
    }
}

/// Too much was asked for: the client learns it. Everything else is for the visitor.
fn failed(requester: &Requester, problem: Problem) -> Result<Response, Problem> {
    if problem.status() == StatusCode::TOO_MANY_REQUESTS {
        return Ok(requester.refuse(AuthorizationError::Busy));
    }
    Err(problem)
}

/// The site whose page led here, as the browser tells it.
fn site(headers: &HeaderMap) -> Option<&str> {
    headers.get("sec-fetch-site").and_then(|site| site.to_str().ok())
}

/// Whether a page of another site led here: a browser then keeps the cookie of the session back, which is `SameSite=Strict`.
fn came_from_elsewhere(headers: &HeaderMap) -> bool {
    matches!(site(headers), Some("cross-site" | "same-site"))
}

/// What leads back, as a page where the form to sign in with may have led here: a browser lets a form of this shop lead to
/// this shop alone, through however many redirects.
fn after_form(view: &View<'_>, headers: &HeaderMap, back: Response) -> Response {
    let to = back.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    match to.filter(|_| site(headers) == Some("same-origin")) {
        Some(to) => goes_on(view, to),
        None => back,
    }
}

/// A page that goes on by itself: from here the browser sends its cookie.
fn goes_on(view: &View<'_>, here: &str) -> Response {
    let body = html! {
        meta http-equiv="refresh" content=(format!("0;url={here}"));
        div.door {
            h1 { (view.word("authorize-going-on")) }
            p { a href=(here) { (view.word("go-on")) } }
        }
    };
    answered(view, StatusCode::OK, "authorize-going-on", None, &body)
}

fn consent_page(
    view: &View<'_>,
    requester: &Requester,
    wanted: CodeWanted<'_>,
    fields: &Fields,
    profile: &OwnProfile,
) -> Response {
    let email = profile.email.as_deref().map_or_else(|| "–".into(), visible);
    let body = html! {
        div.door {
            h1 { (view.word("authorize")) }
            p { strong translate="no" { (visible(&wanted.client.name)) } " " (view.word("authorize-asks")) }
            ul { @for name in wanted.scope { li { (scope_word(view, name)) } } }
            p.soft { (view.word("authorize-why")) }
            @if wanted.client.public { p.soft { (view.word("authorize-public")) } }
            p.facts {
                span { (view.word("authorize-as")) " " strong translate="no" { (email) } }
                span { (view.word("authorize-back")) " " strong translate="no" { (form_source(wanted.redirect)) } }
            }
            form.column method="post" action=(AUTHORIZE) {
                @for (name, value) in fields.known() { input type="hidden" name=(name) value=(value); }
                button name="decision" value="allow" { (view.word("authorize-allow")) }
                button.quiet name="decision" value="deny" { (view.word("authorize-deny")) }
            }
        }
    };
    let page = answered(view, StatusCode::OK, "authorize", None, &body);
    leading_to(page, &form_source(&requester.redirect))
}

/// What a name of a scope permits, in the language of the page.
pub(super) fn scope_word(view: &View<'_>, name: &str) -> Markup {
    match view.word_of(&format!("scope-{name}")) {
        Some(word) => html! { (word) },
        None => html! { code translate="no" { (name) } },
    }
}

async fn decide(
    pages: &AccountPages,
    visit: &Visit,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    from_here(headers)?;
    let text = form_body(headers, body).await?;
    let clients = pages.clients.as_ref();
    let fields = read(&text)?;
    let requester = requester(clients, &fields).await?;
    let asked = match Asked::judge(clients, &fields, &requester) {
        Judged::Good(asked) => asked,
        Judged::Bad(error) => return Ok(requester.refuse(error)),
    };
    let Some(session) = session(visit, headers) else {
        let here = format!("{AUTHORIZE}?{}", fields.query());
        return Ok(see_other(&View::account(visit, &[]).to(SIGN_IN, &[("next", &here)])));
    };
    if fields.once("decision") != Ok("allow") {
        return Ok(requester.refuse(AuthorizationError::Denied));
    }
    match clients.consent(session, asked.wanted(&requester)).await {
        Ok(code) => Ok(requester.answer(&code)),
        Err(problem) => failed(&requester, problem),
    }
}
