//! What each provider of payments has to do, whoever it is: the sandbox on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, Statement};
use soonshop_domain::payment::{Kind, Outcome};
use soonshop_domain::{Currency, Money, ids};
use soonshop_event_log::{Database, DatabaseLocation};
use soonshop_migrations::Namespace;
use soonshop_payments::{Order, Provider, Sandbox};
use uuid::Uuid;

/// A provider, and what has to stay while it is used.
struct Fixture {
    provider: Sandbox,
    folder: Option<tempfile::TempDir>,
    server: Option<(Database, String)>,
}

impl Fixture {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(DatabaseLocation::Sqlite(folder.path().join("data")));
        Self { provider: provider(&database).await, folder: Some(folder), server: None }
    }

    async fn postgres() -> Self {
        let url = std::env::var("POSTGRES_URL").expect(
            "POSTGRES_URL is not set: run `make test`, or `eval \"$(tests/services/services.sh env)\"`",
        );
        let name = format!("payments_{}", ids::new().simple());
        let server = Database::new(DatabaseLocation::parse(&url).unwrap());
        let connection = server.namespace("public").unwrap().connection;
        let make = format!("CREATE DATABASE {name} TEMPLATE template0");
        connection.execute(Statement::from_string(connection.get_database_backend(), make)).await.unwrap();
        let place = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
        let database = Database::new(DatabaseLocation::parse(&place).unwrap());
        Self { provider: provider(&database).await, folder: None, server: Some((server, name)) }
    }

    async fn close(self) {
        drop(self.provider);
        if let Some((server, name)) = self.server {
            let connection = server.namespace("public").unwrap().connection;
            let remove = format!("DROP DATABASE {name} WITH (FORCE)");
            connection
                .execute(Statement::from_string(connection.get_database_backend(), remove))
                .await
                .unwrap();
        }
        drop(self.folder);
    }
}

async fn provider(database: &Database) -> Sandbox {
    let db = database.namespace("payments").unwrap();
    soonshop_migrations::migrate(Namespace::Payments, &db.connection).await.unwrap();
    Sandbox::new(db)
}

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let fixture = crate::Fixture::sqlite().await;
                crate::$name(&fixture.provider).await;
                fixture.close().await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let fixture = crate::Fixture::postgres().await;
                crate::$name(&fixture.provider).await;
                fixture.close().await;
            })+
        }
    };
}

on_both!(
    a_transaction_is_done_once_however_often_it_is_asked_for,
    requests_at_once_never_take_more_than_is_there,
    what_was_done_is_found_after_a_lost_answer_and_what_was_not_is_not,
    a_cancelled_authorization_takes_nothing_more,
    a_cancel_bars_a_key_that_the_provider_does_not_know,
    another_request_under_the_same_key_fails,
);

fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

fn authorization(amount: i64) -> Order {
    let transaction = ids::new();
    let (kind, amount) = (Kind::Authorization, gbp(amount));
    Order { transaction, kind, amount, authorization: transaction, reference: None }
}

fn of(authorization: Uuid, kind: Kind, amount: i64) -> Order {
    Order { transaction: ids::new(), kind, amount: gbp(amount), authorization, reference: None }
}

/// The amount that was done; 0: nothing.
fn amount(outcome: &Outcome) -> i64 {
    if let Outcome::Succeeded { amount, .. } = outcome { amount.amount } else { 0 }
}

async fn a_transaction_is_done_once_however_often_it_is_asked_for(provider: &dyn Provider) {
    let order = authorization(4_000);
    let all = join_all((0..10).map(|_| provider.ask(&order))).await;
    assert!(all.iter().all(|one| one.as_ref().unwrap() == all[0].as_ref().unwrap()));
    assert_eq!(amount(all[0].as_ref().unwrap()), 4_000);
    let charge = of(order.transaction, Kind::Charge, 4_000);
    for _ in 0..3 {
        assert_eq!(amount(&provider.ask(&charge).await.unwrap()), 4_000);
    }
    let more = provider.ask(&of(order.transaction, Kind::Charge, 1)).await.unwrap();
    assert!(matches!(more, Outcome::Failed { .. }), "it was charged once: {more:?}");
}

async fn requests_at_once_never_take_more_than_is_there(provider: &dyn Provider) {
    let order = authorization(4_000);
    provider.ask(&order).await.unwrap();
    for (kind, done) in [(Kind::Charge, 4_000), (Kind::Refund, 4_000), (Kind::Release, 0)] {
        let asked: Vec<_> = (0..10).map(|_| of(order.transaction, kind, 1_000)).collect();
        let all = join_all(asked.iter().map(|one| provider.ask(one))).await;
        let sum: i64 = all.iter().map(|one| amount(one.as_ref().unwrap())).sum();
        assert_eq!(sum, done, "{kind:?}");
    }
}

async fn what_was_done_is_found_after_a_lost_answer_and_what_was_not_is_not(provider: &dyn Provider) {
    let order = authorization(6_603);
    assert_eq!(provider.find(&order).await.unwrap(), None);
    provider.ask(&order).await.unwrap_err();
    assert_eq!(amount(&provider.find(&order).await.unwrap().unwrap()), 6_603);
    assert_eq!(amount(&provider.ask(&order).await.unwrap()), 6_603, "asked for again, it says what it did");
}

async fn a_cancelled_authorization_takes_nothing_more(provider: &dyn Provider) {
    let order = authorization(6_602);
    assert!(matches!(provider.ask(&order).await.unwrap(), Outcome::ActionRequired { .. }));
    assert!(matches!(provider.cancel(&order).await.unwrap(), Outcome::Failed { .. }));
    for _ in 0..3 {
        assert!(matches!(provider.find(&order).await.unwrap(), Some(Outcome::Failed { .. })));
    }
    let late = authorization(4_000);
    provider.ask(&late).await.unwrap();
    let cancelled = provider.cancel(&late).await.unwrap();
    assert_eq!(amount(&cancelled), 4_000, "it was too late: it says so");
}

async fn a_cancel_bars_a_key_that_the_provider_does_not_know(provider: &dyn Provider) {
    let order = authorization(4_000);
    assert!(matches!(provider.cancel(&order).await.unwrap(), Outcome::Failed { .. }));
    assert!(
        matches!(provider.ask(&order).await.unwrap(), Outcome::Failed { .. }),
        "it came after the cancel"
    );
    assert!(matches!(provider.find(&order).await.unwrap(), Some(Outcome::Failed { .. })));
}

async fn another_request_under_the_same_key_fails(provider: &dyn Provider) {
    let (order, other) = (authorization(4_000), authorization(4_000));
    provider.ask(&order).await.unwrap();
    provider.ask(&other).await.unwrap();
    let charge = of(order.transaction, Kind::Charge, 1_000);
    assert_eq!(amount(&provider.ask(&charge).await.unwrap()), 1_000);
    let more = Order { amount: gbp(2_000), ..charge.clone() };
    let elsewhere = Order { authorization: other.transaction, ..charge.clone() };
    for wrong in [more, elsewhere, Order { kind: Kind::Release, ..charge }] {
        assert!(matches!(provider.ask(&wrong).await.unwrap(), Outcome::Failed { .. }), "{wrong:?}");
    }
}
