//! The cache: answers that are often asked for, dropped exactly when an event changes them.
//!
//! A port and two adapters: moka (in this process) and Redis. Losing all of it does no harm. The invariant: a slow
//! reader cannot put an old value back. (An entry carries the position at which it was read; invalidating a key sets
//! the lowest position that may be stored for it, for longer than any read takes.)
//!
//! Beside it are the [`Rates`] of callers, counted in this process or in the same Redis.
//!
//! Start reading at [`connect`], then [`Cache`].

mod moka;
mod port;
mod rates;
#[cfg(feature = "redis")]
mod redis;

use std::sync::Arc;

pub use port::{Cache, Entry, Error};
pub use rates::in_process::InProcess;
pub use rates::{Rate, Rates, Taken};

use port::refused;

/// The cache behind a URL (`moka:`, `redis(s)://`; with TLS `?ca=FILE` names the authority that is trusted, and
/// `?cert=FILE&key=FILE` the client's certificate). Checks the address; connects later.
pub fn connect(url: &str) -> Result<Arc<dyn Cache>, Error> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("moka") if url == "moka:" => Ok(Arc::new(moka::Moka::new())),
        Some("moka") => Err(refused(url, "moka: stands alone".to_owned())),
        #[cfg(feature = "redis")]
        Some("redis" | "rediss") => Ok(Arc::new(redis::Redis::new(url)?)),
        #[cfg(not(feature = "redis"))]
        Some("redis" | "rediss") => {
            let reason = "this build has no Redis adapter: build with --features redis, \
                          or without --no-default-features";
            Err(refused(url, reason.to_owned()))
        }
        _ => Err(refused(url, "a cache is moka:, redis:// or rediss://".to_owned())),
    }
}

/// Where the rates of callers are counted, by the URL of the cache: in its Redis, or in this process. Checks the
/// address; connects later.
pub fn connect_rates(url: &str) -> Result<Arc<dyn Rates>, Error> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        #[cfg(feature = "redis")]
        Some("redis" | "rediss") => Ok(Arc::new(redis::rates::InRedis::new(url)?)),
        _ => connect(url).map(|_| -> Arc<dyn Rates> { Arc::new(InProcess::default()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(url: &str) -> String {
        connect(url).err().unwrap().to_string()
    }

    #[tokio::test]
    async fn an_address_is_checked_before_anything_connects() {
        assert_eq!(connect("moka:").unwrap().backend(), "moka");
        assert!(!connect("moka:").unwrap().shared());
        assert_eq!(connect_rates("moka:").unwrap().backend(), "in-process");
        for bad in ["", "moka", "moka://x", "memcached://x"] {
            reason(bad);
            assert!(connect_rates(bad).is_err(), "{bad}");
        }
    }

    #[cfg(feature = "redis")]
    #[tokio::test]
    async fn an_address_of_redis_is_checked_before_anything_connects() {
        let redis = connect("rediss://user:word@cache.example:6380/2?prefix=shop:").unwrap();
        assert!(redis.shared());
        assert_eq!(redis.backend(), "redis");
        assert_eq!(connect_rates("redis://cache.example").unwrap().backend(), "redis");
        for bad in ["redis:", "redis://host/base", "redis://host?prefx=a", "rediss://host?cert=a"] {
            reason(bad);
            assert!(connect_rates(bad).is_err(), "{bad}");
        }
        assert!(reason("redis://host?prefx=a").contains("prefx"));
        assert!(reason("redis://host?ca=a.pem").contains("give rediss://"));
        assert!(reason("rediss://host?ca=/no/a.pem").contains("/no/a.pem: No such file"));
    }

    #[test]
    fn a_refused_address_keeps_its_password() {
        for bad in [
            "redis://u:secret@host?x=1",
            "redis://u:secret@host:port",
            "mysql://u:secret@host",
            "redis://host?password=secret",
        ] {
            assert!(!reason(bad).contains("secret"), "{}", reason(bad));
        }
    }
}
