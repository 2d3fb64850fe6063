//! A shop with providers, and browsers that sign in with them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::MailSettings;
use uuid::Uuid;

use super::lying::{CLIENT, Provider};
use crate::support::{Answer, Client, Place, Set, TestShop, eventually};

/// The names of the providers: for customers, for customers too, and for staff.
const NAMES: [&str; 3] = ["one", "two", "work"];
pub(super) const PASSWORD: &str = "seven green turtles";

/// A shop with providers.
pub(super) struct Shop {
    pub(super) served: TestShop,
    client: Client,
    pub(super) providers: Vec<Provider>,
}

/// A browser, on the way to a provider or with a session.
#[derive(Default, Clone)]
pub(super) struct Browser {
    pub(super) cookies: HashMap<String, String>,
}

impl Browser {
    pub(super) fn header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn takes(&mut self, answer: &Answer) {
        for set in answer.headers.get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub(super) fn is_signed_in(&self) -> bool {
        self.cookies.contains_key("soonshop_session")
    }
}

/// What the shop sent along to the provider.
pub(super) struct Asked(pub(super) HashMap<String, String>);

impl Shop {
    pub(super) async fn start(set: Set) -> Self {
        let mut providers = Vec::new();
        for _ in NAMES {
            providers.push(Provider::start().await);
        }
        let mut place = Place::new(set).await;
        let mut file = String::new();
        for (name, provider) in NAMES.iter().zip(&providers) {
            let kind = if *name == "work" {
                "staff = true\nroles_claim = \"groups\"\nroles = { bosses = \"admin\", helpers = \"support\" }"
            } else {
                "customers = true"
            };
            writeln!(
                file,
                "[[provider]]\nname = \"{name}\"\ntitle = \"{name}\"\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\n{kind}",
                provider.issuer()
            )
            .unwrap();
        }
        let path = place.folder.path().join("providers.toml");
        std::fs::write(&path, file).unwrap();
        place.config.sign_in.providers = Some(path);
        place.config.mail =
            MailSettings { public_url: Some("https://shop.example".to_owned()), ..MailSettings::default() };
        let served = TestShop::serve(place).await;
        let client = served.client.without_redirects();
        Self { served, client, providers }
    }

    pub(super) async fn form(&self, browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        // The form lives as long as the test.
        let answer = self.client.send_form(path, body.leak(), &[("cookie", &browser.header())]).await;
        browser.takes(&answer);
        answer
    }

    pub(super) async fn get(&self, browser: &mut Browser, path: &str) -> Answer {
        let answer = self.client.send(Method::GET, path, None, &[("cookie", &browser.header())]).await;
        browser.takes(&answer);
        answer
    }

    /// Goes to a provider by a button.
    pub(super) async fn leave(&self, browser: &mut Browser, at: usize) -> Asked {
        let path = format!("/account/sign-in/{}", NAMES[at]);
        let answer = self.form(browser, &path, &[("next", "/account/sessions")]).await.expect(200);
        Asked::of(&answer)
    }

    /// Comes back with this ID token.
    pub(super) async fn back(
        &self,
        browser: &mut Browser,
        at: usize,
        asked: &Asked,
        token: String,
    ) -> Answer {
        let provider = &self.providers[at];
        let code = provider.code(token, &asked.0["code_challenge"]);
        self.back_with(browser, at, &code, &asked.0["state"], Some(provider.issuer())).await
    }

    pub(super) async fn back_with(
        &self,
        browser: &mut Browser,
        at: usize,
        code: &str,
        state: &str,
        issuer: Option<&str>,
    ) -> Answer {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", code).append_pair("state", state);
        if let Some(issuer) = issuer {
            query.append_pair("iss", issuer);
        }
        let path = format!("/account/sign-in/{}/callback?{}", NAMES[at], query.finish());
        self.get(browser, &path).await
    }

    /// Signs in there as this person, whose claims have these beside the usual ones.
    pub(super) async fn comes(
        &self,
        browser: &mut Browser,
        at: usize,
        (sub, email): (&str, &str),
        more: Value,
    ) -> Answer {
        let asked = self.leave(browser, at).await;
        let provider = &self.providers[at];
        let mut claims = provider.claims(sub, email, &asked.0["nonce"]);
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = provider.token(&provider.head(), &claims);
        self.back(browser, at, &asked, token).await
    }

    pub(super) async fn number(&self, sql: &str) -> i64 {
        let db = self.served.shop.store_database.namespace("identity").unwrap();
        let row = db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(super) async fn account_of(&self, browser: &mut Browser) -> String {
        let page = self.get(browser, "/account?lang=en").await.expect(200);
        let page = String::from_utf8(page.bytes).unwrap();
        page.split("translate=\"no\">").nth(2).unwrap().split('<').next().unwrap().to_owned()
    }

    pub(super) async fn open(&self, email: &str, role: &str) -> Uuid {
        // On SQLite one process has the log open: this one.
        let id = self.served.client.operate("/users", &json!({ "email": email })).await.expect(201);
        let id: Uuid = id.json()["id"].as_str().unwrap().parse().unwrap();
        let identity = self.served.shop.identity().unwrap();
        let opening = soonshop_identity::Opening {
            id,
            address: email,
            roles: soonshop_identity::Roles::given([role]),
            password: soonshop_identity::Password::new(PASSWORD).unwrap(),
            user_version: 1,
        };
        identity.open(opening, &soonshop_identity::Cause::system()).await.unwrap();
        id
    }

    pub(super) async fn signs_in(&self, browser: &mut Browser, email: &str) {
        let fields = [("email", email), ("password", PASSWORD)];
        self.form(browser, "/account/sign-in", &fields).await.expect(303);
        assert!(browser.is_signed_in());
    }

    /// The types of an account's events in the log.
    pub(super) async fn events(&self, account: Uuid, count: usize) -> Vec<String> {
        let log = self.served.shop.log().unwrap();
        let rows = async || log.stream("account", &account.to_string(), 0, 100).await.unwrap();
        eventually("the facts are in the log", Duration::from_secs(30), async || rows().await.len() >= count)
            .await;
        rows().await.into_iter().map(|row| row.event_type).collect()
    }

    pub(super) async fn stop(self) {
        self.served.stop().await;
    }
}

impl Asked {
    pub(super) fn of(answer: &Answer) -> Self {
        let (_, url) = answer.header("refresh").split_once("url=").unwrap();
        Self(url::Url::parse(url).unwrap().query_pairs().into_owned().collect())
    }
}

#[track_caller]
pub(super) fn refused(answer: &Answer, status: u16, words: &str) {
    let page = String::from_utf8_lossy(&answer.bytes);
    assert_eq!(answer.status.as_u16(), status, "{page}");
    assert!(page.contains(words), "{words}: {page}");
    assert_eq!(answer.header("refresh"), "");
}
