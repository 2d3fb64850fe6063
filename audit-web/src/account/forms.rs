//! A form of these pages: its fields, and why it was refused. What was typed comes back, but for passwords.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use soonshop_service_kit::Problem;

use super::state::Call;
use crate::pages::frame::{View, answered, passkey_button, warning};

/// The place of the sentence about the field at fault.
const FAULT: &str = "fault";

/// The place of the rule of passwords.
const RULE: &str = "rule";

/// The name of the box with which somebody agrees to advertising. It is never ticked before they do.
pub(super) const ADVERTISING: &str = "advertising";

/// The value of a box that is ticked.
pub(super) const TICKED: &str = "yes";

/// A field that people fill in.
pub(super) struct Field {
    name: &'static str,
    /// The text of its label.
    label: &'static str,
    kind: &'static str,
    /// What a browser or a password manager fills in.
    autocomplete: &'static str,
    required: bool,
}

impl Field {
    pub(super) const EMAIL: Self = Self::new("email", "email", "email", "username");
    pub(super) const NEW_EMAIL: Self = Self::new("email", "account-new-email", "email", "email");
    pub(super) const PASSWORD: Self = Self::new("password", "password", "password", "current-password");
    pub(super) const FIRST_PASSWORD: Self = Self::new("password", "password", "password", "new-password");
    pub(super) const OLD_PASSWORD: Self =
        Self::new("old_password", "account-old-password", "password", "current-password");
    pub(super) const NEW_PASSWORD: Self =
        Self::new("new_password", "account-new-password", "password", "new-password");
    pub(super) const CODE: Self = Self::new("code", "code", "text", "one-time-code");
    pub(super) const NAME: Self = Self::optional("name", "account-name-field", "text", "name");
    pub(super) const PHONE: Self = Self::optional("phone", "account-phone-field", "tel", "tel");
    pub(super) const LABEL: Self = Self::optional("label", "account-address-label", "text", "off");
    pub(super) const RECIPIENT: Self = Self::new("name", "account-address-name", "text", "name");
    pub(super) const STREET: Self =
        Self::new("street", "account-address-street", "textarea", "street-address");
    pub(super) const POSTAL_CODE: Self =
        Self::optional("postal_code", "account-address-postal-code", "text", "postal-code");
    pub(super) const CITY: Self = Self::new("city", "account-address-city", "text", "address-level2");
    pub(super) const REGION: Self =
        Self::optional("region", "account-address-region", "text", "address-level1");
    pub(super) const COUNTRY: Self = Self::new("country", "account-address-country", "text", "country");
    pub(super) const DEFAULT_SHIPPING: Self =
        Self::optional("default_shipping", "account-address-default-shipping", "checkbox", "off");
    pub(super) const DEFAULT_BILLING: Self =
        Self::optional("default_billing", "account-address-default-billing", "checkbox", "off");

    pub(super) const ADVERTISING: Self = Self::optional(ADVERTISING, "account-agree", "checkbox", "off");

    const fn new(
        name: &'static str,
        label: &'static str,
        kind: &'static str,
        autocomplete: &'static str,
    ) -> Self {
        Self { name, label, kind, autocomplete, required: true }
    }

    const fn optional(
        name: &'static str,
        label: &'static str,
        kind: &'static str,
        autocomplete: &'static str,
    ) -> Self {
        Self { required: false, ..Self::new(name, label, kind, autocomplete) }
    }

    /// Whether a new password goes into it.
    fn takes_new_password(&self) -> bool {
        self.autocomplete == "new-password"
    }
}

/// Why a form was refused.
pub(super) struct Refused<'v> {
    why: &'v str,
    /// The field at fault.
    field: Option<String>,
}

impl<'v> Refused<'v> {
    /// In the language of the page.
    pub(super) fn by(view: &View<'v>, problem: &Problem) -> Self {
        let pointer = problem.extensions().get("pointer").and_then(Value::as_str);
        let field = pointer.and_then(|pointer| pointer.strip_prefix('/'));
        let why = match (problem.slug(), field) {
            ("sign-in-failed", _) => view.word("sign-in-wrong"),
            ("invalid-body", Some("email")) => view.word("account-bad-email"),
            ("invalid-body", Some("name")) => view.word("account-bad-name"),
            ("invalid-body", Some("country")) => view.word("account-bad-country"),
            ("invalid-body", Some(_)) => view.word("account-bad-text"),
            ("wrong-password", Some("password")) => view.word("factor-wrong-password"),
            ("wrong-code", _) => view.word("code-wrong"),
            (slug, _) => {
                view.word_of(&format!("refused-{slug}")).unwrap_or_else(|| view.word("refused-otherwise"))
            }
        };
        Self { why, field: field.map(str::to_owned) }
    }
}

/// A form, and what is around it.
pub(super) struct Form<'f> {
    /// The text of its heading, and of the page's title.
    pub(super) title: &'static str,
    /// The text that says what it is for.
    pub(super) why: &'static str,
    pub(super) action: &'f str,
    pub(super) hidden: Vec<(&'static str, &'f str)>,
    pub(super) fields: Vec<Field>,
    /// What stands in the fields before anybody types.
    pub(super) given: Vec<(&'static str, &'f str)>,
    /// The text of its button.
    pub(super) button: &'static str,
}

impl Form<'_> {
    /// `typed`: the request that was refused, whose text comes back.
    fn render(&self, view: &View<'_>, typed: Option<&Call>, refused: Option<&Refused<'_>>) -> Markup {
        let at_fault = |field: &Field| {
            refused.and_then(|refused| refused.field.as_deref()).is_some_and(|name| name == field.name)
        };
        let value = |field: &Field| match typed {
            Some(_) if field.kind == "password" || field.name == "code" => None,
            Some(typed) => typed.form.text(field.name),
            None => self.given.iter().find(|(name, _)| *name == field.name).map(|(_, text)| *text),
        };
        html! {
            h1 { (view.word(self.title)) }
            p { (view.word(self.why)) }
            div id=(FAULT) { (warning(refused.map(|refused| refused.why))) }
            form.column method="post" action=(self.action) {
                @for (name, value) in &self.hidden { input type="hidden" name=(name) value=(value); }
                @for field in &self.fields {
                    @let (id, wrong) = (field.name, at_fault(field));
                    @let described = match (wrong, field.takes_new_password()) {
                        (true, true) => Some("fault rule"),
                        (true, false) => Some(FAULT),
                        (false, true) => Some(RULE),
                        (false, false) => None,
                    };
                    @if field.kind == "checkbox" {
                        label { input type="checkbox" name=(field.name) value=(TICKED) checked[value(field).is_some()]; " " (view.word(field.label)) }
                    } @else {
                        label for=(id) { (view.word(field.label)) }
                        @if field.kind == "textarea" {
                            textarea id=(id) name=(field.name) rows="2" required[field.required] autocomplete=(field.autocomplete)
                                spellcheck="false" aria-invalid=[wrong.then_some("true")] aria-describedby=[described] {
                                (value(field).unwrap_or_default())
                            }
                        } @else {
                            input type=(field.kind) id=(id) name=(field.name) value=[value(field)] required[field.required]
                                autocomplete=(field.autocomplete) spellcheck="false"
                                minlength=[field.takes_new_password().then_some("8")]
                                aria-invalid=[wrong.then_some("true")] aria-describedby=[described];
                        }
                    }
                    @if field.takes_new_password() { p.soft id=(RULE) { (view.word("account-password-rule")) } }
                }
                button { (view.word(self.button)) }
            }
            @if self.fields.iter().any(|field| field.name == "code") { (passkey_button(view)) }
        }
    }

    /// The page of the form, with what follows it.
    pub(super) fn page(&self, view: &View<'_>, done: Option<&str>, below: &Markup) -> Response {
        let body = html! { div.door { (notice(done)) (self.render(view, None, None)) (below) } };
        answered(view, StatusCode::OK, self.title, None, &body)
    }

    /// The same after a refusal, with what was typed.
    pub(super) fn again(&self, call: &Call, view: &View<'_>, problem: &Problem, below: &Markup) -> Response {
        let refused = Refused::by(view, problem);
        let body = html! { div.door { (self.render(view, Some(call), Some(&refused))) (below) } };
        let mut response = answered(view, problem.status(), self.title, None, &body);
        if let Some(seconds) = problem.retry_after_seconds() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What was done, above what comes next.
pub(super) fn notice(done: Option<&str>) -> Markup {
    html! {
        @if let Some(done) = done {
            p.banner.well role="status" { span aria-hidden="true" { "✓ " } (done) }
        }
    }
}
