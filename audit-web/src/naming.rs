//! How pages show names: people read an order's number first, and find its id beside it, to copy.

use maud::{Markup, html};
use serde_json::Value;
use soonshop_audit::entry::Entry;
use soonshop_audit::name::{KEY, Name, Names, ids_in, short};
use soonshop_domain::text::visible;
use uuid::Uuid;

use crate::messages::Language;
use crate::pages::frame::View;
use crate::pages::parts::{self, shape};

/// The name, or a short id where there is none.
pub(crate) fn called(name: Option<&str>, id: &str) -> String {
    name.map_or_else(|| short(id), |name| visible(name).into_owned())
}

/// The name of an id of these names.
pub(crate) fn called_in(names: &Names, id: &str) -> String {
    called(names.get(id).map(|one| one.name.as_str()), id)
}

/// The sentence of an event, with names in place of ids.
pub(crate) fn sentence(language: Language, entry: &Entry) -> String {
    language.sentence(&entry.kind, &entry.summary, |id| match id {
        Some(id) if id != entry.aggregate_id => called_in(&entry.names, id),
        _ => called(entry.name.as_deref(), &entry.aggregate_id),
    })
}

/// An id to copy.
pub(crate) fn id(view: &View<'_>, id: &str) -> Markup {
    html! {
        code.id translate="no" { (id) }
        " " button.quiet type="button" data-copy=(id) aria-label=(format!("{} {id}", view.word("copy"))) hidden { (view.word("copy")) }
    }
}

/// The heading of an aggregate's page: its type and its name; below them its id.
pub(crate) fn heading(view: &View<'_>, kind: &str, name: Option<&str>, of: &str) -> Markup {
    html! {
        h1 { span.shape aria-hidden="true" { (shape(kind)) } (view.label(kind)) " " span translate="no" { (called(name, of)) } }
        p.soft.named { (id(view, of)) }
    }
}

/// A link to an aggregate, by its type and its name.
pub(crate) fn link(view: &View<'_>, kind: &str, name: Option<&str>, id: &str) -> Markup {
    html! {
        a href=(view.to(&format!("/audit/a/{kind}/{id}"), &[])) title=(id) {
            span.shape aria-hidden="true" { (shape(kind)) } (view.label(kind)) " " span translate="no" { (called(name, id)) }
        }
    }
}

/// An actor in words: the kind, and the name of the key or its id.
pub(crate) fn actor(view: &View<'_>, kind: Option<&str>, id: Option<&str>, name: Option<&str>) -> Markup {
    html! {
        @match (kind, id) {
            (None, _) => (view.word("unknown-actor")),
            (Some(kind), None | Some("")) => (view.label(kind)),
            (Some(kind), Some(id)) => { (view.label(kind)) " " span translate="no" title=[is_id(id).then_some(id)] { (called(name, id)) } },
        }
    }
}

/// The actor of an event.
pub(crate) fn actor_of(view: &View<'_>, entry: &Entry) -> Markup {
    let who = entry.actor.as_ref();
    let (id, name) = (who.and_then(|who| who.id.as_deref()), who.and_then(|who| who.name.as_deref()));
    actor(view, who.map(|who| who.kind.as_str()), id, name)
}

/// An actor as `kind:id`.
pub(crate) fn actor_in(view: &View<'_>, actor: Option<&str>, names: &Names) -> Markup {
    let (kind, id) = parts::actor_of(actor);
    let name = id.and_then(|id| names.get(id)).map(|one| one.name.as_str());
    self::actor(view, kind, id, name)
}

/// The path of a field, with names in place of ids: `lines/order 558638, line 731`.
pub(crate) fn path(view: &View<'_>, path: &str, names: &Names) -> String {
    let part = |raw: &str| part(view, raw, names).unwrap_or_else(|| raw.to_owned());
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The name of a part of a path, where it is a line, an id, or an id and the number of a line.
pub(crate) fn part(view: &View<'_>, raw: &str, names: &Names) -> Option<String> {
    if let Some(line) = raw.strip_prefix("number=")
        && !line.is_empty()
        && line.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some(view.language.fill("line", &[line]));
    }
    let part = raw.replace("~1", "/").replace("~0", "~");
    let (id, key) = part.split_once('/').map_or((part.as_str(), None), |(id, key)| (id, Some(key)));
    if !is_id(id) {
        return None;
    }
    let name = called_in(names, id);
    let named = match names.get(id) {
        Some(one) => format!("{} {name}", view.label(&one.kind)),
        None => name,
    };
    Some(match key {
        Some(line) => format!("{named}, {}", view.language.fill("line", &[line])),
        None => named,
    })
}

/// A value of an event or a state: an id of something that has a name leads there by its name. An export may lack what
/// its rows refer to, and has no such links.
pub(crate) fn value(view: &View<'_>, value: &Value, names: &Names) -> Markup {
    let named = value.as_str().and_then(|id| Some((id, names.get(id)?)));
    html! {
        @match named {
            Some((id, Name { kind, name })) if kind != KEY => {
                @if view.file.is_some() {
                    (view.label(kind)) " " span translate="no" { (called(Some(name), id)) }
                } @else {
                    (link(view, kind, Some(name), id))
                }
                " " code.id.soft translate="no" title=(id) { (id) }
            },
            _ => (parts::value(view, value)),
        }
    }
}

/// Links to what a text such as `order-0199…` refers to by an id, as far as that has a name.
pub(crate) fn in_text(view: &View<'_>, text: &str, names: &Names) -> Markup {
    html! {
        @for id in ids_in(text) {
            @if let Some(Name { kind, name }) = names.get(id) { (link(view, kind, Some(name), id)) }
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}
