//! The parameters in a path: named in the row of the table, typed in the function that the row calls.

use std::collections::BTreeSet;

use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use soonshop_domain::text::Sku;
use soonshop_domain::user::consent::Medium;
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::uint32;
use soonshop_service_kit::extract::Path;
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};
use uuid::Uuid;

/// One parameter.
pub(crate) trait Parameter: Sized {
    /// How it is described.
    fn schema() -> Object;

    /// Reads it; or the end of the sentence `the id in the path …`, without its value.
    fn parse(sent: &str) -> Result<Self, String>;

    /// Reads what is meant as it was sent, where that makes a difference.
    fn parse_as_sent(sent: &str) -> Result<Self, String> {
        Self::parse(sent)
    }

    /// Its one form, however it was sent.
    fn canonical(&self) -> String;
}

impl Parameter for Uuid {
    fn schema() -> Object {
        let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()
    }

    fn parse(sent: &str) -> Result<Self, String> {
        Self::try_parse(sent).map_err(|_| "is not a UUID".to_owned())
    }

    fn canonical(&self) -> String {
        self.to_string()
    }
}

impl Parameter for Sku {
    fn schema() -> Object {
        ObjectBuilder::new().schema_type(Type::String).build()
    }

    fn parse(sent: &str) -> Result<Self, String> {
        Self::try_new(sent).map_err(|error| format!("cannot be used: {error}"))
    }

    fn parse_as_sent(sent: &str) -> Result<Self, String> {
        Self::as_stored(sent).map_err(|error| format!("cannot be used: {error}"))
    }

    fn canonical(&self) -> String {
        self.to_string()
    }
}

impl Parameter for Medium {
    fn schema() -> Object {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Self::NAMES.iter().copied())).build()
    }

    fn parse(sent: &str) -> Result<Self, String> {
        sent.parse().map_err(|_| format!("is none of {}", Self::NAMES.join(", ")))
    }

    fn canonical(&self) -> String {
        self.as_ref().to_owned()
    }
}

/// A number, such as that of a line.
impl Parameter for u32 {
    fn schema() -> Object {
        ObjectBuilder::new().schema_type(Type::Integer).format(Some(uint32())).minimum(Some(0)).build()
    }

    fn parse(sent: &str) -> Result<Self, String> {
        sent.parse().map_err(|_| "is not a whole number".to_owned())
    }

    fn canonical(&self) -> String {
        self.to_string()
    }
}

/// All parameters of a path, in the order of the path: none, one, or a tuple of several.
pub(crate) trait Parameters: Sized + Send + 'static {
    /// How each is described.
    fn schemas() -> Vec<Object>;

    /// Reads them out of names and values; some of the values are meant as they were sent.
    fn parse(sent: &[(String, String)], as_sent: &BTreeSet<String>) -> Result<Self, Problem>;

    /// Each in its one form: what the command is about, however its path was written.
    fn canonical(&self) -> Vec<String>;
}

fn one<P: Parameter>(
    sent: &[(String, String)],
    as_sent: &BTreeSet<String>,
    index: usize,
) -> Result<P, Problem> {
    // The table's tests hold that rows and functions agree.
    let (name, value) = sent.get(index).ok_or_else(|| {
        Problem::internal(format!("the path has {} parameters, and its function takes more", sent.len()))
    })?;
    let read = if as_sent.contains(value) { P::parse_as_sent(value) } else { P::parse(value) };
    read.map_err(|why| {
        Problem::malformed("invalid-id", format!("the {name} in the path {why}"))
            .with("parameter", name.as_str())
    })
}

impl Parameters for () {
    fn schemas() -> Vec<Object> {
        Vec::new()
    }

    fn parse(_: &[(String, String)], _: &BTreeSet<String>) -> Result<Self, Problem> {
        Ok(())
    }

    fn canonical(&self) -> Vec<String> {
        Vec::new()
    }
}

macro_rules! single {
    ($($kind:ty)+) => {$(
        impl Parameters for $kind {
            fn schemas() -> Vec<Object> {
                vec![<$kind as Parameter>::schema()]
            }

            fn parse(sent: &[(String, String)], as_sent: &BTreeSet<String>) -> Result<Self, Problem> {
                one(sent, as_sent, 0)
            }

            fn canonical(&self) -> Vec<String> {
                vec![Parameter::canonical(self)]
            }
        }
    )+};
}

single! { Uuid Sku u32 }

macro_rules! several {
    ($($kind:ident $index:tt)+) => {
        impl<$($kind: Parameter + Send + 'static),+> Parameters for ($($kind,)+) {
            fn schemas() -> Vec<Object> {
                vec![$($kind::schema()),+]
            }

            fn parse(sent: &[(String, String)], as_sent: &BTreeSet<String>) -> Result<Self, Problem> {
                Ok(($(one::<$kind>(sent, as_sent, $index)?,)+))
            }

            fn canonical(&self) -> Vec<String> {
                vec![$(self.$index.canonical()),+]
            }
        }
    };
}

several! { A 0 B 1 }
several! { A 0 B 1 C 2 }

/// The path of a row with its parameters filled in, each percent-encoded as far as it must be.
pub(crate) fn of(path: &str, target: &[String]) -> String {
    let mut target = target.iter();
    let fill = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(_) => target.next().map(|text| encoded(text)).unwrap_or_default(),
        None => part.to_owned(),
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Percent-encoded, as a part of a path.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let write = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(write).collect()
}

/// The parameters of the requested path, by name, as they were sent.
pub(crate) async fn sent<P: Parameters>(parts: &mut Parts) -> Result<Vec<(String, String)>, Problem> {
    if P::schemas().is_empty() {
        return Ok(Vec::new());
    }
    Ok(Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_in_one_way() {
        let target = ["A/B \u{e9}".to_owned(), "7".to_owned()];
        assert_eq!(of("/shelves/{sku}/lines/{line}", &target), "/shelves/A%2FB%20%C3%A9/lines/7");
        assert_eq!(of("/orders", &[]), "/orders");
        assert_eq!(<(Sku, u32) as Parameters>::canonical(&(Sku::try_new("mug").unwrap(), 7)), ["MUG", "7"]);
    }
}
