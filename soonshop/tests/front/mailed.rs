//! Registering, and a forgotten password, over HTTP: with the mails that an embedded shop writes into a folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{ACCEPT_LANGUAGE, ALLOW};
use serde_json::{Value, json};

use crate::accounts::{Served, refused};

/// The mails that were written for an address, the oldest first.
pub(crate) fn written(folder: &Path, address: &str) -> Vec<(PathBuf, String)> {
    let Ok(entries) = std::fs::read_dir(folder.join("mails")) else { return Vec::new() };
    let files = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"));
    let mut mails: Vec<_> =
        files.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    mails.retain(|(_, text)| text.contains(&format!("\nTo: {address}\n")));
    mails.sort();
    mails
}

/// Waits until there are so many mails for an address; the last one.
pub(crate) async fn mail(shop: &Served, address: &str, count: usize) -> String {
    of_mails(shop, address, |mails| (mails.len() >= count).then(|| mails[mails.len() - 1].1.clone())).await
}

/// Waits for a mail with a link to that page, whatever other mails the address gets; the link of the last one.
pub(crate) async fn linked(shop: &Served, address: &str, page: &str) -> String {
    let leads = |(_, text): &&(PathBuf, String)| text.contains(&format!("{page}?link="));
    of_mails(shop, address, |mails| mails.iter().rfind(leads).map(|(_, text)| link(text))).await
}

/// Waits until something is found among the mails for an address.
async fn of_mails(
    shop: &Served,
    address: &str,
    find: impl Fn(&[(PathBuf, String)]) -> Option<String>,
) -> String {
    let found = async || loop {
        if let Some(found) = find(&written(shop.folder(), address)) {
            return found;
        }
        tokio::task::yield_now().await;
    };
    tokio::time::timeout(Duration::from_mins(2), found()).await.unwrap()
}

pub(crate) fn link(mail: &str) -> String {
    let (_, rest) = mail.split_once("?link=").unwrap();
    rest.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_registers_signs_in_and_sets_another_password() {
    let (shop, _) = Served::with(&[]).await;
    let address = "new@example.org";
    let asked = shop.post("/auth/register", &json!({ "email": address, "language": "zh-CN" })).await;
    assert_eq!(asked.status(), 202);
    let register = mail(&shop, address, 1).await;
    assert!(register.contains("\nSubject: 请确认您的电子邮箱\n"), "{register}");
    assert!(register.contains("\nhttp://127.0.0.1:8000/account/register?link=ssl_"), "{register}");
    let (path, _) = written(shop.folder(), address).remove(0);
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let link_of = link(&register);
    // I25: who only looks uses nothing up.
    for path in ["/auth/register/confirm", "/auth/reset"] {
        for method in ["GET", "HEAD"] {
            let url = format!("{path}?link={link_of}");
            let looked = shop.with_token(method, &url, "").await;
            assert_eq!((looked.status().as_u16(), looked.headers()[ALLOW].to_str().unwrap()), (405, "POST"));
        }
    }
    let confirm = |password: &str, name: &str| json!({ "link": link_of, "password": password, "name": name });
    let with = |advertising: &Value| {
        let mut body = confirm("seven green turtles", "New");
        body["advertising"] = advertising.clone();
        body
    };
    for (body, problem) in [
        (confirm("short", "New"), "bad-password"),
        (confirm("password", "New"), "bad-password"),
        (confirm("seven green turtles", "a\nb"), "invalid-body"),
        (json!({ "link": "ssl_x", "password": "seven green turtles" }), "link-not-valid"),
        (with(&json!({ "wording": "Yes!", "language": "en" })), "invalid-body"),
        (with(&json!({ "wording": "2026-11", "language": "?" })), "invalid-body"),
    ] {
        let got = shop.post("/auth/register/confirm", &body).await;
        assert_eq!(refused(got).await, (422, problem.to_owned()));
    }
    let good = with(&json!({ "wording": "2026-11", "language": "zh-CN" }));
    assert_eq!(shop.post("/auth/register/confirm", &good).await.status(), 204);
    let again = shop.post("/auth/register/confirm", &good).await;
    assert_eq!(refused(again).await, (422, "link-not-valid".to_owned()));
    let login = async |password: &str| {
        let body = json!({ "email": address, "password": password });
        shop.post("/auth/login", &body).await
    };
    let signed_in: Value = login("seven green turtles").await.json().await.unwrap();
    let access = signed_in["access_token"].as_str().unwrap();
    assert_eq!(shop.with_token("GET", "/auth/sessions", access).await.status(), 200);
    let log = shop.shop.log().unwrap();
    let events = log.read(1, 1_000).await.unwrap();
    let agreed: Vec<_> = events.iter().filter(|row| row.event_type == "ConsentGiven").collect();
    assert_eq!(agreed.len(), 1);
    let given: Value = serde_json::from_str(&agreed[0].payload).unwrap();
    let given = &given["ConsentGiven"];
    assert_eq!(
        [&given["medium"], &given["wording"], &given["language"], &given["via"]],
        ["email", "2026-11", "zh-CN", "registration"]
    );

    let before = written(shop.folder(), address).len();
    assert_eq!(shop.post("/auth/forgot", &json!({ "email": "NEW@example.org" })).await.status(), 202);
    let reset = mail(&shop, address, before + 1).await;
    let resets: Vec<_> = written(shop.folder(), address)
        .into_iter()
        .filter(|(_, text)| text.contains("/account/reset?"))
        .collect();
    assert_eq!(resets.len(), 1, "{reset}");
    let body = json!({ "link": link(&resets[0].1), "password": "nine purple geese" });
    assert_eq!(shop.post("/auth/reset", &body).await.status(), 204);
    assert_eq!(refused(shop.post("/auth/reset", &body).await).await.1, "link-not-valid");
    assert_eq!(shop.with_token("GET", "/auth/sessions", access).await.status(), 401);
    assert_eq!(login("seven green turtles").await.status(), 401);
    assert_eq!(login("nine purple geese").await.status(), 200);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_is_told_by_the_answer_to_who_registers_or_has_forgotten_a_password() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    for path in ["/auth/register", "/auth/forgot"] {
        let mut seen = Vec::new();
        // More often than mails are sent, too.
        for email in [accounts[0].email(), "nobody@example.org"].repeat(6) {
            let got = shop.post(path, &json!({ "email": email })).await;
            let mut headers: Vec<_> = got
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
                .filter(|(name, _)| !["date", "x-correlation-id", "x-request-id"].contains(&name.as_str()))
                .collect();
            headers.sort();
            seen.push((got.status().as_u16(), headers, got.bytes().await.unwrap()));
        }
        assert_eq!(seen[0].0, 202);
        assert!(seen.iter().all(|one| *one == seen[0]), "{path}: {seen:#?}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_is_in_the_language_that_was_asked_for() {
    let (shop, _) = Served::with(&[]).await;
    for (number, (accepted, language, subject)) in [
        ("zh-CN,zh;q=0.9,en;q=0.8", None, "请确认您的电子邮箱"),
        ("zh-CN", Some("en"), "Confirm your e-mail address"),
        ("fr", None, "Confirm your e-mail address"),
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("new-{number}@example.org");
        let mut body = json!({ "email": address });
        if let Some(language) = language {
            body["language"] = language.into();
        }
        let request = shop.request("POST", "/auth/register").header(ACCEPT_LANGUAGE, accepted);
        assert_eq!(request.json(&body).send().await.unwrap().status(), 202);
        let mail = mail(&shop, &address, 1).await;
        assert!(mail.contains(&format!("\nSubject: {subject}\n")), "{mail}");
    }
    for (body, pointer) in [
        (json!({ "email": "nobody" }), Some("/email")),
        (json!({ "email": "a@b.example\r\nBcc: c@d.example" }), Some("/email")),
        (json!({ "email": "a@b.example", "language": "fr" }), None),
        (json!({ "email": "a@b.example", "password": "hunter2" }), None),
        (json!({}), None),
    ] {
        for path in ["/auth/register", "/auth/forgot"] {
            let got = shop.post(path, &body).await;
            assert_eq!(got.status(), 422, "{body}");
            let json: Value = got.json().await.unwrap();
            assert_eq!(json["pointer"].as_str(), pointer, "{body}");
            assert!(!json.to_string().contains("hunter2"));
        }
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signed_in_takes_another_address_and_its_old_mailbox_takes_it_back() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let (access, _) = shop.sign_in(&accounts[0]).await;
    let (old, new) = (accounts[0].email(), "king@example.org");
    let ask = async |password: &str| {
        let body = json!({ "email": new, "password": password, "language": "en" });
        shop.request("POST", "/auth/email").bearer_auth(&access).json(&body).send().await.unwrap()
    };
    assert_eq!(refused(ask("a wrong password").await).await, (422, "wrong-password".to_owned()));
    let nobody = shop.post("/auth/email", &json!({ "email": new, "password": "x" })).await;
    assert_eq!(refused(nobody).await, (401, "session-ended".to_owned()));
    assert_eq!(ask(accounts[0].password()).await.status(), 202);
    let confirm = link(&mail(&shop, new, 1).await);
    let body = json!({ "link": confirm });
    assert_eq!(refused(shop.post("/auth/email/undo", &body).await).await.1, "link-not-valid");
    assert_eq!(shop.post("/auth/email/confirm", &body).await.status(), 204);
    assert_eq!(shop.with_token("GET", "/auth/sessions", &access).await.status(), 401);
    let login = async |email: &str| {
        let body = json!({ "email": email, "password": accounts[0].password() });
        shop.post("/auth/login", &body).await.status()
    };
    assert_eq!((login(old).await.as_u16(), login(new).await.as_u16()), (401, 200));
    let undo = json!({ "link": link(&mail(&shop, old, 1).await) });
    assert_eq!(shop.post("/auth/email/undo", &undo).await.status(), 204);
    assert_eq!(refused(shop.post("/auth/email/undo", &undo).await).await.1, "link-not-valid");
    assert_eq!((login(old).await.as_u16(), login(new).await.as_u16()), (401, 401), "the password is void");
    shop.stop().await;
}
