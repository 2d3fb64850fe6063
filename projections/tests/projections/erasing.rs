//! A person who is erased is gone from the rows, whenever they were made.

use std::sync::Arc;

use soonshop_domain::{Purpose, order};
use soonshop_projections::order::Orders;
use soonshop_projections::user::Users;
use soonshop_projections::{Feed, Generation, Projector};

use crate::fixture::{Running, Shop, Writer, on_both};
use crate::history::{
    ADDRESS, EMAIL, NAME, PHONE, changed, erased, erasure_requested, guest, line, placed, registered, uuid,
};

on_both!(
    rows_that_were_there_lose_what_is_personal_and_come_out_as_if_made_after,
    a_value_that_slipped_in_between_request_and_confirmation_is_cleaned_too,
    only_the_purposes_that_are_named_are_cleaned,
);

const BOTH: [Purpose; 2] = [Purpose::Account, Purpose::Invoice];

async fn holds(shop: &Shop, generation: &Generation, texts: &[&str]) -> bool {
    let rows = shop.rows(generation).await.to_string();
    texts.iter().any(|text| rows.contains(text))
}

async fn rows_that_were_there_lose_what_is_personal_and_come_out_as_if_made_after(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let projectors: [Arc<dyn Projector>; 2] = [Arc::new(Users), Arc::new(Orders)];
    let generations = [shop.generation(&*projectors[0]).await, shop.generation(&*projectors[1]).await];
    let mut running = Running::new(Feed::new(shop.log()));
    for (projector, generation) in projectors.iter().zip(&generations) {
        running.keep_rows(&shop, Arc::clone(projector), generation);
    }
    writer.write(uuid(1), registered(uuid(1))).await;
    writer.write(uuid(2), registered(uuid(2))).await;
    for (number, buyer) in [(10, 1), (11, 2), (12, 1)] {
        let order = placed(&format!("S-{number}"), guest(buyer), vec![line(1, "MUG", 1, 100)]);
        writer.write(uuid(number), order).await;
    }
    let last = writer.write(uuid(1), changed(uuid(1))).await;
    for generation in &generations {
        shop.reach(generation, last).await;
        assert!(holds(&shop, generation, &[NAME]).await);
    }
    writer.store.keys().erase(uuid(1), &BOTH).await.unwrap();
    writer.write(uuid(1), erasure_requested()).await;
    writer.write(uuid(10), order::Event::OrderConfirmed {}).await;
    let last = writer.write(uuid(1), erased()).await;
    for (projector, generation) in projectors.iter().zip(&generations) {
        shop.reach(generation, last).await;
        let one = shop.rows(generation).await.to_string();
        assert_eq!(one.matches(NAME).count(), 1, "the other person's is left: {one}");
        let replayed = shop.generation(&**projector).await;
        shop.project(Arc::clone(projector), &replayed).await;
        assert_eq!(shop.rows(generation).await, shop.rows(&replayed).await);
    }
    running.stop().await;
}

async fn a_value_that_slipped_in_between_request_and_confirmation_is_cleaned_too(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Orders).await;
    let running = shop.start(Arc::new(Orders), &generation);
    let order = |number: u128| placed(&format!("S-{number}"), guest(1), vec![line(1, "MUG", 1, 100)]);
    writer.write(uuid(10), order(10)).await;
    writer.write(uuid(1), erasure_requested()).await;
    // By a process that has not heard of it yet.
    let last = writer.write(uuid(11), order(11)).await;
    shop.reach(&generation, last).await;
    assert!(holds(&shop, &generation, &[NAME]).await);
    writer.store.keys().erase(uuid(1), &BOTH).await.unwrap();
    let last = writer.write(uuid(1), erased()).await;
    shop.reach(&generation, last).await;
    assert!(!holds(&shop, &generation, &[NAME, EMAIL, PHONE, ADDRESS]).await);
    running.stop().await;
}

async fn only_the_purposes_that_are_named_are_cleaned(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (users, orders) = (shop.generation(&Users).await, shop.generation(&Orders).await);
    writer.write(uuid(1), registered(uuid(1))).await;
    writer.write(uuid(10), placed("S-10", guest(1), vec![line(1, "MUG", 1, 100)])).await;
    writer.store.keys().erase(uuid(1), &[Purpose::Account]).await.unwrap();
    let purposes = vec![Purpose::Account];
    writer
        .write(uuid(1), soonshop_domain::user::person::Event::ErasureRequested { purposes: purposes.clone() })
        .await;
    writer.write(uuid(1), soonshop_domain::user::person::Event::PersonErased { purposes }).await;
    shop.project(Arc::new(Users), &users).await;
    shop.project(Arc::new(Orders), &orders).await;
    assert!(!holds(&shop, &users, &[NAME, EMAIL, PHONE]).await);
    assert!(holds(&shop, &orders, &[NAME]).await, "what the law makes a shop keep outlives the account");
}
