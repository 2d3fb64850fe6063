//! Passkeys as second factors: each answer counts once, for what asked, and from the place that asked.

use serde_json::{Value, json};
use soonshop_domain::identity::account::FactorKind;
use soonshop_domain::user::Details;
use soonshop_domain::{Metadata, ids, user};
use soonshop_event_store::{CommandContext, EventStore};
use soonshop_identity::{
    ActiveSession, Cause, CredentialKind, Error, FactorGiven, Identity, NewPasskey, Opening, Password,
    PendingSignIn, RelyingParty, Roles, SecondStep, SignIn, SignInDevice, StartedPasskey, StartedSession,
};
use uuid::Uuid;

use crate::authenticator::{Authenticator, PRESENT, Pair};
use crate::fixture::{Shop, on_both};
use crate::recording::{PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    a_passkey_is_added_given_in_both_places_and_removed,
    an_answer_counts_once_and_for_what_asked,
    an_answer_counts_from_the_place_that_asked_and_with_its_signature,
    a_counter_that_goes_back_is_refused_and_recorded,
    answers_of_passkeys_have_an_end_and_are_counted_apart,
    what_another_place_session_or_algorithm_made_is_not_added,
    nothing_of_a_passkey_is_left_of_who_is_erased_and_none_of_it_is_in_the_log,
    without_a_public_address_with_a_name_there_are_no_passkeys,
);

const SITE: (&str, &str) = ("shop.example", "https://shop.example");
/// What makes the answers of a device wrong.
type Change = fn(&mut Authenticator);

const NAME: &str = "Ada's laptop";

fn with_passkeys(shop: &Shop) -> Identity {
    identity(shop).with_passkeys(RelyingParty::new(SITE.0, SITE.1))
}

fn new<'a>(active: &'a ActiveSession, password: &str) -> NewPasskey<'a> {
    NewPasskey { active, password: Password::typed(password), name: NAME, network: "192.0.2.1" }
}

/// An account of staff with a passkey, and what its owner has.
struct Owned {
    shop: Shop,
    store: EventStore,
    identity: Identity,
    id: Uuid,
    active: ActiveSession,
    factor: Uuid,
    device: Authenticator,
    recovery_codes: Vec<String>,
}

impl Owned {
    async fn with(shop: Shop, pair: Pair) -> Self {
        let (store, identity) = (shop.store(), with_passkeys(&shop));
        let id = open(&shop, &store, &identity, "admin").await;
        let active = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap().active;
        let started = identity.add_passkey(new(&active, PASSWORD)).await.unwrap();
        let mut device = Authenticator::of(pair, SITE);
        let made = device.makes(&started.options).to_string();
        let recovery_codes =
            identity.prove_passkey(&active, started.id, &made, &Cause::system()).await.unwrap();
        assert_eq!(recovery_codes.len(), 10);
        Self { shop, store, identity, id, active, factor: started.id, device, recovery_codes }
    }

    async fn pending(&self) -> PendingSignIn {
        match self.identity.sign_in(typed(PASSWORD), &Cause::system()).await {
            Err(Error::SecondFactor(pending)) => pending,
            other => panic!("no second factor was asked for: {other:?}"),
        }
    }

    async fn second(&self, pending: &PendingSignIn, answer: &str) -> Result<StartedSession, Error> {
        let step = SecondStep {
            token: &pending.token,
            code: answer,
            device: SignInDevice::default(),
            kind: CredentialKind::Tokens,
        };
        self.identity.second_factor(step, &Cause::system()).await
    }

    async fn asked(&self) -> Value {
        self.identity.ask_for_step_up(&self.active).await.unwrap()
    }

    async fn step_up(&self, answer: &Value) -> Result<(), Error> {
        self.identity.step_up(&self.active, &answer.to_string(), &Cause::system()).await
    }

    async fn facts(&self) -> Vec<String> {
        let worker = facts(&self.shop, &self.store);
        while worker.round().await.unwrap() {}
        recorded(&self.store, "account", self.id).await
    }
}

fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Error>, what: &str) {
    assert!(matches!(outcome, Err(Error::WrongPasskey)), "{what}: {outcome:?}");
}

async fn a_passkey_is_added_given_in_both_places_and_removed(shop: Shop) {
    let mut owned = Owned::with(shop, Pair::p256()).await;
    let given =
        async |owned: &Owned| owned.identity.active(owned.active.session).await.unwrap().unwrap().factor;
    assert_eq!(given(&owned).await, FactorGiven::Fresh, "its first answer proved the session");
    let listed = owned.identity.factors(owned.id).await.unwrap();
    assert_eq!((listed.factors.len(), listed.recovery_codes), (1, 10));
    let one = &listed.factors[0];
    assert_eq!((one.id, one.kind, one.name.as_deref()), (owned.factor, FactorKind::Passkey, Some(NAME)));

    let pending = owned.pending().await;
    let options = owned.identity.ask_at_sign_in(&pending.token).await.unwrap();
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!(SITE.0), &json!("preferred")));
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let answer = owned.device.answers(&options).to_string();
    let began = owned.second(&pending, &answer).await.unwrap();
    assert_eq!(began.active.factor, FactorGiven::Fresh);

    owned.shop.run("identity", "UPDATE @sessions SET proved_at = 0").await;
    let refused = owned.identity.add_passkey(new(&owned.active, PASSWORD)).await;
    assert!(matches!(refused, Err(Error::NotFresh)), "{refused:?}");
    let options = owned.asked().await;
    let answer = owned.device.answers(&options);
    owned.step_up(&answer).await.unwrap();
    assert_eq!(given(&owned).await, FactorGiven::Fresh);

    // Another one, with a key of another kind; recovery codes it has.
    let started = owned.identity.add_passkey(new(&owned.active, PASSWORD)).await.unwrap();
    assert_eq!(started.options["excludeCredentials"].as_array().unwrap().len(), 1, "{}", started.options);
    let algorithms: Vec<_> = started.options["pubKeyCredParams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["alg"].clone())
        .collect();
    assert_eq!(algorithms, [json!(-8), json!(-7), json!(-257)]);
    let mut other = Authenticator::of(Pair::ed25519(), SITE);
    let made = other.makes(&started.options).to_string();
    let cause = Cause::system();
    let codes = owned.identity.prove_passkey(&owned.active, started.id, &made, &cause).await.unwrap();
    assert!(codes.is_empty());
    let options = owned.asked().await;
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 2);
    let answer = other.answers(&options);
    owned.step_up(&answer).await.unwrap();

    assert!(owned.identity.remove_factor(&owned.active, owned.factor, &cause).await.unwrap());
    let options = owned.asked().await;
    let answer = owned.device.answers(&options);
    assert_refused(owned.step_up(&answer).await, "it was removed");
    assert!(owned.identity.remove_factor(&owned.active, started.id, &cause).await.unwrap());
    let none = owned.identity.ask_for_step_up(&owned.active).await;
    assert!(matches!(none, Err(Error::NoPasskey)), "{none:?}");
    assert!(owned.identity.sign_in(typed(PASSWORD), &cause).await.is_ok());
    let events = owned.facts().await;
    let of_factors: Vec<_> = events.iter().filter(|event| event.starts_with("SecondFactor")).collect();
    assert_eq!(
        of_factors,
        ["SecondFactorAdded", "SecondFactorAdded", "SecondFactorRemoved", "SecondFactorRemoved"]
    );
    let rows = owned.store.log().stream("session", &began.active.session.to_string(), 0, 1).await.unwrap();
    let event: Value = serde_json::from_str(&rows[0].payload).unwrap();
    assert_eq!(event["SessionStarted"]["factors"], json!(["password", "passkey"]));
}

async fn an_answer_counts_once_and_for_what_asked(shop: Shop) {
    let mut owned = Owned::with(shop, Pair::ed25519()).await;
    let cause = Cause::system();
    let options = owned.asked().await;
    let answer = owned.device.answers(&options);
    owned.step_up(&answer).await.unwrap();
    assert_refused(owned.step_up(&answer).await, "it was given before");
    let again = owned.device.answers(&options);
    assert_refused(owned.step_up(&again).await, "its challenge was answered");

    // The newest challenge counts, and the first answer to it.
    let (before, now) = (owned.asked().await, owned.asked().await);
    let old = owned.device.answers(&before);
    assert_refused(owned.step_up(&old).await, "another challenge has followed");
    let late = owned.device.answers(&now);
    assert_refused(owned.step_up(&late).await, "a wrong answer used the challenge up");

    // Of a sign-in, and of another session.
    let (pending, other) = (owned.pending().await, owned.pending().await);
    let at_sign_in = owned.identity.ask_at_sign_in(&pending.token).await.unwrap();
    let for_step_up = owned.asked().await;
    let answer = owned.device.answers(&at_sign_in);
    assert_refused(owned.step_up(&answer).await, "a sign-in asked");
    let answer = owned.device.answers(&for_step_up).to_string();
    assert_refused(owned.second(&pending, &answer).await, "a session asked");
    let options = owned.identity.ask_at_sign_in(&pending.token).await.unwrap();
    let answer = owned.device.answers(&options).to_string();
    assert_refused(owned.second(&other, &answer).await, "another sign-in asked");
    let began = owned.second(&pending, &answer).await.unwrap();
    let ended = owned.identity.ask_at_sign_in(&pending.token).await;
    assert!(matches!(ended, Err(Error::SignInEnded)), "{ended:?}");
    let options = owned.asked().await;
    let answer = owned.device.answers(&options).to_string();
    let refused = owned.identity.step_up(&began.active, &answer, &cause).await;
    assert_refused(refused, "another session asked");

    // Many at once, some of them other processes.
    let options = owned.asked().await;
    let answer = owned.device.answers(&options).to_string();
    let processes = [with_passkeys(&owned.shop), with_passkeys(&owned.shop), with_passkeys(&owned.shop)];
    let all = processes.iter().map(|one| one.step_up(&owned.active, &answer, &cause));
    let right = futures::future::join_all(all).await.into_iter().flatten().count();
    assert_eq!(right, 1);

    // Five minutes later.
    let options = owned.asked().await;
    owned.shop.run("identity", "UPDATE @challenges SET expires_at = expires_at - 300001").await;
    let answer = owned.device.answers(&options);
    assert_refused(owned.step_up(&answer).await, "it is too old");
    owned.identity.tend().await.unwrap();
    assert_eq!(owned.shop.number("identity", "SELECT count(*) FROM @challenges").await, 0);
}

async fn an_answer_counts_from_the_place_that_asked_and_with_its_signature(shop: Shop) {
    let mut owned = Owned::with(shop, Pair::p256()).await;
    let changes: [(&str, Change); 6] = [
        ("another site", |device| "evil.example".clone_into(&mut device.site)),
        ("another origin", |device| "https://evil.example".clone_into(&mut device.origin)),
        ("a host below it", |device| "https://a.shop.example".clone_into(&mut device.origin)),
        ("another port", |device| "https://shop.example:8443".clone_into(&mut device.origin)),
        ("no TLS", |device| "http://shop.example".clone_into(&mut device.origin)),
        ("nobody was there", |device| device.flags &= !PRESENT),
    ];
    for (what, change) in changes {
        let options = owned.asked().await;
        change(&mut owned.device);
        let answer = owned.device.answers(&options);
        assert_refused(owned.step_up(&answer).await, what);
        SITE.0.clone_into(&mut owned.device.site);
        SITE.1.clone_into(&mut owned.device.origin);
        owned.device.flags = PRESENT;
    }
    // Parts of another answer, and no answer at all.
    let options = owned.asked().await;
    let other = owned.device.answers(&options);
    for part in ["signature", "authenticatorData", "clientDataJSON"] {
        let options = owned.asked().await;
        let mut answer = owned.device.answers(&options);
        answer["response"][part] = other["response"][part].clone();
        assert_refused(owned.step_up(&answer).await, part);
    }
    for nothing in [json!({}), json!({ "id": "AAAA" }), json!({ "response": [] })] {
        owned.asked().await;
        assert_refused(owned.step_up(&nothing).await, "no answer");
    }
    // A passkey of somebody else, also where it says that it is this one.
    let options = owned.asked().await;
    let mut strange = Authenticator::of(Pair::p256(), SITE);
    let answer = strange.answers(&options);
    assert_refused(owned.step_up(&answer).await, "an unknown passkey");
    let options = owned.asked().await;
    strange.id.clone_from(&owned.device.id);
    let answer = strange.answers(&options);
    assert_refused(owned.step_up(&answer).await, "another key");
    owned.shop.run("identity", "DELETE FROM @attempts").await;
    let options = owned.asked().await;
    let answer = owned.device.answers(&options);
    owned.step_up(&answer).await.unwrap();
}

async fn a_counter_that_goes_back_is_refused_and_recorded(shop: Shop) {
    let mut owned = Owned::with(shop, Pair::p256()).await;
    owned.device.counter = Some(40);
    let options = owned.asked().await;
    let answer = owned.device.answers(&options);
    owned.step_up(&answer).await.unwrap();
    for counter in [39, 40] {
        owned.device.counter = Some(counter - 1);
        let options = owned.asked().await;
        let answer = owned.device.answers(&options);
        let refused = owned.step_up(&answer).await;
        assert!(matches!(refused, Err(Error::CopiedPasskey)), "{counter}: {refused:?}");
    }
    // One within the hour; where it ended meanwhile, two.
    let reported = owned.facts().await.iter().filter(|event| *event == "SignInsFailed").count();
    assert!((1..=2).contains(&reported), "{reported}");
    owned.device.counter = Some(41);
    let options = owned.asked().await;
    let answer = owned.device.answers(&options);
    owned.step_up(&answer).await.unwrap();
    // One that does not count.
    let started = owned.identity.add_passkey(new(&owned.active, PASSWORD)).await.unwrap();
    let mut synced = Authenticator::of(Pair::p256(), SITE);
    synced.counter = None;
    let made = synced.makes(&started.options).to_string();
    let cause = Cause::system();
    owned.identity.prove_passkey(&owned.active, started.id, &made, &cause).await.unwrap();
    for _ in 0..2 {
        let options = owned.asked().await;
        let answer = synced.answers(&options);
        owned.step_up(&answer).await.unwrap();
    }
}

/// I28, as for codes.
async fn answers_of_passkeys_have_an_end_and_are_counted_apart(shop: Shop) {
    let mut owned = Owned::with(shop, Pair::p256()).await;
    let pending = owned.pending().await;
    // What nobody asked is no guess.
    for _ in 0..25 {
        let refused = owned.step_up(&json!({})).await;
        assert!(matches!(refused, Err(Error::WrongPasskey)), "{refused:?}");
    }
    let mut wrong = 0;
    loop {
        owned.asked().await;
        match owned.step_up(&json!({})).await {
            Err(Error::WrongPasskey) => wrong += 1,
            Err(Error::TooManyCodes(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    // Where an hour ended meanwhile, it began again.
    assert!((20..=40).contains(&wrong), "{wrong}");
    let options = owned.asked().await;
    let answer = owned.device.answers(&options);
    let refused = owned.step_up(&answer).await;
    assert!(matches!(refused, Err(Error::TooManyCodes(_))), "{refused:?}");
    let code = &owned.recovery_codes[0];
    owned.identity.step_up(&owned.active, code, &Cause::system()).await.unwrap();
    assert!(owned.facts().await.contains(&"SignInsFailed".to_owned()));
    // Who guesses in one place keeps nobody from their passkey in another one.
    let options = owned.identity.ask_at_sign_in(&pending.token).await.unwrap();
    let answer = owned.device.answers(&options);
    owned.second(&pending, &answer.to_string()).await.unwrap();
}

/// Another account, which signs in with the same password.
async fn other_account(shop: &Shop, store: &EventStore, identity: &Identity) -> ActiveSession {
    const OTHER: &str = "grace@example.org";
    let id = ids::new();
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    let details = Details::try_new(id, Some("Grace"), Some(OTHER), None, None).unwrap();
    store.execute::<user::User>(id, user::Command::Register { details }, context).await.unwrap();
    let opening = Opening {
        id,
        address: OTHER,
        roles: Roles::given(["support"]),
        password: Password::new(PASSWORD).unwrap(),
        user_version: 1,
    };
    identity.open(opening, &Cause::system()).await.unwrap();
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @accounts").await, 2);
    let asked = SignIn { address: OTHER, ..typed(PASSWORD) };
    identity.sign_in(asked, &Cause::system()).await.unwrap().active
}

async fn what_another_place_session_or_algorithm_made_is_not_added(shop: Shop) {
    let mut owned = Owned::with(shop, Pair::p256()).await;
    let cause = Cause::system();
    let identity = owned.identity.clone();
    let active = other_account(&owned.shop, &owned.store, &identity).await;
    let begun = async || identity.add_passkey(new(&active, PASSWORD)).await.unwrap();
    let prove = async |by: &ActiveSession, started: &StartedPasskey, made: Value| {
        identity.prove_passkey(by, started.id, &made.to_string(), &cause).await
    };
    let refused = identity.add_passkey(new(&active, "a wrong password")).await;
    assert!(matches!(refused, Err(Error::WrongPassword)), "{refused:?}");

    let started = begun().await;
    let mut device = Authenticator::of(Pair::p256(), SITE);
    "https://evil.example".clone_into(&mut device.origin);
    let made = device.makes(&started.options);
    assert_refused(prove(&active, &started, made).await, "another origin");
    SITE.1.clone_into(&mut device.origin);
    let made = device.makes(&started.options);
    assert_refused(prove(&active, &started, made).await, "its challenge was answered");

    let started = begun().await;
    let made = Authenticator::of(Pair::p384(), SITE).makes(&started.options);
    assert_refused(prove(&active, &started, made).await, "an algorithm that is not offered");

    let started = begun().await;
    owned.device.counter = None;
    let made = owned.device.makes(&started.options);
    assert_refused(prove(&active, &started, made).await, "somebody has it already");

    let started = begun().await;
    let made = device.makes(&started.options);
    let strange = prove(&owned.active, &started, made.clone()).await;
    assert!(matches!(strange, Err(Error::NotFound)), "of another account: {strange:?}");
    let asked = SignIn { address: "grace@example.org", ..typed(PASSWORD) };
    let other = identity.sign_in(asked, &cause).await.unwrap().active;
    assert_refused(prove(&other, &started, made.clone()).await, "another session began it");
    assert_eq!(prove(&active, &started, made).await.unwrap().len(), 10);
    // What one account's passkey answers opens nothing of another's.
    let options = identity.ask_for_step_up(&active).await.unwrap();
    let answer = owned.device.answers(&options).to_string();
    assert_refused(identity.step_up(&active, &answer, &cause).await, "the passkey of another account");
    assert_eq!(
        owned.shop.number("identity", "SELECT count(*) FROM @factors WHERE kind = 'passkey'").await,
        2
    );
}

async fn nothing_of_a_passkey_is_left_of_who_is_erased_and_none_of_it_is_in_the_log(shop: Shop) {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let owned = Owned::with(shop, Pair::p256()).await;
    let options = owned.asked().await;
    let challenge = options["challenge"].as_str().unwrap();
    let id = STANDARD.encode(&owned.device.id);
    let rows = "SELECT secret || name || hash || state FROM @factors WHERE kind = 'passkey'";
    let stored = owned.shop.text("identity", rows).await.unwrap();
    assert!(stored.starts_with("eyJhbGciOiJkaXIi") && !stored.contains(&id) && !stored.contains(NAME));
    let kept = owned.shop.text("identity", "SELECT state FROM @challenges").await.unwrap();
    assert!(kept.starts_with("eyJ") && !kept.contains(challenge));
    owned.facts().await;
    for row in owned.store.log().read(1, 1_000).await.unwrap() {
        for secret in [id.as_str(), &URL_SAFE_NO_PAD.encode(&owned.device.id), challenge, NAME, "laptop"] {
            assert!(!row.payload.contains(secret) && !row.metadata.contains(secret), "{}", row.event_type);
        }
    }
    drop(owned.step_up(&json!({})).await);
    owned.asked().await;
    assert_eq!(owned.shop.number("identity", "SELECT count(*) FROM @challenges").await, 1);
    assert!(owned.identity.erase(owned.id).await.unwrap());
    for table in ["factors", "challenges", "accounts"] {
        let left = owned.shop.number("identity", &format!("SELECT count(*) FROM @{table}")).await;
        assert_eq!(left, 0, "{table}");
    }
    let kept = "SELECT count(*) FROM @attempts WHERE what LIKE 'passkey:%'";
    assert_eq!(owned.shop.number("identity", kept).await, 0);
}

async fn without_a_public_address_with_a_name_there_are_no_passkeys(shop: Shop) {
    let mut owned = Owned::with(shop, Pair::p256()).await;
    let options = owned.asked().await;
    let answer = owned.device.answers(&options).to_string();
    let without = identity(&owned.shop);
    assert!(!without.offers_passkeys() && owned.identity.offers_passkeys());
    let cause = Cause::system();
    let refused = without.add_passkey(new(&owned.active, PASSWORD)).await;
    assert!(matches!(refused, Err(Error::PasskeysNotOffered)), "{refused:?}");
    let refused = without.ask_for_step_up(&owned.active).await;
    assert!(matches!(refused, Err(Error::PasskeysNotOffered)), "{refused:?}");
    let refused = without.step_up(&owned.active, &answer, &cause).await;
    assert!(matches!(refused, Err(Error::PasskeysNotOffered)), "{refused:?}");
    // It is asked for a second factor nevertheless, and gives a recovery code.
    assert!(matches!(without.sign_in(typed(PASSWORD), &cause).await, Err(Error::SecondFactor(_))));
    without.step_up(&owned.active, &owned.recovery_codes[0], &cause).await.unwrap();
}
