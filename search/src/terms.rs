//! The terms of an indexed text.

use std::collections::BTreeSet;

use crate::spelling::{self, Reach};
use crate::text::{Kind, Stems, fold, pieces, word};

/// The terms of an indexed text, by kind.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub(crate) words: BTreeSet<String>,
    pub(crate) stems: BTreeSet<String>,
    /// Words with digits; single characters and neighbouring pairs of CJK runs.
    pub(crate) exact: BTreeSet<String>,
    /// Other spellings: neighbouring words written as one, and the parts of words with digits.
    pub(crate) spellings: BTreeSet<String>,
}

impl Terms {
    /// `reach`: how many neighbouring words may be one word in another spelling.
    pub(crate) fn of(text: &str, reach: Reach) -> Self {
        let mut terms = Self::default();
        let mut stems = Stems::new();
        let pieces = pieces(text);
        for run in spelling::joined(text, &pieces, reach) {
            let join = spelling::join(&pieces[run]);
            if !join.chars().any(char::is_numeric) {
                terms.spellings.insert(stems.of(&join));
            }
            terms.spellings.insert(join);
        }
        terms.exact.extend(spelling::cjk_joints(text, &pieces));
        for piece in pieces {
            match piece.kind {
                Kind::Letters => {
                    let word = word(piece.text);
                    terms.stems.insert(stems.of(&word));
                    terms.words.insert(word);
                }
                Kind::Exact => {
                    let word = word(piece.text);
                    terms.spellings.extend(spelling::parts(&word));
                    terms.exact.insert(word);
                }
                Kind::Cjk => {
                    let run: Vec<char> = fold(piece.text).chars().collect();
                    terms.exact.extend(run.iter().map(char::to_string));
                    terms.exact.extend(run.windows(2).map(String::from_iter));
                }
            }
        }
        terms
    }
}
