//! Marks the found words in a text. Our own code, so that it is the same on every backend, and always escaped.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::markup::{visible, visible_name};
use crate::parsed_query::{Join, Matching, ParsedQuery, Word};
use crate::spelling::{self, Reach};
use crate::text::{self, Kind, Stems};
use crate::{Document, Hit};

/// The length of a fragment of a long text around the first match, in characters.
const FRAGMENT: usize = 200;
const BEFORE: usize = 60;

/// The document with highlights of the query's words.
pub(crate) fn hit(document: Document, expected: &ParsedQuery, matching: Matching) -> Hit {
    let mut highlights = BTreeMap::new();
    if expected.words().next().is_some() {
        let name = (visible_name(&document.name), Reach::NAME, usize::MAX);
        let description = (visible(&document.description), Reach::BODY, FRAGMENT);
        for (field, (text, reach, most)) in [("name", name), ("description", description)] {
            if let Some(marked) = marked(&text, expected, matching, reach, most) {
                highlights.insert(field.to_owned(), marked);
            }
        }
    }
    Hit { document, highlights }
}

fn marked(
    text: &str,
    expected: &ParsedQuery,
    matching: Matching,
    reach: Reach,
    most: usize,
) -> Option<String> {
    let found = found(text, expected, matching, reach);
    let first = found.first()?;
    let window = fragment(text, first, most);
    let mut html = String::with_capacity(window.len() + 64);
    if window.start > 0 {
        html.push('…');
    }
    let mut at = window.start;
    for range in found.iter().filter(|range| range.start >= window.start && range.end <= window.end) {
        escape(&text[at..range.start], &mut html);
        html.push_str("<mark>");
        escape(&text[range.clone()], &mut html);
        html.push_str("</mark>");
        at = range.end;
    }
    escape(&text[at..window.end], &mut html);
    if window.end < text.len() {
        html.push('…');
    }
    Some(html)
}

/// The part of a text to show; it begins and ends between words if there are spaces.
fn fragment(text: &str, first: &Range<usize>, most: usize) -> Range<usize> {
    if text.chars().nth(most).is_none() {
        return 0..text.len();
    }
    let back = |from: usize, by: usize| {
        text[..from].char_indices().rev().nth(by.saturating_sub(1)).map_or(0, |(at, _)| at)
    };
    let mut start = back(first.start, BEFORE);
    if start > 0 {
        start = text[start..first.start].find(' ').map_or(start, |space| start + space + 1);
    }
    let mut end = start + text::cut(&text[start..], most).len();
    if end < text.len() {
        end = text[first.end.min(end)..end].rfind(' ').map_or(end, |space| first.end.min(end) + space);
    }
    start..end.max(first.end)
}

/// The ranges of the found words, in order, without overlaps.
fn found(text: &str, expected: &ParsedQuery, matching: Matching, reach: Reach) -> Vec<Range<usize>> {
    let mut stems = Stems::new();
    let mut found: Vec<Range<usize>> = Vec::new();
    let pieces = text::pieces(text);
    // Words of the text that were typed as one are marked as one.
    let mut spelt: Vec<Range<usize>> = Vec::new();
    for run in spelling::joined(text, &pieces, reach) {
        let ends = spelt.last().map_or(0, |last| last.end);
        let (first, last) = (&pieces[run.start], &pieces[run.end - 1]);
        if first.range.start >= ends && is_typed(&spelling::join(&pieces[run]), expected, &mut stems) {
            spelt.push(first.range.start..last.range.end);
        }
    }
    let mut spelt = spelt.into_iter().peekable();
    for piece in pieces {
        if let Some(range) = spelt.next_if(|range| range.start == piece.range.start) {
            found.push(range);
        }
        if found.last().is_some_and(|last| last.end > piece.range.start) {
            continue;
        }
        match piece.kind {
            Kind::Letters => {
                let word = text::word(piece.text);
                let is_part = |join: &Join| join.word == word;
                // The stem is computed only if the word itself does not match.
                if expected.words().any(|expected| means(expected, &word, Form::Word, matching))
                    || expected.joins().any(is_part)
                    || {
                        let stem = stems.of(&word);
                        let is_part = |join: &Join| join.stem.as_ref() == Some(&stem);
                        expected.words().any(|expected| means(expected, &stem, Form::Stem, matching))
                            || expected.joins().any(is_part)
                    }
                {
                    found.push(piece.range);
                }
            }
            Kind::Exact => {
                let word = text::word(piece.text);
                let parts: Vec<String> = spelling::parts(&word).collect();
                let is_it = |expected: &Word| match expected {
                    Word::Exact(text) => *text == word || parts.contains(text),
                    Word::Letters { word, .. } => parts.contains(word),
                    Word::Cjk(_) => false,
                };
                if expected.words().any(is_it) || expected.joins().any(|join| join.word == word) {
                    found.push(piece.range);
                }
            }
            Kind::Cjk => {
                for range in runs(piece.text, expected) {
                    let range = piece.range.start + range.start..piece.range.start + range.end;
                    match found.last_mut() {
                        Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                        _ => found.push(range),
                    }
                }
            }
        }
    }
    found
}

#[derive(Clone, Copy)]
enum Form {
    Word,
    Stem,
}

/// Whether this spelling of neighbouring words was typed as one word.
fn is_typed(join: &str, expected: &ParsedQuery, stems: &mut Stems) -> bool {
    expected.words().any(|expected| match expected {
        Word::Exact(text) => text == join,
        // Endings are short: most spellings need no stem.
        Word::Letters { word, stem } => {
            word == join || (stem.len()..=stem.len() + 4).contains(&join.len()) && *stem == stems.of(join)
        }
        Word::Cjk(_) => false,
    })
}

fn means(expected: &Word, found: &str, form: Form, matching: Matching) -> bool {
    let Word::Letters { word, stem } = expected else { return false };
    let expected = match form {
        Form::Word => word,
        Form::Stem => stem,
    };
    let typos = if matching == Matching::WithTypos { text::typos(expected) } else { 0 };
    text::within(expected, found, typos)
}

/// The ranges in a CJK run where characters, or pairs of them, match the query's words, in order.
fn runs(run: &str, expected: &ParsedQuery) -> Vec<Range<usize>> {
    let grams: Vec<String> = expected
        .words()
        .filter_map(|word| if let Word::Cjk(word) = word { Some(text::grams(word)) } else { None })
        .flatten()
        .collect();
    let characters: Vec<(usize, char)> = run.char_indices().collect();
    let mut ranges = Vec::new();
    for (n, &(start, _)) in characters.iter().enumerate() {
        for &(last, c) in characters[n..].iter().take(2) {
            let end = last + c.len_utf8();
            if grams.contains(&text::fold(&run[start..end])) {
                ranges.push(start..end);
            }
        }
    }
    ranges
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(text: &str, typed: &str) -> Option<String> {
        marked(&visible(text), &ParsedQuery::of(typed), Matching::WithTypos, Reach::BODY, FRAGMENT)
    }

    #[test]
    fn stems_typos_and_chinese_are_marked_and_the_rest_is_escaped() {
        assert_eq!(
            mark("<b>Candles</b> &amp; \"Box\" < 5", "candel boxes").as_deref(),
            Some("<mark>Candles</mark> &amp; &quot;<mark>Box</mark>&quot; &lt; 5")
        );
        assert_eq!(mark("红色连衣裙2件", "连衣裙").as_deref(), Some("红色<mark>连衣裙</mark>2件"));
        assert_eq!(mark("咖啡杯", "杯").as_deref(), Some("咖啡<mark>杯</mark>"));
        assert_eq!(mark("nothing", "else"), None);
    }

    #[test]
    fn another_spelling_is_marked_whole() {
        assert_eq!(mark("A Red Bull a day", "redbull").as_deref(), Some("A <mark>Red Bull</mark> a day"));
        assert_eq!(mark("A RedBull a day", "red-bull").as_deref(), Some("A <mark>RedBull</mark> a day"));
        assert_eq!(mark("Holds 250 ml", "250ml").as_deref(), Some("Holds <mark>250 ml</mark>"));
        assert_eq!(mark("For HLX4400BK", "4400").as_deref(), Some("For <mark>HLX4400BK</mark>"));
    }

    #[test]
    fn a_fragment_of_a_long_text_is_shown() {
        let long = format!("{}needle{}", "hay ".repeat(200), " hay".repeat(200));
        let html = mark(&long, "needle").unwrap();
        assert!(html.starts_with("…hay") && html.ends_with("hay…"), "{html}");
        assert!(html.contains("<mark>needle</mark>") && html.len() < 260, "{html}");
        let chinese = format!("{}连衣裙{}", "很".repeat(400), "好".repeat(400));
        assert!(mark(&chinese, "连衣裙").unwrap().contains("<mark>连衣裙</mark>"));
    }
}
