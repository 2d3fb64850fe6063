//! The page to change one's own name and telephone number.

use soonshop_service_kit::access::{DetailsWanted, OwnProfile};
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;

use super::forms::{Field, Form};
use super::mailed::back;
use super::state::{Call, Endpoint, sent, session, shown, view};
use crate::pages::frame::{ACCOUNT, see_other};

pub(super) const PROFILE: &str = "/account/profile";

pub(super) fn table() -> Vec<Endpoint> {
    let fields = vec![
        Param::new("name", Kind::Free, "A name.").or_empty(),
        Param::new("phone", Kind::Free, "A telephone number.").or_empty(),
    ];
    vec![
        shown(PROFILE, "identity.profile-page", Vec::new(), |call| Box::pin(opened(call))),
        sent(PROFILE, "identity.page-profile", Class::Writes, (Vec::new(), fields), |call| {
            Box::pin(change(call))
        }),
    ]
}

fn form(profile: &OwnProfile) -> Form<'_> {
    let known = [("name", profile.name.as_deref()), ("phone", profile.phone.as_deref())];
    Form {
        title: "account-profile",
        why: "account-profile-about",
        action: PROFILE,
        hidden: Vec::new(),
        fields: vec![Field::NAME, Field::PHONE],
        given: known.into_iter().filter_map(|(name, text)| Some((name, text?))).collect(),
        button: "account-save",
    }
}

async fn opened(call: Call) -> Answer {
    let session = match session(&call, PROFILE) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let profile = call.shared.own.profile(session).await?;
    let view = view(&call);
    Ok(form(&profile).page(&view, None, &back(&view)))
}

async fn change(call: Call) -> Answer {
    let session = match session(&call, PROFILE) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let typed = |name| call.form.text(name).filter(|text| !text.trim().is_empty());
    let wanted = DetailsWanted { name: typed("name"), phone: typed("phone") };
    let view = view(&call);
    Ok(match call.shared.own.change_details(session, wanted).await {
        Ok(()) => see_other(&view.to(ACCOUNT, &[("done", "profile")])),
        Err(problem) => form(&OwnProfile::default()).again(&call, &view, &problem, &back(&view)),
    })
}
