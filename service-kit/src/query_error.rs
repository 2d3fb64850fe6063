//! The one place where a failed query becomes a problem.

use soonshop_domain::{QueryError, QueryErrorKind};

use crate::headers::{EVENT_POSITION, position_header};
use crate::problem::{Kind, Problem};

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let kind = match error.kind() {
            QueryErrorKind::Malformed => Kind::Malformed,
            QueryErrorKind::Forbidden => Kind::Forbidden,
            QueryErrorKind::NotFound => Kind::NotFound,
            QueryErrorKind::Conflict => Kind::Conflict,
            QueryErrorKind::Gone => Kind::Gone,
            QueryErrorKind::TooMany => Kind::TooMany,
            QueryErrorKind::Unavailable => Kind::Unavailable,
            QueryErrorKind::Internal => return Self::internal(error),
        };
        let mut problem = Self::new(kind, error.slug().to_owned(), error.detail().to_owned());
        for (name, value) in error.members() {
            problem = problem.with(name, value.clone());
        }
        if let Some(after) = error.retry_after() {
            problem = problem.with_retry_after(after);
        }
        match error.read_at() {
            Some(position) => problem.with_header(EVENT_POSITION, position_header(position)),
            None => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::header::RETRY_AFTER;
    use axum::response::{IntoResponse as _, Response};
    use serde_json::Value;

    use super::*;

    async fn json(response: Response) -> Value {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn every_field_of_a_query_error_reaches_the_problem() {
        let behind = QueryError::unavailable("read-model-behind", "wait", Duration::from_secs(3))
            .with("sink", "rows")
            .with_read_at(7);
        let response = Problem::from(behind).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "3");
        assert_eq!(response.headers()[EVENT_POSITION], "main:7");
        let body = json(response).await;
        assert_eq!((&body["type"], &body["sink"]), (&"/problems/read-model-behind".into(), &"rows".into()));
    }

    #[tokio::test]
    async fn the_cause_of_an_internal_error_is_not_in_the_problem() {
        let response = Problem::from(QueryError::internal("password=hunter2")).into_response();
        assert_eq!(response.status(), 500);
        assert!(!json(response).await.to_string().contains("hunter2"));
    }

    #[test]
    fn each_kind_has_a_status_of_its_own() {
        use QueryErrorKind::*;
        let table = [
            (Malformed, 400),
            (Forbidden, 403),
            (NotFound, 404),
            (Conflict, 409),
            (Gone, 410),
            (TooMany, 429),
            (Internal, 500),
            (Unavailable, 503),
        ];
        for (kind, status) in table {
            assert_eq!(Problem::from(QueryError::new(kind, "slug", "why")).status(), status);
        }
    }
}
