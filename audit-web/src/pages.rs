//! The pages of the audit trail, for people: rendered on the server from the same values as the JSON endpoints, so that
//! the two cannot differ and nothing reaches a page without the redactor. They work without a script, and load nothing
//! from elsewhere; a script makes them faster to use, but every function works without it.
//!
//! One file per page; [`frame`] surrounds them all.

pub(crate) mod access;
pub(crate) mod assets;
mod correlation;
pub(crate) mod factors;
pub(crate) mod file;
pub(crate) mod frame;
mod integrity;
mod jump;
mod labels;
mod named;
mod operations;
mod overview;
mod parked;
pub(crate) mod parts;
pub(crate) mod passkeys;
mod process_instance;
mod processes;
mod projections;
mod reasons;
mod refused_form;
mod related;
mod run;
mod shown_names;
pub(crate) mod timeline;
mod times;
mod titles;
mod trail;
mod view;
mod views;

use soonshop_service_kit::access::Permission;
use soonshop_service_kit::rates::Class;
use soonshop_service_kit::work::Price;

use crate::state::{Action, Call, Endpoint, Shared};
use assets::ASSETS;
use frame::{described, page};

/// Every page.
pub(crate) fn table() -> Vec<Endpoint> {
    let assets = ASSETS.into_iter().map(|asset| {
        let answer = move |call: Call| async move { Ok(asset.answer(&call.headers_in).await) };
        let action = Action::new(Vec::new(), described(), answer).without_factor().costs(|_| Price::Nothing);
        page(asset.path, asset.name, Class::Reads, action)
    });
    let mut pages: Vec<_> = assets.collect();
    pages.extend(access::table());
    pages.extend(factors::table::<Shared>());
    pages.extend(passkeys::table::<Shared>());
    let mut audited = overview::table();
    audited.extend(timeline::table());
    audited.extend(jump::table());
    audited.extend(trail::table());
    audited.extend(views::table());
    audited.extend(correlation::table());
    audited.extend(projections::table());
    audited.extend(run::table());
    audited.extend(parked::table());
    audited.extend(processes::table());
    audited.extend(process_instance::table());
    audited.extend(integrity::table());
    audited.extend(operations::table());
    for mut one in audited {
        if one.action.needed() == Permission::Read {
            one.action = one.action.needs(Permission::Audit);
        }
        pages.push(one);
    }
    pages
}

/// The paths of the pages that can be opened with GET.
pub(crate) fn paths() -> Vec<&'static str> {
    table().iter().filter(|page| page.action.form().is_none()).map(|page| page.path).collect()
}

#[cfg(test)]
mod tests {
    use super::access::is_shown;
    use super::paths;

    #[test]
    fn sign_in_never_redirects_to_a_form_target() {
        for good in [
            "/audit",
            "/audit?lang=en",
            "/audit/a/order/7?v=1",
            "/audit/integrity",
            "/audit/processes/fulfilment/7",
            "/audit/views",
        ] {
            assert!(is_shown(&paths(), good), "{good}");
        }
        for bad in [
            "/audit/parked/retries",
            "/audit/processes/fulfilment/7/retries",
            "/audit/processes/fulfilment/7/acknowledgements",
            "/audit/look-up",
            "/audit/views/x/renames",
            "/audit/views/x/deletions",
            "/audit/factors/removals",
            "/audit/recovery-codes",
            "/audit/sign-out?lang=en",
            "/audit/x/y/z",
        ] {
            assert!(!is_shown(&paths(), bad), "{bad}");
        }
    }
}
