//! The pages of one's own address book.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use soonshop_domain::ids;
use soonshop_domain::text::visible;
use soonshop_domain::user::address::Typed;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::{AddressTyped, OwnAddress};
use soonshop_service_kit::endpoint::Answer;
use soonshop_service_kit::endpoint::params::{Kind, Param};
use soonshop_service_kit::rates::Class;
use uuid::Uuid;

use super::forms::{Field, Form, TICKED, notice};
use super::mailed::back;
use super::state::{Call, Endpoint, sent, session, shown, view};
use crate::pages::frame::{View, answered, see_other};

pub(super) const ADDRESSES: &str = "/account/addresses";
const ADDRESS: &str = "/account/address";
const REMOVALS: &str = "/account/addresses/removals";

/// What was done before somebody comes to the list.
const DONE: &[&str] = &["address", "address-removed"];

pub(super) fn table() -> Vec<Endpoint> {
    let done = Param::new("done", Kind::OneOf(DONE), "What was done.").display_only();
    let which = || Param::new("id", Kind::Id, "An address of the book; without it a new one.");
    let one = Param::new("address", Kind::Id, "An address of the book.").required();
    vec![
        shown(ADDRESSES, "identity.addresses-page", vec![done], |call| Box::pin(listed(call))),
        shown(ADDRESS, "identity.address-page", vec![which()], |call| Box::pin(opened(call))),
        sent(ADDRESS, "identity.page-address", Class::Writes, (vec![which()], fields()), |call| {
            Box::pin(save(call))
        }),
        sent(REMOVALS, "identity.page-remove-address", Class::Writes, (Vec::new(), vec![one]), |call| {
            Box::pin(remove(call))
        }),
    ]
}

fn fields() -> Vec<Param> {
    let text = |name| Param::new(name, Kind::Free, "A part of an address.").or_empty();
    let ticked = |name| Param::new(name, Kind::OneOf(&[TICKED]), "Whether it is this default.");
    let form = Param::new("form", Kind::Id, "The form of a new address: it adds one.").required();
    let texts = ["label", "name", "street", "postal_code", "city", "region", "country", "phone"];
    let boxes = ["default_shipping", "default_billing"];
    texts.into_iter().map(text).chain(boxes.into_iter().map(ticked)).chain([form]).collect()
}

async fn listed(call: Call) -> Answer {
    let session = match session(&call, ADDRESSES) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let all = call.shared.own.addresses(session).await?;
    let view = view(&call);
    let done = call.params.text("done").and_then(|done| view.word_of(&format!("account-done-{done}")));
    Ok(answered(&view, StatusCode::OK, "account-addresses", None, &list(&view, &all, done)))
}

fn list(view: &View<'_>, all: &[OwnAddress], done: Option<&str>) -> Markup {
    html! {
        h1 { (view.word("account-addresses")) }
        (notice(done))
        p { (view.word(if all.is_empty() { "account-addresses-none" } else { "account-addresses-about" })) }
        div.cards { @for one in all { (card(view, one)) } }
        p { a href=(view.to(ADDRESS, &[])) { (view.word("account-address-add")) } }
        (back(view))
    }
}

fn card(view: &View<'_>, one: &OwnAddress) -> Markup {
    let id = one.id.to_string();
    let heading = one.label.as_deref().or(one.name.as_deref()).unwrap_or("–");
    let name = one.label.as_ref().and(one.name.as_deref());
    let street = one.street.as_deref().unwrap_or_default();
    let town =
        [one.postal_code.as_deref(), one.city.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let lines = name.into_iter().chain(street.lines()).chain([town.as_str()]).chain(one.region.as_deref());
    html! {
        section.card {
            h2 translate="no" { (visible(heading)) }
            p translate="no" {
                @for line in lines.filter(|line| !line.is_empty()) { (visible(line)) br; }
                (one.country)
                @if let Some(phone) = &one.phone { br; (visible(phone)) }
            }
            @if one.default_shipping { p { strong { (view.word("account-address-default-shipping")) } } }
            @if one.default_billing { p { strong { (view.word("account-address-default-billing")) } } }
            p { a href=(view.to(ADDRESS, &[("id", &id)])) { (view.word("account-address-change")) } }
            form method="post" action=(REMOVALS) {
                input type="hidden" name="address" value=(id);
                button.quiet aria-label=(format!("{}: {}", view.word("account-address-remove"), visible(heading))) {
                    (view.word("account-address-remove"))
                }
            }
        }
    }
}

/// The form of an address: of a new one where none is given. `action`: with the id of the one that it changes.
fn form<'f>(action: &'f str, new: &'f str, at: Option<&'f OwnAddress>) -> Form<'f> {
    let known = at.map(|at| {
        let text = |text: &'f Option<String>| text.as_deref();
        let ticked = |is_it: bool| is_it.then_some(TICKED);
        [
            ("label", text(&at.label)),
            ("name", text(&at.name)),
            ("street", text(&at.street)),
            ("postal_code", text(&at.postal_code)),
            ("city", text(&at.city)),
            ("region", text(&at.region)),
            ("country", Some(at.country.as_str())),
            ("phone", text(&at.phone)),
            ("default_shipping", ticked(at.default_shipping)),
            ("default_billing", ticked(at.default_billing)),
        ]
    });
    Form {
        title: if action == ADDRESS { "account-address-add" } else { "account-address-change" },
        why: "account-address-why",
        action,
        hidden: vec![("form", new)],
        fields: vec![
            Field::LABEL,
            Field::RECIPIENT,
            Field::STREET,
            Field::POSTAL_CODE,
            Field::CITY,
            Field::REGION,
            Field::COUNTRY,
            Field::PHONE,
            Field::DEFAULT_SHIPPING,
            Field::DEFAULT_BILLING,
        ],
        given: known.into_iter().flatten().filter_map(|(name, text)| Some((name, text?))).collect(),
        button: "account-save",
    }
}

fn id_in(call: &Call) -> Option<Uuid> {
    call.params.text("id").and_then(|id| Uuid::try_parse(id).ok())
}

/// The address of the form, which names the one that it changes.
fn action(id: Option<Uuid>) -> String {
    id.map_or_else(|| ADDRESS.to_owned(), |id| format!("{ADDRESS}?id={id}"))
}

fn to_list(view: &View<'_>) -> Markup {
    html! { p { a href=(view.to(ADDRESSES, &[])) { (view.word("account-addresses")) } } }
}

async fn opened(call: Call) -> Answer {
    let session = match session(&call, ADDRESSES) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id = id_in(&call);
    let at = match id {
        None => None,
        Some(id) => {
            let all = call.shared.own.addresses(session).await?;
            Some(all.into_iter().find(|one| one.id == id).ok_or_else(not_there)?)
        }
    };
    let view = view(&call);
    Ok(form(&action(id), &ids::new().to_string(), at.as_ref()).page(&view, None, &to_list(&view)))
}

fn not_there() -> Problem {
    Problem::not_found("address-not-found", "you have no address of this id")
}

async fn save(call: Call) -> Answer {
    let session = match session(&call, ADDRESSES) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let text = |name| call.form.text(name).unwrap_or_default();
    let optional = |name| call.form.text(name).filter(|text| !text.trim().is_empty());
    let typed = Typed {
        label: optional("label"),
        name: text("name"),
        street: text("street"),
        postal_code: optional("postal_code"),
        city: text("city"),
        region: optional("region"),
        country: text("country"),
        phone: optional("phone"),
    };
    let is_ticked = |name| call.form.text(name).is_some();
    let wanted = AddressTyped {
        typed,
        default_shipping: is_ticked("default_shipping"),
        default_billing: is_ticked("default_billing"),
    };
    let (id, new) = (id_in(&call), text("form"));
    let own = &call.shared.own;
    let done = match (id, Uuid::try_parse(new)) {
        (Some(id), _) => own.change_address(session, id, wanted).await,
        (None, Ok(form)) => own.add_address(session, form, wanted).await,
        (None, Err(_)) => Err(not_there()),
    };
    saved(&call, done, id, new)
}

fn saved(call: &Call, done: Result<(), Problem>, id: Option<Uuid>, new: &str) -> Answer {
    let view = view(call);
    match done {
        Ok(()) => Ok::<Response, _>(see_other(&view.to(ADDRESSES, &[("done", "address")]))),
        Err(problem) if problem.slug() == "address-not-found" => Err(problem),
        Err(problem) => Ok(form(&action(id), new, None).again(call, &view, &problem, &to_list(&view))),
    }
}

async fn remove(call: Call) -> Answer {
    let session = match session(&call, ADDRESSES) {
        Ok(session) => session,
        Err(elsewhere) => return Ok(*elsewhere),
    };
    let id = call.form.text("address").and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(not_there)?;
    call.shared.own.remove_address(session, id).await?;
    Ok(see_other(&view(&call).to(ADDRESSES, &[("done", "address-removed")])))
}
