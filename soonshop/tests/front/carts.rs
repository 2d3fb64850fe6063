//! Carts of guests and customers, where others reach the shop: whose they are, and how an account takes one over.

use serde_json::{Value, json};
use soonshop_domain::Purpose;
use uuid::Uuid;

use crate::accounts::{Served, refused};
use crate::claims::proven;
use crate::guests::{new_key, passed_on};

/// A cart, with the token of the guest who began it.
struct Filled {
    token: String,
    id: String,
}

impl Filled {
    fn path(&self) -> String {
        format!("/carts/{}", self.id)
    }
}

impl Served {
    /// Starts a cart as somebody, or as a new guest.
    async fn fill(&self, token: Option<&str>, key: &str, quantity: u32, note: Option<&str>) -> Filled {
        let request = passed_on(self.client.post(self.url("/carts"))).header("idempotency-key", key);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let body = json!({ "sku": "MUG", "quantity": quantity, "note": note });
        let got = request.json(&body).send().await.unwrap();
        assert_eq!(got.status(), 201);
        let begun = got.headers().get("guest-token").map(|value| value.to_str().unwrap().to_owned());
        let body: Value = got.json().await.unwrap();
        let token = begun.or(token.map(str::to_owned)).unwrap();
        Filled { token, id: body["id"].as_str().unwrap().to_owned() }
    }

    async fn take_over(&self, access: &str, cart: &Filled, key: &str) -> (u16, Value) {
        let request = passed_on(self.request("POST", &format!("{}/claim", cart.path()))).bearer_auth(access);
        let request = request.header("idempotency-key", key);
        let got = request.json(&json!({ "guest_token": cart.token })).send().await.unwrap();
        (got.status().as_u16(), got.json().await.unwrap_or_default())
    }

    async fn kinds(&self, cart: &str) -> Vec<String> {
        let rows = self.shop.log().unwrap().stream("cart", cart, 0, 1_000).await.unwrap();
        rows.iter().map(|row| row.event_type.clone()).collect()
    }

    /// The open carts of somebody, each as the numbers of units of its lines.
    async fn open_carts(&self, token: &str) -> Vec<(String, Vec<u64>)> {
        let (status, page) = self.see("/carts", Some(token)).await;
        assert_eq!(status, 200, "{page}");
        let units = |cart: &Value| {
            let lines = cart["lines"].as_array().unwrap().iter();
            lines.map(|line| line["quantity"].as_u64().unwrap()).collect()
        };
        let carts = page["items"].as_array().unwrap().iter();
        carts.map(|cart| (cart["id"].as_str().unwrap().to_owned(), units(cart))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_is_its_owners_and_to_everybody_else_it_is_not_there() {
    let (shop, accounts) = Served::with(&["customer", "customer bea@example.org"]).await;
    shop.sell_mugs().await;
    let key = new_key();
    let cart = shop.fill(None, &key, 2, None).await;
    let again = shop.fill(None, &key, 2, None).await;
    assert_eq!((&again.id, &again.token), (&cart.id, &cart.token), "the answer was lost, and comes again");
    let stranger = shop.fill(None, &new_key(), 1, None).await;
    let (ada, _) = shop.sign_in(&accounts[0]).await;
    let (bea, _) = shop.sign_in(&accounts[1]).await;
    let own = shop.fill(Some(&ada), &new_key(), 1, None).await;
    let nowhere = format!("/carts/{}", Uuid::new_v4());
    let add = json!({ "sku": "MUG", "quantity": 1 });
    for (cart, mine, others) in [
        (&cart, &*cart.token, [&*stranger.token, &ada, &bea]),
        (&own, &*ada, [&*stranger.token, &*cart.token, &bea]),
    ] {
        for other in others {
            for asked in [cart.path(), format!("{}?as_of=v:1", cart.path())] {
                let (status, seen) = shop.see(&asked, Some(other)).await;
                assert_eq!((status, &seen["type"]), (404, &json!("/problems/not-found")), "{asked}");
            }
            let path = |cart: &str| format!("{cart}/lines");
            let theirs = refused(shop.change("POST", &path(&cart.path()), other, &add).await).await;
            let none = refused(shop.change("POST", &path(&nowhere), other, &add).await).await;
            assert_eq!(theirs, none, "who asks does not learn that it is there");
            assert!([403, 404].contains(&theirs.0), "{theirs:?}");
        }
        assert_eq!(shop.see(&cart.path(), Some(mine)).await.0, 200);
        assert_eq!(shop.change("POST", &format!("{}/lines", cart.path()), mine, &add).await.status(), 200);
    }
    assert_eq!(shop.see("/carts", None).await.1["items"], json!([]));
    assert_eq!(shop.open_carts(&cart.token).await, [(cart.id.clone(), vec![3])]);
    let second = shop.change("POST", "/carts", &cart.token, &add).await;
    let second: Value = second.json().await.unwrap();
    assert_eq!((&second["type"], &second["cart"]), (&json!("/problems/cart-open"), &json!(cart.id)));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sign_in_the_cart_of_a_guest_becomes_the_accounts() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    shop.sell_mugs().await;
    let cart = shop.fill(None, &new_key(), 2, Some("for Zoë")).await;
    let (access, _) = shop.sign_in(&accounts[0]).await;
    let bad = Filled { token: "ssg_x".to_owned(), id: cart.id.clone() };
    assert_eq!(shop.take_over(&access, &bad, &new_key()).await.0, 422);
    let stranger = shop.fill(None, &new_key(), 1, None).await;
    let foreign = Filled { token: stranger.token.clone(), id: cart.id.clone() };
    let (status, problem) = shop.take_over(&access, &foreign, &new_key()).await;
    assert_eq!((status, &problem["type"]), (404, &json!("/problems/cart-not-found")));
    let key = new_key();
    let first = shop.take_over(&access, &cart, &key).await;
    assert_eq!((first.0, &first.1["id"]), (200, &json!(cart.id)), "{}", first.1);
    assert_eq!(shop.take_over(&access, &cart, &key).await, first);
    assert_eq!(shop.take_over(&access, &cart, &new_key()).await.0, 200, "it is theirs already");
    assert_eq!(shop.kinds(&cart.id).await, ["CartStarted", "CartClaimed"]);
    let (_, seen) = shop.see(&cart.path(), Some(&access)).await;
    assert_eq!((&seen["lines"][0]["note"], &seen["lines"][0]["quantity"]), (&json!("for Zoë"), &json!(2)));
    assert_eq!(seen["customer"], json!({ "user": accounts[0].id().to_string() }));
    assert_eq!(shop.see(&cart.path(), Some(&cart.token)).await.0, 404, "the guest's token opens it no more");
    let add = json!({ "sku": "MUG", "quantity": 1 });
    let dead = shop.change("POST", &format!("{}/lines", cart.path()), &cart.token, &add).await;
    assert_eq!(refused(dead).await, (404, "not-found".to_owned()));
    assert_eq!(shop.open_carts(&access).await, [(cart.id.clone(), vec![2])]);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sign_in_quantities_are_added_up_beyond_the_stock_and_nothing_is_lost_or_doubled() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    shop.sell_mugs().await;
    let (access, _) = shop.sign_in(&accounts[0]).await;
    let own = shop.fill(Some(&access), &new_key(), 1_000, None).await;
    let cart = shop.fill(None, &new_key(), 1, None).await;
    let noted = json!({ "sku": "MUG", "quantity": 7, "note": "blue" });
    let lines = format!("{}/lines", cart.path());
    assert_eq!(shop.change("POST", &lines, &cart.token, &noted).await.status(), 200);
    let key = new_key();
    // At once, and again, with the same key and with others.
    let keys = [key.clone(), new_key(), key.clone(), new_key()];
    let claims = keys.iter().map(|key| shop.take_over(&access, &cart, key));
    for (status, answer) in futures::future::join_all(claims).await {
        assert_eq!((status, &answer["id"]), (200, &json!(own.id)), "{answer}");
    }
    assert_eq!(shop.take_over(&access, &cart, &new_key()).await.0, 200);
    assert_eq!(shop.kinds(&own.id).await, ["CartStarted", "CartLinesTaken"]);
    assert_eq!(shop.kinds(&cart.id).await, ["CartStarted", "CartLineAdded", "CartMerged"]);
    assert_eq!(shop.open_carts(&access).await, [(own.id.clone(), vec![1_001, 7])]);
    let (_, seen) = shop.see(&own.path(), Some(&access)).await;
    let notice = &seen["lines"][0]["notices"][0];
    assert_eq!((&notice["code"], &notice["available"]), (&json!("not-enough"), &json!(1_000)));
    assert_eq!(seen["lines"][1]["note"], "blue");
    // The guest may begin another one; the old one says where its lines are.
    let add = json!({ "sku": "MUG", "quantity": 1 });
    let ended = shop.change("POST", &lines, &cart.token, &add).await;
    let ended: Value = ended.json().await.unwrap();
    assert_eq!((&ended["type"], &ended["cart"]), (&json!("/problems/cart-ended"), &json!(own.id)));
    assert_eq!(shop.open_carts(&cart.token).await, []);
    let next = shop.fill(Some(&cart.token), &new_key(), 1, None).await;
    assert_ne!(next.id, cart.id);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_owner_leaves_neither_notes_nor_rows_of_carts_nor_their_guests() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    shop.sell_mugs().await;
    let operator = shop.shop.operator_token().unwrap();
    let (access, _) = shop.sign_in(&accounts[0]).await;
    let own = shop.fill(Some(&access), &new_key(), 1, Some("my note")).await;
    let cart = shop.fill(None, &new_key(), 1, Some("a guest's note")).await;
    assert_eq!(shop.take_over(&access, &cart, &new_key()).await.0, 200);
    let (_, seen) = shop.see(&own.path(), Some(&operator)).await;
    assert_eq!(seen["lines"][1]["note"], "a guest's note", "{seen}");

    let gone = shop.request("DELETE", &format!("/users/{}", accounts[0].id())).bearer_auth(&access);
    assert_eq!(gone.header("if-match", "*").send().await.unwrap().status(), 204);
    let report = proven(&shop, accounts[0].id()).await;
    assert_eq!((&report.asked[..], report.guests.len()), (&[Purpose::Account][..], 1));
    assert_eq!(report.guests[0].asked, [Purpose::Account], "the guest goes with the account");
    assert_eq!(shop.see(&own.path(), Some(&operator)).await.0, 404);
    let (status, past) = shop.see(&format!("{}?as_of=v:2", own.path()), Some(&operator)).await;
    assert_eq!((status, &past["erased"]), (200, &json!(true)), "{past}");
    assert!(!past.to_string().contains("note\":\""), "{past}");
    shop.stop().await;
}
