//! A request as a command sees it: who calls, under which id, with which headers; and the way to the event store.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest as _, FromRequestParts as _, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use chrono::{DateTime, Datelike as _, SubsecRound as _, TimeDelta, Utc};
use serde_json::value::RawValue;
use soonshop_domain::claim::scope;
use soonshop_domain::text::Sku;
use soonshop_domain::{Actor, ActorKind, Channel, Decider, Metadata, Personal, Purpose, clock, ids};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Caller, Permission, Role};
use soonshop_service_kit::extract::{Json, Path};
use soonshop_service_kit::headers::{IF_MATCH, IdempotencyKey, IfMatch};
use soonshop_service_kit::serve::RequestContext;
use uuid::{Uuid, Variant, Version};

use super::action::Input;
use super::answer::{answer, refused, unreadable};
use super::{Commands, Endpoint, Key};

pub(super) const CHANNEL: HeaderName = HeaderName::from_static("x-channel");
pub(super) const IMPORT_KEY: HeaderName = HeaderName::from_static("x-import-key");
pub(super) const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-on-behalf-of");
pub(super) const REASON: HeaderName = HeaderName::from_static("x-reason");
pub(super) const REASON_NOTE: HeaderName = HeaderName::from_static("x-reason-note");

/// The longest note, in bytes of UTF-8.
const LONGEST_NOTE: usize = 1_000;

fn invalid_header(header: &'static str, detail: impl Into<String>) -> Problem {
    Problem::malformed("invalid-header", detail.into()).with("header", header)
}

/// A header of 1 to `most` ASCII characters that `takes` allows, if it was sent.
fn text(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
    most: usize,
    takes: fn(u8) -> bool,
) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if values.next().is_some() || !(1..=most).contains(&text.len()) || !text.bytes().all(takes) {
        return Err(invalid_header(
            shown,
            format!("{shown} is one value of 1 to {most} visible ASCII characters"),
        ));
    }
    Ok(Some(text.to_owned()))
}

/// A command on its way from its request to the event store.
pub(super) struct Call {
    pub(super) store: EventStore,
    endpoint: Arc<Endpoint>,
    caller: Caller,
    parts: Parts,
    if_match: Option<IfMatch>,
    command_id: Uuid,
    fingerprint: Vec<u8>,
    metadata: Metadata,
    import_key: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
    body: String,
}

impl Call {
    /// Everything that is the same for all commands. What the body means is left to [`body`](Self::body).
    pub(super) async fn read(
        commands: &Commands,
        endpoint: &Arc<Endpoint>,
        request: Request,
    ) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Ok(context) = RequestContext::from_request_parts(&mut parts, &()).await;
        let headers = &parts.headers;
        let caller = commands.access.caller(headers).await?;
        caller.must(endpoint.permission, "this command")?;
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(Problem::malformed("invalid-query", "there are no parameters here"));
        }
        let if_match = if endpoint.needs_if_match() {
            Some(IfMatch::required(headers)?)
        } else {
            IfMatch::optional(headers)?
        };
        let key = idempotency_key(headers, caller.role, endpoint.key)?;
        let import_key =
            text(headers, &IMPORT_KEY, "X-Import-Key", 200, |b| b == b' ' || b.is_ascii_graphic())?;
        let channel = channel(headers)?;
        let through = if channel == Some(Channel::Import) { Permission::Override } else { Permission::Vouch };
        for (sent, name, permission) in [
            (headers.contains_key(IMPORT_KEY), "X-Import-Key", Permission::Override),
            (headers.contains_key(CHANNEL), "X-Channel", through),
            (headers.contains_key(ON_BEHALF_OF), "X-On-Behalf-Of", Permission::Vouch),
            (headers.contains_key(REASON_NOTE), "X-Reason-Note", Permission::Vouch),
        ] {
            if sent {
                caller.must(permission, name).map_err(|problem| problem.with("header", name))?;
            }
        }
        let on_behalf_of = on_behalf_of(headers)?;
        let reason_note = note(headers, &caller)?;
        let reason_code = text(headers, &REASON, "X-Reason", 64, |b| b.is_ascii_graphic())?;

        let actor = caller.actor.clone();
        let (actor_kind, name) = (actor.kind, actor.to_string());
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let command_id = match &key {
            Some(key) => ids::derived(ids::COMMANDS, &[&name, method, path, key]),
            None => ids::new(),
        };
        let expected = headers.get(IF_MATCH).map_or(&b""[..], |value| value.as_bytes());
        let body = raw(&parts, body, endpoint.action.body.is_some()).await?;
        let told_by = [name.as_bytes(), method.as_bytes(), path.as_bytes(), expected, body.as_bytes()];
        let fingerprint = commands.store.keys().fingerprint(&told_by).await.map_err(unreadable)?;
        let metadata = Metadata {
            correlation_id: Some(context.correlation_id),
            command_type: Some(endpoint.command.to_owned()),
            actor_kind: Some(actor_kind),
            actor_id: Some(actor.id),
            on_behalf_of,
            channel: Some(channel.unwrap_or(match actor_kind {
                ActorKind::Staff => Channel::Admin,
                _ => Channel::Api,
            })),
            reason_code,
            reason_note,
            traceparent: Some(context.trace.to_string()),
            ..Metadata::default()
        };
        Ok(Self {
            store: commands.store.clone(),
            endpoint: Arc::clone(endpoint),
            caller,
            parts,
            if_match,
            command_id,
            fingerprint,
            metadata,
            import_key,
            occurred_at: None,
            body,
        })
    }

    pub(super) fn import_key(&self) -> Option<&str> {
        self.import_key.as_deref()
    }

    /// Whether what this call imports is there already, by this very command or another.
    pub(super) async fn imported(&self) -> Result<bool, Problem> {
        let Some(key) = &self.import_key else { return Ok(false) };
        self.store.owner_of(scope::IMPORT, key).await.map(|owner| owner.is_some()).map_err(unreadable)
    }

    /// The body, once it is known that this caller may say all that it says.
    pub(super) async fn body<B: Input>(&mut self) -> Result<B, Problem> {
        let request = Request::builder().header(CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(std::mem::take(&mut self.body))).map_err(Problem::internal)?;
        let Json(body) = Json::<B>::from_request(request, &()).await?;
        let privileged = body.privileged().or_else(|| body.occurred_at().map(|_| "/occurred_at".to_owned()));
        if let Some(pointer) = privileged {
            let may = self.caller.must(Permission::Override, "this field");
            may.map_err(|problem| problem.with_pointer(pointer))?;
        }
        self.occurred_at = body.occurred_at().map(happened).transpose()?;
        Ok(body)
    }

    /// The stream that the path names, or a new one, which is always the same for the same command.
    pub(super) async fn stream(&mut self) -> Result<Uuid, Problem> {
        if self.endpoint.creates() {
            return Ok(ids::stream_of(self.command_id));
        }
        Path::from_request_parts(&mut self.parts, &()).await.map(|Path(id)| id)
    }

    /// The SKU that the path names.
    pub(super) async fn sku(&mut self) -> Result<Sku, Problem> {
        let Path(raw) = Path::<String>::from_request_parts(&mut self.parts, &()).await?;
        Sku::try_new(&raw).map_err(|error| {
            Problem::malformed("invalid-id", format!("the SKU in the path cannot be used: {error}"))
        })
    }

    fn context(&self, id: Uuid) -> CommandContext {
        let mut context =
            CommandContext::new(self.command_id, self.fingerprint.clone(), self.metadata.clone());
        context.occurred_at = self.occurred_at.unwrap_or(context.occurred_at);
        context.expected = match self.if_match {
            Some(IfMatch::Version(version)) => Some(version),
            Some(IfMatch::Any) | None => None,
        };
        context.import_key.clone_from(&self.import_key);
        context.status = self.endpoint.status().as_u16();
        context.location = self.endpoint.creates().then(|| format!("{}/{id}", self.endpoint.path));
        context
    }

    /// Decides the command and appends what follows.
    pub(super) async fn execute<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
    ) -> Result<Response, Problem> {
        let done = self.attempt::<A>(id, command.clone()).await;
        answer::<A>(id, command, done)
    }

    /// Like [`execute`](Self::execute), for who has something to say to the refusal.
    pub(super) async fn attempt<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        if self.if_match == Some(IfMatch::Any) {
            let (_, version) = self.store.load::<A>(id).await?;
            if version == 0 {
                return Err(ExecuteError::Stale { expected: 1, actual: 0 });
            }
        }
        Box::pin(self.store.execute::<A>(id, command, self.context(id))).await
    }

    /// Like [`execute`](Self::execute), together with a command of another aggregate of the same id.
    pub(super) async fn execute_with<A: Decider, B: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
        other: B::Command,
    ) -> Result<Response, Problem> {
        let both = self.store.execute_both::<A, B>((id, command.clone()), (id, other), self.context(id));
        let done = Box::pin(both).await;
        answer::<A>(id, command, done)
    }

    /// Facts changed so that the command would be refused today. If it was done before, it is answered as it was then:
    /// a new stream is only ever begun by its own command. `again` is refused by a stream that exists.
    pub(super) async fn unless_done<A: Decider>(
        &self,
        id: Uuid,
        again: A::Command,
        problem: Problem,
    ) -> Result<Response, Problem> {
        let (_, version) = self.store.load::<A>(id).await.map_err(refused)?;
        if version == 0 { Err(problem) } else { self.execute::<A>(id, again).await }
    }
}

/// The body as it was sent, of what is one JSON value; or the certainty that there is none.
async fn raw(parts: &Parts, body: Body, wanted: bool) -> Result<String, Problem> {
    if wanted {
        let request = Request::from_parts(parts.clone(), body);
        let Json(raw) = Json::<Box<RawValue>>::from_request(request, &()).await?;
        return Ok(raw.get().to_owned());
    }
    match axum::body::to_bytes(body, 0).await {
        Ok(_) => Ok(String::new()),
        Err(_) => Err(Problem::malformed("unexpected-body", "nothing is taken in the body here")),
    }
}

/// Anonymous callers share one space of keys, so theirs must be beyond guessing.
fn idempotency_key(headers: &HeaderMap, role: Role, key: Key) -> Result<Option<String>, Problem> {
    let Some(sent) = IdempotencyKey::optional(headers)? else {
        return match key {
            Key::Optional => Ok(None),
            Key::Required => Err(Problem::malformed(
                "idempotency-key-required",
                "send Idempotency-Key: money or stock moves here, and must not move twice",
            )
            .with("header", "Idempotency-Key")),
        };
    };
    if role != Role::Guest {
        return Ok(Some(sent.as_str().to_owned()));
    }
    let random = Uuid::try_parse(sent.as_str()).ok().filter(|id| {
        id.get_variant() == Variant::RFC4122
            && matches!(id.get_version(), Some(Version::Random | Version::SortRand))
    });
    random.map(|id| Some(id.to_string())).ok_or_else(|| {
        let detail = "without a token, Idempotency-Key is a random UUID (version 4 or 7)";
        Problem::malformed("idempotency-key-not-random", detail).with("header", "Idempotency-Key")
    })
}

/// The door that a caller names. That of processes is theirs: by it their records are told from a person's.
fn channel(headers: &HeaderMap) -> Result<Option<Channel>, Problem> {
    let Some(text) = text(headers, &CHANNEL, "X-Channel", 64, |b| b.is_ascii_graphic())? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(Channel::Process) | Err(_) => Err(invalid_header(
            "X-Channel",
            "X-Channel is storefront, admin, api, webhook, import, job or cli, or left out",
        )),
        Ok(channel) => Ok(Some(channel)),
    }
}

/// On whose behalf, in the form in which it is stored.
fn on_behalf_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let sent = text(headers, &ON_BEHALF_OF, "X-On-Behalf-Of", 64, |b| b.is_ascii_graphic())?;
    let read = |text: String| {
        let (kind, id) = text.split_once(':')?;
        let kind = kind.parse().ok().filter(|kind| matches!(kind, ActorKind::Customer | ActorKind::Guest))?;
        Some(Actor { kind, id: Uuid::try_parse(id).ok()?.to_string() }.to_string())
    };
    let wrong =
        || invalid_header("X-On-Behalf-Of", "X-On-Behalf-Of is customer:<id of a user> or guest:<id>");
    sent.map(|text| read(text).ok_or_else(wrong)).transpose()
}

/// Why, in the caller's own words: theirs, and personal.
fn note(headers: &HeaderMap, caller: &Caller) -> Result<Option<Personal<String>>, Problem> {
    let mut values = headers.get_all(REASON_NOTE).iter();
    let (Some(value), Some(writer)) = (values.next(), caller.writer) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    if values.next().is_some()
        || !(1..=LONGEST_NOTE).contains(&text.len())
        || text.chars().any(char::is_control)
    {
        let detail = format!("X-Reason-Note is one line of UTF-8 of 1 to {LONGEST_NOTE} bytes");
        return Err(invalid_header("X-Reason-Note", detail));
    }
    Ok(Some(Personal::new(text.to_owned(), writer, Purpose::Account)))
}

/// Business time: in whole microseconds, not before 1900 and not in the future (but for clocks that differ).
fn happened(at: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let latest = clock::now() + TimeDelta::minutes(5);
    if at.year() < 1900 || at > latest {
        let detail = "what happened, happened between 1900 and now";
        return Err(Problem::invalid("invalid-body", detail).with_pointer("/occurred_at"));
    }
    Ok(at.trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_happened_before_1900_or_in_the_future() {
        let at = |text: &str| happened(text.parse().unwrap()).map_err(|problem| problem.status().as_u16());
        assert_eq!(at("2010-12-01T08:26:00.123456789Z"), Ok("2010-12-01T08:26:00.123456Z".parse().unwrap()));
        assert_eq!(at("1899-12-31T23:59:59Z"), Err(422));
        assert_eq!(at("2999-01-01T00:00:00Z"), Err(422));
    }
}
