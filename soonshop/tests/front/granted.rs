//! What clients of OAuth do with their tokens: refresh, revoke and introspect them; and a library of others.

use std::time::Duration;

use serde_json::json;

use crate::accounts::{Served, form, refused};
use crate::consenting::{Browser, code, parameter, query, redeem};
use crate::oauth::{CALLBACK, Client, error, for_itself, good, post, register, text, until_refused};

/// I08.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrower_refresh_is_of_one_answer_and_a_wider_one_uses_nothing_up() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let app = register(&shop, &[CALLBACK], &["own", "read", "shop"], false).await;
    let other = register(&shop, &[CALLBACK], &["own", "read", "shop"], false).await;
    let browser = Browser::signed_in(&shop, &accounts[0]).await;
    let got = good(redeem(&shop, &app, &code(&browser, &app, "read shop").await).await).await;
    let mut token = text(&got, "refresh_token").to_owned();
    let unrelated = code(&browser, &app, "own read shop").await;
    let refresh = async |client: &Client, token: &str, more: &[(&str, &str)]| {
        let fields = [&[("grant_type", "refresh_token"), ("refresh_token", token)], more].concat();
        post(&shop, "/oauth/token", client, &fields).await
    };
    for (more, scope) in [
        (vec![("scope", "read")], "read"),
        (vec![], "read shop"),
        (vec![("code", unrelated.as_str())], "read shop"),
    ] {
        let got = good(refresh(&app, &token, &more).await).await;
        assert_eq!(text(&got, "scope"), scope);
        let access = text(&got, "access_token");
        let of = shop.with_token("GET", &format!("/users/{}", accounts[0].id), access).await;
        assert_ne!(of.status(), 403);
        let change = shop.request("PUT", &format!("/users/{}", accounts[0].id)).bearer_auth(access);
        let change = change
            .header("if-match", "\"9\"")
            .json(&json!({ "name": "Ada", "email": "customer@example.org" }));
        let change = change.send().await.unwrap().status().as_u16();
        assert_eq!(change == 403, scope == "read", "{scope}: {change}");
        token = text(&got, "refresh_token").to_owned();
    }
    // Wider, of another client, and at the shop's own door: refused, and not used up.
    assert_eq!(
        error(refresh(&app, &token, &[("scope", "read shop own")]).await).await,
        (400, "invalid_scope".to_owned())
    );
    assert_eq!(error(refresh(&other, &token, &[]).await).await, (400, "invalid_grant".to_owned()));
    let door = refused(shop.post("/auth/refresh", &json!({ "refresh_token": token })).await).await;
    assert_eq!(door, (401, "session-ended".to_owned()));
    good(refresh(&app, &token, &[]).await).await;
    // And the other way round.
    let (_, own) = shop.sign_in(&accounts[0]).await;
    assert_eq!(error(refresh(&app, &own, &[]).await).await, (400, "invalid_grant".to_owned()));
    assert_eq!(shop.post("/auth/refresh", &json!({ "refresh_token": own })).await.status(), 200);
    shop.stop().await;
}

/// I14.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_revokes_and_introspects_its_own_tokens_alone() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let a = register(&shop, &[CALLBACK], &["own"], false).await;
    let b = register(&shop, &[CALLBACK], &["own"], false).await;
    let p = register(&shop, &[CALLBACK], &["own"], true).await;
    let browser = Browser::signed_in(&shop, &accounts[0]).await;
    let got = good(redeem(&shop, &a, &code(&browser, &a, "own").await).await).await;
    let (access, refresh) = (text(&got, "access_token"), text(&got, "refresh_token"));
    for token in [access, refresh] {
        let own = good(post(&shop, "/oauth/introspect", &a, &[("token", token)]).await).await;
        assert_eq!(
            (&own["active"], &own["client_id"], &own["sub"], &own["scope"]),
            (&json!(true), &json!(a.id), &json!(accounts[0].id), &json!("own"))
        );
        let strange = good(post(&shop, "/oauth/introspect", &b, &[("token", token)]).await).await;
        assert_eq!(strange, json!({ "active": false }));
        assert_eq!(post(&shop, "/oauth/revoke", &b, &[("token", token)]).await.status(), 200);
        assert_eq!(shop.with_token("GET", "/orders", access).await.status(), 200, "it still works");
        let nobody = form(shop.request("POST", "/oauth/introspect").bearer_auth(access), &[("token", token)]);
        assert_eq!(error(nobody.send().await.unwrap()).await, (401, "invalid_client".to_owned()));
        let public = post(&shop, "/oauth/introspect", &p, &[("token", token)]).await;
        assert_eq!(error(public).await, (401, "invalid_client".to_owned()));
    }
    assert_eq!(
        good(post(&shop, "/oauth/introspect", &a, &[("token", "x")]).await).await,
        json!({ "active": false })
    );
    assert_eq!(
        error(post(&shop, "/oauth/introspect", &a, &[]).await).await,
        (400, "invalid_request".to_owned())
    );
    // The public one revokes its own, with the wrong hint, and its access token is dead as well.
    let got = good(redeem(&shop, &p, &code(&browser, &p, "own").await).await).await;
    let (of_p, refresh_of_p) = (text(&got, "access_token"), text(&got, "refresh_token"));
    assert_eq!(shop.with_token("GET", "/orders", of_p).await.status(), 200);
    let hint = [("token", refresh_of_p), ("token_type_hint", "access_token")];
    assert_eq!(post(&shop, "/oauth/revoke", &p, &hint).await.status(), 200);
    assert!(until_refused(&shop, "/orders", of_p).await < Duration::from_secs(3));
    let more = [("grant_type", "refresh_token"), ("refresh_token", refresh_of_p)];
    assert_eq!(error(post(&shop, "/oauth/token", &p, &more).await).await, (400, "invalid_grant".to_owned()));
    // By the access token, and once more.
    for _ in 0..2 {
        assert_eq!(post(&shop, "/oauth/revoke", &a, &[("token", access)]).await.status(), 200);
    }
    assert!(until_refused(&shop, "/orders", access).await < Duration::from_secs(3));
    assert_eq!(
        good(post(&shop, "/oauth/introspect", &a, &[("token", refresh)]).await).await,
        json!({ "active": false })
    );
    let job = register(&shop, &[], &["read"], false).await;
    let got = good(for_itself(&shop, &job, None).await).await;
    let own =
        good(post(&shop, "/oauth/introspect", &job, &[("token", text(&got, "access_token"))]).await).await;
    assert_eq!((&own["active"], &own["sub"]), (&json!(true), &json!(job.id)));
    let alone = post(&shop, "/oauth/revoke", &job, &[("token", text(&got, "access_token"))]).await;
    assert_eq!(error(alone).await, (400, "unsupported_token_type".to_owned()));
    shop.stop().await;
}

/// What the library of others needs to send a request.
async fn carried(
    client: reqwest::Client,
    request: oauth2::HttpRequest,
) -> Result<oauth2::HttpResponse, reqwest::Error> {
    let (parts, body) = request.into_parts();
    let sent = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
    let got = sent.send().await?;
    let mut answer = oauth2::http::Response::new(Vec::new());
    *answer.status_mut() = got.status();
    *answer.headers_mut() = got.headers().clone();
    *answer.body_mut() = got.bytes().await?.to_vec();
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_library_of_others_runs_the_whole_flow() {
    use oauth2::basic::BasicClient;
    use oauth2::{
        AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, PkceCodeChallenge, RedirectUrl,
        RevocationUrl, Scope, StandardRevocableToken, TokenResponse as _, TokenUrl,
    };
    let (shop, accounts) = Served::with(&["customer"]).await;
    let app = register(&shop, &[CALLBACK], &["own"], false).await;
    let job = register(&shop, &[], &["read"], false).await;
    let library = |client: &Client| {
        BasicClient::new(ClientId::new(client.id.to_string()))
            .set_client_secret(ClientSecret::new(client.secret.clone().unwrap()))
            .set_auth_uri(AuthUrl::new(shop.url("/oauth/authorize")).unwrap())
            .set_token_uri(TokenUrl::new(shop.url("/oauth/token")).unwrap())
            .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap())
    };
    let http = |request| carried(shop.client.clone(), request);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let oauth = library(&app);
    let request = oauth.authorize_url(CsrfToken::new_random).add_scope(Scope::new("own".to_owned()));
    let (address, state) = request.set_pkce_challenge(challenge).url();
    let browser = Browser::signed_in(&shop, &accounts[0]).await;
    let asked: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let asked: Vec<(&str, &str)> =
        asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(browser.open(&query(&asked)).await.status(), 200);
    let back = browser.consents(&asked).await;
    assert_eq!(parameter(&back, "state").as_ref(), Some(state.secret()));
    let code = AuthorizationCode::new(parameter(&back, "code").unwrap());
    let got = oauth.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.unwrap();
    assert_eq!(got.scopes().unwrap(), &[Scope::new("own".to_owned())]);
    assert_eq!(shop.with_token("GET", "/orders", got.access_token().secret()).await.status(), 200);
    let next = oauth.exchange_refresh_token(got.refresh_token().unwrap()).request_async(&http).await.unwrap();
    // Its revocations go over TLS alone: the address is asked for, and then the shop of the test.
    let at = RevocationUrl::new("https://shop.example/oauth/revoke".to_owned()).unwrap();
    let to_the_shop = |mut request: oauth2::HttpRequest| {
        *request.uri_mut() = shop.url("/oauth/revoke").parse().unwrap();
        carried(shop.client.clone(), request)
    };
    let revoked: StandardRevocableToken = next.refresh_token().unwrap().into();
    oauth.set_revocation_url(at).revoke_token(revoked).unwrap().request_async(&to_the_shop).await.unwrap();
    assert!(until_refused(&shop, "/orders", next.access_token().secret()).await < Duration::from_secs(3));
    let own = library(&job).exchange_client_credentials().request_async(&http).await.unwrap();
    assert_eq!(shop.with_token("GET", "/products", own.access_token().secret()).await.status(), 200);
    shop.stop().await;
}
