//! Roles and what they may do: one table.

/// The role of a caller. Stored beside each API key under this name.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::AsRefStr,
    strum::EnumString,
    strum::Display,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// A caller without a key. No key has this role.
    Guest,
    /// Helps customers.
    Support,
    /// Receives, counts and ships goods.
    Warehouse,
    /// Credits, and reads figures and the audit trail.
    Finance,
    /// Reads everything and changes nothing.
    Auditor,
    /// Runs the shop and its system.
    Ops,
    /// May do everything; also the role of the operator's token.
    Admin,
    /// A program, such as a storefront.
    Service,
    /// Staff with none of these roles, but some that the shop defined: those say what they may do
    /// ([`MoreRoles`](super::MoreRoles)). No key has this role, and it has no permission.
    Own,
}

impl Role {
    /// Those with permissions.
    pub const ALL: [Self; 8] = [
        Self::Guest,
        Self::Support,
        Self::Warehouse,
        Self::Finance,
        Self::Auditor,
        Self::Ops,
        Self::Admin,
        Self::Service,
    ];

    /// Those of staff, from the one that may do most on: the roles that an account can have beside those of the shop's own.
    pub const STAFF: [Self; 6] =
        [Self::Admin, Self::Ops, Self::Support, Self::Finance, Self::Warehouse, Self::Auditor];

    pub fn may(self, permission: Permission) -> bool {
        permission.holders().contains(&self)
    }
}

/// Something that only some roles may do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::AsRefStr,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Permission {
    /// Query the read models.
    Read,
    /// See personal values of one person in a look-up, as far as [`Role::personal_access`] says; each look is recorded.
    ReadPersonal,
    /// Have an account, and buy.
    Shop,
    /// See what was sold, credited and moved, and what is in stock, in reports. A guest or customer has it where no other
    /// machine reaches the shop alone.
    Figures,
    /// Register users. Whoever wants an account of their own proves their address by a link instead; a guest has it where
    /// no other machine reaches the shop alone.
    Register,
    /// Change products and prices.
    Trade,
    /// Receive and adjust stock, ship orders.
    Stock,
    /// Reserve, release and ship the stock of an order line by hand.
    Fulfil,
    /// Issue credit notes for orders, and pay back what was paid for them.
    Refund,
    /// Charge what is authorized, release it, and close payments.
    Charge,
    /// Erase the personal values of a person.
    ErasePerson,
    /// Erase the notes of the holder of an API key that is no longer valid.
    EraseStaff,
    /// Choose business times, order numbers and prices, issue credit notes without an order, and import.
    Override,
    /// Act on behalf of a customer: name them, the channel, and a reason in free text.
    ActOnBehalf,
    /// Read the audit trail with personal values masked; look up the person who has a known value.
    Audit,
    /// Take the audit trail, or the record of operations, away as a file, with personal values masked.
    Export,
    /// See the personal values in it, for a reason that is recorded.
    Reveal,
    /// Retry parked events and waiting commands of process managers; discard parked events.
    RetryParked,
    /// Acknowledge what a check of the seals found, for a reason that is recorded.
    Acknowledge,
}

impl Permission {
    pub const ALL: [Self; 19] = [
        Self::Read,
        Self::ReadPersonal,
        Self::Figures,
        Self::Shop,
        Self::Register,
        Self::Trade,
        Self::Stock,
        Self::Fulfil,
        Self::Refund,
        Self::Charge,
        Self::ErasePerson,
        Self::EraseStaff,
        Self::Override,
        Self::ActOnBehalf,
        Self::Audit,
        Self::Export,
        Self::Reveal,
        Self::RetryParked,
        Self::Acknowledge,
    ];

    /// What it allows to do, for the documentation: the table in docs/api.md is made from this.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Read => "query the read models",
            Self::ReadPersonal => {
                "see personal values of one person in a look-up, as far as [this table](privacy.md#who-sees-what) says; \
                 each look is recorded"
            }
            Self::Figures => "see reports: what was sold, credited, moved, and is in stock",
            Self::Shop => "have an account, and buy",
            Self::Register => "register users",
            Self::Trade => "change products and prices",
            Self::Stock => "receive and adjust stock, ship orders",
            Self::Fulfil => "reserve, release and ship the stock of an order line by hand",
            Self::Refund => "issue credit notes for orders, and pay back what was paid for them",
            Self::Charge => "charge what is authorized for an order, release it, and close payments",
            Self::ErasePerson => "erase the personal values of a person",
            Self::EraseStaff => "erase the notes of the holder of a key that is no longer valid",
            Self::Override => {
                "choose business times, numbers and prices of orders and credit notes; issue credit notes without an \
                 order; import; give back SKUs of deleted products"
            }
            Self::ActOnBehalf => "`X-On-Behalf-Of`, `X-Channel`, `X-Reason-Note`",
            Self::Audit => {
                "see the audit trail with personal values masked, leave notes on it, look up the person who has a known \
                 value"
            }
            Self::Export => {
                "take the audit trail, or the record of operations, away as a file, with personal values masked"
            }
            Self::Reveal => "see personal values, for a reason that is recorded",
            Self::RetryParked => {
                "retry parked events and waiting commands of process managers; discard parked events"
            }
            Self::Acknowledge => {
                "acknowledge what a check of the seals found, and failures of process managers; it is recorded"
            }
        }
    }

    /// The roles that have it. A guest has [`Trade`](Self::Trade) and [`Stock`](Self::Stock) only
    /// where no other machine reaches the shop
    /// ([`Access::reached_by_others`](super::Access::reached_by_others)).
    pub const fn holders(self) -> &'static [Role] {
        use Role::{Admin, Auditor, Finance, Guest, Ops, Service, Support, Warehouse};
        match self {
            Self::Read | Self::Figures => &Role::ALL,
            Self::ReadPersonal => &[Support, Warehouse, Finance, Auditor, Ops, Admin, Service],
            Self::Shop | Self::Register => &[Guest, Support, Admin, Service],
            Self::Trade => &[Guest, Ops, Admin, Service],
            Self::Stock => &[Guest, Warehouse, Ops, Admin, Service],
            Self::Fulfil => &[Warehouse, Ops, Admin, Service],
            Self::Refund => &[Support, Finance, Admin],
            Self::Charge => &[Finance, Admin],
            Self::ErasePerson => &[Support, Admin],
            Self::EraseStaff | Self::Override => &[Admin],
            Self::ActOnBehalf => &[Support, Ops, Admin, Service],
            Self::Audit | Self::Export => &[Support, Finance, Auditor, Ops, Admin],
            Self::Reveal => &[Auditor, Admin],
            Self::RetryParked | Self::Acknowledge => &[Ops, Admin],
        }
    }
}
