//! Marks the found words in a text. Our own code, so that it is the same on every backend, and always escaped.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::parsed_query::{ParsedQuery, Word};
use crate::text::{self, Kind, Stems};
use crate::{Document, Hit};

/// The length of a fragment of a long text around the first match, in characters.
const FRAGMENT: usize = 200;
const BEFORE: usize = 60;

/// The document with highlights of the query's words.
pub(crate) fn hit(document: Document, wanted: &ParsedQuery) -> Hit {
    let mut highlights = BTreeMap::new();
    if wanted.words().next().is_some() {
        let fields = [("name", &document.name, usize::MAX), ("description", &document.description, FRAGMENT)];
        for (field, text, most) in fields {
            if let Some(marked) = marked(text, wanted, most) {
                highlights.insert(field.to_owned(), marked);
            }
        }
    }
    Hit { document, highlights }
}

fn marked(text: &str, wanted: &ParsedQuery, most: usize) -> Option<String> {
    let found = found(text, wanted);
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
fn found(text: &str, wanted: &ParsedQuery) -> Vec<Range<usize>> {
    let mut stems = Stems::new();
    let mut found: Vec<Range<usize>> = Vec::new();
    for piece in text::pieces(text) {
        match piece.kind {
            Kind::Letters => {
                let word = text::word(piece.text);
                // The stem is computed only if the word itself does not match.
                if wanted.words().any(|wanted| means(wanted, &word, Form::Word)) || {
                    let stem = stems.of(&word);
                    wanted.words().any(|wanted| means(wanted, &stem, Form::Stem))
                } {
                    found.push(piece.range);
                }
            }
            Kind::Exact => {
                let word = text::word(piece.text);
                if wanted.words().any(|wanted| matches!(wanted, Word::Exact(text) if *text == word)) {
                    found.push(piece.range);
                }
            }
            Kind::Cjk => {
                for range in runs(piece.text, wanted) {
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

fn means(wanted: &Word, found: &str, form: Form) -> bool {
    let Word::Letters { word, stem } = wanted else { return false };
    let wanted = match form {
        Form::Word => word,
        Form::Stem => stem,
    };
    text::within(wanted, found, text::typos(wanted))
}

/// The ranges in a CJK run where characters, or pairs of them, match the query's words, in order.
fn runs(run: &str, wanted: &ParsedQuery) -> Vec<Range<usize>> {
    let grams: Vec<String> = wanted
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
        marked(text, &ParsedQuery::of(typed), FRAGMENT)
    }

    #[test]
    fn stems_typos_and_chinese_are_marked_and_the_rest_is_escaped() {
        assert_eq!(
            mark("<b>Candles</b> & \"Box\"", "candel boxes").as_deref(),
            Some("&lt;b&gt;<mark>Candles</mark>&lt;/b&gt; &amp; &quot;<mark>Box</mark>&quot;")
        );
        assert_eq!(mark("红色连衣裙2件", "连衣裙").as_deref(), Some("红色<mark>连衣裙</mark>2件"));
        assert_eq!(mark("咖啡杯", "杯").as_deref(), Some("咖啡<mark>杯</mark>"));
        assert_eq!(mark("nothing", "else"), None);
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
