//! Passwords that everybody knows: the 10,000 most common ones of breaches that have at least eight characters.
//!
//! They are the first of the list in `@zxcvbn-ts/language-common` 4.1.3 (MIT licence, © 2012-2016 Dan Wheeler and Dropbox,
//! Inc., © 2021 @zxcvbn-ts), in lower case and sorted, one a line.

use std::io::Read as _;

use flate2::read::GzDecoder;

const LIST: &[u8] = include_bytes!("breached.txt.gz");

/// Whether it is one of them, in whatever case it is written.
pub(crate) fn is_known(password: &str) -> std::io::Result<bool> {
    // Asked once for each new password: not worth the memory that the list would take.
    let mut list = String::new();
    GzDecoder::new(LIST).read_to_string(&mut list)?;
    let password = password.to_lowercase();
    Ok(list.lines().any(|known| known == password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_password_is_known_in_every_case_and_a_random_one_is_not() {
        for known in ["password", "12345678", "PassWord", "qwertyuiop"] {
            assert!(is_known(known).unwrap(), "{known}");
        }
        for other in ["", "short", "correct-horse-battery-staple-9", "password\n12345678"] {
            assert!(!is_known(other).unwrap(), "{other}");
        }
    }
}
