//! Saved views of the timeline: the list of all of them, forms to rename and delete one, and the address of each.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::name::Names;
use soonshop_audit::names;
use soonshop_audit::views::{self, Saved, ViewsPage};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use url::form_urlencoded;

use super::frame::{COMMON, View, described, page, refusal, refused_with, see_other, shown, with};
use crate::state::{Action, Call, Endpoint, Shared};
use crate::{fields, find, naming};

/// The page of all views.
const ALL: &str = "/audit/views";

/// The change of a view that the page after it reports.
const DONE: [&str; 2] = ["renamed", "deleted"];

pub(crate) fn table() -> Vec<Endpoint> {
    let mut params = fields::views();
    params.push(Param::new("done", Kind::OneOf(&DONE), "What was just done to a view.").display_only());
    vec![
        page(
            ALL,
            "audit.views-page",
            Class::Reads,
            Action::new(with(params), described(), |call| async move {
                let saved = saved(&call).await;
                shown(&call, "views-all", saved, |view, (page, names)| list(view, &call, page, names))
            }),
        ),
        page(
            ALL,
            "audit.save-view",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                let slug = find::save_view(&call, &COMMON.map(|param| param.name)).await?;
                Ok(see_other(&view_address(&slug)))
            })
            .takes(Owner::Own, fields::view()),
        ),
        Endpoint::page(
            "/audit/views/{slug}",
            "audit.view-page",
            Class::Reads,
            Action::new(with(Vec::new()), described(), |call| async move {
                let query = views::query(&call.shared.reader, &call.key).await?;
                Ok(see_other(&format!("/audit/timeline?{query}")))
            }),
            refused,
        ),
        Endpoint::page(
            "/audit/views/{slug}/renames",
            "audit.rename-view-page",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                find::rename_view(&call).await?;
                Ok(see_other(&View::of(&call).to(ALL, &[("done", "renamed")])))
            })
            .takes(Owner::Own, fields::view_name()),
            refused,
        ),
        Endpoint::page(
            "/audit/views/{slug}/deletions",
            "audit.delete-view-page",
            Class::Writes,
            Action::new(with(Vec::new()), described(), |call| async move {
                find::delete_view(&call).await?;
                Ok(see_other(&View::of(&call).to(ALL, &[("done", "deleted")])))
            })
            .takes(Owner::Own, Vec::new()),
            refused,
        ),
    ]
}

/// The address of a view.
pub(crate) fn view_address(slug: &str) -> String {
    let slug: String = form_urlencoded::byte_serialize(slug.as_bytes()).collect();
    format!("{ALL}/{slug}")
}

/// A page of views, and the names of who saved them.
async fn saved(call: &Call) -> Result<(i64, (ViewsPage, Names)), Problem> {
    let (head, saved) = find::views(call).await?;
    let by = saved.items.iter().map(|one| one.saved_by.as_str());
    let names = names::in_texts(&call.shared.reader, by).await?;
    Ok((head, (saved, names)))
}

fn list(view: &View<'_>, call: &Call, page: &ViewsPage, names: &Names) -> Markup {
    let saved = &page.items;
    let me = call.caller().actor.to_string();
    let repairs = call.may(Permission::RetryParked);
    let done = view.visit.parameter("done").filter(|done| DONE.contains(&done.as_str()));
    html! {
        h1 { (view.word("views-all")) }
        @if let Some(done) = done {
            p.banner.well role="status" { span aria-hidden="true" { "✓ " } (view.word_of(&format!("view-{done}")).unwrap_or_default()) }
        }
        p { (view.word("views-what")) }
        @if saved.is_empty() {
            p { (view.word("views-none")) }
        } @else {
            table {
                thead { tr { th scope="col" { (view.word("view")) } th scope="col" { (view.word("view-saved-by")) } th scope="col" { (view.word("view-change")) } } }
                tbody {
                    @for (number, one) in saved.iter().enumerate() {
                        tr {
                            td { a translate="no" href=(view_address(&one.slug)) { (one.title) } }
                            td data-name=(view.word("view-saved-by")) { (saved_by(view, one, names)) }
                            td data-name=(view.word("view-change")) {
                                @if repairs || one.saved_by == me { (change(view, one, number)) } @else { "–" }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(next) = &page.next {
            div.line.ends { a rel="next" href=(view.but("after", Some(next))) { (view.word("views-more")) " ▸" } }
        }
        p { a href=(view.to("/audit/timeline", &[])) { (view.word("timeline")) } }
    }
}

fn saved_by(view: &View<'_>, one: &Saved, names: &Names) -> Markup {
    html! { (naming::actor_in(view, Some(&one.saved_by), names)) " " (view.micros(one.saved_at.saturating_mul(1_000))) }
}

/// The forms that change one view.
fn change(view: &View<'_>, one: &Saved, number: usize) -> Markup {
    let to = |what: &str| view.to(&format!("{}/{what}", view_address(&one.slug)), &[]);
    let field = format!("name-{number}");
    html! {
        details {
            summary { (view.word("view-rename")) span.unseen { " " (one.title) } }
            form.line method="post" action=(to("renames")) {
                label for=(field) { (view.word("view-new-name")) }
                input id=(field) name="title" required maxlength="100" value=(one.title) autocomplete="off";
                button { (view.word("view-rename")) }
            }
        }
        details {
            summary { (view.word("view-delete")) span.unseen { " " (one.title) } }
            form.line method="post" action=(to("deletions")) {
                span { (view.word("view-delete-what")) }
                button { (view.word("view-delete")) }
            }
        }
    }
}

/// Renders a refusal of a view: that it was deleted, when and by whom; and the way to those that are there.
fn refused(shared: &Shared, visit: &Visit, problem: &Problem) -> Response {
    refused_with(shared, visit, problem, |view, problem| {
        let message = problem.extensions();
        let by = message.get("deleted_by").and_then(Value::as_str);
        let at = message.get("deleted_at").and_then(Value::as_i64);
        html! {
            (refusal(view, problem))
            @if let (Some(by), Some(at)) = (by, at) {
                p { (view.word("view-deleted-by")) " " (naming::actor_in(view, Some(by), &Names::new())) ", " (view.micros(at.saturating_mul(1_000))) }
            }
            p { a href=(view.to(ALL, &[])) { (view.word("views-all")) } }
        }
    })
}
