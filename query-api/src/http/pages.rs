//! The pages of the audit trail, for people: rendered here whole, from what the JSON endpoints answer, so that the two
//! cannot differ and nothing gets to a page past the redactor. They work without a script, and load nothing from
//! elsewhere.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;
use soonshop_service_kit::Problem;
use url::form_urlencoded;

use super::call::Call;
use super::correlation::{self, Link, Tree};
use super::openapi::Described;
use super::params::{Kind, Param};
use super::redactor::Redacted;
use super::standing::{self, Health, Judged};
use super::timeline::{self, Entry};
use super::trail::{self, Trail};
use super::words::{self, Language};
use super::{Action, Endpoint};

const STYLE: &str = include_str!("../../assets/audit.css");

/// Nothing but our own style sheet is loaded, and nothing runs.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Parameters of every page.
const COMMON: [Param; 2] = [
    Param::new("lang", Kind::OneOf(Language::TAGS), "The language; the browser's where it is left out."),
    Param::new(
        "theme",
        Kind::OneOf(&["auto", "light", "dark"]),
        "Light or dark; the browser's where it is left out.",
    ),
];

/// What a type of aggregate is told by beside its name.
const SHAPES: &[(&str, &str)] =
    &[("user", "◉"), ("person", "◎"), ("product", "◆"), ("stock", "△"), ("order", "▢"), ("credit_note", "◇")];

/// Every page. They are no part of the API's description.
pub(super) fn table() -> Vec<Endpoint> {
    let page = |path, name, action| Endpoint { path, name, summary: "A page", action };
    let with = |params: Vec<Param>| params.into_iter().chain(COMMON).collect();
    let described = Described::one::<super::openapi::Money>;
    vec![
        page(
            "/audit/timeline",
            "audit.timeline-page",
            Action::new(with(timeline::params()), described(), |call| async move {
                let found = timeline::find(&call).await;
                Ok(shown(&call, "timeline", found, timeline_page))
            }),
        ),
        page(
            "/audit/a/{type}/{id}",
            "audit.trail-page",
            Action::new(with(trail::params()), described(), |call| async move {
                let found = trail::find(&call).await;
                Ok(shown(&call, "history", found, trail_page))
            }),
        ),
        page(
            "/audit/c/{id}",
            "audit.correlation-page",
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = correlation::find(&call).await;
                Ok(shown(&call, "correlation", found, correlation_page))
            }),
        ),
        page(
            "/audit/projections",
            "audit.projections-page",
            Action::new(with(Vec::new()), described(), |call| async move {
                let found = standing::find(&call).await;
                Ok(shown(&call, "projections", found, projections_page))
            }),
        ),
        page(
            "/audit/audit.css",
            "audit.style",
            Action::new(Vec::new(), described(), |_| async move {
                let headers =
                    [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
                Ok((headers, STYLE).into_response())
            }),
        ),
    ]
}

/// How a page is to look.
struct View<'a> {
    call: &'a Call,
    language: Language,
}

impl<'a> View<'a> {
    fn of(call: &'a Call) -> Self {
        let tag = call.params.text("lang").or(call.language.as_deref()).unwrap_or_default();
        Self { call, language: Language::of(tag) }
    }

    fn word(&self, name: &'static str) -> &'static str {
        self.language.word(name)
    }

    /// The address with the language and theme that were asked for.
    fn to(&self, path: &str, pairs: &[(&str, &str)]) -> String {
        let common = COMMON.iter().filter_map(|param| Some((param.name, self.call.params.text(param.name)?)));
        address(path, pairs.iter().copied().chain(common))
    }

    /// This page's own address with one parameter changed; without one that has no value.
    fn but(&self, name: &str, value: Option<&str>) -> String {
        let pairs: Vec<_> = form_urlencoded::parse(self.call.query.as_bytes())
            .filter(|(known, _)| known != name)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        address(&self.call.path, pairs.chain(value.map(|value| (name, value))))
    }

    /// A type of aggregate or a kind of actor, by its word.
    fn label(&self, name: &str) -> String {
        let known =
            SHAPES.iter().map(|(name, _)| *name).chain(["guest", "customer", "staff", "service", "system"]);
        known
            .into_iter()
            .find(|known| *known == name)
            .map_or_else(|| name.to_owned(), |name| self.word(name).to_owned())
    }

    fn actor(&self, kind: Option<&str>, id: Option<&str>) -> String {
        match (kind, id) {
            (None, _) => self.word("unknown-actor").to_owned(),
            (Some(kind), None | Some("")) => self.label(kind),
            (Some(kind), Some(id)) => format!("{} {id}", self.label(kind)),
        }
    }
}

fn address<'p>(path: &str, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A page, or the refusal as a page.
fn shown<T>(
    call: &Call,
    title: &'static str,
    found: Result<(i64, T), Problem>,
    body: fn(&View<'_>, &T) -> Markup,
) -> Response {
    let view = View::of(call);
    let (status, position, body) = match &found {
        Ok((position, found)) => (StatusCode::OK, Some(*position), body(&view, found)),
        Err(problem) => (problem.status(), None, refusal(&view, problem)),
    };
    let page = frame(&view, title, position, &body).into_string();
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    let mut response = (status, page).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn frame(view: &View<'_>, title: &'static str, position: Option<i64>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(view.language.tag()) data-theme=(view.call.params.text("theme").unwrap_or("auto")) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (view.word(title)) " · " (view.word("audit")) }
                link rel="stylesheet" href="/audit/audit.css";
            }
            body {
                a.skip href="#main" { (view.word("skip")) }
                header {
                    a.mark href=(view.to("/audit/timeline", &[])) { "◆ " (view.word("audit")) }
                    nav {
                        a href=(view.to("/audit/timeline", &[])) { (view.word("timeline")) }
                        a href=(view.to("/audit/projections", &[])) { (view.word("projections")) }
                    }
                    div.choice {
                        a href=(view.but("lang", Some("en"))) lang="en" { "English" }
                        a href=(view.but("lang", Some("zh-CN"))) lang="zh-CN" { "中文" }
                        a href=(view.but("theme", Some("light"))) { "○ " (view.word("theme-light")) }
                        a href=(view.but("theme", Some("dark"))) { "● " (view.word("theme-dark")) }
                    }
                }
                main id="main" { (body) }
                footer {
                    @if let Some(position) = position {
                        span { (view.word("as-of")) " " (position) }
                    }
                    span { (view.word("role")) }
                }
            }
        }
    }
}

fn refusal(view: &View<'_>, problem: &Problem) -> Markup {
    html! {
        h1 { "⚠ " (view.word("refused")) }
        p lang="en" { (problem.detail()) }
        @if let Some(Value::Array(tokens)) = problem.extensions().get("tokens") {
            ul lang="en" {
                @for token in tokens {
                    li { (token["token"]) ": " (token["reason"].as_str().unwrap_or_default()) }
                }
            }
        }
        p { a href=(view.to("/audit/timeline", &[])) { (view.word("all")) } }
    }
}

fn time(moment: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(moment.to_rfc3339_opts(SecondsFormat::Micros, true)) {
            (moment.format("%Y-%m-%d %H:%M:%S%.3f UTC"))
        }
    }
}

/// An event as a sentence, with what stands around it.
fn told(view: &View<'_>, entry: &Entry) -> Markup {
    let shape =
        SHAPES.iter().find(|(name, _)| *name == entry.aggregate_type).map_or("•", |(_, shape)| shape);
    let kind = entry.actor.as_ref().map(|actor| actor.kind.as_str());
    let id = entry.actor.as_ref().and_then(|actor| actor.id.as_deref());
    let version = entry.version.to_string();
    let stream = format!("/audit/a/{}/{}", entry.aggregate_type, entry.aggregate_id);
    html! {
        div.said {
            span.shape aria-hidden="true" { (shape) }
            a href=(view.to(&stream, &[("v", &version)])) { (view.language.sentence(&entry.kind, &entry.summary)) }
        }
        div.about {
            (time(entry.recorded_at))
            span { (view.label(&entry.aggregate_type)) " v" (entry.version) }
            span { (view.actor(kind, id)) }
            @if let Some(whom) = &entry.on_behalf_of {
                span { (view.word("on-behalf-of")) " " (whom) }
            }
            @if let Some(reason) = &entry.reason_code {
                span { (view.word("reason")) ": " (reason) }
            }
            @if holds_personal(&entry.summary) {
                span.mask { "•••• " (view.word("hidden")) }
            }
            code translate="no" { (entry.kind) " #" (entry.position) }
        }
    }
}

fn holds_personal(summary: &Value) -> bool {
    summary.as_object().is_some_and(|fields| fields.values().any(|field| field.get("personal").is_some()))
}

fn timeline_page(view: &View<'_>, page: &timeline::Page) -> Markup {
    let params = &view.call.params;
    let names: Vec<_> = timeline::params().iter().map(|param| param.name).collect();
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(view.call.query.as_bytes()).into_owned().collect();
    let filters = || pairs.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let kept = pairs.iter().filter(|(name, _)| !["q", "before", "after"].contains(&name.as_str()));
    let further = page.next.map(|next| next.to_string());
    let parameter = if params.text("order") == Some("asc") { "after" } else { "before" };
    html! {
        h1 { (view.word("timeline")) }
        form method="get" action="/audit/timeline" role="search" {
            @for (name, value) in kept {
                input type="hidden" name=(name) value=(value);
            }
            input type="search" name="q" value=[params.text("q")] aria-label=(view.word("search"))
                placeholder=(view.word("search-hint"));
            button { (view.word("search")) }
        }
        @if page.items.is_empty() {
            p { (view.word("nothing")) }
            ul {
                @for (name, value) in filters() {
                    li { a href=(view.but(name, None)) { "× " code { (name) "=" (value) } } }
                }
                li { a href=(view.to("/audit/timeline", &[])) { (view.word("all")) } }
            }
        } @else {
            ol.trail {
                @for entry in &page.items {
                    li {
                        (told(view, entry))
                        @if let Some(correlation) = &entry.correlation_id {
                            div.about {
                                a href=(view.to(&format!("/audit/c/{correlation}"), &[])) { "⤳ " (view.word("correlation")) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(further) = &further {
            p { a rel="next" href=(view.but(parameter, Some(further))) { (view.word("older")) " ▸" } }
        }
    }
}

/// A value that came through the redactor.
fn value(view: &View<'_>, value: &Value) -> Markup {
    match value.get("personal").and_then(Value::as_str) {
        Some("erased") => html! { span.mask { "∅ " (view.word("erased")) } },
        Some(_) => html! {
            span.mask {
                "•••• " (view.word("masked"))
                @if let Some(number) = value.get("value") { " " (number) }
            }
        },
        None => html! { span translate="no" { (words::value(value)) } },
    }
}

fn trail_page(view: &View<'_>, trail: &Trail) -> Markup {
    let path = &view.call.path;
    let step = |version: i64| view.to(path, &[("v", &version.to_string())]);
    let side = |field: Option<&Redacted>| field.map(|field| value(view, field.value()));
    let earlier = trail.events.first().filter(|_| trail.more).map(|event| event.version.to_string());
    html! {
        h1 { (view.label(&trail.kind)) " " code translate="no" { (trail.id) } }
        div.steps {
            @if trail.version > 1 { a rel="prev" href=(step(trail.version - 1)) { "◂ " (view.word("previous")) } }
            strong { (view.word("version")) " " (trail.version) " / " (trail.last) }
            @if trail.version < trail.last { a rel="next" href=(step(trail.version + 1)) { (view.word("next")) " ▸" } }
        }
        form method="get" action=(path) {
            @for param in &COMMON {
                @if let Some(chosen) = view.call.params.text(param.name) {
                    input type="hidden" name=(param.name) value=(chosen);
                }
            }
            input type="range" name="v" min="1" max=(trail.last) value=(trail.version) aria-label=(view.word("version"));
            button { (view.word("go")) }
        }
        div.two {
            section {
                h2 { (view.word("history")) }
                @if let Some(earlier) = &earlier {
                    p { a href=(view.but("before", Some(earlier))) { "▴ " (view.word("earlier")) } }
                }
                ol.trail {
                    @for event in &trail.events {
                        li aria-current=[(event.version == trail.version).then_some("true")] {
                            div.said { a href=(step(event.version)) { "v" (event.version) " " (event.kind) } }
                            div.about {
                                (time(event.recorded_at))
                                @let (kind, id) = actor_of(event.actor.as_deref());
                                span { (view.actor(kind, id)) }
                                @if let Some(correlation) = event.correlation_id {
                                    a href=(view.to(&format!("/audit/c/{correlation}"), &[])) { "⤳ " (view.word("correlation")) }
                                }
                            }
                        }
                    }
                }
            }
            section {
                h2 { (view.word("changes")) ": v" (trail.diff.from) " → v" (trail.diff.to) }
                @if trail.diff.changes.is_empty() {
                    p { (view.word("no-changes")) }
                } @else {
                    table {
                        thead { tr { th { (view.word("field")) } th { (view.word("before")) } th { (view.word("after")) } } }
                        tbody {
                            @for change in &trail.diff.changes {
                                tr {
                                    td { code translate="no" { (change.path) } }
                                    td data-name=(view.word("before")) { @if let Some(was) = side(change.before.as_ref()) { del { (was) } } @else { "–" } }
                                    td data-name=(view.word("after")) { @if let Some(is) = side(change.after.as_ref()) { ins { (is) } } @else { "–" } }
                                }
                            }
                        }
                    }
                }
                h2 { (view.word("state")) ": v" (trail.version) }
                table {
                    thead { tr { th { (view.word("field")) } th { (view.word("value")) } th { (view.word("set-by")) } } }
                    tbody {
                        @for (path, field) in trail::leaves(trail.state.value()) {
                            tr {
                                td { code translate="no" { (path) } }
                                td data-name=(view.word("value")) { (value(view, &field)) }
                                td data-name=(view.word("set-by")) {
                                    @if let Some(owed) = trail.blame.as_ref().and_then(|blame| blame.get(&path)) {
                                        a href=(step(owed.version)) { "v" (owed.version) } " " code translate="no" { (owed.kind) }
                                    } @else { "–" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `kind:id`, taken apart.
fn actor_of(actor: Option<&str>) -> (Option<&str>, Option<&str>) {
    actor.map_or((None, None), |actor| {
        actor.split_once(':').map_or((Some(actor), None), |(kind, id)| (Some(kind), Some(id)))
    })
}

/// Every read model, what is wrong with it, and the command that says more.
fn projections_page(view: &View<'_>, health: &Health) -> Markup {
    html! {
        h1 { (view.word("projections")) }
        @if health.healthy {
            p.well { "✓ " (view.word("healthy")) }
        } @else {
            p.ill { "⚠ " (view.word("unhealthy")) }
        }
        table {
            thead {
                tr {
                    th { (view.word("read-model")) } th { (view.word("state")) } th { (view.word("seen")) }
                    th { (view.word("lag")) } th { (view.word("parked")) } th { (view.word("kept-by")) }
                }
            }
            tbody { @for one in &health.items { (projection_row(view, health.head, one)) } }
        }
        p { (view.word("command")) ": " code translate="no" { "replay-tool status --wide" } }
    }
}

fn projection_row(view: &View<'_>, head: i64, one: &Judged) -> Markup {
    let standing = &one.standing;
    let place = match (standing.active, standing.previous) {
        (true, _) => view.word("in-use"),
        (_, true) => view.word("way-back"),
        _ => view.word("candidate"),
    };
    let holders: std::collections::BTreeSet<&str> =
        standing.sinks.iter().filter_map(|sink| sink.holder.as_deref()).collect();
    html! {
        tr {
            td { strong translate="no" { (standing.projection) } " v" (standing.generation) }
            td data-name=(view.word("state")) {
                @if let Some(complaint) = &one.complaint {
                    span.ill { "⚠ " span lang="en" { (complaint) } }
                } @else {
                    span.well { "✓ " (place) }
                }
            }
            td data-name=(view.word("seen")) { (standing.position()) " / " (head) }
            td data-name=(view.word("lag")) { (standing.lag_events) " · " (format!("{:.1} s", standing.lag_seconds)) }
            td data-name=(view.word("parked")) { (standing.parked) }
            td data-name=(view.word("kept-by")) {
                @for holder in &holders { code translate="no" { (holder) } " " }
                @if holders.is_empty() { (view.word("nobody")) }
            }
        }
    }
}

fn correlation_page(view: &View<'_>, tree: &Tree) -> Markup {
    html! {
        h1 { (view.word("correlation")) " " code translate="no" { (tree.correlation_id) } }
        ol.trail {
            @for node in &tree.items {
                li class=(format!("d{}", node.depth.min(3))) {
                    (told(view, &node.event))
                    div.about {
                        @match node.link {
                            Link::Root => span { "● " (view.word("root")) },
                            Link::Caused => {
                                @if let Some(micros) = node.latency_micros {
                                    span { "↳ " (view.word("because")) " " (micros / 1_000) "." (format!("{:03}", micros % 1_000)) " ms" }
                                }
                            },
                            Link::CauseMissing => span { "◌ " (view.word("cause-missing")) " " code translate="no" { (node.event.causation_id.as_deref().unwrap_or_default()) } },
                            Link::CauseLater => span { "⚠ " (view.word("cause-later")) },
                        }
                    }
                }
            }
        }
    }
}
