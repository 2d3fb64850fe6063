//! Payments over HTTP: who opens them and for how much, and what staff do with their money. Nobody asks a provider here:
//! what it would say is appended as its worker does.

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use soonshop_command_api::{self as http, Commands};
use soonshop_domain::checkout::Checkout;
use soonshop_domain::order::{self, Order};
use soonshop_domain::payment::{self, Kind, Outcome, Payment, Report};
use soonshop_domain::{Currency, Metadata, Money, ids};
use soonshop_event_store::CommandContext;
use soonshop_service_kit::serve::stack;
use soonshop_service_kit::work::Work;
use uuid::Uuid;

use super::{OPERATOR, Shop, key, order, pounds};

/// What the provider says, as its worker appends it.
async fn says(shop: &Shop, payment: &str, kind: Kind, transaction: Uuid, amount: i64) {
    let (id, amount) = (payment.parse::<Uuid>().unwrap(), Money::new(amount, Currency::GBP));
    let context = CommandContext::new(ids::new(), vec![1], Metadata::default());
    let outcome = Outcome::Succeeded { amount, reference: Some("sb_1".to_owned()), until: None };
    let report = payment::Command::Report(Report { transaction, kind, outcome, unasked: false });
    let (state, _) = shop.store.load::<Payment>(id).await.unwrap();
    let of_order = match kind {
        Kind::Charge => order::Command::EndCharge { payment: id, transaction, amount },
        _ => return drop(shop.store.execute::<Payment>(id, report, context).await.unwrap()),
    };
    let (first, second) = ((id, report), (state.order_id.unwrap().0, of_order));
    let done = shop.store.execute_joined::<Payment, Order>(first, second, context, payment::Error::Order);
    Box::pin(done).await.unwrap();
}

/// An order of two mugs at 5.00, and a payment of which all is authorized.
pub(super) async fn authorized(shop: &Shop) -> (String, String) {
    let ordered = shop.post("/orders", order("mug")).await.id();
    let got = shop.operate(&format!("/orders/{ordered}/payments"), json!({ "capture": "later" })).await;
    assert_eq!(got.status, 201, "{}", got.text);
    let payment = got.id();
    assert_eq!(got.header("location"), format!("/payments/{payment}"));
    let transaction = ids::derived(payment.parse().unwrap(), &["authorization"]);
    says(shop, &payment, Kind::Authorization, transaction, 1_000).await;
    (ordered, payment)
}

/// The same, once all was charged.
pub(super) async fn paid(shop: &Shop) -> (String, String) {
    let (ordered, payment) = authorized(shop).await;
    let got = shop.operate(&format!("/payments/{payment}/charges"), json!({ "amount": pounds(1_000) })).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let (state, _) = shop.store.load::<Payment>(payment.parse().unwrap()).await.unwrap();
    let charge = state.transactions.iter().find(|(_, one)| one.kind == Kind::Charge).unwrap();
    says(shop, &payment, Kind::Charge, *charge.0, 1_000).await;
    (ordered, payment)
}

/// C41 and C43.
#[tokio::test]
async fn staff_charge_what_is_authorized_and_pay_back_what_was_paid_and_is_not_owed() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let (_, payment) = authorized(&shop).await;
    let charges = format!("/payments/{payment}/charges");
    let beyond = shop.operate(&charges, json!({ "amount": pounds(1_001) })).await;
    assert_eq!(beyond.refused(), (422, "amount-too-large".into()));
    assert_eq!(shop.operate(&charges, json!({ "amount": pounds(600) })).await.status, 200);
    let beyond = shop.operate(&charges, json!({ "amount": pounds(401) })).await;
    assert_eq!(beyond.refused(), (422, "amount-too-large".into()));
    let releases = format!("/payments/{payment}/releases");
    assert_eq!(shop.operate(&releases, json!({ "amount": pounds(400) })).await.status, 200);
    let closed = shop.operate(&format!("/payments/{payment}/closure"), json!({})).await;
    assert_eq!(closed.refused(), (409, "payment-holds-money".into()));

    let (ordered, payment) = paid(&shop).await;
    let refunds = format!("/payments/{payment}/refunds");
    let owed = shop.operate(&refunds, json!({ "amount": pounds(1) })).await;
    assert_eq!(owed.refused(), (422, "amount-too-large".into()), "it is owed");
    let cancel = json!({ "reason": "changed-mind" });
    assert_eq!(shop.post(&format!("/orders/{ordered}/cancellation"), cancel).await.status, 200);
    assert_eq!(shop.operate(&refunds, json!({ "amount": pounds(1_000) })).await.status, 200);
    let more = shop.operate(&refunds, json!({ "amount": pounds(1) })).await;
    assert_eq!(more.refused(), (422, "amount-too-large".into()));
}

/// As if the record of the command had been deleted after its days.
async fn forget_commands(shop: &Shop) {
    let db = shop.store.log().db();
    db.connection.execute(db.statement("DELETE FROM @commands", [])).await.unwrap();
}

#[tokio::test]
async fn what_was_asked_for_long_ago_is_not_begun_again_in_the_order_alone() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let (ordered, payment) = authorized(&shop).await;
    let id = ordered.parse::<Uuid>().unwrap();
    let headers = [("idempotency-key", "0199aabb-0000-4000-8000-000000000002"), OPERATOR];
    let charges = format!("/payments/{payment}/charges");
    let body = json!({ "amount": pounds(1_000) });
    assert_eq!(shop.post_with(&charges, &headers, body.clone()).await.status, 200);
    let (state, _) = shop.store.load::<Payment>(payment.parse().unwrap()).await.unwrap();
    let charge = state.transactions.iter().find(|(_, one)| one.kind == Kind::Charge).unwrap();
    says(&shop, &payment, Kind::Charge, *charge.0, 1_000).await;
    forget_commands(&shop).await;
    assert_eq!(shop.post_with(&charges, &headers, body).await.status, 200);
    let (charged, _) = shop.store.load::<Order>(id).await.unwrap();
    assert!(charged.payments.charges.is_empty(), "nobody would ever end it");
    // Nor does an opening that cannot be had today stop what it opened before.
    let open = [("idempotency-key", "0199aabb-0000-4000-8000-000000000003")];
    let other = shop.post("/orders", order("mug")).await.id();
    let payments = format!("/orders/{other}/payments");
    let first = shop.post_with(&payments, &open, json!({})).await;
    assert_eq!(first.status, 201, "{}", first.text);
    forget_commands(&shop).await;
    let commands = Commands { provider: None, ..Commands::new(shop.store.clone(), None) };
    let without = Shop { router: stack(http::router(commands)), ..shop };
    let again = without.post_with(&payments, &open, json!({})).await;
    assert_eq!(again.refused(), (409, "payment-exists".into()));
    let (opened, _) = without.store.load::<Payment>(first.id().parse().unwrap()).await.unwrap();
    assert!(!opened.stopped);
}

#[tokio::test]
async fn a_buyer_pays_what_is_owed_once_and_takes_another_card_by_stopping_the_first() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let ordered = shop.post("/orders", order("mug")).await.id();
    let payments = format!("/orders/{ordered}/payments");
    let later = shop.post(&payments, json!({ "capture": "later" })).await;
    assert_eq!(later.refused(), (403, "operator-only".into()));
    for (wrong, slug) in [
        (json!({ "amount": pounds(1_001) }), "amount-too-large"),
        (json!({ "amount": pounds(0) }), "bad-amount"),
        (json!({ "amount": { "amount": 1, "currency": "EUR" } }), "bad-amount"),
    ] {
        assert_eq!(shop.post(&payments, wrong).await.refused(), (422, slug.to_owned()));
    }
    let headers = [("idempotency-key", "0199aabb-0000-4000-8000-000000000001")];
    let first = shop.post_with(&payments, &headers, json!({})).await;
    let again = shop.post_with(&payments, &headers, json!({})).await;
    assert_eq!((first.status, &first.text), (201, &again.text), "the same payment");
    assert_eq!(shop.post(&payments, json!({})).await.refused(), (409, "payment-pending".into()));
    let stopped = shop.post(&format!("/payments/{}/stop", first.id()), json!({})).await;
    assert_eq!(stopped.status, 200, "{}", stopped.text);
    assert_eq!(shop.post(&payments, json!({})).await.status, 201);
    let nothing = shop.post(&format!("/payments/{}/stop", Uuid::new_v4()), json!({})).await;
    assert_eq!(nothing.refused(), (404, "payment-not-found".into()));
}

#[tokio::test]
async fn without_a_provider_nothing_can_be_paid() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let ordered = shop.post("/orders", order("mug")).await.id();
    let commands = Commands { provider: None, ..Commands::new(shop.store.clone(), None) };
    let shop = Shop { router: stack(http::router(commands)), ..shop };
    let refused = shop.post(&format!("/orders/{ordered}/payments"), json!({})).await;
    assert_eq!(refused.refused(), (409, "no-payment-provider".into()));
}

/// What a stopped payment could not give back by itself, staff give back.
#[tokio::test]
async fn staff_release_what_a_stopped_payment_could_not() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let (_, payment) = authorized(&shop).await;
    let id = payment.parse::<Uuid>().unwrap();
    assert_eq!(shop.operate(&format!("/payments/{payment}/stop"), json!({})).await.status, 200);
    let releases = format!("/payments/{payment}/releases");
    let early = shop.operate(&releases, json!({ "amount": pounds(1_000) })).await;
    assert_eq!(early.refused(), (422, "amount-too-large".into()), "it is under way");
    let (state, _) = shop.store.load::<Payment>(id).await.unwrap();
    let (transaction, _) = state.transactions.iter().find(|(_, one)| one.kind == Kind::Release).unwrap();
    let outcome = Outcome::Failed { code: "not-possible".to_owned() };
    let report = Report { transaction: *transaction, kind: Kind::Release, outcome, unasked: false };
    let context = CommandContext::new(ids::new(), vec![1], Metadata::default());
    let failed = shop.store.execute::<Payment>(id, payment::Command::Report(report), context).await;
    failed.unwrap();
    assert_eq!(shop.operate(&releases, json!({ "amount": pounds(1_000) })).await.status, 200);
}

/// A checkout of two mugs at 5.00, and a payment of 6.00 for it.
async fn checked_out(shop: &Shop) -> (String, String) {
    let cart = shop.post("/carts", json!({ "sku": "mug", "quantity": 2 })).await.id();
    let started = shop.post("/checkouts", json!({ "cart": cart, "country": "UK" })).await;
    assert_eq!(started.status, 202, "{}", started.text);
    let payments = format!("/checkouts/{}/payments", started.id());
    let opened = shop.post(&payments, json!({ "amount": pounds(600) })).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    (started.id(), opened.id())
}

#[tokio::test]
async fn a_payment_that_a_running_checkout_counts_on_is_stopped_and_not_released_alone() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let (checkout, payment) = checked_out(&shop).await;
    let transaction = ids::derived(payment.parse().unwrap(), &["authorization"]);
    says(&shop, &payment, Kind::Authorization, transaction, 600).await;
    let releases = format!("/payments/{payment}/releases");
    let counted = shop.operate(&releases, json!({ "amount": pounds(100) })).await;
    assert_eq!(counted.refused(), (409, "payment-counted".into()));
    let stop = format!("/payments/{payment}/stop");
    assert_eq!(shop.post(&stop, json!({})).await.status, 200);
    let (state, _) = shop.store.load::<Checkout>(checkout.parse().unwrap()).await.unwrap();
    assert_eq!(state.unpaid(), 1_000);
    let payments = format!("/checkouts/{checkout}/payments");
    assert_eq!(shop.post(&payments, json!({})).await.status, 201, "all of it may be paid in another way");
    assert_eq!(shop.post(&stop, json!({})).await.status, 200, "it is stopped already");
}

#[tokio::test]
async fn staff_end_the_checkout_of_a_buyer_with_a_reason_and_buyers_need_none() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    for by_staff in [true, false] {
        let (checkout, _) = checked_out(&shop).await;
        let end = format!("/checkouts/{checkout}/end");
        if by_staff {
            let without = shop.operate(&end, json!({})).await;
            assert_eq!(without.refused(), (422, "reason-required".into()));
            let same = key();
            let why = [("idempotency-key", &*same), OPERATOR, ("x-reason", "suspected-fraud")];
            assert_eq!(shop.post_with(&end, &why, json!({})).await.status, 200);
            let again = shop.post_with(&end, &why[..2], json!({})).await;
            assert_eq!(again.status, 200, "it was done before, whatever is asked for today: {}", again.text);
        } else {
            assert_eq!(shop.post(&end, json!({})).await.status, 200);
        }
        let reason = if by_staff { "ended-by-shop" } else { "given-up" };
        assert_eq!(given_up(&shop, &checkout).await.as_deref(), Some(reason));
    }
    // Who names the buyer acts for them; who names somebody else does not.
    let ((one, _), (other, _)) = (checked_out(&shop).await, checked_out(&shop).await);
    let buyer = async |checkout: &str| {
        let (state, _) = shop.store.load::<Checkout>(checkout.parse().unwrap()).await.unwrap();
        format!("guest:{}", state.started.unwrap().customer.subject())
    };
    let (its, somebody) = (buyer(&one).await, buyer(&other).await);
    let end = format!("/checkouts/{one}/end");
    let by = [("idempotency-key", &*key()), OPERATOR, ("x-on-behalf-of", &*somebody)];
    assert_ne!(its, somebody);
    let got = shop.post_with(&end, &by, json!({})).await;
    assert_eq!(got.refused(), (400, "invalid-header".into()), "{}", got.text);
    let by = [("idempotency-key", &*key()), OPERATOR, ("x-on-behalf-of", &*its)];
    let got = shop.post_with(&end, &by, json!({})).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(given_up(&shop, &one).await.as_deref(), Some("given-up"));
}

async fn given_up(shop: &Shop, checkout: &str) -> Option<String> {
    shop.store.load::<Checkout>(checkout.parse().unwrap()).await.unwrap().0.given_up
}

#[tokio::test]
async fn who_does_not_wait_for_a_checkout_is_told_where_to_look_and_a_wait_that_is_none_is_refused() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let cart = shop.post("/carts", json!({ "sku": "mug", "quantity": 2 })).await.id();
    let body = json!({ "cart": cart, "country": "UK", "payment": {} });
    let bad = [("idempotency-key", &*key()), ("prefer", "wait=soon")];
    assert_eq!(
        shop.post_with("/checkouts", &bad, body.clone()).await.refused(),
        (400, "invalid-header".into())
    );
    let same = key();
    let started = shop.post_with("/checkouts", &[("idempotency-key", &same)], body.clone()).await;
    let path = format!("/checkouts/{}", started.id());
    assert_eq!((started.status, started.header("location")), (202, path.as_str()));
    // Nothing takes it further here: the time is up.
    let in_time = [("idempotency-key", &*same), ("prefer", "wait=0")];
    let waited = shop.post_with("/checkouts", &in_time, body.clone()).await;
    assert_eq!((waited.status, waited.header("location")), (202, path.as_str()));
    assert_eq!((waited.header("preference-applied"), &waited.json()["waits_for"]), ("wait", &json!("shop")));

    let long = [("idempotency-key", &*same), ("prefer", "wait=30")];
    let begun = std::time::Instant::now();
    // Of a process that stops, and of one in which others wait already.
    let stopped = Commands::new(shop.store.clone(), None);
    stopped.stop.cancel();
    let stopped = Shop { router: stack(http::router(stopped)), ..shop };
    assert_eq!(stopped.post_with("/checkouts", &long, body.clone()).await.json()["waits_for"], "shop");
    let work = Work::new(&"waits=1/1".parse().unwrap());
    let _turn = work.waiting("somebody".into()).await.unwrap();
    let full = Commands { work, ..Commands::new(stopped.store.clone(), None) };
    let full = Shop { router: stack(http::router(full)), ..stopped };
    let waited = full.post_with("/checkouts", &long, body).await;
    assert_eq!((waited.status, waited.header("preference-applied")), (202, ""));
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "none of them waited");
}

#[tokio::test]
async fn a_checkout_or_payment_of_long_ago_is_not_begun_again_and_nothing_is_done_to_it() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let cart = shop.post("/carts", json!({ "sku": "mug", "quantity": 2 })).await.id();
    let body = json!({ "cart": cart, "country": "UK", "total": pounds(1_000) });
    let start = [("idempotency-key", "0199aabb-0000-4000-8000-000000000004")];
    let pay = [("idempotency-key", "0199aabb-0000-4000-8000-000000000005")];
    let started = shop.post_with("/checkouts", &start, body.clone()).await;
    let payments = format!("/checkouts/{}/payments", started.id());
    assert_eq!(shop.post_with(&payments, &pay, json!({})).await.status, 201);
    // It costs more by now, so that it could not be started today.
    let price = json!({ "sku": "mug", "price": pounds(501) });
    assert_eq!(shop.operate(&format!("{product}/prices"), price).await.status, 200);
    forget_commands(&shop).await;
    let before = shop.store.log().head().await.unwrap().position;
    let again = shop.post_with("/checkouts", &start, body).await;
    assert_eq!(again.refused(), (409, "checkout-exists".into()));
    let commands = Commands { provider: None, ..Commands::new(shop.store.clone(), None) };
    let without = Shop { router: stack(http::router(commands)), ..shop };
    let again = without.post_with(&payments, &pay, json!({})).await;
    assert_eq!(again.refused(), (409, "payment-exists".into()));
    assert_eq!(without.store.log().head().await.unwrap().position, before);
}

#[tokio::test]
async fn a_buyer_does_not_take_back_what_is_authorized_for_an_order() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let (_, payment) = authorized(&shop).await;
    let stop = format!("/payments/{payment}/stop");
    assert_eq!(shop.post(&stop, json!({})).await.refused(), (409, "payment-authorized".into()));
    assert_eq!(shop.operate(&stop, json!({})).await.status, 200, "who may charge may");
    assert_eq!(shop.post(&stop, json!({})).await.status, 200, "it is stopped");
}
