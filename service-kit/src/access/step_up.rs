//! Second factors of those who are signed in with an account: one rule for all endpoints, by their permission.
//!
//! API keys, the operator's token and guests are asked for none: they sign in with nothing that a second factor could
//! stand beside.

use soonshop_domain::Money;

use super::caller::{Access, Caller};
use super::factor::{FRESH_SECONDS, Factor, RefundLimit};
use super::role::Permission;
use crate::Problem;

impl Permission {
    /// Whether it asks those who are signed in with an account for a fresh second factor.
    pub const fn asks_for_fresh_factor(self) -> bool {
        match self {
            Self::Reveal | Self::Export | Self::ErasePerson | Self::EraseStaff => true,
            Self::Read
            | Self::ReadPersonal
            | Self::Shop
            | Self::Figures
            | Self::Register
            | Self::Trade
            | Self::Stock
            | Self::Fulfil
            | Self::Refund
            | Self::Charge
            | Self::Override
            | Self::ActOnBehalf
            | Self::Audit
            | Self::RetryParked
            | Self::Acknowledge => false,
        }
    }
}

impl Caller {
    /// 403 where this permission asks for a second factor that the caller's session has not given.
    pub(super) fn gave_factor(&self, permission: Permission, what: &str) -> Result<(), Problem> {
        match self.factor {
            Factor::NotAsked | Factor::Fresh => Ok(()),
            Factor::NotFresh if !permission.asks_for_fresh_factor() => Ok(()),
            Factor::Missing => Err(second_factor_required(
                "an account with this role has a second factor, and this session has given none: add one with \
                 POST /auth/factors, or give one with POST /auth/step-up",
            )),
            Factor::NotFresh => Err(fresh_factor_required(what)),
        }
    }
}

impl Access {
    /// Asks for a fresh second factor for refunds above these amounts. A currency that is not named has no limit.
    #[must_use]
    pub fn with_refund_limits(mut self, limits: &[RefundLimit]) -> Self {
        self.refund_limits = limits.into();
        self
    }

    /// 403 where a refund of this amount asks for a second factor that the caller's session has not given.
    pub fn may_refund(&self, caller: &Caller, amount: Money) -> Result<(), Problem> {
        let above = self.refund_limits.iter().any(|limit| limit.is_below(amount));
        if above && caller.factor == Factor::NotFresh {
            return Err(fresh_factor_required("a refund of this amount"));
        }
        Ok(())
    }
}

/// 403 for something that asks for a fresh second factor; `what` names it.
pub fn fresh_factor_required(what: &str) -> Problem {
    second_factor_required(format!(
        "{what} asks for a second factor that was given within the last {} minutes: give one with POST /auth/step-up, \
         or add the first one with POST /auth/factors",
        FRESH_SECONDS / 60
    ))
    .with("within_seconds", FRESH_SECONDS)
}

fn second_factor_required(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::forbidden("second-factor-required", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn admin(factor: Factor) -> Caller {
        Caller { role: Role::Admin, factor, ..Caller::guest() }
    }

    #[test]
    fn reveals_exports_and_erasures_ask_for_a_fresh_factor_and_nothing_else_does() {
        let asked: Vec<_> =
            Permission::ALL.iter().filter(|one| one.asks_for_fresh_factor()).map(AsRef::as_ref).collect();
        assert_eq!(asked, ["erase-person", "erase-staff", "export", "reveal"]);
        for permission in Permission::ALL {
            let asks = permission.asks_for_fresh_factor();
            for (factor, refused) in [
                (Factor::NotAsked, false),
                (Factor::Missing, true),
                (Factor::NotFresh, asks),
                (Factor::Fresh, false),
            ] {
                let problem = admin(factor).must(permission, "this").err();
                let slug = problem.as_ref().map(Problem::slug);
                assert_eq!(slug, refused.then_some("second-factor-required"), "{permission} {factor:?}");
            }
        }
    }

    #[test]
    fn a_refund_above_its_limit_asks_for_a_fresh_factor_in_its_own_currency() {
        let limits: Vec<RefundLimit> =
            ["EUR=10000", "JPY=0"].into_iter().map(|text| text.parse().unwrap()).collect();
        let access = Access::new(None).with_refund_limits(&limits);
        let of = |amount, currency: &str| Money::new(amount, currency.parse().unwrap());
        for (amount, asks) in [
            (of(10_000, "EUR"), false),
            (of(10_001, "EUR"), true),
            (of(0, "JPY"), false),
            (of(1, "JPY"), true),
            (of(1_000_000, "GBP"), false),
        ] {
            assert_eq!(access.may_refund(&admin(Factor::NotFresh), amount).is_err(), asks, "{amount:?}");
            assert!(access.may_refund(&admin(Factor::Fresh), amount).is_ok());
            assert!(access.may_refund(&admin(Factor::NotAsked), amount).is_ok(), "a key");
            assert!(Access::new(None).may_refund(&admin(Factor::NotFresh), amount).is_ok(), "no limit");
        }
        for bad in
            ["", "EUR", "EUR=", "EUR=-1", "EUR=1.5", "EUR=+1", "euros=1", "=1", "EUR=99999999999999999999"]
        {
            let refused = bad.parse::<RefundLimit>().unwrap_err();
            assert!(refused.contains("such as EUR=10000"), "{refused}");
        }
    }

    #[test]
    fn a_role_that_may_not_is_told_so_and_not_to_give_a_factor() {
        let support = Caller { role: Role::Support, ..admin(Factor::NotFresh) };
        assert_eq!(support.must(Permission::Reveal, "this").unwrap_err().slug(), "not-permitted");
    }
}
