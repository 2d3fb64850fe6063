//! How a page looks, and for whom: the language, the theme and the time zone of its visitor, and its addresses.

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use soonshop_audit::file::File;
use soonshop_domain::clock;
use soonshop_service_kit::access::{Permission, Role};
use soonshop_service_kit::endpoint::Visit;
use soonshop_service_kit::endpoint::params::{Kind, LONGEST_FREE, Param, PassedOver};
use url::form_urlencoded;

use crate::messages::Language;
use crate::state::{Call, Shared};

/// The prefix of all page addresses.
pub(crate) const PAGES: &str = "/audit";

/// Parameters of every page. A value in the address is kept in a cookie, and applies to later pages, too.
pub(crate) const COMMON: [Param; 4] = [
    Param::new("lang", Kind::OneOf(Language::TAGS), "The language; the browser's where it is left out.")
        .display_only(),
    Param::new("theme", Kind::OneOf(&THEMES), "Light or dark; the browser's where it is left out.")
        .display_only(),
    Param::new(
        "tz",
        Kind::KeptZone,
        "The time zone of the page, in which days begin, such as Asia/Shanghai; UTC by default.",
    )
    .display_only(),
    Param::new(
        "density",
        Kind::OneOf(&DENSITIES),
        "How much room a row takes; compact where it is left out.",
    )
    .display_only(),
];

pub(super) const THEMES: [&str; 3] = ["auto", "light", "dark"];

/// How much room rows take, the default first.
pub(super) const DENSITIES: [&str; 2] = ["compact", "comfortable"];

/// Where a page is, which decides what is shown around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Location {
    /// In the audit trail.
    Trail,
    /// At `/`; with the ways into the trail where this process serves it.
    Front { trail: bool },
    /// Among the pages of people's own accounts.
    Account,
}

impl Location {
    /// There is a trail to go to.
    pub(super) fn has_trail(self) -> bool {
        matches!(self, Self::Trail | Self::Front { trail: true })
    }
}

/// How a page looks, and for whom.
pub(crate) struct View<'a> {
    pub(crate) visit: &'a Visit,
    pub(super) location: Location,
    /// The export that is shown; `None` for a shop.
    pub(crate) file: Option<&'a File>,
    pub(crate) language: Language,
    pub(super) theme: &'static str,
    pub(super) density: &'static str,
    pub(crate) zone: Tz,
    /// Where tampering was found that is neither proved again nor acknowledged.
    pub(super) alarm: Option<String>,
    /// The text that was typed into the box, if it was not one thing.
    pub(super) jumped: Option<String>,
    /// What is passed over of the address.
    pub(super) passed_over: &'a [PassedOver],
}

impl<'a> View<'a> {
    pub(crate) fn of(call: &'a Call) -> Self {
        Self { passed_over: call.params.passed_over(), ..Self::new(&call.shared, &call.visit) }
    }

    /// For a request whose parameters may be invalid.
    pub(super) fn new(shared: &'a Shared, visit: &'a Visit) -> Self {
        let view = Self::at(Location::Trail, shared.file.as_deref(), visit);
        Self { alarm: shared.alarm.ranges(), ..view }
    }

    /// The view of the page at `/`; `trail`: this process serves the audit trail; `alarm`: where tampering was found.
    pub(crate) fn front(
        visit: &'a Visit,
        trail: bool,
        alarm: Option<String>,
        passed_over: &'a [PassedOver],
    ) -> Self {
        Self { alarm, passed_over, ..Self::at(Location::Front { trail }, None, visit) }
    }

    /// The view of a page of one's own account.
    pub(crate) fn account(visit: &'a Visit, passed_over: &'a [PassedOver]) -> Self {
        Self { passed_over, ..Self::at(Location::Account, None, visit) }
    }

    /// The view of a refusal of something that is no page: around it is what is around its neighbours.
    pub(crate) fn of_refusal(
        visit: &'a Visit,
        trail: bool,
        file: Option<&'a File>,
        alarm: Option<String>,
    ) -> Self {
        let inside =
            visit.path == PAGES || visit.path.starts_with("/audit/") || visit.path.starts_with("/api/audit");
        let location =
            if trail && inside || file.is_some() { Location::Trail } else { Location::Front { trail } };
        Self { alarm, ..Self::at(location, file, visit) }
    }

    fn at(location: Location, file: Option<&'a File>, visit: &'a Visit) -> Self {
        let chosen = |name: &str| {
            let cookie = format!("soonshop_{name}");
            asked(visit, name).or_else(|| visit.cookie(&cookie).map(str::to_owned))
        };
        let tag = chosen("lang").filter(|tag| Language::TAGS.contains(&tag.as_str()));
        let preferred = visit.languages.iter().find(|tag| Language::is_spoken(tag)).map(String::as_str);
        let theme = chosen("theme").and_then(|theme| THEMES.into_iter().find(|known| *known == theme));
        let density = chosen("density").and_then(|name| DENSITIES.into_iter().find(|known| *known == name));
        Self {
            visit,
            location,
            file,
            language: Language::of(tag.as_deref().or(preferred).unwrap_or_default()),
            theme: theme.unwrap_or("auto"),
            density: density.unwrap_or(DENSITIES[0]),
            zone: chosen("tz").and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC),
            alarm: None,
            jumped: None,
            passed_over: &[],
        }
    }

    pub(crate) fn word(&self, name: &'static str) -> &'static str {
        self.language.word(name)
    }

    /// A noun in the form that goes with this count, which is shown beside it.
    pub(crate) fn counted(&self, name: &'static str, count: impl ToString) -> String {
        self.language.fill(name, &[&count.to_string()])
    }

    /// A text whose name is composed at run time.
    pub(crate) fn word_of(&self, name: &str) -> Option<&'static str> {
        self.language.find(name)
    }

    /// Whether the visitor has the permission.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.visit.visitor.as_ref().is_some_and(|visitor| visitor.caller.may(permission))
    }

    /// The visitor's role.
    pub(crate) fn role(&self) -> Role {
        self.visit.visitor.as_ref().map_or(Role::Guest, |visitor| visitor.caller.role)
    }

    /// The visitor is signed in as a customer.
    pub(super) fn is_customer(&self) -> bool {
        self.visit.visitor.as_ref().is_some_and(|visitor| visitor.caller.is_customer())
    }

    /// The visitor is signed in with an account, and not with a key.
    pub(crate) fn has_account(&self) -> bool {
        self.visit.visitor.as_ref().is_some_and(|visitor| visitor.caller.own_session().is_some())
    }

    /// An address with the common parameters.
    pub(crate) fn to(&self, path: &str, pairs: &[(&str, &str)]) -> String {
        let common = self.common();
        let common = common.iter().map(|(name, value)| (*name, value.as_str()));
        address(path, pairs.iter().copied().chain(common))
    }

    /// The common parameters of the request. A value that no page takes is not repeated in every link.
    fn common(&self) -> Vec<(&'static str, String)> {
        let message = |param: &Param| Some((param.name, asked(self.visit, param.name)?));
        COMMON.iter().filter_map(message).collect()
    }

    /// This page's address with one parameter changed, or removed where there is no value.
    pub(crate) fn but(&self, name: &str, value: Option<&str>) -> String {
        let pairs: Vec<_> = form_urlencoded::parse(self.visit.query.as_bytes())
            .filter(|(known, value)| known != name && fits(known) && fits(value))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let path = if fits(&self.visit.path) { &self.visit.path } else { PAGES };
        address(path, pairs.chain(value.map(|value| (name, value))))
    }

    /// The same, with this text in the box that leads to what is typed.
    pub(crate) fn after_jump(self, typed: Option<&str>) -> Self {
        Self { jumped: typed.map(str::to_owned), ..self }
    }

    /// The text for a type of aggregate or a kind of actor.
    pub(crate) fn label(&self, name: &str) -> String {
        self.word_of(name).map_or_else(|| name.to_owned(), str::to_owned)
    }

    /// A moment in the chosen zone; programs read, and users copy, UTC.
    pub(crate) fn time(&self, moment: DateTime<Utc>) -> Markup {
        let shown = moment.with_timezone(&self.zone);
        html! {
            time datetime=(moment.to_rfc3339_opts(SecondsFormat::Micros, true))
                title=(moment.to_rfc3339_opts(SecondsFormat::Micros, true)) {
                (shown.format("%Y-%m-%d %H:%M:%S%.3f")) " " span.zone { (self.zone_name(moment)) }
            }
        }
    }

    pub(super) fn zone_name(&self, moment: DateTime<Utc>) -> String {
        if self.zone == Tz::UTC {
            "UTC".to_owned()
        } else {
            moment.with_timezone(&self.zone).format("%:z").to_string()
        }
    }

    pub(crate) fn micros(&self, micros: i64) -> Markup {
        self.time(clock::from_micros(micros))
    }

    /// The common parameters as hidden fields, because a form's action has no query.
    pub(crate) fn hidden(&self) -> Markup {
        html! {
            @for (name, chosen) in self.common() {
                input type="hidden" name=(name) value=(chosen);
            }
        }
    }
}

/// The value of a common parameter in the address, if pages take it.
pub(super) fn asked(visit: &Visit, name: &str) -> Option<String> {
    let param = COMMON.iter().find(|param| param.name == name)?;
    visit.parameter(name).filter(|value| param.takes(value))
}

/// Equal for visitors to whom pages look the same.
pub(crate) fn look(view: &View<'_>) -> String {
    format!("{} {} {}", view.language.tag(), view.zone.name(), view.to("", &[]))
}

/// Whether it is no longer than a parameter may be; our own addresses have no longer ones.
fn fits(value: &(impl AsRef<str> + ?Sized)) -> bool {
    value.as_ref().len() <= LONGEST_FREE
}

pub(crate) fn address<'p>(path: &str, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
