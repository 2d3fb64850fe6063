//! The contexts with queries, one file each: their endpoints, and the shapes of their answers.

use crate::driver::state::Endpoint;

/// Declares the file of each context, and takes the rows of all of them.
macro_rules! contexts {
    ($($name:ident,)+) => {
        $(pub(crate) mod $name;)+

        /// Every question that can be asked over HTTP.
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
    payment,
    analytics,
    cart,
    checkout,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use soonshop_domain::{AGGREGATES, context};

    use super::*;

    #[test]
    fn every_row_belongs_to_a_context_of_the_table() {
        for endpoint in endpoints() {
            assert!(context::named(endpoint.context()).is_some(), "{}", endpoint.path);
        }
    }

    #[test]
    fn every_context_that_has_aggregates_has_queries() {
        let served: BTreeSet<_> = endpoints().iter().map(Endpoint::context).collect();
        let owning: BTreeSet<_> = AGGREGATES.iter().map(|aggregate| aggregate.context).collect();
        let missing: Vec<_> = owning.difference(&served).filter(|name| **name != context::IDENTITY).collect();
        assert!(missing.is_empty(), "name {missing:?} in `contexts!` (query-api/src/contexts.rs)");
    }
}
