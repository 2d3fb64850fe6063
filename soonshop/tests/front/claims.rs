//! Orders of guests that an account claims.

use std::time::Duration;

use serde_json::{Value, json};
use soonshop::erased::{self, Options, Report};
use soonshop_domain::Purpose;
use uuid::Uuid;

use crate::accounts::{Opened, Served, refused};
use crate::guests::{Guest, new_key, order, passed_on};
use crate::mailed::linked;

impl Served {
    async fn claim(&self, access: &str, order: &str, guest_token: &str) -> (u16, String) {
        let path = format!("/orders/{order}/claim");
        refused(self.change("POST", &path, access, &json!({ "guest_token": guest_token })).await).await
    }
}

async fn events(shop: &Served, order: &str) -> Vec<String> {
    let rows = shop.shop.log().unwrap().stream("order", order, 0, 100).await.unwrap();
    rows.iter().map(|row| row.event_type.clone()).collect()
}

async fn two_accounts() -> (Served, Opened, Opened) {
    let (shop, mut accounts) = Served::with(&["customer", "support"]).await;
    shop.sell_mugs().await;
    let other = accounts.remove(1);
    let one = accounts.remove(0);
    (shop, one, other)
}

/// The order as somebody sees it: its status.
async fn seen(shop: &Served, guest: &Guest, token: &str) -> u16 {
    shop.see(&format!("/orders/{}", guest.order), Some(token)).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i34_the_token_of_a_guest_claims_their_orders_once_and_opens_them_no_more() {
    let (shop, ada, staff) = two_accounts().await;
    let (guest, stranger) =
        (shop.new_guest("Ada", "b@x.example").await, shop.new_guest("Zed", "z@x.example").await);
    let second = shop.buy(Some(&guest.token), &new_key(), &order("Ada", "b@x.example")).await;
    let second: Value = second.json().await.unwrap();
    let second = second["id"].as_str().unwrap().to_owned();
    let (access, _) = shop.sign_in(&ada).await;
    assert_eq!(seen(&shop, &guest, &access).await, 404);
    // What a customer buys without saying for whom is theirs, and they buy in no guest's name.
    let mine: Value =
        shop.buy(Some(&access), &new_key(), &order("Ada", "b@x.example")).await.json().await.unwrap();
    let path = format!("/orders/{}", mine["id"].as_str().unwrap());
    let (status, mine) = shop.see(&path, Some(&access)).await;
    assert_eq!((status, &mine["customer"]), (200, &json!({ "user": ada.id.to_string() })));
    let named = json!({ "lines": [{ "sku": "MUG", "quantity": 1 }], "country": "France", "customer": { "guest": new_key() } });
    assert_eq!(shop.buy(Some(&access), &new_key(), &named).await.status(), 403);
    // The history of a stock names the orders of everybody.
    for token in [&access, &guest.token] {
        assert_eq!(shop.see("/inventory/MUG?as_of=v:1", Some(token)).await.0, 403);
        assert_eq!(shop.see("/inventory/MUG", Some(token)).await.0, 200);
    }
    // Neither without the token, nor with another one; nor does anybody but a customer.
    for (order, token, problem) in [
        (&guest.order, "ssg_x", (422, "bad-guest-token")),
        (&guest.order, &*stranger.token, (404, "order-not-found")),
        (&new_key(), &*guest.token, (404, "order-not-found")),
    ] {
        assert_eq!(shop.claim(&access, order, token).await, (problem.0, problem.1.to_owned()));
    }
    let (of_staff, _) = shop.sign_in(&staff).await;
    let operator = shop.shop.operator_token().unwrap();
    for token in [&*guest.token, &*of_staff, &*operator] {
        assert_eq!(shop.claim(token, &guest.order, &guest.token).await, (403, "not-permitted".to_owned()));
    }
    assert_eq!(events(&shop, &guest.order).await[0], "OrderPlaced");
    let (_, before) = shop.see(&format!("/orders/{}", guest.order), Some(&guest.token)).await;
    assert_eq!(shop.claim(&access, &guest.order, &guest.token).await.0, 200);
    assert_eq!(shop.claim(&access, &guest.order, &guest.token).await.0, 200, "it is theirs already");
    let claims = events(&shop, &guest.order).await.into_iter().filter(|kind| kind == "OrderClaimed").count();
    assert_eq!(claims, 1);
    // It is the account's, with all that was in it, and the token opens the other order alone.
    let (status, own) = shop.see(&format!("/orders/{}", guest.order), Some(&access)).await;
    assert_eq!((status, &own["contact"]), (200, &before["contact"]));
    assert_eq!(own["contact"]["email"], "b@x.example");
    for same in ["lines", "total", "customer", "number"] {
        assert_eq!(own[same], before[same], "{same}");
    }
    let past = format!("/orders/{}?as_of=v:1", guest.order);
    let (status, past_state) = shop.see(&past, Some(&access)).await;
    assert_eq!((status, &past_state["state"]["placed"]["contact"]["name"]), (200, &json!("Ada")));
    assert_eq!(shop.see(&past, Some(&guest.token)).await.0, 404);
    assert_eq!(seen(&shop, &guest, &guest.token).await, 404);
    let ids = |(_, page): (u16, Value)| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect()
    };
    assert_eq!(ids(shop.see("/orders", Some(&guest.token)).await), [json!(second)]);
    assert_eq!(ids(shop.see("/orders", Some(&access)).await), [mine["id"].clone(), json!(guest.order)]);
    let cancel = json!({ "reason": "changed-mind" });
    let path = format!("/orders/{}/cancellation", guest.order);
    let dead = shop.change("POST", &path, &guest.token, &cancel).await;
    assert_eq!(refused(dead).await, (404, "not-found".to_owned()));
    let anonymous = shop.request("POST", &path).header("idempotency-key", new_key()).json(&cancel);
    assert_eq!(refused(anonymous.send().await.unwrap()).await, (403, "not-yours".to_owned()));
    assert_eq!(shop.change("POST", &path, &access, &cancel).await.status(), 200);
    assert_eq!(shop.claim(&access, &second, &guest.token).await.0, 200);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_payments_of_an_order_that_is_claimed_are_the_accounts_and_the_token_opens_them_no_more() {
    let (shop, ada, _) = two_accounts().await;
    let guest = shop.new_guest("Ada", "b@x.example").await;
    let pay = format!("/orders/{}/payments", guest.order);
    let opened = shop.change("POST", &pay, &guest.token, &json!({})).await;
    assert_eq!(opened.status(), 201);
    let opened: Value = opened.json().await.unwrap();
    let payment = format!("/payments/{}", opened["id"].as_str().unwrap());
    assert_eq!(shop.see(&payment, Some(&guest.token)).await.0, 200);
    let (access, _) = shop.sign_in(&ada).await;
    assert_eq!(shop.see(&payment, Some(&access)).await.0, 404);
    assert_eq!(shop.claim(&access, &guest.order, &guest.token).await.0, 200);
    assert_eq!(shop.see(&payment, Some(&access)).await.0, 200);
    assert_eq!(shop.see(&payment, Some(&guest.token)).await.0, 404);
    let (_, page) = shop.see("/payments", Some(&guest.token)).await;
    assert_eq!(page["items"], json!([]));
    let stop = format!("{payment}/stop");
    let dead = shop.change("POST", &stop, &guest.token, &json!({})).await;
    assert_eq!(refused(dead).await, (404, "not-found".to_owned()));
    // By now it may be authorized, or charged at this moment; but it is theirs.
    let (status, slug) = refused(shop.change("POST", &stop, &access, &json!({})).await).await;
    let counted_on = status == 409 && ["payment-authorized", "charge-begun"].contains(&&*slug);
    assert!(status == 200 || counted_on, "{status} {slug}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i34_of_two_accounts_that_claim_an_order_at_once_one_has_it() {
    let (shop, accounts) = Served::with(&["customer", "customer bea@example.org"]).await;
    shop.sell_mugs().await;
    let (one, _) = shop.sign_in(&accounts[0]).await;
    let (two, _) = shop.sign_in(&accounts[1]).await;
    for _ in 0..5 {
        let guest = shop.new_guest("Ada", "b@x.example").await;
        let claims = [&one, &two, &one, &two].map(|access| shop.claim(access, &guest.order, &guest.token));
        let answers = futures::future::join_all(claims).await;
        let of = |first: usize| [&answers[first], &answers[first + 2]];
        let (winner, loser) = if answers[0].0 == 200 { (of(0), of(1)) } else { (of(1), of(0)) };
        assert!(winner.iter().all(|answer| answer.0 == 200), "{answers:?}");
        assert!(loser.iter().all(|answer| **answer == (409, "order-claimed".to_owned())), "{answers:?}");
        let claimed =
            events(&shop, &guest.order).await.into_iter().filter(|kind| kind == "OrderClaimed").count();
        assert_eq!(claimed, 1);
        let mut sees = [seen(&shop, &guest, &one).await, seen(&shop, &guest, &two).await];
        sees.sort_unstable();
        assert_eq!(sees, [200, 404]);
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i35_a_guest_who_buys_with_the_address_of_an_account_changes_nothing_of_it_and_is_told_nothing() {
    let (shop, ada, _) = two_accounts().await;
    let (access, _) = shop.sign_in(&ada).await;
    let path = format!("/users/{}", ada.id);
    let before = shop.see(&path, Some(&access)).await;
    let mut answers = Vec::new();
    for email in [ada.email(), "unknown@example.org"] {
        let got = passed_on(shop.client.post(shop.url("/orders"))).header("idempotency-key", new_key());
        let got = got.json(&order("Zed", email)).send().await.unwrap();
        let mut names: Vec<_> = got.headers().keys().map(ToString::to_string).collect();
        names.sort();
        let status = got.status().as_u16();
        let token = got.headers()["guest-token"].to_str().unwrap().to_owned();
        let body: Value = got.json().await.unwrap();
        let placed = body["id"].as_str().unwrap().to_owned();
        let (_, seen) = shop.see(&format!("/orders/{placed}"), Some(&token)).await;
        assert!(seen["customer"]["guest"].is_string(), "{seen}");
        // It is offered to nobody by its address alone.
        assert_eq!(shop.see(&format!("/orders/{placed}"), Some(&access)).await.0, 404);
        answers.push((status, names));
    }
    assert_eq!(answers[0].0, 201);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(shop.see(&path, Some(&access)).await.1["name"], before.1["name"]);
    assert_eq!(shop.see("/orders", Some(&access)).await.1["items"], json!([]));
    shop.stop().await;
}

impl Served {
    /// Asks for the mail with the link that claims an order.
    async fn ask(&self, access: &str, order: &str) -> (u16, String) {
        let body = json!({ "order": order, "language": "en" });
        refused(self.change("POST", "/auth/claims", access, &body).await).await
    }

    async fn claim_by(&self, access: &str, link: &str) -> (u16, String) {
        refused(self.change("POST", "/auth/claims/confirm", access, &json!({ "link": link })).await).await
    }

    /// The numbers of the orders that a customer may claim.
    async fn offered(&self, access: &str) -> Vec<Value> {
        let (status, page) = self.see("/claimable-orders", Some(access)).await;
        assert_eq!(status, 200, "{page}");
        for item in page["items"].as_array().unwrap() {
            let mut fields: Vec<_> = item.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(fields, ["id", "number", "placed_at"], "nothing else is told");
        }
        page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
    }
}

/// The last link to that page that was mailed to an address, once there are so many mails.
async fn claim_link(shop: &Served, address: &str) -> String {
    linked(shop, address, "/account/claim").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i34_a_proven_address_is_offered_its_orders_and_a_mailed_link_claims_one_of_them() {
    let (shop, accounts) =
        Served::with(&["customer b@x.example", "customer eve@example.org", "support"]).await;
    shop.sell_mugs().await;
    let [owner, eve, staff] = &accounts[..] else { panic!("three accounts") };
    let first = shop.new_guest("Ada", "B@X.example").await;
    // A stranger who mistyped the address.
    let stranger = shop.new_guest("Zed", "b@x.example").await;
    let other = shop.new_guest("Eve", "e@x.example").await;
    let (access, _) = shop.sign_in(owner).await;
    let (of_eve, _) = shop.sign_in(eve).await;
    let (of_staff, _) = shop.sign_in(staff).await;
    assert_eq!(shop.offered(&access).await, [json!(stranger.order), json!(first.order)]);
    assert_eq!(shop.offered(&of_eve).await, [] as [Value; 0]);
    for token in [&*of_staff, &*first.token, &*shop.shop.operator_token().unwrap()] {
        assert_eq!(shop.see("/claimable-orders", Some(token)).await.0, 403);
    }
    // An offer opens nothing.
    assert_eq!(seen(&shop, &first, &access).await, 404);
    // Whatever is not the account's to claim is not there.
    let mine: Value =
        shop.buy(Some(&of_eve), &new_key(), &order("Eve", "b@x.example")).await.json().await.unwrap();
    for (token, order) in [
        (&of_eve, first.order.as_str()),
        (&access, &other.order),
        (&access, &new_key()),
        (&access, mine["id"].as_str().unwrap()),
    ] {
        assert_eq!(shop.ask(token, order).await, (422, "unknown-order".to_owned()), "{order}");
    }
    assert_eq!(shop.ask(&of_staff, &first.order).await, (403, "not-permitted".to_owned()));

    assert_eq!(shop.ask(&access, &first.order).await.0, 202);
    let link = claim_link(&shop, "B@X.example").await;
    let (order, event) = (events(&shop, &first.order).await.len(), "OrderClaimed".to_owned());
    for sent in ["ssl_x", &link[..link.len() - 1], &first.token] {
        assert_eq!(shop.claim_by(&access, sent).await, (422, "link-not-valid".to_owned()));
    }
    // It is of one account.
    assert_eq!(shop.claim_by(&of_eve, &link).await, (422, "link-not-valid".to_owned()));
    assert_eq!(events(&shop, &first.order).await.len(), order);
    let claims = [0; 5].map(|_| shop.claim_by(&access, &link));
    for claimed in futures::future::join_all(claims).await {
        assert_eq!(claimed.0, 204, "a repeat comes to the same");
    }
    let claimed = events(&shop, &first.order).await.into_iter().filter(|kind| *kind == event).count();
    assert_eq!(claimed, 1);
    assert_eq!((seen(&shop, &first, &access).await, seen(&shop, &first, &first.token).await), (200, 404));
    assert_eq!(seen(&shop, &stranger, &stranger.token).await, 200, "it claimed one order alone");
    assert_eq!(shop.offered(&access).await, [json!(stranger.order)]);
    assert_eq!(shop.ask(&access, &first.order).await.0, 422, "it is no guest's any more");

    // Two accounts at once: Eve has the token, and the owner of the address the link.
    assert_eq!(shop.ask(&access, &stranger.order).await.0, 202);
    let link = claim_link(&shop, "b@x.example").await;
    let (by_token, by_link) =
        tokio::join!(shop.claim(&of_eve, &stranger.order, &stranger.token), shop.claim_by(&access, &link));
    let taken = (409, "order-claimed".to_owned());
    assert!(
        (by_token.0 == 200 && by_link == taken) || (by_token == taken && by_link.0 == 204),
        "{by_token:?} {by_link:?}"
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_claims_an_order_is_void_once_the_account_has_another_address() {
    let (shop, accounts) = Served::with(&["customer b@x.example"]).await;
    shop.sell_mugs().await;
    let guest = shop.new_guest("Ada", "b@x.example").await;
    let (access, _) = shop.sign_in(&accounts[0]).await;
    // An order gets three mails an hour.
    for expected in [202, 202, 202, 503] {
        assert_eq!(shop.ask(&access, &guest.order).await.0, expected);
    }
    let link = claim_link(&shop, "b@x.example").await;
    let moved = format!("UPDATE @accounts SET address = 'other' WHERE id = '{}'", accounts[0].id);
    shop.on_accounts(&moved).await;
    assert_eq!(shop.claim_by(&access, &link).await, (422, "link-not-valid".to_owned()));
    assert_eq!(shop.ask(&access, &guest.order).await.0, 422);
    shop.stop().await;
}

/// The proof of somebody's erasure, once nothing of theirs is left.
pub(crate) async fn proven(shop: &Served, person: Uuid) -> Report {
    let options = Options { person, values: None, backup_days: 35, json: false };
    let report = async {
        loop {
            let report = Box::pin(erased::verify(shop.shop.clone(), &options)).await.unwrap();
            if report.found.is_empty() {
                return report;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), report).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_account_takes_its_guests_with_it_and_the_proof_names_them() {
    let (shop, ada, _) = two_accounts().await;
    let operator = shop.shop.operator_token().unwrap();
    let (guest, mixed) =
        (shop.new_guest("Ada", "b@x.example").await, shop.new_guest("Ada", "c@x.example").await);
    let left = shop.buy(Some(&mixed.token), &new_key(), &order("Ada", "c@x.example")).await;
    let left: Value = left.json().await.unwrap();
    let (access, _) = shop.sign_in(&ada).await;
    for one in [&guest, &mixed] {
        assert_eq!(shop.claim(&access, &one.order, &one.token).await.0, 200);
    }
    let id_of = async |one: &Guest| {
        let seen = shop.see(&format!("/orders/{}", one.order), Some(&operator)).await.1;
        seen["customer"]["guest"].as_str().unwrap().parse::<Uuid>().unwrap()
    };
    let ids = [id_of(&guest).await, id_of(&mixed).await];
    let of = |report: &Report, id: Uuid| report.guests.iter().find(|one| one.guest == id).unwrap().clone();

    let gone = shop.request("DELETE", &format!("/users/{}", ada.id)).bearer_auth(&access);
    assert_eq!(gone.header("if-match", "*").send().await.unwrap().status(), 204);
    let report = proven(&shop, ada.id).await;
    assert_eq!((&report.asked[..], report.guests.len()), (&[Purpose::Account][..], 2));
    let first = of(&report, ids[0]);
    assert_eq!((&first.asked[..], first.orders, first.kept_because), (&[Purpose::Account][..], 1, None));
    let second = of(&report, ids[1]);
    assert_eq!((&second.asked[..], second.orders), (&[][..], 2));
    let kept = second.kept_because.clone().unwrap();
    assert_eq!((json!(kept.order), kept.claimed_by), (left["id"].clone(), None));
    let text = report.to_string();
    assert!(text.contains("guests   2") && text.contains("nobody claimed the order"), "{text}");
    assert!(!text.contains("b@x.example") && !text.contains("c@x.example"));
    // The token of the one is dead, also for another order; the other one's is what it was.
    assert_eq!(shop.see("/orders", Some(&guest.token)).await.0, 401);
    assert_eq!(seen(&shop, &mixed, &mixed.token).await, 404);
    let name = async |order: &str| {
        let (status, seen) = shop.see(&format!("/orders/{order}"), Some(&operator)).await;
        assert_eq!(status, 200);
        seen["contact"]["name"].clone()
    };
    assert_ne!(name(&guest.order).await, Value::Null, "as long as that of an order that the account placed");

    let purposes = json!({ "purposes": ["invoice"] });
    let path = format!("/people/{}/erasures", ada.id);
    assert_eq!(shop.change("POST", &path, &operator, &purposes).await.status(), 200);
    let report = proven(&shop, ada.id).await;
    let both = [Purpose::Account, Purpose::Invoice];
    assert_eq!((&report.asked[..], &of(&report, ids[0]).asked[..]), (&both[..], &both[..]));
    assert!(of(&report, ids[1]).asked.is_empty());
    assert_eq!(name(&guest.order).await, Value::Null);
    assert_ne!(name(&mixed.order).await, Value::Null);
    let guests = proven(&shop, ids[0]).await;
    assert_eq!((&guests.asked[..], guests.guests.len()), (&both[..], 0));

    // Staff erase the one who stayed.
    let path = format!("/people/{}/erasures", ids[1]);
    assert_eq!(shop.change("POST", &path, &operator, &purposes).await.status(), 200);
    let report = proven(&shop, ada.id).await;
    assert_eq!(of(&report, ids[1]).asked, [Purpose::Invoice]);
    assert_eq!(name(&mixed.order).await, Value::Null);
    shop.stop().await;
}
