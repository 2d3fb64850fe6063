//! The values of variables.

use std::borrow::Cow;

use fluent_bundle::FluentValue;

/// A number above this is not exact in Fluent, and is shown as text.
const EXACT: u64 = 1 << 53;

/// The value of a variable. A number selects the plural form.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
}

impl<'a> Value<'a> {
    /// A text that is a whole number becomes a number.
    pub fn counted(text: &'a str) -> Self {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits && (text == "0" || !text.starts_with('0')));
        number.map_or_else(|| text.into(), Self::Number)
    }

    pub(crate) fn fluent(self) -> FluentValue<'a> {
        match self {
            Self::Text(text) => FluentValue::String(text),
            Self::Number(number) if number.unsigned_abs() <= EXACT => FluentValue::from(number),
            Self::Number(number) => FluentValue::String(number.to_string().into()),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl From<$number> for Value<'_> {
            /// A number that is not exact in Fluent becomes text.
            fn from(number: $number) -> Self {
                i64::try_from(number).map_or_else(|_| Self::Text(number.to_string().into()), Self::Number)
            }
        }
    )* };
}

numbers!(i32, u32, i64, u64, usize);
