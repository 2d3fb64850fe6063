//! The pages of the audit trail, for people: rendered here whole, from what the JSON endpoints answer, so that the two
//! cannot differ and nothing gets to a page past the redactor. They work without a script, and load nothing from
//! elsewhere; a script makes them quicker to use, and does nothing that they cannot do without it.
//!
//! `shown` puts what a page has found into the frame; a file beside this one per page says what it looks like.

#[path = "pages/access.rs"]
mod access;
#[path = "pages/correlation.rs"]
mod correlation;
#[path = "pages/file.rs"]
pub(super) mod file;
#[path = "pages/integrity.rs"]
mod integrity;
#[path = "pages/overview.rs"]
mod overview;
#[path = "pages/parked.rs"]
mod parked;
#[path = "pages/projections.rs"]
mod projections;
#[path = "pages/timeline.rs"]
pub(super) mod timeline;
#[path = "pages/trail.rs"]
mod trail;

use std::fmt::Write as _;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;
use soonshop_domain::catalog;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Permission, Role};
use soonshop_service_kit::serve::RequestContext;
use url::form_urlencoded;

use super::PAGES;
use super::file::has;
use super::words::{self, Language};
use crate::http::call::{Call, Visit};
use crate::http::openapi::Described;
use crate::http::params::{Kind, LONGEST_FREE, Param};
use crate::http::{Action, Endpoint};

const STYLE: &str = include_str!("../assets/audit.css");
const SCRIPT: &str = include_str!("../assets/audit.js");
const WORKER: &str = include_str!("../assets/tail.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// Nothing but our own style sheet and script is loaded, and nothing of another origin is asked or framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
                      img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Parameters of every page. What an address says is kept in a cookie, and holds for the pages after it.
pub(super) const COMMON: [Param; 3] = [
    Param::new("lang", Kind::OneOf(Language::TAGS), "The language; the browser's where it is left out."),
    Param::new("theme", Kind::OneOf(&THEMES), "Light or dark; the browser's where it is left out."),
    Param::new(
        "tz",
        Kind::Zone,
        "The time zone of what is shown, such as Asia/Shanghai; UTC where it is left out.",
    ),
];

const THEMES: [&str; 3] = ["auto", "light", "dark"];

/// Zones that are one click away; any other may stand in the address.
const ZONES: [&str; 5] = ["UTC", "Asia/Shanghai", "Europe/London", "America/New_York", "America/Los_Angeles"];

/// For how long a browser keeps what somebody chose, in seconds: a year.
const KEPT: u32 = 365 * 24 * 60 * 60;

/// A page of the table.
fn page(path: &'static str, name: &'static str, action: Action) -> Endpoint {
    Endpoint { path, name, summary: "A page", action }
}

/// What a page takes beside what every page takes.
fn with(params: Vec<Param>) -> Vec<Param> {
    params.into_iter().chain(COMMON).collect()
}

/// Pages are no part of the API's description.
fn described() -> Described {
    Described::one::<crate::http::openapi::Money>()
}

/// Every page.
pub(in crate::http) fn table() -> Vec<Endpoint> {
    let mut pages = vec![
        page(
            "/audit/audit.css",
            "audit.style",
            Action::new(Vec::new(), described(), |_| sent("text/css", STYLE)),
        ),
        page(
            "/audit/audit.js",
            "audit.script",
            Action::new(Vec::new(), described(), |_| sent("text/javascript", SCRIPT)),
        ),
        page(
            "/audit/tail.js",
            "audit.worker",
            Action::new(Vec::new(), described(), |_| sent("text/javascript", WORKER)),
        ),
        page(
            "/audit/icon.svg",
            "audit.icon",
            Action::new(Vec::new(), described(), |_| sent("image/svg+xml", ICON)),
        ),
    ];
    pages.extend(access::table());
    let mut audited = overview::table();
    audited.extend(timeline::table());
    audited.extend(trail::table());
    audited.extend(correlation::table());
    audited.extend(projections::table());
    audited.extend(parked::table());
    audited.extend(integrity::table());
    for mut one in audited {
        if one.action.needs == Permission::Read {
            one.action.needs = Permission::Audit;
        }
        pages.push(one);
    }
    pages
}

fn sent(kind: &'static str, text: &'static str) -> std::future::Ready<Result<Response, Problem>> {
    let headers = [(CONTENT_TYPE, format!("{kind}; charset=utf-8")), (CACHE_CONTROL, "no-cache".to_owned())];
    std::future::ready(Ok((headers, text).into_response()))
}

/// How a page is to look, and for whom.
pub(super) struct View<'a> {
    asked: &'a Visit,
    language: Language,
    theme: &'static str,
    zone: Tz,
}

impl<'a> View<'a> {
    pub(super) fn of(asked: &'a Visit) -> Self {
        let chosen = |name: &str| {
            let cookie = format!("soonshop_{name}");
            asked.parameter(name).or_else(|| asked.cookie(&cookie).map(str::to_owned))
        };
        let tag = chosen("lang").filter(|tag| Language::TAGS.contains(&tag.as_str()));
        let theme = chosen("theme").and_then(|theme| THEMES.into_iter().find(|known| *known == theme));
        Self {
            asked,
            language: Language::of(tag.as_deref().or(asked.language.as_deref()).unwrap_or_default()),
            theme: theme.unwrap_or("auto"),
            zone: chosen("tz").and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC),
        }
    }

    fn word(&self, name: &'static str) -> &'static str {
        self.language.word(name)
    }

    /// A word whose name is put together.
    fn word_of(&self, name: &str) -> Option<&'static str> {
        self.language.find(name)
    }

    /// What the visitor is.
    fn role(&self) -> Role {
        self.asked.visitor.as_ref().map_or(Role::Guest, |visitor| visitor.caller.role)
    }

    /// The address with what was asked for of every page.
    fn to(&self, path: &str, pairs: &[(&str, &str)]) -> String {
        let common = self.common();
        let common = common.iter().map(|(name, value)| (*name, value.as_str()));
        address(path, pairs.iter().copied().chain(common))
    }

    /// What was asked for of every page. What is longer than it may be is refused, and not said again in every link.
    fn common(&self) -> Vec<(&'static str, String)> {
        let said = |param: &Param| Some((param.name, self.asked.parameter(param.name).filter(fits)?));
        COMMON.iter().filter_map(said).collect()
    }

    /// This page's own address with one parameter changed; without one that has no value.
    fn but(&self, name: &str, value: Option<&str>) -> String {
        let pairs: Vec<_> = form_urlencoded::parse(self.asked.query.as_bytes())
            .filter(|(known, value)| known != name && fits(known) && fits(value))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let path = if fits(&self.asked.path) { &self.asked.path } else { PAGES };
        address(path, pairs.chain(value.map(|value| (name, value))))
    }

    /// A type of aggregate or a kind of actor, by its word.
    fn label(&self, name: &str) -> String {
        self.word_of(name).map_or_else(|| name.to_owned(), str::to_owned)
    }

    fn actor(&self, kind: Option<&str>, id: Option<&str>) -> Markup {
        html! {
            @match (kind, id) {
                (None, _) => (self.word("unknown-actor")),
                (Some(kind), None | Some("")) => (self.label(kind)),
                (Some(kind), Some(id)) => { (self.label(kind)) " " span translate="no" { (id) } },
            }
        }
    }

    /// A moment in the zone that was chosen; what a program reads of it, and what is copied, is UTC.
    fn time(&self, moment: DateTime<Utc>) -> Markup {
        let shown = moment.with_timezone(&self.zone);
        html! {
            time datetime=(moment.to_rfc3339_opts(SecondsFormat::Micros, true))
                title=(moment.to_rfc3339_opts(SecondsFormat::Micros, true)) {
                (shown.format("%Y-%m-%d %H:%M:%S%.3f")) " " span.zone { (self.zone_name(moment)) }
            }
        }
    }

    fn zone_name(&self, moment: DateTime<Utc>) -> String {
        if self.zone == Tz::UTC {
            "UTC".to_owned()
        } else {
            moment.with_timezone(&self.zone).format("%:z").to_string()
        }
    }

    fn micros(&self, micros: i64) -> Markup {
        self.time(crate::http::openapi::moment(micros))
    }

    /// What was asked of every page, as hidden fields: a form's own address has no query.
    fn hidden(&self) -> Markup {
        html! {
            @for (name, chosen) in self.common() {
                input type="hidden" name=(name) value=(chosen);
            }
        }
    }
}

/// Equal where pages look the same to whoever asks.
pub(super) fn look(asked: &Visit) -> String {
    let view = View::of(asked);
    format!("{} {} {}", view.language.tag(), view.zone.name(), view.to("", &[]))
}

/// No longer than any parameter may be: what is longer is no part of an address of ours.
fn fits(value: &(impl AsRef<str> + ?Sized)) -> bool {
    value.as_ref().len() <= LONGEST_FREE
}

fn address<'p>(path: &str, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A page with what was found, for the visitor of that call.
fn shown<T>(
    call: &Call,
    title: &'static str,
    found: Result<(i64, T), Problem>,
    body: impl FnOnce(&View<'_>, &T) -> Markup,
) -> Response {
    match &found {
        Ok((position, found)) => {
            let view = View::of(&call.asked);
            answered(&view, StatusCode::OK, title, Some(*position), &body(&view, found))
        }
        Err(problem) => refused(&call.asked, problem),
    }
}

/// The refusal as a page; or the way to sign in, for whoever might be shown it then.
pub(in crate::http) fn refused(asked: &Visit, problem: &Problem) -> Response {
    let view = View::of(asked);
    let known = asked.visitor.as_ref().is_some_and(|visitor| visitor.caller.role != Role::Guest);
    if problem.status() == StatusCode::FORBIDDEN && problem.slug() == "operator-only" && !known {
        let here = view.but("", None);
        return see_other(&view.to("/audit/sign-in", &[("to", &here)]));
    }
    let body = if asked.path == "/audit/timeline" && problem.slug() == "invalid-query" {
        timeline::misread(&view, problem)
    } else {
        refusal(&view, problem)
    };
    let mut response = answered(&view, problem.status(), "refused", None, &body);
    if let Some(after) = problem.retry_after() {
        let seconds = HeaderValue::from(after.as_secs().max(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// On to another page of ours.
fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, value);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn answered(
    view: &View<'_>,
    status: StatusCode,
    title: &'static str,
    position: Option<i64>,
    body: &Markup,
) -> Response {
    let page = frame(view, title, position, body).into_string();
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    let mut response = (status, page).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [("lang", view.language.tag()), ("theme", view.theme), ("tz", view.zone.name())] {
        if view.asked.parameter(name).is_some() {
            let cookie = format!("soonshop_{name}={value}; Path=/audit; Max-Age={KEPT}; SameSite=Lax");
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
        }
    }
    response
}

/// Where the ways through the pages lead: address, word, key.
const WAYS: [(&str, &str, &str); 5] = [
    ("/audit", "overview", "o"),
    ("/audit/timeline", "timeline", "t"),
    ("/audit/projections", "projections", "p"),
    ("/audit/parked", "parked", "d"),
    ("/audit/integrity", "integrity", "i"),
];

fn frame(view: &View<'_>, title: &'static str, position: Option<i64>, body: &Markup) -> Markup {
    let role = view.role();
    html! {
        (DOCTYPE)
        html lang=(view.language.tag()) data-theme=(view.theme) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (view.word(title)) " · " (view.word("audit")) }
                link rel="stylesheet" href="/audit/audit.css";
                link rel="icon" type="image/svg+xml" href="/audit/icon.svg";
                script type="module" src="/audit/audit.js" {}
            }
            body {
                a.skip href="#main" { (view.word("skip")) }
                header {
                    a.mark href=(view.to("/audit", &[])) { span aria-hidden="true" { "◆ " } (view.word("audit")) }
                    @if role.may(Permission::Audit) {
                        nav aria-label=(view.word("pages")) {
                            @for (path, word, key) in WAYS.into_iter().filter(|(path, ..)| view.asked.file.is_none() || has(path)) {
                                a href=(view.to(path, &[])) data-go=(key)
                                    aria-current=[(view.asked.path == path).then_some("page")] { (view.word(word)) }
                            }
                        }
                        form.jump method="get" action="/audit/jump" role="search" {
                            (view.hidden())
                            input type="search" name="id" aria-label=(view.word("jump")) placeholder=(view.word("jump")) autocomplete="off";
                        }
                    }
                    div.choice {
                        details.menu {
                            summary { span aria-hidden="true" { "◐ " } (view.zone.name()) " · " (view.language.name()) }
                            div.sheet {
                                div { @for (tag, name) in Language::NAMES { a href=(view.but("lang", Some(tag))) lang=(tag) { (name) } } }
                                div {
                                    @for theme in THEMES {
                                        a href=(view.but("theme", Some(theme))) { (view.word_of(&format!("theme-{theme}")).unwrap_or(theme)) }
                                    }
                                }
                                div { @for zone in ZONES { a translate="no" href=(view.but("tz", Some(zone))) { (zone) } } }
                                @if role.may(Permission::Audit) {
                                    div { a href=(view.to("/audit/keys", &[])) data-help { (view.word("keyboard")) } }
                                }
                            }
                        }
                        @if view.asked.file.is_none() {
                            @if role == Role::Guest {
                                a href=(view.to("/audit/sign-in", &[])) { (view.word("sign-in")) }
                            } @else {
                                form.out method="post" action="/audit/sign-out" { button.quiet { (view.word("sign-out")) } }
                            }
                        }
                    }
                }
                main id="main" tabindex="-1" {
                    @if let Some(file) = &view.asked.file { (file::told(view, file)) }
                    (body)
                }
                footer {
                    @if let Some(position) = position {
                        span { (view.word("as-of")) " " strong { (position) } }
                    }
                    @if role != Role::Guest {
                        span { (view.label(role.as_ref())) " · " (view.word("masked-for-all")) }
                    }
                    span { (view.word("folded-by")) " " code translate="no" { (FOLD) } }
                    @if let Some(context) = RequestContext::current() {
                        span { (view.word("request")) " " code translate="no" { (context.request_id) } }
                    }
                }
                p.news role="status" aria-live="polite" {}
            }
        }
    }
}

/// Which code made states out of events: that of this release.
const FOLD: &str = concat!("soonshop ", env!("CARGO_PKG_VERSION"));

fn refusal(view: &View<'_>, problem: &Problem) -> Markup {
    html! {
        h1 { span aria-hidden="true" { "⚠ " } (view.word("refused")) }
        p { (view.word_of(&format!("refused-{}", problem.slug())).unwrap_or_else(|| view.word("refused-otherwise"))) }
        @if view.language == Language::English {
            p { (problem.detail()) }
        }
        p.soft { code translate="no" { (problem.slug()) } }
        p { a href=(view.to("/audit/timeline", &[])) { (view.word("all")) } }
    }
}

/// The icon of an aggregate type: a shape beside its name.
fn shape(aggregate_type: &str) -> &'static str {
    catalog::aggregate(aggregate_type).map_or("•", |aggregate| aggregate.icon)
}

/// A value that came through the redactor.
fn value(view: &View<'_>, value: &Value) -> Markup {
    match value.get("personal").map(Value::as_str) {
        Some(Some("erased")) => {
            html! { span.mask { span aria-hidden="true" { "∅ " } (view.word("erased")) } }
        }
        Some(Some("revealed")) => html! {
            span.bare { span aria-hidden="true" { "◉ " } (value.get("value").map(words::value).unwrap_or_default()) }
        },
        Some(_) => html! {
            span.mask {
                span aria-hidden="true" { "•••• " } (view.word("masked"))
                @if let Some(number) = value.get("value") { " " (number) }
            }
        },
        None => html! { span translate="no" { (words::value(value)) } },
    }
}

/// `kind:id`, taken apart.
fn actor_of(actor: Option<&str>) -> (Option<&str>, Option<&str>) {
    actor.map_or((None, None), |actor| {
        actor.split_once(':').map_or((Some(actor), None), |(kind, id)| (Some(kind), Some(id)))
    })
}

/// A command to copy.
fn command(view: &View<'_>, text: &str) -> Markup {
    html! {
        p.command {
            code translate="no" { (text) }
            button.quiet type="button" data-copy=(text) hidden { (view.word("copy")) }
        }
    }
}

/// Bars, one for each number, as high as it is beside the highest; what they say stands beside them.
fn bars(numbers: &[i64], said: &str) -> Markup {
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let width = numbers.len() * 6;
    let mut path = String::new();
    for (index, number) in numbers.iter().enumerate() {
        let high = if *number == 0 { 1 } else { (number * 30 / most).max(2) };
        // Writing to a string cannot fail.
        let _ = write!(path, "M{} 32v-{high}h4v{high}z", index * 6);
    }
    html! {
        svg.bars role="img" aria-label=(said) viewBox=(format!("0 0 {width} 32")) preserveAspectRatio="none" {
            path d=(path) {}
        }
    }
}
