//! The contexts that have commands, one file each: rows of the table, and functions that make a body a command.

use crate::http::endpoint::Endpoint;

/// Declares the file of each context, and takes the rows of all of them.
macro_rules! contexts {
    ($($name:ident,)+) => {
        $(mod $name;)+

        /// Every command that can be given over HTTP.
        pub(crate) fn endpoints() -> Vec<Endpoint> {
            [$($name::endpoints()),+].into_iter().flatten().collect()
        }
    };
}

contexts! {
    user,
    product,
    inventory,
    order,
    cart,
    payment,
    checkout,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use soonshop_domain::{AGGREGATES, context};
    use soonshop_service_kit::access::Owner;

    use super::*;
    use crate::http::row::{Success, parameters};

    /// Rules for rows that the types cannot express.
    #[test]
    fn every_row_agrees_with_its_action_and_its_path() {
        let mut seen = BTreeSet::new();
        for Endpoint { row, action } in endpoints() {
            let what = format!("{} {}", row.method, row.path);
            let named: Vec<_> = parameters(row.path).collect();
            assert_eq!(named.len(), (action.parameters)().len(), "{what}: the path and its function differ");
            let own_answer = match row.success {
                Success::Answer => action.answer.is_some(),
                Success::Created(_) => true,
                Success::Done | Success::Removed | Success::Accepted(_) => action.answer.is_none(),
            };
            assert!(
                own_answer,
                "{what}: an answer of its own is for `Answer`, which needs one, and `Created`"
            );
            for name in row.success.leads_to().into_iter().flat_map(parameters) {
                // Or the part that it adds to the thing of its path.
                let adds = row.success.leads_to() == Some(&*format!("{}/{{{name}}}", row.path));
                assert!(
                    name == "id" || named.contains(&name) || adds,
                    "{what} leads to an unknown `{{{name}}}`"
                );
            }
            let aggregate_type = row.command.split('.').next().unwrap();
            assert!(
                AGGREGATES.iter().any(|one| one.name == aggregate_type),
                "{what}: the command `{}` is of no type of the catalog",
                row.command
            );
            let about_one = matches!(row.of, Owner::Own | Owner::Person | Owner::Staff);
            assert!(
                !about_one || (action.parameters)().first().is_some_and(|first| first.format.is_some()),
                "{what}: whose thing it is, is asked of the id that its path begins with"
            );
            assert_eq!(row.of == Owner::New, named.is_empty(), "{what}: what has no name in the path is new");
            assert!(context::named(row.context()).is_some(), "{what}: `{}` is no context", row.context());
            assert!(seen.insert(what.clone()), "{what} is given twice");
        }
    }

    #[test]
    fn every_context_that_has_aggregates_has_commands() {
        let served: BTreeSet<_> = endpoints().iter().map(|endpoint| endpoint.row.context()).collect();
        let owning: BTreeSet<_> = AGGREGATES.iter().map(|aggregate| aggregate.context).collect();
        let owning: BTreeSet<_> = owning.into_iter().filter(|name| *name != context::IDENTITY).collect();
        assert_eq!(served, owning, "name each context in `contexts!` (command-api/src/contexts.rs)");
    }
}
