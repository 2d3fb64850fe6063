//! The context `__name__` over HTTP, in an embedded shop of the test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::json;

#[path = "fixture/embedded.rs"]
mod embedded;

use embedded::Embedded;

#[tokio::test(flavor = "multi_thread")]
async fn a___name___is_opened_read_listed_and_closed() {
    let shop = Embedded::start().await;
    let wrong = shop.post("/__name__", &json!({ "label": "Free text" })).await;
    assert_eq!((wrong.status, wrong.json["pointer"].as_str()), (422, Some("/label")), "{}", wrong.json);

    let opened = shop.post("/__name__", &json!({ "label": "gold" })).await;
    assert_eq!(opened.status, 201, "{}", opened.json);
    let id = opened.json["id"].as_str().unwrap().to_owned();
    let path = format!("/__name__/{id}");

    let read = shop.get(&path, &opened.position).await;
    assert_eq!(read.status, 200, "{}", read.json);
    assert_eq!((&read.json["label"], &read.json["status"]), (&json!("gold"), &json!("open")));

    let closed = shop.post(&format!("{path}/closure"), &json!({ "reason": "not-needed" })).await;
    assert_eq!(closed.status, 200, "{}", closed.json);
    let list = shop.get("/__name__?status=closed", &closed.position).await;
    assert_eq!(list.json["items"][0]["id"], json!(id), "{}", list.json);
    let open = shop.get("/__name__?status=open", &closed.position).await;
    assert_eq!(open.json["items"], json!([]), "{}", open.json);

    let before = shop.get(&format!("{path}?as_of=v:1"), &closed.position).await;
    assert_eq!(before.json["state"]["status"], json!("open"), "{}", before.json);

    let nobody = "/__name__/00000000-0000-7000-8000-000000000001/closure";
    let refused = shop.post(nobody, &json!({ "reason": "not-needed" })).await;
    assert_eq!((refused.status, &refused.json["type"]), (404, &json!("/problems/__name__-not-found")));
    shop.stop().await;
}
