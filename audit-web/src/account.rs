//! The pages of people's own accounts: what the links in mails lead to, signing in, and what the owner of an account sees
//! and changes; and the page on which they consent to a client of OAuth. They call the same functions as the endpoints under
//! `/auth`, need no script, and are served by the process that takes commands.

mod addresses;
mod authorization;
mod authorize;
mod clients;
mod consents;
mod factors;
mod forms;
mod mailed;
mod next;
mod overview;
mod password;
mod profile;
mod providers;
mod second_step;
mod sessions;
mod signing_in;
mod state;

use std::sync::Arc;

use axum::Router;
use soonshop_service_kit::endpoint;

pub use state::AccountPages;

/// The routes.
pub fn router(pages: AccountPages) -> Router {
    let pages = Arc::new(pages);
    endpoint::router(&pages, table()).merge(authorize::router(pages))
}

fn table() -> Vec<state::Endpoint> {
    let mut table = signing_in::table();
    table.extend(mailed::table());
    table.extend(overview::table());
    table.extend(password::table());
    table.extend(providers::table());
    table.extend(sessions::table());
    table.extend(profile::table());
    table.extend(addresses::table());
    table.extend(clients::table());
    table.extend(consents::table());
    table.extend(crate::pages::factors::table());
    table.extend(crate::pages::passkeys::table());
    table
}

#[cfg(test)]
mod tests {
    use soonshop_domain::context;
    use soonshop_service_kit::rates::Class;

    use super::providers::CALLBACK;
    use super::table;

    #[test]
    fn every_page_is_of_the_context_of_accounts_and_opening_one_changes_nothing() {
        for page in table() {
            assert_eq!(page.context(), context::IDENTITY, "{}", page.path);
            assert!(page.path == "/account" || page.path.starts_with("/account/"), "{}", page.path);
            let changes = page.class != Class::Reads;
            assert!(page.name != CALLBACK || !changes, "its own code counts it as a sign-in");
            assert_eq!(changes, page.action.form().is_some(), "{} {}", page.path, page.name);
        }
    }
}
