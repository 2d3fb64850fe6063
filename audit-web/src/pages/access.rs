//! Signing in with an e-mail address and a password, or with a key, and signing out; and the page of keyboard shortcuts.

use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Owner, Permission, Typed};
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::work::Price;

use super::frame::{View, answered, described, page, see_other, with};
use crate::state::{Action, Call, Endpoint};

/// The page after signing in, where the request names none.
const HOME: &str = "/audit";

pub(crate) fn table() -> Vec<Endpoint> {
    let to = || Param::new("to", Kind::Free, "The page to go on to.").display_only();
    let key =
        Param::new("key", Kind::Free, "An API key, or the operator's token; in the place of the other two.");
    let email = Param::new("email", Kind::Free, "The e-mail address of an account.");
    let password = Param::new("password", Kind::Typed, "Its password.");
    vec![
        page(
            "/audit/sign-in",
            "audit.sign-in-page",
            Class::Reads,
            Action::new(with(vec![to()]), described(), |call| async move {
                let view = View::of(&call);
                let body = form(
                    &view,
                    call.params.text("to").unwrap_or(HOME),
                    call.shared.access.has_people(),
                    None,
                );
                Ok(answered(&view, StatusCode::OK, "sign-in", None, &body))
            })
            .costs(|_| Price::Low),
        ),
        page(
            "/audit/sign-in",
            "audit.sign-in",
            Class::SignIns,
            Action::new(with(Vec::new()), described(), sign_in)
                .takes(Owner::Own, vec![key, email, password, to()])
                .costs(|_| Price::Low),
        ),
        page(
            "/audit/sign-out",
            "audit.sign-out",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let cookie = call.shared.access.sign_out(&call.headers_in).await?;
                with_cookie(see_other("/audit/sign-in"), &cookie)
            })
            .takes(Owner::Own, Vec::new())
            .costs(|_| Price::Low),
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

async fn sign_in(call: Call) -> Result<Response, Problem> {
    let to =
        call.form.text("to").filter(|to| is_ours(to) && is_shown(&call.shared.pages, to)).unwrap_or(HOME);
    let access = &call.shared.access;
    let (signed_in, refused) = match (call.form.text("email"), call.form.text("key")) {
        (Some(email), None) => {
            let device = call.headers_in.get(USER_AGENT).and_then(|value| value.to_str().ok());
            let password = call.form.text("password").unwrap_or_default();
            let typed = Typed { email, password, network: &call.network, device };
            (access.sign_in_person(typed, &call.headers_in).await, "sign-in-wrong")
        }
        (_, key) => (access.sign_in(key.unwrap_or_default(), &call.headers_in).await, "sign-in-refused"),
    };
    match signed_in {
        Ok(cookie) => with_cookie(see_other(to), &cookie),
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            let view = View::of(&call);
            let body = form(&view, to, access.has_people(), Some(view.word(refused)));
            Ok(answered(&view, StatusCode::UNAUTHORIZED, "sign-in", None, &body))
        }
        Err(problem) => Err(problem),
    }
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

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, Problem> {
    let value = HeaderValue::from_str(cookie).map_err(Problem::internal)?;
    response.headers_mut().append(SET_COOKIE, value);
    Ok(response)
}

/// The two ways in: with an account, where the shop has them, and with a key. `refused`: why the last one did not lead in.
fn form(view: &View<'_>, to: &str, people: bool, refused: Option<&str>) -> Markup {
    html! {
        div.door {
            h1 { (view.word("sign-in")) }
            p { (view.word("sign-in-why")) }
            @if let Some(refused) = refused {
                p.ill role="alert" { span aria-hidden="true" { "⚠ " } (refused) }
            }
            @if people {
                form.column method="post" action="/audit/sign-in" {
                    input type="hidden" name="to" value=(to);
                    label for="email" { (view.word("email")) }
                    input type="email" id="email" name="email" required autocomplete="username" spellcheck="false";
                    label for="password" { (view.word("password")) }
                    input type="password" id="password" name="password" required autocomplete="current-password";
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
    use super::is_ours;

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
}
