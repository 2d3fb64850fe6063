//! Events for tests, and one fixed history with every event.

use soonshop_domain::cart;
use soonshop_domain::checkout::{self, Event as OfCheckout};
use soonshop_domain::ids::{CartId, GuestId, OrderId, ProductId, UserId};
use soonshop_domain::inventory::{self, StockPlace};
use soonshop_domain::order::{self, Contact, Customer, Line, Refusal, credit_note};
use soonshop_domain::payment::Capture;
use soonshop_domain::product::{self, Variant};
use soonshop_domain::tender::Tender;
use soonshop_domain::text::Sku;
use soonshop_domain::user::{self, Details, person};
use soonshop_domain::{Currency, Event, Money, Personal, Purpose, clock};
use uuid::Uuid;

pub(crate) const NAME: &str = "Grünhild Österreicher";
pub(crate) const EMAIL: &str = "gruenhild@example.org";
pub(crate) const PHONE: &str = "+44 20 7946 0958";
pub(crate) const ADDRESS: &str = "1 Zanzibar Terrace";

pub(crate) fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + number)
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::try_new(text).unwrap()
}

pub(crate) fn stock(text: &str) -> Uuid {
    inventory::stream(&sku(text), inventory::MAIN)
}

pub(crate) fn place(text: &str) -> StockPlace {
    StockPlace { sku: sku(text), location: inventory::MAIN.to_owned() }
}

pub(crate) fn details(subject: Uuid) -> Details {
    Details::try_new(subject, Some(NAME), Some(EMAIL), Some(PHONE), Some("Austria")).unwrap()
}

pub(crate) fn registered(subject: Uuid) -> Event {
    user::Event::UserRegistered { details: details(subject) }.into()
}

pub(crate) fn changed(subject: Uuid) -> Event {
    let details =
        Details::try_new(subject, Some(NAME), Some("new@example.org"), None, Some("France")).unwrap();
    user::Event::UserDetailsChanged { details }.into()
}

pub(crate) fn contact(subject: Uuid) -> Contact {
    Contact::try_new(subject, Some(NAME), Some(EMAIL), Some(PHONE), Some(ADDRESS)).unwrap()
}

pub(crate) fn erasure_requested() -> Event {
    person::Event::ErasureRequested { purposes: vec![Purpose::Account, Purpose::Invoice] }.into()
}

pub(crate) fn erased() -> Event {
    person::Event::PersonErased { purposes: vec![Purpose::Account, Purpose::Invoice] }.into()
}

pub(crate) fn money(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

pub(crate) fn product(name: &str, price: i64) -> Event {
    product::Event::ProductCreated {
        details: described(name),
        variants: vec![
            Variant { sku: sku(name), price: Some(money(price)) },
            Variant { sku: sku(&format!("{name}-2")), price: None },
        ],
    }
    .into()
}

pub(crate) fn described(name: &str) -> product::Details {
    product::Details {
        name: format!("The {name}"),
        description: "It \"holds\" tea — 茶".to_owned(),
        category: Some("kitchen".to_owned()),
        attributes: [("colour".to_owned(), "red".to_owned())].into(),
    }
}

pub(crate) fn repriced(name: &str, price: i64) -> Event {
    product::Event::ProductPriceChanged { sku: sku(name), price: money(price) }.into()
}

pub(crate) fn received(name: &str, quantity: u32) -> Event {
    inventory::Event::StockReceived { place: place(name), quantity }.into()
}

pub(crate) fn line(number: u32, name: &str, quantity: u32, price: i64) -> Line {
    Line {
        number,
        sku: sku(name),
        product_id: ProductId(uuid(100)),
        name: format!("The {name}"),
        quantity,
        price: money(price),
    }
}

pub(crate) fn placed(number: &str, customer: Customer, lines: Vec<Line>) -> Event {
    let total = lines.iter().map(|line| line.price.amount * i64::from(line.quantity)).sum();
    order::Event::OrderPlaced {
        number: number.to_owned(),
        customer,
        total: money(total),
        country: "Austria".to_owned(),
        contact: contact(customer.subject()),
        lines,
    }
    .into()
}

pub(crate) fn guest(number: u128) -> Customer {
    Customer::Guest(GuestId(uuid(number)))
}

/// Of mugs.
fn reserved(order_id: OrderId, line: u32, quantity: u32) -> Event {
    let place = place("MUG");
    inventory::Event::StockReserved { place, order_id, line, quantity, hold: None }.into()
}

fn shipped(order_id: OrderId, line: u32, quantity: u32) -> Event {
    let place = place("MUG");
    inventory::Event::StockShipped { place, order_id, line, quantity, cause: None }.into()
}

/// Every event of every type, most of them at least once in their usual order.
pub(crate) fn story() -> Vec<(Uuid, Event)> {
    use inventory::Event::{StockAdjusted, StockReleased, StockReservationBarred};
    use order::Event::{OrderCancelled, OrderConfirmed, OrderRefused, OrderShipped};
    use product::Event::{ProductDeleted, ProductDetailsChanged, ProductVariantAdded};
    let (ada, bob, visitor) = (uuid(1), uuid(2), uuid(3));
    let (mug, cup) = (uuid(100), uuid(101));
    let orders = [uuid(200), uuid(201), uuid(202), uuid(203)];
    let order = |n: usize| OrderId(orders[n]);
    let user = |id: Uuid| Customer::User(UserId(id));
    let refusal = Refusal { line: 2, sku: sku("CUP"), reason: "insufficient-stock".to_owned() };
    let adjusted = StockAdjusted { place: place("MUG"), quantity: -2, reason: "a count".to_owned() };
    let credit = credit_note::Event::CreditNoteIssued {
        number: "C-1".to_owned(),
        order_id: Some(order(0)),
        without_order: false,
        customer: user(ada),
        lines: vec![line(1, "MUG", 1, 1299)],
        order_lines: vec![],
        total: money(1299),
        country: "Austria".to_owned(),
    };
    let stranger = credit_note::Event::CreditNoteIssued {
        number: "C-2".to_owned(),
        order_id: None,
        without_order: false,
        customer: guest(3),
        lines: vec![line(1, "CUP", 2, 500), line(2, "MUG", 1, 100)],
        order_lines: vec![],
        total: money(1100),
        country: "France".to_owned(),
    };
    vec![
        (ada, registered(ada)),
        (bob, registered(bob)),
        (mug, product("MUG", 1299)),
        (cup, product("CUP", 500)),
        (mug, ProductDetailsChanged { details: described("BEAKER") }.into()),
        (mug, ProductVariantAdded { variant: Variant { sku: sku("MUG-3"), price: Some(money(900)) } }.into()),
        (mug, repriced("MUG", 1399)),
        (stock("MUG"), received("MUG", 10)),
        (stock("MUG"), adjusted.into()),
        (stock("CUP"), received("CUP", 1)),
        (orders[0], placed("S-1", user(ada), vec![line(1, "MUG", 2, 1399), line(2, "MUG", 1, 999)])),
        (stock("MUG"), reserved(order(0), 1, 2)),
        (stock("MUG"), reserved(order(0), 2, 1)),
        (orders[0], OrderConfirmed {}.into()),
        (orders[1], placed("S-2", guest(3), vec![line(1, "MUG", 1, 1399), line(2, "CUP", 9, 500)])),
        (stock("MUG"), reserved(order(1), 1, 1)),
        (
            stock("MUG"),
            StockReleased {
                place: place("MUG"),
                order_id: order(1),
                line: 1,
                quantity: 1,
                hold: None,
                cause: None,
            }
            .into(),
        ),
        (
            stock("CUP"),
            StockReservationBarred { place: place("CUP"), order_id: order(1), line: 2, hold: None }.into(),
        ),
        (orders[1], OrderRefused { refusal }.into()),
        (orders[2], placed("S-3", user(bob), vec![line(1, "CUP", 1, 500)])),
        (orders[2], OrderCancelled { reason: "changed-my-mind".to_owned() }.into()),
        (orders[0], OrderShipped {}.into()),
        (stock("MUG"), shipped(order(0), 1, 2)),
        (stock("MUG"), shipped(order(0), 2, 1)),
        (uuid(300), credit.into()),
        (uuid(301), stranger.into()),
        (cup, ProductDeleted {}.into()),
        (ada, changed(ada)),
        (bob, user::Event::UserDeleted {}.into()),
        (bob, erasure_requested()),
        (visitor, erasure_requested()),
        (orders[3], placed("S-4", user(ada), vec![line(1, "MUG", 1, 1399)])),
        (bob, erased()),
        (visitor, erased()),
    ]
}

fn cart_line(number: u32, name: &str, quantity: u32, noted_by: Option<Uuid>) -> cart::Line {
    let note = noted_by.map(|owner| Personal::new("a gift".to_owned(), owner, Purpose::Account));
    let seen = cart::Seen { name: format!("The {name}"), price: money(1299) };
    let product_id = ProductId(uuid(100));
    cart::Line { line: number, sku: sku(name), product_id, quantity, note, seen, saved: false }
}

/// Every event of a cart: one that is open, one that an account claimed, one that was merged, and one that expired.
fn carts() -> Vec<(Uuid, Event)> {
    use cart::Event::{
        CartClaimed, CartExpired, CartLineAdded, CartLineChanged, CartLineRemoved, CartLineSaved,
        CartLineWanted, CartLinesTaken, CartMerged, CartShareEnded, CartShared, CartStarted,
    };
    let (open, claimed, merged, expired) = (uuid(400), uuid(401), uuid(402), uuid(403));
    let (ada, visitor) = (UserId(uuid(1)), GuestId(uuid(3)));
    let customer = Customer::User(ada);
    let start = |customer: Customer, noted_by| CartStarted {
        channel: cart::CHANNEL.to_owned(),
        currency: Currency::GBP,
        customer,
        first: cart_line(1, "MUG", 2, noted_by),
    };
    let until = clock::from_micros(1_900_000_000_000_000);
    let change = CartLineChanged {
        customer,
        line: 1,
        quantity: 3,
        note: None,
        seen: cart::Seen { name: "The MUG".to_owned(), price: money(1399) },
    };
    let note = Personal::new("a gift".to_owned(), ada.0, Purpose::Account);
    let claim = CartClaimed { user: ada, guest: visitor, notes: vec![cart::Note { line: 1, note }] };
    let taken = vec![cart_line(1, "MUG", 5, None), cart_line(4, "CUP", 1, Some(ada.0))];
    let events = [
        (open, start(customer, Some(ada.0))),
        (open, CartLineAdded { customer, added: cart_line(2, "CUP", 1, Some(ada.0)) }),
        (open, CartLineAdded { customer, added: cart_line(3, "POT", 1, None) }),
        (open, change),
        (open, CartLineRemoved { line: 3 }),
        (open, CartLineSaved { line: 1 }),
        (open, CartLineWanted { line: 1 }),
        (open, CartLineSaved { line: 2 }),
        (open, CartShared { share: uuid(500), until }),
        (open, CartShared { share: uuid(501), until }),
        (open, CartShareEnded { share: uuid(501) }),
        (claimed, start(Customer::Guest(visitor), Some(visitor.0))),
        (claimed, claim),
        (merged, start(Customer::Guest(visitor), None)),
        (open, CartLinesTaken { customer, from: CartId(merged), lines: taken }),
        (merged, CartMerged { into: CartId(open), owner: ada }),
        (expired, start(Customer::Guest(visitor), None)),
        (expired, CartExpired {}),
    ];
    events.into_iter().map(|(stream, event)| (stream, event.into())).collect()
}

/// One that became an order, which an account took over; one that could not be had; one that waits for its payment.
fn checkouts() -> Vec<(Uuid, Event)> {
    let (bought, refused, running) = (uuid(500), uuid(501), uuid(502));
    let (first, second) = (uuid(510), uuid(511));
    let started = |number: &str, quantity| {
        OfCheckout::CheckoutStarted(Box::new(checkout::Started {
            cart: CartId(uuid(400)),
            channel: cart::CHANNEL.to_owned(),
            customer: guest(7),
            number: number.to_owned(),
            country: "Austria".to_owned(),
            contact: contact(guest(7).subject()),
            lines: vec![line(1, "MUG", quantity, 100), line(2, "CUP", 1, 50)],
            total: money(100 * i64::from(quantity) + 50),
            capture: Capture::AtOnce,
            test: true,
            hold_until: clock::from_micros(1_900_000_000_000_000),
            pay: Vec::new(),
        }))
    };
    let added = |payment, amount| OfCheckout::CheckoutPaymentAdded {
        payment,
        tender: Tender::Provider,
        amount: money(amount),
    };
    let settled = |payment, amount| OfCheckout::CheckoutPaymentSettled {
        payment,
        transaction: uuid(520),
        amount: money(amount),
    };
    let refusal =
        checkout::Refusal { reason: "insufficient-stock".to_owned(), line: Some(2), sku: Some(sku("CUP")) };
    let of_checkouts = [
        (bought, started("S-500", 2)),
        (bought, OfCheckout::CheckoutHeld {}),
        (bought, added(first, 250)),
        (bought, settled(first, 250)),
        (bought, OfCheckout::CheckoutPaymentUnsettled { payment: first, transaction: uuid(520) }),
        (bought, OfCheckout::CheckoutPaymentStopped { payment: first }),
        (bought, added(second, 250)),
        (bought, settled(second, 250)),
        (bought, OfCheckout::CheckoutCompleted {}),
        (refused, started("S-501", 1)),
        (refused, OfCheckout::CheckoutGivenUp { reason: "given-up".to_owned() }),
        (refused, OfCheckout::CheckoutRefused { refusal }),
        (running, started("S-502", 3)),
        (running, added(uuid(512), 100)),
    ];
    let mut events: Vec<(Uuid, Event)> =
        of_checkouts.into_iter().map(|(stream, event)| (stream, event.into())).collect();
    let claimed = order::Event::OrderClaimed { account: UserId(uuid(1)), by: order::ClaimedBy::Token };
    events.push((bought, claimed.into()));
    events
}

/// The golden history of each aggregate type that the story leaves out, in a stream of its own.
pub(crate) fn histories_beside_the_story() -> Vec<(Uuid, Event)> {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain/tests/golden");
    let read = |file: String| -> serde_json::Value {
        let text =
            std::fs::read_to_string(golden.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::from_str(&text).unwrap()
    };
    let types: Vec<_> = story().iter().map(|(_, event)| event.aggregate_type()).collect();
    let mut events = Vec::new();
    for (name, version) in soonshop_domain::state_types() {
        if types.contains(&name) {
            continue;
        }
        // Its golden events have personal values under keys that no store has.
        match name {
            "cart" => events.extend(carts()),
            "checkout" => events.extend(checkouts()),
            _ => {}
        }
        if ["cart", "checkout"].contains(&name) {
            continue;
        }
        let stream = Uuid::new_v5(&Uuid::nil(), name.as_bytes());
        for step in read(format!("states/{name}.v{version}.json")).as_array().unwrap() {
            let event = step["after"].as_str().unwrap();
            let written =
                soonshop_domain::catalog::version_of(name, event, soonshop_domain::catalog::UPCASTERS);
            let payload = read(format!("events/{event}.v{written}.json"));
            events.push((stream, Event::decode_value(name, payload).unwrap().unwrap()));
        }
    }
    events
}
