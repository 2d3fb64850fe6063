//! What a session gave beside a password, and above which amount a refund asks for more.

use std::str::FromStr;

use soonshop_domain::{Currency, Money};

/// For how many seconds a second factor counts as fresh, for what asks for one.
pub const FRESH_SECONDS: u32 = 300;

/// What the session of a caller gave beside a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// There is no session of an account.
    NotAsked,
    /// No second factor, and the account has a role that must have one: it may add one, or give one, and nothing else.
    Missing,
    /// None within the last [`FRESH_SECONDS`].
    NotFresh,
    /// One within the last [`FRESH_SECONDS`].
    Fresh,
}

/// Above which amount a refund asks for a fresh second factor, in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundLimit(Money);

impl RefundLimit {
    /// Whether a refund of this amount is above it.
    pub(super) fn is_below(&self, amount: Money) -> bool {
        self.0.currency == amount.currency && amount.amount > self.0.amount
    }
}

impl FromStr for RefundLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text}: a limit is a currency and an amount in its minor units, such as EUR=10000");
        let (currency, amount) = text.split_once('=').ok_or_else(bad)?;
        let digits = !amount.is_empty() && amount.bytes().all(|byte| byte.is_ascii_digit());
        let amount = amount.parse().ok().filter(|_| digits).ok_or_else(bad)?;
        Ok(Self(Money::new(amount, currency.parse::<Currency>().map_err(|_| bad())?)))
    }
}
