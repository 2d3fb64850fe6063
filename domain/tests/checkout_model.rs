//! Carts, checkouts, payments, stock, the orders that come of them, and the two processes between them, in memory, with
//! every reordering that a broker, a crash, two senders at once and a provider can cause. In every case a checkout ends: as
//! one order that is paid and whose stock is reserved, or as nothing, with its stock and its money given back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use soonshop_domain::cart::{self, Cart, NewLine, Seen};
use soonshop_domain::checkout::{self, Checkout};
use soonshop_domain::checkout_process::completion;
use soonshop_domain::ids::{CartId, GuestId, OrderId, ProductId};
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace};
use soonshop_domain::order::{self, Contact, Customer, Line, Order};
use soonshop_domain::payment::{self, Capture, Kind, Outcome, Payment, Progress, Report};
use soonshop_domain::process::{Input, Process, Target};
use soonshop_domain::process_managers::find;
use soonshop_domain::tender::Tender;
use soonshop_domain::text::Sku;
use soonshop_domain::{Command, Currency, Decider, Event, Facts, Money};
use uuid::Uuid;

const SKUS: [&str; 3] = ["CUP", "MUG", "POT"];
const CARTS: usize = 2;
/// Of each cart, three checkouts at most.
const CHECKOUTS: usize = 3 * CARTS;
const PRICE: i64 = 100;

/// The possible next steps. A number picks a cart, a checkout, or something that was there before.
#[derive(Debug, Clone)]
enum Step {
    /// Perhaps to be paid by a payment that the process opens.
    Start(usize, bool),
    PutIn(usize, usize, u32),
    Expire(usize),
    /// Opens a payment for so many hundredths of the unpaid amount.
    Pay(usize, i64),
    Stop(usize),
    GiveUp(usize),
    /// The provider says something about a transaction of a payment.
    Report(usize, Said),
    Ship(usize),
    Cancel(usize),
    Receive(usize, u32),
    Erase,
    /// A process reads the next event of an instance.
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

#[derive(Debug, Clone, Copy)]
enum Said {
    Succeeded,
    Declined,
    Unknown,
    Lapsed,
    Failed,
}

/// Everything that appends decide on.
#[derive(Clone, Default)]
struct Streams {
    carts: BTreeMap<Uuid, Cart>,
    checkouts: BTreeMap<Uuid, Checkout>,
    orders: BTreeMap<Uuid, Order>,
    stocks: BTreeMap<Uuid, Stock>,
    payments: BTreeMap<Uuid, Payment>,
    /// The data of who buys are being erased.
    erasing: bool,
}

#[derive(Default)]
struct Instance {
    state: String,
    /// Up to where it has read the log.
    read: usize,
    queue: Vec<(Uuid, String)>,
    /// Sent and not answered: the slug of the refusal, if it was one.
    outstanding: Option<(Uuid, String, Option<String>)>,
    waiting: Vec<&'static str>,
}

struct World {
    streams: Streams,
    log: Vec<(Uuid, Uuid, Event)>,
    processes: [Arc<dyn Process>; 2],
    /// Of each checkout its own, and the fulfilment of its order.
    instances: BTreeMap<usize, Instance>,
    /// Every command that a sender ever held.
    held: Vec<(usize, Uuid, String)>,
    started: usize,
    opened: Vec<Uuid>,
    ids: u128,
}

fn facts() -> Facts {
    Facts { now: soonshop_domain::clock::now() }
}

fn cart_id(cart: usize) -> Uuid {
    Uuid::from_u128(1_000 + cart as u128)
}

fn checkout_id(checkout: usize) -> Uuid {
    Uuid::from_u128(2_000 + checkout as u128)
}

fn sku(sku: usize) -> Sku {
    Sku::try_new(SKUS[sku]).unwrap()
}

fn guest() -> Customer {
    Customer::Guest(GuestId(Uuid::from_u128(3)))
}

/// Decides and applies; an error is the slug of a refusal.
fn run<A: Decider>(
    states: &mut BTreeMap<Uuid, A>,
    stream: Uuid,
    command: A::Command,
) -> Result<Vec<Event>, String>
where
    Event: From<A::Event>,
{
    let state = states.entry(stream).or_default();
    let events = state.decide(command, &facts()).map_err(|error| error.as_ref().to_owned())?;
    for event in &events {
        state.apply(event.clone());
    }
    Ok(events.into_iter().map(Event::from).collect())
}

impl Streams {
    fn run(&mut self, stream: Uuid, command: Command) -> Result<Vec<Event>, String> {
        match command {
            Command::Cart(command) => run(&mut self.carts, stream, command),
            Command::Checkout(command) => run(&mut self.checkouts, stream, command),
            Command::Order(command) => run(&mut self.orders, stream, command),
            Command::Stock(at) => run(&mut self.stocks, stream, at),
            Command::Payment(command) => run(&mut self.payments, stream, command),
            Command::Person(_) if self.erasing => Err("person-erased".to_owned()),
            Command::Person(_) => Ok(vec![]),
            other => panic!("{other:?} is none of this model"),
        }
    }

    fn is_placed(&self, order: Uuid) -> bool {
        self.orders.get(&order).is_some_and(|order| order.placed.is_some())
    }
}

impl World {
    fn new() -> Self {
        Self {
            streams: Streams::default(),
            log: Vec::new(),
            processes: ["checkout", "fulfilment"].map(|name| find(name).unwrap()),
            instances: BTreeMap::new(),
            held: Vec::new(),
            started: 0,
            opened: Vec::new(),
            ids: 10_000,
        }
    }

    fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    /// All of them, or none.
    fn append(&mut self, commands: Vec<(Uuid, Command)>) -> Result<(), String> {
        let mut after = self.streams.clone();
        let mut new = Vec::new();
        for (stream, command) in commands {
            new.extend(after.run(stream, command)?.into_iter().map(|event| (stream, event)));
        }
        self.streams = after;
        for (stream, event) in new {
            let id = self.new_id();
            if let Event::Payment(payment::Event::PaymentOpened { .. }) = &event {
                self.opened.push(stream);
            }
            self.log.push((id, stream, event));
        }
        Ok(())
    }

    fn append_targets(&mut self, targets: Vec<Target>) -> Result<(), String> {
        let id = match targets.as_slice() {
            [Target { stream, command: Command::Checkout(checkout::Command::Complete), .. }] => Some(*stream),
            _ => None,
        };
        let checkout = id.and_then(|id| Some((id, self.streams.checkouts.get(&id)?)));
        let all = checkout.and_then(|(id, one)| completion(OrderId(id), one, Contact::default()));
        let all = all.unwrap_or(targets);
        self.append(all.into_iter().map(|target| (target.stream, target.command)).collect())
    }

    // ---- the process managers ----------------------------------------------------------------------------------------

    /// An instance's process, and its name.
    fn of(&self, instance: usize) -> (Arc<dyn Process>, String) {
        (Arc::clone(&self.processes[instance % 2]), checkout_id(instance / 2).to_string())
    }

    fn instance(&mut self, instance: usize) -> &mut Instance {
        let initial = self.of(instance).0.initial().unwrap();
        self.instances.entry(instance).or_insert_with(|| Instance { state: initial, ..Instance::default() })
    }

    fn react(&mut self, number: usize, id: Uuid, input: Input<'_, str>) {
        let (process, key) = self.of(number);
        let instance = self.instance(number);
        let (state, reaction) = process.react(&instance.state, input).unwrap();
        instance.state = state;
        if reaction.drop_unsent {
            instance.queue.clear();
        }
        let new = reaction.tasks.into_iter().map(|task| (process.command(&key, id, &task).unwrap().0, task));
        instance.queue.extend(new);
        instance.waiting.retain(|name| !reaction.stop_waiting.contains(name));
        instance.waiting.extend(reaction.wake_after.iter().map(|wake| wake.name));
    }

    /// Whether there was one.
    fn read(&mut self, number: usize) -> bool {
        let (process, key) = self.of(number);
        let from = self.instance(number).read;
        let mine = |(_, stream, event): &&(Uuid, Uuid, Event)| {
            process.follows().contains(&event.aggregate_type())
                && process.instance(*stream, event).as_ref() == Some(&key)
        };
        let Some(at) = self.log[from..].iter().position(|one| mine(&one)) else { return false };
        let (id, stream, event) = self.log[from + at].clone();
        self.instance(number).read = from + at + 1;
        self.react(number, id, Input::Event { stream, event: &event });
        true
    }

    fn take(&mut self, number: usize) -> Option<(Uuid, String)> {
        let instance = self.instance(number);
        if instance.outstanding.is_some() {
            return None;
        }
        let (id, task) = instance.queue.first().cloned()?;
        self.held.push((number, id, task.clone()));
        Some((id, task))
    }

    fn deliver(&mut self, number: usize, id: Uuid, task: &str) -> Option<String> {
        let (process, key) = self.of(number);
        let (_, targets) = process.command(&key, id, task).unwrap();
        self.append_targets(targets).err()
    }

    fn send(&mut self, number: usize) -> bool {
        let Some((id, task)) = self.take(number) else { return false };
        let outcome = self.deliver(number, id, &task);
        let instance = self.instance(number);
        instance.queue.remove(0);
        instance.outstanding = Some((id, task, outcome));
        true
    }

    fn answer(&mut self, number: usize) -> bool {
        let Some((id, task, outcome)) = self.instance(number).outstanding.take() else { return false };
        if let Some(slug) = outcome {
            self.react(number, id, Input::Refused { task: &task, slug: &slug });
        }
        true
    }

    fn redeliver(&mut self, which: usize, answered: bool) {
        if self.held.is_empty() {
            return;
        }
        let (number, id, task) = self.held[which % self.held.len()].clone();
        let refused = self.deliver(number, id, &task);
        if let (Some(slug), true) = (refused, answered) {
            self.react(number, id, Input::Refused { task: &task, slug: &slug });
        }
    }

    fn time_out(&mut self, number: usize) -> bool {
        let instance = self.instance(number);
        if instance.waiting.is_empty() {
            return false;
        }
        let name = instance.waiting.remove(0);
        let id = self.new_id();
        self.react(number, id, Input::TimedOut { name });
        true
    }

    // ---- those who buy, and their provider ---------------------------------------------------------------------------

    fn fill(&mut self, cart: usize, which: usize, quantity: u32) {
        let seen = Seen { name: "A thing".to_owned(), price: Money::new(PRICE, Currency::GBP) };
        let line =
            NewLine { sku: sku(which), product_id: ProductId(Uuid::nil()), quantity, note: None, seen };
        let is_there = self.streams.carts.contains_key(&cart_id(cart));
        let command = if is_there {
            cart::Command::Add { line }
        } else {
            cart::Command::Start { channel: "main".to_owned(), customer: guest(), line }
        };
        let _ = self.append(vec![(cart_id(cart), Command::Cart(command))]);
    }

    fn start(&mut self, cart: usize, pays: bool) {
        let Some(found) = self.streams.carts.get(&cart_id(cart)) else { return };
        if self.started == CHECKOUTS {
            return;
        }
        let id = checkout_id(self.started);
        let lines = (1..).zip(&found.lines).map(|(number, line)| Line {
            number,
            sku: line.sku.clone(),
            product_id: line.product_id,
            name: "A thing".to_owned(),
            quantity: line.quantity,
            price: Money::new(PRICE, Currency::GBP),
        });
        let begin = cart::Command::BeginCheckout { checkout: OrderId(id), changes: found.changes };
        let opening = checkout::Opening {
            cart: CartId(cart_id(cart)),
            cart_changes: found.changes,
            channel: "main".to_owned(),
            customer: guest(),
            number: id.to_string(),
            country: "France".to_owned(),
            contact: Contact::default(),
            lines: lines.collect(),
            capture: Capture::AtOnce,
            test: true,
            pay: pays.then(|| checkout::PayWith { provider: "sandbox".to_owned() }).into_iter().collect(),
        };
        let start = checkout::Command::Start(Box::new(opening));
        let both = vec![(id, Command::Checkout(start)), (cart_id(cart), Command::Cart(begin))];
        self.started += usize::from(self.append(both).is_ok());
    }

    fn pay(&mut self, checkout: usize, hundredths: i64) {
        let order = checkout_id(checkout);
        let Some(found) = self.streams.checkouts.get(&order) else { return };
        let amount = Money::new((found.unpaid() * hundredths / 100).max(1), Currency::GBP);
        let (id, transaction) = (self.new_id(), self.new_id());
        let opening = payment::Opening {
            order_id: OrderId(order),
            revision: 1,
            customer: guest(),
            amount,
            tender: Tender::Provider,
            provider: Some("sandbox".to_owned()),
            capture: Capture::AtOnce,
            test: true,
            transaction,
        };
        let add = checkout::Command::AddPayment { payment: id, tender: Tender::Provider, amount };
        let both =
            vec![(id, Command::Payment(payment::Command::Open(opening))), (order, Command::Checkout(add))];
        let _ = self.append(both);
    }

    /// The payment and who has a say about it, in one append, as the worker and the endpoints do it.
    fn with_owner(&mut self, id: Uuid, command: payment::Command) {
        let payment = self.streams.payments[&id].clone();
        let order = payment.order_id.unwrap().0;
        let Ok(events) = payment.decide(command.clone(), &facts()) else { return };
        let mut all = vec![(id, Command::Payment(command))];
        if self.streams.is_placed(order) {
            all.extend(payment.of_order(id, &events).map(|command| (order, Command::Order(command))));
        } else {
            all.extend(payment.of_checkout(id, &events).map(|command| (order, Command::Checkout(command))));
        }
        let stops = matches!(
            all[0].1,
            Command::Payment(payment::Command::Stop { .. } | payment::Command::StopUnpaid { .. })
        );
        if let Err(slug) = self.append(all) {
            // What a provider says is never refused.
            assert!(stops, "{slug}: {events:?}");
        }
    }

    fn said(&mut self, id: Uuid, transaction: Uuid, said: Said) {
        let one = self.streams.payments[&id].transactions[&transaction].clone();
        let amount = Money::new(one.amount, Currency::GBP);
        let outcome = match said {
            Said::Succeeded => Outcome::Succeeded { amount, reference: None, until: None },
            Said::Declined => Outcome::Declined { code: "declined".to_owned() },
            Said::Unknown => Outcome::Unknown,
            Said::Lapsed => Outcome::Lapsed { amount },
            Said::Failed => Outcome::Failed { code: "expired".to_owned() },
        };
        let report = Report { transaction, kind: one.kind, outcome, unasked: false };
        self.with_owner(id, payment::Command::Report(report));
    }

    fn report(&mut self, which: usize, said: Said) {
        if self.opened.is_empty() {
            return;
        }
        let id = self.opened[which % self.opened.len()];
        let transactions: Vec<_> = self.streams.payments[&id].transactions.keys().copied().collect();
        let transaction = transactions[which / self.opened.len() % transactions.len()];
        self.said(id, transaction, said);
    }

    /// The provider does what a stopped payment asks of it.
    fn give_back(&mut self) -> bool {
        let pending = |id: &Uuid| {
            let all = &self.streams.payments[id].transactions;
            let one = all.iter().find(|(_, one)| one.kind == Kind::Release && one.progress.is_pending())?;
            Some((*id, *one.0))
        };
        let Some((id, transaction)) = self.opened.iter().find_map(pending) else { return self.try_again() };
        // What lapsed meanwhile is not there to be given back.
        let said = if self.streams.payments[&id].sums.open() > 0 { Said::Succeeded } else { Said::Failed };
        self.said(id, transaction, said);
        true
    }

    /// The worker asks again for what could not be given back.
    fn try_again(&mut self) -> bool {
        let failed = |id: &Uuid| {
            let all = self.streams.payments[id].transactions.iter();
            let failed = all.filter(|(_, one)| one.kind == Kind::Release && one.progress == Progress::Failed);
            failed.map(|(transaction, _)| (*id, *transaction)).collect::<Vec<_>>()
        };
        let before = self.log.len();
        for (id, transaction) in self.opened.iter().flat_map(failed).collect::<Vec<_>>() {
            self.with_owner(id, payment::Command::TryAgain { transaction });
        }
        self.log.len() > before
    }

    // ---- the whole ---------------------------------------------------------------------------------------------------

    fn step(&mut self, step: Step) {
        match step {
            Step::Start(cart, pays) => self.start(cart, pays),
            Step::PutIn(cart, sku, quantity) => self.fill(cart, sku, quantity),
            Step::Expire(cart) => {
                let expire = cart::Command::Expire { changes: None };
                let _ = self.append(vec![(cart_id(cart), Command::Cart(expire))]);
            }
            Step::Pay(checkout, hundredths) => self.pay(checkout, hundredths),
            Step::Stop(which) => {
                if let Some(id) = self.opened.get(which % self.opened.len().max(1)).copied() {
                    let order_id = self.streams.payments[&id].order_id.unwrap();
                    let placed = self.streams.is_placed(order_id.0);
                    let stop = payment::Command::Stop { order_id };
                    let of_order = payment::Command::StopUnpaid { order_id };
                    self.with_owner(id, if placed { of_order } else { stop });
                }
            }
            Step::GiveUp(checkout) => {
                let give_up = checkout::Command::GiveUp { reason: "given-up".to_owned() };
                let _ = self.append(vec![(checkout_id(checkout), Command::Checkout(give_up))]);
            }
            Step::Report(which, said) => self.report(which, said),
            Step::Ship(checkout) => {
                let _ = self.append(vec![(checkout_id(checkout), Command::Order(order::Command::Ship))]);
            }
            Step::Cancel(checkout) => {
                let cancel = order::Command::Cancel { reason: "because".to_owned() };
                let _ = self.append(vec![(checkout_id(checkout), Command::Order(cancel))]);
            }
            Step::Receive(which, quantity) => {
                let place = StockPlace { sku: sku(which), location: MAIN.to_owned() };
                let stream = inventory::stream(&place.sku, MAIN);
                let at = At { place, command: inventory::Command::Receive { quantity } };
                self.append(vec![(stream, Command::Stock(at))]).unwrap();
            }
            Step::Erase => self.streams.erasing = true,
            Step::Read(instance) => drop(self.read(instance)),
            Step::Send(instance) => drop(self.send(instance)),
            Step::Stall(instance) => drop(self.take(instance)),
            Step::Answer(instance) => drop(self.answer(instance)),
            Step::Redeliver(which, answered) => self.redeliver(which, answered),
            Step::TimeOut(instance) => drop(self.time_out(instance)),
        }
        for stock in self.streams.stocks.values() {
            assert!(0 <= stock.reserved && stock.reserved <= stock.on_hand, "{stock:?}");
        }
    }

    /// Runs processes, senders and provider until nothing is left to do. Timeouts fire last.
    fn settle(&mut self) {
        loop {
            for number in 0..2 * CHECKOUTS {
                while self.answer(number) || self.read(number) || self.send(number) {}
            }
            let moved = self.give_back() || (0..2 * CHECKOUTS).any(|number| self.time_out(number));
            if !moved {
                break;
            }
        }
    }

    fn check(&self) {
        let mut promised: BTreeMap<Uuid, i64> = BTreeMap::new();
        let mut bought: BTreeMap<Uuid, Uuid> = BTreeMap::new();
        for (id, checkout) in &self.streams.checkouts {
            let Some(started) = &checkout.started else { continue };
            let order = self.streams.orders.get(id).filter(|order| order.placed.is_some());
            let cart = &self.streams.carts[&started.cart.0];
            match checkout.status {
                checkout::Status::Completed => {
                    let order = order.unwrap();
                    assert_eq!(bought.insert(started.cart.0, *id), None, "one order of a cart");
                    assert_eq!((cart.status, cart.checkout), (cart::Status::CheckedOut, Some(OrderId(*id))));
                    self.is_reserved(*id, order, &started.lines, &mut promised);
                }
                checkout::Status::Refused => {
                    assert!(order.is_none(), "{id}: it came to nothing, and is an order");
                    assert_ne!(cart.checkout, Some(OrderId(*id)), "its cart goes on");
                    for line in &started.lines {
                        let stock = self.streams.stocks.get(&inventory::stream(&line.sku, MAIN));
                        let found = stock.and_then(|stock| stock.line(OrderId(*id), line.number));
                        assert!(matches!(found, None | Some(inventory::Line::Released)), "{id}: {found:?}");
                    }
                }
                checkout::Status::Running | checkout::Status::Unknown => {
                    panic!("{id} is {}", checkout.status)
                }
            }
        }
        for id in &self.opened {
            let payment = &self.streams.payments[id];
            let is_completed = self.streams.is_placed(payment.order_id.unwrap().0);
            assert!(is_completed || payment.gives_back(), "{id} would still take money");
            assert!(!payment.gives_back() || payment.sums.open() <= 0, "{id} keeps what it has to give back");
        }
        for (stream, stock) in &self.streams.stocks {
            assert_eq!(stock.reserved, promised.get(stream).copied().unwrap_or(0), "{stock:?}");
        }
    }

    /// The lines of an order that came of a checkout are reserved, and were paid for as it was placed.
    fn is_reserved(&self, id: Uuid, order: &Order, lines: &[Line], promised: &mut BTreeMap<Uuid, i64>) {
        for line in lines {
            let stream = inventory::stream(&line.sku, MAIN);
            let found = self.streams.stocks[&stream].line(OrderId(id), line.number);
            let expected = match order.status {
                order::Status::Confirmed => inventory::Line::Reserved(line.quantity),
                order::Status::Shipped => inventory::Line::Shipped,
                order::Status::Cancelled => inventory::Line::Released,
                other => panic!("{id} is {other}"),
            };
            assert_eq!(found, Some(expected), "{id}");
            if order.status == order::Status::Confirmed {
                *promised.entry(stream).or_default() += i64::from(line.quantity);
            }
        }
        let (paid, total) = (self.authorized_before(id), order.placed.as_ref().unwrap().total.amount);
        assert!(paid >= total, "{id}: {paid} are paid");
        // And no buyer takes it back: only what its provider says has lapsed is gone.
        let of_order = |payment: &&Payment| {
            payment.order_id == Some(OrderId(id)) && (!payment.stopped || payment.sums.lapsed > 0)
        };
        let held: i64 = self.streams.payments.values().filter(of_order).map(|one| one.sums.authorized).sum();
        assert!(held >= total, "{id}: {held} are kept of {total}");
    }

    /// What was authorized for a checkout, and had not lapsed or been stopped, when it became an order.
    fn authorized_before(&self, id: Uuid) -> i64 {
        let mut authorized = BTreeMap::new();
        for (_, stream, event) in &self.log {
            match event {
                Event::Checkout(event) if *stream == id => match event {
                    checkout::Event::CheckoutPaymentSettled { payment, amount, .. } => {
                        authorized.insert(*payment, amount.amount);
                    }
                    checkout::Event::CheckoutPaymentUnsettled { payment, .. }
                    | checkout::Event::CheckoutPaymentStopped { payment } => {
                        authorized.remove(payment);
                    }
                    checkout::Event::CheckoutCompleted {} => break,
                    _ => {}
                },
                _ => {}
            }
        }
        authorized.values().sum()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (cart, checkout, instance) = (0..CARTS, 0..CHECKOUTS, 0..2 * CHECKOUTS);
    let said = prop_oneof![
        6 => Just(Said::Succeeded),
        1 => Just(Said::Declined),
        1 => Just(Said::Unknown),
        1 => Just(Said::Lapsed),
    ];
    prop_oneof![
        3 => (cart.clone(), any::<bool>()).prop_map(|(cart, pays)| Step::Start(cart, pays)),
        2 => (cart.clone(), 0..SKUS.len(), 1..4_u32).prop_map(|(c, sku, quantity)| Step::PutIn(c, sku, quantity)),
        1 => cart.prop_map(Step::Expire),
        5 => (checkout.clone(), prop_oneof![2 => Just(100_i64), 1 => 1..100_i64])
            .prop_map(|(checkout, hundredths)| Step::Pay(checkout, hundredths)),
        1 => (0..20_usize).prop_map(Step::Stop),
        1 => checkout.clone().prop_map(Step::GiveUp),
        6 => (0..100_usize, said).prop_map(|(which, said)| Step::Report(which, said)),
        1 => checkout.clone().prop_map(Step::Ship),
        1 => checkout.prop_map(Step::Cancel),
        3 => (0..SKUS.len(), 1..9_u32).prop_map(|(sku, quantity)| Step::Receive(sku, quantity)),
        8 => instance.clone().prop_map(Step::Read),
        12 => instance.clone().prop_map(Step::Send),
        1 => instance.clone().prop_map(Step::Stall),
        8 => instance.clone().prop_map(Step::Answer),
        3 => (0..1_000_usize, any::<bool>()).prop_map(|(which, answered)| Step::Redeliver(which, answered)),
        1 => instance.prop_map(Step::TimeOut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_checkout_ends_as_one_paid_order_or_gives_everything_back(
        steps in vec(step(), 1..200), erased in proptest::option::of(0..200_usize),
    ) {
        let mut world = World::new();
        for sku in 0..SKUS.len() {
            world.step(Step::Receive(sku, 5));
        }
        for cart in 0..CARTS {
            world.step(Step::PutIn(cart, cart, 2));
        }
        for (at, step) in steps.into_iter().enumerate() {
            if erased == Some(at) {
                world.step(Step::Erase);
            }
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

/// The model is no use if it never gets anywhere.
#[test]
fn a_paid_checkout_becomes_an_order_in_this_model() {
    let mut world = World::new();
    world.step(Step::Receive(0, 5));
    world.step(Step::PutIn(0, 0, 2));
    world.step(Step::Start(0, false));
    world.step(Step::Pay(0, 100));
    world.step(Step::Report(0, Said::Succeeded));
    world.settle();
    world.check();
    assert_eq!(world.streams.checkouts[&checkout_id(0)].status, checkout::Status::Completed);
}

#[test]
fn a_checkout_that_is_paid_by_its_process_becomes_an_order_in_this_model() {
    let mut world = World::new();
    world.step(Step::Receive(0, 5));
    world.step(Step::PutIn(0, 0, 2));
    world.step(Step::Start(0, true));
    while world.read(0) || world.answer(0) || world.send(0) {}
    world.step(Step::Report(0, Said::Succeeded));
    world.settle();
    world.check();
    assert_eq!(world.streams.checkouts[&checkout_id(0)].status, checkout::Status::Completed);
}
