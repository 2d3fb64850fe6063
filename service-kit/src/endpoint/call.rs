//! A request: its parameters, the position it must have seen, and the versions that the client has already.

use std::fmt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, ETAG, LINK};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use futures::future::BoxFuture;
use serde::Serialize;
use soonshop_domain::ids::LOG;
use tokio::time::Instant;
use url::form_urlencoded;
use uuid::Uuid;

use super::params::{Kind, Param, Params};
use crate::Problem;
use crate::access::session::from_here;
use crate::access::{Access, Caller, Permission, Visitor};
use crate::grammar::{self, MediaType};
use crate::headers::{
    self, EVENT_POSITION, EventPosition, IfMatch, IfNoneMatch, PREFERENCE_APPLIED, position_header,
};
use crate::work::{Turn, Work, address_of};

/// The state that all requests of a service share.
pub trait Shared: Send + Sync + 'static {
    /// Identifies callers.
    fn access(&self) -> &Access;

    /// Gives turns to requests that cost something.
    fn work(&self) -> &Work;

    /// Waits until the log has reached a position, or no longer than was asked for.
    fn reach(&self, required_position: RequiredPosition) -> BoxFuture<'_, ()>;
}

/// The position that the answer must have seen.
#[derive(Debug, Clone, Copy)]
pub struct RequiredPosition {
    /// From `Event-Position`.
    pub position: i64,
    /// `Prefer: wait` was sent. Otherwise the position is only checked, without waiting.
    pub waits: bool,
    /// The end of the wait.
    pub deadline: Instant,
}

/// The largest size of a form, in bytes.
const LARGEST_FORM: usize = 64 * 1024;

/// The parts of a request that are known before it is validated, also when it is then refused.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// The path of the address.
    pub path: String,
    /// The query of the address; empty if there is none.
    pub query: String,
    /// Of `Accept-Language`, the preferred one first.
    pub languages: Vec<String>,
    /// Readable cookies by name.
    cookies: Vec<(String, String)>,
    /// `None`: unknown, because keys cannot be looked up or the token is bad.
    pub visitor: Option<Visitor>,
    /// The form that a page was sent; set only where it is refused.
    pub form: Option<TypedForm>,
    /// Whether the form asked for a fresh second factor: it is sent again with a code.
    pub asked_code: bool,
}

/// A form as it was typed, so that a refusal gives it back: never its passwords and keys.
#[derive(Clone, Default)]
pub struct TypedForm(Vec<(Param, Option<String>)>);

impl fmt::Debug for TypedForm {
    /// Without what was typed, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(field, _)| field.name)).finish()
    }
}

impl TypedForm {
    /// What this text has for these fields.
    fn of(text: &str, fields: &[Param]) -> Self {
        let typed = |field: &Param| {
            let mut pairs = form_urlencoded::parse(text.as_bytes()).filter(|_| !field.is_secret);
            pairs.find(|(name, _)| name == field.name).map(|(_, value)| value.into_owned())
        };
        Self(fields.iter().map(|field| (*field, typed(field))).collect())
    }

    /// Its fields, and what was typed in each; nothing in those of passwords and keys.
    pub fn fields(&self) -> impl Iterator<Item = (&Param, Option<&str>)> {
        self.0.iter().map(|(field, typed)| (field, typed.as_deref()))
    }

    /// What was typed in this field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields().find(|(field, _)| field.name == name).and_then(|(_, typed)| typed)
    }
}

/// What was sent in the body of a request.
pub(super) enum Sent {
    /// Not read yet.
    Body(Body),
    /// A form that was read before anything else.
    Form(Result<String, Problem>),
}

impl Sent {
    /// Reads a form now, so that also what is refused without looking at it can be given back.
    pub(super) async fn read(headers: &HeaderMap, body: Body, fields: &[Param]) -> (Self, TypedForm) {
        let text = form_text(headers, body).await;
        let typed = TypedForm::of(text.as_deref().unwrap_or_default(), fields);
        (Self::Form(text), typed)
    }
}

impl Visit {
    /// Reads them from the head of a request.
    pub fn of(parts: &Parts, visitor: Option<&Visitor>) -> Self {
        let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        Self {
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            languages: grammar::languages(&parts.headers),
            cookies: cookies.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            visitor: visitor.cloned(),
            form: None,
            asked_code: false,
        }
    }

    /// The same without the form that it was sent.
    #[must_use]
    pub fn without_form(&self) -> Self {
        Self { form: None, ..self.clone() }
    }

    /// A query parameter by name.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The permission, parameters and form of a row of the table.
pub struct Takes<'e> {
    /// The permission that the caller must have.
    pub needs: Permission,
    /// The name of the action in a refusal.
    pub named: &'static str,
    /// The query parameters.
    pub params: &'e [Param],
    /// It is a page that is only looked at: see [`Params::read_page`].
    pub is_page: bool,
    /// The fields of the form; `None`: there is none.
    pub form: Option<&'e [Param]>,
    /// It is open to those who must have a second factor and have given none.
    pub without_factor: bool,
}

/// One request.
pub struct Call<S> {
    /// The state that all requests of the service share.
    pub shared: Arc<S>,
    /// Its path, query, cookies and visitor.
    pub visit: Visit,
    /// The visitor who sent it.
    pub visitor: Visitor,
    /// The headers of the request.
    pub headers_in: HeaderMap,
    /// The value of the first `{…}` of the path.
    pub key: String,
    /// And of those after it.
    pub more_keys: Vec<String>,
    /// The network that it comes from, as rates count it.
    pub network: Arc<str>,
    /// The query parameters.
    pub params: Params,
    /// The fields of the form.
    pub form: Params,
    /// The position that the answer must have seen.
    pub required_position: Option<RequiredPosition>,
    /// The turn of a request that costs something: it ends with the request, or where it is taken from here.
    pub turn: Option<Turn>,
    /// The versions that the client has.
    has: Option<IfNoneMatch>,
    expects: Option<IfMatch>,
}

impl<S> Call<S> {
    /// Reads a request as its row describes it; refuses unknown parameters.
    pub(super) async fn read(
        shared: &Arc<S>,
        takes: &Takes<'_>,
        mut visit: Visit,
        visitor: Visitor,
        mut parts: Parts,
        sent: Sent,
    ) -> Result<Self, Problem> {
        if takes.without_factor {
            visitor.caller.must_by_role(takes.needs, takes.named)?;
        } else {
            visitor.caller.must(takes.needs, takes.named)?;
        }
        let path = RawPathParams::from_request_parts(&mut parts, &()).await;
        let path = path.map_err(|_| Problem::malformed("invalid-id", "the path is not UTF-8"))?;
        // No name holds a NUL, and PostgreSQL refuses one in a text.
        if path.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Problem::malformed("invalid-id", "the path holds a NUL"));
        }
        let mut keys = path.iter().map(|(_, value)| value.to_owned());
        let key = keys.next().unwrap_or_default();
        let form = match takes.form {
            Some(fields) => {
                let text = match sent {
                    Sent::Body(body) => form_text(&parts.headers, body).await,
                    Sent::Form(text) => text,
                };
                Params::read(&text?, fields)?
            }
            None => Params::default(),
        };
        let kept = kept_zone(&visit, takes.params);
        let read = if takes.is_page { Params::read_page } else { Params::read_in };
        let params = read(&visit.query, takes.params, kept)?;
        if !params.passed_over().is_empty() {
            visit.query = params.read_of(&visit.query);
        }
        Ok(Self {
            shared: Arc::clone(shared),
            key,
            more_keys: keys.collect(),
            network: address_of(&parts.extensions),
            params,
            form,
            required_position: required_position(&parts.headers)?,
            turn: None,
            has: IfNoneMatch::optional(&parts.headers)?,
            expects: IfMatch::optional(&parts.headers)?,
            headers_in: parts.headers,
            visit,
            visitor,
        })
    }

    /// The caller who sent it.
    pub fn caller(&self) -> &Caller {
        &self.visitor.caller
    }

    /// Passes over the value of a parameter that only says how a page looks, and that the page does not have.
    pub fn pass_over(&mut self, name: &str) {
        self.params.take_out(name);
        self.visit.query = self.params.read_of(&self.visit.query);
    }

    /// Whether the caller has the permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.caller().may(permission)
    }

    /// The id in the path.
    pub fn id(&self) -> Result<Uuid, Problem> {
        let malformed = |_| Problem::malformed("invalid-id", "the id in the path is not a UUID");
        Uuid::try_parse(&self.key).map_err(malformed)
    }

    /// The headers of an answer that was read at `position`.
    pub fn headers(&self, position: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(EVENT_POSITION, position_header(position));
        // The client asks again each time with `If-None-Match`; the answer may hold personal values.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if self.required_position.is_some_and(|required_position| required_position.waits) {
            headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
        }
        headers
    }

    /// One entity, or `304` if the client has this version already. An erasable entity never answers `304`: an erasure
    /// leaves the version as it is, and no client may go on using its copy.
    /// `412` if it is not the version that the client expects (RFC 9110, section 13.2.2).
    pub fn entity(&self, position: i64, version: i64, erasable: bool, body: Bytes) -> Response {
        if self.expects.as_ref().is_some_and(|expected| !expected.names(version)) {
            let detail = format!("it has version {version}, which If-Match does not name");
            return Problem::precondition("stale-version", detail).with("version", version).into_response();
        }
        let mut headers = self.headers(position);
        let tag = format!("\"{version}\"");
        if erasable {
            // A copy on somebody's disk would outlive an erasure.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        let known = !erasable && self.has.as_ref().is_some_and(|has| has.has(version));
        headers.insert(ETAG, HeaderValue::try_from(tag).expect("a number in quotes is visible ASCII"));
        if known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(axum::http::header::CONTENT_TYPE, "application/json")], body).into_response()
    }

    /// An answer that is not a single entity; `next` is the start of the next page.
    pub fn page(
        &self,
        position: i64,
        body: &impl Serialize,
        next: Option<&str>,
    ) -> Result<Response, Problem> {
        self.page_before(position, body, next.map(|next| ("after", next)))
    }

    /// Like [`page`](Self::page), where the page that follows is named by another parameter.
    pub fn page_before(
        &self,
        position: i64,
        body: &impl Serialize,
        next: Option<(&str, &str)>,
    ) -> Result<Response, Problem> {
        let mut headers = self.headers(position);
        if let Some((parameter, next)) = next {
            let pairs =
                form_urlencoded::parse(self.visit.query.as_bytes()).filter(|(name, _)| name != parameter);
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .append_pair(parameter, next)
                .finish();
            let link = format!("<{}?{query}>; rel=\"next\"", self.visit.path);
            headers.insert(LINK, HeaderValue::try_from(link).map_err(Problem::internal)?);
        }
        Ok((headers, axum::Json(encoded(body)?)).into_response())
    }
}

/// The time zone that a browser keeps for the pages.
fn kept_zone(visit: &Visit, params: &[Param]) -> Option<Tz> {
    let param = params.iter().find(|param| matches!(param.kind, Kind::KeptZone))?;
    visit.cookie(&format!("soonshop_{}", param.name))?.parse().ok()
}

/// The text of a form, sent by one of our own pages or by a program.
async fn form_text(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    from_here(headers)?;
    form_body(headers, body).await
}

/// The text of a form, whoever sent it.
pub async fn form_body(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let kind = MediaType::of(headers, &CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.essence == "application/x-www-form-urlencoded" && kind.is_utf8()) {
        let detail = "a form is sent as `Content-Type: application/x-www-form-urlencoded`, in UTF-8";
        return Err(Problem::unsupported_media_type("unsupported-media-type", detail));
    }
    let bytes = axum::body::to_bytes(body, LARGEST_FORM).await;
    let bytes = bytes.map_err(|_| Problem::too_large("body-too-large", "a form has at most 64 KiB"))?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::malformed("invalid-body", "a form is text in UTF-8"))
}

/// Encodes an answer here, where a failure can still become a problem.
fn encoded(body: &impl Serialize) -> Result<Box<serde_json::value::RawValue>, Problem> {
    serde_json::value::to_raw_value(body).map_err(Problem::internal)
}

fn required_position(headers: &HeaderMap) -> Result<Option<RequiredPosition>, Problem> {
    let wait = headers::prefer_wait(headers)?;
    let Some(EventPosition { log, position }) = EventPosition::optional(headers)? else { return Ok(None) };
    if log.is_some_and(|log| log != LOG) {
        let detail = format!("Event-Position is of another log: there is only {LOG} here");
        return Err(Problem::malformed("invalid-header", detail).with("header", "Event-Position"));
    }
    let deadline = Instant::now() + wait.unwrap_or_default();
    Ok(Some(RequiredPosition { position, waits: wait.is_some(), deadline }))
}
