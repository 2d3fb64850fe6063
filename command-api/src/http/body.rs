//! The body of a command, and how it is described.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use soonshop_domain::reasons;
use soonshop_domain::text::TextError;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema};

use super::privileged::Privileged;

/// The body of a command. It is parsed out of cleaned JSON ([`soonshop_domain::text::cleaned`]), and serialized again to be compared: what
/// is left out and has a default is written with it.
pub(crate) trait Input: DeserializeOwned + Serialize + ToSchema + Send + 'static {
    /// The fields that only some callers may send.
    const PRIVILEGED: &'static [Privileged];
}

/// The meaning of a body in one form: two bodies with the same meaning are equal, in whatever order and spelling they
/// were sent. A field that is null is a field that is left out, and white space at the ends of a text counts for nothing,
/// as in every text of an event. The business time is compared as it is stored.
pub(crate) fn meaning(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut value = serde_json::to_value(body).map_err(Problem::internal)?;
    if let Some(at) = value.get_mut(OCCURRED_AT) {
        let moment: Option<DateTime<Utc>> = serde_json::from_value(at.take()).map_err(Problem::internal)?;
        *at = serde_json::to_value(moment.map(stored)).map_err(Problem::internal)?;
    }
    serde_json::to_vec(&normal(value)).map_err(Problem::internal)
}

/// The field with the business time.
const OCCURRED_AT: &str = "occurred_at";

/// A moment as the log stores it: in whole microseconds.
pub(crate) fn stored(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

fn normal(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("\r\n", "\n").trim().to_owned()),
        Value::Array(values) => Value::Array(values.into_iter().map(normal).collect()),
        Value::Object(fields) => {
            let given = fields.into_iter().filter(|(_, value)| !value.is_null());
            let mut given: Vec<_> =
                given.map(|(name, value)| (name.trim().to_owned(), normal(value))).collect();
            given.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(given.into_iter().collect())
        }
        plain => plain,
    }
}

/// The name of a schema, and that schema with those it refers to.
pub(crate) type Described = (String, Vec<(String, RefOr<Schema>)>);

/// How a type is described.
pub(crate) fn described<T: ToSchema>() -> Described {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    (T::name().into_owned(), schemas)
}

/// Why a text was refused, and where it is.
pub(crate) fn refused_field((pointer, error): (&'static str, TextError)) -> Problem {
    Problem::invalid("invalid-body", error.to_string()).with_pointer(pointer)
}

/// The field `reason`, which is a code: what somebody wrote could be personal, and the log keeps it for ever.
pub(crate) fn reason(sent: &str) -> Result<String, Problem> {
    reasons::check(sent)
        .map(|()| sent.to_owned())
        .map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/reason"))
}

/// How it is described.
pub(crate) fn reason_schema() -> Object {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(reasons::PATTERN));
    schema
        .max_length(Some(reasons::LONGEST))
        .description(Some("A code: words of your own could be personal, and go into `X-Reason-Note`."))
        .build()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Golden: records hold an HMAC of it, and outlive a release.
    #[test]
    fn a_meaning_is_always_written_the_same() {
        let body = json!({
            "name": " Mug\r\n", "empty": null, "lines": [{ "sku": "A", "quantity": 1, "price": null }, null],
            "attributes": { "size ": "L", "colour": "red" }, "description": "",
        });
        let written = r#"{"attributes":{"colour":"red","size":"L"},"description":"","lines":[{"quantity":1,"sku":"A"},null],"name":"Mug"}"#;
        assert_eq!(String::from_utf8(meaning(&body).unwrap()).unwrap(), written);
    }

    #[test]
    fn a_business_time_means_what_is_stored_of_it() {
        let of = |at: Value| String::from_utf8(meaning(&json!({ "occurred_at": at })).unwrap()).unwrap();
        for (sent, meant) in [
            ("2010-12-01T08:26:00Z", "2010-12-01T08:26:00Z"),
            ("2010-12-01T08:26:00.5Z", "2010-12-01T08:26:00.500Z"),
            ("2010-12-01T08:26:00.123456Z", "2010-12-01T08:26:00.123456Z"),
            ("2010-12-01T08:26:00.123456789Z", "2010-12-01T08:26:00.123456Z"),
            ("2010-12-01T08:26:00.0000001Z", "2010-12-01T08:26:00Z"),
        ] {
            assert_eq!(of(json!(sent)), format!(r#"{{"occurred_at":"{meant}"}}"#), "{sent}");
        }
        assert_eq!(of(Value::Null), "{}");
    }
}
