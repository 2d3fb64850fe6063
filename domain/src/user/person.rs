//! A data subject: the person behind a user or guest id, as an aggregate of erasures.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Classified, Decider, ErrorKind, EventInfo, Expectation, Facts, Money, PersonalValue, Purpose, Sensitive,
};

/// How long an erasure may take before it counts as overdue, in seconds. With a running eraser it takes seconds.
const ERASURE_SECONDS: i64 = 15 * 60;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    RequestErasure {
        purposes: Vec<Purpose>,
    },
    /// The keys are gone, and every cache of keys has expired.
    ConfirmErasure {
        purposes: Vec<Purpose>,
    },
    /// Changes nothing, and is refused once an erasure was requested for this purpose, or for any if none is named: what
    /// the person takes over from then on would outlive it.
    TakeOver {
        purpose: Option<Purpose>,
    },
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    ErasureRequested { purposes: Vec<Purpose> },
    PersonErased { purposes: Vec<Purpose> },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::ErasureRequested { .. } | Self::PersonErased { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, stream: Uuid) -> Option<Uuid> {
        match self {
            Self::ErasureRequested { .. } | Self::PersonErased { .. } => Some(stream),
        }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::ErasureRequested { .. } | Self::PersonErased { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::ErasureRequested | EventKind::PersonErased => None,
        }
    }

    fn name_paths(kind: EventKind) -> &'static [&'static str] {
        match kind {
            EventKind::ErasureRequested | EventKind::PersonErased => &[],
        }
    }

    fn is_refusal(kind: EventKind) -> bool {
        match kind {
            EventKind::ErasureRequested | EventKind::PersonErased => false,
        }
    }

    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        match kind {
            EventKind::ErasureRequested => {
                Some(Expectation { one_of: vec![EventKind::PersonErased], within_seconds: ERASURE_SECONDS })
            }
            EventKind::PersonErased => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("this erasure was not requested")]
    ErasureNotRequested,
    #[error("the person was erased, and nothing new about them is kept")]
    PersonErased,
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ErasureNotRequested => ErrorKind::Conflict,
            Self::PersonErased => ErrorKind::Gone,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub requested: Vec<Purpose>,
    pub erased: Vec<Purpose>,
}

impl Decider for Person {
    const STATE_VERSION: u32 = 1;

    /// Why a person was erased stays readable: it is what the shop has to account for.
    fn note_about(&self, _event: &Event, _stream: Uuid) -> Option<Uuid> {
        None
    }

    fn decide(&self, command: Command, _: &Facts) -> Result<Vec<Event>, Error> {
        let missing = |mut purposes: Vec<Purpose>, have: &[Purpose]| -> Vec<Purpose> {
            purposes.sort_unstable();
            purposes.dedup();
            purposes.retain(|purpose| !have.contains(purpose));
            purposes
        };
        match command {
            Command::RequestErasure { purposes } => {
                let purposes = missing(purposes, &self.requested);
                Ok(if purposes.is_empty() { vec![] } else { vec![Event::ErasureRequested { purposes }] })
            }
            Command::ConfirmErasure { purposes } => {
                if purposes.iter().any(|purpose| !self.requested.contains(purpose)) {
                    return Err(Error::ErasureNotRequested);
                }
                let purposes = missing(purposes, &self.erased);
                Ok(if purposes.is_empty() { vec![] } else { vec![Event::PersonErased { purposes }] })
            }
            Command::TakeOver { purpose } => {
                let concerns = |one: &Purpose| purpose.is_none_or(|purpose| purpose == *one);
                if self.requested.iter().any(concerns) { Err(Error::PersonErased) } else { Ok(vec![]) }
            }
        }
    }
}

impl Person {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::ErasureRequested { purposes } => self.requested.extend(purposes),
            Event::PersonErased { purposes } => self.erased.extend(purposes),
        }
    }
}
