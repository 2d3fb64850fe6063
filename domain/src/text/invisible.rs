//! Characters that nobody sees: taken out where they say nothing, kept where a script needs them.
//!
//! After Unicode's UAX 31 (section 2.3: joiners are kept where they change what is read) and UTS 39 (default-ignorable
//! characters are no part of a name). `docs/api.md` says it in words.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// The combining class of the sign that takes the vowel off a letter of an Indic script.
const VIRAMA: u8 = 9;

/// How far around an invisible character is looked for what it changes: no script or picture needs more, and a text of
/// nothing but marks takes no longer than any other.
const AROUND: usize = 32;

/// In NFC, without the characters that nobody sees, and with plain spaces for all that look like one. Normalising twice
/// changes nothing.
pub(super) fn without_invisible(text: &str) -> String {
    let mut text: String = text.nfc().map(spaced).collect();
    loop {
        let shorter = one_pass(&text);
        if shorter == text {
            return text;
        }
        // The normal form puts marks in order that something invisible kept apart: another mark may go now.
        text = shorter;
    }
}

fn one_pass(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut kept: Vec<char> = Vec::with_capacity(chars.len());
    for (index, char) in chars.iter().enumerate() {
        let before = &kept[kept.len().saturating_sub(AROUND)..];
        let after = &chars[index + 1..chars.len().min(index + 1 + AROUND)];
        if !is_invisible(*char) || is_needed(*char, before, after) {
            kept.push(*char);
        }
    }
    kept.into_iter().nfc().collect()
}

/// Spaces that do not break a line, that have another width, or that are a blank letter, as a plain one; a separator of
/// lines or paragraphs as a line break.
fn spaced(char: char) -> char {
    match char {
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{2800}'
        | '\u{3000}' => ' ',
        '\u{2028}' | '\u{2029}' => '\n',
        other => other,
    }
}

/// Default-ignorable (UAX 44), or a mark that only directs the layout.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether an invisible character changes what is read between the characters before and after it.
fn is_needed(char: char, before: &[char], after: &[char]) -> bool {
    let previous = before.last().copied();
    match char {
        ZERO_WIDTH_NON_JOINER => joins_letters(before, after) || is_beside_virama(before, after),
        ZERO_WIDTH_JOINER => {
            is_beside_virama(before, after)
                || is_between_emoji(before, after)
                || follows_joined_letter(before)
        }
        // A Mongolian letter takes the form that is selected, or a vowel is set apart from it.
        '\u{180b}'..='\u{180f}' => previous.is_some_and(|letter| matches!(letter, '\u{1820}'..='\u{18aa}')),
        // As a picture or as a text; a digit only if it becomes a key.
        '\u{fe0e}' | '\u{fe0f}' => previous.is_some_and(|base| {
            is_emoji(base) || is_ideograph(base) || is_keycap(base) && after.first() == Some(&'\u{20e3}')
        }),
        '\u{fe00}'..='\u{fe0d}' => previous.is_some_and(|base| {
            is_ideograph(base) || matches!(base, '\u{1000}'..='\u{109f}' | '\u{2200}'..='\u{2aff}')
        }),
        // Another form of the same ideograph, as in names of people and places.
        '\u{e0100}'..='\u{e01ef}' => previous.is_some_and(is_ideograph),
        // The flag of a part of a country: a black flag, tags, and the tag that ends them.
        '\u{e0020}'..='\u{e007f}' => is_in_flag(before, char, after),
        _ => false,
    }
}

/// The last character that is no combining mark.
fn base(before: &[char]) -> Option<char> {
    before.iter().rev().copied().find(|char| !is_combining_mark(*char))
}

/// Scripts whose letters join each other: Arabic, Syriac, N'Ko, Mandaic, Mongolian, Phags-pa, Adlam and others.
fn joins(char: char) -> bool {
    matches!(
        char,
        '\u{620}' | '\u{622}'..='\u{64a}' | '\u{66e}'..='\u{66f}' | '\u{671}'..='\u{673}' | '\u{675}'..='\u{6d3}'
            | '\u{6d5}' | '\u{6ee}'..='\u{6ef}' | '\u{6fa}'..='\u{6fc}' | '\u{6ff}' | '\u{700}'..='\u{77f}' | '\u{7ca}'..='\u{7ea}' | '\u{840}'..='\u{8ff}'
            | '\u{1820}'..='\u{18aa}' | '\u{a840}'..='\u{a871}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
            | '\u{10ac0}'..='\u{10aff}' | '\u{10b80}'..='\u{10baf}' | '\u{10d00}'..='\u{10d23}' | '\u{1e900}'..='\u{1e943}'
    )
}

/// Arabic letters that join only the letter before them, such as alef, dal, reh and waw.
fn joins_only_backwards(char: char) -> bool {
    matches!(
        char,
        '\u{622}'..='\u{625}' | '\u{627}' | '\u{629}' | '\u{62f}'..='\u{632}' | '\u{648}' | '\u{671}'..='\u{673}'
            | '\u{675}'..='\u{677}' | '\u{688}'..='\u{699}' | '\u{6c0}' | '\u{6c3}'..='\u{6cb}' | '\u{6cd}'
            | '\u{6cf}' | '\u{6d2}'..='\u{6d3}' | '\u{6d5}' | '\u{6ee}'..='\u{6ef}'
    )
}

fn joins_next(char: char) -> bool {
    joins(char) && !joins_only_backwards(char)
}

/// Two letters that would join without it (UAX 31, A1).
fn joins_letters(before: &[char], after: &[char]) -> bool {
    let next = after.iter().copied().find(|char| !is_combining_mark(*char));
    base(before).is_some_and(joins_next) && next.is_some_and(joins)
}

/// A letter that keeps its joined form although nothing follows, as in Persian and Urdu abbreviations.
fn follows_joined_letter(before: &[char]) -> bool {
    base(before).is_some_and(joins_next)
}

/// After a virama that follows a letter (UAX 31, A2 and B), or before one as in Bengali.
fn is_beside_virama(before: &[char], after: &[char]) -> bool {
    let is_virama = |char: char| canonical_combining_class(char) == VIRAMA;
    let letter = base(before).is_some_and(|char| char.is_alphabetic() && !char.is_ascii());
    let last = before.last().copied();
    letter && (last.is_some_and(is_virama) || after.first().copied().is_some_and(is_virama))
}

/// Between two pictures, which become one.
fn is_between_emoji(before: &[char], after: &[char]) -> bool {
    let modifies = |char: char| matches!(char, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let picture = before.iter().rev().copied().find(|char| !modifies(*char));
    picture.is_some_and(is_emoji) && after.first().copied().is_some_and(is_emoji)
}

fn is_in_flag(before: &[char], char: char, after: &[char]) -> bool {
    let is_tag = |char: &char| matches!(char, '\u{e0020}'..='\u{e007f}');
    let begins = before.iter().rev().find(|char| !is_tag(char)) == Some(&'\u{1f3f4}');
    let ended = before.last() == Some(&'\u{e007f}');
    let ends =
        char == '\u{e007f}' || after.iter().take_while(|char| is_tag(char)).any(|char| *char == '\u{e007f}');
    begins && !ended && ends
}

fn is_emoji(char: char) -> bool {
    matches!(
        char,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{21ff}'
            | '\u{2300}'..='\u{23ff}' | '\u{24c2}' | '\u{25a0}'..='\u{27bf}' | '\u{2934}'..='\u{2935}'
            | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}'
    )
}

fn is_ideograph(char: char) -> bool {
    matches!(
        char,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
    )
}

fn is_keycap(char: char) -> bool {
    char.is_ascii_digit() || matches!(char, '#' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_nobody_sees_are_taken_out() {
        for invisible in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
        ] {
            for text in [format!("{invisible}MUG"), format!("MU{invisible}G"), format!("MUG{invisible}")] {
                assert_eq!(without_invisible(&text), "MUG", "{text:?}");
            }
            assert_eq!(without_invisible(&format!("{invisible}{invisible}")), "", "{invisible:?}");
            assert_eq!(without_invisible(&format!("7{invisible}7")), "77", "{invisible:?}");
        }
    }

    /// Each of these took seconds when the whole text was looked at for each character of it.
    #[test]
    fn a_long_text_of_marks_is_cleaned_like_any_other() {
        let marks = format!("\u{628}{}", "\u{200c}\u{301}".repeat(100_000));
        assert_eq!(without_invisible(&marks).matches('\u{301}').count(), 100_000);
        assert_eq!(without_invisible(&"\u{e0061}".repeat(100_000)), "");
    }

    #[test]
    fn every_space_is_a_plain_one() {
        for space in [
            '\u{a0}', '\u{1680}', '\u{2000}', '\u{2007}', '\u{200a}', '\u{202f}', '\u{205f}', '\u{2800}',
            '\u{3000}',
        ] {
            assert_eq!(without_invisible(&format!("a{space}b")), "a b", "{space:?}");
        }
        assert_eq!(without_invisible("a\u{2028}b\u{2029}c"), "a\nb\nc");
    }

    /// Without them, each would be another word, or another picture.
    #[test]
    fn invisible_characters_that_a_script_or_a_picture_needs_are_kept() {
        for name in [
            "می\u{200c}خواهم",
            "علی\u{200c}\u{200c}رضا",
            "ه\u{200d}",
            "क\u{94d}\u{200d}ष",
            "क\u{94d}\u{200c}ष",
            "র\u{200d}\u{9cd}যাব",
            "අම\u{dca}\u{200d}මා",
            "ᠠ\u{180b}",
            "👩\u{200d}👩\u{200d}👧",
            "👩🏽\u{200d}🚀",
            "🏳\u{fe0f}\u{200d}🌈",
            "❤\u{fe0f}\u{200d}🔥",
            "🐈\u{200d}\u{2b1b}",
            "1\u{fe0f}\u{20e3}",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "葛\u{e0100}城市",
            "葛\u{fe00}",
            "葛\u{fe0e}",
            "≨\u{fe00}",
            "က\u{fe00}",
            "#\u{fe0f}\u{20e3}",
            "مَ\u{200c}ی",
            "م\u{200c}\u{64e}ی",
            "Zoë Łukasz Nguyễn Đặng",
            "ก\u{e34}\u{e48}ง",
            "שָׁלוֹם",
            "יִשְׂרָאֵל",
        ] {
            let expected: String = name.replace("\u{200c}\u{200c}", "\u{200c}").nfc().collect();
            assert_eq!(without_invisible(name), expected, "{name:?}");
            // Characters further away do not matter.
            let within = without_invisible(&format!("Ada {name} Bob"));
            assert_eq!(within, format!("Ada {expected} Bob"), "{name:?}");
        }
    }

    #[test]
    fn the_same_characters_are_taken_out_where_nothing_needs_them() {
        for (text, cleaned) in [
            ("سلام\u{200c}", "سلام"),
            ("\u{200c}سلام", "سلام"),
            ("سلام\u{200c} سلام", "سلام سلام"),
            ("کار\u{200c}گر", "کارگر"),
            ("١\u{200c}٢", "١٢"),
            ("क\u{200d}ष", "कष"),
            ("👩\u{200d}", "👩"),
            ("👩\u{200d}A", "👩A"),
            ("1\u{fe0f}", "1"),
            ("🏴\u{e0067}\u{e0062}", "🏴"),
            ("x\u{e0067}\u{e007f}", "x"),
            ("é\u{e0100}", "é"),
            ("e\u{200b}\u{301}", "é"),
            ("A\u{94d}\u{200d}", "A\u{94d}"),
            ("\u{200d}\u{94d}", "\u{94d}"),
            ("क\u{200d}", "क"),
            ("\u{200d}👩", "👩"),
            ("x\u{fe0f}\u{20e3}", "x\u{20e3}"),
            // Tags after the one that ends a flag.
            ("🏴\u{e0067}\u{e007f}\u{e0062}\u{e007f}", "🏴\u{e0067}\u{e007f}"),
        ] {
            assert_eq!(without_invisible(text), cleaned, "{text:?}");
        }
    }
}
