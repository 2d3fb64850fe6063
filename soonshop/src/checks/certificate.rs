//! The check of the shop's own certificates: the one that this process shows, where it speaks TLS itself, and those that
//! it shows to servers. They are valid, do not end soon, and a new one in the files of the first is taken.

use soonshop_certificates::ServerTls;
use soonshop_domain::clock;
use soonshop_service_kit::connections::Tls;
use soonshop_service_kit::health::Fault;
use url::Url;

use crate::Shop;

/// The name of the check.
pub(super) const NAME: &str = "certificate";

/// The remedy: `certificate` itself is that for certificates of servers.
pub(super) const REMEDY: &str = "own-certificate";

/// The files that it is about.
pub(super) fn object(shop: &Shop) -> String {
    let own = shop.server_settings.tls.as_ref().map(Tls::file);
    let for_servers = for_servers(shop).into_iter();
    let for_servers = for_servers.filter_map(|tls| Some(tls.own()?.0.display().to_string()));
    let mut files: Vec<String> = own.into_iter().chain(for_servers).collect();
    files.dedup();
    files.join(", ")
}

/// Whether the shop has any certificate of its own.
pub(super) fn is_asked(shop: &Shop) -> bool {
    shop.server_settings.tls.is_some() || for_servers(shop).iter().any(|tls| tls.own().is_some())
}

pub(super) fn ask(shop: &Shop) -> Result<(), Fault> {
    let now = clock::now();
    let own = shop
        .server_settings
        .tls
        .as_ref()
        .and_then(|tls| Some(format!("{}: {}", tls.file(), tls.complaint(now)?)));
    let for_servers = for_servers(shop).into_iter().filter_map(|tls| tls.complaint(now));
    let mut complaints: Vec<String> = own.into_iter().chain(for_servers).collect();
    complaints.dedup();
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Fault { object: None, reason: complaints.join("; "), remedy: Some(REMEDY) })
}

/// The files of TLS in the addresses of servers.
fn for_servers(shop: &Shop) -> Vec<ServerTls> {
    let databases = [&shop.store_database, &shop.read_database, &shop.keys_database, &shop.erasures_database];
    // A fault of an address was reported when it was opened.
    let databases = databases.into_iter().filter_map(|database| database.location().tls().ok());
    let config = &shop.config;
    let others = [&config.bus, &config.cache, &config.search].into_iter();
    let others = others.filter_map(|address| ServerTls::take(&mut Url::parse(address).ok()?).ok());
    databases.chain(others).collect()
}
