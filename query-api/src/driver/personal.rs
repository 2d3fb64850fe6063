//! The one way by which a personal value gets into an answer of a query. A marker takes its place unless the
//! caller may see it, and what a caller sees of others is recorded before the answer is sent.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use soonshop_domain::personal::parse_kid;
use soonshop_domain::{ActorKind, QueryError};
use soonshop_event_log::codec;
use soonshop_event_log::history::DecryptedValues;
use soonshop_event_log::redactor::{Answer, Redacted, answer};
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::personal_access::{self, ALL_FIELDS, Field, Purposes};
use uuid::Uuid;

use super::state::Call;

/// The headers of a look-up of something with personal values, beside those of every query.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("X-Reason", "Why personal values are looked at, as a code: recorded with the look."),
    ("X-On-Behalf-Of", "`customer:<id>` or `guest:<id>`: whom a service shows their own values."),
];

/// How a personal value is written into an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Masked,
    Recognizable,
    Clear,
}

/// A personal value of a row. It is written as a marker, unless [`in_list`] or [`in_look_up`] decided otherwise.
pub(crate) struct PersonalText {
    field: Field,
    text: String,
    shown: Shown,
}

impl PersonalText {
    /// The value of a column; an empty column is null in the answer.
    pub(crate) fn of(field: Field, text: Option<String>) -> Option<Self> {
        text.map(|text| Self { field, text, shown: Shown::Masked })
    }
}

impl Serialize for PersonalText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let redacted = match self.shown {
            Shown::Masked => Redacted::masked(),
            Shown::Recognizable => Redacted::recognizable(&self.text),
            Shown::Clear => Redacted::clear(&self.text),
        };
        redacted.serialize(serializer)
    }
}

/// Lets people recognize a person in a list, if the caller may: never more, whoever asks.
pub(crate) fn in_list(call: &Call, values: Vec<&mut PersonalText>) {
    if !personal_access::may_search_people(call.caller()) {
        return;
    }
    for value in values {
        if matches!(value.field, Field::Name | Field::Email) {
            value.shown = Shown::Recognizable;
        }
    }
}

/// Shows the values of one thing as far as the caller sees them, after it was recorded.
pub(crate) async fn in_look_up(
    call: &Call,
    viewed: &ViewedObject<'_>,
    person: Uuid,
    values: Vec<&mut PersonalText>,
) -> Result<(), Problem> {
    let purposes = Purposes::of(&call.headers_in)?;
    let kind = kind_of(call, &purposes, person).await?;
    let seen = viewed.visible_fields(call, &purposes, kind, person);
    let mut clear = Vec::new();
    for value in values {
        if seen.contains(&value.field) {
            value.shown = Shown::Clear;
            clear.push(value.field.as_ref().to_owned());
        }
    }
    recorded(call, viewed, &purposes, person, &clear).await
}

/// A state of the past as the caller may see it, after it was recorded. Its values may be of several people.
pub(crate) async fn in_state(
    call: &Call,
    viewed: &ViewedObject<'_>,
    decrypted: &DecryptedValues,
    state: Value,
) -> Result<Answer, Problem> {
    let Some(person) = person_of(decrypted) else { return Ok(answer(decrypted, state, |_| false)) };
    let purposes = Purposes::of(&call.headers_in)?;
    let kind = kind_of(call, &purposes, person).await?;
    let seen = viewed.visible_fields(call, &purposes, kind, person);
    let sees = |name: &str| name.parse().is_ok_and(|field: Field| seen.contains(&field));
    let answer = answer(decrypted, state, sees);
    let clear: Vec<_> = answer.clear.iter().cloned().collect();
    recorded(call, viewed, &purposes, person, &clear).await?;
    Ok(answer)
}

/// Whether a person is a user of the shop, or bought without an account: asked only where the request is on behalf of
/// somebody.
async fn kind_of(call: &Call, purposes: &Purposes, person: Uuid) -> Result<ActorKind, Problem> {
    if purposes.on_behalf_of.is_none() {
        return Ok(ActorKind::Customer);
    }
    let first = call.shared.queries.log.stream("user", &person.to_string(), 0, 1).await;
    let is_user = !first.map_err(QueryError::from)?.is_empty();
    Ok(if is_user { ActorKind::Customer } else { ActorKind::Guest })
}

/// The one person whose values a history holds. `None`: there are no values, or of several people.
fn person_of(decrypted: &DecryptedValues) -> Option<Uuid> {
    let subject = |jwe: &str| Some(parse_kid(&codec::kid_of(jwe).ok()?)?.0);
    let mut people = decrypted.values().map(|(jwe, _)| subject(jwe));
    let first = people.next()??;
    people.all(|person| person == Some(first)).then_some(first)
}

/// The things that somebody looks at.
pub(crate) struct ViewedObject<'a> {
    /// The type of the aggregate.
    pub(crate) kind: &'a str,
    pub(crate) id: Uuid,
    /// The version, if it is a state of the past.
    pub(crate) version: Option<i64>,
    /// It is the caller's own, also where its values are of the guest whose order they claimed.
    pub(crate) own: bool,
}

impl ViewedObject<'_> {
    fn visible_fields(
        &self,
        call: &Call,
        purposes: &Purposes,
        kind: ActorKind,
        person: Uuid,
    ) -> &'static [Field] {
        if self.own {
            return ALL_FIELDS;
        }
        personal_access::visible_fields(call.caller(), purposes, kind, person)
    }
}

/// Adds a line to the record of operations that the caller sees these fields of another person. Nothing may be shown
/// if this fails.
async fn recorded(
    call: &Call,
    viewed: &ViewedObject<'_>,
    purposes: &Purposes,
    person: Uuid,
    fields: &[String],
) -> Result<(), Problem> {
    if fields.is_empty() || viewed.own || personal_access::is_own(call.caller(), person) {
        return Ok(());
    }
    let ViewedObject { kind, id, version, own: _ } = viewed;
    let mut detail = json!({ "person": person, "fields": fields });
    let more = [
        ("version", version.map(Value::from)),
        ("reason", purposes.reason.clone().map(Value::from)),
        ("on_behalf_of", purposes.on_behalf_of.clone().map(Value::from)),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            detail[name] = value;
        }
    }
    let db = call.shared.queries.registry.operations();
    let actor = call.caller().actor.to_string();
    call.shared.looks.record(db, actor, format!("{kind}/{id}"), detail).await?;
    Ok(())
}

/// A personal value, for the API's description.
#[expect(dead_code, reason = "these are only described, never made")]
mod described {
    use serde::Serialize;
    use utoipa::ToSchema;

    /// A personal value: the text where the caller may see it, otherwise a marker. Null: there is none, or it was erased.
    #[derive(Serialize, ToSchema)]
    #[serde(untagged)]
    pub(crate) enum PersonalText {
        Clear(String),
        Masked(MaskedText),
    }

    /// In place of a personal value that the caller may not see.
    #[derive(Serialize, ToSchema)]
    pub(crate) struct MaskedText {
        /// `masked`.
        #[schema(example = "masked")]
        personal: String,
        /// In lists, for those who may recognize people: how the value begins.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        hint: Option<String>,
    }
}

pub(crate) use described::PersonalText as DescribedText;
