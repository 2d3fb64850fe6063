//! The personal fields of answers, and which of them each role sees: one table.

use super::role::Role;

/// A personal field of an answer, by the name that it has in every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Field {
    Name,
    Email,
    Phone,
    /// Of an address book also its parts, by their own names; and what somebody wrote about a line of their cart.
    #[strum(
        to_string = "address",
        serialize = "label",
        serialize = "street",
        serialize = "postal_code",
        serialize = "city",
        serialize = "region",
        serialize = "note"
    )]
    Address,
}

/// Every personal field.
pub const ALL_FIELDS: &[Field] = <Field as strum::VariantArray>::VARIANTS;

/// How much of another person's values a role sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonalAccess {
    /// None.
    Nothing,
    /// These, where the request says why (`X-Reason`).
    ForReason(&'static [Field]),
    /// All of the person on whose behalf it asks (`X-On-Behalf-Of`).
    OnBehalf,
    /// All.
    Everything,
}

impl Role {
    /// The values that it sees. A role that sees any has the permission `read-personal`.
    pub const fn personal_access(self) -> PersonalAccess {
        match self {
            Self::Guest | Self::Own => PersonalAccess::Nothing,
            Self::Support => PersonalAccess::ForReason(&[Field::Name, Field::Email, Field::Phone]),
            Self::Warehouse | Self::Ops => {
                PersonalAccess::ForReason(&[Field::Name, Field::Phone, Field::Address])
            }
            Self::Finance => PersonalAccess::ForReason(&[Field::Name, Field::Address]),
            Self::Service => PersonalAccess::OnBehalf,
            Self::Auditor | Self::Admin => PersonalAccess::Everything,
        }
    }
}

impl PersonalAccess {
    /// What somebody with both sees.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
            (Self::ForReason(one), Self::ForReason(two)) => Self::ForReason(union(one, two)),
            (Self::Nothing, other) => other,
            (one, _) => one,
        }
    }
}

/// Every field of both. No two lists of the table leave a field out together unless one of them holds the other (a test
/// tries all pairs).
fn union(one: &'static [Field], two: &'static [Field]) -> &'static [Field] {
    let holds = |all: &[Field], some: &[Field]| some.iter().all(|field| all.contains(field));
    if holds(one, two) {
        one
    } else if holds(two, one) {
        two
    } else {
        ALL_FIELDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_with_two_roles_sees_the_fields_of_both_and_no_others() {
        for one in Role::STAFF {
            for two in Role::STAFF {
                let (first, second) = (one.personal_access(), two.personal_access());
                let fields = |seen| match seen {
                    PersonalAccess::Nothing | PersonalAccess::OnBehalf => Vec::new(),
                    PersonalAccess::ForReason(fields) => fields.to_vec(),
                    PersonalAccess::Everything => ALL_FIELDS.to_vec(),
                };
                let (first_fields, second_fields) = (fields(first), fields(second));
                for field in ALL_FIELDS {
                    let either = first_fields.contains(field) || second_fields.contains(field);
                    assert_eq!(fields(first.or(second)).contains(field), either, "{one} {two} {field:?}");
                }
                let everything = [first, second].contains(&PersonalAccess::Everything);
                assert_eq!(first.or(second) == PersonalAccess::Everything, everything);
            }
        }
    }
}
