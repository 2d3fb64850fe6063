//! The facts that every event states about itself, beside its definition, so that no other code lists events: the audit
//! trail, the search and the pages read it through the [catalog](crate::catalog).

use strum::{IntoDiscriminant, VariantArray, VariantNames};
use uuid::Uuid;

use crate::aggregate_type::AggregateType;
use crate::{Money, Sensitive};

/// An event type without the fields of its events, such as `EventKind::OrderPlaced`.
pub trait EventKind: VariantArray + Copy + Into<&'static str> + 'static {}

impl<K: VariantArray + Copy + Into<&'static str> + 'static> EventKind for K {}

/// The facts that an event states of itself; its personal values are those of [`Sensitive`].
///
/// But for [`older_version`](Self::older_version) there are no defaults, and implementations match without a `_` arm: the compiler names each fact that a new event
/// still has to state. Facts that depend on an event's fields take the event, all others its kind.
pub trait EventInfo: Sensitive + VariantNames + IntoDiscriminant<Discriminant: EventKind> {
    /// The data subject of the event; `stream` is the id of its stream.
    fn subject(&self, stream: Uuid) -> Option<Uuid>;

    /// Its one amount.
    fn amount(&self) -> Option<Money>;

    /// Where [`amount`](Self::amount) is in the event's JSON: the names of the fields with dots between them.
    fn amount_path(kind: Self::Discriminant) -> Option<&'static str>;

    /// Where the event's JSON has the name by which people know its aggregate, such as an order's number: the names of
    /// the fields with dots between them. Several make one name together; none: the event does not tell it.
    fn name_paths(kind: Self::Discriminant) -> &'static [&'static str];

    /// Whether it records a refusal: a request was not done, or can no longer be done.
    fn is_refusal(kind: Self::Discriminant) -> bool;

    /// The version in which it is written, if that is not the latest of its type: an event that needs nothing of the
    /// latest one stays as releases read it that do not know that.
    fn older_version(&self) -> Option<u32> {
        None
    }

    /// The events of which one should follow.
    fn expects(kind: Self::Discriminant) -> Option<Expectation<Self::Discriminant>>;
}

/// After an event, one of some others should follow in the same stream. Nothing is decided by it: it shows a missing
/// step to people who watch the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation<K = &'static str> {
    /// The events of which one is enough.
    pub one_of: Vec<K>,
    /// How long it may take.
    pub within_seconds: i64,
}

/// The facts that hold for every event of one type, for code that knows an event by the name of its type.
#[derive(Debug, Clone)]
pub struct EventType {
    /// In the past tense with its noun, such as `OrderPlaced`. No two aggregate types share one.
    pub name: &'static str,
    /// Its aggregate type.
    pub aggregate: &'static AggregateType,
    /// See [`EventInfo::amount_path`].
    pub amount_path: Option<&'static str>,
    /// See [`EventInfo::name_paths`].
    pub name_paths: &'static [&'static str],
    /// See [`EventInfo::is_refusal`].
    pub is_refusal: bool,
    /// See [`EventInfo::expects`].
    pub expects: Option<Expectation>,
}

impl EventType {
    /// Every event type of `E`, in the order of its variants.
    pub(crate) fn all<E: EventInfo>(aggregate: &'static AggregateType) -> Vec<Self> {
        let of_kind = |kind: &E::Discriminant| Self {
            name: (*kind).into(),
            aggregate,
            amount_path: E::amount_path(*kind),
            name_paths: E::name_paths(*kind),
            is_refusal: E::is_refusal(*kind),
            expects: E::expects(*kind).map(|expected| Expectation {
                one_of: expected.one_of.into_iter().map(Into::into).collect(),
                within_seconds: expected.within_seconds,
            }),
        };
        E::Discriminant::VARIANTS.iter().map(of_kind).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::catalog::{event_type, event_types, samples};
    use crate::{AGGREGATES, Event};

    /// The event's own fields, as they are stored.
    fn fields(event: &Event) -> Value {
        let mut json: Value = serde_json::from_str(&event.encode().unwrap()).unwrap();
        json[event.event_type()].take()
    }

    /// The field at a path with dots between its names.
    fn at<'f>(fields: &'f Value, path: &str) -> &'f Value {
        path.split('.').fold(fields, |value, name| &value[name])
    }

    /// The paths of all amounts, except those in lists.
    fn amounts(value: &Value, path: &str) -> Vec<String> {
        if serde_json::from_value::<Money>(value.clone()).is_ok() {
            return vec![path.to_owned()];
        }
        let fields = value.as_object().into_iter().flatten();
        let below = fields.flat_map(|(name, field)| {
            amounts(field, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") })
        });
        below.collect()
    }

    #[test]
    fn an_event_with_one_amount_outside_of_lists_states_that_amount() {
        let mut count = 0;
        for event in samples::all() {
            let stated = event_type(event.event_type()).unwrap().amount_path;
            let found = amounts(&fields(&event), "");
            match found.as_slice() {
                [only] => {
                    count += 1;
                    assert_eq!(stated, Some(only.as_str()), "{}", event.event_type());
                }
                several => assert!(
                    stated.is_none_or(|path| several.iter().any(|one| one == path)),
                    "{} states the amount at {stated:?}, and has {several:?}",
                    event.event_type()
                ),
            }
        }
        assert!(count >= 5, "prices, orders and credit notes have an amount");
    }

    #[test]
    fn an_event_that_has_the_name_of_its_aggregate_states_where() {
        let mut named = 0;
        for aggregate in AGGREGATES {
            let own = |event: &Event| event.aggregate_type() == aggregate.name;
            let events: Vec<_> = samples::all().into_iter().filter(own).collect();
            let paths = |event: &Event| event_type(event.event_type()).unwrap().name_paths;
            let Some(name) = events.iter().map(paths).find(|paths| !paths.is_empty()) else { continue };
            named += 1;
            assert_eq!(paths(&events[0]), name, "the first event of `{}` names it", aggregate.name);
            for event in &events {
                let fields = fields(event);
                let has_name = name.iter().all(|path| at(&fields, path).is_string());
                let expected = if has_name { name } else { &[] };
                assert_eq!(paths(event), expected, "{}", event.event_type());
            }
        }
        assert!(named >= 4, "products, stocks, orders and credit notes have names");
    }

    #[test]
    fn no_name_of_an_aggregate_is_a_personal_value() {
        for mut event in samples::all() {
            let (name, fields) = (event.event_type().to_owned(), fields(&event));
            let personal: Vec<_> =
                event.personal().into_iter().filter_map(|value| value.jwe().map(str::to_owned)).collect();
            for path in event_type(&name).unwrap().name_paths {
                let text =
                    at(&fields, path).as_str().unwrap_or_else(|| panic!("{name} has no text at {path}"));
                assert!(!personal.iter().any(|value| value == text), "{name}: {path}");
            }
        }
    }

    #[test]
    fn an_event_is_about_the_person_whom_its_stream_or_its_fields_name() {
        let stream = Uuid::from_u128(0x5712_ea4d);
        for aggregate in AGGREGATES {
            let own = |event: &Event| event.aggregate_type() == aggregate.name;
            let events: Vec<_> = samples::all().into_iter().filter(own).collect();
            let stream_is_person = events[0].subject(stream) == Some(stream);
            for event in &events {
                let (name, fields, subject) = (event.event_type(), fields(event), event.subject(stream));
                if stream_is_person {
                    assert_eq!(
                        subject,
                        Some(stream),
                        "{name}: its stream is a person's, as in {:?}",
                        events[0]
                    );
                } else if let Some(customer) = fields.get("customer") {
                    let id = subject.unwrap_or_else(|| panic!("{name} is about its customer")).to_string();
                    assert!(customer.to_string().contains(&id), "{name} is about {id}, not {customer}");
                } else if let Some(id) = subject {
                    assert!(fields.to_string().contains(&id.to_string()), "{name} does not name {id}");
                }
            }
        }
    }

    #[test]
    fn an_event_that_records_a_refusal_is_named_so() {
        for event in event_types() {
            let named_so = ["Refused", "Barred"].iter().any(|end| event.name.ends_with(end));
            assert_eq!(event.is_refusal, named_so, "{}", event.name);
        }
        assert!(event_types().iter().any(|event| event.is_refusal));
    }
}
