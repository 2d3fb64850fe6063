//! Parked events, by cause, and how to retry them.

use maud::{Markup, html};
use soonshop_audit::name::Names;
use soonshop_audit::parked;
use soonshop_domain::QueryError;
use soonshop_projections::parked::Parked;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;

use super::frame::{View, described, page, see_other, shown, with};
use super::parts::command;
use crate::state::{Action, Endpoint};
use crate::{fields, find, naming};

pub(crate) fn table() -> Vec<Endpoint> {
    let asked =
        Param::new("asked", Kind::Number(1, i64::MAX), "So many are to be tried again.").display_only();
    vec![
        page(
            "/audit/parked",
            "audit.parked-page",
            Class::Reads,
            Action::new(with(vec![asked]), described(), |call| async move {
                let found = async {
                    let head = call.shared.reader.log.head().await?.position;
                    let causes = parked::find(&call.shared.reader).await?;
                    let names = parked::names(&call.shared.reader, &causes).await?;
                    Ok::<_, QueryError>((head, (causes, names)))
                };
                let found = found.await;
                let (may, asked) = (call.may(Permission::RetryParked), call.params.number("asked"));
                shown(&call, "parked", found, |view, (causes, names)| body(view, (causes, names), may, asked))
            }),
        ),
        page(
            "/audit/parked/retries",
            "audit.retry",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let count = find::retry(&call).await?.to_string();
                Ok(see_other(&View::of(&call).to("/audit/parked", &[("asked", &count)])))
            })
            .takes(Owner::TheShop, fields::parked())
            .needs(Permission::RetryParked),
        ),
    ]
}

fn body(
    view: &View<'_>,
    (causes, names): (&[(String, Vec<Parked>)], &Names),
    may: bool,
    asked: Option<i64>,
) -> Markup {
    let count: usize = causes.iter().map(|(_, events)| events.len()).sum();
    html! {
        h1 { (view.word("parked")) }
        @if let Some(asked) = asked {
            p.well role="status" { span aria-hidden="true" { "↻ " } (view.language.fill("retry-asked", &[&asked.to_string()])) }
        }
        @if causes.is_empty() {
            p.well { span aria-hidden="true" { "✓ " } (view.word("parked-none")) }
        } @else {
            p.ill { span aria-hidden="true" { "⚠ " } (view.language.fill("parked-some", &[&count.to_string(), &causes.len().to_string()])) }
        }
        p.soft { (view.word("parked-why")) }
        @for (cause, events) in causes {
            section {
                h2 { (events.len()) " × " span lang="en" { (cause) } }
                @if may { (retry_all(view, events)) }
                table.list {
                    thead { tr { th scope="col" { (view.word("position")) } th scope="col" { (view.word("event")) } th scope="col" { (view.word("waits")) } th scope="col" { (view.word("tried")) } @if may { th scope="col" { (view.word("retry")) } } } }
                    tbody { @for one in events { (row(view, one, names, may)) } }
                }
            }
        }
        p.soft { (view.word("command")) }
        (command(view, "replay-tool parked list"))
        (command(view, "replay-tool parked discard --cause \"…\" --reason \"…\""))
    }
}

/// A form for each generation to retry all events with this cause.
fn retry_all(view: &View<'_>, events: &[Parked]) -> Markup {
    let mut generations: Vec<&str> = events.iter().map(|one| one.generation.as_str()).collect();
    generations.dedup();
    html! {
        @for generation in generations {
            form.line method="post" action="/audit/parked/retries" {
                input type="hidden" name="generation" value=(generation);
                input type="hidden" name="like" value=[events.iter().find(|one| one.generation == generation).map(|one| one.position)];
                label { (view.word("reason")) " " input name="reason" maxlength="500" autocomplete="off"; }
                button { (view.word("retry")) " · " (events.iter().filter(|one| one.generation == generation).count()) " · " span translate="no" { (generation) } }
            }
        }
    }
}

fn row(view: &View<'_>, one: &Parked, names: &Names, may: bool) -> Markup {
    html! {
        tr {
            td { a href=(view.to(&format!("/audit/e/{}", one.position), &[])) { "#" (one.position) } }
            td data-name=(view.word("event")) { (view.language.kind(&one.event_type)) " " (naming::in_text(view, &one.stream, names)) " " code.soft translate="no" { (one.stream) } }
            td data-name=(view.word("waits")) { code translate="no" { (one.generation) } @for row in &one.rows { " " (naming::in_text(view, row, names)) " " code.soft translate="no" { (row) } } }
            td data-name=(view.word("tried")) { (one.attempts) }
            @if may {
                td data-name=(view.word("retry")) {
                    form.line method="post" action="/audit/parked/retries" {
                        input type="hidden" name="generation" value=(one.generation);
                        input type="hidden" name="position" value=(one.position);
                        button.quiet { (view.word("retry")) " #" (one.position) }
                    }
                }
            }
        }
    }
}
