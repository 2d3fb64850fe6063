//! Which callers may see inner details: the addresses of servers, the paths of files, and why a check fails.

use std::time::Duration;

use axum::http::HeaderMap;

use super::caller::Access;
use super::role::Permission;
use crate::Problem;
use crate::rates::is_passed_on;

/// How long who asks is looked up: an answer about health comes in time without details.
const IDENTIFIED: Duration = Duration::from_secs(1);

impl Access {
    /// Whether who sent these headers may know why a check fails: everybody where no other machine reaches the shop;
    /// elsewhere those who may see its operations ([`Permission::Audit`]).
    pub async fn sees_details(&self, headers: &HeaderMap) -> bool {
        // A proxy that is not named passes on the requests of others.
        let passed_on = is_passed_on(headers);
        if !self.is_reached_by_others() && !passed_on {
            return true;
        }
        let visitor = tokio::time::timeout(IDENTIFIED, self.visitor(headers)).await;
        visitor.is_ok_and(|found| {
            found.is_ok_and(|visitor| visitor.caller.must(Permission::Audit, "this").is_ok())
        })
    }

    /// The refusal as this caller may see it: why a worker stopped is left out for those who do not
    /// [see details](Self::sees_details).
    pub async fn problem_for(&self, headers: &HeaderMap, problem: Problem) -> Problem {
        let names_a_fault =
            problem.slug() == "read-model-behind" && problem.extensions().contains_key("reason");
        if names_a_fault && !self.sees_details(headers).await { problem.without("reason") } else { problem }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::http::HeaderValue;
    use axum::http::header::AUTHORIZATION;

    use super::*;
    use crate::access::Role;
    use crate::rates::X_FORWARDED_FOR;
    use crate::shelf::Shelf;

    #[tokio::test]
    async fn those_who_may_see_operations_see_details_and_others_only_where_nobody_else_reaches_the_shop() {
        let shelf = Arc::new(Shelf::default());
        let here = Access::new(Some("token".into())).with_keys(shelf.clone());
        let reached = here.clone().reached_by_others();
        let bearer = |token: &str| {
            HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap())])
        };
        let nobody = HeaderMap::new();
        assert!(here.sees_details(&nobody).await && here.sees_details(&bearer("wrong")).await);
        assert!(!reached.sees_details(&nobody).await && !reached.sees_details(&bearer("wrong")).await);
        let passed_on = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.9"))]);
        assert!(!here.sees_details(&passed_on).await, "somebody else reaches it by a proxy");
        assert!(reached.sees_details(&bearer("token")).await);
        for role in &Role::ALL[1..] {
            let (key, _) = shelf.add(*role, |_| {}).unwrap();
            let sees = !matches!(role, Role::Warehouse | Role::Service);
            assert_eq!(reached.sees_details(&bearer(&key.text())).await, sees, "{role}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_why_a_worker_stopped_to_those_who_see_details_alone() {
        let behind = || {
            Problem::unavailable("read-model-behind", "it is stopped", Duration::from_secs(1))
                .with("state", "stopped")
                .with("reason", "10.0.0.5:5432 refuses connections")
        };
        let here = Access::new(Some("token".into()));
        assert_eq!(
            here.problem_for(&HeaderMap::new(), behind()).await.extensions()["reason"],
            "10.0.0.5:5432 refuses connections"
        );
        let told = here.reached_by_others().problem_for(&HeaderMap::new(), behind()).await;
        assert!(!told.extensions().contains_key("reason") && told.extensions()["state"] == "stopped");
    }
}
