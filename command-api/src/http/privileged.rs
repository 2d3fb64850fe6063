//! The fields of a body that only some callers may send. Each body declares its own, so that none is forgotten.

use serde_json::Value;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Caller, Permission};

/// A field that needs a permission of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Privileged {
    /// A JSON pointer, in which `*` stands for every index of a list.
    pub(crate) field: &'static str,
    pub(crate) needs: Permission,
    pub(crate) when: When,
}

/// When a field needs its permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Whenever it is sent.
    Sent,
    /// Where it is left out: what the command then is.
    LeftOut(&'static str),
    /// Where it differs from this value of another aggregate. The command that reads that aggregate compares the two, and
    /// calls [`Privileged::must`].
    Not(&'static str),
}

/// The business time of a command.
pub(crate) const OCCURRED_AT: Privileged = Privileged::sent("/occurred_at");

impl Privileged {
    /// A field that only the operator sends.
    pub(crate) const fn sent(field: &'static str) -> Self {
        Self { field, needs: Permission::Override, when: When::Sent }
    }

    /// When it needs the permission, for the description of the API.
    pub(crate) fn condition(&self) -> String {
        match self.when {
            When::Sent => "if it is sent".to_owned(),
            When::LeftOut(_) => "if it is left out".to_owned(),
            When::Not(other) => format!("if it is not {other}"),
        }
    }

    /// 403 for a caller who may not send this value, found at that place.
    pub(crate) fn must(&self, caller: &Caller, place: impl Into<String>) -> Result<(), Problem> {
        let what = match self.when {
            When::Sent => "this field".to_owned(),
            When::LeftOut(what) => what.to_owned(),
            When::Not(other) => format!("another value than {other}"),
        };
        caller.must(self.needs, &what).map_err(|problem| problem.with_pointer(place))
    }
}

/// 403 for the first of these fields that the caller may not send, or not leave out. Null counts as left out.
pub(crate) fn check(fields: &[Privileged], body: &Value, caller: &Caller) -> Result<(), Problem> {
    for privileged in fields {
        let parts: Vec<&str> = privileged.field.split('/').skip(1).collect();
        let place = match (privileged.when, place(body, &parts)) {
            (When::Sent, Some(place)) => place,
            (When::LeftOut(_), None) => privileged.field.to_owned(),
            (When::Sent, None) | (When::LeftOut(_), Some(_)) | (When::Not(_), _) => continue,
        };
        privileged.must(caller, place)?;
    }
    Ok(())
}

/// The first place with a value that these parts of a pointer lead to.
fn place(value: &Value, parts: &[&str]) -> Option<String> {
    let Some((part, rest)) = parts.split_first() else {
        return (!value.is_null()).then(String::new);
    };
    let (part, found) = match (*part, value) {
        ("*", Value::Array(items)) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some((index.to_string(), place(item, rest)?)))?,
        (name, Value::Object(fields)) => (name.to_owned(), place(fields.get(name)?, rest)?),
        _ => return None,
    };
    Some(format!("/{part}{found}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soonshop_service_kit::access::Role;

    use super::*;

    const FIELDS: &[Privileged] = &[
        OCCURRED_AT,
        Privileged::sent("/lines/*/price"),
        Privileged { when: When::LeftOut("a note without an order"), ..Privileged::sent("/order_id") },
        Privileged { when: When::Not("the order's"), ..Privileged::sent("/country") },
    ];

    fn refused(role: Role, body: &Value) -> Option<String> {
        let caller = Caller { role, ..Caller::operator() };
        let problem = check(FIELDS, body, &caller).err()?;
        assert_eq!(problem.status(), 403);
        Some(problem.extensions()["pointer"].as_str().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_privileged_field_is_found_at_any_depth() {
        for (body, place) in [
            (json!({ "order_id": 1 }), None),
            (json!({ "order_id": 1, "occurred_at": null, "country": "UK", "lines": [] }), None),
            (json!({ "order_id": 1, "lines": [{ "sku": "a", "price": null }, {}] }), None),
            (json!({ "order_id": 1, "occurred_at": "2010" }), Some("/occurred_at")),
            (json!({ "order_id": 1, "lines": [{}, { "price": { "amount": 0 } }] }), Some("/lines/1/price")),
            (json!({ "order_id": 1, "lines": [{ "price": 0 }, { "price": 1 }] }), Some("/lines/0/price")),
            (json!({ "lines": [] }), Some("/order_id")),
            (json!({ "order_id": null }), Some("/order_id")),
        ] {
            for role in Role::ALL {
                let expected = place.filter(|_| !role.may(Permission::Override)).map(str::to_owned);
                assert_eq!(refused(role, &body), expected, "{role} {body}");
            }
        }
    }
}
