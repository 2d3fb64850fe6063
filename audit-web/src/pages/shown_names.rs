//! Names as pages show them, pasted back into the box: `Order R-1001`, `Order R-1001, version 3`, `order 558638, line 731`,
//! `user …7fd56d43`, in each language.

use soonshop_audit::finder::Thing;
use soonshop_domain::{ActorKind, TYPES};
use strum::IntoEnumIterator as _;

use crate::messages::Language;

/// Stands for a variable of a text.
const PLACE: &str = "\u{1}";

/// The kind of thing that a label names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Aggregate(&'static str),
    /// Somebody who acts or is acted upon: a user, a guest, the holder of a key.
    Somebody,
    Event,
}

/// A name with the label before it, and the version behind it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ShownName {
    kind: Option<Kind>,
    /// The name alone; empty where only a version was typed.
    pub(crate) name: String,
    pub(crate) version: Option<i64>,
}

impl ShownName {
    /// Reads a text; `None`: it has neither a label nor a version.
    pub(crate) fn read(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        let typed = LANGUAGES.iter().fold(typed, |text, language| without_end(text, language.word("audit")));
        let (rest, version) =
            LANGUAGES.iter().find_map(|one| of_version(typed, *one)).unwrap_or((typed, None));
        let rest = LANGUAGES.iter().fold(rest, |text, language| without_line(text, *language));
        let labelled = LANGUAGES.iter().flat_map(|language| labels(*language)).filter_map(|(label, kind)| {
            let name = after(rest, &label)?;
            Some((label.chars().count(), kind, name))
        });
        // The longest label that fits: "credit note", and not a thing called "credit".
        let longest = labelled.max_by_key(|(length, ..)| *length);
        let (kind, name) = match longest {
            Some((_, kind, name)) => (Some(kind), name),
            None => (None, rest),
        };
        let is_other = kind.is_some() || version.is_some() || name != typed;
        is_other.then(|| Self { kind, name: name.to_owned(), version })
    }

    /// Whether this thing is of the kind that the label names.
    pub(crate) fn fits(&self, thing: &Thing) -> bool {
        match (&self.kind, thing) {
            (None, _)
            | (Some(Kind::Somebody), Thing::Person(_) | Thing::Key { .. })
            | (Some(Kind::Event), Thing::Event(_)) => true,
            (Some(Kind::Aggregate(expected)), Thing::Aggregate { kind, .. }) => kind == expected,
            // A user acts as a customer, and their account under the same id.
            (Some(Kind::Somebody), Thing::Aggregate { kind, .. }) => {
                ["user", "person", "account"].contains(&kind.as_str())
            }
            _ => false,
        }
    }
}

const LANGUAGES: [Language; 2] = [Language::English, Language::Chinese];

/// The labels of a language.
fn labels(language: Language) -> Vec<(String, Kind)> {
    let word = |name: &str| language.find(name).map(str::to_owned);
    let aggregates = TYPES.iter().filter_map(|kind| Some((word(kind)?, Kind::Aggregate(kind))));
    let actors = ActorKind::iter().filter_map(|kind| Some((word(kind.as_ref())?, Kind::Somebody)));
    let others = ["key", "subject"].into_iter().filter_map(|name| Some((word(name)?, Kind::Somebody)));
    let event = word("event").map(|label| (label, Kind::Event));
    aggregates.chain(actors).chain(others).chain(event).collect()
}

/// The text after a label, which is a word of its own.
fn after<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let (begin, rest) = text.split_at_checked(label.len())?;
    let apart = rest.starts_with(char::is_whitespace) || !label.is_ascii();
    let name = rest.trim_start_matches([':', '：']).trim();
    (begin.to_lowercase() == label.to_lowercase() && apart && !name.is_empty()).then_some(name)
}

/// The text before the name of the viewer, which ends the titles of its pages.
fn without_end<'t>(text: &'t str, end: &str) -> &'t str {
    text.strip_suffix(end).and_then(|text| text.trim_end().strip_suffix('·')).map_or(text, str::trim_end)
}

/// The thing and the version in `Order R-1001, version 3`, `Order R-1001 v3`, `version 3` and `v3`.
fn of_version(text: &str, language: Language) -> Option<(&str, Option<i64>)> {
    let template = language.fill("title-version", &["", PLACE]);
    let (between, end) = template.split_once(PLACE)?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i64>().ok()).flatten().filter(|number| *number > 0)
    };
    let text = text.strip_suffix(end)?;
    let word = between.trim_start_matches([',', '，']).trim();
    for sign in [between.trim_end(), word, "v"] {
        if let Some((thing, version)) = text.rsplit_once(sign)
            && let Some(version) = number(version.trim())
            && (thing.is_empty()
                || !sign.is_ascii()
                || thing.ends_with(char::is_whitespace)
                || sign == between.trim_end())
        {
            return Some((thing.trim(), Some(version)));
        }
    }
    None
}

/// The thing in `order 558638, line 731`.
fn without_line(text: &str, language: Language) -> &str {
    let template = language.fill("line", &[PLACE]);
    let Some((before, end)) = template.split_once(PLACE) else { return text };
    let line = |part: &str| {
        let number = part.trim().strip_prefix(before.trim_end())?.strip_suffix(end.trim_start())?.trim();
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
    };
    match text.rsplit_once([',', '，']) {
        Some((thing, part)) if line(part).is_some() => thing.trim_end(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Option<(String, Option<i64>)> {
        ShownName::read(typed).map(|read| (read.name, read.version))
    }

    #[test]
    fn a_label_and_a_version_are_taken_off_in_each_language() {
        for (typed, name, version) in [
            ("Order R-1001", "R-1001", None),
            ("order 558638", "558638", None),
            ("Order R-1001, version 3", "R-1001", Some(3)),
            ("Order R-1001 v3", "R-1001", Some(3)),
            ("Order R-1001, version 3 · Audit", "R-1001", Some(3)),
            ("Credit note C-1", "C-1", None),
            ("order 558638, line 731", "558638", None),
            ("stock MUG-01 · main", "MUG-01 · main", None),
            ("user …7fd56d43", "…7fd56d43", None),
            ("staff …7fd56d43", "…7fd56d43", None),
            ("API key help desk", "help desk", None),
            ("Event #12", "#12", None),
            ("version 3", "", Some(3)),
            ("v3", "", Some(3)),
            ("订单 R-1001", "R-1001", None),
            ("订单R-1001，版本 3", "R-1001", Some(3)),
            ("订单 558638，第 731 行", "558638", None),
            ("版本 3", "", Some(3)),
            ("用户 …7fd56d43", "…7fd56d43", None),
        ] {
            assert_eq!(read(typed), Some((name.to_owned(), version)), "{typed}");
        }
        for other in ["R-1001", "ordered", "order", "MUG-v3", "SEV3", "a line", "…7fd56d43", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_label_fits_only_things_of_its_kind() {
        let order = Thing::Aggregate { kind: "order".to_owned(), id: "1".to_owned() };
        let note = Thing::Aggregate { kind: "credit_note".to_owned(), id: "1".to_owned() };
        let fits = |typed: &str, thing: &Thing| ShownName::read(typed).is_some_and(|name| name.fits(thing));
        assert!(fits("Order 7", &order) && !fits("Order 7", &note));
        assert!(fits("贷记单 7", &note) && fits("event #7", &Thing::Event(7)) && !fits("event #7", &order));
        assert!(fits("guest …7fd56d43", &Thing::Person("x".to_owned())));
    }
}
