//! The text of a query, parsed into conditions on the indexed fields that every backend can express.
//!
//! A document scores by how well each word matches, in whole numbers. So the order is the same on every backend and
//! does not change when a server merges its segments, and pages neither skip nor repeat hits.

use crate::spelling::{self, Reach, SHORTEST_PART};
use crate::text::{self, Kind, Piece, Stems};

/// The part of the typed text that is used, in characters.
const LONGEST_TEXT: usize = 500;
const MOST_WORDS: usize = 16;
/// How many typed words may be one word in another spelling. Servers limit the conditions of a query, so it is two in
/// a text of more than [`MOST_WORDS_IN_THREES`].
const REACH: Reach = Reach { apart: 3, tight: 4 };
const MOST_WORDS_IN_THREES: usize = 8;
/// How many pairs of characters a text of Chinese, Japanese or Korean is searched by; the rest of it is left out. A word
/// of kana is not divided, and each of its pairs is two conditions.
const MOST_PAIRS: usize = 96;

/// Ignored, unless nothing else was typed.
const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to",
    "with", "的", "了", "和", "与", "及", "或", "在", "是",
];

/// The fields of the index in which text is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    NameWords,
    NameStems,
    NameExact,
    NameSpellings,
    BodyWords,
    BodyStems,
    BodyExact,
    BodySpellings,
    Skus,
    SkuParts,
}

impl Field {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NameWords => "name_words",
            Self::NameStems => "name_stems",
            Self::NameExact => "name_exact",
            Self::NameSpellings => "name_spellings",
            Self::BodyWords => "body_words",
            Self::BodyStems => "body_stems",
            Self::BodyExact => "body_exact",
            Self::BodySpellings => "body_spellings",
            Self::Skus => "skus",
            Self::SkuParts => "sku_parts",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Term {
        field: Field,
        text: String,
        score: u8,
    },
    Fuzzy {
        field: Field,
        text: String,
        typos: u8,
        score: u8,
    },
    Prefix {
        field: Field,
        text: String,
        score: u8,
    },
    /// Scores as the best match.
    Any(Vec<Condition>),
    /// Scores as the sum.
    All(Vec<Condition>),
}

/// Whether words match only as they were typed, in any spelling, or with typos as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matching {
    AsTyped,
    WithTypos,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Letters { word: String, stem: String },
    Exact(String),
    Cjk(String),
}

/// Neighbouring typed words as one word; the stem if it has no digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) word: String,
    pub(crate) stem: Option<String>,
}

/// A typed word, and the words that it may be a part of: `red` of `red bull` may be found as `redbull`.
#[derive(Debug, Clone)]
struct Typed {
    word: Word,
    joins: Vec<Join>,
}

/// A part of the typed text between spaces: a SKU, or words.
#[derive(Debug)]
struct Chunk {
    sku: String,
    words: Vec<Typed>,
}

/// The parsed text of a query.
#[derive(Debug, Default)]
pub(crate) struct ParsedQuery {
    /// The whole text, if it has more than one chunk: a SKU may contain a space.
    whole: Option<String>,
    chunks: Vec<Chunk>,
}

impl ParsedQuery {
    pub(crate) fn of(text: &str) -> Self {
        let text = text::cut(text, LONGEST_TEXT);
        let mut stems = Stems::new();
        let pieces = text::pieces(text);
        let reach = if pieces.len() > MOST_WORDS_IN_THREES { Reach { apart: 2, tight: 2 } } else { REACH };
        let mut joins: Vec<Vec<Join>> = vec![Vec::new(); pieces.len()];
        for run in spelling::joined(text, &pieces, reach) {
            let word = spelling::join(&pieces[run.clone()]);
            let stem = (!word.chars().any(char::is_numeric)).then(|| stems.of(&word));
            for of in &mut joins[run] {
                of.push(Join { word: word.clone(), stem: stem.clone() });
            }
        }
        let mut words = pieces.iter().zip(joins).peekable();
        let (mut room, mut pairs) = (MOST_WORDS, MOST_PAIRS);
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut end = 0;
        let is_space = |c: char| c.is_whitespace() || c.is_control();
        for part in text.split_inclusive(is_space) {
            end += part.len();
            let chunk = part.trim_end_matches(is_space);
            if chunk.is_empty() {
                continue;
            }
            let mut typed = Vec::new();
            while let Some((piece, joins)) = words.next_if(|(piece, _)| piece.range.start < end) {
                let of_piece = words_of(piece, &mut stems).into_iter();
                typed.extend(of_piece.map(|word| Typed { word, joins: joins.clone() }));
            }
            typed.truncate(room);
            typed.retain_mut(|typed| shorten(&mut typed.word, &mut pairs));
            if room > 0 {
                room -= typed.len();
                chunks.push(Chunk { sku: sku(chunk), words: typed });
            }
        }
        let whole = (chunks.len() > 1).then(|| sku(text));
        // Punctuation and stop words count only if there is nothing else.
        let meant = |chunk: &Chunk| chunk.words.iter().any(|typed| !is_stop_word(&typed.word));
        if chunks.iter().any(meant) {
            chunks.retain(meant);
            for chunk in &mut chunks {
                chunk.words.retain(|typed| !is_stop_word(&typed.word));
            }
        }
        Self { whole, chunks }
    }

    fn typed(&self) -> impl Iterator<Item = &Typed> {
        self.chunks.iter().flat_map(|chunk| &chunk.words)
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        self.typed().map(|typed| &typed.word)
    }

    /// The words that neighbours are as one.
    pub(crate) fn joins(&self) -> impl Iterator<Item = &Join> {
        self.typed().flat_map(|typed| &typed.joins)
    }

    /// Whether a word is long enough to be searched with typos.
    pub(crate) fn forgives(&self) -> bool {
        let forgiven = |word: &Word| matches!(word, Word::Letters { word, .. } if text::typos(word) > 0);
        self.words().any(forgiven)
    }

    /// The condition of the text; `None` matches everything.
    pub(crate) fn condition(&self, matching: Matching) -> Option<Condition> {
        if self.chunks.is_empty() {
            return None;
        }
        let all = Condition::All(self.chunks.iter().map(|chunk| of_chunk(chunk, matching)).collect());
        Some(match &self.whole {
            Some(whole) => {
                let mut any = skus(whole);
                any.push(all);
                Condition::Any(any)
            }
            None => all,
        })
    }
}

/// The normal form of SKUs for comparison.
pub(crate) fn sku(text: &str) -> String {
    text::cut(&text::fold(text.trim()), 128).to_owned()
}

fn words_of(piece: &Piece<'_>, stems: &mut Stems) -> Vec<Word> {
    match piece.kind {
        Kind::Letters => {
            let word = text::word(piece.text);
            vec![Word::Letters { stem: stems.of(&word), word }]
        }
        Kind::Exact => vec![Word::Exact(text::word(piece.text))],
        Kind::Cjk => text::cjk_words(piece.text).into_iter().map(Word::Cjk).collect(),
    }
}

/// Cuts a word of Chinese, Japanese or Korean to the pairs of characters that are left. False: nothing is left of it.
fn shorten(word: &mut Word, pairs: &mut usize) -> bool {
    let Word::Cjk(word) = word else { return true };
    if let Some((end, _)) = word.char_indices().nth(*pairs + 1) {
        word.truncate(end);
    }
    let used = word.chars().count().saturating_sub(1).max(1);
    let fits = used <= *pairs;
    *pairs = pairs.saturating_sub(used);
    fits
}

fn is_stop_word(word: &Word) -> bool {
    let (Word::Letters { word, .. } | Word::Exact(word) | Word::Cjk(word)) = word;
    STOP_WORDS.contains(&word.as_str())
}

fn term(field: Field, text: &str, score: u8) -> Condition {
    Condition::Term { field, text: text.to_owned(), score }
}

fn begins(field: Field, text: &str, score: u8) -> Condition {
    Condition::Prefix { field, text: text.to_owned(), score }
}

/// A SKU by all of it or its beginning, with its signs or without; or by its inner parts.
fn skus(text: &str) -> Vec<Condition> {
    let is_long = |text: &str| text.chars().count() >= SHORTEST_PART;
    let mut any = vec![term(Field::Skus, text, 32)];
    if is_long(text) {
        any.push(begins(Field::Skus, text, 3));
    }
    let compact = text::compact(text);
    if compact != text && !compact.is_empty() {
        any.push(term(Field::Skus, &compact, 31));
        if is_long(&compact) {
            any.push(begins(Field::Skus, &compact, 3));
        }
    }
    if is_long(&compact) {
        // A number is meant as a part of a SKU; letters are rather a word.
        let score = if compact.chars().any(char::is_numeric) { 15 } else { 8 };
        any.push(term(Field::SkuParts, &compact, score));
        any.push(begins(Field::SkuParts, &compact, 2));
    }
    any
}

fn of_chunk(chunk: &Chunk, matching: Matching) -> Condition {
    let mut any = skus(&chunk.sku);
    match &*chunk.words {
        [] => {}
        [only] => any.extend(of_word(only, matching)),
        several => {
            let all = several.iter().map(|one| Condition::Any(of_word(one, matching)));
            any.push(Condition::All(all.collect()));
        }
    }
    Condition::Any(any)
}

fn of_word(typed: &Typed, matching: Matching) -> Vec<Condition> {
    let mut any = match &typed.word {
        Word::Letters { word, stem } => of_letters(word, stem, matching),
        Word::Exact(word) => vec![
            term(Field::NameExact, word, 16),
            term(Field::NameSpellings, word, 14),
            term(Field::BodyExact, word, 5),
            term(Field::BodySpellings, word, 4),
        ],
        Word::Cjk(word) => {
            let all_in = |field, score| {
                let grams = text::grams(word).into_iter().enumerate();
                // The first one scores for all, so that long words score like short ones.
                Condition::All(
                    grams.map(|(n, gram)| term(field, &gram, if n == 0 { score } else { 0 })).collect(),
                )
            };
            vec![all_in(Field::NameExact, 16), all_in(Field::BodyExact, 5)]
        }
    };
    for Join { word, stem } in &typed.joins {
        // Words that are neighbours in a name as well say more than words that are only both in it.
        any.push(term(Field::NameSpellings, word, 17));
        if let Some(stem) = stem {
            any.push(term(Field::NameWords, word, 15));
            any.push(term(Field::NameStems, stem, 11));
            any.push(term(Field::BodyWords, word, 4));
            any.push(term(Field::BodyStems, stem, 3));
        } else {
            any.push(term(Field::NameExact, word, 15));
            any.push(term(Field::BodyExact, word, 4));
            any.push(term(Field::Skus, word, 20));
            any.push(begins(Field::Skus, word, 3));
        }
    }
    any
}

fn of_letters(word: &str, stem: &str, matching: Matching) -> Vec<Condition> {
    let mut any = vec![
        term(Field::NameWords, word, 16),
        term(Field::NameSpellings, word, 14),
        term(Field::NameStems, stem, 12),
        term(Field::NameSpellings, stem, 11),
        term(Field::BodyWords, word, 5),
        term(Field::BodyStems, stem, 4),
        term(Field::BodySpellings, word, 4),
        term(Field::BodySpellings, stem, 3),
    ];
    if matching == Matching::WithTypos {
        let name = [Field::NameWords, Field::BodyWords];
        for (text, fields) in [(word, name), (stem, [Field::NameStems, Field::BodyStems])] {
            let typos = text::typos(text);
            for (field, score) in fields.into_iter().zip([6, 2]).filter(|_| typos > 0) {
                any.push(Condition::Fuzzy { field, text: text.to_owned(), typos, score });
            }
        }
        let typos = text::typos(word);
        if typos > 0 {
            any.push(Condition::Fuzzy {
                field: Field::NameSpellings,
                text: word.to_owned(),
                typos,
                score: 5,
            });
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let expected = ParsedQuery::of(text);
        let (Some(_) | None) = expected.condition(Matching::AsTyped);
        expected
            .words()
            .map(|(Word::Letters { word: text, .. } | Word::Exact(text) | Word::Cjk(text))| text.clone())
            .collect()
    }

    #[test]
    fn stop_words_and_punctuation_count_only_alone() {
        assert_eq!(texts("The dress & the hat"), ["dress", "hat"]);
        assert_eq!(texts("the"), ["the"]);
        assert_eq!(texts("红色的连衣裙"), ["红色", "连衣裙"]);
        assert!(
            ParsedQuery::of("&").condition(Matching::AsTyped).is_some(),
            "a sign was typed, so not everything is wanted"
        );
        assert!(ParsedQuery::of(" \u{0}\n ").condition(Matching::AsTyped).is_none());
    }

    #[test]
    fn neighbours_are_also_one_word() {
        let joins = |text: &str| -> Vec<String> {
            ParsedQuery::of(text).joins().map(|join| join.word.clone()).collect()
        };
        assert_eq!(joins("red bull"), ["redbull", "redbull"], "one for each of its words");
        assert_eq!(joins("mug"), [""; 0]);
        assert_eq!(joins("on ear"), ["onear"], "also with a word that is left out elsewhere");
        assert_eq!(joins("红色 连衣裙"), [""; 0]);
    }

    fn count(condition: &Condition) -> usize {
        match condition {
            Condition::Any(of) | Condition::All(of) => of.iter().map(count).sum(),
            _ => 1,
        }
    }

    #[test]
    fn no_text_has_more_conditions_than_a_server_takes() {
        for text in [
            "word ".repeat(100),
            "ab-12-cd-34 ".repeat(40),
            "a1 ".repeat(200),
            "abcdefgh ijklmnop ".repeat(4),
            "カタカナ".repeat(125),
            "カタ カナ ".repeat(100),
            "红色连衣裙".repeat(100),
            format!("{}{}", "abcdefgh ".repeat(7), "ひらがな".repeat(100)),
        ] {
            let conditions = ParsedQuery::of(&text).condition(Matching::WithTypos);
            let many = conditions.as_ref().map_or(0, count);
            assert!((1..1_000).contains(&many), "{many}: {text}");
        }
    }

    #[test]
    fn a_long_word_of_kana_is_searched_by_its_beginning() {
        let word: String = (0..200).map(|n| char::from_u32(0x30a1 + n % 80).unwrap()).collect();
        let parsed = ParsedQuery::of(&word);
        let Some(Word::Cjk(kept)) = parsed.words().next() else { panic!("{word}") };
        assert_eq!(kept.chars().count(), MOST_PAIRS + 1);
        assert!(word.starts_with(kept.as_str()));
        let short = ParsedQuery::of("ポスター 緑");
        assert_eq!(short.words().count(), 2);
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(texts(&"word ".repeat(2000)).len(), MOST_WORDS);
        assert_eq!(texts(&"x".repeat(10_000))[0].len(), 64);
    }
}
