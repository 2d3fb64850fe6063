//! Rates in the description of the API: the headers of every answer that was counted.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::{ObjectBuilder, ResponseBuilder, Type};

/// With the headers that say what is left.
pub fn with_headers(response: ResponseBuilder) -> ResponseBuilder {
    response
        .header(
            "RateLimit-Policy",
            header("The rates that apply: `\"writes\";q=600;w=60` is 600 in 60 seconds."),
        )
        .header(
            "RateLimit",
            header("What is left: `\"writes\";r=599;t=1` is 599 at once, and all in one second."),
        )
}

fn header(about: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(text)).description(Some(about)).build()
}
