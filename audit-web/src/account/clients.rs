//! The page of the programs that may act for somebody, which takes that back.

use axum::http::StatusCode;
use maud::{Markup, html};
use soonshop_domain::text::visible;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::OwnConsent;
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use uuid::Uuid;

use super::authorize::scope_word;
use super::mailed::back;
use super::state::{Call, Endpoint, sent, session, shown, view};
use crate::pages::frame::{View, answered, see_other};

pub(super) const CLIENTS: &str = "/account/clients";
const WITHDRAWALS: &str = "/account/clients/withdrawals";

pub(super) fn table() -> Vec<Endpoint> {
    let client = Param::new("client", Kind::Id, "A client.").required();
    vec![
        shown(CLIENTS, "identity.clients-page", Vec::new(), |call| Box::pin(listed(call))),
        sent(
            WITHDRAWALS,
            "identity.page-withdraw-consent",
            Class::Writes,
            (Vec::new(), vec![client]),
            |call| Box::pin(withdraw(call)),
        ),
    ]
}

async fn listed(call: Call) -> Answer {
    let session = match session(&call, CLIENTS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let all = call.shared.clients.consents(session).await?;
    let view = view(&call);
    Ok(answered(&view, StatusCode::OK, "account-clients", None, &list(&view, &all)))
}

fn list(view: &View<'_>, all: &[OwnConsent]) -> Markup {
    let (name, scope, given) =
        (view.word("account-client"), view.word("account-client-may"), view.word("account-client-since"));
    let change = view.word("account-client-withdraw");
    html! {
        h1 { (view.word("account-clients")) }
        p { (view.word("account-clients-about")) }
        @if all.is_empty() {
            p.soft { (view.word("account-clients-none")) }
        } @else {
            table {
                thead { tr { @for name in [name, scope, given, change] { th scope="col" { (name) } } } }
                tbody {
                    @for one in all {
                        tr {
                            td data-name=(name) { span translate="no" { (visible(&one.name)) } }
                            td data-name=(scope) { @for name in &one.scope { div { (scope_word(view, name)) } } }
                            td data-name=(given) { (view.time(one.given_at)) }
                            td data-name=(change) {
                                form.line method="post" action=(WITHDRAWALS) {
                                    input type="hidden" name="client" value=(one.client);
                                    button.quiet { (change) }
                                }
                            }
                        }
                    }
                }
            }
        }
        (back(view))
    }
}

async fn withdraw(call: Call) -> Answer {
    let session = match session(&call, CLIENTS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let client = call.form.text("client").and_then(|id| Uuid::try_parse(id).ok());
    let client = client.ok_or_else(|| Problem::malformed("invalid-id", "the form names no client"))?;
    call.shared.clients.withdraw(session, client).await?;
    Ok(see_other(&view(&call).to(CLIENTS, &[])))
}
