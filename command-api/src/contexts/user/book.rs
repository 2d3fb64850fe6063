//! A user's address book over HTTP.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use soonshop_domain::user::address::{Address, Typed};
use soonshop_domain::user::{Command, Entry, User};
use soonshop_service_kit::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::body::{Input, refused_field};
use crate::http::call::Call;
use crate::http::privileged::Privileged;

/// A field that is left out becomes empty.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PostalAddress)]
pub(super) struct NewAddress {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 60, example = "at work")]
    label: Option<String>,
    /// Who gets what is sent there.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Street and number, on as many lines as it takes.
    #[schema(min_length = 1, max_length = 300)]
    street: String,
    /// In the form that the country has.
    #[schema(min_length = 1, max_length = 20)]
    postal_code: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    city: String,
    /// State, province, county.
    #[schema(min_length = 1, max_length = 100)]
    region: Option<String>,
    /// ISO 3166-1, two letters.
    #[schema(min_length = 2, max_length = 2, example = "GB")]
    country: String,
    #[schema(min_length = 1, max_length = 40)]
    phone: Option<String>,
    /// Things are sent there unless somebody says otherwise: then no other address is this default.
    #[serde(default)]
    default_shipping: bool,
    /// The same of invoices.
    #[serde(default)]
    default_billing: bool,
}

impl Input for NewAddress {
    const PRIVILEGED: &'static [Privileged] = &[];
}

fn entry(user: Uuid, body: &NewAddress) -> Result<Entry, Problem> {
    let typed = Typed {
        label: body.label.as_deref(),
        name: &body.name,
        street: &body.street,
        postal_code: body.postal_code.as_deref(),
        city: &body.city,
        region: body.region.as_deref(),
        country: &body.country,
        phone: body.phone.as_deref(),
    };
    let at = Box::new(Address::try_new(user, typed).map_err(refused_field)?);
    Ok(Entry { at, default_shipping: body.default_shipping, default_billing: body.default_billing })
}

pub(super) async fn add(mut call: Call, id: Uuid, body: NewAddress) -> Result<Response, Problem> {
    let address = call.new_stream();
    call.adds(address);
    let entry = entry(id, &body)?;
    call.execute::<User>(id, Command::AddAddress { address, entry }).await
}

pub(super) async fn change(call: Call, path: (Uuid, Uuid), body: NewAddress) -> Result<Response, Problem> {
    let (id, address) = path;
    let entry = entry(id, &body)?;
    call.execute::<User>(id, Command::ChangeAddress { address, entry }).await
}

pub(super) async fn remove(call: Call, path: (Uuid, Uuid)) -> Result<Response, Problem> {
    let (id, address) = path;
    call.execute::<User>(id, Command::RemoveAddress { address }).await
}
