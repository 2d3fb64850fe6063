//! axum's extractors, with every rejection a [`Problem`] that names the field at fault and never repeats its value.

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::grammar::{self, MediaType};
use crate::problem::{Kind, Problem};

/// The largest body that is read.
pub const BODY_LIMIT: usize = 256 * 1024;

/// A JSON body: `application/json`, at most [`BODY_LIMIT`], UTF-8, of the shape of `T`. As an answer, the same JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        DefaultBodyLimit::max(BODY_LIMIT).apply(&mut request);
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = MediaType::of(headers, &CONTENT_TYPE);
    let json = kind.is_some_and(|kind| kind.essence == "application/json" && kind.is_utf8());
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        let codings = value.to_str().map(|text| grammar::split(text, ','));
        codings.is_ok_and(|codings| codings.iter().all(|coding| coding.eq_ignore_ascii_case("identity")))
    });
    if !json || !plain {
        let detail = "send the body as `Content-Type: application/json`, in UTF-8 and not compressed";
        return Err(Problem::unsupported_media_type("unsupported-media-type", detail));
    }
    Ok(())
}

/// A body did not come in the time that it has.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body did not come in time")]
pub(crate) struct BodyTimedOut;

pub(crate) fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    let mut cause = std::error::Error::source(rejection);
    while let Some(error) = cause {
        if error.is::<BodyTimedOut>() {
            let detail =
                "the body of the request did not come in time, and nothing was done: send it whole, at once";
            return Problem::new(Kind::RequestTimeout, "request-timeout", detail);
        }
        cause = error.source();
    }
    Problem::malformed("unreadable-body", "the body ended before it was whole")
}

pub(crate) fn too_large() -> Problem {
    Problem::too_large("body-too-large", format!("a body may have {BODY_LIMIT} bytes"))
        .with("limit", BODY_LIMIT)
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let detail = format!("the body is not UTF-8 from byte {} on", error.valid_up_to());
        Problem::malformed("malformed-json", detail)
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(utf8(bytes)?);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refused(&error))?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// serde's sentences about syntax hold nothing of the body.
pub(crate) fn malformed(error: &serde_json::Error) -> Problem {
    let sentence = error.to_string();
    let what = sentence.rsplit_once(" at line ").map_or(sentence.as_str(), |(what, _)| what);
    let detail = format!("the body is not JSON: {what}, at line {} column {}", error.line(), error.column());
    Problem::malformed("malformed-json", detail).with("line", error.line()).with("column", error.column())
}

pub(crate) fn refused(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if error.inner().classify() != Category::Data {
        return malformed(error.inner());
    }
    let sentence = error.inner().to_string();
    let (named, detail) = without_value(&sentence);
    let mut pointer = String::new();
    for segment in error.path() {
        let token = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                key.replace('~', "~0").replace('/', "~1")
            }
            Segment::Unknown => continue,
        };
        pointer = format!("{pointer}/{token}");
    }
    if let Some(field) = named {
        pointer = format!("{pointer}/{field}");
    }
    Problem::invalid("invalid-body", detail).with_pointer(pointer)
}

/// The beginnings of sentences of our own types that never repeat the value.
const OWN_SENTENCES: [&str; 2] = ["this SKU cannot be used: ", "two attributes have the same name"];

/// serde's sentence about a value, without the value: only what was expected, which the code wrote. Also the name of a
/// field that the path does not lead to: missing or duplicate. A custom message may quote the value: only
/// [`OWN_SENTENCES`] are passed on.
fn without_value(sentence: &str) -> (Option<&str>, String) {
    let quoted = |prefix: &str| sentence.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    if let Some(field) = quoted("missing field `") {
        return (Some(field), format!("`{field}` is missing"));
    }
    if let Some(field) = quoted("duplicate field `") {
        return (Some(field), format!("`{field}` is given twice"));
    }
    let sentence = sentence.rsplit_once(" at line ").map_or(sentence, |(before, _)| before);
    let expected = sentence.rsplit_once(", expected ").map(|(_, expected)| expected);
    let detail = if sentence.starts_with("unknown field `") {
        match expected {
            Some(known) => {
                format!("there is no such field here; known: {}", known.trim_start_matches("one of "))
            }
            None => "there are no fields here".to_owned(),
        }
    } else {
        let ours = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant `"];
        match expected.filter(|_| ours.iter().any(|prefix| sentence.starts_with(prefix))) {
            Some(expected) => format!("expected {expected}"),
            None if OWN_SENTENCES.iter().any(|own| sentence.starts_with(own)) => sentence.to_owned(),
            None => "the value cannot be accepted here".to_owned(),
        }
    };
    (None, detail)
}

/// The query string, of the shape of `T`; a parameter that `T` does not know is refused where `T` denies unknown
/// fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| invalid_query(&rejection))
    }
}

fn invalid_query(rejection: &(dyn std::error::Error + 'static)) -> Problem {
    let mut cause = Some(rejection);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>() {
            let sentence = error.inner().to_string();
            let (named, detail) = without_value(&sentence);
            let parameter = named.map(str::to_owned).or_else(|| {
                sentence
                    .strip_prefix("unknown field `")
                    .and_then(|rest| rest.split_once('`'))
                    .map(|(name, _)| name.to_owned())
                    .or_else(|| error.path().iter().next().map(ToString::to_string))
            });
            let problem = |detail| Problem::malformed("invalid-query", detail);
            return match parameter {
                Some(name) => problem(format!("parameter `{name}`: {detail}")).with("parameter", name),
                None => problem(detail),
            };
        }
        cause = error.source();
    }
    Problem::malformed("invalid-query", "the query cannot be read")
}

/// The variable parts of the path. A malformed id is a 400; an unknown name is a 404.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(failure)) => Err(invalid_path(failure.kind())),
            Err(rejection) => Err(Problem::internal(rejection)),
        }
    }
}

fn invalid_path(kind: &ErrorKind) -> Problem {
    let not_found = || Problem::not_found("not-found", "there is nothing at this path");
    match kind {
        ErrorKind::Message(message) | ErrorKind::DeserializeError { message, .. }
            if message.contains("UUID") =>
        {
            Problem::malformed("invalid-id", "the id in the path is not a UUID")
        }
        ErrorKind::Message(_)
        | ErrorKind::DeserializeError { .. }
        | ErrorKind::ParseErrorAtKey { .. }
        | ErrorKind::ParseErrorAtIndex { .. }
        | ErrorKind::ParseError { .. }
        | ErrorKind::InvalidUtf8InPathParam { .. } => not_found(),
        // The route and its handler disagree about the number or the type of the parts.
        wrong => Problem::internal(wrong.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use serde::Deserialize;
    use serde_json::Value;
    use tower::ServiceExt;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[expect(dead_code, reason = "only its shape matters")]
        items: Vec<Item>,
        #[expect(dead_code, reason = "only its shape matters")]
        email: Option<Email>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Item {
        #[expect(dead_code, reason = "only its shape matters")]
        quantity: u32,
        #[expect(dead_code, reason = "only its shape matters")]
        size: Option<Size>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        Small,
        Large,
    }

    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Email;

    impl TryFrom<String> for Email {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("{text} is not an address, expected {text}"))
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        #[expect(dead_code, reason = "only its shape matters")]
        limit: Option<u32>,
        #[expect(dead_code, reason = "only its shape matters")]
        sku: String,
    }

    fn router() -> Router {
        Router::new()
            .route("/orders", post(async |Json(_): Json<Order>| "ok"))
            .route("/orders", get(async |Query(_): Query<Page>| "ok"))
            .route("/orders/{id}", get(async |Path(_): Path<Uuid>| "ok"))
            .route("/orders/{id}/lines/{line}", get(async |Path(_): Path<(Uuid, u32)>| "ok"))
            .route("/broken/{id}", get(async |Path(_): Path<(Uuid, u32)>| "ok"))
    }

    async fn answer(request: Request) -> (u16, Value) {
        let response = router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn posted(body: impl Into<Body>) -> (u16, Value) {
        let request = Request::post("/orders").header(CONTENT_TYPE, "application/json");
        answer(request.body(body.into()).unwrap()).await
    }

    async fn got(path: &str) -> (u16, Value) {
        answer(Request::get(path).body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn only_json_is_taken() {
        let good = r#"{"items":[{"quantity":1,"size":"small"}]}"#;
        for (content_type, status) in [
            ("application/json", 200),
            ("Application/JSON; Charset=UTF-8", 200),
            ("application/json;charset=\"utf-8\"; profile=\"a;b\"", 200),
            ("application/json; charset", 415),
            ("application/jsonp", 415),
            ("application/json; charset=latin1", 415),
            ("application/problem+json", 415),
            ("text/plain", 415),
            ("", 415),
        ] {
            let request =
                Request::post("/orders").header(CONTENT_TYPE, content_type).body(good.into()).unwrap();
            assert_eq!(answer(request).await.0, status, "{content_type}");
        }
        let request = Request::post("/orders").body(good.into()).unwrap();
        assert_eq!(answer(request).await.1["type"], "/problems/unsupported-media-type");
        for (coding, status) in
            [("identity", 200), ("Identity, identity", 200), ("gzip", 415), ("identity, br", 415)]
        {
            let request = Request::post("/orders").header(CONTENT_TYPE, "application/json");
            let request = request.header(CONTENT_ENCODING, coding).body(good.into()).unwrap();
            assert_eq!(answer(request).await.0, status, "{coding}");
        }
    }

    #[tokio::test]
    async fn a_body_of_the_largest_size_is_read_and_a_larger_one_refused() {
        let body = |size: usize| format!("{{\"items\":[]{}}}", " ".repeat(size - 12));
        assert_eq!(posted(body(BODY_LIMIT)).await.0, 200);
        let (status, problem) = posted(body(BODY_LIMIT + 1)).await;
        assert_eq!((status, &problem["limit"]), (413, &Value::from(BODY_LIMIT)));
    }

    #[tokio::test]
    async fn malformed_json_is_a_400_with_line_and_column() {
        let (status, problem) = posted("{\n  \"items\": [secret]}").await;
        assert_eq!((status, &problem["type"]), (400, &Value::from("/problems/malformed-json")));
        assert_eq!((&problem["line"], &problem["column"]), (&Value::from(2), &Value::from(13)));
        assert!(!problem.to_string().contains("secret"));
        assert_eq!(posted("").await.0, 400);
        assert_eq!(posted("{\"items\":[]} {}").await.0, 400);
        assert_eq!(posted(vec![b'"', 0xff, b'"']).await.0, 400);
        assert_eq!(posted("[".repeat(100_000)).await.0, 422, "the outermost shape is wrong already");
        assert_eq!(posted(format!("{{\"items\":{}", "[".repeat(100_000))).await.0, 422);
    }

    #[tokio::test]
    async fn a_wrong_shape_is_a_422_that_points_at_the_field_and_hides_its_value() {
        for (body, pointer, says) in [
            (
                r#"{"items":[{"quantity":1},{"quantity":"secret, expected x"}]}"#,
                "/items/1/quantity",
                "expected u32",
            ),
            (r#"{"items":[{"quantity":-7654321}]}"#, "/items/0/quantity", "expected u32"),
            (r#"{"items":[{}]}"#, "/items/0/quantity", "`quantity` is missing"),
            (r#"{"items":[{"quantity":1,"quantity":2}]}"#, "/items/0/quantity", "`quantity` is given twice"),
            (r#"{"items":[{"quantity":1,"sec/ret":2}]}"#, "/items/0/sec~1ret", "known: `quantity` or `size`"),
            (r#"{"items":[{"quantity":1,"size":"secret"}]}"#, "/items/0/size", "expected `small` or `large`"),
            (r#"{"items":[],"email":"secret"}"#, "/email", "the value cannot be accepted here"),
            (r#"{"items":{}}"#, "/items", "expected a sequence"),
            ("null", "", "expected struct Order"),
        ] {
            let (status, problem) = posted(body).await;
            assert_eq!((status, &problem["type"]), (422, &Value::from("/problems/invalid-body")), "{body}");
            assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{body}: {detail}");
            assert!(!detail.contains("secret") && !detail.contains("7654321"), "{detail}");
        }
    }

    #[tokio::test]
    async fn an_invalid_query_names_the_parameter_and_hides_its_value() {
        assert_eq!(got("/orders?sku=a&limit=3").await.0, 200);
        for (query, parameter) in [
            ("sku=a&limit=secret", "limit"),
            ("sku=a&colour=secret", "colour"),
            ("sku=a&sku=secret", "sku"),
            ("limit=3", "sku"),
            ("", "sku"),
        ] {
            let (status, problem) = got(&format!("/orders?{query}")).await;
            assert_eq!((status, &problem["type"]), (400, &Value::from("/problems/invalid-query")), "{query}");
            assert_eq!(problem["parameter"], parameter, "{query}: {problem}");
            assert!(!problem.to_string().contains("secret"), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_path_says_that_an_id_is_a_uuid() {
        let id = Uuid::new_v4();
        assert_eq!(got(&format!("/orders/{id}")).await.0, 200);
        let (status, problem) = got("/orders/17").await;
        assert_eq!((status, &problem["type"]), (400, &Value::from("/problems/invalid-id")));
        assert!(problem["detail"].as_str().unwrap().contains("UUID"));
        assert_eq!(got(&format!("/orders/{id}/lines/2")).await.0, 200);
        assert_eq!(got("/orders/17/lines/2").await.1["type"], "/problems/invalid-id");
        assert_eq!(got(&format!("/orders/{id}/lines/two")).await.0, 404);
        assert_eq!(got("/orders/%ff").await.0, 404);
        assert_eq!(got(&format!("/broken/{id}")).await.0, 500);
    }
}
