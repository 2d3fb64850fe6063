//! The parameters and forms of the audit trail, and the plain values that they are converted to.

use soonshop_audit::aggregate::Choice;
use soonshop_audit::filter::{Filter, OUTSIDE};
use soonshop_audit::listing::WITHOUT_CHANGES;
use soonshop_audit::notes::NewNote;
use soonshop_audit::sorting::Sorting;
use soonshop_audit::timeline::ListOptions;
use soonshop_projections::integrity::SealedLog;
use soonshop_service_kit::endpoint::params::{Kind, Param, Params};

use crate::state::{Call, at_least};

const DEFAULT_LIMIT: usize = 50;

/// The parameters that filter the timeline.
pub(crate) fn timeline() -> Vec<Param> {
    let positions = Kind::Number(0, i64::MAX);
    vec![
        Param::new(
            "q",
            Kind::Free,
            "Terms such as `actor:staff:42 type:Stock* -agg:order amount:>100GBP created:2026-11-01..2026-11-22 \"a text\"`.",
        ),
        Param::new("type", Kind::Free, "An event's type; a final `*` stands for any ending."),
        Param::new("agg", Kind::Free, "An aggregate's type."),
        Param::new("id", Kind::Id, "An aggregate's id."),
        Param::new("actor", Kind::Free, "A kind of actor, or `kind:id`."),
        Param::new("chan", Kind::Free, "A channel."),
        Param::new("correlation", Kind::Id, "Everything that followed from one request."),
        Param::new("from", Kind::Time, "Recorded at this time or later."),
        Param::new("to", Kind::Time, "Recorded before this time."),
        Param::new("occurred_from", Kind::Time, "Happened at this time or later, by business time."),
        Param::new("occurred_to", Kind::Time, "Happened before this time."),
        Param::new("order", Kind::OneOf(&["desc", "asc"]), "Newest first by default.").display_only(),
        Param::new(
            "sort",
            Kind::OneOf(&Sorting::NAMES),
            "The time that counts for `order`: `recorded`, the order of the log and the default, or `occurred`, business time.",
        ),
        Param::new(
            PAST,
            positions,
            "Only what comes after the event at this position, in the order of the list: `next` of the previous page.",
        ),
        Param::new("before", positions, "Positions below this one."),
        Param::new("after", positions, "Positions above this one."),
        Param::new(
            "failures",
            Kind::OneOf(&["1"]),
            "Only refusals, such as OrderRefused, and parked events.",
        ),
        Param::new("limit", Kind::Number(1, 200), "Items on a page, 50 by default.").display_only(),
        Param::new("group", Kind::OneOf(&["1"]), "One row for each command, with its direct effects.")
            .display_only(),
    ]
}

/// The parameter that names the event after which a page begins.
pub(crate) const PAST: &str = "past";

/// The time zone of a request to `/api/audit`. Pages have a parameter of their own for it.
pub(crate) const ZONE: Param = Param::new(
    "tz",
    Kind::Zone,
    "The time zone in which days begin (in `from`, `to`, `occurred_from`, `occurred_to`, `asof`, `created:` and `occurred:`): an IANA name such as Europe/London; UTC by default.",
);

/// These parameters, with the time zone.
pub(crate) fn zoned(mut params: Vec<Param>) -> Vec<Param> {
    params.push(ZONE);
    params
}

/// The timeline's parameters without the page size: an export is not paged.
pub(crate) fn listing() -> Vec<Param> {
    let mut params = timeline();
    params.retain(|param| !["limit", "group", PAST].contains(&param.name));
    params.push(ZONE);
    params.push(Param::new(
        WITHOUT_CHANGES,
        Kind::OneOf(&["0"]),
        "Leaves out what each event changed, which is faster.",
    ));
    params
}

/// The filter from these parameters.
pub(crate) fn filter(params: &Params) -> Filter {
    let text = |name: &&'static str| Some((*name, params.text(name)?.to_owned()));
    Filter {
        q: params.text("q").unwrap_or_default().to_owned(),
        terms: OUTSIDE.iter().filter_map(text).collect(),
        from: params.number("from"),
        to: params.number("to"),
        occurred_from: params.number("occurred_from"),
        occurred_to: params.number("occurred_to"),
        after: params.number("after"),
        before: params.number("before"),
        failures: params.text("failures").is_some(),
        ascends: ascends(params),
        sorting: sorting(params),
        past: params.number(PAST),
        zone: Some(params.zone()),
    }
}

/// Oldest first.
pub(crate) fn ascends(params: &Params) -> bool {
    params.text("order") == Some("asc")
}

/// The time that the list is sorted by.
pub(crate) fn sorting(params: &Params) -> Sorting {
    params.text("sort").map(Sorting::named).unwrap_or_default()
}

/// The parameter that names where the next page begins.
pub(crate) fn further(params: &Params) -> &'static str {
    match (sorting(params), ascends(params)) {
        (Sorting::Occurred, _) => PAST,
        (Sorting::Recorded, true) => "after",
        (Sorting::Recorded, false) => "before",
    }
}

/// How the timeline is listed.
pub(crate) fn listed(params: &Params) -> ListOptions {
    ListOptions { limit: params.limit(DEFAULT_LIMIT), by_command: params.text("group").is_some() }
}

/// The parameters of an aggregate's trail.
pub(crate) fn trail() -> Vec<Param> {
    vec![
        Param::new("v", Kind::Number(1, i64::MAX), "The version to show; the last one by default."),
        Param::new(
            "cmp",
            Kind::Number(0, i64::MAX),
            "The version to compare with; the one before by default.",
        ),
        Param::new(
            "before",
            Kind::Number(1, i64::MAX),
            "List events below this version; those around `v` by default.",
        ),
        Param::new("asof", Kind::Time, "Show the version at this time, by the log's clock; not with `v`."),
        Param::new(
            "where",
            Kind::Text,
            "Show the first version in which a field has a value, such as `/status=shipped`; not with `v` or `asof`.",
        ),
        Param::new(
            "parts_after",
            Kind::Free,
            "Show the parts of the state after this key, from `parts.next` of the answer before.",
        ),
    ]
}

/// The version that the parameters choose.
pub(crate) fn choice(call: &Call) -> Choice {
    let params = &call.params;
    Choice {
        version: params.number("v"),
        compared: params.number("cmp"),
        before: params.number("before"),
        as_of: params.number("asof"),
        first_where: params.text("where").map(str::to_owned),
        parts_after: params.text("parts_after").map(str::to_owned),
        at_least: at_least(call),
    }
}

/// The form to reveal personal values.
pub(crate) fn reveal() -> Vec<Param> {
    vec![
        Param::new("reason", Kind::Free, "The reason, in your own words; it is stored encrypted.").required(),
    ]
}

/// The form of a note.
pub(crate) fn notes() -> Vec<Param> {
    let shared = "1: everybody who may see the trail sees it; by default only the writer does.";
    vec![
        Param::new("version", Kind::Number(1, i64::MAX), "The version that the event made.").required(),
        Param::new("text", Kind::Free, "The note; it is stored encrypted."),
        Param::new(
            "tags",
            Kind::Free,
            "At most ten, separated by spaces: lower-case letters, digits and dashes, at most 32 each.",
        ),
        Param::new("shared", Kind::OneOf(&["1"]), shared),
    ]
}

/// The note from a form.
pub(crate) fn note(form: &Params) -> NewNote {
    let text = |name| form.text(name).unwrap_or_default().to_owned();
    NewNote {
        version: form.number("version").unwrap_or_default(),
        text: text("text"),
        tags: text("tags"),
        shared: form.text("shared").is_some(),
    }
}

/// The form to look up a person.
pub(crate) fn look_up() -> Vec<Param> {
    let about = "A complete e-mail address, telephone number or name; no part of one, and no pattern.";
    vec![Param::new("value", Kind::Text, about).required()]
}

/// The form to retry parked events.
pub(crate) fn parked() -> Vec<Param> {
    vec![
        Param::new("generation", Kind::Text, "Such as rm_orders_1.").required(),
        Param::new("position", Kind::Number(1, i64::MAX), "One event."),
        Param::new("like", Kind::Number(1, i64::MAX), "All with the same cause as this one."),
        Param::new("reason", Kind::Free, "The reason, in your own words; it is stored encrypted."),
    ]
}

/// The form to acknowledge what a check of the seals found.
pub(crate) fn acknowledgement() -> Vec<Param> {
    let positions = Kind::Number(1, i64::MAX);
    let of = "`log`, or `record` for the record of operations; the log by default.";
    vec![
        Param::new("of", Kind::OneOf(&SealedLog::NAMES), of),
        Param::new("from", positions, "The first position.").required(),
        Param::new("upto", positions, "The last position; the first one by default."),
        Param::new("reason", Kind::Free, "Why it is no alarm, in your own words; it is stored encrypted.")
            .required(),
    ]
}

/// A form that takes nothing but a reason, which is recorded.
pub(crate) fn recorded_reason() -> Vec<Param> {
    vec![Param::new("reason", Kind::Free, "The reason, in your own words; it is stored encrypted.")]
}

/// The form to save a view.
pub(crate) fn view() -> Vec<Param> {
    vec![
        Param::new("title", Kind::Text, "Its name.").required(),
        Param::new("query", Kind::Free, "The query of the timeline's address.").required(),
        Param::new(
            "until",
            Kind::Number(1, i64::MAX),
            "No events after this position: the view never changes.",
        ),
    ]
}

/// The parameters of the list of views.
pub(crate) fn views() -> Vec<Param> {
    vec![
        Param::new("limit", Kind::Number(1, 200), "Items on a page, 200 by default.").display_only(),
        Param::new("after", Kind::Cursor, "`next` of the previous page.").display_only(),
    ]
}

/// The form to rename a view.
pub(crate) fn view_name() -> Vec<Param> {
    vec![Param::new("title", Kind::Text, "Its new name; its address is made from it.").required()]
}

/// The filters for instances of process managers; the first is the default.
pub(crate) const STATES: [&str; 3] = ["open", "stuck", "all"];

/// The parameters that filter the list of instances.
pub(crate) fn processes() -> Vec<Param> {
    vec![
        Param::new("process", Kind::Text, "The name of a process manager; all by default."),
        Param::new(
            "state",
            Kind::OneOf(&STATES),
            "`open`, the default: with a command to send or a time-out to wait for; `stuck`: with a failure, with a command that has to \
             wait, or an overdue time-out; `all`.",
        ),
        Param::new("limit", Kind::Number(1, 200), "Items on a page, 50 by default.").display_only(),
        Param::new(
            "after",
            Kind::Cursor,
            "`next` of the previous page, with all other parameters unchanged.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_a_filter() {
        let query = "q=mug&type=Order*&order=asc&after=7&failures=1&from=1970-01-02&limit=3&group=1";
        let params = Params::read(query, &timeline()).unwrap();
        let found = filter(&params);
        assert_eq!((found.q.as_str(), found.terms["type"].as_str()), ("mug", "Order*"));
        assert_eq!((found.after, found.before, found.from), (Some(7), None, Some(86_400_000_000)));
        assert!(found.ascends && found.failures);
        assert!(listed(&params).by_command && listed(&params).limit == 3);
        assert_eq!((found.sorting, further(&params)), (Sorting::Recorded, "after"));
    }

    #[test]
    fn parameters_of_business_time_become_a_filter() {
        let query = "occurred_from=1970-01-02&occurred_to=&sort=occurred&past=7";
        let params = Params::read(query, &timeline()).unwrap();
        let found = filter(&params);
        assert_eq!((found.occurred_from, found.occurred_to), (Some(86_400_000_000), None));
        assert_eq!((found.sorting, found.past, further(&params)), (Sorting::Occurred, Some(7), "past"));
        assert!(!listing().iter().any(|param| param.name == PAST), "a file has no pages");
    }

    #[test]
    fn an_invalid_note_form_is_refused() {
        for bad in ["text=a", "version=0&text=a", "version=1&text=a&shared=yes", "version=1&text=a&to=x"] {
            assert_eq!(Params::read(bad, &notes()).unwrap_err().slug(), "invalid-query", "{bad}");
        }
        let message = Params::read("version=1&text=+a%0D%0Ab+&tags=late,call-back", &notes()).unwrap();
        assert_eq!(note(&message).text, " a\r\nb ");
    }
}
