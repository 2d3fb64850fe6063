//! The one way by which a state, a change or a field of an event gets to an encoder of the audit trail. What is personal
//! becomes a marker on the way: masked, or erased. What was never there is absent, which is a third thing.

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
    /// What is not erased; to be written down before it is shown.
    Revealed,
}

/// What may be shown: nothing but a redactor makes one. It is read back from an export, where one had made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redacted(Value);

impl Redacted {
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// A note, for whoever may see it. It is its writer's own words; one that cannot be opened is there, and not shown.
    pub fn note(text: &Personal<String>) -> Self {
        Self(match text.get() {
            Some(text) => Value::String(text.clone()),
            None if text.is_erased() => marker(&Behind::Erased),
            None => json!({ "personal": "masked" }),
        })
    }

    /// Its parts, by name: they are as redacted as the whole.
    pub fn parts(&self, of: impl Fn(&Value) -> BTreeMap<String, Value>) -> BTreeMap<String, Self> {
        of(&self.0).into_iter().map(|(name, part)| (name, Self(part))).collect()
    }

    /// The same without the number of a masked text, which tells nothing among those of other histories.
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

/// What stands behind a seal, as far as may be told.
#[derive(Debug, Clone)]
enum Behind {
    /// The same number is the same text; a number is of one history, and says nothing else of the text.
    Masked(usize),
    Revealed(Value),
    Erased,
}

/// What becomes of the seals of one history.
pub struct Redactor {
    seals: HashMap<String, Behind>,
}

impl Redactor {
    /// Of a history whose seals are these.
    pub fn new(sight: Sight, opened: &Opened) -> Self {
        let (mut seals, mut texts) = (HashMap::new(), HashMap::new());
        for (seal, text) in opened.values() {
            let behind = text.map_or(Behind::Erased, |text| {
                let next = texts.len() + 1;
                let number = *texts.entry(text.to_string()).or_insert(next);
                match sight {
                    Sight::Masked => Behind::Masked(number),
                    Sight::Revealed => Behind::Revealed(text.clone()),
                }
            });
            seals.insert(seal.to_owned(), behind);
        }
        Self { seals }
    }

    /// The value as it may be shown. A seal that nobody knows is masked like any other.
    pub fn redact(&self, value: Value) -> Redacted {
        Redacted(self.marked(value))
    }

    fn marked(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.seals.get(&text) {
                Some(behind) => marker(behind),
                None if codec::kid_of(&text).is_ok() => json!({ "personal": "masked" }),
                None => Value::String(text),
            },
            Value::Array(items) => items.into_iter().map(|item| self.marked(item)).collect(),
            Value::Object(fields) => {
                // No field of ours is called that, but an attribute of a product may be: nobody is to write a marker.
                let posing = fields.contains_key("personal");
                let fields = fields.into_iter().map(|(name, value)| (name, self.marked(value)));
                let fields: Value = fields.collect::<serde_json::Map<_, _>>().into();
                if posing { Value::String(fields.to_string()) } else { fields }
            }
            other => other,
        }
    }
}

fn marker(behind: &Behind) -> Value {
    match behind {
        Behind::Erased => json!({ "personal": "erased" }),
        Behind::Masked(number) => json!({ "personal": "masked", "value": number }),
        Behind::Revealed(text) => json!({ "personal": "revealed", "value": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_that_nobody_knows_is_masked_and_a_text_that_is_none_stays() {
        let key = [7; 32];
        let kid = "00000000-0000-0000-0000-000000000001.account";
        let seal = codec::encrypt(kid, &key, br#"{"v":1,"value":"Ada"}"#).unwrap();
        let shown = Redactor::new(Sight::Masked, &Opened::default())
            .redact(json!({ "a": [seal], "b": "••••", "c": null }));
        assert_eq!(shown.value(), &json!({ "a": [{ "personal": "masked" }], "b": "••••", "c": null }));
    }

    #[test]
    fn what_somebody_called_personal_is_no_marker() {
        let posing = json!({ "attributes": { "personal": "revealed", "value": "Ada" } });
        let shown = Redactor::new(Sight::Masked, &Opened::default()).redact(posing);
        assert_eq!(shown.value(), &json!({ "attributes": r#"{"personal":"revealed","value":"Ada"}"# }));
    }
}
