//! The process manager between orders and stock: a placed order gets its stock reserved, line by line, and is then
//! confirmed; where one line cannot be had it is refused and what was reserved is given back. A cancelled order gives
//! its stock back, a shipped one ships what it reserved.
//!
//! [`react`](Fulfilment::react) is a pure function of the state and one input. A reactor stores what comes out in one
//! transaction, and sends the commands of one instance in order, one at a time.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{self, OrderId};
use crate::inventory::{self, MAIN, Place};
use crate::order::{self, Refusal};

/// The process's name: part of its command ids, and of `system:fulfilment`, as which it acts. For ever.
pub const NAME: &str = "fulfilment";

/// How long an order may wait for its stock before it is refused, in seconds.
pub const PATIENCE_SECONDS: i64 = 15 * 60;

/// A command that the process sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Task {
    Reserve { place: Place, line: u32, quantity: u32 },
    Release { place: Place, line: u32 },
    Ship { place: Place, line: u32 },
    Confirm,
    Refuse { refusal: Refusal },
}

/// What a task is, as a command of one aggregate.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Target {
    Stock(Uuid, inventory::At),
    Order(OrderId, order::Command),
}

impl Task {
    /// A stable name of what the command is for, and the natural key of what it is for: parts of its id.
    fn purpose(&self) -> (&'static str, String) {
        match self {
            Self::Reserve { line, .. } => ("reserve", line.to_string()),
            Self::Release { line, .. } => ("release", line.to_string()),
            Self::Ship { line, .. } => ("ship", line.to_string()),
            Self::Confirm => ("confirm", String::new()),
            Self::Refuse { .. } => ("refuse", String::new()),
        }
    }

    /// The command's id: the same input leads to the same id, however often it is read.
    pub fn command_id(&self, order: OrderId, input: Uuid) -> Uuid {
        let (purpose, target) = self.purpose();
        ids::derived(ids::PROCESSES, &[NAME, &order.to_string(), &input.to_string(), purpose, &target])
    }

    pub fn target(self, order_id: OrderId) -> Target {
        let at = |place: Place, command| {
            Target::Stock(inventory::stream(&place.sku, &place.location), inventory::At { place, command })
        };
        match self {
            Self::Reserve { place, line, quantity } => {
                at(place, inventory::Command::Reserve { order_id, line, quantity })
            }
            Self::Release { place, line } => at(place, inventory::Command::Release { order_id, line }),
            Self::Ship { place, line } => at(place, inventory::Command::Ship { order_id, line }),
            Self::Confirm => Target::Order(order_id, order::Command::Confirm),
            Self::Refuse { refusal } => Target::Order(order_id, order::Command::Refuse { refusal }),
        }
    }
}

/// What a process hears of.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    Event(&'a order::Event),
    /// One of its own commands was refused, with that slug.
    Refused {
        task: &'a Task,
        slug: &'a str,
    },
    /// The order has waited for [`PATIENCE_SECONDS`].
    TimedOut,
}

/// What follows from an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    /// The commands of this instance that have not been sent are dropped first.
    pub drop_unsent: bool,
    /// To send, in this order.
    pub tasks: Vec<Task>,
    /// Wake the instance after so many seconds; replaces a timeout that stands.
    pub wake_after: Option<i64>,
    /// A timeout that stands is taken away.
    pub stop_waiting: bool,
}

/// What is still promised or hoped for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    New,
    Reserving,
    /// The time is up. Whether the order is confirmed or refused is the order's to say; until it does, nothing is
    /// given back.
    Refusing,
    Confirmed,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wanted {
    line: u32,
    place: Place,
    quantity: u32,
}

/// One instance: one order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfilment {
    phase: Phase,
    lines: Vec<Wanted>,
}

impl Fulfilment {
    pub fn react(&mut self, input: Input<'_>) -> Reaction {
        match (self.phase, input) {
            (Phase::New, Input::Event(order::Event::OrderPlaced { lines, .. })) => {
                self.phase = Phase::Reserving;
                self.lines = lines
                    .iter()
                    .map(|line| Wanted {
                        line: line.number,
                        place: Place { sku: line.sku.clone(), location: MAIN.to_owned() },
                        quantity: line.quantity,
                    })
                    .collect();
                let reserve =
                    |w: &Wanted| Task::Reserve { place: w.place.clone(), line: w.line, quantity: w.quantity };
                let tasks = self.lines.iter().map(reserve).chain([Task::Confirm]).collect();
                Reaction { tasks, wake_after: Some(PATIENCE_SECONDS), ..Reaction::default() }
            }
            (Phase::Reserving, Input::Refused { task: Task::Reserve { place, line, .. }, slug }) => {
                self.give_up(Refusal { line: *line, sku: place.sku.clone(), reason: slug.to_owned() })
            }
            (Phase::Reserving, Input::TimedOut) => match self.lines.first() {
                // A confirmation may be under way: which of the two came first, the order's next event tells.
                Some(first) => {
                    let refusal = Refusal {
                        line: first.line,
                        sku: first.place.sku.clone(),
                        reason: "timed-out".to_owned(),
                    };
                    self.phase = Phase::Refusing;
                    let tasks = vec![Task::Refuse { refusal }];
                    Reaction { drop_unsent: true, tasks, stop_waiting: true, ..Reaction::default() }
                }
                None => Reaction::default(),
            },
            (Phase::Refusing, Input::Event(order::Event::OrderRefused { .. })) => {
                self.phase = Phase::Ended;
                Reaction { tasks: self.release(), ..Reaction::default() }
            }
            (Phase::Reserving | Phase::Refusing, Input::Event(order::Event::OrderConfirmed {})) => {
                self.phase = Phase::Confirmed;
                Reaction { stop_waiting: true, ..Reaction::default() }
            }
            (
                Phase::Reserving | Phase::Refusing | Phase::Confirmed,
                Input::Event(order::Event::OrderCancelled { .. }),
            ) => {
                self.phase = Phase::Ended;
                Reaction {
                    drop_unsent: true,
                    tasks: self.release(),
                    stop_waiting: true,
                    ..Reaction::default()
                }
            }
            (Phase::Confirmed, Input::Event(order::Event::OrderShipped {})) => {
                self.phase = Phase::Ended;
                let ship = |w: &Wanted| Task::Ship { place: w.place.clone(), line: w.line };
                Reaction { tasks: self.lines.iter().map(ship).collect(), ..Reaction::default() }
            }
            // What has ended stays ended; a confirmation that lost against a cancellation is such an echo.
            _ => Reaction::default(),
        }
    }

    /// Gives back every line, reserved or not: one whose reservation is still under way is barred.
    fn release(&self) -> Vec<Task> {
        self.lines.iter().map(|w| Task::Release { place: w.place.clone(), line: w.line }).collect()
    }

    fn give_up(&mut self, refusal: Refusal) -> Reaction {
        self.phase = Phase::Ended;
        let mut tasks = self.release();
        tasks.push(Task::Refuse { refusal });
        Reaction { drop_unsent: true, tasks, stop_waiting: true, ..Reaction::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProductId, UserId};
    use crate::order::{Contact, Customer, Event, Line};
    use crate::text::Sku;
    use crate::{Currency, Money};

    fn place(sku: &str) -> Place {
        Place { sku: Sku::try_new(sku).unwrap(), location: MAIN.to_owned() }
    }

    /// Two lines: three mugs, and one cup.
    fn placed() -> Event {
        let line = |number, sku: &str, quantity| Line {
            number,
            sku: Sku::try_new(sku).unwrap(),
            product_id: ProductId(Uuid::nil()),
            name: sku.to_owned(),
            quantity,
            price: Money::new(100, Currency::GBP),
        };
        Event::OrderPlaced {
            number: "S-1".to_owned(),
            customer: Customer::User(UserId(Uuid::nil())),
            lines: vec![line(1, "MUG", 3), line(2, "CUP", 1)],
            total: Money::new(400, Currency::GBP),
            country: "France".to_owned(),
            contact: Contact::default(),
        }
    }

    fn cancelled() -> Event {
        Event::OrderCancelled { reason: "changed my mind".to_owned() }
    }

    fn refused(reason: &str) -> Event {
        Event::OrderRefused { refusal: refusal(1, "MUG", reason) }
    }

    fn refusal(line: u32, sku: &str, reason: &str) -> Refusal {
        Refusal { line, sku: place(sku).sku, reason: reason.to_owned() }
    }

    fn reserve_all() -> Vec<Task> {
        vec![
            Task::Reserve { place: place("MUG"), line: 1, quantity: 3 },
            Task::Reserve { place: place("CUP"), line: 2, quantity: 1 },
        ]
    }

    fn release_all() -> Vec<Task> {
        vec![Task::Release { place: place("MUG"), line: 1 }, Task::Release { place: place("CUP"), line: 2 }]
    }

    fn short_of_cups() -> Task {
        reserve_all().remove(1)
    }

    /// An instance that has heard of these events.
    fn after(events: &[Event]) -> Fulfilment {
        let mut process = Fulfilment::default();
        for event in events {
            process.react(Input::Event(event));
        }
        process
    }

    #[test]
    fn a_placed_order_reserves_every_line_and_then_confirms() {
        let reaction = Fulfilment::default().react(Input::Event(&placed()));
        let tasks = [reserve_all(), vec![Task::Confirm]].concat();
        assert_eq!(reaction, Reaction { tasks, wake_after: Some(PATIENCE_SECONDS), ..Reaction::default() });
    }

    #[test]
    fn a_refused_line_releases_every_line_and_refuses_and_what_was_not_sent_is_dropped() {
        let task = short_of_cups();
        let reaction = after(&[placed()]).react(Input::Refused { task: &task, slug: "insufficient-stock" });
        let refuse = Task::Refuse { refusal: refusal(2, "CUP", "insufficient-stock") };
        let tasks = [release_all(), vec![refuse]].concat();
        assert_eq!(reaction, Reaction { drop_unsent: true, tasks, wake_after: None, stop_waiting: true });
    }

    #[test]
    fn a_confirmed_order_waits_no_longer() {
        let reaction = after(&[placed()]).react(Input::Event(&Event::OrderConfirmed {}));
        assert_eq!(reaction, Reaction { stop_waiting: true, ..Reaction::default() });
    }

    #[test]
    fn an_order_that_is_cancelled_while_it_reserves_or_once_it_is_confirmed_releases_every_line() {
        for history in [vec![placed()], vec![placed(), Event::OrderConfirmed {}]] {
            let reaction = after(&history).react(Input::Event(&cancelled()));
            let expected =
                Reaction { drop_unsent: true, tasks: release_all(), wake_after: None, stop_waiting: true };
            assert_eq!(reaction, expected, "{history:?}");
        }
    }

    #[test]
    fn a_shipped_order_ships_every_line() {
        let reaction =
            after(&[placed(), Event::OrderConfirmed {}]).react(Input::Event(&Event::OrderShipped {}));
        let tasks =
            vec![Task::Ship { place: place("MUG"), line: 1 }, Task::Ship { place: place("CUP"), line: 2 }];
        assert_eq!(reaction, Reaction { tasks, ..Reaction::default() });
    }

    #[test]
    fn an_order_that_waited_too_long_is_refused_and_only_then_gives_its_lines_back() {
        let mut process = after(&[placed()]);
        let reaction = process.react(Input::TimedOut);
        let tasks = vec![Task::Refuse { refusal: refusal(1, "MUG", "timed-out") }];
        assert_eq!(reaction, Reaction { drop_unsent: true, tasks, wake_after: None, stop_waiting: true });
        let reaction = process.react(Input::Event(&refused("timed-out")));
        assert_eq!(reaction, Reaction { tasks: release_all(), ..Reaction::default() });
    }

    #[test]
    fn a_confirmation_under_way_when_the_time_is_up_keeps_its_stock() {
        let mut process = after(&[placed()]);
        let refuse = process.react(Input::TimedOut).tasks.remove(0);
        process.react(Input::Event(&Event::OrderConfirmed {}));
        let reaction = process.react(Input::Refused { task: &refuse, slug: "wrong-order-state" });
        assert_eq!(reaction, Reaction::default());
        assert_eq!(process, after(&[placed(), Event::OrderConfirmed {}]));
    }

    #[test]
    fn a_cancellation_under_way_when_the_time_is_up_gives_the_lines_back() {
        let mut process = after(&[placed()]);
        process.react(Input::TimedOut);
        assert_eq!(process.react(Input::Event(&cancelled())).tasks, release_all());
    }

    #[test]
    fn echoes_after_the_end_do_nothing() {
        let shipped = [placed(), Event::OrderConfirmed {}, Event::OrderShipped {}];
        let mut given_up = after(&[placed()]);
        given_up.react(Input::Refused { task: &short_of_cups(), slug: "insufficient-stock" });
        let mut too_late = after(&[placed()]);
        too_late.react(Input::TimedOut);
        too_late.react(Input::Event(&refused("timed-out")));
        for ended in [after(&[placed(), cancelled()]), after(&shipped), given_up, too_late] {
            let mut process = ended.clone();
            let echoes = shipped.iter().cloned().chain([cancelled(), refused("timed-out")]);
            for echo in echoes {
                assert_eq!(process.react(Input::Event(&echo)), Reaction::default(), "{echo:?}");
            }
            for task in [reserve_all(), release_all(), vec![Task::Confirm]].concat() {
                let reaction = process.react(Input::Refused { task: &task, slug: "line-released" });
                assert_eq!(reaction, Reaction::default(), "{task:?}");
            }
            assert_eq!(process.react(Input::TimedOut), Reaction::default());
            assert_eq!(process, ended);
        }
    }

    #[test]
    fn what_comes_before_an_order_is_placed_does_nothing() {
        let mut process = Fulfilment::default();
        for event in [Event::OrderConfirmed {}, Event::OrderShipped {}, cancelled(), refused("x")] {
            assert_eq!(process.react(Input::Event(&event)), Reaction::default(), "{event:?}");
        }
        assert_eq!(process.react(Input::TimedOut), Reaction::default());
        assert_eq!(process, Fulfilment::default());
    }

    #[test]
    fn only_a_refused_reservation_ends_the_reserving() {
        let confirmed = after(&[placed(), Event::OrderConfirmed {}]);
        let task = short_of_cups();
        assert_eq!(
            confirmed.clone().react(Input::Refused { task: &task, slug: "line-shipped" }),
            Reaction::default()
        );
        let reaction =
            after(&[placed()]).react(Input::Refused { task: &Task::Confirm, slug: "wrong-order-state" });
        assert_eq!(reaction, Reaction::default());
    }

    #[test]
    fn the_same_input_gives_the_same_command_ids() {
        let (order, input) = (OrderId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let ids = || reserve_all().iter().map(|task| task.command_id(order, input)).collect::<Vec<_>>();
        assert_eq!(ids(), ids());
    }

    #[test]
    fn other_lines_purposes_inputs_and_orders_give_other_command_ids() {
        let refuse = Task::Refuse { refusal: refusal(1, "MUG", "timed-out") };
        let ship = Task::Ship { place: place("MUG"), line: 1 };
        let tasks = [reserve_all(), release_all(), vec![ship, Task::Confirm, refuse]].concat();
        let mut ids = std::collections::BTreeSet::new();
        for order in [1, 2] {
            for input in [1, 2] {
                for task in &tasks {
                    ids.insert(task.command_id(OrderId(Uuid::from_u128(order)), Uuid::from_u128(input)));
                }
            }
        }
        assert_eq!(ids.len(), 2 * 2 * tasks.len());
    }

    #[test]
    fn command_ids_are_for_ever() {
        let (order, input) = (OrderId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let id = |task: Task| task.command_id(order, input).to_string();
        assert_eq!(
            id(Task::Reserve { place: place("MUG"), line: 1, quantity: 3 }),
            "a5d32d36-08d2-5586-9fd9-f5ceaaefa344"
        );
        assert_eq!(id(Task::Confirm), "8f7a76c4-2ba0-59e5-b7f6-748c0db5beac");
    }

    #[test]
    fn a_task_becomes_the_command_of_its_aggregate() {
        let order_id = OrderId(Uuid::from_u128(1));
        let mugs = inventory::stream(&place("MUG").sku, MAIN);
        let at = |command| Target::Stock(mugs, inventory::At { place: place("MUG"), command });
        let (reserve, release) = (reserve_all().remove(0), release_all().remove(0));
        let reserved = inventory::Command::Reserve { order_id, line: 1, quantity: 3 };
        assert_eq!(reserve.target(order_id), at(reserved));
        assert_eq!(release.target(order_id), at(inventory::Command::Release { order_id, line: 1 }));
        let ship = Task::Ship { place: place("MUG"), line: 1 };
        assert_eq!(ship.target(order_id), at(inventory::Command::Ship { order_id, line: 1 }));
        assert_eq!(Task::Confirm.target(order_id), Target::Order(order_id, order::Command::Confirm));
    }

    #[test]
    fn state_and_tasks_read_back_as_they_were_stored() {
        let refuse = Task::Refuse { refusal: refusal(1, "MUG", "timed-out") };
        for task in [reserve_all(), release_all(), vec![Task::Confirm, refuse]].concat() {
            let stored = serde_json::to_string(&task).unwrap();
            assert_eq!(serde_json::from_str::<Task>(&stored).unwrap(), task);
        }
        let stored = serde_json::to_string(&after(&[placed()])).unwrap();
        assert_eq!(serde_json::from_str::<Fulfilment>(&stored).unwrap(), after(&[placed()]));
        assert_eq!(
            serde_json::to_string(&short_of_cups()).unwrap(),
            r#"{"do":"reserve","place":{"sku":"CUP","location":"main"},"line":2,"quantity":1}"#
        );
    }
}
