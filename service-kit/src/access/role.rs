//! Roles and what they may do: one table.

/// What a caller is to the shop. Stored beside each key under this name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::AsRefStr, strum::EnumString, strum::Display,
)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Whoever shows nothing. No key has this role.
    Guest,
    /// Helps customers.
    Support,
    /// Looks at everything and changes nothing.
    Auditor,
    /// Keeps goods, and the system, moving.
    Ops,
    /// Everything; also the operator's token.
    Admin,
    /// A program, such as a storefront.
    Service,
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Guest, Self::Support, Self::Auditor, Self::Ops, Self::Admin, Self::Service];

    pub fn may(self, permission: Permission) -> bool {
        permission.holders().contains(&self)
    }
}

/// Something that not everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::AsRefStr, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Permission {
    /// Ask what the read models answer.
    Read,
    /// Have an account, and buy.
    Shop,
    /// Products, prices, goods that come in or go out.
    Trade,
    /// Move stock for the line of an order by hand.
    Fulfil,
    /// Give money back.
    Refund,
    /// Have a person forgotten.
    Forget,
    /// Business time, numbers and prices of one's own, and what an import brings.
    Override,
    /// Say on behalf of whom, through which door and in one's own words why.
    Vouch,
    /// See what happened, with what is personal masked; take it along; look up whose a value is that one knows.
    Audit,
    /// See what is personal in it, for a reason.
    Reveal,
    /// Try parked events again, or discard them.
    Mend,
}

impl Permission {
    pub const ALL: [Self; 11] = [
        Self::Read,
        Self::Shop,
        Self::Trade,
        Self::Fulfil,
        Self::Refund,
        Self::Forget,
        Self::Override,
        Self::Vouch,
        Self::Audit,
        Self::Reveal,
        Self::Mend,
    ];

    /// The table. A guest may trade as long as nobody but this machine can reach the shop.
    pub const fn holders(self) -> &'static [Role] {
        use Role::{Admin, Auditor, Guest, Ops, Service, Support};
        match self {
            Self::Read => &[Guest, Support, Auditor, Ops, Admin, Service],
            Self::Shop => &[Guest, Support, Admin, Service],
            Self::Trade => &[Guest, Ops, Admin, Service],
            Self::Fulfil => &[Ops, Admin, Service],
            Self::Refund | Self::Forget => &[Support, Admin],
            Self::Override => &[Admin],
            Self::Vouch => &[Support, Ops, Admin, Service],
            Self::Audit => &[Support, Auditor, Ops, Admin],
            Self::Reveal => &[Auditor, Admin],
            Self::Mend => &[Ops, Admin],
        }
    }
}
