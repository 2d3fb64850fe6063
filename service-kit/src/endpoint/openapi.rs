//! The description of endpoints, made from the table that routes them, so that the two cannot differ.

use std::collections::BTreeMap;

use soonshop_domain::reasons;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Info, KnownFormat, ObjectBuilder, OpenApi, OpenApiBuilder, Paths,
    RefOr, Required, Response, ResponseBuilder, Schema, SchemaFormat, Type,
};

use super::described::{Described, by_name, components, text};
use super::params::{Kind, LONGEST_TEXT, Param};
use super::refusals::{refusals, response, responses};
use super::table::Endpoint;
use crate::access::{Permission, Role};
use crate::headers::{ENTITY_TAGS_PATTERN, EVENT_POSITION_PATTERN};
use crate::problem::{Body as ProblemBody, Kind as ProblemKind};
use crate::rates::Class;
use crate::rates::described;

/// The name under which API keys, and the operator's token, are described.
const KEY: &str = "key";

/// The components of a description: these schemas, the problem, the refusals, and how callers sign in.
pub fn shared_components(schemas: impl IntoIterator<Item = (String, RefOr<Schema>)>) -> Components {
    let all = by_name(components::<ProblemBody>().into_iter().chain(schemas));
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    ComponentsBuilder::new()
        .schemas_from_iter(all)
        .responses_from_iter(responses())
        .security_scheme(KEY, token)
        .build()
}

/// How a caller signs in for what needs this permission: not at all where guests have it, or with a key.
pub fn sign_in(permission: Permission) -> Vec<SecurityRequirement> {
    let guest = Role::Guest.may(permission).then(SecurityRequirement::default);
    guest.into_iter().chain([SecurityRequirement::new(KEY, Vec::<String>::new())]).collect()
}

/// OpenAPI 3.1 of these endpoints.
pub fn openapi<S>(title: &str, endpoints: impl IntoIterator<Item = Endpoint<S>>) -> OpenApi {
    let mut schemas = Vec::new();
    let mut paths = Paths::new();
    for endpoint in endpoints {
        let operation = operation(&endpoint);
        schemas.extend(endpoint.action.answers().components.iter().cloned());
        let method = if endpoint.action.form().is_some() { HttpMethod::Post } else { HttpMethod::Get };
        paths.add_path_operation(endpoint.path, vec![method], operation);
    }
    OpenApiBuilder::new()
        .info(Info::new(title, env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(shared_components(schemas)))
        .build()
}

/// The refusals that follow from the row, and those of its own.
fn refused<S>(endpoint: &Endpoint<S>) -> BTreeMap<String, RefOr<Response>> {
    let action = &endpoint.action;
    let may_all = Role::ALL.iter().all(|role| role.may(action.needed()));
    let mut kinds = action.own_refusals().to_vec();
    if !may_all || action.form().is_some() {
        kinds.push(ProblemKind::Forbidden);
    }
    if endpoint.path.contains('{') {
        kinds.push(ProblemKind::NotFound);
    }
    if action.form().is_some() {
        kinds.push(ProblemKind::UnsupportedMediaType);
    }
    if endpoint.class != Class::Health {
        kinds.push(ProblemKind::TooMany);
    }
    refusals(kinds)
}

fn operation<S>(endpoint: &Endpoint<S>) -> Operation {
    let answers = endpoint.action.answers();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(endpoint.name))
        .tag(endpoint.context())
        .summary(Some(endpoint.summary))
        .response("200", answered(answers, endpoint.class));
    let mut refused = refused(endpoint);
    if answers.unavailable {
        let mut own = response(ProblemKind::Unavailable);
        let content = Content::new(Some(answers.schema.clone()));
        own.content.insert(answers.media_type.to_owned(), RefOr::T(content));
        refused.insert("503".to_owned(), RefOr::T(own));
    }
    for (status, response) in refused {
        operation = operation.response(status, response);
    }
    for name in endpoint.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
        let format = (name == "id").then_some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
        let path = parameter(name, ParameterIn::Path, None, text().format(format));
        operation = operation.parameter(ParameterBuilder::from(path).required(Required::True).build());
    }
    for param in endpoint.action.params() {
        operation = operation.parameter(query_parameter(param));
    }
    for (name, about, schema) in [
        (
            "Event-Position",
            "As a command answered it: the answer has seen it, or is refused.",
            text().pattern(Some(EVENT_POSITION_PATTERN)),
        ),
        ("Prefer", "`wait=N`: wait for that, at most so many seconds.", text()),
    ] {
        operation = operation.parameter(parameter(name, ParameterIn::Header, Some(about), schema));
    }
    for (name, about) in endpoint.action.headers() {
        let schema = if *name == "X-Reason" {
            text().pattern(Some(reasons::PATTERN)).max_length(Some(reasons::LONGEST))
        } else {
            text()
        };
        operation = operation.parameter(parameter(name, ParameterIn::Header, Some(about), schema));
    }
    if let Some(fields) = endpoint.action.form() {
        operation = operation.request_body(Some(form(fields)));
    }
    if let Some(of) = endpoint.action.of() {
        let needs = format!("Needs the permission `{}`. {}", endpoint.action.needed(), of.about());
        operation = operation
            .description(Some(needs))
            .extensions(Some([("x-of", of.as_ref())].into_iter().collect::<Extensions>()));
    }
    if answers.entity {
        let unchanged =
            ResponseBuilder::new().description("It has the version that `If-None-Match` names.").build();
        let about = "Versions that the asker has, as ETag gave them.";
        let tags = text().pattern(Some(ENTITY_TAGS_PATTERN));
        operation = operation
            .parameter(parameter("If-None-Match", ParameterIn::Header, Some(about), tags))
            .response("304", unchanged);
    }
    for requirement in sign_in(endpoint.action.needed()) {
        operation = operation.security(requirement);
    }
    operation.build()
}

fn parameter(name: &str, place: ParameterIn, about: Option<&str>, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(about)
        .schema(Some(schema.build()))
        .build()
}

/// The form that it takes.
fn form(fields: &[Param]) -> RequestBody {
    let mut object = ObjectBuilder::new();
    for field in fields {
        object = object.property(field.name, schema(field).description(Some(field.about)));
        if field.required {
            object = object.required(field.name);
        }
    }
    let content = Content::new(Some(Schema::Object(object.build())));
    RequestBodyBuilder::new().content("application/x-www-form-urlencoded", content).build()
}

fn query_parameter(param: &Param) -> Parameter {
    let built = parameter(param.name, ParameterIn::Query, Some(param.about), schema(param));
    ParameterBuilder::from(built)
        .required(if param.required { Required::True } else { Required::False })
        .build()
}

fn schema(param: &Param) -> ObjectBuilder {
    let uuid = Some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
    match param.kind {
        Kind::Id => text().format(uuid),
        Kind::OneOf(_) | Kind::Order(_) => text().enum_values(Some(param.kind.names())),
        Kind::Number(least, most) => {
            let number = ObjectBuilder::new().schema_type(Type::Integer);
            // The bounds that JSON numbers hold exactly.
            let bound = |value: i64| i32::try_from(value).ok();
            number.minimum(bound(least)).maximum(bound(most))
        }
        Kind::Text | Kind::Facets => text().min_length(Some(1)).max_length(Some(LONGEST_TEXT)),
        Kind::Sku => text().min_length(Some(1)).max_length(Some(64)),
        Kind::Location => text().pattern(Some("^[a-z0-9-]{1,64}$")),
        Kind::Currency => text().min_length(Some(3)).max_length(Some(3)),
        // How long these may be counts in bytes, which a schema cannot say.
        Kind::Free
        | Kind::Typed
        | Kind::Time
        | Kind::Zone
        | Kind::KeptZone
        | Kind::AsOf
        | Kind::Checked(..)
        | Kind::Cursor => text(),
    }
}

fn header(about: &str) -> Header {
    HeaderBuilder::new().schema(Some(text().build())).description(Some(about)).build()
}

fn answered(answers: &Described, class: Class) -> Response {
    let mut response = ResponseBuilder::new();
    if class != Class::Health {
        response = described::with_headers(response);
    }
    response = response
        .description("The answer.")
        .content(answers.media_type, Content::new(Some(answers.schema.clone())));
    if answers.media_type == "application/json" {
        response = response
            .header("Event-Position", header("Where the read model stood that answers."))
            .header("Preference-Applied", header("`wait`, where that was asked for."));
    }
    if answers.entity {
        response = response.header("ETag", header("The version, for If-Match and If-None-Match."));
    }
    if answers.paged {
        response = response.header("Link", header("The page that follows, as `rel=\"next\"`."));
    }
    response.build()
}
