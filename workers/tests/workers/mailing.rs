//! Links in mails: registering, and a forgotten password; what holds on both databases.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;
use soonshop_domain::user::consent::{Consent, Medium, Via, Wording};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Metadata, ids, text};
use soonshop_event_log::Database;
use soonshop_event_store::{CommandContext, EventStore};
use soonshop_identity::{
    AddressAsked, Agreed, Asked, CUSTOMER, Cause, Error, Given, Identity, Mail, MailKind, Opening, Password,
    Purpose, Roles, SignIn, Unsent,
};
use soonshop_workers::mails::{Mailer, Mails, fault};
use soonshop_workers::readdressing::{self, Changed};
use soonshop_workers::registering::{Finished, address_of, finish};

use crate::fixture::{Shop, on_both};
use crate::recording::{ADDRESS, PASSWORD, facts, identity, recorded, typed};

on_both!(
    a_registration_opens_a_user_and_an_account_once,
    an_address_with_an_account_gets_a_mail_that_says_so_and_one_without_gets_no_other_password,
    only_the_newest_link_can_be_used_and_once_and_for_its_purpose,
    a_link_of_an_account_that_changed_since_is_void,
    a_mail_to_an_account_goes_to_the_stored_address_alone,
    what_looks_like_the_address_of_somebody_else_opens_no_account,
    a_user_without_an_account_gets_theirs_under_the_same_id,
    a_registration_that_a_crash_left_is_finished_later,
    another_address_is_proven_by_its_link_and_taken_back_by_that_of_the_old_one,
    the_first_owner_takes_the_address_back_for_good,
    an_address_that_somebody_else_has_is_not_given_to_an_account,
    a_change_of_an_address_that_a_crash_left_is_finished_later,
    an_address_gets_three_mails_an_hour_and_everybody_a_thousand,
    a_mail_is_tried_again_until_its_link_has_expired,
    a_mail_that_only_a_later_release_knows_holds_up_no_others,
    one_network_uses_up_its_own_share_of_what_is_asked_for,
    who_set_a_password_by_a_link_signs_in_there_however_many_strangers_try,
    who_is_erased_gets_no_mail_and_has_no_request_left,
    nothing_personal_of_a_registration_is_stored_in_clear,
);

async fn a_mail_that_only_a_later_release_knows_holds_up_no_others(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let unsent = Unsent { reason: "down".to_owned(), refused: false };
    *mailed.letters.broken.lock().unwrap() = Some(unsent);
    for address in [ADDRESS, "grace@example.org"] {
        mailed.ask(Purpose::Register, address).await.unwrap();
    }
    assert_eq!((mailed.all_mails().await, mailed.rows("mails").await), (Vec::new(), 2));
    *mailed.letters.broken.lock().unwrap() = None;
    let later = "UPDATE @mails SET kind = 'of-a-later-release' WHERE id = (SELECT min(id) FROM @mails)";
    shop.run("identity", later).await;
    shop.run("identity", "UPDATE @mails SET due_at = 0").await;
    assert_eq!(mailed.all_mails().await.len(), 1);
    assert_eq!(mailed.rows("mails").await, 1, "it waits for that release");
}

pub(crate) const NEW: &str = "eight blue herons";

/// Keeps the mails, or does not take them.
#[derive(Default)]
struct Letters {
    sent: Mutex<Vec<Mail>>,
    broken: Mutex<Option<Unsent>>,
}

#[async_trait]
impl Mailer for Letters {
    async fn send(&self, mail: &Mail) -> Result<(), Unsent> {
        if let Some(unsent) = self.broken.lock().unwrap().clone() {
            return Err(unsent);
        }
        self.sent.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

/// A shop whose mails are kept.
pub(crate) struct Mailed<'a> {
    shop: &'a Shop,
    pub(crate) store: EventStore,
    pub(crate) identity: Identity,
    letters: Arc<Letters>,
    worker: Mails,
}

impl<'a> Mailed<'a> {
    pub(crate) async fn new(shop: &'a Shop) -> Self {
        let (store, identity, letters) = (shop.store(), identity(shop), Arc::new(Letters::default()));
        identity.prepare().await.unwrap();
        let worker = Mails {
            store: store.clone(),
            process: Database::new(shop.place.clone()).namespace("process").unwrap(),
            identity: identity.clone(),
            mailer: Some(letters.clone()),
            holder: "test".to_owned(),
        };
        Self { shop, store, identity, letters, worker }
    }

    async fn ask(&self, purpose: Purpose, typed: &str) -> Result<(), Error> {
        self.ask_from("198.51.100.9", purpose, typed).await
    }

    async fn ask_from(&self, network: &str, purpose: Purpose, typed: &str) -> Result<(), Error> {
        let address = text::email(typed).unwrap();
        let asked = Asked { purpose, typed, address: &address, language: "en", network };
        self.identity.ask(asked, &Cause::system()).await
    }

    /// Works until there is nothing to do; the mails that were sent meanwhile, but notices.
    async fn mails(&self) -> Vec<Mail> {
        let mut mails = self.all_mails().await;
        mails.retain(|mail| !mail.kind.is_notice());
        mails
    }

    pub(crate) async fn all_mails(&self) -> Vec<Mail> {
        while self.worker.round().await.unwrap() {}
        std::mem::take(&mut *self.letters.sent.lock().unwrap())
    }

    /// The token of the link in the one mail that the request leads to.
    pub(crate) async fn link(&self, purpose: Purpose, typed: &str) -> String {
        self.ask(purpose, typed).await.unwrap();
        let mut mails = self.mails().await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        mails.remove(0).link.unwrap()
    }

    async fn register(&self, link: &str) -> Result<Finished, Error> {
        let password = Password::new(PASSWORD).unwrap();
        let given = Given { link, name: Some("Ada"), password, advertising: None, network: "" };
        let proven = self.identity.use_registration(given).await?;
        Ok(finish(&self.store, &self.identity, &proven, &Cause::system()).await.unwrap())
    }

    pub(crate) async fn reset(&self, link: &str) -> Result<(), Error> {
        let new = Password::new(NEW).unwrap();
        self.identity.reset_by_link(link, new, "", &Cause::system()).await
    }

    pub(crate) async fn signs_in(&self, password: &str) -> bool {
        self.identity.sign_in(typed(password), &Cause::system()).await.is_ok()
    }

    pub(crate) async fn rows(&self, table: &str) -> i64 {
        self.shop.number("identity", &format!("SELECT count(*) FROM @{table}")).await
    }

    /// A customer's account, whose user has its address.
    pub(crate) async fn account(&self) -> uuid::Uuid {
        let id = self.user(ADDRESS).await;
        let opening = Opening {
            id,
            address: ADDRESS,
            roles: Roles::given([CUSTOMER]),
            password: Password::new(PASSWORD).unwrap(),
            user_version: 1,
        };
        self.identity.open(opening, &Cause::system()).await.unwrap();
        id
    }

    /// A user who has this address, without an account.
    async fn user(&self, address: &str) -> uuid::Uuid {
        let id = ids::new();
        let details = user::Details::try_new(id, Some("Zed"), Some(address), None, None).unwrap();
        let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
        self.store.execute::<User>(id, user::Command::Register { details }, context).await.unwrap();
        id
    }
}

async fn a_registration_opens_a_user_and_an_account_once(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.ask(Purpose::Register, ADDRESS).await.unwrap();
    let mails = mailed.mails().await;
    assert_eq!((mails.len(), mails[0].kind, mails[0].address.as_str()), (1, MailKind::Register, ADDRESS));
    let link = mails[0].link.clone().unwrap();
    assert!(mailed.identity.accounts().await.unwrap().is_empty(), "the mailbox is not proven yet");
    let Ok(Finished::Open(id)) = mailed.register(&link).await else { panic!("no account") };
    assert!(matches!(mailed.register(&link).await, Err(Error::Link)), "once");
    assert!(mailed.signs_in(PASSWORD).await);
    let account = mailed.identity.accounts().await.unwrap().remove(0);
    assert_eq!((account.id, account.roles), (id, vec!["customer".to_owned()]));
    let worker = facts(&shop, &mailed.store);
    while worker.round().await.unwrap() {}
    let expected = ["AccountOpened", "EmailVerified", "PasswordChanged"];
    assert_eq!(recorded(&mailed.store, "account", id).await, expected);
    let rows = mailed.store.log().stream("account", &id.to_string(), 0, 1).await.unwrap();
    assert!(rows[0].payload.contains("\"registration\""), "{}", rows[0].payload);
    assert_eq!(recorded(&mailed.store, "user", id).await, ["UserRegistered"]);
    let all = mailed.store.log().read(1, 1_000).await.unwrap();
    assert_eq!(all.iter().filter(|row| row.event_type == "RegistrationRequested").count(), 1);
    assert_eq!((mailed.rows("requests").await, mailed.rows("mails").await), (0, 0));
}

async fn an_address_with_an_account_gets_a_mail_that_says_so_and_one_without_gets_no_other_password(
    shop: Shop,
) {
    let mailed = Mailed::new(&shop).await;
    mailed.account().await;
    mailed.ask(Purpose::Register, ADDRESS).await.unwrap();
    mailed.ask(Purpose::Reset, "nobody@example.org").await.unwrap();
    let mails = mailed.mails().await;
    assert_eq!((mails.len(), mails[0].kind), (1, MailKind::AccountExists));
    assert_eq!(mails[0].link, None);
    assert_eq!(mailed.rows("requests").await, 0);
    assert!(mailed.signs_in(PASSWORD).await);
}

/// I23.
async fn only_the_newest_link_can_be_used_and_once_and_for_its_purpose(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.account().await;
    assert!(mailed.signs_in(PASSWORD).await);
    let first = mailed.link(Purpose::Reset, ADDRESS).await;
    let second = mailed.link(Purpose::Reset, ADDRESS).await;
    let registration = mailed.link(Purpose::Register, "new@example.org").await;
    let older = mailed.link(Purpose::Register, "other@example.org").await;
    let newer = mailed.link(Purpose::Register, "OTHER@example.org").await;
    for bad in [&first, &registration, &format!("{second}A"), "ssl_", "", &second.replace("ssl_", "ssr_")] {
        assert!(matches!(mailed.reset(bad).await, Err(Error::Link)), "{bad}");
    }
    let uses: Vec<_> = (0..10).map(|_| mailed.reset(&second)).collect();
    let used = futures::future::join_all(uses).await;
    assert_eq!(used.iter().filter(|one| one.is_ok()).count(), 1, "{used:?}");
    assert!(used.iter().all(|one| matches!(one, Ok(()) | Err(Error::Link | Error::Busy))), "{used:?}");
    assert!(matches!(mailed.reset(&first).await, Err(Error::Link)));
    // I26: it signs nobody in, and ends what was begun.
    assert_eq!(mailed.identity.accounts().await.unwrap()[0].sessions, 0);
    assert!(!mailed.signs_in(PASSWORD).await && mailed.signs_in(NEW).await);
    for bad in [&second, &older] {
        assert!(matches!(mailed.register(bad).await, Err(Error::Link)), "{bad}");
    }
    for good in [&newer, &registration] {
        assert!(matches!(mailed.register(good).await, Ok(Finished::Open(_))), "{good}");
    }
}

/// I07, I23.
async fn a_link_of_an_account_that_changed_since_is_void(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let id = mailed.account().await;
    let cause = Cause::system();
    let link = mailed.link(Purpose::Reset, ADDRESS).await;
    mailed.identity.disable(id, "left", &cause).await.unwrap();
    assert!(matches!(mailed.reset(&link).await, Err(Error::Link)), "a disabled account");
    for purpose in [Purpose::Reset, Purpose::Register] {
        mailed.ask(purpose, ADDRESS).await.unwrap();
    }
    assert_eq!(mailed.mails().await, [], "nobody writes to a disabled account");
    mailed.identity.enable(id, "mistake", &cause).await.unwrap();
    mailed.identity.reset_password(id, Password::new(PASSWORD).unwrap(), &cause).await.unwrap();
    assert!(matches!(mailed.reset(&link).await, Err(Error::Link)), "it has another password since");
    let link = mailed.link(Purpose::Reset, ADDRESS).await;
    shop.run("identity", "UPDATE @links SET expires_at = 1").await;
    assert!(matches!(mailed.reset(&link).await, Err(Error::Link)), "it has expired");
    let link = mailed.link(Purpose::Register, "new@example.org").await;
    shop.run("identity", "UPDATE @requests SET expires_at = 1").await;
    assert!(matches!(mailed.register(&link).await, Err(Error::Link)), "it has expired");
    assert!(mailed.signs_in(PASSWORD).await);
}

/// I32.
async fn a_mail_to_an_account_goes_to_the_stored_address_alone(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.account().await;
    for (typed, mails) in [
        ("ADA@EXAMPLE.ORG", 1),
        (" ada@example.org", 1),
        ("ad\u{430}@example.org", 0),
        ("ada@example.or\u{261}", 0),
    ] {
        mailed.ask(Purpose::Reset, typed).await.unwrap();
        let sent: Vec<_> = mailed.mails().await.into_iter().map(|mail| mail.address).collect();
        assert_eq!(sent, vec![ADDRESS; mails], "{typed}");
    }
    // The sign of kelvin is a K after NFC, and no key has it.
    let mike = "mike@example.org";
    let link = mailed.link(Purpose::Register, mike).await;
    assert!(matches!(mailed.register(&link).await, Ok(Finished::Open(_))));
    mailed.ask(Purpose::Reset, "mi\u{212a}e@example.org").await.unwrap();
    assert_eq!(mailed.mails().await, []);
    mailed.ask(Purpose::Reset, "m\u{131}ke@example.org").await.unwrap();
    assert_eq!(mailed.mails().await, []);
    mailed.ask(Purpose::Reset, "MIKE@example.org").await.unwrap();
    assert_eq!(mailed.mails().await[0].address, mike);
}

/// I32.
async fn what_looks_like_the_address_of_somebody_else_opens_no_account(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    // The claims fold more letters than a mailbox does.
    mailed.user("\u{e9}ve@example.org").await;
    let link = mailed.link(Purpose::Register, "\u{c9}ve@example.org").await;
    assert!(matches!(mailed.register(&link).await, Ok(Finished::Taken)));
    assert!(mailed.identity.accounts().await.unwrap().is_empty());
    assert_eq!(mailed.rows("requests").await, 0);
}

async fn a_user_without_an_account_gets_theirs_under_the_same_id(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let imported = mailed.user(ADDRESS).await;
    let link = mailed.link(Purpose::Register, ADDRESS).await;
    let opened = mailed.register(&link).await.unwrap();
    assert_eq!(opened, Finished::Open(imported));
    assert_eq!(recorded(&mailed.store, "user", imported).await, ["UserRegistered"], "it stays as it is");
    assert!(mailed.signs_in(PASSWORD).await);
}

async fn a_registration_that_a_crash_left_is_finished_later(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    // The user is made, or is not made yet, when the process is killed.
    for (number, made) in [false, true].into_iter().enumerate() {
        let address = format!("ada-{number}@example.org");
        let link = mailed.link(Purpose::Register, &address).await;
        let password = Password::new(PASSWORD).unwrap();
        let advertising = Some(Wording::try_new("2026-11", "zh-CN").unwrap());
        let given = Given { link: &link, name: None, password, advertising, network: "" };
        let proven = mailed.identity.use_registration(given).await.unwrap();
        if made {
            let details = user::Details::try_new(proven.user, None, Some(&address), None, None).unwrap();
            let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
            let register = user::Command::Register { details };
            mailed.store.execute::<User>(proven.user, register, context).await.unwrap();
        }
        assert!(matches!(mailed.register(&link).await, Err(Error::Link)), "the link is used");
        shop.run("identity", "UPDATE @requests SET used_at = used_at - 60000").await;
        assert_eq!(mailed.mails().await, []);
        let asked = SignIn { address: &address, ..typed(PASSWORD) };
        let started = mailed.identity.sign_in(asked, &Cause::system()).await.unwrap();
        assert_eq!(started.active.account, proven.user);
        assert_eq!(mailed.rows("requests").await, 0);
        // What was slow, and not killed, comes to the same.
        let again = finish(&mailed.store, &mailed.identity, &proven, &Cause::system()).await.unwrap();
        assert_eq!(again, Finished::Open(proven.user));
        let (user, _) = mailed.store.load::<User>(proven.user).await.unwrap();
        let User::Active { kept, .. } = user else { panic!("{user:?}") };
        let Agreed { words, at } = proven.advertising.clone().unwrap();
        let agreed = Consent { medium: Medium::Email, given: Some(words), via: Via::Registration };
        assert_eq!(kept.consents, [agreed]);
        let given =
            mailed.store.log().of_type("user", &proven.user.to_string(), "ConsentGiven").await.unwrap();
        let then = at - TimeDelta::minutes(1);
        assert_eq!((given.len(), given[0].occurred_at), (1, then), "once, at the time of then");
    }
    assert_eq!(mailed.identity.accounts().await.unwrap().len(), 2);
}

const OTHER: &str = "king@example.org";

impl Mailed<'_> {
    /// Signs in, and asks for another address.
    async fn ask_address(&self, address: &str, password: &str) -> Result<(), Error> {
        self.ask_address_as(ADDRESS, address, password).await
    }

    async fn ask_address_as(&self, own: &str, address: &str, password: &str) -> Result<(), Error> {
        let cause = Cause::system();
        let asked = SignIn { address: own, ..typed(PASSWORD) };
        let started = self.identity.sign_in(asked, &cause).await.unwrap();
        let asked = AddressAsked {
            active: &started.active,
            password: Password::typed(password),
            typed: address,
            address,
            language: "en",
            network: "",
        };
        self.identity.ask_address(asked, &cause).await
    }

    async fn change(&self, link: &str, purpose: Purpose) -> Result<Changed, Error> {
        let cause = Cause::system();
        let account = self.identity.address_link(link, purpose).await?;
        let old = address_of(&self.store, account).await.unwrap();
        let change = self.identity.use_address_link(link, purpose, old.as_deref(), &cause).await?;
        Ok(readdressing::finish(&self.store, &self.identity, &change, &cause).await.unwrap())
    }

    async fn signs_in_as(&self, address: &str, password: &str) -> bool {
        let asked = SignIn { address, ..typed(password) };
        self.identity.sign_in(asked, &Cause::system()).await.is_ok()
    }
}

async fn another_address_is_proven_by_its_link_and_taken_back_by_that_of_the_old_one(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let id = mailed.account().await;
    let refused = mailed.ask_address(OTHER, "a wrong password").await;
    assert!(matches!(refused, Err(Error::WrongPassword)), "{refused:?}");
    mailed.ask_address(OTHER, PASSWORD).await.unwrap();
    let mut mails = mailed.mails().await;
    assert_eq!((mails.len(), mails[0].kind, mails[0].address.as_str()), (1, MailKind::Email, OTHER));
    let link = mails.remove(0).link.unwrap();
    // I23: a reset that was asked for before goes with the address.
    let reset = mailed.link(Purpose::Reset, ADDRESS).await;
    assert!(matches!(mailed.change(&link, Purpose::Undo).await, Err(Error::Link)), "another purpose");
    assert_eq!(mailed.change(&link, Purpose::Email).await.unwrap(), Changed::Done);
    assert!(matches!(mailed.change(&link, Purpose::Email).await, Err(Error::Link)), "once");
    assert!(matches!(mailed.reset(&reset).await, Err(Error::Link)));
    assert_eq!(mailed.identity.accounts().await.unwrap()[0].sessions, 0);
    assert!(!mailed.signs_in_as(ADDRESS, PASSWORD).await && mailed.signs_in_as(OTHER, PASSWORD).await);
    assert_eq!(address_of(&mailed.store, id).await.unwrap().as_deref(), Some(OTHER));
    let mut mails = mailed.mails().await;
    assert_eq!((mails.len(), mails[0].kind, mails[0].address.as_str()), (1, MailKind::Undo, ADDRESS));
    // Whoever took the account over, also with another password, loses it.
    mailed.identity.reset_password(id, Password::new(NEW).unwrap(), &Cause::system()).await.unwrap();
    let undo = mails.remove(0).link.unwrap();
    assert_eq!(mailed.change(&undo, Purpose::Undo).await.unwrap(), Changed::Done);
    assert!(matches!(mailed.change(&undo, Purpose::Undo).await, Err(Error::Link)), "once");
    assert_eq!(mailed.identity.accounts().await.unwrap()[0].sessions, 0);
    for (address, password) in [(OTHER, PASSWORD), (ADDRESS, PASSWORD), (OTHER, NEW), (ADDRESS, NEW)] {
        assert!(!mailed.signs_in_as(address, password).await, "{address} {password}");
    }
    let reset = mailed.link(Purpose::Reset, ADDRESS).await;
    mailed.reset(&reset).await.unwrap();
    assert!(mailed.signs_in_as(ADDRESS, NEW).await);
    let worker = facts(&shop, &mailed.store);
    while worker.round().await.unwrap() {}
    let recorded = recorded(&mailed.store, "account", id).await;
    for (event, count) in [("EmailChangeRequested", 1), ("EmailVerified", 3), ("PasswordResetRequested", 2)] {
        assert_eq!(recorded.iter().filter(|one| *one == event).count(), count, "{event}: {recorded:?}");
    }
}

/// An account was taken over, and its address changed twice.
async fn the_first_owner_takes_the_address_back_for_good(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.account().await;
    mailed.ask_address(OTHER, PASSWORD).await.unwrap();
    let link = mailed.mails().await.remove(0).link.unwrap();
    assert_eq!(mailed.change(&link, Purpose::Email).await.unwrap(), Changed::Done);
    let first = mailed.mails().await.remove(0).link.unwrap();
    mailed.ask_address_as(OTHER, "third@example.org", PASSWORD).await.unwrap();
    let link = mailed.mails().await.remove(0).link.unwrap();
    assert_eq!(mailed.change(&link, Purpose::Email).await.unwrap(), Changed::Done);
    let second = mailed.mails().await.remove(0).link.unwrap();
    assert_eq!(mailed.change(&first, Purpose::Undo).await.unwrap(), Changed::Done);
    assert!(matches!(mailed.change(&second, Purpose::Undo).await, Err(Error::Link)));
    let reset = mailed.link(Purpose::Reset, ADDRESS).await;
    mailed.reset(&reset).await.unwrap();
    assert!(mailed.signs_in_as(ADDRESS, NEW).await);
}

async fn an_address_that_somebody_else_has_is_not_given_to_an_account(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.account().await;
    mailed.ask_address(OTHER, PASSWORD).await.unwrap();
    let link = mailed.mails().await.remove(0).link.unwrap();
    // Meanwhile somebody registers with it.
    let registration = mailed.link(Purpose::Register, OTHER).await;
    assert!(matches!(mailed.register(&registration).await, Ok(Finished::Open(_))));
    assert_eq!(mailed.change(&link, Purpose::Email).await.unwrap(), Changed::Taken);
    assert!(mailed.signs_in_as(ADDRESS, PASSWORD).await && mailed.signs_in_as(OTHER, PASSWORD).await);
    mailed.ask_address(OTHER, PASSWORD).await.unwrap();
    assert_eq!(mailed.mails().await, [], "it has an account");
}

async fn a_change_of_an_address_that_a_crash_left_is_finished_later(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let id = mailed.account().await;
    mailed.ask_address(OTHER, PASSWORD).await.unwrap();
    let link = mailed.mails().await.remove(0).link.unwrap();
    let cause = Cause::system();
    let change =
        mailed.identity.use_address_link(&link, Purpose::Email, Some(ADDRESS), &cause).await.unwrap();
    shop.run("identity", "UPDATE @links SET used_at = used_at - 60000").await;
    let mails = mailed.mails().await;
    assert_eq!((mails.len(), mails[0].kind), (1, MailKind::Undo));
    assert!(mailed.signs_in_as(OTHER, PASSWORD).await);
    // What was slow, and not killed, comes to the same.
    let again = readdressing::finish(&mailed.store, &mailed.identity, &change, &cause).await.unwrap();
    assert_eq!(again, Changed::Done);
    assert_eq!(recorded(&mailed.store, "user", id).await, ["UserRegistered", "UserDetailsChanged"]);
    assert_eq!(mailed.mails().await, [], "once");
}

async fn an_address_gets_three_mails_an_hour_and_everybody_a_thousand(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.account().await;
    for purpose in [Purpose::Register, Purpose::Reset] {
        for _ in 0..5 {
            mailed.ask(purpose, ADDRESS).await.unwrap();
        }
        mailed.ask(purpose, "new@example.org").await.unwrap();
        let sent = mailed.mails().await;
        let own = sent.iter().filter(|mail| mail.address == ADDRESS).count();
        // An hour may have begun meanwhile; of links that follow each other only the newest is mailed.
        let most = if purpose == Purpose::Register { 3..=5 } else { 1..=3 };
        assert!(most.contains(&own), "{own}");
        let sql =
            format!("SELECT max(count) FROM @attempts WHERE what LIKE 'mailed:{}:account:%'", purpose.name());
        assert_eq!(shop.number("identity", &sql).await, 3);
    }
    assert_eq!(mailed.rows("requests").await, 1, "that of the new address");
    shop.run("identity", "UPDATE @attempts SET count = 1000, hour = hour + 1 WHERE what = 'asked:register'")
        .await;
    shop.run(
        "identity",
        "INSERT INTO @attempts (what, hour, count, since) SELECT what, hour - 1, 1000, since FROM \
                          @attempts WHERE what = 'asked:register'",
    )
    .await;
    let refused = mailed.ask(Purpose::Register, "another@example.org").await;
    assert!(matches!(refused, Err(Error::TooManyRequests)), "{refused:?}");
    mailed.ask(Purpose::Reset, ADDRESS).await.unwrap();
}

async fn who_set_a_password_by_a_link_signs_in_there_however_many_strangers_try(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.register(&mailed.link(Purpose::Register, ADDRESS).await).await.unwrap();
    let link = mailed.link(Purpose::Reset, ADDRESS).await;
    let cause = Cause::system();
    let strangers = "UPDATE @attempts SET count = 1000, last_at = 9000000000000 WHERE what LIKE 'typed:%'";
    for _ in 0..6 {
        drop(mailed.identity.sign_in(typed("wrong password"), &cause).await);
    }
    shop.run("identity", strangers).await;
    let waits = mailed.identity.sign_in(typed(PASSWORD), &cause).await;
    assert!(matches!(waits, Err(Error::TooManyAttempts(_))), "{waits:?}");
    let here = typed(NEW).network;
    mailed.identity.reset_by_link(&link, Password::new(NEW).unwrap(), here, &cause).await.unwrap();
    let elsewhere = SignIn { network: "203.0.113.7", ..typed(NEW) };
    let waits = mailed.identity.sign_in(elsewhere, &cause).await;
    assert!(matches!(waits, Err(Error::TooManyAttempts(_))), "{waits:?}");
    mailed.identity.sign_in(typed(NEW), &cause).await.unwrap();
    // An hour later it is one network like any other.
    shop.run("identity", "UPDATE @attempts SET since = since - 3600001 WHERE what LIKE 'proven:%'").await;
    let waits = mailed.identity.sign_in(typed(NEW), &cause).await;
    assert!(matches!(waits, Err(Error::TooManyAttempts(_))), "{waits:?}");
}

async fn one_network_uses_up_its_own_share_of_what_is_asked_for(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    mailed.ask(Purpose::Reset, ADDRESS).await.unwrap();
    let full = "UPDATE @attempts SET count = 100 WHERE what LIKE 'asked:reset:network:%'";
    shop.run("identity", full).await;
    let refused = mailed.ask(Purpose::Reset, ADDRESS).await;
    assert!(matches!(refused, Err(Error::TooManyRequests)), "{refused:?}");
    let count = "SELECT count FROM @attempts WHERE what = 'asked:reset'";
    assert_eq!(shop.number("identity", count).await, 1, "it takes nothing of what everybody has");
    mailed.ask_from("203.0.113.7", Purpose::Reset, ADDRESS).await.unwrap();
    mailed.ask(Purpose::Register, "another@example.org").await.unwrap();
}

async fn a_mail_is_tried_again_until_its_link_has_expired(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let reason = format!("<{ADDRESS}>: no route to the server");
    *mailed.letters.broken.lock().unwrap() = Some(Unsent { reason, refused: false });
    mailed.ask(Purpose::Register, ADDRESS).await.unwrap();
    assert_eq!(mailed.mails().await, []);
    let db = shop.db("identity");
    let found = fault(&db, true).await.unwrap().unwrap();
    assert!(found.contains("<…>: no route to the server"), "{found}");
    let unset = fault(&db, false).await.unwrap().unwrap();
    assert!(unset.contains("no server that sends them is named"), "{unset}");
    let tries = async || shop.number("identity", "SELECT tries FROM @mails WHERE due_at > 0").await;
    let first = tries().await;
    assert!(first > 0, "{first}");
    shop.run("identity", "UPDATE @mails SET due_at = 0").await;
    assert_eq!(mailed.mails().await, []);
    assert!(tries().await > first);
    // One whose address the server does not take is no fault of the shop.
    let refused = Unsent { reason: "no such mailbox".to_owned(), refused: true };
    *mailed.letters.broken.lock().unwrap() = Some(refused);
    shop.run("identity", "UPDATE @mails SET due_at = 0").await;
    assert_eq!(mailed.mails().await, []);
    assert_eq!(fault(&db, true).await.unwrap(), None);
    *mailed.letters.broken.lock().unwrap() = None;
    shop.run("identity", "UPDATE @mails SET due_at = due_at + 600000").await;
    assert_eq!(mailed.mails().await, [], "it is not due");
    shop.run("identity", "UPDATE @mails SET due_at = 0").await;
    assert_eq!(mailed.mails().await.len(), 1);
    assert_eq!(mailed.mails().await, [], "once is enough");
    assert_eq!(fault(&db, false).await.unwrap(), None);
    // None goes out for a link that has expired.
    mailed.ask(Purpose::Register, "late@example.org").await.unwrap();
    *mailed.letters.broken.lock().unwrap() = Some(Unsent { reason: String::new(), refused: false });
    assert_eq!(mailed.mails().await, []);
    *mailed.letters.broken.lock().unwrap() = None;
    shop.run("identity", "UPDATE @mails SET due_at = 0, expires_at = 1").await;
    assert_eq!(mailed.mails().await, []);
    assert_eq!(mailed.rows("mails").await, 0);
}

async fn who_is_erased_gets_no_mail_and_has_no_request_left(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    let id = mailed.account().await;
    *mailed.letters.broken.lock().unwrap() = Some(Unsent { reason: String::new(), refused: false });
    mailed.ask(Purpose::Reset, ADDRESS).await.unwrap();
    assert_eq!(mailed.mails().await, []);
    mailed.ask(Purpose::Register, ADDRESS).await.unwrap();
    assert_eq!((mailed.rows("mails").await, mailed.rows("links").await), (1, 1));
    assert!(mailed.rows("attempts WHERE what LIKE 'mailed:%'").await > 0);
    assert!(mailed.identity.erase(id).await.unwrap());
    for table in ["accounts", "mails", "links", "requests", "attempts WHERE what LIKE 'mailed:%'"] {
        assert_eq!(mailed.rows(table).await, 0, "{table}");
    }
}

async fn nothing_personal_of_a_registration_is_stored_in_clear(shop: Shop) {
    let mailed = Mailed::new(&shop).await;
    *mailed.letters.broken.lock().unwrap() = Some(Unsent { reason: String::new(), refused: false });
    mailed.ask(Purpose::Register, ADDRESS).await.unwrap();
    assert_eq!(mailed.mails().await, []);
    *mailed.letters.broken.lock().unwrap() = None;
    shop.run("identity", "UPDATE @mails SET due_at = 0").await;
    let link = mailed.mails().await.remove(0).link.unwrap();
    let given = Given {
        link: &link,
        name: Some("Augusta King"),
        password: Password::new(PASSWORD).unwrap(),
        advertising: None,
        network: "",
    };
    let proven = mailed.identity.use_registration(given).await.unwrap();
    assert_eq!((proven.name.as_deref(), proven.address.as_str()), (Some("Augusta King"), ADDRESS));
    assert!(!format!("{proven:?}").contains("Augusta"));
    for column in ["address", "name"] {
        let sql = format!("SELECT {column} FROM @requests");
        let stored = shop.text("identity", &sql).await.unwrap();
        assert!(stored.starts_with("eyJhbGciOiJkaXIi"), "{column} is sealed: {stored}");
    }
    let all = mailed.store.log().read(1, 1_000).await.unwrap();
    for row in all {
        for secret in [ADDRESS, &link, "Augusta", "argon2"] {
            assert!(!row.payload.contains(secret) && !row.metadata.contains(secret), "{secret}");
        }
    }
}
