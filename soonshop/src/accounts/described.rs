//! The endpoints of accounts in the description of the API.

use serde_json::json;
use soonshop_domain::context::IDENTITY;
use soonshop_service_kit::endpoint::{refusals, shared_components};
use soonshop_service_kit::problem::Kind;
use soonshop_service_kit::rates::described::with_headers;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, Info, KnownFormat, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required,
    ResponseBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::factors::{Code, Factor, Factors, NewFactor, Pending, RecoveryCodes, Second, Started, StepUp};
use super::http::{Login, PasswordChange, Refresh, Session, Sessions};
use super::mailed::{
    AgreedWords, ClaimRequest, EmailChange, MailLanguage, MailRequest, MailedLink, PasswordReset,
    Registration,
};
use super::passkeys::{NewPasskey, PasskeyAnswer, PasskeyOptions, PasskeyWanted, StartedPasskey};
use super::request::Tokens;

/// A row of the table.
struct Row {
    method: HttpMethod,
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    /// The name of the schema of its body.
    takes: Option<String>,
    /// The name of the schema of its answer; `None`: 204.
    answers: Option<String>,
    /// The name of the schema of the answer that there is more to do.
    waits: Option<String>,
    /// Without an answer of its own: whether it is done, or done later.
    done: Done,
    /// It needs the access token of a session.
    session: bool,
    refuses: &'static [Kind],
}

/// When an endpoint has done its work that answers nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Now,
    Later,
    /// Later only where the log cannot be written just now.
    NowOrLater,
}

/// What an endpoint that takes a body refuses with, beside what all do.
const WITH_BODY: &[Kind] = &[Kind::Forbidden, Kind::UnsupportedMediaType, Kind::Invalid];

fn table() -> Vec<Row> {
    let mut rows = sessions();
    rows.extend(factors());
    rows.extend(passkeys());
    rows.extend(claims());
    rows
}

fn claims() -> Vec<Row> {
    vec![
        Row {
            takes: Some(ClaimRequest::name().into_owned()),
            done: Done::Later,
            refuses: WITH_BODY,
            ..row(
                HttpMethod::Post,
                "/auth/claims",
                "identity.ask-claim",
                "Ask for a mail with a link that claims an order that was placed with this account's address",
            )
        },
        Row {
            takes: Some(MailedLink::name().into_owned()),
            refuses: &[
                Kind::Forbidden,
                Kind::UnsupportedMediaType,
                Kind::Invalid,
                Kind::Conflict,
                Kind::Gone,
            ],
            ..row(
                HttpMethod::Post,
                "/auth/claims/confirm",
                "identity.claim",
                "Claim an order with the link in the mail",
            )
        },
    ]
}

fn factors() -> Vec<Row> {
    use HttpMethod::{Delete, Get, Post};
    let of = |name: std::borrow::Cow<'static, str>| Some(name.into_owned());
    vec![
        Row {
            takes: of(Second::name()),
            answers: of(Tokens::name()),
            session: false,
            refuses: WITH_BODY,
            ..row(Post, "/auth/second-factor", "identity.second-factor", "The second step of a sign-in")
        },
        Row {
            takes: of(StepUp::name()),
            refuses: &[Kind::Forbidden, Kind::UnsupportedMediaType, Kind::Invalid, Kind::Conflict],
            ..row(
                Post,
                "/auth/step-up",
                "identity.step-up",
                "Give a second factor, for what asks for one of the last five minutes",
            )
        },
        Row {
            answers: of(Factors::name()),
            ..row(Get, "/auth/factors", "identity.factors", "The second factors of this account")
        },
        Row {
            takes: of(NewFactor::name()),
            answers: of(Started::name()),
            refuses: &[Kind::Forbidden, Kind::UnsupportedMediaType, Kind::Invalid, Kind::Conflict],
            ..row(Post, "/auth/factors", "identity.add-factor", "Begin to add a second factor: its secret")
        },
        Row {
            takes: of(Code::name()),
            answers: of(RecoveryCodes::name()),
            refuses: &[Kind::Forbidden, Kind::NotFound, Kind::UnsupportedMediaType, Kind::Invalid],
            ..row(
                Post,
                "/auth/factors/{id}/proof",
                "identity.prove-factor",
                "Prove it by its first code; with the first factor come recovery codes",
            )
        },
        Row {
            refuses: &[Kind::Forbidden, Kind::NotFound],
            ..row(Delete, "/auth/factors/{id}", "identity.remove-factor", "Remove a second factor")
        },
        Row {
            answers: of(RecoveryCodes::name()),
            refuses: &[Kind::Forbidden, Kind::Conflict],
            ..row(
                Post,
                "/auth/recovery-codes",
                "identity.make-recovery-codes",
                "Make new recovery codes in the place of those before",
            )
        },
    ]
}

fn passkeys() -> Vec<Row> {
    const REFUSES: &[Kind] = &[Kind::Forbidden, Kind::UnsupportedMediaType, Kind::Invalid, Kind::Conflict];
    use HttpMethod::Post;
    let of = |name: std::borrow::Cow<'static, str>| Some(name.into_owned());
    vec![
        Row {
            takes: of(PasskeyWanted::name()),
            answers: of(PasskeyOptions::name()),
            session: false,
            refuses: REFUSES,
            ..row(
                Post,
                "/auth/second-factor/options",
                "identity.ask-passkey",
                "What to ask a passkey for the second step of a sign-in",
            )
        },
        Row {
            answers: of(PasskeyOptions::name()),
            refuses: &[Kind::Forbidden, Kind::Conflict],
            ..row(
                Post,
                "/auth/step-up/options",
                "identity.ask-passkey-again",
                "What to ask a passkey for what asks for a second factor of the last five minutes",
            )
        },
        Row {
            takes: of(NewPasskey::name()),
            answers: of(StartedPasskey::name()),
            refuses: REFUSES,
            ..row(
                Post,
                "/auth/passkeys",
                "identity.add-passkey",
                "Begin to add a passkey: what to ask the browser",
            )
        },
        Row {
            takes: of(PasskeyAnswer::name()),
            answers: of(RecoveryCodes::name()),
            refuses: &[
                Kind::Forbidden,
                Kind::NotFound,
                Kind::UnsupportedMediaType,
                Kind::Invalid,
                Kind::Conflict,
            ],
            ..row(
                Post,
                "/auth/passkeys/{id}/proof",
                "identity.prove-passkey",
                "Prove it by the browser's answer; with the first factor come recovery codes",
            )
        },
    ]
}

/// A row without a body, which needs a session.
fn row(method: HttpMethod, path: &'static str, name: &'static str, summary: &'static str) -> Row {
    Row {
        method,
        path,
        name,
        summary,
        takes: None,
        answers: None,
        waits: None,
        done: Done::Now,
        session: true,
        refuses: &[Kind::Forbidden],
    }
}

#[expect(clippy::too_many_lines, reason = "a table: a row for each endpoint")]
fn sessions() -> Vec<Row> {
    use HttpMethod::{Delete, Get, Post};
    let of = |name: std::borrow::Cow<'static, str>| Some(name.into_owned());
    vec![
        Row {
            takes: of(Login::name()),
            answers: of(Tokens::name()),
            waits: of(Pending::name()),
            session: false,
            refuses: WITH_BODY,
            ..row(Post, "/auth/login", "identity.login", "Sign in with an e-mail address and a password")
        },
        Row {
            takes: of(Refresh::name()),
            answers: of(Tokens::name()),
            session: false,
            refuses: WITH_BODY,
            ..row(Post, "/auth/refresh", "identity.refresh", "Get the next tokens of a session")
        },
        row(Post, "/auth/logout", "identity.logout", "End this session"),
        row(
            Post,
            "/auth/logout-everywhere",
            "identity.logout-everywhere",
            "End all sessions of this account",
        ),
        Row {
            answers: of(Sessions::name()),
            ..row(Get, "/auth/sessions", "identity.sessions", "The sessions of this account")
        },
        Row {
            refuses: &[Kind::Forbidden, Kind::NotFound],
            ..row(Delete, "/auth/sessions/{id}", "identity.end-session", "End one of them")
        },
        Row {
            takes: of(PasswordChange::name()),
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/password",
                "identity.password",
                "Change the password, which ends all other sessions",
            )
        },
        Row {
            takes: of(MailRequest::name()),
            done: Done::Later,
            session: false,
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/register",
                "identity.register",
                "Ask for a mail with a link that opens an account",
            )
        },
        Row {
            takes: of(Registration::name()),
            done: Done::NowOrLater,
            session: false,
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/register/confirm",
                "identity.confirm-registration",
                "Open an account with the link in the mail",
            )
        },
        Row {
            takes: of(MailRequest::name()),
            done: Done::Later,
            session: false,
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/forgot",
                "identity.forgot",
                "Ask for a mail with a link that sets another password",
            )
        },
        Row {
            takes: of(PasswordReset::name()),
            session: false,
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/reset",
                "identity.reset",
                "Set another password with the link in the mail, which ends all sessions",
            )
        },
        Row {
            takes: of(EmailChange::name()),
            done: Done::Later,
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/email",
                "identity.email",
                "Ask for a mail with a link that gives this account another address",
            )
        },
        Row {
            takes: of(MailedLink::name()),
            done: Done::NowOrLater,
            session: false,
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/email/confirm",
                "identity.confirm-email",
                "Take the new address with the link in the mail, which ends all sessions",
            )
        },
        Row {
            takes: of(MailedLink::name()),
            done: Done::NowOrLater,
            session: false,
            refuses: WITH_BODY,
            ..row(
                Post,
                "/auth/email/undo",
                "identity.undo-email",
                "Take the old address back with the link in its mail, which ends all sessions and voids the password",
            )
        },
        Row {
            answers: Some(KEYS.to_owned()),
            session: false,
            refuses: &[],
            ..row(
                Get,
                "/.well-known/jwks.json",
                "identity.keys",
                "The public keys of access tokens, as a JWK set",
            )
        },
    ]
}

/// The name of the schema of public keys.
const KEYS: &str = "PublicKeys";

fn keys() -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let key = ["kty", "crv", "alg", "use", "kid", "x"].into_iter().fold(object, |key, name| {
        key.property(name, ObjectBuilder::new().schema_type(Type::String)).required(name)
    });
    let keys = utoipa::openapi::schema::ArrayBuilder::new().items(key);
    let example = json!({ "keys": [] });
    RefOr::T(Schema::Object(
        ObjectBuilder::new().property("keys", keys).required("keys").examples([example]).build(),
    ))
}

fn schemas() -> Vec<(String, RefOr<Schema>)> {
    vec![
        (Login::name().into_owned(), Login::schema()),
        (Refresh::name().into_owned(), Refresh::schema()),
        (PasswordChange::name().into_owned(), PasswordChange::schema()),
        (Tokens::name().into_owned(), Tokens::schema()),
        (Session::name().into_owned(), Session::schema()),
        (Sessions::name().into_owned(), Sessions::schema()),
        (Pending::name().into_owned(), Pending::schema()),
        (Second::name().into_owned(), Second::schema()),
        (Code::name().into_owned(), Code::schema()),
        (StepUp::name().into_owned(), StepUp::schema()),
        (PasskeyWanted::name().into_owned(), PasskeyWanted::schema()),
        (PasskeyOptions::name().into_owned(), PasskeyOptions::schema()),
        (NewPasskey::name().into_owned(), NewPasskey::schema()),
        (StartedPasskey::name().into_owned(), StartedPasskey::schema()),
        (PasskeyAnswer::name().into_owned(), PasskeyAnswer::schema()),
        (NewFactor::name().into_owned(), NewFactor::schema()),
        (Started::name().into_owned(), Started::schema()),
        (Factor::name().into_owned(), Factor::schema()),
        (Factors::name().into_owned(), Factors::schema()),
        (RecoveryCodes::name().into_owned(), RecoveryCodes::schema()),
        (MailRequest::name().into_owned(), MailRequest::schema()),
        (MailLanguage::name().into_owned(), MailLanguage::schema()),
        (Registration::name().into_owned(), Registration::schema()),
        (PasswordReset::name().into_owned(), PasswordReset::schema()),
        (EmailChange::name().into_owned(), EmailChange::schema()),
        (MailedLink::name().into_owned(), MailedLink::schema()),
        (AgreedWords::name().into_owned(), AgreedWords::schema()),
        (ClaimRequest::name().into_owned(), ClaimRequest::schema()),
        (KEYS.to_owned(), keys()),
    ]
}

/// OpenAPI 3.1 of these endpoints.
pub(crate) fn openapi() -> OpenApi {
    let mut paths = Paths::new();
    for row in table() {
        let content = |name: String| Content::new(Some(Ref::from_schema_name(name)));
        let answer = with_headers(ResponseBuilder::new());
        let mut operation =
            OperationBuilder::new().operation_id(Some(row.name)).tag(IDENTITY).summary(Some(row.summary));
        operation = match row.answers {
            Some(name) => {
                let answer = answer.description("The answer.").content("application/json", content(name));
                operation.response("200", answer.build())
            }
            None => {
                if row.done != Done::Now {
                    let later = with_headers(ResponseBuilder::new()).description("It is done later.");
                    operation = operation.response("202", later.build());
                }
                if row.done != Done::Later {
                    operation = operation.response("204", answer.description("It was done.").build());
                }
                operation
            }
        };
        if let Some(name) = row.waits {
            let answer = with_headers(ResponseBuilder::new()).description("A second factor is asked for.");
            operation = operation.response("202", answer.content("application/json", content(name)).build());
        }
        for (status, response) in refusals(row.refuses.iter().copied().chain([Kind::TooMany])) {
            operation = operation.response(status, response);
        }
        if row.path.contains("{id}") {
            let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
            let id = ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build();
            let id = ParameterBuilder::new()
                .name("id")
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(id));
            operation = operation.parameter(id.build());
        }
        if let Some(name) = row.takes {
            let body = RequestBodyBuilder::new()
                .content("application/json", content(name))
                .required(Some(Required::True));
            operation = operation.request_body(Some(body.build()));
        }
        let requirement = if row.session {
            SecurityRequirement::new("key", Vec::<String>::new())
        } else {
            SecurityRequirement::default()
        };
        paths.add_path_operation(row.path, vec![row.method], operation.security(requirement).build());
    }
    OpenApiBuilder::new()
        .info(Info::new("SoonShop accounts", env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(shared_components(schemas())))
        .build()
}
