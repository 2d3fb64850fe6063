//! Passkeys of the account that is signed in: what the script asks for, and the forms that add one.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse as _;
use maud::{Markup, html};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::StartedPasskey;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::endpoint::{Answer, Call, Endpoint};
use soonshop_service_kit::rates::Class;

use super::access::code;
use super::factors::{Place, Refused, added, factor, list, named, password, sent, session, to};
use super::frame::{View, answered, passkey_script, wrong_factor};

pub(crate) fn table<S: Place>() -> Vec<Endpoint<S>> {
    let token = Param::new("token", Kind::Free, "The token of the sign-in that waits.").secret();
    let name = Param::new("name", Kind::Free, "The name of the passkey.").or_empty();
    vec![
        sent(S::AT.ask_passkey, Class::Writes, vec![token], |call| Box::pin(ask(call))),
        sent(S::AT.add_passkey, Class::SignIns, vec![name, password(), to()], |call| Box::pin(add(call))),
        sent(S::AT.prove_passkey, Class::Writes, vec![factor(), code(), to()], |call| Box::pin(prove(call))),
    ]
}

/// For the script: what to ask a passkey, at the second step of a sign-in or of who is signed in. 204: there is none.
async fn ask<S: Place>(call: Call<S>) -> Answer {
    let people = call.shared.access().people()?;
    let asked = match call.form.text("token") {
        Some(token) => people.ask_at_sign_in(token).await,
        None => people.ask_for_step_up(session(&call)?).await,
    };
    match asked {
        Ok(options) => Ok(([(CACHE_CONTROL, "no-store")], Json(options)).into_response()),
        Err(problem) if ["no-passkey", "passkeys-not-offered"].contains(&problem.slug()) => {
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Err(problem) => Err(problem),
    }
}

async fn add<S: Place>(call: Call<S>) -> Answer {
    let session = session(&call)?;
    let people = call.shared.access().people()?;
    let to = call.shared.after(call.form.text("to"));
    let typed = (call.form.text("name").unwrap_or_default(), call.form.text("password").unwrap_or_default());
    let problem = match people.add_passkey(session, typed, &call.network).await {
        Ok(started) => {
            let view = S::view(&call);
            let body = making::<S>(&view, &started, to)?;
            return Ok(answered(&view, StatusCode::OK, "passkey-add", None, &body));
        }
        Err(problem) => problem,
    };
    let why = match problem.slug() {
        "wrong-password" => "factor-wrong-password",
        "invalid-body" => "passkey-bad-name",
        _ => return Err(problem),
    };
    let why = S::view(&call).word(why);
    let refused = Refused { status: problem.status(), app: None, passkey: Some(why) };
    list(&call, session, to, refused).await
}

/// The page on which the browser makes the passkey. The script sends its answer.
fn making<S: Place>(view: &View<'_>, started: &StartedPasskey, to: &str) -> Result<Markup, Problem> {
    let options = serde_json::to_string(&started.options).map_err(Problem::internal)?;
    let site = started.options["rp"]["id"].as_str().unwrap_or_default();
    Ok(html! {
        h1 { (view.word("passkey-add")) }
        p { (view.word("passkey-make")) }
        form method="post" action=(S::AT.prove_passkey.0) {
            input type="hidden" name="factor" value=(started.id);
            input type="hidden" name="to" value=(to);
            input type="hidden" name="code";
        }
        div.passkey data-new-passkey=(options) hidden {
            button type="button" { (view.word("passkey-make-it")) }
            p.ill role="status" hidden { (view.word("passkey-not-made")) }
        }
        p.ill role="status" data-passkey-elsewhere hidden { (view.word("passkey-elsewhere")) " " (site) }
        (passkey_script(view))
        p { a href=(view.to(S::AT.list.0, &[("to", to)])) { (view.word("factors")) } }
    })
}

async fn prove<S: Place>(call: Call<S>) -> Answer {
    let (session, factor) = (session(&call)?, named(&call)?);
    let to = call.shared.after(call.form.text("to"));
    let answer = call.form.text("code").unwrap_or_default();
    match call.shared.access().people()?.prove_passkey(session, factor, answer).await {
        Ok(codes) => Ok(added(&call, &codes, to)),
        Err(problem) => {
            let Some(why) = wrong_factor(&S::view(&call), &problem) else { return Err(problem) };
            let refused = Refused { status: problem.status(), app: None, passkey: Some(why) };
            list(&call, session, to, refused).await
        }
    }
}
