//! The one way by which a state, a change or a field of an event gets to an encoder of the audit trail. What is personal
//! becomes a marker on the way: masked, or erased. What was never there is absent, which is a third thing.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use soonshop_event_log::codec;

use super::fold::Opened;

/// Whom an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Sees no personal value. Until there is a way to sign in, everybody is this.
    Support,
}

/// What may be shown: nothing but a redactor makes one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Redacted(Value);

impl Redacted {
    pub(super) fn value(&self) -> &Value {
        &self.0
    }
}

/// What stands behind a seal, as far as may be told.
#[derive(Debug, Clone, Copy)]
enum Behind {
    /// The same number is the same text; a number is of one history, and says nothing else of the text.
    Masked(usize),
    Erased,
}

/// What becomes of the seals of one history.
pub(super) struct Redactor {
    role: Role,
    seals: HashMap<String, Behind>,
}

impl Redactor {
    /// Of a history whose seals are these.
    pub(super) fn new(role: Role, opened: &Opened) -> Self {
        let (mut seals, mut texts) = (HashMap::new(), Vec::new());
        for (seal, text) in opened.iter() {
            let behind = text.map_or(Behind::Erased, |text| {
                let at = texts.iter().position(|known| *known == text).unwrap_or_else(|| {
                    texts.push(text);
                    texts.len() - 1
                });
                Behind::Masked(at + 1)
            });
            seals.insert(seal.to_owned(), behind);
        }
        Self { role, seals }
    }

    /// The value as it may be shown. A seal that nobody knows is masked like any other.
    pub(super) fn redact(&self, value: Value) -> Redacted {
        Redacted(self.marked(value))
    }

    fn marked(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.seals.get(&text) {
                Some(behind) => self.marker(Some(*behind)),
                None if codec::kid_of(&text).is_ok() => self.marker(None),
                None => Value::String(text),
            },
            Value::Array(items) => items.into_iter().map(|item| self.marked(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (name, self.marked(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other,
        }
    }

    fn marker(&self, behind: Option<Behind>) -> Value {
        match (self.role, behind) {
            (Role::Support, Some(Behind::Erased)) => json!({ "personal": "erased" }),
            (Role::Support, Some(Behind::Masked(number))) => json!({ "personal": "masked", "value": number }),
            (Role::Support, None) => json!({ "personal": "masked" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_that_nobody_knows_is_masked_and_a_text_that_is_none_stays() {
        let key = [7; 32];
        let kid = "00000000-0000-0000-0000-000000000001.account";
        let seal = codec::seal(kid, &key, br#"{"v":1,"value":"Ada"}"#).unwrap();
        let shown = Redactor::new(Role::Support, &Opened::default())
            .redact(json!({ "a": [seal], "b": "••••", "c": null }));
        assert_eq!(shown.value(), &json!({ "a": [{ "personal": "masked" }], "b": "••••", "c": null }));
    }
}
