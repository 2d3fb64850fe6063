//! Orders, and the credit notes that take some of their money back. An order is placed, then confirmed once its stock
//! is reserved, or refused; it can be cancelled until it is shipped. It knows what was credited of each of its lines.
//! It decides what is owed, charged and paid back ([`payments`], and what may be asked for in `order/paying.rs`); what a payment holds is the payment's.

pub mod credit_note;
pub mod credits;
mod line;
mod paying;
pub mod payments;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::credits::{Allocation, CreditRequest, CreditedLine, Credits, EarlierCredit, Unfit};
pub use self::line::Line;
use self::payments::Payments;
use crate::claim::scope;
use crate::ids::{CreditNoteId, GuestId, OrderId, UserId};
use crate::money::MOST_TOTAL;
use crate::tender::Tender;
use crate::text::{Sku, TextError};
use crate::user::person;
use crate::{
    Classified, Currency, Decider, ErrorKind, EventInfo, Expectation, Facts, Hold, Money, Personal,
    PersonalValue, Purpose, Sensitive, text,
};

/// The most lines that an order may have (the real shop's largest had 1,114).
pub const MOST_LINES: usize = 1_500;

/// Where the claims of an account are found in the log: aggregate type, event type and field.
pub const CLAIMS_BY_ACCOUNT: [&str; 3] = ["order", "OrderClaimed", "account"];

/// Where the orders of a guest are found in the log.
pub const ORDERS_BY_GUEST: [&str; 3] = ["order", "OrderPlaced", "customer.guest"];

/// The revision of an order that was not edited.
pub const FIRST_REVISION: u32 = 1;

/// How long an order may wait for its stock before it is refused, in seconds.
pub const PATIENCE_SECONDS: i64 = 15 * 60;

/// The buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Customer {
    User(UserId),
    Guest(GuestId),
}

impl Customer {
    /// The data subject.
    pub fn subject(&self) -> Uuid {
        match self {
            Self::User(id) => id.0,
            Self::Guest(id) => id.0,
        }
    }
}

/// The buyer's contact details, encrypted under their `invoice` key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Personal<String>>,
}

impl Contact {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn try_new(
        subject: Uuid,
        name: Option<&str>,
        email: Option<&str>,
        phone: Option<&str>,
        address: Option<&str>,
    ) -> Result<Self, (&'static str, TextError)> {
        Self::under((subject, Purpose::Invoice), name, email, phone, address)
    }

    /// Like [`try_new`](Self::try_new), under the key of another purpose.
    pub fn under(
        (subject, purpose): (Uuid, Purpose),
        name: Option<&str>,
        email: Option<&str>,
        phone: Option<&str>,
        address: Option<&str>,
    ) -> Result<Self, (&'static str, TextError)> {
        let own = |value| Personal::new(value, subject, purpose);
        Ok(Self {
            name: name.map(|v| text::line(v, 200)).transpose().map_err(|e| ("/contact/name", e))?.map(own),
            email: email.map(text::email).transpose().map_err(|e| ("/contact/email", e))?.map(own),
            phone: phone.map(|v| text::line(v, 40)).transpose().map_err(|e| ("/contact/phone", e))?.map(own),
            address: address
                .map(|v| text::prose(v, 500))
                .transpose()
                .map_err(|e| ("/contact/address", e))?
                .map(own),
        })
    }

    /// Its values.
    pub fn values(&mut self) -> Vec<&mut dyn PersonalValue> {
        [&mut self.name, &mut self.email, &mut self.phone, &mut self.address]
            .into_iter()
            .filter_map(|field| field.as_mut().map(|value| value as &mut dyn PersonalValue))
            .collect()
    }
}

/// The contents of a new order.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Its name for people; no other order has it.
    pub number: String,
    pub customer: Customer,
    pub lines: Vec<Line>,
    pub country: String,
    pub contact: Contact,
}

/// A payment that an order is placed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorized {
    pub payment: Uuid,
    pub tender: Tender,
    /// What it was opened for.
    pub amount: Money,
}

/// Why a line could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub line: u32,
    pub sku: Sku,
    /// A refusal's slug, such as `insufficient-stock`.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Place(Placement),
    /// Places what a checkout became: its stock is held, and these payments were authorized for it.
    PlacePaid {
        placement: Placement,
        payments: Vec<Authorized>,
    },
    /// Its stock is reserved.
    Confirm,
    /// Its stock could not be had.
    Refuse {
        refusal: Refusal,
    },
    Cancel {
        reason: String,
    },
    Ship,
    /// An account takes a guest's order over.
    Claim {
        account: UserId,
        by: ClaimedBy,
        /// Whose order it is.
        guest: GuestId,
    },
    /// Some of its money goes back. The credit note is issued in the same append.
    Credit {
        credit_note_id: CreditNoteId,
        lines: Vec<CreditedLine>,
        /// Every credit note of the order that an earlier release issued; those that it knows already change nothing.
        earlier: Vec<EarlierCredit>,
    },
    /// Changes nothing, and is refused unless the order lets this be done by hand with the stock of its line.
    MoveStock {
        line: u32,
        sku: Sku,
        movement: Movement,
    },
    /// A payment is opened for it, in the same append.
    AddPayment {
        payment: Uuid,
        tender: Tender,
        amount: Money,
        revision: u32,
        /// As of [`Credit`](Self::Credit): what they took off is not owed.
        earlier: Vec<EarlierCredit>,
    },
    /// The payment takes nothing more.
    StopPayment {
        payment: Uuid,
    },
    BeginCharge {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    /// What a charge came to; nothing, if it failed. It may have been done in the provider's own pages.
    EndCharge {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    BeginRepayment {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    /// As of a charge.
    EndRepayment {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
}

/// What showed that the order of a guest may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimedBy {
    /// The guest's token.
    Token,
    /// A link that was mailed to the order's address.
    Link,
}

/// What is done by hand with the stock of a line. The process manager `fulfilment` does the same at the main location, as
/// the order goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// Of an order that is placed or confirmed, as many units as were ordered.
    Reserve { quantity: u32 },
    /// Of an order that was refused or cancelled.
    Release,
    /// At another location, where no order counts on it.
    ReleaseElsewhere,
    /// Of an order that was shipped: until then it can be cancelled.
    Ship,
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
#[expect(
    clippy::large_enum_variant,
    reason = "a third of all of them are of the large one, and a page holds few"
)]
pub enum Event {
    OrderPlaced {
        number: String,
        customer: Customer,
        lines: Vec<Line>,
        total: Money,
        country: String,
        #[serde(default)]
        contact: Contact,
    },
    OrderConfirmed {},
    OrderRefused {
        refusal: Refusal,
    },
    OrderCancelled {
        reason: String,
    },
    OrderShipped {},
    /// An account took a guest's order over.
    OrderClaimed {
        account: UserId,
        by: ClaimedBy,
    },
    OrderCredited {
        credit_note_id: CreditNoteId,
        lines: Vec<CreditedLine>,
        /// The total of the credit note.
        total: Money,
        /// An earlier release issued the note without asking the order. Of its lines, those that the order has are here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        earlier: bool,
    },
    OrderPaymentAdded {
        payment: Uuid,
        tender: Tender,
        amount: Money,
        /// Of the order.
        revision: u32,
    },
    OrderPaymentStopped {
        payment: Uuid,
    },
    OrderChargeBegun {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    /// What it came to: nothing, if it failed.
    OrderChargeEnded {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    OrderRepaymentBegun {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
    /// What it came to: nothing, if it failed.
    OrderRepaymentEnded {
        payment: Uuid,
        transaction: Uuid,
        amount: Money,
    },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::OrderPlaced { contact, .. } => contact.values(),
            Self::OrderConfirmed {}
            | Self::OrderRefused { .. }
            | Self::OrderCancelled { .. }
            | Self::OrderShipped {}
            | Self::OrderClaimed { .. }
            | Self::OrderCredited { .. }
            | Self::OrderPaymentAdded { .. }
            | Self::OrderPaymentStopped { .. }
            | Self::OrderChargeBegun { .. }
            | Self::OrderChargeEnded { .. }
            | Self::OrderRepaymentBegun { .. }
            | Self::OrderRepaymentEnded { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        match self {
            Self::OrderPlaced { customer, .. } => Some(customer.subject()),
            Self::OrderClaimed { account, .. } => Some(account.0),
            Self::OrderConfirmed {}
            | Self::OrderRefused { .. }
            | Self::OrderCancelled { .. }
            | Self::OrderShipped {}
            | Self::OrderCredited { .. }
            | Self::OrderPaymentAdded { .. }
            | Self::OrderPaymentStopped { .. }
            | Self::OrderChargeBegun { .. }
            | Self::OrderChargeEnded { .. }
            | Self::OrderRepaymentBegun { .. }
            | Self::OrderRepaymentEnded { .. } => None,
        }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::OrderPlaced { total, .. } | Self::OrderCredited { total, .. } => Some(*total),
            Self::OrderPaymentAdded { amount, .. }
            | Self::OrderChargeBegun { amount, .. }
            | Self::OrderChargeEnded { amount, .. }
            | Self::OrderRepaymentBegun { amount, .. }
            | Self::OrderRepaymentEnded { amount, .. } => Some(*amount),
            Self::OrderConfirmed {}
            | Self::OrderRefused { .. }
            | Self::OrderCancelled { .. }
            | Self::OrderShipped {}
            | Self::OrderClaimed { .. }
            | Self::OrderPaymentStopped { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::OrderPlaced | EventKind::OrderCredited => Some("total"),
            EventKind::OrderPaymentAdded
            | EventKind::OrderChargeBegun
            | EventKind::OrderChargeEnded
            | EventKind::OrderRepaymentBegun
            | EventKind::OrderRepaymentEnded => Some("amount"),
            EventKind::OrderConfirmed
            | EventKind::OrderRefused
            | EventKind::OrderCancelled
            | EventKind::OrderShipped
            | EventKind::OrderClaimed
            | EventKind::OrderPaymentStopped => None,
        }
    }

    fn name_paths(kind: EventKind) -> &'static [&'static str] {
        match kind {
            EventKind::OrderPlaced => &["number"],
            EventKind::OrderConfirmed
            | EventKind::OrderRefused
            | EventKind::OrderCancelled
            | EventKind::OrderShipped
            | EventKind::OrderClaimed
            | EventKind::OrderCredited
            | EventKind::OrderPaymentAdded
            | EventKind::OrderPaymentStopped
            | EventKind::OrderChargeBegun
            | EventKind::OrderChargeEnded
            | EventKind::OrderRepaymentBegun
            | EventKind::OrderRepaymentEnded => &[],
        }
    }

    fn is_refusal(kind: EventKind) -> bool {
        match kind {
            EventKind::OrderRefused => true,
            EventKind::OrderPlaced
            | EventKind::OrderConfirmed
            | EventKind::OrderCancelled
            | EventKind::OrderShipped
            | EventKind::OrderClaimed
            | EventKind::OrderCredited
            | EventKind::OrderPaymentAdded
            | EventKind::OrderPaymentStopped
            | EventKind::OrderChargeBegun
            | EventKind::OrderChargeEnded
            | EventKind::OrderRepaymentBegun
            | EventKind::OrderRepaymentEnded => false,
        }
    }

    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        match kind {
            EventKind::OrderPlaced => Some(Expectation {
                one_of: vec![EventKind::OrderConfirmed, EventKind::OrderRefused, EventKind::OrderCancelled],
                within_seconds: PATIENCE_SECONDS,
            }),
            EventKind::OrderConfirmed
            | EventKind::OrderRefused
            | EventKind::OrderCancelled
            | EventKind::OrderShipped
            | EventKind::OrderClaimed
            | EventKind::OrderCredited
            | EventKind::OrderPaymentAdded
            | EventKind::OrderPaymentStopped
            | EventKind::OrderChargeBegun
            | EventKind::OrderChargeEnded
            | EventKind::OrderRepaymentBegun
            | EventKind::OrderRepaymentEnded => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("there is no such order")]
    OrderNotFound,
    #[error("the order exists already")]
    OrderExists,
    #[error("the order is {0}")]
    WrongOrderState(Status),
    #[error("an account has claimed the order already")]
    OrderClaimed,
    #[error("the order has no line {0}")]
    #[strum(serialize = "not-in-order")]
    NoSuchLine(u32),
    #[error("the line of the order has the SKU {0}")]
    #[strum(serialize = "not-in-order")]
    LineOfAnotherSku(Sku),
    #[error("the line of the order has {0} units: all of them are reserved, or none")]
    #[strum(serialize = "differs-from-order")]
    LineOfAnotherQuantity(u32),
    #[error(
        "an order has between 1 and 1,500 lines, numbered from 1, each of at least one unit, all in one currency"
    )]
    BadLines,
    #[error(
        "the order's total is too large: a unit costs at most 100,000,000,000 minor units, and all lines together at most \
         1,000,000,000,000,000"
    )]
    TotalTooLarge,
    #[error(transparent)]
    #[strum(transparent)]
    Credit(#[from] credits::Error),
    #[error(transparent)]
    #[strum(transparent)]
    Payment(#[from] payments::Error),
    /// Of the account that claims it.
    #[error(transparent)]
    #[strum(transparent)]
    Person(#[from] person::Error),
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::OrderNotFound => ErrorKind::NotFound,
            Self::OrderExists | Self::WrongOrderState(_) | Self::OrderClaimed => ErrorKind::Conflict,
            Self::BadLines
            | Self::TotalTooLarge
            | Self::NoSuchLine(_)
            | Self::LineOfAnotherSku(_)
            | Self::LineOfAnotherQuantity(_) => ErrorKind::Invalid,
            Self::Credit(error) => error.kind(),
            Self::Payment(error) => error.kind(),
            Self::Person(error) => error.kind(),
        }
    }
}

/// Where an order is on its way.
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
    /// Not placed.
    #[default]
    Unknown,
    Placed,
    Confirmed,
    Refused,
    Cancelled,
    Shipped,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub status: Status,
    /// The placed order; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_because: Option<String>,
    /// Its credits.
    #[serde(default, skip_serializing_if = "Credits::is_empty")]
    pub credits: Credits,
    /// Its payments, and what was charged and paid back.
    #[serde(default, skip_serializing_if = "Payments::is_empty")]
    pub payments: Payments,
    /// The account that took it over from its guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<UserId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    pub number: String,
    pub customer: Customer,
    pub lines: Vec<Line>,
    pub total: Money,
    pub country: String,
    pub contact: Contact,
}

/// The total of lines that somebody names: their sum, below the ceiling of amounts.
pub fn total(lines: &[Line]) -> Result<Money, Error> {
    let total = sum(lines)?;
    let fits = total.amount <= MOST_TOTAL && lines.iter().all(|line| line.price.is_price());
    if fits { Ok(total) } else { Err(Error::TotalTooLarge) }
}

/// The sum of lines that are numbered from 1, hold something, and share a currency.
fn sum(lines: &[Line]) -> Result<Money, Error> {
    let first = lines.first().ok_or(Error::BadLines)?;
    if lines.len() > MOST_LINES {
        return Err(Error::BadLines);
    }
    let mut total = Money::new(0, first.price.currency);
    for (number, line) in (1..).zip(lines) {
        if line.number != number
            || line.quantity == 0
            || line.price.amount < 0
            || line.price.currency != total.currency
        {
            return Err(Error::BadLines);
        }
        total =
            line.price.times(line.quantity).and_then(|sum| total.plus(sum)).ok_or(Error::TotalTooLarge)?;
    }
    Ok(total)
}

impl Decider for Order {
    const STATE_VERSION: u32 = 4;

    /// Before version 4 no order had a payment; the rest is the same.
    const OLDEST_STATE: u32 = 3;

    const BARE_AMOUNTS: &'static [&'static str] = &[
        "credits.amount",
        "credits.lines.*.amount",
        "payments.charged",
        "payments.repaid",
        "payments.all.*.amount",
        "payments.all.*.charged",
        "payments.all.*.repaid",
        "payments.charges.*.amount",
        "payments.repayments.*.amount",
    ];

    /// An order has one currency.
    fn currency(&self) -> Option<Currency> {
        self.placed.as_ref().map(|placed| placed.total.currency)
    }

    /// Most events of an order name no person: it is its customer's.
    fn note_about(&self, event: &Event, stream: Uuid) -> Option<Uuid> {
        self.placed.as_ref().map(|placed| placed.customer.subject()).or_else(|| event.subject(stream))
    }

    fn decide(&self, command: Command, _: &Facts) -> Result<Vec<Event>, Error> {
        use Status::{Cancelled, Confirmed, Placed, Refused, Shipped, Unknown};
        match (self.status, command) {
            (Unknown, Command::Place(Placement { number, customer, lines, country, contact })) => {
                let total = total(&lines)?;
                Ok(vec![Event::OrderPlaced { number, customer, lines, total, country, contact }])
            }
            (Unknown, Command::PlacePaid { placement, payments }) => Self::place_paid(placement, &payments),
            (Unknown, _) => Err(Error::OrderNotFound),
            (_, Command::Place(_) | Command::PlacePaid { .. }) => Err(Error::OrderExists),
            (Placed, Command::Confirm) => Ok(vec![Event::OrderConfirmed {}]),
            (Placed, Command::Refuse { refusal }) => Ok(vec![Event::OrderRefused { refusal }]),
            (Placed | Confirmed, Command::Cancel { reason }) => Ok(vec![Event::OrderCancelled { reason }]),
            (Confirmed, Command::Ship) => Ok(vec![Event::OrderShipped {}]),
            // It is done already.
            (Confirmed | Shipped, Command::Confirm)
            | (Refused, Command::Refuse { .. })
            | (Cancelled, Command::Cancel { .. })
            | (Shipped, Command::Ship) => Ok(vec![]),
            (_, Command::Credit { credit_note_id, lines, earlier }) if self.is_charged() => {
                self.credit(credit_note_id, lines, &earlier)
            }
            (_, Command::Claim { account, by, guest }) => self.claim(account, by, guest),
            (_, Command::MoveStock { line, sku, movement }) => self.lets_stock_move(line, &sku, movement),
            (_, Command::AddPayment { payment, tender, amount, revision, earlier }) => {
                let (known, mut events) = self.clone().knowing(&earlier);
                let added = known.add_payment(payment, tender, amount, revision)?;
                if added.is_empty() {
                    return Ok(vec![]);
                }
                events.extend(added);
                Ok(events)
            }
            (_, Command::StopPayment { payment }) => self.stop_payment(payment),
            (_, Command::BeginCharge { payment, transaction, amount }) => {
                self.begin_charge(payment, transaction, amount)
            }
            (_, Command::EndCharge { payment, transaction, amount }) => {
                Ok(self.end_charge(payment, transaction, amount))
            }
            (_, Command::BeginRepayment { payment, transaction, amount }) => {
                self.begin_repayment(payment, transaction, amount)
            }
            (_, Command::EndRepayment { payment, transaction, amount }) => {
                Ok(self.end_repayment(payment, transaction, amount))
            }
            (status, _) => Err(Error::WrongOrderState(status)),
        }
    }

    fn holds(&self, event: &Event) -> Vec<Hold> {
        match event {
            Event::OrderPlaced { number, .. } => vec![Hold::number(scope::ORDER_NUMBER, number)],
            _ => Vec::new(),
        }
    }

    /// An order keeps the lines and prices that it was placed with.
    fn around(&self, event: &Event) -> Option<Self> {
        let placed = matches!(event, Event::OrderPlaced { .. });
        (!placed).then(|| Self {
            status: self.status,
            placed: None,
            refusal: self.refusal.clone(),
            cancelled_because: self.cancelled_because.clone(),
            credits: self.credits.clone(),
            payments: self.payments.clone(),
            claimed_by: self.claimed_by,
        })
    }
}

impl Order {
    /// Whether money is charged for it: from when it is placed, until it is refused or cancelled. Only then is there
    /// something to credit.
    pub fn is_charged(&self) -> bool {
        matches!(self.status, Status::Placed | Status::Confirmed | Status::Shipped)
    }

    /// Its stock is held, so it is confirmed at once.
    fn place_paid(placement: Placement, payments: &[Authorized]) -> Result<Vec<Event>, Error> {
        let Placement { number, customer, lines, country, contact } = placement;
        let total = total(&lines)?;
        let added = payments.iter().map(|one| Event::OrderPaymentAdded {
            payment: one.payment,
            tender: one.tender,
            amount: one.amount,
            revision: FIRST_REVISION,
        });
        let placed = Event::OrderPlaced { number, customer, lines, total, country, contact };
        Ok([placed, Event::OrderConfirmed {}].into_iter().chain(added).collect())
    }

    /// Claims it for an account, once. Of another guest it is as if it were not there.
    fn claim(&self, account: UserId, by: ClaimedBy, guest: GuestId) -> Result<Vec<Event>, Error> {
        if self.placed.as_ref().is_none_or(|placed| placed.customer != Customer::Guest(guest)) {
            return Err(Error::OrderNotFound);
        }
        match self.claimed_by {
            None => Ok(vec![Event::OrderClaimed { account, by }]),
            Some(before) if before == account => Ok(vec![]),
            Some(_) => Err(Error::OrderClaimed),
        }
    }

    /// Whether the stock of its line is what the order says, and the order is so far that it may move.
    fn lets_stock_move(&self, line: u32, sku: &Sku, movement: Movement) -> Result<Vec<Event>, Error> {
        let placed = self.placed.as_ref().ok_or(Error::OrderNotFound)?;
        let ordered = placed.lines.iter().find(|one| one.number == line).ok_or(Error::NoSuchLine(line))?;
        if ordered.sku != *sku {
            return Err(Error::LineOfAnotherSku(ordered.sku.clone()));
        }
        let is_so_far = match movement {
            Movement::Reserve { quantity } if quantity != ordered.quantity => {
                return Err(Error::LineOfAnotherQuantity(ordered.quantity));
            }
            Movement::Reserve { .. } => matches!(self.status, Status::Placed | Status::Confirmed),
            Movement::Release => matches!(self.status, Status::Refused | Status::Cancelled),
            Movement::ReleaseElsewhere => true,
            Movement::Ship => self.status == Status::Shipped,
        };
        if is_so_far { Ok(vec![]) } else { Err(Error::WrongOrderState(self.status)) }
    }

    /// The lines that a credit note of these requests takes its units from.
    pub fn allocate(
        &self,
        earlier: &[EarlierCredit],
        requests: &[CreditRequest],
    ) -> Result<Vec<Allocation>, Unfit> {
        let Some(placed) = &self.placed else { return Ok(Vec::new()) };
        let (credits, _) = self.with_earlier(placed, earlier);
        credits.allocate(&placed.lines, placed.total, requests)
    }

    /// The order as it is once it knows these credit notes, and the events by which it does.
    pub fn knowing(mut self, earlier: &[EarlierCredit]) -> (Self, Vec<Event>) {
        let Some(placed) = &self.placed else { return (self, Vec::new()) };
        let (credits, events) = self.with_earlier(placed, earlier);
        self.credits = credits;
        (self, events)
    }

    /// Its credits, with those credit notes that it does not know yet, and their events.
    fn with_earlier(&self, placed: &Placed, earlier: &[EarlierCredit]) -> (Credits, Vec<Event>) {
        let (mut credits, mut events) = (self.credits.clone(), Vec::new());
        for note in earlier {
            if !credits.earlier.contains(&note.credit_note_id) {
                let lines = credits.take_earlier(&placed.lines, placed.total, note);
                let (credit_note_id, total) = (note.credit_note_id, note.total);
                events.push(Event::OrderCredited { credit_note_id, lines, total, earlier: true });
            }
        }
        (credits, events)
    }

    fn credit(
        &self,
        credit_note_id: CreditNoteId,
        lines: Vec<CreditedLine>,
        earlier: &[EarlierCredit],
    ) -> Result<Vec<Event>, Error> {
        let placed = self.placed.as_ref().ok_or(Error::OrderNotFound)?;
        if lines.is_empty() {
            return Err(Error::BadLines);
        }
        let (mut credits, mut events) = self.with_earlier(placed, earlier);
        let total = credits.take(&placed.lines, placed.total, &lines)?;
        events.push(Event::OrderCredited { credit_note_id, lines, total, earlier: false });
        Ok(events)
    }

    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::OrderPlaced { number, customer, lines, total, country, contact } => {
                self.status = Status::Placed;
                self.placed = Some(Placed { number, customer, lines, total, country, contact });
            }
            Event::OrderConfirmed {} => self.status = Status::Confirmed,
            Event::OrderRefused { refusal } => {
                self.status = Status::Refused;
                self.refusal = Some(refusal);
            }
            Event::OrderCancelled { reason } => {
                self.status = Status::Cancelled;
                self.cancelled_because = Some(reason);
            }
            Event::OrderShipped {} => self.status = Status::Shipped,
            Event::OrderClaimed { account, .. } => self.claimed_by = Some(account),
            Event::OrderCredited { credit_note_id, lines, total, earlier } => {
                let currency = self.placed.as_ref().map(|placed| placed.total.currency);
                let counts = currency.is_none_or(|currency| currency == total.currency);
                self.credits.add(&lines, Some(total).filter(|_| counts));
                if earlier {
                    self.credits.earlier.insert(credit_note_id);
                }
            }
            Event::OrderPaymentAdded { payment, amount, .. } => self.payments.added(payment, amount),
            Event::OrderPaymentStopped { payment } => self.payments.stopped(payment),
            Event::OrderChargeBegun { payment, transaction, amount } => {
                self.payments.charge_begun(payment, transaction, amount);
            }
            Event::OrderChargeEnded { payment, transaction, amount } => {
                self.payments.charge_ended(payment, transaction, amount);
            }
            Event::OrderRepaymentBegun { payment, transaction, amount } => {
                self.payments.repayment_begun(payment, transaction, amount);
            }
            Event::OrderRepaymentEnded { payment, transaction, amount } => {
                self.payments.repayment_ended(payment, transaction, amount);
            }
        }
    }
}

/// The number that people read, of an order that was not given one: `S-` and eight letters and digits of its id, in
/// Crockford's base 32 (no I, L, O, U). `attempt` makes another one where a number is taken.
pub fn number_of(order: OrderId, attempt: u32) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let seed = crate::ids::derived(order.0, &["order-number", &attempt.to_string()]).as_u128();
    let digits =
        (0..8).map(|place| char::from(DIGITS[usize::try_from((seed >> (place * 5)) & 31).unwrap_or(0)]));
    "S-".chars().chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::{AggregateTestExecutor, TestFramework};

    use super::*;
    use crate::Currency;
    use crate::catalog::expected_after;
    use crate::golden::{
        Sample, credit_note_id, encrypted, gbp, payment_id, person_id, product_id, sku, transaction_id,
    };
    use crate::ids::ProductId;
    use crate::money::MOST_AMOUNT;

    pub(super) fn sold(number: u32, quantity: u32, amount: i64) -> Line {
        let (sku, name) = (sku("MUG-RED"), "Mug, red".to_owned());
        Line { number, sku, product_id: product_id(), name, quantity, price: gbp(amount) }
    }

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::OrderPlaced => Self::OrderPlaced {
                    number: "S-7K3M9QXA".to_owned(),
                    customer: Customer::Guest(GuestId(person_id())),
                    lines: vec![sold(1, 3, 1_299), sold(2, 1, 999)],
                    total: gbp(4_896),
                    country: "United Kingdom".to_owned(),
                    contact: Contact {
                        name: Some(encrypted(Purpose::Invoice, "bmFtZQ")),
                        email: Some(encrypted(Purpose::Invoice, "ZW1haWw")),
                        phone: Some(encrypted(Purpose::Invoice, "cGhvbmU")),
                        address: Some(encrypted(Purpose::Invoice, "YWRkcmVzcw")),
                    },
                },
                EventKind::OrderConfirmed => Self::OrderConfirmed {},
                EventKind::OrderRefused => Self::OrderRefused {
                    refusal: Refusal {
                        line: 2,
                        sku: sku("MUG-RED"),
                        reason: "insufficient-stock".to_owned(),
                    },
                },
                EventKind::OrderCancelled => Self::OrderCancelled { reason: "changed-my-mind".to_owned() },
                EventKind::OrderShipped => Self::OrderShipped {},
                EventKind::OrderClaimed => {
                    Self::OrderClaimed { account: UserId(person_id()), by: ClaimedBy::Token }
                }
                EventKind::OrderCredited => Self::OrderCredited {
                    credit_note_id: credit_note_id(),
                    lines: vec![CreditedLine { line: 1, quantity: 2, price: gbp(1_299) }],
                    total: gbp(2_598),
                    earlier: true,
                },
                EventKind::OrderPaymentAdded => Self::OrderPaymentAdded {
                    payment: payment_id(),
                    tender: Tender::Provider,
                    amount: gbp(4_896),
                    revision: 1,
                },
                EventKind::OrderPaymentStopped => Self::OrderPaymentStopped { payment: payment_id() },
                EventKind::OrderChargeBegun => Self::OrderChargeBegun {
                    payment: payment_id(),
                    transaction: transaction_id(),
                    amount: gbp(4_896),
                },
                EventKind::OrderChargeEnded => Self::OrderChargeEnded {
                    payment: payment_id(),
                    transaction: transaction_id(),
                    amount: gbp(4_896),
                },
                EventKind::OrderRepaymentBegun => Self::OrderRepaymentBegun {
                    payment: payment_id(),
                    transaction: transaction_id(),
                    amount: gbp(2_598),
                },
                EventKind::OrderRepaymentEnded => Self::OrderRepaymentEnded {
                    payment: payment_id(),
                    transaction: transaction_id(),
                    amount: gbp(2_598),
                },
            }
        }

        /// No order has all of these events: `apply` takes them in any order.
        fn history() -> Vec<EventKind> {
            vec![
                EventKind::OrderPlaced,
                EventKind::OrderConfirmed,
                EventKind::OrderShipped,
                EventKind::OrderClaimed,
                EventKind::OrderPaymentAdded,
                EventKind::OrderChargeBegun,
                EventKind::OrderChargeEnded,
                EventKind::OrderCredited,
                EventKind::OrderRepaymentBegun,
                EventKind::OrderRepaymentEnded,
                EventKind::OrderPaymentStopped,
                EventKind::OrderRefused,
                EventKind::OrderCancelled,
            ]
        }
    }

    #[test]
    fn an_order_is_expected_to_be_settled_by_when_the_process_loses_patience() {
        assert_eq!(expected_after("OrderPlaced").unwrap().within_seconds, PATIENCE_SECONDS);
        assert_eq!(expected_after("OrderShipped"), None);
    }

    pub(super) const EUR: &str = "EUR";

    fn given(events: Vec<Event>) -> AggregateTestExecutor<Order> {
        TestFramework::<Order>::with(Facts { now: crate::clock::now() }).given(events)
    }

    pub(super) fn line(number: u32, quantity: u32, amount: i64) -> Line {
        Line {
            number,
            sku: Sku::try_new("MUG").unwrap(),
            product_id: ProductId(Uuid::from_u128(7)),
            name: "Mug".into(),
            quantity,
            price: Money::new(amount, Currency::GBP),
        }
    }

    pub(super) fn placement(lines: Vec<Line>) -> Placement {
        Placement {
            number: "S-1".into(),
            customer: Customer::User(UserId(Uuid::from_u128(1))),
            lines,
            country: "United Kingdom".into(),
            contact: Contact::default(),
        }
    }

    fn place(lines: Vec<Line>) -> Command {
        Command::Place(placement(lines))
    }

    fn placed(lines: Vec<Line>, total: i64) -> Event {
        let Placement { number, customer, lines, country, contact } = placement(lines);
        Event::OrderPlaced {
            number,
            customer,
            lines,
            total: Money::new(total, Currency::GBP),
            country,
            contact,
        }
    }

    fn a_placed() -> Event {
        placed(vec![line(1, 2, 500)], 1_000)
    }

    fn refusal() -> Refusal {
        Refusal { line: 1, sku: Sku::try_new("MUG").unwrap(), reason: "insufficient-stock".into() }
    }

    fn refused() -> Event {
        Event::OrderRefused { refusal: refusal() }
    }

    fn cancelled() -> Event {
        Event::OrderCancelled { reason: "changed my mind".into() }
    }

    fn cancel() -> Command {
        Command::Cancel { reason: "changed my mind".into() }
    }

    /// A history that leads to each status.
    fn histories() -> Vec<(Status, Vec<Event>)> {
        let confirmed = || vec![a_placed(), Event::OrderConfirmed {}];
        vec![
            (Status::Unknown, vec![]),
            (Status::Placed, vec![a_placed()]),
            (Status::Confirmed, confirmed()),
            (Status::Refused, vec![a_placed(), refused()]),
            (Status::Cancelled, vec![a_placed(), cancelled()]),
            (Status::Shipped, [confirmed(), vec![Event::OrderShipped {}]].concat()),
        ]
    }

    #[test]
    fn later_events_of_an_order_change_only_the_part_around_them() {
        for (_, history) in histories() {
            let mut whole = Order::default();
            for event in history {
                let before = whole.clone();
                let part = whole.around(&event);
                whole.evolve(event.clone());
                if before.placed.is_none() {
                    assert_eq!((part, whole.around(&event)), (None, None), "it is what makes the most of it");
                } else {
                    let but_placed = |order: &Order| Some(Order { placed: None, ..order.clone() });
                    assert_eq!((part, whole.around(&event)), (but_placed(&before), but_placed(&whole)));
                    assert_eq!(before.placed, whole.placed);
                }
            }
        }
    }

    fn check(command: &Command, expected: impl Fn(Status) -> Result<Vec<Event>, Error>) {
        for (status, history) in histories() {
            let found = given(history).when(command.clone()).inspect_result();
            assert_eq!(found, expected(status), "{command:?} of an order that is {status}");
        }
    }

    #[test]
    fn an_order_is_placed_once() {
        check(&place(vec![line(1, 2, 500)]), |status| match status {
            Status::Unknown => Ok(vec![a_placed()]),
            _ => Err(Error::OrderExists),
        });
    }

    #[test]
    fn only_a_placed_order_is_confirmed_and_confirming_again_changes_nothing() {
        check(&Command::Confirm, |status| match status {
            Status::Unknown => Err(Error::OrderNotFound),
            Status::Placed => Ok(vec![Event::OrderConfirmed {}]),
            Status::Confirmed | Status::Shipped => Ok(vec![]),
            Status::Refused | Status::Cancelled => Err(Error::WrongOrderState(status)),
        });
    }

    #[test]
    fn only_a_placed_order_is_refused_and_refusing_again_changes_nothing() {
        check(&Command::Refuse { refusal: refusal() }, |status| match status {
            Status::Unknown => Err(Error::OrderNotFound),
            Status::Placed => Ok(vec![refused()]),
            Status::Refused => Ok(vec![]),
            Status::Confirmed | Status::Cancelled | Status::Shipped => Err(Error::WrongOrderState(status)),
        });
    }

    #[test]
    fn an_order_is_cancelled_until_it_is_shipped_and_cancelling_again_changes_nothing() {
        check(&cancel(), |status| match status {
            Status::Unknown => Err(Error::OrderNotFound),
            Status::Placed | Status::Confirmed => Ok(vec![cancelled()]),
            Status::Cancelled => Ok(vec![]),
            Status::Refused | Status::Shipped => Err(Error::WrongOrderState(status)),
        });
    }

    #[test]
    fn only_a_confirmed_order_is_shipped_and_shipping_again_changes_nothing() {
        check(&Command::Ship, |status| match status {
            Status::Unknown => Err(Error::OrderNotFound),
            Status::Confirmed => Ok(vec![Event::OrderShipped {}]),
            Status::Shipped => Ok(vec![]),
            Status::Placed | Status::Refused | Status::Cancelled => Err(Error::WrongOrderState(status)),
        });
    }

    fn claim(account: u128, guest: u128) -> Command {
        let (account, guest) = (UserId(Uuid::from_u128(account)), GuestId(Uuid::from_u128(guest)));
        Command::Claim { account, by: ClaimedBy::Token, guest }
    }

    fn of_guest(guest: u128) -> Event {
        let mut event = a_placed();
        if let Event::OrderPlaced { customer, .. } = &mut event {
            *customer = Customer::Guest(GuestId(Uuid::from_u128(guest)));
        }
        event
    }

    #[test]
    fn the_order_of_a_guest_is_claimed_once_by_one_account_and_changes_in_nothing_else() {
        let claimed = Event::OrderClaimed { account: UserId(Uuid::from_u128(1)), by: ClaimedBy::Token };
        given(vec![of_guest(5)]).when(claim(1, 5)).then_expect_events(vec![claimed.clone()]);
        let again = || given(vec![of_guest(5), claimed.clone()]);
        again().when(claim(1, 5)).then_expect_events(vec![]);
        again().when(claim(2, 5)).then_expect_error(Error::OrderClaimed);
        let mut order = Order::default();
        order.evolve(of_guest(5));
        let before = order.clone();
        order.evolve(claimed);
        assert_eq!(Order { claimed_by: None, ..order }, before);
    }

    #[test]
    fn claims_of_an_account_and_orders_of_a_guest_are_found_by_their_type_event_and_field() {
        let claimed = Event::OrderClaimed { account: UserId(Uuid::from_u128(1)), by: ClaimedBy::Token };
        for (path, event, id) in [(CLAIMS_BY_ACCOUNT, claimed, 1), (ORDERS_BY_GUEST, of_guest(5), 5)] {
            let [aggregate_type, event_type, field] = path;
            assert_eq!(<Order as cqrs_es::Aggregate>::TYPE, aggregate_type);
            let stored = serde_json::to_value(event).unwrap();
            let pointer = format!("/{event_type}/{}", field.replace('.', "/"));
            assert_eq!(stored.pointer(&pointer), Some(&serde_json::json!(Uuid::from_u128(id))));
        }
    }

    #[test]
    fn an_order_that_is_not_there_and_one_of_another_guest_or_of_a_user_cannot_be_claimed_alike() {
        let of_user = vec![a_placed()];
        for history in [vec![], vec![of_guest(6)], of_user] {
            given(history).when(claim(1, 5)).then_expect_error(Error::OrderNotFound);
        }
    }

    #[test]
    fn an_order_is_claimed_in_whatever_state_it_is() {
        let after = [Event::OrderConfirmed {}, Event::OrderShipped {}, cancelled(), refused()];
        for event in after {
            let claimed = Event::OrderClaimed { account: UserId(Uuid::from_u128(1)), by: ClaimedBy::Token };
            given(vec![of_guest(5), event]).when(claim(1, 5)).then_expect_events(vec![claimed]);
        }
    }

    #[test]
    fn a_total_is_the_sum_of_the_costs_of_its_lines() {
        let lines = vec![line(1, 3, 250), line(2, 1, 0), line(3, 10, 99)];
        given(vec![]).when(place(lines.clone())).then_expect_events(vec![placed(lines, 1_740)]);
    }

    #[test]
    fn lines_are_numbered_from_one_without_gaps() {
        for numbers in [[0, 1], [1, 1], [2, 1], [1, 3], [2, 3]] {
            given(vec![])
                .when(place(numbers.map(|number| line(number, 1, 1)).to_vec()))
                .then_expect_error(Error::BadLines);
        }
    }

    #[test]
    fn a_line_without_units_or_with_a_negative_price_is_refused() {
        given(vec![]).when(place(vec![line(1, 0, 1)])).then_expect_error(Error::BadLines);
        given(vec![]).when(place(vec![line(1, 1, -1)])).then_expect_error(Error::BadLines);
    }

    #[test]
    fn an_order_is_in_one_currency() {
        let mut euros = line(2, 1, 1);
        euros.price.currency = EUR.parse().unwrap();
        given(vec![]).when(place(vec![line(1, 1, 1), euros])).then_expect_error(Error::BadLines);
    }

    #[test]
    fn amounts_at_their_ceilings_are_accepted_and_any_above_are_refused() {
        let units = u32::try_from(MOST_TOTAL / MOST_AMOUNT).unwrap();
        let largest = vec![line(1, units, MOST_AMOUNT)];
        given(vec![]).when(place(largest.clone())).then_expect_events(vec![placed(largest, MOST_TOTAL)]);
        for lines in [
            vec![line(1, units, MOST_AMOUNT), line(2, 1, 1)],
            vec![line(1, units + 1, MOST_AMOUNT)],
            vec![line(1, 1, MOST_AMOUNT + 1)],
            vec![line(1, 1, i64::MAX)],
            vec![line(1, 2, i64::MAX)],
            vec![line(1, 1, i64::MAX), line(2, 1, 1)],
            vec![line(1, u32::MAX, MOST_AMOUNT)],
            vec![line(1, u32::MAX, i64::MAX)],
        ] {
            given(vec![]).when(place(lines)).then_expect_error(Error::TotalTooLarge);
        }
    }

    #[test]
    fn an_order_above_the_ceiling_is_read_and_credited_as_it_was_stored() {
        let lines = vec![line(1, 1, i64::MAX)];
        let stored = serde_json::to_string(&placed(lines.clone(), i64::MAX)).unwrap();
        let mut order = Order::default();
        order.evolve(serde_json::from_str(&stored).unwrap());
        assert_eq!(order.placed.as_ref().map(|placed| placed.total.amount), Some(i64::MAX));
        let part = CreditedLine { line: 1, quantity: 1, price: lines[0].price };
        let credit = Command::Credit {
            credit_note_id: CreditNoteId(Uuid::nil()),
            lines: vec![part],
            earlier: Vec::new(),
        };
        let events = order.decide(credit, &Facts { now: crate::clock::now() }).unwrap();
        assert_eq!(events[0].amount().map(|total| total.amount), Some(i64::MAX));
    }

    #[test]
    fn an_order_has_at_least_one_line_and_at_most_the_maximum() {
        let lines = |most| (1..=most).map(|number| line(number, 1, 1)).collect::<Vec<_>>();
        let most = u32::try_from(MOST_LINES).unwrap();
        given(vec![]).when(place(vec![])).then_expect_error(Error::BadLines);
        given(vec![]).when(place(lines(most))).then_expect_events(vec![placed(lines(most), 1_500)]);
        given(vec![]).when(place(lines(most + 1))).then_expect_error(Error::BadLines);
    }

    #[test]
    fn a_placed_order_holds_its_number_for_ever() {
        let hold = vec![Hold::one(scope::ORDER_NUMBER, "S-1")];
        assert_eq!(Order::default().holds(&a_placed()), hold);
        let claimed = Event::OrderClaimed { account: UserId(Uuid::from_u128(1)), by: ClaimedBy::Token };
        for event in [Event::OrderConfirmed {}, Event::OrderShipped {}, cancelled(), refused(), claimed] {
            assert_eq!(Order::default().holds(&event), [], "{event:?}");
        }
    }

    #[test]
    fn a_contact_is_encrypted_under_the_buyers_invoice_key() {
        let buyer = Uuid::from_u128(1);
        let contact = Contact::try_new(
            buyer,
            Some(" Ada "),
            Some("ada@example.org"),
            Some("123"),
            Some("1 Road\nTown"),
        );
        let mut event = a_placed();
        if let Event::OrderPlaced { contact: empty, .. } = &mut event {
            *empty = contact.unwrap();
        }
        let owners: Vec<_> = event.personal().into_iter().map(|value| value.pending_key()).collect();
        assert_eq!(owners, [Some((buyer, Purpose::Invoice)); 4]);
        assert_eq!(a_placed().personal().len(), 0);
    }

    #[test]
    fn a_refused_contact_names_its_field_and_repeats_no_value() {
        let error = Contact::try_new(Uuid::nil(), None, Some("nobody"), None, None).unwrap_err();
        assert_eq!(error, ("/contact/email", TextError::NotAnEmail));
    }

    #[test]
    fn a_customer_is_a_data_subject_with_or_without_an_account() {
        let id = Uuid::from_u128(9);
        assert_eq!([Customer::User(UserId(id)).subject(), Customer::Guest(GuestId(id)).subject()], [id, id]);
    }

    #[test]
    fn each_attempt_makes_another_number_and_the_same_attempt_the_same() {
        let order = OrderId(Uuid::from_u128(1));
        let numbers: std::collections::BTreeSet<_> =
            (0..100).map(|attempt| number_of(order, attempt)).collect();
        assert_eq!(numbers.len(), 100);
        assert!(numbers.contains(&number_of(order, 42)));
        let readable = |number: &String| number.len() == 10 && !number[2..].contains(['I', 'L', 'O', 'U']);
        assert!(numbers.iter().all(readable), "{numbers:?}");
    }
}
