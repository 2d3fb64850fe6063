//! Spellings of the same word: with and without separators (`Wi-Fi`, `Wi Fi`, `WiFi`; `250 ml`, `250ml`;
//! `HLX-4400-BK`, `HLX4400BK`).
//!
//! An index holds for each text what its neighbouring words would be as one word; a query holds the same for what was
//! typed. So either side may have the separators.

use std::ops::Range;

use crate::text::{self, Kind, Piece};

/// Shorter parts of a word or a SKU would be found everywhere.
pub(crate) const SHORTEST_PART: usize = 3;

/// A longer word was not written by a person.
const LONGEST_JOIN: usize = 48;

/// The most parts of a SKU that it can be found by.
const MOST_PARTS: usize = 16;

/// How many neighbouring words may be one word in another spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// With spaces between them.
    pub(crate) apart: usize,
    /// With signs between them or digits in them, as in `HLX-4400-BK` and `HLX 4400 BK`.
    pub(crate) tight: usize,
}

impl Reach {
    pub(crate) const NAME: Self = Self { apart: 4, tight: 4 };
    /// Descriptions are long: every further neighbour is as many terms again.
    pub(crate) const BODY: Self = Self { apart: 2, tight: 4 };
}

/// How two neighbouring words are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// By a sign that is often left out.
    Tight,
    /// By a space, also with such a sign.
    Space,
    /// They are not one word in any spelling.
    Wide,
}

fn gap(text: &str, before: &Piece<'_>, after: &Piece<'_>) -> Gap {
    let between = &text[before.range.end..after.range.start];
    if between.chars().count() > 3 {
        return Gap::Wide;
    }
    let ends_with_digit = before.text.ends_with(|c: char| c.is_numeric());
    if matches!(between, "." | ",") && ends_with_digit && after.text.starts_with(|c: char| c.is_numeric()) {
        // 1.5 is not 15.
        return Gap::Wide;
    }
    let sign = |c| {
        matches!(
            c,
            '-' | '\u{2010}'..='\u{2015}' | '_' | '/' | '\\' | '+' | '&' | '·' | '・' | '*' | '°' | '®' | '™'
        ) || matches!(c, '\'' | '’' | '`' | '"' | '#')
    };
    if between == "." || between.chars().all(sign) {
        Gap::Tight
    } else if between.chars().all(|c| sign(c) || c.is_whitespace() && !matches!(c, '\n' | '\r')) {
        Gap::Space
    } else {
        Gap::Wide
    }
}

/// The runs of neighbouring words that may be written as one, as indexes into the pieces of the text.
pub(crate) fn joined(text: &str, pieces: &[Piece<'_>], reach: Reach) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    for start in 0..pieces.len() {
        if pieces[start].kind == Kind::Cjk {
            continue;
        }
        let (mut tight, mut characters) = (true, pieces[start].text.chars().count());
        let mut digits = pieces[start].kind == Kind::Exact;
        for next in start + 1..pieces.len() {
            let gap = gap(text, &pieces[next - 1], &pieces[next]);
            tight &= gap == Gap::Tight;
            characters += pieces[next].text.chars().count();
            digits |= pieces[next].kind == Kind::Exact;
            let most = if tight || digits { reach.tight } else { reach.apart };
            let ends = gap == Gap::Wide || pieces[next].kind == Kind::Cjk;
            if ends || next - start >= most || characters > LONGEST_JOIN {
                break;
            }
            runs.push(start..next + 1);
        }
    }
    runs
}

/// The words as one.
pub(crate) fn join(pieces: &[Piece<'_>]) -> String {
    pieces.iter().map(|piece| text::fold(piece.text)).collect()
}

/// The pairs of characters across a gap between two runs of Chinese: `可口·可乐` has `口可`.
pub(crate) fn cjk_joints(text: &str, pieces: &[Piece<'_>]) -> Vec<String> {
    let mut joints = Vec::new();
    for pair in pieces.windows(2) {
        if let [before, after] = pair
            && (before.kind, after.kind) == (Kind::Cjk, Kind::Cjk)
            && gap(text, before, after) != Gap::Wide
            && let (Some(last), Some(first)) =
                (text::fold(before.text).chars().last(), text::fold(after.text).chars().next())
        {
            joints.push(String::from_iter([last, first]));
        }
    }
    joints
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Sign,
}

fn class(c: char) -> Class {
    if c.is_alphabetic() {
        Class::Letter
    } else if c.is_numeric() {
        Class::Digit
    } else {
        Class::Sign
    }
}

/// Where letters, digits and signs change.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut open) = (0, Class::Sign);
    for (at, c) in text.char_indices() {
        let class = class(c);
        if class != open {
            if open != Class::Sign {
                parts.push(&text[start..at]);
            }
            (start, open) = (at, class);
        }
    }
    if open != Class::Sign {
        parts.push(&text[start..]);
    }
    parts
}

/// The parts of a folded word with digits by which it can be found: `4400` of `hlx4400bk`.
pub(crate) fn parts(word: &str) -> impl Iterator<Item = String> {
    let parts = split(word);
    let many = parts.len() > 1;
    parts
        .into_iter()
        .filter(move |part| many && part.chars().count() >= SHORTEST_PART)
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

/// The inner parts of a folded SKU by which it can be found: each, and the rest from each on, without signs:
/// `4400`, `4400bk` and `bk` of `hlx-4400-bk`.
pub(crate) fn inner_parts(sku: &str) -> impl Iterator<Item = String> {
    let parts = split(sku);
    let mut inner = Vec::new();
    for (n, part) in parts.iter().enumerate().skip(1).take(MOST_PARTS) {
        inner.push((*part).to_owned());
        inner.push(parts[n..].concat());
    }
    inner.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joins(text: &str, reach: Reach) -> Vec<String> {
        let pieces = text::pieces(text);
        joined(text, &pieces, reach).into_iter().map(|run| join(&pieces[run])).collect()
    }

    #[test]
    fn neighbours_are_joined_within_a_sentence() {
        assert_eq!(joins("Red Bull, 250 ml", Reach::BODY), ["redbull", "250ml"]);
        assert_eq!(joins("Wi-Fi 6", Reach::NAME), ["wifi", "wifi6", "fi6"]);
        assert_eq!(joins("HLX-4400-BK", Reach::BODY), ["hlx4400", "hlx4400bk", "4400bk"]);
        assert_eq!(joins("U.S.A", Reach::BODY), ["us", "usa", "sa"]);
        assert_eq!(joins("The end. Or not\nyet", Reach::BODY), ["theend", "ornot"]);
        assert_eq!(joins("1.5 l", Reach::BODY), ["5l"], "1.5 is not 15");
        assert_eq!(joins("红色 T 恤", Reach::NAME), [""; 0]);
    }

    #[test]
    fn a_space_or_a_sign_within_chinese_is_passed_over() {
        let joints = |text: &str| cjk_joints(text, &text::pieces(text));
        assert_eq!(joints("可口·可乐"), ["口可"]);
        assert_eq!(joints("红 牛"), ["红牛"]);
        assert_eq!(joints("红。牛"), [""; 0]);
    }

    #[test]
    fn a_part_number_is_found_by_its_parts() {
        assert_eq!(inner_parts("hlx-4400-bk").collect::<Vec<_>>(), ["4400", "4400bk", "bk", "bk"]);
        assert_eq!(inner_parts("85123a").collect::<Vec<_>>(), ["a", "a"]);
        assert_eq!(inner_parts("mug").count(), 0);
        assert_eq!(parts("hlx4400bk").collect::<Vec<_>>(), ["hlx", "4400"]);
        assert_eq!(parts("4400").count(), 0);
    }
}
