//! The kinds of entries in the record of operations, and the sentence of each.

/// Every action that the record holds, and the key of its sentence. A new kind of entry is a row here, with its sentence
/// (`record-…`) and its title (`page-did-…`) in both languages.
#[rustfmt::skip]
const KINDS: [(&str, &str); 30] = [
    ("reveal", "record-reveal"),
    ("read-personal", "record-read-personal"),
    ("look-up", "record-look-up"),
    ("export", "record-export"),
    ("check", "record-check"),
    ("acknowledge", "record-acknowledge"),
    ("swap", "record-swap"),
    ("rollback", "record-rollback"),
    ("rebuild", "record-rebuild"),
    ("verify", "record-verify"),
    ("retire", "record-retire"),
    ("retry", "record-retry"),
    ("discard", "record-discard"),
    ("process-retry", "record-process-retry"),
    ("process-acknowledge", "record-process-acknowledge"),
    ("key-create", "record-key-create"),
    ("key-rotate", "record-key-rotate"),
    ("key-revoke", "record-key-revoke"),
    ("account-open", "record-account-open"),
    ("account-disable", "record-account-disable"),
    ("account-enable", "record-account-enable"),
    ("account-roles", "record-account-roles"),
    ("account-end-sessions", "record-account-end-sessions"),
    ("account-password", "record-account-password"),
    ("account-reset-factor", "record-account-reset-factor"),
    ("clock-confirm", "record-clock-confirm"),
    ("save-view", "record-save-view"),
    ("rename-view", "record-rename-view"),
    ("delete-view", "record-delete-view"),
    ("sign-in", "record-sign-in"),
];

/// The names of all actions, in the order of the table.
pub(crate) const ACTIONS: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut at = 0;
    while at < KINDS.len() {
        names[at] = KINDS[at].0;
        at += 1;
    }
    names
};

/// The key of the sentence of an entry.
pub(crate) fn sentence_key(action: &str, subject: &str) -> Option<&'static str> {
    if action == "reveal" && subject.starts_with("operation/") {
        return Some("record-reveal-reason");
    }
    KINDS.iter().find(|(known, _)| *known == action).map(|(_, key)| *key)
}
