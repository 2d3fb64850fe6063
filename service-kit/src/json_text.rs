//! A JSON body that keeps its bytes, and is parsed in one normal form.

use std::borrow::Cow;
use std::collections::BTreeSet;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::HeaderMap;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use soonshop_domain::text::cleaned;

use crate::extract::{BODY_LIMIT, malformed, refused, require_json, unreadable, utf8};
use crate::problem::Problem;

/// A JSON body as it was sent, known to be UTF-8. The code that knows its shape parses it, once.
#[derive(Clone, Default)]
pub struct JsonText(String);

impl JsonText {
    /// Reads a body of at most [`BODY_LIMIT`] that `headers` announce as JSON.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        require_json(headers)?;
        let mut request = Request::new(body);
        DefaultBodyLimit::max(BODY_LIMIT).apply(&mut request);
        let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| unreadable(&rejection))?;
        utf8(&bytes).map(|text| Self(text.to_owned()))
    }

    /// The JSON without the white space around it.
    pub fn value(&self) -> &str {
        self.0.trim_matches([' ', '\t', '\n', '\r'])
    }

    /// The texts in fields of that name, as they were sent, if there is any that may not be plain.
    pub fn sent_in(&self, field: &str) -> BTreeSet<String> {
        let mut texts = BTreeSet::new();
        if !self.0.is_ascii() || self.0.contains("\\u") {
            // Malformed JSON is refused when it is parsed.
            if let Ok(value) = serde_json::from_str(self.value()) {
                collect(&value, field, &mut texts);
            }
        }
        texts
    }

    /// The body as a `T`. Every text in it is [`cleaned`], and a whole number may be written as `1.0` or `1e3`: JSON
    /// knows one kind of number. Malformed JSON is refused as malformed, even if a wrong shape comes first.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.parse_but(&BTreeSet::new())
    }

    /// Like [`parse`](Self::parse), with these texts as they were sent.
    pub fn parse_but<T: DeserializeOwned>(&self, as_sent: &BTreeSet<String>) -> Result<T, Problem> {
        let text = normal(&self.0, as_sent);
        let mut json = serde_json::Deserializer::from_str(&text);
        let problem = match serde_path_to_error::deserialize(&mut json) {
            Ok(value) => match json.end() {
                Ok(()) => return Ok(value),
                Err(error) => malformed(&error),
            },
            Err(error) => refused(&error),
        };
        // serde stopped at the field at fault: the rest was not read yet. Lines and columns are those of what was sent.
        match serde_json::from_str::<IgnoredAny>(&self.0) {
            Ok(IgnoredAny) => Err(problem),
            Err(error) => Err(malformed(&error)),
        }
    }
}

/// The texts in fields of that name, wherever they are.
fn collect(value: &Value, field: &str, texts: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Value::String(text)) = (name == field, value) {
                    texts.insert(text.clone());
                }
                collect(value, field, texts);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, field, texts)),
        _ => {}
    }
}

/// The JSON with cleaned texts, but for those that are to stay, and plain whole numbers. Malformed JSON stays malformed.
fn normal<'a>(json: &'a str, as_sent: &BTreeSet<String>) -> Cow<'a, str> {
    let bytes = json.as_bytes();
    let (mut normal, mut copied, mut index) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(index) {
        let (end, replaced) = match byte {
            b'"' => {
                let end = end_of_string(bytes, index);
                (end, clean_string(&json[index..end], as_sent))
            }
            b'-' | b'0'..=b'9' => {
                let digits = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let end = index + bytes[index..].iter().take_while(|byte| digits(byte)).count();
                (end, whole_number(&json[index..end]))
            }
            _ => (index + 1, None),
        };
        if let Some(replaced) = replaced {
            normal.push_str(&json[copied..index]);
            normal.push_str(&replaced);
            copied = end;
        }
        index = end;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    normal.push_str(&json[copied..]);
    Cow::Owned(normal)
}

/// The index after the closing quote, or the end where there is none.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut index = start + 1;
    while let Some(byte) = bytes.get(index) {
        match byte {
            b'"' => return index + 1,
            b'\\' => index += 2,
            _ => index += 1,
        }
    }
    bytes.len()
}

/// The literal with its text cleaned, if that changes it.
fn clean_string(literal: &str, as_sent: &BTreeSet<String>) -> Option<String> {
    if literal.is_ascii() && !literal.contains("\\u") {
        return None;
    }
    let text: String = serde_json::from_str(literal).ok()?;
    if as_sent.contains(&text) {
        return None;
    }
    let clean = cleaned(&text);
    if clean == text { None } else { serde_json::to_string(&clean).ok() }
}

/// `1.0` and `1e3` as `1` and `1000`; `None` for a number that is written plainly, is not whole, or is very large.
fn whole_number(number: &str) -> Option<String> {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
        None if digits.contains('.') => (digits, 0),
        None => return None,
    };
    let (whole, part) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, part)) => (whole, part),
        None => (mantissa, ""),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let all = format!("{whole}{part}");
    if whole.is_empty() || leading_zero || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if all.bytes().all(|byte| byte == b'0') {
        return Some("0".to_owned());
    }
    let point = usize::try_from(i64::try_from(whole.len()).ok()? + i64::from(exponent)).ok()?;
    if all.trim_end_matches('0').len() > point || point > 20 {
        return None;
    }
    let number = format!("{all:0<point$}");
    Some(format!("{sign}{}", number[..point].trim_start_matches('0')))
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;
    use axum::http::{HeaderValue, StatusCode};
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Item {
        quantity: u32,
        note: Option<String>,
    }

    fn text(body: &str) -> JsonText {
        JsonText(body.to_owned())
    }

    /// Fingerprints of commands are made over it, and outlive a release.
    #[test]
    fn the_value_is_the_same_text_as_a_raw_value() {
        for body in [
            "{}",
            " \t\r\n{\"quantity\": 1 }\n",
            "\n[1, 2 ,3]\r\n",
            " \"\u{a0} x \"",
            "null ",
            "  -1.5e300",
            "{\"a\":{\"b\":[{ }]}}",
            "\"\\ud800\"",
        ] {
            let raw: Box<RawValue> = serde_json::from_str(body).unwrap();
            assert_eq!(text(body).value(), raw.get(), "{body:?}");
        }
    }

    #[test]
    fn malformed_json_is_reported_before_a_wrong_shape() {
        let refused = |body: &str| {
            let problem = text(body).parse::<Item>().unwrap_err();
            (problem.status(), problem.slug().to_owned())
        };
        let (malformed, invalid) = (StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY);
        for body in ["", "{", "{} {}", "{\"quantity\":\"x\",}", "{\"other\":1", "{\"quantity\":1} x", "nul"] {
            assert_eq!(refused(body), (malformed, "malformed-json".to_owned()), "{body}");
        }
        for body in ["{}", "{\"quantity\":\"x\"}", "{\"other\":1}", "[]", "null", "{\"quantity\":-1}"] {
            assert_eq!(refused(body), (invalid, "invalid-body".to_owned()), "{body}");
        }
        assert!(refused(&"[".repeat(100_000)).0.is_client_error());
        let item = text(" {\"quantity\":1,\"note\":null} ").parse::<Item>().unwrap();
        assert_eq!(item, Item { quantity: 1, note: None });
    }

    #[test]
    fn a_number_means_the_same_however_it_is_written() {
        for (number, whole) in [
            ("1.0", Some("1")),
            ("1.50e2", Some("150")),
            ("1E+3", Some("1000")),
            ("100e-2", Some("1")),
            ("0.005e3", Some("5")),
            ("-2.000", Some("-2")),
            ("-0.0", Some("0")),
            ("0e9", Some("0")),
            ("1", None),
            ("-1", None),
            ("1.5", None),
            ("1e-1", None),
            ("1e99", None),
            ("1e99999", None),
            ("01.0", None),
            (".5e1", None),
            ("1.", None),
            ("1.e1", None),
            ("1e", None),
            ("1.0.0", None),
            ("-", None),
        ] {
            assert_eq!(whole_number(number).as_deref(), whole, "{number}");
        }
        let read = |body: &str| text(body).parse::<Item>().map_err(|problem| problem.slug().to_owned());
        let two = || Ok(Item { quantity: 2, note: None });
        assert_eq!((read("{\"quantity\":2.0}"), read("{\"quantity\": 20e-1 }")), (two(), two()));
        for bad in ["{\"quantity\":2.5}", "{\"quantity\":-2.0}", "{\"quantity\":1e30}"] {
            assert_eq!(read(bad), Err("invalid-body".to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_text_that_is_meant_as_it_was_sent_stays_so_and_others_are_cleaned() {
        let body = text("{\"quantity\":1,\"note\":\"a\u{200b}\",\"lines\":[{\"note\":\"b\\u200b\"}]}");
        let sent = BTreeSet::from(["a\u{200b}".to_owned(), "b\u{200b}".to_owned()]);
        assert_eq!(body.sent_in("note"), sent);
        assert_eq!(body.sent_in("quantity"), BTreeSet::new());
        let parsed: Value = body.parse_but(&BTreeSet::from(["a\u{200b}".to_owned()])).unwrap();
        assert_eq!((&parsed["note"], &parsed["lines"][0]["note"]), (&"a\u{200b}".into(), &"b".into()));
        assert!(text("{\"note\":\"plain\"}").sent_in("note").is_empty(), "there is nothing to tell apart");
    }

    #[test]
    fn every_text_is_cleaned_and_the_rest_stays_as_it_was_sent() {
        let note = |body: &str| text(body).parse::<Item>().unwrap().note.unwrap();
        for same in ["\"caf\u{e9} 1.0\"", "\"cafe\u{301}\u{200b} 1.0\"", "\"\\ufeffcaf\\u00e9\u{a0}1.0\""] {
            assert_eq!(note(&format!("{{\"quantity\":1,\"note\":{same}}}")), "caf\u{e9} 1.0", "{same}");
        }
        assert_eq!(note("{\"quantity\":1,\"note\":\"\\\"\\\\\u{ad}\\\"\"}"), "\"\\\"");
        assert!(matches!(normal("{\"a\":[1,\"x \\n\",true]}", &BTreeSet::new()), Cow::Borrowed(_)));
        // A name of a field, too; and a field that is then given twice is refused.
        let twice = text("{\"quantity\":1,\"quan\u{200b}tity\":2}").parse::<Item>().unwrap_err();
        assert_eq!(
            (twice.slug(), &twice.extensions()["pointer"]),
            ("invalid-body", &Value::from("/quantity"))
        );
        let broken = text("{\"note\":\"\u{200b}\u{200b}\",\n  \"quantity\": x}").parse::<Item>().unwrap_err();
        assert_eq!(
            (&broken.extensions()["line"], &broken.extensions()["column"]),
            (&Value::from(2), &Value::from(15))
        );
    }

    #[tokio::test]
    async fn only_json_in_utf_8_of_the_right_size_is_read() {
        let json = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        assert_eq!(JsonText::read(&json, "{}".into()).await.unwrap().value(), "{}");
        for (headers, body, status) in [
            (&HeaderMap::new(), Body::from("{}"), 415),
            (&json, Body::from(&b"\"\xff\""[..]), 400),
            (&json, Body::from(" ".repeat(BODY_LIMIT + 1)), 413),
        ] {
            let problem = JsonText::read(headers, body).await.err().unwrap();
            assert_eq!(problem.status().as_u16(), status);
        }
    }
}
