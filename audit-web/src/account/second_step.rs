//! The form of the second step of a sign-in, after a password or a provider.

use maud::{Markup, html};

use super::forms::{Field, Form};
use super::next::SIGN_IN;
use crate::pages::frame::View;

/// Where it is sent.
pub(super) const SECOND: &str = "/account/second-factor";

pub(super) fn second_step<'f>(next: &'f str, token: &'f str) -> Form<'f> {
    Form {
        title: "second-factor",
        why: "second-factor-why",
        action: SECOND,
        hidden: vec![("next", next), ("token", token)],
        fields: vec![Field::CODE],
        given: Vec::new(),
        button: "sign-in",
    }
}

pub(super) fn begin_again(view: &View<'_>, next: &str) -> Markup {
    html! { p { a href=(view.to(SIGN_IN, &[("next", next)])) { (view.word("sign-in-again")) } } }
}
