//! The frame of every page: `shown` renders the content of a page into it.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use soonshop_audit::file::File;
use soonshop_domain::text::visible;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Factor, Permission, Role};
use soonshop_service_kit::endpoint::call::TypedForm;
use soonshop_service_kit::endpoint::described::text;
use soonshop_service_kit::endpoint::params::{Param, PassedOver};
use soonshop_service_kit::endpoint::{Answer, Described, Visit};
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::serve::RequestContext;

use super::assets::{FOLLOWING, ICON, PASSKEYS, SCRIPT, STYLE};
use super::refused_form;
pub(crate) use super::view::{COMMON, PAGES, View, address, look};
use super::view::{DENSITIES, Location, THEMES, asked};
use crate::messages::Language;
use crate::state::{Action, Call, Endpoint, Shared};

/// The name of the shop.
pub(crate) const SHOP: &str = "SoonShop";

/// The page of one's own account.
pub(crate) const ACCOUNT: &str = "/account";
/// The page of one's own second factors.
pub(crate) const FACTORS: &str = "/audit/factors";
/// The page that asks for a code.
pub(crate) const STEP_UP: &str = "/audit/step-up";

/// Where the script asks what to ask a passkey.
pub(crate) const ASK_PASSKEY: &str = "/audit/passkey-requests";
pub(crate) const ASK_PASSKEY_OF_ACCOUNT: &str = "/account/passkey-requests";

/// The addresses that work for an export as they do for a shop.
const OF_EXPORTS: [&str; 12] = [
    "/api/audit/timeline",
    "/api/audit/c/{id}",
    "/api/audit/export.csv",
    "/api/audit/export.ndjson",
    STYLE.path,
    SCRIPT.path,
    FOLLOWING.path,
    ICON.path,
    "/audit/timeline",
    "/audit/c/{id}",
    "/audit/jump",
    "/audit/keys",
];

/// Whether an endpoint of a shop also works for an export.
pub(crate) fn is_of_exports(path: &str) -> bool {
    OF_EXPORTS.contains(&path)
}

/// Whether it is the address of a page of the trail.
pub(crate) fn is_page(path: &str) -> bool {
    path.strip_prefix(PAGES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Only our own style sheet and script are loaded, and nothing from another origin.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
                      img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Time zones to choose from; the address can name any other.
const ZONES: [&str; 5] = ["UTC", "Asia/Shanghai", "Europe/London", "America/New_York", "America/Los_Angeles"];

/// For how long a browser keeps these choices, in seconds: one year.
const KEPT: u32 = 365 * 24 * 60 * 60;

/// A page of the endpoint table.
pub(crate) fn page(path: &'static str, name: &'static str, class: Class, action: Action) -> Endpoint {
    Endpoint::page(path, name, class, action, refused)
}

/// The parameters of a page, with the common ones.
pub(crate) fn with(params: Vec<Param>) -> Vec<Param> {
    params.into_iter().chain(COMMON).collect()
}

/// Pages are not part of the API's description.
pub(crate) fn described() -> Described {
    Described::schema(text())
}

/// Renders a page with this content, for the visitor of the call.
pub(crate) fn shown<T, E: Into<Problem>>(
    call: &Call,
    title: &'static str,
    found: Result<(i64, T), E>,
    body: impl FnOnce(&View<'_>, &T) -> Markup,
) -> Answer {
    shown_as(call, found, |view, _| view.word(title).to_owned(), body)
}

/// The same for a page whose title names what it shows.
pub(crate) fn shown_as<T, E: Into<Problem>>(
    call: &Call,
    found: Result<(i64, T), E>,
    title: impl FnOnce(&View<'_>, &T) -> String,
    body: impl FnOnce(&View<'_>, &T) -> Markup,
) -> Answer {
    let (position, found) = found.map_err(Into::into)?;
    let view = View::of(call);
    let title = title(&view, &found);
    Ok(answered_as(&view, StatusCode::OK, &title, Some(position), &body(&view, &found)))
}

/// Renders a refusal; or redirects to the sign-in page, where signing in could help.
pub(crate) fn refused(shared: &Shared, visit: &Visit, problem: &Problem) -> Response {
    refused_with(shared, visit, problem, refusal)
}

/// The same with another text for the refusal.
pub(crate) fn refused_with(
    shared: &Shared,
    visit: &Visit,
    problem: &Problem,
    render: impl FnOnce(&View<'_>, &Problem) -> Markup,
) -> Response {
    let view = View::new(shared, visit);
    let known = visit.visitor.as_ref().is_some_and(|visitor| visitor.caller.role != Role::Guest);
    let asks_to_sign_in =
        problem.status() == StatusCode::FORBIDDEN && problem.slug() == "operator-only" && !known;
    // What was typed would be lost on the way.
    if asks_to_sign_in && !refused_form::has_text(&view) {
        let here = view.but("", None);
        return see_other(&view.to("/audit/sign-in", &[("to", &here)]));
    }
    if let Some(page) = factor_instead(&view, problem) {
        return page;
    }
    let body = html! { (render(&view, problem)) (refused_form::again(&view, problem)) };
    let title = if visit.form.is_some() { "form-refused" } else { "refused" };
    let mut response = answered(&view, problem.status(), title, None, &body);
    if let Some(seconds) = problem.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The page that leads on where a second factor is asked for.
pub(crate) fn factor_instead(view: &View<'_>, problem: &Problem) -> Option<Response> {
    let caller = view.visit.visitor.as_ref().map(|visitor| &visitor.caller)?;
    let asked = problem.slug() == "second-factor-required";
    if view.visit.asked_code
        && (asked || problem.slug() == "too-many-codes" || wrong_factor(view, problem).is_some())
    {
        let body = again_with_code(view, problem);
        return Some(answered(view, problem.status(), "second-factor", None, &body));
    }
    // What cannot be opened again is a form of the page of second factors.
    let here = view.but("", None);
    let own = here.starts_with(FACTORS) || here.starts_with("/audit/recovery-codes");
    let to = if own { FACTORS } else { here.as_str() };
    let page = if caller.factor == Factor::Missing { FACTORS } else { STEP_UP };
    (asked && caller.session.is_some()).then(|| see_other(&view.to(page, &[("to", to)])))
}

/// The form of a page that asks for a fresh second factor: what was typed is sent again, with a code.
fn again_with_code(view: &View<'_>, problem: &Problem) -> Markup {
    let refused = (problem.slug() != "second-factor-required").then(|| {
        view.word_of(&format!("refused-{}", problem.slug())).unwrap_or_else(|| view.word("code-wrong"))
    });
    let here = view.but("", None);
    html! {
        div.door {
            h1 { (view.word("second-factor")) }
            p { (view.word("fresh-factor-why")) }
            (warning(refused))
            form.column method="post" action=(here) {
                @for (field, typed) in view.visit.form.iter().flat_map(TypedForm::fields) {
                    @if let Some(typed) = typed { input type="hidden" name=(field.name) value=(typed); }
                }
                (code_field(view))
                button { (view.word("go-on")) }
            }
            (passkey_button(view))
            p.soft { a href=(view.to(FACTORS, &[("to", &here)])) { (view.word("factors-none-yet")) } }
        }
    }
}

/// Why something was not done, above its form.
pub(crate) fn warning(refused: Option<&str>) -> Markup {
    html! {
        @if let Some(refused) = refused {
            p.ill role="alert" { span aria-hidden="true" { "⚠ " } (refused) }
        }
    }
}

/// The field of a code.
pub(crate) fn code_field(view: &View<'_>) -> Markup {
    html! {
        label for="code" { (view.word("code")) }
        input type="text" id="code" name="code" required autocomplete="one-time-code" spellcheck="false" maxlength="64";
    }
}

/// What gives a passkey in the place of the code in the form above. The script shows it where there is one to ask for.
pub(crate) fn passkey_button(view: &View<'_>) -> Markup {
    let asked_at = if view.location == Location::Account { ASK_PASSKEY_OF_ACCOUNT } else { ASK_PASSKEY };
    html! {
        div.passkey data-passkey=(asked_at) hidden {
            button.quiet type="button" { (view.word("passkey-use")) }
            p.ill role="status" hidden { (view.word("passkey-not-given")) }
        }
        (passkey_script(view))
    }
}

/// The script of passkeys, and what is said where it does not run, or the browser has no passkeys: it takes that away.
pub(crate) fn passkey_script(view: &View<'_>) -> Markup {
    html! {
        p.soft data-needs-script { (view.word("passkey-script")) }
        script type="module" src=(PASSKEYS.path) {}
    }
}

/// Why a second factor that was given is refused, if that is what the problem is about.
pub(crate) fn wrong_factor(view: &View<'_>, problem: &Problem) -> Option<&'static str> {
    match problem.slug() {
        "wrong-code" => Some(view.word("code-wrong")),
        slug @ ("wrong-passkey" | "copied-passkey") => view.word_of(&format!("refused-{slug}")),
        _ => None,
    }
}

/// Redirects to another page of the viewer.
pub(crate) fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, value);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn answered(
    view: &View<'_>,
    status: StatusCode,
    title: &'static str,
    position: Option<i64>,
    body: &Markup,
) -> Response {
    answered_as(view, status, view.word(title), position, body)
}

/// The same with a title that is no text of the catalogue.
pub(crate) fn answered_as(
    view: &View<'_>,
    status: StatusCode,
    title: &str,
    position: Option<i64>,
    body: &Markup,
) -> Response {
    let page = frame(view, title, position, body).into_string();
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, referrer_policy(view)),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    let mut response = (status, page).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let kept = [
        ("lang", view.language.tag()),
        ("theme", view.theme),
        ("tz", view.zone.name()),
        ("density", view.density),
    ];
    for (name, value) in kept {
        if asked(view.visit, name).is_some() {
            // The second takes away what earlier releases kept for the viewer alone: it would go before the first.
            for cookie in [
                format!("soonshop_{name}={value}; Path=/; Max-Age={KEPT}; SameSite=Lax"),
                format!("soonshop_{name}=; Path=/audit; Max-Age=0; SameSite=Lax"),
            ] {
                if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                    response.headers_mut().append(SET_COOKIE, cookie);
                }
            }
        }
    }
    response
}

/// A page whose form may lead on to that place, beside this shop.
pub(crate) fn leading_to(mut page: Response, source: &str) -> Response {
    let policy = POLICY.replace("form-action 'self'", &format!("form-action 'self' {source}"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    page
}

/// What a browser tells of the address of this page where it leads on. The link of a mail is told to nobody.
fn referrer_policy(view: &View<'_>) -> &'static str {
    let has_link = view.location == Location::Account && view.visit.parameter("link").is_some();
    if has_link { "no-referrer" } else { "same-origin" }
}

/// The links of the navigation: address, text, shortcut.
const LINKS: [(&str, &str, &str); 7] = [
    ("/audit", "overview", "o"),
    ("/audit/timeline", "timeline", "t"),
    ("/audit/projections", "projections", "p"),
    ("/audit/processes", "processes", "m"),
    ("/audit/parked", "parked", "d"),
    ("/audit/integrity", "integrity", "i"),
    ("/audit/operations", "operations", "r"),
];

fn frame(view: &View<'_>, title: &str, position: Option<i64>, body: &Markup) -> Markup {
    let role = view.role();
    let trail = view.location == Location::Trail;
    let (home, name) = match view.location {
        Location::Trail => (PAGES, view.word("audit")),
        Location::Front { .. } => ("/", SHOP),
        Location::Account => (ACCOUNT, SHOP),
    };
    let looks = view.may(Permission::Audit) && view.location.has_trail();
    html! {
        (DOCTYPE)
        html lang=(view.language.tag()) data-theme=(view.theme) data-density=(view.density) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · " (name) }
                link rel="stylesheet" href=(STYLE.path);
                link rel="icon" type="image/svg+xml" href=(ICON.path);
                @if trail { script type="module" src=(SCRIPT.path) {} }
            }
            body {
                a.skip href="#main" { (view.word("skip")) }
                header {
                    a.mark href=(view.to(home, &[])) { span aria-hidden="true" { "◆ " } (name) }
                    @if looks {
                        nav aria-label=(view.word("pages")) {
                            @for (path, word, key) in LINKS.into_iter().filter(|(path, ..)| view.file.is_none() || is_of_exports(path)) {
                                a href=(view.to(path, &[])) data-go=(key)
                                    aria-current=[(view.visit.path == path).then_some("page")] { (view.word(word)) }
                            }
                        }
                        (jump_box(view))
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
                                div {
                                    @for density in DENSITIES {
                                        a href=(view.but("density", Some(density))) { (view.word_of(&format!("density-{density}")).unwrap_or(density)) }
                                    }
                                }
                                div { @for zone in ZONES { a translate="no" href=(view.but("tz", Some(zone))) { (zone) } } }
                                @if looks {
                                    div { a href=(view.to("/audit/keys", &[])) data-help { (view.word("keyboard")) } }
                                }
                            }
                        }
                        (signed_in(view))
                    }
                }
                main id="main" tabindex="-1" {
                    @if let Some(ranges) = &view.alarm { (alarm(view, ranges, looks)) }
                    @if let Some(file) = view.file { (about_file(view, file)) }
                    (passed_over(view))
                    (body)
                }
                footer {
                    @if let Some(position) = position {
                        span { (view.word("as-of")) " " strong { (position) } }
                    }
                    @if role != Role::Guest && trail {
                        span { (view.label(role.as_ref())) " · " (view.word("masked-for-all")) }
                    }
                    span { @if trail { (view.word("folded-by")) " " } code translate="no" { (FOLD) } }
                    @if let Some(context) = RequestContext::current() {
                        span { (view.word("request")) " " code translate="no" { (context.request_id) } }
                    }
                }
                p.news role="status" aria-live="polite" {}
            }
        }
    }
}

/// The way in, or what a visitor who is signed in has, and the way out.
fn signed_in(view: &View<'_>) -> Markup {
    let of_account = view.location == Location::Account;
    if view.file.is_some() || !of_account && !view.location.has_trail() {
        return html! {};
    }
    // Customers and staff leave by the door that they know.
    let own = of_account || view.is_customer();
    let (way_in, way_out) =
        if own { ("/account/sign-in", "/account/sign-out") } else { ("/audit/sign-in", "/audit/sign-out") };
    let inside = if own { view.has_account() } else { view.role() != Role::Guest };
    html! {
        @if inside {
            @if own {
                a href=(view.to(ACCOUNT, &[])) { (view.word("account-own")) }
            } @else if view.has_account() {
                a href=(view.to(FACTORS, &[])) { (view.word("factors")) }
            }
            form.out method="post" action=(way_out) { button.quiet { (view.word("sign-out")) } }
        } @else {
            a href=(view.to(way_in, &[])) { (view.word("sign-in")) }
        }
    }
}

/// The most parts of an address that are named.
const MOST_NAMED: usize = 5;

/// The longest name that is repeated, in characters.
const LONGEST_NAME: usize = 40;

/// What the page does not know of its address. Only names are repeated.
fn passed_over(view: &View<'_>) -> Markup {
    html! {
        @for PassedOver { name, is_known } in view.passed_over.iter().take(MOST_NAMED) {
            @let shown: String = visible(name).chars().take(LONGEST_NAME).collect();
            p.missed role="status" {
                span aria-hidden="true" { "⚠ " }
                (view.language.fill(if *is_known { "unknown-value" } else { "unknown-parameter" }, &[&shown]))
            }
        }
    }
}

/// The alarm on every page; where it is, for those who may see the trail.
fn alarm(view: &View<'_>, ranges: &str, looks: bool) -> Markup {
    html! {
        div.banner.ill.alarm role="alert" {
            p {
                span aria-hidden="true" { "⚠ " } strong { (view.word("alarm")) }
                @if looks {
                    @for (of, where_found) in ranges.split("; ").filter_map(|part| part.split_once(' ')) {
                        " " (view.word_of(&format!("sealed-{of}")).unwrap_or("–")) " " span { (positions(view, where_found)) }
                    }
                    " · " a href=(view.to("/audit/integrity", &[])) { (view.word("alarm-see")) }
                }
            }
        }
    }
}

/// Positions in words: `position 20`, `positions 3…7`.
pub(crate) fn positions(view: &View<'_>, found: &str) -> String {
    let count = if found.parse::<i64>().is_ok() { "1" } else { "2" };
    view.language.fill("at-positions", &[count, found])
}

/// The box that leads to what is typed. It may be a person's name, so it is sent in a form, and is in no address; an
/// export has no people to look up.
fn jump_box(view: &View<'_>) -> Markup {
    let (post, path) = (view.file.is_none(), "/audit/jump");
    let to = if post { view.to(path, &[]) } else { path.to_owned() };
    html! {
        form.jump method=(if post { "post" } else { "get" }) action=(to) role="search" {
            @if !post { (view.hidden()) }
            input type="search" name="id" value=[view.jumped.as_deref()] maxlength="200" aria-label=(view.word("jump"))
                placeholder=(view.word("jump")) autocomplete="off" spellcheck="false";
        }
    }
}

/// The release whose code computed the states.
const FOLD: &str = concat!("soonshop ", env!("CARGO_PKG_VERSION"));

pub(crate) fn refusal(view: &View<'_>, problem: &Problem) -> Markup {
    let of_form = view.visit.form.is_some();
    let why = match problem.slug() {
        "invalid-query" if of_form => view.word("form-misread"),
        "not-permitted" if view.is_customer() => view.word("account-no-trail"),
        slug => view.word_of(&format!("refused-{slug}")).unwrap_or_else(|| view.word("refused-otherwise")),
    };
    let fault = refused_form::fault(view, problem);
    html! {
        h1 { span aria-hidden="true" { "⚠ " } (view.word(if of_form { "form-refused" } else { "refused" })) }
        p role=[of_form.then_some("alert")] {
            (why)
            @if let Some((name, sentence)) = fault {
                " "
                @match refused_form::label(view, name) {
                    Some(label) => { (label) },
                    None => code translate="no" { (visible(name)) },
                }
                (view.word("colon")) (sentence)
            }
        }
        @if view.language == Language::English && fault.is_none() && !view.is_customer() {
            p { (problem.detail()) }
        }
        p.soft { code translate="no" { (problem.slug()) } }
        @match view.location {
            _ if view.is_customer() => p { a href=(view.to(ACCOUNT, &[])) { (view.word("account-own")) } },
            Location::Account => p { a href=(view.to(ACCOUNT, &[])) { (view.word("account-own")) } },
            Location::Trail => p { a href=(view.to("/audit/timeline", &[])) { (view.word("all")) } },
            Location::Front { .. } => p { a href=(view.to("/", &[])) { (view.word("front")) } },
        }
    }
}

/// Describes the export that all of this is read from.
fn about_file(view: &View<'_>, file: &File) -> Markup {
    let manifest = file.manifest();
    html! {
        p.facts {
            span { (view.word("of-file")) " " strong translate="no" { (file.name()) } }
            span { strong { (manifest.count()) } " " (view.counted("events", manifest.count())) }
            span { (view.word("exported")) " " (view.time(manifest.made_at())) }
            @if !file.filter().is_empty() {
                span {
                    (view.word("narrowed-by"))
                    @for (name, value) in file.filter() { " " code translate="no" { (name) "=" (value) } }
                }
            }
        }
    }
}
