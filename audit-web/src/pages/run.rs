//! One run of `replay-tool`: how far it is, and its result in words and tables.

use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::name::{KEY, Names};
use soonshop_audit::names;
use soonshop_projections::runs::{Run, Runs};
use soonshop_service_kit::Problem;
use soonshop_service_kit::rates::Class;
use soonshop_texts::Value as Filled;

use super::correlation::duration;
use super::frame::{View, described, page, shown_as, with};
use super::parts::command;
use super::projections::run_state;
use super::{labels, titles};
use crate::messages;
use crate::naming::{self, called};
use crate::state::{Action, Call, Endpoint, failed};

/// Rows that differ that are shown at once; the others are folded.
const UNFOLDED: usize = 30;

pub(crate) fn table() -> Vec<Endpoint> {
    vec![page(
        "/audit/runs/{run}",
        "audit.run-page",
        Class::Reads,
        Action::new(with(Vec::new()), described(), |call| async move {
            let found = find(&call).await.map(|found| (found.0.progress.position, found));
            let title =
                |view: &View<'_>, (run, _): &(Run, Names)| titles::one(view, "run", &run.run.to_string());
            shown_as(&call, found, title, |view, (run, names)| body(view, run, names))
        }),
    )]
}

/// The run, and the names of the things in its result.
async fn find(call: &Call) -> Result<(Run, Names), Problem> {
    let nothing = || Problem::not_found("not-found", "there is no run with this number");
    let number: i64 = call.key.parse().map_err(|_| nothing())?;
    let reader = &call.shared.reader;
    let runs = Runs::new(reader.registry.operations().clone());
    let run = runs.get(number).await.map_err(failed)?.ok_or_else(nothing)?;
    let keys = run.result.iter().flat_map(|result| list(result, "keys")).filter_map(Value::as_str);
    let documents = run.result.iter().flat_map(|result| list(result, "index_differences"));
    let names = names::in_texts(reader, keys.chain(documents.filter_map(Value::as_str))).await?;
    Ok((run, names))
}

fn list<'r>(result: &'r Value, name: &str) -> &'r [Value] {
    result[name].as_array().map_or(&[], Vec::as_slice)
}

fn number(result: &Value, name: &str) -> Option<i64> {
    result[name].as_i64()
}

fn body(view: &View<'_>, run: &Run, names: &Names) -> Markup {
    let done = run.progress.position - run.progress.from_position;
    let all = (run.progress.to_position - run.progress.from_position).max(1);
    let rate = run.ended_at.map(|ended| (ended - run.started_at).max(1)).map(|millis| done * 1_000 / millis);
    html! {
        h1 {
            (view.word("run")) " #" (run.run) " · "
            @match view.word_of(&format!("kind-of-run-{}", run.verb)) {
                Some(kind) => (kind),
                None => code translate="no" { (run.verb) },
            }
        }
        div data-poll {
            p.facts {
                span { a href=(view.to(&format!("/audit/projections/{}", run.projection), &[])) { span translate="no" { (run.projection) } } @if let Some(number) = run.generation { " v" (number) } }
                span { strong { (run_state(view, run)) } }
                span { (naming::actor_in(view, Some(&run.actor), names)) " " code translate="no" { (run.host) "/" (run.pid) } }
                span { (view.word("begun")) " " (view.micros(run.started_at * 1_000)) }
                @if let Some(ended) = run.ended_at { span { (view.word("took")) " " (duration(view.language, (ended - run.started_at) * 1_000)) } }
            }
            progress max=(all) value=(done.clamp(0, all)) aria-label=(view.word("seen")) {}
            @if let Some(result) = &run.result {
                h2 { (view.word("result")) }
                (text(view, run, result))
            }
            table {
                tbody {
                    tr { th scope="row" { (view.word("seen")) } td { (run.progress.position) " / " (run.progress.to_position) } }
                    @if run.verb == "rebuild" {
                        tr { th scope="row" { (view.word("folded")) } td { (run.progress.folded) } }
                        tr { th scope="row" { (view.word("skipped")) } td { (run.progress.skipped) } }
                        tr { th scope="row" { (view.word("parked")) } td { (run.progress.parked) } }
                        @if let Some(rate) = rate { tr { th scope="row" { (view.word("rate")) } td { (rate) " " (view.word("positions-per-second")) } } }
                    }
                    @if let Some(limit) = run.limit_rate { tr { th scope="row" { (view.word("limit")) } td { (limit) " " (view.word("positions-per-second")) } } }
                    @if let Some(result) = &run.result { (facts(view, result)) }
                }
            }
            @if let Some(result) = &run.result { (compared(view, result, names)) }
        }
        @if let Some(result) = &run.result {
            details {
                summary { (view.word("in-full")) }
                pre translate="no" tabindex="0" { (serde_json::to_string_pretty(result).unwrap_or_default()) }
            }
        }
        (command(view, &format!("replay-tool status --run {}", run.run)))
    }
}

/// The result in a sentence; of a run that failed, why.
fn text(view: &View<'_>, run: &Run, result: &Value) -> Markup {
    let key = match (run.verb.as_str(), result["result"].as_str()) {
        ("verify", Some(_)) => Some("run-verify"),
        ("rebuild", Some(_)) => Some("run-rebuild"),
        ("swap", Some(_)) => Some("run-swap"),
        ("rollback", Some(_)) => Some("run-rollback"),
        _ => None,
    };
    let filled = |variable: &str| match &result[variable] {
        Value::Number(count) => count.as_i64().map_or_else(|| count.to_string().into(), Filled::Number),
        Value::Null => "–".into(),
        other => messages::value(other).into(),
    };
    let sentence = key.and_then(|key| view.language.filled(key, filled));
    let is_good =
        ["equal", "caught_up", "swap", "rollback"].contains(&result["result"].as_str().unwrap_or(""));
    html! {
        @if let Some(sentence) = sentence {
            p class=(if is_good { "well" } else { "ill" }) {
                span aria-hidden="true" { (if is_good { "✓ " } else { "⚠ " }) } strong { (sentence) }
            }
            @if result["mode"] == "sample" { p.soft { (view.word("sample-proves")) } }
        } @else if let Some(message) = result["message"].as_str() {
            @let code = number(result, "code").and_then(|code| view.word_of(&format!("exit-code-{code}")));
            p.ill {
                span aria-hidden="true" { "⚠ " }
                @if let Some(code) = code { strong { (code) } (view.word("colon")) }
                span lang="en" { (message) }
            }
            @if result["retryable"] == true { p.soft { (view.word("can-be-retried")) } }
        }
    }
}

/// What the result states beside its sentence, as rows of a table.
fn facts(view: &View<'_>, result: &Value) -> Markup {
    let row = |word: &'static str, value: Markup| html! { tr { th scope="row" { (view.word(word)) } td { (value) } } };
    let positive = |name: &str| number(result, name).filter(|number| *number > 0);
    html! {
        @if let Some(mode) = result["mode"].as_str() {
            (row("compared-how", html! { (view.word_of(&format!("compared-{mode}")).unwrap_or(mode)) }))
        }
        @if !list(result, "ignored").is_empty() {
            (row("compared-without", html! {
                @for (at, pointer) in list(result, "ignored").iter().enumerate() {
                    @if at > 0 { (view.word("list-comma")) }
                    code translate="no" { (messages::value(pointer)) }
                }
            }))
        }
        @if let Some(bytes) = positive("bytes") { (row("compared-bytes", html! { (bytes) })) }
        @if let Some(millis) = number(result, "milliseconds") {
            (row("took", html! { (duration(view.language, millis.saturating_mul(1_000))) }))
        }
        @if let Some(keeper) = result["kept_by"].as_str() { (row("kept-by", html! { code translate="no" { (keeper) } })) }
        @if let Some(warnings) = positive("warnings") { (row("warnings", html! { (warnings) })) }
        @if let (Some(_), Some(parked)) = (result["mode"].as_str(), positive("parked")) { (row("parked", html! { (parked) })) }
    }
}

/// What a comparison counted, and the rows that differ.
fn compared(view: &View<'_>, result: &Value, names: &Names) -> Markup {
    let counts = result["counts"].as_object().filter(|counts| !counts.is_empty());
    let fields = result["fields"].as_object().filter(|fields| !fields.is_empty());
    let [left, right] = ["left", "right"].map(|side| number(result, side).unwrap_or(0));
    let side = |number: i64| format!("{} v{number}", view.word("rows-of"));
    html! {
        @if let Some(counts) = counts {
            h2 { (view.word("rows-of-tables")) }
            table {
                thead { tr { th scope="col" { (view.word("table")) } th scope="col" { (side(left)) } th scope="col" { (side(right)) } } }
                tbody {
                    @for (table, count) in counts {
                        tr {
                            td { code translate="no" { (table) } }
                            td data-name=(side(left)) { (messages::value(&count[0])) }
                            td data-name=(side(right)) { (messages::value(&count[1])) }
                        }
                    }
                }
            }
        }
        @if let Some(fields) = fields {
            h2 { (view.word("fields-different")) }
            table {
                thead { tr { th scope="col" { (view.word("table")) } th scope="col" { (view.word("field")) } th scope="col" { (view.word("rows-different")) } } }
                tbody {
                    @for (path, count) in fields {
                        @let (table, field) = path.split_once('/').unwrap_or((path, ""));
                        tr {
                            td { code translate="no" { (table) } }
                            td data-name=(view.word("field")) { (field_of(view, field, names)) }
                            td data-name=(view.word("rows-different")) { (messages::value(count)) }
                        }
                    }
                }
            }
        }
        (different(view, result, (left, right), names))
        @if let Some(documents) = result["index_differences"].as_array() {
            h2 { (view.word("sink-index")) }
            p { (view.counted("documents-different", documents.len())) }
            @if !documents.is_empty() {
                ul.plain { @for one in documents.iter().filter_map(Value::as_str) { li { (row_name(view, one, names)) } } }
            }
        }
    }
}

/// The name of a field; where a row is missing on one side, no field of it differs.
fn field_of(view: &View<'_>, field: &str, names: &Names) -> Markup {
    html! {
        @if field.is_empty() { (view.word("whole-rows")) } @else { (labels::field(view, &format!("/{field}"), names)) }
    }
}

/// The rows that differ. Results of earlier releases have only their keys.
fn different(view: &View<'_>, result: &Value, sides: (i64, i64), names: &Names) -> Markup {
    let (rows, keys) = (list(result, "different"), list(result, "keys"));
    let all = number(result, "differences").and_then(|all| usize::try_from(all).ok()).unwrap_or(0);
    let named = rows.len().max(keys.len());
    let (first, others) = rows.split_at(rows.len().min(UNFOLDED));
    html! {
        @if named > 0 { h2 { (view.word("rows-different")) } }
        @if rows.is_empty() {
            @if !keys.is_empty() {
                ul.plain { @for key in keys.iter().filter_map(Value::as_str) { li { (row_name(view, key, names)) } } }
            }
        } @else {
            (row_table(view, first, sides, names))
            @if !others.is_empty() {
                details.others {
                    summary { (view.counted("rows-more", others.len())) }
                    (row_table(view, others, sides, names))
                }
            }
        }
        @if let Some(more) = all.checked_sub(named).filter(|more| *more > 0 && named > 0) {
            p.soft { (view.counted("rows-not-named", more)) }
        }
        @if let Some(key) = keys.first().and_then(Value::as_str) {
            @let group = key.split('/').next().unwrap_or(key);
            (command(view, &format!("replay-tool step {} --key {}", messages::value(&result["projection"]), group)))
        }
    }
}

fn row_table(view: &View<'_>, rows: &[Value], (left, right): (i64, i64), names: &Names) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { (view.word("table")) } th scope="col" { (view.word("row")) } th scope="col" { (view.word("fields-different")) } th scope="col" { (view.word("last-changed-by")) } } }
            tbody {
                @for row in rows {
                    tr {
                        td { code translate="no" { (messages::value(&row["table"])) } }
                        td data-name=(view.word("row")) { (row_name(view, row["key"].as_str().unwrap_or("–"), names)) }
                        td data-name=(view.word("fields-different")) {
                            @match row["only"].as_str() {
                                Some("left") => { (view.word("row-only-in")) " v" (left) },
                                Some(_) => { (view.word("row-only-in")) " v" (right) },
                                None => {
                                    @for (at, field) in list(row, "fields").iter().filter_map(Value::as_str).enumerate() {
                                        @if at > 0 { (view.word("list-comma")) }
                                        (field_of(view, field.trim_start_matches('/'), names))
                                    }
                                },
                            }
                        }
                        td data-name=(view.word("last-changed-by")) {
                            @match number(row, "position").filter(|position| *position > 0) {
                                Some(position) => a href=(view.to(&format!("/audit/e/{position}"), &[])) { "#" (position) },
                                None => "–",
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The key of a row: a link where it begins with the id of something that has a page.
fn row_name(view: &View<'_>, key: &str, names: &Names) -> Markup {
    let (id, rest) = key.split_once('/').map_or((key, None), |(id, rest)| (id, Some(rest)));
    let named = names.get(id).filter(|name| name.kind != KEY);
    html! {
        @match named {
            Some(one) => {
                a href=(view.to(&format!("/audit/a/{}/{id}", one.kind), &[])) title=(id) {
                    (view.label(&one.kind)) " " span translate="no" { (called(Some(&one.name), id)) }
                }
                @if let Some(rest) = rest { " " code translate="no" { (rest) } }
            },
            None => code translate="no" { (key) },
        }
    }
}
