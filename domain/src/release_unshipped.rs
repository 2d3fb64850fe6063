//! The process manager that gives back the stock of orders that were confirmed and never shipped: after a number of
//! days it cancels them, and [`fulfilment`](crate::fulfilment) then releases their stock. One instance per order. Off
//! unless the days are set.
//!
//! The days count from when the process reads the confirmation: started on an old log, it cancels nothing at once.

use serde::{Deserialize, Serialize};
use strum::VariantNames;
use uuid::Uuid;

use crate::process::{self, Input, ProcessManager, Target, Wake};
use crate::{Command, Event, order};

/// The code that a cancelled order gives as its reason.
pub const REASON: &str = "not-shipped-in-time";

/// The timeout until which the order is to be shipped.
const SHIPMENT: &str = "shipment";

/// The process manager.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReleaseUnshipped {
    /// How long a confirmed order may wait to be shipped; 0: for ever.
    pub after_days: u16,
}

/// A command that the process sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Task {
    Cancel,
}

/// The reaction to an input.
pub type Reaction = process::Reaction<Task>;

#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum Phase {
    #[default]
    New,
    Waiting,
    Cancelling,
    Ended,
}

/// One instance: one order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    phase: Phase,
}

impl ProcessManager for ReleaseUnshipped {
    type State = State;
    type Task = Task;

    const NAME: &'static str = "release-unshipped";
    const FOLLOWS: &'static [&'static str] = &["order"];
    const STEPS: &'static [&'static str] = <Phase as VariantNames>::VARIANTS;
    const TIMEOUTS: &'static [&'static str] = &[SHIPMENT];

    fn is_on(&self) -> bool {
        self.after_days > 0
    }

    fn instance(&self, stream: Uuid, event: &Event) -> Option<String> {
        let Event::Order(event) = event else { return None };
        // An order without a confirmation has no instance yet.
        let concerns = !matches!(
            event,
            order::Event::OrderPlaced { .. }
                | order::Event::OrderRefused { .. }
                | order::Event::OrderCredited { .. }
                | order::Event::OrderPaymentAdded { .. }
                | order::Event::OrderPaymentStopped { .. }
                | order::Event::OrderChargeBegun { .. }
                | order::Event::OrderChargeEnded { .. }
                | order::Event::OrderRepaymentBegun { .. }
                | order::Event::OrderRepaymentEnded { .. }
        );
        concerns.then(|| stream.to_string())
    }

    fn react(&self, state: &mut State, input: Input<'_, Task>) -> Reaction {
        let (phase, reaction) = match (state.phase, input) {
            (Phase::New, Input::Event { event: Event::Order(order::Event::OrderConfirmed {}), .. }) => {
                let wake_after = vec![Wake::in_days(SHIPMENT, self.after_days)];
                (Phase::Waiting, Reaction { wake_after, ..Reaction::default() })
            }
            (
                Phase::Waiting | Phase::Cancelling,
                Input::Event {
                    event: Event::Order(order::Event::OrderShipped {} | order::Event::OrderCancelled { .. }),
                    ..
                },
            ) => {
                let stop_waiting = vec![SHIPMENT];
                (Phase::Ended, Reaction { drop_unsent: true, stop_waiting, ..Reaction::default() })
            }
            (Phase::Waiting, Input::TimedOut { name: SHIPMENT }) => {
                (Phase::Cancelling, Reaction { tasks: vec![Task::Cancel], ..Reaction::default() })
            }
            // It was shipped meanwhile, or else it can neither be cancelled nor be left alone.
            (Phase::Cancelling, Input::Refused { slug, .. }) => {
                let failed = slug != "wrong-order-state";
                (Phase::Ended, Reaction { failed, ..Reaction::default() })
            }
            (phase, _) => (phase, Reaction::default()),
        };
        state.phase = phase;
        reaction
    }

    fn purpose(task: &Task) -> (&'static str, String) {
        match task {
            Task::Cancel => ("cancel", String::new()),
        }
    }

    fn targets(instance: &str, task: Task) -> Option<Vec<Target>> {
        let Task::Cancel = task;
        let command = Command::Order(order::Command::Cancel { reason: REASON.to_owned() });
        Some(vec![Target { command_type: "order.cancel", stream: instance.parse().ok()?, command }])
    }

    fn step(state: &State) -> &'static str {
        state.phase.into()
    }

    fn subject(instance: &str) -> Option<(&'static str, Uuid)> {
        Some(("order", instance.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::CreditNoteId;
    use crate::process::{Process, command_id};
    use crate::{Currency, Money, text};

    const ORDER: Uuid = Uuid::from_u128(1);

    fn confirmed() -> Event {
        Event::Order(order::Event::OrderConfirmed {})
    }

    fn shipped() -> Event {
        Event::Order(order::Event::OrderShipped {})
    }

    fn cancelled() -> Event {
        Event::Order(order::Event::OrderCancelled { reason: "a-test".to_owned() })
    }

    #[test]
    fn a_credit_begins_no_instance() {
        let credited = Event::Order(order::Event::OrderCredited {
            credit_note_id: CreditNoteId(ORDER),
            lines: Vec::new(),
            total: Money::new(1, Currency::GBP),
            earlier: false,
        });
        let process = ReleaseUnshipped { after_days: 3 };
        assert_eq!(ProcessManager::instance(&process, ORDER, &credited), None);
        assert!(ProcessManager::instance(&process, ORDER, &confirmed()).is_some());
    }

    fn react(state: &mut State, input: Input<'_, Task>) -> Reaction {
        ProcessManager::react(&ReleaseUnshipped { after_days: 3 }, state, input)
    }

    fn hear(state: &mut State, event: &Event) -> Reaction {
        react(state, Input::Event { stream: ORDER, event })
    }

    fn step(state: &State) -> &'static str {
        <ReleaseUnshipped as ProcessManager>::step(state)
    }

    /// A state after a confirmation, and then after the time is up.
    fn waiting() -> State {
        let mut state = State::default();
        hear(&mut state, &confirmed());
        state
    }

    fn cancelling() -> State {
        let mut state = waiting();
        react(&mut state, Input::TimedOut { name: SHIPMENT });
        state
    }

    #[test]
    fn a_confirmed_order_waits_for_the_configured_days() {
        let mut state = State::default();
        let reaction = hear(&mut state, &confirmed());
        let wake_after = vec![Wake { name: SHIPMENT, seconds: 3 * 86_400 }];
        assert_eq!(reaction, Reaction { wake_after, ..Reaction::default() });
        assert_eq!(step(&state), "waiting");
    }

    #[test]
    fn an_order_that_was_not_shipped_in_time_is_cancelled() {
        let mut state = waiting();
        let reaction = react(&mut state, Input::TimedOut { name: SHIPMENT });
        assert_eq!(reaction, Reaction { tasks: vec![Task::Cancel], ..Reaction::default() });
        assert_eq!(step(&state), "cancelling");
    }

    #[test]
    fn a_shipped_or_cancelled_order_is_not_cancelled_again() {
        for event in [shipped(), cancelled()] {
            for mut state in [waiting(), cancelling()] {
                let reaction = hear(&mut state, &event);
                let stop_waiting = vec![SHIPMENT];
                let ends = Reaction { drop_unsent: true, stop_waiting, ..Reaction::default() };
                assert_eq!(reaction, ends, "{event:?}");
                for input in [
                    Input::TimedOut { name: SHIPMENT },
                    Input::Event { stream: ORDER, event: &confirmed() },
                    Input::Refused { task: &Task::Cancel, slug: "wrong-order-state" },
                ] {
                    assert_eq!(react(&mut state, input), Reaction::default(), "{event:?}");
                }
                assert_eq!(step(&state), "ended");
            }
        }
    }

    #[test]
    fn an_order_whose_confirmation_was_not_read_is_ignored() {
        for event in [shipped(), cancelled()] {
            let mut state = State::default();
            assert_eq!(hear(&mut state, &event), Reaction::default());
            assert_eq!(react(&mut state, Input::TimedOut { name: SHIPMENT }), Reaction::default());
            assert_eq!(state, State::default());
        }
    }

    #[test]
    fn a_refused_cancellation_is_not_tried_again() {
        let mut state = cancelling();
        let refused = Input::Refused { task: &Task::Cancel, slug: "wrong-order-state" };
        assert_eq!(react(&mut state, refused), Reaction::default());
        assert_eq!(step(&state), "ended");
        assert_eq!(react(&mut state, Input::TimedOut { name: SHIPMENT }), Reaction::default());
    }

    #[test]
    fn a_cancellation_that_is_refused_for_another_reason_is_a_failure() {
        let refused = Input::Refused { task: &Task::Cancel, slug: "order-not-found" };
        let failed = Reaction { failed: true, ..Reaction::default() };
        assert_eq!(react(&mut cancelling(), refused), failed);
    }

    #[test]
    fn an_order_that_was_never_confirmed_has_no_instance() {
        let process = ReleaseUnshipped { after_days: 3 };
        for event in [confirmed(), shipped(), cancelled()] {
            assert_eq!(Process::instance(&process, ORDER, &event), Some(ORDER.to_string()));
        }
        let refusal =
            order::Refusal { line: 1, sku: text::Sku::try_new("MUG").unwrap(), reason: "x".to_owned() };
        let refused = Event::Order(order::Event::OrderRefused { refusal });
        assert_eq!(Process::instance(&process, ORDER, &refused), None);
    }

    #[test]
    fn the_task_cancels_the_order_with_a_valid_reason_code() {
        assert_eq!(text::code(REASON).unwrap(), REASON);
        let input = Uuid::from_u128(2);
        let process = ReleaseUnshipped::default();
        let (id, targets) =
            Process::command(&process, &ORDER.to_string(), input, r#"{"do":"cancel"}"#).unwrap();
        assert_eq!(id, command_id("release-unshipped", &ORDER.to_string(), input, ("cancel", "")));
        let command = Command::Order(order::Command::Cancel { reason: REASON.to_owned() });
        assert_eq!(targets, [Target { command_type: "order.cancel", stream: ORDER, command }]);
        assert_eq!(serde_json::to_string(&Task::Cancel).unwrap(), r#"{"do":"cancel"}"#);
        assert_eq!(serde_json::to_string(&cancelling()).unwrap(), r#"{"phase":"cancelling"}"#);
    }

    /// The inputs that may come, in any order and any number of times.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Confirmed,
        Shipped,
        Cancelled,
        Refused,
        TimedOut,
    }

    proptest! {
        #[test]
        fn an_order_is_cancelled_at_most_once_and_never_after_it_was_shipped(
            steps in proptest::collection::vec(
                prop_oneof![
                    Just(Step::Confirmed), Just(Step::Shipped), Just(Step::Cancelled), Just(Step::Refused),
                    Just(Step::TimedOut),
                ],
                0..20,
            ),
        ) {
            let (mut state, mut sent, mut over) = (State::default(), 0, false);
            for step in steps {
                let reaction = match step {
                    Step::Confirmed => hear(&mut state, &confirmed()),
                    Step::Shipped => hear(&mut state, &shipped()),
                    Step::Cancelled => hear(&mut state, &cancelled()),
                    Step::Refused => react(&mut state, Input::Refused { task: &Task::Cancel, slug: "x" }),
                    Step::TimedOut => react(&mut state, Input::TimedOut { name: SHIPMENT }),
                };
                sent += reaction.tasks.len();
                prop_assert!(!over || (reaction.tasks.is_empty() && reaction.wake_after.is_empty()));
                over |= matches!(step, Step::Shipped | Step::Cancelled) && state != State::default();
            }
            prop_assert!(sent <= 1);
        }
    }
}
