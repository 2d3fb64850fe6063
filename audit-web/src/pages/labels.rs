//! The names of fields and the codes in them, in the language of the page. English pages show the names of the API;
//! every other language has words of its own, and the name of the API as their title.

use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::name::Names;

use super::frame::View;
use crate::messages::Language;
use crate::naming;

/// The name of a field, by its path. In a path, things have their names in place of ids.
pub(crate) fn field(view: &View<'_>, path: &str, names: &Names) -> Markup {
    html! {
        @match view.language {
            Language::English => {
                @let named = naming::path(view, path, names);
                code translate="no" title=[(named != path).then_some(path)] { (named) }
            },
            Language::Chinese => span.field title=(path) {
                (view.language.field(path, |part| naming::part(view, part, names)))
            },
        }
    }
}

/// A redacted value of the field at this path; what it refers to by an id is shown by its name.
pub(crate) fn value(view: &View<'_>, path: &str, value: &Value, names: &Names) -> Markup {
    let named = |value: &Value| view.language.value_of(path, value.as_str()?);
    let items = value.as_array().and_then(|items| items.iter().map(named).collect::<Option<Vec<_>>>());
    html! {
        @match (named(value), items) {
            _ if view.language == Language::English => (naming::value(view, value, names)),
            (Some(name), _) => span.coded title=(crate::messages::value(value)) { (name) },
            (None, Some(names)) if !names.is_empty() => {
                span.coded title=(crate::messages::value(value)) { (names.join(view.word("list-comma"))) }
            },
            (None, _) => (naming::value(view, value, names)),
        }
    }
}

/// The code of a reason.
pub(crate) fn reason(view: &View<'_>, code: &str) -> Markup {
    html! {
        @match view.language.value_of("reason", code) {
            Some(name) if view.language != Language::English => span.coded title=(code) { (name) },
            _ => code translate="no" { (code) },
        }
    }
}
