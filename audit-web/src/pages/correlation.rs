//! Everything that followed from one request: as a waterfall along time, as a tree of causes, and as a table with the
//! same rows in the same order, in words only.

use maud::{Markup, PreEscaped, html};
use soonshop_audit::correlation::{IDLE, Link, Node, Tree, moments};
use soonshop_audit::pending::Pending;
use soonshop_service_kit::endpoint::params::{Kind, Param, Params};
use soonshop_service_kit::rates::Class;

use super::frame::{View, described, page, shown_as, with};
use super::parts::shape;
use super::times::times;
use super::{timeline, titles};
use crate::messages::Language;
use crate::state::{Action, Endpoint};
use crate::{find, naming};

/// The width of the time axis, in tenths of a percent.
const WIDTH: i64 = 1_000;

/// The most width of one pause, and of all pauses together.
const GAP: i64 = 60;
const GAPS: i64 = WIDTH * 3 / 4;

/// The least distance between two pause lengths that are written on one line.
const ROOM: i64 = 200;

/// The places on the axis that have a line and a moment.
const TICKS: [i64; 3] = [WIDTH / 4, WIDTH / 2, WIDTH * 3 / 4];

/// The most direct effects of one event that are shown; the others are folded.
const CHILDREN: usize = 20;

/// The most levels by which a tree is indented.
const DEEPEST: usize = 12;

const VIEWS: [&str; 3] = ["waterfall", "tree", "table"];

/// The depths to choose from.
const DEPTHS: [&str; 3] = ["1", "2", "3"];

pub(crate) fn table() -> Vec<Endpoint> {
    let params = vec![
        Param::new("view", Kind::OneOf(&VIEWS), "As what.").display_only(),
        Param::new("gap", Kind::OneOf(&["1", "0"]), "0: pauses are drawn as long as they were.")
            .display_only(),
        Param::new("depth", Kind::Number(0, 1_000), "What is deeper is folded.").display_only(),
        Param::new("sel", Kind::Number(1, i64::MAX), "The position of the event that is looked at.")
            .display_only(),
    ];
    vec![page(
        "/audit/c/{id}",
        "audit.correlation-page",
        Class::Reads,
        Action::new(with(params), described(), |mut call| async move {
            let found = find::correlation(&call).await;
            let chosen = call.params.number("sel");
            if let (Ok((_, tree)), Some(chosen)) = (&found, chosen)
                && !tree.items.iter().any(|node| node.event.position == chosen)
            {
                call.pass_over("sel");
            }
            let display = Display::of(&call.params);
            let found = found.map(|(position, tree)| (position, (tree, display)));
            let title = |view: &View<'_>, (tree, _): &(Tree, Display)| title(view, tree);
            shown_as(&call, found, title, |view, (tree, display)| body(view, tree, display))
        }),
    )]
}

/// The cause of everything, in a sentence.
fn title(view: &View<'_>, tree: &Tree) -> String {
    let first = tree.items.first().map(|node| naming::sentence(view.language, &node.event));
    titles::about(view, "correlation", &first.unwrap_or_default())
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

impl Row<'_> {
    fn depth(&self) -> usize {
        match self {
            Self::Event(node) => node.depth,
            Self::Missing(_, depth) => *depth,
            Self::Folded(folded) => folded.depth,
        }
    }

    /// The events that it stands for.
    fn count(&self) -> usize {
        match self {
            Self::Event(_) => 1,
            Self::Missing(..) => 0,
            Self::Folded(folded) => folded.count,
        }
    }
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
            span { (view.word("took")) " " strong { (duration(view.language, tree.total_micros)) } }
            @if tree.active_micros < tree.total_micros {
                span { (view.word("of-it-active")) " " strong { (duration(view.language, tree.active_micros)) } }
                span { (view.word("of-it-idle")) " " (duration(view.language, tree.total_micros - tree.active_micros)) }
            }
        }
        @if !tree.missing.is_empty() {
            p.soft { "◌ " (view.word("cause-missing")) (view.word("colon")) @for id in &tree.missing { code translate="no" { (id) } " " } }
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

/// Its subject: the aggregate of its first event, by its name; the id of the request below.
fn heading(view: &View<'_>, tree: &Tree) -> Markup {
    html! {
        h1 {
            (view.word("correlation"))
            @if let Some(Node { event, .. }) = tree.items.first() {
                (view.word("colon")) (view.label(&event.aggregate_type)) " "
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
            @if display.view == "waterfall" { (legend(view)) }
        }
    }
}

/// The legend of the bars.
fn legend(view: &View<'_>) -> Markup {
    html! {
        p.legend.soft {
            span { svg.swatch aria-hidden="true" { rect.wait x="0" y="14" width="24" height="2" {} } (view.word("legend-wait")) }
            span { svg.swatch aria-hidden="true" { rect.handle x="0" y="11" width="24" height="8" {} } (view.word("legend-handle")) }
            span { span.critical aria-hidden="true" { "━ " } (view.word("critical")) }
        }
    }
}

/// The address that selects an event; a browser scrolls to its row.
fn chosen(view: &View<'_>, position: i64) -> String {
    format!("{}#at-{position}", view.but("sel", Some(&position.to_string())))
}

/// The waterfall: a row for each event, with its name in one column and its bar in another. All bars are drawn along the
/// axis at the top, however deep an event is, so that they compare.
fn as_waterfall(view: &View<'_>, display: &Display, axis: &Axis, rows: &[Row<'_>]) -> Markup {
    let lane = |row: &Row<'_>| match row {
        Row::Event(node) => lane(view, display, axis, node),
        Row::Missing(pending, _) => html! { div.lane.missing { div.name { (missing(view, pending)) } } },
        Row::Folded(folded) => html! { div.lane.folded { div.name { (unfold(view, folded)) } } },
    };
    html! {
        div.waterfall {
            div.lane.head {
                span.name { (view.word("event")) }
                span.bar { (axis.drawn(view)) }
                span.took { (view.word("took")) }
            }
            (nested(view, "trail falls", rows, lane))
        }
        (axis.pauses(view))
    }
}

/// The row of an event, and all of it where it is selected.
fn lane(view: &View<'_>, display: &Display, axis: &Axis, node: &Node) -> Markup {
    let event = &node.event;
    let is_chosen = display.chosen == Some(event.position);
    let context = html! { (timeline::context(view, event)) " " (link(view, node)) };
    html! {
        div id=(format!("at-{}", event.position)) tabindex=[is_chosen.then_some("-1")]
            data-position=(event.position) data-id=(event.id) data-chosen[is_chosen] aria-current=[is_chosen.then_some("true")] {
            div.lane {
                div.name {
                    (timeline::sentence(view, event))
                    (parked(view, node))
                    @if !is_chosen { span.context { (context) " " (times(view, event.recorded_at, event.occurred_at)) } }
                }
                div.bar { (axis.bar(node)) }
                div.took {
                    (critical(view, node))
                    @match (node.link, node.latency_micros) {
                        (Link::Root, _) => span.soft { (view.word("root")) },
                        (_, Some(micros)) => (duration(view.language, micros)),
                        (_, None) => "–",
                    }
                }
                (look(view, node, is_chosen))
            }
            @if is_chosen {
                div.opened {
                    div.about { (times(view, event.recorded_at, event.occurred_at)) (context) }
                    (timeline::shown_fields(view, event, usize::MAX))
                    (details(view, node))
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
                        "↳ " (view.word("because")) " " (duration(view.language, micros))
                        @if let (Some(queue), Some(handle)) = (node.queue_micros, node.handle_micros) {
                            " (" (view.language.fill("queue-and-handle", &[&duration(view.language, queue), &duration(view.language, handle)])) ")"
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
        (parked(view, node))
    }
}

/// The sign of the critical path; the tools above the rows say what it stands for.
fn critical(view: &View<'_>, node: &Node) -> Markup {
    html! {
        @if node.critical { span.critical { span aria-hidden="true" { "━ " } span.unseen { (view.word("critical")) " " } } }
    }
}

fn parked(view: &View<'_>, node: &Node) -> Markup {
    html! {
        @if !node.parked.is_empty() {
            a.ill href=(view.to("/audit/parked", &[])) {
                span aria-hidden="true" { "⚠ " } (view.word("parked")) (view.word("colon")) span translate="no" { (node.parked.join(", ")) }
            }
        }
    }
}

/// The link that opens or closes an event's details.
fn look(view: &View<'_>, node: &Node, is_chosen: bool) -> Markup {
    html! {
        @if is_chosen {
            a.look href=(view.but("sel", None)) { "× " (view.word("look-away")) }
        } @else {
            a.look href=(chosen(view, node.event.position)) { (view.word("look-closer")) }
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
        span_of(view.language, ago),
        expected.join(view.word("or")),
        span_of(view.language, pending.within_seconds.saturating_mul(1_000_000)),
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

/// The tree of causes, with only the duration of each step.
fn as_tree(view: &View<'_>, display: &Display, rows: &[Row<'_>]) -> Markup {
    nested(view, "tree", rows, |row| match row {
        Row::Event(node) => branch(view, display, node),
        Row::Missing(pending, _) => html! { div.missing { (missing(view, pending)) } },
        Row::Folded(folded) => html! { div.folded { (unfold(view, folded)) } },
    })
}

/// Nested lists: below each row the rows that it caused, in a group that folds.
fn nested(view: &View<'_>, class: &str, rows: &[Row<'_>], item: impl Fn(&Row<'_>) -> Markup) -> Markup {
    let level = |row: &Row<'_>| row.depth().min(DEEPEST);
    let (mut text, mut open) = (String::new(), 0);
    for (at, row) in rows.iter().enumerate() {
        // Lists are opened and closed by hand, without recursion: a tree can be a thousand levels deep.
        if level(row) >= open {
            if let Some(parent) = at.checked_sub(1).map(|parent| level(&rows[parent])) {
                let below: usize =
                    rows[at..].iter().take_while(|row| level(row) > parent).map(Row::count).sum();
                text.push_str("<details class=\"fold\" open>");
                text.push_str(&fold(view, below).into_string());
                text.push_str("<ol>");
            } else {
                text.push_str("<ol class=\"");
                text.push_str(class);
                text.push_str("\">");
            }
            open += 1;
        } else {
            text.push_str("</li>");
            text.push_str(&"</ol></details></li>".repeat(open - 1 - level(row)));
            open = level(row) + 1;
        }
        text.push_str("<li class=\"d");
        text.push_str(&(open - 1).to_string());
        text.push_str("\">");
        text.push_str(&item(row).into_string());
    }
    if open > 0 {
        text.push_str("</li>");
        text.push_str(&"</ol></details></li>".repeat(open - 1));
        text.push_str("</ol>");
    }
    PreEscaped(text)
}

/// The control that folds a group, with the number of its events.
fn fold(view: &View<'_>, count: usize) -> Markup {
    html! {
        summary {
            span aria-hidden="true" { (count) }
            span.unseen { (view.language.fill("fold", &[&count.to_string()])) }
        }
    }
}

fn branch(view: &View<'_>, display: &Display, node: &Node) -> Markup {
    let event = &node.event;
    let is_chosen = display.chosen == Some(event.position);
    let to = format!("/audit/a/{}/{}", event.aggregate_type, event.aggregate_id);
    html! {
        div.node.on[node.critical] id=(format!("at-{}", event.position)) tabindex=[is_chosen.then_some("-1")]
            data-position=(event.position) data-id=(event.id) data-chosen[is_chosen] aria-current=[is_chosen.then_some("true")] {
            div.sentence {
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
        table.steps-table.list {
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
            td data-name=(view.word("begun")) { (times(view, event.recorded_at, event.occurred_at)) }
            @for (name, micros) in spent {
                td.span data-name=(view.word_of(name).unwrap_or(name)) { @match micros { Some(micros) => (duration(view.language, micros)), None => "–" } }
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

    /// How long after the start it was at a place; `None` within a shortened pause.
    fn moment(&self, place: i64) -> Option<i64> {
        let begin = self.places.first()?.0;
        let after = self.places.partition_point(|(_, at)| *at < place);
        let ((from, at), (to, end)) = (*self.places.get(after.checked_sub(1)?)?, *self.places.get(after)?);
        if self.gaps.iter().any(|(gap, _)| at < *gap && *gap <= end) {
            return None;
        }
        let along = i128::from(to - from) * i128::from(place - at) / i128::from((end - at).max(1));
        Some(from - begin + i64::try_from(along).unwrap_or(0))
    }

    /// The axis: moments after the start, and the length of each shortened pause.
    fn drawn(&self, view: &View<'_>) -> Markup {
        let message = self.lengths(view);
        // Lengths are written on two lines; one that fits on neither is only in the picture's name.
        let mut ends = [i64::MIN; 2];
        let mut written = Vec::new();
        for ((at, _), message) in self.gaps.iter().zip(&message) {
            if let Some(line) = ends.iter().position(|end| end.saturating_add(ROOM) <= *at) {
                ends[line] = *at;
                written.push((*at, 11 + 13 * line, message));
            }
        }
        let base = if message.is_empty() { 16 } else { 40 };
        let moments = TICKS.into_iter().filter_map(|place| Some((place, self.moment(place)?)));
        html! {
            svg.axis.paused[!message.is_empty()] role="img" aria-label=(view.language.fill("axis", &[&duration(view.language, self.whole), &if message.is_empty() { "–".to_owned() } else { message.join(", ") }])) {
                @for (at, _) in &self.gaps { line.gap x1=(percent(*at)) x2=(percent(*at)) y1="26" y2="46" {} }
                @for (at, y, message) in written { text x=(percent(at)) y=(y) text-anchor="middle" { "⁄⁄ " (message) " ⁄⁄" } }
                text x="0" y=(base) { "0" }
                @if self.whole > 0 {
                    @for (at, moment) in moments { text.tick x=(percent(at)) y=(base) text-anchor="middle" { (duration(view.language, moment)) } }
                    text x="100%" y=(base) text-anchor="end" { (duration(view.language, self.whole)) }
                }
            }
        }
    }

    /// The lengths of the pauses in words, for windows that are too narrow for them on the axis.
    fn pauses(&self, view: &View<'_>) -> Markup {
        let message = self.lengths(view);
        html! {
            @if !message.is_empty() {
                p.pauses.soft { (view.word("pauses")) (view.word("colon")) @for message in &message { span { "⁄⁄ " (message) } " " } }
            }
        }
    }

    fn lengths(&self, view: &View<'_>) -> Vec<String> {
        self.gaps.iter().map(|(_, long)| span_of(view.language, *long)).collect()
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
                @for (gap, _) in &self.gaps { line.gap x1=(percent(*gap)) x2=(percent(*gap)) y1="0" y2="30" {} }
                @if let Some(handled) = handled {
                    rect.wait x=(percent(from)) y="14" width=(percent(handled - from)) height="2" {}
                    rect.handle x=(percent(handled)) y="11" width=(percent(to - handled)) height="8" {}
                } @else if from < to {
                    rect.both.torn[node.clocks_contradict] x=(percent(from)) y="13" width=(percent(to - from)) height="4" {}
                }
                line.done x1=(percent(to)) x2=(percent(to)) y1="9" y2="21" {}
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
pub(crate) fn duration(language: Language, micros: i64) -> String {
    let whole = micros.max(0);
    let (milliseconds, seconds) = (whole / 1_000, whole / 1_000_000);
    match seconds {
        0 => format!("{milliseconds}.{:03} {}", whole % 1_000, language.word("unit-ms")),
        1..60 => format!("{seconds}.{:03} {}", milliseconds % 1_000, language.word("unit-s")),
        _ => long(language, seconds, true),
    }
}

/// A rough duration: without zero parts, and no finer than seconds.
fn span_of(language: Language, micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    if seconds < 60 {
        format!("{seconds} {}", language.word("unit-s"))
    } else {
        long(language, seconds, false)
    }
}

fn long(language: Language, seconds: i64, whole: bool) -> String {
    let (large, unit, small, smaller) = match seconds {
        ..3_600 => (seconds / 60, "unit-min", seconds % 60, "unit-s"),
        3_600..86_400 => (seconds / 3_600, "unit-h", seconds % 3_600 / 60, "unit-min"),
        _ => (seconds / 86_400, "unit-d", seconds % 86_400 / 3_600, "unit-h"),
    };
    let (unit, smaller) = (language.word(unit), language.word(smaller));
    if small == 0 && !whole { format!("{large} {unit}") } else { format!("{large} {unit} {small} {smaller}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_its_two_largest_units() {
        let message = [0, 12_345, 2_310_000, 61_000_000, 5_520_000_000, 90_000_000_000];
        let of = |language| message.map(|micros| duration(language, micros));
        assert_eq!(
            of(Language::English),
            ["0.000 ms", "12.345 ms", "2.310 s", "1 min 1 s", "1 h 32 min", "1 d 1 h"]
        );
        assert_eq!(
            of(Language::Chinese),
            ["0.000 毫秒", "12.345 毫秒", "2.310 秒", "1 分钟 1 秒", "1 小时 32 分钟", "1 天 1 小时"]
        );
        let roughly = [0, 59_999_999, 900_000_000, 5_520_000_000, 86_400_000_000]
            .map(|micros| span_of(Language::English, micros));
        assert_eq!(roughly, ["0 s", "59 s", "15 min", "1 h 32 min", "1 d"]);
    }

    #[test]
    fn the_axis_tells_the_moment_of_each_place_outside_of_shortened_pauses() {
        let second = 1_000_000;
        let moments = [5, 5 + second, 5 + 7_201 * second, 5 + 7_202 * second];
        let axis = Axis::of(&moments, true);
        let at_places = [250, 500, 750].map(|place| axis.moment(place));
        assert_eq!(at_places, [Some(531_914), None, Some(7_201 * second + 468_085)]);
        let long = Axis::of(&moments, false);
        // A place is as wide as the axis divided by its width.
        let middle = long.moment(500).unwrap();
        assert!((middle - 3_601 * second).abs() <= 7_202 * second / WIDTH, "{middle}");
        assert_eq!(Axis::of(&[5], true).moment(500), None, "one moment is at the start");
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
