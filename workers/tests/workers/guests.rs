//! Guests: one token each, what is kept of it, and when it ends.

use futures::future::{join_all, maybe_done};
use soonshop_domain::ids;
use soonshop_identity::Guest;
use uuid::Uuid;

use crate::fixture::{Shop, on_both};
use crate::recording::identity;

on_both!(
    a_guest_who_is_begun_many_times_at_once_has_one_token,
    hundreds_of_guests_who_begin_at_once_have_a_token_each,
    a_guest_is_stored_although_those_who_came_before_went_away,
    a_guest_who_went_away_before_they_were_stored_is_not_stored_with_others,
    the_token_of_a_guest_ends_90_days_after_its_last_use_and_with_an_erasure,
);

fn new_guest() -> Guest {
    Guest { id: Uuid::new_v4(), first_command: ids::new() }
}

const DAY: i64 = 24 * 60 * 60 * 1000;

async fn a_guest_who_is_begun_many_times_at_once_has_one_token(shop: Shop) {
    let _store = shop.store();
    let (here, there) = (identity(&shop), identity(&shop));
    here.prepare().await.unwrap();
    let (one, other) = (new_guest(), new_guest());
    let many = (0..16).map(|n| if n % 2 == 0 { here.begin_guest(one) } else { there.begin_guest(one) });
    let tokens: Vec<_> = join_all(many).await.into_iter().map(|made| made.unwrap().unwrap()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    let second = here.begin_guest(other).await.unwrap().unwrap();
    assert_ne!(second, tokens[0]);
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @guests").await, 2);
    assert_eq!(there.guest(&tokens[0]).await.unwrap(), Some(one));
    assert_eq!(there.guest(&second).await.unwrap(), Some(other));
    for bad in ["", "ssg_", &second.replace("ssg_", "ssr_"), &format!("{second}A")] {
        assert_eq!(there.guest(bad).await.unwrap(), None, "{bad}");
    }
    // Neither in the table, nor anything that opens.
    let sql = format!("SELECT count(*) FROM @guests WHERE token_hash LIKE '%{}%'", &second[4..]);
    assert_eq!(shop.number("identity", &sql).await, 0);
}

async fn hundreds_of_guests_who_begin_at_once_have_a_token_each(shop: Shop) {
    let _store = shop.store();
    let identity = identity(&shop);
    identity.prepare().await.unwrap();
    let guests: Vec<_> = (0..450).map(|_| new_guest()).collect();
    let begun = join_all(guests.iter().map(|guest| identity.begin_guest(*guest))).await;
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @guests").await, 450);
    for (guest, token) in guests.iter().zip(begun) {
        let token = token.unwrap().unwrap();
        assert_eq!(identity.guest(&token).await.unwrap(), Some(*guest));
    }
}

/// Whoever is the first of several stores all of them: here they go away after each step of it.
async fn a_guest_is_stored_although_those_who_came_before_went_away(shop: Shop) {
    let _store = shop.store();
    let identity = identity(&shop);
    identity.prepare().await.unwrap();
    for steps in 0..24 {
        let (first, second) = (new_guest(), new_guest());
        let mut gone = Box::pin(maybe_done(identity.begin_guest(first)));
        let mut stays = Box::pin(maybe_done(identity.begin_guest(second)));
        for _ in 0..steps {
            let _ = futures::poll!(&mut gone);
            let _ = futures::poll!(&mut stays);
            tokio::task::yield_now().await;
        }
        drop(gone);
        stays.as_mut().await;
        let token = stays.as_mut().take_output().unwrap().unwrap().unwrap();
        assert_eq!(identity.guest(&token).await.unwrap(), Some(second), "after {steps} steps");
        let token = identity.begin_guest(first).await.unwrap().unwrap();
        assert_eq!(identity.guest(&token).await.unwrap(), Some(first), "after {steps} steps");
    }
}

async fn a_guest_who_went_away_before_they_were_stored_is_not_stored_with_others(shop: Shop) {
    let _store = shop.store();
    let identity = identity(&shop);
    identity.prepare().await.unwrap();
    let gone: Vec<_> = (0..24).map(|_| new_guest()).collect();
    for (steps, guest) in gone.iter().enumerate() {
        // Another one is being stored meanwhile, so that this one waits.
        let mut first = Box::pin(maybe_done(identity.begin_guest(new_guest())));
        let mut second = Box::pin(maybe_done(identity.begin_guest(*guest)));
        for _ in 0..steps {
            let _ = futures::poll!(&mut first);
            let _ = futures::poll!(&mut second);
            tokio::task::yield_now().await;
        }
        drop(second);
        first.await;
        identity.erase_guest(guest.id, &[]).await.unwrap();
        identity.begin_guest(new_guest()).await.unwrap().unwrap();
        let sql = format!("SELECT count(*) FROM @guests WHERE id = '{}'", guest.id);
        assert_eq!(shop.number("identity", &sql).await, 0, "after {steps} steps");
    }
}

async fn the_token_of_a_guest_ends_90_days_after_its_last_use_and_with_an_erasure(shop: Shop) {
    let _store = shop.store();
    let identity = identity(&shop);
    identity.prepare().await.unwrap();
    let (one, other) = (new_guest(), new_guest());
    let token = identity.begin_guest(one).await.unwrap().unwrap();
    let second = identity.begin_guest(other).await.unwrap().unwrap();
    let back = async |days: i64| {
        shop.run("identity", &format!("UPDATE @guests SET used_at = used_at - {}", days * DAY)).await;
    };
    // To use it makes it last.
    for _ in 0..2 {
        back(89).await;
        identity.tend().await.unwrap();
        assert_eq!(identity.guest(&token).await.unwrap(), Some(one));
    }
    assert_eq!(identity.guest(&second).await.unwrap(), None, "it was not used for 178 days");
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @guests").await, 1);
    back(91).await;
    assert_eq!(identity.guest(&token).await.unwrap(), None);
    identity.tend().await.unwrap();
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @guests").await, 0);
    let token = identity.begin_guest(one).await.unwrap().unwrap();
    assert!(!identity.erase(one.id).await.unwrap(), "a guest is no account");
    assert_eq!(identity.guest(&token).await.unwrap(), None);
}
