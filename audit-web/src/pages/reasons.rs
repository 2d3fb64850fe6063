//! The place of a reason that somebody gave in their own words: its text for its writer and in a reveal; otherwise that it
//! is hidden, and how to see it.

use maud::{Markup, html};
use soonshop_audit::redactor::Redacted;
use soonshop_service_kit::access::Permission;

use super::frame::View;
use super::parts::value;

/// The place of the form that reveals, on the pages that have one.
pub(crate) const REVEAL: &str = "reveal";

/// A reason, if there is one. `form` is the address of the form that reveals it, for those who may; `None`: no link.
pub(crate) fn reason(view: &View<'_>, reason: Option<&Redacted>, form: Option<&str>) -> Markup {
    let Some(reason) = reason.map(Redacted::value) else { return html! {} };
    let hidden = reason["personal"] == "masked";
    html! {
        span.reason {
            (view.word("reason-in-words")) (view.word("colon"))
            @if !hidden { (value(view, reason)) }
            @else if let Some(form) = form.filter(|_| view.may(Permission::Reveal)) { a href=(form) { (view.word("reason-reveal")) } }
            @else { span.mask { (view.word("reason-hidden")) } }
        }
    }
}

/// The form that reveals what this page hides; `to` is the page that is sent to.
pub(crate) fn reveal_form(view: &View<'_>, to: &str) -> Markup {
    html! {
        details.reveal id=(REVEAL) {
            summary { (view.word("reveal")) }
            form.column method="post" action=(to) {
                label for="why" { (view.word("reveal-why")) }
                input id="why" name="reason" required minlength="3" maxlength="500" autocomplete="off";
                p.soft { (view.word("reveal-recorded")) }
                button { (view.word("reveal")) }
            }
        }
    }
}
