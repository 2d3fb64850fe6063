//! The page at `/`: for people in both languages, for programs as JSON, on processes of any role, well or not.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use futures::FutureExt as _;
use serde_json::{Value, json};
use soonshop_audit_web::front::{self, Document, Front};
use soonshop_service_kit::access::{Access, Role};
use soonshop_service_kit::health::{Fault, Health};
use soonshop_service_kit::serve::stack;
use tower::ServiceExt as _;

use crate::shop::Got;

const DOCUMENTS: &[Document] =
    &[Document { name: "readme", translated: true }, Document { name: "api", translated: false }];

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const WHY: &str = "postgres <b>is</b> away";

/// A process that serves everything, and is well.
fn front() -> Front {
    Front {
        role: "all",
        contexts: vec!["user", "order", "audit"],
        health: Health::new().check("event-store", async || Ok(())).check("keys", async || Ok(())),
        access: Access::new(None),
        trail: true,
        documents: DOCUMENTS,
    }
}

/// One that only takes commands.
fn of_commands() -> Front {
    Front { role: "command-api", contexts: vec!["order"], trail: false, ..front() }
}

fn served(front: Front) -> Router {
    stack(front::router(front))
}

async fn send(router: &Router, request: Builder) -> Got {
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// The request of a browser.
async fn page(router: &Router, path: &str) -> Got {
    send(router, Request::get(path).header("accept", BROWSER)).await
}

#[tokio::test]
async fn the_page_says_what_the_process_is_and_whether_it_works_in_both_languages() {
    let router = served(front());
    let languages: [(&str, &[&str]); 2] = [
        (
            "en",
            &[
                "This process can do its work",
                "This process does everything",
                "Orders and credit notes",
                "Sign in",
                "href=\"/documentation/readme\"",
            ],
        ),
        (
            "zh-CN",
            &[
                "此进程可以正常工作",
                "此进程承担全部工作",
                "订单和贷记单",
                "登录",
                "href=\"/documentation/readme.zh-CN\"",
            ],
        ),
    ];
    for (tag, words) in languages {
        let got = page(&router, &format!("/?lang={tag}")).await;
        assert_eq!((got.status, got.header("content-type")), (200, "text/html; charset=utf-8"));
        let policy = got.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"));
        assert_eq!(
            (got.header("cache-control"), got.header("x-content-type-options")),
            ("no-store", "nosniff")
        );
        assert!(got.header("vary").contains("accept, accept-language, cookie"));
        assert!(got.text.contains(&format!("<html lang=\"{tag}\"")));
        for word in words {
            assert!(got.text.contains(word), "{tag}: {word}\n{}", got.text);
        }
        for way in ["/docs", "/openapi.json", "/health/ready", "/health/live", "/health/audit", "/metrics"] {
            assert!(got.text.contains(&format!("href=\"{way}\"")), "{way}");
        }
        assert!(got.text.contains(&format!("href=\"/audit?lang={tag}\"")), "{}", got.text);
        for never in ["<script", "style=", "<nav", "http://", "https://", "page-", "front-"] {
            assert!(!got.text.contains(never), "{tag}: {never}\n{}", got.text);
        }
    }
}

#[tokio::test]
async fn the_language_is_that_of_the_address_then_of_the_cookie_then_of_the_browser() {
    let router = served(front());
    let tag = async |path: &str, cookie: &str, browser: &str| {
        let request = Request::get(path).header("accept", BROWSER);
        let got = send(&router, request.header("cookie", cookie).header("accept-language", browser)).await;
        let (_, rest) = got.text.split_once("<html lang=\"").unwrap();
        let tag = rest.split('"').next().unwrap().to_owned();
        (
            tag,
            got.headers
                .get_all("set-cookie")
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(tag("/", "", "zh-TW,zh;q=0.9").await, ("zh-CN".to_owned(), vec![]));
    assert_eq!(tag("/", "soonshop_lang=en", "zh-CN").await.0, "en");
    let (chosen, cookies) = tag("/?lang=zh-CN", "soonshop_lang=en", "en").await;
    assert_eq!(chosen, "zh-CN");
    assert!(cookies[0].starts_with("soonshop_lang=zh-CN; Path=/; "), "{cookies:?}");
    // One of an earlier release would count before it under /audit.
    assert!(cookies[1].starts_with("soonshop_lang=; Path=/audit; Max-Age=0"), "{cookies:?}");
}

#[tokio::test]
async fn programs_get_the_same_as_json() {
    let router = served(front());
    for accept in [None, Some("*/*"), Some("application/json"), Some("application/json, text/html;q=0.9")] {
        let request = Request::get("/");
        let request = match accept {
            Some(accept) => request.header("accept", accept),
            None => request,
        };
        let got = send(&router, request).await;
        assert_eq!(got.header("content-type"), "application/json", "{accept:?}");
        let front = got.ok();
        assert_eq!(
            (&front["name"], &front["role"], &front["ready"]),
            (&json!("SoonShop"), &json!("all"), &json!(true))
        );
        assert_eq!(front["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(front["checks"][1]["name"], "keys");
        assert_eq!(front["contexts"][1], json!({ "name": "order", "about": "Orders and credit notes" }));
        assert_eq!(
            front["links"],
            json!({
                "api": "/docs",
                "openapi": "/openapi.json",
                "audit": "/audit",
                "documentation": { "readme": "/documentation/readme", "api": "/documentation/api" },
                "health": { "live": "/health/live", "ready": "/health/ready", "audit": "/health/audit" },
                "metrics": "/metrics",
            })
        );
    }
    let head = send(&router, Request::head("/")).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(send(&router, Request::post("/")).await.refused(), (405, "method-not-allowed".to_owned()));
}

#[tokio::test]
async fn an_unhealthy_process_names_the_failed_check() {
    let ill = || Front {
        health: Health::new()
            .check("event-store", async || Err(WHY.to_owned()))
            .check("keys", async || Ok(()))
            .check("unheard", async || Err("gone".to_owned())),
        ..front()
    };
    let router = served(ill());
    let english = page(&router, "/?lang=en").await;
    assert_eq!(english.status, 200);
    for part in [
        "This process cannot do all of its work right now.",
        "The event store does not work: <span lang=\"en\">postgres &lt;b&gt;is&lt;/b&gt; away</span>",
        "unheard: <span lang=\"en\">gone</span>",
        "role=\"alert\"",
    ] {
        assert!(english.text.contains(part), "{part}\n{}", english.text);
    }
    assert!(!english.text.contains("The keys of") && !english.text.contains("can do its work."));
    let chinese = page(&router, "/?lang=zh-CN").await.text;
    assert!(
        chinese.contains("此进程目前无法完成全部工作") && chinese.contains("事件存储无法正常工作："),
        "{chinese}"
    );
    let front: Value = send(&router, Request::get("/")).await.ok();
    assert_eq!((&front["ready"], &front["checks"][0]["reason"]), (&json!(false), &json!(WHY)));
}

#[tokio::test]
async fn where_others_reach_the_shop_a_guest_is_told_which_check_failed_and_not_why() {
    let ill = |access: Access| {
        let fault = || {
            let fault = Fault::of("postgres://10.0.0.5/shop", "/srv/data/log.sqlite is locked", "locked");
            async { Err(fault) }.boxed()
        };
        let health =
            Health::new().add("event-store", Some("postgres://10.0.0.5".to_owned()), None, true, fault);
        served(Front { health, access, ..front() })
    };
    let reached = Access::new(Some("token".into())).reached_by_others();
    let router = ill(reached.clone());
    for (lang, says) in [("en", "The event store does not work"), ("zh-CN", "事件存储无法正常工作")]
    {
        let got = page(&router, &format!("/?lang={lang}")).await.text;
        assert!(got.contains(says) && got.contains("role=\"alert\""), "{got}");
        assert!(!got.contains("10.0.0.5") && !got.contains("/srv/data"), "{got}");
    }
    let front: Value = send(&router, Request::get("/")).await.ok();
    let verdict = json!([{ "name": "event-store", "ok": false }]);
    assert_eq!((&front["ready"], &front["checks"]), (&json!(false), &verdict));
    let operator = Request::get("/").header("authorization", "Bearer token");
    let front: Value = send(&router, operator).await.ok();
    assert_eq!(front["checks"][0]["object"], "postgres://10.0.0.5/shop", "{front}");
}

#[tokio::test]
async fn a_process_without_the_trail_has_no_link_to_it_and_serves_its_own_style() {
    let router = served(of_commands());
    let got = page(&router, "/?lang=en").await;
    for part in [
        "This process takes commands.",
        "This process does not serve it.",
        "<code translate=\"no\">order</code>",
    ] {
        assert!(got.text.contains(part), "{part}\n{}", got.text);
    }
    for never in ["href=\"/audit\"", "href=\"/audit?", "/audit/sign-in", "/health/audit"] {
        assert!(!got.text.contains(never), "{never}\n{}", got.text);
    }
    for (path, kind) in
        [("/audit/audit.css", "text/css; charset=utf-8"), ("/audit/icon.svg", "image/svg+xml; charset=utf-8")]
    {
        assert!(got.text.contains(path));
        let file = send(&router, Request::get(path)).await;
        assert_eq!((file.status, file.header("content-type")), (200, kind));
    }
    let front = send(&router, Request::get("/")).await.ok();
    assert!(front["links"]["audit"].is_null() && front["links"]["health"]["audit"].is_null(), "{front}");
    let none = served(Front { role: "relay", contexts: Vec::new(), ..of_commands() });
    let got = page(&none, "/?lang=en").await.text;
    assert!(got.contains("It answers no requests about the shop."), "{got}");
}

#[tokio::test]
async fn who_is_signed_in_finds_the_ways_into_the_trail_and_whom_it_cannot_tell_is_a_guest() {
    let support = Access::everybody(Role::Support);
    let known = page(&served(Front { access: support.clone(), ..front() }), "/?lang=en").await.text;
    assert!(known.contains("<nav") && known.contains("href=\"/audit/timeline?lang=en\""), "{known}");
    assert!(known.contains("action=\"/audit/sign-out\""));
    let elsewhere = page(&served(Front { access: support, ..of_commands() }), "/").await.text;
    assert!(!elsewhere.contains("<nav") && !elsewhere.contains("/audit/sign-out"));
    let strange = Request::get("/").header("accept", BROWSER).header("authorization", "Bearer ssk_nothing");
    let got = send(&served(front()), strange).await;
    assert!(got.status == 200 && !got.text.contains("<nav"));
}

#[tokio::test]
async fn a_parameter_that_it_does_not_know_is_passed_over_on_the_page_and_refused_to_programs() {
    let router = served(front());
    for query in ["secret=1", "lang=fr", "tz=Nowhere", "lang=en&lang=en"] {
        let got = page(&router, &format!("/?{query}")).await;
        assert_eq!((got.status, got.header("content-type")), (200, "text/html; charset=utf-8"), "{query}");
        let name = query.split('=').next().unwrap();
        assert!(got.text.contains("class=\"missed\"") && got.text.contains(name), "{}", got.text);
        assert!(!got.text.contains(&format!("?{query}")), "no link repeats it: {}", got.text);
        let front = send(&router, Request::get(format!("/?{query}"))).await;
        assert_eq!(front.refused(), (400, "invalid-query".to_owned()), "{query}");
    }
}

/// Beside all that a shop serves: nothing has two handlers.
#[tokio::test]
async fn it_is_there_beside_the_viewer() {
    let shop = crate::shop::Shop::without_projectors().await;
    let router = shop.router.clone().merge(front::router(front()));
    let got = page(&router, "/?lang=en").await;
    assert!(got.status == 200 && got.text.contains("This process does everything"));
    let style = send(&router, Request::get("/audit/audit.css")).await;
    assert_eq!(style.status, 200);
}
