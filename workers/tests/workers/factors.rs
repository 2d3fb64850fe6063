//! Second factors: each code is taken once, guesses have an end, and a sign-in without its second step opens nothing.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait as _;
use soonshop_identity::totp::{Secret, step_at};
use soonshop_identity::{
    ActiveSession, Cause, CredentialKind, Credentials, Error, FactorGiven, Identity, NewFactor, NewPassword,
    Password, PendingSignIn, SecondStep, SignInDevice, StartedSession,
};
use uuid::Uuid;

use crate::fixture::{Shop, on_both};
use crate::recording::{PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    an_account_with_a_second_factor_signs_in_in_two_steps,
    a_code_is_taken_once_whoever_sends_it_and_how_many_at_once,
    guesses_have_an_end_over_all_sign_ins_and_the_owners_session_goes_on,
    a_recovery_code_is_taken_once_and_counted_apart,
    a_sign_in_that_waits_ends_with_a_new_password_a_disabled_account_and_its_time,
    of_two_factors_that_are_begun_at_once_one_can_be_proved,
    another_factor_and_new_recovery_codes_ask_for_a_fresh_one,
    a_second_factor_is_fresh_for_five_minutes,
    a_new_password_leaves_the_factors_and_the_operator_removes_them,
    nothing_of_a_factor_is_left_of_who_is_erased_and_none_of_it_is_in_the_log,
);

/// A code that no step near now has.
fn wrong(secret: &Secret, now: i64) -> String {
    let near: BTreeSet<_> = (-5..=5).map(|by| secret.code(step_at(now) + by)).collect();
    (0..1_000_000).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
}

/// An account of staff with a second factor, and what its owner has.
struct Owned {
    shop: Shop,
    store: soonshop_event_store::EventStore,
    identity: Identity,
    id: Uuid,
    active: ActiveSession,
    secret: Secret,
    recovery_codes: Vec<String>,
    /// The step of the code that was taken last.
    last: i64,
}

impl Owned {
    async fn in_shop(shop: Shop) -> Self {
        let (store, identity) = (shop.store(), identity(&shop));
        let id = open(&shop, &store, &identity, "admin").await;
        let active = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap().active;
        assert_eq!(active.factor, FactorGiven::Never);
        let started = identity.add_factor(new_factor(&active, PASSWORD)).await.unwrap();
        let last = step_at(now(&shop).await);
        let code = started.secret.code(last);
        let recovery_codes =
            identity.prove_factor(&active, started.id, &code, &Cause::system()).await.unwrap();
        assert_eq!(recovery_codes.iter().collect::<BTreeSet<_>>().len(), 10);
        Self { shop, store, identity, id, active, secret: started.secret, recovery_codes, last }
    }

    /// As if no code had been taken yet.
    async fn forget_steps(&mut self) {
        self.shop.run("identity", "UPDATE @factors SET last_step = 0").await;
        self.last = step_at(now(&self.shop).await);
    }

    async fn pending(&self) -> PendingSignIn {
        match self.identity.sign_in(typed(PASSWORD), &Cause::system()).await {
            Err(Error::SecondFactor(pending)) => pending,
            other => panic!("no second factor was asked for: {other:?}"),
        }
    }

    async fn second(&self, pending: &PendingSignIn, code: &str) -> Result<StartedSession, Error> {
        let step = SecondStep {
            token: &pending.token,
            code,
            device: SignInDevice::default(),
            kind: CredentialKind::Tokens,
        };
        self.identity.second_factor(step, &Cause::system()).await
    }

    async fn step_up(&self, code: &str) -> Result<(), Error> {
        self.identity.step_up(&self.active, code, &Cause::system()).await
    }

    /// When the session of the owner gave a second factor last, as another process sees it.
    async fn given(&self) -> FactorGiven {
        self.identity.active(self.active.session).await.unwrap().unwrap().factor
    }

    async fn facts(&self) -> Vec<String> {
        let worker = facts(&self.shop, &self.store);
        while worker.round().await.unwrap() {}
        recorded(&self.store, "account", self.id).await
    }
}

/// By the database's clock.
pub(crate) async fn now(shop: &Shop) -> i64 {
    let sql = format!("SELECT {}", shop.db("identity").now());
    shop.number("identity", &sql).await
}

fn new_factor<'a>(active: &'a ActiveSession, password: &str) -> NewFactor<'a> {
    NewFactor { active, password: Password::typed(password), network: "192.0.2.1" }
}

async fn an_account_with_a_second_factor_signs_in_in_two_steps(shop: Shop) {
    let owned = Owned::in_shop(shop).await;
    assert_eq!(owned.given().await, FactorGiven::Fresh, "its first code proved the session");
    let pending = owned.pending().await;
    assert!(pending.token.starts_with("ssp_") && pending.expires_in == 300);
    // I13: it is a token of nothing else.
    assert_eq!(owned.identity.claims(&pending.token).await.unwrap(), None);
    assert!(matches!(owned.identity.refresh(&pending.token, &Cause::system()).await, Err(Error::Token)));
    let began = owned.second(&pending, &owned.secret.code(owned.last + 1)).await.unwrap();
    assert_eq!(began.active.factor, FactorGiven::Fresh);
    assert!(matches!(began.credentials, Credentials::Tokens { .. }));
    let again = owned.second(&pending, &owned.secret.code(owned.last + 2)).await;
    assert!(matches!(again, Err(Error::SignInEnded)), "it waited once: {again:?}");
    let nobody = PendingSignIn { token: format!("ssp_{}", "A".repeat(43)), expires_in: 300 };
    assert!(matches!(owned.second(&nobody, "123456").await, Err(Error::SignInEnded)));
    let recorded_facts = owned.facts().await;
    assert_eq!(recorded_facts[3..], ["SecondFactorAdded", "RecoveryCodesMade"]);
    let rows = owned.store.log().stream("session", &began.active.session.to_string(), 0, 1).await.unwrap();
    let event: serde_json::Value = serde_json::from_str(&rows[0].payload).unwrap();
    assert_eq!(event["SessionStarted"]["factors"], serde_json::json!(["password", "totp"]));
}

/// I29.
async fn a_code_is_taken_once_whoever_sends_it_and_how_many_at_once(shop: Shop) {
    let mut owned = Owned::in_shop(shop).await;
    let taken = owned.secret.code(owned.last);
    let pending = owned.pending().await;
    let refused = owned.second(&pending, &taken).await;
    assert!(matches!(refused, Err(Error::WrongCode)), "it proved the factor: {refused:?}");
    let before = owned.step_up(&owned.secret.code(owned.last - 1)).await;
    assert!(matches!(before, Err(Error::WrongCode)), "one before it: {before:?}");
    let next = owned.secret.code(owned.last + 1);
    owned.step_up(&next).await.unwrap();
    assert!(matches!(owned.second(&pending, &next).await, Err(Error::WrongCode)));
    owned.shop.run("identity", "DELETE FROM @attempts").await;
    owned.forget_steps().await;
    let code = owned.secret.code(owned.last);
    // Some of the callers are other processes, which share nothing with the others but the database.
    let processes: Vec<Identity> = (0..4).map(|_| identity(&owned.shop)).collect();
    let callers = (0..20).map(|number| &processes[number % 4]);
    let all = callers.map(|one| async { one.step_up(&owned.active, &code, &Cause::system()).await });
    let outcomes = futures::future::join_all(all).await;
    let right = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(right, 1, "{outcomes:?}");
    for outcome in outcomes {
        assert!(matches!(outcome, Ok(()) | Err(Error::WrongCode | Error::TooManyCodes(_))), "{outcome:?}");
    }
}

/// I28.
async fn guesses_have_an_end_over_all_sign_ins_and_the_owners_session_goes_on(shop: Shop) {
    let owned = Owned::in_shop(shop).await;
    let guess = wrong(&owned.secret, now(&owned.shop).await);
    // What has the form of no code is no guess.
    let pending = owned.pending().await;
    for malformed in ["", "12345", "letters", "1234567"] {
        assert!(matches!(owned.second(&pending, malformed).await, Err(Error::WrongCode)));
    }
    // Codes are counted by the hour: where one ended meanwhile, it is tried again.
    let hour = async || now(&owned.shop).await / 3_600_000;
    let right = loop {
        owned.shop.run("identity", "DELETE FROM @attempts").await;
        owned.shop.run("identity", "UPDATE @factors SET last_step = 0").await;
        let (began, pending) = (hour().await, owned.pending().await);
        let right = owned.secret.code(step_at(now(&owned.shop).await));
        let mut outcomes = Vec::new();
        for index in 0..40 {
            let code = if index == 30 { &right } else { &guess };
            outcomes.push(owned.second(&pending, code).await);
        }
        if hour().await == began {
            let (compared, others) = outcomes.split_at(5);
            assert!(compared.iter().all(|one| matches!(one, Err(Error::WrongCode))), "{compared:?}");
            assert!(others.iter().all(|one| matches!(one, Err(Error::SignInEnded))), "{others:?}");
            break right;
        }
    };
    for _ in 0..3 {
        let another = owned.pending().await;
        let refused = owned.second(&another, &right).await;
        let Err(Error::TooManyCodes(wait)) = refused else { panic!("{refused:?}") };
        assert!(wait.as_secs() <= 60 * 60);
    }
    assert!(matches!(owned.step_up(&right).await, Err(Error::TooManyCodes(_))), "all doors count as one");
    assert_eq!(owned.given().await, FactorGiven::Fresh, "the session of the owner goes on");
    let reported = owned.facts().await;
    assert!(reported.contains(&"SignInsFailed".to_owned()), "{reported:?}");
    // An hour later.
    owned.shop.run("identity", "UPDATE @attempts SET hour = hour - 1").await;
    owned.shop.run("identity", "UPDATE @factors SET last_step = 0").await;
    let another = owned.pending().await;
    owned.second(&another, &owned.secret.code(step_at(now(&owned.shop).await))).await.unwrap();
}

async fn a_recovery_code_is_taken_once_and_counted_apart(shop: Shop) {
    let owned = Owned::in_shop(shop).await;
    let guess = wrong(&owned.secret, now(&owned.shop).await);
    while !matches!(owned.step_up(&guess).await, Err(Error::TooManyCodes(_))) {}
    let [first, second, third] = &owned.recovery_codes[..3] else { panic!("too few") };
    let pending = owned.pending().await;
    let began = owned.second(&pending, &first.to_uppercase().replace('-', " ")).await.unwrap();
    assert_eq!(began.active.factor, FactorGiven::Fresh);
    assert!(matches!(owned.step_up(first).await, Err(Error::WrongCode)), "once");
    owned.step_up(second).await.unwrap();
    let left = owned.identity.factors(owned.id).await.unwrap();
    assert_eq!((left.factors.len(), left.recovery_codes), (1, 8));
    // Twice at once.
    let processes = [identity(&owned.shop), identity(&owned.shop), identity(&owned.shop)];
    let all = processes.iter().map(|one| async { one.step_up(&owned.active, third, &Cause::system()).await });
    let right = futures::future::join_all(all).await.into_iter().flatten().count();
    assert_eq!(right, 1);
    let stored =
        owned.shop.text("identity", "SELECT hash FROM @factors WHERE kind = 'recovery'").await.unwrap();
    assert_eq!(stored.len(), 44, "a hash");
    let events = owned.facts().await;
    assert_eq!(events.iter().filter(|event| *event == "RecoveryCodeUsed").count(), 3, "{events:?}");
}

/// I07, I26.
async fn a_sign_in_that_waits_ends_with_a_new_password_a_disabled_account_and_its_time(shop: Shop) {
    let mut owned = Owned::in_shop(shop).await;
    let cause = Cause::system();
    let disabled = owned.pending().await;
    owned.identity.disable(owned.id, "left", &cause).await.unwrap();
    let mut codes = owned.recovery_codes.clone().into_iter();
    let refused = owned.second(&disabled, &codes.next().unwrap()).await;
    assert!(matches!(refused, Err(Error::SignInEnded)), "{refused:?}");
    owned.identity.enable(owned.id, "mistake", &cause).await.unwrap();
    let refused = owned.second(&disabled, &codes.next().unwrap()).await;
    assert!(matches!(refused, Err(Error::SignInEnded)), "what ended does not come back: {refused:?}");
    let before = owned.pending().await;
    owned.identity.end_all_sessions(owned.id, &cause).await.unwrap();
    assert!(matches!(owned.second(&before, &codes.next().unwrap()).await, Err(Error::SignInEnded)));
    let old = owned.pending().await;
    owned.shop.run("identity", "UPDATE @sign_ins SET expires_at = expires_at - 300001").await;
    assert!(matches!(owned.second(&old, &codes.next().unwrap()).await, Err(Error::SignInEnded)));
    owned.identity.tend().await.unwrap();
    assert_eq!(owned.shop.number("identity", "SELECT count(*) FROM @sign_ins").await, 0);
    // A password that was set meanwhile: no session, and the factors are as they were.
    let changed = owned.pending().await;
    let new = Password::new("eight blue herons").unwrap();
    owned.identity.reset_password(owned.id, new, &cause).await.unwrap();
    owned.forget_steps().await;
    let refused = owned.second(&changed, &owned.secret.code(owned.last)).await;
    assert!(matches!(refused, Err(Error::SignInEnded)), "{refused:?}");
    let asked = owned.identity.sign_in(typed("eight blue herons"), &cause).await;
    let Err(Error::SecondFactor(pending)) = asked else { panic!("{asked:?}") };
    let left = owned.identity.factors(owned.id).await.unwrap();
    assert_eq!((left.factors.len(), left.recovery_codes), (1, 10), "a refused sign-in uses none up");
    owned.second(&pending, &owned.secret.code(owned.last)).await.unwrap();
}

async fn of_two_factors_that_are_begun_at_once_one_can_be_proved(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let cause = Cause::system();
    let active = identity.sign_in(typed(PASSWORD), &cause).await.unwrap().active;
    let refused = identity.add_factor(new_factor(&active, "a wrong password")).await;
    assert!(matches!(refused, Err(Error::WrongPassword)), "{refused:?}");
    let [one, other] = [
        identity.add_factor(new_factor(&active, PASSWORD)).await.unwrap(),
        identity.add_factor(new_factor(&active, PASSWORD)).await.unwrap(),
    ];
    assert_ne!(one.secret, other.secret);
    assert!(identity.factors(id).await.unwrap().factors.is_empty(), "none counts before its first code");
    assert!(identity.sign_in(typed(PASSWORD), &cause).await.is_ok(), "and none is asked for");
    let at = step_at(now(&shop).await);
    let gone = identity.prove_factor(&active, one.id, &one.secret.code(at), &cause).await;
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
    let strange = identity.prove_factor(&active, other.id, &one.secret.code(at), &cause).await;
    assert!(matches!(strange, Err(Error::WrongCode)), "{strange:?}");
    let code = other.secret.code(at);
    let all = (0..3).map(|_| async { identity.prove_factor(&active, other.id, &code, &cause).await });
    let proved: Vec<_> = futures::future::join_all(all).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(proved.len(), 1, "once");
    let uri = format!("otpauth://totp/SoonShop:{id}?secret={}&issuer=SoonShop", other.secret.text());
    assert!(other.uri.starts_with(&uri), "{}", other.uri);
    // One that nobody proves goes.
    shop.run("identity", "UPDATE @sessions SET proved_at = 0").await;
    shop.run("identity", "UPDATE @factors SET proved_at = NULL, added_at = 0 WHERE kind = 'totp'").await;
    let late = identity.prove_factor(&active, other.id, &code, &cause).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    identity.tend().await.unwrap();
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @factors WHERE kind = 'totp'").await, 0);
}

async fn another_factor_and_new_recovery_codes_ask_for_a_fresh_one(shop: Shop) {
    let mut owned = Owned::in_shop(shop).await;
    let cause = Cause::system();
    owned.shop.run("identity", "UPDATE @sessions SET proved_at = proved_at - 300000").await;
    assert_eq!(owned.given().await, FactorGiven::Before);
    let refused = owned.identity.add_factor(new_factor(&owned.active, PASSWORD)).await;
    assert!(matches!(refused, Err(Error::NotFresh)), "{refused:?}");
    let first = owned.identity.factors(owned.id).await.unwrap().factors[0].id;
    let refused = owned.identity.remove_factor(&owned.active, first, &cause).await;
    assert!(matches!(refused, Err(Error::NotFresh)), "{refused:?}");
    let refused = owned.identity.make_recovery_codes(&owned.active, &cause).await;
    assert!(matches!(refused, Err(Error::NotFresh)), "{refused:?}");
    owned.forget_steps().await;
    owned.step_up(&owned.secret.code(owned.last)).await.unwrap();
    let made = owned.identity.make_recovery_codes(&owned.active, &cause).await.unwrap();
    assert_eq!(made.len(), 10);
    assert!(matches!(owned.step_up(&owned.recovery_codes[0]).await, Err(Error::WrongCode)), "of before");
    let second = owned.identity.add_factor(new_factor(&owned.active, PASSWORD)).await.unwrap();
    let at = step_at(now(&owned.shop).await);
    let code = second.secret.code(at);
    let none = owned.identity.prove_factor(&owned.active, second.id, &code, &cause).await.unwrap();
    assert!(none.is_empty(), "it has recovery codes");
    assert_eq!(owned.identity.factors(owned.id).await.unwrap().factors.len(), 2);
    let other = owned.second(&owned.pending().await, &made[0]).await.unwrap().active;
    assert!(owned.identity.remove_factor(&owned.active, first, &cause).await.unwrap());
    assert!(!owned.identity.remove_factor(&owned.active, first, &cause).await.unwrap(), "once");
    let of_other = owned.identity.active(other.session).await.unwrap().unwrap();
    assert_eq!(of_other.factor, FactorGiven::Never, "what another session gave before counts no more");
    assert_eq!(owned.given().await, FactorGiven::Fresh);
    assert!(owned.identity.remove_factor(&owned.active, second.id, &cause).await.unwrap());
    let left = owned.identity.factors(owned.id).await.unwrap();
    assert_eq!((left.factors.len(), left.recovery_codes), (0, 0), "the codes go with the last one");
    assert_eq!(owned.given().await, FactorGiven::Never);
    assert!(matches!(owned.step_up(&made[1]).await, Err(Error::NoFactor)));
    assert!(owned.identity.sign_in(typed(PASSWORD), &cause).await.is_ok());
}

async fn a_second_factor_is_fresh_for_five_minutes(shop: Shop) {
    let owned = Owned::in_shop(shop).await;
    for (ago, given) in [(295_000, FactorGiven::Fresh), (300_000, FactorGiven::Before)] {
        let at = now(&owned.shop).await - ago;
        owned.shop.run("identity", &format!("UPDATE @sessions SET proved_at = {at}")).await;
        assert_eq!(owned.given().await, given, "{ago}");
    }
    owned.step_up(&owned.recovery_codes[0]).await.unwrap();
    assert_eq!(owned.given().await, FactorGiven::Fresh);
    let ended = owned.active.clone();
    owned.identity.end_all_sessions(owned.id, &Cause::system()).await.unwrap();
    let refused = owned.identity.step_up(&ended, &owned.recovery_codes[1], &Cause::system()).await;
    assert!(matches!(refused, Err(Error::Token)), "{refused:?}");
}

/// I26.
async fn a_new_password_leaves_the_factors_and_the_operator_removes_them(shop: Shop) {
    let owned = Owned::in_shop(shop).await;
    let cause = Cause::system();
    let change = NewPassword {
        active: &owned.active,
        old: Password::typed(PASSWORD),
        new: Password::new("eight blue herons").unwrap(),
        network: "",
    };
    owned.identity.change_password(change, &cause).await.unwrap();
    let asked = owned.identity.sign_in(typed("eight blue herons"), &cause).await;
    assert!(matches!(asked, Err(Error::SecondFactor(_))), "{asked:?}");
    assert!(owned.identity.reset_factors(owned.id, &cause).await.unwrap());
    assert!(!owned.identity.reset_factors(owned.id, &cause).await.unwrap(), "it has none");
    assert_eq!(owned.identity.active(owned.active.session).await.unwrap(), None, "its sessions ended");
    assert_eq!(owned.shop.number("identity", "SELECT count(*) FROM @factors").await, 0);
    let began = owned.identity.sign_in(typed("eight blue herons"), &cause).await.unwrap();
    assert_eq!(began.active.factor, FactorGiven::Never);
    let events = owned.facts().await;
    assert_eq!(events[events.len() - 2..], ["SecondFactorRemoved", "AllSessionsEnded"]);
    let nobody = owned.identity.reset_factors(Uuid::from_u128(9), &cause).await;
    assert!(matches!(nobody, Err(Error::NotFound)), "{nobody:?}");
}

async fn nothing_of_a_factor_is_left_of_who_is_erased_and_none_of_it_is_in_the_log(shop: Shop) {
    let owned = Owned::in_shop(shop).await;
    let pending = owned.pending().await;
    drop(owned.step_up("123456").await);
    let sealed =
        owned.shop.text("identity", "SELECT secret FROM @factors WHERE kind = 'totp'").await.unwrap();
    assert!(sealed.starts_with("eyJhbGciOiJkaXIi"), "it is sealed: {sealed}");
    owned.facts().await;
    for row in owned.store.log().read(1, 1_000).await.unwrap() {
        for secret in [&owned.secret.text(), &pending.token, &sealed, &owned.recovery_codes[0]] {
            assert!(!row.payload.contains(secret) && !row.metadata.contains(secret), "{}", row.event_type);
        }
    }
    let db = owned.shop.db("identity");
    let refused = db.connection.execute_unprepared(&db.sql("DELETE FROM @accounts")).await;
    assert!(refused.is_err(), "factors and sign-ins name an account");
    assert!(owned.identity.erase(owned.id).await.unwrap());
    for table in ["factors", "sign_ins", "sessions", "accounts"] {
        assert_eq!(
            owned.shop.number("identity", &format!("SELECT count(*) FROM @{table}")).await,
            0,
            "{table}"
        );
    }
    let kept = "SELECT count(*) FROM @attempts WHERE what LIKE 'totp:%' OR what LIKE 'account:%'";
    assert_eq!(owned.shop.number("identity", kept).await, 0);
}
