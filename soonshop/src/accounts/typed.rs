//! What people type about their second factors.

use serde_json::Value;
use soonshop_service_kit::Problem;

/// How many characters the name of a passkey has at most.
const LONGEST_NAME: usize = 60;

/// A second factor in one text: the code, or the answer of a passkey. It is one of them.
pub(super) fn given(code: Option<String>, passkey: Option<Value>) -> Result<String, Problem> {
    match (code, passkey) {
        (Some(code), None) if !code.starts_with('{') => Ok(code),
        (None, Some(answer @ Value::Object(_))) => Ok(answer.to_string()),
        _ => Err(Problem::invalid(
            "invalid-body",
            "the body has one of code, a text, and passkey, what PublicKeyCredential.toJSON() gives",
        )),
    }
}

/// The name of a passkey, as it was typed.
pub(super) fn name_of(typed: &str) -> Result<String, Problem> {
    let name = typed.trim();
    let good =
        !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if good {
        return Ok(name.to_owned());
    }
    let detail =
        format!("the name of a passkey has 1 to {LONGEST_NAME} characters, and no control characters");
    Err(Problem::invalid("invalid-body", detail).with_pointer("/name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_second_factor_is_a_code_or_the_answer_of_a_passkey() {
        assert_eq!(given(Some("123456".to_owned()), None).unwrap(), "123456");
        assert_eq!(given(None, Some(json!({ "id": "a" }))).unwrap(), r#"{"id":"a"}"#);
        for (code, passkey) in [
            (None, None),
            (Some("123456"), Some(json!({}))),
            (None, Some(json!("123456"))),
            (Some(r#"{"id":"a"}"#), None),
        ] {
            assert_eq!(given(code.map(str::to_owned), passkey).unwrap_err().slug(), "invalid-body");
        }
    }

    #[test]
    fn a_passkey_has_a_name() {
        assert_eq!(name_of("  Ada's laptop ").unwrap(), "Ada's laptop");
        for bad in ["", "  ", "a\nb", &"a".repeat(61)] {
            assert!(name_of(bad).is_err(), "{bad:?}");
        }
    }
}
