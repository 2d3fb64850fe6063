//! The refusals of an operation, for the API's description: a response for each status that it can answer. Each is
//! described once, among the components, by the name of its kind.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{Content, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type};

use crate::problem::{Body as ProblemBody, Kind, MEDIA_TYPE};
use crate::rates::described::with_headers;

/// Every operation can answer these: its head cannot be read, is too large or names another host, it does not come to its
/// end, the token is bad, the request is larger than any may be, or the shop itself is at fault.
const OF_EVERY_OPERATION: [Kind; 9] = [
    Kind::Malformed,
    Kind::Unauthenticated,
    Kind::RequestTimeout,
    Kind::TooLarge,
    Kind::UriTooLong,
    Kind::Misdirected,
    Kind::HeadTooLarge,
    Kind::Internal,
    Kind::Unavailable,
];

/// All kinds that an operation can answer with. A method that a path does not have is no operation.
const OF_OPERATIONS: [Kind; 18] = [
    Kind::Malformed,
    Kind::Unauthenticated,
    Kind::Forbidden,
    Kind::NotFound,
    Kind::RequestTimeout,
    Kind::Conflict,
    Kind::Gone,
    Kind::Precondition,
    Kind::TooLarge,
    Kind::UriTooLong,
    Kind::UnsupportedMediaType,
    Kind::Misdirected,
    Kind::Invalid,
    Kind::PreconditionRequired,
    Kind::TooMany,
    Kind::HeadTooLarge,
    Kind::Internal,
    Kind::Unavailable,
];

fn name(kind: Kind) -> String {
    format!("{kind:?}")
}

/// A reference for each status of these kinds, and of those of every operation.
pub fn refusals(kinds: impl IntoIterator<Item = Kind>) -> BTreeMap<String, RefOr<Response>> {
    let all = OF_EVERY_OPERATION.into_iter().chain(kinds);
    let refer = |kind: Kind| RefOr::Ref(Ref::from_response_name(name(kind)));
    all.map(|kind| (kind.status().as_str().to_owned(), refer(kind))).collect()
}

/// The components that the references lead to.
pub(super) fn responses() -> impl Iterator<Item = (String, Response)> {
    OF_OPERATIONS.into_iter().map(|kind| (name(kind), response(kind)))
}

/// The response of a kind.
pub(super) fn response(kind: Kind) -> Response {
    let response = ResponseBuilder::new()
        .description(about(kind))
        .content(MEDIA_TYPE, Content::new(Some(Ref::from_schema_name(ProblemBody::name()))));
    let header = |about: &str, schema_type| {
        let schema = ObjectBuilder::new().schema_type(schema_type).build();
        HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build()
    };
    let response = match kind {
        Kind::Unauthenticated => {
            response.header("WWW-Authenticate", header("How to sign in: `Bearer`.", Type::String))
        }
        Kind::TooMany | Kind::Unavailable => {
            response.header("Retry-After", header("In how many seconds to try again.", Type::Integer))
        }
        _ => response,
    };
    // Only what was counted has the headers of rates; they are described where it is certain.
    let response = if kind == Kind::TooMany { with_headers(response) } else { response };
    response.build()
}

fn about(kind: Kind) -> &'static str {
    match kind {
        Kind::Malformed => "The request cannot be read: the problem names the parameter or the header.",
        Kind::Unauthenticated => "The token is not valid, or has expired.",
        Kind::Forbidden => "The caller may not do this, or not with this field or header.",
        Kind::NotFound => "There is nothing of this name.",
        Kind::MethodNotAllowed => "The header Allow says what can be done here.",
        Kind::RequestTimeout => "The request did not come to its end in time.",
        Kind::UriTooLong => "The address is longer than any may be.",
        Kind::Misdirected => "The shop has no such name: see the setting `--host`.",
        Kind::HeadTooLarge => "The headers are larger than any may be.",
        Kind::Conflict => "The state does not allow it just now.",
        Kind::Gone => "It existed, and is gone for good.",
        Kind::Precondition => "It has another version than those that If-Match names.",
        Kind::TooLarge => "The body, or the change that it asks for, is too large.",
        Kind::UnsupportedMediaType => "The body is of another media type than the one that is taken here.",
        Kind::Invalid => "It can be read, and breaks a rule: the problem points to the field.",
        Kind::PreconditionRequired => "If-Match is required here.",
        Kind::TooMany => "Too many requests of this caller: wait.",
        Kind::Internal => "Something went wrong inside the shop.",
        Kind::Unavailable => "Something that is needed for it does not work just now: try again later.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_listed_once_with_its_problem() {
        let listed = refusals([Kind::NotFound, Kind::Malformed, Kind::TooMany]);
        let statuses: Vec<_> = listed.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["400", "401", "404", "408", "413", "414", "421", "429", "431", "500", "503"]);
        let RefOr::Ref(one) = &listed["429"] else { panic!("it is described once for all operations") };
        assert_eq!(one.ref_location, "#/components/responses/TooMany");
    }

    #[test]
    fn each_kind_is_described_with_its_problem_and_its_headers() {
        let all: BTreeMap<_, _> = responses().collect();
        assert_eq!(all.len(), OF_OPERATIONS.len());
        for (name, response) in &all {
            assert!(response.content.contains_key(MEDIA_TYPE), "{name}");
            let later = ["TooMany", "Unavailable"].contains(&name.as_str());
            assert_eq!(response.headers.contains_key("Retry-After"), later, "{name}");
            let unknown = name == "Unauthenticated";
            assert_eq!(response.headers.contains_key("WWW-Authenticate"), unknown, "{name}");
        }
    }
}
