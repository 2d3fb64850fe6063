//! Every aggregate type, in one table: its name in the log, its context, its icon, its events and its state. The facts
//! of an event are declared beside it ([`EventInfo`]) and found here by its type name.

use std::any::Any;
use std::sync::LazyLock;

use serde_json::Value;
use strum::VariantNames as _;
use uuid::Uuid;

use crate::aggregate_type::AggregateType;
use crate::decider::{Decider, Facts, InCatalog};
use crate::event_info::{EventInfo, EventType, Expectation};
use crate::personal::{PersonalValue, Sensitive};
use crate::{Money, context};

/// Work on an aggregate type that is known by its name only: see [`visit`].
pub trait Visitor {
    /// The result of the work.
    type Output;

    /// Does the work for the aggregate `A`.
    fn visit<A: Decider>(self) -> Self::Output;
}

/// Makes an old stored shape into the next one: `(aggregate type, event type, from version)` and the change of the
/// event's own fields. Rows are only ever added.
pub struct Upcaster {
    pub aggregate_type: &'static str,
    pub event_type: &'static str,
    pub from_version: u32,
    /// `None`: the older shape is read as it is, and is still written (see [`EventInfo::older_version`]).
    pub change: Option<fn(Value) -> Value>,
}

/// The upcasters of this release.
pub const UPCASTERS: &[Upcaster] = &[
    // Version 2 is of a part of a line, and has a cause.
    Upcaster { aggregate_type: "stock", event_type: "StockReleased", from_version: 1, change: None },
    Upcaster { aggregate_type: "stock", event_type: "StockShipped", from_version: 1, change: None },
];

/// The latest version in which this release writes the event.
pub fn version_of(aggregate_type: &str, event_type: &str, upcasters: &[Upcaster]) -> u32 {
    upcasters
        .iter()
        .filter(|row| row.aggregate_type == aggregate_type && row.event_type == event_type)
        .map(|row| row.from_version + 1)
        .max()
        .unwrap_or(1)
}

/// Whether an event that was stored in that version is changed when it is read.
pub fn is_upcast(aggregate_type: &str, event_type: &str, version: u32, upcasters: &[Upcaster]) -> bool {
    upcasters.iter().any(|row| {
        (row.aggregate_type, row.event_type) == (aggregate_type, event_type)
            && row.from_version >= version
            && row.change.is_some()
    })
}

/// Takes a [`Command`] of any type.
pub trait Dispatch {
    type Output;

    /// Takes the command of an aggregate `A`.
    fn take<A: Decider>(self, command: A::Command) -> Self::Output;
}

/// A row: the variant of [`Event`] and [`Command`], the name in the log, the context, the icon, and the module with the
/// names of the aggregate's commands and state in it. Its events are the module's `Event`, its refusals the `Error`.
macro_rules! catalog {
    ($(
        $variant:ident: $type_name:literal in $context:literal, $icon:literal,
        $($module:ident)::+ { $commands:ident, $state:ident };
    )+) => {
        types! {$(
            $variant: $type_name in $context, $icon,
            crate::$($module::)+Event, crate::$($module::)+$commands, crate::$($module::)+Error,
            crate::$($module::)+$state;
        )+}
    };
}

macro_rules! types {
    ($(
        $variant:ident: $type_name:literal in $context:literal, $icon:literal,
        $events:ty, $commands:ty, $errors:ty, $state:ty;
    )+) => {
        /// The aggregate types that this release knows.
        pub const AGGREGATES: &[AggregateType] = &[$(
            AggregateType {
                name: $type_name,
                context: context::in_table($context),
                icon: $icon,
                events: <$events>::VARIANTS,
            },
        )+];

        /// Their names in the log.
        pub const TYPES: &[&str] = &[$($type_name),+];

        static EVENT_TYPES: LazyLock<Vec<EventType>> = LazyLock::new(|| {
            let of_aggregate: &[fn(&'static AggregateType) -> Vec<EventType>] = &[$(EventType::all::<$events>),+];
            AGGREGATES.iter().zip(of_aggregate).flat_map(|(aggregate, all)| all(aggregate)).collect()
        });

        /// Does a visitor's work for the aggregate type of that name. `None`: there is no such type.
        pub fn visit<V: Visitor>(aggregate_type: &str, visitor: V) -> Option<V::Output> {
            match aggregate_type {
                $($type_name => Some(visitor.visit::<$state>()),)+
                _ => None,
            }
        }

        /// Any event of the shop.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($variant($events),)+
        }

        impl Event {
            /// Reads a stored payload, `{"OrderPlaced": {…}}`. `None`: unknown aggregate type.
            pub fn decode(aggregate_type: &str, payload: &str) -> Option<serde_json::Result<Self>> {
                match aggregate_type {
                    $($type_name => Some(serde_json::from_str(payload).map(Self::$variant)),)+
                    _ => None,
                }
            }

            /// Like [`decode`](Self::decode), for a payload that an upcaster changed.
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

            /// The event as `E`, the event type of one aggregate; `None`: it is of another aggregate.
            pub fn downcast<E: 'static>(self) -> Option<E> {
                match self {
                    $(Self::$variant(event) => {
                        let mut event = Some(event);
                        let any: &mut dyn Any = &mut event;
                        any.downcast_mut::<Option<E>>().and_then(Option::take)
                    })+
                }
            }

            /// Like [`downcast`](Self::downcast), of an event that is kept.
            pub fn downcast_ref<E: 'static>(&self) -> Option<&E> {
                let any: &dyn Any = match self {
                    $(Self::$variant(event) => event,)+
                };
                any.downcast_ref()
            }

            /// The person whose data it is about: see [`EventInfo::subject`].
            pub fn subject(&self, stream: Uuid) -> Option<Uuid> {
                match self {
                    $(Self::$variant(event) => event.subject(stream),)+
                }
            }

            /// The one amount that it is about.
            pub fn amount(&self) -> Option<Money> {
                match self {
                    $(Self::$variant(event) => event.amount(),)+
                }
            }
        }

        /// One event of each type, and histories with all of them, for tests over the catalog.
        #[cfg(test)]
        pub(crate) mod samples {
            use strum::{IntoDiscriminant, VariantArray as _};

            use super::*;
            use crate::golden::Sample;

            /// One event of each type.
            pub(crate) fn all() -> Vec<Event> {
                let mut all: Vec<Event> = Vec::new();
                $(
                    let kinds = <$events as IntoDiscriminant>::Discriminant::VARIANTS;
                    all.extend(kinds.iter().map(|kind| Event::from(<$events>::sample(*kind))));
                )+
                all
            }

            /// Each aggregate type with the events of a history, by their names.
            pub(crate) fn histories() -> Vec<(&'static str, Vec<&'static str>)> {
                vec![$(($type_name, <$events>::history().into_iter().map(Into::into).collect())),+]
            }
        }

        impl Sensitive for Event {
            fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
                match self {
                    $(Self::$variant(event) => event.personal(),)+
                }
            }
        }

        /// A command for any aggregate of the shop.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command {
            $($variant($commands),)+
        }

        impl Command {
            /// Passes it to `to` as a command of its own aggregate's type.
            pub fn dispatch<D: Dispatch>(self, to: D) -> D::Output {
                match self {
                    $(Self::$variant(command) => to.take::<$state>(command),)+
                }
            }
        }

        /// An aggregate's state after `history`, as JSON: the content of a snapshot, checked by golden files.
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

            impl cqrs_es::DomainEvent for $events {
                fn event_type(&self) -> String {
                    self.as_ref().to_owned()
                }

                fn event_version(&self) -> String {
                    let latest = || version_of($type_name, self.as_ref(), UPCASTERS);
                    self.older_version().unwrap_or_else(latest).to_string()
                }
            }

            impl InCatalog for $state {}

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
    User: "user" in "user", "◉", user { Command, User };
    Person: "person" in "user", "◎", user::person { Command, Person };
    Product: "product" in "product", "◆", product { Command, Product };
    Stock: "stock" in "inventory", "△", inventory { At, Stock };
    Order: "order" in "order", "▢", order { Command, Order };
    CreditNote: "credit_note" in "order", "◇", order::credit_note { Command, CreditNote };
    Payment: "payment" in "payment", "¤", payment { Command, Payment };
    Registration: "registration" in "identity", "✉", identity::registration { Command, Registration };
    Account: "account" in "identity", "◍", identity::account { Command, Account };
    Session: "session" in "identity", "◌", identity::session { Command, Session };
    SigningKey: "signing_key" in "identity", "✧", identity::signing_key { Command, SigningKey };
    Role: "role" in "identity", "⊞", identity::role { Command, Role };
    Client: "client" in "identity", "⌂", identity::client { Command, Client };
    Gate: "gate" in "identity", "⊓", identity::gate { Command, Gate };
    Cart: "cart" in "cart", "✦", cart { Command, Cart };
    Checkout: "checkout" in "checkout", "▷", checkout { Command, Checkout };
}

/// The aggregate type of that name.
pub fn aggregate(name: &str) -> Option<&'static AggregateType> {
    AGGREGATES.iter().find(|aggregate| aggregate.name == name)
}

/// The context that owns an aggregate type.
pub fn context_of(aggregate_type: &str) -> Option<&'static str> {
    aggregate(aggregate_type).map(|aggregate| aggregate.context)
}

/// Every event type, in the order of the catalog.
pub fn event_types() -> &'static [EventType] {
    &EVENT_TYPES
}

/// The event type of that name.
pub fn event_type(name: &str) -> Option<&'static EventType> {
    EVENT_TYPES.iter().find(|event| event.name == name)
}

/// The event that should follow one of that type.
pub fn expected_after(event_type: &str) -> Option<&'static Expectation> {
    self::event_type(event_type)?.expects.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The event as JSON, read as an event of the aggregate that is visited.
    struct Read<'a>(&'a Event);

    impl Visitor for Read<'_> {
        type Output = [Option<String>; 2];

        fn visit<A: Decider>(self) -> Self::Output {
            let json = |event: &A::Event| serde_json::to_string(event).unwrap();
            [self.0.downcast_ref().map(json), self.0.clone().downcast().as_ref().map(json)]
        }
    }

    #[test]
    fn the_version_of_an_event_is_the_next_after_the_last_that_is_upcast() {
        let upcaster = |aggregate_type, event_type, from_version| Upcaster {
            aggregate_type,
            event_type,
            from_version,
            change: None,
        };
        let all = [
            upcaster("stock", "StockReceived", 1),
            upcaster("stock", "StockReceived", 2),
            upcaster("stock", "StockShipped", 1),
            upcaster("order", "StockReceived", 5),
        ];
        for (aggregate, event, version) in [
            ("stock", "StockReceived", 3),
            ("stock", "StockShipped", 2),
            ("stock", "StockReserved", 1),
            ("order", "StockShipped", 1),
        ] {
            assert_eq!(version_of(aggregate, event, &all), version, "{aggregate} {event}");
        }
        assert!(!is_upcast("stock", "StockReceived", 1, &all), "an older shape that is read as it is");
        let changes = [Upcaster { change: Some(|fields| fields), ..upcaster("stock", "StockReceived", 2) }];
        let upcast = |version| is_upcast("stock", "StockReceived", version, &changes);
        assert!(upcast(1) && upcast(2) && !upcast(3));
    }

    #[test]
    fn an_event_is_read_as_an_event_of_its_own_aggregate_and_of_no_other() {
        for event in samples::all() {
            for aggregate in TYPES {
                let own = (*aggregate == event.aggregate_type()).then(|| event.encode().unwrap());
                assert_eq!(
                    visit(aggregate, Read(&event)).unwrap(),
                    [own.clone(), own],
                    "{event:?} {aggregate}"
                );
            }
        }
    }
}
