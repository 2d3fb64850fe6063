//! Share links of carts. A link's secret is made of the command, so that a repeat has the same; its hash alone is stored.

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use soonshop_domain::cart::{Cart, Command, share_of};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answered::{answered, attempted};
use crate::http::action::{Action, prepares};
use crate::http::answer::{recorded, render};
use crate::http::body::{Input, described};
use crate::http::call::Call;
use crate::http::privileged::Privileged;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCartShare)]
struct NewShare {
    /// Its end: in 90 days at the latest; in 30 days if it is left out.
    until: Option<DateTime<Utc>>,
}

impl Input for NewShare {
    const PRIVILEGED: &'static [Privileged] = &[];
}

/// A share link.
#[derive(Serialize, ToSchema)]
#[schema(as = CartShare)]
struct Shared {
    /// The id of the cart.
    id: Uuid,
    /// The cart's version: also the `ETag`.
    version: Option<i64>,
    /// The position of the last event: also in `Event-Position`.
    position: Option<i64>,
    /// The id of the link, by which it is ended.
    share: Uuid,
    /// Anyone who has this secret can see the lines at `/shared-carts/{secret}`. The shop stores only a hash of it.
    #[schema(example = "ssc_…")]
    secret: String,
}

/// The action of the row.
pub(super) fn shares() -> Action {
    Action { answer: Some(described::<Shared>), ..prepares(share) }
}

async fn share(call: Call, id: Uuid, body: NewShare) -> Result<Response, Problem> {
    let secret = format!("ssc_{}", call.secret("cart-share").await?);
    let share = share_of(&secret);
    let command = Command::Share { share, until: body.until };
    let done = call.attempt::<Cart>(id, command.clone()).await;
    let done = match done {
        Ok(done) => recorded::<Cart>(command, Ok(done))?,
        refused => return answered(id, command, refused),
    };
    let (version, position) = (done.version, done.last_position);
    Ok(render(&done, &Shared { id, version, position, share, secret }))
}

pub(super) async fn end(call: Call, path: (Uuid, Uuid)) -> Result<Response, Problem> {
    let (id, share) = path;
    attempted(&call, id, Command::EndShare { share }).await
}
