//! The forms that ask the shop for a mail, and the pages that the links in those mails open. Opening a page changes nothing,
//! so a mail scanner or a preview uses no link up. The link's token stays in the address, which the shop does not log and
//! the browser sends to no other site.

use axum::response::Response;
use maud::{Markup, html};
use soonshop_domain::user::consent::Wording;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{AddressLink, AddressWanted, LinkUsed, MailAsked, NewAccount};
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;

use super::forms::{ADVERTISING, Field, Form, TICKED, notice};
use super::next::SIGN_IN;
use super::state::{Call, Endpoint, as_sign_in, email, password, sent, session, shown, view};
use crate::pages::frame::{ACCOUNT, View, answered, see_other};

pub(super) const REGISTER: &str = "/account/register";
pub(super) const FORGOT: &str = "/account/forgot";
pub(super) const EMAIL: &str = "/account/email";
const RESET: &str = "/account/reset";
const UNDO: &str = "/account/undo";
const CLAIM: &str = "/account/claim";
const MAILED: &str = "/account/mailed";

/// The version of the text `page-account-agree` beside the box of a registration. A new text needs a new version.
const WORDING: &str = "registration-1";

pub(super) fn table() -> Vec<Endpoint> {
    let link = || Param::new("link", Kind::Free, "The token in the mail's link.").or_empty();
    let name = Param::new("name", Kind::Free, "A name.").or_empty();
    let agreed = Param::new(
        ADVERTISING,
        Kind::OneOf(&[TICKED]),
        "Whether the person agrees to advertising by e-mail, in the words beside the box.",
    );
    let links = || vec![link()];
    vec![
        shown(REGISTER, "identity.register-page", links(), |call| {
            Box::pin(async move { Ok(opened(&call, Some(registration), Some(&asking_to_register()))) })
        }),
        sent(
            REGISTER,
            "identity.page-register",
            Class::SignIns,
            (links(), vec![email(), password("password"), name, agreed]),
            |call| Box::pin(register(call)),
        ),
        shown(FORGOT, "identity.forgot-page", Vec::new(), |call| {
            Box::pin(async move { Ok(opened(&call, None, Some(&forgotten()))) })
        }),
        sent(FORGOT, "identity.page-forgot", Class::SignIns, (Vec::new(), vec![email()]), |call| {
            Box::pin(async move { ask(&call, MailAsked::Reset, &forgotten()).await })
        }),
        shown(MAILED, "identity.mailed-page", Vec::new(), |call| Box::pin(async move { Ok(mailed(&call)) })),
        shown(RESET, "identity.reset-page", links(), |call| {
            Box::pin(async move { Ok(opened(&call, Some(resetting), None)) })
        }),
        sent(RESET, "identity.page-reset", Class::SignIns, (links(), vec![password("password")]), |call| {
            Box::pin(reset(call))
        }),
        shown(EMAIL, "identity.email-page", links(), |call| {
            Box::pin(async move {
                if token(&call).is_none()
                    && let Err(elsewhere) = session(&call, EMAIL)
                {
                    return Ok(*elsewhere);
                }
                Ok(opened(&call, Some(confirming), Some(&changing())))
            })
        }),
        sent(
            EMAIL,
            "identity.page-email",
            Class::SignIns,
            (links(), vec![email(), password("password")]),
            |call| Box::pin(change_email(call)),
        ),
        shown(UNDO, "identity.undo-page", links(), |call| {
            Box::pin(async move { Ok(opened(&call, Some(undoing), None)) })
        }),
        shown(CLAIM, "identity.claim-page", links(), |call| {
            Box::pin(async move {
                if let Err(elsewhere) = session(&call, &with_link(&call, CLAIM)) {
                    return Ok(*elsewhere);
                }
                Ok(opened(&call, Some(claiming), None))
            })
        }),
        sent(CLAIM, "identity.page-claim", Class::SignIns, (links(), Vec::new()), |call| {
            Box::pin(claim(call))
        }),
        sent(UNDO, "identity.page-undo", Class::SignIns, (links(), Vec::new()), |call| {
            Box::pin(async move { use_address_link(&call, AddressLink::Undo, undoing, "undo").await })
        }),
    ]
}

/// The token of a mail's link in the address.
fn token(call: &Call) -> Option<&str> {
    call.params.text("link")
}

/// The address of a page with that token.
fn with_link(call: &Call, path: &str) -> String {
    let link = url::form_urlencoded::byte_serialize(token(call).unwrap_or_default().as_bytes());
    format!("{path}?link={}", link.collect::<String>())
}

/// A form that is sent to the address with the link.
type OfLink = for<'f> fn(&'f str) -> Form<'f>;

fn of_link<'f>(
    action: &'f str,
    (title, why, button): (&'static str, &'static str, &'static str),
    fields: Vec<Field>,
) -> Form<'f> {
    Form { title, why, action, hidden: Vec::new(), fields, given: Vec::new(), button }
}

fn registration(action: &str) -> Form<'_> {
    let fields = vec![Field::NAME, Field::FIRST_PASSWORD, Field::ADVERTISING];
    of_link(action, ("account-register", "account-confirm-why", "account-open"), fields)
}

fn resetting(action: &str) -> Form<'_> {
    of_link(
        action,
        ("account-reset", "account-reset-why", "account-set-password"),
        vec![Field::FIRST_PASSWORD],
    )
}

fn confirming(action: &str) -> Form<'_> {
    of_link(action, ("account-email", "account-email-confirm-why", "account-email-confirm"), Vec::new())
}

fn undoing(action: &str) -> Form<'_> {
    of_link(action, ("account-undo", "account-undo-why", "account-undo-button"), Vec::new())
}

fn claiming(action: &str) -> Form<'_> {
    of_link(action, ("account-claim", "account-claim-why", "account-claim-button"), Vec::new())
}

fn asking_to_register() -> Form<'static> {
    let texts = ("account-register", "account-register-why", "account-send-mail");
    of_link(REGISTER, texts, vec![Field::EMAIL])
}

fn forgotten() -> Form<'static> {
    of_link(FORGOT, ("account-forgot", "account-forgot-why", "account-send-mail"), vec![Field::EMAIL])
}

fn changing() -> Form<'static> {
    let fields = vec![Field::NEW_EMAIL, Field::PASSWORD];
    of_link(EMAIL, ("account-email", "account-email-why", "account-send-mail"), fields)
}

/// The page of a form: that of a link where the address has one.
fn opened(call: &Call, with_link: Option<OfLink>, without: Option<&Form<'_>>) -> Response {
    let view = view(call);
    match (token(call).and(with_link), without) {
        (Some(form), _) => form(&view.but("", None)).page(&view, None, &html! {}),
        (None, Some(form)) => form.page(&view, None, &back(&view)),
        (None, None) => not_valid(&view),
    }
}

/// The way back to where this page was opened from.
pub(super) fn back(view: &View<'_>) -> Markup {
    let (path, word) =
        if view.has_account() { (ACCOUNT, "account-own") } else { (SIGN_IN, "account-to-sign-in") };
    html! { p { a href=(view.to(path, &[])) { (view.word(word)) } } }
}

/// What to do where a link cannot be used.
fn not_valid(view: &View<'_>) -> Response {
    let (path, word) = match view.visit.path.as_str() {
        REGISTER => (REGISTER, "account-register"),
        EMAIL => (EMAIL, "account-email"),
        CLAIM => (ACCOUNT, "account-own"),
        _ => (FORGOT, "account-forgot"),
    };
    let body = html! {
        div.door {
            h1 { span aria-hidden="true" { "⚠ " } (view.word("account-link-not-valid")) }
            p role="alert" { (view.word_of("refused-link-not-valid").unwrap_or_default()) }
            p { a href=(view.to(path, &[])) { (view.word(word)) } }
            p { a href=(view.to(SIGN_IN, &[])) { (view.word("account-to-sign-in")) } }
        }
    };
    answered(view, axum::http::StatusCode::UNPROCESSABLE_ENTITY, "account-link-not-valid", None, &body)
}

/// The answer where a link's form was refused.
fn refused(call: &Call, form: OfLink, problem: &Problem) -> Response {
    let view = view(call);
    if problem.slug() == "link-not-valid" {
        return not_valid(&view);
    }
    form(&view.but("", None)).again(call, &view, problem, &html! {})
}

/// The page to sign in on, with what was done.
fn done(call: &Call, what: &str) -> Response {
    see_other(&view(call).to(SIGN_IN, &[("done", what)]))
}

fn used(call: &Call, link: LinkUsed, what: &str) -> Response {
    done(call, if link == LinkUsed::Later { "later" } else { what })
}

async fn ask(call: &Call, what: MailAsked, form: &Form<'_>) -> Answer {
    let view = view(call);
    let email = call.form.text("email").unwrap_or_default();
    Ok(match as_sign_in(call.shared.own.ask_mail(what, email, view.language.tag(), &call.network)).await {
        Ok(()) => see_other(&view.to(MAILED, &[])),
        Err(problem) => form.again(call, &view, &problem, &back(&view)),
    })
}

/// The same for every address.
fn mailed(call: &Call) -> Response {
    let view = view(call);
    let body = html! {
        div.door {
            h1 { (view.word("account-mailed")) }
            (notice(Some(view.word("account-mailed-what"))))
            p { (view.word("account-mailed-where")) }
            (back(&view))
        }
    };
    answered(&view, axum::http::StatusCode::OK, "account-mailed", None, &body)
}

async fn register(call: Call) -> Answer {
    let Some(link) = token(&call) else {
        return ask(&call, MailAsked::Register, &asking_to_register()).await;
    };
    let advertising = match call.form.text(ADVERTISING) {
        Some(_) => {
            let words = Wording::try_new(WORDING, view(&call).language.tag());
            Some(words.map_err(|(_, error)| Problem::internal(error.to_string()))?)
        }
        None => None,
    };
    let new = NewAccount {
        link,
        name: call.form.text("name"),
        password: call.form.text("password").unwrap_or_default(),
        advertising: advertising.as_ref(),
        network: &call.network,
    };
    Ok(match as_sign_in(call.shared.own.register(new)).await {
        Ok(link) => used(&call, link, "registered"),
        Err(problem) => refused(&call, registration, &problem),
    })
}

async fn reset(call: Call) -> Answer {
    let (link, password) = (token(&call).unwrap_or_default(), call.form.text("password").unwrap_or_default());
    Ok(match as_sign_in(call.shared.own.reset(link, password, &call.network)).await {
        Ok(()) => done(&call, "reset"),
        Err(problem) => refused(&call, resetting, &problem),
    })
}

async fn use_address_link(call: &Call, which: AddressLink, form: OfLink, what: &'static str) -> Answer {
    let token = token(call).unwrap_or_default();
    Ok(match as_sign_in(call.shared.own.use_address_link(token, which)).await {
        Ok(link) => used(call, link, what),
        Err(problem) => refused(call, form, &problem),
    })
}

async fn claim(call: Call) -> Answer {
    let session = match session(&call, &with_link(&call, CLAIM)) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    Ok(match as_sign_in(call.shared.own.claim(session, token(&call).unwrap_or_default())).await {
        Ok(()) => see_other(&view(&call).to(ACCOUNT, &[("done", "claimed")])),
        Err(problem) => refused(&call, claiming, &problem),
    })
}

async fn change_email(call: Call) -> Answer {
    if token(&call).is_some() {
        return use_address_link(&call, AddressLink::Confirm, confirming, "email").await;
    }
    let session = match session(&call, EMAIL) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let view = view(&call);
    let wanted = AddressWanted {
        email: call.form.text("email").unwrap_or_default(),
        password: call.form.text("password").unwrap_or_default(),
        language: view.language.tag(),
        network: &call.network,
    };
    Ok(match as_sign_in(call.shared.own.ask_address(session, wanted)).await {
        Ok(()) => see_other(&view.to(ACCOUNT, &[("done", "email-asked")])),
        Err(problem) => changing().again(&call, &view, &problem, &back(&view)),
    })
}

#[cfg(test)]
mod tests {
    use soonshop_texts::Language;

    use super::WORDING;

    /// When the words change, give `WORDING` a new version, and write both here.
    #[test]
    fn the_words_beside_the_box_are_those_of_their_version() {
        let words = [Language::English, Language::Chinese].map(|one| one.find("page-account-agree"));
        let english = "The shop may send me advertising about its goods and offers by e-mail. I can withdraw this at any time, on the page Advertising of my account, without giving a reason.";
        let chinese = "商店可以通过电子邮件向我发送有关其商品和优惠的营销信息。我可以随时在账户的“营销信息”页面撤回同意，无需说明理由。";
        assert_eq!((WORDING, words), ("registration-1", [Some(english), Some(chinese)]));
    }
}
