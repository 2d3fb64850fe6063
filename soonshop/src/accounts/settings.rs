//! Which accounts must have a second factor.

use soonshop_service_kit::access::{RefundLimit, Role};

/// Whom a second factor is asked of.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FactorSettings {
    /// The roles whose accounts must have a second factor: without one they can add one, and do nothing else
    #[arg(
        long,
        env = "SOONSHOP_REQUIRE_SECOND_FACTOR",
        value_name = "ROLE",
        value_delimiter = ',',
        value_parser = account_role,
        global = true
    )]
    pub require_second_factor: Vec<String>,
    /// Above which amount a refund asks those who signed in with an account for a second factor of the last five minutes,
    /// in minor units; a currency that is not named has no limit
    #[arg(
        long,
        env = "SOONSHOP_STEP_UP_REFUND",
        value_name = "CURRENCY=AMOUNT",
        value_delimiter = ',',
        global = true
    )]
    pub step_up_refund: Vec<RefundLimit>,
}

/// Whether a text has the form of the name of a role.
pub(super) fn well_formed(text: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if starts && (2..=40).contains(&text.len()) && text.bytes().all(good) {
        return Ok(());
    }
    Err("the name of a role has 2 to 40 of a-z, 0-9 and -, and begins with a letter".to_owned())
}

/// A text that may name the role of an account: one of the release, or one that the shop may have defined.
pub(super) fn account_role(text: &str) -> Result<String, String> {
    if text.parse().is_ok_and(|role| !Role::STAFF.contains(&role)) {
        return Err(format!(
            "{text} is no role of an account: those are customer, support, warehouse, finance, auditor, ops, admin and what \
             `soonshop role define` defined; a program has a key"
        ));
    }
    well_formed(text)?;
    Ok(text.to_owned())
}

impl FactorSettings {
    /// Whether an account with these roles must have a second factor.
    pub(super) fn is_required_of(&self, roles: &[String]) -> bool {
        roles.iter().any(|role| self.require_second_factor.contains(role))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use soonshop_identity::CUSTOMER;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        factors: FactorSettings,
    }

    #[test]
    fn a_second_factor_is_required_of_the_roles_that_are_named() {
        let parsed = |flags: &[&str]| Cli::try_parse_from([&["soonshop"], flags].concat());
        let none = parsed(&[]).unwrap().factors;
        let some = parsed(&["--require-second-factor", "admin,ops"]).unwrap().factors;
        for (role, required) in [("admin", true), ("ops", true), ("support", false), (CUSTOMER, false)] {
            assert_eq!(some.is_required_of(&[role.to_owned()]), required, "{role}");
            assert!(!none.is_required_of(&[role.to_owned()]));
        }
        assert!(some.is_required_of(&["support".to_owned(), "ops".to_owned()]));
        for (bad, why) in
            [("service", "a program has a key"), ("guest", "a program has a key"), ("Admin", "of a-z")]
        {
            let refused = parsed(&["--require-second-factor", bad]).err().unwrap().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
