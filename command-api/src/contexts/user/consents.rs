//! What a user agreed to, over HTTP.

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use soonshop_domain::user::consent::{Medium, Via, Wording};
use soonshop_domain::user::{Command, User};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Role;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::body::{Input, refused_field};
use crate::http::call::Call;
use crate::http::privileged::{OCCURRED_AT, Privileged};

/// A consent is given in words that the person saw; it is withdrawn without any.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MarketingConsent)]
pub(super) struct Consent {
    given: bool,
    /// The version of the words: a code, under which the shop keeps them. Needed to give it.
    #[schema(min_length = 1, max_length = 64, example = "2026-11")]
    wording: Option<String>,
    /// The tag of the language in which they were seen. Needed to give it.
    #[schema(min_length = 2, max_length = 35, example = "zh-CN")]
    language: Option<String>,
    /// Needs the permission `override`.
    occurred_at: Option<DateTime<Utc>>,
}

impl Input for Consent {
    const PRIVILEGED: &'static [Privileged] = &[OCCURRED_AT];
}

/// Who decides for somebody else says why. The shop's own machine is its owner's.
fn must_say_why(call: &Call, id: Uuid) -> Result<(), Problem> {
    let own = call.caller().actor.id == id.to_string() || call.is_for_somebody();
    if own || call.has_reason() || call.caller().role == Role::Guest {
        return Ok(());
    }
    let detail = "a person agrees for themselves: who does it for them says why with X-Reason, or on whose behalf a storefront \
                  asks with X-On-Behalf-Of";
    Err(Problem::invalid("reason-required", detail).with("header", "X-Reason"))
}

fn missing(field: &'static str) -> Problem {
    let detail = "a consent is given in words that the person saw: name their version and language";
    Problem::invalid("invalid-body", detail).with_pointer(field)
}

pub(super) async fn set(call: Call, path: (Uuid, Medium), body: Consent) -> Result<Response, Problem> {
    let (id, medium) = path;
    call.by_themselves("agreeing to advertising")?;
    must_say_why(&call, id)?;
    let via = if call.import_key().is_some() { Via::Import } else { Via::Api };
    let command = if body.given {
        let wording = body.wording.as_deref().ok_or_else(|| missing("/wording"))?;
        let language = body.language.as_deref().ok_or_else(|| missing("/language"))?;
        let words = Wording::try_new(wording, language).map_err(refused_field)?;
        Command::GiveConsent { medium, words, via }
    } else {
        for (field, text) in [("/wording", &body.wording), ("/language", &body.language)] {
            if text.is_some() {
                let detail = "a consent is withdrawn without words";
                return Err(Problem::invalid("invalid-body", detail).with_pointer(field));
            }
        }
        Command::WithdrawConsent { medium, via }
    };
    call.execute::<User>(id, command).await
}
