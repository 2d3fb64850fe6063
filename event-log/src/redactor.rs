//! The only way by which a personal value reaches an encoder: of queries, of the audit trail, and of exports. It
//! replaces personal values by markers: masked, or erased. A value that never existed is absent, which is a third case.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soonshop_domain::Personal;

use crate::codec;
use crate::history::DecryptedValues;

/// How much an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// No personal value.
    Masked,
    /// All that is not erased; the access must be recorded before.
    Revealed,
}

/// A value that may be shown. Only a redactor makes one; it can be read back from an export, where a redactor made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redacted(Value);

impl Redacted {
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// A note, for a caller who may see it. It is its writer's own text; one that cannot be decrypted is shown as a
    /// marker.
    pub fn note(text: &Personal<String>) -> Self {
        Self(match text.get() {
            Some(text) => Value::String(text.clone()),
            None if text.is_erased() => marker(&PersonalText::Erased),
            None => json!({ "personal": "masked" }),
        })
    }

    /// A value of a row in the clear; the access must be recorded before.
    pub fn clear(text: &str) -> Self {
        Self(Value::String(text.to_owned()))
    }

    /// The marker of a value of a row.
    pub fn masked() -> Self {
        Self(json!({ "personal": "masked" }))
    }

    /// The same, with the beginning of the value, by which somebody who knows it recognizes it.
    pub fn recognizable(text: &str) -> Self {
        Self(json!({ "personal": "masked", "hint": hint(text) }))
    }

    /// Its parts, by name: they are as redacted as the whole.
    pub fn parts(&self, of: impl Fn(&Value) -> BTreeMap<String, Value>) -> BTreeMap<String, Self> {
        of(&self.0).into_iter().map(|(name, part)| (name, Self(part))).collect()
    }

    /// Without the number of a masked text, which means nothing next to values of other histories.
    #[must_use]
    pub fn without_number(mut self) -> Self {
        if self.0["personal"] == "masked"
            && let Some(marker) = self.0.as_object_mut()
        {
            marker.remove("value");
        }
        self
    }
}

/// The first character of a text; of an e-mail address also that of its domain, and the ending.
fn hint(text: &str) -> String {
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    match text.rsplit_once('@') {
        Some((local, domain)) => {
            let ending = domain.rsplit_once('.').map_or("", |(_, ending)| ending);
            let dot = if ending.is_empty() { "" } else { "." };
            format!("{}•••@{}•••{dot}{ending}", first(local), first(domain))
        }
        None => format!("{}•••", first(text)),
    }
}

/// A state as a query shows it.
#[derive(Debug)]
pub struct Answer {
    pub state: Redacted,
    /// Whether a personal value in it was erased.
    pub erased: bool,
    /// The fields that it shows in the clear, by name.
    pub clear: BTreeSet<String>,
}

/// A state for a query: fields that `sees` names are in the clear, the others masked, and erased ones null. If there are
/// any in the clear, the access must be recorded before the answer is sent.
pub fn answer(decrypted: &DecryptedValues, state: Value, sees: impl Fn(&str) -> bool) -> Answer {
    let mut answering = Answering {
        decrypted,
        masked: Redactor::new(Visibility::Masked, decrypted),
        sees,
        erased: false,
        clear: BTreeSet::new(),
    };
    let state = Redacted(answering.value("", state));
    Answer { state, erased: answering.erased, clear: answering.clear }
}

struct Answering<'o, F> {
    decrypted: &'o DecryptedValues,
    masked: Redactor,
    sees: F,
    erased: bool,
    clear: BTreeSet<String>,
}

impl<F: Fn(&str) -> bool> Answering<'_, F> {
    /// The value of the field of this name.
    fn value(&mut self, name: &str, value: Value) -> Value {
        match value {
            Value::String(text) => match self.decrypted.clear(&text) {
                Some(clear) if (self.sees)(name) => {
                    self.clear.insert(name.to_owned());
                    clear.clone()
                }
                None if self.decrypted.is_erased(&text) => {
                    self.erased = true;
                    Value::Null
                }
                _ => self.masked.marked(Value::String(text)),
            },
            Value::Array(items) => items.into_iter().map(|item| self.value(name, item)).collect(),
            Value::Object(fields) => {
                let shown = |(name, field): (String, Value)| {
                    let field = self.value(&name, field);
                    (name, field)
                };
                Value::Object(fields.into_iter().map(shown).collect())
            }
            other => other,
        }
    }
}

/// The text behind an encrypted value, as far as it may be shown.
#[derive(Debug, Clone)]
enum PersonalText {
    /// Equal numbers are equal texts; a number belongs to one history, and says nothing else about the text.
    Masked(usize),
    Revealed(Value),
    Erased,
}

/// Replaces the encrypted values of one history.
pub struct Redactor {
    texts: HashMap<String, PersonalText>,
}

impl Redactor {
    /// A redactor for a history with these decrypted values.
    pub fn new(visibility: Visibility, decrypted: &DecryptedValues) -> Self {
        let (mut texts, mut numbers) = (HashMap::new(), HashMap::new());
        for (encrypted, text) in decrypted.values() {
            let shown = text.map_or(PersonalText::Erased, |text| {
                let next = numbers.len() + 1;
                let number = *numbers.entry(text.to_string()).or_insert(next);
                match visibility {
                    Visibility::Masked => PersonalText::Masked(number),
                    Visibility::Revealed => PersonalText::Revealed(text.clone()),
                }
            });
            texts.insert(encrypted.to_owned(), shown);
        }
        Self { texts }
    }

    /// The value as it may be shown. An encrypted value that is not known is masked like any other.
    pub fn redact(&self, value: Value) -> Redacted {
        Redacted(self.marked(value))
    }

    fn marked(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.texts.get(&text) {
                Some(text) => marker(text),
                None if codec::kid_of(&text).is_ok() => json!({ "personal": "masked" }),
                None => Value::String(text),
            },
            Value::Array(items) => items.into_iter().map(|item| self.marked(item)).collect(),
            Value::Object(fields) => {
                // An attribute of a product may be called "personal": a caller must not be able to forge a marker.
                let posing = fields.contains_key("personal");
                let fields = fields.into_iter().map(|(name, value)| (name, self.marked(value)));
                let fields: Value = fields.collect::<serde_json::Map<_, _>>().into();
                if posing { Value::String(fields.to_string()) } else { fields }
            }
            other => other,
        }
    }
}

fn marker(text: &PersonalText) -> Value {
    match text {
        PersonalText::Erased => json!({ "personal": "erased" }),
        PersonalText::Masked(number) => json!({ "personal": "masked", "value": number }),
        PersonalText::Revealed(text) => json!({ "personal": "revealed", "value": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_encrypted_value_is_masked_and_plain_text_stays() {
        let key = [7; 32];
        let kid = "00000000-0000-0000-0000-000000000001.account";
        let seal = codec::encrypt(kid, &key, br#"{"v":1,"value":"Ada"}"#).unwrap();
        let shown = Redactor::new(Visibility::Masked, &DecryptedValues::default())
            .redact(json!({ "a": [seal], "b": "••••", "c": null }));
        assert_eq!(shown.value(), &json!({ "a": [{ "personal": "masked" }], "b": "••••", "c": null }));
    }

    #[test]
    fn a_query_shows_the_fields_that_its_caller_sees_and_masks_the_others() {
        use soonshop_domain::user::{Details, Event};
        let subject = uuid::Uuid::from_u128(1);
        let details =
            Details::try_new(subject, Some("Ada"), Some("ada@example.org"), None, Some("UK")).unwrap();
        let mut event = Event::UserRegistered { details };
        for (number, value) in soonshop_domain::Sensitive::personal(&mut event).into_iter().enumerate() {
            let kid = soonshop_domain::personal::kid(subject, soonshop_domain::Purpose::Account);
            let text = value.plaintext().unwrap().unwrap();
            value.set_jwe(codec::encrypt(&kid, &[7; 32], &text).unwrap());
            if number == 0 {
                value.erase();
            }
        }
        let mut decrypted = DecryptedValues::default();
        decrypted.remember(&mut event).unwrap();
        let state = serde_json::to_value(&event).unwrap();
        let shown = |sees: fn(&str) -> bool| {
            let answer = answer(&decrypted, state.clone(), sees);
            let details = answer.state.value().pointer("/UserRegistered").unwrap().clone();
            (details, answer.erased, answer.clear.into_iter().collect::<Vec<_>>())
        };
        let masked = json!({ "personal": "masked", "value": 1 });
        assert_eq!(
            shown(|_| false),
            (json!({ "name": null, "email": masked, "country": "UK" }), true, vec![])
        );
        assert_eq!(
            shown(|field| field == "email"),
            (
                json!({ "name": null, "email": "ada@example.org", "country": "UK" }),
                true,
                vec!["email".to_owned()]
            )
        );
    }

    #[test]
    fn a_hint_shows_the_beginnings_and_never_the_value() {
        for (text, expected) in [
            ("Zebedee Quux", "Z•••"),
            ("王小明", "王•••"),
            ("zebedee@quux.example", "z•••@q•••.example"),
            ("a@localhost", "a•••@l•••"),
            ("@", "•••@•••"),
            ("", "•••"),
        ] {
            assert_eq!(
                Redacted::recognizable(text).value(),
                &json!({ "personal": "masked", "hint": expected })
            );
        }
    }

    #[test]
    fn an_attribute_called_personal_is_not_a_marker() {
        let posing = json!({ "attributes": { "personal": "revealed", "value": "Ada" } });
        let shown = Redactor::new(Visibility::Masked, &DecryptedValues::default()).redact(posing);
        assert_eq!(shown.value(), &json!({ "attributes": r#"{"personal":"revealed","value":"Ada"}"# }));
    }
}
