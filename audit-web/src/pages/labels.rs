//! The names of fields and the codes in them, in the language of the page. English pages show the names of the API;
//! every other language has words of its own, and the name of the API as their title.

use maud::{Markup, html};
use serde_json::Value;

use super::frame::View;
use super::parts;
use crate::messages::Language;

/// The name of a field, by its path.
pub(crate) fn field(view: &View<'_>, path: &str) -> Markup {
    html! {
        @match view.language {
            Language::English => code translate="no" { (path) },
            Language::Chinese => span.field title=(path) { (view.language.field(path)) },
        }
    }
}

/// A redacted value of the field at this path.
pub(crate) fn value(view: &View<'_>, path: &str, value: &Value) -> Markup {
    let named = |value: &Value| view.language.value_of(path, value.as_str()?);
    let items = value.as_array().and_then(|items| items.iter().map(named).collect::<Option<Vec<_>>>());
    html! {
        @match (named(value), items) {
            _ if view.language == Language::English => (parts::value(view, value)),
            (Some(name), _) => span title=(crate::messages::value(value)) { (name) },
            (None, Some(names)) if !names.is_empty() => {
                span title=(crate::messages::value(value)) { (names.join(view.word("list-comma"))) }
            },
            (None, _) => (parts::value(view, value)),
        }
    }
}

/// The code of a reason.
pub(crate) fn reason(view: &View<'_>, code: &str) -> Markup {
    html! {
        @match view.language.value_of("reason", code) {
            Some(name) if view.language != Language::English => span title=(code) { (name) },
            _ => code translate="no" { (code) },
        }
    }
}
