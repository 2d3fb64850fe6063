//! The description of endpoints, made from the table that routes them, so that the two cannot differ.

use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{
    ComponentsBuilder, Content, Info, KnownFormat, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref,
    Required, Response, ResponseBuilder, Schema, SchemaFormat, Type,
};

use super::described::{Described, components, text};
use super::params::{Kind, LONGEST_TEXT, Param};
use super::table::Endpoint;
use crate::problem::{Body as ProblemBody, MEDIA_TYPE};
use crate::rates::Class;
use crate::rates::described::{self, TOO_MANY};

/// OpenAPI 3.1 of these endpoints.
pub fn openapi<S>(title: &str, endpoints: impl IntoIterator<Item = Endpoint<S>>) -> OpenApi {
    let mut schemas = components::<ProblemBody>();
    let mut paths = Paths::new();
    for endpoint in endpoints {
        let operation = operation(&endpoint);
        schemas.extend(endpoint.action.answers().components.iter().cloned());
        let method = if endpoint.action.form().is_some() { HttpMethod::Post } else { HttpMethod::Get };
        paths.add_path_operation(endpoint.path, vec![method], operation);
    }
    let components =
        ComponentsBuilder::new().schemas_from_iter(schemas).response(TOO_MANY, described::refusal());
    OpenApiBuilder::new()
        .info(Info::new(title, env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn operation<S>(endpoint: &Endpoint<S>) -> Operation {
    let answers = endpoint.action.answers();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(endpoint.name))
        .tag(endpoint.context())
        .summary(Some(endpoint.summary))
        .response("200", answered(answers, endpoint.class))
        .response("default", problem());
    if endpoint.class != Class::Health {
        operation = operation.response("429", described::refused());
    }
    for name in endpoint.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
        let format = (name == "id").then_some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
        let path = parameter(name, ParameterIn::Path, None, text().format(format));
        operation = operation.parameter(ParameterBuilder::from(path).required(Required::True).build());
    }
    for param in endpoint.action.params() {
        operation = operation.parameter(query_parameter(param));
    }
    for (name, about) in [
        ("Event-Position", "As a command answered it: the answer has seen it, or is refused."),
        ("Prefer", "`wait=N`: wait for that, at most so many seconds."),
    ] {
        operation = operation.parameter(parameter(name, ParameterIn::Header, Some(about), text()));
    }
    for (name, about) in endpoint.action.headers() {
        operation = operation.parameter(parameter(name, ParameterIn::Header, Some(about), text()));
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
        operation = operation
            .parameter(parameter("If-None-Match", ParameterIn::Header, Some(about), text()))
            .response("304", unchanged);
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
        .header("Event-Position", header("Where the read model stood that answers."))
        .header("Preference-Applied", header("`wait`, where that was asked for."))
        .content("application/json", Content::new(Some(answers.schema.clone())));
    if answers.entity {
        response = response.header("ETag", header("The version, for If-Match and If-None-Match."));
    }
    if answers.paged {
        response = response.header("Link", header("The page that follows, as `rel=\"next\"`."));
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
