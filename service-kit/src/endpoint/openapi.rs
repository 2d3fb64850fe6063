//! The description of the endpoints, made from the table that routes them, so that the two cannot differ; and the shapes
//! that several answers share.

use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_service_kit::problem::{Body as ProblemBody, MEDIA_TYPE};
use utoipa::ToSchema;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder};
use utoipa::openapi::{
    ComponentsBuilder, Content, Info, KnownFormat, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
    Required, Response, ResponseBuilder, Schema, SchemaFormat, Type,
};
use uuid::Uuid;

use super::params::{Kind, Param};
use super::{Endpoint, table};

/// An amount in minor units: pence, cents.
#[derive(Serialize, ToSchema)]
pub(super) struct Money {
    #[schema(example = 1299)]
    pub(super) amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP", min_length = 3, max_length = 3)]
    pub(super) currency: String,
}

impl Money {
    pub(super) fn of(amount: Option<i64>, currency: Option<String>) -> Option<Self> {
        amount.zip(currency).map(|(amount, currency)| Self { amount, currency })
    }
}

/// Who buys: `{"user": id}` or `{"guest": id}`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Customer {
    User(String),
    Guest(String),
}

impl Customer {
    pub(super) fn of(kind: &str, subject: String) -> Self {
        if kind == "user" { Self::User(subject) } else { Self::Guest(subject) }
    }
}

/// What rows hold as JSON, as it is described.
#[expect(dead_code, reason = "these are only described, never made")]
mod described {
    use super::{Money, ToSchema, Uuid};

    #[derive(ToSchema)]
    pub(crate) struct Variant {
        sku: String,
        /// Of one unit; absent while it cannot be ordered.
        price: Option<Money>,
    }

    /// With name and price as they were when it was sold.
    #[derive(ToSchema)]
    pub(crate) struct Line {
        /// From 1.
        number: u32,
        sku: String,
        product_id: Uuid,
        name: String,
        quantity: u32,
        /// Of one unit.
        price: Money,
    }

    /// The line that could not be had, and why.
    #[derive(ToSchema)]
    pub(crate) struct Refusal {
        line: u32,
        sku: String,
        /// Such as `insufficient-stock`.
        reason: String,
    }
}

pub(super) use described::{Line, Refusal, Variant};

/// Microseconds since 1970, as a moment.
pub(super) fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// What an endpoint answers: its schema, and those that it refers to.
pub(super) struct Described {
    schema: RefOr<Schema>,
    components: Vec<(String, RefOr<Schema>)>,
    /// It has a version.
    entity: bool,
    /// It has pages.
    paged: bool,
}

fn components<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

impl Described {
    pub(super) fn one<T: ToSchema>() -> Self {
        let schema = Ref::from_schema_name(T::name()).into();
        Self { schema, components: components::<T>(), entity: false, paged: false }
    }

    /// An entity as it is; or as it was.
    pub(super) fn either<T: ToSchema, U: ToSchema>() -> Self {
        let refs =
            OneOfBuilder::new().item(Ref::from_schema_name(T::name())).item(Ref::from_schema_name(U::name()));
        let components = components::<T>().into_iter().chain(components::<U>()).collect();
        Self { schema: Schema::OneOf(refs.build()).into(), components, entity: true, paged: false }
    }

    pub(super) fn list<T: ToSchema>() -> Self {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).build();
        let next = text()
            .description(Some("What to send as `after` for the page that follows; null on the last one."));
        let page = ObjectBuilder::new().property("items", items).property("next", next).required("items");
        Self { schema: page.build().into(), components: components::<T>(), entity: false, paged: true }
    }

    pub(super) fn report(figures: impl Iterator<Item = &'static str>, money: bool) -> Self {
        let mut row = ObjectBuilder::new().property("period", text()).property("key", text());
        for figure in figures {
            row = row.property(figure, ObjectBuilder::new().schema_type(Type::Integer)).required(figure);
        }
        if money {
            row = row.property("currency", text()).required("currency");
        }
        let rows = ArrayBuilder::new().items(row).build();
        let more = ObjectBuilder::new().schema_type(Type::Boolean);
        let report = ObjectBuilder::new()
            .property("rows", rows)
            .property("more", more)
            .required("rows")
            .required("more");
        Self { schema: report.build().into(), components: Vec::new(), entity: false, paged: false }
    }
}

/// OpenAPI 3.1 of every question.
pub fn openapi() -> OpenApi {
    let mut schemas = components::<ProblemBody>();
    let mut paths = Paths::new();
    for endpoint in table() {
        let operation = operation(&endpoint);
        schemas.extend(endpoint.action.answers.components);
        let method = if endpoint.action.form.is_some() { HttpMethod::Post } else { HttpMethod::Get };
        paths.add_path_operation(endpoint.path, vec![method], operation);
    }
    OpenApiBuilder::new()
        .info(Info::new("SoonShop queries", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(ComponentsBuilder::new().schemas_from_iter(schemas).build()))
        .build()
}

fn operation(endpoint: &Endpoint) -> Operation {
    let answers = &endpoint.action.answers;
    let mut operation = OperationBuilder::new()
        .operation_id(Some(endpoint.name))
        .tag(endpoint.context())
        .summary(Some(endpoint.summary))
        .response("200", answered(answers))
        .response("default", problem());
    for name in endpoint.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
        let format = (name == "id").then_some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
        let path = parameter(name, ParameterIn::Path, None, text().format(format));
        operation = operation.parameter(ParameterBuilder::from(path).required(Required::True).build());
    }
    for param in &endpoint.action.params {
        operation = operation.parameter(query_parameter(param));
    }
    for (name, about) in [
        ("Event-Position", "As a command answered it: the answer has seen it, or is refused."),
        ("Prefer", "`wait=N`: wait for that, at most so many seconds."),
    ] {
        operation = operation.parameter(parameter(name, ParameterIn::Header, Some(about), text()));
    }
    if let Some(fields) = &endpoint.action.form {
        operation = operation.request_body(Some(form(fields)));
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
        Kind::Text
        | Kind::Free
        | Kind::Sku
        | Kind::Location
        | Kind::Currency
        | Kind::Time
        | Kind::AsOf
        | Kind::Zone
        | Kind::Cursor
        | Kind::Facets => text(),
    }
}

fn header(about: &str) -> Header {
    HeaderBuilder::new().schema(Some(text().build())).description(Some(about)).build()
}

fn answered(answers: &Described) -> Response {
    let mut response = ResponseBuilder::new()
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
