//! Carts, without prices: those are of the moment in which a cart is read. And their share links.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use soonshop_domain::cart::{Event as CartEvent, Line, Note, Seen};
use soonshop_domain::ids::ProductId;
use soonshop_domain::text::Sku;
use soonshop_domain::{Event, Personal, Purpose};
use soonshop_event_log::RecordedEvent;

use crate::order::kind;
use crate::projector::{Failure, PersonalColumns, Projector, Row, TableFor, TableOf, Unit, Wants, id};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "carts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    /// `open`, `merged`, `expired` or `checked_out`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// `user` or `guest`.
    #[sea_orm(column_type = "Text")]
    pub customer_kind: String,
    /// The data subject: the user's or guest's id.
    #[sea_orm(column_type = "Text")]
    pub owner: String,
    #[sea_orm(column_type = "Text")]
    pub channel: String,
    #[sea_orm(column_type = "Text")]
    pub currency: String,
    /// As JSON: a list of [`Listed`]. Null once its owner was erased.
    #[sea_orm(column_type = "Text", nullable)]
    pub lines: Option<String>,
    /// The cart that has its lines now.
    #[sea_orm(column_type = "Text", nullable)]
    pub merged_into: Option<String>,
    /// The checkout of its lines that runs, or that became an order.
    #[sea_orm(column_type = "Text", nullable)]
    pub checkout_id: Option<String>,
    /// Microseconds since 1970.
    pub started_at: i64,
    pub changed_at: i64,
    pub version: i64,
    pub position: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Row for Model {
    const GROUP: &'static str = "id";

    fn group(&self) -> String {
        self.id.clone()
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// A share link of a cart.
pub mod share {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "cart_shares")]
    pub struct Model {
        /// Made of the link's secret by a hash.
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub id: String,
        #[sea_orm(column_type = "Text")]
        pub cart_id: String,
        /// Its end: microseconds since 1970.
        pub until: i64,
        pub version: i64,
        pub position: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl crate::Row for Model {
        const GROUP: &'static str = "id";

        fn group(&self) -> String {
            self.id.clone()
        }

        fn key(&self) -> String {
            self.id.clone()
        }
    }
}

/// A line, with its note in the clear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    pub line: u32,
    pub sku: Sku,
    pub product_id: ProductId,
    pub quantity: u32,
    pub note: Option<String>,
    pub seen: Seen,
    pub saved: bool,
}

impl Listed {
    fn of(line: &Line) -> Self {
        let Line { line, sku, product_id, quantity, note, seen, saved } = line.clone();
        Self { line, sku, product_id, quantity, note: text(note.as_ref()), seen, saved }
    }

    /// The line without its note.
    pub fn line(&self) -> Line {
        let Self { line, sku, product_id, quantity, note: _, seen, saved } = self.clone();
        Line { line, sku, product_id, quantity, note: None, seen, saved }
    }
}

fn text(note: Option<&Personal<String>>) -> Option<String> {
    note.and_then(Personal::get).cloned()
}

impl Model {
    /// Its lines; none once its owner was erased.
    pub fn lines(&self) -> Result<Vec<Listed>, Failure> {
        self.lines.as_deref().map_or_else(|| Ok(Vec::new()), read_lines)
    }
}

/// Reads the lines out of their column.
fn read_lines(column: &str) -> Result<Vec<Listed>, Failure> {
    serde_json::from_str(column)
        .map_err(|error| Failure(format!("the lines of a cart cannot be read: {error}")))
}

fn stored(lines: &[Listed]) -> Result<String, Failure> {
    serde_json::to_string(lines)
        .map_err(|error| Failure(format!("the lines of a cart cannot be written: {error}")))
}

/// Adds a line, or puts it in the place of the one with its number.
fn put(lines: &mut Vec<Listed>, new: Listed) {
    match lines.iter_mut().find(|line| line.line == new.line) {
        Some(old) => *old = new,
        None => lines.push(new),
    }
}

fn with(lines: &mut [Listed], line: u32, change: impl FnOnce(&mut Listed)) {
    if let Some(line) = lines.iter_mut().find(|one| one.line == line) {
        change(line);
    }
}

fn change(lines: &mut Vec<Listed>, event: &CartEvent) {
    match event {
        CartEvent::CartStarted { first: line, .. } | CartEvent::CartLineAdded { added: line, .. } => {
            put(lines, Listed::of(line));
        }
        CartEvent::CartLineChanged { line, quantity, note, seen, .. } => with(lines, *line, |line| {
            (line.quantity, line.note) = (*quantity, text(note.as_ref()));
            line.seen.clone_from(seen);
        }),
        CartEvent::CartLineRemoved { line } => lines.retain(|one| one.line != *line),
        CartEvent::CartLineSaved { line } => with(lines, *line, |line| line.saved = true),
        CartEvent::CartLineWanted { line } => with(lines, *line, |line| line.saved = false),
        CartEvent::CartClaimed { notes, .. } => {
            for Note { line, note } in notes {
                with(lines, *line, |line| line.note = text(Some(note)));
            }
        }
        CartEvent::CartLinesTaken { lines: taken, .. } => {
            for line in taken {
                put(lines, Listed::of(line));
            }
        }
        CartEvent::CartMerged { .. } | CartEvent::CartExpired {} => lines.clear(),
        CartEvent::CartCheckedOut { .. } => lines.retain(|line| line.saved),
        CartEvent::CartShared { .. }
        | CartEvent::CartShareEnded { .. }
        | CartEvent::CartCheckoutBegun { .. }
        | CartEvent::CartCheckoutEnded { .. } => {}
    }
}

/// The projection `carts`.
pub struct Carts;

impl Projector for Carts {
    fn name(&self) -> &'static str {
        "carts"
    }

    fn version(&self) -> i32 {
        2
    }

    fn shape(&self) -> i32 {
        2
    }

    fn follows(&self) -> &'static [&'static str] {
        &["cart", "person"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new(), TableFor::<share::Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX carts_by_owner ON @carts (owner, status, started_at)",
            "CREATE INDEX cart_shares_by_cart ON @cart_shares (cart_id, until)",
        ]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        let Event::Cart(cart) = &event.event else { return };
        wants.want::<Model>(id(event));
        if let CartEvent::CartShared { share, .. } | CartEvent::CartShareEnded { share } = cart {
            wants.want::<share::Model>(share.to_string());
        }
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let Event::Cart(cart) = &event.event else { return Ok(()) };
        let (id, at) = (id(event), event.occurred_at.timestamp_micros());
        let (version, position) = (event.version, event.position);
        if let CartEvent::CartStarted { channel, currency, customer, .. } = cart {
            let mut lines = Vec::new();
            change(&mut lines, cart);
            unit.put(Model {
                id,
                status: "open".to_owned(),
                customer_kind: kind(customer),
                owner: customer.subject().to_string(),
                channel: channel.clone(),
                currency: currency.to_string(),
                lines: Some(stored(&lines)?),
                merged_into: None,
                checkout_id: None,
                started_at: at,
                changed_at: at,
                version,
                position,
            });
            return Ok(());
        }
        match cart {
            CartEvent::CartShared { share, until } => unit.put(share::Model {
                id: share.to_string(),
                cart_id: id.clone(),
                until: until.timestamp_micros(),
                version,
                position,
            }),
            CartEvent::CartShareEnded { share } => {
                let share = share.to_string();
                unit.change(&share, &share, |row: &mut share::Model| {
                    row.until = at;
                    (row.version, row.position) = (version, position);
                })?;
            }
            _ => {}
        }
        // Of an erased owner nothing comes back.
        let before = unit.find::<Model>(&id, &id).and_then(|row| row.lines.clone());
        let lines = match before {
            Some(before) => {
                let mut lines = read_lines(&before)?;
                change(&mut lines, cart);
                Some(stored(&lines)?)
            }
            None => None,
        };
        unit.change(&id, &id, |row: &mut Model| {
            (row.lines, row.changed_at, row.version, row.position) = (lines, at, version, position);
            match cart {
                CartEvent::CartClaimed { user, .. } => {
                    "user".clone_into(&mut row.customer_kind);
                    row.owner = user.to_string();
                }
                CartEvent::CartMerged { into, .. } => {
                    "merged".clone_into(&mut row.status);
                    row.merged_into = Some(into.to_string());
                }
                CartEvent::CartExpired {} => "expired".clone_into(&mut row.status),
                CartEvent::CartCheckoutBegun { checkout } => row.checkout_id = Some(checkout.to_string()),
                CartEvent::CartCheckoutEnded { .. } | CartEvent::CartCheckedOut { goes_on: true, .. } => {
                    row.checkout_id = None;
                }
                CartEvent::CartCheckedOut { goes_on: false, .. } => "checked_out".clone_into(&mut row.status),
                _ => {}
            }
        })
    }

    fn personal(&self) -> &'static [PersonalColumns] {
        &[PersonalColumns {
            table: "carts",
            subject: "owner",
            purpose: Purpose::Account,
            columns: &["lines"],
            found_by: &[],
        }]
    }
}
