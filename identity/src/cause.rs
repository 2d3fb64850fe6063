//! The cause of a change, as it is stored beside the facts.

use soonshop_domain::{Actor, ActorKind, Channel, Metadata};
use uuid::Uuid;

/// The actor who caused a change, and the request.
#[derive(Debug, Clone)]
pub struct Cause {
    pub actor: Actor,
    pub correlation: Option<Uuid>,
    /// The session that they are signed in with.
    pub session: Option<Uuid>,
    /// The W3C trace context of the request.
    pub traceparent: Option<String>,
}

impl Cause {
    /// Someone, outside of a request.
    pub fn of(actor: Actor) -> Self {
        Self { actor, correlation: None, session: None, traceparent: None }
    }

    /// This crate itself, on nobody's behalf.
    pub fn system() -> Self {
        Self::of(Actor::system("identity"))
    }

    /// The same request, by the owner of the account.
    pub(crate) fn by_owner(&self, account: Uuid, staff: bool, session: Option<Uuid>) -> Self {
        let kind = if staff { ActorKind::Staff } else { ActorKind::Customer };
        Self { actor: Actor { kind, id: account.to_string() }, session, ..self.clone() }
    }

    /// The metadata of a fact. The channel is that of a process, as its command is one: its record is kept as long.
    pub(crate) fn metadata(&self, command: &str) -> Metadata {
        Metadata {
            correlation_id: self.correlation,
            command_type: Some(command.to_owned()),
            actor_kind: Some(self.actor.kind),
            actor_id: Some(self.actor.id.clone()),
            channel: Some(Channel::Process),
            traceparent: self.traceparent.clone(),
            session_id: self.session,
            ..Metadata::default()
        }
    }
}
