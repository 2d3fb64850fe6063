//! The page after signing in.

use crate::pages::frame::ACCOUNT;

/// The page to sign in on.
pub(super) const SIGN_IN: &str = "/account/sign-in";

/// The page to go on to. Anything that a browser could take for another site leads to the account.
pub(super) fn after(next: Option<&str>) -> &str {
    next.filter(|next| is_here(next)).unwrap_or(ACCOUNT)
}

/// Whether it is a path of this site: it begins with one `/`, and has no `\` in it, not even an encoded one.
fn is_here(next: &str) -> bool {
    let rest = next.strip_prefix('/');
    rest.is_some_and(|rest| !rest.starts_with(['/', '%']))
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !next.to_ascii_lowercase().contains("%5c")
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn the_page_after_signing_in_is_a_path_of_this_site() {
        for good in ["/account", "/account/sessions?lang=en", "/audit/timeline?q=a%20b", "/"] {
            assert_eq!(after(Some(good)), good);
        }
        for bad in [
            "//e",
            "/\\e",
            "\\e",
            "https:e",
            "https://e/account",
            "/%5Ce",
            "/%5ce",
            "/%2Fe",
            "/\te",
            "/a\nb",
            "\t/e",
            " /e",
            "account",
            "",
        ] {
            assert_eq!(after(Some(bad)), "/account", "{bad:?}");
        }
        assert_eq!(after(None), "/account");
    }
}
