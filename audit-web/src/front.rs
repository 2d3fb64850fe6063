//! The page at `/`, on every process: what this is, whether it works, what it serves, and links to everything else; as
//! JSON for programs.
//!
//! It is public, like the answers under `/health`, and needs no script. Why a check fails is said to those who see details
//! ([`Access::sees_details`]).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use maud::{Markup, html};
use serde_json::{Value, json};
use soonshop_domain::context;
use soonshop_projections::integrity;
use soonshop_service_kit::access::Access;
use soonshop_service_kit::endpoint::{Params, Visit};
use soonshop_service_kit::health::{Health, Readiness, verdicts};
use soonshop_service_kit::refusal_pages::wants_page;

use crate::messages::Language;
use crate::pages::assets::OUTSIDE;
use crate::pages::frame::{COMMON, SHOP, View, answered, refusal};
use crate::pages::parts::{check_name, failed_check};

/// The prefix of the addresses of documents.
pub const DOCUMENTATION: &str = "/documentation";

/// A part of the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// In its address and in the texts: `api` is at `/documentation/api`.
    pub name: &'static str,
    /// It exists in Chinese too, at an address that ends with `.zh-CN`.
    pub translated: bool,
}

/// A process, as its page describes it.
pub struct Front {
    /// Its role, as `--role` names it.
    pub role: &'static str,
    /// The names of the contexts that it answers for.
    pub contexts: Vec<&'static str>,
    /// The checks of `/health/ready`.
    pub health: Health,
    /// Identifies visitors.
    pub access: Access,
    /// It serves the audit trail.
    pub trail: bool,
    /// The documents that it serves.
    pub documents: &'static [Document],
}

/// The page, and the files of pages where no viewer serves them.
pub fn router(front: Front) -> Router {
    let mut router = Router::new();
    if !front.trail {
        for asset in OUTSIDE {
            let answer = async move |headers: HeaderMap| asset.answer(&headers).await;
            router = router.route(asset.path, get(answer));
        }
    }
    router.route("/", get(answer)).with_state(Arc::new(front))
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    // A visitor who cannot be identified sees what a guest sees: the page works without the key store.
    let visitor = front.access.visitor(&parts.headers).await.ok();
    let mut visit = Visit::of(&parts, visitor.as_ref());
    let page = wants_page(&parts.headers);
    let details = front.access.sees_details(&parts.headers).await;
    let read = if page { Params::read_page } else { Params::read_in };
    let mut response = match (read(&visit.query, &COMMON, None), page) {
        (Ok(params), true) => {
            if !params.passed_over().is_empty() {
                visit.query = params.read_of(&visit.query);
            }
            let health = front.health.readiness().await;
            let alarm = alarm(&front.health).await;
            let view = View::front(&visit, front.trail, alarm, params.passed_over());
            answered(&view, StatusCode::OK, "front", None, &body(&view, &front, &health, details))
        }
        (Ok(_), false) => as_json(&front, &front.health.readiness().await, details),
        (Err(problem), true) => {
            let view = View::front(&visit, front.trail, alarm(&front.health).await, &[]);
            answered(&view, problem.status(), "refused", None, &refusal(&view, &problem))
        }
        (Err(problem), false) => problem.into_response(),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-language, cookie"));
    response
}

/// Where tampering was found that is neither proved again nor acknowledged, by the check of this process.
pub(crate) async fn alarm(health: &Health) -> Option<String> {
    let found = health.named("integrity").await;
    found.filter(|one| one.reason.as_deref() == Some(integrity::FOUND))?.object
}

/// The answer for programs.
fn as_json(front: &Front, health: &Readiness, details: bool) -> Response {
    let checks = if details { json!(health.checks) } else { json!(verdicts(&health.checks)) };
    let contexts = front.contexts.iter().filter_map(|name| context::named(name));
    let documents =
        front.documents.iter().map(|one| (one.name.to_owned(), Value::from(path(one, Language::English))));
    let mut links = json!({
        "api": "/docs",
        "openapi": "/openapi.json",
        "documentation": documents.collect::<serde_json::Map<_, _>>(),
        "health": { "live": "/health/live", "ready": "/health/ready" },
        "metrics": "/metrics",
    });
    if front.trail {
        links["audit"] = "/audit".into();
        links["health"]["audit"] = "/health/audit".into();
    }
    let value = json!({
        "name": SHOP,
        "version": env!("CARGO_PKG_VERSION"),
        "role": front.role,
        "ready": health.ready,
        "checks": checks,
        "contexts": contexts.map(|one| json!({ "name": one.name, "about": one.about })).collect::<Vec<_>>(),
        "links": links,
    });
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], axum::Json(value)).into_response()
}

/// The address of a document, in that language if it exists.
fn path(document: &Document, language: Language) -> String {
    let suffix = if document.translated && language == Language::Chinese { ".zh-CN" } else { "" };
    format!("{DOCUMENTATION}/{}{suffix}", document.name)
}

fn body(view: &View<'_>, front: &Front, health: &Readiness, details: bool) -> Markup {
    html! {
        h1 { (SHOP) }
        p { (view.word("front-what")) }
        (state(view, health, details))
        div.cards {
            section.card {
                h2 { (view.word("front-api")) }
                p { a href="/docs" { (view.word("front-browse")) } }
                p { a href="/openapi.json" { (view.word("front-description")) } }
            }
            section.card {
                h2 { (view.word("front-trail")) }
                @if front.trail {
                    p { a href=(view.to("/audit", &[])) { (view.word("front-trail-open")) } }
                    p.soft { (view.word("front-trail-key")) }
                } @else {
                    p.soft { (view.word("front-trail-elsewhere")) }
                }
            }
            section.card {
                h2 { (view.word("front-documentation")) }
                @for one in front.documents {
                    p { (document(view, one)) }
                }
            }
            section.card {
                h2 { (view.word("front-health")) }
                p { a href="/health/ready" { (view.word("front-ready")) } }
                p { a href="/health/live" { (view.word("front-live")) } }
                @if front.trail { p { a href="/health/audit" { (view.word("front-followers")) } } }
                p { a href="/metrics" { (view.word("front-metrics")) } }
            }
        }
        h2 { (view.word("front-process")) }
        p { (view.word_of(&format!("front-role-{}", front.role)).unwrap_or(front.role)) }
        @if front.contexts.is_empty() {
            p.soft { (view.word("front-no-contexts")) }
        } @else {
            table {
                thead { tr { th scope="col" { (view.word("front-context")) } th scope="col" { (view.word("front-about")) } } }
                tbody {
                    @for name in &front.contexts {
                        tr { td { code translate="no" { (name) } } td data-name=(view.word("front-about")) { (about(view, name)) } }
                    }
                }
            }
        }
    }
}

/// Whether the process can do its work, and what is wrong if not.
fn state(view: &View<'_>, health: &Readiness, details: bool) -> Markup {
    html! {
        @if health.ready {
            p.banner.well { span aria-hidden="true" { "✓ " } strong { (view.word("front-well")) } }
        } @else {
            div.banner.ill role="alert" {
                p { span aria-hidden="true" { "⚠ " } strong { (view.word("front-ill")) } }
                ul {
                    @for one in health.checks.iter().filter(|one| !one.ok) {
                        li { @if details { (failed_check(view, one)) } @else { (check_name(view, &one.name)) } }
                    }
                }
                @if !details { p { (view.word("front-details")) } }
            }
        }
    }
}

/// A link to a document; most of them are in English only.
fn document(view: &View<'_>, one: &Document) -> Markup {
    let tag = if one.translated { view.language.tag() } else { Language::English.tag() };
    html! {
        a href=(path(one, view.language)) hreflang=(tag) {
            (view.word_of(&format!("front-document-{}", one.name)).unwrap_or(one.name))
        }
    }
}

/// A context in a line.
fn about(view: &View<'_>, name: &str) -> Markup {
    html! {
        @match (view.language.context(name), context::named(name)) {
            (Some(text), _) => (text),
            (None, Some(context)) => span lang="en" { (context.about) },
            (None, None) => "–",
        }
    }
}
