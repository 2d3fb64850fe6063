//! The pages of people's own accounts over HTTP: what the links in mails lead to, signing in, sessions.

use reqwest::header::{COOKIE, HeaderMap, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE};
use reqwest::{Response, StatusCode};
use sea_orm::ConnectionTrait as _;
use soonshop_domain::clock;
use soonshop_identity::totp::{Secret, step_at};

use crate::accounts::{Opened, Served, form};
use crate::mailed::{link, linked, mail};

const PASSWORD: &str = "seven green turtles";

/// A browser without a script.
pub(crate) struct Browser<'a> {
    shop: &'a Served,
    cookie: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn of(shop: &'a Served) -> Self {
        Self { shop, cookie: String::new() }
    }

    pub(crate) async fn open(&self, method: &str, path: &str) -> Response {
        let request = self.shop.request(method, path).header(COOKIE, &self.cookie);
        request.header("accept", "text/html").send().await.unwrap()
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let got = self.open("GET", path).await;
        assert_eq!(got.status(), 200, "{path}");
        got.text().await.unwrap()
    }

    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.shop.client.post(self.shop.url(path)).header(COOKIE, &self.cookie);
        form(request, fields).send().await.unwrap()
    }

    /// Sends a form that leads on to this address.
    pub(crate) async fn goes(&self, path: &str, fields: &[(&str, &str)], to: &str) -> HeaderMap {
        let got = self.send(path, fields).await;
        let (status, headers) = (got.status(), got.headers().clone());
        let page = got.text().await.unwrap();
        assert_eq!(status, StatusCode::SEE_OTHER, "{path}: {page}");
        assert_eq!(headers[LOCATION].to_str().unwrap(), to, "{path}");
        headers
    }

    pub(crate) async fn signs_in(&mut self, email: &str, password: &str, next: &str, to: &str) {
        let fields = [("email", email), ("password", password), ("next", next)];
        let headers = self.goes("/account/sign-in", &fields, to).await;
        let set = headers[SET_COOKIE].to_str().unwrap();
        assert!(set.starts_with("soonshop_session=") && set.contains("; HttpOnly; SameSite=Strict"), "{set}");
        set.split(';').next().unwrap().clone_into(&mut self.cookie);
    }
}

/// How many accounts there are, and registrations whose link was used.
async fn used(shop: &Served) -> i64 {
    let db = shop.shop.store_database.namespace("identity").unwrap();
    let sql = "SELECT (SELECT COUNT(*) FROM @accounts) + (SELECT COUNT(*) FROM @requests WHERE used_at IS NOT NULL) AS n";
    let sql = db.statement(sql, []);
    db.connection.query_one(sql).await.unwrap().unwrap().try_get("", "n").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_registers_signs_in_and_sets_another_password_on_pages() {
    let (shop, _) = Served::with(&[]).await;
    let mut browser = Browser::of(&shop);
    let address = "new@example.org";
    let refused = browser.send("/account/register?lang=en", &[("email", "nobody")]).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.unwrap();
    assert!(page.contains("value=\"nobody\"") && page.contains("This is no e-mail address."), "{page}");
    browser.goes("/account/register", &[("email", address)], "/account/mailed").await;
    assert!(browser.page("/account/mailed?lang=en").await.contains("a mail is on its way"));
    let register = mail(&shop, address, 1).await;
    let path = format!("/account/register?link={}", link(&register));

    // I25: whoever only looks changes nothing.
    for method in ["GET", "HEAD"].repeat(5) {
        let looked = browser.open(method, &path).await;
        assert_eq!(looked.status(), 200);
        assert_eq!(looked.headers()[REFERRER_POLICY], "no-referrer");
    }
    assert_eq!(used(&shop).await, 0);

    // What was typed comes back, but not the password.
    let refused = browser.send(&path, &[("name", "Ada <b>"), ("password", "hunter2")]).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(refused.headers()[REFERRER_POLICY], "no-referrer");
    let page = refused.text().await.unwrap();
    assert!(page.contains("value=\"Ada &lt;b&gt;\"") && !page.contains("hunter2"), "{page}");
    assert!(!page.contains("checked"), "nobody agrees for somebody else: {page}");
    let ticked = [("password", "hunter2"), ("advertising", "yes")];
    let page = browser.send(&path, &ticked).await.text().await.unwrap();
    assert!(
        page.contains("name=\"advertising\" value=\"yes\" checked"),
        "what was ticked comes back: {page}"
    );
    let fields = [("name", "Ada"), ("password", PASSWORD), ("advertising", "yes")];
    browser.goes(&path, &fields, "/account/sign-in?done=registered").await;
    let again = browser.send(&path, &fields).await;
    assert_eq!(again.status(), 422);
    let page = again.text().await.unwrap();
    assert!(page.contains("href=\"/account/register\"") && !page.contains("<form class=\"column"), "{page}");

    assert_eq!(browser.open("GET", "/account").await.headers()[LOCATION], "/account/sign-in?next=%2Faccount");
    let wrong = browser.send("/account/sign-in", &[("email", address), ("password", "x")]).await;
    assert_eq!(wrong.status(), 401);
    let page = wrong.text().await.unwrap();
    assert!(page.contains(address), "{page}");
    browser.signs_in(address, PASSWORD, "/account/sessions", "/account/sessions").await;
    let page = browser.page("/account?lang=en").await;
    assert!(page.contains(">Ada<") && page.contains(address), "{page}");
    let page = browser.page("/account/consents?lang=en").await;
    assert!(page.contains("when registering") && page.contains("registration-1 ("), "{page}");

    // A customer's session never opens the audit trail.
    let trail = browser.open("GET", "/audit/timeline?lang=en").await;
    assert_eq!(trail.status(), 403);
    let page = trail.text().await.unwrap();
    assert!(page.contains("You are signed in as a customer.") && page.contains("href=\"/account"), "{page}");

    // I26: a reset signs nobody in, and ends what was.
    browser.goes("/account/forgot", &[("email", "NEW@example.org")], "/account/mailed").await;
    let path = format!("/account/reset?link={}", linked(&shop, address, "/account/reset").await);
    assert_eq!(browser.open("GET", &path).await.status(), 200);
    let headers =
        browser.goes(&path, &[("password", "nine purple geese")], "/account/sign-in?done=reset").await;
    assert!(!headers.contains_key(SET_COOKIE));
    assert_eq!(browser.open("GET", "/account").await.status(), 303, "the session has ended");
    browser.signs_in(address, "nine purple geese", "", "/account").await;
    let headers = browser.goes("/account/sign-out", &[], "/account/sign-in?done=signed-out").await;
    let cleared = headers[SET_COOKIE].to_str().unwrap();
    assert_eq!(cleared, "soonshop_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    assert_eq!(browser.open("GET", "/account").await.status(), 303);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_register_and_forgot_tell_no_account() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let browser = Browser::of(&shop);
    for path in ["/account/register", "/account/forgot"] {
        let mut seen = Vec::new();
        for email in [accounts[0].email(), "nobody@example.org"] {
            let got = browser.send(path, &[("email", email)]).await;
            let to = got.headers()[LOCATION].to_str().unwrap().to_owned();
            seen.push((got.status().as_u16(), to, got.bytes().await.unwrap()));
        }
        assert_eq!(seen[0], seen[1], "{path}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_never_leads_to_another_site_and_no_other_site_sends_a_form() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let Opened { email, password, .. } = &accounts[0];
    // I17.
    for bad in ["//e", "/\\e", "https:e", "/%5Ce", "https://e/account"] {
        let next = url::form_urlencoded::byte_serialize(bad.as_bytes()).collect::<String>();
        let page = Browser::of(&shop).page(&format!("/account/sign-in?next={next}")).await;
        assert!(page.contains("name=\"next\" value=\"/account\""), "{bad}: {page}");
        Browser::of(&shop).signs_in(email, password, bad, "/account").await;
    }
    // The session of staff opens the audit trail.
    let mut staff = Browser::of(&shop);
    staff.signs_in(email, password, "/audit/timeline?q=a%20b", "/audit/timeline?q=a%20b").await;
    assert_eq!(staff.open("GET", "/audit/timeline").await.status(), 200);
    assert!(staff.page("/account").await.contains("href=\"/audit\""));
    for path in ["/account/sign-in", "/account/register", "/account/sessions/others", "/account/sign-out"] {
        let request = shop.client.post(shop.url(path)).header(COOKIE, &staff.cookie);
        let request = request.header(ORIGIN, "https://evil.example");
        let got = form(request, &[("email", "a@b.example")]).send().await.unwrap();
        assert_eq!(got.status(), 403, "{path}");
    }
    assert_eq!(staff.open("GET", "/account").await.status(), 200, "and the session goes on");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_of_an_account_ends_sessions_and_changes_password_and_address() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let Opened { email, password, .. } = &accounts[0];
    let [mut one, mut two, mut three] = [Browser::of(&shop), Browser::of(&shop), Browser::of(&shop)];
    for browser in [&mut one, &mut two, &mut three] {
        browser.signs_in(email, password, "", "/account").await;
    }
    let page = one.page("/account/sessions?lang=en").await;
    let others: Vec<_> = page.split("name=\"session\" value=\"").skip(1).collect();
    assert_eq!((others.len(), page.matches("This one").count()), (2, 1), "{page}");
    let other = others[0].split('"').next().unwrap();
    one.goes("/account/sessions/endings", &[("session", other)], "/account/sessions").await;
    let living = async |browser: &Browser<'_>| browser.open("GET", "/account").await.status() == 200;
    assert!(living(&one).await && living(&two).await != living(&three).await);
    one.goes("/account/sessions/others", &[], "/account/sessions").await;
    assert!(living(&one).await && !living(&two).await && !living(&three).await);
    // Somebody else's session is none of theirs.
    let nobody = uuid::Uuid::from_u128(7).to_string();
    one.goes("/account/sessions/endings", &[("session", &nobody)], "/account/sessions").await;

    two.signs_in(email, password, "", "/account").await;
    let wrong = [("old_password", "no such thing"), ("new_password", PASSWORD)];
    let refused = one.send("/account/password?lang=en", &wrong).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.unwrap();
    assert!(page.contains("The old password is wrong.") && !page.contains(PASSWORD), "{page}");
    let right = [("old_password", password.as_str()), ("new_password", PASSWORD)];
    one.goes("/account/password", &right, "/account?done=password").await;
    assert!(living(&one).await && !living(&two).await);

    let wanted = [("email", "other@example.org"), ("password", PASSWORD)];
    one.goes("/account/email", &wanted, "/account?done=email-asked").await;
    let path = format!("/account/email?link={}", linked(&shop, "other@example.org", "/account/email").await);
    for _ in 0..5 {
        assert_eq!(two.open("GET", &path).await.status(), 200);
    }
    two.goes(&path, &[], "/account/sign-in?done=email").await;
    assert!(!living(&one).await);
    one.signs_in("other@example.org", PASSWORD, "", "/account").await;
    let path = format!("/account/undo?link={}", linked(&shop, email, "/account/undo").await);
    for _ in 0..5 {
        assert_eq!(two.open("HEAD", &path).await.status(), 200);
    }
    assert!(living(&one).await);
    two.goes(&path, &[], "/account/sign-in?done=undo").await;
    assert!(!living(&one).await);
    assert_eq!(two.send(&path, &[]).await.status(), 422);
    let void = one.send("/account/sign-in", &[("email", email), ("password", PASSWORD)]).await;
    assert_eq!(void.status(), 401, "the password is void");
    shop.stop().await;
}

/// The text after this mark, up to the next quote.
fn marked<'p>(page: &'p str, mark: &str) -> &'p str {
    let (_, rest) = page.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {page}"));
    rest.split(['"', '<', '&']).next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_adds_a_second_factor_on_pages_and_a_reset_by_mail_leaves_it() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let Opened { email, password, .. } = &accounts[0];
    let mut browser = Browser::of(&shop);
    let away = browser.open("GET", "/account/factors").await;
    assert_eq!(away.headers()[LOCATION], "/account/sign-in?next=%2Faccount%2Ffactors");
    browser.signs_in(email, password, "/account/factors", "/account/factors").await;
    assert!(browser.page("/account/factors").await.contains("action=\"/account/factors\""));
    let wrong = browser.send("/account/factors", &[("password", "x")]).await;
    assert_eq!(wrong.status(), 422);
    let started = browser.send("/account/factors", &[("password", password)]).await.text().await.unwrap();
    let secret = Secret::parse(marked(&started, "secret=")).unwrap();
    let factor = marked(&started, "name=\"factor\" value=\"");
    let code = secret.code(step_at(clock::now().timestamp_millis()));
    let fields = [("factor", factor), ("code", code.as_str())];
    let proved = browser.send("/account/factors/proofs", &fields).await.text().await.unwrap();
    let codes: Vec<_> =
        proved.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    assert_eq!(codes.len(), 10, "{proved}");

    let second_step = async |password: &str| {
        let fields = [("email", email.as_str()), ("password", password), ("next", "/account/sessions")];
        let waits = Browser::of(&shop).send("/account/sign-in", &fields).await;
        assert!(waits.status() == 200 && !waits.headers().contains_key(SET_COOKIE));
        marked(&waits.text().await.unwrap(), "name=\"token\" value=\"").to_owned()
    };
    let give = async |token: &str, code: &str| {
        let fields = [("token", token), ("code", code), ("next", "/account/sessions")];
        Browser::of(&shop).send("/account/second-factor", &fields).await
    };
    let token = second_step(password).await;
    // The code that proved the factor signs nobody in.
    let wrong = give(&token, &code).await;
    assert_eq!(wrong.status(), 422);
    assert_eq!(marked(&wrong.text().await.unwrap(), "name=\"token\" value=\""), token);
    let right = give(&token, codes[0]).await;
    assert_eq!(
        (right.status().as_u16(), &right.headers()[LOCATION]),
        (303, &"/account/sessions".parse().unwrap())
    );
    assert!(right.headers().contains_key(SET_COOKIE));
    assert_eq!(give(&token, codes[1]).await.status(), 401, "the sign-in has ended");

    // I26.
    browser.goes("/account/forgot", &[("email", email)], "/account/mailed").await;
    let path = format!("/account/reset?link={}", linked(&shop, email, "/account/reset").await);
    let headers = browser.goes(&path, &[("password", PASSWORD)], "/account/sign-in?done=reset").await;
    assert!(!headers.contains_key(SET_COOKIE));
    let token = second_step(PASSWORD).await;
    let signed = give(&token, codes[1]).await;
    let set = signed.headers()[SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().clone_into(&mut browser.cookie);
    assert!(browser.page("/account/factors?lang=en").await.contains("8 recovery codes are left."));

    // To remove it asks for a fresh second factor, where the session gave none lately.
    let db = shop.shop.store_database.namespace("identity").unwrap();
    let sql = db.statement("UPDATE @sessions SET proved_at = proved_at - 300000", []);
    db.connection.execute(sql).await.unwrap();
    let listed = browser.page("/account/factors").await;
    let factor = marked(&listed, "name=\"factor\" value=\"");
    let asks = "/account/step-up?to=%2Faccount%2Ffactors";
    browser.goes("/account/factors/removals", &[("factor", factor)], asks).await;
    assert_eq!(browser.open("GET", asks).await.status(), 200);
    let fields = [("code", codes[2]), ("to", "/account/factors")];
    browser.goes("/account/step-up", &fields, "/account/factors").await;
    browser.goes("/account/factors/removals", &[("factor", factor)], "/account/factors").await;
    assert!(!browser.page("/account/factors").await.contains("name=\"factor\""));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_mailed_claim_asks_who_signs_in_and_claims_when_it_is_sent() {
    let (shop, accounts) = Served::with(&["customer b@x.example"]).await;
    shop.sell_mugs().await;
    let guest = shop.new_guest("Ada", "b@x.example").await;
    let (access, _) = shop.sign_in(&accounts[0]).await;
    let body = serde_json::json!({ "order": guest.order });
    assert_eq!(shop.change("POST", "/auth/claims", &access, &body).await.status(), 202);
    let link = linked(&shop, "b@x.example", "/account/claim").await;
    let path = format!("/account/claim?link={link}");
    let mut browser = Browser::of(&shop);
    let got = browser.open("GET", &path).await;
    let to = got.headers()[LOCATION].to_str().unwrap().to_owned();
    assert_eq!(to, format!("/account/sign-in?next=%2Faccount%2Fclaim%3Flink%3D{link}"));
    browser.signs_in("b@x.example", accounts[0].password(), &path, &path).await;
    for _ in 0..5 {
        assert!(browser.page(&path).await.contains("method=\"post\""));
    }
    let order = format!("/orders/{}", guest.order);
    assert_eq!(shop.see(&order, Some(&access)).await.0, 404, "who only looks claims nothing");
    let bad = browser.send("/account/claim?link=ssl_x", &[]).await;
    assert_eq!(bad.status(), 422);
    browser.goes(&path, &[], "/account?done=claimed").await;
    assert_eq!(shop.see(&order, Some(&access)).await.0, 200);
    shop.stop().await;
}
