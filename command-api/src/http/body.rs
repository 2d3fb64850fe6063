//! The body of a command, and how it is described.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use soonshop_domain::text;
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// The body of a command.
pub(crate) trait Input: DeserializeOwned + ToSchema + Send + 'static {
    /// The business time, if the body has one: only the operator may set it.
    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// A pointer to another field that only the operator may set.
    fn privileged(&self) -> Option<String> {
        None
    }
}

/// The name of a schema, and that schema with those it refers to.
pub(crate) type Described = (String, Vec<(String, RefOr<Schema>)>);

/// How a type is described.
pub(crate) fn described<T: ToSchema>() -> Described {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    (T::name().into_owned(), schemas)
}

/// The field `reason`, which is a code: free text could be personal, and the log keeps it for ever.
pub(crate) fn reason(sent: &str) -> Result<String, Problem> {
    text::code(sent)
        .map_err(|error| Problem::invalid("invalid-body", error.to_string()).with_pointer("/reason"))
}
