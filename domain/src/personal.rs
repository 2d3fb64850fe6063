//! Personal data. A [`Personal<T>`] is stored as one string, a JWE in compact form (RFC 7516: `dir`, `A256GCM`), under
//! a key that belongs to one data subject and one purpose. Deleting the key erases the value wherever it was copied.
//!
//! In memory it is *encrypted* (as read), *clear* or *erased*, and keeps its JWE in all three, so that code which knows
//! no keys carries it unchanged. Its text is in no `Debug`; serializing one that was never encrypted is an error.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::IntoEnumIterator as _;
use uuid::Uuid;

/// The purpose that personal data is kept for. Each has a key of its own, for some must be kept longer than others.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::EnumString,
    strum::Display,
    strum::EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Purpose {
    /// The account and all that depends on it.
    Account,
    /// The parts of an order that the law makes a shop keep.
    Invoice,
}

/// The name of the key behind a value: subject and purpose. There is one such key, ever.
pub fn kid(subject: Uuid, purpose: Purpose) -> String {
    format!("{subject}.{purpose}")
}

/// The names of all keys that a person can have.
pub fn kids(subject: Uuid) -> impl Iterator<Item = String> {
    Purpose::iter().map(move |purpose| kid(subject, purpose))
}

/// Subject and purpose of a key's name.
pub fn parse_kid(kid: &str) -> Option<(Uuid, Purpose)> {
    let (subject, purpose) = kid.split_once('.')?;
    Some((subject.parse().ok()?, purpose.parse().ok()?))
}

#[derive(Clone)]
enum Content<T> {
    Encrypted,
    Clear(T),
    Erased,
}

/// A value that belongs to a person.
#[derive(Clone)]
pub struct Personal<T> {
    jwe: Option<Arc<str>>,
    owner: Option<(Uuid, Purpose)>,
    content: Content<T>,
}

/// The version of the encrypted content; another one would be upcast after decryption.
const INNER_VERSION: u32 = 1;

#[derive(Serialize)]
struct InnerRef<'a, T> {
    v: u32,
    value: &'a T,
}

#[derive(Deserialize)]
struct Inner<T> {
    v: u32,
    value: T,
}

/// The part that every version has.
#[derive(Deserialize)]
struct AnyInner {
    v: u32,
}

impl<T> Personal<T> {
    /// A new value; it names its subject and purpose, and cannot be stored before the codec has encrypted it.
    pub fn new(value: T, subject: Uuid, purpose: Purpose) -> Self {
        Self { jwe: None, owner: Some((subject, purpose)), content: Content::Clear(value) }
    }

    /// The text, where it is clear.
    pub fn get(&self) -> Option<&T> {
        match &self.content {
            Content::Clear(value) => Some(value),
            Content::Encrypted | Content::Erased => None,
        }
    }

    pub fn is_erased(&self) -> bool {
        matches!(self.content, Content::Erased)
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self.content, Content::Encrypted)
    }
}

/// Why a decrypted value could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonalError {
    #[error("the encrypted content has version {0}, which this release does not know")]
    Version(u32),
    #[error("the encrypted content is not of the expected type")]
    Type,
}

/// A [`Personal<T>`] of any `T`, as the codec needs it.
pub trait PersonalValue: Send {
    /// The stored form; `None` for a new value.
    fn jwe(&self) -> Option<&str>;
    /// Subject and purpose of a new value that is not encrypted yet.
    fn pending_key(&self) -> Option<(Uuid, Purpose)>;
    /// The content to encrypt.
    fn plaintext(&self) -> Option<Result<Vec<u8>, serde_json::Error>>;
    /// Sets the encrypted form; the value stays clear.
    fn set_jwe(&mut self, jwe: String);
    /// Sets the clear value from the decrypted content.
    fn open(&mut self, plaintext: &[u8]) -> Result<(), PersonalError>;
    /// Its key has been deleted, and a tombstone says so.
    fn erase(&mut self);
    /// Drops the clear value and keeps the encrypted one.
    fn close(&mut self);
}

impl<T: Serialize + DeserializeOwned + Send> PersonalValue for Personal<T> {
    fn jwe(&self) -> Option<&str> {
        self.jwe.as_deref()
    }

    fn pending_key(&self) -> Option<(Uuid, Purpose)> {
        if self.jwe.is_some() { None } else { self.owner }
    }

    fn plaintext(&self) -> Option<Result<Vec<u8>, serde_json::Error>> {
        self.get().map(|value| serde_json::to_vec(&InnerRef { v: INNER_VERSION, value }))
    }

    fn set_jwe(&mut self, jwe: String) {
        self.jwe = Some(jwe.into());
    }

    fn open(&mut self, plaintext: &[u8]) -> Result<(), PersonalError> {
        let inner: Inner<T> =
            serde_json::from_slice(plaintext).map_err(|_| {
                match serde_json::from_slice::<AnyInner>(plaintext) {
                    Ok(AnyInner { v }) if v != INNER_VERSION => PersonalError::Version(v),
                    _ => PersonalError::Type,
                }
            })?;
        if inner.v != INNER_VERSION {
            return Err(PersonalError::Version(inner.v));
        }
        self.content = Content::Clear(inner.value);
        Ok(())
    }

    fn erase(&mut self) {
        self.content = Content::Erased;
    }

    fn close(&mut self) {
        if self.jwe.is_some() {
            self.content = Content::Encrypted;
        }
    }
}

/// Something that may hold personal values: it shows each of them to the codec.
pub trait Sensitive {
    /// Every personal value in it.
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue>;
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.content {
            Content::Encrypted => "Personal(encrypted)",
            Content::Clear(_) => "Personal(clear)",
            Content::Erased => "Personal(erased)",
        })
    }
}

/// Two encrypted values are equal if their JWE is; two new ones, if their text is.
impl<T: PartialEq> PartialEq for Personal<T> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.jwe, &other.jwe) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.owner == other.owner && self.get() == other.get(),
            _ => false,
        }
    }
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.jwe {
            Some(jwe) => serializer.serialize_str(jwe),
            None => Err(serde::ser::Error::custom("a personal value was not encrypted before it was stored")),
        }
    }
}

impl<'de, T> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let jwe = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self { jwe: Some(jwe.as_ref().into()), owner: None, content: Content::Encrypted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that compact form has, and some that JSON could have changed on the way.
    const JWE: &str = "eyJhbGciOiJkaXIifQ..AAECAwQFBgcICQoL.c2VhbGVk-_.3q2-7w";

    fn ada() -> Personal<String> {
        Personal::new("Ada".to_owned(), Uuid::from_u128(1), Purpose::Invoice)
    }

    fn encrypted() -> Personal<String> {
        serde_json::from_value(JWE.into()).unwrap()
    }

    fn opened() -> Personal<String> {
        let mut value = encrypted();
        value.open(br#"{"v":1,"value":"Ada"}"#).unwrap();
        value
    }

    fn erased() -> Personal<String> {
        let mut value = opened();
        value.erase();
        value
    }

    #[test]
    fn a_new_value_is_clear_and_names_its_owner() {
        let value = ada();
        assert_eq!(value.get().map(String::as_str), Some("Ada"));
        assert_eq!(value.pending_key(), Some((Uuid::from_u128(1), Purpose::Invoice)));
        assert_eq!((value.jwe(), value.is_encrypted(), value.is_erased()), (None, false, false));
    }

    #[test]
    fn a_value_that_is_not_encrypted_cannot_be_stored() {
        let error = serde_json::to_string(&ada()).unwrap_err().to_string();
        assert!(error.contains("was not encrypted") && !error.contains("Ada"), "{error}");
        let mut erased = ada();
        erased.erase();
        assert!(serde_json::to_string(&erased).is_err());
    }

    #[test]
    fn debug_never_shows_the_text() {
        assert!(erased().is_erased() && !opened().is_erased());
        let shown = [ada(), encrypted(), opened(), erased()].map(|value| format!("{value:?}"));
        assert_eq!(
            shown,
            ["Personal(clear)", "Personal(encrypted)", "Personal(clear)", "Personal(erased)"]
                .map(str::to_owned)
        );
        let contact = crate::order::Contact { name: Some(ada()), ..Default::default() };
        assert!(!format!("{contact:?}").contains("Ada"));
    }

    #[test]
    fn an_encrypted_value_is_stored_back_byte_for_byte() {
        let mut closed = opened();
        closed.close();
        assert!(closed.is_encrypted() && closed.get().is_none());
        let mut closed_after_erasing = erased();
        closed_after_erasing.close();
        for value in [encrypted(), opened(), erased(), closed, closed_after_erasing] {
            assert_eq!(serde_json::to_string(&value).unwrap(), format!("\"{JWE}\""), "{value:?}");
            assert_eq!((value.jwe(), value.pending_key()), (Some(JWE), None), "{value:?}");
        }
    }

    #[test]
    fn sealing_keeps_the_text_until_the_value_is_closed() {
        let mut value = ada();
        value.set_jwe(JWE.to_owned());
        assert_eq!(value.get().map(String::as_str), Some("Ada"));
        assert_eq!((value.jwe(), value.pending_key()), (Some(JWE), None));
        value.close();
        assert!(value.is_encrypted() && value.get().is_none());
        assert_eq!(value, encrypted());
    }

    #[test]
    fn closing_a_value_that_is_not_encrypted_keeps_it() {
        let mut value = ada();
        value.close();
        assert_eq!(value.get().map(String::as_str), Some("Ada"));
    }

    #[test]
    fn an_encrypted_value_decrypts_to_the_same_value() {
        let plaintext = ada().plaintext().unwrap().unwrap();
        assert_eq!(plaintext, br#"{"v":1,"value":"Ada"}"#);
        let mut value = encrypted();
        value.open(&plaintext).unwrap();
        assert_eq!(value.get().map(String::as_str), Some("Ada"));
        assert!(encrypted().plaintext().is_none() && erased().plaintext().is_none());
    }

    #[test]
    fn another_version_is_an_error_of_version_and_another_type_one_of_type() {
        for (plaintext, error) in [
            (r#"{"v":2,"value":"Ada"}"#, PersonalError::Version(2)),
            (r#"{"v":2,"value":{"first":"Ada"}}"#, PersonalError::Version(2)),
            (r#"{"v":2}"#, PersonalError::Version(2)),
            (r#"{"v":1,"value":{"first":"Ada"}}"#, PersonalError::Type),
            (r#"{"v":1,"value":7}"#, PersonalError::Type),
            (r#"{"v":1}"#, PersonalError::Type),
            (r#"{"value":"Ada"}"#, PersonalError::Type),
            (r#""Ada""#, PersonalError::Type),
            ("Ada", PersonalError::Type),
        ] {
            let mut value = encrypted();
            assert_eq!(value.open(plaintext.as_bytes()), Err(error.clone()), "{plaintext}");
            assert!(value.is_encrypted(), "a value that could not be read stays encrypted");
            assert!(!format!("{error} {error:?}").contains("Ada"));
        }
    }

    #[test]
    fn two_values_are_equal_by_their_seal_and_unsealed_ones_by_owner_and_text() {
        assert_eq!(encrypted(), opened());
        assert_eq!(encrypted(), erased());
        assert_eq!(ada(), ada());
        assert_ne!(ada(), Personal::new("Ada".to_owned(), Uuid::from_u128(2), Purpose::Invoice));
        assert_ne!(ada(), Personal::new("Ada".to_owned(), Uuid::from_u128(1), Purpose::Account));
        assert_ne!(ada(), Personal::new("Bob".to_owned(), Uuid::from_u128(1), Purpose::Invoice));
        assert_ne!(ada(), opened());
    }

    #[test]
    fn a_key_name_holds_subject_and_purpose_and_parses_back() {
        let subject = Uuid::from_u128(1);
        assert_eq!(kid(subject, Purpose::Account), "00000000-0000-0000-0000-000000000001.account");
        for purpose in [Purpose::Account, Purpose::Invoice] {
            assert_eq!(parse_kid(&kid(subject, purpose)), Some((subject, purpose)));
        }
        let all = ["account", "invoice"].map(|purpose| format!("{subject}.{purpose}"));
        assert_eq!(kids(subject).collect::<Vec<_>>(), all);
        for bad in ["", "account", "1.account", &format!("{subject}"), &format!("{subject}.x")] {
            assert_eq!(parse_kid(bad), None, "{bad:?}");
        }
    }
}
