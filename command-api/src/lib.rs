//! Commands over HTTP: a table maps method and path to a command, its body, who may give it and how success is answered.
//!
//! `contexts/` has one file per context: its rows of the table, and the functions that make a body a command. (`order`
//! also has a folder, with credit notes and the facts that both need.) `http/` drives the table and knows no context.
//! Start reading at `http/driver.rs`.

mod contexts;
mod http;

use axum::Router;
use utoipa::openapi::OpenApi;

pub use http::problems;
pub use http::state::{Commands, OfferedProvider};

/// The endpoints of the contexts that are served, and the pages of [`problems`].
pub fn router(state: Commands) -> Router {
    http::driver::router(state, contexts::endpoints()).merge(problems::router())
}

/// OpenAPI 3.1 of every command.
pub fn openapi() -> OpenApi {
    http::openapi::describe(contexts::endpoints())
}
