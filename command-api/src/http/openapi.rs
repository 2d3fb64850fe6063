//! The description of the endpoints, made from the table that routes them, so that the two cannot differ.

use soonshop_service_kit::access::{Permission, Role};
use soonshop_service_kit::problem::{Body as ProblemBody, MEDIA_TYPE};
use utoipa::ToSchema;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Info, KnownFormat, ObjectBuilder, OpenApi, OpenApiBuilder, Paths,
    Ref, Required, Response, ResponseBuilder, SchemaFormat, Type,
};

use super::answer::Done;
use super::{Endpoint, Key, table};

/// The name under which API keys, and the operator's token, are described.
const KEY: &str = "key";

/// How domain types look on the wire: the domain knows nothing of descriptions.
#[expect(dead_code, reason = "these are only described, never made")]
pub(super) mod schema {
    use utoipa::ToSchema;
    use uuid::Uuid;

    #[derive(ToSchema)]
    pub(crate) struct Money {
        /// In minor units: pence, cents.
        #[schema(example = 1299)]
        amount: i64,
        /// ISO 4217.
        #[schema(example = "GBP", min_length = 3, max_length = 3)]
        currency: String,
    }

    #[derive(ToSchema)]
    pub(crate) struct Variant {
        #[schema(max_length = 64)]
        sku: String,
        /// Of one unit. A variant without a price cannot be ordered.
        price: Option<Money>,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "lowercase")]
    pub(crate) enum Purpose {
        /// The account: name, e-mail, phone.
        Account,
        /// How to reach the buyer, on every order.
        Invoice,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "lowercase")]
    pub(crate) enum Customer {
        /// A user's id.
        User(Uuid),
        /// An id that the caller gives a buyer without an account.
        Guest(Uuid),
    }
}

/// OpenAPI 3.1 of every command.
pub fn openapi() -> OpenApi {
    let mut schemas = vec![
        (Done::name().into_owned(), <Done as utoipa::PartialSchema>::schema()),
        (ProblemBody::name().into_owned(), <ProblemBody as utoipa::PartialSchema>::schema()),
    ];
    let mut paths = Paths::new();
    for endpoint in table() {
        if let Some(describe) = endpoint.action.body {
            schemas.extend(describe().1);
        }
        let method = match endpoint.method.as_str() {
            "PUT" => HttpMethod::Put,
            "DELETE" => HttpMethod::Delete,
            _ => HttpMethod::Post,
        };
        paths.add_path_operation(endpoint.path, vec![method], operation(&endpoint));
    }
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components: Components =
        ComponentsBuilder::new().schemas_from_iter(schemas).security_scheme(KEY, token).build();
    OpenApiBuilder::new()
        .info(Info::new("SoonShop commands", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(components))
        .build()
}

fn operation(endpoint: &Endpoint) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(endpoint.command))
        .tag(endpoint.context())
        .summary(Some(endpoint.summary))
        .description(Some(who(endpoint.permission)))
        .response(endpoint.status().as_str(), done(endpoint))
        .response("default", problem());
    if let Some(parameter) = path_parameter(endpoint) {
        operation = operation.parameter(parameter);
    }
    for (name, required, description) in [
        (
            "Idempotency-Key",
            endpoint.key == Key::Required,
            "Done once per key. Without a token: a random UUID.",
        ),
        ("If-Match", endpoint.needs_if_match(), "The version that was seen, as ETag gave it, or `*`."),
        ("X-Reason", false, "Why, as a code of at most 64 characters."),
        ("X-Reason-Note", false, "Why, in your own words: kept sealed. Needs the permission `vouch`."),
        (
            "X-On-Behalf-Of",
            false,
            "`customer:<id>` or `guest:<id>` for whom it is done. Needs the permission `vouch`.",
        ),
        (
            "X-Import-Key",
            false,
            "The natural key of what is imported: taken once. Needs the permission `override`.",
        ),
        (
            "X-Channel",
            false,
            "The door it came through. Needs the permission `vouch`; `import` needs `override`.",
        ),
    ] {
        operation = operation.parameter(parameter(name, ParameterIn::Header, required, description));
    }
    if let Some(describe) = endpoint.action.body {
        let content = Content::new(Some(Ref::from_schema_name(describe().0)));
        let body = RequestBodyBuilder::new().content("application/json", content);
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    if Role::Guest.may(endpoint.permission) {
        operation = operation.security(SecurityRequirement::default());
    }
    operation.security(SecurityRequirement::new(KEY, Vec::<String>::new())).build()
}

fn who(permission: Permission) -> String {
    let roles: Vec<&str> = permission.holders().iter().map(AsRef::as_ref).collect();
    format!("Needs the permission `{permission}`, which these roles have: {}.", roles.join(", "))
}

fn path_parameter(endpoint: &Endpoint) -> Option<Parameter> {
    let (name, _) = endpoint.path.split_once('{')?.1.split_once('}')?;
    let format = (name == "id").then_some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
    let schema = ObjectBuilder::new().schema_type(Type::String).format(format).build();
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
    Some(parameter.required(Required::True).schema(Some(schema)).build())
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
    let mut response = ResponseBuilder::new()
        .description("It is done, or was before: a repeated request has the same answer.")
        .header("ETag", header("The version, for If-Match."))
        .header("Event-Position", header("For a query that must have seen this: with `Prefer: wait`."));
    if endpoint.creates() {
        response = response.header("Location", header("Where it is."));
    }
    if endpoint.action.body.is_some() {
        let content = Content::new(Some(Ref::from_schema_name(Done::name())));
        response = response.content("application/json", content);
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
