//! Search on a server: Elasticsearch or `OpenSearch`, with the requests that both understand.
//!
//! An index is a real index behind an alias, and writes require the alias: a late write to a removed index is
//! refused; without this a server would create an index with guessed fields. It has one shard, so that counts are
//! exact.

mod bulk;
mod client;
mod requests;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use elasticsearch::http::Method;
use serde_json::{Value, json};
use soonshop_certificates::ServerTls;
use url::Url;

use self::bulk::Bulk;
use self::client::{BACKEND, Client, PING, WRITE, failed, refused};
use crate::cursor::{Cursor, Key};
use crate::markup::visible_name;
use crate::parsed_query::{Matching, ParsedQuery};
use crate::{Change, Document, Error, Page, Query, Search, TooLarge, highlight, indexed};

/// The document with the checkpoint; no id of the shop begins like this.
const CHECKPOINT: &str = "~checkpoint";

/// The id of a document that never is there.
const TRIAL: &str = "written-by-a-check";

const READ: Duration = Duration::from_secs(5);

pub(crate) fn connect(text: &str) -> Result<Arc<dyn Search>, Error> {
    let refused = |reason: String| Error::Address { reason };
    let mut url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
    let instead = (url.scheme() != "https").then_some("give https:// instead of http://");
    let tls = ServerTls::take_usable(&mut url, instead).map_err(|reason| refused(reason.to_string()))?;
    let mut prefix = String::new();
    for (name, value) in url.query_pairs() {
        if name != "prefix" {
            return Err(refused(format!(
                "there is no option {name:?}, only prefix, and ca, cert and key with https"
            )));
        }
        if !value.is_empty() && (!indexed::is_index_name(&value) || value.starts_with('_')) {
            return Err(refused(
                "a prefix is made of a to z, 0 to 9 and _, and does not begin with _".to_owned(),
            ));
        }
        prefix = value.into_owned();
    }
    url.set_query(None);
    url.set_fragment(None);
    let client = Client::new(url, tls).map_err(refused)?;
    Ok(Arc::new(Elasticsearch { client, prefix, bulk_bytes: AtomicUsize::new(bulk::MOST_BYTES) }))
}

struct Elasticsearch {
    client: Client,
    prefix: String,
    /// The size of a bulk request: less once the server, or a proxy before it, took no more.
    bulk_bytes: AtomicUsize,
}

impl Elasticsearch {
    /// The alias, used for everything except creating and removing.
    fn alias(&self, index: &str) -> Result<String, Error> {
        if indexed::is_index_name(index) && !(self.prefix.is_empty() && index.starts_with('_')) {
            Ok(format!("{}{index}", self.prefix))
        } else {
            Err(refused(format!("{index:?} is no name for an index: a to z, 0 to 9 and _, not _ first")))
        }
    }

    fn real(&self, index: &str) -> Result<String, Error> {
        Ok(self.alias(index)? + "-index")
    }

    /// Gives an index that is there its alias, if that was removed.
    async fn name_again(&self, index: &str) -> Result<(), Error> {
        let path = format!("{}/_alias/{}", self.real(index)?, self.alias(index)?);
        let there = self.client.call(Method::Get, &path, None, READ).await?;
        if there.status == 200 {
            return Ok(());
        }
        let answer = self.client.call(Method::Put, &path, None, WRITE).await?;
        if answer.status == 200 { Ok(()) } else { Err(failed(index, &answer)) }
    }

    /// The full answer of a search, if every shard answered.
    async fn ask(&self, index: &str, body: Value, preference: u64) -> Result<Value, Error> {
        let alias = self.alias(index)?;
        // The same query goes to the same replica, so that its pages fit together.
        let path = format!("{alias}/_search?allow_partial_search_results=false&preference=q{preference:x}");
        let answer = self.client.call(Method::Post, &path, Some(body.to_string()), READ).await?;
        if answer.status != 200 {
            return Err(failed(index, &answer));
        }
        if answer.body["timed_out"] == true || answer.body["_shards"]["failed"] != 0 {
            return Err(refused(format!("index {index}: not all of it answered")));
        }
        Ok(answer.body)
    }
}

fn document(hit: &mut Value) -> Result<Document, Error> {
    serde_json::from_value(hit["_source"]["document"].take())
        .map_err(|error| refused(format!("document {}: {error}", hit["_id"])))
}

fn total(answer: &Value) -> u64 {
    answer["hits"]["total"]["value"].as_u64().unwrap_or_default()
}

fn hits(answer: &mut Value) -> Vec<Value> {
    match answer["hits"]["hits"].take() {
        Value::Array(hits) => hits,
        _ => Vec::new(),
    }
}

#[async_trait]
impl Search for Elasticsearch {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    async fn ping(&self) -> Result<(), Error> {
        self.client.ping().await
    }

    /// Searches, and removes a document that never is there: that takes the whole way of a write, and leaves nothing.
    async fn examine(&self, index: &str) -> Result<(), Error> {
        let alias = self.alias(index)?;
        self.ask(index, json!({"size": 0, "query": {"match_none": {}}}), 0).await?;
        let path = format!("{alias}/_doc/{TRIAL}");
        let answer = self.client.call_once(Method::Delete, &path, None, PING).await?;
        match (answer.status, answer.body["result"].as_str()) {
            (200, _) | (404, Some("not_found")) => Ok(()),
            _ => Err(failed(index, &answer)),
        }
    }

    async fn create(&self, index: &str) -> Result<(), Error> {
        let body = requests::index(&self.alias(index)?).to_string();
        let answer = self.client.call(Method::Put, &self.real(index)?, Some(body), WRITE).await?;
        if answer.body["error"]["type"] == "resource_already_exists_exception" {
            return self.name_again(index).await;
        }
        if answer.status == 200 { Ok(()) } else { Err(failed(index, &answer)) }
    }

    async fn remove(&self, index: &str) -> Result<(), Error> {
        let answer = self.client.call(Method::Delete, &self.real(index)?, None, WRITE).await?;
        if matches!(answer.status, 200 | 404) { Ok(()) } else { Err(failed(index, &answer)) }
    }

    async fn checkpoint(&self, index: &str) -> Result<Option<String>, Error> {
        let path = format!("{}/_doc/{CHECKPOINT}", self.alias(index)?);
        let answer = self.client.call(Method::Get, &path, None, READ).await?;
        match answer.status {
            200 => Ok(answer.body["_source"]["checkpoint"].as_str().map(str::to_owned)),
            404 => Ok(None),
            _ => Err(failed(index, &answer)),
        }
    }

    async fn apply(&self, index: &str, changes: &[Change], checkpoint: &str) -> Result<Vec<TooLarge>, Error> {
        let bulk = Bulk { client: &self.client, index, alias: self.alias(index)?, most: &self.bulk_bytes };
        let too_large = bulk.write(changes).await?;
        if !too_large.is_empty() {
            return Ok(too_large);
        }
        let path = format!("{}/_doc/{CHECKPOINT}?require_alias=true", self.alias(index)?);
        let body = json!({"id": CHECKPOINT, "deleted": true, "checkpoint": checkpoint}).to_string();
        let answer = self.client.call(Method::Put, &path, Some(body), WRITE).await?;
        if matches!(answer.status, 200 | 201) { Ok(Vec::new()) } else { Err(failed(index, &answer)) }
    }

    async fn refresh(&self, index: &str) -> Result<(), Error> {
        let path = format!("{}/_refresh", self.alias(index)?);
        let answer = self.client.call(Method::Post, &path, None, WRITE).await?;
        if answer.status == 200 { Ok(()) } else { Err(failed(index, &answer)) }
    }

    async fn search(&self, index: &str, query: &Query) -> Result<Page, Error> {
        let after = Cursor::of(query)?;
        let expected = ParsedQuery::of(&query.text);
        let preference = crate::cursor::fingerprint(query);
        let mut matching = after.as_ref().map_or(Matching::AsTyped, Cursor::matching);
        let body = requests::search(query, expected.condition(matching), after.as_ref());
        let mut answer = self.ask(index, body, preference).await?;
        // Filters are left out: a text that is somewhere as it was typed is typed right.
        if after.is_none() && total(&answer) == 0 && expected.forgives() {
            let anywhere = requests::any(expected.condition(Matching::AsTyped).as_ref());
            if total(&self.ask(index, anywhere, preference).await?) == 0 {
                matching = Matching::WithTypos;
                let body = requests::search(query, expected.condition(matching), None);
                answer = self.ask(index, body, preference).await?;
            }
        }
        let limit = indexed::limit(query);
        let mut found = hits(&mut answer);
        let more = found.len() > limit;
        found.truncate(limit);
        let (facets, more_values) = requests::counts(query, &answer["aggregations"]);
        let total = total(&answer);
        let fuzzy = matching == Matching::WithTypos && total > 0;
        let mut page = Page { total, fuzzy, facets, more_values, ..Page::default() };
        for (n, mut hit) in found.into_iter().enumerate() {
            let document = document(&mut hit)?;
            if more && n + 1 == limit {
                #[expect(clippy::cast_possible_truncation, reason = "scores are small whole numbers")]
                let score = hit["_score"].as_f64().unwrap_or_default() as f32;
                let key = Key::of(&document, query, score);
                page.next = Some(Cursor::encode(query, key, &document.id, matching));
            }
            page.hits.push(highlight::hit(document, &expected, matching));
        }
        Ok(page)
    }

    async fn suggest(&self, index: &str, prefix: &str, most: usize) -> Result<Vec<String>, Error> {
        let (prefix, most) = (indexed::prefix(prefix), most.min(100));
        // Also for an empty prefix, so that a missing index is an error.
        let most_asked = if prefix.is_empty() { 0 } else { most };
        let mut answer = self.ask(index, requests::suggest(&prefix, most_asked), 0).await?;
        let name = |hit: &Value| {
            hit["_source"]["document"]["name"].as_str().map(|name| visible_name(name).into_owned())
        };
        Ok(hits(&mut answer).iter().filter_map(name).collect())
    }
}
