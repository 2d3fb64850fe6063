//! The process manager that ends carts in which nothing was changed for a number of days. One instance per cart.
//!
//! The days count from when the process reads the last change: started on an old log, it ends no cart at once.

use serde::{Deserialize, Serialize};
use strum::VariantNames;
use uuid::Uuid;

use crate::process::{self, Input, ProcessManager, Target, Wake};
use crate::{Command, Event, cart};

/// After how many days without a change a cart expires, unless the shop says otherwise.
pub const CART_DAYS: u16 = 30;

/// The timeout until which something is to change.
const EXPIRY: &str = "expiry";

/// The slug of the refusal of a cart that was changed meanwhile.
const CART_CHANGED: &str = "cart-changed";

/// The process manager.
#[derive(Debug, Clone, Copy, Default)]
pub struct CartExpiry {
    /// After how many days without a change a cart expires; 0: never.
    pub after_days: u16,
}

/// A command that the process sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Task {
    Expire {
        /// The changes that the cart had, where the process has seen all of them: with others it does not end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<u32>,
    },
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
    Open,
    Expiring,
    Ended,
}

/// One instance: one cart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    phase: Phase,
    /// How often the cart was changed; `None` where its first event is older than the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<u32>,
}

impl ProcessManager for CartExpiry {
    type State = State;
    type Task = Task;

    const NAME: &'static str = "cart-expiry";
    const FOLLOWS: &'static [&'static str] = &["cart"];
    const STEPS: &'static [&'static str] = <Phase as VariantNames>::VARIANTS;
    const TIMEOUTS: &'static [&'static str] = &[EXPIRY];

    fn is_on(&self) -> bool {
        self.after_days > 0
    }

    fn instance(&self, stream: Uuid, event: &Event) -> Option<String> {
        matches!(event, Event::Cart(_)).then(|| stream.to_string())
    }

    fn react(&self, state: &mut State, input: Input<'_, Task>) -> Reaction {
        state.changes = match &input {
            Input::Event { event: Event::Cart(cart::Event::CartStarted { .. }), .. } => Some(1),
            Input::Event { event: Event::Cart(_), .. } => state.changes.map(|changes| changes + 1),
            _ => state.changes,
        };
        let (phase, reaction) = match (state.phase, input) {
            (
                _,
                Input::Event {
                    event:
                        Event::Cart(
                            cart::Event::CartMerged { .. }
                            | cart::Event::CartExpired {}
                            | cart::Event::CartCheckedOut { goes_on: false, .. },
                        ),
                    ..
                },
            ) => (
                Phase::Ended,
                Reaction { drop_unsent: true, stop_waiting: vec![EXPIRY], ..Reaction::default() },
            ),
            (
                phase @ (Phase::New | Phase::Open | Phase::Expiring),
                Input::Event { event: Event::Cart(_), .. },
            ) => {
                let wake_after = vec![Wake::in_days(EXPIRY, self.after_days)];
                let drop_unsent = phase == Phase::Expiring;
                (Phase::Open, Reaction { drop_unsent, wake_after, ..Reaction::default() })
            }
            (Phase::Open, Input::TimedOut { .. }) => {
                let tasks = vec![Task::Expire { changes: state.changes }];
                (Phase::Expiring, Reaction { tasks, ..Reaction::default() })
            }
            // It was changed meanwhile: that event sets the timeout anew.
            (Phase::Expiring, Input::Refused { slug: CART_CHANGED, .. }) => {
                (Phase::Open, Reaction::default())
            }
            // It is never refused otherwise while there is a cart.
            (Phase::Expiring, Input::Refused { .. }) => {
                (Phase::Ended, Reaction { failed: true, ..Reaction::default() })
            }
            (phase, _) => (phase, Reaction::default()),
        };
        state.phase = phase;
        reaction
    }

    fn purpose(task: &Task) -> (&'static str, String) {
        match task {
            Task::Expire { .. } => ("expire", String::new()),
        }
    }

    fn targets(instance: &str, task: Task) -> Option<Vec<Target>> {
        let Task::Expire { changes } = task;
        let command = Command::Cart(cart::Command::Expire { changes });
        Some(vec![Target { command_type: "cart.expire", stream: instance.parse().ok()?, command }])
    }

    fn step(state: &State) -> &'static str {
        state.phase.into()
    }

    fn subject(instance: &str) -> Option<(&'static str, Uuid)> {
        Some(("cart", instance.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Sample as _;
    use crate::ids::{CartId, UserId};
    use crate::process::{Process, command_id};

    const CART: Uuid = Uuid::from_u128(1);

    fn changed() -> Event {
        Event::Cart(cart::Event::CartLineRemoved { line: 1 })
    }

    fn ended() -> [Event; 2] {
        let merged = cart::Event::CartMerged { into: CartId(CART), owner: UserId(CART) };
        [Event::Cart(merged), Event::Cart(cart::Event::CartExpired {})]
    }

    fn react(state: &mut State, input: Input<'_, Task>) -> Reaction {
        ProcessManager::react(&CartExpiry { after_days: 30 }, state, input)
    }

    fn hear(state: &mut State, event: &Event) -> Reaction {
        react(state, Input::Event { stream: CART, event })
    }

    #[test]
    fn a_cart_expires_so_many_days_after_its_last_change() {
        let mut state = State::default();
        let waits =
            Reaction { wake_after: vec![Wake { name: EXPIRY, seconds: 30 * 86_400 }], ..Reaction::default() };
        for _ in 0..3 {
            assert_eq!(hear(&mut state, &changed()), waits);
        }
        // The process has not seen the beginning of this cart, so it cannot count.
        let expires = Reaction { tasks: vec![Task::Expire { changes: None }], ..Reaction::default() };
        assert_eq!(react(&mut state, Input::TimedOut { name: EXPIRY }), expires);
        assert_eq!(react(&mut state, Input::TimedOut { name: EXPIRY }), Reaction::default());
        assert_eq!(<CartExpiry as ProcessManager>::step(&state), "expiring");
    }

    #[test]
    fn a_cart_that_is_changed_as_it_expires_goes_on() {
        let mut state = State::default();
        hear(&mut state, &Event::Cart(cart::Event::sample(cart::EventKind::CartStarted)));
        hear(&mut state, &changed());
        let expire = Task::Expire { changes: Some(2) };
        assert_eq!(react(&mut state, Input::TimedOut { name: EXPIRY }).tasks, std::slice::from_ref(&expire));
        let mut refused_first = state.clone();
        let refused = || Input::Refused { task: &expire, slug: CART_CHANGED };
        let wakes = vec![Wake { name: EXPIRY, seconds: 30 * 86_400 }];
        let anew = Reaction { wake_after: wakes.clone(), ..Reaction::default() };
        // The change is read before the refusal, or after it.
        assert_eq!(hear(&mut state, &changed()), Reaction { drop_unsent: true, ..anew.clone() });
        assert_eq!(react(&mut state, refused()), Reaction::default());
        assert_eq!(react(&mut refused_first, refused()), Reaction::default());
        assert_eq!(hear(&mut refused_first, &changed()), anew);
        assert_eq!(state, refused_first);
        assert_eq!(
            react(&mut state, Input::TimedOut { name: EXPIRY }).tasks,
            [Task::Expire { changes: Some(3) }]
        );
    }

    #[test]
    fn a_cart_that_ended_does_not_expire() {
        for event in ended() {
            let mut state = State::default();
            hear(&mut state, &changed());
            let ends = Reaction { drop_unsent: true, stop_waiting: vec![EXPIRY], ..Reaction::default() };
            assert_eq!(hear(&mut state, &event), ends);
            assert_eq!(hear(&mut state, &changed()), Reaction::default());
            assert_eq!(react(&mut state, Input::TimedOut { name: EXPIRY }), Reaction::default());
        }
    }

    #[test]
    fn a_refusal_is_a_failure() {
        let mut state = State::default();
        hear(&mut state, &changed());
        react(&mut state, Input::TimedOut { name: EXPIRY });
        let refused = Input::Refused { task: &Task::Expire { changes: None }, slug: "cart-not-found" };
        assert!(react(&mut state, refused).failed);
    }

    #[test]
    fn the_task_expires_the_cart() {
        let input = Uuid::from_u128(2);
        let process = CartExpiry::default();
        let (id, targets) =
            Process::command(&process, &CART.to_string(), input, r#"{"do":"expire"}"#).unwrap();
        assert_eq!(id, command_id("cart-expiry", &CART.to_string(), input, ("expire", "")));
        let command = Command::Cart(cart::Command::Expire { changes: None });
        assert_eq!(targets, [Target { command_type: "cart.expire", stream: CART, command }]);
        let json = |changes| serde_json::to_string(&Task::Expire { changes }).unwrap();
        assert_eq!([json(None), json(Some(2))], [r#"{"do":"expire"}"#, r#"{"do":"expire","changes":2}"#]);
        let state = |changes| serde_json::to_string(&State { phase: Phase::Open, changes }).unwrap();
        assert_eq!([state(None), state(Some(2))], [r#"{"phase":"open"}"#, r#"{"phase":"open","changes":2}"#]);
    }
}
