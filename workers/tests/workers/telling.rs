//! What the owner of an account is told by mail.

use soonshop_domain::user::{self, User};
use soonshop_domain::{Metadata, ids};
use soonshop_event_store::CommandContext;
use soonshop_identity::totp::step_at;
use soonshop_identity::{
    Cause, CodeAsked, CredentialKind, Error, MailKind, NewFactor, NewPassword, Password, Purpose, SignIn,
    SignInDevice,
};

use crate::clients::{CHALLENGE, REDIRECT, register};
use crate::factors::now;
use crate::fixture::{Shop, on_both};
use crate::mailing::{Mailed, NEW};
use crate::recording::{ADDRESS, PASSWORD, facts, typed};

on_both!(
    an_owner_is_told_of_a_sign_in_on_a_device_that_is_not_known_but_of_the_first_one,
    an_owner_is_told_of_each_change_of_what_they_sign_in_with_in_the_language_of_the_last_sign_in,
    a_mail_about_a_sign_in_goes_to_the_address_that_the_account_has,
    an_owner_is_told_by_name_of_each_client_that_they_let_act_for_them,
);

async fn an_owner_is_told_of_a_sign_in_on_a_device_that_is_not_known_but_of_the_first_one(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.account().await;
    let sign_in = async |token: Option<&str>| {
        // What was typed, and what the device says, are in no mail.
        let device = SignInDevice { name: Some("A browser"), token, language: "zh-CN" };
        let asked = SignIn { address: "ADA@Example.org", device, ..typed(PASSWORD) };
        let started = mailed.identity.sign_in(asked, &Cause::system()).await.unwrap();
        (started.active.session, started.device_token.unwrap())
    };
    let (first, token) = sign_in(None).await;
    assert_eq!(mailed.all_mails().await, [], "the first one of all");
    let (known, _) = sign_in(Some(&token)).await;
    assert_eq!(mailed.all_mails().await, [], "a device that is known");
    // The sessions of long ago are deleted, and it still is not the first one.
    shop.run("identity", "DELETE FROM @sessions").await;
    let (unusual, other) = sign_in(None).await;
    let mails = mailed.all_mails().await;
    assert_eq!((mails.len(), mails[0].kind, mails[0].address.as_str()), (1, MailKind::SignIn, ADDRESS));
    assert_eq!((mails[0].language.as_str(), &mails[0].link), ("zh-CN", &None));
    sign_in(Some(&other)).await;
    assert_eq!(mailed.all_mails().await, [], "it is known now");
    for _ in 0..4 {
        sign_in(Some("ssd_made-up")).await;
    }
    assert_eq!(mailed.all_mails().await.len(), 2, "three within an hour");
    let worker = facts(&shop, &mailed.store);
    while worker.round().await.unwrap() {}
    for (session, is_unusual) in [(first, false), (known, false), (unusual, true)] {
        let rows = mailed.store.log().stream("session", &session.to_string(), 0, 1).await.unwrap();
        assert!(rows[0].payload.contains(&format!("\"unusual\":{is_unusual}")), "{}", rows[0].payload);
    }
}

/// ASVS 6.3.7.
async fn an_owner_is_told_of_each_change_of_what_they_sign_in_with_in_the_language_of_the_last_sign_in(
    shop: Shop,
) {
    let mailed = Mailed::new(&shop).await;
    let (id, cause) = (mailed.account().await, Cause::system());
    let told = async || {
        let mails = mailed.all_mails().await;
        assert!(mails.iter().all(|mail| mail.address == ADDRESS && mail.link.is_none()), "{mails:?}");
        mails.into_iter().map(|mail| (mail.kind, mail.language)).collect::<Vec<_>>()
    };
    let only = |kind, language: &str| vec![(kind, language.to_owned())];
    mailed.identity.reset_password(id, Password::new(NEW).unwrap(), &cause).await.unwrap();
    assert_eq!(told().await, only(MailKind::PasswordChanged, "en"), "by the operator, before any sign-in");
    let device = SignInDevice { language: "zh-CN", ..SignInDevice::default() };
    let asked = SignIn { device, ..typed(NEW) };
    let active = mailed.identity.sign_in(asked, &cause).await.unwrap().active;
    let wrong = NewPassword {
        active: &active,
        old: Password::typed("a wrong password"),
        new: Password::new(PASSWORD).unwrap(),
        network: "",
    };
    let right = NewPassword { old: Password::typed(NEW), ..wrong.clone() };
    assert!(matches!(mailed.identity.change_password(wrong, &cause).await, Err(Error::WrongPassword)));
    assert_eq!(told().await, [], "nothing was changed");
    mailed.identity.change_password(right, &cause).await.unwrap();
    assert_eq!(told().await, only(MailKind::PasswordChanged, "zh-CN"));

    let new = NewFactor { active: &active, password: Password::typed(PASSWORD), network: "" };
    let started = mailed.identity.add_factor(new).await.unwrap();
    assert_eq!(told().await, [], "it counts from its first code on");
    let code = started.secret.code(step_at(now(&shop).await));
    let codes = mailed.identity.prove_factor(&active, started.id, &code, &cause).await.unwrap();
    assert_eq!(told().await, only(MailKind::FactorAdded, "zh-CN"), "its recovery codes came with it");
    mailed.identity.step_up(&active, &codes[0], &cause).await.unwrap();
    assert_eq!(told().await, only(MailKind::RecoveryCodeUsed, "zh-CN"));
    mailed.identity.make_recovery_codes(&active, &cause).await.unwrap();
    assert_eq!(told().await, only(MailKind::RecoveryCodesMade, "zh-CN"));
    mailed.identity.remove_factor(&active, started.id, &cause).await.unwrap();
    assert_eq!(told().await, only(MailKind::FactorRemoved, "zh-CN"));

    // A link tells twice: it comes by mail, and that it was used.
    let link = mailed.link(Purpose::Reset, ADDRESS).await;
    mailed.reset(&link).await.unwrap();
    assert_eq!(told().await, only(MailKind::PasswordChanged, "zh-CN"));
    for _ in 0..8 {
        mailed.identity.reset_password(id, Password::new(NEW).unwrap(), &cause).await.unwrap();
    }
    // An hour may have begun meanwhile.
    let more = told().await.len();
    assert!(more <= 3, "three within an hour, of each kind: {more}");
}

/// I32.
async fn a_mail_about_a_sign_in_goes_to_the_address_that_the_account_has(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let id = mailed.account().await;
    for _ in 0..2 {
        assert!(mailed.signs_in(PASSWORD).await);
    }
    assert_eq!(mailed.rows("mails").await, 1);
    // Staff wrote another address into the user since: it is not the account's, which its owner proved.
    let details = user::Details::try_new(id, Some("Zed"), Some("mallory@example.org"), None, None).unwrap();
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    let update = user::Command::Change { details };
    let changed = mailed.store.execute::<User>(id, update, context).await;
    assert!(changed.is_ok());
    assert_eq!(mailed.all_mails().await, []);
    assert_eq!(mailed.rows("mails").await, 0);
}

async fn an_owner_is_told_by_name_of_each_client_that_they_let_act_for_them(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let (id, cause) = (mailed.account().await, Cause::system());
    let device = SignInDevice { language: "zh-CN", ..SignInDevice::default() };
    let asked = SignIn { device, kind: CredentialKind::Cookie, ..typed(PASSWORD) };
    let active = mailed.identity.sign_in(asked, &cause).await.unwrap().active;
    let client = register(&mailed.identity, false, &["own", "read"]).await;
    let consent = async |scope: &[&str]| {
        let scope: Vec<String> = scope.iter().map(|name| (*name).to_owned()).collect();
        let asked = CodeAsked {
            active: &active,
            client: &client,
            redirect: REDIRECT,
            challenge: CHALLENGE,
            scope: &scope,
        };
        mailed.identity.consent(asked, &cause).await.unwrap();
        let mails = mailed.all_mails().await;
        mails
            .into_iter()
            .map(|mail| (mail.kind, mail.address, mail.language, mail.client))
            .collect::<Vec<_>>()
    };
    let told =
        vec![(MailKind::ClientAllowed, ADDRESS.to_owned(), "zh-CN".to_owned(), Some(client.name.clone()))];
    assert_eq!(consent(&["own"]).await, told);
    assert_eq!(consent(&["own"]).await, [], "it may already");
    assert_eq!(consent(&["read"]).await, told, "it may more");
    assert!(mailed.identity.withdraw_consent(id, client.id, &cause).await.unwrap());
    assert_eq!(mailed.all_mails().await, [], "who takes it back knows it");
    assert_eq!(consent(&["own"]).await, told);
}
