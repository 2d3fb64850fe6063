//! The page of an account: who is signed in, and the ways to what they can change.

use axum::http::StatusCode;
use maud::{Markup, html};
use soonshop_domain::text::visible;
use soonshop_service_kit::access::{OwnProfile, Permission};
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};

use super::addresses::ADDRESSES;
use super::clients::CLIENTS;
use super::consents::CONSENTS;
use super::factors::FACTORS;
use super::forms::notice;
use super::mailed::EMAIL;
use super::password::PASSWORD;
use super::profile::PROFILE;
use super::providers::card;
use super::sessions::SESSIONS;
use super::state::{Call, Endpoint, session, shown, view};
use crate::pages::frame::{ACCOUNT, PAGES, View, answered};

/// What was done before somebody comes to this page.
const DONE: &[&str] = &["password", "email-asked", "profile", "claimed"];

pub(super) fn table() -> Vec<Endpoint> {
    let done = Param::new("done", Kind::OneOf(DONE), "What was done.").display_only();
    vec![shown(ACCOUNT, "identity.account-page", vec![done], |call| Box::pin(overview(call)))]
}

async fn overview(call: Call) -> Answer {
    let session = match session(&call, ACCOUNT) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let profile = call.shared.own.profile(session).await?;
    let view = view(&call);
    let done = call.params.text("done").and_then(|done| view.word_of(&format!("account-done-{done}")));
    Ok(answered(&view, StatusCode::OK, "account-own", None, &body(&call, &view, &profile, done)))
}

fn body(call: &Call, view: &View<'_>, profile: &OwnProfile, done: Option<&str>) -> Markup {
    let known = |text: &Option<String>| {
        text.as_deref().map_or_else(|| "–".to_owned(), |text| visible(text).into_owned())
    };
    let sections = [
        ("account-profile", "account-profile-about", PROFILE, "account-profile-change"),
        ("account-addresses", "account-addresses-about", ADDRESSES, "account-addresses-see"),
        ("account-consents", "account-consents-about", CONSENTS, "account-consents-see"),
        ("email", "account-email-about", EMAIL, "account-email"),
        ("password", "account-password-about", PASSWORD, "account-change-password"),
        ("account-sessions", "account-sessions-about", SESSIONS, "account-sessions-see"),
        ("account-clients", "account-clients-about", CLIENTS, "account-clients-see"),
    ];
    html! {
        h1 { (view.word("account-own")) }
        (notice(done))
        p.facts {
            span { (view.word("account-name")) " " strong translate="no" { (known(&profile.name)) } }
            span { (view.word("email")) " " strong translate="no" { (known(&profile.email)) } }
        }
        div.cards {
            @for (title, about, path, word) in sections {
                section.card {
                    h2 { (view.word(title)) }
                    p.soft { (view.word(about)) }
                    p { a href=(view.to(path, &[])) { (view.word(word)) } }
                }
            }
            section.card {
                h2 { (view.word("factors")) }
                p.soft { (view.word("account-factors-about")) }
                p { a href=(view.to(FACTORS, &[])) { (view.word("account-factors-see")) } }
            }
            (card(call, view))
            @if view.may(Permission::Audit) {
                section.card {
                    h2 { (view.word("front-trail")) }
                    p.soft { (view.word("account-trail-about")) }
                    p { a href=(view.to(PAGES, &[])) { (view.word("front-trail-open")) } }
                }
            }
        }
    }
}
