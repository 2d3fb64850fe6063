//! A row of the table: a command as far as it is known without its body.

use axum::http::Method;
use soonshop_domain::context_of;
use soonshop_event_store::OutcomeKind;
use soonshop_service_kit::access::{Owner, Permission};
use soonshop_service_kit::rates::Class;
use uuid::Uuid;

/// A row of the table, without its action.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) method: Method,
    /// Parameters are in braces: `/carts/{id}/items/{sku}`.
    pub(crate) path: &'static str,
    /// `<aggregate type>.<command>`: stored beside every event.
    pub(crate) command: &'static str,
    pub(crate) permission: Permission,
    /// The owner of the things that it touches.
    pub(crate) of: Owner,
    pub(crate) key: Key,
    pub(crate) success: Success,
    pub(crate) summary: &'static str,
}

/// Whether a command may be given without an `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Optional,
    /// Money or stock moves.
    Required,
}

/// The answer to success. Its path may use the parameters of the row's path, and `{id}`: the id of the changed thing, or the
/// one parameter more of the part that it adds ([`Call::adds`](super::call::Call::adds)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    /// Something new exists, at this location.
    Created(&'static str),
    /// It was done.
    Done,
    /// Something was removed; the answer has no body.
    Removed,
    /// It was accepted; this location shows its result. With `Prefer: wait` the answer is what became of it, once that is
    /// known.
    Accepted(&'static str),
    /// It was done, and the action answers with a body of its own.
    #[cfg_attr(not(test), expect(dead_code, reason = "no context has such a command yet"))]
    Answer,
}

impl Success {
    /// The kind that the command's record stores.
    pub(crate) fn kind(self) -> OutcomeKind {
        match self {
            Self::Created(_) => OutcomeKind::Created,
            Self::Done | Self::Answer => OutcomeKind::Done,
            Self::Removed => OutcomeKind::Removed,
            Self::Accepted(_) => OutcomeKind::Accepted,
        }
    }

    /// The path of the `Location`.
    pub(crate) fn leads_to(self) -> Option<&'static str> {
        match self {
            Self::Created(path) | Self::Accepted(path) => Some(path),
            Self::Done | Self::Removed | Self::Answer => None,
        }
    }
}

/// The names of the parameters in a path, in order.
pub(crate) fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

impl Row {
    /// The type of the aggregate that the command is for.
    pub(crate) fn aggregate_type(&self) -> &'static str {
        self.command.split('.').next().unwrap_or_default()
    }

    /// The context of the command.
    pub(crate) fn context(&self) -> &'static str {
        context_of(self.aggregate_type()).unwrap_or_default()
    }

    /// The class of every command: each is a change, whatever it changes.
    pub(crate) const CLASS: Class = Class::Writes;

    /// Whether a caller may wait for what becomes of the command.
    pub(crate) fn is_waited_for(&self) -> bool {
        matches!(self.success, Success::Accepted(_))
    }

    /// Whether a guest without a token begins to exist by it: what it makes is theirs. A checkout is of a cart, whose owner
    /// is there already.
    pub(crate) fn begins_a_guest(&self) -> bool {
        let begins =
            self.of == Owner::New && self.permission == Permission::Shop && self.key == Key::Required;
        begins && self.aggregate_type() != "checkout"
    }

    /// A command that replaces or removes something must name the version that the caller has seen.
    pub(crate) fn needs_if_match(&self) -> bool {
        self.method == Method::PUT || self.method == Method::DELETE
    }

    /// The value of `Location`, made from the requested path `sent` and the id of the changed thing, or of the added part.
    pub(crate) fn location(&self, sent: &str, id: Uuid) -> Option<String> {
        let named = |name: &str| {
            let (own, sent) = (self.path.split('/'), sent.split('/'));
            let found = own.zip(sent).find(|(own, _)| *own == format!("{{{name}}}"));
            found.map(|(_, sent)| sent.to_owned())
        };
        let fill = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => named(name).unwrap_or_else(|| id.to_string()),
            None => part.to_owned(),
        };
        self.success.leads_to().map(|path| path.split('/').map(fill).collect::<Vec<_>>().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(path: &'static str, success: Success, sent: &str) -> Option<String> {
        let (permission, command) = (Permission::Shop, "order.place");
        let (method, key, summary) = (Method::POST, Key::Optional, "");
        let row = Row { method, path, command, permission, of: Owner::New, key, success, summary };
        row.location(sent, Uuid::from_u128(7))
    }

    #[test]
    fn a_location_names_the_new_thing_or_the_thing_of_the_path() {
        let seven = "00000000-0000-0000-0000-000000000007";
        let to = |text: &str| Some(text.replace('7', seven));
        assert_eq!(location("/orders", Success::Created("/orders/{id}"), "/orders"), to("/orders/7"));
        let items = "/carts/{id}/items/{sku}";
        assert_eq!(
            location(items, Success::Accepted(items), "/carts/x/items/a%2Fb"),
            Some("/carts/x/items/a%2Fb".into())
        );
        assert_eq!(location("/shelves/{sku}", Success::Created("/stock/{id}"), "/shelves/a"), to("/stock/7"));
        assert_eq!(location("/orders", Success::Done, "/orders"), None);
        assert_eq!(parameters(items).collect::<Vec<_>>(), ["id", "sku"]);
        assert_eq!(parameters("/orders").count(), 0);
    }
}
