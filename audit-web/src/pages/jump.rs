//! The box on every page that leads to what was typed: one thing at once, or a page of choices.
//!
//! The text may be a person's name or address, so the box sends a form, and no page that it leads to has the text in
//! its address. A text that names nothing in the shop is looked up as a personal value, which is recorded. Where nothing
//! is found, the box keeps the text unless it is personal, and with a script the reader does not leave his page for it.

use std::ops::RangeInclusive;

use axum::http::StatusCode;
use axum::http::header::REFERER;
use axum::response::Response;
use maud::{Markup, html};
use soonshop_audit::entry::Entry;
use soonshop_audit::filter::Filter;
use soonshop_audit::finder::{self, Finds, NamedThing, SIMILAR, Thing};
use soonshop_audit::look_up;
use soonshop_audit::search::Search;
use soonshop_audit::{names, timeline};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Owner;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use url::{Position, Url};
use uuid::Uuid;

use super::access::{is_ours, is_shown};
use super::frame::{View, answered, described, page, see_other, with};
use super::parts::missed;
use super::shown_names::ShownName;
use super::timeline::{Detail, event_summary};
use crate::naming;
use crate::state::{Action, Call, Endpoint, at_least};

/// The address of the box.
const JUMP: &str = "/audit/jump";

/// The events with a text that are checked to be of one aggregate.
const AMONG: usize = 50;

/// Those of them that are shown.
const SHOWN: usize = 10;

/// The fewest digits that are looked for in texts and as a person's number: fewer are in nearly every id.
const FEWEST_DIGITS: usize = 4;

/// How many digits a telephone number has: with signs between them, and without.
const TELEPHONE: [RangeInclusive<usize>; 2] = [7..=15, 10..=15];

fn params() -> Vec<Param> {
    vec![Param::new("id", Kind::Free, "Any name, number, SKU, id, position or hash.")]
}

pub(crate) fn table() -> Vec<Endpoint> {
    vec![
        page(
            JUMP,
            "audit.jump-page",
            Class::Searches,
            Action::new(with(params()), described(), |call| async move {
                let typed = call.params.text("id").unwrap_or_default().trim().to_owned();
                // Text in an address is never looked up as a personal value.
                jump(&call, &typed, false).await
            }),
        ),
        page(
            JUMP,
            "audit.jump",
            // It is counted as a look-up, too, where it is one.
            Class::Searches,
            Action::new(with(Vec::new()), described(), |call| async move {
                let typed = call.form.text("id").unwrap_or_default().trim().to_owned();
                jump(&call, &typed, call.shared.file.is_none()).await
            })
            .takes(Owner::Anyone, params()),
        ),
    ]
}

/// The finds, where they are not one thing.
struct Choices {
    typed: String,
    finds: Finds,
    /// The newest events that contain the text, and whether there are more.
    texts: (Vec<Entry>, bool),
    /// People who have the value, by id, if it was looked up.
    people: Option<Vec<String>>,
    may_look_up: bool,
    /// The page from which the text was sent, as far as it can be opened again.
    back: Option<String>,
}

impl Choices {
    fn is_nothing(&self) -> bool {
        let people = self.people.as_ref().is_none_or(Vec::is_empty);
        self.finds.found.is_empty() && self.texts.0.is_empty() && people
    }

    /// The text, unless it is a personal value.
    fn shown_text(&self) -> Option<&str> {
        let is_of_people = self.people.as_ref().is_some_and(|people| !people.is_empty());
        (!is_of_people && !is_address_or_telephone(&self.typed)).then_some(self.typed.as_str())
    }
}

async fn jump(call: &Call, typed: &str, looks_up: bool) -> Result<Response, Problem> {
    let (view, reader) = (View::of(call), &call.shared.reader);
    let typed = finder::without_secret(typed);
    if typed.is_empty() {
        return Ok(see_other(&view.to("/audit/timeline", &[])));
    }
    let mut finds = finder::find(reader, typed).await?;
    let shown = ShownName::read(typed).filter(|_| finds.found.is_empty());
    if let Some(shown) = &shown {
        if shown.name.is_empty() {
            if let Some(to) = version_of_page_before(call, shown.version) {
                return Ok(see_other(&to));
            }
        } else {
            finds = finder::find(reader, &shown.name).await?;
            // Of another kind: these are what it may be.
            if finds.found.iter().any(|one| shown.fits(&one.thing)) {
                finds.found.retain(|one| shown.fits(&one.thing));
            }
        }
        if let ([NamedThing { thing: Thing::Aggregate { kind, id }, .. }], Some(version)) =
            (finds.found.as_slice(), shown.version)
        {
            let to = format!("/audit/a/{kind}/{id}");
            return Ok(see_other(&view.to(&to, &[("v", &version.to_string())])));
        }
    }
    // A name that is only like what was typed is offered, and not gone to.
    let is_certain = finds.found.iter().all(|one| one.by != SIMILAR);
    if let [one] = finds.found.as_slice()
        && is_certain
    {
        return Ok(see_other(&address_of(&view, &one.thing)));
    }
    let mut choices = Choices {
        typed: typed.to_owned(),
        finds,
        texts: (Vec::new(), false),
        people: None,
        may_look_up: looks_up && is_perhaps_personal(typed),
        back: page_before(call),
    };
    // No text of the trail holds an e-mail address.
    if choices.finds.found.is_empty()
        && !is_short_number(typed)
        && !(typed.contains('@') && choices.may_look_up)
    {
        let found = texts(call, typed).await?;
        if let Some(first) = found.0.first().filter(|_| found.0.len() < AMONG)
            && found.0.iter().all(|one| one.aggregate_id == first.aggregate_id)
        {
            let thing =
                Thing::Aggregate { kind: first.aggregate_type.clone(), id: first.aggregate_id.clone() };
            return Ok(see_other(&address_of(&view, &thing)));
        }
        choices.texts = found;
    }
    if choices.finds.found.is_empty() && choices.texts.0.is_empty() && choices.may_look_up {
        call.caller().count(Class::LookUps).await?;
        let found = look_up::find(reader, &call.caller().actor, typed).await?;
        if let (Some(id), 1) = (found.subjects.first(), found.subjects.len()) {
            return Ok(see_other(&address_of(&view, &Thing::Person(id.clone()))));
        }
        choices.people = Some(found.subjects.into_iter().collect());
    }
    let view = view.after_jump(choices.shown_text());
    let status = if choices.is_nothing() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    Ok(answered(&view, status, "jump", None, &body(&view, &choices)))
}

/// An id is no personal value, and neither a pattern nor so short a number can be looked up.
fn is_perhaps_personal(typed: &str) -> bool {
    Uuid::try_parse(typed).is_err() && !typed.contains(['*', '%']) && !is_short_number(typed)
}

fn is_short_number(typed: &str) -> bool {
    typed.len() < FEWEST_DIGITS && typed.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text looks like an e-mail address or a telephone number.
fn is_address_or_telephone(typed: &str) -> bool {
    let digits = typed.bytes().filter(u8::is_ascii_digit).count();
    let [grouped, plain] = TELEPHONE;
    let fits = if digits == typed.len() { plain } else { grouped };
    let of_telephone = |sign: char| sign.is_ascii_digit() || "+()-./ ".contains(sign);
    typed.contains('@') || fits.contains(&digits) && typed.chars().all(of_telephone)
}

/// The page of the trail that the text was sent from.
fn page_before(call: &Call) -> Option<String> {
    let from = Url::parse(call.headers_in.get(REFERER)?.to_str().ok()?).ok()?;
    let back = from[Position::BeforePath..Position::AfterQuery].to_owned();
    (is_ours(&back) && is_shown(&call.shared.pages, &back)).then_some(back)
}

/// This version of the thing whose page the text was sent from.
fn version_of_page_before(call: &Call, version: Option<i64>) -> Option<String> {
    let back = page_before(call)?;
    let path = back.split('?').next().filter(|path| path.starts_with("/audit/a/"))?;
    Some(View::of(call).to(path, &[("v", &version?.to_string())]))
}

/// The newest events that contain the text, and whether there are more than are read.
async fn texts(call: &Call, typed: &str) -> Result<(Vec<Entry>, bool), Problem> {
    let text = typed.replace('"', "");
    if text.trim().is_empty() {
        return Ok((Vec::new(), false));
    }
    let search = Search::of(&Filter::from(format!("\"{text}\"").as_str()))?;
    let reader = &call.shared.reader;
    let (_, mut found) = timeline::read(reader, at_least(call), &search, AMONG).await?;
    names::add_to(reader, &mut found).await?;
    let more = found.len() == AMONG;
    Ok((found, more))
}

/// The address of something that was found. It holds ids and positions, and never what was typed.
fn address_of(view: &View<'_>, thing: &Thing) -> String {
    let search = |q: &str| view.to("/audit/timeline", &[("q", q)]);
    match thing {
        Thing::Aggregate { kind, id } => view.to(&format!("/audit/a/{kind}/{id}"), &[]),
        Thing::Event(position) => view.to(&format!("/audit/e/{position}"), &[]),
        Thing::Command(id) => view.to("/audit/timeline", &[("q", &format!("command:{id}")), ("group", "1")]),
        Thing::Correlation(id) => view.to(&format!("/audit/c/{id}"), &[]),
        Thing::Person(id) => search(&format!("subject:{id}")),
        Thing::Key { actor, .. } => search(&format!("actor:{actor}")),
        Thing::Seal(_, (first, last)) => {
            let (after, before) = ((first - 1).to_string(), last.saturating_add(1).to_string());
            view.to("/audit/timeline", &[("after", &after), ("before", &before), ("order", "asc")])
        }
    }
}

fn body(view: &View<'_>, choices: &Choices) -> Markup {
    let Choices { typed, finds, texts: (texts, more), people, may_look_up, back } = choices;
    let found = &finds.found;
    let nothing = choices.is_nothing();
    let only_texts = !nothing && found.is_empty() && people.as_ref().is_none_or(Vec::is_empty);
    let heading = match (nothing, only_texts) {
        (true, _) => "found-nothing",
        (_, true) => "found-texts",
        _ => "found-several",
    };
    html! {
        h1 { (view.word(heading)) }
        @if let Some(text) = choices.shown_text() { p { q translate="no" { (text) } } }
        @if nothing { (missed(view.word("missed-jump"))) }
        @if !found.is_empty() {
            ul.found {
                @for one in found { li { (choice(view, finds, one)) } }
            }
        }
        @if let Some(people) = people {
            @if !people.is_empty() {
                ul.found {
                    @for id in people {
                        li { a href=(address_of(view, &Thing::Person(id.clone()))) { (view.word("subject")) " " span translate="no" { (naming::called(None, id)) } } }
                    }
                }
            }
            p.soft { (view.word("look-up-recorded")) }
        }
        @if !texts.is_empty() {
            @if !only_texts { h2 { (view.word("found-texts")) } }
            ol.trail {
                @for entry in texts.iter().take(SHOWN) {
                    li data-position=(entry.position) data-id=(entry.id) { (event_summary(view, entry, &Detail::default())) }
                }
            }
            @if *more || texts.len() > SHOWN {
                @let text = format!("\"{}\"", typed.replace('"', ""));
                p { a href=(view.to("/audit/timeline", &[("q", &text)])) { (view.word("found-texts-all")) } }
            }
        }
        @if nothing { p.soft { (view.word("found-tried")) } }
        @if *may_look_up && people.is_none() {
            form.line method="post" action=(view.to("/audit/look-up", &[])) {
                input type="hidden" name="value" value=(typed);
                button { (view.word("look-up")) }
                span.soft { (view.word("look-up-recorded")) }
            }
        }
        p {
            @if let Some(back) = back.as_ref().filter(|_| nothing) { a href=(back) { (view.word("back")) } " · " }
            a href=(view.to("/audit/timeline", &[])) { (view.word("timeline")) }
        }
    }
}

/// Something that was found: which kind of thing it is, a link to it, and by which kind of name.
fn choice(view: &View<'_>, finds: &Finds, found: &NamedThing) -> Markup {
    let to = address_of(view, &found.thing);
    let by = view.word_of(&format!("found-by-{}", found.by)).unwrap_or(found.by);
    html! {
        @match &found.thing {
            Thing::Aggregate { kind, id } => {
                (naming::link(view, kind, finds.names.get(id).map(|one| one.name.as_str()), id))
            },
            Thing::Event(position) => a href=(to) { (view.word("event")) " #" (position) },
            Thing::Command(id) => a href=(to) { (view.word("command-id")) " " code translate="no" { (id) } },
            Thing::Correlation(id) => a href=(to) { (view.word("correlation")) " " code translate="no" { (id) } },
            Thing::Person(id) => a href=(to) { (view.word("subject")) " " code translate="no" { (id) } },
            Thing::Key { name, .. } => a href=(to) { (view.word("key")) " " span translate="no" { (name) } },
            Thing::Seal(number, (first, last)) => a href=(to) { (view.word("seal")) " " (number) (view.word("colon")) "#" (first) " – #" (last) },
        }
        " " span.soft { (by) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_telephone_number_are_not_shown_again() {
        let id = Uuid::nil().to_string();
        for personal in
            ["ada@example.org", "+44 7700 900789", "030-1234567", "(030) 1234567", "4915112345678"]
        {
            assert!(is_address_or_telephone(personal), "{personal}");
        }
        for other in
            ["558638", "99999999999999999999", "S-4711", "2026-11", "nothing-of-this-name", "MUG-01", &id, ""]
        {
            assert!(!is_address_or_telephone(other), "{other}");
        }
    }
}
