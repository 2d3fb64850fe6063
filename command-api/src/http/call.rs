//! The request of a command: caller, command id and headers; and the access to the event store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::http::request::Parts;
use axum::response::Response;
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde::Serialize;
use soonshop_domain::claim::scope;
use soonshop_domain::text::Sku;
use soonshop_domain::user::User;
use soonshop_domain::{ActorKind, Channel, Decider, Metadata, Money, Personal, clock, ids, inventory, user};
use soonshop_event_store::{CommandContext, EarlierForm, EventStore, ExecuteError, Executed, Joined};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{Access, Caller, KnownGuest, Owner, Permission};
use soonshop_service_kit::headers::{IF_MATCH, IfMatch, IfNoneMatch, Represented, prefer_wait};
use soonshop_service_kit::json_text::JsonText;
use soonshop_service_kit::serve::RequestContext;
use soonshop_service_kit::work::{Turn, Work, caller_of};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answer::{answer, recorded, refused, render, unreadable};
use super::body::{Input, stored};
use super::headers::{
    CHANNEL, IMPORT_KEY, Key, ON_BEHALF_OF, REASON_NOTE, channel, idempotency_key, note, on_behalf_of,
    reason, text,
};
use super::path::{self, Parameters};
use super::privileged::{self, OCCURRED_AT};
use super::represented;
use super::row::Row;
use super::state::{Commands, OfferedProvider};

/// A command on its way from its request to the event store.
pub(crate) struct Call {
    pub(crate) store: EventStore,
    access: Access,
    /// The provider of payments that new payments are made with.
    pub(crate) provider: Option<OfferedProvider>,
    row: Arc<Row>,
    caller: Caller,
    /// The name that the command's id and meaning are made of.
    known_as: String,
    /// The guest who begins to exist by it.
    begins: Option<KnownGuest>,
    parts: Parts,
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
    /// How long the caller waits for what becomes of it.
    wait: Option<Duration>,
    work: Work,
    stop: CancellationToken,
    key: Option<Key>,
    command_id: Uuid,
    fingerprint: Vec<u8>,
    /// See [`CommandContext::earlier`].
    earlier: Vec<Vec<u8>>,
    metadata: Metadata,
    /// The customer or guest for whom the caller acts.
    represented: Option<Represented>,
    detail: Option<String>,
    import_key: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
    /// The id of the part that it adds to a thing: its `Location` names it.
    adds: Option<Uuid>,
    body: JsonText,
}

impl Call {
    /// Reads the parts that are the same for all commands. [`body`](Self::body) parses the body, and
    /// [`parameters`](Self::parameters) the path.
    pub(crate) async fn read(
        commands: &Commands,
        row: &Arc<Row>,
        has_body: bool,
        request: Request,
    ) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Ok(context) = RequestContext::from_request_parts(&mut parts, &()).await;
        let headers = &parts.headers;
        let caller = commands.access.caller(headers).await?;
        caller.count(Row::CLASS).await?;
        caller.must(row.permission, "this command")?;
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(Problem::malformed("invalid-query", "there are no parameters here"));
        }
        let if_match = if row.needs_if_match() {
            Some(IfMatch::required(headers)?)
        } else {
            IfMatch::optional(headers)?
        };
        let if_none_match = IfNoneMatch::optional(headers)?;
        let wait = if row.is_waited_for() { prefer_wait(headers)? } else { None };
        let key = idempotency_key(headers, caller.role, row.key)?;
        let import_key =
            text(headers, &IMPORT_KEY, "X-Import-Key", 200, |b| b == b' ' || b.is_ascii_graphic())?;
        let channel = channel(headers)?;
        let through =
            if channel == Some(Channel::Import) { Permission::Override } else { Permission::ActOnBehalf };
        for (sent, name, permission) in [
            (headers.contains_key(IMPORT_KEY), "X-Import-Key", Permission::Override),
            (headers.contains_key(CHANNEL), "X-Channel", through),
            (headers.contains_key(ON_BEHALF_OF), "X-On-Behalf-Of", Permission::ActOnBehalf),
            (headers.contains_key(REASON_NOTE), "X-Reason-Note", Permission::ActOnBehalf),
        ] {
            if sent {
                caller.must(permission, name).map_err(|problem| problem.with("header", name))?;
            }
        }
        let represented = on_behalf_of(headers)?;
        if let Some(named) = &represented {
            represented::check(commands, named).await?;
        }
        let on_behalf_of = represented.as_ref().map(ToString::to_string);
        let reason_note = note(headers, &caller)?;
        let reason_code = reason(headers)?;

        let Identified { caller, known_as, command_id, begins } =
            identified(&commands.access, caller, row, key.as_ref());
        let actor = caller.actor.clone();
        let actor_kind = actor.kind;
        let body = if has_body { JsonText::read(headers, body).await? } else { nothing_in(body).await? };
        let metadata = Metadata {
            correlation_id: Some(context.correlation_id),
            command_type: Some(row.command.to_owned()),
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
            session_id: caller.session,
            ..Metadata::default()
        };
        Ok(Self {
            store: commands.store.clone(),
            access: commands.access.clone(),
            provider: commands.provider,
            row: Arc::clone(row),
            caller,
            known_as,
            begins,
            parts,
            if_match,
            if_none_match,
            wait,
            work: commands.work.clone(),
            stop: commands.stop.clone(),
            key,
            command_id,
            fingerprint: Vec::new(),
            earlier: Vec::new(),
            metadata,
            represented,
            detail: None,
            import_key,
            occurred_at: None,
            adds: None,
            body,
        })
    }

    /// 403 where so much money back asks for a second factor that the caller has not given.
    pub(crate) fn may_refund(&self, amount: Money) -> Result<(), Problem> {
        self.access.may_refund(&self.caller, amount)
    }

    /// The guest who begins to exist by it, and gets a token with its answer.
    pub(crate) fn begins(&self) -> Option<KnownGuest> {
        self.begins
    }

    /// How long the caller waits for what becomes of it; `None`: they do not.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// A turn of those who wait at the same time; `None`: all are taken.
    pub(crate) async fn turn_to_wait(&self) -> Option<Turn> {
        self.work.waiting(caller_of(&self.caller, &self.parts.extensions)).await.ok()
    }

    /// Passes that time. Whether the process goes on after it.
    pub(crate) async fn goes_on_for(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Who sent it.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The customer or guest for whom the caller acts.
    pub(super) fn represented(&self) -> Option<&Represented> {
        self.represented.as_ref()
    }

    pub(crate) fn import_key(&self) -> Option<&str> {
        self.import_key.as_deref()
    }

    /// Whether this import was done before, by this very command or another.
    pub(crate) async fn imported(&self) -> Result<bool, Problem> {
        let Some(key) = &self.import_key else { return Ok(false) };
        self.store.owner_of(scope::IMPORT, key).await.map(|owner| owner.is_some()).map_err(unreadable)
    }

    /// Whether this is the e-mail address that a user has; of a user who is not there, any is.
    pub(crate) async fn has_address(
        &self,
        id: Uuid,
        sent: Option<&Personal<String>>,
    ) -> Result<bool, Problem> {
        let User::Active { mut details, .. } = self.store.load::<User>(id).await.map_err(refused)?.0 else {
            return Ok(true);
        };
        self.store.keys().store().decrypt(&mut [&mut details]).await.map_err(unreadable)?;
        Ok(details.email.as_ref().and_then(Personal::get) == sent.and_then(Personal::get))
    }

    /// The row that it was routed by.
    pub(super) fn row(&self) -> &Row {
        &self.row
    }

    /// The holders of API keys.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The body, once the caller is known to be permitted all its fields.
    pub(crate) async fn body<B: Input>(&mut self) -> Result<B, Problem> {
        let as_sent = self.stored_as_sent(self.body.sent_in(SKU)).await?;
        let body: B = self.body.parse_but(&as_sent)?;
        if B::PRIVILEGED.is_empty() {
            return Ok(body);
        }
        let value = serde_json::to_value(&body).map_err(Problem::internal)?;
        privileged::check(B::PRIVILEGED, &value, &self.caller)?;
        if B::PRIVILEGED.contains(&OCCURRED_AT) {
            let at: Option<DateTime<Utc>> =
                serde_json::from_value(value["occurred_at"].clone()).map_err(Problem::internal)?;
            self.occurred_at = at.map(happened).transpose()?;
        }
        Ok(body)
    }

    /// More fields of its success; kept with it, so that a repeat has the same.
    pub(crate) fn say(&mut self, detail: Option<String>) {
        self.detail = detail;
    }

    /// Whether its business time is not before that moment. Where none was sent, it is at least that moment from here on:
    /// another machine's clock may have been ahead.
    pub(crate) fn is_not_before(&mut self, at: DateTime<Utc>) -> bool {
        match self.occurred_at {
            Some(own) => own >= at,
            None => {
                self.occurred_at = Some(at).filter(|at| *at > clock::now());
                true
            }
        }
    }

    /// The reason to store beside its events, unless the caller gave one.
    pub(crate) fn because(&mut self, reason: &str) {
        self.metadata.reason_code.get_or_insert_with(|| reason.to_owned());
    }

    /// Whether it has a reason to store beside its events.
    pub(crate) fn has_reason(&self) -> bool {
        self.metadata.reason_code.is_some()
    }

    /// The customer or guest on whose behalf it is sent.
    pub(crate) fn represented_id(&self) -> Option<Uuid> {
        self.represented.as_ref().map(|represented| represented.id)
    }

    /// Whether it is sent on behalf of a customer or a guest.
    pub(crate) fn is_for_somebody(&self) -> bool {
        self.represented.is_some()
    }

    /// The id of the part that it adds to a thing.
    pub(crate) fn adds(&mut self, part: Uuid) {
        self.adds = Some(part);
    }

    /// The parameters of the path.
    pub(crate) async fn parameters<P: Parameters>(&mut self) -> Result<P, Problem> {
        let sent = path::sent::<P>(&mut self.parts).await?;
        let skus = sent.iter().filter(|(name, _)| name == SKU).map(|(_, sku)| sku.clone());
        let as_sent = self.stored_as_sent(skus.collect()).await?;
        P::parse(&sent, &as_sent)
    }

    /// Of these texts the SKUs that release 0.1 stored with characters that nobody sees: there is no SKU as the text is
    /// understood, and there is one as it was sent.
    async fn stored_as_sent(&self, sent: BTreeSet<String>) -> Result<BTreeSet<String>, Problem> {
        let mut found = BTreeSet::new();
        for text in sent {
            let Some(stored) = Sku::stored_otherwise(&text) else { continue };
            let other = match Sku::try_new(&text) {
                Ok(understood) => self.is_there(&understood).await?,
                Err(_) => false,
            };
            if !other && self.is_there(&stored).await? {
                found.insert(text);
            }
        }
        Ok(found)
    }

    /// Whether a product has the SKU, or there is stock of it.
    async fn is_there(&self, sku: &Sku) -> Result<bool, Problem> {
        let owner = self.store.owner_of(scope::SKU, sku.as_str()).await.map_err(unreadable)?;
        if owner.is_some() {
            return Ok(true);
        }
        let stock = inventory::stream(sku, inventory::MAIN);
        Ok(self.store.version::<inventory::Stock>(stock).await.map_err(refused)? > 0)
    }

    /// Keeps what the command means: its target and its body as they were understood, in one form. A repeated command is
    /// known by its meaning, however it is written.
    pub(crate) async fn understand(&mut self, target: &[String], body: &[u8]) -> Result<(), Problem> {
        let name = self.known_as.clone();
        let if_match = self.if_match.as_ref().map(ToString::to_string).unwrap_or_default();
        let method = self.row.method.as_str();
        let mut meaning = vec![FORM, name.as_bytes(), method.as_bytes(), self.row.path.as_bytes()];
        meaning.extend(target.iter().map(String::as_bytes));
        meaning.extend([if_match.as_bytes(), body]);
        let keys = self.store.keys();
        self.fingerprint = keys.fingerprint(&meaning).await.map_err(unreadable)?;
        let Some(key) = &self.key else { return Ok(()) };
        let mut own_forms = Vec::new();
        if let Some(import_key) = &self.import_key {
            // At first the key of an import was no part of the meaning.
            own_forms.push(std::mem::take(&mut self.fingerprint));
            meaning.push(import_key.as_bytes());
            self.fingerprint = keys.fingerprint(&meaning).await.map_err(unreadable)?;
        }
        // Before 0.2 the id was made of the path as it was sent, and the fingerprint of the bytes.
        let sent = self.parts.headers.get(IF_MATCH).map_or(&b""[..], |value| value.as_bytes());
        let mut paths = vec![self.parts.uri.path().to_owned(), path::of(self.row.path, target)];
        paths.dedup();
        let mut texts = vec![key.text.as_str(), key.sent.as_str()];
        texts.dedup();
        let mut forms = Vec::new();
        for path in &paths {
            let bytes =
                [name.as_bytes(), method.as_bytes(), path.as_bytes(), sent, self.body.value().as_bytes()];
            let fingerprint = keys.fingerprint(&bytes).await.map_err(unreadable)?;
            forms.extend(texts.iter().map(|text| EarlierForm {
                command_id: command_id_of(&name, &self.row, path, text),
                fingerprint: fingerprint.clone(),
            }));
        }
        let (own, others): (Vec<_>, Vec<_>) =
            forms.into_iter().partition(|form| form.command_id == self.command_id);
        self.earlier = own.into_iter().map(|form| form.fingerprint).chain(own_forms).collect();
        // A command that is recorded in an earlier form has that form's id from here on, so that whatever is made of
        // the id (a new stream, above all) is what it was then.
        if let Some(form) = self.store.recorded_form::<user::Error>(&others).await.map_err(refused)? {
            (self.command_id, self.fingerprint) = (form.command_id, form.fingerprint);
        }
        Ok(())
    }

    /// The id of the stream that this command begins: always the same for the same command.
    pub(crate) fn new_stream(&self) -> Uuid {
        ids::stream_of(self.command_id)
    }

    /// Whether this very command was done before: then its answer is what it was, whatever changed since.
    pub(crate) async fn was_done(&self) -> Result<bool, Problem> {
        let form = EarlierForm { command_id: self.command_id, fingerprint: self.fingerprint.clone() };
        let recorded = self.store.recorded_form::<user::Error>(&[form]).await.map_err(refused)?;
        Ok(recorded.is_some())
    }

    /// 128 bits that nobody can guess, and that are the same whenever the command is sent again.
    pub(crate) async fn secret(&self, purpose: &str) -> Result<String, Problem> {
        let parts = [purpose.as_bytes(), self.command_id.as_bytes()];
        let made = self.store.keys().fingerprint(&parts).await.map_err(unreadable)?;
        let bits = made.first_chunk::<16>().ok_or_else(|| Problem::internal("a fingerprint is too short"))?;
        Ok(Uuid::from_bytes(*bits).simple().to_string())
    }

    fn context(&self, id: Uuid, expected: Option<i64>) -> CommandContext {
        let mut context =
            CommandContext::new(self.command_id, self.fingerprint.clone(), self.metadata.clone());
        context.earlier.clone_from(&self.earlier);
        context.occurred_at = self.occurred_at.unwrap_or(context.occurred_at);
        context.expected = expected;
        context.import_key.clone_from(&self.import_key);
        context.kind = self.row.success.kind();
        context.reference = self.row.location(self.parts.uri.path(), self.adds.unwrap_or(id));
        context.detail.clone_from(&self.detail);
        context
    }

    /// The version to expect first; `None`: any.
    fn expected(&self) -> Option<i64> {
        match &self.if_match {
            Some(IfMatch::OneOf(versions)) => Some(versions.first().copied().unwrap_or(NO_VERSION)),
            Some(IfMatch::Any) | None => None,
        }
    }

    /// Another version of the list in `If-Match`, which is the one that the stream has.
    fn other<E>(&self, tried: Option<i64>, done: &Result<Executed, ExecuteError<E>>) -> Option<i64> {
        let Err(ExecuteError::Stale { actual, .. }) = done else { return None };
        let named = self.if_match.as_ref().is_some_and(|requested| requested.names(*actual));
        (named && tried != Some(*actual)).then_some(*actual)
    }

    /// Decides the command and appends its events.
    pub(crate) async fn execute<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
    ) -> Result<Response, Problem> {
        let done = self.attempt::<A>(id, command.clone()).await;
        answer::<A>(id, command, done)
    }

    /// Like [`execute`](Self::execute), with a body made of the state that the command led to: of that very state also
    /// where the answer is repeated. The body holds nothing personal, as no answer does.
    pub(crate) async fn answer<A: Decider, R: Serialize>(
        &self,
        id: Uuid,
        command: A::Command,
        body: fn(Uuid, &A) -> R,
    ) -> Result<Response, Problem> {
        let done = self.attempt::<A>(id, command.clone()).await;
        let recorded = recorded::<A>(command, done)?;
        let state = self.store.load_at::<A>(id, recorded.version.unwrap_or(0)).await.map_err(refused)?;
        Ok(render(&recorded, &body(id, &state)))
    }

    /// Like [`execute`](Self::execute), for callers that handle the refusal.
    pub(crate) async fn attempt<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        self.check_preconditions::<A>(id).await?;
        self.matching(id, |context| Box::pin(self.store.execute::<A>(id, command.clone(), context))).await
    }

    /// Like [`attempt`](Self::attempt), together with a command of another aggregate that has a say: its refusal is one
    /// of the first's, made by `refusal`.
    pub(crate) async fn attempt_joined<A: Decider, B: Decider>(
        &self,
        first: (Uuid, A::Command),
        second: (Uuid, B::Command),
        refusal: fn(B::Error) -> A::Error,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        let others = || vec![Joined::new::<B>(second.0, second.1.clone(), refusal)];
        self.attempt_all::<A>(first, others).await
    }

    /// Like [`attempt`](Self::attempt), together with commands of other aggregates, up to three.
    pub(crate) async fn attempt_all<A: Decider>(
        &self,
        (id, command): (Uuid, A::Command),
        others: impl Fn() -> Vec<Joined<A::Error>>,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        self.check_preconditions::<A>(id).await?;
        let joined = |context| {
            let mut all = vec![Joined::new::<A>(id, command.clone(), |error| error)];
            all.extend(others());
            Box::pin(self.store.execute_all(all, context))
        };
        self.matching(id, joined).await
    }

    /// Executes it with the version that `If-Match` names; of several with the one that the stream has.
    async fn matching<E, F: Future<Output = Result<Executed, ExecuteError<E>>>>(
        &self,
        id: Uuid,
        execute: impl Fn(CommandContext) -> F,
    ) -> Result<Executed, ExecuteError<E>> {
        let mut expected = self.expected();
        loop {
            let done = execute(self.context(id, expected)).await;
            match self.other(expected, &done) {
                Some(actual) => expected = Some(actual),
                None => return done,
            }
        }
    }

    /// `If-Match: *` expects that there is something; `If-None-Match` that there is nothing, or no version that it names
    /// (RFC 9110, section 13.1.2).
    async fn check_preconditions<A: Decider>(&self, id: Uuid) -> Result<(), ExecuteError<A::Error>> {
        // What is new cannot be there.
        let none_of = self.if_none_match.as_ref().filter(|_| self.row.of != Owner::New);
        let any = self.if_match == Some(IfMatch::Any);
        if !any && none_of.is_none() {
            return Ok(());
        }
        let actual = self.store.version::<A>(id).await?;
        let unwanted = actual > 0 && none_of.is_some_and(|unwanted| unwanted.has(actual));
        if unwanted || (any && actual == 0) {
            return Err(ExecuteError::Stale { expected: NO_VERSION, actual });
        }
        Ok(())
    }

    /// Like [`execute`](Self::execute), together with a command of another aggregate of the same id.
    pub(crate) async fn execute_with<A: Decider, B: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
        other: B::Command,
    ) -> Result<Response, Problem> {
        let both = |context| {
            let (first, second) = ((id, command.clone()), (id, other.clone()));
            Box::pin(self.store.execute_both::<A, B>(first, second, context))
        };
        let done = match self.check_preconditions::<A>(id).await {
            Ok(()) => self.matching(id, both).await,
            Err(error) => Err(error),
        };
        answer::<A>(id, command, done)
    }

    /// Facts changed so that the command would be refused today. If it was done before, its outcome is what it was then:
    /// a new stream is only ever begun by its own command. `again` is refused by a stream that exists.
    pub(crate) async fn unless_done<A: Decider>(
        &self,
        id: Uuid,
        again: A::Command,
        problem: Problem,
    ) -> Result<Result<Executed, ExecuteError<A::Error>>, Problem> {
        let version = self.store.version::<A>(id).await.map_err(refused)?;
        if version == 0 { Err(problem) } else { Ok(self.attempt::<A>(id, again).await) }
    }
}

/// The form of the fingerprint: its first part, which no fingerprint of an earlier form has.
const FORM: &[u8] = b"2";

/// The name of fields and parameters with a SKU.
const SKU: &str = "sku";

/// No stream has it.
const NO_VERSION: i64 = -1;

/// Guests without a token.
const ANONYMOUS: &str = "guest:anonymous";

/// A caller, and the command that they sent.
struct Identified {
    caller: Caller,
    known_as: String,
    command_id: Uuid,
    begins: Option<KnownGuest>,
}

/// A guest's first command is the same command when it is sent again, without the token as with it: its answer, and the token
/// in it, may have been lost.
fn identified(access: &Access, caller: Caller, row: &Row, key: Option<&Key>) -> Identified {
    let known_as = caller.actor.to_string();
    let Some(key) = key else {
        return Identified { caller, known_as, command_id: ids::new(), begins: None };
    };
    // The route, not the target: a key that is used again for another target is a key that is used again.
    let command_id = command_id_of(&known_as, row, row.path, &key.text);
    if caller.is_anonymous() && row.begins_a_guest() && access.has_people() {
        let guest = KnownGuest { id: ids::derived(command_id, &["guest"]), first_command: command_id };
        return Identified { caller: caller.as_guest(guest), known_as, command_id, begins: Some(guest) };
    }
    let as_first = command_id_of(ANONYMOUS, row, row.path, &key.text);
    let is_first = caller.guest.is_some_and(|guest| guest.first_command == as_first);
    let (known_as, command_id) =
        if is_first { (ANONYMOUS.to_owned(), as_first) } else { (known_as, command_id) };
    Identified { caller, known_as, command_id, begins: None }
}

fn command_id_of(caller: &str, row: &Row, path: &str, key: &str) -> Uuid {
    ids::derived(ids::COMMANDS, &[caller, row.method.as_str(), path, key])
}

/// An absent body.
async fn nothing_in(body: Body) -> Result<JsonText, Problem> {
    match axum::body::to_bytes(body, 0).await {
        Ok(_) => Ok(JsonText::default()),
        Err(_) => Err(Problem::malformed("unexpected-body", "nothing is taken in the body here")),
    }
}

/// Business time: in whole microseconds, not before 1900 and not in the future (but for clocks that differ).
fn happened(at: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let latest = clock::now() + TimeDelta::minutes(5);
    if at.year() < 1900 || at > latest {
        let detail = "what happened, happened between 1900 and now";
        return Err(Problem::invalid("invalid-body", detail).with_pointer("/occurred_at"));
    }
    Ok(stored(at))
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
