//! Second factors of the account that is signed in: the page that asks for a code, and the page to add and remove factors.
//! They are among the pages of the audit trail and among those of accounts, which are served by other processes.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::Response;
use futures::future::BoxFuture;
use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};
use soonshop_domain::text::visible;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Factor, ListedFactors, Owner, StartedFactor};
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::endpoint::{self, Action, Answer, Call, Endpoint, Visit};
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::work::Price;
use uuid::Uuid;

use super::access::{code, page_after};
use super::frame::{
    ASK_PASSKEY, FACTORS, STEP_UP, View, answered, code_field, described, passkey_button, passkey_script,
    refused, see_other, warning, with, wrong_factor,
};
use crate::state::Shared;

/// The path of a page, and the name of its endpoint.
pub(crate) type At = (&'static str, &'static str);

/// The addresses of these pages.
pub(crate) struct Addresses {
    pub(crate) asks: At,
    pub(crate) step_up: At,
    pub(crate) list: At,
    pub(crate) add: At,
    pub(crate) prove: At,
    pub(crate) ask_passkey: At,
    pub(crate) add_passkey: At,
    pub(crate) prove_passkey: At,
    pub(crate) remove: At,
    pub(crate) recovery_codes: At,
}

/// Pages that these are among.
pub(crate) trait Place: endpoint::Shared + Sized {
    const AT: Addresses;

    fn view(call: &Call<Self>) -> View<'_>;

    /// The page to go on to, if it may be one.
    fn after<'t>(&self, to: Option<&'t str>) -> &'t str;

    /// Renders a refusal.
    fn refused(&self, visit: &Visit, problem: &Problem) -> Response;
}

impl Place for Shared {
    const AT: Addresses = Addresses {
        asks: (STEP_UP, "audit.step-up-page"),
        step_up: (STEP_UP, "audit.step-up"),
        list: (FACTORS, "audit.factors-page"),
        add: (FACTORS, "audit.add-factor"),
        prove: ("/audit/factors/proofs", "audit.prove-factor"),
        ask_passkey: (ASK_PASSKEY, "audit.ask-passkey"),
        add_passkey: ("/audit/factors/passkeys", "audit.add-passkey"),
        prove_passkey: ("/audit/factors/passkeys/proofs", "audit.prove-passkey"),
        remove: ("/audit/factors/removals", "audit.remove-factor"),
        recovery_codes: ("/audit/recovery-codes", "audit.make-recovery-codes"),
    };

    fn view(call: &Call<Self>) -> View<'_> {
        View::of(call)
    }

    fn after<'t>(&self, to: Option<&'t str>) -> &'t str {
        page_after(self, to)
    }

    fn refused(&self, visit: &Visit, problem: &Problem) -> Response {
        refused(self, visit, problem)
    }
}

/// The answer to a request.
pub(super) type Run<S> = fn(Call<S>) -> BoxFuture<'static, Answer>;

/// A form that is sent.
pub(super) fn sent<S: Place>((path, name): At, class: Class, form: Vec<Param>, run: Run<S>) -> Endpoint<S> {
    let action = Action::new(with(Vec::new()), described(), run).takes(Owner::Own, form);
    Endpoint::page(path, name, class, action.without_factor().costs(|_| Price::Nothing), S::refused)
}

/// The page to go on to.
pub(super) fn to() -> Param {
    Param::new("to", Kind::Free, "The page to go on to.")
}

/// The password, once more, with which a factor is added.
pub(super) fn password() -> Param {
    Param::new("password", Kind::Typed, "The password of the account.").secret()
}

/// The second factor that a form is about.
pub(super) fn factor() -> Param {
    Param::new("factor", Kind::Id, "A second factor.").required()
}

pub(crate) fn table<S: Place>() -> Vec<Endpoint<S>> {
    let shown = |(path, name): At, params, run: Run<S>| {
        let action = Action::new(with(params), described(), run);
        Endpoint::page(path, name, Class::Reads, action.without_factor().costs(|_| Price::Low), S::refused)
    };
    let Addresses { asks: of_asks, step_up: of_step_up, list, add: of_add, prove: of_prove, .. } = S::AT;
    let Addresses { remove: of_remove, recovery_codes: of_codes, .. } = S::AT;
    vec![
        shown(of_asks, vec![to().display_only()], |call| Box::pin(async move { asks(&call) })),
        sent(of_step_up, Class::Writes, vec![code(), to()], |call| Box::pin(step_up(call))),
        shown(list, vec![to().display_only()], |call| Box::pin(listed(call))),
        sent(of_add, Class::SignIns, vec![password(), to()], |call| Box::pin(add(call))),
        sent(of_prove, Class::Writes, vec![factor(), code(), to()], |call| Box::pin(prove(call))),
        sent(of_remove, Class::Writes, vec![factor()], |call| Box::pin(remove(call))),
        sent(of_codes, Class::Writes, Vec::new(), |call| Box::pin(recovery_codes(call))),
    ]
}

/// The session of an account. A key and the operator's token have none.
pub(super) fn session<S: Place>(call: &Call<S>) -> Result<Uuid, Problem> {
    call.caller().own_session().ok_or_else(|| {
        Problem::conflict(
            "no-second-factor",
            "second factors belong to accounts: sign in with one, and not with a key",
        )
    })
}

/// The page that the address names to go on to.
fn after<S: Place>(call: &Call<S>) -> String {
    call.shared.after(call.params.text("to")).to_owned()
}

fn asks<S: Place>(call: &Call<S>) -> Answer {
    session(call)?;
    let view = S::view(call);
    Ok(answered(&view, StatusCode::OK, "second-factor", None, &code_form::<S>(&view, &after(call), None)))
}

async fn step_up<S: Place>(call: Call<S>) -> Answer {
    let session = session(&call)?;
    let to = call.shared.after(call.form.text("to"));
    let code = call.form.text("code").unwrap_or_default();
    match call.shared.access().people()?.step_up(session, code).await {
        Ok(()) => Ok(see_other(to)),
        Err(problem) if problem.slug() == "no-second-factor" => {
            Ok(see_other(&S::view(&call).to(S::AT.list.0, &[("to", to)])))
        }
        Err(problem) => {
            let view = S::view(&call);
            let Some(why) = wrong_factor(&view, &problem) else { return Err(problem) };
            let body = code_form::<S>(&view, to, Some(why));
            Ok(answered(&view, problem.status(), "second-factor", None, &body))
        }
    }
}

fn code_form<S: Place>(view: &View<'_>, to: &str, refused: Option<&str>) -> Markup {
    html! {
        div.door {
            h1 { (view.word("second-factor")) }
            p { (view.word("fresh-factor-why")) }
            (warning(refused))
            form.column method="post" action=(S::AT.step_up.0) {
                input type="hidden" name="to" value=(to);
                (code_field(view))
                button { (view.word("go-on")) }
            }
            (passkey_button(view))
            p.soft { a href=(view.to(S::AT.list.0, &[("to", to)])) { (view.word("factors-none-yet")) } }
        }
    }
}

async fn listed<S: Place>(call: Call<S>) -> Answer {
    let session = session(&call)?;
    let to = after(&call);
    list(&call, session, &to, Refused::default()).await
}

/// Why a factor was not added, by the form that was sent.
#[derive(Default)]
pub(super) struct Refused<'v> {
    pub(super) status: StatusCode,
    pub(super) app: Option<&'v str>,
    pub(super) passkey: Option<&'v str>,
}

/// The page of the factors of a session's account.
pub(super) async fn list<S: Place>(call: &Call<S>, session: Uuid, to: &str, refused: Refused<'_>) -> Answer {
    let people = call.shared.access().people()?;
    let listed = people.factors(session).await?;
    let view = S::view(call);
    let missing = call.caller().factor == Factor::Missing;
    let body = html! {
        (listed_factors::<S>(&view, &listed, missing, to))
        h2 { (view.word("factor-add")) }
        (warning(refused.app))
        form.column.narrow method="post" action=(S::AT.add.0) {
            input type="hidden" name="to" value=(to);
            label for="password" { (view.word("password")) }
            input type="password" id="password" name="password" required autocomplete="current-password";
            button { (view.word("factor-add")) }
        }
        @if people.offers_passkeys() { (adding_passkey::<S>(&view, to, refused.passkey)) }
    };
    Ok(answered(&view, refused.status, "factors", None, &body))
}

fn listed_factors<S: Place>(view: &View<'_>, listed: &ListedFactors, missing: bool, to: &str) -> Markup {
    let some = !listed.factors.is_empty();
    html! {
        h1 { (view.word("factors")) }
        @if missing {
            p.banner.ill role="status" { span aria-hidden="true" { "⚠ " } (view.word(if some { "factors-give-one" } else { "factors-must-have" })) }
            @if some { p { a href=(view.to(S::AT.asks.0, &[("to", to)])) { (view.word("second-factor")) } } }
        }
        p { (view.word("factors-what")) }
        @if some {
            table {
                thead { tr { th scope="col" { (view.word("factor-kind")) } th scope="col" { (view.word("factor-added")) } th scope="col" { (view.word("factor-used")) } th scope="col" { (view.word("factor-change")) } } }
                tbody {
                    @for one in &listed.factors {
                        tr {
                            td data-name=(view.word("factor-kind")) {
                                (view.language.value_of("kind", &one.kind).unwrap_or_default())
                                @if let Some(name) = &one.name { (view.word("colon")) (visible(name)) }
                            }
                            td data-name=(view.word("factor-added")) { (view.time(one.added_at)) }
                            td data-name=(view.word("factor-used")) { @if let Some(at) = one.used_at { (view.time(at)) } @else { "–" } }
                            td data-name=(view.word("factor-change")) {
                                form.line method="post" action=(S::AT.remove.0) {
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
            form method="post" action=(S::AT.recovery_codes.0) { button.quiet { (view.word("recovery-codes-new")) } }
        }
    }
}

async fn add<S: Place>(call: Call<S>) -> Answer {
    let session = session(&call)?;
    let people = call.shared.access().people()?;
    let to = call.shared.after(call.form.text("to"));
    let password = call.form.text("password").unwrap_or_default();
    match people.add_factor(session, password, &call.network).await {
        Ok(started) => {
            let view = S::view(&call);
            Ok(answered(&view, StatusCode::OK, "factor-add", None, &secret::<S>(&view, &started, to)?))
        }
        Err(problem) if problem.slug() == "wrong-password" => {
            let why = S::view(&call).word("factor-wrong-password");
            let refused = Refused { status: problem.status(), app: Some(why), passkey: None };
            list(&call, session, to, refused).await
        }
        Err(problem) => Err(problem),
    }
}

fn secret<S: Place>(view: &View<'_>, started: &StartedFactor, to: &str) -> Result<Markup, Problem> {
    Ok(html! {
        h1 { (view.word("factor-add")) }
        p { (view.word("factor-scan")) }
        (picture(view, &started.uri)?)
        p { (view.word("factor-type")) " " code translate="no" { (started.secret) } }
        p.soft { code translate="no" { (started.uri) } }
        (proof_form::<S>(view, started.id, to, None))
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

fn proof_form<S: Place>(view: &View<'_>, factor: Uuid, to: &str, refused: Option<&str>) -> Markup {
    html! {
        (warning(refused))
        form.column.narrow method="post" action=(S::AT.prove.0) {
            input type="hidden" name="factor" value=(factor);
            input type="hidden" name="to" value=(to);
            p { (view.word("factor-prove")) }
            (code_field(view))
            button { (view.word("factor-add")) }
        }
    }
}

/// The factor that a form names.
pub(super) fn named<S: Place>(call: &Call<S>) -> Result<Uuid, Problem> {
    let id = call.form.text("factor").and_then(|id| Uuid::try_parse(id).ok());
    id.ok_or_else(|| Problem::not_found("factor-not-found", "the form names no second factor"))
}

async fn prove<S: Place>(call: Call<S>) -> Answer {
    let (session, factor) = (session(&call)?, named(&call)?);
    let to = call.shared.after(call.form.text("to"));
    let code = call.form.text("code").unwrap_or_default();
    match call.shared.access().people()?.prove_factor(session, factor, code).await {
        Ok(codes) => Ok(added(&call, &codes, to)),
        Err(problem) if problem.slug() == "wrong-code" => {
            let view = S::view(&call);
            let body = html! {
                h1 { (view.word("factor-add")) }
                (proof_form::<S>(&view, factor, to, Some(view.word("code-wrong"))))
            };
            Ok(answered(&view, problem.status(), "factor-add", None, &body))
        }
        Err(problem) => Err(problem),
    }
}

/// The page after a factor was added: the recovery codes that came with it, or else the list.
pub(super) fn added<S: Place>(call: &Call<S>, codes: &[String], to: &str) -> Response {
    let view = S::view(call);
    if codes.is_empty() {
        return see_other(&view.to(S::AT.list.0, &[("to", to)]));
    }
    answered(&view, StatusCode::OK, "recovery-codes", None, &shown_codes(&view, codes, to))
}

fn shown_codes(view: &View<'_>, codes: &[String], to: &str) -> Markup {
    html! {
        h1 { (view.word("recovery-codes")) }
        p { (view.word("recovery-codes-why")) }
        ol.codes translate="no" { @for code in codes { li { code { (code) } } } }
        p { a href=(to) { (view.word("recovery-codes-kept")) } }
    }
}

async fn remove<S: Place>(call: Call<S>) -> Answer {
    let (session, factor) = (session(&call)?, named(&call)?);
    call.shared.access().people()?.remove_factor(session, factor).await?;
    Ok(see_other(&S::view(&call).to(S::AT.list.0, &[])))
}

async fn recovery_codes<S: Place>(call: Call<S>) -> Answer {
    let session = session(&call)?;
    let codes = call.shared.access().people()?.make_recovery_codes(session).await?;
    let view = S::view(&call);
    Ok(answered(&view, StatusCode::OK, "recovery-codes", None, &shown_codes(&view, &codes, S::AT.list.0)))
}

/// The form that begins to add a passkey.
fn adding_passkey<S: Place>(view: &View<'_>, to: &str, refused: Option<&str>) -> Markup {
    html! {
        h2 { (view.word("passkey-add")) }
        p { (view.word("passkey-what")) }
        (passkey_script(view))
        (warning(refused))
        form.column.narrow method="post" action=(S::AT.add_passkey.0) {
            input type="hidden" name="to" value=(to);
            label for="passkey-name" { (view.word("passkey-name")) }
            input type="text" id="passkey-name" name="name" required maxlength="60" autocomplete="off";
            label for="passkey-password" { (view.word("password")) }
            input type="password" id="passkey-password" name="password" required autocomplete="current-password";
            button { (view.word("passkey-add")) }
        }
    }
}
