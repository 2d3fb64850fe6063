//! The parameters in a path: named in the row of the table, typed in the function that the row calls.

use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use soonshop_domain::text::Sku;
use soonshop_service_kit::Problem;
use soonshop_service_kit::extract::Path;
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};
use uuid::Uuid;

/// One parameter.
pub(crate) trait Parameter: Sized {
    /// How it is described.
    fn schema() -> Object;

    /// Reads it; or the end of the sentence `the id in the path …`, without its value.
    fn parse(sent: &str) -> Result<Self, String>;
}

impl Parameter for Uuid {
    fn schema() -> Object {
        let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
    }

    fn parse(sent: &str) -> Result<Self, String> {
        Self::try_parse(sent).map_err(|_| "is not a UUID".to_owned())
    }
}

impl Parameter for Sku {
    fn schema() -> Object {
        ObjectBuilder::new().schema_type(Type::String).build()
    }

    fn parse(sent: &str) -> Result<Self, String> {
        Self::try_new(sent).map_err(|error| format!("cannot be used: {error}"))
    }
}

/// A number, such as that of a line.
impl Parameter for u32 {
    fn schema() -> Object {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int32);
        ObjectBuilder::new().schema_type(Type::Integer).format(Some(format)).minimum(Some(0)).build()
    }

    fn parse(sent: &str) -> Result<Self, String> {
        sent.parse().map_err(|_| "is not a whole number".to_owned())
    }
}

/// All parameters of a path, in the order of the path: none, one, or a tuple of several.
pub(crate) trait Parameters: Sized + Send + 'static {
    /// How each is described.
    fn schemas() -> Vec<Object>;

    /// Reads them out of names and values.
    fn parse(sent: &[(String, String)]) -> Result<Self, Problem>;
}

fn one<P: Parameter>(sent: &[(String, String)], index: usize) -> Result<P, Problem> {
    // The table's tests hold that rows and functions agree.
    let (name, value) = sent.get(index).ok_or_else(|| {
        Problem::internal(format!("the path has {} parameters, and its function takes more", sent.len()))
    })?;
    P::parse(value).map_err(|why| {
        Problem::malformed("invalid-id", format!("the {name} in the path {why}"))
            .with("parameter", name.as_str())
    })
}

impl Parameters for () {
    fn schemas() -> Vec<Object> {
        Vec::new()
    }

    fn parse(_: &[(String, String)]) -> Result<Self, Problem> {
        Ok(())
    }
}

macro_rules! single {
    ($($kind:ty)+) => {$(
        impl Parameters for $kind {
            fn schemas() -> Vec<Object> {
                vec![<$kind as Parameter>::schema()]
            }

            fn parse(sent: &[(String, String)]) -> Result<Self, Problem> {
                one(sent, 0)
            }
        }
    )+};
}

single! { Uuid Sku u32 }

macro_rules! several {
    ($($kind:ident $index:literal)+) => {
        impl<$($kind: Parameter + Send + 'static),+> Parameters for ($($kind,)+) {
            fn schemas() -> Vec<Object> {
                vec![$($kind::schema()),+]
            }

            fn parse(sent: &[(String, String)]) -> Result<Self, Problem> {
                Ok(($(one::<$kind>(sent, $index)?,)+))
            }
        }
    };
}

several! { A 0 B 1 }
several! { A 0 B 1 C 2 }

/// The parameters of the requested path.
pub(crate) async fn read<P: Parameters>(parts: &mut Parts) -> Result<P, Problem> {
    let sent = if P::schemas().is_empty() {
        Vec::new()
    } else {
        Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await?.0
    };
    P::parse(&sent)
}
