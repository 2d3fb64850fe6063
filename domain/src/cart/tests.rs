use chrono::TimeDelta;
use cqrs_es::test::{AggregateTestExecutor, TestFramework};

use super::*;
use crate::golden::{Sample, encrypted, gbp, person_id, product_id, sku};
use crate::ids::ProductId;
use crate::{Personal, Purpose, clock};

const CHECKOUT: OrderId = OrderId(Uuid::from_u128(10));
const OTHER: CartId = CartId(Uuid::from_u128(9));

fn user() -> UserId {
    UserId(person_id())
}

fn guest() -> GuestId {
    GuestId(person_id())
}

fn share() -> Uuid {
    Uuid::from_u128(8)
}

fn moment() -> DateTime<Utc> {
    clock::from_micros(1_700_000_000_000_000)
}

fn facts() -> Facts {
    Facts { now: moment() }
}

fn seen(price: i64) -> Seen {
    Seen { name: "Mug".to_owned(), price: gbp(price) }
}

fn note() -> Personal<String> {
    encrypted(Purpose::Account, "bm90ZQ")
}

fn line(line: u32, quantity: u32) -> Line {
    Line {
        line,
        sku: sku("MUG-RED"),
        product_id: product_id(),
        quantity,
        note: None,
        seen: seen(1_299),
        saved: false,
    }
}

fn new(quantity: u32) -> NewLine {
    let Line { sku, product_id, quantity, note, seen, .. } = line(0, quantity);
    NewLine { sku, product_id, quantity, note, seen }
}

fn started(customer: Customer) -> Event {
    let (channel, currency) = (CHANNEL.to_owned(), Currency::GBP);
    Event::CartStarted { channel, currency, customer, first: line(1, 2) }
}

fn of_guest() -> Event {
    started(Customer::Guest(guest()))
}

fn added(number: u32, quantity: u32) -> Event {
    Event::CartLineAdded { customer: Customer::Guest(guest()), added: line(number, quantity) }
}

fn changed(number: u32, quantity: u32) -> Event {
    let customer = Customer::Guest(guest());
    Event::CartLineChanged { customer, line: number, quantity, note: None, seen: seen(1_299) }
}

fn merged() -> Event {
    Event::CartMerged { into: OTHER, owner: user() }
}

impl Sample for Event {
    fn sample(kind: EventKind) -> Self {
        let customer = Customer::User(user());
        let noted = |number, quantity| Line { note: Some(note()), ..line(number, quantity) };
        match kind {
            EventKind::CartStarted => Self::CartStarted {
                channel: CHANNEL.to_owned(),
                currency: Currency::GBP,
                customer: Customer::Guest(guest()),
                first: noted(1, 2),
            },
            EventKind::CartLineAdded => Self::CartLineAdded { customer, added: line(2, 1) },
            EventKind::CartLineChanged => Self::CartLineChanged {
                customer,
                line: 1,
                quantity: 3,
                note: Some(note()),
                seen: seen(1_399),
            },
            EventKind::CartLineRemoved => Self::CartLineRemoved { line: 2 },
            EventKind::CartLineSaved => Self::CartLineSaved { line: 1 },
            EventKind::CartLineWanted => Self::CartLineWanted { line: 1 },
            EventKind::CartShared => Self::CartShared { share: share(), until: moment() },
            EventKind::CartShareEnded => Self::CartShareEnded { share: share() },
            EventKind::CartClaimed => Self::CartClaimed {
                user: user(),
                guest: guest(),
                notes: vec![Note { line: 1, note: note() }],
            },
            EventKind::CartLinesTaken => Self::CartLinesTaken {
                customer,
                from: OTHER,
                lines: vec![line(1, 5), Line { saved: true, ..noted(3, 1) }],
            },
            EventKind::CartMerged => merged(),
            EventKind::CartExpired => Self::CartExpired {},
            EventKind::CartCheckoutBegun => Self::CartCheckoutBegun { checkout: CHECKOUT },
            EventKind::CartCheckoutEnded => Self::CartCheckoutEnded { checkout: CHECKOUT },
            EventKind::CartCheckedOut => Self::CartCheckedOut { checkout: CHECKOUT, goes_on: false },
        }
    }
}

fn given(events: Vec<Event>) -> AggregateTestExecutor<Cart> {
    TestFramework::<Cart>::with(facts()).given(events)
}

fn after(events: Vec<Event>) -> Cart {
    let mut cart = Cart::default();
    for event in events {
        cart.evolve(event);
    }
    cart
}

#[test]
fn a_cart_starts_once_with_its_first_line() {
    let start =
        || Command::Start { channel: CHANNEL.to_owned(), customer: Customer::Guest(guest()), line: new(2) };
    given(vec![]).when(start()).then_expect_events(vec![of_guest()]);
    given(vec![of_guest()]).when(start()).then_expect_error(Error::CartExists);
}

#[test]
fn a_sku_that_is_added_again_is_more_of_its_line() {
    given(vec![of_guest()]).when(Command::Add { line: new(3) }).then_expect_events(vec![changed(1, 5)]);
    let saved = vec![of_guest(), Event::CartLineSaved { line: 1 }];
    given(saved).when(Command::Add { line: new(3) }).then_expect_events(vec![added(2, 3)]);
}

#[test]
fn a_line_with_a_note_is_a_line_of_its_own() {
    let noted = NewLine { note: Some(note()), ..new(1) };
    let event = Event::CartLineAdded {
        customer: Customer::Guest(guest()),
        added: Line { note: Some(note()), ..line(2, 1) },
    };
    given(vec![of_guest()]).when(Command::Add { line: noted }).then_expect_events(vec![event.clone()]);
    // What has no note goes to the line without one.
    given(vec![of_guest(), event])
        .when(Command::Add { line: new(1) })
        .then_expect_events(vec![changed(1, 3)]);
}

#[test]
fn a_note_is_encrypted_for_whom_the_cart_belongs_to_when_it_is_stored() {
    let of = |person| Personal::new("a gift".to_owned(), person, Purpose::Account);
    let account = UserId(Uuid::from_u128(77));
    let claimed = Event::CartClaimed { user: account, guest: guest(), notes: vec![] };
    let cart = after(vec![of_guest(), claimed]);
    let add = |person| Command::Add { line: NewLine { note: Some(of(person)), ..new(1) } };
    let change = |person| Command::Change { line: 1, quantity: 1, note: NewNote::Is(of(person)), seen: None };
    for command in [add(person_id()), change(person_id())] {
        assert_eq!(cart.decide(command, &facts()), Err(Error::CartChanged));
    }
    for command in [add(account.0), change(account.0)] {
        assert!(cart.decide(command, &facts()).is_ok());
    }
}

#[test]
fn a_quantity_of_nothing_or_of_too_much_changes_nothing() {
    for quantity in [0, MOST_UNITS + 1, u32::MAX] {
        let change = Command::Change { line: 1, quantity, note: NewNote::Same, seen: None };
        given(vec![of_guest()]).when(change).then_expect_error(Error::BadQuantity);
        let add = Command::Add { line: new(quantity) };
        given(vec![of_guest()]).when(add).then_expect_error(Error::BadQuantity);
    }
    let most = Command::Change { line: 1, quantity: MOST_UNITS, note: NewNote::Same, seen: None };
    given(vec![of_guest()]).when(most).then_expect_events(vec![changed(1, MOST_UNITS)]);
    let more = vec![of_guest(), changed(1, MOST_UNITS)];
    given(more).when(Command::Add { line: new(1) }).then_expect_error(Error::BadQuantity);
}

#[test]
fn a_change_keeps_what_was_seen_unless_it_says_what_is_seen_now() {
    let change = |seen| Command::Change { line: 1, quantity: 2, note: NewNote::Same, seen };
    given(vec![of_guest()]).when(change(None)).then_expect_events(vec![]);
    let now = Event::CartLineChanged {
        customer: Customer::Guest(guest()),
        line: 1,
        quantity: 2,
        note: None,
        seen: seen(1_500),
    };
    given(vec![of_guest()]).when(change(Some(seen(1_500)))).then_expect_events(vec![now]);
}

#[test]
fn a_line_is_removed_saved_and_wanted_once() {
    let (saved, wanted) = (Event::CartLineSaved { line: 1 }, Event::CartLineWanted { line: 1 });
    let removed = Event::CartLineRemoved { line: 1 };
    let (save, want) = (Command::Save { line: 1 }, Command::Want { line: 1 });
    given(vec![of_guest()]).when(want.clone()).then_expect_events(vec![]);
    given(vec![of_guest()]).when(save.clone()).then_expect_events(vec![saved.clone()]);
    given(vec![of_guest(), saved.clone()]).when(save).then_expect_events(vec![]);
    given(vec![of_guest(), saved]).when(want).then_expect_events(vec![wanted]);
    let remove = Command::Remove { line: 1 };
    given(vec![of_guest()]).when(remove.clone()).then_expect_events(vec![removed.clone()]);
    given(vec![of_guest(), removed.clone()]).when(remove).then_expect_events(vec![]);
    given(vec![of_guest()]).when(Command::Remove { line: 2 }).then_expect_error(Error::NotInCart);
    // Its number is not given again.
    given(vec![of_guest(), removed])
        .when(Command::Add { line: new(1) })
        .then_expect_events(vec![added(2, 1)]);
}

#[test]
fn a_cart_of_200_lines_takes_no_other_and_gives_them_up() {
    let lines = (2..=200).map(|number| Event::CartLineAdded {
        customer: Customer::Guest(guest()),
        added: Line { note: Some(note()), ..line(number, 1) },
    });
    let full: Vec<Event> = std::iter::once(of_guest()).chain(lines).collect();
    let another = NewLine { note: Some(note()), ..new(1) };
    given(full.clone()).when(Command::Add { line: another }).then_expect_error(Error::CartFull);
    given(full.clone()).when(Command::Add { line: new(1) }).then_expect_events(vec![changed(1, 3)]);
    let removed = Event::CartLineRemoved { line: 7 };
    given(full).when(Command::Remove { line: 7 }).then_expect_events(vec![removed]);
}

#[test]
fn a_cart_of_1_000_changes_takes_no_other_and_gives_its_lines_up() {
    let mut full = vec![of_guest()];
    full.extend((1..MOST_CHANGES).map(|change| changed(1, 1 + change % 2)));
    let change = Command::Change { line: 1, quantity: 9, note: NewNote::Same, seen: None };
    given(full.clone()).when(change.clone()).then_expect_error(Error::CartFull);
    given(full[1..].iter().cloned().fold(vec![of_guest()], |mut most, event| {
        if most.len() < full.len() - 1 {
            most.push(event);
        }
        most
    }))
    .when(change)
    .then_expect_events(vec![changed(1, 9)]);
    let removed = Event::CartLineRemoved { line: 1 };
    given(full).when(Command::Remove { line: 1 }).then_expect_events(vec![removed]);
}

#[test]
fn a_cart_has_one_currency_and_a_total_that_an_order_can_have() {
    let euros = Seen { price: Money::new(1, "EUR".parse().unwrap()), ..seen(1) };
    let add = |seen| Command::Add { line: NewLine { seen, note: Some(note()), ..new(MOST_UNITS) } };
    given(vec![of_guest()]).when(add(euros)).then_expect_error(Error::OtherCurrency(Currency::GBP));
    let dear = seen(crate::money::MOST_AMOUNT);
    given(vec![of_guest()]).when(add(dear)).then_expect_error(Error::TotalTooLarge);
}

#[test]
fn a_share_ends_by_90_days_at_the_latest() {
    let until = |days| Command::Share { share: share(), until: Some(moment() + TimeDelta::days(days)) };
    let shared = |days| Event::CartShared { share: share(), until: moment() + TimeDelta::days(days) };
    given(vec![of_guest()]).when(until(90)).then_expect_events(vec![shared(90)]);
    let default = Command::Share { share: share(), until: None };
    given(vec![of_guest()]).when(default).then_expect_events(vec![shared(30)]);
    for days in [0, -1, 91] {
        given(vec![of_guest()]).when(until(days)).then_expect_error(Error::BadShareEnd);
    }
    let end = Command::EndShare { share: share() };
    let ended = Event::CartShareEnded { share: share() };
    given(vec![of_guest(), shared(1)]).when(end.clone()).then_expect_events(vec![ended]);
    given(vec![of_guest()]).when(end).then_expect_events(vec![]);
}

#[test]
fn a_cart_has_ten_share_links_at_most_that_hold() {
    let shared = |number, days| Event::CartShared {
        share: Uuid::from_u128(number),
        until: moment() + TimeDelta::days(days),
    };
    let share = || Command::Share { share: share(), until: None };
    let ten = |days| std::iter::once(of_guest()).chain((100..110).map(move |number| shared(number, days)));
    given(ten(1).collect()).when(share()).then_expect_error(Error::CartFull);
    let events = after(ten(-1).collect()).decide(share(), &facts()).unwrap();
    let mut cart = after(ten(-1).collect());
    for event in events {
        cart.evolve(event);
    }
    assert!(cart.shares.len() <= MOST_SHARES && cart.shares.iter().any(|one| one.share == self::share()));
}

#[test]
fn an_account_claims_the_cart_of_a_guest_as_it_was_read() {
    let notes = || vec![Note { line: 1, note: note() }];
    let account = UserId(Uuid::from_u128(77));
    let claim = |guest, changes| Command::Claim { user: account, guest, notes: notes(), changes };
    let claimed = Event::CartClaimed { user: account, guest: guest(), notes: notes() };
    given(vec![of_guest()]).when(claim(guest(), 1)).then_expect_events(vec![claimed.clone()]);
    given(vec![of_guest(), claimed]).when(claim(guest(), 2)).then_expect_events(vec![]);
    given(vec![of_guest()]).when(claim(guest(), 2)).then_expect_error(Error::CartChanged);
    let stranger = GuestId(Uuid::from_u128(78));
    given(vec![of_guest()]).when(claim(stranger, 1)).then_expect_error(Error::CartNotFound);
    given(vec![started(Customer::User(user()))])
        .when(claim(guest(), 1))
        .then_expect_error(Error::CartNotFound);
}

#[test]
fn merged_quantities_are_added_up_and_nothing_is_lost() {
    let mine = started(Customer::User(user()));
    let other = Line { sku: sku("CUP"), ..line(2, 4) };
    let noted = Line { note: Some(note()), ..line(3, 1) };
    let saved = Line { saved: true, ..line(4, 1) };
    let lines = vec![line(1, 3), other.clone(), noted.clone(), saved.clone(), line(5, 2)];
    let taken = Event::CartLinesTaken {
        customer: Customer::User(user()),
        from: OTHER,
        lines: vec![
            line(1, 7),
            Line { line: 2, ..other },
            Line { line: 3, ..noted },
            Line { line: 4, ..saved },
        ],
    };
    given(vec![mine.clone()]).when(Command::Take { from: OTHER, lines }).then_expect_events(vec![taken]);
    // More than a line holds is another line.
    let lines = vec![line(1, MOST_UNITS)];
    let taken = Event::CartLinesTaken {
        customer: Customer::User(user()),
        from: OTHER,
        lines: vec![line(2, MOST_UNITS)],
    };
    given(vec![mine]).when(Command::Take { from: OTHER, lines }).then_expect_events(vec![taken]);
}

#[test]
fn a_cart_is_merged_once_and_only_as_it_was_read() {
    let merge = |changes| Command::MergeInto { into: OTHER, owner: user(), guest: guest(), changes };
    given(vec![of_guest()]).when(merge(1)).then_expect_events(vec![merged()]);
    given(vec![of_guest()]).when(merge(2)).then_expect_error(Error::CartChanged);
    given(vec![of_guest(), merged()]).when(merge(1)).then_expect_error(Error::CartEnded(OTHER));
}

#[test]
fn a_cart_that_ended_takes_nothing_and_says_where_its_lines_are() {
    let commands = || {
        vec![
            Command::Add { line: new(1) },
            Command::Change { line: 1, quantity: 1, note: NewNote::Same, seen: None },
            Command::Remove { line: 1 },
            Command::Save { line: 1 },
            Command::Want { line: 1 },
            Command::Share { share: share(), until: None },
            Command::EndShare { share: share() },
            Command::Take { from: OTHER, lines: vec![] },
        ]
    };
    for command in commands() {
        given(vec![of_guest(), merged()]).when(command.clone()).then_expect_error(Error::CartEnded(OTHER));
        let expired = vec![of_guest(), Event::CartExpired {}];
        given(expired).when(command.clone()).then_expect_error(Error::CartExpired);
        given(vec![]).when(command).then_expect_error(Error::CartNotFound);
    }
    for ended in [merged(), Event::CartExpired {}] {
        given(vec![of_guest(), ended]).when(expire(None)).then_expect_events(vec![]);
    }
}

fn expire(changes: Option<u32>) -> Command {
    Command::Expire { changes }
}

#[test]
fn a_cart_expires_as_it_was_when_its_time_was_up() {
    for changes in [None, Some(1)] {
        given(vec![of_guest()]).when(expire(changes)).then_expect_events(vec![Event::CartExpired {}]);
    }
    given(vec![of_guest(), changed(1, 3)]).when(expire(Some(1))).then_expect_error(Error::CartChanged);
    given(vec![]).when(expire(None)).then_expect_error(Error::CartNotFound);
}

#[test]
fn units_of_another_product_that_has_the_sku_by_now_are_a_line_of_their_own() {
    let other = ProductId(Uuid::from_u128(79));
    let added = Event::CartLineAdded {
        customer: Customer::Guest(guest()),
        added: Line { product_id: other, ..line(2, 3) },
    };
    let new = NewLine { product_id: other, ..new(3) };
    given(vec![of_guest()]).when(Command::Add { line: new }).then_expect_events(vec![added.clone()]);
    let taken = Event::CartLinesTaken {
        customer: Customer::User(user()),
        from: OTHER,
        lines: vec![Line { product_id: other, ..line(2, 3) }],
    };
    let lines = vec![Line { product_id: other, ..line(7, 3) }];
    given(vec![started(Customer::User(user()))])
        .when(Command::Take { from: OTHER, lines })
        .then_expect_events(vec![taken]);
}

#[test]
fn units_that_are_added_say_still_what_changed_about_their_line() {
    let dearer = NewLine { seen: seen(1_500), ..new(3) };
    given(vec![of_guest()]).when(Command::Add { line: dearer }).then_expect_events(vec![changed(1, 5)]);
}

#[test]
fn a_note_stays_until_it_is_replaced_or_removed() {
    let noted = |note, quantity| Event::CartLineChanged {
        customer: Customer::Guest(guest()),
        line: 1,
        quantity,
        note,
        seen: seen(1_299),
    };
    let change = |note, quantity| Command::Change { line: 1, quantity, note, seen: None };
    let before = || vec![of_guest(), noted(Some(note()), 2)];
    given(before()).when(change(NewNote::Same, 3)).then_expect_events(vec![noted(Some(note()), 3)]);
    given(before()).when(change(NewNote::Removed, 2)).then_expect_events(vec![noted(None, 2)]);
    let other = encrypted(Purpose::Account, "b3RoZXI");
    given(before())
        .when(change(NewNote::Is(other.clone()), 2))
        .then_expect_events(vec![noted(Some(other), 2)]);
}

#[test]
fn less_of_a_line_is_taken_also_where_all_lines_cost_too_much() {
    let dear = || Line { seen: seen(crate::money::MOST_AMOUNT), ..line(2, 20_000) };
    let customer = Customer::Guest(guest());
    let taken = Event::CartLinesTaken { customer, from: OTHER, lines: vec![dear()] };
    let change = |quantity| Command::Change { line: 2, quantity, note: NewNote::Same, seen: None };
    let less = Event::CartLineChanged { customer, line: 2, quantity: 19_999, note: None, seen: dear().seen };
    given(vec![of_guest(), taken.clone()]).when(change(19_999)).then_expect_events(vec![less]);
    given(vec![of_guest(), taken]).when(change(20_001)).then_expect_error(Error::TotalTooLarge);
}

#[test]
fn what_is_claimed_or_taken_goes_into_events_of_fifty_lines() {
    let lines: Vec<Line> = (1..=120).map(|number| Line { note: Some(note()), ..line(number, 1) }).collect();
    let notes: Vec<Note> = lines.iter().map(|line| Note { line: line.line, note: note() }).collect();
    let account = UserId(Uuid::from_u128(77));
    let claim = Command::Claim { user: account, guest: guest(), notes, changes: 1 };
    let events = after(vec![of_guest()]).decide(claim, &facts()).unwrap();
    let sizes = |events: &[Event]| -> Vec<usize> {
        let size = |event: &Event| match event {
            Event::CartClaimed { notes, .. } => notes.len(),
            Event::CartLinesTaken { lines, .. } => lines.len(),
            other => panic!("{other:?}"),
        };
        events.iter().map(size).collect()
    };
    assert_eq!(sizes(&events), [50, 50, 20]);
    let mine = started(Customer::User(user()));
    let take = Command::Take { from: OTHER, lines };
    let events = after(vec![mine.clone()]).decide(take, &facts()).unwrap();
    assert_eq!(sizes(&events), [50, 50, 20]);
    let cart = after([vec![mine], events].concat());
    assert_eq!((cart.lines.len(), cart.last_line), (121, 121));
    let nothing = Command::Take { from: OTHER, lines: vec![] };
    assert_eq!(sizes(&cart.decide(nothing, &facts()).unwrap()), [0]);
}

#[test]
fn the_links_of_a_guest_end_when_an_account_takes_the_cart_over() {
    let shared =
        |number| Event::CartShared { share: Uuid::from_u128(number), until: moment() + TimeDelta::days(1) };
    let account = UserId(Uuid::from_u128(77));
    let claim = Command::Claim { user: account, guest: guest(), notes: vec![], changes: 3 };
    let ended = |number| Event::CartShareEnded { share: Uuid::from_u128(number) };
    let claimed = Event::CartClaimed { user: account, guest: guest(), notes: vec![] };
    given(vec![of_guest(), shared(1), shared(2)]).when(claim).then_expect_events(vec![
        ended(1),
        ended(2),
        claimed,
    ]);
}

#[test]
fn nothing_is_changed_in_a_cart_while_it_is_checked_out_and_it_goes_on_if_that_comes_to_nothing() {
    let begun = Event::CartCheckoutBegun { checkout: CHECKOUT };
    let ended = Event::CartCheckoutEnded { checkout: CHECKOUT };
    let bought = Event::CartCheckedOut { checkout: CHECKOUT, goes_on: false };
    let begin = |changes| Command::BeginCheckout { checkout: CHECKOUT, changes };
    given(vec![of_guest()]).when(begin(1)).then_expect_events(vec![begun.clone()]);
    given(vec![of_guest()]).when(begin(2)).then_expect_error(Error::CartChanged);
    let running = || vec![of_guest(), begun.clone()];
    given(running()).when(begin(1)).then_expect_events(vec![]);
    let another = Command::BeginCheckout { checkout: OrderId(Uuid::from_u128(99)), changes: 2 };
    given(running()).when(another).then_expect_error(Error::CheckoutRunning);
    given(running()).when(Command::Add { line: new(1) }).then_expect_error(Error::CheckoutRunning);
    given(running()).when(expire(None)).then_expect_error(Error::CartChanged);
    let end = Command::EndCheckout { checkout: CHECKOUT };
    given(running()).when(end.clone()).then_expect_events(vec![ended.clone()]);
    let again = [running(), vec![ended]].concat();
    given(again.clone()).when(end).then_expect_events(vec![]);
    given(again).when(Command::Add { line: new(1) }).then_expect_events(vec![changed(1, 3)]);
    let check_out = Command::CheckOut { checkout: CHECKOUT };
    given(running()).when(check_out.clone()).then_expect_events(vec![bought.clone()]);
    let done = [running(), vec![bought]].concat();
    given(done.clone()).when(check_out.clone()).then_expect_events(vec![]);
    given(done.clone()).when(Command::Add { line: new(1) }).then_expect_error(Error::CartCheckedOut);
    assert!(after(done).lines.is_empty());
    given(vec![of_guest()]).when(check_out).then_expect_error(Error::CartChanged);
}

#[test]
fn a_link_is_ended_also_while_a_checkout_runs_and_what_is_kept_for_later_is_not_bought() {
    let share = Uuid::from_u128(1);
    let shared = Event::CartShared { share, until: moment() + TimeDelta::days(1) };
    let begun = Event::CartCheckoutBegun { checkout: CHECKOUT };
    given(vec![of_guest(), shared, begun])
        .when(Command::EndShare { share })
        .then_expect_events(vec![Event::CartShareEnded { share }]);
    let begin = Command::BeginCheckout { checkout: CHECKOUT, changes: 2 };
    given(vec![of_guest(), Event::CartLineSaved { line: 1 }])
        .when(begin)
        .then_expect_error(Error::NothingToBuy);
}

#[test]
fn what_is_kept_for_later_stays_in_a_cart_whose_other_lines_were_bought() {
    let added = Event::CartLineAdded { customer: Customer::Guest(guest()), added: line(2, 1) };
    let begun = Event::CartCheckoutBegun { checkout: CHECKOUT };
    let running = vec![of_guest(), added, Event::CartLineSaved { line: 2 }, begun];
    let bought = Event::CartCheckedOut { checkout: CHECKOUT, goes_on: true };
    let check_out = Command::CheckOut { checkout: CHECKOUT };
    given(running.clone()).when(check_out).then_expect_events(vec![bought.clone()]);
    assert_eq!(after(running.clone()).holds(&bought), vec![], "it is the open cart of its owner still");
    let cart = after([running, vec![bought]].concat());
    assert_eq!((cart.status, cart.checkout), (Status::Open, None));
    assert_eq!(cart.lines.iter().map(|line| line.line).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_cart_with_all_its_changes_can_be_bought_and_its_checkouts_have_an_end() {
    let mut events = vec![of_guest()];
    events.extend((1..MOST_CHANGES).map(|change| changed(1, 1 + change % 2)));
    let begin = |changes| Command::BeginCheckout { checkout: CHECKOUT, changes };
    let begun = Event::CartCheckoutBegun { checkout: CHECKOUT };
    given(events.clone()).when(begin(MOST_CHANGES)).then_expect_events(vec![begun.clone()]);
    for _ in 0..CHECKOUT_CHANGES / 2 {
        events.extend([begun.clone(), Event::CartCheckoutEnded { checkout: CHECKOUT }]);
    }
    given(events).when(begin(MOST_CHANGES + CHECKOUT_CHANGES)).then_expect_error(Error::CartFull);
}

#[test]
fn an_owner_holds_one_open_cart_of_a_channel_until_it_ends() {
    let cart = after(vec![of_guest()]);
    let own = |customer| vec![Hold::one(scope::OPEN_CART, open_cart(CHANNEL, &customer))];
    assert_eq!(Cart::default().holds(&of_guest()), own(Customer::Guest(guest())));
    let account = UserId(Uuid::from_u128(77));
    let claimed = Event::CartClaimed { user: account, guest: guest(), notes: vec![] };
    assert_eq!(cart.holds(&claimed), own(Customer::User(account)));
    let none = vec![Hold { scope: scope::OPEN_CART, values: vec![] }];
    assert_eq!([cart.holds(&merged()), cart.holds(&Event::CartExpired {})], [none.clone(), none]);
    assert_eq!(cart.holds(&changed(1, 2)), vec![]);
}

#[test]
fn a_cart_with_all_its_changes_lets_its_owner_start_another_one() {
    let none = vec![Hold { scope: scope::OPEN_CART, values: vec![] }];
    let mut cart = after(vec![of_guest()]);
    for _ in 2..MOST_CHANGES {
        assert_eq!(cart.holds(&changed(1, 2)), vec![]);
        cart.evolve(changed(1, 2));
    }
    let claimed = Event::CartClaimed { user: user(), guest: guest(), notes: vec![] };
    assert_eq!([cart.holds(&changed(1, 2)), cart.holds(&claimed)], [none.clone(), none]);
}
