//! The table: rows, each with its action.

use std::sync::Arc;

use super::action::Action;
use super::row::Row;

/// A row of the table and its action.
pub(crate) struct Endpoint {
    pub(crate) row: Arc<Row>,
    pub(crate) action: Action,
}

/// Rows of the table: method, path, command; permission, whose things, key, success, summary; action.
macro_rules! endpoints {
    ($($method:ident $path:literal $command:literal: $permission:ident, $of:ident, $key:ident, $success:expr, $summary:literal
        => $action:expr;)+) => {
        vec![$($crate::http::endpoint::Endpoint {
            row: ::std::sync::Arc::new($crate::http::row::Row {
                method: ::axum::http::Method::$method,
                path: $path,
                command: $command,
                permission: ::soonshop_service_kit::access::Permission::$permission,
                of: ::soonshop_service_kit::access::Owner::$of,
                key: $crate::http::row::Key::$key,
                success: $success,
                summary: $summary,
            }),
            action: $action,
        }),+]
    };
}

pub(crate) use endpoints;
