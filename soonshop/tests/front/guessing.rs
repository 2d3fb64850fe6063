//! Guesses of passwords over HTTP: they wait, the owner does not; and what the answers tell of accounts, by their bytes and
//! by their times.

use std::time::{Duration, Instant};

use reqwest::Response;
use reqwest::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop_domain::ids;
use soonshop_identity::{Cause, Cost, CredentialKind, Error, Identity, Password, SignIn, SignInDevice};

use crate::accounts::{Served, form, refused, tokens};

const NOBODY: &str = "nobody@example.org";
const WRONG: &str = "a wrong password";

async fn login(shop: &Served, email: &str, password: &str, device: Option<&str>) -> Response {
    let mut body = json!({ "email": email, "password": password });
    if let Some(device) = device {
        body["device_token"] = device.into();
    }
    shop.post("/auth/login", &body).await
}

/// All delays are over.
async fn forget(shop: &Served) {
    let db = shop.shop.store_database.namespace("identity").unwrap();
    db.connection
        .execute(db.statement(
            "DELETE FROM @attempts WHERE what LIKE 'typed:%' OR what LIKE 'network:%' OR what LIKE 'asked:%'",
            [],
        ))
        .await
        .unwrap();
}

/// What an answer shows, but for the time: status, names of headers, bytes, and the body without what is the request's own.
async fn shown(response: Response) -> (u16, Vec<String>, usize, Value) {
    let names = response.headers().keys().map(|name| name.as_str().to_owned()).collect();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let mut body: Value = serde_json::from_str(&text).unwrap_or_default();
    if body.is_object() {
        body["instance"] = Value::Null;
    }
    (status, names, text.len(), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_delay_strangers_alike_with_an_account_and_without_and_not_the_owners_device() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let grace = &accounts[0];
    let first: Value = login(&shop, grace.email(), grace.password(), None).await.json().await.unwrap();
    let device = first["device_token"].as_str().unwrap().to_owned();
    assert!(device.starts_with("ssd_"), "{first}");
    let refreshed = shop.post("/auth/refresh", &json!({ "refresh_token": first["refresh_token"] })).await;
    let refreshed: Value = refreshed.json().await.unwrap();
    assert!(refreshed["access_token"].is_string() && refreshed.get("device_token").is_none(), "{refreshed}");
    let mut answers = Vec::new();
    for email in [grace.email(), NOBODY] {
        let mut wrong = 0;
        let refusal = loop {
            let got = login(&shop, email, WRONG, None).await;
            if got.status() != 401 {
                break got;
            }
            wrong += 1;
        };
        // Where the machine is slow, a delay of a second is over at once.
        assert!(wrong >= 5, "{email}: {wrong}");
        let wait: u64 = refusal.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        answers.push(shown(refusal).await);
    }
    assert_eq!((answers[0].0, &answers[0].3["type"]), (429, &json!("/problems/too-many-attempts")));
    assert_eq!(answers[0], answers[1]);
    // As if there had been many more.
    let db = shop.shop.store_database.namespace("identity").unwrap();
    let many = db.statement("UPDATE @attempts SET count = 1000 WHERE what LIKE 'typed:%'", []);
    db.connection.execute(many).await.unwrap();
    let right = login(&shop, grace.email(), grace.password(), None).await;
    assert_eq!(right.headers()[RETRY_AFTER].to_str().unwrap().len(), 3, "a quarter of an hour");
    assert_eq!(refused(right).await, (429, "too-many-attempts".to_owned()));
    let malformed = login(&shop, grace.email(), grace.password(), Some("ssd_x")).await;
    assert_eq!(refused(malformed).await.0, 429);
    tokens(login(&shop, grace.email(), grace.password(), Some(&device)).await).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_signed_in_before_is_known_by_its_cookie() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let grace = &accounts[0];
    let send = async |cookie: &str| {
        let fields = [("email", grace.email()), ("password", grace.password()), ("to", "/audit/timeline")];
        let request = shop.client.post(shop.url("/audit/sign-in?lang=en")).header(COOKIE, cookie);
        form(request, &fields).send().await.unwrap()
    };
    let device = |response: &Response| {
        let set = response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        let set: Vec<_> = set.filter(|value| value.starts_with("soonshop_device=ssd_")).collect();
        set.first().map(|value| (*value).to_owned())
    };
    let signed = send("").await;
    assert_eq!(signed.status(), 303);
    let set = device(&signed).unwrap();
    assert!(set.ends_with("; Path=/; Max-Age=7776000; HttpOnly; SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    while login(&shop, grace.email(), WRONG, None).await.status() == 401 {}
    let db = shop.shop.store_database.namespace("identity").unwrap();
    let many = db.statement("UPDATE @attempts SET count = 1000 WHERE what LIKE 'typed:%'", []);
    db.connection.execute(many).await.unwrap();
    let stranger = send("").await;
    assert_eq!((stranger.status().as_u16(), device(&stranger)), (429, None));
    let page = stranger.text().await.unwrap();
    assert!(page.contains("name=\"password\""), "the form comes again: {page}");
    let owner = send(&cookie).await;
    assert_eq!(owner.status(), 303);
    assert_eq!(device(&owner).unwrap(), set, "it goes on with its token");
    shop.stop().await;
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// How far the ranks of two samples lie apart, in standard deviations of what chance does (Mann and Whitney). Equal times
/// share their rank.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn apart(one: &[f64], other: &[f64]) -> f64 {
    let (n, m) = (one.len() as f64, other.len() as f64);
    let wins: f64 = one
        .iter()
        .flat_map(|a| {
            other.iter().map(move |b| {
                if a > b {
                    1.0
                } else if a < b {
                    0.0
                } else {
                    0.5
                }
            })
        })
        .sum();
    (wins - n * m / 2.0).abs() / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// Whether somebody could tell these two by their times: nearly all of one lie beyond the other, which chance does once in
/// a million runs, and by more than a fifth.
fn told_apart(one: &[f64], other: &[f64]) -> bool {
    let (a, b) = (median(one), median(other));
    apart(one, other) > 5.0 && (a - b).abs() > a.min(b) / 5.0
}

#[test]
fn times_are_told_apart_where_they_differ_and_not_by_a_slow_day() {
    let noisy = |base: f64, seed: u32| -> Vec<f64> {
        let noise = |number: u32| f64::from((number * 7_919 + seed * 104_729) % 100) / 100.0;
        (0..20).map(|number| base + noise(number) * base).collect()
    };
    assert!(told_apart(&[300.0; 20], &[600.0; 20]));
    assert!(!told_apart(&[300.0; 20], &[301.0; 20]), "a difference that nobody measures over a network");
    assert!(!told_apart(&noisy(300.0, 1), &noisy(300.0, 2)));
    assert!(!told_apart(&noisy(300.0, 1), &noisy(310.0, 2)));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_answers_of_each_kind_tell_no_account_by_status_bytes_headers_or_time() {
    let (shop, accounts) = Served::with(&["support", "customer"]).await;
    let (disabled, known) = (&accounts[0], &accounts[1]);
    shop.account("disable", disabled.id).await;
    let kinds: [(&str, &str, &str); 7] = [
        ("/auth/login", known.email(), WRONG),
        ("/auth/login", disabled.email(), disabled.password()),
        ("/auth/login", NOBODY, WRONG),
        ("/auth/register", known.email(), ""),
        ("/auth/register", "nobodyo@example.org", ""),
        ("/auth/forgot", known.email(), ""),
        ("/auth/forgot", "nobodyo@example.org", ""),
    ];
    let mut times = vec![Vec::new(); kinds.len()];
    let mut answers = vec![Vec::new(); kinds.len()];
    for round in 0..60 {
        forget(&shop).await;
        for place in 0..kinds.len() {
            // Each comes before and after each other.
            let number = if round % 2 == 0 { (place + round) % kinds.len() } else { (round + 7 - place) % 7 };
            let (path, email, password) = kinds[number];
            let body = match path {
                "/auth/login" => json!({ "email": email, "password": password }),
                _ => json!({ "email": email }),
            };
            let began = Instant::now();
            let got = shop.post(path, &body).await;
            times[number].push(milliseconds(began.elapsed()));
            answers[number].push(shown(got).await);
        }
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2), (3, 4), (5, 6)] {
        assert!(answers[one].iter().chain(&answers[other]).all(|answer| *answer == answers[one][0]));
        let (a, b) = (&times[one], &times[other]);
        let what = format!("{:?} and {:?}: {} and {} ms", kinds[one], kinds[other], median(a), median(b));
        assert!(!told_apart(a, b), "{what}");
    }
    assert_eq!([0, 3, 5].map(|kind| answers[kind][0].0), [401, 202, 202]);
    shop.stop().await;
}

/// Accounts whose hashes take longer than a step of 300 ms on this machine, so that an answer without one shows.
async fn slow(shop: &Served) -> Identity {
    let of = |passes| {
        let db = shop.shop.store_database.namespace("identity").unwrap();
        Identity::new(db, shop.shop.key_store().unwrap(), Cost { memory_kib: 8 * 1024, passes })
    };
    let id = ids::new();
    let mut passes = 8;
    loop {
        let began = Instant::now();
        // Nobody has this id: the password is hashed before that is seen.
        let new = Password::new("seven green turtles").unwrap();
        assert!(matches!(of(passes).reset_password(id, new, &Cause::system()).await, Err(Error::NotFound)));
        if began.elapsed() > Duration::from_millis(330) {
            return of(passes);
        }
        passes += passes / 2;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_is_verified_also_where_there_is_no_account_and_where_it_is_disabled() {
    let (shop, accounts) = Served::with(&["support", "customer"]).await;
    let (disabled, known) = (&accounts[0], &accounts[1]);
    let identity = slow(&shop).await;
    let cause = Cause::system();
    // Their hashes are of that cost.
    for account in [disabled, known] {
        let password = Password::new(account.password()).unwrap();
        identity.reset_password(account.id, password, &cause).await.unwrap();
    }
    shop.account("disable", disabled.id).await;
    let kinds = [(known.email(), WRONG), (disabled.email(), disabled.password()), (NOBODY, WRONG)];
    let mut times = vec![Vec::new(); kinds.len()];
    for round in 0..20 {
        forget(&shop).await;
        for place in 0..kinds.len() {
            let number = (place + round) % kinds.len();
            let (address, password) = kinds[number];
            let asked = SignIn {
                address,
                password: Password::typed(password),
                network: "192.0.2.1",
                device: SignInDevice::default(),
                kind: CredentialKind::Tokens,
            };
            let began = Instant::now();
            assert!(matches!(identity.sign_in(asked, &cause).await, Err(Error::SignIn)));
            times[number].push(milliseconds(began.elapsed()));
        }
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let (a, b) = (&times[one], &times[other]);
        let what = format!("{} and {}: {} and {} ms", kinds[one].0, kinds[other].0, median(a), median(b));
        assert!(!told_apart(a, b), "{what}");
    }
    shop.stop().await;
}
