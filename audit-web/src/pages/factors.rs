//! Second factors of the account that is signed in: the page that asks for a code, and the page to add and remove factors.

use std::fmt::Write as _;

use axum::http::StatusCode;
use futures::future::BoxFuture;
use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Factor, ListedFactors, Owner, StartedFactor};
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::work::Price;
use uuid::Uuid;

use super::access::{code, page_after};
use super::frame::{FACTORS, STEP_UP, View, answered, code_field, described, page, see_other, warning, with};
use crate::state::{Action, Call, Endpoint};

/// The answer to a request.
type Run = fn(Call) -> BoxFuture<'static, Answer>;

pub(crate) fn table() -> Vec<Endpoint> {
    let to = || Param::new("to", Kind::Free, "The page to go on to.");
    let password = Param::new("password", Kind::Typed, "The password of the account.").secret();
    let factor = || Param::new("factor", Kind::Id, "A second factor.").required();
    let shown = |path, name, params, run: Run| {
        let action = Action::new(with(params), described(), run);
        page(path, name, Class::Reads, action.without_factor().costs(|_| Price::Low))
    };
    let sent = |path, name, class, form, run: Run| {
        let action = Action::new(with(Vec::new()), described(), run).takes(Owner::Own, form);
        page(path, name, class, action.without_factor().costs(|_| Price::Low))
    };
    vec![
        shown(STEP_UP, "audit.step-up-page", vec![to().display_only()], |call| {
            Box::pin(async move { asks(&call) })
        }),
        sent(STEP_UP, "audit.step-up", Class::Writes, vec![code(), to()], |call| Box::pin(step_up(call))),
        shown(FACTORS, "audit.factors-page", vec![to().display_only()], |call| Box::pin(listed(call))),
        sent(FACTORS, "audit.add-factor", Class::SignIns, vec![password, to()], |call| Box::pin(add(call))),
        sent(
            "/audit/factors/proofs",
            "audit.prove-factor",
            Class::Writes,
            vec![factor(), code(), to()],
            |call| Box::pin(prove(call)),
        ),
        sent("/audit/factors/removals", "audit.remove-factor", Class::Writes, vec![factor()], |call| {
            Box::pin(remove(call))
        }),
        sent("/audit/recovery-codes", "audit.make-recovery-codes", Class::Writes, Vec::new(), |call| {
            Box::pin(recovery_codes(call))
        }),
    ]
}

/// The session of an account. A key and the operator's token have none.
fn session(call: &Call) -> Result<Uuid, Problem> {
    call.caller().session.ok_or_else(|| {
        Problem::conflict(
            "no-second-factor",
            "second factors belong to accounts: sign in with one, and not with a key",
        )
    })
}

/// The page that the address names to go on to.
fn after(call: &Call) -> String {
    page_after(&call.shared, call.params.text("to")).to_owned()
}

fn asks(call: &Call) -> Answer {
    session(call)?;
    let view = View::of(call);
    Ok(answered(&view, StatusCode::OK, "second-factor", None, &code_form(&view, &after(call), None)))
}

async fn step_up(call: Call) -> Answer {
    let session = session(&call)?;
    let to = page_after(&call.shared, call.form.text("to"));
    let code = call.form.text("code").unwrap_or_default();
    match call.shared.access.people()?.step_up(session, code).await {
        Ok(()) => Ok(see_other(to)),
        Err(problem) if problem.slug() == "no-second-factor" => {
            Ok(see_other(&View::of(&call).to(FACTORS, &[("to", to)])))
        }
        Err(problem) if problem.slug() == "wrong-code" => {
            let view = View::of(&call);
            let body = code_form(&view, to, Some(view.word("code-wrong")));
            Ok(answered(&view, problem.status(), "second-factor", None, &body))
        }
        Err(problem) => Err(problem),
    }
}

fn code_form(view: &View<'_>, to: &str, refused: Option<&str>) -> Markup {
    html! {
        div.door {
            h1 { (view.word("second-factor")) }
            p { (view.word("fresh-factor-why")) }
            (warning(refused))
            form.column method="post" action=(STEP_UP) {
                input type="hidden" name="to" value=(to);
                (code_field(view))
                button { (view.word("go-on")) }
            }
            p.soft { a href=(view.to(FACTORS, &[("to", to)])) { (view.word("factors-none-yet")) } }
        }
    }
}

async fn listed(call: Call) -> Answer {
    let session = session(&call)?;
    let listed = call.shared.access.people()?.factors(session).await?;
    let view = View::of(&call);
    let missing = call.caller().factor == Factor::Missing;
    let body = list(&view, &listed, missing, &after(&call), None);
    Ok(answered(&view, StatusCode::OK, "factors", None, &body))
}

fn list(view: &View<'_>, listed: &ListedFactors, missing: bool, to: &str, refused: Option<&str>) -> Markup {
    let some = !listed.factors.is_empty();
    html! {
        h1 { (view.word("factors")) }
        @if missing {
            p.banner.ill role="status" { span aria-hidden="true" { "⚠ " } (view.word(if some { "factors-give-one" } else { "factors-must-have" })) }
            @if some { p { a href=(view.to(STEP_UP, &[("to", to)])) { (view.word("second-factor")) } } }
        }
        p { (view.word("factors-what")) }
        @if some {
            table {
                thead { tr { th scope="col" { (view.word("factor-added")) } th scope="col" { (view.word("factor-used")) } th scope="col" { (view.word("factor-change")) } } }
                tbody {
                    @for one in &listed.factors {
                        tr {
                            td data-name=(view.word("factor-added")) { (view.time(one.added_at)) }
                            td data-name=(view.word("factor-used")) { @if let Some(at) = one.used_at { (view.time(at)) } @else { "–" } }
                            td data-name=(view.word("factor-change")) {
                                form.line method="post" action="/audit/factors/removals" {
                                    input type="hidden" name="factor" value=(one.id);
                                    button.quiet { (view.word("factor-remove")) }
                                }
                            }
                        }
                    }
                }
            }
            h2 { (view.word("recovery-codes")) }
            p { (view.counted("recovery-codes-left", listed.recovery_codes)) }
            form method="post" action="/audit/recovery-codes" { button.quiet { (view.word("recovery-codes-new")) } }
        }
        h2 { (view.word("factor-add")) }
        (warning(refused))
        form.column.narrow method="post" action=(FACTORS) {
            input type="hidden" name="to" value=(to);
            label for="password" { (view.word("password")) }
            input type="password" id="password" name="password" required autocomplete="current-password";
            button { (view.word("factor-add")) }
        }
    }
}

async fn add(call: Call) -> Answer {
    let session = session(&call)?;
    let people = call.shared.access.people()?;
    let to = page_after(&call.shared, call.form.text("to"));
    let password = call.form.text("password").unwrap_or_default();
    match people.add_factor(session, password, &call.network).await {
        Ok(started) => {
            let view = View::of(&call);
            Ok(answered(&view, StatusCode::OK, "factor-add", None, &secret(&view, &started, to)?))
        }
        Err(problem) if problem.slug() == "wrong-password" => {
            let listed = people.factors(session).await?;
            let view = View::of(&call);
            let missing = call.caller().factor == Factor::Missing;
            let body = list(&view, &listed, missing, to, Some(view.word("factor-wrong-password")));
            Ok(answered(&view, problem.status(), "factors", None, &body))
        }
        Err(problem) => Err(problem),
    }
}

fn secret(view: &View<'_>, started: &StartedFactor, to: &str) -> Result<Markup, Problem> {
    Ok(html! {
        h1 { (view.word("factor-add")) }
        p { (view.word("factor-scan")) }
        (picture(view, &started.uri)?)
        p { (view.word("factor-type")) " " code translate="no" { (started.secret) } }
        p.soft { code translate="no" { (started.uri) } }
        (proof_form(view, started.id, to, None))
    })
}

/// A QR code as a picture in the page: nothing is loaded.
fn picture(view: &View<'_>, text: &str) -> Result<Markup, Problem> {
    const QUIET: usize = 4;
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Problem::internal)?;
    let width = code.width();
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (index % width + QUIET, index / width + QUIET);
            write!(path, "M{x} {y}h1v1h-1z").map_err(Problem::internal)?;
        }
    }
    let side = width + 2 * QUIET;
    Ok(html! {
        svg.qr xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {side} {side}")) role="img" aria-label=(view.word("factor-picture")) {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}

fn proof_form(view: &View<'_>, factor: Uuid, to: &str, refused: Option<&str>) -> Markup {
    html! {
        (warning(refused))
        form.column.narrow method="post" action="/audit/factors/proofs" {
            input type="hidden" name="factor" value=(factor);
            input type="hidden" name="to" value=(to);
            p { (view.word("factor-prove")) }
            (code_field(view))
            button { (view.word("factor-add")) }
        }
    }
}

/// The factor that a form names.
fn named(call: &Call) -> Result<Uuid, Problem> {
    let id = call.form.text("factor").and_then(|id| Uuid::try_parse(id).ok());
    id.ok_or_else(|| Problem::not_found("factor-not-found", "the form names no second factor"))
}

async fn prove(call: Call) -> Answer {
    let (session, factor) = (session(&call)?, named(&call)?);
    let to = page_after(&call.shared, call.form.text("to"));
    let code = call.form.text("code").unwrap_or_default();
    match call.shared.access.people()?.prove_factor(session, factor, code).await {
        Ok(codes) if codes.is_empty() => Ok(see_other(&View::of(&call).to(FACTORS, &[("to", to)]))),
        Ok(codes) => {
            let view = View::of(&call);
            Ok(answered(&view, StatusCode::OK, "recovery-codes", None, &shown_codes(&view, &codes, to)))
        }
        Err(problem) if problem.slug() == "wrong-code" => {
            let view = View::of(&call);
            let body = html! {
                h1 { (view.word("factor-add")) }
                (proof_form(&view, factor, to, Some(view.word("code-wrong"))))
            };
            Ok(answered(&view, problem.status(), "factor-add", None, &body))
        }
        Err(problem) => Err(problem),
    }
}

fn shown_codes(view: &View<'_>, codes: &[String], to: &str) -> Markup {
    html! {
        h1 { (view.word("recovery-codes")) }
        p { (view.word("recovery-codes-why")) }
        ol.codes translate="no" { @for code in codes { li { code { (code) } } } }
        p { a href=(to) { (view.word("recovery-codes-kept")) } }
    }
}

async fn remove(call: Call) -> Answer {
    let (session, factor) = (session(&call)?, named(&call)?);
    call.shared.access.people()?.remove_factor(session, factor).await?;
    Ok(see_other(&View::of(&call).to(FACTORS, &[])))
}

async fn recovery_codes(call: Call) -> Answer {
    let session = session(&call)?;
    let codes = call.shared.access.people()?.make_recovery_codes(session).await?;
    let view = View::of(&call);
    Ok(answered(&view, StatusCode::OK, "recovery-codes", None, &shown_codes(&view, &codes, FACTORS)))
}
