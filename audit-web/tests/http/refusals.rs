//! Refusals as people see them in a browser: a page in their language, wherever the refusal comes from.

use std::time::Duration;

use axum::http::Request;
use axum::http::header::AUTHORIZATION;
use soonshop_audit_web::refusals::PagesOfRefusals;
use soonshop_projections::integrity::FOUND;
use soonshop_service_kit::access::{Access, Role};
use soonshop_service_kit::health::{Fault, Health};
use soonshop_service_kit::problem::{Kind, Problem};
use soonshop_service_kit::refusal_pages::RefusalPages as _;

use crate::shop::*;

/// The page of a refusal at this address, for a visitor who was known by this key when it was refused.
async fn page(shop: &Shop, trail: bool, path: &str, role: Option<Role>, problem: &Problem) -> (u16, String) {
    page_beside(shop, Health::new(), trail, path, role, problem).await
}

/// The same of a process with these checks.
async fn page_beside(
    shop: &Shop,
    health: Health,
    trail: bool,
    path: &str,
    role: Option<Role>,
    problem: &Problem,
) -> (u16, String) {
    let request = Request::get(path).header("accept", "text/html");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let visitor = match role {
        Some(role) => {
            let bearer = format!("Bearer {}", shop.keys[&role]).parse().unwrap();
            let headers = [(AUTHORIZATION, bearer)].into_iter().collect();
            let access = Access::new(None).with_keys(shop.shelf.clone());
            Some(access.visitor(&headers).await.unwrap())
        }
        None => None,
    };
    let response = PagesOfRefusals::new(trail, health).page(&head, visitor, problem).await;
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn each_kind_of_refusal_is_a_page_in_both_languages_with_all_that_programs_get() {
    let shop = Shop::open().await;
    for (kind, slug, english, chinese) in [
        (Kind::NotFound, "no-such-path", "There is nothing at this address.", "此地址没有内容。"),
        (Kind::Forbidden, "not-permitted", "Your role is not allowed to do this.", "角色"),
        (Kind::Malformed, "invalid-query", "A parameter of the address cannot be read.", "参数"),
        (
            Kind::MethodNotAllowed,
            "method-not-allowed",
            "This address cannot be used in this way.",
            "此地址不能这样使用。",
        ),
        (Kind::TooMany, "too-many-requests", "Too many requests from you", "请求"),
        (Kind::TooLarge, "body-too-large", "The form is too large.", "过大"),
        (Kind::UriTooLong, "uri-too-long", "The address is too long", "地址过长"),
        (Kind::Unavailable, "timed-out", "It took too long", "时间"),
        (Kind::Unavailable, "database-unavailable", "A database is not available right now", "数据库"),
        (Kind::Internal, "internal-error", "Something went wrong inside the shop.", "商店内部出错。"),
    ] {
        let problem = Problem::new(kind, slug, "the <detail>").with("limit", 7);
        let problem = problem.with_retry_after(Duration::from_secs(3));
        for path in ["/audit/nowhere", "/api/audit/timeline", "/orders/7"] {
            for (lang, says) in [("en", english), ("zh-CN", chinese)] {
                let (status, text) = page(&shop, true, &format!("{path}?lang={lang}"), None, &problem).await;
                assert_eq!(status, kind.status().as_u16(), "{slug}");
                assert!(
                    text.contains(says) && text.contains(&format!("<html lang=\"{lang}\"")),
                    "{slug}: {text}"
                );
                assert!(
                    text.contains("&quot;limit&quot;: 7") && !text.contains("<detail>"),
                    "{slug}: {text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_has_the_frame_of_the_pages_beside_it() {
    let shop = Shop::open().await;
    let nothing = Problem::not_found("no-such-path", "there is nothing at this path");
    let (_, guest) = page(&shop, true, "/audit/nowhere?lang=en", None, &nothing).await;
    assert!(guest.contains("href=\"/audit/sign-in") && !guest.contains("<nav"), "{guest}");
    let (_, known) = page(&shop, true, "/api/audit/nowhere?lang=en", Some(Role::Support), &nothing).await;
    assert!(known.contains("<nav") && known.contains("/audit/audit.js"), "{known}");
    // A process without the trail has no links into it.
    let (_, commands) = page(&shop, false, "/audit/timeline?lang=en", Some(Role::Support), &nothing).await;
    assert!(!commands.contains("href=\"/audit\"") && !commands.contains("audit.js"), "{commands}");
}

#[tokio::test]
async fn a_refusal_has_the_alarm_that_every_page_has_and_asks_for_none_where_there_is_too_much() {
    let shop = Shop::open().await;
    let found = Fault::of("log 3…7", FOUND, "integrity");
    let red = Health::new().add("integrity", None, None, false, move || {
        let found = found.clone();
        Box::pin(async move { Err(found) })
    });
    let nothing = Problem::not_found("no-such-path", "nothing is there");
    let busy = Problem::new(Kind::TooMany, "too-many-requests", "too much");
    for path in ["/audit/nowhere?lang=en", "/api/audit/timeline?lang=en"] {
        for (health, problem, alarmed) in
            [(red.clone(), &nothing, true), (Health::new(), &nothing, false), (red.clone(), &busy, false)]
        {
            let (_, text) = page_beside(&shop, health, true, path, Some(Role::Support), problem).await;
            assert_eq!(text.contains("Tampering was found."), alarmed, "{path}: {text}");
            assert_eq!(text.contains("3…7</span>"), alarmed, "{path}: {text}");
        }
    }
}
