//! For any commands in any order: what `decide` lets pass keeps every invariant, `apply` takes all of it, and reading
//! the history again (or going on from a snapshot) leads to the same state.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "properties/holds.rs"]
mod holds;

use cqrs_es::Aggregate;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::to_value;
use soonshop_domain::catalog::fold_to_json;
use soonshop_domain::ids::{CreditNoteId, GuestId, OrderId, ProductId};
use soonshop_domain::inventory::{self, At, MAIN, MOST_UNITS, Stock, StockPlace};
use soonshop_domain::money::{MOST_AMOUNT, MOST_TOTAL};
use soonshop_domain::order::credits::{CreditRequest, CreditedLine, EarlierCredit};
use soonshop_domain::order::{self, Contact, Customer, Line, Order, Placement, Refusal, credit_note};
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::{self, User, person};
use soonshop_domain::{Currency, Decider, Event, Facts, Money, Purpose, Sensitive};
use uuid::Uuid;

/// Decides and applies one command after the other, and checks the invariants of every type.
fn live<A>(commands: Vec<A::Command>, check: impl Fn(&A)) -> Vec<A::Event>
where
    A: Decider<Event: Into<Event>, Command: Clone> + Serialize + DeserializeOwned,
{
    let facts = Facts { now: soonshop_domain::clock::now() };
    let (mut state, mut history, mut snapshot) = (A::default(), Vec::new(), A::default());
    for (at, command) in commands.into_iter().enumerate() {
        let from_snapshot = snapshot.decide(command.clone(), &facts).ok();
        let from_parts = with_parts_of::<A>(&command, &history).decide(command.clone(), &facts).ok();
        let decided = state.decide(command, &facts).ok();
        assert_eq!(decided, from_snapshot, "a snapshot decides like the state");
        assert_eq!(decided, from_parts, "a decision reads no other parts than it names");
        let Some(events) = decided else { continue };
        for (within, mut event) in events.into_iter().enumerate() {
            // The codec does this before an event is stored.
            for value in event.personal().into_iter().filter(|value| value.pending_key().is_some()) {
                value.set_jwe(format!("header..iv.{at}-{within}.tag"));
            }
            state.apply(event.clone());
            check(&state);
            history.push(event);
        }
        snapshot = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    }

    let mut again = A::default();
    for event in &history {
        again.apply(event.clone());
    }
    let as_it_went = to_value(&state).unwrap();
    assert_eq!(to_value(&again).unwrap(), as_it_went);
    assert_eq!(to_value(&snapshot).unwrap(), as_it_went);
    let stored = history
        .iter()
        .cloned()
        .map(Into::into)
        .map(|event: Event| Event::decode(A::TYPE, &event.encode().unwrap()).unwrap().unwrap());
    let stored: Vec<_> = stored.collect();
    if !stored.is_empty() {
        assert_eq!(fold_to_json(&stored).unwrap(), as_it_went);
    }
    history
}

/// How many bytes a snapshot has after this many rounds of commands.
fn snapshot<A>(rounds: u32, command: impl Fn(u32) -> Vec<A::Command>) -> usize
where
    A: Decider<Command: Clone> + Serialize,
{
    let (mut state, facts) = (A::default(), Facts { now: soonshop_domain::clock::now() });
    for command in (0..rounds).flat_map(command) {
        for mut event in state.decide(command, &facts).unwrap_or_default() {
            for value in event.personal().into_iter().filter(|value| value.pending_key().is_some()) {
                value.set_jwe("header..iv.text.tag".to_owned());
            }
            state.apply(event);
        }
    }
    serde_json::to_string(&*state.without_parts()).unwrap().len()
}

#[test]
fn a_state_without_its_parts_does_not_grow_with_its_history() {
    let stock = |rounds| {
        snapshot::<Stock>(rounds, |number| {
            use inventory::Command::{Receive, Release, Reserve, Ship};
            let (order_id, line) = (OrderId(Uuid::from_u128(number.into())), 1);
            let commands = [
                Receive { quantity: 3 },
                Reserve { order_id, line, quantity: 1 },
                Ship { order_id, line },
                Reserve { order_id, line: 2, quantity: 1 },
                Release { order_id, line: 2 },
                Release { order_id, line: 3 },
                Reserve { order_id, line: 4, quantity: 1 },
            ];
            commands.map(|command| At { place: place(), command }).to_vec()
        })
    };
    let user = |rounds| {
        snapshot::<User>(rounds, |number| {
            let email = format!("ada{number:06}@example.org");
            let details = user::Details::try_new(Uuid::nil(), Some("Ada"), Some(&email), None, None).unwrap();
            vec![user::Command::Register { details: details.clone() }, user::Command::Change { details }]
        })
    };
    let product = |rounds| {
        snapshot::<Product>(rounds, |number| {
            use product::Command::{AddVariant, Create, SetPrice};
            let details = product::Details { name: "Mug".to_owned(), ..product::Details::default() };
            let sku = Sku::try_new(&format!("SKU-{:06}", number % 500)).unwrap();
            let price = Money::new(i64::from(number % 9) + 1, Currency::GBP);
            let variant = Variant { sku: sku.clone(), price: Some(price) };
            let create = Create { details, variants: vec![variant.clone()] };
            vec![create, AddVariant { variant }, SetPrice { sku, price }]
        })
    };
    let person = |rounds| {
        snapshot::<person::Person>(rounds, |_| {
            let purposes = vec![Purpose::Account, Purpose::Invoice];
            let request = person::Command::RequestErasure { purposes: purposes.clone() };
            vec![request, person::Command::ConfirmErasure { purposes }]
        })
    };
    // Counters have more digits; nothing else may grow.
    let digits = 20;
    assert!(stock(2_000) <= stock(2) + digits, "{} {}", stock(2), stock(2_000));
    assert!(user(2_000) <= user(2) + digits, "{} {}", user(2), user(2_000));
    assert!(product(2_000) <= product(500) + digits, "{} {}", product(500), product(2_000));
    assert!(person(2_000) <= person(2) + digits, "{} {}", person(2), person(2_000));
}

/// The state without its parts, but for those that the command reads, each folded from the events of its key alone: how
/// the store decides on a long stream.
fn with_parts_of<A: Decider>(command: &A::Command, history: &[A::Event]) -> A {
    let mut whole = A::default();
    for event in history {
        whole.apply(event.clone());
    }
    let mut state = whole.without_parts().into_owned();
    for key in A::parts_read(command) {
        let mut alone = A::default();
        for event in history.iter().filter(|event| A::part_changed(event).as_ref() == Some(&key)) {
            alone.apply(event.clone());
        }
        alone.move_part(&key, &mut state);
    }
    state
}

/// A history in an order that no decision leads to is applied without a word: `apply` does not decide.
fn backwards<A: Decider>(history: Vec<A::Event>) {
    let mut state = A::default();
    for event in history.into_iter().rev() {
        state.apply(event);
    }
}

fn sku() -> impl Strategy<Value = Sku> {
    (0..4).prop_map(|n| Sku::try_new(&format!("SKU-{n}")).unwrap())
}

fn order_id() -> impl Strategy<Value = OrderId> {
    (0..3_u128).prop_map(|n| OrderId(Uuid::from_u128(n)))
}

/// Mostly small, and now and then as large as it gets.
fn quantity() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..6_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..10_000_i64, 1 => any::<i64>(), 1 => Just(i64::MAX)]
}

fn money() -> impl Strategy<Value = Money> {
    let currency = prop_oneof![9 => Just(Currency::GBP), 1 => Just("EUR".parse().unwrap())];
    (amount(), currency).prop_map(|(amount, currency)| Money { amount, currency })
}

fn stock_commands() -> impl Strategy<Value = inventory::Command> {
    use inventory::Command::{Adjust, Receive, Release, Reserve, Ship};
    let (id, line) = (order_id(), 0..3_u32);
    let found = prop_oneof![8 => -5..5_i64, 1 => any::<i64>(), 1 => Just(MOST_UNITS), 1 => Just(-MOST_UNITS)];
    prop_oneof![
        3 => quantity().prop_map(|quantity| Receive { quantity }),
        1 => found.prop_map(|quantity| Adjust { quantity, reason: "a count".to_owned() }),
        4 => (order_id(), 0..3_u32, quantity())
            .prop_map(|(order_id, line, quantity)| Reserve { order_id, line, quantity }),
        2 => (order_id(), 0..3_u32).prop_map(|(order_id, line)| Release { order_id, line }),
        2 => (id, line).prop_map(|(order_id, line)| Ship { order_id, line }),
    ]
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (sku(), quantity(), money(), prop_oneof![19 => Just(0_u32), 1 => 1..3_u32]);
    vec(line, 0..6).prop_map(|lines| {
        let line = |(number, (sku, quantity, price, gap)): (u32, (Sku, u32, Money, u32))| Line {
            number: number + gap,
            product_id: ProductId(Uuid::nil()),
            name: sku.to_string(),
            sku,
            quantity,
            price,
        };
        (1..).zip(lines).map(line).collect()
    })
}

/// Lines that any order would take.
fn good_lines() -> impl Strategy<Value = Vec<Line>> {
    (lines(), 1..9_u32, sku()).prop_map(|(mut lines, quantity, sku)| {
        let price = Money::new(1, Currency::GBP);
        let name = sku.to_string();
        lines.push(Line { number: 0, sku, product_id: ProductId(Uuid::nil()), name, quantity, price });
        for (number, line) in (1..).zip(&mut lines) {
            line.number = number;
            line.quantity = line.quantity.clamp(1, 1_000);
            line.price = Money::new(line.price.amount.clamp(0, 1_000_000), Currency::GBP);
        }
        lines
    })
}

/// Lines whose amounts are around the ceilings, or far above them.
fn costly_lines() -> impl Strategy<Value = Vec<Line>> {
    let units = u32::try_from(MOST_TOTAL / MOST_AMOUNT).unwrap();
    let quantity =
        prop_oneof![4 => 1..4_u32, 4 => units - 2..units + 3, 1 => 1..=u32::MAX, 1 => Just(u32::MAX)];
    let amount = prop_oneof![
        4 => 0..10_i64,
        4 => MOST_AMOUNT - 2..MOST_AMOUNT + 3,
        1 => MOST_TOTAL - 2..MOST_TOTAL + 3,
        1 => 0..=i64::MAX,
        1 => Just(i64::MAX),
    ];
    vec((sku(), quantity, amount), 1..6).prop_map(|lines| {
        let line = |(number, (sku, quantity, amount)): (u32, (Sku, u32, i64))| Line {
            number,
            product_id: ProductId(Uuid::nil()),
            name: sku.to_string(),
            sku,
            quantity,
            price: Money::new(amount, Currency::GBP),
        };
        (1..).zip(lines).map(line).collect()
    })
}

fn any_lines() -> impl Strategy<Value = Vec<Line>> {
    prop_oneof![lines(), good_lines()]
}

fn customer() -> Customer {
    Customer::Guest(GuestId(Uuid::from_u128(1)))
}

fn order_commands() -> impl Strategy<Value = order::Command> {
    use order::Command::{Cancel, Confirm, Place, Refuse, Ship};
    prop_oneof![
        4 => any_lines().prop_map(|lines| Place(Placement {
            number: "S-1".to_owned(),
            customer: customer(),
            lines,
            country: "France".to_owned(),
            contact: Contact::try_new(customer().subject(), Some("Ada"), Some("ada@example.org"), None, None).unwrap(),
        })),
        2 => Just(Confirm),
        1 => sku().prop_map(|sku| Refuse { refusal: Refusal { line: 1, sku, reason: "timed-out".to_owned() } }),
        1 => Just(Cancel { reason: "because".to_owned() }),
        1 => Just(Ship),
    ]
}

fn variant() -> impl Strategy<Value = Variant> {
    (sku(), option::of(money())).prop_map(|(sku, price)| Variant { sku, price })
}

fn product_commands() -> impl Strategy<Value = product::Command> {
    use product::Command::{AddVariant, Change, Create, Delete, SetPrice};
    let details = || "[a-c]{1,2}".prop_map(|name| product::Details { name, ..product::Details::default() });
    prop_oneof![
        4 => (details(), vec(variant(), 0..4)).prop_map(|(details, variants)| Create { details, variants }),
        2 => details().prop_map(|details| Change { details }),
        4 => variant().prop_map(|variant| AddVariant { variant }),
        4 => (sku(), money()).prop_map(|(sku, price)| SetPrice { sku, price }),
        1 => Just(Delete),
    ]
}

fn user_commands() -> impl Strategy<Value = user::Command> {
    use user::Command::{Change, Delete, Register};
    let details = || {
        (option::of(Just("Ada")), option::of(Just("ada@example.org")), option::of(Just("France"))).prop_map(
            |(name, email, country)| user::Details::try_new(Uuid::nil(), name, email, None, country).unwrap(),
        )
    };
    prop_oneof![
        2 => details().prop_map(|details| Register { details }),
        2 => details().prop_map(|details| Change { details }),
        1 => Just(Delete),
    ]
}

fn person_commands() -> impl Strategy<Value = person::Command> {
    let purposes = || vec(prop_oneof![Just(Purpose::Account), Just(Purpose::Invoice)], 0..4);
    prop_oneof![
        purposes().prop_map(|purposes| person::Command::RequestErasure { purposes }),
        purposes().prop_map(|purposes| person::Command::ConfirmErasure { purposes }),
    ]
}

fn credit_note_commands() -> impl Strategy<Value = credit_note::Command> {
    use credit_note::Command::{Issue, IssueForOrder};
    (any_lines(), option::of(order_id()), 0..20_usize).prop_map(|(lines, order_id, missing)| {
        let (number, customer, country) = ("C1".to_owned(), customer(), "France".to_owned());
        let order_lines = (1..).take(lines.len().saturating_sub(missing / 19)).collect();
        match order_id {
            None => Issue { number, customer, lines, country },
            Some(order_id) => IssueForOrder { number, order_id, customer, lines, order_lines, country },
        }
    })
}

/// Parts of the lines that [`small_order`] has, and of some that it lacks.
fn credited_lines() -> impl Strategy<Value = Vec<CreditedLine>> {
    let amount = prop_oneof![4 => Just(300), 4 => Just(200), 2 => 0..400_i64, 1 => any::<i64>()];
    let currency = prop_oneof![19 => Just(Currency::GBP), 1 => Just("EUR".parse().unwrap())];
    let part = (1..5_u32, quantity(), amount, currency).prop_map(|(line, quantity, amount, currency)| {
        CreditedLine { line, quantity, price: Money { amount, currency } }
    });
    vec(part, 0..4)
}

fn credit_requests() -> impl Strategy<Value = Vec<CreditRequest>> {
    let request = (option::of(1..5_u32), option::of(sku()), 0..4_u32, option::of(0..400_i64)).prop_map(
        |(line, sku, quantity, price)| {
            let price = price.map(|amount| Money::new(amount, Currency::GBP));
            CreditRequest { line, sku, quantity, price }
        },
    );
    vec(request, 1..4)
}

/// Three units at 3.00, four at 2.00 of the same SKU, and one of another that was free.
fn small_order() -> Vec<Line> {
    let line = |number, sku: &str, quantity, amount| Line {
        number,
        sku: Sku::try_new(sku).unwrap(),
        product_id: ProductId(Uuid::nil()),
        name: sku.to_owned(),
        quantity,
        price: Money::new(amount, Currency::GBP),
    };
    vec![line(1, "SKU-0", 3, 300), line(2, "SKU-0", 4, 200), line(3, "SKU-1", 1, 0)]
}

/// A step of an order that can be credited.
#[derive(Debug, Clone)]
enum Step {
    Command(Box<order::Command>),
    /// Parts of its lines are credited as they are named.
    Credit(Vec<CreditedLine>),
    /// The order chooses the parts.
    Allocate(Vec<CreditRequest>),
}

fn credit_steps() -> impl Strategy<Value = Vec<Step>> {
    use order::Command::{Cancel, Confirm, Refuse, Ship};
    let sku = Sku::try_new("SKU-0").unwrap();
    let refusal = Refusal { line: 1, sku, reason: "timed-out".to_owned() };
    let step = prop_oneof![
        6 => credited_lines().prop_map(Step::Credit),
        6 => credit_requests().prop_map(Step::Allocate),
        1 => Just(Step::Command(Box::new(Confirm))),
        1 => Just(Step::Command(Box::new(Ship))),
        1 => Just(Step::Command(Box::new(Cancel { reason: "because".to_owned() }))),
        1 => Just(Step::Command(Box::new(Refuse { refusal }))),
    ];
    vec(step, 0..20)
}

fn earlier_credits() -> impl Strategy<Value = Vec<EarlierCredit>> {
    let note = (good_lines(), any::<u8>()).prop_map(|(lines, number)| EarlierCredit {
        credit_note_id: CreditNoteId(Uuid::from_u128(number.into())),
        total: Money::new(i64::try_from(sum(&lines)).unwrap(), Currency::GBP),
        lines,
    });
    vec(note, 0..3)
}

fn sum(lines: &[Line]) -> i128 {
    lines.iter().map(|line| i128::from(line.price.amount) * i128::from(line.quantity)).sum()
}

fn place() -> StockPlace {
    StockPlace { sku: Sku::try_new("MUG").unwrap(), location: MAIN.to_owned() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stock_is_never_promised_beyond_what_is_on_hand(commands in vec(stock_commands(), 0..60)) {
        let commands = commands.into_iter().map(|command| At { place: place(), command }).collect();
        let history = live::<Stock>(commands, |stock| {
            assert!(0 <= stock.reserved && stock.reserved <= stock.on_hand && stock.on_hand <= MOST_UNITS, "{stock:?}");
            let ids = (0..3).map(|n| OrderId(Uuid::from_u128(n)));
            let lines = ids.flat_map(|order| (0..3).filter_map(move |line| stock.line(order, line)));
            let held: i64 = lines.map(|l| if let inventory::Line::Reserved(n) = l { n.into() } else { 0 }).sum();
            assert_eq!(held, stock.reserved, "what is reserved is what the lines hold");
        });
        prop_assert!(history.iter().all(|event| *event.place() == place()));
        let moved = history.iter().map(|event| match event {
            inventory::Event::StockReceived { quantity, .. } => i64::from(*quantity),
            inventory::Event::StockAdjusted { quantity, .. } => *quantity,
            inventory::Event::StockShipped { quantity, .. } => -i64::from(*quantity),
            _ => 0,
        });
        let moved: i64 = moved.sum();
        let mut stock = Stock::default();
        for event in history {
            stock.apply(event);
        }
        prop_assert_eq!(stock.on_hand, moved, "what came, less what went, is what lies there");
    }

    #[test]
    fn a_line_is_reserved_at_most_once_and_ends_at_most_once(commands in vec(stock_commands(), 0..60)) {
        let commands = commands.into_iter().map(|command| At { place: place(), command }).collect();
        let (mut reserved, mut ended) = (Vec::new(), Vec::new());
        for event in live::<Stock>(commands, |_| ()) {
            match event {
                inventory::Event::StockReserved { order_id, line, .. } => reserved.push((order_id, line)),
                inventory::Event::StockReleased { order_id, line, .. }
                | inventory::Event::StockReservationBarred { order_id, line, .. }
                | inventory::Event::StockShipped { order_id, line, .. } => ended.push((order_id, line)),
                inventory::Event::StockReceived { .. } | inventory::Event::StockAdjusted { .. } => {}
            }
        }
        for mut lines in [reserved, ended] {
            let all = lines.len();
            lines.sort_unstable();
            lines.dedup();
            prop_assert_eq!(lines.len(), all);
        }
    }

    #[test]
    fn repeating_a_command_on_a_line_of_stock_changes_nothing(commands in vec(stock_commands(), 0..60)) {
        let facts = Facts { now: soonshop_domain::clock::now() };
        let mut stock = Stock::default();
        for command in commands {
            let again = !matches!(command, inventory::Command::Receive { .. } | inventory::Command::Adjust { .. });
            let at = At { place: place(), command };
            let Ok(events) = stock.decide(at.clone(), &facts) else { continue };
            for event in events {
                stock.apply(event);
            }
            if again {
                prop_assert_eq!(stock.decide(at, &facts), Ok(vec![]));
            }
        }
    }

    #[test]
    fn the_lines_of_an_order_sum_to_its_total(commands in vec(order_commands(), 0..12)) {
        let history = live::<Order>(commands, |order| {
            let placed = order.placed.as_ref().expect("an order begins with what was placed");
            assert_eq!(i128::from(placed.total.amount), sum(&placed.lines));
            for (number, line) in (1..).zip(&placed.lines) {
                assert!(line.number == number && line.quantity > 0 && line.price.amount >= 0, "{line:?}");
                assert_eq!(line.price.currency, placed.total.currency);
            }
        });
        let names: Vec<&str> = history.iter().map(AsRef::as_ref).collect();
        let whole = [
            vec!["OrderPlaced", "OrderConfirmed", "OrderShipped"],
            vec!["OrderPlaced", "OrderConfirmed", "OrderCancelled"],
            vec!["OrderPlaced", "OrderCancelled"],
            vec!["OrderPlaced", "OrderRefused"],
        ];
        prop_assert!(whole.iter().any(|way| way.starts_with(&names)), "{:?} is none of an order's ways", names);
    }

    #[test]
    fn an_order_accepts_every_valid_placement(lines in good_lines()) {
        let total = sum(&lines);
        let placement = Placement {
            number: "S-1".to_owned(),
            customer: customer(),
            lines,
            country: "France".to_owned(),
            contact: Contact::default(),
        };
        let history = live::<Order>(vec![order::Command::Place(placement)], |_| ());
        let [order::Event::OrderPlaced { total: placed, .. }] = &history[..] else {
            panic!("{history:?}");
        };
        prop_assert_eq!(i128::from(placed.amount), total);
    }

    #[test]
    fn lines_are_taken_exactly_if_no_amount_is_above_its_ceiling(lines in costly_lines()) {
        let fits = sum(&lines) <= MOST_TOTAL.into() && lines.iter().all(|line| line.price.amount <= MOST_AMOUNT);
        let facts = Facts { now: soonshop_domain::clock::now() };
        let (number, customer, country) = ("S-1".to_owned(), customer(), "France".to_owned());
        let issue = credit_note::Command::Issue {
            number: number.clone(), customer, lines: lines.clone(), country: country.clone(),
        };
        let placement = Placement { number, customer, lines: lines.clone(), country, contact: Contact::default() };
        let placed = Order::default().decide(order::Command::Place(placement), &facts);
        let issued = credit_note::CreditNote::default().decide(issue, &facts);
        if fits {
            let Ok([order::Event::OrderPlaced { total, .. }]) = placed.as_deref() else { panic!("{placed:?}") };
            prop_assert_eq!(i128::from(total.amount), sum(&lines));
            let Ok([credit_note::Event::CreditNoteIssued { total, .. }]) = issued.as_deref() else { panic!("{issued:?}") };
            prop_assert_eq!(i128::from(total.amount), sum(&lines));
        } else {
            prop_assert_eq!(placed, Err(order::Error::TotalTooLarge));
            prop_assert_eq!(issued, Err(credit_note::Error::Order(order::Error::TotalTooLarge)));
        }
    }

    #[test]
    fn the_lines_of_a_credit_note_sum_to_its_total(commands in vec(credit_note_commands(), 0..4)) {
        for event in live::<credit_note::CreditNote>(commands, |_| ()) {
            let credit_note::Event::CreditNoteIssued { lines, total, .. } = event;
            prop_assert_eq!(i128::from(total.amount), sum(&lines));
        }
    }

    #[test]
    fn no_sequence_of_orders_cancellations_and_credits_gives_back_more_than_was_charged(
        steps in credit_steps(),
        earlier in prop_oneof![3 => Just(Vec::new()), 1 => earlier_credits()],
    ) {
        let facts = Facts { now: soonshop_domain::clock::now() };
        let (lines, mut order) = (small_order(), Order::default());
        let placement = Placement {
            number: "S-1".to_owned(),
            customer: customer(),
            lines: lines.clone(),
            country: "France".to_owned(),
            contact: Contact::default(),
        };
        let mut history = order.decide(order::Command::Place(placement), &facts).unwrap();
        history.iter().cloned().for_each(|event| order.apply(event));
        for (number, step) in (1_000_u128..).zip(steps) {
            let (command, is_credit, is_allocated) = match step {
                Step::Command(command) => (*command, false, false),
                Step::Credit(lines) => {
                    let credit_note_id = CreditNoteId(Uuid::from_u128(number));
                    (order::Command::Credit { credit_note_id, lines, earlier: earlier.clone() }, true, false)
                }
                Step::Allocate(requests) => {
                    let Ok(all) = order.allocate(&earlier, &requests) else { continue };
                    let asked: u64 = requests.iter().map(|request| u64::from(request.quantity)).sum();
                    let lines: Vec<_> = all.into_iter().map(|one| one.credited).collect();
                    let given: u64 = lines.iter().map(|line| u64::from(line.quantity)).sum();
                    prop_assert_eq!(asked, given, "all of a request is allocated, or nothing");
                    let credit_note_id = CreditNoteId(Uuid::from_u128(number));
                    (order::Command::Credit { credit_note_id, lines, earlier: earlier.clone() }, true, given > 0)
                }
            };
            let charged = order.is_charged();
            let decided = order.decide(command, &facts);
            prop_assert!(charged || !is_credit || decided.is_err(), "nothing is charged, so nothing goes back");
            prop_assert!(!charged || !is_allocated || decided.is_ok(), "what was allocated is taken: {:?}", decided);
            for event in decided.unwrap_or_default() {
                order.apply(event.clone());
                history.push(event);
            }
            let stored = serde_json::to_string(&order).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Order>(&stored).unwrap(), &order);
        }
        // Counted anew, from the events alone.
        let credits = |of_earlier: bool| history.iter().filter_map(move |event| match event {
            order::Event::OrderCredited { lines, total, earlier, .. } if *earlier == of_earlier => Some((lines, total)),
            _ => None,
        });
        for line in &lines {
            let of_line = |of_earlier| credits(of_earlier).flat_map(|(lines, _)| lines).filter(|part| part.line == line.number);
            let units = |of_earlier| of_line(of_earlier).map(|part| i128::from(part.quantity)).sum::<i128>();
            let money = |of_earlier| of_line(of_earlier)
                .map(|part| i128::from(part.quantity) * i128::from(part.price.amount)).sum::<i128>();
            let charged = i128::from(line.quantity) * i128::from(line.price.amount);
            prop_assert!(units(false) <= (i128::from(line.quantity) - units(true)).max(0), "{:?}", history);
            prop_assert!(money(false) <= (charged - money(true)).max(0), "{:?}", history);
            prop_assert!(of_line(false).all(|part| part.quantity > 0 && part.price.amount >= 0));
        }
        let total = |of_earlier| credits(of_earlier).map(|(_, total)| i128::from(total.amount)).sum::<i128>();
        prop_assert!(total(false) <= (sum(&lines) - total(true)).max(0), "{:?}", history);
        prop_assert!(credits(false).all(|(parts, total)| i128::from(total.amount)
            == parts.iter().map(|part| i128::from(part.quantity) * i128::from(part.price.amount)).sum::<i128>()));
    }

    #[test]
    fn the_variants_of_a_product_have_different_skus_and_valid_prices(commands in vec(product_commands(), 0..30)) {
        live::<Product>(commands, |product| {
            if let Product::Listed { variants, .. } = product {
                let mut skus: Vec<_> = variants.iter().map(|variant| &variant.sku).collect();
                skus.sort_unstable();
                skus.dedup();
                assert_eq!(skus.len(), variants.len());
                assert!(!variants.is_empty());
                let prices = variants.iter().filter_map(|variant| variant.price);
                assert!(prices.into_iter().all(Money::is_price));
            }
        });
    }

    #[test]
    fn a_product_holds_the_skus_of_its_variants(commands in vec(product_commands(), 0..30)) {
        let (mut product, mut held) = (Product::default(), Vec::new());
        for event in live::<Product>(commands, |_| ()) {
            if let Some(hold) = product.holds(&event).pop() {
                held = hold.values;
            }
            product.apply(event);
            if let Product::Listed { variants, .. } = &product {
                let skus: Vec<_> = variants.iter().map(|variant| variant.sku.to_string()).collect();
                prop_assert_eq!(&held, &skus);
            }
        }
    }

    #[test]
    fn a_user_is_read_back_unchanged(commands in vec(user_commands(), 0..12)) {
        live::<User>(commands, |_| ());
    }

    #[test]
    fn a_purpose_is_requested_once_and_erased_once_and_only_after_a_request(commands in vec(person_commands(), 0..8)) {
        live::<person::Person>(commands, |person| {
            for purposes in [&person.requested, &person.erased] {
                let mut once = purposes.clone();
                once.sort_unstable();
                once.dedup();
                assert_eq!(once.len(), purposes.len(), "{person:?}");
            }
            assert!(person.erased.iter().all(|purpose| person.requested.contains(purpose)), "{person:?}");
        });
    }

    #[test]
    fn apply_takes_what_no_decision_leads_to(
        stock in vec(stock_commands(), 0..20),
        orders in vec(order_commands(), 0..20),
        products in vec(product_commands(), 0..20),
        users in vec(user_commands(), 0..20),
    ) {
        let stock = stock.into_iter().map(|command| At { place: place(), command }).collect();
        backwards::<Stock>(live::<Stock>(stock, |_| ()));
        backwards::<Order>(live::<Order>(orders, |_| ()));
        backwards::<Product>(live::<Product>(products, |_| ()));
        backwards::<User>(live::<User>(users, |_| ()));
    }
}
