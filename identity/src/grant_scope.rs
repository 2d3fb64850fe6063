//! Scopes of grants: names, in order, with spaces between them as tokens and sessions have them.

use crate::Error;

/// The text of these names.
pub(crate) fn text(names: &[String]) -> String {
    names.join(" ")
}

/// The names of a text.
pub(crate) fn names(text: &str) -> Vec<String> {
    text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What is asked for, of what there is: all of it, where nothing is named. [`Error::Scope`]: more is asked for, or none of it.
pub fn narrowed(asked: Option<&str>, all: &[String]) -> Result<Vec<String>, Error> {
    let Some(asked) = asked else { return Ok(all.to_vec()) };
    let asked = names(asked);
    let known = asked.iter().all(|name| all.contains(name));
    if asked.is_empty() || !known {
        return Err(Error::Scope);
    }
    // In the order of the whole, each once.
    Ok(all.iter().filter(|name| asked.contains(name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_narrowed_and_never_widened() {
        let all = ["own", "read", "trade"].map(str::to_owned);
        let narrow = |asked: Option<&str>| narrowed(asked, &all).map(|names| text(&names)).ok();
        assert_eq!(narrow(None).as_deref(), Some("own read trade"));
        assert_eq!(narrow(Some("trade own trade")).as_deref(), Some("own trade"));
        for more in ["", " ", "own refund", "Own", "own,read", "own\tread", "own read trade x"] {
            assert_eq!(narrow(Some(more)), None, "{more:?}");
        }
        assert_eq!(names(&text(&all)), all);
    }
}
