//! The description of the endpoints, made from the table that routes them, so that the two cannot differ.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use soonshop_domain::reasons;
use soonshop_service_kit::endpoint::described::text;
use soonshop_service_kit::endpoint::{refusals, shared_components, sign_in};
use soonshop_service_kit::headers::{ENTITY_TAGS_PATTERN, IDEMPOTENCY_KEY_PATTERN};
use soonshop_service_kit::problem::Kind;
use soonshop_service_kit::rates::described as rates;
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    Content, Info, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, Response,
    ResponseBuilder,
};

use super::answer::{Done, status};
use super::body::described;
use super::endpoint::Endpoint;
use super::headers::CHANNELS;
use super::privileged::Privileged;
use super::row::{Key, Row, Success, parameters};

/// OpenAPI 3.1 of these commands.
pub(crate) fn describe(endpoints: Vec<Endpoint>) -> OpenApi {
    let mut schemas = described::<Done>().1;
    let mut paths = Paths::new();
    for endpoint in endpoints {
        let described = [endpoint.action.body, endpoint.action.answer].into_iter().flatten();
        schemas.extend(described.flat_map(|describe| describe().1));
        let method = match endpoint.row.method.as_str() {
            "PUT" => HttpMethod::Put,
            "DELETE" => HttpMethod::Delete,
            "PATCH" => HttpMethod::Patch,
            _ => HttpMethod::Post,
        };
        paths.add_path_operation(endpoint.row.path, vec![method], operation(&endpoint));
    }
    OpenApiBuilder::new()
        .info(Info::new("SoonShop commands", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(shared_components(schemas)))
        .build()
}

fn operation(endpoint: &Endpoint) -> Operation {
    let row = &*endpoint.row;
    let mut operation = OperationBuilder::new()
        .operation_id(Some(row.command))
        .tag(row.context())
        .summary(Some(row.summary))
        .description(Some(who(row)))
        .extensions(Some([("x-of", row.of.as_ref())].into_iter().collect::<Extensions>()))
        .response(status(row.success.kind()).as_str(), done(endpoint));
    if row.is_waited_for() {
        operation = operation.response("201", awaited());
    }
    for (status, response) in refused(endpoint) {
        operation = operation.response(status, response);
    }
    for (name, schema) in parameters(row.path).zip((endpoint.action.parameters)()) {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        operation = operation.parameter(parameter.required(Required::True).schema(Some(schema)).build());
    }
    for header in headers(row) {
        operation = operation.parameter(header);
    }
    if let Some(describe) = endpoint.action.body {
        let content = Content::new(Some(Ref::from_schema_name(describe().0)));
        let body = RequestBodyBuilder::new().content("application/json", content);
        let body = body.extensions(privileged(endpoint.action.privileged));
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    for requirement in sign_in(row.permission) {
        operation = operation.security(requirement);
    }
    operation.build()
}

/// The headers that commands take.
fn headers(row: &Row) -> Vec<Parameter> {
    let headers = [
        (
            "Idempotency-Key",
            row.key == Key::Required,
            "Done once per key. Without a token: a random UUID.",
            text().pattern(Some(IDEMPOTENCY_KEY_PATTERN)),
        ),
        (
            "If-Match",
            row.needs_if_match(),
            "The version that was seen, as ETag gave it, or `*`.",
            text().pattern(Some(ENTITY_TAGS_PATTERN)),
        ),
        (
            "X-Reason",
            false,
            "Why, as a code: it is kept in clear.",
            text().pattern(Some(reasons::PATTERN)).max_length(Some(reasons::LONGEST)),
        ),
        (
            "X-Reason-Note",
            false,
            "Why, in your own words: kept encrypted. Needs the permission `act-on-behalf`.",
            text().min_length(Some(1)),
        ),
        (
            "X-On-Behalf-Of",
            false,
            "`customer:<id of a user>`, or `guest:<id>` of a guest who is known or begins something: for whom it is done. Needs the permission `act-on-behalf`.",
            text().pattern(Some("^(customer|guest):[!-~]{32,55}$")),
        ),
        (
            "X-Import-Key",
            false,
            "The natural key of an imported thing: accepted once. Needs the permission `override`.",
            text().pattern(Some("^[ -~]{1,200}$")),
        ),
        (
            "X-Channel",
            false,
            "The channel of the command. Needs the permission `act-on-behalf`; `import` needs `override`.",
            text().enum_values(Some(CHANNELS)),
        ),
    ];
    let wait = ("Prefer", false, "`wait=N`: wait for what becomes of it, at most so many seconds.", text());
    let wait = row.is_waited_for().then_some(wait);
    let described = |(name, required, about, schema)| parameter(name, required, about, schema);
    headers.into_iter().chain(wait).map(described).collect()
}

/// The refusals that follow from the row. Any command can meet a state that does not allow it, name a version that is
/// gone, reuse a key, or ask for what its caller may not.
fn refused(endpoint: &Endpoint) -> BTreeMap<String, RefOr<Response>> {
    let row = &*endpoint.row;
    let mut kinds =
        vec![Kind::Forbidden, Kind::Conflict, Kind::Gone, Kind::Precondition, Kind::Invalid, Kind::TooMany];
    // A checkout names its cart in the body.
    if parameters(row.path).any(|name| name != "sku") || row.aggregate_type() == "checkout" {
        kinds.push(Kind::NotFound);
    }
    if endpoint.action.body.is_some() {
        kinds.push(Kind::UnsupportedMediaType);
    }
    if row.needs_if_match() {
        kinds.push(Kind::PreconditionRequired);
    }
    refusals(kinds)
}

fn who(row: &Row) -> String {
    let permission = row.permission;
    let roles: Vec<&str> = permission.holders().iter().map(AsRef::as_ref).collect();
    let roles = roles.join(", ");
    format!("Needs the permission `{permission}`, which these roles have: {roles}. {}", row.of.about())
}

/// The fields that need a permission of their own, for programs.
fn privileged(fields: &[Privileged]) -> Option<Extensions> {
    let field = |one: &Privileged| json!({ "field": one.field, "permission": one.needs.as_ref(), "when": one.condition() });
    let fields: Vec<Value> = fields.iter().map(field).collect();
    (!fields.is_empty()).then(|| [("x-privileged", fields)].into_iter().collect())
}

fn parameter(name: &str, required: bool, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(if required { Required::True } else { Required::False })
        .description(Some(description))
        .schema(Some(schema.build()))
        .build()
}

const GUEST_TOKEN: &str = "To a caller without a token alone: the token of the guest whose this is, for `Authorization: Bearer`. \
     Who sends the command again with its `Idempotency-Key` gets the same.";

fn header(description: &str) -> Header {
    HeaderBuilder::new().schema(Some(text().build())).description(Some(description)).build()
}

/// The answer to a caller who waited for it.
fn awaited() -> Response {
    let name = Done::name().into_owned();
    rates::with_headers(ResponseBuilder::new())
        .description("With `Prefer: wait`: the order, if there is one before the time is up.")
        .header("ETag", header("The version of the order, for If-Match."))
        .header("Event-Position", header("For a query that must have seen it: with `Prefer: wait`."))
        .header("Location", header("The order."))
        .header("Preference-Applied", header("`wait`."))
        .content("application/json", Content::new(Some(Ref::from_schema_name(name))))
        .build()
}

fn done(endpoint: &Endpoint) -> Response {
    let row: &Row = &endpoint.row;
    let mut response = rates::with_headers(ResponseBuilder::new())
        .description("It is done, or was before: a repeated request has the same answer.")
        .header("ETag", header("The version, for If-Match."))
        .header("Event-Position", header("For a query that must have seen this: with `Prefer: wait`."));
    match row.success {
        Success::Created(_) => {
            response = response.header("Location", header("Where it is."));
            if row.begins_a_guest() {
                response = response.header("Guest-Token", header(GUEST_TOKEN));
            }
        }
        Success::Accepted(_) => {
            response = response.header("Location", header("Where its state is shown."));
        }
        Success::Done | Success::Removed | Success::Answer => {}
    }
    let own = endpoint.action.answer.map(|describe| describe().0);
    let body = match row.success {
        Success::Removed => None,
        Success::Answer => own,
        Success::Created(_) | Success::Accepted(_) | Success::Done => {
            own.or_else(|| Some(Done::name().into_owned()))
        }
    };
    if let Some(name) = body {
        response = response.content("application/json", Content::new(Some(Ref::from_schema_name(name))));
    }
    response.build()
}
