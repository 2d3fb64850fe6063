//! The codes of reasons. A code is kept in clear for as long as the log, which nobody can change: so it has room for
//! words of small letters, and none for a sentence, an address or a telephone number. Words of one's own are a note,
//! which is encrypted.

/// The longest code.
pub const LONGEST: usize = 64;

/// Words of small letters, each with at most four digits behind it, or at most four digits alone; the first has letters.
pub const PATTERN: &str = "^[a-z]+[0-9]{0,4}([-_]([a-z]+[0-9]{0,4}|[0-9]{1,4}))*$";

/// A reason is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a reason is a code of at most 64 small letters, digits and hyphens, such as changed-mind, counted or complaint; words \
     of your own go into X-Reason-Note, which is encrypted"
)]
pub struct NotACode;

/// Whether the text is a code.
///
/// # Errors
/// It is none.
pub fn check(sent: &str) -> Result<(), NotACode> {
    let mut words = sent.split(['-', '_']).map(|word| {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let fits = digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty();
        (fits, digits.len() < word.len())
    });
    let begins = words.next().is_some_and(|(fits, has_letters)| fits && has_letters);
    if begins && words.all(|(fits, _)| fits) && sent.len() <= LONGEST { Ok(()) } else { Err(NotACode) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release_unshipped;

    #[test]
    fn a_reason_is_a_code_and_no_sentence_address_or_number() {
        for code in ["counted", "goods-damaged", "rma2024-17", "goods_missing", release_unshipped::REASON] {
            assert_eq!(check(code), Ok(()), "{code}");
        }
        let long = "a".repeat(LONGEST + 1);
        for other in [
            "",
            "4915112345678",
            "tel-4915112345678",
            "ana@example.org",
            "12-high-street",
            "Counted",
            " counted",
            "two words",
            "a--b",
            "-a",
            "a-",
            "é",
            &long,
        ] {
            assert_eq!(check(other), Err(NotACode), "{other}");
        }
    }
}
