//! Rates in the description of the API: the headers that every answer has, and the refusal.

use utoipa::ToSchema as _;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::{Content, ObjectBuilder, Ref, Response, ResponseBuilder, Type};

use crate::problem::{Body, MEDIA_TYPE};

/// The name of the refusal among the components of a description.
pub const TOO_MANY: &str = "TooManyRequests";

/// A reference to the refusal.
pub fn refused() -> Ref {
    Ref::from_response_name(TOO_MANY)
}

/// The refusal, under [`TOO_MANY`].
pub fn refusal() -> Response {
    let content = Content::new(Some(Ref::from_schema_name(Body::name())));
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let again = "The seconds after which the next request may be sent.";
    let again = HeaderBuilder::new().schema(Some(seconds.build())).description(Some(again)).build();
    let response = ResponseBuilder::new()
        .description(
            "Too many requests of this kind: `type` leads to a page that says how many there may be.",
        )
        .header("Retry-After", again)
        .content(MEDIA_TYPE, content);
    with_headers(response).build()
}

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
