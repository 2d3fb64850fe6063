//! Search over HTTP: the index of the generation in use. When the index is down, only search fails.

use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use soonshop_domain::clock;
use soonshop_projections::source::{Source, search_in_time};
use soonshop_projections::wait::{AnsweredBy, Wait};
use soonshop_search::{Hit, Query, Sort};
use soonshop_service_kit::Problem;
use soonshop_service_kit::endpoint::Described;
use soonshop_service_kit::endpoint::params::{Kind, Param, refused};
use utoipa::ToSchema;

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
struct Item {
    id: String,
    name: String,
    description: String,
    skus: Vec<String>,
    /// Such as `category` and `colour`, each with its values.
    facets: BTreeMap<String, Vec<String>>,
    price: Option<Money>,
    created_at: DateTime<Utc>,
    /// `name` or `description`, as HTML with the matches in `<mark>`.
    highlights: BTreeMap<String, String>,
}

impl Item {
    fn of(Hit { document, highlights }: Hit) -> Self {
        Self {
            id: document.id,
            name: document.name,
            description: document.description,
            skus: document.skus,
            facets: document.facets,
            price: Money::of(document.price, document.currency),
            created_at: clock::from_micros(document.created_at),
            highlights,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Count {
    value: String,
    count: u64,
}

/// A page of results.
#[derive(Serialize, ToSchema)]
struct Results {
    items: Vec<Item>,
    total: u64,
    /// Nothing matches as it was typed: these results match with typos.
    fuzzy: bool,
    /// Counted over all results, for each requested facet.
    facets: BTreeMap<String, Vec<Count>>,
    /// What to send as `after` for the next page; null on the last one.
    next: Option<String>,
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
        Param::new("category", Kind::Text, "Only of this category."),
        Param::new(
            "facet.NAME",
            Kind::Facets,
            "Only with this value of the facet NAME; with several values, any of them.",
        ),
        Param::new("price_from", amount, "In minor units."),
        Param::new("price_to", amount, "In minor units."),
        Param::new("currency", Kind::Currency, "Only with prices in it."),
        Param::new("facets", Kind::Free, "Facets to count, with commas between them."),
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
    Action::new(params, Described::one::<Results>(), move |call| search(projection, call))
}

/// A cursor as clients see it: the generation, and the index's own cursor.
fn cursor(text: &str) -> Result<(i32, String), Problem> {
    let parts = text.split_once('.');
    let read = parts.and_then(|(number, rest)| Some((number.parse::<i32>().ok()?, rest.to_owned())));
    read.ok_or_else(|| refused("after", "it is not a cursor of this query: take it from the previous answer"))
}

/// The query of a request.
fn query(call: &Call) -> Result<Query, Problem> {
    let params = &call.params;
    let mut filters = params.facets.clone();
    if let Some(category) = params.text("category") {
        filters.entry("category".to_owned()).or_default().push(category.to_owned());
    }
    let names = params.text("facets").unwrap_or_default().split(',').map(str::trim);
    let facets: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if facets.len() > MOST_COUNTED {
        return Err(refused("facets", "there are more than 20"));
    }
    let sort = params.text("sort").unwrap_or_default();
    Ok(Query {
        text: params.text("q").unwrap_or_default().to_owned(),
        filters,
        price_from: params.number("price_from"),
        price_to: params.number("price_to"),
        currency: params.text("currency").map(str::to_owned),
        facets,
        sort: SORTS.iter().find(|(name, _)| *name == sort).map(|(_, sort)| *sort).unwrap_or_default(),
        after: None,
        limit: params.limit(DEFAULT_LIMIT),
    })
}

/// The position of the index, once it is at least the requested one. A search after this includes that position.
async fn index_position(call: &Call, source: &Source) -> Result<i64, Problem> {
    let search = &*call.shared.queries.search;
    Wait::new(source, at_least(call), AnsweredBy::Index(search), None).reach().await?;
    let position = source.indexed(search).await?;
    if call.wanted.is_some() {
        search_in_time(search.refresh(&source.generation.namespace())).await?;
    }
    Ok(position)
}

async fn search(projection: &str, call: Call) -> Result<Response, Problem> {
    let mut query = query(&call)?;
    let mut generation = None;
    if let Some(after) = call.params.text("after") {
        let (number, own) = cursor(after)?;
        (generation, query.after) = (Some(number), Some(own));
    }
    let source = call.shared.source(projection, generation).await?;
    let position = index_position(&call, &source).await?;
    let page =
        search_in_time(call.shared.queries.search.search(&source.generation.namespace(), &query)).await?;
    let counted = |(name, counts): (String, Vec<(String, u64)>)| {
        (name, counts.into_iter().map(|(value, count)| Count { value, count }).collect())
    };
    let results = Results {
        items: page.hits.into_iter().map(Item::of).collect(),
        total: page.total,
        fuzzy: page.fuzzy,
        facets: page.facets.into_iter().map(counted).collect(),
        next: page.next.map(|own| format!("{}.{own}", source.generation.number)),
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
}
