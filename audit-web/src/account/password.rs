//! The page to change one's own password.

use maud::{Markup, html};
use soonshop_service_kit::access::PasswordWanted;
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::rates::Class;

use super::forms::{Field, Form};
use super::state::{Call, Endpoint, as_sign_in, password, sent, session, shown, view};
use crate::pages::frame::{ACCOUNT, View, see_other};

pub(super) const PASSWORD: &str = "/account/password";

pub(super) fn table() -> Vec<Endpoint> {
    let form = vec![password("old_password"), password("new_password")];
    vec![
        shown(PASSWORD, "identity.password-page", Vec::new(), |call| {
            Box::pin(async move {
                if let Err(elsewhere) = session(&call, PASSWORD) {
                    return Ok(*elsewhere);
                }
                let view = view(&call);
                Ok(changing().page(&view, None, &back(&view)))
            })
        }),
        sent(PASSWORD, "identity.page-password", Class::SignIns, (Vec::new(), form), |call| {
            Box::pin(change(call))
        }),
    ]
}

fn changing() -> Form<'static> {
    Form {
        title: "account-change-password",
        why: "account-change-password-why",
        action: PASSWORD,
        hidden: Vec::new(),
        fields: vec![Field::OLD_PASSWORD, Field::NEW_PASSWORD],
        given: Vec::new(),
        button: "account-change-password",
    }
}

fn back(view: &View<'_>) -> Markup {
    html! { p { a href=(view.to(ACCOUNT, &[])) { (view.word("account-own")) } } }
}

async fn change(call: Call) -> Answer {
    let session = match session(&call, PASSWORD) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let wanted = PasswordWanted {
        old: call.form.text("old_password").unwrap_or_default(),
        new: call.form.text("new_password").unwrap_or_default(),
        network: &call.network,
    };
    let view = view(&call);
    Ok(match as_sign_in(call.shared.own.change_password(session, wanted)).await {
        Ok(()) => see_other(&view.to(ACCOUNT, &[("done", "password")])),
        Err(problem) => changing().again(&call, &view, &problem, &back(&view)),
    })
}
