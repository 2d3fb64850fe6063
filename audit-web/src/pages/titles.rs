//! The titles of pages that show one thing: they name it, so that tabs, bookmarks and a browser's history can be told
//! apart. Browsers keep titles in their history, so a title never holds a personal value.

use serde_json::Value;
use soonshop_domain::text::visible;

use super::frame::View;
use crate::naming;

/// The longest part of a title, in characters.
const LONGEST: usize = 80;

/// Where states keep what their aggregate is called.
const NAMES: [&str; 4] = ["/placed/number", "/number", "/name", "/sku"];

/// The name that the state of an aggregate gives it.
pub(crate) fn name_in(state: &Value) -> Option<&str> {
    // A personal name is an object here, not a text.
    NAMES.iter().find_map(|path| state.pointer(path)?.as_str())
}

/// An aggregate, and its version where one is shown.
pub(crate) fn aggregate(
    view: &View<'_>,
    kind: &str,
    name: Option<&str>,
    id: &str,
    version: Option<i64>,
) -> String {
    let thing = format!("{} {}", begun_large(&view.label(kind)), short(&naming::called(name, id)));
    match version {
        Some(version) => view.language.fill("title-version", &[&thing, &version.to_string()]),
        None => thing,
    }
}

/// A page, and what it is about.
pub(crate) fn about(view: &View<'_>, page: &'static str, what: &str) -> String {
    if what.is_empty() {
        return view.word(page).to_owned();
    }
    view.language.fill("title-about", &[view.word(page), &short(what)])
}

/// A kind of thing, and which one of them.
pub(crate) fn one(view: &View<'_>, kind: &'static str, name: &str) -> String {
    format!("{} {}", view.word(kind), short(name))
}

/// A text without control characters, cut where it is too long for a tab.
fn short(text: &str) -> String {
    let text = visible(text).replace(['\n', '\t'], " ");
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST - 1).chain("…".chars()).collect()
}

fn begun_large(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::{begun_large, short};

    #[test]
    fn a_part_of_a_title_is_one_line_of_limited_length() {
        assert_eq!(short("one\ntwo\tthree"), "one two three");
        assert_eq!(short(&"文".repeat(80)).chars().count(), 80);
        let cut = short(&"文".repeat(81));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (80, true));
        assert!(!short("A\u{202e}B").contains('\u{202e}'), "it must not turn the title around");
    }

    #[test]
    fn a_title_begins_with_a_capital_letter_where_there_are_any() {
        assert_eq!(
            ["order", "credit note", "订单", ""].map(begun_large),
            ["Order", "Credit note", "订单", ""]
        );
    }
}
