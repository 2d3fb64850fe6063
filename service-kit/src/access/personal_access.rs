//! Which personal values of one person a role sees in the clear. Two tables: [`Role::personal_access`], and what it holds.
//!
//! Everybody else gets a marker in place of each value. A list never shows one in the clear.

use axum::http::HeaderMap;
use soonshop_domain::ActorKind;
use uuid::Uuid;

use super::caller::Caller;
pub use super::personal_fields::{ALL_FIELDS, Field, PersonalAccess};
use super::role::{Permission, Role};
use crate::Problem;
use crate::headers;

/// The reason that a query gives for showing personal values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purposes {
    /// The code in `X-Reason`.
    pub reason: Option<String>,
    /// The actor in `X-On-Behalf-Of`, as it is stored beside events: `customer:<id>` or `guest:<id>`.
    pub on_behalf_of: Option<String>,
}

impl Purposes {
    /// Reads both headers.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let on_behalf_of = headers::on_behalf_of(headers)?.map(|customer| customer.to_string());
        Ok(Self { reason: headers::reason(headers)?, on_behalf_of })
    }

    /// Whether it asks on behalf of this person: of a user as a customer, of a buyer without an account as a guest.
    fn is_for(&self, kind: ActorKind, person: Uuid) -> bool {
        self.on_behalf_of.as_deref() == Some(format!("{kind}:{person}").as_str())
    }
}

/// The fields of this person, a customer or a guest, that the caller sees in the clear. What they see of others has to be
/// recorded first.
pub fn visible_fields(
    caller: &Caller,
    purposes: &Purposes,
    kind: ActorKind,
    person: Uuid,
) -> &'static [Field] {
    if is_own(caller, person) {
        return ALL_FIELDS;
    }
    match personal_access(caller) {
        PersonalAccess::Everything => ALL_FIELDS,
        PersonalAccess::ForReason(fields) if purposes.reason.is_some() => fields,
        PersonalAccess::OnBehalf if purposes.is_for(kind, person) => ALL_FIELDS,
        PersonalAccess::Nothing | PersonalAccess::ForReason(_) | PersonalAccess::OnBehalf => &[],
    }
}

/// What the caller's roles may see, unless their key was made for other things.
fn personal_access(caller: &Caller) -> PersonalAccess {
    if caller.scope.has(Permission::ReadPersonal) {
        caller.role.personal_access().or(caller.more.personal_access())
    } else {
        PersonalAccess::Nothing
    }
}

/// Whether these are the caller's own values.
pub fn is_own(caller: &Caller, person: Uuid) -> bool {
    let own = match caller.guest {
        Some(guest) => guest.id == person,
        None => caller.actor.kind == ActorKind::Customer && caller.actor.id == person.to_string(),
    };
    own && caller.role == Role::Guest
}

/// Whether the caller may recognize people in a list, by the beginnings of names and e-mail addresses.
pub fn may_search_people(caller: &Caller) -> bool {
    matches!(personal_access(caller), PersonalAccess::Everything | PersonalAccess::ForReason(_))
}

#[cfg(test)]
mod tests {
    use soonshop_domain::Actor;

    use super::*;
    use crate::access::{KnownGuest, Permission};

    fn caller(role: Role) -> Caller {
        Caller { role, ..Caller::guest() }
    }

    fn names(fields: &[Field]) -> String {
        fields.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" ")
    }

    #[test]
    fn a_role_that_sees_a_value_has_the_permission_and_no_other() {
        for role in Role::ALL {
            let sees = role.personal_access() != PersonalAccess::Nothing;
            assert_eq!(sees, role.may(Permission::ReadPersonal), "{role}");
        }
    }

    #[test]
    fn a_role_sees_what_the_table_says_and_only_under_its_condition() {
        let (ada, ben) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let why = Purposes { reason: Some("parcel-label".to_owned()), on_behalf_of: None };
        let for_ada = Purposes { reason: None, on_behalf_of: Some(format!("customer:{ada}")) };
        let all = "name email phone address";
        for (role, plain, with_reason, on_behalf) in [
            (Role::Guest, "", "", ""),
            (Role::Support, "", "name email phone", ""),
            (Role::Warehouse, "", "name phone address", ""),
            (Role::Finance, "", "name address", ""),
            (Role::Auditor, all, all, all),
            (Role::Ops, "", "name phone address", ""),
            (Role::Admin, all, all, all),
            (Role::Service, "", "", all),
        ] {
            let caller = caller(role);
            let sees =
                |purposes: &Purposes| names(visible_fields(&caller, purposes, ActorKind::Customer, ada));
            let found = [sees(&Purposes::default()), sees(&why), sees(&for_ada)];
            assert_eq!(found, [plain, with_reason, on_behalf], "{role}");
        }
        let service = caller(Role::Service);
        let sees =
            |purposes: &Purposes, kind, person| names(visible_fields(&service, purposes, kind, person));
        assert_eq!(sees(&for_ada, ActorKind::Customer, ben), "", "another person");
        let as_guest = Purposes { reason: None, on_behalf_of: Some(format!("guest:{ada}")) };
        assert_eq!(sees(&as_guest, ActorKind::Customer, ada), "", "a user is no guest");
        assert_eq!(sees(&for_ada, ActorKind::Guest, ada), "", "a guest is no customer");
        assert_eq!(sees(&as_guest, ActorKind::Guest, ada), all);
    }

    #[test]
    fn own_values_stay_readable_to_their_owner() {
        let (ada, ben) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let actor = Actor { kind: ActorKind::Customer, id: ada.to_string() };
        let owner = Caller { actor, ..Caller::guest() };
        assert_eq!(visible_fields(&owner, &Purposes::default(), ActorKind::Customer, ada), ALL_FIELDS);
        assert!(visible_fields(&owner, &Purposes::default(), ActorKind::Customer, ben).is_empty());
        let posing =
            Caller { actor: Actor { kind: ActorKind::Staff, id: ada.to_string() }, ..Caller::guest() };
        assert!(!is_own(&posing, ada), "a key is no customer");
        let guest = KnownGuest { id: ada, first_command: Uuid::from_u128(3) };
        let guest = Caller::guest().as_guest(guest);
        assert_eq!(visible_fields(&guest, &Purposes::default(), ActorKind::Guest, ada), ALL_FIELDS);
        assert!(visible_fields(&guest, &Purposes::default(), ActorKind::Guest, ben).is_empty());
        let anonymous = Caller { actor: Actor::guest(ada.to_string()), ..Caller::guest() };
        assert!(!is_own(&anonymous, ada), "without a token nobody is a guest");
    }
}
