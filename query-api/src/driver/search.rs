//! Search over HTTP: the index of the generation in use. When the index is down, only search fails.

use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::clock;
use soonshop_projections::source::{Source, search_in_time};
use soonshop_projections::wait::{AnsweredBy, Wait};
use soonshop_search::{CATEGORY, Hit, Page, Price, Query, Sort, requested_facet};
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param, refused};
use soonshop_service_kit::problem::Kind as ProblemKind;
use soonshop_service_kit::work::Price as Cost;
use utoipa::ToSchema;

use super::list::MOST_BYTES;
use super::shapes::Money;
use super::state::{Action, Call, at_least};

const DEFAULT_LIMIT: usize = 20;
const MOST_COUNTED: usize = 20;

const SORTS: &[(&str, Sort)] = &[
    ("relevance", Sort::Relevance),
    ("name", Sort::NameAscending),
    ("-name", Sort::NameDescending),
    ("price", Sort::PriceAscending),
    ("-price", Sort::PriceDescending),
    ("-created", Sort::NewestFirst),
];

/// One result.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchResult)]
struct Item {
    id: String,
    name: String,
    description: String,
    skus: Vec<String>,
    /// Such as `category` and `colour`, each with its values. An attribute called `category` is
    /// `attribute.category`.
    facets: BTreeMap<String, Vec<String>>,
    /// The lowest of its prices, of those that were asked for.
    price: Option<Money>,
    /// The prices of its variants in all currencies, each once.
    prices: Vec<Money>,
    created_at: DateTime<Utc>,
    /// `name` or `description`, as HTML with the matches in `<mark>`.
    highlights: BTreeMap<String, String>,
}

fn money(price: &Price) -> Money {
    Money { amount: price.amount, currency: price.currency.clone() }
}

impl Item {
    fn of(Hit { document, highlights }: Hit, query: &Query) -> Self {
        Self {
            price: query.lowest_price(&document).map(money),
            prices: document.prices.iter().map(money).collect(),
            id: document.id,
            name: document.name,
            description: document.description,
            skus: document.skus,
            facets: document.facets,
            created_at: clock::from_micros(document.created_at),
            highlights,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = FacetCount)]
struct Count {
    value: String,
    count: u64,
}

/// A page of results.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchResults)]
struct Results {
    items: Vec<Item>,
    total: u64,
    /// Nothing matches as it was typed: these results match with typos.
    fuzzy: bool,
    /// Counted over all results, for each requested facet. Values that were filtered by are always listed.
    facets: BTreeMap<String, Vec<Count>>,
    /// How many more values each of these facets has (of the 3,000 most frequent).
    facets_more: BTreeMap<String, u64>,
    /// Send this as `after` for the next page; null on the last one.
    next: Option<String>,
    /// Something changed after the first page was read: such a product may be on two pages, or on none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(default = false)]
    changed: bool,
}

#[derive(Serialize, ToSchema)]
struct Suggestions {
    items: Vec<String>,
}

/// The search endpoint of a read model.
pub(crate) fn searches(projection: &'static str) -> Action {
    let amount = Kind::Number(0, i64::MAX);
    let params = vec![
        Param::new("q", Kind::Free, "What a person typed; nothing finds everything."),
        Param::new(
            "category",
            Kind::Text,
            "Only of this category; capitals and the width of letters do not matter.",
        ),
        Param::new(
            "facet.NAME",
            Kind::Facets,
            "Only with this value of the facet NAME; with several values, any of them. NAME is `category`, or the name \
             of an attribute, with `attribute.` in front where it is called `category` itself.",
        ),
        Param::new("price_from", amount, "Only with a price of at least this, in minor units."),
        Param::new("price_to", amount, "Only with a price of at most this, in minor units."),
        Param::new(
            "currency",
            Kind::Currency,
            "Only with a price in it. A range and an order of prices are of this currency; without it, of any.",
        ),
        Param::new(
            "facets",
            Kind::Free,
            "Facets to count, at most 20, with commas between them; a name that has a comma itself in double quotes.",
        ),
        Param::new(
            "facet_limit",
            Kind::Number(1, 1_000),
            "The most values to list of each facet, 50 where it is left out.",
        ),
        Param::new(
            "sort",
            Kind::OneOf(&["relevance", "name", "-name", "price", "-price", "-created"]),
            "`relevance` by default.",
        ),
        Param::new("limit", Kind::Number(1, 100), "Items on a page, 20 where it is left out."),
        Param::new(
            "after",
            Kind::Cursor,
            "`next` of the previous page, with all other parameters unchanged.",
        ),
    ];
    let described = Described::one::<Results>().with_pages();
    // The generation of a cursor can be gone.
    Action::new(params, described, move |call| search(projection, call))
        .refuses([ProblemKind::Gone])
        .costs(|_| Cost::Search)
}

/// A cursor as clients see it: the generation, the position at which the first page was read, and the index's own
/// cursor.
struct Cursor {
    generation: i32,
    began: i64,
    own: String,
}

impl Cursor {
    fn read(text: &str) -> Result<Self, Problem> {
        let mut parts = text.splitn(3, '.');
        let mut read = || {
            let (generation, began) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some(Self { generation, began, own: parts.next()?.to_owned() })
        };
        read().ok_or_else(|| {
            refused("after", "it is not a cursor of this query: take it from the previous answer")
        })
    }
}

/// Whether a row of the read model changed after a position: then a page by its values may lack it, or repeat it.
async fn has_changed(source: &Source, projection: &str, began: i64) -> Result<bool, Problem> {
    let sql = format!("SELECT 1 AS one FROM @{projection} WHERE position > $1 LIMIT 1");
    Ok(!source.plain(&sql, vec![began.into()]).await?.is_empty())
}

/// The names in a list with commas between them. A name in double quotes may have commas; two quotes in it are one.
fn listed(text: &str) -> Result<Vec<String>, Problem> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => name.extend(letters.next()),
            '"' if quoted || name.trim().is_empty() => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            letter => name.push(letter),
        }
    }
    if quoted {
        return Err(refused("facets", "a quote is not closed"));
    }
    names.push(name);
    Ok(names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
}

/// The facets to count.
struct Counted {
    /// As they were asked for.
    names: Vec<String>,
    /// The whole text, where it has commas and no quotes: it may be one name.
    whole: Option<String>,
}

impl Counted {
    fn read(text: &str) -> Result<Self, Problem> {
        let names = listed(text)?;
        if names.len() > MOST_COUNTED {
            return Err(refused("facets", "there are more than 20"));
        }
        let whole = (text.contains(',') && !text.contains('"')).then(|| text.trim().to_owned());
        Ok(Self { names, whole })
    }

    /// The names in the index.
    fn facets(&self) -> Vec<String> {
        self.names.iter().chain(&self.whole).map(|name| requested_facet(name)).collect()
    }

    /// The products of each SKU, under the SKU that was asked for.
    fn named<T: Clone + Default>(&self, page: &Page, found: &BTreeMap<String, T>) -> BTreeMap<String, T> {
        let counted =
            |name: &&String| page.facets.get(&requested_facet(name)).is_some_and(|all| !all.is_empty());
        let names = match self.whole.as_ref().filter(counted) {
            Some(whole) => std::slice::from_ref(whole),
            None => &self.names,
        };
        let value = |name: &String| found.get(&requested_facet(name)).cloned().unwrap_or_default();
        names.iter().map(|name| (name.clone(), value(name))).collect()
    }
}

/// The query of a request.
fn query(call: &Call, counted: &Counted) -> Query {
    let params = &call.params;
    let mut filters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, values) in &params.facets {
        filters.entry(requested_facet(name)).or_default().extend(values.iter().cloned());
    }
    if let Some(category) = params.text("category") {
        filters.entry(CATEGORY.to_owned()).or_default().push(category.to_owned());
    }
    let sort = params.text("sort").unwrap_or_default();
    Query {
        text: params.text("q").unwrap_or_default().to_owned(),
        filters,
        price_from: params.number("price_from"),
        price_to: params.number("price_to"),
        currency: params.text("currency").map(str::to_owned),
        facets: counted.facets(),
        facet_limit: params.number("facet_limit").and_then(|limit| usize::try_from(limit).ok()),
        sort: SORTS.iter().find(|(name, _)| *name == sort).map(|(_, sort)| *sort).unwrap_or_default(),
        after: None,
        limit: params.limit(DEFAULT_LIMIT),
    }
}

/// The position of the index, once it is at least the requested one. A search after this includes that position.
async fn index_position(call: &Call, source: &Source) -> Result<i64, Problem> {
    let search = &*call.shared.queries.search;
    Wait::new(source, at_least(call), AnsweredBy::Index(search), None).reach().await?;
    let position = source.indexed(search).await?;
    if call.required_position.is_some() {
        search_in_time(search.refresh(&source.generation.namespace())).await?;
    }
    Ok(position)
}

/// How many of the results fit into an answer, at least one.
fn fit(page: &Page) -> Result<usize, Problem> {
    let (mut bytes, mut fit) = (0, 0);
    for hit in &page.hits {
        bytes += serde_json::to_vec(&hit.document).map_err(Problem::internal)?.len();
        if bytes > MOST_BYTES && fit > 0 {
            break;
        }
        fit += 1;
    }
    Ok(fit)
}

async fn search(projection: &str, call: Call) -> Result<Response, Problem> {
    let counted = Counted::read(call.params.text("facets").unwrap_or_default())?;
    let mut query = query(&call, &counted);
    let cursor = call.params.text("after").map(Cursor::read).transpose()?;
    let source = call.shared.source(projection, cursor.as_ref().map(|cursor| cursor.generation)).await?;
    let began = cursor.as_ref().map(|cursor| cursor.began);
    query.after = cursor.map(|cursor| cursor.own);
    let position = index_position(&call, &source).await?;
    let index = source.generation.namespace();
    let mut page = search_in_time(call.shared.queries.search.search(&index, &query)).await?;
    let fit = fit(&page)?;
    if fit < page.hits.len() {
        // A page of fewer results has a cursor of its own.
        query.limit = fit;
        page = search_in_time(call.shared.queries.search.search(&index, &query)).await?;
    }
    let count = |(value, count)| Count { value, count };
    let facets = counted.named(&page, &page.facets).into_iter();
    let results = Results {
        facets: facets.map(|(name, values)| (name, values.into_iter().map(count).collect())).collect(),
        facets_more: counted.named(&page, &page.more_values),
        items: page.hits.into_iter().map(|hit| Item::of(hit, &query)).collect(),
        total: page.total,
        fuzzy: page.fuzzy,
        next: page
            .next
            .map(|own| format!("{}.{}.{own}", source.generation.number, began.unwrap_or(position))),
        changed: match began.filter(|_| query.sort != Sort::NewestFirst) {
            Some(began) => has_changed(&source, projection, began).await?,
            None => false,
        },
    };
    call.page(position, &results, results.next.as_deref())
}

/// The endpoint that completes a typed text from the index of a read model.
pub(crate) fn suggests(projection: &'static str) -> Action {
    let params = vec![
        Param::new("q", Kind::Free, "What was typed so far.").required(),
        Param::new("limit", Kind::Number(1, 100), "The most, 10 where it is left out."),
    ];
    Action::new(params, Described::one::<Suggestions>(), move |call: Call| async move {
        let source = call.shared.source(projection, None).await?;
        let typed = call.params.text("q").unwrap_or_default();
        let most = call.params.limit(10);
        let position = index_position(&call, &source).await?;
        let index = source.generation.namespace();
        let items = search_in_time(call.shared.queries.search.suggest(&index, typed, most)).await?;
        call.page(position, &Suggestions { items }, None)
    })
    .costs(|_| Cost::Search)
}
