//! Every bounded context there is, in one table. Endpoints, ports, the API's tags and the documentation's tables name
//! contexts as this table does.

/// A bounded context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// In paths of the code, in `--contexts`, and the tag of its endpoints.
    pub name: &'static str,
    /// The port of a process that serves only this context; `None`: the port of its role.
    pub port: Option<u16>,
    /// In one line.
    pub about: &'static str,
}

/// The contexts, in the order in which they are listed everywhere.
pub const CONTEXTS: &[Context] = &[
    Context { name: "user", port: Some(8001), about: "Users, and the erasure of people" },
    Context { name: "product", port: Some(8002), about: "Products, their variants and prices; search" },
    Context { name: "inventory", port: Some(8005), about: "Stock by SKU and location, and its reservations" },
    Context { name: "order", port: Some(8003), about: "Orders and credit notes" },
    Context {
        name: "payment",
        port: Some(8004),
        about: "Payments of orders, and what was given back of them",
    },
    Context { name: "analytics", port: Some(8007), about: "Figures about sales, credits and stock" },
    Context { name: "identity", port: None, about: "Accounts of people, their sessions, and signing in" },
    Context { name: "audit", port: None, about: "What happened, who did it and why" },
    Context {
        name: "cart",
        port: Some(8008),
        about: "Carts of guests and customers, priced as they are read",
    },
    Context { name: "checkout", port: Some(8009), about: "From a cart to a paid order" },
];

/// The context whose aggregates record what was decided elsewhere: in tables, by the crate `identity`. It has endpoints of
/// its own, and no rows in the tables of commands and queries.
pub const IDENTITY: &str = "identity";

/// The names of all contexts, in the order of the table.
pub const NAMES: [&str; CONTEXTS.len()] = {
    let mut names = [""; CONTEXTS.len()];
    let mut index = 0;
    while index < CONTEXTS.len() {
        names[index] = CONTEXTS[index].name;
        index += 1;
    }
    names
};

/// The context of that name.
pub fn named(name: &str) -> Option<&'static Context> {
    CONTEXTS.iter().find(|context| context.name == name)
}

/// The name of a context, as a row of the catalog states it: one that is not in the table does not compile.
pub(crate) const fn in_table(name: &'static str) -> &'static str {
    let mut index = 0;
    while index < NAMES.len() {
        if same(NAMES[index].as_bytes(), name.as_bytes()) {
            return name;
        }
        index += 1;
    }
    panic!("a row of the catalog names a context that is not in CONTEXTS (domain/src/context.rs)")
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_unknown_context_name_is_rejected() {
        assert_eq!(in_table("order"), "order");
        assert_eq!(named("order").unwrap().name, "order");
        for unknown in ["orders", "orde", "", "ordes"] {
            assert!(std::panic::catch_unwind(|| in_table(unknown)).is_err(), "{unknown}");
            assert!(named(unknown).is_none());
        }
    }

    #[test]
    fn names_and_ports_of_contexts_are_used_once() {
        let names: BTreeSet<_> = NAMES.into_iter().collect();
        assert_eq!(names.len(), CONTEXTS.len(), "a name is used twice: {NAMES:?}");
        assert!(NAMES.iter().all(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase())));
        let ports: Vec<_> = CONTEXTS.iter().filter_map(|context| context.port).collect();
        let once: BTreeSet<_> = ports.iter().collect();
        assert_eq!(once.len(), ports.len(), "a port is used twice: {ports:?}");
    }
}
