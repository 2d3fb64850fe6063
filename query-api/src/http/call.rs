//! A question on its way: what was asked, from which position on, and what the asker has already.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LINK};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use soonshop_event_log::LOG;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Permission;
use soonshop_service_kit::headers::{self, EVENT_POSITION, EventPosition};
use tokio::time::Instant;
use url::form_urlencoded;
use uuid::Uuid;

use super::params::Params;
use super::{Endpoint, Shared};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What the answer must have seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) position: i64,
    /// `Prefer: wait` was sent: otherwise it is only looked whether it has.
    pub(super) waits: bool,
    pub(super) deadline: Instant,
}

/// One request.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    /// What stands in the path in place of the first `{…}`.
    pub(super) key: String,
    /// And of those after it.
    pub(super) more_keys: Vec<String>,
    pub(super) params: Params,
    pub(super) wanted: Option<Wanted>,
    /// The first of the languages that the asker's browser names.
    pub(super) language: Option<String>,
    pub(super) path: String,
    pub(super) query: String,
    /// The versions that the asker has.
    has: Vec<String>,
}

impl Call {
    pub(super) async fn read(
        shared: &Arc<Shared>,
        endpoint: &Endpoint,
        request: Request,
    ) -> Result<Self, Problem> {
        let (mut parts, _) = request.into_parts();
        let caller = shared.queries.access.caller(&parts.headers).await?;
        caller.must(Permission::Read, "this question")?;
        let path = RawPathParams::from_request_parts(&mut parts, &()).await;
        let path = path.map_err(|_| Problem::malformed("invalid-id", "the path is not UTF-8"))?;
        let mut keys = path.iter().map(|(_, value)| value.to_owned());
        let key = keys.next().unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self {
            shared: Arc::clone(shared),
            key,
            more_keys: keys.collect(),
            params: Params::read(&query, &endpoint.action.params)?,
            wanted: wanted(&parts.headers)?,
            language: language(&parts.headers),
            path: parts.uri.path().to_owned(),
            query,
            has: has(&parts.headers),
        })
    }

    /// The id that the path names.
    pub(super) fn id(&self) -> Result<Uuid, Problem> {
        let malformed = |_| Problem::malformed("invalid-id", "the id in the path is not a UUID");
        Uuid::try_parse(&self.key).map_err(malformed)
    }

    /// What an answer read at `position` says of itself.
    pub(super) fn headers(&self, position: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(EVENT_POSITION, position_header(position));
        // It is asked again each time, with what is there already in `If-None-Match`; it may hold what is personal.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if self.wanted.is_some_and(|wanted| wanted.waits) {
            headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
        }
        headers
    }

    /// One entity, or that the asker has this version already. Of what can be erased that is never said: an erasure
    /// leaves the version as it is, and nobody is to keep what they have.
    pub(super) fn entity(&self, position: i64, version: i64, erasable: bool, body: Bytes) -> Response {
        let mut headers = self.headers(position);
        let tag = format!("\"{version}\"");
        let known = !erasable && self.has.iter().any(|has| *has == tag || has == "*");
        headers.insert(ETAG, HeaderValue::try_from(tag).expect("a number in quotes is visible ASCII"));
        if known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(axum::http::header::CONTENT_TYPE, "application/json")], body).into_response()
    }

    /// An answer that is no single entity; `next` is where the page after it begins.
    pub(super) fn page(
        &self,
        position: i64,
        body: &impl Serialize,
        next: Option<&str>,
    ) -> Result<Response, Problem> {
        self.page_before(position, body, next.map(|next| ("after", next)))
    }

    /// Like [`page`](Self::page), where the page that follows is named by another parameter.
    pub(super) fn page_before(
        &self,
        position: i64,
        body: &impl Serialize,
        next: Option<(&str, &str)>,
    ) -> Result<Response, Problem> {
        let mut headers = self.headers(position);
        if let Some((parameter, next)) = next {
            let pairs = form_urlencoded::parse(self.query.as_bytes()).filter(|(name, _)| name != parameter);
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .append_pair(parameter, next)
                .finish();
            let link = format!("<{}?{query}>; rel=\"next\"", self.path);
            headers.insert(LINK, HeaderValue::try_from(link).map_err(Problem::internal)?);
        }
        Ok((headers, axum::Json(encoded(body)?)).into_response())
    }
}

fn language(headers: &HeaderMap) -> Option<String> {
    let first = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?.split([',', ';']).next()?;
    Some(first.trim().to_owned())
}

/// The JSON of an answer, made where a failure is still a problem.
fn encoded(body: &impl Serialize) -> Result<Box<serde_json::value::RawValue>, Problem> {
    serde_json::value::to_raw_value(body).map_err(Problem::internal)
}

pub(super) fn position_header(position: i64) -> HeaderValue {
    let text = EventPosition { log: Some(LOG.to_owned()), position }.to_string();
    HeaderValue::try_from(text).expect("a log's name and a number are visible ASCII")
}

fn wanted(headers: &HeaderMap) -> Result<Option<Wanted>, Problem> {
    let wait = headers::prefer_wait(headers)?;
    let Some(EventPosition { log, position }) = EventPosition::optional(headers)? else { return Ok(None) };
    if log.is_some_and(|log| log != LOG) {
        let detail = format!("Event-Position is of another log: there is only {LOG} here");
        return Err(Problem::malformed("invalid-header", detail).with("header", "Event-Position"));
    }
    let deadline = Instant::now() + wait.unwrap_or_default();
    Ok(Some(Wanted { position, waits: wait.is_some(), deadline }))
}

/// `If-None-Match` compares weakly: `W/"7"` is `"7"`. What cannot be read is a version that nobody has.
fn has(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag).to_owned()).collect()
}
