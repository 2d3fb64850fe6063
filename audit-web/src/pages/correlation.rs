//! Everything that followed from one request: as a waterfall along time, as a tree of causes, and as a table with the
//! same rows in the same order, in words only.

use maud::{Markup, PreEscaped, html};
use soonshop_audit::correlation::{IDLE, Link, Node, Tree, moments};
use soonshop_audit::pending::Pending;
use soonshop_service_kit::endpoint::params::{Kind, Param, Params, refused};
use soonshop_service_kit::rates::Class;

use super::frame::{View, described, page, shown, with};
use super::parts::shape;
use super::timeline::{self, Detail, MOST_FIELDS};
use crate::state::{Action, Endpoint};
use crate::{find, naming};

/// The width of the time axis, in tenths of a percent.
const WIDTH: i64 = 1_000;

/// The most width of one pause, and of all pauses together.
const GAP: i64 = 60;
const GAPS: i64 = WIDTH * 3 / 4;

/// The least distance between two pause lengths that are written on one line.
const ROOM: i64 = 110;

/// The most direct effects of one event that are shown; the others are folded.
const CHILDREN: usize = 20;

/// The most levels by which a tree is indented.
const DEEPEST: usize = 12;

const VIEWS: [&str; 3] = ["waterfall", "tree", "table"];

/// The depths to choose from.
const DEPTHS: [&str; 3] = ["1", "2", "3"];

pub(crate) fn table() -> Vec<Endpoint> {
    let params = vec![
        Param::new("view", Kind::OneOf(&VIEWS), "As what."),
        Param::new("gap", Kind::OneOf(&["1", "0"]), "0: pauses are drawn as long as they were."),
        Param::new("depth", Kind::Number(0, 1_000), "What is deeper is folded."),
        Param::new("sel", Kind::Number(1, i64::MAX), "The position of the event that is looked at."),
    ];
    vec![page(
        "/audit/c/{id}",
        "audit.correlation-page",
        Class::Reads,
        Action::new(with(params), described(), |call| async move {
            let found = async {
                let (position, tree) = find::correlation(&call).await?;
                let display = Display::of(&call.params);
                if display
                    .chosen
                    .is_some_and(|chosen| !tree.items.iter().any(|node| node.event.position == chosen))
                {
                    return Err(refused("sel", "this page shows no event with this position"));
                }
                Ok((position, (tree, display)))
            };
            let found = found.await;
            shown(&call, "correlation", found, |view, (tree, display)| body(view, tree, display))
        }),
    )]
}

/// How the tree is shown.
struct Display {
    view: &'static str,
    compresses: bool,
    depth: Option<usize>,
    chosen: Option<i64>,
}

impl Display {
    fn of(params: &Params) -> Self {
        let named = params.text("view").and_then(|name| VIEWS.into_iter().find(|known| *known == name));
        Self {
            view: named.unwrap_or(VIEWS[0]),
            compresses: params.text("gap") != Some("0"),
            depth: params.number("depth").and_then(|depth| usize::try_from(depth).ok()),
            chosen: params.number("sel"),
        }
    }
}

/// The content of one row.
enum Row<'t> {
    Event(&'t Node),
    /// A missing step, and its depth.
    Missing(&'t Pending, usize),
    Folded(Folded),
}

/// Events that are not shown, with a link to show them.
struct Folded {
    depth: usize,
    count: usize,
    /// The first of them: when it is selected, it is shown.
    first: i64,
    /// True: they are too deep; false: they are too many.
    deeper: bool,
}

/// The rows in order. Rows that are too deep or too many are folded, except those that lead to the selected event.
fn rows<'t>(tree: &'t Tree, display: &Display) -> Vec<Row<'t>> {
    let nodes = &tree.items;
    let (mut children, mut roots, mut way) = (vec![Vec::new(); nodes.len()], Vec::new(), Vec::<usize>::new());
    let mut opened = vec![false; nodes.len()];
    let mut sizes = vec![1; nodes.len()];
    for (place, node) in nodes.iter().enumerate() {
        way.truncate(node.depth);
        way.last().map_or(&mut roots, |parent| &mut children[*parent]).push(place);
        for above in &way {
            sizes[*above] += 1;
            opened[*above] |= display.chosen == Some(node.event.position);
        }
        way.push(place);
    }
    let mut rows = Vec::with_capacity(nodes.len());
    let mut waiting: Vec<Result<usize, Folded>> = roots.into_iter().rev().map(Ok).collect();
    while let Some(next) = waiting.pop() {
        let place = match next {
            Ok(place) => place,
            Err(folded) => {
                rows.push(Row::Folded(folded));
                continue;
            }
        };
        let (node, below) = (&nodes[place], &children[place]);
        rows.push(Row::Event(node));
        let missing = tree.pending.iter().filter(|one| one.after == node.event.position);
        rows.extend(missing.map(|one| Row::Missing(one, node.depth + 1)));
        let deeper = display.depth.is_some_and(|most| node.depth >= most);
        let shown = match (opened[place], deeper) {
            (true, _) => below.len(),
            (false, true) => 0,
            (false, false) => below.len().min(CHILDREN),
        };
        if let Some(first) = below.get(shown) {
            let count = below[shown..].iter().map(|child| sizes[*child]).sum();
            let first = nodes[*first].event.position;
            waiting.push(Err(Folded { depth: node.depth + 1, count, first, deeper }));
        }
        waiting.extend(below[..shown].iter().rev().map(|child| Ok(*child)));
    }
    rows
}

fn body(view: &View<'_>, tree: &Tree, display: &Display) -> Markup {
    let axis = Axis::of(&moments(&tree.items), display.compresses);
    let rows = rows(tree, display);
    html! {
        (heading(view, tree))
        p.facts {
            span { strong { (tree.items.len()) } " " (view.counted("events", tree.items.len())) }
            span { strong { (tree.aggregates) } " " (view.counted("aggregates", tree.aggregates)) }
            @if tree.parked > 0 {
                a.ill href=(view.to("/audit/parked", &[])) { span aria-hidden="true" { "⚠ " } strong { (tree.parked) } " " (view.word("of-it-parked")) }
            }
            @if !tree.pending.is_empty() {
                span.ill { span aria-hidden="true" { "┆ " } strong { (tree.pending.len()) } " " (view.word("steps-missing")) }
            }
            span { (view.word("took")) " " strong { (duration(tree.total_micros)) } }
            @if tree.active_micros < tree.total_micros {
                span { (view.word("of-it-active")) " " strong { (duration(tree.active_micros)) } }
                span { (view.word("of-it-idle")) " " (duration(tree.total_micros - tree.active_micros)) }
            }
        }
        @if !tree.missing.is_empty() {
            p.soft { "◌ " (view.word("cause-missing")) ": " @for id in &tree.missing { code translate="no" { (id) } " " } }
        }
        (tools(view, tree, display))
        @match display.view {
            "table" => (as_table(view, display, &rows)),
            "tree" => (as_tree(view, display, &rows)),
            _ => (as_waterfall(view, display, &axis, &rows)),
        }
        @if tree.more { p { (view.word("more-than-shown")) } }
    }
}

/// What it is about: the aggregate of its first event, by its name; the id of the request below.
fn heading(view: &View<'_>, tree: &Tree) -> Markup {
    html! {
        h1 {
            (view.word("correlation"))
            @if let Some(Node { event, .. }) = tree.items.first() {
                ": " (view.label(&event.aggregate_type)) " "
                span translate="no" { (naming::called(event.name.as_deref(), &event.aggregate_id)) }
            }
        }
        p.soft.named { (naming::id(view, &tree.correlation_id)) }
    }
}

fn tools(view: &View<'_>, tree: &Tree, display: &Display) -> Markup {
    let deepest = tree.items.iter().map(|node| node.depth).max().unwrap_or(0);
    let depth = display.depth.map(|depth| depth.to_string());
    html! {
        div.tools {
            nav.pick aria-label=(view.word("shown-as")) {
                @for name in VIEWS {
                    a href=(view.but("view", Some(name))) aria-current=[(name == display.view).then_some("true")] { (view.word_of(&format!("view-{name}")).unwrap_or(name)) }
                }
            }
            @if display.view == "waterfall" && tree.active_micros < tree.total_micros {
                nav.pick aria-label=(view.word("pauses")) {
                    a href=(view.but("gap", None)) aria-current=[display.compresses.then_some("true")] { (view.word("pauses-short")) }
                    a href=(view.but("gap", Some("0"))) aria-current=[(!display.compresses).then_some("true")] { (view.word("pauses-long")) }
                }
            }
            @if deepest > 1 {
                nav.pick aria-label=(view.word("depth")) {
                    span.soft { (view.word("depth")) }
                    @for name in DEPTHS {
                        a href=(view.but("depth", Some(name))) aria-current=[(depth.as_deref() == Some(name)).then_some("true")] { (name) }
                    }
                    a href=(view.but("depth", None)) aria-current=[depth.is_none().then_some("true")] { (view.word("depth-all")) }
                }
            }
        }
    }
}

/// The address that selects an event; a browser scrolls to its row.
fn chosen(view: &View<'_>, position: i64) -> String {
    format!("{}#at-{position}", view.but("sel", Some(&position.to_string())))
}

/// How much of an event is shown: all fields of the selected one.
fn detail(is_chosen: bool) -> Detail {
    let most = if is_chosen { usize::MAX } else { MOST_FIELDS };
    Detail { leads_on: false, most, ..Detail::default() }
}

fn as_waterfall(view: &View<'_>, display: &Display, axis: &Axis, rows: &[Row<'_>]) -> Markup {
    html! {
        (axis.drawn(view))
        ol.trail.falls {
            @for row in rows {
                @match row {
                    Row::Event(node) => {
                        @let is_chosen = display.chosen == Some(node.event.position);
                        li class={ "d" (node.depth.min(3)) } id=(format!("at-{}", node.event.position)) tabindex=[is_chosen.then_some("-1")]
                            data-position=(node.event.position) data-id=(node.event.id) data-chosen[is_chosen] aria-current=[is_chosen.then_some("true")] {
                            (timeline::event_summary(view, &node.event, &detail(is_chosen)))
                            div.about { (link(view, node)) (marks(view, node)) (look(view, node, is_chosen)) }
                            @if is_chosen { (details(view, node)) }
                            (axis.bar(node))
                        }
                    },
                    Row::Missing(pending, depth) => li class={ "missing d" (depth.min(&3)) } { (missing(view, pending)) },
                    Row::Folded(folded) => li class={ "folded d" (folded.depth.min(3)) } { (unfold(view, folded)) },
                }
            }
        }
    }
}

/// The link to its cause, and how its time was spent.
fn link(view: &View<'_>, node: &Node) -> Markup {
    html! {
        @match node.link {
            Link::Root => span { "● " (view.word("root")) },
            Link::Caused => {
                @if let Some(micros) = node.latency_micros {
                    span {
                        "↳ " (view.word("because")) " " (duration(micros))
                        @if let (Some(queue), Some(handle)) = (node.queue_micros, node.handle_micros) {
                            " (" (view.language.fill("queue-and-handle", &[&duration(queue), &duration(handle)])) ")"
                        }
                    }
                }
                @if node.clocks_contradict { (clocks(view)) }
            },
            Link::CauseMissing => span { "◌ " (view.word("cause-missing")) " " code translate="no" { (node.event.causation_id.as_deref().unwrap_or_default()) } },
            Link::CauseLater => span.ill { span aria-hidden="true" { "⚠ " } (view.word("cause-later")) },
        }
    }
}

fn clocks(view: &View<'_>) -> Markup {
    html! { span.ill { span aria-hidden="true" { "⚠ " } (view.word("clocks")) } }
}

/// Marks for an event on the critical path, and for a parked one.
fn marks(view: &View<'_>, node: &Node) -> Markup {
    html! {
        @if node.critical { span.critical { span aria-hidden="true" { "━ " } (view.word("critical")) } }
        @if !node.parked.is_empty() {
            a.ill href=(view.to("/audit/parked", &[])) {
                span aria-hidden="true" { "⚠ " } (view.word("parked")) ": " span translate="no" { (node.parked.join(", ")) }
            }
        }
    }
}

/// The link that opens or closes an event's details.
fn look(view: &View<'_>, node: &Node, is_chosen: bool) -> Markup {
    html! {
        @if is_chosen {
            a href=(view.but("sel", None)) { "× " (view.word("look-away")) }
        } @else {
            a href=(chosen(view, node.event.position)) { (view.word("look-closer")) }
        }
    }
}

/// All details of the selected event.
fn details(view: &View<'_>, node: &Node) -> Markup {
    let event = &node.event;
    let codes = [
        ("event", Some(&event.id)),
        ("command-id", event.command_id.as_ref()),
        ("command-type", event.command_type.as_ref()),
        ("cause", event.causation_id.as_ref()),
        ("subject", event.subject.as_ref()),
    ];
    html! {
        dl.closer {
            div { dt { (view.word("position")) } dd { a href=(view.to(&format!("/audit/e/{}", event.position), &[])) { "#" (event.position) } } }
            div { dt { (view.word("occurred")) } dd { (view.time(event.occurred_at)) } }
            div { dt { (view.word("recorded")) } dd { (view.time(event.recorded_at)) } }
            @for (name, code) in codes {
                @if let Some(code) = code {
                    div { dt { (view.word_of(name).unwrap_or(name)) } dd { code translate="no" { (code) } } }
                }
            }
        }
    }
}

/// A missing step.
pub(crate) fn missing(view: &View<'_>, pending: &Pending) -> Markup {
    let ago = (pending.within_seconds + pending.overdue_seconds).saturating_mul(1_000_000);
    let expected: Vec<_> = pending.expected.iter().map(|kind| view.language.kind(kind)).collect();
    let values = [
        view.language.kind(&pending.kind),
        span_of(ago),
        expected.join(view.word("or")),
        span_of(pending.within_seconds.saturating_mul(1_000_000)),
    ];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    html! { span.ill { span aria-hidden="true" { "┆ " } (view.language.fill("step-missing", &values)) } }
}

fn unfold(view: &View<'_>, folded: &Folded) -> Markup {
    let word = if folded.deeper { "folded-deeper" } else { "folded-more" };
    html! {
        a.row href=(chosen(view, folded.first)) { "▸ " (view.language.fill(word, &[&folded.count.to_string()])) }
    }
}

/// The tree of causes: nested lists, with only the duration of each step.
fn as_tree(view: &View<'_>, display: &Display, rows: &[Row<'_>]) -> Markup {
    let (mut text, mut open) = (String::new(), 0);
    for row in rows {
        let (depth, item) = match row {
            Row::Event(node) => (node.depth, branch(view, display, node)),
            Row::Missing(pending, depth) => (*depth, html! { div.missing { (missing(view, pending)) } }),
            Row::Folded(folded) => (folded.depth, html! { div.folded { (unfold(view, folded)) } }),
        };
        // Lists are opened and closed by hand, without recursion: a tree can be a thousand levels deep.
        let wanted = depth.min(DEEPEST) + 1;
        if wanted > open {
            text.push_str(if open == 0 { "<ol class=\"tree\"><li>" } else { "<ol><li>" });
            open += 1;
        } else {
            text.push_str(&"</li></ol>".repeat(open - wanted));
            text.push_str("</li><li>");
            open = wanted;
        }
        text.push_str(&item.into_string());
    }
    text.push_str(&"</li></ol>".repeat(open));
    PreEscaped(text)
}

fn branch(view: &View<'_>, display: &Display, node: &Node) -> Markup {
    let event = &node.event;
    let is_chosen = display.chosen == Some(event.position);
    let to = format!("/audit/a/{}/{}", event.aggregate_type, event.aggregate_id);
    html! {
        div.node.on[node.critical] id=(format!("at-{}", event.position)) tabindex=[is_chosen.then_some("-1")]
            data-position=(event.position) data-id=(event.id) data-chosen[is_chosen] aria-current=[is_chosen.then_some("true")] {
            div.said {
                span.shape aria-hidden="true" { (shape(&event.aggregate_type)) }
                a.row href=(view.to(&to, &[("v", &event.version.to_string())])) { (naming::sentence(view.language, event)) }
            }
            div.about {
                code translate="no" { (event.kind) " #" (event.position) }
                (link(view, node)) (marks(view, node)) (look(view, node, is_chosen))
            }
            @if is_chosen { (details(view, node)) }
        }
    }
}

/// The same rows in the same order, in words.
fn as_table(view: &View<'_>, display: &Display, rows: &[Row<'_>]) -> Markup {
    let heads = ["position", "event", "by", "begun", "queue", "handle", "took"];
    html! {
        table.steps-table {
            thead { tr { @for name in heads { th.span scope="col" { (view.word_of(name).unwrap_or(name)) } } } }
            tbody {
                @for row in rows {
                    @match row {
                        Row::Event(node) => (cells(view, display, node)),
                        Row::Missing(pending, _) => tr.missing { td { "–" } td colspan="6" { (missing(view, pending)) } },
                        Row::Folded(folded) => tr.folded { td { "–" } td colspan="6" { (unfold(view, folded)) } },
                    }
                }
            }
        }
    }
}

fn cells(view: &View<'_>, display: &Display, node: &Node) -> Markup {
    let event = &node.event;
    let is_chosen = display.chosen == Some(event.position);
    let to = format!("/audit/a/{}/{}", event.aggregate_type, event.aggregate_id);
    let spent = [("queue", node.queue_micros), ("handle", node.handle_micros), ("took", node.latency_micros)];
    html! {
        tr id=(format!("at-{}", event.position)) tabindex=[is_chosen.then_some("-1")] data-position=(event.position) data-id=(event.id)
            data-chosen[is_chosen] aria-current=[is_chosen.then_some("true")] {
            td { a href=(chosen(view, event.position)) { "#" (event.position) } }
            td data-name=(view.word("event")) {
                span aria-hidden="true" { ("· ".repeat(node.depth.min(8))) }
                a.row href=(view.to(&to, &[("v", &event.version.to_string())])) { (naming::sentence(view.language, event)) }
                div.about {
                    @if node.link != Link::Caused { (link(view, node)) }
                    @if node.clocks_contradict { (clocks(view)) }
                    (marks(view, node))
                }
                @if is_chosen { (details(view, node)) p { (look(view, node, true)) } }
            }
            td data-name=(view.word("by")) { (naming::actor_of(view, event)) }
            td data-name=(view.word("begun")) { (view.time(event.recorded_at)) }
            @for (name, micros) in spent {
                td.span data-name=(view.word_of(name).unwrap_or(name)) { @match micros { Some(micros) => (duration(micros)), None => "–" } }
            }
        }
    }
}

/// Positions of moments on the axis: proportional to time, with long pauses shortened if requested.
struct Axis {
    /// Moments, in microseconds, and their positions on the axis.
    places: Vec<(i64, i64)>,
    /// The positions of pauses, and how long they were.
    gaps: Vec<(i64, i64)>,
    whole: i64,
}

impl Axis {
    fn of(moments: &[i64], compresses: bool) -> Self {
        let idle = |step: i64| compresses && step > IDLE;
        let steps: Vec<i64> = moments.windows(2).map(|two| two[1] - two[0]).collect();
        let pauses = i64::try_from(steps.iter().filter(|step| idle(**step)).count()).unwrap_or(i64::MAX);
        let gap = GAP.min(GAPS / pauses.max(1));
        let busy: i64 = steps.iter().filter(|step| !idle(**step)).sum();
        let room = WIDTH - pauses.saturating_mul(gap);
        let (mut places, mut gaps, mut at, mut spent) = (Vec::new(), Vec::new(), 0, 0);
        for (index, moment) in moments.iter().enumerate() {
            if let Some(step) = index.checked_sub(1).map(|before| steps[before]) {
                if idle(step) {
                    at += gap;
                } else {
                    spent += step;
                }
            }
            // Computed from the total time up to here, so that very short steps still add up.
            let along = i64::try_from(i128::from(spent) * i128::from(room) / i128::from(busy.max(1)));
            let place = at + along.unwrap_or(0);
            if let Some(step) = index.checked_sub(1).map(|before| steps[before]).filter(|step| idle(*step)) {
                gaps.push((place - gap / 2, step));
            }
            places.push((*moment, place));
        }
        let whole = moments.last().zip(moments.first()).map_or(0, |(last, first)| last - first);
        Self { places, gaps, whole }
    }

    fn at(&self, micros: i64) -> i64 {
        let found = self.places.binary_search_by_key(&micros, |(moment, _)| *moment);
        found.map_or(0, |index| self.places[index].1)
    }

    /// The two ends of the axis, and the length of each pause.
    fn drawn(&self, view: &View<'_>) -> Markup {
        let said: Vec<_> = self.gaps.iter().map(|(_, long)| span_of(*long)).collect();
        // Lengths are written on two lines; one that fits on neither is only in the picture's name.
        let mut ends = [i64::MIN; 2];
        let mut written = Vec::new();
        for ((at, _), said) in self.gaps.iter().zip(&said) {
            if let Some(line) = ends.iter().position(|end| end.saturating_add(ROOM) <= *at) {
                ends[line] = *at;
                written.push((*at, 13 + 15 * line, said));
            }
        }
        html! {
            svg.axis role="img" aria-label=(view.language.fill("axis", &[&duration(self.whole), &if said.is_empty() { "–".to_owned() } else { said.join(", ") }])) {
                @for (at, _) in &self.gaps { line.gap x1=(percent(*at)) x2=(percent(*at)) y1="32" y2="44" {} }
                line x1="0" x2="100%" y1="44" y2="44" {}
                @for (at, y, said) in written { text x=(percent(at)) y=(y) text-anchor="middle" { "⁄⁄ " (said) " ⁄⁄" } }
                text x="0" y="40" { "0" }
                text x="100%" y="40" text-anchor="end" { (duration(self.whole)) }
            }
            @if !said.is_empty() {
                p.pauses.soft { (view.word("pauses")) ": " @for said in &said { span { "⁄⁄ " (said) } " " } }
            }
        }
    }

    /// The bar from the recording of its cause to its own: a thin line while it waited, a thick one while it was
    /// handled. The same figures are in the row.
    fn bar(&self, node: &Node) -> Markup {
        let end = node.event.recorded_at.timestamp_micros();
        let begin = end - node.latency_micros.unwrap_or(0).max(0);
        let (from, to) = (self.at(begin).min(self.at(end)), self.at(end));
        let handled = node.handle_micros.map(|handled| self.at(end - handled));
        html! {
            svg.fall.on[node.critical] aria-hidden="true" {
                @for (gap, _) in &self.gaps { line.gap x1=(percent(*gap)) x2=(percent(*gap)) y1="0" y2="14" {} }
                @if let Some(handled) = handled {
                    rect.wait x=(percent(from)) y="6" width=(percent(handled - from)) height="2" {}
                    rect.handle x=(percent(handled)) y="3" width=(percent(to - handled)) height="8" {}
                } @else if from < to {
                    rect.both.torn[node.clocks_contradict] x=(percent(from)) y="5" width=(percent(to - from)) height="4" {}
                }
                line.done x1=(percent(to)) x2=(percent(to)) y1="1" y2="13" {}
            }
        }
    }
}

/// A position on the axis.
fn percent(place: i64) -> String {
    let place = place.max(0);
    format!("{}.{}%", place / 10, place % 10)
}

/// A duration in microseconds, in readable units.
pub(crate) fn duration(micros: i64) -> String {
    let whole = micros.max(0);
    let (milliseconds, seconds) = (whole / 1_000, whole / 1_000_000);
    match seconds {
        0 => format!("{milliseconds}.{:03} ms", whole % 1_000),
        1..60 => format!("{seconds}.{:03} s", milliseconds % 1_000),
        _ => long(seconds, true),
    }
}

/// A rough duration: without zero parts, and no finer than seconds.
fn span_of(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    if seconds < 60 { format!("{seconds} s") } else { long(seconds, false) }
}

fn long(seconds: i64, whole: bool) -> String {
    let (large, unit, small, smaller) = match seconds {
        ..3_600 => (seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    };
    if small == 0 && !whole { format!("{large} {unit}") } else { format!("{large} {unit} {small} {smaller}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_its_two_largest_units() {
        let said = [0, 12_345, 2_310_000, 61_000_000, 5_520_000_000, 90_000_000_000].map(duration);
        assert_eq!(said, ["0.000 ms", "12.345 ms", "2.310 s", "1 min 1 s", "1 h 32 min", "1 d 1 h"]);
        let roughly = [0, 59_999_999, 900_000_000, 5_520_000_000, 86_400_000_000].map(span_of);
        assert_eq!(roughly, ["0 s", "59 s", "15 min", "1 h 32 min", "1 d"]);
    }

    #[test]
    fn pauses_are_shortened_and_everything_stays_on_the_axis() {
        let second = 1_000_000;
        let axis = Axis::of(&[0, second, 7_201 * second, 7_202 * second], true);
        assert_eq!(axis.places.iter().map(|(_, place)| *place).collect::<Vec<_>>(), [0, 470, 530, 1_000]);
        assert_eq!(axis.gaps, [(500, 7_200 * second)]);
        let long = Axis::of(&[0, second, 7_201 * second, 7_202 * second], false);
        assert_eq!((long.gaps.len(), long.at(second), long.at(7_202 * second)), (0, 0, WIDTH));
        let many: Vec<i64> = (0..400).map(|pause| pause * 60 * second).collect();
        let axis = Axis::of(&many, true);
        assert!(axis.places.iter().all(|(_, place)| (0..=WIDTH).contains(place)));
        assert_eq!(axis.gaps.len(), 399);
    }
}
