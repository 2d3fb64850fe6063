//! Why a query failed, independent of HTTP: the error of reading the log, a read model or the audit trail, which the
//! edge turns into an answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

/// The kind of a failure; the edge turns each into one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryErrorKind {
    /// The question cannot be read.
    Malformed,
    /// The caller may not.
    Forbidden,
    /// The requested thing does not exist.
    NotFound,
    /// The state forbids it just now.
    Conflict,
    /// It existed, and is gone for good.
    Gone,
    /// Not so fast.
    TooMany,
    /// A defect: the cause goes to the log only, not to the client.
    Internal,
    /// Temporary: the same query may succeed later.
    Unavailable,
}

/// A failure on its way to the edge. Boxed, so that a `Result` with it stays small.
#[derive(Debug, Clone)]
pub struct QueryError(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: QueryErrorKind,
    slug: Cow<'static, str>,
    detail: Cow<'static, str>,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    read_at: Option<i64>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(slug: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
            Self::new(QueryErrorKind::$kind, slug, detail)
        }
    )+};
}

impl QueryError {
    /// The slug is the name of its problem page.
    pub fn new(
        kind: QueryErrorKind,
        slug: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            slug: slug.into(),
            detail: detail.into(),
            members: Map::new(),
            retry_after: None,
            read_at: None,
            cause: None,
        }))
    }

    constructors! {
        /// The question cannot be read.
        malformed => Malformed,
        /// The caller may not.
        forbidden => Forbidden,
        /// The requested thing does not exist.
        not_found => NotFound,
        /// The state forbids it just now.
        conflict => Conflict,
        /// It existed, and is gone for good.
        gone => Gone,
    }

    /// An invalid value of a parameter. The value is not repeated.
    pub fn parameter(name: &str, detail: &str) -> Self {
        let shown: String = name.chars().take(64).collect();
        Self::malformed("invalid-query", format!("parameter `{shown}`: {detail}")).with("parameter", shown)
    }

    /// Names what is wrong with a parameter by a code, so that it can be said in every language.
    #[must_use]
    pub fn because(self, fault: &'static str) -> Self {
        self.with("fault", fault)
    }

    /// The caller asks too often, and when to ask again.
    pub fn too_many(
        slug: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
        retry_after: Duration,
    ) -> Self {
        Self::new(QueryErrorKind::TooMany, slug, detail).with_retry_after(retry_after)
    }

    /// Temporary, with the time after which to retry.
    pub fn unavailable(
        slug: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
        retry_after: Duration,
    ) -> Self {
        Self::new(QueryErrorKind::Unavailable, slug, detail).with_retry_after(retry_after)
    }

    /// A defect. The cause is its source, and is not in the detail.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "something went wrong inside; the log names this request";
        let mut error = Self::new(QueryErrorKind::Internal, "internal-error", detail);
        error.0.cause = Some(Arc::from(cause.into()));
        error
    }

    /// Another member of the answer.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.into(), value.into());
        self
    }

    /// When to ask again.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    /// The position of the log up to which the query read.
    #[must_use]
    pub fn with_read_at(mut self, position: i64) -> Self {
        self.0.read_at = Some(position);
        self
    }

    /// The kind of the failure.
    pub fn kind(&self) -> QueryErrorKind {
        self.0.kind
    }

    /// Its stable name.
    pub fn slug(&self) -> &str {
        &self.0.slug
    }

    /// A sentence for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// More that belongs to this slug.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0.members
    }

    /// When to retry, if known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The position of the log up to which the query read, where it is known.
    pub fn read_at(&self) -> Option<i64> {
        self.0.read_at
    }

    /// Its causes, the nearest first; empty where it has none.
    pub fn causes(&self) -> String {
        let mut chain = Vec::new();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            chain.push(error.to_string());
            source = error.source();
        }
        chain.join(": ")
    }
}

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.slug(), self.detail())
    }
}

impl std::error::Error for QueryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.0.cause.as_deref()?;
        Some(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_an_internal_error_is_its_source_and_not_in_its_text() {
        let error = QueryError::internal("password=hunter2");
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(error.causes(), "password=hunter2");
        assert_eq!(QueryError::not_found("not-found", "nothing").causes(), "");
    }

    #[test]
    fn an_error_says_what_it_was_made_with() {
        let soon = Duration::from_secs(3);
        let error = QueryError::unavailable("read-model-behind", "it is being built", soon).with_read_at(7);
        assert_eq!((error.kind(), error.slug()), (QueryErrorKind::Unavailable, "read-model-behind"));
        assert_eq!((error.detail(), error.retry_after()), ("it is being built", Some(soon)));
        assert_eq!(error.read_at(), Some(7));
        let gone = QueryError::gone("cursor-expired", "its generation is gone");
        assert_eq!((gone.retry_after(), gone.read_at()), (None, None));
    }

    #[test]
    fn a_parameter_name_is_at_most_one_line() {
        let error = QueryError::parameter(&"x".repeat(100), "it is no number");
        assert_eq!(error.members()["parameter"], "x".repeat(64));
        assert_eq!((error.kind(), error.slug()), (QueryErrorKind::Malformed, "invalid-query"));
    }
}
