//! Signing in with an e-mail address and a password, or with a key, and signing out; and the page of keyboard shortcuts.

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::session::Entered;
use soonshop_service_kit::access::{Owner, Permission, Typed};
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::work::Price;

use super::frame::{
    View, answered, code_field, described, page, passkey_button, refused, refused_with, see_other, with,
    wrong_factor,
};
use super::refused_form;
use crate::state::{Action, Call, Endpoint, Shared};

/// The page after signing in, where the request names none.
const HOME: &str = "/audit";

pub(crate) fn table() -> Vec<Endpoint> {
    let to = || Param::new("to", Kind::Free, "The page to go on to.").display_only();
    let key =
        Param::new("key", Kind::Free, "An API key, or the operator's token; in the place of the other two.")
            .secret();
    let email = Param::new("email", Kind::Free, "The e-mail address of an account.");
    let password = Param::new("password", Kind::Typed, "Its password.").secret();
    let token = Param::new("token", Kind::Free, "The token of the sign-in that waits.").secret();
    vec![
        page(
            "/audit/sign-in",
            "audit.sign-in-page",
            Class::Reads,
            Action::new(with(vec![to()]), described(), |call| async move {
                let view = View::of(&call);
                let access = &call.shared.access;
                let idle = access.was_idle(&call.headers_in).await?.then(|| view.word("signed-out-idle"));
                let to = call.params.text("to").unwrap_or(HOME);
                let body = form(&view, to, access.has_people(), idle, "");
                Ok(answered(&view, StatusCode::OK, "sign-in", None, &body))
            })
            .without_factor()
            .costs(|_| Price::Low),
        ),
        Endpoint::page(
            "/audit/sign-in",
            "audit.sign-in",
            Class::SignIns,
            Action::new(with(Vec::new()), described(), sign_in)
                .takes(Owner::Own, vec![key, email, password, to()])
                .without_factor()
                .costs(|_| Price::Nothing),
            refused_sign_in,
        ),
        page(
            "/audit/second-factor",
            "audit.second-factor",
            Class::SignIns,
            Action::new(with(Vec::new()), described(), second_factor)
                .takes(Owner::Own, vec![token, code(), to()])
                .without_factor()
                .costs(|_| Price::Nothing),
        ),
        page(
            "/audit/sign-out",
            "audit.sign-out",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let cookie = call.shared.access.sign_out(&call.headers_in).await?;
                with_cookies(see_other("/audit/sign-in"), &[cookie])
            })
            .takes(Owner::Own, Vec::new())
            .without_factor()
            .costs(|_| Price::Nothing),
        ),
        page(
            "/audit/keys",
            "audit.keys-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let view = View::of(&call);
                Ok(answered(&view, StatusCode::OK, "keyboard", None, &keyboard(&view)))
            })
            .needs(Permission::Audit)
            .costs(|_| Price::Low),
        ),
    ]
}

/// A code of an app, or a recovery code; or what a passkey answered, in JSON.
pub(crate) fn code() -> Param {
    Param::new("code", Kind::Free, "The six digits that the app shows, or a recovery code.").secret()
}

async fn sign_in(call: Call) -> Result<Response, Problem> {
    let to = page_after(&call.shared, call.form.text("to"));
    let access = &call.shared.access;
    let (signed_in, refused) = match (call.form.text("email"), call.form.text("key")) {
        (Some(email), None) => {
            let password = call.form.text("password").unwrap_or_default();
            let typed = Typed { email, password, network: &call.network };
            (access.sign_in_person(typed, &call.headers_in).await, "sign-in-wrong")
        }
        (_, key) => {
            let cookie = access.sign_in(key.unwrap_or_default(), &call.headers_in).await;
            (cookie.map(|cookie| Entered::Cookies(vec![cookie])), "sign-in-refused")
        }
    };
    match signed_in {
        Ok(Entered::Cookies(cookies)) => with_cookies(see_other(to), &cookies),
        Ok(Entered::Waits(token)) => {
            let view = View::of(&call);
            let body = second_step(&view, to, &token, None);
            Ok(answered(&view, StatusCode::OK, "second-factor", None, &body))
        }
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Ok(sign_in_again(&call, to, refused)),
        Err(problem) => Err(problem),
    }
}

/// The second step, with the code.
async fn second_factor(call: Call) -> Result<Response, Problem> {
    let to = page_after(&call.shared, call.form.text("to"));
    let (token, code) =
        (call.form.text("token").unwrap_or_default(), call.form.text("code").unwrap_or_default());
    match call.shared.access.second_factor(token, code, &call.headers_in).await {
        Ok(cookies) => with_cookies(see_other(to), &cookies),
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            Ok(sign_in_again(&call, to, "sign-in-ended"))
        }
        Err(problem) => {
            let view = View::of(&call);
            let Some(why) = wrong_factor(&view, &problem) else { return Err(problem) };
            let body = second_step(&view, to, token, Some(why));
            Ok(answered(&view, problem.status(), "second-factor", None, &body))
        }
    }
}

/// The page to go on to, or the export: what can be opened with GET, and nothing that a browser could take for another
/// site.
pub(crate) fn page_after<'t>(shared: &Shared, to: Option<&'t str>) -> &'t str {
    let shown = |to: &&str| is_ours(to) && is_shown(&shared.pages, to) || is_export(to);
    to.filter(shown).unwrap_or(HOME)
}

/// The exports, which a browser takes as files.
pub(crate) const EXPORTS: [&str; 4] = [
    "/api/audit/export.csv",
    "/api/audit/export.ndjson",
    "/api/audit/operations/export.csv",
    "/api/audit/operations/export.ndjson",
];

/// Whether this is the address of an export.
pub(crate) fn is_export(to: &str) -> bool {
    let path = to.split_once('?').map_or(to, |(path, _)| path);
    EXPORTS.contains(&path) && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn sign_in_again(call: &Call, to: &str, refused: &'static str) -> Response {
    let view = View::of(call);
    let email = call.form.text("email").unwrap_or_default();
    let body = form(&view, to, call.shared.access.has_people(), Some(view.word(refused)), email);
    answered(&view, StatusCode::UNAUTHORIZED, "sign-in", None, &body)
}

/// The form of the second step. `refused`: why the last code did not lead in.
fn second_step(view: &View<'_>, to: &str, token: &str, refused: Option<&str>) -> Markup {
    html! {
        div.door {
            h1 { (view.word("second-factor")) }
            p { (view.word("second-factor-why")) }
            @if let Some(refused) = refused {
                p.ill role="alert" { span aria-hidden="true" { "⚠ " } (refused) }
            }
            form.column method="post" action="/audit/second-factor" {
                input type="hidden" name="to" value=(to);
                input type="hidden" name="token" value=(token);
                (code_field(view))
                button { (view.word("sign-in")) }
            }
            (passkey_button(view))
            p { a href=(view.to("/audit/sign-in", &[("to", to)])) { (view.word("sign-in-again")) } }
        }
    }
}

/// Renders the refusal of a sign-in: the forms again with the address that was typed, and why it was refused.
fn refused_sign_in(shared: &Shared, visit: &Visit, problem: &Problem) -> Response {
    if problem.status() == StatusCode::FORBIDDEN {
        return refused(shared, visit, problem);
    }
    let typed = visit.form.clone().unwrap_or_default();
    // The forms are in the place of the one that is made from the fields.
    let bare = visit.without_form();
    refused_with(shared, &bare, problem, |view, problem| {
        let to = page_after(shared, typed.text("to"));
        let why = match refused_form::fault(view, problem) {
            Some((_, sentence)) => sentence,
            None => view
                .word_of(&format!("refused-{}", problem.slug()))
                .unwrap_or_else(|| view.word("refused-otherwise")),
        };
        form(view, to, shared.access.has_people(), Some(why), typed.text("email").unwrap_or_default())
    })
}

/// Whether this is a page of the viewer, and nothing that a browser could take for another site.
pub(crate) fn is_ours(to: &str) -> bool {
    let rest = to.strip_prefix(HOME);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Whether this path can be opened with GET. A form that was sent without a session is not sent again after signing in.
pub(crate) fn is_shown(pages: &[&str], to: &str) -> bool {
    let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let expected = parts(to.split_once('?').map_or(to, |(path, _)| path));
    pages.iter().any(|page| {
        let known = parts(page);
        known.len() == expected.len()
            && known
                .iter()
                .zip(&expected)
                .all(|(known, expected)| known.starts_with('{') || known == expected)
    })
}

/// The response, with these values of `Set-Cookie`.
pub(crate) fn with_cookies(mut response: Response, cookies: &[String]) -> Result<Response, Problem> {
    for cookie in cookies {
        let value = HeaderValue::from_str(cookie).map_err(Problem::internal)?;
        response.headers_mut().append(SET_COOKIE, value);
    }
    Ok(response)
}

/// The two ways in: with an account, where the shop has them, and with a key. `refused`: why the last one did not lead in;
/// `email`: the address that was typed for it.
fn form(view: &View<'_>, to: &str, people: bool, refused: Option<&str>, email: &str) -> Markup {
    let by_account = refused.filter(|_| !email.is_empty()).map(|_| "true");
    let described = by_account.map(|_| "refused");
    html! {
        div.door {
            h1 { (view.word("sign-in")) }
            p { (view.word("sign-in-why")) }
            @if let Some(refused) = refused {
                p.ill id="refused" role="alert" { span aria-hidden="true" { "⚠ " } (refused) }
            }
            @if people {
                form.column method="post" action="/audit/sign-in" {
                    input type="hidden" name="to" value=(to);
                    label for="email" { (view.word("email")) }
                    input type="email" id="email" name="email" value=(email) required autocomplete="username" spellcheck="false"
                        aria-invalid=[by_account] aria-describedby=[described];
                    label for="password" { (view.word("password")) }
                    input type="password" id="password" name="password" required autocomplete="current-password"
                        aria-invalid=[by_account] aria-describedby=[described];
                    button { (view.word("sign-in")) }
                }
                h2 { (view.word("sign-in-with-key")) }
            }
            form.column method="post" action="/audit/sign-in" {
                input type="hidden" name="to" value=(to);
                label for="key" { (view.word("key")) }
                input type="password" id="key" name="key" required autocomplete="off" spellcheck="false";
                button { (view.word("sign-in-key")) }
            }
            p.soft { (view.word("sign-in-how")) " " code translate="no" { "soonshop key create --role support --name …" } }
            @if people {
                p.soft { (view.word("sign-in-account-how")) " " code translate="no" { "soonshop account open --role support --email …" } }
            }
        }
    }
}

/// Shortcuts for functions that an export does not have.
const OF_SHOPS: [&str; 3] = ["key-version", "key-go", "key-live"];

/// Shortcuts: the key, and the name of its text.
const KEYS: &[(&str, &str)] = &[
    ("/", "key-search"),
    ("j k", "key-row"),
    ("Enter", "key-open"),
    ("Esc", "key-back"),
    ("[ ]", "key-version"),
    ("g o, g t, g p, g m, g d, g i, g r", "key-go"),
    ("l", "key-live"),
    ("e", "key-export"),
    ("c", "key-link"),
    ("y", "key-id"),
    ("?", "key-help"),
];

fn keyboard(view: &View<'_>) -> Markup {
    html! {
        h1 { (view.word("keyboard")) }
        table {
            thead { tr { th scope="col" { (view.word("key-pressed")) } th scope="col" { (view.word("key-does")) } } }
            tbody {
                @for (key, word) in KEYS.iter().filter(|(_, word)| view.file.is_none() || !OF_SHOPS.contains(word)) {
                    tr { td { kbd translate="no" { (key) } } td data-name=(view.word("key-does")) { (view.word(word)) } }
                }
            }
        }
        p { (view.word("keyboard-off")) }
        p { button type="button" data-keys hidden { (view.word("keyboard-switch")) } }
    }
}

#[cfg(test)]
mod tests {
    use super::{EXPORTS, is_export, is_ours};

    #[test]
    fn sign_in_never_redirects_to_another_site() {
        for good in ["/audit", "/audit?lang=en", "/audit/timeline?q=a%20b"] {
            assert!(is_ours(good), "{good}");
        }
        for bad in
            ["//evil.example", "/auditor", "https://evil.example/audit", "/audit\\evil", "/audit/\n", ""]
        {
            assert!(!is_ours(bad), "{bad}");
        }
    }

    #[test]
    fn an_export_is_gone_on_to_and_no_other_endpoint_of_programs() {
        for good in EXPORTS {
            assert!(is_export(good) && is_export(&format!("{good}?q=a%20b")), "{good}");
        }
        for bad in [
            "/api/audit/timeline",
            "//evil/api/audit/export.csv",
            "/api/audit/export.csv\\x",
            "/api/audit/export.csv/x",
            "",
        ] {
            assert!(!is_export(bad), "{bad}");
        }
    }
}
