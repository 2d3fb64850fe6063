//! Credit notes: money given back. They move no stock. One for an order is issued in the same append in which the order
//! agrees ([`order::Command::Credit`](super::Command::Credit)).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Customer, Line, sum, total};
use crate::claim::scope;
use crate::ids::OrderId;
use crate::{
    Classified, Decider, ErrorKind, EventInfo, Expectation, Facts, Hold, Money, PersonalValue, Sensitive,
};

/// Where the credit notes of an order are found: the aggregate type, its event, and the field with the order's id.
pub const BY_ORDER: [&str; 3] = ["credit_note", "CreditNoteIssued", "order_id"];

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// For an order, whose lines and prices it has.
    IssueForOrder {
        number: String,
        order_id: OrderId,
        customer: Customer,
        lines: Vec<Line>,
        /// For each line, the number of the order's line.
        order_lines: Vec<u32>,
        country: String,
    },
    /// Without an order, as an import does whose file names none: nobody knows what was charged.
    Issue {
        number: String,
        customer: Customer,
        /// Quantities and prices are positive: what is credited.
        lines: Vec<Line>,
        country: String,
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
    CreditNoteIssued {
        number: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<OrderId>,
        /// It was issued without an order on purpose. Earlier releases left out the order's id and said nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        without_order: bool,
        customer: Customer,
        lines: Vec<Line>,
        /// For each line, the number of the order's line. Empty where no order was asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        order_lines: Vec<u32>,
        total: Money,
        country: String,
    },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::CreditNoteIssued { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        match self {
            Self::CreditNoteIssued { customer, .. } => Some(customer.subject()),
        }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::CreditNoteIssued { total, .. } => Some(*total),
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::CreditNoteIssued => Some("total"),
        }
    }

    fn name_paths(kind: EventKind) -> &'static [&'static str] {
        match kind {
            EventKind::CreditNoteIssued => &["number"],
        }
    }

    fn is_refusal(kind: EventKind) -> bool {
        match kind {
            EventKind::CreditNoteIssued => false,
        }
    }

    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        match kind {
            EventKind::CreditNoteIssued => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("the credit note exists already")]
    CreditNoteExists,
    #[error(transparent)]
    #[strum(transparent)]
    Order(#[from] super::Error),
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::CreditNoteExists => ErrorKind::Conflict,
            Self::Order(error) => error.kind(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CreditNote {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// The order that it credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// It was issued without an order on purpose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_order: bool,
}

impl Decider for CreditNote {
    const STATE_VERSION: u32 = 2;

    fn decide(&self, command: Command, _: &Facts) -> Result<Vec<Event>, Error> {
        if self.number.is_some() {
            return Err(Error::CreditNoteExists);
        }
        let event = match command {
            Command::IssueForOrder { number, order_id, customer, lines, order_lines, country } => {
                if lines.len() != order_lines.len() {
                    return Err(super::Error::BadLines.into());
                }
                Event::CreditNoteIssued {
                    number,
                    order_id: Some(order_id),
                    without_order: false,
                    customer,
                    // The order has the ceiling: nothing goes back that was not charged.
                    total: sum(&lines)?,
                    lines,
                    order_lines,
                    country,
                }
            }
            Command::Issue { number, customer, lines, country } => Event::CreditNoteIssued {
                number,
                order_id: None,
                without_order: true,
                customer,
                total: total(&lines)?,
                lines,
                order_lines: Vec::new(),
                country,
            },
        };
        Ok(vec![event])
    }

    fn holds(&self, event: &Event) -> Vec<Hold> {
        let Event::CreditNoteIssued { number, .. } = event;
        vec![Hold::number(scope::CREDIT_NOTE_NUMBER, number)]
    }
}

impl CreditNote {
    pub(crate) fn evolve(&mut self, event: Event) {
        let Event::CreditNoteIssued { number, total, order_id, without_order, .. } = event;
        (self.number, self.total) = (Some(number), Some(total));
        (self.order_id, self.without_order) = (order_id, without_order);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::{AggregateTestExecutor, TestFramework};

    use super::*;
    use crate::golden::{Sample, gbp, order_id, person_id};
    use crate::ids::UserId;
    use crate::money::MOST_AMOUNT;
    use crate::order::tests::{EUR, line, placement, sold};
    use crate::order::{self, Placement};

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::CreditNoteIssued => Self::CreditNoteIssued {
                    number: "C536379".to_owned(),
                    order_id: Some(order_id()),
                    without_order: false,
                    customer: Customer::User(UserId(person_id())),
                    lines: vec![sold(1, 1, 1_299)],
                    order_lines: Vec::new(),
                    total: gbp(1_299),
                    country: "United Kingdom".to_owned(),
                },
            }
        }
    }

    fn given(events: Vec<Event>) -> AggregateTestExecutor<CreditNote> {
        TestFramework::<CreditNote>::with(Facts { now: crate::clock::now() }).given(events)
    }

    fn issue(lines: Vec<Line>) -> Command {
        let Placement { customer, lines, country, .. } = placement(lines);
        Command::Issue { number: "C1".into(), customer, lines, country }
    }

    fn issue_for_order(lines: Vec<Line>, order_lines: Vec<u32>) -> Command {
        let Placement { customer, lines, country, .. } = placement(lines);
        let order_id = OrderId(Uuid::nil());
        Command::IssueForOrder { number: "C1".into(), order_id, customer, lines, order_lines, country }
    }

    fn issued(lines: Vec<Line>, total: i64, order_id: Option<OrderId>, order_lines: Vec<u32>) -> Event {
        let Placement { customer, lines, country, .. } = placement(lines);
        let (number, total, without_order) = ("C1".into(), gbp(total), order_id.is_none());
        Event::CreditNoteIssued {
            number,
            order_id,
            without_order,
            customer,
            lines,
            order_lines,
            total,
            country,
        }
    }

    #[test]
    fn a_credit_note_is_issued_once() {
        let lines = vec![line(1, 2, 500), line(2, 1, 1)];
        let without = issued(lines.clone(), 1_001, None, vec![]);
        let of_order = issued(lines.clone(), 1_001, Some(OrderId(Uuid::nil())), vec![4, 2]);
        for (command, event) in
            [(issue(lines.clone()), without), (issue_for_order(lines, vec![4, 2]), of_order)]
        {
            given(vec![]).when(command.clone()).then_expect_events(vec![event.clone()]);
            given(vec![event]).when(command).then_expect_error(Error::CreditNoteExists);
        }
    }

    #[test]
    fn a_credit_note_for_an_order_names_the_orders_line_of_each_of_its_lines() {
        for order_lines in [vec![], vec![1], vec![1, 2, 3]] {
            given(vec![])
                .when(issue_for_order(vec![line(1, 2, 500), line(2, 1, 1)], order_lines))
                .then_expect_error(Error::Order(order::Error::BadLines));
        }
    }

    #[test]
    fn the_fields_that_came_later_are_stored_as_they_are_and_left_out_where_they_are_empty() {
        let stored = |name: &str| {
            let file = format!("{}/tests/golden/added/{name}.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(file).unwrap().trim_end().to_owned()
        };
        let lines = || vec![sold(1, 1, 1_299)];
        let order = issued(lines(), 1_299, Some(order_id()), vec![2]);
        for (event, name) in [
            (order, "CreditNoteIssued.order_lines"),
            (issued(lines(), 1_299, None, vec![]), "CreditNoteIssued.without_order"),
        ] {
            let golden = stored(name);
            assert_eq!(serde_json::to_string(&event).unwrap(), golden);
            assert_eq!(serde_json::from_str::<Event>(&golden).unwrap(), event);
        }
        let earlier = serde_json::to_string(&Event::sample(EventKind::CreditNoteIssued)).unwrap();
        assert!(!earlier.contains("without_order") && !earlier.contains("order_lines"), "{earlier}");
    }

    #[test]
    fn a_credit_note_refuses_the_lines_that_an_order_refuses() {
        let mut euros = line(2, 1, 1);
        euros.price.currency = EUR.parse().unwrap();
        let bad = [
            vec![],
            vec![line(2, 1, 1)],
            vec![line(1, 0, 1)],
            vec![line(1, 1, -1)],
            vec![line(1, 1, 1), euros],
        ];
        for lines in bad {
            given(vec![]).when(issue(lines)).then_expect_error(Error::Order(order::Error::BadLines));
        }
        let too_many = (1..=1_501).map(|number| line(number, 1, 1)).collect();
        given(vec![]).when(issue(too_many)).then_expect_error(Error::Order(order::Error::BadLines));
        for lines in
            [vec![line(1, 2, i64::MAX)], vec![line(1, 1, i64::MAX)], vec![line(1, 1, MOST_AMOUNT + 1)]]
        {
            given(vec![]).when(issue(lines)).then_expect_error(Error::Order(order::Error::TotalTooLarge));
        }
        let highest = vec![line(1, 1, MOST_AMOUNT)];
        given(vec![]).when(issue(highest.clone())).then_expect_events(vec![issued(
            highest,
            MOST_AMOUNT,
            None,
            vec![],
        )]);
    }

    #[test]
    fn a_refusal_of_lines_has_the_same_slug_and_kind_as_an_orders() {
        for refused in
            [order::Error::BadLines, order::Error::TotalTooLarge, order::credits::Error::NotInOrder.into()]
        {
            let error = Error::Order(refused.clone());
            assert_eq!((error.as_ref(), error.kind()), (refused.as_ref(), refused.kind()));
        }
        assert_eq!(Error::CreditNoteExists.as_ref(), "credit-note-exists");
    }

    #[test]
    fn the_credit_notes_of_an_order_are_found_by_their_type_event_and_field() {
        let stored = serde_json::to_value(Event::sample(EventKind::CreditNoteIssued)).unwrap();
        let [aggregate_type, event, field] = BY_ORDER;
        assert_eq!(<CreditNote as cqrs_es::Aggregate>::TYPE, aggregate_type);
        assert_eq!(stored[event][field], serde_json::json!(order_id()));
    }

    #[test]
    fn a_credit_note_holds_its_number() {
        let hold = vec![Hold::one(scope::CREDIT_NOTE_NUMBER, "C1")];
        assert_eq!(CreditNote::default().holds(&issued(vec![line(1, 1, 1)], 1, None, vec![])), hold);
    }
}
