//! Text that people type, normalised and limited in length before it can enter an event.
//!
//! This is the one rule for every text that comes in, over HTTP, from a file or from the command line: Unicode's normal
//! form C, without characters that nobody sees ([`cleaned`]). It is applied where a command comes in, never where an
//! event is read: what is stored stays as it is.

mod invisible;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Why a text was refused. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("it is empty")]
    Empty,
    #[error("it has more than {0} characters")]
    TooLong(usize),
    #[error("it has a control character")]
    Control,
    #[error("it is not an e-mail address")]
    NotAnEmail,
    #[error("it is not a code of lower-case letters, digits and -")]
    NotACode,
    #[error("two of the names are the same")]
    SameName,
    #[error("it is not the code of a country, such as FR (ISO 3166)")]
    NotACountry,
    #[error("it is not the tag of a language, such as en or zh-CN")]
    NotALanguage,
}

/// The rule for every text: in NFC, without characters that nobody sees (zero-width, soft hyphen, byte order mark, marks
/// of direction), and with a plain space for every other space. What a script needs stays: joiners in Persian and Indic
/// words, selectors of ideographs, joined emoji.
pub fn cleaned(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(invisible::without_invisible(text)) }
}

/// [`cleaned`], without white space at either end, of 1 to `most` characters, without control characters.
pub fn line(raw: &str, most: usize) -> Result<String, TextError> {
    let text = prose(raw, most)?;
    if text.contains(['\n', '\t']) {
        return Err(TextError::Control);
    }
    if text.is_empty() { Err(TextError::Empty) } else { Ok(text) }
}

/// Like [`line()`], but may be empty and have line breaks and tabs. A line break of Windows is one.
pub fn prose(raw: &str, most: usize) -> Result<String, TextError> {
    let text = cleaned(raw);
    let text = if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { text };
    within(text.trim(), most)
}

fn within(text: &str, most: usize) -> Result<String, TextError> {
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(TextError::Control);
    }
    if text.chars().count() > most {
        return Err(TextError::TooLong(most));
    }
    Ok(text.to_owned())
}

/// In NFC. (Most texts are ASCII, and have no other form.)
fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// The form in which two texts are compared where people see no difference between capitals and small letters: `STRASSE`
/// is `straße`, and `ΟΔΟΣ` is `οδος`. In NFC. For comparing only: what is stored and shown stays as it was typed.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Letter by letter: a sigma at the end of a word is like any other.
    composed(&composed(text).to_uppercase().chars().flat_map(char::to_lowercase).collect::<String>())
        .into_owned()
}

/// A text that is safe to show: characters that would act on a terminal or change the direction of the text around them
/// are escaped as in JSON (`\u202e`). Line breaks and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let spelt = |c: char| if acts(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(text.chars().map(spelt).collect())
}

/// A code, such as a label: lower-case letters, digits and `-`, at most 64. (A reason is checked by
/// [`reasons::check`](crate::reasons::check).)
pub fn code(raw: &str) -> Result<String, TextError> {
    let text = line(raw, 64)?;
    let fits = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fits { Ok(text) } else { Err(TextError::NotACode) }
}

/// An e-mail address: text, one `@`, text. Only a message to it can show whether it exists.
pub fn email(raw: &str) -> Result<String, TextError> {
    let text = line(raw, 254)?;
    match text.split_once('@') {
        Some((local, host))
            if !local.is_empty() && host.contains('.') && !host.contains('@') && !text.contains(' ') =>
        {
            Ok(text)
        }
        _ => Err(TextError::NotAnEmail),
    }
}

/// The form in which two e-mail addresses are compared.
pub fn email_key(email: &str) -> String {
    composed(&composed(email.trim()).to_lowercase()).into_owned()
}

/// A stock keeping unit: [`cleaned`], trimmed, upper case, NFC, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Sku(String);

impl Sku {
    /// The SKU that somebody types.
    pub fn try_new(raw: &str) -> Result<Self, TextError> {
        line(&cleaned(raw).to_uppercase(), 64).map(Self)
    }

    /// A SKU as it is stored: by the rule of the first releases, which left characters that nobody sees as they were.
    pub fn as_stored(raw: &str) -> Result<Self, TextError> {
        let text = composed(raw).to_uppercase();
        let text = composed(text.trim());
        match text.as_ref() {
            "" => Err(TextError::Empty),
            text if text.contains(['\n', '\t']) => Err(TextError::Control),
            text => within(text, 64).map(Self),
        }
    }

    /// The SKU of the first releases that the text may mean, where that is another one than [`try_new`](Self::try_new)
    /// makes of it.
    pub fn stored_otherwise(raw: &str) -> Option<Self> {
        let stored = Self::as_stored(raw).ok()?;
        (Self::try_new(raw).as_ref() != Ok(&stored)).then_some(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sku {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::as_stored(&raw)
            .map_err(|error| serde::de::Error::custom(format_args!("this SKU cannot be used: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_trimmed_and_composed() {
        assert_eq!(line("  Cafe\u{301}\u{a0}", 10).unwrap(), "Caf\u{e9}");
    }

    #[test]
    fn a_line_is_one_line_and_not_empty() {
        for empty in ["", "  ", "\n\t"] {
            assert_eq!(line(empty, 10), Err(TextError::Empty), "{empty:?}");
        }
        for broken in ["a\nb", "a\tb", "a\rb", "a\0b", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(line(broken, 10), Err(TextError::Control), "{broken:?}");
        }
    }

    #[test]
    fn prose_may_be_empty_and_have_line_breaks_and_tabs_and_nothing_else_that_controls() {
        assert_eq!(prose(" \n ", 10).unwrap(), "");
        assert_eq!(prose("1 Road\n\tTown\n", 20).unwrap(), "1 Road\n\tTown");
        for broken in ["a\0b", "a\u{1b}[31mb", "a\u{85}b"] {
            assert_eq!(prose(broken, 20), Err(TextError::Control), "{broken:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters_of_the_normal_form() {
        assert_eq!(line("e\u{301}e\u{301}", 2).unwrap(), "éé");
        assert_eq!(line("   ab   ", 2).unwrap(), "ab");
        assert_eq!(line("abc", 2), Err(TextError::TooLong(2)));
    }

    #[test]
    fn an_email_address_has_text_on_both_sides_of_one_at_sign() {
        for good in ["ada@example.org", " Ada.L+x@mail.example.org ", "ü@exämple.de"] {
            assert_eq!(email(good).unwrap(), good.trim(), "{good:?}");
        }
        for bad in ["ada", "@example.org", "ada@", "ada@example", "a@b@c.d", "a b@c.d", "ada@exa mple.org"] {
            assert_eq!(email(bad), Err(TextError::NotAnEmail), "{bad:?}");
        }
        assert_eq!(email("ada\n@example.org"), Err(TextError::Control));
        assert_eq!(email(""), Err(TextError::Empty));
        assert_eq!(email(&format!("{}@example.org", "a".repeat(254))), Err(TextError::TooLong(254)));
    }

    #[test]
    fn addresses_that_differ_in_case_or_composition_are_the_same_to_us() {
        for (one, other) in [
            ("Ada@Example.ORG", "ada@example.org"),
            ("  ada@example.org ", "ada@example.org"),
            ("\u{c9}a@b.c", "e\u{301}a@b.c"),
            // Its small form has one character, its capital form has two.
            ("H\u{331}@b.c", "\u{1e96}@b.c"),
        ] {
            assert_eq!(email_key(one), email_key(other), "{one} and {other}");
        }
    }

    #[test]
    fn texts_that_differ_in_capitals_or_composition_are_folded_alike() {
        for (one, other) in [
            ("X-1", "x-1"),
            ("Stra\u{df}e", "STRASSE"),
            ("\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3bf}\u{3c2}"),
            ("Cafe\u{301}", "CAF\u{c9}"),
            ("H\u{331}", "\u{1e96}"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} and {other}");
        }
        for (one, other) in [("x-1", "x_1"), ("e", "\u{e9}"), ("France", "Franc")] {
            assert_ne!(folded(one), folded(other), "{one} and {other}");
        }
    }

    #[test]
    fn a_sku_is_trimmed_composed_and_in_capitals() {
        for raw in ["mug-1", " MUG-1 ", "Mug-1"] {
            assert_eq!(Sku::try_new(raw).unwrap().as_str(), "MUG-1", "{raw:?}");
        }
        assert_eq!(Sku::try_new("cafe\u{301}").unwrap().as_str(), "CAF\u{c9}");
        // The same text, composed and decomposed, gives the same SKU.
        assert_eq!(Sku::try_new("\u{1fb4}"), Sku::try_new("\u{3b1}\u{345}\u{301}"));
    }

    #[test]
    fn a_sku_has_one_line_of_at_most_64_characters() {
        assert_eq!(Sku::try_new(" "), Err(TextError::Empty));
        assert_eq!(Sku::try_new("A\nB"), Err(TextError::Control));
        assert_eq!(Sku::try_new("A\0B"), Err(TextError::Control));
        assert!(Sku::try_new(&"x".repeat(64)).is_ok());
        assert_eq!(Sku::try_new(&"x".repeat(65)), Err(TextError::TooLong(64)));
    }

    #[test]
    fn a_sku_of_the_first_releases_differs_from_its_normal_form_of_today() {
        assert_eq!(Sku::stored_otherwise(" mug-1 "), None);
        assert_eq!(Sku::stored_otherwise("cafe\u{301}"), None);
        let stored = Sku::stored_otherwise("mug\u{200b}-1").unwrap();
        assert_eq!(stored.as_str(), "MUG\u{200b}-1");
        assert_eq!(Sku::stored_otherwise("\u{200b}").unwrap().as_str(), "\u{200b}");
        assert_eq!(Sku::stored_otherwise("a\nb"), None, "it was never one");
    }

    #[test]
    fn a_text_that_looks_the_same_is_the_same_text() {
        for sku in [
            "MUG-77",
            "MUG-77\u{200b}",
            "MUG\u{ad}-77",
            "\u{feff}mug-77",
            " MUG\u{2060}-77\u{a0}",
            "\u{202a}MUG-77\u{202c}",
        ] {
            assert_eq!(Sku::try_new(sku).unwrap().as_str(), "MUG-77", "{sku:?}");
        }
        assert_eq!(Sku::try_new("MUG\u{a0}-80"), Sku::try_new("MUG -80"));
        assert_eq!(Sku::try_new("\u{200b}"), Err(TextError::Empty));
        assert_eq!(line("\u{200e}\u{a0}\u{feff}", 10), Err(TextError::Empty));
        assert_eq!(line("Ca\u{ad}fe\u{200b}\u{301}", 10).unwrap(), "Caf\u{e9}");
        assert_eq!(line("a\u{2028}b", 10), Err(TextError::Control));
        assert_eq!(prose("1\u{a0}Road\r\nTown\u{2029}\u{200b}", 20).unwrap(), "1 Road\nTown");
        for address in
            ["ada@example.org", "ada\u{200b}@example.org", "ada@example.org\u{feff}", "ada@exa\u{ad}mple.org"]
        {
            assert_eq!(email(address).unwrap(), "ada@example.org", "{address:?}");
        }
        assert_eq!(email("a\u{a0}da@example.org"), Err(TextError::NotAnEmail));
        assert_eq!(code("chan\u{200d}ged-mind").unwrap(), "changed-mind");
    }

    /// SKUs that earlier releases stored are read as they were stored, and name the same stream as then.
    #[test]
    fn a_stored_sku_is_read_exactly_as_it_was_stored() {
        for stored in ["MUG-77\u{200b}", "\u{feff}MUG", "MUG\u{a0}-80", "MUG\u{ad}-77", "CAF\u{c9}"] {
            let json = serde_json::to_string(stored).unwrap();
            let sku: Sku = serde_json::from_str(&json).unwrap();
            assert_eq!((sku.as_str(), serde_json::to_string(&sku).unwrap()), (stored, json));
        }
    }

    #[test]
    fn a_stored_sku_is_one_line_of_1_to_64_characters() {
        let read = |raw: &str| serde_json::from_value::<Sku>(raw.into()).map_err(|error| error.to_string());
        for (raw, why) in [
            ("", TextError::Empty),
            (" \n ", TextError::Empty),
            ("A\nB", TextError::Control),
            ("A\tB", TextError::Control),
            ("A\u{1}B", TextError::Control),
            ("X".repeat(65).as_str(), TextError::TooLong(64)),
        ] {
            assert_eq!(read(raw), Err(format!("this SKU cannot be used: {why}")), "{raw:?}");
        }
        assert_eq!(read(&"X".repeat(64)).unwrap().as_str(), "X".repeat(64));
    }

    #[test]
    fn a_code_has_at_most_64_small_letters_digits_and_hyphens() {
        for good in ["changed-my-mind", "a", "42", "-", &"x".repeat(64)] {
            assert_eq!(code(good).unwrap(), good);
        }
        for bad in ["Changed", "a b", "a_b", "caf\u{e9}", "a.b", "\u{661}"] {
            assert_eq!(code(bad), Err(TextError::NotACode), "{bad:?}");
        }
        assert_eq!(code(" "), Err(TextError::Empty));
        assert_eq!(code(&"x".repeat(65)), Err(TextError::TooLong(64)));
    }

    #[test]
    fn prose_may_be_as_long_as_it_says_and_no_longer() {
        assert_eq!(prose(" ab ", 2).unwrap(), "ab");
        assert_eq!(prose("abc", 2), Err(TextError::TooLong(2)));
    }

    #[test]
    fn a_sku_parses_into_its_normal_form() {
        assert_eq!(serde_json::from_str::<Sku>("\" mug \"").unwrap(), Sku::try_new("MUG").unwrap());
        assert_eq!(serde_json::to_string(&Sku::try_new("mug").unwrap()).unwrap(), "\"MUG\"");
    }

    #[test]
    fn a_refusal_never_repeats_the_text() {
        let secret = "secret\u{1}";
        let error =
            serde_json::from_str::<Sku>(&serde_json::to_string(secret).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("this SKU cannot be used: it has a control character"), "{error}");
        let long = "secret".repeat(100);
        for error in [
            line(secret, 99),
            prose(secret, 99),
            email("secret"),
            line(&long, 9),
            Sku::try_new(&long).map(|s| s.0),
        ] {
            let error = error.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    /// Letters of every kind, capitals, and marks that combine with them.
    fn odd_text() -> impl Strategy<Value = String> {
        use proptest::char::range;
        let latin_greek_and_composed =
            prop_oneof![range('A', '\u{24f}'), range('\u{370}', '\u{3ff}'), range('\u{1e00}', '\u{1fff}')];
        let mark = prop_oneof![range('\u{300}', '\u{36f}'), Just('\u{345}')];
        let invisible = prop_oneof![
            range('\u{200b}', '\u{200f}'),
            range('\u{2028}', '\u{202f}'),
            range('\u{fe00}', '\u{fe0f}'),
            range('\u{e0061}', '\u{e007f}'),
            Just('\u{ad}'),
            Just('\u{feff}'),
        ];
        let needs_them = prop_oneof![
            range('\u{620}', '\u{6d5}'),
            range('\u{915}', '\u{94d}'),
            range('\u{1f3f0}', '\u{1f400}'),
            Just('葛')
        ];
        let char = prop_oneof![any::<char>(), latin_greek_and_composed, mark, invisible, needs_them];
        proptest::collection::vec(char, 0..8).prop_map(String::from_iter)
    }

    #[test]
    fn control_and_bidirectional_characters_are_escaped() {
        for plain in ["Größe 中文 🙂", "two\nlines\tand a tab", "", "\u{5d0}\u{5d1} is Hebrew"] {
            assert!(matches!(visible(plain), Cow::Borrowed(same) if same == plain));
        }
        assert_eq!(visible("a\u{1b}[31mb\u{9b}2J\u{7f}"), "a\\u001b[31mb\\u009b2J\\u007f");
        assert_eq!(visible("gpj.\u{202e}exe\u{2066}"), "gpj.\\u202eexe\\u2066");
        assert_eq!(visible("a\nb\tc\u{0}"), "a\nb\tc\\u0000");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn normalising_twice_changes_nothing(text in odd_text()) {
            if let Ok(once) = line(&text, 200) {
                prop_assert_eq!(line(&once, 200).unwrap(), once);
            }
            if let Ok(once) = prose(&text, 200) {
                prop_assert_eq!(prose(&once, 200).unwrap(), once);
            }
            if let Ok(once) = Sku::try_new(&text) {
                prop_assert_eq!(Sku::try_new(once.as_str()).unwrap(), once);
            }
            let once = email_key(&text);
            prop_assert_eq!(email_key(&once), once);
        }

        #[test]
        fn the_same_text_composed_or_not_has_the_same_normal_form(text in odd_text()) {
            let (composed, taken_apart): (String, String) = (text.nfc().collect(), text.nfd().collect());
            prop_assert_eq!(line(&composed, 200), line(&taken_apart, 200));
            prop_assert_eq!(Sku::try_new(&composed), Sku::try_new(&taken_apart));
            prop_assert_eq!(email_key(&composed), email_key(&taken_apart));
        }
    }
}
