//! __Name__ over HTTP: commands.

use serde::{Deserialize, Serialize};
use soonshop_domain::__name__::{Command, __Name__};
use soonshop_domain::text;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::action::{begins, executes};
use crate::http::body::{Input, reason};
use crate::http::endpoint::{Endpoint, endpoints};
use crate::http::privileged::Privileged;
use crate::http::row::Success::{Created, Done};

#[rustfmt::skip]
pub(super) fn endpoints() -> Vec<Endpoint> {
    endpoints! {
        POST "/__name__"              "__name__.open":  Trade, New,     Optional, Created("/__name__/{id}"), "Open a __name__"  => begins::<__Name__, _>(open);
        POST "/__name__/{id}/closure" "__name__.close": Trade, TheShop, Optional, Done,                      "Close a __name__" => executes::<__Name__, _>(close);
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = New__Name__)]
struct New {
    /// A code, such as `gold`: free text would be personal.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    label: String,
}

impl Input for New {
    const PRIVILEGED: &'static [Privileged] = &[];
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = __Name__Closure)]
struct Closure {
    /// A code, such as `not-needed`: free text would be personal.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    reason: String,
}

impl Input for Closure {
    const PRIVILEGED: &'static [Privileged] = &[];
}

fn open(_: Uuid, New { label }: New) -> Result<Command, Problem> {
    let label = text::code(&label)
        .map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/label"))?;
    Ok(Command::Open { label })
}

fn close(_: Uuid, body: Closure) -> Result<Command, Problem> {
    Ok(Command::Close { reason: reason(&body.reason)? })
}
