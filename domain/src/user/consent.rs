//! What a user has agreed to: advertising, by each channel apart. It is given in words that the person saw, and can always be
//! withdrawn.

use serde::{Deserialize, Serialize};

use crate::text::{self, TextError};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::AsRefStr,
            strum::EnumIter, strum::EnumString, strum::VariantNames,
        )]
        #[serde(rename_all = "kebab-case")]
        #[strum(serialize_all = "kebab-case")]
        pub enum $name { $($(#[$of])* $variant),+ }
    )+};
}

codes! {
    /// The way by which advertising reaches a person.
    Medium {
        Email,
        Phone,
        Post,
        Sms,
    }

    /// Where a consent was given or withdrawn.
    Via {
        /// With the link of a registration.
        Registration,
        /// On the pages of the account.
        AccountPage,
        /// By a program: a storefront, or somebody of the shop for the person.
        Api,
        /// It was given before the person came to this shop.
        Import,
    }
}

impl Medium {
    /// The names of all of them.
    pub const NAMES: &'static [&'static str] = <Self as strum::VariantNames>::VARIANTS;
}

/// The words that a person agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wording {
    /// The version of the words: a code, under which the shop keeps them.
    pub wording: String,
    /// The tag of the language in which they were seen.
    pub language: String,
}

impl Wording {
    /// A refusal names its field.
    pub fn try_new(wording: &str, language: &str) -> Result<Self, (&'static str, TextError)> {
        let wording = text::code(wording).map_err(|error| ("/wording", error))?;
        Ok(Self { wording, language: tag(language).map_err(|error| ("/language", error))? })
    }
}

/// The tag of a language, such as `zh-CN` (BCP 47): its form alone is checked.
fn tag(raw: &str) -> Result<String, TextError> {
    let tag = text::line(raw, 35)?;
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    let is_language = (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_language && parts.all(is_part) { Ok(tag) } else { Err(TextError::NotALanguage) }
}

/// The consent to one medium as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub medium: Medium,
    /// The words of the consent; absent: it was withdrawn.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub given: Option<Wording>,
    pub via: Via,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_a_version_that_is_a_code_and_a_language() {
        let read =
            |wording: &str, language: &str| Wording::try_new(wording, language).map_err(|(field, _)| field);
        for tag in ["en", "zh-CN", "de-1996", "sr-Latn-RS"] {
            assert_eq!(read("2026-11", tag).unwrap().language, tag);
        }
        for tag in ["", "e", "en_GB", "en-", "-en", "1n", "en-ninechars", "en GB"] {
            assert_eq!(read("2026-11", tag), Err("/language"), "{tag}");
        }
        for wording in ["", "Version 1", "a.b"] {
            assert_eq!(read(wording, "en"), Err("/wording"), "{wording}");
        }
    }

    #[test]
    fn a_withdrawn_consent_reads_back_without_words() {
        for consent in [
            Consent {
                medium: Medium::Post,
                given: Some(Wording::try_new("v1", "en").unwrap()),
                via: Via::Api,
            },
            Consent { medium: Medium::Sms, given: None, via: Via::AccountPage },
        ] {
            let stored = serde_json::to_string(&consent).unwrap();
            assert_eq!(serde_json::from_str::<Consent>(&stored).unwrap(), consent, "{stored}");
        }
    }
}
