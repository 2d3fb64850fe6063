//! Clients of OAuth: what they get with a code, what ends it, and the facts about them.

use soonshop_domain::ids;
use soonshop_event_store::EventStore;
use soonshop_identity::{
    ActiveSession, Cause, Client, CodeAsked, CredentialKind, Credentials, Error, Identity, NewClient,
    Redemption, Refresher, Revoked, SignIn, StartedSession,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::fixture::{Shop, on_both};
use crate::recording::{PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    a_code_begins_one_session_however_many_redeem_it_at_once,
    a_code_is_void_once_all_sessions_end_or_the_consent_is_withdrawn_or_a_minute_has_passed,
    a_client_has_few_sessions_and_ends_none_of_its_owner,
    a_consent_is_remembered_for_confidential_clients_and_its_facts_say_all_of_it,
    a_narrower_refresh_leaves_the_session_as_it_is,
    a_removed_client_has_nothing_any_more,
    a_client_revokes_its_own_sessions_alone,
    nothing_of_codes_and_consents_is_left_of_who_is_erased,
);

pub(crate) const REDIRECT: &str = "https://app.example/cb";
/// Of RFC 7636, appendix B.
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// An account that is signed in, and a client.
struct Begun {
    store: EventStore,
    identity: Identity,
    account: Uuid,
    active: ActiveSession,
    client: Client,
}

pub(crate) async fn register(identity: &Identity, public: bool, scope: &[&str]) -> Client {
    let new = NewClient {
        name: "app".to_owned(),
        public,
        redirects: vec![REDIRECT.to_owned()],
        scope: scope.iter().map(|name| (*name).to_owned()).collect(),
    };
    let (id, secret) = identity.register_client(new, &Cause::system()).await.unwrap();
    identity.authenticate_client(&id.to_string(), secret.as_deref()).await.unwrap()
}

fn in_browser() -> SignIn<'static> {
    SignIn { kind: CredentialKind::Cookie, ..typed(PASSWORD) }
}

async fn begin(shop: &Shop) -> Begun {
    let (store, identity) = (shop.store(), identity(shop));
    let account = open(shop, &store, &identity, "customer").await;
    let active = identity.sign_in(in_browser(), &Cause::system()).await.unwrap().active;
    let client = register(&identity, false, &["own", "read"]).await;
    Begun { store, identity, account, active, client }
}

impl Begun {
    async fn code(&self, client: &Client, scope: &[&str]) -> Result<String, Error> {
        let scope: Vec<String> = scope.iter().map(|name| (*name).to_owned()).collect();
        let asked = self.asked(client, &scope);
        self.identity.consent(asked, &Cause::system()).await
    }

    fn asked<'a>(&'a self, client: &'a Client, scope: &'a [String]) -> CodeAsked<'a> {
        CodeAsked { active: &self.active, client, redirect: REDIRECT, challenge: CHALLENGE, scope }
    }

    async fn redeem(&self, client: &Client, code: &str) -> Result<StartedSession, Error> {
        redeem(&self.identity, client, code).await
    }

    async fn facts(&self, shop: &Shop) {
        let worker = facts(shop, &self.store);
        while worker.round().await.unwrap() {}
    }

    async fn lives(&self, session: Uuid) -> bool {
        self.identity.active(session).await.unwrap().is_some()
    }
}

async fn redeem(identity: &Identity, client: &Client, code: &str) -> Result<StartedSession, Error> {
    let sent = Redemption { client, code, redirect: REDIRECT, verifier: VERIFIER };
    identity.redeem(sent, &Cause::system()).await
}

fn refresh_token(started: &StartedSession) -> String {
    match started.credentials.clone() {
        Credentials::Tokens { refresh, .. } => refresh,
        Credentials::Cookie(_) => panic!("a cookie"),
    }
}

async fn a_code_begins_one_session_however_many_redeem_it_at_once(shop: Shop) {
    let begun = begin(&shop).await;
    for _ in 0..5 {
        let code = begun.code(&begun.client, &["own"]).await.unwrap();
        let mut asking = JoinSet::new();
        for number in 0..8 {
            let identity = if number % 2 == 0 { begun.identity.clone() } else { identity(&shop) };
            let (client, code) = (begun.client.clone(), code.clone());
            asking.spawn(async move { redeem(&identity, &client, &code).await.ok() });
        }
        let began: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
        assert_eq!(began.len(), 1);
        // The others came a second time.
        assert!(!begun.lives(began[0].active.session).await);
    }
    let ended = shop.number(
        "identity",
        "SELECT count(*) FROM @sessions WHERE client <> 'soonshop' AND ended_at IS NOT NULL",
    );
    assert_eq!(ended.await, 5);
    begun.facts(&shop).await;
    let sql = "SELECT count(*) FROM @events WHERE event_type = 'SessionEnded' AND CAST(payload AS TEXT) LIKE '%code-reused%'";
    assert_eq!(shop.number("log", sql).await, 5);
}

async fn a_code_is_void_once_all_sessions_end_or_the_consent_is_withdrawn_or_a_minute_has_passed(shop: Shop) {
    let mut begun = begin(&shop).await;
    let code = begun.code(&begun.client, &["own"]).await.unwrap();
    shop.run("identity", "UPDATE @codes SET expires_at = expires_at - 60000").await;
    assert!(matches!(begun.redeem(&begun.client, &code).await, Err(Error::Grant)));
    let code = begun.code(&begun.client, &["own"]).await.unwrap();
    assert!(begun.identity.withdraw_consent(begun.account, begun.client.id, &Cause::system()).await.unwrap());
    assert!(matches!(begun.redeem(&begun.client, &code).await, Err(Error::Grant)));
    let code = begun.code(&begun.client, &["own"]).await.unwrap();
    begun.identity.end_all_sessions(begun.account, &Cause::system()).await.unwrap();
    assert!(matches!(begun.redeem(&begun.client, &code).await, Err(Error::Grant)));
    assert!(matches!(begun.code(&begun.client, &["own"]).await, Err(Error::Token)), "its session has ended");
    // A session of a client consents to nothing.
    begun.active = begun.identity.sign_in(in_browser(), &Cause::system()).await.unwrap().active;
    let code = begun.code(&begun.client, &["own"]).await.unwrap();
    begun.active = begun.redeem(&begun.client, &code).await.unwrap().active;
    assert!(matches!(begun.code(&begun.client, &["own", "read"]).await, Err(Error::Token)));
}

async fn a_client_has_few_sessions_and_ends_none_of_its_owner(shop: Shop) {
    let begun = begin(&shop).await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let code = begun.code(&begun.client, &["own"]).await.unwrap();
        sessions.push(begun.redeem(&begun.client, &code).await.unwrap().active.session);
    }
    let mut living = 0;
    for session in &sessions {
        living += u32::from(begun.lives(*session).await);
    }
    assert_eq!((living, begun.lives(sessions[0]).await, begun.lives(sessions[7]).await), (5, false, true));
    assert!(begun.lives(begun.active.session).await);
    // And too many codes are none.
    let mut refused = 0;
    for _ in 0..60 {
        refused +=
            u32::from(matches!(begun.code(&begun.client, &["own"]).await, Err(Error::TooManySessions)));
    }
    assert!(refused >= 8, "{refused}");
}

async fn a_consent_is_remembered_for_confidential_clients_and_its_facts_say_all_of_it(shop: Shop) {
    let begun = begin(&shop).await;
    let public = register(&begun.identity, true, &["own", "read"]).await;
    let own = ["own".to_owned()];
    let both = ["own".to_owned(), "read".to_owned()];
    let remembered = async |client: &Client, scope: &[String]| {
        begun.identity.code_by_consent(begun.asked(client, scope)).await.unwrap().is_some()
    };
    assert!(!remembered(&begun.client, &own).await);
    for client in [&begun.client, &public] {
        for scope in [&["own"][..], &["own"], &["read"]] {
            begun.code(client, scope).await.unwrap();
        }
    }
    assert!(remembered(&begun.client, &own).await && remembered(&begun.client, &both).await);
    assert!(!remembered(&public, &own).await, "anybody can take its name");
    let consents = begun.identity.consents(begun.account).await.unwrap();
    assert!(consents.len() == 2 && consents.iter().all(|one| one.scope == both), "{consents:?}");
    assert!(begun.identity.withdraw_consent(begun.account, public.id, &Cause::system()).await.unwrap());
    assert!(!begun.identity.withdraw_consent(begun.account, public.id, &Cause::system()).await.unwrap());
    begun.facts(&shop).await;
    let all = recorded(&begun.store, "account", begun.account).await;
    // Twice the same is no fact.
    let expected = ["AccessGranted", "AccessGranted", "AccessGranted", "AccessGranted", "AccessWithdrawn"];
    assert_eq!(all[3..], expected);
    assert_eq!(recorded(&begun.store, "client", public.id).await, ["ClientRegistered"]);
    let all = begun.store.log().read(1, 1_000).await.unwrap();
    for row in all {
        for secret in ["ssc_", "ssa_", CHALLENGE] {
            assert!(!row.payload.contains(secret) && !row.metadata.contains(secret), "{secret}");
        }
    }
}

async fn a_narrower_refresh_leaves_the_session_as_it_is(shop: Shop) {
    let begun = begin(&shop).await;
    let code = begun.code(&begun.client, &["own", "read"]).await.unwrap();
    let started = begun.redeem(&begun.client, &code).await.unwrap();
    let id = begun.client.id.to_string();
    let mut token = refresh_token(&started);
    let refresh = async |client: &str, token: &str, scope: Option<&str>| {
        begun.identity.refresh_for(Refresher { client, scope }, token, &Cause::system()).await
    };
    for (asked, scope) in [(Some("read"), "read"), (None, "own read"), (Some("own read"), "own read")] {
        let next = refresh(&id, &token, asked).await.unwrap();
        assert_eq!(next.active.scope, scope);
        token = refresh_token(&next);
    }
    let stored = begun.identity.active(started.active.session).await.unwrap().unwrap();
    assert_eq!(stored.scope, "own read");
    // Neither uses it up.
    assert!(matches!(refresh(&id, &token, Some("own refund")).await, Err(Error::Scope)));
    assert!(matches!(refresh("soonshop", &token, None).await, Err(Error::Token)));
    assert!(matches!(begun.identity.refresh(&token, &Cause::system()).await, Err(Error::Token)));
    let last = refresh(&id, &token, None).await.unwrap();
    // I07: disabled meanwhile.
    begun.identity.disable(begun.account, "left", &Cause::system()).await.unwrap();
    assert!(matches!(refresh(&id, &refresh_token(&last), None).await, Err(Error::Token)));
    assert!(!begun.lives(started.active.session).await);
}

async fn a_removed_client_has_nothing_any_more(shop: Shop) {
    let begun = begin(&shop).await;
    let code = begun.code(&begun.client, &["own"]).await.unwrap();
    let started = begun.redeem(&begun.client, &code).await.unwrap();
    let id = begun.client.id;
    assert_eq!(begun.identity.sessions(begun.account).await.unwrap().len(), 2);
    assert!(begun.identity.remove_client(id, "left", &Cause::system()).await.unwrap());
    assert!(!begun.identity.remove_client(id, "left", &Cause::system()).await.unwrap());
    assert!(matches!(
        begun.identity.remove_client(ids::new(), "left", &Cause::system()).await,
        Err(Error::NotFound)
    ));
    assert!(!begun.lives(started.active.session).await);
    assert!(begun.lives(begun.active.session).await);
    assert_eq!(begun.identity.sessions(begun.account).await.unwrap().len(), 1);
    assert!(begun.identity.consents(begun.account).await.unwrap().is_empty());
    assert_eq!(begun.identity.client(&id.to_string()).await.unwrap(), None);
    assert_eq!(begun.identity.scope_of_client(id).await.unwrap(), None);
    let secret = begun.identity.change_client_secret(id, &Cause::system()).await;
    assert!(matches!(secret, Err(Error::NotFound)));
    begun.facts(&shop).await;
    assert_eq!(recorded(&begun.store, "client", id).await, ["ClientRegistered", "ClientRemoved"]);
    assert_eq!(recorded(&begun.store, "session", started.active.session).await, ["SessionStarted"]);
}

async fn a_client_revokes_its_own_sessions_alone(shop: Shop) {
    let begun = begin(&shop).await;
    let other = register(&begun.identity, false, &["own"]).await;
    let code = begun.code(&begun.client, &["own"]).await.unwrap();
    let started = begun.redeem(&begun.client, &code).await.unwrap();
    let token = refresh_token(&started);
    let revoke = async |client: &Client, token: &str| {
        begun.identity.revoke(client, token, &Cause::system()).await.unwrap()
    };
    assert_eq!(revoke(&other, &token).await, Revoked::Nothing);
    assert_eq!(begun.identity.introspect(&other, &token).await.unwrap(), None);
    assert_eq!(revoke(&begun.client, "ssr_x").await, Revoked::Nothing);
    let state = begun.identity.introspect(&begun.client, &token).await.unwrap().unwrap();
    assert_eq!((state.subject, state.scope.as_str(), state.is_access), (begun.account, "own", false));
    assert_eq!(revoke(&begun.client, &token).await, Revoked::Ended);
    assert_eq!(revoke(&begun.client, &token).await, Revoked::Nothing);
    assert!(!begun.lives(started.active.session).await);
    assert_eq!(begun.identity.introspect(&begun.client, &token).await.unwrap(), None);
}

async fn nothing_of_codes_and_consents_is_left_of_who_is_erased(shop: Shop) {
    let begun = begin(&shop).await;
    let code = begun.code(&begun.client, &["own"]).await.unwrap();
    begun.redeem(&begun.client, &code).await.unwrap();
    begun.code(&begun.client, &["own"]).await.unwrap();
    assert!(begun.identity.erase(begun.account).await.unwrap());
    for table in ["codes", "consents", "sessions"] {
        assert_eq!(shop.number("identity", &format!("SELECT count(*) FROM @{table}")).await, 0, "{table}");
    }
    let counted = "SELECT count(*) FROM @attempts WHERE what LIKE 'codes:%' OR what LIKE 'consents:%'";
    assert_eq!(shop.number("identity", counted).await, 0);
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @clients").await, 1);
}
