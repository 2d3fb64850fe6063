//! The text of a query, parsed into conditions on the indexed fields that every backend can express.
//!
//! A document scores by how well each word matches, in whole numbers. So the order is the same on every backend and
//! does not change when a server merges its segments, and pages neither skip nor repeat hits.

use crate::text::{self, Kind, Stems};

/// The part of the typed text that is used, in characters.
const LONGEST_TEXT: usize = 500;
const MOST_WORDS: usize = 16;
/// Shorter prefixes of a SKU would match half the shop.
const SHORTEST_SKU_PREFIX: usize = 3;

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
    BodyWords,
    BodyStems,
    BodyExact,
    Skus,
}

impl Field {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NameWords => "name_words",
            Self::NameStems => "name_stems",
            Self::NameExact => "name_exact",
            Self::BodyWords => "body_words",
            Self::BodyStems => "body_stems",
            Self::BodyExact => "body_exact",
            Self::Skus => "skus",
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Letters { word: String, stem: String },
    Exact(String),
    Cjk(String),
}

/// The parsed text of a query.
#[derive(Debug, Default)]
pub(crate) struct ParsedQuery {
    /// The whole text, if it has more than one chunk: a SKU may contain a space.
    whole: Option<String>,
    /// The parts between spaces: each is a SKU, or words.
    chunks: Vec<(String, Vec<Word>)>,
}

impl ParsedQuery {
    pub(crate) fn of(text: &str) -> Self {
        let text = text::cut(text, LONGEST_TEXT);
        let mut stems = Stems::new();
        let mut room = MOST_WORDS;
        let mut chunks: Vec<(String, Vec<Word>)> = Vec::new();
        for chunk in
            text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|chunk| !chunk.is_empty())
        {
            let mut words = words(chunk, &mut stems);
            words.truncate(room);
            if room > 0 {
                room -= words.len();
                chunks.push((sku(chunk), words));
            }
        }
        let whole = (chunks.len() > 1).then(|| sku(text));
        // Punctuation and stop words count only if there is nothing else.
        let meant = |chunk: &(String, Vec<Word>)| chunk.1.iter().any(|word| !is_stop_word(word));
        if chunks.iter().any(meant) {
            chunks.retain(meant);
            for (_, words) in &mut chunks {
                words.retain(|word| !is_stop_word(word));
            }
        }
        Self { whole, chunks }
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        self.chunks.iter().flat_map(|(_, words)| words)
    }

    /// The condition of the text; `None` matches everything.
    pub(crate) fn condition(&self) -> Option<Condition> {
        if self.chunks.is_empty() {
            return None;
        }
        let all = Condition::All(self.chunks.iter().map(|(sku, words)| chunk(sku, words)).collect());
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

fn words(chunk: &str, stems: &mut Stems) -> Vec<Word> {
    let mut words = Vec::new();
    for piece in text::pieces(chunk) {
        match piece.kind {
            Kind::Letters => {
                let word = text::word(piece.text);
                words.push(Word::Letters { stem: stems.of(&word), word });
            }
            Kind::Exact => words.push(Word::Exact(text::word(piece.text))),
            Kind::Cjk => words.extend(text::cjk_words(piece.text).into_iter().map(Word::Cjk)),
        }
    }
    words
}

fn is_stop_word(word: &Word) -> bool {
    let (Word::Letters { word, .. } | Word::Exact(word) | Word::Cjk(word)) = word;
    STOP_WORDS.contains(&word.as_str())
}

fn skus(text: &str) -> Vec<Condition> {
    let mut any = vec![Condition::Term { field: Field::Skus, text: text.to_owned(), score: 32 }];
    if text.chars().count() >= SHORTEST_SKU_PREFIX {
        any.push(Condition::Prefix { field: Field::Skus, text: text.to_owned(), score: 3 });
    }
    any
}

fn chunk(sku: &str, words: &[Word]) -> Condition {
    let mut any = skus(sku);
    match words {
        [] => {}
        [only] => any.extend(word(only)),
        several => any.push(Condition::All(several.iter().map(|one| Condition::Any(word(one))).collect())),
    }
    Condition::Any(any)
}

fn word(word: &Word) -> Vec<Condition> {
    let term = |field, text: &str, score| Condition::Term { field, text: text.to_owned(), score };
    match word {
        Word::Letters { word, stem } => {
            let mut any = vec![
                term(Field::NameWords, word, 16),
                term(Field::NameStems, stem, 12),
                term(Field::BodyWords, word, 5),
                term(Field::BodyStems, stem, 4),
            ];
            for (text, fields) in
                [(word, [Field::NameWords, Field::BodyWords]), (stem, [Field::NameStems, Field::BodyStems])]
            {
                let typos = text::typos(text);
                for (field, score) in fields.into_iter().zip([6, 2]).filter(|_| typos > 0) {
                    any.push(Condition::Fuzzy { field, text: text.clone(), typos, score });
                }
            }
            any
        }
        Word::Exact(word) => vec![term(Field::NameExact, word, 16), term(Field::BodyExact, word, 5)],
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let wanted = ParsedQuery::of(text);
        let (Some(_) | None) = wanted.condition();
        wanted
            .words()
            .map(|(Word::Letters { word: text, .. } | Word::Exact(text) | Word::Cjk(text))| text.clone())
            .collect()
    }

    #[test]
    fn stop_words_and_punctuation_count_only_alone() {
        assert_eq!(texts("The dress & the hat"), ["dress", "hat"]);
        assert_eq!(texts("the"), ["the"]);
        assert_eq!(texts("红色的连衣裙"), ["红色", "连衣裙"]);
        assert!(ParsedQuery::of("&").condition().is_some(), "a sign was typed, so not everything is wanted");
        assert!(ParsedQuery::of(" \u{0}\n ").condition().is_none());
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(texts(&"word ".repeat(2000)).len(), MOST_WORDS);
        assert_eq!(texts(&"x".repeat(10_000))[0].len(), 64);
    }
}
