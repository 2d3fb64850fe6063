//! A form that was refused: it comes back with what was typed, the field at fault marked, and why. Passwords and keys do
//! not come back.

use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::finder::without_secret;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Role;
use soonshop_service_kit::endpoint::call::TypedForm;
use soonshop_service_kit::endpoint::params::{Kind, Param};

use super::frame::View;

/// How a field is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Line,
    Lines,
    Number,
    Tick,
}

/// The place of the sentence about the field at fault.
const FAULT: &str = "fault";

/// The label of a field that people fill in, and how; `None`: the page filled it in.
fn field(path: &str, name: &str) -> Option<(&'static str, Control)> {
    let reveals = path.starts_with("/audit/a/") || path.starts_with("/audit/operations/");
    Some(match name {
        "reason" if reveals => ("reveal-why", Control::Line),
        "reason" => ("reason", Control::Line),
        "text" => ("note-text", Control::Lines),
        "tags" => ("note-tags", Control::Line),
        "shared" => ("note-share", Control::Tick),
        "title" if path.ends_with("/renames") => ("view-new-name", Control::Line),
        "title" => ("view-name", Control::Line),
        "until" => ("view-frozen", Control::Tick),
        "value" => ("look-up-what", Control::Line),
        "id" => ("jump", Control::Line),
        "from" if path == "/audit/integrity" => ("from-position", Control::Number),
        "upto" if path == "/audit/integrity" => ("to-position", Control::Number),
        _ => return None,
    })
}

/// The text of the button that sends the form of this path.
fn button(path: &str) -> &'static str {
    match path {
        "/audit/integrity" => "verify",
        "/audit/integrity/acknowledgements" => "acknowledge",
        "/audit/jump" => "go",
        "/audit/look-up" | "/audit/operations/look-up" => "look-up",
        "/audit/parked/retries" => "retry",
        "/audit/views" => "view-save",
        "/audit/sign-out" => "sign-out",
        _ if path.ends_with("/notes") => "note-add",
        _ if path.ends_with("/renames") => "view-rename",
        _ if path.ends_with("/deletions") => "view-delete",
        _ if path.ends_with("/retries") => "command-retry",
        _ => "reveal",
    }
}

/// The name of the field or parameter that the problem is about, and what is wrong with it in the language of the page;
/// `None`: it is about none.
pub(super) fn fault<'p>(view: &View<'_>, problem: &'p Problem) -> Option<(&'p str, &'static str)> {
    let message = |name: &str| problem.extensions().get(name).and_then(Value::as_str);
    let name = message("parameter")?;
    let text = message("fault").and_then(|code| view.word_of(&format!("fault-{code}")));
    Some((name, text.unwrap_or_else(|| view.word("fault-value"))))
}

/// The label of the field that the problem is about, if people fill it in.
pub(super) fn label(view: &View<'_>, name: &str) -> Option<&'static str> {
    field(&view.visit.path, name).filter(|_| view.visit.form.is_some()).map(|(word, _)| view.word(word))
}

/// What was typed in fields that people fill in.
fn typed<'f>(path: &str, form: &'f TypedForm) -> impl Iterator<Item = &'f str> {
    let typed = form.fields().filter(move |(one, _)| field(path, one.name).is_some());
    typed.filter_map(|(_, text)| text).filter(|text| !text.trim().is_empty())
}

/// Whether somebody typed something into the form that was refused.
pub(super) fn has_text(view: &View<'_>) -> bool {
    let path = &view.visit.path;
    view.visit.form.as_ref().is_some_and(|form| typed(path, form).next().is_some())
}

/// The form again, if it can be sent again.
pub(super) fn again(view: &View<'_>, problem: &Problem) -> Markup {
    let path = view.visit.path.as_str();
    let done_for = [403, 404, 410].contains(&problem.status().as_u16());
    let Some(form) = view.visit.form.as_ref().filter(|_| has_text(view) || !done_for) else {
        return html! {};
    };
    // A form with a password or a code is typed anew on its own page.
    if form.fields().any(|(one, _)| one.is_secret) {
        return html! {};
    }
    let at_fault = fault(view, problem);
    html! {
        @if view.role() == Role::Guest {
            p { a href=(view.to("/audit/sign-in", &[])) target="_blank" { (view.word("form-sign-in")) } }
        }
        form.column.again method="post" action=(view.but("", None)) {
            @for (one, text) in form.fields() {
                (control(view, one, text.map(without_secret), at_fault))
            }
            button { (view.word(button(path))) }
        }
    }
}

fn control(view: &View<'_>, one: &Param, text: Option<&str>, at_fault: Option<(&str, &str)>) -> Markup {
    let Some((word, control)) = field(&view.visit.path, one.name) else {
        return html! { @if let Some(text) = text { input type="hidden" name=(one.name) value=(text); } };
    };
    let id = format!("typed-{}", one.name);
    let sentence = at_fault.filter(|(name, _)| *name == one.name).map(|(_, sentence)| sentence);
    let (invalid, described) = (sentence.map(|_| "true"), sentence.map(|_| FAULT));
    let number = |least: bool| match one.kind {
        Kind::Number(from, _) if least => Some(from),
        Kind::Number(_, to) if to < i64::MAX => Some(to),
        _ => None,
    };
    html! {
        @match control {
            Control::Tick => @if let Some(text) = text {
                label { input type="checkbox" id=(id) name=(one.name) value=(text) checked aria-invalid=[invalid] aria-describedby=[described]; " " (view.word(word)) }
            } @else if one.name == "shared" {
                label { input type="checkbox" id=(id) name=(one.name) value="1"; " " (view.word(word)) }
            },
            Control::Lines => {
                label for=(id) { (view.word(word)) }
                // A browser leaves out the first line break.
                textarea id=(id) name=(one.name) rows="3" aria-invalid=[invalid] aria-describedby=[described] { "\n" (text.unwrap_or_default()) }
            },
            Control::Number => {
                label for=(id) { (view.word(word)) }
                input type="number" id=(id) name=(one.name) min=[number(true)] max=[number(false)] value=[text] aria-invalid=[invalid] aria-describedby=[described];
            },
            Control::Line => {
                label for=(id) { (view.word(word)) }
                input id=(id) name=(one.name) value=[text] required[one.required] autocomplete="off" aria-invalid=[invalid] aria-describedby=[described];
            },
        }
        @if let Some(sentence) = sentence { p.ill id=(FAULT) { span aria-hidden="true" { "⚠ " } (sentence) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::table;

    /// Fields that a page fills in by itself.
    const OF_PAGES: [&str; 11] =
        ["version", "query", "generation", "position", "like", "of", "from", "upto", "to", "until", "factor"];

    #[test]
    fn every_field_of_every_form_has_a_label_or_is_filled_in_by_its_page() {
        let pages = table();
        let forms = pages.iter().filter_map(|page| Some((page.path, page.action.form()?)));
        let mut shown = 0;
        for (path, fields) in forms {
            if fields.iter().any(|one| one.is_secret) {
                continue;
            }
            for one in fields {
                let known = field(path, one.name).is_some();
                assert!(known || OF_PAGES.contains(&one.name), "{path}: {}", one.name);
                shown += usize::from(known);
            }
        }
        assert!(shown > 10, "{shown}");
    }
}
