//! Every aggregate type there is, in one table: its name in the log, its context, its state and its events.

use serde_json::Value;

use crate::personal::{PersonalValue, Sensitive};
use crate::{Decider, Facts, inventory, order, product, user};

/// Makes an old stored shape into the next one: `(aggregate type, event type, from version)` and the change of the
/// event's own fields. Rows are only ever added.
pub struct Upcaster {
    pub aggregate_type: &'static str,
    pub event_type: &'static str,
    pub from_version: u32,
    pub change: fn(Value) -> Value,
}

/// The upcasters of this release. Empty: no event has a second version yet.
pub const UPCASTERS: &[Upcaster] = &[];

/// The version in which this release writes the event.
pub fn version_of(aggregate_type: &str, event_type: &str, upcasters: &[Upcaster]) -> u32 {
    upcasters
        .iter()
        .filter(|row| row.aggregate_type == aggregate_type && row.event_type == event_type)
        .map(|row| row.from_version + 1)
        .max()
        .unwrap_or(1)
}

macro_rules! catalog {
    ($($variant:ident: $type_name:literal in $context:literal, $events:ty, $commands:ty, $errors:ty, $state:ty;)+) => {
        /// The types in the log that this release knows, with the context that owns each.
        pub const TYPES: &[(&str, &str)] = &[$(($type_name, $context)),+];

        /// Any event of the shop.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($variant($events),)+
        }

        impl Event {
            /// Reads a payload as stored, `{"OrderPlaced": {…}}`. `None`: the type is none of ours.
            pub fn decode(aggregate_type: &str, payload: &str) -> Option<serde_json::Result<Self>> {
                match aggregate_type {
                    $($type_name => Some(serde_json::from_str(payload).map(Self::$variant)),)+
                    _ => None,
                }
            }

            /// Like [`decode`](Self::decode), of what an upcaster made.
            pub fn decode_value(aggregate_type: &str, payload: Value) -> Option<serde_json::Result<Self>> {
                match aggregate_type {
                    $($type_name => Some(serde_json::from_value(payload).map(Self::$variant)),)+
                    _ => None,
                }
            }

            pub fn encode(&self) -> serde_json::Result<String> {
                match self {
                    $(Self::$variant(event) => serde_json::to_string(event),)+
                }
            }

            pub fn aggregate_type(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $type_name,)+
                }
            }

            /// Past tense with its noun, such as `OrderPlaced`.
            pub fn event_type(&self) -> &str {
                match self {
                    $(Self::$variant(event) => event.as_ref(),)+
                }
            }
        }

        impl Sensitive for Event {
            fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
                match self {
                    $(Self::$variant(event) => event.personal(),)+
                }
            }
        }

        /// An aggregate's state after `history`, as JSON: what a snapshot holds, and what golden files guard.
        pub fn fold_to_json(history: &[Event]) -> serde_json::Result<Value> {
            match history.first() {
                None => Ok(Value::Null),
                $(Some(Event::$variant(_)) => {
                    let mut state = <$state>::default();
                    for event in history {
                        if let Event::$variant(event) = event {
                            cqrs_es::Aggregate::apply(&mut state, event.clone());
                        }
                    }
                    serde_json::to_value(&state)
                })+
            }
        }

        /// Type name and version of the state's code, for each.
        pub fn state_types() -> Vec<(&'static str, u32)> {
            vec![$(($type_name, <$state as Decider>::STATE_VERSION)),+]
        }

        $(
            impl From<$events> for Event {
                fn from(event: $events) -> Self {
                    Self::$variant(event)
                }
            }

            impl TryFrom<Event> for $events {
                type Error = Event;

                fn try_from(event: Event) -> Result<Self, Event> {
                    match event {
                        Event::$variant(event) => Ok(event),
                        other => Err(other),
                    }
                }
            }

            impl cqrs_es::DomainEvent for $events {
                fn event_type(&self) -> String {
                    self.as_ref().to_owned()
                }

                fn event_version(&self) -> String {
                    version_of($type_name, self.as_ref(), UPCASTERS).to_string()
                }
            }

            impl cqrs_es::Aggregate for $state {
                const TYPE: &'static str = $type_name;
                type Command = $commands;
                type Event = $events;
                type Error = $errors;
                type Services = Facts;

                async fn handle(
                    &mut self,
                    command: $commands,
                    facts: &Facts,
                    sink: &cqrs_es::event_sink::EventSink<Self>,
                ) -> Result<(), $errors> {
                    for event in self.decide(command, facts)? {
                        sink.write(event, self).await;
                    }
                    Ok(())
                }

                fn apply(&mut self, event: $events) {
                    self.evolve(event);
                }
            }
        )+
    };
}

catalog! {
    User: "user" in "user", user::Event, user::Command, user::Error, user::User;
    Person: "person" in "user", user::person::Event, user::person::Command, user::person::Error, user::person::Person;
    Product: "product" in "product", product::Event, product::Command, product::Error, product::Product;
    Stock: "stock" in "inventory", inventory::Event, inventory::At, inventory::Error, inventory::Stock;
    Order: "order" in "order", order::Event, order::Command, order::Error, order::Order;
    CreditNote: "credit_note" in "order", order::credit_note::Event, order::credit_note::Command,
        order::credit_note::Error, order::credit_note::CreditNote;
}

/// The context that owns an aggregate type.
pub fn context_of(aggregate_type: &str) -> Option<&'static str> {
    TYPES.iter().find(|(name, _)| *name == aggregate_type).map(|(_, context)| *context)
}
