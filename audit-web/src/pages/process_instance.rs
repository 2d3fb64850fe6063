//! One instance of a process manager: its step, since when, the command that waits and why, the last refusal, the events
//! of its aggregate, and the forms to retry the command and to acknowledge failures.

use maud::{Markup, html};
use soonshop_audit::name::Names;
use soonshop_audit::processes::{InstanceDetail, Retry};
use soonshop_projections::processes::{Instance, Key, MOST_EVENTS, Refused, Unsent};
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use uuid::Uuid;

use super::frame::{View, described, page, see_other, shown_as, with};
use super::labels;
use super::parts::command;
use super::times::times;
use super::titles;
use crate::state::{Action, Endpoint};
use crate::{fields, find, naming};

/// The values of the parameter that tells what a retry did.
const RETRIES: [&str; 3] = ["requested", "sent", "nothing"];

/// The values of the parameter that tells whether there were failures to acknowledge.
const ACKNOWLEDGEMENTS: [&str; 2] = ["done", "nothing"];

pub(crate) fn table() -> Vec<Endpoint> {
    let retry =
        Param::new("retry", Kind::OneOf(&RETRIES), "The result of the retry that led here.").display_only();
    let acknowledged = Param::new(
        "acknowledged",
        Kind::OneOf(&ACKNOWLEDGEMENTS),
        "The result of the acknowledgement that led here.",
    )
    .display_only();
    vec![
        page(
            "/audit/processes/{process}/{instance}",
            "audit.process-page",
            Class::Reads,
            Action::new(with(vec![retry, acknowledged]), described(), |call| async move {
                let found = find::process(&call).await;
                let may = May {
                    retry: call.may(Permission::RetryParked),
                    acknowledge: call.may(Permission::Acknowledge),
                };
                shown_as(&call, found, title, |view, detail| body(view, detail, may))
            }),
        ),
        page(
            "/audit/processes/{process}/{instance}/retries",
            "audit.process-retry",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let (key, retry) = find::retry_command(&call).await?;
                let [requested, sent, nothing] = RETRIES;
                let result = match retry {
                    Retry::Requested => requested,
                    Retry::SentMeanwhile => sent,
                    Retry::NothingToSend => nothing,
                };
                Ok(see_other(&address(&View::of(&call), &key, &[("retry", result)])))
            })
            .takes(Owner::TheShop, fields::recorded_reason())
            .needs(Permission::RetryParked),
        ),
        page(
            "/audit/processes/{process}/{instance}/acknowledgements",
            "audit.process-acknowledge",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let (key, count) = find::acknowledge_failures(&call).await?;
                let [done, nothing] = ACKNOWLEDGEMENTS;
                let result = if count > 0 { done } else { nothing };
                Ok(see_other(&address(&View::of(&call), &key, &[("acknowledged", result)])))
            })
            .takes(Owner::TheShop, fields::recorded_reason())
            .needs(Permission::Acknowledge),
        ),
    ]
}

/// What the visitor may do with the instance.
#[derive(Clone, Copy)]
struct May {
    retry: bool,
    acknowledge: bool,
}

fn title(view: &View<'_>, detail: &InstanceDetail) -> String {
    let one = &detail.instance;
    titles::about(
        view,
        "instance",
        &format!("{}{}{}", one.process, view.word("colon"), subject_name(view, one, &detail.names)),
    )
}

/// The path of an instance's page.
fn path(key: &Key) -> String {
    let encoded = |part: &str| url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
    // In a path, `+` is not a space.
    let [process, instance] = [&key.process, &key.instance].map(|part| encoded(part).replace('+', "%20"));
    format!("/audit/processes/{process}/{instance}")
}

/// The address of an instance's page.
pub(crate) fn address(view: &View<'_>, key: &Key, pairs: &[(&str, &str)]) -> String {
    view.to(&path(key), pairs)
}

/// The type of a command and what it is for, such as `stock.reserve, line 2`.
pub(crate) fn command_name(view: &View<'_>, unsent: &Unsent) -> Markup {
    let name = unsent.command_type.as_deref().or(unsent.purpose.as_deref()).unwrap_or("?");
    of_target(view, name, unsent.key.as_deref())
}

/// A command by its name, and by the target's own key: the number of a line.
fn of_target(view: &View<'_>, name: &str, key: Option<&str>) -> Markup {
    html! {
        code translate="no" { (name) }
        @match key {
            Some(key) if key.parse::<u32>().is_ok() => { (view.word("list-comma")) (view.language.fill("line", &[key])) },
            Some(key) => { (view.word("list-comma")) code translate="no" { (key) } },
            None => {},
        }
    }
}

/// Why a command was refused: by the name of the code, or else by the text of its problem.
fn why(view: &View<'_>, slug: &str) -> Markup {
    let is_named = view.language.value_of("reason", slug).is_some();
    html! {
        @match view.word_of(&format!("refused-{slug}")).filter(|_| !is_named) {
            Some(text) => span.coded title=(slug) { (text) },
            None => (labels::reason(view, slug)),
        }
    }
}

/// The last command that was refused, why, and when.
pub(crate) fn refused(view: &View<'_>, refused: &Refused) -> Markup {
    html! {
        (of_target(view, refused.purpose.as_deref().unwrap_or("?"), refused.key.as_deref()))
        " " (why(view, &refused.slug)) " " (view.time(refused.at))
    }
}

/// The step of an instance, with a warning if it is stuck; or why its state cannot be read.
pub(crate) fn step(view: &View<'_>, one: &Instance) -> Markup {
    html! {
        @match (&one.step, &one.unreadable) {
            (Some(step), _) => {
                @let name = view.word_of(&format!("step-{step}")).unwrap_or(step);
                @if one.stuck { span.ill { span aria-hidden="true" { "⚠ " } (name) } } @else { (name) }
            },
            (None, Some(reason)) => span.ill lang="en" { (reason) },
            (None, None) => "–",
        }
    }
}

fn body(view: &View<'_>, detail: &InstanceDetail, may: May) -> Markup {
    let one = &detail.instance;
    let key = one.key();
    html! {
        h1 { (view.word("instance")) " " span translate="no" { (one.process) } (view.word("colon")) (subject(view, one, &detail.names)) }
        p.soft.named { (naming::id(view, &one.instance)) }
        (result(view, "retry", "command-retry", &RETRIES))
        (result(view, "acknowledged", "failures-acknowledged", &ACKNOWLEDGEMENTS))
        div data-poll {
            @if one.failures > 0 {
                p.banner.ill { span aria-hidden="true" { "⚠ " } (view.word("instance-failed")) }
            } @else if one.stuck {
                p.banner.ill { span aria-hidden="true" { "⚠ " } (view.word("instance-stuck")) }
            }
            (state(view, one, &detail.names))
            h2 { (view.word("instance-events")) }
            (history(view, detail))
        }
        @if may.retry && one.waits_with.is_some() { (form(view, &key, "retries", ["command-retry", "command-retry-what"])) }
        @if may.acknowledge && one.failures > 0 { (form(view, &key, "acknowledgements", ["failures-acknowledge", "failures-acknowledge-what"])) }
        p.soft { (view.word("command")) }
        (command(view, &format!("soonshop process show {} {}", one.process, one.instance)))
        @if one.waits_with.is_some() {
            (command(view, &format!("soonshop process retry {} {} --reason \"…\"", one.process, one.instance)))
        }
        @if one.failures > 0 {
            (command(view, &format!("soonshop process acknowledge {} {} --reason \"…\"", one.process, one.instance)))
        }
        p.tools { a href=(view.to("/audit/processes", &[("process", &one.process)])) { (view.word("instances-of-it")) } }
    }
}

/// The name of the aggregate that an instance is about, or the instance's own.
pub(crate) fn subject(view: &View<'_>, one: &Instance, names: &Names) -> Markup {
    html! {
        @if let Some(kind) = &one.aggregate_type { (view.label(kind)) " " }
        span translate="no" { (name_of_subject(one, names)) }
    }
}

fn name_of_subject(one: &Instance, names: &Names) -> String {
    let id = one.aggregate_id.map_or_else(|| one.instance.clone(), |id| id.to_string());
    naming::called(names.get(&id).map(|known| known.name.as_str()), &id)
}

/// The same as a text.
fn subject_name(view: &View<'_>, one: &Instance, names: &Names) -> String {
    let name = name_of_subject(one, names);
    one.aggregate_type.as_ref().map_or_else(|| name.clone(), |kind| format!("{} {name}", view.label(kind)))
}

/// A link to an aggregate by its name, and its id.
fn aggregate(view: &View<'_>, kind: &str, id: Uuid, names: &Names) -> Markup {
    let id = id.to_string();
    let name = names.get(&id).map(|known| known.name.as_str());
    html! { (naming::link(view, kind, name, &id)) " " code.soft translate="no" { (id) } }
}

/// What the form did that led here, as this parameter says.
fn result(view: &View<'_>, parameter: &str, word: &str, values: &[&'static str]) -> Markup {
    let chosen = view.visit.parameter(parameter);
    let said = values.iter().find(|one| chosen.as_deref() == Some(**one));
    html! {
        @if let Some(said) = said {
            p.well role="status" { span aria-hidden="true" { "↻ " } (view.word_of(&format!("{word}-{said}")).unwrap_or(said)) }
        }
    }
}

/// A row of a table with one value.
fn row(name: &str, value: &Markup) -> Markup {
    html! { tr { th scope="row" { (name) } td { (value) } } }
}

fn state(view: &View<'_>, one: &Instance, names: &Names) -> Markup {
    html! {
        table {
            tbody {
                @if let (Some(kind), Some(id)) = (&one.aggregate_type, one.aggregate_id) {
                    (row(&view.label(kind), &aggregate(view, kind, id, names)))
                }
                (row(view.word("step"), &step(view, one)))
                (row(view.word("since"), &time(view, one.since)))
                (row(view.word("to-send"), &html! { (one.unsent) }))
                @if let Some(unsent) = &one.waits_with { (waiting(view, unsent, names)) }
                (row(view.word("last-refused"), &html! { @if let Some(last) = &one.refused { (refused(view, last)) } @else { "–" } }))
                @if let Some(failed) = &one.failed {
                    (row(view.word("command-failed"), &html! {
                        (refused(view, failed))
                        @if one.failures > 1 { " " (view.language.fill("of-unsent", &[&one.failures.to_string()])) }
                    }))
                }
                (row(view.word("times-out"), &timeouts(view, one)))
            }
        }
    }
}

/// When each of its timeouts fires, the next one first.
pub(super) fn timeouts(view: &View<'_>, one: &Instance) -> Markup {
    html! {
        @for (index, timeout) in one.timeouts.iter().enumerate() {
            @if index > 0 { br; }
            @let name = view.word_of(&format!("timeout-{}", timeout.name)).unwrap_or(&timeout.name);
            (view.time(timeout.at)) " " span.soft { (name) }
        }
        @if one.timeouts.is_empty() { "–" }
    }
}

fn time(view: &View<'_>, moment: Option<chrono::DateTime<chrono::Utc>>) -> Markup {
    html! { @if let Some(moment) = moment { (view.time(moment)) } @else { "–" } }
}

/// The next command: its target, why it waits, and when it is sent again.
fn waiting(view: &View<'_>, unsent: &Unsent, names: &Names) -> Markup {
    let target = unsent.command_type.as_deref().and_then(|name| name.split('.').next()).zip(unsent.stream);
    html! {
        (row(view.word("waits-with"), &command_name(view, unsent)))
        @if let Some((kind, id)) = target {
            (row(view.word("command-target"), &aggregate(view, kind, id, names)))
        }
        @if let Some(reason) = &unsent.reason {
            (row(view.word("command-waits"), &html! { span.ill lang="en" { (reason) } }))
            (row(view.word("command-waits-since"), &time(view, unsent.waiting_since)))
            (row(view.word("tried"), &html! { (unsent.attempts) }))
            (row(view.word("command-next"), &time(view, unsent.retry_at)))
        }
    }
}

/// The events of the aggregate that the instance is about.
fn history(view: &View<'_>, detail: &InstanceDetail) -> Markup {
    let cut_off = u64::try_from(detail.history.len()).is_ok_and(|shown| shown >= MOST_EVENTS);
    html! {
        @if detail.history.is_empty() { p { (view.word("instance-no-events")) } } @else {
            table {
                thead { tr { th scope="col" { (view.word("position")) } th scope="col" { (view.word("event")) } th scope="col" { (view.word("recorded")) } } }
                tbody {
                    @for event in &detail.history {
                        tr {
                            td { a href=(view.to(&format!("/audit/e/{}", event.position), &[])) { "#" (event.position) } }
                            td data-name=(view.word("event")) { (view.language.kind(&event.event_type)) " " code translate="no" { (event.event_type) } }
                            td data-name=(view.word("recorded")) { (times(view, event.recorded_at, event.occurred_at)) }
                        }
                    }
                }
            }
            @if cut_off { p.soft { (view.word("more-than-shown")) } }
        }
    }
}

/// A form that takes a reason and does something with the instance: what, in a word and in a sentence.
fn form(view: &View<'_>, key: &Key, to: &str, what: [&str; 2]) -> Markup {
    let to = view.to(&format!("{}/{to}", path(key)), &[]);
    let [name, sentence] = what.map(|key| view.word_of(key).unwrap_or(key));
    html! {
        h2 { (name) }
        p.soft { (sentence) }
        form.line method="post" action=(to) {
            label { (view.word("reason")) " " input name="reason" maxlength="500" autocomplete="off"; }
            button { (name) }
        }
    }
}
