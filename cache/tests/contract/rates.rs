//! The contract of rates: the same tests in this process and on a real Redis. Most rates are of an hour, so that nothing
//! is given back while a test runs, however slow the machine is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use soonshop_cache::{Rate, Rates, connect_rates};
use uuid::Uuid;

use crate::redis_url;

const HOUR: Duration = Duration::from_hours(1);

fn rate(count: u32, window: Duration) -> Rate {
    Rate::new(count, window).unwrap()
}

/// With a prefix for one test.
fn in_redis() -> Arc<dyn Rates> {
    connect_rates(&format!("{}?prefix=test-{}:", redis_url(), Uuid::new_v4().simple())).unwrap()
}

async fn a_caller_above_the_rate_gets_the_time_to_try_again(rates: Arc<dyn Rates>) {
    let five = rate(5, HOUR);
    for left in (0..5).rev() {
        let taken = rates.take("a", five).await.unwrap();
        assert!(taken.allowed && taken.retry_after.is_zero(), "{taken:?}");
        assert_eq!(taken.left, left);
        assert!(taken.full_after <= HOUR && !taken.full_after.is_zero(), "{taken:?}");
    }
    let refused = rates.take("a", five).await.unwrap();
    assert_eq!((refused.allowed, refused.left), (false, 0));
    assert!(!refused.retry_after.is_zero() && refused.retry_after <= HOUR / 5, "{refused:?}");
    assert!(refused.full_after > HOUR / 5 * 4 && refused.full_after <= HOUR, "{refused:?}");
    rates.examine().await.unwrap();
}

async fn a_refusal_costs_nothing(rates: Arc<dyn Rates>) {
    let two = rate(2, HOUR);
    while rates.take("a", two).await.unwrap().allowed {}
    let mut wait = rates.take("a", two).await.unwrap().retry_after;
    for _ in 0..50 {
        let again = rates.take("a", two).await.unwrap();
        assert!(!again.allowed && again.retry_after <= wait, "{again:?} after {wait:?}");
        wait = again.retry_after;
    }
}

async fn callers_of_any_name_are_counted_apart(rates: Arc<dyn Rates>) {
    let one = rate(1, HOUR);
    let long = "x".repeat(5_000);
    let names = ["", "a", "a:b", "A", "価", "a b\r\n", "*", "writes:key:7", long.as_str()];
    for name in names {
        assert!(rates.take(name, one).await.unwrap().allowed, "{name:.20}");
    }
    for name in names {
        assert!(!rates.take(name, one).await.unwrap().allowed, "{name:.20}");
    }
}

async fn of_many_at_once_only_so_many_get_through(rates: Arc<dyn Rates>) {
    let ten = rate(10, HOUR);
    let calls = (0..100).map(|_| {
        let rates = Arc::clone(&rates);
        tokio::spawn(async move { rates.take("a", ten).await.unwrap().allowed })
    });
    let calls: Vec<_> = calls.collect();
    let mut allowed = 0;
    for call in calls {
        allowed += u32::from(call.await.unwrap());
    }
    assert_eq!(allowed, 10);
}

async fn what_was_taken_is_given_back(rates: Arc<dyn Rates>) {
    let quick = rate(1, Duration::from_secs(1));
    let begun = Instant::now();
    while rates.take("a", quick).await.unwrap().allowed {
        assert!(begun.elapsed() < Duration::from_mins(1), "no limit was reached");
    }
    while !rates.take("a", quick).await.unwrap().allowed {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing was given back");
        tokio::task::yield_now().await;
    }
}

async fn another_rate_counts_from_the_next_request_on(rates: Arc<dyn Rates>) {
    for _ in 0..6 {
        assert!(rates.take("a", rate(10, HOUR)).await.unwrap().allowed);
    }
    // The same part of the lower rate is taken, and nobody waits for longer than all of it takes.
    let lower = rates.take("a", rate(2, HOUR)).await.unwrap();
    assert!(!lower.allowed && lower.retry_after <= HOUR / 2, "{lower:?}");
    let shorter = rates.take("a", rate(2, Duration::from_mins(1))).await.unwrap();
    assert!(!shorter.allowed && shorter.full_after <= Duration::from_mins(1), "{shorter:?}");
    let higher = rates.take("a", rate(1_000, HOUR)).await.unwrap();
    assert!(higher.allowed && higher.left < 500, "{higher:?}");
}

async fn the_highest_rate_is_counted(rates: Arc<dyn Rates>) {
    let most = rate(1_000_000, Duration::from_hours(24));
    assert_eq!(rates.take("a", most).await.unwrap().left, 999_999);
    assert!(rates.take("a", rate(1_000_000, Duration::from_secs(1))).await.unwrap().allowed);
}

macro_rules! contract {
    ($($sentence:ident),+ $(,)?) => {
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(soonshop_cache::connect_rates("moka:").unwrap()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::in_redis()).await;
            })+
        }
    };
}

contract![
    a_caller_above_the_rate_gets_the_time_to_try_again,
    a_refusal_costs_nothing,
    callers_of_any_name_are_counted_apart,
    of_many_at_once_only_so_many_get_through,
    what_was_taken_is_given_back,
    another_rate_counts_from_the_next_request_on,
    the_highest_rate_is_counted,
];

/// Two processes of the shop.
#[tokio::test]
async fn redis_counts_for_all_processes_and_forgets_a_caller_who_has_all_back() {
    let prefix = format!("test-{}:", Uuid::new_v4().simple());
    let url = format!("{}?prefix={prefix}", redis_url());
    let (one, other) = (connect_rates(&url).unwrap(), connect_rates(&url).unwrap());
    let two = rate(2, HOUR);
    assert!(one.take("a", two).await.unwrap().allowed);
    assert!(other.take("a", two).await.unwrap().allowed);
    assert!(!one.take("a", two).await.unwrap().allowed);
    let client = ::redis::Client::open(redis_url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let life: i64 = ::redis::cmd("PTTL").arg(format!("{prefix}rate:a")).query_async(&mut raw).await.unwrap();
    assert!((1..=3_600_000).contains(&life), "{life}");
}

#[tokio::test]
async fn an_unreachable_redis_is_an_error_and_not_an_answer() {
    let rates = connect_rates("redis://127.0.0.1:1/0").unwrap();
    for _ in 0..3 {
        rates.take("a", rate(1, HOUR)).await.unwrap_err();
        rates.examine().await.unwrap_err();
    }
}
