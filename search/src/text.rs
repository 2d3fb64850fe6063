//! Analysing text: its pieces, and their forms for comparison.
//!
//! Both adapters index and search exactly these forms, so both find the same, with or without analysis plugins on a
//! server. Any change here needs a new generation of every index.

use std::ops::Range;

use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer, TokenStream, Tokenizer};
use tantivy_jieba::JiebaTokenizer;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longer words, names and values are cut: servers refuse terms above 32 KB, and people do not type that much.
const LONGEST_WORD: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only letters: has a stem, and may be misspelt.
    Letters,
    /// With a digit: must match exactly.
    Exact,
    /// A run of Chinese, Japanese or Korean, where words are not separated.
    Cjk,
}

/// A piece of a text, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) range: Range<usize>,
    pub(crate) text: &'a str,
    pub(crate) kind: Kind,
}

fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3134f}')
        && c != '・'
}

fn is_han(c: char) -> bool {
    is_cjk(c) && !matches!(c, '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff66}'..='\u{ff9f}')
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | 'ʼ')
}

/// Takes no place on the screen, so it changes no word: soft hyphens, zero-width spaces and joiners.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// The pieces of a text, in order. All other characters are separators.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut open: Option<(usize, Kind)> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next_is_letter = characters.peek().is_some_and(|(_, next)| next.is_alphabetic());
        let kind = match open {
            // A combining accent belongs to the letter before it, an apostrophe to the word around it.
            Some((_, kind)) if is_combining_mark(c) || is_invisible(c) => Some(kind),
            Some((_, kind @ (Kind::Letters | Kind::Exact))) if is_apostrophe(c) && next_is_letter => {
                Some(kind)
            }
            _ if is_cjk(c) => Some(Kind::Cjk),
            _ if c.is_alphabetic() => Some(Kind::Letters),
            _ if c.is_alphanumeric() => Some(Kind::Exact),
            _ => None,
        };
        open = match (open, kind) {
            (Some((start, was)), Some(is)) if (was == Kind::Cjk) == (is == Kind::Cjk) => {
                Some((start, if was == is { was } else { Kind::Exact }))
            }
            (was, is) => {
                close(text, was, at, &mut pieces);
                is.map(|kind| (at, kind))
            }
        };
    }
    close(text, open, text.len(), &mut pieces);
    pieces
}

fn close<'a>(text: &'a str, open: Option<(usize, Kind)>, end: usize, pieces: &mut Vec<Piece<'a>>) {
    if let Some((start, kind)) = open {
        pieces.push(Piece { range: start..end, text: &text[start..end], kind });
    }
}

/// Lower case, without accents, apostrophes and width variants.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.chars().filter(|c| *c != '\'').map(|c| c.to_ascii_lowercase()).collect();
    }
    let mut folded = String::with_capacity(text.len());
    // Only accents are dropped: other marks (in Japanese, Thai, Hindi) make another letter.
    for c in text.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            // The lower case of İ leaves its dot behind.
            '\u{300}'..='\u{36f}' => {}
            c if is_apostrophe(c) || is_invisible(c) => {}
            c => folded.push(c),
        }
    }
    folded.nfc().collect()
}

pub(crate) fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// The folded word, cut to [`LONGEST_WORD`] characters.
pub(crate) fn word(text: &str) -> String {
    cut(&fold(text), LONGEST_WORD).to_owned()
}

/// The folded pieces, joined with single spaces: used for sorting and suggestions.
pub(crate) fn plain(text: &str) -> String {
    pieces(text).iter().map(|piece| fold(piece.text)).collect::<Vec<_>>().join(" ")
}

/// The folded letters and digits: how a name or a SKU is written without separators.
pub(crate) fn compact(text: &str) -> String {
    pieces(text).iter().map(|piece| fold(piece.text)).collect()
}

/// English stems. Use one per text: it is cheap to make, and must be mutable.
pub(crate) struct Stems(TextAnalyzer);

impl Stems {
    pub(crate) fn new() -> Self {
        Self(TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(Language::English)).build())
    }

    pub(crate) fn of(&mut self, word: &str) -> String {
        let mut stream = self.0.token_stream(word);
        if stream.advance() { stream.token().text.clone() } else { word.to_owned() }
    }
}

/// The words of a typed CJK run. Texts are indexed without a dictionary, as pairs of neighbours, so that wrong word
/// boundaries cannot hide them; only typed text is divided into words, so that these may be apart in a text.
///
/// The dictionary is loaded with the first Chinese text.
pub(crate) fn cjk_words(run: &str) -> Vec<String> {
    let run = fold(run);
    if run.chars().count() < 2 || !run.chars().all(is_han) {
        return vec![run];
    }
    let mut cutter = JiebaTokenizer::with_search_mode(false);
    let mut stream = cutter.token_stream(&run);
    let mut words = Vec::new();
    stream.process(&mut |token| words.push(token.text.clone()));
    words
}

/// The parts that a text must contain to match a CJK word.
pub(crate) fn grams(word: &str) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    match characters.len() {
        0 | 1 => vec![word.to_owned()],
        _ => characters.windows(2).map(String::from_iter).collect(),
    }
}

/// How many typos a word may have.
pub(crate) fn typos(word: &str) -> u8 {
    match word.chars().count() {
        4..8 => 1,
        8..=32 => 2,
        // Automata for longer words would be expensive, and people do not type them.
        _ => 0,
    }
}

/// Whether `a` becomes `b` with at most `most` letters added, removed, replaced, or swapped with their neighbour: the
/// measure of both backends.
pub(crate) fn within(a: &str, b: &str, most: u8) -> bool {
    let most = usize::from(most);
    if a == b {
        return true;
    }
    // Every word of every hit is compared, so the usual case must not allocate.
    if most == 0 {
        false
    } else if a.is_ascii() && b.is_ascii() {
        apart(a.as_bytes(), b.as_bytes()) <= most
    } else {
        apart(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>()) <= most
    }
}

/// The distance, up to two; larger distances, or words too long for typos, return a large number.
fn apart<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    const FAR: usize = usize::MAX;
    if a.len().abs_diff(b.len()) > 2 || a.len() > LONGEST_WORD || b.len() > LONGEST_WORD {
        return FAR;
    }
    let mut rows = [[0; LONGEST_WORD + 1]; 3];
    let [before_last, last, row] = &mut rows;
    for (j, distance) in last.iter_mut().enumerate() {
        *distance = j;
    }
    for i in 1..=a.len() {
        row[0] = i;
        let mut nearest = i;
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
            nearest = nearest.min(row[j]);
        }
        // From here on a swap with the row before can reduce it by one at most.
        if nearest > 3 {
            return FAR;
        }
        before_last.copy_from_slice(last);
        last.copy_from_slice(row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(&str, Kind)> {
        pieces(text).into_iter().map(|piece| (piece.text, piece.kind)).collect()
    }

    #[test]
    fn a_text_falls_into_words_numbers_and_runs() {
        assert_eq!(
            texts("Women's T-shirt, 5mm 红色连衣裙Red 🙂"),
            [
                ("Women's", Kind::Letters),
                ("T", Kind::Letters),
                ("shirt", Kind::Letters),
                ("5mm", Kind::Exact),
                ("红色连衣裙", Kind::Cjk),
                ("Red", Kind::Letters),
            ]
        );
        assert_eq!(texts("cafe\u{301}s 'x'"), [("cafe\u{301}s", Kind::Letters), ("x", Kind::Letters)]);
        assert_eq!(texts(" \u{0}\"\\ "), []);
    }

    #[test]
    fn folding_drops_case_accents_and_width_but_no_other_marks() {
        assert_eq!(fold("CAFÉ Straße ＡＢＣ Ærø İ don’t"), "cafe strasse abc aero i dont");
        assert_eq!(fold("がぎ"), "がぎ");
    }

    #[test]
    fn stems_of_possessives_and_plurals_meet() {
        let mut stems = Stems::new();
        assert_eq!(stems.of("candles"), stems.of("candle"));
        assert_eq!(stems.of("boxes"), stems.of("box"));
        assert_eq!(stems.of(&word("women's")), stems.of("women"));
    }

    #[test]
    fn a_chinese_query_is_cut_into_words() {
        assert_eq!(cjk_words("红色连衣裙"), ["红色", "连衣裙"]);
        assert_eq!(cjk_words("杯"), ["杯"]);
        assert_eq!(grams("连衣裙"), ["连衣", "衣裙"]);
    }

    #[test]
    fn distance_counts_a_swap_as_one() {
        assert!(within("candel", "candle", 1));
        assert!(!within("candels", "candle", 1));
        assert!(within("necklase", "necklace", 2));
        assert!(!within("abc", "abd", 0));
    }
}
