//! Tests of callers who try many keys.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{AUTHORIZATION, COOKIE, WWW_AUTHENTICATE};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use soonshop_cache::connect_rates;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::{Access, ApiKey, Role, session};
use crate::rates::{Class, Limits, Proxies, counted};
use crate::shelf::Shelf;

const TOKEN: &str = "the-operator's-token";

/// An address may try three keys.
fn limited(access: &Access) -> Router {
    let rates = connect_rates("moka:").unwrap();
    let settings = ["off".parse().unwrap(), "sign-ins=3/24h".parse().unwrap()];
    let limits = Arc::new(Limits::new(&settings, Proxies::default(), rates));
    let (known, begins) = (access.clone(), access.clone());
    let visit = get(async move |request: Request| {
        let visitor = known.visitor(request.headers()).await?;
        visitor.caller.count(Class::SignIns).await?;
        Ok::<_, crate::Problem>(visitor.caller.role.to_string())
    });
    let sign_in = get(async move |request: Request| {
        let key = request.uri().query().unwrap_or_default().to_owned();
        begins.sign_in(&key, request.headers()).await
    });
    counted(Router::new().route("/", visit).route("/sign-in", sign_in), &limits)
}

async fn sent(router: &Router, peer: &str, path: &str, headers: &[(&str, String)]) -> (u16, String) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(status == 401, response.headers().contains_key(WWW_AUTHENTICATE));
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn with_key(router: &Router, peer: &str, key: &str) -> u16 {
    sent(router, peer, "/", &[(AUTHORIZATION.as_str(), format!("Bearer {key}"))]).await.0
}

fn unknown() -> String {
    ApiKey::generate(Uuid::new_v4()).unwrap().text()
}

fn shelf() -> (Arc<Shelf>, Access) {
    let shelf = Arc::new(Shelf::default());
    (Arc::clone(&shelf), Access::new(Some(TOKEN.into())).with_keys(shelf))
}

#[tokio::test]
async fn wrong_keys_are_refused_before_anything_is_looked_up_and_right_ones_go_on() {
    let (shelf, access) = shelf();
    let (key, _) = shelf.add(Role::Support, |_| {}).unwrap();
    let (late, _) = shelf.add(Role::Support, |_| {}).unwrap();
    let router = limited(&access);
    let (here, elsewhere) = ("192.0.2.1", "192.0.2.2");
    assert_eq!(with_key(&router, here, &key.text()).await, 200);
    for _ in 0..2 {
        assert_eq!(with_key(&router, here, &unknown()).await, 401);
    }
    let looked_up = shelf.asked();
    for _ in 0..2_000 {
        assert_eq!(with_key(&router, here, &unknown()).await, 429);
    }
    for malformed in ["x", "the-operator's-tokem", ""] {
        assert_eq!(with_key(&router, here, malformed).await, 429, "{malformed}");
    }
    let twice =
        [(AUTHORIZATION.as_str(), "Bearer a".to_owned()), (AUTHORIZATION.as_str(), "Bearer b".to_owned())];
    assert_eq!(sent(&router, here, "/", &twice).await.0, 429);
    assert_eq!(shelf.asked(), looked_up);
    // A key that was right, the operator, and guests go on at the same address; everybody at another one.
    assert_eq!(with_key(&router, here, &key.text()).await, 200);
    assert_eq!(with_key(&router, here, TOKEN).await, 200);
    assert_eq!(sent(&router, here, "/", &[]).await, (200, "guest".to_owned()));
    assert_eq!(with_key(&router, here, &late.text()).await, 429, "nobody knows yet that it is right");
    assert_eq!(with_key(&router, elsewhere, &late.text()).await, 200);
    assert_eq!(with_key(&router, here, &late.text()).await, 200);
}

#[tokio::test]
async fn a_wrong_secret_of_a_known_key_and_a_revoked_key_are_counted() {
    let (shelf, access) = shelf();
    let (key, id) = shelf.add(Role::Support, |_| {}).unwrap();
    let router = limited(&access);
    let here = "192.0.2.1";
    assert_eq!(with_key(&router, here, &key.text()).await, 200);
    let forged = format!("{}{}", &key.text()[..13], &unknown()[13..]);
    assert_eq!(with_key(&router, here, &forged).await, 401);
    shelf.change(id, |known| known.revoked = true);
    // Another process, which has not looked it up within the last seconds.
    let access = Access::new(Some(TOKEN.into())).with_keys(shelf);
    let router = limited(&access);
    for _ in 0..3 {
        assert_eq!(with_key(&router, here, &key.text()).await, 401);
    }
    assert_eq!(with_key(&router, here, &key.text()).await, 429);
}

#[tokio::test]
async fn wrong_sessions_and_wrong_keys_at_the_sign_in_page_are_counted_and_a_right_session_goes_on() {
    let (shelf, access) = shelf();
    let (key, _) = shelf.add(Role::Auditor, |_| {}).unwrap();
    let router = limited(&access);
    let here = "192.0.2.1";
    let cookie = |value: &str| [(COOKIE.as_str(), format!("{}={value}", session::COOKIE))];
    let random = || {
        let [one, two] = [Uuid::new_v4(), Uuid::new_v4()];
        BASE64.encode([one.into_bytes(), two.into_bytes()].concat())
    };
    let (status, set) = sent(&router, here, &format!("/sign-in?{}", key.text()), &[]).await;
    assert_eq!(status, 200);
    let right = set.split(['=', ';']).nth(1).unwrap().to_owned();
    assert_eq!(sent(&router, here, "/", &cookie(&right)).await, (200, "auditor".to_owned()));
    assert_eq!(sent(&router, here, "/", &cookie(&random())).await, (200, "guest".to_owned()));
    for _ in 0..100 {
        assert_eq!(sent(&router, here, "/", &cookie(&random())).await.0, 429);
        assert_eq!(sent(&router, here, &format!("/sign-in?{}", unknown()), &[]).await.0, 429);
    }
    assert_eq!(sent(&router, here, "/", &cookie(&right)).await, (200, "auditor".to_owned()));
    assert_eq!(sent(&router, here, &format!("/sign-in?{}", key.text()), &[]).await.0, 200);
    // A value that cannot be a session's cookie is not looked up, and so not counted.
    assert_eq!(sent(&router, here, "/", &cookie("AAAA")).await, (200, "guest".to_owned()));
}
