//! The process manager between orders and stock. When an order is placed it reserves the stock line by line, then
//! confirms the order. If one line cannot be reserved it refuses the order and releases that line and those before it.
//! When an order is cancelled it releases its stock; when it is shipped it ships the reserved stock. One instance per
//! order. A refusal that leaves order and stock apart is a failure, which somebody has to look at.

use serde::{Deserialize, Serialize};
use strum::VariantNames;
use uuid::Uuid;

use crate::ids::OrderId;
use crate::inventory::{self, MAIN, StockPlace};
use crate::order::{self, PATIENCE_SECONDS, Refusal};
use crate::process::{self, Input, ProcessManager, Target, Wake};
use crate::{Command, Event};

/// The process manager.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fulfilment;

/// A command that the process sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Task {
    Reserve { place: StockPlace, line: u32, quantity: u32 },
    Release { place: StockPlace, line: u32 },
    Ship { place: StockPlace, line: u32 },
    Confirm,
    Refuse { refusal: Refusal },
}

/// The reaction to an input.
pub type Reaction = process::Reaction<Task>;

/// The timeout until which the order is to be confirmed.
const CONFIRMATION: &str = "confirmation";

/// The slugs of the refusals that a plan allows for.
const LINE_RELEASED: &str = "line-released";
const WRONG_ORDER_STATE: &str = "wrong-order-state";

impl ProcessManager for Fulfilment {
    type State = State;
    type Task = Task;

    const NAME: &'static str = "fulfilment";
    const FOLLOWS: &'static [&'static str] = &["order"];
    const STEPS: &'static [&'static str] = <Phase as VariantNames>::VARIANTS;
    const TIMEOUTS: &'static [&'static str] = &[CONFIRMATION];

    fn instance(&self, stream: Uuid, event: &Event) -> Option<String> {
        matches!(event, Event::Order(_)).then(|| stream.to_string())
    }

    fn react(&self, state: &mut State, input: Input<'_, Task>) -> Reaction {
        match input {
            Input::Event { event: Event::Order(event), .. } => state.on_event(event),
            Input::Event { .. } => Reaction::default(),
            Input::Refused { task, slug } => state.on_refusal(task, slug),
            Input::TimedOut { .. } => state.on_timeout(),
        }
    }

    fn purpose(task: &Task) -> (&'static str, String) {
        match task {
            Task::Reserve { line, .. } => ("reserve", line.to_string()),
            Task::Release { line, .. } => ("release", line.to_string()),
            Task::Ship { line, .. } => ("ship", line.to_string()),
            Task::Confirm => ("confirm", String::new()),
            Task::Refuse { .. } => ("refuse", String::new()),
        }
    }

    fn targets(instance: &str, task: Task) -> Option<Vec<Target>> {
        Some(vec![task.target(OrderId(instance.parse().ok()?))])
    }

    fn step(state: &State) -> &'static str {
        state.phase.into()
    }

    fn subject(instance: &str) -> Option<(&'static str, Uuid)> {
        Some(("order", instance.parse().ok()?))
    }
}

impl Task {
    /// The command of this task.
    pub fn target(self, order_id: OrderId) -> Target {
        let stock = |command_type, place: StockPlace, command| {
            let stream = inventory::stream(&place.sku, &place.location);
            Target { command_type, stream, command: Command::Stock(inventory::At { place, command }) }
        };
        let order = |command_type, command| Target {
            command_type,
            stream: order_id.0,
            command: Command::Order(command),
        };
        match self {
            Self::Reserve { place, line, quantity } => {
                stock("stock.reserve", place, inventory::Command::Reserve { order_id, line, quantity })
            }
            Self::Release { place, line } => {
                stock("stock.release", place, inventory::Command::Release { order_id, line })
            }
            Self::Ship { place, line } => {
                stock("stock.ship", place, inventory::Command::Ship { order_id, line })
            }
            Self::Confirm => order("order.confirm", order::Command::Confirm),
            Self::Refuse { refusal } => order("order.refuse", order::Command::Refuse { refusal }),
        }
    }
}

/// The phase of the order.
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
    Reserving,
    /// The timeout has passed. The order itself decides whether it is confirmed or refused; until then, nothing is
    /// given back.
    Refusing,
    Confirmed,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OrderedLine {
    line: u32,
    place: StockPlace,
    quantity: u32,
}

impl OrderedLine {
    fn release(&self) -> Task {
        Task::Release { place: self.place.clone(), line: self.line }
    }
}

/// One instance: one order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    phase: Phase,
    lines: Vec<OrderedLine>,
}

impl State {
    /// The reaction to an event of the order.
    pub fn on_event(&mut self, event: &order::Event) -> Reaction {
        match (self.phase, event) {
            (Phase::New, order::Event::OrderPlaced { lines, .. }) => {
                self.phase = Phase::Reserving;
                self.lines = lines
                    .iter()
                    .map(|line| OrderedLine {
                        line: line.number,
                        place: StockPlace { sku: line.sku.clone(), location: MAIN.to_owned() },
                        quantity: line.quantity,
                    })
                    .collect();
                let reserve = |w: &OrderedLine| Task::Reserve {
                    place: w.place.clone(),
                    line: w.line,
                    quantity: w.quantity,
                };
                let tasks = self.lines.iter().map(reserve).chain([Task::Confirm]).collect();
                let wake_after = vec![Wake { name: CONFIRMATION, seconds: PATIENCE_SECONDS }];
                Reaction { tasks, wake_after, ..Reaction::default() }
            }
            (Phase::Refusing, order::Event::OrderRefused { .. }) => {
                self.phase = Phase::Ended;
                Reaction { tasks: self.release(), ..Reaction::default() }
            }
            (Phase::Reserving | Phase::Refusing, order::Event::OrderConfirmed {}) => {
                self.phase = Phase::Confirmed;
                Reaction { stop_waiting: vec![CONFIRMATION], ..Reaction::default() }
            }
            (Phase::Reserving | Phase::Refusing | Phase::Confirmed, order::Event::OrderCancelled { .. }) => {
                self.phase = Phase::Ended;
                Reaction {
                    drop_unsent: true,
                    tasks: self.release(),
                    stop_waiting: vec![CONFIRMATION],
                    ..Reaction::default()
                }
            }
            (Phase::Confirmed, order::Event::OrderShipped {}) => {
                self.phase = Phase::Ended;
                let ship = |w: &OrderedLine| Task::Ship { place: w.place.clone(), line: w.line };
                Reaction { tasks: self.lines.iter().map(ship).collect(), ..Reaction::default() }
            }
            // A final phase stays final; a confirmation that lost against a cancellation leads here.
            _ => Reaction::default(),
        }
    }

    /// The reaction when one of its commands was refused.
    pub fn on_refusal(&mut self, task: &Task, slug: &str) -> Reaction {
        match (self.phase, task) {
            (Phase::Reserving, Task::Reserve { place, line, .. }) => {
                self.give_up(Refusal { line: *line, sku: place.sku.clone(), reason: slug.to_owned() })
            }
            _ => Reaction { failed: self.differs(task, slug), ..Reaction::default() },
        }
    }

    /// Whether the refusal means that order and stock say different things from now on: goods have left for an order that
    /// nobody pays for, or lie here although the order says that they left, or the order cannot be ended.
    fn differs(&self, task: &Task, slug: &str) -> bool {
        match task {
            Task::Release { .. } => slug != LINE_RELEASED,
            Task::Ship { .. } => true,
            // The order has ended in another way meanwhile: its next event says in which.
            Task::Confirm => self.phase == Phase::Reserving && slug != WRONG_ORDER_STATE,
            Task::Refuse { .. } => slug != WRONG_ORDER_STATE,
            // Only a late repeat is refused after the reserving.
            Task::Reserve { .. } => false,
        }
    }

    /// The reaction when the order has waited for [`PATIENCE_SECONDS`].
    pub fn on_timeout(&mut self) -> Reaction {
        match (self.phase, self.lines.first()) {
            // A confirmation may be on its way: the order's next event shows which came first.
            (Phase::Reserving, Some(first)) => {
                let refusal = Refusal {
                    line: first.line,
                    sku: first.place.sku.clone(),
                    reason: "timed-out".to_owned(),
                };
                self.phase = Phase::Refusing;
                let tasks = vec![Task::Refuse { refusal }];
                Reaction { drop_unsent: true, tasks, stop_waiting: vec![CONFIRMATION], ..Reaction::default() }
            }
            _ => Reaction::default(),
        }
    }

    /// Releases every line, reserved or not: a reservation that is still on its way is then refused.
    fn release(&self) -> Vec<Task> {
        self.lines.iter().map(OrderedLine::release).collect()
    }

    /// Releases only what may have been reserved. Lines are sent one after the other, in order, so none after the
    /// refused one was sent: an order of many lines whose first is refused leaves one event in the stocks, and not one
    /// for each line. The refused line comes first: its reservation may still be on its way, sent a second time by a
    /// process that lost its lease, and that process would go on to the next line.
    fn give_up(&mut self, refusal: Refusal) -> Reaction {
        self.phase = Phase::Ended;
        let sent =
            self.lines.iter().position(|w| w.line == refusal.line).map_or(self.lines.len(), |at| at + 1);
        let mut tasks: Vec<_> = self.lines[..sent].iter().rev().map(OrderedLine::release).collect();
        tasks.push(Task::Refuse { refusal });
        Reaction { drop_unsent: true, tasks, stop_waiting: vec![CONFIRMATION], ..Reaction::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProductId, UserId};
    use crate::order::{Contact, Customer, Event, Line};
    use crate::process::Process;
    use crate::text::Sku;
    use crate::{Currency, Money};

    fn place(sku: &str) -> StockPlace {
        StockPlace { sku: Sku::try_new(sku).unwrap(), location: MAIN.to_owned() }
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

    fn id_of(task: &Task, order: OrderId, input: Uuid) -> Uuid {
        let (id, targets) = Process::command(&Fulfilment, &order.to_string(), input, &json(task)).unwrap();
        assert_eq!(targets, [task.clone().target(order)]);
        id
    }

    fn json(task: &Task) -> String {
        serde_json::to_string(task).unwrap()
    }

    fn short_of_cups() -> Task {
        reserve_all().remove(1)
    }

    /// An instance after these events.
    fn after(events: &[Event]) -> State {
        let mut process = State::default();
        for event in events {
            process.on_event(event);
        }
        process
    }

    #[test]
    fn a_placed_order_reserves_every_line_and_then_confirms() {
        let reaction = State::default().on_event(&placed());
        let tasks = [reserve_all(), vec![Task::Confirm]].concat();
        let wake_after = vec![Wake { name: CONFIRMATION, seconds: PATIENCE_SECONDS }];
        assert_eq!(reaction, Reaction { tasks, wake_after, ..Reaction::default() });
    }

    #[test]
    fn a_refused_line_drops_unsent_commands_releases_it_and_those_before_and_refuses_the_order() {
        let task = short_of_cups();
        let reaction = after(&[placed()]).on_refusal(&task, "insufficient-stock");
        let refuse = Task::Refuse { refusal: refusal(2, "CUP", "insufficient-stock") };
        let [mug, cup] = release_all().try_into().unwrap();
        let tasks = vec![cup, mug, refuse];
        assert_eq!(
            reaction,
            Reaction { drop_unsent: true, tasks, stop_waiting: vec![CONFIRMATION], ..Reaction::default() }
        );
    }

    #[test]
    fn a_refused_order_releases_only_the_lines_that_were_sent() {
        let task = reserve_all().remove(0);
        let reaction = after(&[placed()]).on_refusal(&task, "insufficient-stock");
        let refuse = Task::Refuse { refusal: refusal(1, "MUG", "insufficient-stock") };
        assert_eq!(reaction.tasks, vec![release_all().remove(0), refuse], "the cup was never asked for");
    }

    #[test]
    fn a_confirmed_order_has_no_timeout() {
        let reaction = after(&[placed()]).on_event(&Event::OrderConfirmed {});
        assert_eq!(reaction, Reaction { stop_waiting: vec![CONFIRMATION], ..Reaction::default() });
    }

    #[test]
    fn an_order_that_is_cancelled_while_it_reserves_or_once_it_is_confirmed_releases_every_line() {
        for history in [vec![placed()], vec![placed(), Event::OrderConfirmed {}]] {
            let reaction = after(&history).on_event(&cancelled());
            let expected = Reaction {
                drop_unsent: true,
                tasks: release_all(),
                stop_waiting: vec![CONFIRMATION],
                ..Reaction::default()
            };
            assert_eq!(reaction, expected, "{history:?}");
        }
    }

    #[test]
    fn a_shipped_order_ships_every_line() {
        let reaction = after(&[placed(), Event::OrderConfirmed {}]).on_event(&Event::OrderShipped {});
        let tasks =
            vec![Task::Ship { place: place("MUG"), line: 1 }, Task::Ship { place: place("CUP"), line: 2 }];
        assert_eq!(reaction, Reaction { tasks, ..Reaction::default() });
    }

    #[test]
    fn an_order_that_waited_too_long_is_refused_and_only_then_gives_its_lines_back() {
        let mut process = after(&[placed()]);
        let reaction = process.on_timeout();
        let tasks = vec![Task::Refuse { refusal: refusal(1, "MUG", "timed-out") }];
        assert_eq!(
            reaction,
            Reaction { drop_unsent: true, tasks, stop_waiting: vec![CONFIRMATION], ..Reaction::default() }
        );
        let reaction = process.on_event(&refused("timed-out"));
        assert_eq!(reaction, Reaction { tasks: release_all(), ..Reaction::default() });
    }

    #[test]
    fn a_confirmation_that_races_the_timeout_keeps_its_stock() {
        let mut process = after(&[placed()]);
        let refuse = process.on_timeout().tasks.remove(0);
        process.on_event(&Event::OrderConfirmed {});
        let reaction = process.on_refusal(&refuse, "wrong-order-state");
        assert_eq!(reaction, Reaction::default());
        assert_eq!(process, after(&[placed(), Event::OrderConfirmed {}]));
    }

    #[test]
    fn a_cancellation_that_races_the_timeout_releases_the_lines() {
        let mut process = after(&[placed()]);
        process.on_timeout();
        assert_eq!(process.on_event(&cancelled()).tasks, release_all());
    }

    #[test]
    fn echoes_after_the_end_do_nothing() {
        let shipped = [placed(), Event::OrderConfirmed {}, Event::OrderShipped {}];
        let mut given_up = after(&[placed()]);
        given_up.on_refusal(&short_of_cups(), "insufficient-stock");
        let mut too_late = after(&[placed()]);
        too_late.on_timeout();
        too_late.on_event(&refused("timed-out"));
        for ended in [after(&[placed(), cancelled()]), after(&shipped), given_up, too_late] {
            let mut process = ended.clone();
            let echoes = shipped.iter().cloned().chain([cancelled(), refused("timed-out")]);
            for echo in echoes {
                assert_eq!(process.on_event(&echo), Reaction::default(), "{echo:?}");
            }
            for task in [reserve_all(), release_all(), vec![Task::Confirm]].concat() {
                let reaction = process.on_refusal(&task, "line-released");
                assert_eq!(reaction, Reaction::default(), "{task:?}");
            }
            assert_eq!(process.on_timeout(), Reaction::default());
            assert_eq!(process, ended);
        }
    }

    #[test]
    fn an_event_before_order_placed_is_ignored() {
        let mut process = State::default();
        for event in [Event::OrderConfirmed {}, Event::OrderShipped {}, cancelled(), refused("x")] {
            assert_eq!(process.on_event(&event), Reaction::default(), "{event:?}");
        }
        assert_eq!(process.on_timeout(), Reaction::default());
        assert_eq!(process, State::default());
    }

    #[test]
    fn only_a_refused_reservation_ends_the_reserving() {
        let confirmed = after(&[placed(), Event::OrderConfirmed {}]);
        let task = short_of_cups();
        assert_eq!(confirmed.clone().on_refusal(&task, "line-shipped"), Reaction::default());
        let reaction = after(&[placed()]).on_refusal(&Task::Confirm, "wrong-order-state");
        assert_eq!(reaction, Reaction::default());
    }

    #[test]
    fn a_refusal_that_leaves_order_and_stock_apart_is_a_failure() {
        let failed = Reaction { failed: true, ..Reaction::default() };
        let ship = Task::Ship { place: place("MUG"), line: 1 };
        let release = release_all().remove(0);
        let refuse = Task::Refuse { refusal: refusal(2, "CUP", "insufficient-stock") };
        let confirmed = [placed(), Event::OrderConfirmed {}];
        let shipped = after(&[&confirmed[..], &[Event::OrderShipped {}]].concat());
        let cancelled = after(&[&confirmed[..], &[cancelled()]].concat());
        let mut given_up = after(&[placed()]);
        given_up.on_refusal(&short_of_cups(), "insufficient-stock");
        for (state, task, slug) in [
            (&cancelled, &release, "line-shipped"),
            (&given_up, &release, "line-shipped"),
            (&given_up, &refuse, "event-too-large"),
            (&shipped, &ship, "line-not-reserved"),
            (&shipped, &ship, "line-released"),
            (&after(&[placed()]), &Task::Confirm, "order-not-found"),
        ] {
            let mut process = state.clone();
            assert_eq!(process.on_refusal(task, slug), failed, "{task:?} {slug}");
            assert_eq!(process, *state, "the instance stays where it is");
        }
        for (state, task, slug) in [
            (&cancelled, &release, "line-released"),
            (&given_up, &refuse, "wrong-order-state"),
            (&after(&[placed()]), &Task::Confirm, "wrong-order-state"),
        ] {
            assert_eq!(state.clone().on_refusal(task, slug), Reaction::default(), "{task:?} {slug}");
        }
    }

    #[test]
    fn the_same_input_gives_the_same_command_ids() {
        let (order, input) = (OrderId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let ids = || reserve_all().iter().map(|task| id_of(task, order, input)).collect::<Vec<_>>();
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
                    ids.insert(id_of(task, OrderId(Uuid::from_u128(order)), Uuid::from_u128(input)));
                }
            }
        }
        assert_eq!(ids.len(), 2 * 2 * tasks.len());
    }

    #[test]
    fn command_ids_are_for_ever() {
        let (order, input) = (OrderId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let id = |task: Task| id_of(&task, order, input).to_string();
        assert_eq!(
            id(Task::Reserve { place: place("MUG"), line: 1, quantity: 3 }),
            "a5d32d36-08d2-5586-9fd9-f5ceaaefa344"
        );
        assert_eq!(id(Task::Confirm), "8f7a76c4-2ba0-59e5-b7f6-748c0db5beac");
    }

    #[test]
    fn a_task_becomes_the_command_of_its_aggregate() {
        let order_id = OrderId(Uuid::from_u128(1));
        let stream = inventory::stream(&place("MUG").sku, MAIN);
        let at = |command_type, command| {
            let command = Command::Stock(inventory::At { place: place("MUG"), command });
            Target { command_type, stream, command }
        };
        let (reserve, release) = (reserve_all().remove(0), release_all().remove(0));
        let reserved = inventory::Command::Reserve { order_id, line: 1, quantity: 3 };
        assert_eq!(reserve.target(order_id), at("stock.reserve", reserved));
        let released = inventory::Command::Release { order_id, line: 1 };
        assert_eq!(release.target(order_id), at("stock.release", released));
        let ship = Task::Ship { place: place("MUG"), line: 1 };
        let shipped = inventory::Command::Ship { order_id, line: 1 };
        assert_eq!(ship.target(order_id), at("stock.ship", shipped));
        let of_order = |command_type, command| Target {
            command_type,
            stream: order_id.0,
            command: Command::Order(command),
        };
        assert_eq!(Task::Confirm.target(order_id), of_order("order.confirm", order::Command::Confirm));
        let refusal = refusal(1, "MUG", "timed-out");
        let refuse = Task::Refuse { refusal: refusal.clone() };
        assert_eq!(refuse.target(order_id), of_order("order.refuse", order::Command::Refuse { refusal }));
    }

    #[test]
    fn state_and_tasks_read_back_as_they_were_stored() {
        let refuse = Task::Refuse { refusal: refusal(1, "MUG", "timed-out") };
        for task in [reserve_all(), release_all(), vec![Task::Confirm, refuse]].concat() {
            let stored = serde_json::to_string(&task).unwrap();
            assert_eq!(serde_json::from_str::<Task>(&stored).unwrap(), task);
        }
        let stored = serde_json::to_string(&after(&[placed()])).unwrap();
        assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), after(&[placed()]));
        assert_eq!(
            serde_json::to_string(&short_of_cups()).unwrap(),
            r#"{"do":"reserve","place":{"sku":"CUP","location":"main"},"line":2,"quantity":1}"#
        );
    }
}
