//! The differences between two states of an aggregate, by field path, as far as they may be shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::redactor::{Redacted, Redactor};

/// One field that differs. A value that did not exist is left out.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Items of a list are named by their number or SKU.
    #[schema(example = "/placed/lines/number=1/quantity")]
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    pub before: Option<Redacted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    pub after: Option<Redacted>,
}

/// The business key of the items of a list, if it identifies each of them.
fn key_of(items: &[Value]) -> Option<&'static str> {
    ["number", "sku"].into_iter().find(|key| {
        let mut values: Vec<_> =
            items.iter().filter_map(|item| item.get(key)).map(Value::to_string).collect();
        values.sort_unstable();
        values.dedup();
        values.len() == items.len()
    })
}

/// Whether the fields of an object are values of their own; an amount or a marker is one value.
fn has_parts(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && !fields.contains_key("personal") && !fields.contains_key("currency")
}

/// The path of `name` below another path.
fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Every value by its path. Amounts and markers count as values.
pub fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    walk(value, "", &mut all);
    all
}

fn walk(value: &Value, path: &str, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if has_parts(fields) => {
            for (name, value) in fields {
                walk(value, &below(path, name), into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let key = key_of(items);
            for (index, item) in items.iter().enumerate() {
                let name = match key.and_then(|key| Some((key, item.get(key)?))) {
                    Some((key, Value::String(text))) => format!("{key}={text}"),
                    Some((key, value)) => format!("{key}={value}"),
                    None => index.to_string(),
                };
                walk(item, &below(path, &name), into);
            }
        }
        Value::Null => {}
        _ => drop(into.insert(path.to_owned(), value.clone())),
    }
}

/// The differences between two redacted states.
pub fn changes(before: &Redacted, after: &Redacted) -> Vec<Change> {
    differing(before.parts(leaves), after.parts(leaves)).collect()
}

fn differing(
    mut left: BTreeMap<String, Redacted>,
    mut right: BTreeMap<String, Redacted>,
) -> impl Iterator<Item = Change> {
    let paths: BTreeSet<String> = left.keys().chain(right.keys()).cloned().collect();
    paths.into_iter().filter_map(move |path| {
        let (before, after) = (left.remove(&path), right.remove(&path));
        (before != after).then_some(Change { path, before, after })
    })
}

/// Finds what [`changes`] finds, for two states whose personal values are still encrypted. Equal parts are skipped, so
/// the cost depends on the change and not on the state.
pub fn between(before: &Value, after: &Value, redactor: &Redactor) -> Vec<Change> {
    let mut all = Vec::new();
    compare(before, after, "", redactor, &mut all);
    all.sort_by(|one: &Change, other| one.path.cmp(&other.path));
    all
}

fn compare(before: &Value, after: &Value, path: &str, redactor: &Redactor, into: &mut Vec<Change>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) if has_parts(old) && has_parts(new) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let (before, after) = (old.get(name), new.get(name));
                let (before, after) = (before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null));
                compare(before, after, &below(path, name), redactor, into);
            }
        }
        _ => {
            let parts = |value: &Value| {
                redactor.redact(value.clone()).parts(|value| {
                    let mut all = BTreeMap::new();
                    walk(value, path, &mut all);
                    all
                })
            };
            into.extend(differing(parts(before), parts(after)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soonshop_event_log::history::DecryptedValues;

    use super::*;
    use crate::redactor::Visibility;

    #[test]
    fn list_items_are_named_by_their_business_key() {
        let lines = json!({ "lines": [{ "number": 1, "sku": "MUG" }, { "number": 2, "sku": "MUG" }] });
        assert!(leaves(&lines).contains_key("/lines/number=2/sku"));
        let variants = json!([{ "sku": "A/B" }, { "sku": "C" }]);
        assert_eq!(leaves(&variants).keys().collect::<Vec<_>>(), ["/sku=A~1B/sku", "/sku=C/sku"]);
        let same = json!([{ "sku": "A" }, { "sku": "A" }]);
        assert_eq!(leaves(&same).keys().collect::<Vec<_>>(), ["/0/sku", "/1/sku"]);
        let amount = json!({ "total": { "amount": 1, "currency": "GBP" }, "name": { "personal": "erased" } });
        assert_eq!(leaves(&amount).keys().collect::<Vec<_>>(), ["/name", "/total"]);
    }

    #[test]
    fn encrypted_states_differ_where_shown_states_differ() {
        let amount = |amount: i64| json!({ "amount": amount, "currency": "GBP" });
        let states = [
            Value::Null,
            json!({}),
            json!({ "status": "placed", "total": amount(1), "lines": [{ "number": 1, "sku": "A" }] }),
            json!({ "status": "placed", "total": amount(2), "lines": [{ "number": 1, "sku": "B" }] }),
            json!({ "status": { "shipped": 3 }, "lines": [{ "number": 2, "sku": "A" }, { "number": 1, "sku": "A" }] }),
            json!({ "status": { "shipped": null, "at": [1, 2] }, "lines": {}, "total": null }),
            json!({ "attributes": { "personal": "Ada", "a/b": 1 }, "lines": [1], "status": [] }),
            json!({ "attributes": { "personal": "Eve", "a/b": 1 }, "lines": [2], "status": {} }),
            json!({ "attributes": { "a/b": 2, "c~d": { "e": 1 } }, "lines": { "x": { "personal": "masked" } } }),
        ];
        let redactor = Redactor::new(Visibility::Masked, &DecryptedValues::default());
        let mut found = 0;
        for before in &states {
            for after in &states {
                let shown = |state: &Value| redactor.redact(state.clone());
                let expected = changes(&shown(before), &shown(after));
                assert_eq!(between(before, after, &redactor), expected, "{before} {after}");
                found += expected.len();
            }
        }
        assert!(found > 100, "{found}");
    }
}
