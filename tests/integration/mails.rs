//! Mails by a real server that speaks SMTP: from a registration over HTTP to the account, and every wrong way to speak with
//! the server.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use soonshop::MailSettings;
use soonshop_domain::ids;
use soonshop_event_log::DatabaseLocation;
use soonshop_identity::{Mail, MailKind, Unsent};

use crate::support::{Place, Set, TestShop, server};

/// The settings of a shop whose mails go to the test's server, with these parameters of its address.
fn settings(parameters: &str) -> MailSettings {
    MailSettings {
        smtp_url: Some(format!("{}{parameters}", server("SMTP_URL"))),
        mail_from: Some("SoonShop <shop@example.org>".to_owned()),
        public_url: Some("https://shop.example/en".to_owned()),
    }
}

fn authority(name: &str) -> String {
    format!("?ca={}", PathBuf::from(server("TLS_FILES")).join(name).display())
}

/// The mails that the server has taken for this address.
fn taken(address: &str) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(server("SMTP_MAILS")) else { return Vec::new() };
    let texts = folder.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    texts.filter(|text| text.lines().any(|line| line == format!("To: {address}"))).collect()
}

/// The text behind the head, without the line breaks of quoted-printable.
fn body(mail: &str) -> String {
    let mail = mail.replace("\r\n", "\n");
    let (_, body) = mail.split_once("\n\n").unwrap();
    body.replace("=\n", "").replace("=3D", "=")
}

fn mail(address: &str) -> Mail {
    Mail {
        id: ids::new(),
        kind: MailKind::Reset,
        address: address.to_owned(),
        language: "zh-CN".to_owned(),
        link: Some("ssl_AAAA".to_owned()),
        expires_at: "2036-01-02T03:04:05Z".parse().unwrap(),
        tries: 0,
        client: None,
    }
}

async fn sent(settings: &MailSettings, mail: &Mail) -> Result<(), Unsent> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let store = DatabaseLocation::parse("postgres://shop@localhost/shop").unwrap();
    settings.mailing(&store).unwrap().mailer.unwrap().send(mail).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_is_handed_over_with_tls_or_not_at_all() {
    let address = format!("{}@example.org", ids::new().simple());
    let mail = mail(&address);
    sent(&settings(&authority("authority.pem")), &mail).await.unwrap();
    let text = taken(&address).remove(0);
    for part in [
        format!("Message-ID: <{}@shop.example>", mail.id),
        "Auto-Submitted: auto-generated".to_owned(),
        "From: SoonShop <shop@example.org>".to_owned(),
        "Subject: =?utf-8?".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    for (parameters, words) in
        [(authority("other-authority.pem"), "UnknownIssuer"), (String::new(), "UnknownIssuer")]
    {
        let unsent = sent(&settings(&parameters), &mail).await.unwrap_err();
        assert!(!unsent.refused && unsent.reason.contains(words), "{unsent:?}");
    }
    // The server asks for TLS, and a certificate has a name.
    let without = sent(&settings("?tls=off"), &mail).await.unwrap_err();
    assert!(without.reason.contains("530"), "{without:?}");
    let mut elsewhere = settings(&authority("authority.pem"));
    elsewhere.smtp_url = elsewhere.smtp_url.map(|url| url.replace("localhost", "127.0.0.2"));
    assert!(!sent(&elsewhere, &mail).await.unwrap_err().refused);
    let nobody = Mail { address: "nobody".to_owned(), ..mail };
    assert!(sent(&settings(&authority("authority.pem")), &nobody).await.unwrap_err().refused);
    assert_eq!(taken(&address).len(), 1);
}

/// I22.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_registers_gets_a_mail_whose_link_opens_an_account() {
    let mut place = Place::new(Set::Embedded).await;
    place.config.mail = settings(&authority("authority.pem"));
    let shop = TestShop::serve(place).await;
    let address = format!("{}@example.org", ids::new().simple());
    let post = async |path: &str, body: serde_json::Value| {
        let headers = [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example;proto=http")];
        shop.client.send(Method::POST, path, Some(&body), &headers).await
    };
    let asked = post("/auth/register", json!({ "email": address })).await;
    assert_eq!(asked.status, 202);
    let link = async || loop {
        if let Some(mail) = taken(&address).first() {
            let body = body(mail);
            let begins = "https://shop.example/en/account/register?link=";
            let (_, rest) = body.split_once(begins).unwrap_or_else(|| panic!("{body}"));
            return rest.lines().next().unwrap().trim().to_owned();
        }
        tokio::task::yield_now().await;
    };
    let link = tokio::time::timeout(Duration::from_mins(2), link()).await.unwrap();
    let password = "seven green turtles";
    let opened = post("/auth/register/confirm", json!({ "link": link, "password": password })).await;
    assert_eq!(opened.status, 204);
    let login = post("/auth/login", json!({ "email": address, "password": password })).await;
    assert_eq!(login.status, 200);
    shop.stop().await;
}
