//! Reports.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::inventory;
use soonshop_domain::order::{self, Line, Order, Refusal, credit_note};
use soonshop_event_store::{Answer, Expected, NewEvent, Outcome, Request};
use uuid::Uuid;

use crate::shop::*;

/// Two months of a shop, with figures that can be checked by hand.
async fn trade(shop: &Shop) {
    let ada = shop.user("Ada", "UK").await;
    shop.user("Ben", "France").await;
    shop.product("Mug", &["mug"], None).await;
    shop.product("Cup", &["cup"], None).await;
    shop.stock("mug", "main", inventory::Command::Receive { quantity: 100 }).await;
    shop.stock("cup", "main", inventory::Command::Receive { quantity: 50 }).await;
    shop.stock("cup", "north", inventory::Command::Receive { quantity: 5 }).await;
    shop.stock("mug", "main", inventory::Command::Adjust { quantity: -7, reason: "lost".into() }).await;
    shop.stock("cup", "main", inventory::Command::Adjust { quantity: 2, reason: "found".into() }).await;
    let order_id = OrderId(Uuid::nil());
    shop.stock("mug", "main", inventory::Command::Reserve { order_id, line: 1, quantity: 40 }).await;

    let euros = |mut line: Line| {
        line.price.currency = "EUR".parse().unwrap();
        line
    };
    let mut ids = Vec::new();
    for (number, customer, lines, country, day) in [
        (
            "1",
            user_id(ada),
            vec![line(1, "mug", 2, 500), line(2, "cup", 1, 300), line(3, "mug", 1, 450)],
            "UK",
            "2011-01-05T10:00:00Z",
        ),
        ("2", guest(), vec![line(1, "cup", 10, 300)], "France", "2011-01-31T23:59:59Z"),
        ("3", user_id(ada), vec![line(1, "mug", 4, 500)], "UK", "2011-02-01T00:00:00Z"),
        ("4", user_id(ada), vec![line(1, "mug", 100, 500)], "UK", "2011-01-06T00:00:00Z"),
        ("5", guest(), vec![line(1, "mug", 100, 500)], "Spain", "2011-02-06T00:00:00Z"),
        ("6", guest(), vec![euros(line(1, "mug", 1, 999))], "France", "2011-02-07T00:00:00Z"),
    ] {
        let id = ids::new();
        shop.command_at::<Order>(id, place_of(number, customer, lines, country), at(day)).await;
        ids.push(id);
    }
    let refusal = Refusal { line: 1, sku: sku("mug"), reason: "insufficient-stock".into() };
    shop.command_at::<Order>(ids[3], order::Command::Refuse { refusal }, at("2011-03-01T00:00:00Z")).await;
    shop.command_at::<Order>(
        ids[4],
        order::Command::Cancel { reason: "changed".into() },
        at("2011-04-01T00:00:00Z"),
    )
    .await;
    shop.command_at::<Order>(ids[0], order::Command::Confirm, at("2011-04-01T00:00:00Z")).await;
    let issue = credit_note::Command::Issue {
        number: "C1".to_owned(),
        customer: user_id(ada),
        lines: vec![line(1, "mug", 1, 450), line(2, "cup", 1, 300)],
        country: "UK".to_owned(),
    };
    shop.command_at::<credit_note::CreditNote>(ids::new(), issue, at("2011-02-10T00:00:00Z")).await;
}

#[tokio::test]
async fn sales_are_summed_by_period_and_group_without_refused_and_cancelled_orders() {
    let shop = Shop::open().await;
    trade(&shop).await;
    let rows = async |query: &str| {
        let got = shop.see(&format!("/analytics/sales?{query}")).await.ok();
        assert_eq!(got["more"], false);
        got["rows"].clone()
    };
    let row = |period: Value, key: Value, [orders, lines, units, revenue]: [i64; 4], currency: &str| json!({ "period": period, "key": key, "orders": orders, "lines": lines, "units": units, "revenue": revenue, "currency": currency });
    let none = Value::Null;
    let jan = json!("2011-01");
    let feb = json!("2011-02");
    assert_eq!(
        rows("").await,
        json!([
            row(none.clone(), none.clone(), [1, 1, 1, 999], "EUR"),
            row(none.clone(), none.clone(), [3, 5, 18, 6_750], "GBP")
        ])
    );
    assert_eq!(
        rows("interval=month&currency=GBP").await,
        json!([
            row(jan.clone(), none.clone(), [2, 4, 14, 4_750], "GBP"),
            row(feb, none.clone(), [1, 1, 4, 2_000], "GBP")
        ])
    );
    assert_eq!(
        rows("interval=day&from=2011-01-01&to=2011-02-01T00:00:00Z").await,
        json!([
            row(json!("2011-01-05"), none.clone(), [1, 3, 4, 1_750], "GBP"),
            row(json!("2011-01-31"), none.clone(), [1, 1, 10, 3_000], "GBP")
        ])
    );
    assert_eq!(
        rows("interval=year&currency=EUR").await,
        json!([row(json!("2011"), none.clone(), [1, 1, 1, 999], "EUR")])
    );
    assert_eq!(
        rows("group_by=country&currency=GBP").await,
        json!([
            row(none.clone(), json!("France"), [1, 1, 10, 3_000], "GBP"),
            row(none.clone(), json!("UK"), [2, 4, 8, 3_750], "GBP")
        ])
    );
    assert_eq!(
        rows("group_by=customer_kind&interval=month&to=2011-02-01").await,
        json!([
            row(jan.clone(), json!("guest"), [1, 1, 10, 3_000], "GBP"),
            row(jan, json!("user"), [1, 3, 4, 1_750], "GBP")
        ])
    );
    // Two lines of the same order are one order.
    assert_eq!(
        rows("group_by=sku&order_by=revenue&currency=GBP").await,
        json!([
            row(none.clone(), json!("MUG"), [2, 3, 7, 3_450], "GBP"),
            row(none.clone(), json!("CUP"), [2, 2, 11, 3_300], "GBP")
        ])
    );
    let by_units = rows("group_by=sku&order_by=units&currency=GBP").await;
    assert_eq!((&by_units[0]["key"], &by_units[1]["key"]), (&json!("CUP"), &json!("MUG")));
    assert_eq!(rows("group_by=product&currency=GBP").await.as_array().unwrap().len(), 2);
    assert_eq!(rows("from=2012-01-01").await, json!([]));
    let cut = shop.get("/analytics/sales?group_by=sku&limit=1&order_by=units").await.ok();
    assert_eq!((cut["rows"].as_array().unwrap().len(), &cut["more"]), (1, &json!(true)));
}

#[tokio::test]
async fn credits_movements_stock_and_the_summary_have_their_figures() {
    let shop = Shop::open().await;
    trade(&shop).await;
    let rows = async |path: &str| shop.see(path).await.ok()["rows"].clone();
    assert_eq!(
        rows("/analytics/credits?interval=month&group_by=country").await,
        json!([{ "period": "2011-02", "key": "UK", "credit_notes": 1, "lines": 2, "units": 2, "credited": 750, "currency": "GBP" }])
    );
    assert_eq!(rows("/analytics/credits?currency=EUR").await, json!([]));
    assert_eq!(
        rows("/analytics/stock-movements").await,
        json!([
            { "period": null, "key": "adjustment", "movements": 2, "units": -5 },
            { "period": null, "key": "receipt", "movements": 3, "units": 155 }
        ])
    );
    assert_eq!(
        rows("/analytics/stock-movements?kind=receipt&group_by=sku&order_by=units").await,
        json!([
            { "period": null, "key": "MUG", "movements": 1, "units": 100 },
            { "period": null, "key": "CUP", "movements": 2, "units": 55 }
        ])
    );
    assert_eq!(
        rows("/analytics/stock").await,
        json!([{ "period": null, "key": null, "stocks": 3, "on_hand": 150, "reserved": 40, "available": 110 }])
    );
    assert_eq!(
        rows("/analytics/stock?group_by=location&location=north").await,
        json!([{ "period": null, "key": "north", "stocks": 1, "on_hand": 5, "reserved": 0, "available": 5 }])
    );
    let got = shop.see("/analytics/summary").await;
    assert_eq!(
        got.ok(),
        json!({
            "orders": 4, "guest_orders": 2, "order_lines": 6, "units": 19,
            "revenue": [{ "amount": 999, "currency": "EUR" }, { "amount": 6_750, "currency": "GBP" }],
            "credit_notes": 1, "credit_lines": 2, "credited": [{ "amount": 750, "currency": "GBP" }],
            "products": 2, "customers": 2,
            "adjustments": 2, "adjusted_units": -5, "receipts": 3, "received_units": 155,
        })
    );
    assert_eq!(got.header("event-position"), format!("main:{}", shop.last.load(Ordering::SeqCst)));
    let february = shop.get("/analytics/summary?from=2011-02-01&to=2011-03-01").await.ok();
    assert_eq!(
        (&february["orders"], &february["customers"], &february["credit_notes"]),
        (&json!(2), &json!(0), &json!(1))
    );
}

#[tokio::test]
async fn reports_count_by_the_days_of_the_asked_time_zone() {
    let shop = Shop::open().await;
    for (n, moment) in [
        // The last moment of March and the first of April, in Shanghai.
        "2011-03-31T15:59:59.999999Z",
        "2011-03-31T16:00:00Z",
        // London's day of 23 hours, and its day of 25.
        "2011-03-27T00:00:00Z",
        "2011-03-27T22:59:59Z",
        "2011-03-27T23:00:00Z",
        "2011-10-29T23:00:00Z",
        "2011-10-30T23:59:59Z",
        "2011-10-31T00:00:00Z",
        // Before 1970, half a microsecond of a year.
        "1965-12-31T23:59:59.999999Z",
        "1966-01-01T00:00:00Z",
    ]
    .into_iter()
    .enumerate()
    {
        let command = place_of(&format!("T{n}"), guest(), vec![line(1, "mug", 1, 1 << n)], "UK");
        shop.command_at::<Order>(ids::new(), command, at(moment)).await;
    }
    // Each order's revenue is a bit: the sum says which orders are in it.
    let periods = async |query: &str| {
        let rows = shop.see(&format!("/analytics/sales?{query}")).await.ok()["rows"].clone();
        let row =
            |row: &Value| (row["period"].as_str().unwrap().to_owned(), row["revenue"].as_i64().unwrap());
        rows.as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let expect = |rows: &[(&str, i64)]| -> Vec<(String, i64)> {
        rows.iter().map(|(period, orders)| ((*period).to_owned(), *orders)).collect()
    };
    assert_eq!(
        periods("interval=month&tz=Asia/Shanghai&from=2011-01-01").await,
        expect(&[("2011-03", 0b1_1101), ("2011-04", 0b10), ("2011-10", 0b1110_0000)]),
    );
    // The days of Shanghai bound what is counted, too.
    assert_eq!(
        periods("interval=month&tz=Asia/Shanghai&from=2011-04-01&to=2011-05-01").await,
        expect(&[("2011-04", 0b10)])
    );
    assert_eq!(
        periods("interval=day&tz=Europe/London&from=2011-03-27&to=2011-03-29").await,
        expect(&[("2011-03-27", 0b1100), ("2011-03-28", 0b1_0000)])
    );
    assert_eq!(
        periods("interval=day&tz=Europe/London&from=2011-10-30").await,
        expect(&[("2011-10-30", 0b0110_0000), ("2011-10-31", 0b1000_0000)])
    );
    assert_eq!(
        periods("interval=day&tz=America/New_York&from=2011-10-01&group_by=sku").await,
        expect(&[("2011-10-29", 0b0010_0000), ("2011-10-30", 0b1100_0000)])
    );
    assert_eq!(
        periods("interval=day&tz=Australia/Lord_Howe&from=2011-10-01").await,
        expect(&[("2011-10-30", 0b0010_0000), ("2011-10-31", 0b1100_0000)])
    );
    assert_eq!(
        periods("interval=year&to=2000-01-01").await,
        expect(&[("1965", 0b1_0000_0000), ("1966", 0b10_0000_0000)])
    );
    // In 1965 all of these clocks were ahead of UTC, or behind it.
    for (zone, year, orders) in
        [("Asia/Kathmandu", "1966", 0b11_0000_0000), ("America/New_York", "1965", 0b11_0000_0000)]
    {
        assert_eq!(
            periods(&format!("interval=year&to=2000-01-01&tz={zone}")).await,
            expect(&[(year, orders)])
        );
    }
    let summary =
        async |query: &str| shop.see(&format!("/analytics/summary?{query}")).await.ok()["orders"].clone();
    assert_eq!(summary("tz=Asia/Shanghai&from=2011-04-01&to=2011-05-01").await, 1);
    assert_eq!(summary("from=2011-04-01&to=2011-05-01").await, 0);
    for path in ["sales", "credits", "stock-movements", "stock", "summary"] {
        assert_eq!(shop.see(&format!("/analytics/{path}?tz=Asia/Shanghai")).await.status, 200, "{path}");
        let refused = shop.see(&format!("/analytics/{path}?tz=Mars")).await;
        assert_eq!(refused.refused(), (400, "invalid-query".into()), "{path}");
        assert!(refused.text.contains("such as Europe/London"), "{}", refused.text);
    }
    let facts = shop.see("/analytics/credits?interval=day&tz=Europe/London").await;
    assert_eq!(facts.ok()["rows"], json!([]));
}

/// Writes an order as an earlier release did, which had no ceiling of amounts.
async fn placed_earlier(shop: &Shop, number: &str, lines: Vec<Line>) {
    let (id, total) = (ids::new().to_string(), lines[0].price);
    let payload = json!({ "OrderPlaced": {
        "number": number, "customer": guest(), "lines": lines, "total": total, "country": "UK", "contact": {},
    }});
    let request = Request {
        command_id: ids::new(),
        fingerprint: vec![7; 32],
        record: false,
        answer: Answer::default(),
        streams: vec![Expected {
            aggregate_type: "order",
            aggregate_id: id.clone(),
            sequence: 0,
            event_id: None,
        }],
        claims: Vec::new(),
        frees: Vec::new(),
        claim_keys: Vec::new(),
        events: vec![NewEvent {
            aggregate_type: "order",
            aggregate_id: id,
            sequence: 1,
            event_type: "OrderPlaced".into(),
            event_version: "1".into(),
            payload: payload.to_string(),
            metadata: "{}".to_owned(),
            event_id: ids::new(),
            occurred_at: soonshop_domain::clock::now(),
        }],
        deadline: tokio::time::Instant::now() + std::time::Duration::from_mins(1),
    };
    let done = shop.store.appender().submit(request).await.unwrap();
    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
    shop.written(shop.store.log().head().await.unwrap().position);
}

/// Amounts that large come from an earlier release, and are read as they were stored.
#[tokio::test]
async fn sums_beyond_a_bigint_are_exact() {
    let shop = Shop::open().await;
    for number in ["1", "2", "3"] {
        placed_earlier(&shop, number, vec![line(1, "gold", 1, i64::MAX)]).await;
    }
    let got = shop.see("/analytics/sales?order_by=revenue").await;
    assert_eq!(got.status, 200);
    let sum = (i128::from(i64::MAX) * 3).to_string();
    assert!(got.text.contains(&format!("\"revenue\":{sum}")), "{}", got.text);
    assert!(shop.see("/analytics/summary").await.text.contains(&sum));
    assert!(shop.see("/analytics/sales?group_by=sku&order_by=revenue").await.text.contains(&sum));
}

#[tokio::test]
async fn an_order_that_was_credited_and_cancelled_counts_once_whichever_came_first() {
    let shop = Shop::open().await;
    let mut orders = Vec::new();
    for number in ["kept", "credited, then cancelled", "cancelled, then credited by an earlier release"] {
        let id = ids::new();
        let placed = place_of(number, guest(), vec![line(1, "mug", 4, 500)], "UK");
        shop.command_at::<Order>(id, placed, at("2011-01-05T10:00:00Z")).await;
        orders.push(id);
    }
    let cancel = || order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    let credit = async |order: Uuid, number: &str| {
        let issue = credit_note::Command::IssueForOrder {
            number: number.to_owned(),
            order_id: OrderId(order),
            customer: guest(),
            lines: vec![line(1, "mug", 1, 500)],
            order_lines: vec![1],
            country: "UK".to_owned(),
        };
        shop.command_at::<credit_note::CreditNote>(ids::new(), issue, at("2011-02-05T10:00:00Z")).await;
    };
    credit(orders[0], "C1").await;
    credit(orders[1], "C2").await;
    shop.command::<Order>(orders[1], cancel()).await;
    shop.command::<Order>(orders[2], cancel()).await;
    credit(orders[2], "C3").await;
    let free = credit_note::Command::Issue {
        number: "C4".to_owned(),
        customer: guest(),
        lines: vec![line(1, "mug", 1, 70)],
        country: "UK".to_owned(),
    };
    shop.command_at::<credit_note::CreditNote>(ids::new(), free, at("2011-02-06T10:00:00Z")).await;

    let sales = shop.see("/analytics/sales").await.ok()["rows"].clone();
    assert_eq!((&sales[0]["orders"], &sales[0]["revenue"]), (&json!(1), &json!(2_000)));
    let credits = shop.get("/analytics/credits?interval=month").await.ok()["rows"].clone();
    assert_eq!(
        credits,
        json!([{ "period": "2011-02", "key": null, "credit_notes": 2, "lines": 2, "units": 2, "credited": 570,
                 "currency": "GBP" }])
    );
    let summary = shop.get("/analytics/summary").await.ok();
    assert_eq!(
        (
            &summary["orders"],
            &summary["revenue"][0]["amount"],
            &summary["credit_notes"],
            &summary["credited"][0]["amount"]
        ),
        (&json!(1), &json!(2_000), &json!(2), &json!(570))
    );
    // The notes themselves stay, and each order says what was credited of it.
    assert_eq!(shop.see("/credit-notes").await.items().len(), 4);
    for order in orders {
        assert_eq!(shop.get(&format!("/orders/{order}")).await.ok()["credited"]["amount"], 500);
    }
}
