//! The record of operations: what people did, as sentences, the newest first; and one entry, whose reason can be revealed.

use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::diff::leaves;
use soonshop_audit::look_up::LookUpResult;
use soonshop_audit::name::Names;
use soonshop_audit::operations::{OperationDetail, OperationEntry, OperationsPage};
use soonshop_domain::{ActorKind, catalog};
use soonshop_projections::generation;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::work::Price;
use soonshop_texts::Value as Filled;
use strum::IntoEnumIterator as _;
use url::form_urlencoded;

use super::frame::{View, address, described, page, see_other, shown, shown_as, with};
use super::labels;
use super::reasons::{REVEAL, reason, reveal_form};
use crate::kinds::{ACTIONS, sentence_key};
use crate::messages::Language;
use crate::state::{Action, Call, Endpoint};
use crate::{fields, find, messages, naming, operations};

const PATH: &str = "/audit/operations";

/// Finds who acted by an e-mail address, which is in no address.
const LOOK_UP: &str = "/audit/operations/look-up";

/// The items of a list that a sentence names.
const MOST_NAMED: usize = 5;

/// The items of a list that the page of an entry shows.
const MOST_LISTED: usize = 50;

pub(crate) fn table() -> Vec<Endpoint> {
    vec![
        page(
            PATH,
            "audit.operations-page",
            Class::Searches,
            Action::new(with(operations::listed()), described(), |call| async move {
                let found = operations::find(&call).await;
                shown(&call, "record", found, list)
            }),
        ),
        page(
            LOOK_UP,
            "audit.look-up-actor-page",
            Class::LookUps,
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = find::look_up(&call).await?;
                if let (Some(id), 1) = (found.subjects.first(), found.subjects.len()) {
                    return Ok(see_other(&View::of(&call).to(PATH, &[("actor", id)])));
                }
                shown(&call, "look-up", Ok::<_, Problem>((0, found)), people)
            })
            .takes(Owner::Anyone, fields::look_up()),
        ),
        page(
            "/audit/operations/{position}",
            "audit.operation-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = operations::one(&call).await;
                shown_one(&call, found, false)
            })
            .costs(|_| Price::Low),
        ),
        page(
            "/audit/operations/{position}",
            "audit.reveal-reason-page",
            Class::LookUps,
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = operations::reveal(&call).await;
                shown_one(&call, found, true)
            })
            .takes(Owner::Anyone, fields::reveal())
            .needs(Permission::Reveal),
        ),
    ]
}

fn shown_one(
    call: &Call,
    found: Result<(i64, OperationDetail), Problem>,
    revealed: bool,
) -> soonshop_service_kit::endpoint::Answer {
    let title =
        |view: &View<'_>, one: &OperationDetail| format!("{} #{}", view.word("record"), one.entry.position);
    shown_as(call, found, title, |view, one| entry(view, one, revealed))
}

/// The sentence of an entry; one of an unknown kind is shown by its title and its subject.
fn sentence(view: &View<'_>, entry: &OperationEntry) -> String {
    let key = sentence_key(&entry.action, &entry.subject);
    let message = key.and_then(|key| view.language.filled(key, |variable| filled(view, entry, variable)));
    message.unwrap_or_else(|| {
        let title = view.word_of(&format!("did-{}", entry.action)).unwrap_or(&entry.action);
        format!("{title}{}{}", view.word("colon"), subject(view, &entry.subject, &entry.names))
    })
}

/// The value of a variable in a sentence.
fn filled(view: &View<'_>, entry: &OperationEntry, variable: &str) -> Filled<'static> {
    let of_generation = generation::named(&entry.subject);
    let field = |name: &str| entry.detail.pointer(&format!("/{}", name.replace('-', "/")));
    let text = match variable {
        "subject" => subject(view, &entry.subject, &entry.names),
        "projection" => of_generation.map_or_else(|| entry.subject.clone(), |(name, _)| name.to_owned()),
        "number" => return of_generation.map_or_else(|| "–".into(), |(_, number)| i64::from(number).into()),
        // Why a generation was retired: an erasure could not reach it.
        "for-erasure" => entry.detail.get("erasure_of").is_some().to_string(),
        _ => match (variable.strip_suffix("-count").and_then(field), field(variable)) {
            (Some(Value::Array(items)), _) => return items.len().into(),
            (_, Some(Value::Number(number))) => {
                return number.as_i64().map_or_else(|| number.to_string().into(), Filled::Number);
            }
            (_, Some(Value::Array(items))) => {
                let mut named: Vec<_> =
                    items.iter().take(MOST_NAMED).map(|item| item_of(view, variable, item)).collect();
                if items.len() > MOST_NAMED {
                    named.push("…".to_owned());
                }
                named.join(view.word("list-comma"))
            }
            (_, None | Some(Value::Null)) => "–".to_owned(),
            (_, Some(Value::String(code))) if variable == "role" => view.label(code),
            (_, Some(other)) => messages::value(other),
        },
    };
    text.into()
}

/// An item of a list in the details of an entry. English pages show fields by the names of the API.
fn item_of(view: &View<'_>, list: &str, item: &Value) -> String {
    match item.as_str() {
        Some(path) if list == "fields" && view.language != Language::English => {
            view.language.field(path, |_| None)
        }
        _ => messages::value(item),
    }
}

/// A value in the details of an entry, by its path.
fn detail(view: &View<'_>, path: &str, value: &Value, names: &Names) -> Markup {
    let message = match (path, value) {
        _ if view.language == Language::English => None,
        ("action", Value::String(action)) => view.word_of(&format!("did-{action}")).map(str::to_owned),
        ("fields", Value::Array(items)) => {
            let items = items.iter().map(|item| item_of(view, path, item));
            Some(items.collect::<Vec<_>>().join(view.word("list-comma")))
        }
        _ => None,
    };
    html! {
        @match message {
            Some(message) => span.coded title=(messages::value(value)) { (message) },
            None => (labels::value(view, path, value, names)),
        }
    }
}

/// The object of an operation, as people know it.
fn subject(view: &View<'_>, subject: &str, names: &Names) -> String {
    let named = match subject {
        "log" => Some(view.word("record-of-log")),
        "record" | "operations" => Some(view.word("record-of-operations")),
        "timeline" => Some(view.word("record-of-timeline")),
        _ => None,
    };
    match (named, subject.split_once('/'), generation::named(subject)) {
        (Some(named), ..) => named.to_owned(),
        (_, Some(("operation", position)), _) => format!("{} #{position}", view.word("record-operation")),
        (_, Some((kind, id)), _) => format!("{} {}", view.label(kind), naming::called_in(names, id)),
        (_, _, Some((projection, number))) => format!("{projection} v{number}"),
        _ => messages::value(&Value::from(naming::called_in(names, subject))),
    }
}

/// The same as the text of a link: names and ids are no words of the language.
fn linked(view: &View<'_>, named: &str, names: &Names) -> Markup {
    html! {
        @match (named.split_once('/'), generation::named(named)) {
            (Some(("operation", position)), _) => { (view.word("record-operation")) " #" (position) },
            (Some((kind, id)), _) => { (view.label(kind)) " " span translate="no" title=(id) { (naming::called_in(names, id)) } },
            (_, Some((projection, number))) => span translate="no" { (projection) " v" (number) },
            _ => (subject(view, named, names)),
        }
    }
}

/// The page of the object of an operation, if it has one.
fn page_of(view: &View<'_>, subject: &str) -> Option<String> {
    if let Some((projection, _)) = generation::named(subject) {
        return Some(view.to(&format!("/audit/projections/{projection}"), &[]));
    }
    match (subject, subject.split_once('/')) {
        ("log" | "record", _) => Some(view.to("/audit/integrity", &[])),
        ("timeline", _) => Some(view.to("/audit/timeline", &[])),
        ("operations", _) => Some(view.to(PATH, &[])),
        (_, Some(("operation", position))) => Some(view.to(&format!("{PATH}/{position}"), &[])),
        (_, Some((kind, id))) if catalog::aggregate(kind).is_some() => {
            Some(view.to(&format!("/audit/a/{kind}/{id}"), &[]))
        }
        _ => None,
    }
}

/// Entries as a list, the newest first.
pub(crate) fn rows(view: &View<'_>, entries: &[OperationEntry]) -> Markup {
    html! {
        @if entries.is_empty() { p { (view.word("record-empty")) } }
        ol.trail {
            @for one in entries {
                @let to = view.to(&format!("{PATH}/{}", one.position), &[]);
                li data-position=(one.position) {
                    div.sentence { a.row href=(to) { (sentence(view, one)) } }
                    div.about {
                        (view.time(one.at))
                        span { (naming::actor_in(view, Some(&one.actor), &one.names)) }
                        // Links are on the page of the entry: a second one below the first could not be pressed apart.
                        @if page_of(view, &one.subject).is_some() { span { (linked(view, &one.subject, &one.names)) } }
                        (reason(view, one.reason.as_ref(), None))
                    }
                }
            }
        }
    }
}

fn list(view: &View<'_>, found: &OperationsPage) -> Markup {
    let asked = |name: &str| view.visit.parameter(name).filter(|value| !value.is_empty());
    let without_sign_ins = asked("sign_ins").is_none() && asked("action").is_none();
    html! {
        h1 { (view.word("record")) }
        p.soft { (view.word("record-what")) }
        (search(view))
        div.tools {
            a href=(export(view, "csv")) data-export download { "CSV" }
            a href=(export(view, "ndjson")) download { "NDJSON" }
            details.menu {
                summary { (view.word("look-up")) }
                div.sheet {
                    form.column method="post" action=(view.to(LOOK_UP, &[])) {
                        label for="value" { (view.word("look-up-what")) }
                        input id="value" name="value" required maxlength="200" autocomplete="off";
                        p.soft { (view.word("look-up-recorded")) }
                        button { (view.word("look-up")) }
                    }
                }
            }
        }
        @if without_sign_ins {
            p.soft { (view.word("record-no-sign-ins")) " " a href=(view.but("sign_ins", Some("1"))) { (view.word("record-sign-ins")) } }
        }
        @if found.items.is_empty() {
            p { (view.word("nothing")) }
            ul.drops {
                @for (name, value) in asked_for(view) {
                    li { a href=(view.but(&name, None)) { "× " code translate="no" { (name) "=" (value) } } }
                }
                li { a href=(view.to(PATH, &[])) { (view.word("all")) } }
            }
        } @else {
            (rows(view, &found.items))
        }
        @if let Some(next) = found.next {
            div.line.ends { a rel="next" href=(view.but("before", Some(&next.to_string()))) { (view.word("older")) " ▸" } }
        }
    }
}

/// The people that a look-up found, each with what they did: none, or more than one.
fn people(view: &View<'_>, found: &LookUpResult) -> Markup {
    html! {
        h1 { (view.word("look-up")) }
        @if found.subjects.is_empty() { p { (view.word("look-up-nobody")) } }
        ul {
            @for id in &found.subjects {
                li { a href=(view.to(PATH, &[("actor", id)])) { code translate="no" { (id) } } }
            }
        }
        p.soft { (view.word("look-up-recorded")) }
        p { a href=(view.to(PATH, &[])) { (view.word("record")) } }
    }
}

/// The address of a file with the same entries.
fn export(view: &View<'_>, kind: &str) -> String {
    // Days of the file begin where those of the page do.
    let zone = (view.zone != chrono_tz::Tz::UTC).then(|| ("tz".to_owned(), view.zone.name().to_owned()));
    let pairs: Vec<(String, String)> = asked_for(view).into_iter().chain(zone).collect();
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    address(&format!("/api/audit/operations/export.{kind}"), pairs)
}

/// The filters of the list.
fn asked_for(view: &View<'_>) -> Vec<(String, String)> {
    let names: Vec<_> = operations::filters().iter().map(|param| param.name).collect();
    form_urlencoded::parse(view.visit.query.as_bytes())
        .into_owned()
        .filter(|(name, value)| names.contains(&name.as_str()) && name != "before" && !value.is_empty())
        .collect()
}

fn search(view: &View<'_>) -> Markup {
    let asked = |name: &str| view.visit.parameter(name).filter(|value| !value.is_empty());
    let action = asked("action");
    html! {
        form.search method="get" action=(PATH) role="search" {
            (view.hidden())
            div.line {
                select name="action" aria-label=(view.word("record-any-action")) {
                    option value="" { (view.word("record-any-action")) }
                    @for one in ACTIONS {
                        option value=(one) selected[action.as_deref() == Some(one)] { (view.word_of(&format!("did-{one}")).unwrap_or(one)) }
                    }
                }
                input name="actor" size="20" list="actors" value=[asked("actor")] aria-label=(view.word("record-any-actor"))
                    placeholder=(view.word("record-any-actor")) autocomplete="off" spellcheck="false";
                datalist id="actors" {
                    @for kind in ActorKind::iter() { option value=(kind.as_ref()) { (view.label(kind.as_ref())) } }
                }
                input name="subject" size="20" value=[asked("subject")] aria-label=(view.word("record-any-subject"))
                    placeholder=(view.word("record-any-subject")) autocomplete="off" spellcheck="false";
                label { (view.word("from")) " " input name="from" size="12" value=[asked("from")] placeholder="2026-11-01"; }
                label { (view.word("to")) " " input name="to" size="12" value=[asked("to")] placeholder="2026-11-22"; }
                label.tick {
                    input type="checkbox" name="sign_ins" value="1" checked[asked("sign_ins").is_some()]; " "
                    (view.word("record-sign-ins"))
                }
                button { (view.word("search")) }
            }
        }
    }
}

/// One entry with all that is known about it.
fn entry(view: &View<'_>, one: &OperationDetail, revealed: bool) -> Markup {
    let OperationDetail { entry, seal, sign_ins } = one;
    let mut details = leaves(&entry.detail);
    details.retain(|path, _| !path.is_empty());
    let hidden = entry.reason.as_ref().is_some_and(|reason| reason.value()["personal"] == "masked");
    html! {
        h1 { (view.word("record")) " #" (entry.position) }
        p.sentence { (sentence(view, entry)) }
        p.facts {
            span { (view.time(entry.at)) }
            span { (naming::actor_in(view, Some(&entry.actor), &entry.names)) }
            @if let Some(address) = page_of(view, &entry.subject) {
                a href=(address) { (linked(view, &entry.subject, &entry.names)) }
            }
            span {
                @match seal {
                    Some(number) => { (view.word("in-seal")) " #" (number) },
                    None => (view.word("not-sealed")),
                }
            }
        }
        @if let Some(count) = sign_ins { p { (view.counted("record-signed-in", *count)) } }
        p { (reason(view, entry.reason.as_ref(), Some(&format!("#{REVEAL}")))) }
        @if revealed {
            p.soft { (view.word("revealed")) " " a href=(view.to(&format!("{PATH}/{}", entry.position), &[])) { (view.word("hide")) } }
        } @else if hidden && view.may(Permission::Reveal) {
            (reveal_form(view, &view.but("", None)))
        }
        @if !details.is_empty() {
            table {
                thead { tr { th scope="col" { (view.word("field")) } th scope="col" { (view.word("value")) } } }
                tbody {
                    @for (path, shown) in &details {
                        @let path = path.trim_start_matches('/');
                        tr {
                            td { (labels::field(view, path, &entry.names)) }
                            td data-name=(view.word("value")) {
                                (detail(view, path, &beginning(shown), &entry.names))
                                @if let Some(more) = more(shown) { " " span.soft { "+" (more) } }
                            }
                        }
                    }
                }
            }
        }
        p { a href=(view.to(PATH, &[])) { (view.word("record")) } }
    }
}

/// The items of a list beyond those that are shown.
fn more(value: &Value) -> Option<usize> {
    value.as_array().and_then(|items| items.len().checked_sub(MOST_LISTED)).filter(|more| *more > 0)
}

/// A value, of a long list its first items.
fn beginning(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().take(MOST_LISTED).cloned().collect(),
        other => other.clone(),
    }
}
