//! Codes as somebody types them, and recovery codes, which are shown once and kept as hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256};
use uuid::Uuid;

use crate::Error;
use crate::passwords::{LETTERS, random};

/// How many recovery codes an account gets.
pub(crate) const RECOVERY_CODES: usize = 10;

/// The letters of a recovery code, of five bits each.
const LENGTH: usize = 24;

/// The longest answer of a passkey, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

/// A code in the form of one. It is in no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum TypedCode {
    /// Six digits.
    Totp(String),
    Recovery(String),
    /// The answer of a passkey, in JSON.
    Passkey(String),
}

impl TypedCode {
    /// Reads what was typed, with spaces and dashes anywhere, or the answer of a passkey in the place of a code; `None`: it
    /// has the form of neither.
    pub(crate) fn read(typed: &str) -> Option<Self> {
        if typed.starts_with('{') {
            return (typed.len() <= LONGEST_ANSWER).then(|| Self::Passkey(typed.to_owned()));
        }
        if typed.len() > 64 {
            return None;
        }
        let code: String = typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
        let code = code.to_ascii_lowercase();
        if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Totp(code));
        }
        let is_recovery = code.len() == LENGTH && code.bytes().all(|byte| LETTERS.contains(&byte));
        is_recovery.then_some(Self::Recovery(code))
    }
}

/// A new recovery code, as it is shown: 120 random bits in six groups of four letters.
pub(crate) fn new_recovery_code() -> Result<String, Error> {
    let mut bytes = [0; LENGTH];
    random(&mut bytes)?;
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    Ok(letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// The stored hash of a recovery code. Its 120 random bits cannot be tried, so one pass of SHA-256 is enough
/// (NIST SP 800-63B, 5.1.2.2: 112 bits or more).
pub(crate) fn recovery_hash(account: Uuid, code: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(b"recovery");
    context.update(account.as_bytes());
    context.update(code.as_bytes());
    STANDARD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_with_spaces_and_dashes_and_in_any_case() {
        for (typed, digits) in [("123456", "123456"), (" 123 456 ", "123456"), ("123-456", "123456")] {
            assert!(TypedCode::read(typed) == Some(TypedCode::Totp(digits.to_owned())), "{typed}");
        }
        let made = new_recovery_code().unwrap();
        assert_eq!((made.len(), made.matches('-').count()), (29, 5));
        let Some(TypedCode::Recovery(read)) = TypedCode::read(&made) else { panic!("{made}") };
        assert_eq!(read, made.replace('-', ""));
        for same in [made.to_uppercase(), made.replace('-', " "), read.clone()] {
            assert!(TypedCode::read(&same) == Some(TypedCode::Recovery(read.clone())), "{same}");
        }
        let long = format!("{made}{}", " ".repeat(100));
        for bad in ["", "12345", "1234567", "12345a", "\u{661}23456", &made[1..], &format!("{made}a"), &long]
        {
            assert!(TypedCode::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_hash_of_a_code_is_of_one_account() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_ne!(recovery_hash(one, "a"), recovery_hash(other, "a"));
        assert_ne!(recovery_hash(one, "a"), recovery_hash(one, "b"));
    }
}
