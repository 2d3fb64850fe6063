//! Commands over HTTP: one table maps method and path to a command, its body and who may give it.
//!
//! Start reading at [`http::router`].

pub mod http;
