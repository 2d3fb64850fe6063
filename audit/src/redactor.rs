//! The only way by which a state, a change or a field of an event reaches an encoder of the audit trail. It replaces
//! personal values by markers: masked, or erased. A value that never existed is absent, which is a third case.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soonshop_domain::Personal;
use soonshop_event_log::codec;
use soonshop_event_log::history::Opened;

/// How much an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
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
    pub fn new(sight: Sight, opened: &Opened) -> Self {
        let (mut texts, mut numbers) = (HashMap::new(), HashMap::new());
        for (encrypted, text) in opened.values() {
            let shown = text.map_or(PersonalText::Erased, |text| {
                let next = numbers.len() + 1;
                let number = *numbers.entry(text.to_string()).or_insert(next);
                match sight {
                    Sight::Masked => PersonalText::Masked(number),
                    Sight::Revealed => PersonalText::Revealed(text.clone()),
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
        let shown = Redactor::new(Sight::Masked, &Opened::default())
            .redact(json!({ "a": [seal], "b": "••••", "c": null }));
        assert_eq!(shown.value(), &json!({ "a": [{ "personal": "masked" }], "b": "••••", "c": null }));
    }

    #[test]
    fn an_attribute_called_personal_is_not_a_marker() {
        let posing = json!({ "attributes": { "personal": "revealed", "value": "Ada" } });
        let shown = Redactor::new(Sight::Masked, &Opened::default()).redact(posing);
        assert_eq!(shown.value(), &json!({ "attributes": r#"{"personal":"revealed","value":"Ada"}"# }));
    }
}
