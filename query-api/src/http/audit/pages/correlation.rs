//! All that followed from one request: as a waterfall along time, and as the same rows in words.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::{View, described, page, shown, timeline, with};
use crate::http::audit::correlation::{self, Link, Node, Tree};
use crate::http::params::{Kind, Param};
use crate::http::{Action, Endpoint};

/// A pause longer than this, in microseconds, is drawn as a gap of one width, and told.
const IDLE: i64 = 10_000_000;

/// How wide the time axis is, in its own units, and how wide a gap.
const WIDTH: i64 = 1_000;
const GAP: i64 = 60;

const VIEWS: [&str; 2] = ["waterfall", "table"];

pub(super) fn table() -> Vec<Endpoint> {
    vec![page(
        "/audit/c/{id}",
        "audit.correlation-page",
        Action::new(
            with(vec![Param::new("view", Kind::OneOf(&VIEWS), "As what.")]),
            described(),
            |call| async move {
                let found = correlation::find(&call).await;
                Ok(shown(&call, "correlation", found, body))
            },
        ),
    )]
}

fn body(view: &View<'_>, tree: &Tree) -> Markup {
    let axis = Axis::of(&tree.items);
    let shown = view.asked.parameter("view").filter(|name| name == "table").map_or("waterfall", |_| "table");
    let streams: std::collections::BTreeSet<_> =
        tree.items.iter().map(|node| (&node.event.aggregate_type, &node.event.aggregate_id)).collect();
    html! {
        h1 { (view.word("correlation")) " " code translate="no" { (tree.correlation_id) } }
        p.facts {
            span { strong { (tree.items.len()) } " " (view.word("events")) }
            span { strong { (streams.len()) } " " (view.word("aggregates")) }
            span { (view.word("took")) " " strong { (duration(axis.whole)) } }
            @if axis.idle > 0 { span { (view.word("of-it-idle")) " " (duration(axis.idle)) } }
        }
        @if !tree.missing.is_empty() {
            p.soft { "◌ " (view.word("cause-missing")) ": " @for id in &tree.missing { code translate="no" { (id) } " " } }
        }
        p.tools {
            @for name in VIEWS {
                a href=(view.but("view", Some(name))) aria-current=[(name == shown).then_some("true")] { (view.word_of(&format!("view-{name}")).unwrap_or(name)) }
            }
        }
        @if shown == "table" { (rows(view, tree)) } @else { (falls(view, tree, &axis)) }
        @if tree.more { p { (view.word("more-than-shown")) } }
    }
}

fn falls(view: &View<'_>, tree: &Tree, axis: &Axis) -> Markup {
    html! {
        ol.trail.falls {
            @for node in &tree.items {
                li class=(format!("d{}", node.depth.min(3))) data-position=(node.event.position) data-id=(node.event.id) {
                    (timeline::told(view, &node.event, false, timeline::MOST_FIELDS))
                    div.about {
                        @match node.link {
                            Link::Root => span { "● " (view.word("root")) },
                            Link::Caused => {
                                @if let Some(micros) = node.latency_micros {
                                    span { "↳ " (view.word("because")) " " (duration(micros)) }
                                }
                            },
                            Link::CauseMissing => span { "◌ " (view.word("cause-missing")) " " code translate="no" { (node.event.causation_id.as_deref().unwrap_or_default()) } },
                            Link::CauseLater => span { "⚠ " (view.word("cause-later")) },
                        }
                    }
                    (parked(view, node))
                    (fall(axis, node))
                }
            }
        }
    }
}

/// Where an event is parked, and the way to what can be done about it.
fn parked(view: &View<'_>, node: &Node) -> Markup {
    html! {
        @if !node.parked.is_empty() {
            div.about {
                a.ill href=(view.to("/audit/parked", &[])) {
                    span aria-hidden="true" { "⚠ " } (view.word("parked")) ": " span translate="no" { (node.parked.join(", ")) }
                }
            }
        }
    }
}

/// The same rows in the same order, as a table.
fn rows(view: &View<'_>, tree: &Tree) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { (view.word("position")) } th scope="col" { (view.word("event")) } th scope="col" { (view.word("by")) }
                    th scope="col" { (view.word("begun")) } th scope="col" { (view.word("took")) }
                }
            }
            tbody {
                @for node in &tree.items {
                    @let event = &node.event;
                    @let to = format!("/audit/a/{}/{}", event.aggregate_type, event.aggregate_id);
                    tr data-position=(event.position) {
                        td { "#" (event.position) }
                        td data-name=(view.word("event")) {
                            span aria-hidden="true" { ("· ".repeat(node.depth.min(8))) }
                            a.row href=(view.to(&to, &[("v", &event.version.to_string())])) { (view.language.sentence(&event.kind, &event.summary)) }
                            (parked(view, node))
                        }
                        td data-name=(view.word("by")) { (view.actor(event.actor.as_ref().map(|who| who.kind.as_str()), event.actor.as_ref().and_then(|who| who.id.as_deref()))) }
                        td data-name=(view.word("begun")) { (view.time(event.recorded_at)) }
                        td data-name=(view.word("took")) { @match node.latency_micros { Some(micros) => (duration(micros)), None => "–" } }
                    }
                }
            }
        }
    }
}

/// Where moments stand: time as it went, with long pauses drawn short.
struct Axis {
    /// Moments, in microseconds, and where each stands.
    places: Vec<(i64, i64)>,
    gaps: Vec<i64>,
    whole: i64,
    idle: i64,
}

impl Axis {
    fn of(nodes: &[Node]) -> Self {
        let mut moments: Vec<_> =
            nodes.iter().map(|node| node.event.recorded_at.timestamp_micros()).collect();
        moments.sort_unstable();
        moments.dedup();
        let steps: Vec<i64> = moments.windows(2).map(|two| two[1] - two[0]).collect();
        let idle: i64 = steps.iter().filter(|step| **step > IDLE).sum();
        let whole = moments.last().zip(moments.first()).map_or(0, |(last, first)| last - first);
        let pauses = i64::try_from(steps.iter().filter(|step| **step > IDLE).count()).unwrap_or(0);
        let room = (WIDTH - pauses * GAP).max(WIDTH / 4);
        let busy = (whole - idle).max(1);
        let (mut places, mut gaps, mut at) = (Vec::new(), Vec::new(), 0);
        for (index, moment) in moments.iter().enumerate() {
            if let Some(step) = index.checked_sub(1).and_then(|before| steps.get(before)) {
                if *step > IDLE {
                    gaps.push(at + GAP / 2);
                    at += GAP;
                } else {
                    at += i64::try_from(i128::from(*step) * i128::from(room) / i128::from(busy)).unwrap_or(0);
                }
            }
            places.push((*moment, at));
        }
        Self { places, gaps, whole, idle }
    }

    fn at(&self, micros: i64) -> i64 {
        self.places
            .binary_search_by_key(&micros, |(moment, _)| *moment)
            .map_or(0, |index| self.places[index].1)
    }
}

/// From the recording of its cause to its own. What it says stands in the row already.
fn fall(axis: &Axis, node: &Node) -> Markup {
    let end = node.event.recorded_at.timestamp_micros();
    let begin = end - node.latency_micros.unwrap_or(0).max(0);
    let (from, to) = (axis.at(begin).min(axis.at(end)), axis.at(end));
    let mut gaps = String::new();
    for gap in &axis.gaps {
        // Writing to a string cannot fail.
        let _ = write!(gaps, "M{gap} 0v12");
    }
    html! {
        svg.fall aria-hidden="true" viewBox=(format!("-8 0 {} 12", WIDTH + 16)) preserveAspectRatio="none" {
            path.gap d=(gaps) {}
            rect.wait x=(from) y="4" width=((to - from).max(1)) height="4" {}
            rect.done x=(to - 3) y="1" width="6" height="10" {}
        }
    }
}

/// A length of time, in microseconds, as people say it.
pub(super) fn duration(micros: i64) -> String {
    let whole = micros.max(0);
    let (milliseconds, seconds) = (whole / 1_000, whole / 1_000_000);
    match seconds {
        0 => format!("{milliseconds}.{:03} ms", whole % 1_000),
        1..60 => format!("{seconds}.{:03} s", milliseconds % 1_000),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_length_of_time_is_said_in_its_two_largest_units() {
        let said = [0, 12_345, 2_310_000, 61_000_000, 5_520_000_000, 90_000_000_000].map(duration);
        assert_eq!(said, ["0.000 ms", "12.345 ms", "2.310 s", "1 min 1 s", "1 h 32 min", "1 d 1 h"]);
    }
}
