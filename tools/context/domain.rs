//! __Name__: a stream for each one. It is opened under a label, and closed once.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Classified, Decider, ErrorKind, EventInfo, Expectation, Facts, Money, PersonalValue, Sensitive};

/// The commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begins the stream.
    Open {
        /// A code, since free text would be personal.
        label: String,
    },
    /// Ends it.
    Close {
        /// A code, too.
        reason: String,
    },
}

/// The events, as they are stored.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    /// The first event of a stream.
    __Name__Opened {
        /// As the command gave it.
        label: String,
    },
    /// The last one.
    __Name__Closed {
        /// As the command gave it.
        reason: String,
    },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::__Name__Opened { .. } | Self::__Name__Closed { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        match self {
            Self::__Name__Opened { .. } | Self::__Name__Closed { .. } => None,
        }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::__Name__Opened { .. } | Self::__Name__Closed { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::__Name__Opened | EventKind::__Name__Closed => None,
        }
    }

    fn name_paths(kind: EventKind) -> &'static [&'static str] {
        match kind {
            EventKind::__Name__Opened => &["label"],
            EventKind::__Name__Closed => &[],
        }
    }

    fn is_refusal(kind: EventKind) -> bool {
        match kind {
            EventKind::__Name__Opened | EventKind::__Name__Closed => false,
        }
    }

    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        match kind {
            EventKind::__Name__Opened | EventKind::__Name__Closed => None,
        }
    }
}

/// The refusals. The name of each, in kebab-case, is the slug of its page in docs/problems/.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    /// A command for a stream that was not begun.
    #[error("there is no such __name__")]
    __Name__NotFound,
    /// It is opened only once.
    #[error("the __name__ exists already")]
    __Name__Exists,
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::__Name__NotFound => ErrorKind::NotFound,
            Self::__Name__Exists => ErrorKind::Conflict,
        }
    }
}

/// The state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum __Name__ {
    /// Not begun.
    #[default]
    Unknown,
    /// Opened, and not closed.
    Open {
        /// Of the command.
        label: String,
    },
    /// Closed for good.
    Closed,
}

impl Decider for __Name__ {
    const STATE_VERSION: u32 = 1;

    fn decide(&self, command: Command, _: &Facts) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Unknown, Command::Open { label }) => Ok(vec![Event::__Name__Opened { label }]),
            (Self::Unknown, Command::Close { .. }) => Err(Error::__Name__NotFound),
            (Self::Open { .. } | Self::Closed, Command::Open { .. }) => Err(Error::__Name__Exists),
            (Self::Open { .. }, Command::Close { reason }) => Ok(vec![Event::__Name__Closed { reason }]),
            (Self::Closed, Command::Close { .. }) => Ok(vec![]),
        }
    }
}

impl __Name__ {
    pub(crate) fn evolve(&mut self, event: Event) {
        *self = match event {
            Event::__Name__Opened { label } => Self::Open { label },
            Event::__Name__Closed { .. } => Self::Closed,
        };
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::{AggregateTestExecutor, TestFramework};
    use proptest::prelude::*;

    use super::*;
    use crate::golden::Sample;

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::__Name__Opened => opened(),
                EventKind::__Name__Closed => closed(),
            }
        }
    }

    fn opened() -> Event {
        Event::__Name__Opened { label: "gold".to_owned() }
    }

    fn closed() -> Event {
        Event::__Name__Closed { reason: "not-needed".to_owned() }
    }

    fn open() -> Command {
        Command::Open { label: "gold".to_owned() }
    }

    fn close() -> Command {
        Command::Close { reason: "not-needed".to_owned() }
    }

    fn facts() -> Facts {
        Facts { now: crate::clock::now() }
    }

    fn given(events: Vec<Event>) -> AggregateTestExecutor<__Name__> {
        TestFramework::<__Name__>::with(facts()).given(events)
    }

    #[test]
    fn it_is_opened_once() {
        given(vec![]).when(open()).then_expect_events(vec![opened()]);
        given(vec![opened()]).when(open()).then_expect_error(Error::__Name__Exists);
        given(vec![opened(), closed()]).when(open()).then_expect_error(Error::__Name__Exists);
    }

    #[test]
    fn closing_it_again_changes_nothing() {
        given(vec![opened()]).when(close()).then_expect_events(vec![closed()]);
        given(vec![opened(), closed()]).when(close()).then_expect_events(vec![]);
    }

    #[test]
    fn one_that_was_never_opened_is_not_found() {
        given(vec![]).when(close()).then_expect_error(Error::__Name__NotFound);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_each_event_happens_at_most_once_and_in_order(
            sent in prop::collection::vec(any::<bool>(), 0..20)
        ) {
            let mut state = __Name__::default();
            let mut happened = Vec::new();
            for opens in sent {
                let events = state.decide(if opens { open() } else { close() }, &facts()).unwrap_or_default();
                for event in events {
                    state.evolve(event.clone());
                    happened.push(event);
                }
            }
            prop_assert!([opened(), closed()].starts_with(&happened), "{happened:?}");
        }
    }
}
