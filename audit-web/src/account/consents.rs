//! The page on which people see and change their consents to advertising, with the history.

use axum::http::StatusCode;
use maud::{Markup, html};
use soonshop_domain::text::visible;
use soonshop_domain::user::consent::{Medium, Via, Wording};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::OwnConsents;
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;

use super::mailed::back;
use super::state::{Call, Endpoint, sent, session, shown, view};
use crate::pages::frame::{View, answered, see_other};

pub(super) const CONSENTS: &str = "/account/consents";

/// The version of the words on this page, `page-account-consent-words`: who changes them changes it.
const WORDING: &str = "account-page-1";

/// The choices of the form.
const CHOICES: &[&str] = &["give", "withdraw"];

pub(super) fn table() -> Vec<Endpoint> {
    let fields = vec![
        Param::new("medium", Kind::OneOf(Medium::NAMES), "The medium.").required(),
        Param::new("choice", Kind::OneOf(CHOICES), "Whether it is given or withdrawn.").required(),
    ];
    vec![
        shown(CONSENTS, "identity.consents-page", Vec::new(), |call| Box::pin(opened(call))),
        sent(CONSENTS, "identity.page-consent", Class::Writes, (Vec::new(), fields), |call| {
            Box::pin(set(call))
        }),
    ]
}

fn name(medium: Medium) -> &'static str {
    match medium {
        Medium::Email => "account-consent-email",
        Medium::Phone => "account-consent-phone",
        Medium::Post => "account-consent-post",
        Medium::Sms => "account-consent-sms",
    }
}

fn place(via: Via) -> &'static str {
    match via {
        Via::Registration => "account-consent-via-registration",
        Via::AccountPage => "account-consent-via-account-page",
        Via::Api => "account-consent-via-api",
        Via::Import => "account-consent-via-import",
    }
}

async fn opened(call: Call) -> Answer {
    let session = match session(&call, CONSENTS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let consents = call.shared.own.consents(session).await?;
    let view = view(&call);
    let body = html! {
        h1 { (view.word("account-consents")) }
        p { (view.word("account-consent-words")) }
        div.cards {
            @for medium in [Medium::Email, Medium::Sms, Medium::Phone, Medium::Post] {
                (choice(&view, medium, consents.given.contains(&medium)))
            }
        }
        (history(&view, &consents))
        (back(&view))
    };
    Ok(answered(&view, StatusCode::OK, "account-consents", None, &body))
}

fn choice(view: &View<'_>, medium: Medium, given: bool) -> Markup {
    let (now, choice, button) = if given {
        ("account-consent-given", "withdraw", "account-consent-withdraw")
    } else {
        ("account-consent-not-given", "give", "account-consent-give")
    };
    let label = format!("{}: {}", view.word(button), view.word(name(medium)));
    html! {
        section.card {
            h2 { (view.word(name(medium))) }
            p { (view.word(now)) }
            form method="post" action=(CONSENTS) {
                input type="hidden" name="medium" value=(medium.as_ref());
                input type="hidden" name="choice" value=(choice);
                button aria-label=(label) { (view.word(button)) }
            }
        }
    }
}

fn history(view: &View<'_>, consents: &OwnConsents) -> Markup {
    let (when, medium, what) = (
        view.word("account-consent-when"),
        view.word("account-consent-medium"),
        view.word("account-consent-what"),
    );
    let (place_of, words) = (view.word("account-consent-place"), view.word("account-consent-wording"));
    html! {
        h2 { (view.word("account-consent-history")) }
        @if consents.history.is_empty() {
            p { (view.word("account-consent-history-none")) }
        } @else {
            table {
                thead { tr { @for name in [when, medium, what, place_of, words] { th scope="col" { (name) } } } }
                tbody {
                    @for change in &consents.history {
                        tr {
                            td data-name=(when) { (view.time(change.at)) }
                            td data-name=(medium) { (view.word(name(change.medium))) }
                            td data-name=(what) {
                                (view.word(if change.given.is_some() { "account-consent-given" } else { "account-consent-withdrawn" }))
                            }
                            td data-name=(place_of) { (view.word(place(change.via))) }
                            td data-name=(words) {
                                @match &change.given {
                                    Some(given) => span translate="no" { (visible(&given.wording)) " (" (visible(&given.language)) ")" },
                                    None => "–",
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

async fn set(call: Call) -> Answer {
    let session = match session(&call, CONSENTS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let view = view(&call);
    let medium: Option<Medium> = call.form.text("medium").and_then(|medium| medium.parse().ok());
    let medium = medium.ok_or_else(|| Problem::internal("a medium was taken that there is not"))?;
    let words = match call.form.text("choice") {
        Some("give") => {
            let words = Wording::try_new(WORDING, view.language.tag());
            Some(words.map_err(|(_, error)| Problem::internal(error.to_string()))?)
        }
        _ => None,
    };
    call.shared.own.set_consent(session, medium, words).await?;
    Ok(see_other(&view.to(CONSENTS, &[])))
}

#[cfg(test)]
mod tests {
    use soonshop_texts::Language;

    use super::WORDING;

    /// Whoever changes the words changes their version, and both here.
    #[test]
    fn the_words_are_those_of_their_version() {
        let words = [Language::English, Language::Chinese].map(|one| one.find("page-account-consent-words"));
        let english = "The shop may send me advertising about its goods and offers in the way that I agree to here. I can withdraw this at any time, on this page, without giving a reason.";
        let chinese = "商店可以通过我在此同意的方式向我发送有关其商品和优惠的营销信息。我可以随时在此页面撤回同意，无需说明理由。";
        assert_eq!((WORDING, words), ("account-page-1", [Some(english), Some(chinese)]));
    }
}
