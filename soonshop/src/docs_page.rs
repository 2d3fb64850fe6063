//! The description of the API, and the page that shows it: files that are compressed once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use soonshop_service_kit::Problem;
use soonshop_service_kit::extract::Path;
use soonshop_service_kit::static_file::StaticFile;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

/// The address of the description.
const DESCRIPTION: &str = "/openapi.json";

/// The page, and those of its files that were asked for.
struct Page {
    config: Arc<Config<'static>>,
    files: Mutex<HashMap<String, StaticFile>>,
}

/// `/openapi.json`, and `/docs` with its files.
pub(crate) fn router(api: &OpenApi) -> anyhow::Result<Router> {
    let description = api.to_json().context("the description of the API")?;
    let description = StaticFile::new("application/json", description);
    let page = Arc::new(Page { config: Arc::new(Config::new([DESCRIPTION])), files: Mutex::default() });
    let first = Arc::clone(&page);
    Ok(Router::new()
        .route(
            DESCRIPTION,
            get(move |headers: HeaderMap| {
                let description = description.clone();
                async move { description.answer(&headers).await }
            }),
        )
        .route("/docs", get(async || Redirect::to("/docs/")))
        .route("/docs/", get(async move |headers: HeaderMap| first.answer("index.html", &headers).await))
        .route(
            "/docs/{*file}",
            get(async move |Path(name): Path<String>, headers: HeaderMap| page.answer(&name, &headers).await),
        ))
}

impl Page {
    async fn answer(&self, name: &str, headers: &HeaderMap) -> Response {
        match self.file(name) {
            Ok(Some(file)) => file.answer(headers).await,
            Ok(None) => Problem::not_found("no-such-path", "there is nothing at this path").into_response(),
            Err(problem) => problem.into_response(),
        }
    }

    /// The file of this name. There are only so many: a name that is none of theirs is not remembered.
    fn file(&self, name: &str) -> Result<Option<StaticFile>, Problem> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(name) {
            return Ok(Some(file.clone()));
        }
        let found = utoipa_swagger_ui::serve(name, Arc::clone(&self.config));
        let Some(found) = found.map_err(|error| Problem::internal(error.to_string()))? else {
            return Ok(None);
        };
        let bytes = match found.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let file = StaticFile::new(&found.content_type, bytes);
        files.insert(name.to_owned(), file.clone());
        Ok(Some(file))
    }
}
