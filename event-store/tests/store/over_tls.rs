//! A PostgreSQL server that speaks TLS with a certificate signed by an authority of this test only.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::ids;
use soonshop_event_log::{Database, DatabaseLocation};
use sqlx::{Connection as _, Executor as _};

use crate::encrypted::{Names, only_the_right_files_are_taken, right, server};
use crate::fixture::{Fixture, context, on_hand, postgres_url, receive};

/// The parameters of an address for the files of TLS.
const TLS: Names = ["sslrootcert", "sslcert", "sslkey"];

#[tokio::test]
async fn every_connection_of_a_store_speaks_tls() {
    let address = server("POSTGRES_TLS_URL");
    let named = |name: &str| right(&address.replacen("with_certificate", name, 1), TLS);
    let shop = Fixture::postgres_as(&postgres_url(), named).await;
    let store = shop.store();
    let stream = ids::new();
    for _ in 0..3 {
        store.execute::<soonshop_domain::inventory::Stock>(stream, receive(2), context()).await.unwrap();
    }
    assert_eq!(on_hand(&store, stream).await, (6, 3));
    assert_eq!(shop.log().head().await.unwrap().position, 3);
    let sql = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = current_database() \
               AND application_name LIKE 'soonshop%'";
    // The pools of store and log, and the appender.
    assert!(shop.number("log", &format!("{sql} AND ssl")).await >= 3);
    assert_eq!(shop.number("log", &format!("{sql} AND NOT ssl")).await, 0);
}

#[tokio::test]
async fn a_postgresql_with_tls_takes_the_right_files_only() {
    let mut plain = sqlx::PgConnection::connect(&postgres_url()).await.unwrap();
    // The rules of the server name this database. It may be there.
    drop(plain.execute("CREATE DATABASE with_certificate TEMPLATE template0").await);
    only_the_right_files_are_taken(&server("POSTGRES_TLS_URL"), TLS, async |url: String| {
        let place = DatabaseLocation::parse(&url).map_err(|error| error.to_string())?;
        place.check_tls().map_err(|error| error.to_string())?;
        let db = Database::new(place).namespace("log").map_err(|error| error.to_string())?;
        db.connection.execute_unprepared("SELECT 1").await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}
