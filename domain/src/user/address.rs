//! A postal address of a user's address book. What a person typed is encrypted under their `account` key; the country is a
//! code, and says too little.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::{self, TextError};
use crate::{Personal, PersonalValue, Purpose, Sensitive};

/// How many addresses a user has at most: the state does not grow with its history.
pub const MOST_ADDRESSES: usize = 50;

/// An address as a person typed it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Typed<'a> {
    pub label: Option<&'a str>,
    pub name: &'a str,
    pub street: &'a str,
    pub postal_code: Option<&'a str>,
    pub city: &'a str,
    pub region: Option<&'a str>,
    pub country: &'a str,
    pub phone: Option<&'a str>,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// What its owner calls it, such as "at work".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Personal<String>>,
    /// Who gets what is sent there.
    pub name: Personal<String>,
    /// Street and number, on as many lines as it takes.
    pub street: Personal<String>,
    /// In the form that the country has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<Personal<String>>,
    pub city: Personal<String>,
    /// State, province, county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Personal<String>>,
    /// ISO 3166-1, two letters.
    pub country: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
}

impl Address {
    /// Encrypted under `subject`'s account key, once stored. A refusal names its field.
    pub fn try_new(subject: Uuid, typed: Typed<'_>) -> Result<Self, (&'static str, TextError)> {
        let own = |value| Personal::new(value, subject, Purpose::Account);
        let line = |text: &str, most, field| text::line(text, most).map(own).map_err(|error| (field, error));
        let optional = |text: Option<&str>, most, field| text.map(|text| line(text, most, field)).transpose();
        let street = text::prose(typed.street, 300).map_err(|error| ("/street", error))?;
        if street.is_empty() {
            return Err(("/street", TextError::Empty));
        }
        Ok(Self {
            label: optional(typed.label, 60, "/label")?,
            name: line(typed.name, 200, "/name")?,
            street: own(street),
            postal_code: optional(typed.postal_code, 20, "/postal_code")?,
            city: line(typed.city, 100, "/city")?,
            region: optional(typed.region, 100, "/region")?,
            country: country(typed.country).map_err(|error| ("/country", error))?,
            phone: optional(typed.phone, 40, "/phone")?,
        })
    }
}

impl Sensitive for Address {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        let Self { label, name, street, postal_code, city, region, country: _, phone } = self;
        [
            label.as_mut(),
            Some(name),
            Some(street),
            postal_code.as_mut(),
            Some(city),
            region.as_mut(),
            phone.as_mut(),
        ]
        .into_iter()
        .flatten()
        .map(|value| value as &mut dyn PersonalValue)
        .collect()
    }
}

/// The code of a country, in capitals however it was typed.
pub fn country(raw: &str) -> Result<String, TextError> {
    let code = text::line(raw, 64)?.to_ascii_uppercase();
    if code.len() == 2 && COUNTRIES.split(' ').any(|known| known == code) {
        return Ok(code);
    }
    Err(TextError::NotACountry)
}

/// The codes that ISO 3166-1 has given to countries, and `XK`, by which posts and banks know Kosovo.
pub const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT \
                             BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES \
                             ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL \
                             IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC \
                             MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA \
                             PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS \
                             ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF \
                             WS XK YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;

    fn typed() -> Typed<'static> {
        Typed {
            name: " Ada ",
            street: "1 High Street\r\nFlat 2",
            city: "London",
            country: "gb",
            ..Typed::default()
        }
    }

    #[test]
    fn the_codes_of_countries_are_those_of_iso_3166() {
        let codes: Vec<&str> = COUNTRIES.split(' ').collect();
        assert_eq!(codes.len(), 249 + 1);
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
        assert!(codes.iter().all(|code| code.len() == 2));
        for (raw, code) in
            [("fr", Ok("FR")), (" DE ", Ok("DE")), ("XX", Err(())), ("France", Err(())), ("", Err(()))]
        {
            assert_eq!(country(raw).as_deref().map_err(|_| ()), code, "{raw}");
        }
    }

    #[test]
    fn an_address_is_encrypted_under_its_owners_account_key_and_a_refused_one_names_its_field() {
        let ada = Uuid::from_u128(1);
        let all = Typed {
            label: Some("home"),
            postal_code: Some("SW1A 1AA"),
            region: Some("Greater London"),
            phone: Some("123"),
            ..typed()
        };
        let mut address = Address::try_new(ada, all).unwrap();
        assert_eq!(address.street.get().unwrap(), "1 High Street\nFlat 2");
        assert_eq!((address.name.get().unwrap().as_str(), address.country.as_str()), ("Ada", "GB"));
        let owners: Vec<_> = address.personal().into_iter().map(|value| value.pending_key()).collect();
        assert_eq!(owners, [Some((ada, Purpose::Account)); 7]);
        let long = "x".repeat(301);
        for (field, refused) in [
            ("/label", Typed { label: Some(&long[..61]), ..typed() }),
            ("/name", Typed { name: " ", ..typed() }),
            ("/name", Typed { name: "Ada\nKing", ..typed() }),
            ("/street", Typed { street: &long, ..typed() }),
            ("/street", Typed { street: " \n ", ..typed() }),
            ("/postal_code", Typed { postal_code: Some(&long[..21]), ..typed() }),
            ("/postal_code", Typed { postal_code: Some(""), ..typed() }),
            ("/city", Typed { city: &long[..101], ..typed() }),
            ("/region", Typed { region: Some("a\tb"), ..typed() }),
            ("/country", Typed { country: "United Kingdom", ..typed() }),
            ("/phone", Typed { phone: Some(&long[..41]), ..typed() }),
        ] {
            assert_eq!(Address::try_new(ada, refused).unwrap_err().0, field);
        }
    }
}
