//! Roles that the shop defines: what they permit, and what is recorded of them.

use soonshop_domain::identity::role::stream;
use soonshop_identity::{Cause, RoleRemoval, Roles};

use crate::fixture::{Shop, on_both};
use crate::recording::{PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    a_role_of_the_shops_own_permits_what_it_is_defined_to_at_the_next_look,
    what_each_role_permits_is_recorded_when_it_changes_and_only_then,
);

async fn a_role_of_the_shops_own_permits_what_it_is_defined_to_at_the_next_look(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let cause = Cause::system();
    let started = identity.sign_in(typed(PASSWORD), &cause).await.unwrap();
    let may = async || identity.active(started.active.session).await.unwrap().unwrap().permissions;
    assert!(identity.define_role("buyer", &["read", "trade"], &cause).await.unwrap());
    assert!(!identity.define_role("buyer", &["read", "trade"], &cause).await.unwrap(), "it is so already");
    assert!(may().await.is_empty(), "the account does not have it");
    identity.set_roles(id, &Roles::given(["support", "buyer"]), &cause).await.unwrap();
    assert_eq!(may().await, ["read", "trade"]);
    let again = identity.sign_in(typed(PASSWORD), &cause).await.unwrap();
    assert_eq!(again.active.permissions, ["read", "trade"]);
    identity.define_role("buyer", &["read"], &cause).await.unwrap();
    assert_eq!(may().await, ["read"]);
    assert_eq!(identity.remove_role("buyer", &cause).await.unwrap(), RoleRemoval::Held(1));
    assert_eq!(may().await, ["read"], "a refused removal changes nothing");
    identity.set_roles(id, &Roles::given(["support"]), &cause).await.unwrap();
    assert_eq!(identity.remove_role("buyer", &cause).await.unwrap(), RoleRemoval::Removed);
    assert_eq!(identity.remove_role("buyer", &cause).await.unwrap(), RoleRemoval::Unknown);
    assert!(identity.defined_roles().await.unwrap().is_empty());
    // Under the name of a role that was removed nobody may anything.
    identity.set_roles(id, &Roles::given(["buyer"]), &cause).await.unwrap();
    assert!(may().await.is_empty());
    assert!(identity.define_role("buyer", &["stock"], &cause).await.unwrap());
    assert_eq!(may().await, ["stock"]);
}

async fn what_each_role_permits_is_recorded_when_it_changes_and_only_then(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    identity.prepare().await.unwrap();
    let (one, two) = (("support", vec!["read"]), ("auditor", vec!["read", "audit"]));
    identity.record_roles(&[one.clone(), two.clone()]).await.unwrap();
    identity.record_roles(&[one, two]).await.unwrap();
    identity.record_roles(&[("support", vec!["read", "refund"])]).await.unwrap();
    identity.define_role("buyer", &["trade"], &Cause::system()).await.unwrap();
    identity.remove_role("buyer", &Cause::system()).await.unwrap();
    assert_eq!(
        identity.remove_role("support", &Cause::system()).await.unwrap(),
        RoleRemoval::Unknown,
        "a role of the release stays"
    );
    let worker = facts(&shop, &store);
    while worker.round().await.unwrap() {}
    for (name, expected) in
        [("support", &["RoleDefined"][..]), ("auditor", &[]), ("buyer", &["RoleDefined", "RoleRemoved"])]
    {
        assert_eq!(recorded(&store, "role", stream(name)).await, expected, "{name}");
    }
}
