//! Amounts: people write them in units of a currency with decimals, rows hold them in minor units.

use serde_json::Value;
use soonshop_domain::Currency;

use crate::condition::Condition;

/// ISO 4217 currencies without a minor unit.
const WHOLE: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
/// Currencies whose minor unit is a thousandth.
const THOUSANDTHS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// The decimals of a currency.
fn places(currency: &str) -> usize {
    match currency {
        code if WHOLE.contains(&code) => 0,
        code if THOUSANDTHS.contains(&code) => 3,
        _ => 2,
    }
}

/// An amount as pages show it: `GBP 12.50`.
pub fn shown(amount: i64, currency: &str) -> String {
    let places = places(currency);
    if places == 0 {
        return format!("{currency} {amount}");
    }
    let unit = 10_u64.pow(u32::try_from(places).unwrap_or(0));
    let sign = if amount < 0 { "−" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{currency} {sign}{}.{:0places$}", amount / unit, amount % unit)
}

/// An amount in an event or a state, as pages show it; `None`: the value is none.
pub fn shown_value(value: &Value) -> Option<String> {
    Some(shown(value.get("amount")?.as_i64()?, value.get("currency")?.as_str()?))
}

/// The most digits before the decimal point.
const MOST_DIGITS: usize = 15;

/// A number such as `12.50`, in thousandths: the smallest unit that any currency has.
fn thousandths(written: &str, places: usize) -> Option<i64> {
    let (negative, digits) = written.strip_prefix('-').map_or((false, written), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    // "12." and ".5" are fragments, not numbers.
    let is_number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !is_number(whole, MOST_DIGITS) || part.is_some_and(|part| !is_number(part, places)) {
        return None;
    }
    let number: i64 = format!("{whole}{:0<3}", part.unwrap_or_default()).parse().ok()?;
    Some(if negative { -number } else { number })
}

/// The amounts that a term takes, in thousandths of a unit, both ends included.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    from: i64,
    to: i64,
    currency: Option<Currency>,
}

/// Reads `>100`, `>=100`, `<12.50`, `<=12.50`, `10..20` or `12.50`, optionally followed by a currency.
fn range(written: &str) -> Option<Range> {
    let code = written.len().checked_sub(3).and_then(|at| written.split_at_checked(at));
    let code = code.filter(|(_, code)| code.bytes().all(|b| b.is_ascii_alphabetic()));
    let (numbers, currency) = match code {
        Some((numbers, code)) => (numbers.trim_end(), Some(code.to_uppercase().parse::<Currency>().ok()?)),
        None => (written, None),
    };
    let places = currency.map_or(3, |currency| places(currency.as_str()));
    let number = |text: &str| thousandths(text, places);
    let (from, to) = if let Some((from, to)) = numbers.split_once("..") {
        (number(from)?, number(to)?)
    } else if let Some(least) = numbers.strip_prefix(">=") {
        (number(least)?, i64::MAX)
    } else if let Some(below) = numbers.strip_prefix('>') {
        (number(below)? + 1, i64::MAX)
    } else if let Some(most) = numbers.strip_prefix("<=") {
        (i64::MIN, number(most)?)
    } else if let Some(above) = numbers.strip_prefix('<') {
        (i64::MIN, number(above)? - 1)
    } else {
        (number(numbers)?, number(numbers)?)
    };
    (from <= to).then_some(Range { from, to, currency })
}

impl Range {
    /// The range in minor units of a currency with this many decimals.
    fn minor(&self, places: usize) -> (i64, i64) {
        let unit = 10_i64.pow(u32::try_from(3 - places.min(3)).unwrap_or(0));
        let up = i64::from(self.from.rem_euclid(unit) != 0);
        (self.from.div_euclid(unit).saturating_add(up), self.to.div_euclid(unit))
    }
}

/// One end of a range, for any currency. The bound that holds for all of them comes first, because an index can use
/// it.
fn end(is: &str, whole: i64, hundredths: i64, thousandths: i64, widest: i64) -> Condition {
    let of = |codes: &[&str]| format!("'{}'", codes.join("', '"));
    let sql = format!(
        "(amount {is} ? AND amount {is} CASE WHEN currency IN ({}) THEN ? WHEN currency IN ({}) THEN ? ELSE ? END)",
        of(WHOLE),
        of(THOUSANDTHS)
    );
    Condition::of(sql, [widest, whole, thousandths, hundredths].map(Into::into).to_vec())
}

/// Matches rows with an amount in this range. Without a currency, it matches that many units of any currency.
pub fn condition(written: &str) -> Option<Condition> {
    let range = range(written)?;
    if let Some(currency) = range.currency {
        let (from, to) = range.minor(places(currency.as_str()));
        let sql = "(currency = ? AND amount >= ? AND amount <= ?)".to_owned();
        return Some(Condition::of(sql, vec![currency.to_string().into(), from.into(), to.into()]));
    }
    let (whole, hundredths, thousandths) = (range.minor(0), range.minor(2), range.minor(3));
    let all = [whole, hundredths, thousandths];
    let least = all.iter().map(|(from, _)| *from).min()?;
    let most = all.iter().map(|(_, to)| *to).max()?;
    let from = end(">=", whole.0, hundredths.0, thousandths.0, least);
    Some(from.and(end("<=", whole.1, hundredths.1, thousandths.1, most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(written: &str) -> Option<(i64, i64)> {
        range(written).map(|range| (range.from, range.to))
    }

    #[test]
    fn amounts_are_parsed_as_people_write_them() {
        assert_eq!(ends(">100"), Some((100_001, i64::MAX)));
        assert_eq!(ends(">=100"), Some((100_000, i64::MAX)));
        assert_eq!(ends("<12.5"), Some((i64::MIN, 12_499)));
        assert_eq!(ends("<=12.50"), Some((i64::MIN, 12_500)));
        assert_eq!(ends("10..20"), Some((10_000, 20_000)));
        assert_eq!(ends("-3..0.075"), Some((-3_000, 75)));
        assert_eq!(ends("12.50"), Some((12_500, 12_500)));
        assert_eq!(range("10..20gbp").unwrap().currency, Some(Currency::GBP));
        assert_eq!(ends(">100 JPY"), Some((100_001, i64::MAX)));
    }

    #[test]
    fn amounts_use_the_minor_units_of_their_currency_and_never_overflow() {
        let of = |written: &str, places| range(written).unwrap().minor(places);
        assert_eq!(of(">100", 2), (10_001, i64::MAX / 10));
        assert_eq!(of(">100", 0).0, 101);
        assert_eq!(of(">=0.005", 2).0, 1, "half a penny and more begins at a penny");
        assert_eq!(of("<=0.005", 2).1, 0);
        assert_eq!(of("<0", 2).1, -1);
        assert_eq!(of("<-0.01", 2).1, -2);
        assert_eq!(of(">=-0.015", 2).0, -1);
        assert_eq!(of("12.50", 3), (12_500, 12_500));
    }

    #[test]
    fn invalid_amounts_are_refused() {
        for written in [
            "",
            ">",
            "..",
            "10..",
            "..10",
            "20..10",
            "NaN",
            "inf",
            "1e9",
            "0x10",
            "+5",
            "--5",
            ">>5",
            "=5",
            "1,000",
            "12.",
            ".5",
            "1.2.3",
            "12.3456",
            "12.345GBP",
            "12.5JPY",
            "12.0JPY",
            "100XXX",
            "GBP",
            ">100€",
            "１００",
            "9999999999999999",
            "99999999999999999999999999999999999999",
            "1.99999999999999999999999999999999",
            "10'--",
        ] {
            assert_eq!(range(written), None, "{written}");
        }
        assert!(range("999999999999999.999KWD").is_some());
    }

    #[test]
    fn amounts_are_shown_with_the_decimals_of_their_currency() {
        assert_eq!(shown(1_299, "GBP"), "GBP 12.99");
        assert_eq!(shown(-5, "GBP"), "GBP −0.05");
        assert_eq!(shown(1_299, "JPY"), "JPY 1299");
        assert_eq!(shown(1_299, "KWD"), "KWD 1.299");
    }
}
