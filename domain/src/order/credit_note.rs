//! Credit notes: money given back. They move no stock.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Customer, Line, total};
use crate::claim::scope;
use crate::ids::OrderId;
use crate::{
    Classified, Decider, ErrorKind, EventInfo, Expectation, Facts, Hold, Money, PersonalValue, Sensitive,
};

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Issue {
        number: String,
        /// The order it credits, where it is known.
        order_id: Option<OrderId>,
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
        customer: Customer,
        lines: Vec<Line>,
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
    Lines(#[from] super::Error),
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::CreditNoteExists => ErrorKind::Conflict,
            Self::Lines(error) => error.kind(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CreditNote {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
}

impl Decider for CreditNote {
    const STATE_VERSION: u32 = 1;

    fn decide(&self, command: Command, _: &Facts) -> Result<Vec<Event>, Error> {
        let Command::Issue { number, order_id, customer, lines, country } = command;
        if self.number.is_some() {
            return Err(Error::CreditNoteExists);
        }
        let total = total(&lines)?;
        Ok(vec![Event::CreditNoteIssued { number, order_id, customer, lines, total, country }])
    }

    fn holds(&self, event: &Event) -> Vec<Hold> {
        let Event::CreditNoteIssued { number, .. } = event;
        vec![Hold::one(scope::CREDIT_NOTE_NUMBER, number)]
    }
}

impl CreditNote {
    pub(crate) fn evolve(&mut self, event: Event) {
        let Event::CreditNoteIssued { number, total, .. } = event;
        (self.number, self.total) = (Some(number), Some(total));
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::{AggregateTestExecutor, TestFramework};

    use super::*;
    use crate::Currency;
    use crate::golden::{Sample, gbp, order_id, person_id};
    use crate::ids::UserId;
    use crate::order::tests::{EUR, line, placement, sold};
    use crate::order::{self, Placement};

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::CreditNoteIssued => Self::CreditNoteIssued {
                    number: "C536379".to_owned(),
                    order_id: Some(order_id()),
                    customer: Customer::User(UserId(person_id())),
                    lines: vec![sold(1, 1, 1_299)],
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
        Command::Issue { number: "C1".into(), order_id: Some(OrderId(Uuid::nil())), customer, lines, country }
    }

    fn issued(lines: Vec<Line>, total: i64) -> Event {
        let Placement { customer, lines, country, .. } = placement(lines);
        let total = Money::new(total, Currency::GBP);
        let order_id = Some(OrderId(Uuid::nil()));
        Event::CreditNoteIssued { number: "C1".into(), order_id, customer, lines, total, country }
    }

    #[test]
    fn a_credit_note_is_issued_once() {
        let lines = vec![line(1, 2, 500), line(2, 1, 1)];
        given(vec![]).when(issue(lines.clone())).then_expect_events(vec![issued(lines.clone(), 1_001)]);
        given(vec![issued(lines.clone(), 1_001)])
            .when(issue(lines))
            .then_expect_error(Error::CreditNoteExists);
    }

    #[test]
    fn what_an_order_refuses_of_lines_a_credit_note_refuses_too() {
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
            given(vec![]).when(issue(lines)).then_expect_error(Error::Lines(order::Error::BadLines));
        }
        let too_many = (1..=1_501).map(|number| line(number, 1, 1)).collect();
        given(vec![]).when(issue(too_many)).then_expect_error(Error::Lines(order::Error::BadLines));
        given(vec![])
            .when(issue(vec![line(1, 2, i64::MAX)]))
            .then_expect_error(Error::Lines(order::Error::TotalTooLarge));
    }

    #[test]
    fn a_refusal_of_lines_has_the_same_slug_and_kind_as_an_orders() {
        for refused in [order::Error::BadLines, order::Error::TotalTooLarge] {
            let error = Error::Lines(refused.clone());
            assert_eq!((error.as_ref(), error.kind()), (refused.as_ref(), refused.kind()));
        }
        assert_eq!(Error::CreditNoteExists.as_ref(), "credit-note-exists");
    }

    #[test]
    fn a_credit_note_holds_its_number() {
        let hold = vec![Hold::one(scope::CREDIT_NOTE_NUMBER, "C1")];
        assert_eq!(CreditNote::default().holds(&issued(vec![line(1, 1, 1)], 1)), hold);
    }
}
