//! The metadata of an event (who, why, from where), stored as a flat map of strings.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::personal::Personal;

/// The kind of an actor.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::EnumString,
    strum::EnumIter,
    strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ActorKind {
    Guest,
    Customer,
    Staff,
    Service,
    System,
}

/// The channel of a command.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::EnumString,
    strum::EnumIter,
    strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Channel {
    Storefront,
    Admin,
    Api,
    Webhook,
    Import,
    Process,
    Job,
    Cli,
}

/// The kind of an actor. A process manager acts as `system:<its name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub kind: ActorKind,
    pub id: String,
}

impl Actor {
    pub fn system(name: &str) -> Self {
        Self { kind: ActorKind::System, id: name.to_owned() }
    }

    pub fn guest(id: impl Into<String>) -> Self {
        Self { kind: ActorKind::Guest, id: id.into() }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// A key without a value is not written. No names, addresses or IPs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Everything caused by one request shares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// The event that caused this one; absent where a person's command began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<Uuid>,
    /// `<type>.<command>`, such as `order.place`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_kind: Option<ActorKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// `<kind>:<id>` of the actor who caused what a process does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// Free text, and so personal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_note: Option<Personal<String>>,
    /// The name of the key of the person that the note is about: its text is encrypted under this key first, and the
    /// result under its writer's. Only the store sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_note_about: Option<String>,
    /// W3C trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The session that the caller was signed in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
}

impl Metadata {
    pub fn actor(&self) -> Option<Actor> {
        Some(Actor { kind: self.actor_kind?, id: self.actor_id.clone().unwrap_or_default() })
    }
}
