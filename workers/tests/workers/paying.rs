//! The worker of payments with the sandbox: what was requested is done once at the provider, and appended once, however
//! often the worker is killed; what the order no longer owes goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use soonshop_domain::Metadata;
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::order::{self, Contact, Order, Placement};
use soonshop_domain::payment::{self, Capture, Kind, Opening, Outcome, Payment, Progress, Tender};
use soonshop_event_log::Database;
use soonshop_event_store::{CommandContext, EventStore};
use soonshop_payments::{Order as Asked, Provider, Sandbox, Unanswered};
use soonshop_workers::payments::{LIMIT, Payments};
use soonshop_workers::questions::Questions;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::erasing::send;
use crate::fixture::{Shop, on_both, until};
use crate::history::{guest, line, money, uuid};

on_both!(
    what_is_to_be_charged_at_once_is_authorized_and_charged_once,
    what_is_charged_later_waits_for_staff,
    a_lost_answer_is_asked_about_and_is_one_charge,
    a_declined_payment_leaves_the_order_unpaid_and_makes_room_for_another_card,
    a_buyer_who_has_to_confirm_is_waited_for,
    a_cancelled_order_gets_its_money_back,
    what_could_not_be_given_back_is_asked_for_ten_times,
    a_killed_worker_comes_to_one_charge_after_whatever_step,
    a_request_whose_key_the_provider_forgot_is_looked_for_and_never_sent_again,
    a_request_that_never_arrived_is_sent_again_under_its_key,
    a_provider_that_hangs_is_given_so_much_time_and_asked_again,
    a_refund_of_a_cancelled_order_that_fails_is_asked_for_ten_times_and_noted_for_staff,
    a_charge_that_fails_at_once_makes_room_for_another_card,
    a_worker_killed_between_the_answer_and_its_append_comes_to_one_of_each,
    a_worker_killed_between_a_release_and_its_append_releases_once,
    without_its_provider_a_payment_waits_and_the_worker_says_so,
    a_declined_payment_is_asked_about_and_ends_at_its_provider_when_it_is_stopped,
    a_report_that_is_refused_is_noted_for_staff_and_asked_for_again,
);

const PAYMENT: u128 = 500;
const ORDER: u128 = 400;

fn worker(shop: &Shop, store: &EventStore) -> Payments {
    let database = Database::new(shop.place.clone());
    let db = database.namespace("payments").unwrap();
    Payments {
        store: store.clone(),
        process: database.namespace("process").unwrap(),
        questions: Questions { db: db.clone(), first: Duration::from_millis(1) },
        providers: vec![Arc::new(Sandbox::new(db))],
        limit: LIMIT,
        holder: format!("test-{}", ids::new().simple()),
    }
}

struct Run {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn run(shop: &Shop, store: &EventStore) -> Run {
    let stop = CancellationToken::new();
    Run { task: tokio::spawn(worker(shop, store).run(stop.clone())), stop }
}

impl Run {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_mins(1), self.task).await.unwrap().unwrap();
    }
}

/// An order that was placed for this amount.
async fn ordered(store: &EventStore, amount: i64) {
    let placement = Placement {
        number: "S-1".to_owned(),
        customer: guest(1),
        lines: vec![line(1, "MUG", 1, amount)],
        country: "Austria".to_owned(),
        contact: Contact::default(),
    };
    send::<Order>(store, uuid(ORDER), order::Command::Place(placement)).await;
}

/// A payment of it.
async fn opened(store: &EventStore, amount: i64, capture: Capture) {
    let opening = Opening {
        order_id: OrderId(uuid(ORDER)),
        revision: 1,
        customer: guest(1),
        amount: money(amount),
        tender: Tender::Provider,
        provider: Some("sandbox".to_owned()),
        capture,
        test: true,
        transaction: uuid(PAYMENT + 1),
    };
    let add = order::Command::AddPayment {
        payment: uuid(PAYMENT),
        tender: Tender::Provider,
        amount: money(amount),
        revision: 1,
        earlier: Vec::new(),
    };
    both(store, payment::Command::Open(opening), add).await;
}

async fn both(store: &EventStore, payment: payment::Command, order: order::Command) {
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    let (first, second) = ((uuid(PAYMENT), payment), (uuid(ORDER), order));
    let done = store.execute_joined::<Payment, Order>(first, second, context, payment::Error::Order);
    Box::pin(done).await.unwrap();
}

async fn state(store: &EventStore) -> Payment {
    store.load::<Payment>(uuid(PAYMENT)).await.unwrap().0
}

async fn order(store: &EventStore) -> Order {
    store.load::<Order>(uuid(ORDER)).await.unwrap().0
}

/// How often the sandbox did something of this kind, and how much in all.
async fn at_provider(shop: &Shop, kind: Kind) -> (i64, i64) {
    let of = |what: &str| {
        format!("SELECT {what} FROM @sandbox WHERE kind = '{}' AND state = 'succeeded'", kind.as_ref())
    };
    let sum = of("CAST(coalesce(sum(amount), 0) AS BIGINT)");
    (shop.number("payments", &of("count(*)")).await, shop.number("payments", &sum).await)
}

async fn paid(store: &EventStore, amount: i64) {
    until("it is paid", async || order(store).await.payments.paid() == amount).await;
}

async fn what_is_to_be_charged_at_once_is_authorized_and_charged_once(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    let run = run(&shop, &store);
    paid(&store, 4_000).await;
    run.stop().await;
    assert_eq!(at_provider(&shop, Kind::Charge).await, (1, 4_000));
    let sums = state(&store).await.sums;
    assert_eq!((sums.authorized, sums.captured, sums.open()), (4_000, 4_000, 0));
}

async fn what_is_charged_later_waits_for_staff(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::Later).await;
    let run = run(&shop, &store);
    until("it is authorized", async || state(&store).await.sums.authorized == 4_000).await;
    let (payment, transaction, amount) = (uuid(PAYMENT), uuid(900), money(1_500));
    let request = payment::Command::Request { kind: Kind::Charge, transaction, amount };
    both(&store, request, order::Command::BeginCharge { payment, transaction, amount }).await;
    paid(&store, 1_500).await;
    run.stop().await;
    assert_eq!(at_provider(&shop, Kind::Charge).await, (1, 1_500));
    assert_eq!(state(&store).await.sums.open(), 2_500);
}

/// C38: the charge was made, then the answer was lost.
async fn a_lost_answer_is_asked_about_and_is_one_charge(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_605).await;
    opened(&store, 6_605, Capture::AtOnce).await;
    let run = run(&shop, &store);
    paid(&store, 6_605).await;
    until("nothing is asked about", async || {
        shop.number("payments", "SELECT count(*) FROM @questions").await == 0
    })
    .await;
    run.stop().await;
    assert_eq!(at_provider(&shop, Kind::Charge).await, (1, 6_605));
    let kinds = "SELECT count(*) FROM @events WHERE event_type = 'ChargeUnknown'";
    assert_eq!(shop.number("log", kinds).await, 1);
}

async fn a_declined_payment_leaves_the_order_unpaid_and_makes_room_for_another_card(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_604).await;
    opened(&store, 6_604, Capture::AtOnce).await;
    let run = run(&shop, &store);
    until("it is stopped", async || state(&store).await.stopped).await;
    run.stop().await;
    let order = order(&store).await;
    assert_eq!((order.payments.paid(), order.unpaid()), (0, 6_604));
    assert_eq!(at_provider(&shop, Kind::Charge).await, (0, 0));
}

async fn a_buyer_who_has_to_confirm_is_waited_for(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_602).await;
    opened(&store, 6_602, Capture::AtOnce).await;
    let run = run(&shop, &store);
    paid(&store, 6_602).await;
    run.stop().await;
    let kinds = "SELECT count(*) FROM @events WHERE event_type = 'AuthorizationActionRequired'";
    assert_eq!(shop.number("log", kinds).await, 1);
}

async fn a_cancelled_order_gets_its_money_back(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    let run = run(&shop, &store);
    paid(&store, 4_000).await;
    let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    send::<Order>(&store, uuid(ORDER), cancel).await;
    paid(&store, 0).await;
    until("it is stopped", async || state(&store).await.stopped).await;
    run.stop().await;
    assert_eq!(at_provider(&shop, Kind::Refund).await, (1, 4_000));
}

async fn what_could_not_be_given_back_is_asked_for_ten_times(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_611).await;
    opened(&store, 6_611, Capture::Later).await;
    let run = run(&shop, &store);
    until("it is authorized", async || state(&store).await.sums.authorized == 6_611).await;
    let stop = payment::Command::Stop { order_id: OrderId(uuid(ORDER)) };
    both(&store, stop, order::Command::StopPayment { payment: uuid(PAYMENT) }).await;
    let failed = async || {
        let all = state(&store).await.transactions;
        all.values().filter(|one| one.by_itself && one.progress == Progress::Failed).count()
    };
    until("it was asked for so often", async || failed().await == payment::MOST_TRIES).await;
    run.stop().await;
    assert_eq!(state(&store).await.sums.open(), 6_611, "staff see it");
}

/// A worker that is killed after so many steps, each up to where it waits for something, and whose lease has run out.
async fn killed_after(steps: usize, shop: &Shop, store: &EventStore) {
    let mut run = Box::pin(worker(shop, store).run(CancellationToken::new()));
    let mut left = steps;
    let stepping = std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        run.as_mut().poll(context)
    });
    stepping.await;
    drop(run);
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
}

async fn a_killed_worker_comes_to_one_charge_after_whatever_step(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_605).await;
    opened(&store, 6_605, Capture::AtOnce).await;
    for steps in [1, 2, 3, 5, 8, 11, 14, 17, 20, 24, 28, 33, 38, 44, 50] {
        killed_after(steps, &shop, &store).await;
    }
    let run = run(&shop, &store);
    paid(&store, 6_605).await;
    run.stop().await;
    assert_eq!(at_provider(&shop, Kind::Authorization).await, (1, 6_605));
    assert_eq!(at_provider(&shop, Kind::Charge).await, (1, 6_605));
    let sums = state(&store).await.sums;
    assert_eq!((sums.authorized, sums.captured, sums.refunded), (6_605, 6_605, 0));
    let ended = "SELECT count(*) FROM @events WHERE event_type IN ('ChargeSucceeded', 'OrderChargeEnded')";
    assert_eq!(shop.number("log", ended).await, 2);
}

/// The sandbox behind a bad line.
struct Odd {
    sandbox: Sandbox,
    keeps_keys: Duration,
    /// So many requests never arrive.
    lost: AtomicUsize,
    /// So many requests arrive and are never answered.
    hanging: AtomicUsize,
    /// What it calls things is not plain.
    bad_references: bool,
    /// What is done of this kind is never answered.
    stuck_at: Option<Kind>,
    /// It is stuck.
    reached: Arc<Notify>,
}

impl Odd {
    fn of(shop: &Shop) -> Self {
        Self {
            sandbox: Sandbox::new(Database::new(shop.place.clone()).namespace("payments").unwrap()),
            keeps_keys: Duration::from_hours(24),
            lost: AtomicUsize::new(0),
            hanging: AtomicUsize::new(0),
            bad_references: false,
            stuck_at: None,
            reached: Arc::default(),
        }
    }
}

impl Odd {
    fn named(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Succeeded { amount, until, .. } if self.bad_references => {
                Outcome::Succeeded { amount, until, reference: Some("4242 4242".to_owned()) }
            }
            outcome => outcome,
        }
    }
}

fn one_less(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Provider for Odd {
    fn name(&self) -> &'static str {
        self.sandbox.name()
    }

    fn is_test(&self) -> bool {
        true
    }

    fn keeps_keys(&self) -> Duration {
        self.keeps_keys
    }

    async fn ask(&self, order: &Asked) -> Result<Outcome, Unanswered> {
        if one_less(&self.lost) {
            return Err(Unanswered("lost"));
        }
        let outcome = self.sandbox.ask(order).await;
        if self.stuck_at == Some(order.kind) || one_less(&self.hanging) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        outcome.map(|outcome| self.named(outcome))
    }

    async fn find(&self, order: &Asked) -> Result<Option<Outcome>, Unanswered> {
        Ok(self.sandbox.find(order).await?.map(|outcome| self.named(outcome)))
    }

    async fn cancel(&self, order: &Asked) -> Result<Outcome, Unanswered> {
        self.sandbox.cancel(order).await
    }
}

fn run_with(shop: &Shop, store: &EventStore, odd: Odd, limit: Duration) -> Run {
    let worker = Payments { providers: vec![Arc::new(odd)], limit, ..worker(shop, store) };
    let stop = CancellationToken::new();
    Run { task: tokio::spawn(worker.run(stop.clone())), stop }
}

/// The worker is killed after the provider did something of this kind, and before that was appended.
async fn killed_at(kind: Kind, shop: &Shop, store: &EventStore) {
    let reached = Arc::new(Notify::new());
    let odd = Odd { stuck_at: Some(kind), reached: reached.clone(), ..Odd::of(shop) };
    let run = run_with(shop, store, odd, Duration::from_hours(1));
    tokio::time::timeout(Duration::from_mins(1), reached.notified()).await.unwrap();
    run.task.abort();
    assert!(run.task.await.unwrap_err().is_cancelled());
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
}

async fn a_request_whose_key_the_provider_forgot_is_looked_for_and_never_sent_again(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    let run = run_with(&shop, &store, Odd { keeps_keys: Duration::ZERO, ..Odd::of(&shop) }, LIMIT);
    // A stop bars its key, though it is said to have failed.
    let barred = "SELECT count(*) FROM @sandbox WHERE state = 'failed' AND code = 'cancelled'";
    until("it has failed", async || shop.number("payments", barred).await == 1).await;
    run.stop().await;
    assert!(state(&store).await.stopped);
    assert_eq!(at_provider(&shop, Kind::Authorization).await, (0, 0));
    assert_eq!(order(&store).await.unpaid(), 4_000);
}

async fn a_request_that_never_arrived_is_sent_again_under_its_key(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    let run = run_with(&shop, &store, Odd { lost: AtomicUsize::new(5), ..Odd::of(&shop) }, LIMIT);
    paid(&store, 4_000).await;
    run.stop().await;
    assert_eq!(at_provider(&shop, Kind::Authorization).await, (1, 4_000));
    assert_eq!(at_provider(&shop, Kind::Charge).await, (1, 4_000));
}

async fn a_provider_that_hangs_is_given_so_much_time_and_asked_again(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    let odd = Odd { hanging: AtomicUsize::new(1), ..Odd::of(&shop) };
    let run = run_with(&shop, &store, odd, Duration::from_secs(2));
    paid(&store, 4_000).await;
    run.stop().await;
    assert_eq!(at_provider(&shop, Kind::Charge).await, (1, 4_000));
}

async fn a_refund_of_a_cancelled_order_that_fails_is_asked_for_ten_times_and_noted_for_staff(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_607).await;
    opened(&store, 6_607, Capture::AtOnce).await;
    let run = run(&shop, &store);
    paid(&store, 6_607).await;
    let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    send::<Order>(&store, uuid(ORDER), cancel).await;
    let is_noted = async || state(&store).await.transactions.values().any(|one| one.noted);
    until("staff see it", is_noted).await;
    run.stop().await;
    assert_eq!(state(&store).await.failures(Kind::Refund), payment::MOST_TRIES);
    let order = order(&store).await;
    assert_eq!((order.payments.paid(), order.repayable()), (6_607, 6_607), "staff may try again");
}

async fn a_charge_that_fails_at_once_makes_room_for_another_card(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_606).await;
    opened(&store, 6_606, Capture::AtOnce).await;
    let run = run(&shop, &store);
    until("its hold is released", async || state(&store).await.sums.released == 6_606).await;
    run.stop().await;
    assert_eq!(order(&store).await.unpaid(), 6_606);
}

async fn a_worker_killed_between_the_answer_and_its_append_comes_to_one_of_each(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    killed_at(Kind::Authorization, &shop, &store).await;
    killed_at(Kind::Charge, &shop, &store).await;
    let once = run(&shop, &store);
    paid(&store, 4_000).await;
    once.stop().await;
    let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    send::<Order>(&store, uuid(ORDER), cancel).await;
    killed_at(Kind::Refund, &shop, &store).await;
    let once = run(&shop, &store);
    paid(&store, 0).await;
    once.stop().await;
    for kind in [Kind::Authorization, Kind::Charge, Kind::Refund] {
        assert_eq!(at_provider(&shop, kind).await, (1, 4_000), "{kind:?}");
    }
}

async fn a_worker_killed_between_a_release_and_its_append_releases_once(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::Later).await;
    let once = run(&shop, &store);
    until("it is authorized", async || state(&store).await.sums.authorized == 4_000).await;
    once.stop().await;
    let stop = payment::Command::Stop { order_id: OrderId(uuid(ORDER)) };
    both(&store, stop, order::Command::StopPayment { payment: uuid(PAYMENT) }).await;
    killed_at(Kind::Release, &shop, &store).await;
    let once = run(&shop, &store);
    until("it is released", async || state(&store).await.sums.released == 4_000).await;
    once.stop().await;
    assert_eq!(at_provider(&shop, Kind::Release).await, (1, 4_000));
}

async fn without_its_provider_a_payment_waits_and_the_worker_says_so(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    let stop = CancellationToken::new();
    let without = Payments { providers: Vec::new(), ..worker(&shop, &store) };
    let without = Run { task: tokio::spawn(without.run(stop.clone())), stop };
    let asked = async || shop.number("payments", "SELECT count(*) FROM @questions").await == 1;
    until("it is asked about", asked).await;
    without.stop().await;
    assert_eq!(state(&store).await.sums.authorized, 0);
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
    let run = run(&shop, &store);
    paid(&store, 4_000).await;
    run.stop().await;
}

async fn a_declined_payment_is_asked_about_and_ends_at_its_provider_when_it_is_stopped(shop: Shop) {
    let store = shop.store();
    ordered(&store, 6_601).await;
    opened(&store, 6_601, Capture::AtOnce).await;
    let run = run(&shop, &store);
    let progress = async || state(&store).await.authorization().unwrap().1.progress;
    until("it is declined", async || progress().await == Progress::Declined).await;
    let asked = "SELECT count(*) FROM @questions WHERE asked > 1";
    until("it is asked about", async || shop.number("payments", asked).await == 1).await;
    let stop = payment::Command::Stop { order_id: OrderId(uuid(ORDER)) };
    both(&store, stop, order::Command::StopPayment { payment: uuid(PAYMENT) }).await;
    until("it has failed", async || progress().await == Progress::Failed).await;
    run.stop().await;
    let cancelled = "SELECT count(*) FROM @sandbox WHERE code = 'cancelled'";
    assert_eq!(shop.number("payments", cancelled).await, 1);
}

async fn a_report_that_is_refused_is_noted_for_staff_and_asked_for_again(shop: Shop) {
    let store = shop.store();
    ordered(&store, 4_000).await;
    opened(&store, 4_000, Capture::AtOnce).await;
    let odd = run_with(&shop, &store, Odd { bad_references: true, ..Odd::of(&shop) }, LIMIT);
    let is_noted = async || state(&store).await.transactions.values().any(|one| one.noted);
    until("staff see it", is_noted).await;
    odd.stop().await;
    assert_eq!(state(&store).await.sums.authorized, 0);
    let run = run(&shop, &store);
    paid(&store, 4_000).await;
    run.stop().await;
}
