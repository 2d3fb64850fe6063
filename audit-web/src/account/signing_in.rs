//! Signing in with an e-mail address and a password, the second step, and signing out.

use axum::http::StatusCode;
use maud::{Markup, html};
use soonshop_service_kit::access::Typed;
use soonshop_service_kit::access::session::Entered;
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;

use super::forms::{Field, Form};
use super::mailed::{FORGOT, REGISTER};
use super::next::{SIGN_IN, after};
use super::providers::buttons;
use super::second_step::{SECOND, begin_again, second_step};
use super::state::{Call, Endpoint, email, password, sent, shown, view};
use crate::pages::access::{code, with_cookies};
use crate::pages::frame::{View, see_other};

/// What was done before somebody comes to this page.
const DONE: &[&str] = &["registered", "later", "reset", "email", "undo", "signed-out"];

pub(super) fn table() -> Vec<Endpoint> {
    let next = || Param::new("next", Kind::Free, "The page to go on to.").or_empty().display_only();
    let done = Param::new("done", Kind::OneOf(DONE), "What was done.").display_only();
    let token = Param::new("token", Kind::Free, "The token of the sign-in that waits.").secret().or_empty();
    let step = vec![token, code().or_empty(), next()];
    vec![
        shown(SIGN_IN, "identity.sign-in-page", vec![next(), done], |call| {
            Box::pin(async move { door(&call).await })
        }),
        sent(
            SIGN_IN,
            "identity.page-sign-in",
            Class::SignIns,
            (Vec::new(), vec![email(), password("password"), next()]),
            |call| Box::pin(sign_in(call)),
        ),
        sent(SECOND, "identity.page-second-factor", Class::SignIns, (Vec::new(), step), |call| {
            Box::pin(second_factor(call))
        }),
        sent(
            "/account/sign-out",
            "identity.page-sign-out",
            Class::Writes,
            (Vec::new(), Vec::new()),
            |call| Box::pin(sign_out(call)),
        ),
    ]
}

fn form(next: &str) -> Form<'_> {
    Form {
        title: "sign-in",
        why: "account-sign-in-why",
        action: SIGN_IN,
        hidden: vec![("next", next)],
        fields: vec![Field::EMAIL, Field::PASSWORD],
        given: Vec::new(),
        button: "sign-in",
    }
}

/// The ways on for who has no account, or no password.
fn ways(call: &Call, view: &View<'_>, next: &str) -> Markup {
    html! {
        (buttons(call, view, next))
        p { a href=(view.to(FORGOT, &[])) { (view.word("account-forgot")) } }
        p { a href=(view.to(REGISTER, &[])) { (view.word("account-register")) } }
    }
}

async fn door(call: &Call) -> Answer {
    let view = view(call);
    let done = call.params.text("done").and_then(|done| view.word_of(&format!("account-done-{done}")));
    let idle = done.is_none() && call.shared.access.was_idle(&call.headers_in).await?;
    let said = done.or(idle.then(|| view.word("signed-out-idle")));
    let next = after(call.params.text("next"));
    Ok(form(next).page(&view, said, &ways(call, &view, next)))
}

async fn sign_in(call: Call) -> Answer {
    let next = after(call.form.text("next"));
    let typed = Typed {
        email: call.form.text("email").unwrap_or_default(),
        password: call.form.text("password").unwrap_or_default(),
        network: &call.network,
    };
    match call.shared.access.sign_in_person(typed, &call.headers_in).await {
        Ok(Entered::Cookies(cookies)) => with_cookies(see_other(next), &cookies),
        Ok(Entered::Waits(token)) => {
            let view = view(&call);
            Ok(second_step(next, &token).page(&view, None, &begin_again(&view, next)))
        }
        Err(problem) => {
            let view = view(&call);
            Ok(form(next).again(&call, &view, &problem, &ways(&call, &view, next)))
        }
    }
}

async fn second_factor(call: Call) -> Answer {
    let next = after(call.form.text("next"));
    let token = call.form.text("token").unwrap_or_default();
    let code = call.form.text("code").unwrap_or_default();
    match call.shared.access.second_factor(token, code, &call.headers_in).await {
        Ok(cookies) => with_cookies(see_other(next), &cookies),
        // It begins again with the password.
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            let view = view(&call);
            Ok(form(next).again(&call, &view, &problem, &ways(&call, &view, next)))
        }
        Err(problem) => {
            let view = view(&call);
            Ok(second_step(next, token).again(&call, &view, &problem, &begin_again(&view, next)))
        }
    }
}

async fn sign_out(call: Call) -> Answer {
    let cookie = call.shared.access.sign_out(&call.headers_in).await?;
    with_cookies(see_other(&view(&call).to(SIGN_IN, &[("done", "signed-out")])), &[cookie])
}
