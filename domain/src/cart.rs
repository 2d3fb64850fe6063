//! Carts: what a guest or a customer means to buy. A cart begins with its first line and ends: it is merged into another
//! one, is bought, or expires. It holds no prices but those that its owner last saw; it is priced when it
//! is read.
//!
//! Its state is bounded: 200 lines, 1,000 changes, ten share links.

mod decide;
mod line;
mod sale;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::line::{Line, NewLine, NewNote, Note, Seen};
pub use self::sale::{Notice, Offer, Priced, price};
use crate::claim::scope;
use crate::ids::{self, CartId, GuestId, OrderId, UserId};
use crate::order::Customer;
use crate::user::person;
use crate::{
    Classified, Currency, Decider, ErrorKind, EventInfo, Expectation, Facts, Hold, Money, PersonalValue,
    Sensitive,
};

/// The most lines of a cart.
pub const MOST_LINES: usize = 200;

/// The most changes of a cart.
pub const MOST_CHANGES: u32 = 1_000;

/// So many more are there for checkouts that come to nothing: two for each.
pub const CHECKOUT_CHANGES: u32 = 100;

/// So many lines with the longest notes fit in one event.
const LINES_OF_AN_EVENT: usize = 50;

/// The most units of a line. So many of every line at the highest price are less than an amount can hold.
pub const MOST_UNITS: u32 = 100_000;

/// The most share links that hold at the same time.
pub const MOST_SHARES: usize = 10;

/// How many days a share link holds: unless its owner says otherwise, and at most.
pub const SHARE_DAYS: i64 = 30;
pub const MOST_SHARE_DAYS: i64 = 90;

/// The only channel there is.
pub const CHANNEL: &str = "main";

/// Where the carts that an account took over from guests are found in the log: aggregate type, event type and field.
pub const CLAIMS_BY_USER: [&str; 3] = ["cart", "CartClaimed", "user"];
pub const MERGES_BY_USER: [&str; 3] = ["cart", "CartMerged", "owner"];

/// Where the carts of a guest are found in the log.
pub const CARTS_BY_GUEST: [&str; 3] = ["cart", "CartStarted", "customer.guest"];

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begins a cart with its first line.
    Start {
        channel: String,
        customer: Customer,
        line: NewLine,
    },
    /// Adds a line, or its units to a line without a note that has the SKU.
    Add {
        line: NewLine,
    },
    /// Replaces the quantity, and the note where there is another one. `seen`: the price and the name that count as seen
    /// from now on; those of before where it is absent.
    Change {
        line: u32,
        quantity: u32,
        note: NewNote,
        seen: Option<Seen>,
    },
    Remove {
        line: u32,
    },
    /// Keeps a line for later: it is not bought with the others.
    Save {
        line: u32,
    },
    /// Wants a saved line again.
    Want {
        line: u32,
    },
    /// Lets whoever has the secret of the share see the lines.
    Share {
        share: Uuid,
        until: Option<DateTime<Utc>>,
    },
    EndShare {
        share: Uuid,
    },
    /// An account takes a guest's cart over.
    Claim {
        user: UserId,
        guest: GuestId,
        /// The notes of its lines, for the account.
        notes: Vec<Note>,
        /// The changes that the cart had when the notes were read.
        changes: u32,
    },
    /// Takes the lines of a guest's cart, which is merged into this one in the same append.
    Take {
        from: CartId,
        lines: Vec<Line>,
    },
    /// The other side of [`Take`](Self::Take).
    MergeInto {
        into: CartId,
        owner: UserId,
        guest: GuestId,
        /// The changes that the cart had when its lines were read.
        changes: u32,
    },
    /// A checkout of its lines starts, in the same append: nothing is changed in it meanwhile.
    BeginCheckout {
        checkout: OrderId,
        /// The changes that the cart had when its lines were read.
        changes: u32,
    },
    /// The checkout came to nothing: the cart is as it was.
    EndCheckout {
        checkout: OrderId,
    },
    /// The checkout became an order, in the same append.
    CheckOut {
        checkout: OrderId,
    },
    /// Changes nothing: its answer is that of a command that was done before.
    Stay,
    /// Nothing was changed for too long.
    Expire {
        /// The changes that it had then; `None`: whatever was changed since.
        changes: Option<u32>,
    },
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    CartStarted {
        channel: String,
        currency: Currency,
        customer: Customer,
        #[serde(flatten)]
        first: Line,
    },
    CartLineAdded {
        customer: Customer,
        #[serde(flatten)]
        added: Line,
    },
    CartLineChanged {
        customer: Customer,
        line: u32,
        quantity: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<crate::Personal<String>>,
        seen: Seen,
    },
    CartLineRemoved {
        line: u32,
    },
    CartLineSaved {
        line: u32,
    },
    CartLineWanted {
        line: u32,
    },
    CartShared {
        share: Uuid,
        until: DateTime<Utc>,
    },
    CartShareEnded {
        share: Uuid,
    },
    /// An account took a guest's cart over. The notes are encrypted anew, for the account. Where they are many, there are
    /// several of these events, in one append.
    CartClaimed {
        user: UserId,
        guest: GuestId,
        notes: Vec<Note>,
    },
    /// The lines of a guest's cart as they are in this one now: new ones, and those whose quantities were added up. Where
    /// they are many, there are several of these events, in one append.
    CartLinesTaken {
        customer: Customer,
        from: CartId,
        lines: Vec<Line>,
    },
    CartMerged {
        into: CartId,
        /// Whose that cart is.
        owner: UserId,
    },
    CartExpired {},
    /// Nothing is changed in it while the checkout runs.
    CartCheckoutBegun {
        checkout: OrderId,
    },
    CartCheckoutEnded {
        checkout: OrderId,
    },
    /// Its lines were bought.
    CartCheckedOut {
        checkout: OrderId,
        /// What is kept for later stays in it, and the cart goes on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        goes_on: bool,
    },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::CartStarted { first: Line { note, .. }, .. }
            | Self::CartLineAdded { added: Line { note, .. }, .. }
            | Self::CartLineChanged { note, .. } => {
                note.iter_mut().map(|note| note as &mut dyn PersonalValue).collect()
            }
            Self::CartClaimed { notes, .. } => {
                notes.iter_mut().map(|one| &mut one.note as &mut dyn PersonalValue).collect()
            }
            Self::CartLinesTaken { lines, .. } => lines
                .iter_mut()
                .filter_map(|line| line.note.as_mut().map(|note| note as &mut dyn PersonalValue))
                .collect(),
            Self::CartLineRemoved { .. }
            | Self::CartLineSaved { .. }
            | Self::CartLineWanted { .. }
            | Self::CartShared { .. }
            | Self::CartShareEnded { .. }
            | Self::CartMerged { .. }
            | Self::CartExpired {}
            | Self::CartCheckoutBegun { .. }
            | Self::CartCheckoutEnded { .. }
            | Self::CartCheckedOut { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        match self {
            Self::CartStarted { customer, .. }
            | Self::CartLineAdded { customer, .. }
            | Self::CartLineChanged { customer, .. }
            | Self::CartLinesTaken { customer, .. } => Some(customer.subject()),
            Self::CartClaimed { user, .. } | Self::CartMerged { owner: user, .. } => Some(user.0),
            Self::CartLineRemoved { .. }
            | Self::CartLineSaved { .. }
            | Self::CartLineWanted { .. }
            | Self::CartShared { .. }
            | Self::CartShareEnded { .. }
            | Self::CartExpired {}
            | Self::CartCheckoutBegun { .. }
            | Self::CartCheckoutEnded { .. }
            | Self::CartCheckedOut { .. } => None,
        }
    }

    /// The price of a unit that the owner of the cart saw.
    fn amount(&self) -> Option<Money> {
        match self {
            Self::CartStarted { first: Line { seen, .. }, .. }
            | Self::CartLineAdded { added: Line { seen, .. }, .. }
            | Self::CartLineChanged { seen, .. } => Some(seen.price),
            Self::CartLineRemoved { .. }
            | Self::CartLineSaved { .. }
            | Self::CartLineWanted { .. }
            | Self::CartShared { .. }
            | Self::CartShareEnded { .. }
            | Self::CartClaimed { .. }
            | Self::CartLinesTaken { .. }
            | Self::CartMerged { .. }
            | Self::CartExpired {}
            | Self::CartCheckoutBegun { .. }
            | Self::CartCheckoutEnded { .. }
            | Self::CartCheckedOut { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::CartStarted | EventKind::CartLineAdded | EventKind::CartLineChanged => {
                Some("seen.price")
            }
            EventKind::CartLineRemoved
            | EventKind::CartLineSaved
            | EventKind::CartLineWanted
            | EventKind::CartShared
            | EventKind::CartShareEnded
            | EventKind::CartClaimed
            | EventKind::CartLinesTaken
            | EventKind::CartMerged
            | EventKind::CartExpired
            | EventKind::CartCheckoutBegun
            | EventKind::CartCheckoutEnded
            | EventKind::CartCheckedOut => None,
        }
    }

    fn name_paths(_: EventKind) -> &'static [&'static str] {
        &[]
    }

    fn is_refusal(_: EventKind) -> bool {
        false
    }

    fn expects(_: EventKind) -> Option<Expectation<EventKind>> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("there is no such cart")]
    CartNotFound,
    #[error("the cart exists already")]
    CartExists,
    #[error("the cart ended: what was in it is in the cart {0} now")]
    CartEnded(CartId),
    #[error("nothing was changed in the cart for too long, and it ended: start another one")]
    CartExpired,
    #[error(
        "a cart has at most 200 lines and 1,000 changes, and ten share links that hold: take something out, or start another \
         one once all changes are used"
    )]
    CartFull,
    #[error("the cart was bought")]
    CartCheckedOut,
    #[error("a checkout of the cart is running: pay for it, or give it up first")]
    CheckoutRunning,
    #[error("nothing in the cart is to be bought now: all of it is kept for later")]
    NothingToBuy,
    #[error("the cart was changed meanwhile: send it again")]
    CartChanged,
    #[error("the cart has no such line")]
    NotInCart,
    #[error("a line has between 1 and 100,000 units")]
    BadQuantity,
    #[error("the cart is in {0}: buy what has another currency with another cart")]
    OtherCurrency(Currency),
    #[error("all lines together cost at most 1,000,000,000,000,000 minor units")]
    TotalTooLarge,
    #[error("a share link holds for at least a moment and at most 90 days")]
    BadShareEnd,
    /// Of the account that claims it.
    #[error(transparent)]
    #[strum(transparent)]
    Person(#[from] person::Error),
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::CartNotFound | Self::NotInCart => ErrorKind::NotFound,
            Self::CartExpired => ErrorKind::Gone,
            Self::CartExists
            | Self::CartEnded(_)
            | Self::CartCheckedOut
            | Self::CheckoutRunning
            | Self::NothingToBuy
            | Self::CartFull
            | Self::CartChanged => ErrorKind::Conflict,
            Self::BadQuantity | Self::OtherCurrency(_) | Self::TotalTooLarge | Self::BadShareEnd => {
                ErrorKind::Invalid
            }
            Self::Person(error) => error.kind(),
        }
    }
}

/// Where a cart is on its way.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Status {
    /// Not begun.
    #[default]
    Unknown,
    Open,
    Merged,
    Expired,
    /// Bought.
    #[serde(rename = "checked_out")]
    #[strum(serialize = "checked_out")]
    CheckedOut,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    pub status: Status,
    /// Whose it is; absent before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<Owned>,
    pub lines: Vec<Line>,
    /// The number of the last line that was added.
    pub last_line: u32,
    /// How often it was changed.
    pub changes: u32,
    /// The share links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// The cart that has its lines now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<CartId>,
    /// The checkout of its lines that runs, or that became an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<OrderId>,
}

/// A share link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// See [`share_of`].
    pub share: Uuid,
    /// Its end.
    pub until: DateTime<Utc>,
}

/// The owner of a cart, and what it was begun with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    pub channel: String,
    pub currency: Currency,
    pub customer: Customer,
}

/// The share that a link's secret opens: the hash of the secret, which is stored nowhere.
pub fn share_of(secret: &str) -> Uuid {
    ids::derived(ids::SHARES, &[secret])
}

/// The value that says that somebody has an open cart in a channel.
pub fn open_cart(channel: &str, customer: &Customer) -> String {
    format!("{channel} {}", customer.subject())
}

impl Decider for Cart {
    const STATE_VERSION: u32 = 2;

    /// Most events of a cart name no person: it is its owner's.
    fn note_about(&self, event: &Event, stream: Uuid) -> Option<Uuid> {
        self.owned.as_ref().map(|owned| owned.customer.subject()).or_else(|| event.subject(stream))
    }

    fn decide(&self, command: Command, facts: &Facts) -> Result<Vec<Event>, Error> {
        self.decided(command, facts)
    }

    /// A cart with all its changes is open still, and lets its owner start another one.
    fn holds(&self, event: &Event) -> Vec<Hold> {
        let full = self.changes + 1 >= MOST_CHANGES;
        match event {
            Event::CartStarted { channel, customer, .. } => {
                vec![Hold::one(scope::OPEN_CART, open_cart(channel, customer))]
            }
            Event::CartClaimed { user, .. } if !full => {
                let channel = self.owned.as_ref().map_or(CHANNEL, |owned| owned.channel.as_str());
                vec![Hold::one(scope::OPEN_CART, open_cart(channel, &Customer::User(*user)))]
            }
            Event::CartMerged { .. }
            | Event::CartExpired {}
            | Event::CartCheckedOut { goes_on: false, .. } => no_open_cart(),
            _ if full => no_open_cart(),
            _ => Vec::new(),
        }
    }
}

fn no_open_cart() -> Vec<Hold> {
    vec![Hold { scope: scope::OPEN_CART, values: Vec::new() }]
}

#[cfg(test)]
mod tests;
