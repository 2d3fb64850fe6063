//! Sign-ins at the cost of a real hash, and what they take from other requests; checks of tokens; reads by somebody who is
//! signed in beside the same reads by anybody.

use std::sync::Arc;
use std::time::Instant;

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::accounts::command_line::{Verb, run};

use crate::support::{Client, Set, TestShop};
use crate::{ROUNDS, median, percentile, rate, row, seconds};

/// How many accounts sign in: one begins thirty sessions an hour.
const ACCOUNTS: usize = 32;

/// How many sign in at once: of one network, no more wait than four.
const CALLERS: usize = 3;

async fn open(shop: &TestShop, number: usize) -> Value {
    let email = format!("{number}@example.org");
    let verb = Verb::Open {
        email: email.clone(),
        roles: vec!["customer".to_owned()],
        person: Some("Ada".to_owned()),
        password_stdin: false,
    };
    let opened = run(&shop.shop, &verb).await.unwrap().text;
    let (_, password) = opened.split_once("\npassword: ").unwrap();
    json!({ "email": email, "password": password.trim() })
}

async fn sign_in(client: &Client, account: &Value) -> Value {
    client.send(Method::POST, "/auth/login", Some(account), &[]).await.expect(200).json()
}

/// Sign-ins per second for the length of a round.
async fn sign_ins(shop: &TestShop, accounts: &Arc<Vec<Value>>) -> f64 {
    // As if those of the round before were of long ago.
    let db = shop.shop.store_database.namespace("identity").unwrap();
    db.connection.execute(db.statement("UPDATE @sessions SET began_at = 0", [])).await.unwrap();
    rate(CALLERS, |caller, number| {
        let (client, accounts) = (shop.client.clone(), Arc::clone(accounts));
        async move {
            let number = usize::try_from(number).unwrap() * CALLERS + caller;
            sign_in(&client, &accounts[number % accounts.len()]).await;
        }
    })
    .await
}

/// Milliseconds of requests that one client sends one after the other for the length of a round.
async fn products(client: Client) -> Vec<f64> {
    let (began, limit) = (Instant::now(), seconds());
    let mut times = Vec::new();
    while began.elapsed() < limit {
        let asked = Instant::now();
        client.get("/products").await.expect(200);
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    times
}

/// Reads per second, by somebody who is signed in or by anybody.
async fn reads(client: &Client, connections: usize, bearer: Option<&str>) -> f64 {
    rate(connections, |_, _| {
        let (client, bearer) = (client.clone(), bearer.map(str::to_owned));
        async move {
            let headers: Vec<_> =
                bearer.as_deref().map(|bearer| ("authorization", bearer)).into_iter().collect();
            client.send(Method::GET, "/products", None, &headers).await.expect(200);
        }
    })
    .await
}

/// Measures it on PostgreSQL.
pub(crate) async fn identity() {
    let shop = TestShop::start(Set::Nats).await;
    shop.client.product("MUG", "Mug", 500, 10).await;
    shop.settle().await;
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        accounts.push(open(&shop, number).await);
    }
    let accounts = Arc::new(accounts);
    let (mut rates, mut rest, mut meanwhile) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rest.push(percentile(&mut products(shop.client.clone()).await, 0.99));
        let (signed_in, mut times) = tokio::join!(sign_ins(&shop, &accounts), products(shop.client.clone()));
        rates.push(signed_in);
        meanwhile.push(percentile(&mut times, 0.99));
    }
    println!("| sign-ins, {CALLERS} at once | {:.0} /s | | |", median(rates));
    let what = "p99 of GET /products while they sign in (goal: at most twice)";
    row(what, median(meanwhile), "ms", "at rest", median(rest));
    let db = shop.shop.store_database.namespace("identity").unwrap();
    db.connection.execute(db.statement("UPDATE @sessions SET began_at = 0", [])).await.unwrap();
    let token = sign_in(&shop.client, &accounts[0]).await["access_token"].as_str().unwrap().to_owned();
    let identity = shop.shop.identity().unwrap();
    let checked = rate(1, |_, _| {
        let (identity, token) = (identity.clone(), token.clone());
        async move { drop(identity.claims(&token).await.unwrap().unwrap()) }
    })
    .await;
    println!("| checks of an access token, one after the other | {checked:.0} /s | | |");
    let bearer = format!("Bearer {token}");
    for connections in [1, 8, 32] {
        let (mut known, mut anybody) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            known.push(reads(&shop.client, connections, Some(&bearer)).await);
            anybody.push(reads(&shop.client, connections, None).await);
        }
        let what = format!("reads by somebody signed in, {connections} connections (goal: 0.9)");
        row(&what, median(known), "/s", "by anybody", median(anybody));
    }
    shop.stop().await;
}
