//! The owners of the things that an endpoint touches. A permission asks about the verb; this asks about the thing.

use strum::IntoEnumIterator as _;

/// The owners of the things that a row of a table touches. Every row that changes something names one of these, and it is
/// checked against the thing itself, after the permission was checked against the caller.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::AsRefStr, strum::Display, strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Owner {
    /// Something new, which no one has yet.
    New,
    /// Something that the caller has: for a guest what their token began, for a key every customer's.
    Own,
    /// What a guest began, whose token the body has.
    Guests,
    /// A user or a guest of the shop, whoever asks. Never the holder of a key, or an account of staff.
    Person,
    /// The holder of an API key that is no longer valid, or an account of staff that may not sign in any more. Never the
    /// operator.
    Staff,
    /// The shop itself: products, stock, read models, process managers.
    TheShop,
    /// Anyone's things.
    Anyone,
}

impl Owner {
    /// All of them, in their order.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// Its meaning, for the descriptions of the API.
    pub const fn about(self) -> &'static str {
        match self {
            Self::New => "It begins something new.",
            Self::Own => {
                "A guest may touch what their token began, a customer what is theirs; a key what any customer has."
            }
            Self::Guests => "It is about what a guest began, whose token the body has.",
            Self::Person => {
                "It is about a user or a guest, and never about an account of staff, the holder of a key or the operator."
            }
            Self::Staff => {
                "It is about the holder of an API key that was revoked or has expired, or an account of staff that may not sign in any more, and never about the operator."
            }
            Self::TheShop => "It is about the shop's own things, which are no person's.",
            Self::Anyone => "It may be about anyone's things.",
        }
    }
}
