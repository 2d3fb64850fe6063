//! Orders, stock and the process between them, in memory, with every reordering that a broker, a crash and two senders
//! at once can cause. In every case: nothing is reserved twice, and nothing stays reserved for an order that does not
//! get it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use soonshop_domain::fulfilment::{Fulfilment, State, Task};
use soonshop_domain::ids::{OrderId, ProductId, UserId};
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace};
use soonshop_domain::order::{self, Contact, Customer, Line, Order, Placement, Status};
use soonshop_domain::process::{Input, ProcessManager as _, command_id};
use soonshop_domain::text::Sku;
use soonshop_domain::{Command, Currency, Decider, Event, Facts, Money};
use uuid::Uuid;

const SKUS: [&str; 3] = ["CUP", "MUG", "POT"];
const ORDERS: usize = 3;

/// The possible next steps. The number picks an order, or a command that some sender once held.
#[derive(Debug, Clone)]
enum Step {
    Place(usize, Vec<(usize, u32)>),
    Cancel(usize),
    Ship(usize),
    Receive(usize, u32),
    Count(usize, i64),
    /// The process reads the order's next event.
    Read(usize),
    /// A sender takes the next command and delivers it.
    Send(usize),
    /// A sender takes the next command, and is killed before it delivers it.
    Stall(usize),
    /// The answer to a sent command arrives.
    Answer(usize),
    /// A command that any sender once held is delivered (again), and perhaps answered.
    Redeliver(usize, bool),
    TimeOut(usize),
}

#[derive(Default)]
struct Instance {
    state: State,
    /// How many of the order's events it has read.
    read: usize,
    queue: Vec<(Uuid, Task)>,
    /// Sent and not answered: the slug of the refusal, if it was one.
    outstanding: Option<(Uuid, Task, Option<String>)>,
    waiting: bool,
}

#[derive(Default)]
struct World {
    stocks: BTreeMap<Uuid, Stock>,
    orders: BTreeMap<usize, (Order, Vec<(Uuid, order::Event)>)>,
    instances: BTreeMap<usize, Instance>,
    /// Every command that a sender ever held.
    held: Vec<(usize, Uuid, Task)>,
    ids: u128,
}

fn order_id(order: usize) -> OrderId {
    OrderId(Uuid::from_u128(1_000 + order as u128))
}

fn facts() -> Facts {
    Facts { now: soonshop_domain::clock::now() }
}

fn place(sku: usize) -> StockPlace {
    StockPlace { sku: Sku::try_new(SKUS[sku]).unwrap(), location: MAIN.to_owned() }
}

/// Decides and applies; returns the slug of a refusal.
fn run<A: Decider>(state: &mut A, command: A::Command) -> Result<Vec<A::Event>, String> {
    let events = state.decide(command, &facts()).map_err(|error| error.as_ref().to_owned())?;
    for event in &events {
        state.apply(event.clone());
    }
    Ok(events)
}

impl World {
    fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn order(&mut self, order: usize, command: order::Command) -> Result<(), String> {
        let (state, _) = self.orders.entry(order).or_default();
        for event in run(state, command)? {
            let id = self.new_id();
            self.orders.entry(order).or_default().1.push((id, event));
        }
        Ok(())
    }

    fn stock(&mut self, stream: Uuid, at: At) -> Result<(), String> {
        run(self.stocks.entry(stream).or_default(), at).map(|_| ())
    }

    fn deliver(&mut self, order: usize, task: Task) -> Option<String> {
        let target = task.target(order_id(order));
        let outcome = match target.command {
            Command::Stock(at) => self.stock(target.stream, at),
            Command::Order(command) => self.order(order, command),
            other => panic!("{other:?} is no command of the process"),
        };
        outcome.err()
    }

    fn react(&mut self, order: usize, id: Uuid, input: Input<'_, Task>) {
        let instance = self.instances.entry(order).or_default();
        let reaction = Fulfilment.react(&mut instance.state, input);
        if reaction.drop_unsent {
            instance.queue.clear();
        }
        let key = order_id(order).to_string();
        let new = reaction.tasks.into_iter().map(|task| {
            let (purpose, target) = Fulfilment::purpose(&task);
            (command_id("fulfilment", &key, id, (purpose, &target)), task)
        });
        instance.queue.extend(new);
        instance.waiting =
            (instance.waiting && reaction.stop_waiting.is_empty()) || !reaction.wake_after.is_empty();
    }

    /// Whether there was one.
    fn read(&mut self, order: usize) -> bool {
        let read = self.instances.entry(order).or_default().read;
        let next = self.orders.get(&order).and_then(|(_, events)| events.get(read).cloned());
        if let Some((id, event)) = &next {
            self.instances.entry(order).or_default().read += 1;
            let event = Event::Order(event.clone());
            self.react(order, *id, Input::Event { stream: order_id(order).0, event: &event });
        }
        next.is_some()
    }

    fn take(&mut self, order: usize) -> Option<(Uuid, Task)> {
        let instance = self.instances.entry(order).or_default();
        if instance.outstanding.is_some() {
            return None;
        }
        let (id, task) = instance.queue.first().cloned()?;
        self.held.push((order, id, task.clone()));
        Some((id, task))
    }

    fn send(&mut self, order: usize) -> bool {
        let Some((id, task)) = self.take(order) else { return false };
        let outcome = self.deliver(order, task.clone());
        let instance = self.instances.entry(order).or_default();
        instance.queue.remove(0);
        instance.outstanding = Some((id, task, outcome));
        true
    }

    fn answer(&mut self, order: usize) -> bool {
        let Some((id, task, outcome)) = self.instances.entry(order).or_default().outstanding.take() else {
            return false;
        };
        if let Some(slug) = outcome {
            self.react(order, id, Input::Refused { task: &task, slug: &slug });
        }
        true
    }

    fn redeliver(&mut self, which: usize, answered: bool) {
        if self.held.is_empty() {
            return;
        }
        let (order, id, task) = self.held[which % self.held.len()].clone();
        let refused = self.deliver(order, task.clone());
        if let (Some(slug), true) = (refused, answered) {
            self.react(order, id, Input::Refused { task: &task, slug: &slug });
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Place(order, expected) => {
                let lines = (1..).zip(expected).map(|(number, (sku, quantity))| Line {
                    number,
                    sku: place(sku).sku,
                    product_id: ProductId(Uuid::nil()),
                    name: "A thing".to_owned(),
                    quantity,
                    price: Money::new(100, Currency::GBP),
                });
                let placement = Placement {
                    number: order.to_string(),
                    customer: Customer::User(UserId(Uuid::nil())),
                    lines: lines.collect(),
                    country: "France".to_owned(),
                    contact: Contact::default(),
                };
                let _ = self.order(order, order::Command::Place(placement));
            }
            Step::Cancel(order) => {
                let _ = self.order(order, order::Command::Cancel { reason: "because".to_owned() });
            }
            Step::Ship(order) => {
                let _ = self.order(order, order::Command::Ship);
            }
            Step::Receive(sku, quantity) => {
                let at = At { place: place(sku), command: inventory::Command::Receive { quantity } };
                let _ = self.stock(inventory::stream(&at.place.sku, MAIN), at);
            }
            Step::Count(sku, quantity) => {
                let command = inventory::Command::Adjust { quantity, reason: "a count".to_owned() };
                let at = At { place: place(sku), command };
                let _ = self.stock(inventory::stream(&at.place.sku, MAIN), at);
            }
            Step::Read(order) => drop(self.read(order)),
            Step::Send(order) => drop(self.send(order)),
            Step::Stall(order) => drop(self.take(order)),
            Step::Answer(order) => drop(self.answer(order)),
            Step::Redeliver(which, answered) => self.redeliver(which, answered),
            Step::TimeOut(order) => {
                if self.instances.get(&order).is_some_and(|instance| instance.waiting) {
                    self.instances.entry(order).or_default().waiting = false;
                    let id = self.new_id();
                    self.react(order, id, Input::TimedOut { name: Fulfilment::TIMEOUTS[0] });
                }
            }
        }
        for stock in self.stocks.values() {
            assert!(0 <= stock.reserved && stock.reserved <= stock.on_hand, "{stock:?}");
        }
    }

    /// Runs every step that needs no outside input, to the end.
    fn settle(&mut self) {
        for order in 0..ORDERS {
            while self.answer(order) || self.read(order) || self.send(order) {}
        }
    }

    fn check(&self) {
        let mut promised: BTreeMap<Uuid, i64> = BTreeMap::new();
        for (order, (state, _)) in &self.orders {
            let Some(placed) = &state.placed else { continue };
            let mut untouched = None;
            for line in &placed.lines {
                let stream = inventory::stream(&line.sku, MAIN);
                let found =
                    self.stocks.get(&stream).and_then(|stock| stock.line(order_id(*order), line.number));
                match state.status {
                    Status::Confirmed => {
                        assert_eq!(found, Some(inventory::Line::Reserved(line.quantity)), "order {order}");
                        *promised.entry(stream).or_default() += i64::from(line.quantity);
                    }
                    Status::Shipped => assert_eq!(found, Some(inventory::Line::Shipped), "order {order}"),
                    // A line that was never sent when one before it was refused leaves nothing behind, also if the
                    // order had been cancelled meanwhile.
                    Status::Refused | Status::Cancelled => match found {
                        Some(inventory::Line::Released) => {
                            assert_eq!(untouched, None, "order {order}: line {} after this one", line.number);
                        }
                        None if line.number > 1 => untouched = Some(line.number),
                        found => panic!("order {order}, line {}: {found:?}", line.number),
                    },
                    Status::Placed | Status::Unknown => panic!("order {order} is {}", state.status),
                }
            }
        }
        for (stream, stock) in &self.stocks {
            assert_eq!(stock.reserved, promised.get(stream).copied().unwrap_or(0), "{stock:?}");
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (order, sku) = (0..ORDERS, 0..SKUS.len());
    prop_oneof![
        2 => (order.clone(), vec((sku.clone(), 1..4_u32), 1..4)).prop_map(|(o, lines)| Step::Place(o, lines)),
        1 => order.clone().prop_map(Step::Cancel),
        1 => order.clone().prop_map(Step::Ship),
        2 => (sku.clone(), 1..9_u32).prop_map(|(sku, quantity)| Step::Receive(sku, quantity)),
        1 => (sku, -3..3_i64).prop_map(|(sku, quantity)| Step::Count(sku, quantity)),
        6 => order.clone().prop_map(Step::Read),
        8 => order.clone().prop_map(Step::Send),
        1 => order.clone().prop_map(Step::Stall),
        6 => order.clone().prop_map(Step::Answer),
        3 => (0..1_000_usize, any::<bool>()).prop_map(|(which, answered)| Step::Redeliver(which, answered)),
        1 => order.prop_map(Step::TimeOut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stock_is_reserved_once_and_only_for_orders_that_get_it(steps in vec(step(), 1..120)) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check();
        for which in 0..world.held.len() {
            world.redeliver(which, which % 2 == 0);
        }
        world.settle();
        world.check();
    }
}
