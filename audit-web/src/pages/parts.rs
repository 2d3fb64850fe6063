//! Parts that several pages share: icons, values, commands to copy, bars.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde_json::Value;
use soonshop_domain::catalog;
use soonshop_service_kit::health::Outcome;
use uuid::Uuid;

use super::frame::View;
use crate::messages;

/// The icon of an aggregate type: a shape beside its name.
pub(crate) fn shape(aggregate_type: &str) -> &'static str {
    catalog::aggregate(aggregate_type).map_or("•", |aggregate| aggregate.icon)
}

/// A redacted value.
pub(crate) fn value(view: &View<'_>, value: &Value) -> Markup {
    match value.get("personal").map(Value::as_str) {
        Some(Some("erased")) => {
            html! { span.mask { span aria-hidden="true" { "∅ " } (view.word("erased")) } }
        }
        Some(Some("revealed")) => html! {
            span.bare { span aria-hidden="true" { "◉ " } (value.get("value").map(messages::value).unwrap_or_default()) }
        },
        Some(_) => html! {
            span.mask {
                span aria-hidden="true" { "•••• " } (view.word("masked"))
                @if let Some(number) = value.get("value") { " " (number) }
            }
        },
        None => match value.as_str().filter(|text| Uuid::try_parse(text).is_ok()) {
            Some(id) => html! { code.id translate="no" title=(id) { (id) } },
            None => html! { span translate="no" { (messages::value(value)) } },
        },
    }
}

/// Splits `kind:id`.
pub(crate) fn actor_of(actor: Option<&str>) -> (Option<&str>, Option<&str>) {
    actor.map_or((None, None), |actor| {
        actor.split_once(':').map_or((Some(actor), None), |(kind, id)| (Some(kind), Some(id)))
    })
}

/// How far something is behind: in events, and in seconds.
pub(crate) fn behind(view: &View<'_>, events: i64, seconds: f64) -> Markup {
    html! {
        (events) " " (view.counted("events", events)) " · " (format!("{seconds:.1}")) " " (view.word("unit-s"))
    }
}

/// A command to copy.
pub(crate) fn command(view: &View<'_>, text: &str) -> Markup {
    html! {
        p.command {
            code translate="no" { (text) }
            button.quiet type="button" data-copy=(text) hidden { (view.word("copy")) }
        }
    }
}

/// Why what was looked for is not shown, beside the form that stays as it was filled in.
pub(crate) fn missed(reason: &str) -> Markup {
    html! { p.missed id="missed" role="alert" { span aria-hidden="true" { "⚠ " } (reason) } }
}

/// The object that a failed check names.
pub(crate) fn check_name<'n>(view: &View<'_>, name: &'n str) -> &'n str {
    view.word_of(&format!("front-check-{name}")).unwrap_or(name)
}

/// A check that failed: its name, its reason, its object and its remedy.
pub(crate) fn failed_check(view: &View<'_>, one: &Outcome) -> Markup {
    html! {
        (check_name(view, &one.name))
        @if let Some(reason) = &one.reason { (view.word("colon")) span lang="en" { (reason) } }
        @if let Some(object) = &one.object { " · " code translate="no" { (object) } }
        (what_to_do(view, one.remedy))
    }
}

/// The remedy of a complaint, behind it.
pub(crate) fn what_to_do(view: &View<'_>, remedy: Option<&str>) -> Markup {
    let remedy = remedy.and_then(|code| view.word_of(&format!("remedy-{code}")));
    html! { @if let Some(remedy) = remedy { " · " strong { (with_code(remedy)) } } }
}

/// Shows the parts of a sentence that stand in backquotes, such as commands, as code.
fn with_code(text: &str) -> Markup {
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code translate="no" { (part) } } @else { (part) }
        }
    }
}

/// A bar for each number, scaled to the largest one; `said` is their text.
pub(crate) fn bars(numbers: &[i64], message: &str) -> Markup {
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let width = numbers.len() * 6;
    let mut path = String::new();
    for (index, number) in numbers.iter().enumerate() {
        let high = if *number == 0 { 1 } else { (number * 30 / most).max(2) };
        // Writing to a string cannot fail.
        let _ = write!(path, "M{} 32v-{high}h4v{high}z", index * 6);
    }
    html! {
        svg.bars role="img" aria-label=(message) viewBox=(format!("0 0 {width} 32")) preserveAspectRatio="none" {
            path d=(path) {}
        }
    }
}
