//! Codes of an app that shares a secret with the shop: RFC 6238 with SHA-1, six digits and steps of 30 seconds, as every
//! such app has them.

use ring::hmac;

use crate::Error;
use crate::passwords::random;

/// How long a step is, in milliseconds.
pub const STEP: i64 = 30_000;

/// How many steps a clock may be off, in both directions.
const SKEW: i64 = 1;

/// How many bytes a secret has: as many as SHA-1 gives.
pub const BYTES: usize = 20;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The secret that an app and the shop share. It is in no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; BYTES]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(crate) fn generate() -> Result<Self, Error> {
        let mut bytes = [0; BYTES];
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// In base32, as apps take it.
    pub fn text(&self) -> String {
        // Five bytes are eight letters, without padding.
        let fives = self
            .0
            .chunks_exact(5)
            .map(|five| five.iter().fold(0_u64, |all, byte| (all << 8) | u64::from(*byte)));
        let letter = |bits: u64, index: u32| {
            char::from(BASE32[usize::try_from((bits >> (35 - 5 * index)) & 31).unwrap_or(0)])
        };
        fives.flat_map(|bits| (0..8).map(move |index| letter(bits, index))).collect()
    }

    /// Reads the text of a secret; `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != BYTES / 5 * 8 {
            return None;
        }
        let mut bytes = [0; BYTES];
        for (five, letters) in bytes.chunks_exact_mut(5).zip(text.as_bytes().chunks_exact(8)) {
            let mut bits = 0_u64;
            for letter in letters {
                let value = BASE32.iter().position(|known| known == letter)?;
                bits = (bits << 5) | u64::try_from(value).ok()?;
            }
            five.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Some(Self(bytes))
    }

    /// The code of a step.
    pub fn code(&self, step: i64) -> String {
        format!("{:06}", self.hotp(step) % 1_000_000)
    }

    /// RFC 4226, section 5.3, before it is cut to its digits.
    fn hotp(&self, counter: i64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &counter.to_be_bytes());
        let tag = tag.as_ref();
        let offset = tag.last().map_or(0, |last| usize::from(last & 15));
        let four = tag.iter().skip(offset).take(4);
        four.fold(0_u32, |all, byte| (all << 8) | u32::from(*byte)) & 0x7fff_ffff
    }

    /// The step after `last` that has this code, at that moment: the one of the moment, or one beside it. Of several the
    /// earliest, so that a later one can be used still.
    pub(crate) fn step_of(&self, code: &str, now: i64, last: i64) -> Option<i64> {
        let at = step_at(now);
        // Each is compared, whatever the others gave.
        let found = (at - SKEW..=at + SKEW).map(|step| (step, is_same(&self.code(step), code)));
        let found: Vec<_> = found.collect();
        found.into_iter().find(|(step, same)| *same && *step > last).map(|(step, _)| step)
    }
}

/// The step of a moment in milliseconds since 1970.
pub fn step_at(now: i64) -> i64 {
    now.div_euclid(STEP)
}

/// Compares two codes; the time that it takes does not depend on where they differ.
fn is_same(known: &str, sent: &str) -> bool {
    let differ = known.bytes().zip(sent.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    known.len() == sent.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = Secret(*b"12345678901234567890");

    /// RFC 6238, appendix B, of its eight digits the last six; and RFC 4226, appendix D.
    #[test]
    fn codes_are_those_of_the_rfcs() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(SECRET.code(step_at(seconds * 1000)), code, "{seconds}");
        }
        let first = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, code) in (0..).zip(first) {
            assert_eq!(SECRET.code(counter), code, "{counter}");
        }
    }

    #[test]
    fn a_secret_reads_back_from_its_text() {
        assert_eq!(SECRET.text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(Secret::parse(&SECRET.text()), Some(SECRET));
        let made = Secret::generate().unwrap();
        assert_eq!(Secret::parse(&made.text()), Some(made));
        assert_ne!(made, Secret::generate().unwrap());
        let text = SECRET.text();
        for bad in
            ["", "GEZDGNBV", &text[1..], &text.to_lowercase(), &text.replace('G', "1"), &format!("{text}A")]
        {
            assert_eq!(Secret::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{SECRET:?}"), "Secret");
    }

    /// I29.
    #[test]
    fn a_code_is_of_the_step_now_or_beside_it_and_after_the_last_one() {
        let now = 100 * STEP + 1;
        for (step, taken) in [(98, false), (99, true), (100, true), (101, true), (102, false)] {
            assert_eq!(SECRET.step_of(&SECRET.code(step), now, 0), taken.then_some(step), "{step}");
        }
        for (step, taken) in [(99, false), (100, false), (101, true)] {
            assert_eq!(SECRET.step_of(&SECRET.code(step), now, 100), taken.then_some(step), "{step}");
        }
        assert_eq!(SECRET.step_of(&SECRET.code(101), now, 101), None);
        for bad in ["", "0", "00000", "0000000", "abcdef"] {
            assert_eq!(SECRET.step_of(bad, now, 0), None, "{bad}");
        }
        let code = SECRET.code(100);
        assert_eq!(SECRET.step_of(&code[..5], now, 0), None);
        assert_eq!(SECRET.step_of(&format!("{code}0"), now, 0), None);
    }
}
