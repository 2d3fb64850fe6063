//! A name by which people know something, and what stands for a thing without one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use soonshop_domain::catalog;
use utoipa::ToSchema;
use uuid::Uuid;

/// The type of an API key, beside those of aggregates.
pub const KEY: &str = "key";

/// The separator between the parts of a name that has several, such as the SKU and the location of a stock.
pub const BETWEEN: &str = " · ";

/// The length of an id.
const LENGTH: usize = 36;

/// How many characters of an id stand for a thing without a name.
const SHORT: usize = 8;

/// The name of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NameOfId)]
pub struct Name {
    /// The type of the aggregate, or `key`.
    #[serde(rename = "type")]
    #[schema(example = "order")]
    pub kind: String,
    #[schema(example = "558638")]
    pub name: String,
}

/// Names by id.
pub type Names = BTreeMap<String, Name>;

/// The short form of a thing without a name: the end of its id, which is random. An id that is a word stays as it is.
pub fn short(id: &str) -> String {
    match id.len().checked_sub(SHORT).and_then(|at| id.get(at..)) {
        Some(end) if Uuid::try_parse(id).is_ok() => format!("…{end}"),
        _ => id.to_owned(),
    }
}

/// Every UUID in a text, also at the end of the name of a stream such as `credit_note-0199…`.
pub fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|sign: char| !(sign.is_ascii_hexdigit() || sign == '-'));
    let ends = parts.filter_map(|part| {
        let (before, end) = part.split_at(part.len().checked_sub(LENGTH)?);
        (before.is_empty() || before.ends_with('-')).then_some(end)
    });
    ends.filter(|id| Uuid::try_parse(id).is_ok())
}

/// The name that an event gives its aggregate, from the event's type and summary.
pub fn given_by(event_type: &str, summary: &Value) -> Option<String> {
    let paths = catalog::event_type(event_type)?.name_paths;
    let parts = paths.iter().map(|path| match summary.get(*path)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let parts: Vec<String> = parts.collect::<Option<_>>()?;
    (!parts.is_empty()).then(|| parts.join(BETWEEN))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_found_in_the_events_that_give_it_and_in_no_other() {
        let given = |kind, summary| given_by(kind, &summary);
        assert_eq!(given("OrderPlaced", json!({ "number": "558638" })).as_deref(), Some("558638"));
        assert_eq!(given("OrderPlaced", json!({})), None);
        let stock = json!({ "sku": "MUG-01", "location": "main", "quantity": 1 });
        assert_eq!(given("StockReserved", stock).as_deref(), Some("MUG-01 · main"));
        assert_eq!(given("OrderConfirmed", json!({ "number": "558638" })), None);
        let personal = json!({ "name": { "personal": true } });
        assert_eq!(given("ProductCreated", personal), None, "a personal value is no name");
        assert_eq!(given("Unheard", json!({})), None);
    }

    #[test]
    fn every_id_of_a_text_is_found() {
        let id = "0199a6c2-7b1e-7c4e-9d2f-0a1b2c3d4e5f";
        let found = |text: &str| ids_in(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found(&format!("/lines/{id}~1731")), [id]);
        assert_eq!(found(&format!("staff:{id}")), [id]);
        assert_eq!(found(&format!("credit_note-{id}")), [id]);
        assert_eq!(found(&format!("{{\"a\":\"{id}\",\"b\":[\"{id}\"]}}")), [id, id]);
        assert_eq!(found(&format!("{id}0 x{id} 4711")), [id], "a longer text is no id");
    }

    #[test]
    fn a_thing_without_a_name_has_a_short_one() {
        assert_eq!(short("0199a6c2-7b1e-7c4e-9d2f-0a1b2c3d4e5f"), "…2c3d4e5f");
        assert_eq!(short("operator"), "operator");
        assert_eq!(short("anonymous"), "anonymous");
        assert_eq!(short(""), "");
    }
}
