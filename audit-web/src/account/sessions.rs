//! The page of one's own sessions, which ends them.

use axum::http::StatusCode;
use maud::{Markup, html};
use soonshop_domain::text::visible;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::OwnSession;
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use uuid::Uuid;

use super::mailed::back;
use super::state::{Call, Endpoint, sent, session, shown, view};
use crate::pages::frame::{View, answered, see_other};

pub(super) const SESSIONS: &str = "/account/sessions";
const ENDINGS: &str = "/account/sessions/endings";
const OTHERS: &str = "/account/sessions/others";

pub(super) fn table() -> Vec<Endpoint> {
    let one = Param::new("session", Kind::Id, "A session.").required();
    vec![
        shown(SESSIONS, "identity.sessions-page", Vec::new(), |call| Box::pin(listed(call))),
        sent(ENDINGS, "identity.page-end-session", Class::Writes, (Vec::new(), vec![one]), |call| {
            Box::pin(end(call))
        }),
        sent(OTHERS, "identity.page-end-other-sessions", Class::Writes, (Vec::new(), Vec::new()), |call| {
            Box::pin(end_others(call))
        }),
    ]
}

async fn listed(call: Call) -> Answer {
    let session = match session(&call, SESSIONS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let mut all = call.shared.own.sessions(session).await?;
    all.sort_by_key(|one| (!one.current, std::cmp::Reverse(one.used_at)));
    let view = view(&call);
    Ok(answered(&view, StatusCode::OK, "account-sessions", None, &list(&view, &all)))
}

fn list(view: &View<'_>, all: &[OwnSession]) -> Markup {
    let (device, began, used) =
        (view.word("account-device"), view.word("account-began"), view.word("account-used"));
    let change = view.word("account-session-end");
    html! {
        h1 { (view.word("account-sessions")) }
        p { (view.word("account-sessions-about")) }
        table {
            thead { tr { @for name in [device, began, used, change] { th scope="col" { (name) } } } }
            tbody {
                @for one in all {
                    tr {
                        td data-name=(device) { span translate="no" { (holder(one)) } }
                        td data-name=(began) { (view.time(one.began_at)) }
                        td data-name=(used) { (view.time(one.used_at)) }
                        td data-name=(change) {
                            @if one.current {
                                strong { (view.word("account-this-session")) }
                            } @else {
                                form.line method="post" action=(ENDINGS) {
                                    input type="hidden" name="session" value=(one.id);
                                    button.quiet { (change) }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if all.iter().any(|one| !one.current) {
            form method="post" action=(OTHERS) { button { (view.word("account-end-others")) } }
        }
        (back(view))
    }
}

/// The name of the client that holds a session, or what the device says of itself.
fn holder(one: &OwnSession) -> std::borrow::Cow<'_, str> {
    let name = one.client_name.as_deref().or(one.device.as_deref());
    name.map_or_else(|| "–".into(), visible)
}

async fn end(call: Call) -> Answer {
    let session = match session(&call, SESSIONS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id = call.form.text("session").and_then(|id| Uuid::try_parse(id).ok());
    let id = id.ok_or_else(|| Problem::not_found("session-not-found", "the form names no session"))?;
    match call.shared.own.end_session(session, id).await {
        // One that has ended meanwhile is what was asked for.
        Err(problem) if problem.slug() != "session-not-found" => Err(problem),
        _ => Ok(see_other(&view(&call).to(SESSIONS, &[]))),
    }
}

async fn end_others(call: Call) -> Answer {
    let session = match session(&call, SESSIONS) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    call.shared.own.end_other_sessions(session).await?;
    Ok(see_other(&view(&call).to(SESSIONS, &[])))
}
