//! Every text for people, in every language of the shop: the pages of the audit trail, and the output of `replay-tool`.
//! The texts are Fluent catalogues in `locales/LANGUAGE/*.ftl`, embedded when this crate is compiled.
//!
//! Keys say what a text is for: `event-TYPE` (the title of an event; its attribute `.sentence` is the whole sentence),
//! `field-NAME` (a field of an event or a state; its attributes are values that have a name), `aggregate-TYPE`, `actor-KIND`, `role-NAME`,
//! `problem-SLUG`, `system-error-KIND`, `page-…` and `tool-…`. This crate depends on no other crate of the shop.

mod catalogue;
mod fields;
mod system_error;
mod value;

use std::sync::LazyLock;

use catalogue::Catalogue;
pub use system_error::SYSTEM_ERRORS;
pub use value::Value;

include!(concat!(env!("OUT_DIR"), "/catalogues.rs"));

static CATALOGUES: [LazyLock<Catalogue>; 2] = [
    LazyLock::new(|| Catalogue::read(Language::English.tag(), ENGLISH)),
    LazyLock::new(|| Catalogue::read(Language::Chinese.tag(), CHINESE)),
];

/// A language of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// All languages, the default first.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The tags of all languages, in the same order.
    pub const TAGS: &'static [&'static str] = &[Self::English.tag(), Self::Chinese.tag()];

    /// The language of a tag such as `zh-CN`; English for any other.
    pub fn of(tag: &str) -> Self {
        let chinese = tag.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("zh"));
        if chinese { Self::Chinese } else { Self::English }
    }

    /// The language of a locale such as `zh_CN.UTF-8`. Output is UTF-8: a locale with another charset gets English.
    pub fn of_locale(locale: &str) -> Self {
        let charset = locale.split_once('.').map(|(_, rest)| rest.split('@').next().unwrap_or(rest));
        let readable = charset
            .is_none_or(|charset| ["utf-8", "utf8"].iter().any(|known| charset.eq_ignore_ascii_case(known)));
        if readable { Self::of(locale) } else { Self::English }
    }

    /// The language of the process's environment: the first of these variables that is set counts.
    pub fn of_environment() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| {
            let value = std::env::var(name).ok()?;
            (!value.is_empty()).then_some(value)
        });
        set.map_or(Self::English, |locale| Self::of_locale(&locale))
    }

    /// Its tag, as in the parameter `lang` and the attribute `lang` of a page.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The language's own name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    fn catalogue(self) -> &'static Catalogue {
        match self {
            Self::English => &CATALOGUES[0],
            Self::Chinese => &CATALOGUES[1],
        }
    }

    /// A text without variables; for a missing key, the key.
    pub fn text(self, key: &'static str) -> &'static str {
        self.find(key).unwrap_or(key)
    }

    /// A text without variables whose key is composed at run time, if it exists.
    pub fn find(self, key: &str) -> Option<&'static str> {
        self.catalogue().text(key)
    }

    /// A text with its variables filled in; for a missing key, the key.
    pub fn fill(self, key: &str, values: &[(&str, Value<'_>)]) -> String {
        self.catalogue().fill(key, values).unwrap_or_else(|| key.to_owned())
    }

    /// Like `fill`, but asks for the value of each variable of the text; none for a missing key.
    pub fn fill_with<'v>(self, key: &str, value: impl FnMut(&str) -> Value<'v>) -> Option<String> {
        self.catalogue().fill_with(key, value)
    }

    /// Every key in order, attributes as `KEY.ATTRIBUTE`.
    pub fn keys(self) -> Vec<&'static str> {
        self.catalogue().keys()
    }

    /// The variables of a text, by name; none for a missing key.
    pub fn variables(self, key: &str) -> Option<&'static [String]> {
        self.catalogue().variables(key)
    }

    /// A text in which every error of the operating system has its name in this language; one without a name stays as
    /// it is.
    pub fn with_system_errors(self, text: String) -> String {
        system_error::named(text, |key| self.find(key))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn an_error_of_the_system_is_named_in_both_languages_wherever_it_is() {
        let missing = std::fs::read("/nowhere/at/all").unwrap_err();
        let text = format!("the report r.json: {missing}; try again");
        let named = |language: Language| language.with_system_errors(text.clone());
        assert_eq!(named(Language::English), "the report r.json: No such file or folder; try again");
        assert_eq!(named(Language::Chinese), "the report r.json: 没有此文件或文件夹; try again");
        let (denied, full) = (Error::from_raw_os_error(13), Error::from_raw_os_error(28));
        let both = Language::Chinese.with_system_errors(format!("{denied}, {full}"));
        assert_eq!(both, "没有权限, 磁盘已满");
    }

    #[test]
    fn an_error_without_a_name_keeps_the_words_of_the_system() {
        let unnamed = Error::from_raw_os_error(37).to_string();
        for text in [unnamed.as_str(), "no error at all", "half of one (os error ", "(os error x)"] {
            for language in Language::ALL {
                assert_eq!(language.with_system_errors(text.to_owned()), text);
            }
        }
    }
}
