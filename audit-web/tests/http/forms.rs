//! Forms that are refused: each comes back with what was typed, the field at fault marked and the reason in the language
//! of the page; a password or a key never does.

use axum::body::Body;
use axum::http::Request;
use soonshop_service_kit::access::Role;

use crate::shop::*;

/// The page of a refused form, in this language.
async fn refused(shop: &Shop, role: Option<Role>, path: &str, lang: &str, form: &[(&str, &str)]) -> Got {
    shop.post_as(role, &format!("{path}?lang={lang}"), form).await
}

/// The element with this attribute.
fn element<'t>(text: &'t str, attribute: &str) -> &'t str {
    let at = text.find(attribute).unwrap_or_else(|| panic!("no {attribute} in {text}"));
    let from = text[..at].rfind('<').unwrap();
    let rest = &text[from..];
    &rest[..rest.find('>').unwrap()]
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_refused_form_comes_back_with_what_was_typed_the_field_marked_and_the_reason_in_the_language() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let thing = format!("/audit/a/product/{id}");
    let long = "a<b\"c ".repeat(400);
    for (path, role, form, at_fault, kept, english, chinese) in [
        (
            thing.clone(),
            Role::Auditor,
            vec![("reason", "ab")],
            "reason",
            "value=\"ab\"",
            "Give a reason of at least three characters.",
            "请填写至少三个字符的原因。",
        ),
        (
            format!("{thing}/notes"),
            Role::Support,
            vec![("version", "1"), ("text", "he\n<rang>"), ("tags", "Late"), ("shared", "1")],
            "tags",
            "he\n&lt;rang&gt;</textarea>",
            "Each tag has 1 to 32",
            "每个标签",
        ),
        (
            format!("{thing}/notes"),
            Role::Support,
            vec![("version", "1"), ("text", long.as_str())],
            "text",
            "a&lt;b&quot;c a&lt;b&quot;c",
            "It is longer than 2,000 bytes.",
            "超过 2000 字节",
        ),
        (
            "/audit/integrity/acknowledgements".to_owned(),
            Role::Ops,
            vec![("from", "3"), ("upto", "7"), ("reason", "no")],
            "reason",
            "name=\"upto\" value=\"7\"",
            "Give a reason of at least three characters.",
            "请填写至少三个字符的原因。",
        ),
        (
            "/audit/look-up".to_owned(),
            Role::Support,
            vec![("value", "ada*")],
            "value",
            "value=\"ada*\"",
            "Give the whole value",
            "请填写完整的值",
        ),
        (
            "/audit/views".to_owned(),
            Role::Support,
            vec![("title", "!?"), ("query", "q=mug&type=Order*")],
            "title",
            "name=\"query\" value=\"q=mug&amp;type=Order*\"",
            "A name needs at least one letter or digit.",
            "名称至少需要一个字母或数字。",
        ),
        (
            "/audit/integrity".to_owned(),
            Role::Ops,
            vec![("of", "log"), ("from", "0"), ("upto", "7")],
            "from",
            "value=\"7\"",
            "Give a whole number",
            "请填写此项范围内的整数。",
        ),
        (
            "/audit/parked/retries".to_owned(),
            Role::Ops,
            vec![("generation", "rm_orders_1"), ("like", "1"), ("reason", long.as_str())],
            "reason",
            "name=\"generation\" value=\"rm_orders_1\"",
            "It is longer than 2,000 bytes.",
            "超过 2000 字节",
        ),
        (
            "/audit/jump".to_owned(),
            Role::Support,
            vec![("id", long.as_str())],
            "id",
            "a&lt;b&quot;c",
            "It is longer than 2,000 bytes.",
            "超过 2000 字节",
        ),
    ] {
        for (lang, sentence) in [("en", english), ("zh-CN", chinese)] {
            let got = refused(&shop, Some(role), &path, lang, &form).await;
            assert_eq!(got.status, 400, "{path}: {}", got.text);
            let text = &got.text;
            assert!(text.contains(&format!("<html lang=\"{lang}\"")), "{path}: {text}");
            assert!(text.contains(kept), "{path} has not {kept}: {text}");
            let field = element(text, "aria-invalid=\"true\"");
            assert!(
                field.contains(&format!("name=\"{at_fault}\""))
                    && field.contains("aria-describedby=\"fault\""),
                "{path}: {field}"
            );
            let about = &text[text.find("id=\"fault\"").unwrap()..];
            assert!(about[..about.find("</p>").unwrap()].contains(sentence), "{path}: {about}");
            let form = element(text, "class=\"column again\"");
            assert!(form.contains(&format!("action=\"{path}?lang={lang}\"")), "{path}: {form}");
            assert!(!text.contains("of the address cannot be read"), "{path}: {text}");
        }
    }
    let note = refused(
        &shop,
        Some(Role::Support),
        &format!("{thing}/notes"),
        "en",
        &[("version", "1"), ("text", "x"), ("tags", "Late"), ("shared", "1")],
    )
    .await;
    assert!(element(&note.text, "name=\"shared\"").contains(" checked"), "{}", note.text);
}

#[tokio::test]
async fn a_form_that_conflicts_comes_back_too() {
    let shop = Shop::open().await;
    let view = [("title", "refunds"), ("query", "q=mug")];
    assert_eq!(shop.post_as(Some(Role::Ops), "/audit/views", &view).await.status, 303);
    for (lang, sentence) in [("en", "choose another name"), ("zh-CN", "请换一个名称")] {
        let got = refused(&shop, Some(Role::Support), "/audit/views", lang, &view).await;
        assert_eq!(got.status, 409);
        assert!(got.text.contains(sentence), "{}", got.text);
        assert!(element(&got.text, "name=\"title\"").contains("value=\"refunds\""), "{}", got.text);
    }
}

#[tokio::test]
async fn what_was_typed_is_not_lost_where_the_session_has_ended() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let notes = format!("/audit/a/product/{id}/notes");
    let form = [("version", "1"), ("text", "a long note"), ("tags", "late")];
    for lang in ["en", "zh-CN"] {
        let got = refused(&shop, None, &notes, lang, &form).await;
        assert_eq!(got.status, 403);
        assert!(got.text.contains("a long note</textarea>"), "{}", got.text);
        assert!(got.text.contains(&format!("href=\"/audit/sign-in?lang={lang}\" target")), "{}", got.text);
    }
    // A form without text leads to the sign-in page, as a page does.
    assert_eq!(shop.post_as(None, &format!("{notes}?lang=en"), &[("version", "1")]).await.status, 303);
}

#[tokio::test]
async fn a_form_that_another_site_sent_is_not_given_back() {
    let shop = Shop::open().await;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "https://evil.example"),
        ("host", "shop.example"),
    ];
    for role in [Some(Role::Support), None] {
        let body = Body::from("title=planted&query=q%3Dplanted");
        let got = shop.send(role, Request::post("/audit/views?lang=en"), &headers, body).await;
        assert!(!got.text.contains("planted"), "{} {}", got.status, got.text);
    }
}

#[tokio::test]
async fn a_password_or_a_key_never_comes_back() {
    let shop = Shop::open().await;
    let key = format!("ssk_5c73ca50_{}", "s".repeat(43));
    let long = format!("{key}{}", "x".repeat(2_000));
    for (path, form) in [
        ("/audit/sign-in", vec![("key", key.as_str()), ("to", "/audit/timeline")]),
        ("/audit/sign-in", vec![("key", long.as_str())]),
        ("/audit/sign-in", vec![("email", "ada@example.org"), ("password", key.as_str())]),
        ("/audit/sign-in", vec![("email", "ada@example.org"), ("password", long.as_str())]),
        ("/audit/sign-in", vec![("nothing", key.as_str()), ("key", key.as_str())]),
        ("/audit/jump", vec![("id", long.as_str())]),
        ("/audit/views", vec![("title", key.as_str()), ("query", "q=type:[")]),
    ] {
        for (lang, role) in [("en", None), ("zh-CN", Some(Role::Support))] {
            let got = refused(&shop, role, path, lang, &form).await;
            assert!(got.status >= 400, "{path} {form:?}: {}", got.status);
            assert!(!got.text.contains("sssss") && !got.text.contains("xxxx"), "{path}: {}", got.text);
        }
    }
    let again = [("key", long.as_str()), ("to", "/audit/timeline?q=mug")];
    let got = refused(&shop, None, "/audit/sign-in", "zh-CN", &again).await;
    assert!(
        got.text.contains("value=\"/audit/timeline?q=mug\"") && got.text.contains("超过 2000 字节"),
        "{}",
        got.text
    );
}
