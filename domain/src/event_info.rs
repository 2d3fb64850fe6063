//! What every event says of itself, beside its definition, so that no other code keeps a list of events: the audit
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
/// There are no defaults, and implementations match without a `_` arm: the compiler names each fact that a new event
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
