//! The description of the endpoints, made from the table that routes them, so that the two cannot differ.

use serde_json::{Value, json};
use soonshop_service_kit::access::Role;
use soonshop_service_kit::problem::{Body as ProblemBody, MEDIA_TYPE};
use soonshop_service_kit::rates::described::{self as rates, TOO_MANY};
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Info, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref,
    Required, Response, ResponseBuilder, Type,
};

use super::answer::{Done, status};
use super::body::described;
use super::endpoint::Endpoint;
use super::privileged::Privileged;
use super::row::{Key, Row, Success, parameters};

/// The name under which API keys, and the operator's token, are described.
const KEY: &str = "key";

/// OpenAPI 3.1 of these commands.
pub(crate) fn describe(endpoints: Vec<Endpoint>) -> OpenApi {
    let mut schemas: Vec<_> =
        [described::<Done>(), described::<ProblemBody>()].into_iter().flat_map(|d| d.1).collect();
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
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components: Components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .response(TOO_MANY, rates::refusal())
        .security_scheme(KEY, token)
        .build();
    OpenApiBuilder::new()
        .info(Info::new("SoonShop commands", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(components))
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
        .response(status(row.success.kind()).as_str(), done(endpoint))
        .response("429", rates::refused())
        .response("default", problem());
    for (name, schema) in parameters(row.path).zip((endpoint.action.parameters)()) {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        operation = operation.parameter(parameter.required(Required::True).schema(Some(schema)).build());
    }
    for (name, required, description) in [
        ("Idempotency-Key", row.key == Key::Required, "Done once per key. Without a token: a random UUID."),
        ("If-Match", row.needs_if_match(), "The version that was seen, as ETag gave it, or `*`."),
        ("X-Reason", false, "Why, as a code of at most 64 characters."),
        (
            "X-Reason-Note",
            false,
            "Why, in your own words: kept encrypted. Needs the permission `act-on-behalf`.",
        ),
        (
            "X-On-Behalf-Of",
            false,
            "`customer:<id>` or `guest:<id>` for whom it is done. Needs the permission `act-on-behalf`.",
        ),
        (
            "X-Import-Key",
            false,
            "The natural key of an imported thing: accepted once. Needs the permission `override`.",
        ),
        (
            "X-Channel",
            false,
            "The channel of the command. Needs the permission `act-on-behalf`; `import` needs `override`.",
        ),
    ] {
        operation = operation.parameter(parameter(name, ParameterIn::Header, required, description));
    }
    if let Some(describe) = endpoint.action.body {
        let content = Content::new(Some(Ref::from_schema_name(describe().0)));
        let body = RequestBodyBuilder::new().content("application/json", content);
        let body = body.extensions(privileged(endpoint.action.privileged));
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    if Role::Guest.may(row.permission) {
        operation = operation.security(SecurityRequirement::default());
    }
    operation.security(SecurityRequirement::new(KEY, Vec::<String>::new())).build()
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

fn parameter(name: &str, place: ParameterIn, required: bool, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if required { Required::True } else { Required::False })
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

fn header(description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .description(Some(description))
        .build()
}

fn done(endpoint: &Endpoint) -> Response {
    let row: &Row = &endpoint.row;
    let mut response = rates::with_headers(ResponseBuilder::new())
        .description("It is done, or was before: a repeated request has the same answer.")
        .header("ETag", header("The version, for If-Match."))
        .header("Event-Position", header("For a query that must have seen this: with `Prefer: wait`."));
    match row.success {
        Success::Created(_) => response = response.header("Location", header("Where it is.")),
        Success::Accepted(_) => {
            response = response.header("Location", header("Where to look what became of it."));
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

fn problem() -> Response {
    let content = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
    ResponseBuilder::new()
        .description("It is refused: `type` leads to a page that says why, and what to do.")
        .content(MEDIA_TYPE, content)
        .build()
}
