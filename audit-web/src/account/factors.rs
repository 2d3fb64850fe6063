//! The pages of second factors among those of accounts.

use axum::response::Response;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Factor;
use soonshop_service_kit::endpoint::Visit;

use super::next::{SIGN_IN, after};
use super::state::{AccountPages, Call, refused, view};
use crate::pages::factors::{Addresses, Place};
use crate::pages::frame::{ASK_PASSKEY_OF_ACCOUNT, View, see_other};

pub(super) const FACTORS: &str = "/account/factors";
const STEP_UP: &str = "/account/step-up";

impl Place for AccountPages {
    const AT: Addresses = Addresses {
        asks: (STEP_UP, "identity.step-up-page"),
        step_up: (STEP_UP, "identity.page-step-up"),
        list: (FACTORS, "identity.factors-page"),
        add: (FACTORS, "identity.page-add-factor"),
        prove: ("/account/factors/proofs", "identity.page-prove-factor"),
        ask_passkey: (ASK_PASSKEY_OF_ACCOUNT, "identity.page-ask-passkey"),
        add_passkey: ("/account/factors/passkeys", "identity.page-add-passkey"),
        prove_passkey: ("/account/factors/passkeys/proofs", "identity.page-prove-passkey"),
        remove: ("/account/factors/removals", "identity.page-remove-factor"),
        recovery_codes: ("/account/recovery-codes", "identity.page-make-recovery-codes"),
    };

    fn view(call: &Call) -> View<'_> {
        view(call)
    }

    fn after<'t>(&self, to: Option<&'t str>) -> &'t str {
        after(to)
    }

    /// Leads on to where the account is signed in, or to the code that is asked for.
    fn refused(&self, visit: &Visit, problem: &Problem) -> Response {
        let view = View::account(visit, &[]);
        let caller = visit.visitor.as_ref().map(|visitor| &visitor.caller);
        if caller.is_some_and(|caller| caller.session.is_none()) && problem.slug() == "no-second-factor" {
            return see_other(&view.to(SIGN_IN, &[("next", FACTORS)]));
        }
        let can_give = caller.is_some_and(|caller| caller.factor != Factor::Missing);
        if can_give && problem.slug() == "second-factor-required" {
            return see_other(&view.to(STEP_UP, &[("to", FACTORS)]));
        }
        refused(self, visit, problem)
    }
}
