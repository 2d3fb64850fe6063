//! Deciding a command: from a state to the events and claims of an append.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use cqrs_es::DomainEvent as _;
use soonshop_domain::claim::scope;
use soonshop_domain::{Decider, Facts, Hold, Metadata, PersonalValue, Sensitive, ids};
use soonshop_event_log::note;
use uuid::Uuid;

use crate::aggregate_cache::Slot;
use crate::appender::{Answer, Claim, Expected, NewEvent, Request};
use crate::command::CommandContext;
use crate::keys::EncryptError;
use crate::owners::claim_hash;
use crate::parts_read::PartsRead;
use crate::snapshot::{SNAPSHOT_EVERY, Snapshot, snapshot_of};
use crate::{EventStore, ExecuteError, LARGEST_EVENT};

/// The version of the normal forms of unique values, which are hashed.
const FORM: i16 = 1;

/// The part of one aggregate in an append.
pub(crate) struct Draft {
    pub(crate) expected: Expected,
    pub(crate) version: i64,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) holds: Vec<Hold>,
    /// `<type>:<id>`.
    pub(crate) owner: String,
    pub(crate) round: u64,
    /// The slot's counter: set to `version` once the append succeeds.
    pub(crate) confirmed: Arc<AtomicI64>,
    /// A snapshot to write once the append succeeds.
    pub(crate) snapshot: Option<Snapshot>,
}

/// Why nothing was drafted, and on which state this was decided.
pub(crate) enum Decided<E> {
    Draft(Draft),
    /// Refused by the state at this version.
    Refused(ExecuteError<E>, Expected),
}

/// The note in metadata: free text, so it is personal.
struct Note<'a>(&'a mut Metadata);

impl Sensitive for Note<'_> {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        self.0.reason_note.iter_mut().map(|note| note as &mut dyn PersonalValue).collect()
    }
}

impl EventStore {
    /// Has the state in memory, with the parts that the command reads, and decides.
    pub(crate) async fn draft<A: Decider>(
        &self,
        slot: &mut Slot<A>,
        id: Uuid,
        command: A::Command,
        context: &CommandContext,
        parts: Option<PartsRead<A>>,
    ) -> Result<Decided<A::Error>, ExecuteError<A::Error>> {
        self.fill(slot, id, context).await?;
        let lent = self.lend_parts(slot, id, &command, context, parts).await?;
        let decided = self.decide(slot, id, command, context).await;
        for key in lent {
            slot.now().return_part(&key);
        }
        decided
    }

    /// Decides on the slot's state, encrypts, and moves the state ahead as if the append had succeeded: the stream's
    /// next command builds on it.
    async fn decide<A: Decider>(
        &self,
        slot: &mut Slot<A>,
        id: Uuid,
        command: A::Command,
        context: &CommandContext,
    ) -> Result<Decided<A::Error>, ExecuteError<A::Error>> {
        let name = id.to_string();
        let now = slot.now();
        let expected = Expected {
            aggregate_type: A::TYPE,
            aggregate_id: name.clone(),
            sequence: now.version,
            event_id: now.last,
        };
        if let Some(requested) = context.expected.filter(|requested| *requested != now.version) {
            return Ok(Decided::Refused(
                ExecuteError::Stale { expected: requested, actual: now.version },
                expected,
            ));
        }
        let facts = Facts { now: context.occurred_at };
        let mut events = match now.state.decide(command, &facts) {
            Ok(events) => events,
            Err(error) => return Ok(Decided::Refused(ExecuteError::Rejected(error), expected)),
        };
        let mut metadata = context.metadata.clone();
        metadata.command_id = Some(context.command_id);
        let person = events.iter().find_map(|event| now.state.note_about(event, id));
        let encrypted = match self.keys.encrypt(&mut events).await {
            Ok(()) if !events.is_empty() => self.encrypt_note(&mut metadata, person).await,
            encrypted => encrypted,
        };
        match encrypted {
            Ok(()) => {}
            // The command may have been done before the person was erased: then it gets the same answer as before.
            Err(EncryptError::Erased) => return Ok(Decided::Refused(ExecuteError::Erased, expected)),
            Err(error) => return Err(error.into()),
        }
        let metadata = if events.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&metadata).map_err(|error| ExecuteError::Fault(error.to_string()))?
        };
        let mut new = Vec::with_capacity(events.len());
        for (sequence, event) in (now.version + 1..).zip(&events) {
            let payload =
                serde_json::to_string(event).map_err(|error| ExecuteError::Fault(error.to_string()))?;
            if payload.len() > LARGEST_EVENT {
                return Err(ExecuteError::TooLarge { size: payload.len() });
            }
            new.push(NewEvent {
                aggregate_type: A::TYPE,
                aggregate_id: name.clone(),
                sequence,
                event_type: event.event_type(),
                event_version: event.event_version(),
                payload,
                metadata: metadata.clone(),
                event_id: ids::new(),
                occurred_at: context.occurred_at,
            });
        }
        let mut holds: Vec<Hold> = Vec::new();
        for (mut event, stored) in events.into_iter().zip(&new) {
            for hold in slot.now().state.holds(&event) {
                holds.retain(|earlier| earlier.scope != hold.scope);
                holds.push(hold);
            }
            event.personal().into_iter().for_each(PersonalValue::close);
            slot.draft(event, stored.event_id);
        }
        let now = slot.now();
        let version = now.version;
        let due = version / SNAPSHOT_EVERY > expected.sequence / SNAPSHOT_EVERY;
        let snapshot = if due { snapshot_of(now) } else { None };
        let owner = format!("{}:{id}", A::HOLDER);
        Ok(Decided::Draft(Draft {
            expected,
            version,
            events: new,
            holds,
            owner,
            round: slot.round,
            confirmed: Arc::clone(&slot.confirmed),
            snapshot,
        }))
    }

    /// Encrypts the note under its writer's key, and before that under a key of the person that it is about. The keys of
    /// the events are there by now.
    async fn encrypt_note(&self, metadata: &mut Metadata, person: Option<Uuid>) -> Result<(), EncryptError> {
        let new = metadata.reason_note.as_ref();
        let new = new.and_then(|note| Some((note.pending_key()?.0, note.get()?.clone())));
        if let Some((writer, text)) = new {
            let draft = note::about(self.keys.store(), text, writer, person).await?;
            metadata.reason_note = Some(draft.note);
            metadata.reason_note_about = draft.about;
        }
        self.keys.encrypt(&mut [Note(metadata)]).await
    }

    pub(crate) async fn request<E>(
        &self,
        drafts: &[&Draft],
        context: &CommandContext,
    ) -> Result<Request, ExecuteError<E>> {
        let mut request = bare(context, drafts.iter().map(|draft| draft.expected.clone()).collect());
        request.answer.version = drafts.first().map(|draft| draft.version);
        let import = context.import_key.iter().map(|key| Hold::one(scope::IMPORT, key.clone()));
        for (number, draft) in drafts.iter().enumerate() {
            request.events.extend(draft.events.iter().cloned());
            let imported = import.clone().filter(|_| number == 0 && !draft.events.is_empty());
            for hold in draft.holds.iter().cloned().chain(imported) {
                let keys = self.keys.claim_keys().await?;
                if draft.expected.sequence > 0 && hold.scope != scope::IMPORT {
                    request.frees.push((hold.scope, draft.owner.clone()));
                }
                for value in &hold.values {
                    request.claims.extend(keys.iter().map(|(key_id, key)| Claim {
                        scope: hold.scope,
                        key_id: *key_id,
                        value: claim_hash(key, hold.scope, value),
                        form: FORM,
                        owner: draft.owner.clone(),
                    }));
                }
                request.claim_keys = keys.iter().map(|(key_id, _)| *key_id).collect();
            }
        }
        Ok(request)
    }
}

pub(crate) fn bare(context: &CommandContext, streams: Vec<Expected>) -> Request {
    Request {
        command_id: context.command_id,
        fingerprint: context.fingerprint.clone(),
        record: context.record,
        answer: Answer {
            kind: context.kind,
            reference: context.reference.clone(),
            detail: context.detail.clone(),
            ..Answer::default()
        },
        streams,
        claims: Vec::new(),
        frees: Vec::new(),
        claim_keys: Vec::new(),
        events: Vec::new(),
        deadline: context.deadline,
    }
}
