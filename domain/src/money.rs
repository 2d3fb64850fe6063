//! Money: an integer of minor units and an ISO 4217 currency. Sums never round, and an overflow is `None`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The active codes of ISO 4217 with a minor unit (list one, 2024), without funds and metals.
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD \
    CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD \
    HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL \
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD \
    RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD \
    UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG";

/// The most that one unit may cost, in minor units. It holds wherever an amount is named: in a command, a field of the
/// API or an imported file. Events that earlier releases stored may have more, and are read as they are.
pub const MOST_AMOUNT: i64 = 100_000_000_000;

/// The most that the lines of an order or a credit note may come to, in minor units. Every program that reads JSON has it
/// exactly, and no sum of so few lines overflows before it is compared.
pub const MOST_TOTAL: i64 = 1_000_000_000_000_000;

/// An ISO 4217 code, such as `GBP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    pub const GBP: Self = Self(*b"GBP");

    /// The code in capitals.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

/// The code is none that ISO 4217 lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the currency is not an ISO 4217 code such as GBP")]
pub struct UnknownCurrency;

impl std::str::FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        let known =
            code.len() == 3 && CODES.as_bytes().chunks(4).any(|known| known.starts_with(code.as_bytes()));
        if !known {
            return Err(UnknownCurrency);
        }
        code.as_bytes().try_into().map(Self).map_err(|_| UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in minor units (pence, cents) of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    pub amount: i64,
    pub currency: Currency,
}

impl Money {
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Whether one unit may cost this: nothing, or up to [`MOST_AMOUNT`].
    pub const fn is_price(self) -> bool {
        0 <= self.amount && self.amount <= MOST_AMOUNT
    }

    /// `None` if the product overflows.
    pub fn times(self, quantity: u32) -> Option<Self> {
        self.amount.checked_mul(i64::from(quantity)).map(|amount| Self { amount, ..self })
    }

    /// `None` if the currencies differ or the sum overflows.
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        self.amount.checked_add(other.amount).map(|amount| Self { amount, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gbp(amount: i64) -> Money {
        Money::new(amount, Currency::GBP)
    }

    fn eur(amount: i64) -> Money {
        Money::new(amount, "EUR".parse().unwrap())
    }

    #[test]
    fn every_currency_code_is_three_capitals_unique_and_in_order() {
        let codes: Vec<_> = CODES.split_whitespace().collect();
        assert!(codes.is_sorted_by(|a, b| a < b));
        for code in codes {
            assert!(code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()), "{code}");
            assert_eq!(code.parse::<Currency>().unwrap().as_str(), code);
        }
    }

    #[test]
    fn a_malformed_reason_code_is_refused_and_not_repeated() {
        for bad in ["", "gbp", "GB", "GBPX", " GBP", "XXX", "XAU", "£££", "BP ", "P G"] {
            assert_eq!(bad.parse::<Currency>(), Err(UnknownCurrency), "{bad:?}");
        }
        let error = serde_json::from_str::<Currency>("\"secret\"").unwrap_err().to_string();
        assert!(error.starts_with(&UnknownCurrency.to_string()) && !error.contains("secret"), "{error}");
    }

    #[test]
    fn money_is_stored_as_an_integer_and_a_code() {
        let stored = r#"{"amount":1299,"currency":"GBP"}"#;
        assert_eq!(serde_json::to_string(&gbp(1_299)).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Money>(stored).unwrap(), gbp(1_299));
    }

    #[test]
    fn a_non_integer_amount_and_an_unknown_field_are_refused() {
        for bad in [
            r#"{"amount":12.99,"currency":"GBP"}"#,
            r#"{"amount":"1299","currency":"GBP"}"#,
            r#"{"amount":9223372036854775808,"currency":"GBP"}"#,
            r#"{"amount":1299}"#,
            r#"{"currency":"GBP"}"#,
            r#"{"amount":1299,"currency":"GBP","rate":2}"#,
        ] {
            assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_of_one_currency_add_up_and_of_two_do_not() {
        assert_eq!(gbp(2).plus(gbp(-3)), Some(gbp(-1)));
        assert_eq!(gbp(2).plus(eur(3)), None);
    }

    #[test]
    fn a_price_is_between_nothing_and_the_ceiling() {
        for amount in [0, 1, MOST_AMOUNT] {
            assert!(gbp(amount).is_price(), "{amount}");
        }
        for amount in [i64::MIN, -1, MOST_AMOUNT + 1, i64::MAX] {
            assert!(!gbp(amount).is_price(), "{amount}");
        }
        // JSON numbers are exact up to here in every program.
        const { assert!(MOST_AMOUNT < MOST_TOTAL && MOST_TOTAL < 1 << 53) };
    }

    #[test]
    fn an_overflowing_sum_is_none() {
        assert_eq!(gbp(i64::MAX).plus(gbp(1)), None);
        assert_eq!(gbp(i64::MIN).plus(gbp(-1)), None);
        assert_eq!(gbp(i64::MAX).times(1), Some(gbp(i64::MAX)));
        assert_eq!(gbp(i64::MAX).times(2), None);
        assert_eq!(gbp(i64::MIN).times(2), None);
        assert_eq!(gbp(7).times(0), Some(gbp(0)));
    }
}
