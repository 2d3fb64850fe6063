//! A JSON body that keeps its bytes.

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::HeaderMap;
use serde::de::{DeserializeOwned, IgnoredAny};

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

    /// The body as a `T`. Malformed JSON is refused as malformed, even if a wrong shape comes first.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut json = serde_json::Deserializer::from_str(&self.0);
        let parsed = serde_path_to_error::deserialize(&mut json);
        let problem = match parsed {
            Ok(value) => return json.end().map(|()| value).map_err(|error| malformed(&error)),
            Err(error) => refused(&error),
        };
        // serde stopped at the field at fault: the rest was not read yet.
        match serde_json::from_str::<IgnoredAny>(&self.0) {
            Ok(IgnoredAny) => Err(problem),
            Err(error) => Err(malformed(&error)),
        }
    }
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
