//! The endpoints of OAuth in the description of the API.

use soonshop_domain::context::IDENTITY;
use soonshop_service_kit::endpoint::{refusals, shared_components};
use soonshop_service_kit::problem::Kind;
use soonshop_service_kit::rates::described::with_headers;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, Info, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, ResponseBuilder,
    Schema, Type,
};
use utoipa::{PartialSchema as _, ToSchema};

use super::metadata::{PATH, document};
use super::own_tokens::Introspection;
use super::refusal::Body;
use super::token::Tokens;

/// A client proves itself by HTTP Basic or by these two fields.
#[derive(ToSchema)]
#[schema(as = TokenRequest)]
#[expect(dead_code, reason = "it is only described: a form is read field by field")]
struct TokenRequest {
    /// `authorization_code`, `refresh_token` or `client_credentials`.
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Of `authorization_code`, as it came to the redirect address.
    code: Option<String>,
    /// Of `authorization_code`, the same as before.
    redirect_uri: Option<String>,
    /// Of `authorization_code`, always: RFC 7636.
    code_verifier: Option<String>,
    /// Of `refresh_token`.
    refresh_token: Option<String>,
    /// Names with spaces between them. Without it, all that there is to give.
    #[schema(example = "own read")]
    scope: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// A token of the client that sends it.
#[derive(ToSchema)]
#[schema(as = OwnToken)]
#[expect(dead_code, reason = "it is only described: a form is read field by field")]
struct OwnToken {
    token: String,
    /// Not needed: a token says by its form what it is.
    token_type_hint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

struct Row {
    method: HttpMethod,
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    /// The name of the schema of its form.
    takes: Option<String>,
    /// The name of the schema of its answer; `None`: it is empty.
    answers: Option<String>,
}

/// The name of the schema of the metadata.
const METADATA: &str = "AuthorizationServer";

fn table() -> [Row; 4] {
    use HttpMethod::{Get, Post};
    let of = |name: std::borrow::Cow<'static, str>| Some(name.into_owned());
    [
        Row {
            method: Post,
            path: "/oauth/token",
            name: "identity.oauth-token",
            summary: "Get the tokens of a client, for a code, a refresh token or itself (RFC 6749)",
            takes: of(TokenRequest::name()),
            answers: of(Tokens::name()),
        },
        Row {
            method: Post,
            path: "/oauth/revoke",
            name: "identity.oauth-revoke",
            summary: "End the session of a token (RFC 7009)",
            takes: of(OwnToken::name()),
            answers: None,
        },
        Row {
            method: Post,
            path: "/oauth/introspect",
            name: "identity.oauth-introspect",
            summary: "What a client's own token is (RFC 7662)",
            takes: of(OwnToken::name()),
            answers: of(Introspection::name()),
        },
        Row {
            method: Get,
            path: PATH,
            name: "identity.oauth-metadata",
            summary: "What clients of OAuth have to know of this shop (RFC 8414)",
            takes: None,
            answers: Some(METADATA.to_owned()),
        },
    ]
}

fn metadata() -> RefOr<Schema> {
    let example = document("https://shop.example");
    let object = ObjectBuilder::new().schema_type(Type::Object).examples([example.clone()]);
    let names = example.as_object().map(|all| all.iter().collect::<Vec<_>>()).unwrap_or_default();
    let object = names.into_iter().fold(object, |object, (name, value)| {
        let schema: RefOr<Schema> = match value {
            serde_json::Value::Array(_) => {
                let text = ObjectBuilder::new().schema_type(Type::String);
                utoipa::openapi::schema::ArrayBuilder::new().items(text).into()
            }
            serde_json::Value::Bool(_) => ObjectBuilder::new().schema_type(Type::Boolean).into(),
            _ => ObjectBuilder::new().schema_type(Type::String).into(),
        };
        object.property(name, schema).required(name)
    });
    RefOr::T(Schema::Object(object.build()))
}

fn schemas() -> Vec<(String, RefOr<Schema>)> {
    vec![
        (TokenRequest::name().into_owned(), TokenRequest::schema()),
        (OwnToken::name().into_owned(), OwnToken::schema()),
        (Tokens::name().into_owned(), Tokens::schema()),
        (Introspection::name().into_owned(), Introspection::schema()),
        (Body::name().into_owned(), Body::schema()),
        (METADATA.to_owned(), metadata()),
    ]
}

/// OpenAPI 3.1 of these endpoints.
pub(crate) fn openapi() -> OpenApi {
    let content = |name: String| Content::new(Some(Ref::from_schema_name(name)));
    let mut paths = Paths::new();
    for row in table() {
        let mut operation =
            OperationBuilder::new().operation_id(Some(row.name)).tag(IDENTITY).summary(Some(row.summary));
        let answer = with_headers(ResponseBuilder::new()).description("The answer.");
        let answer = match row.answers {
            Some(name) => answer.content("application/json", content(name)),
            None => answer,
        };
        operation = operation.response("200", answer.build());
        let Some(form) = row.takes else {
            for (status, response) in refusals([Kind::NotFound, Kind::TooMany]) {
                operation = operation.response(status, response);
            }
            let operation = operation.security(SecurityRequirement::default());
            paths.add_path_operation(row.path, vec![row.method], operation.build());
            continue;
        };
        let body = RequestBodyBuilder::new()
            .content("application/x-www-form-urlencoded", content(form))
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
        for (status, why) in [
            ("400", "Something is wrong with the request."),
            ("401", "The client is unknown, or what it proves itself with is wrong."),
            ("413", "The form is too large."),
            ("429", "Too many requests."),
            ("500", "Something went wrong inside."),
            ("503", "It cannot be done just now."),
        ] {
            let refusal = with_headers(ResponseBuilder::new()).description(why);
            let refusal = refusal.content("application/json", content(Body::name().into_owned()));
            operation = operation.response(status, refusal.build());
        }
        let operation = operation.security(SecurityRequirement::default());
        paths.add_path_operation(row.path, vec![row.method], operation.build());
    }
    OpenApiBuilder::new()
        .info(Info::new("SoonShop authorizations", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(shared_components(schemas())))
        .build()
}
