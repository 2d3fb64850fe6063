//! Signing in with a provider of identities, and the page of those that an account is linked to.
//!
//! Both ways, to the provider and on from it, lead on by `Refresh`: a form's redirect to another site would need that site
//! in `form-action`, and the session's cookie is sent only where a page of this site leads on.

use axum::http::header::REFRESH;
use axum::http::{HeaderValue, StatusCode};
use maud::{Markup, html};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::providers::{Leaving, OwnProvider, ProviderAnswer, Returned};
use soonshop_service_kit::access::session::{browser, provider_cookie, provider_secret};
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;

use super::forms::{Field, Form, notice};
use super::mailed::back;
use super::next::{SIGN_IN, after};
use super::second_step::{begin_again, second_step};
use super::state::{Call, Endpoint, as_sign_in, password, sent, session, shown, view};
use crate::pages::access::with_cookies;
use crate::pages::frame::{View, answered, see_other};

pub(super) const PROVIDERS: &str = "/account/providers";
const ONE: &str = "/account/providers/{provider}";
/// Where a provider sends people back to: the one page that is opened from another site and changes something.
pub(super) const CALLBACK: &str = "identity.provider-callback-page";

const DONE: &[&str] = &["linked", "unlinked"];

pub(super) fn table() -> Vec<Endpoint> {
    let typed = |name| Param::new(name, Kind::Typed, "Of the provider's answer.").or_empty();
    let next = Param::new("next", Kind::Free, "The page to go on to.").or_empty().display_only();
    let done = Param::new("done", Kind::OneOf(DONE), "What was done.").display_only();
    let what = Param::new("what", Kind::OneOf(&["link", "unlink"]), "What to do.").required();
    let answer = ["code", "state", "iss", "error"].map(typed).to_vec();
    vec![
        sent(
            "/account/sign-in/{provider}",
            "identity.page-sign-in-with",
            Class::SignIns,
            (Vec::new(), vec![next]),
            |call| Box::pin(leave(call)),
        ),
        shown("/account/sign-in/{provider}/callback", CALLBACK, answer, |call| Box::pin(come_back(call))),
        shown(PROVIDERS, "identity.providers-page", vec![done], |call| Box::pin(listed(call))),
        shown(ONE, "identity.provider-page", Vec::new(), |call| Box::pin(one(call))),
        sent(
            ONE,
            "identity.page-link-provider",
            Class::SignIns,
            (Vec::new(), vec![what, password("password")]),
            |call| Box::pin(change(call)),
        ),
    ]
}

/// A button for each provider, on the page to sign in on.
pub(super) fn buttons(call: &Call, view: &View<'_>, next: &str) -> Markup {
    html! {
        @for one in call.shared.providers.offered() {
            form.column method="post" action={ (SIGN_IN) "/" (one.name) } {
                input type="hidden" name="next" value=(next);
                button.quiet { (view.language.fill("sign-in-with", &[&one.title])) }
            }
        }
    }
}

/// A page that leads on by itself.
fn leads(view: &View<'_>, to: &str, cookies: &[String]) -> Answer {
    let body = html! {
        div.door {
            h1 { (view.word("account-going-on")) }
            p { a href=(to) { (view.word("go-on")) } }
        }
    };
    let mut response = answered(view, StatusCode::OK, "account-going-on", None, &body);
    let value = HeaderValue::try_from(format!("0; url={to}")).map_err(Problem::internal)?;
    response.headers_mut().insert(REFRESH, value);
    with_cookies(response, cookies)
}

fn left(call: &Call, view: &View<'_>, leaving: &Leaving) -> Answer {
    leads(view, &leaving.to, &[provider_cookie(Some(&leaving.secret), &call.headers_in)])
}

/// Why nobody was signed in, and what to do.
fn failed(call: &Call, view: &View<'_>, problem: &Problem) -> Answer {
    let why = view.word_of(&format!("refused-{}", problem.slug()));
    let to =
        if view.has_account() { (PROVIDERS, "account-providers") } else { (SIGN_IN, "account-to-sign-in") };
    let body = html! {
        div.door {
            h1 { span aria-hidden="true" { "⚠ " } (view.word("account-provider-failed")) }
            p role="alert" { (why.unwrap_or_else(|| view.word("refused-otherwise"))) }
            p { a href=(view.to(to.0, &[])) { (view.word(to.1)) } }
        }
    };
    let response = answered(view, problem.status(), "account-provider-failed", None, &body);
    with_cookies(response, &[provider_cookie(None, &call.headers_in)])
}

async fn leave(call: Call) -> Answer {
    let next = after(call.form.text("next"));
    let view = view(&call);
    match as_sign_in(call.shared.providers.leave(&call.key, next)).await {
        Ok(leaving) => left(&call, &view, &leaving),
        Err(problem) => failed(&call, &view, &problem),
    }
}

async fn come_back(mut call: Call) -> Answer {
    let headers = call.headers_in.clone();
    // What the provider sent stands in no link of the page.
    call.visit.query.clear();
    SIGN_IN.clone_into(&mut call.visit.path);
    let answer = ProviderAnswer {
        code: call.params.text("code"),
        state: call.params.text("state"),
        issuer: call.params.text("iss"),
        error: call.params.text("error"),
    };
    let view = View::account(&call.visit, &[]);
    let back =
        call.shared.providers.come_back(&call.key, provider_secret(&headers), answer, browser(&headers));
    let gone = provider_cookie(None, &headers);
    match as_sign_in(back).await {
        Ok(Returned::SignedIn(begun, next)) => {
            let mut cookies = call.shared.access.begun(&begun, &headers).await?;
            cookies.push(gone);
            leads(&view, after(Some(&next)), &cookies)
        }
        Ok(Returned::SecondFactor(token, next)) => {
            let next = after(Some(&next));
            with_cookies(second_step(next, &token).page(&view, None, &begin_again(&view, next)), &[gone])
        }
        Ok(Returned::Linked) => leads(&view, &view.to(PROVIDERS, &[("done", "linked")]), &[gone]),
        Ok(Returned::Later) => leads(&view, &view.to(SIGN_IN, &[("done", "later")]), &[gone]),
        Err(problem) => failed(&call, &view, &problem),
    }
}

async fn listed(call: Call) -> Answer {
    let session = match session(&call, PROVIDERS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let linked = call.shared.providers.linked(session).await?;
    let view = view(&call);
    let done = call.params.text("done").and_then(|done| view.word_of(&format!("account-done-{done}")));
    let body = list(&call, &view, &linked, done);
    Ok(answered(&view, StatusCode::OK, "account-providers", None, &body))
}

fn list(call: &Call, view: &View<'_>, linked: &[OwnProvider], done: Option<&str>) -> Markup {
    let offered = call.shared.providers.offered();
    let title = |name: &str| {
        offered.iter().find(|one| one.name == name).map_or_else(|| name.to_owned(), |one| one.title.clone())
    };
    let (provider, since, used) =
        (view.word("account-provider"), view.word("account-provider-since"), view.word("account-used"));
    let change = view.word("account-provider-unlink");
    let others = offered.iter().filter(|one| !linked.iter().any(|own| own.name == one.name));
    html! {
        h1 { (view.word("account-providers")) }
        (notice(done))
        p { (view.word("account-providers-about")) }
        @if !linked.is_empty() {
            table {
                thead { tr { @for name in [provider, since, used, change] { th scope="col" { (name) } } } }
                tbody {
                    @for one in linked {
                        tr {
                            td data-name=(provider) { (title(&one.name)) }
                            td data-name=(since) { (view.time(one.linked_at)) }
                            td data-name=(used) { @if let Some(at) = one.used_at { (view.time(at)) } @else { "–" } }
                            td data-name=(change) { a href=(view.to(&format!("{PROVIDERS}/{}", one.name), &[])) { (change) } }
                        }
                    }
                }
            }
        }
        @for one in others {
            p {
                a href=(view.to(&format!("{PROVIDERS}/{}", one.name), &[])) {
                    (view.language.fill("account-provider-link-one", &[&one.title]))
                }
            }
        }
        (back(view))
    }
}

/// The form that links a provider, or unlinks it.
fn form(is_linked: bool, action: &str) -> Form<'_> {
    let (texts, what) = if is_linked {
        (("account-provider-unlink", "account-provider-unlink-why"), "unlink")
    } else {
        (("account-provider-link", "account-provider-link-why"), "link")
    };
    Form {
        title: texts.0,
        why: texts.1,
        action,
        hidden: vec![("what", what)],
        fields: vec![Field::PASSWORD],
        given: Vec::new(),
        button: texts.0,
    }
}

fn to_list(view: &View<'_>) -> Markup {
    html! { p { a href=(view.to(PROVIDERS, &[])) { (view.word("account-providers")) } } }
}

/// Refuses a name that is of no provider that is offered or linked.
fn known(call: &Call, linked: bool) -> Result<(), Problem> {
    if linked || call.shared.providers.offered().iter().any(|one| one.name == call.key) {
        return Ok(());
    }
    Err(Problem::not_found("provider-not-found", "there is no provider of this name"))
}

async fn one(call: Call) -> Answer {
    let session = match session(&call, PROVIDERS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let linked = call.shared.providers.linked(session).await?.iter().any(|own| own.name == call.key);
    known(&call, linked)?;
    let view = view(&call);
    let action = format!("{PROVIDERS}/{}", call.key);
    Ok(form(linked, &action).page(&view, None, &to_list(&view)))
}

async fn change(call: Call) -> Answer {
    let session = match session(&call, PROVIDERS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let providers = &call.shared.providers;
    let typed = call.form.text("password").unwrap_or_default();
    let view = view(&call);
    let is_linked = call.form.text("what") == Some("unlink");
    let refused = if is_linked {
        match as_sign_in(providers.unlink(session, &call.key, typed, &call.network)).await {
            Ok(()) => return Ok(see_other(&view.to(PROVIDERS, &[("done", "unlinked")]))),
            Err(problem) => problem,
        }
    } else {
        match as_sign_in(providers.leave_to_link(session, &call.key, typed, &call.network)).await {
            Ok(leaving) => return left(&call, &view, &leaving),
            Err(problem) => problem,
        }
    };
    let action = format!("{PROVIDERS}/{}", call.key);
    Ok(form(is_linked, &action).again(&call, &view, &refused, &to_list(&view)))
}

/// The card on the page of the account; none where there are no providers.
pub(super) fn card(call: &Call, view: &View<'_>) -> Markup {
    html! {
        @if !call.shared.providers.offered().is_empty() {
            section.card {
                h2 { (view.word("account-providers")) }
                p.soft { (view.word("account-providers-about")) }
                p { a href=(view.to(PROVIDERS, &[])) { (view.word("account-providers-see")) } }
            }
        }
    }
}
