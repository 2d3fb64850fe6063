//! For how long certificates are valid.

use chrono::{DateTime, TimeDelta, Utc};
use rustls::pki_types::CertificateDer;

/// So long before its end a certificate should have been renewed.
const SOON: TimeDelta = TimeDelta::days(14);

/// The time in which every certificate of a chain is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub begins: DateTime<Utc>,
    /// Until then.
    pub ends: DateTime<Utc>,
}

/// Whether a certificate is valid at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidityState {
    /// It is not valid yet.
    NotYet,
    /// It is valid.
    Valid,
    /// It is valid, and should have been renewed by now.
    EndsSoon,
    /// It is valid no more.
    Ended,
}

impl Validity {
    /// The time in which all of them are valid; else why one of them cannot be read.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let mut whole = Self { begins: DateTime::<Utc>::MIN_UTC, ends: DateTime::<Utc>::MAX_UTC };
        for certificate in chain {
            let (_, read) =
                x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
            let at = |seconds| {
                DateTime::from_timestamp(seconds, 0).ok_or_else(|| "its time is out of range".to_owned())
            };
            let validity = read.validity();
            whole.begins = whole.begins.max(at(validity.not_before.timestamp())?);
            whole.ends = whole.ends.min(at(validity.not_after.timestamp())?);
        }
        Ok(whole)
    }

    /// Whether it is valid at that time. One that lives for less than two months ends soon in the last quarter of its life.
    pub fn at(&self, now: DateTime<Utc>) -> ValidityState {
        if now < self.begins {
            return ValidityState::NotYet;
        }
        if now > self.ends {
            return ValidityState::Ended;
        }
        let soon = SOON.min((self.ends - self.begins) / 4);
        if self.ends - now < soon { ValidityState::EndsSoon } else { ValidityState::Valid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(day * 86_400, 0).unwrap()
    }

    #[test]
    fn a_certificate_is_to_be_renewed_two_weeks_before_its_end() {
        let year = Validity { begins: at(0), ends: at(365) };
        for (day, state) in [
            (-1, ValidityState::NotYet),
            (0, ValidityState::Valid),
            (351, ValidityState::Valid),
            (352, ValidityState::EndsSoon),
            (365, ValidityState::EndsSoon),
            (366, ValidityState::Ended),
        ] {
            assert_eq!(year.at(at(day)), state, "{day}");
        }
    }

    #[test]
    fn one_that_lives_for_some_days_only_is_to_be_renewed_in_its_last_quarter() {
        let week = Validity { begins: at(0), ends: at(8) };
        assert_eq!(week.at(at(6)), ValidityState::Valid);
        assert_eq!(week.at(at(7)), ValidityState::EndsSoon);
    }
}
