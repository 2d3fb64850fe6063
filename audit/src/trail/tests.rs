//! A history is shown the same, whether its events are in memory or are read again.

use sea_orm::ConnectionTrait as _;
use serde_json::to_value;
use soonshop_domain::QueryErrorKind;
use soonshop_domain::product::{Command, Details, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::{Currency, Money, ids};

use super::*;
use crate::beside::beside;
use crate::changes::tests::{done, store};

#[tokio::test]
async fn a_history_that_is_too_long_for_the_memory_is_shown_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let (id, sku) = (ids::new(), Sku::try_new("mug").unwrap());
    let variants = vec![Variant { sku: sku.clone(), price: None }];
    done(
        &store,
        id,
        Command::Create { details: Details { name: "Mug".to_owned(), ..Details::default() }, variants },
    )
    .await;
    for amount in 1..=450 {
        done(&store, id, Command::SetPrice { sku: sku.clone(), price: Money::new(amount, Currency::GBP) })
            .await;
    }
    let short = Arc::new(Stream::read(store.log(), "product", id).await.unwrap().unwrap());
    let long = Arc::new(Stream::keeping(store.log(), "product", id, 10_000).await.unwrap().unwrap());
    assert!(short.event(1).is_some() && long.event(1).is_none(), "one is kept and the other is not");

    for (version, other, before) in [
        (1, 0, None),
        (451, 450, None),
        (451, 0, Some(1)),
        (200, 201, Some(201)),
        (300, 2, Some(5)),
        (60, 400, None),
    ] {
        let shown = |stream: &Arc<Stream>| {
            let stream = Arc::clone(stream);
            beside(move || stream.seen(Visibility::Masked, version, other, before, Some("")))
        };
        let (one, two) = (shown(&short).await.unwrap(), shown(&long).await.unwrap());
        assert_eq!(to_value(&two).unwrap(), to_value(&one).unwrap(), "{version} {other} {before:?}");
        assert!(one.events.len() <= 200 && one.blame.is_some());
    }
    for expected in [1, 199, 200, 201, 450, 451] {
        let found = |stream: &Arc<Stream>| {
            let stream = Arc::clone(stream);
            beside(move || stream.first_where(&[("/variants/mug/price/amount", &expected.to_string())]))
        };
        assert_eq!(found(&long).await.unwrap(), found(&short).await.unwrap(), "{expected}");
        let position = short.position_of(expected).unwrap();
        assert_eq!((long.position_of(expected), long.version_at(position)), (Some(position), Some(expected)));
    }
    let last = short.event(451).unwrap().recorded_at.timestamp_micros();
    assert_eq!((long.version_as_of(last), long.version_as_of(0), long.last()), (Some(451), None, 451));
    assert!(Stream::keeping(store.log(), "product", ids::new(), 0).await.unwrap().is_none());

    // Events that go missing while it is read are an error, and no shorter history.
    let connection = &store.log().db().connection;
    connection.execute_unprepared("DELETE FROM events WHERE sequence > 440").await.unwrap();
    let left = Arc::clone(&long);
    let missing = beside(move || left.trail(451, 450, None)).await.err().unwrap();
    assert_eq!((missing.kind(), missing.slug()), (QueryErrorKind::Unavailable, "history-unreadable"));
}
