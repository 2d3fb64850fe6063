//! The aggregates that are related to one, on its own page and beside a search for it.

use maud::{Markup, html};
use soonshop_audit::related::Relations;
use soonshop_projections::processes::Key;

use super::frame::View;
use super::process_instance::address;
use crate::naming;

/// Links to other aggregates, and to the process managers that work on it.
pub(crate) fn related(view: &View<'_>, relations: &Relations) -> Markup {
    html! {
        @if !relations.is_empty() {
            section.related aria-label=(view.word("related")) {
                p.facts {
                    @for one in &relations.aggregates {
                        span { (naming::link(view, &one.kind, one.name.as_deref(), &one.id)) }
                    }
                    @if relations.more { span.soft { (view.word("related-more")) } }
                    @for one in &relations.processes {
                        @let key = Key { process: one.process.clone(), instance: one.instance.clone() };
                        span {
                            a href=(address(view, &key, &[])) { (view.word("process")) " " span translate="no" { (one.process) } }
                            @if let Some(step) = &one.step {
                                @let name = view.word_of(&format!("step-{step}")).unwrap_or(step);
                                (view.word("colon")) @if one.stuck { span.ill { span aria-hidden="true" { "⚠ " } (name) } } @else { (name) }
                            }
                        }
                    }
                }
            }
        }
    }
}
