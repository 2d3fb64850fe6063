//! Endpoints that answer queries or take a form, as rows of a table: each names its parameters, its answer and the
//! permission it needs. One function handles every request by its row, and the API's description is made from the same
//! rows.
//!
//! A service is generic here: the state that its requests share is a type of its own ([`Shared`]). Start reading at
//! [`Endpoint`].

pub mod call;
pub mod described;
mod openapi;
pub mod params;
mod refusals;
mod step_up;
mod table;
mod unsigned;

pub use call::{Call, RequiredPosition, Shared, Visit};
pub use described::Described;
pub use openapi::{openapi, shared_components, sign_in};
pub use params::{Kind, Param, Params};
pub use refusals::refusals;
pub use table::{Action, Answer, Endpoint, router};
pub use unsigned::uint32;
