//! What a cart decides, and what its events do to it.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::line::{Line, NewLine, NewNote, Note, Seen};
use super::{
    CHECKOUT_CHANGES, Cart, Command, Error, Event, LINES_OF_AN_EVENT, MOST_CHANGES, MOST_LINES,
    MOST_SHARE_DAYS, MOST_SHARES, MOST_UNITS, Owned, SHARE_DAYS, Share, Status,
};
use crate::ids::{CartId, GuestId, OrderId, UserId};
use crate::money::MOST_TOTAL;
use crate::order::Customer;
use crate::{Currency, Facts, Personal, PersonalValue};

type Decided = Result<Vec<Event>, Error>;

impl Cart {
    pub(super) fn decided(&self, command: Command, facts: &Facts) -> Decided {
        match command {
            Command::Start { channel, customer, line } => self.start(channel, customer, line),
            Command::Add { line } => self.add(line),
            Command::Change { line, quantity, note, seen } => self.change(line, quantity, note, seen),
            Command::Remove { line } => {
                self.open()?;
                let there = self.lines.iter().any(|one| one.line == line);
                match there {
                    true => Ok(vec![Event::CartLineRemoved { line }]),
                    // It was removed before.
                    false if (1..=self.last_line).contains(&line) => Ok(vec![]),
                    false => Err(Error::NotInCart),
                }
            }
            Command::Save { line } => self.set_aside(line, true),
            Command::Want { line } => self.set_aside(line, false),
            Command::Share { share, until } => self.share(share, until, facts.now),
            Command::EndShare { share } => {
                // A link can be ended while a checkout runs, as that changes no line.
                self.open().map(|_| ()).or_else(|error| match error {
                    Error::CheckoutRunning => Ok(()),
                    error => Err(error),
                })?;
                let there = self.shares.iter().any(|one| one.share == share);
                Ok(if there { vec![Event::CartShareEnded { share }] } else { vec![] })
            }
            Command::Claim { user, guest, notes, changes } => self.claim(user, guest, notes, changes),
            Command::Take { from, lines } => self.take(from, lines),
            Command::MergeInto { into, owner, guest, changes } => {
                self.merge_into(into, owner, guest, changes)
            }
            Command::BeginCheckout { checkout, changes } => self.begin_checkout(checkout, changes),
            Command::EndCheckout { checkout } => {
                let ended = Event::CartCheckoutEnded { checkout };
                Ok(if self.runs(checkout) { vec![ended] } else { vec![] })
            }
            Command::CheckOut { checkout } => match (self.status, self.checkout) {
                (Status::CheckedOut, Some(before)) if before == checkout => Ok(vec![]),
                _ if self.runs(checkout) => {
                    let goes_on = self.lines.iter().any(|line| line.saved);
                    Ok(vec![Event::CartCheckedOut { checkout, goes_on }])
                }
                _ => Err(Error::CartChanged),
            },
            Command::Stay if self.status == Status::Unknown => Err(Error::CartNotFound),
            Command::Stay => Ok(vec![]),
            Command::Expire { changes } => match self.status {
                Status::Unknown => Err(Error::CartNotFound),
                Status::Open if self.checkout.is_some() => Err(Error::CartChanged),
                Status::Open if changes.is_some_and(|changes| changes != self.changes) => {
                    Err(Error::CartChanged)
                }
                Status::Open => Ok(vec![Event::CartExpired {}]),
                Status::Merged | Status::Expired | Status::CheckedOut => Ok(vec![]),
            },
        }
    }

    fn runs(&self, checkout: OrderId) -> bool {
        self.status == Status::Open && self.checkout == Some(checkout)
    }

    fn begin_checkout(&self, checkout: OrderId, changes: u32) -> Decided {
        if self.runs(checkout) {
            return Ok(vec![]);
        }
        self.may_check_out()?;
        if self.changes != changes {
            return Err(Error::CartChanged);
        }
        Ok(vec![Event::CartCheckoutBegun { checkout }])
    }

    /// Refused unless a checkout of the cart can start. A checkout that comes to nothing is two changes; a cart takes
    /// `CHECKOUT_CHANGES` of them beyond `MOST_CHANGES`, so that a cart with all its changes can still be bought.
    pub fn may_check_out(&self) -> Result<(), Error> {
        self.open()?;
        if self.changes >= MOST_CHANGES + CHECKOUT_CHANGES {
            return Err(Error::CartFull);
        }
        if self.lines.iter().all(|line| line.saved) { Err(Error::NothingToBuy) } else { Ok(()) }
    }

    /// Its owner, while it is open.
    fn open(&self) -> Result<&Owned, Error> {
        match (self.status, &self.owned, self.into) {
            (Status::Open, Some(_), _) if self.checkout.is_some() => Err(Error::CheckoutRunning),
            (Status::Open, Some(owned), _) => Ok(owned),
            (Status::CheckedOut, ..) => Err(Error::CartCheckedOut),
            (Status::Unknown, ..) | (_, None, _) => Err(Error::CartNotFound),
            (_, _, Some(into)) => Err(Error::CartEnded(into)),
            _ => Err(Error::CartExpired),
        }
    }

    /// Its owner, while it takes changes.
    fn changeable(&self) -> Result<&Owned, Error> {
        let owned = self.open()?;
        if self.changes < MOST_CHANGES { Ok(owned) } else { Err(Error::CartFull) }
    }

    fn line(&self, line: u32) -> Result<&Line, Error> {
        self.lines.iter().find(|one| one.line == line).ok_or(Error::NotInCart)
    }

    fn start(&self, channel: String, customer: Customer, line: NewLine) -> Decided {
        if self.status != Status::Unknown {
            return Err(Error::CartExists);
        }
        let (currency, first) = (line.seen.price.currency, line.numbered(1));
        fits(currency, &first)?;
        total_fits(&[], &first)?;
        Ok(vec![Event::CartStarted { channel, currency, customer, first }])
    }

    fn add(&self, new: NewLine) -> Decided {
        let owned = self.changeable()?;
        is_for(owned, new.note.as_ref())?;
        if !(1..=MOST_UNITS).contains(&new.quantity) {
            return Err(Error::BadQuantity);
        }
        let goods = (new.product_id, &new.sku);
        let same = self.lines.iter().find(|line| new.note.is_none() && line.takes(goods, false));
        if let Some(line) = same {
            let quantity = line.quantity.checked_add(new.quantity).ok_or(Error::BadQuantity)?;
            return self.change(line.line, quantity, NewNote::Same, None);
        }
        if self.lines.len() >= MOST_LINES {
            return Err(Error::CartFull);
        }
        let added = new.numbered(self.last_line + 1);
        fits(owned.currency, &added)?;
        total_fits(&self.lines, &added)?;
        Ok(vec![Event::CartLineAdded { customer: owned.customer, added }])
    }

    fn change(&self, line: u32, quantity: u32, note: NewNote, seen: Option<Seen>) -> Decided {
        let owned = self.changeable()?;
        let before = self.line(line)?;
        let note = match note {
            NewNote::Same => before.note.clone(),
            NewNote::Removed => None,
            NewNote::Is(note) => {
                is_for(owned, Some(&note))?;
                Some(note)
            }
        };
        let seen = seen.unwrap_or_else(|| before.seen.clone());
        let after = Line { quantity, note, seen, ..before.clone() };
        if after == *before {
            return Ok(vec![]);
        }
        // A line whose currency was another one before it was taken from another cart may keep it.
        let currency = if after.seen == before.seen { after.seen.price.currency } else { owned.currency };
        fits(currency, &after)?;
        // Less of it never costs too much.
        if cost(&after) > cost(before) {
            total_fits(&self.lines, &after)?;
        }
        let Line { quantity, note, seen, .. } = after;
        Ok(vec![Event::CartLineChanged { customer: owned.customer, line, quantity, note, seen }])
    }

    fn set_aside(&self, line: u32, saved: bool) -> Decided {
        self.changeable()?;
        let before = self.line(line)?;
        if before.saved == saved {
            return Ok(vec![]);
        }
        Ok(vec![if saved { Event::CartLineSaved { line } } else { Event::CartLineWanted { line } }])
    }

    fn share(&self, share: Uuid, until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Decided {
        self.changeable()?;
        let until = until.unwrap_or(now + TimeDelta::days(SHARE_DAYS));
        if until <= now || until > now + TimeDelta::days(MOST_SHARE_DAYS) {
            return Err(Error::BadShareEnd);
        }
        if self.shares.iter().filter(|one| one.until > now).count() >= MOST_SHARES {
            return Err(Error::CartFull);
        }
        Ok(vec![Event::CartShared { share, until }])
    }

    /// Claims it for an account, once. Of another guest it is as if it were not there.
    fn claim(&self, user: UserId, guest: GuestId, notes: Vec<Note>, changes: u32) -> Decided {
        let owned = self.owned.as_ref().ok_or(Error::CartNotFound)?;
        if owned.customer == Customer::User(user) {
            return Ok(vec![]);
        }
        self.as_read(guest, changes)?;
        // Links were given away by the guest.
        let ended = self.shares.iter().map(|one| Event::CartShareEnded { share: one.share });
        let claimed = in_events(&notes).map(|notes| Event::CartClaimed { user, guest, notes });
        Ok(ended.chain(claimed).collect())
    }

    /// Whether it is still the open cart of this guest that was read before this was decided.
    fn as_read(&self, guest: GuestId, changes: u32) -> Result<(), Error> {
        let owned = self.owned.as_ref().ok_or(Error::CartNotFound)?;
        if owned.customer != Customer::Guest(guest) {
            return Err(Error::CartNotFound);
        }
        self.open()?;
        if self.changes == changes { Ok(()) } else { Err(Error::CartChanged) }
    }

    /// Quantities are added up as far as a line holds them: nothing is lost, whatever the stock.
    fn take(&self, from: CartId, others: Vec<Line>) -> Decided {
        let owned = self.open()?;
        let (mut last, mut taken): (u32, Vec<Line>) = (self.last_line, Vec::new());
        for other in others {
            let sum =
                |line: &Line| line.quantity.checked_add(other.quantity).filter(|sum| *sum <= MOST_UNITS);
            let same = |line: &&Line| {
                other.note.is_none()
                    && line.takes((other.product_id, &other.sku), other.saved)
                    && sum(line).is_some()
            };
            // One that an earlier line of the other cart was added to holds that already.
            if let Some(line) = taken.iter_mut().find(|line| same(&&**line)) {
                line.quantity = sum(line).unwrap_or(line.quantity);
            } else if let Some(line) =
                self.lines.iter().filter(same).find(|line| taken.iter().all(|one| one.line != line.line))
            {
                taken.push(Line { quantity: sum(line).unwrap_or(line.quantity), ..line.clone() });
            } else {
                last += 1;
                taken.push(Line { line: last, ..other });
            }
        }
        let new = taken.iter().filter(|line| line.line > self.last_line).count();
        if self.lines.len() + new > MOST_LINES {
            return Err(Error::CartFull);
        }
        let customer = owned.customer;
        Ok(in_events(&taken).map(|lines| Event::CartLinesTaken { customer, from, lines }).collect())
    }

    fn merge_into(&self, into: CartId, owner: UserId, guest: GuestId, changes: u32) -> Decided {
        self.as_read(guest, changes)?;
        Ok(vec![Event::CartMerged { into, owner }])
    }

    pub(crate) fn evolve(&mut self, event: Event) {
        self.changes += 1;
        match event {
            Event::CartStarted { channel, currency, customer, first } => {
                self.status = Status::Open;
                self.owned = Some(Owned { channel, currency, customer });
                self.put(first);
            }
            Event::CartLineAdded { added, .. } => self.put(added),
            Event::CartLineChanged { line, quantity, note, seen, .. } => self.with(line, |line| {
                (line.quantity, line.note, line.seen) = (quantity, note, seen);
            }),
            Event::CartLineRemoved { line } => self.lines.retain(|one| one.line != line),
            Event::CartLineSaved { line } => self.with(line, |line| line.saved = true),
            Event::CartLineWanted { line } => self.with(line, |line| line.saved = false),
            Event::CartShared { share, until } => {
                if self.shares.len() >= MOST_SHARES {
                    // Of so many one has ended, or it would have been refused.
                    let first = self.shares.iter().map(|one| one.until).min();
                    self.shares.retain(|one| Some(one.until) != first);
                }
                self.shares.push(Share { share, until });
            }
            Event::CartShareEnded { share } => {
                self.shares.retain(|one| one.share != share);
            }
            Event::CartClaimed { user, notes, .. } => {
                if let Some(owned) = &mut self.owned {
                    owned.customer = Customer::User(user);
                }
                for Note { line, note } in notes {
                    self.with(line, |line| line.note = Some(note));
                }
            }
            Event::CartLinesTaken { lines, .. } => lines.into_iter().for_each(|line| self.put(line)),
            Event::CartMerged { into, .. } => {
                self.into = Some(into);
                self.end(Status::Merged);
            }
            Event::CartExpired {} => self.end(Status::Expired),
            Event::CartCheckoutBegun { checkout } => self.checkout = Some(checkout),
            Event::CartCheckoutEnded { .. } => self.checkout = None,
            Event::CartCheckedOut { goes_on: true, .. } => {
                self.checkout = None;
                self.lines.retain(|line| line.saved);
            }
            Event::CartCheckedOut { goes_on: false, .. } => self.end(Status::CheckedOut),
        }
    }

    /// Adds a line, or puts it in the place of the one with its number.
    fn put(&mut self, line: Line) {
        self.last_line = self.last_line.max(line.line);
        match self.lines.iter_mut().find(|one| one.line == line.line) {
            Some(old) => *old = line,
            None => self.lines.push(line),
        }
    }

    fn with(&mut self, line: u32, change: impl FnOnce(&mut Line)) {
        if let Some(line) = self.lines.iter_mut().find(|one| one.line == line) {
            change(line);
        }
    }

    fn end(&mut self, status: Status) {
        self.status = status;
        self.lines.clear();
        self.shares.clear();
    }
}

/// What fits in an event each; once, if there is nothing.
fn in_events<T: Clone>(all: &[T]) -> impl Iterator<Item = Vec<T>> {
    let none = all.is_empty().then(Vec::new);
    none.into_iter().chain(all.chunks(LINES_OF_AN_EVENT).map(<[T]>::to_vec))
}

/// Whether a new note is encrypted for the owner: the cart may have become somebody else's since it was read.
fn is_for(owned: &Owned, note: Option<&Personal<String>>) -> Result<(), Error> {
    let key = note.and_then(PersonalValue::pending_key);
    let fits = key.is_none_or(|(subject, _)| subject == owned.customer.subject());
    if fits { Ok(()) } else { Err(Error::CartChanged) }
}

/// What its owner saw that it costs: nobody knows what it will cost.
fn cost(line: &Line) -> i128 {
    i128::from(line.seen.price.amount) * i128::from(line.quantity)
}

/// Whether a line can be in a cart of this currency.
fn fits(currency: Currency, line: &Line) -> Result<(), Error> {
    if !(1..=MOST_UNITS).contains(&line.quantity) {
        return Err(Error::BadQuantity);
    }
    if line.seen.price.currency != currency {
        return Err(Error::OtherCurrency(currency));
    }
    if line.seen.price.is_price() { Ok(()) } else { Err(Error::TotalTooLarge) }
}

/// Whether an order can have the total that the line comes to with the others of a cart.
fn total_fits(lines: &[Line], line: &Line) -> Result<(), Error> {
    let others = lines.iter().filter(|other| other.line != line.line);
    let total: i128 = others.chain([line]).map(cost).sum();
    if total > i128::from(MOST_TOTAL) { Err(Error::TotalTooLarge) } else { Ok(()) }
}
