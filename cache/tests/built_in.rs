//! A missing adapter is named in the error, with the feature that adds it. The contract needs all of them.

use soonshop_cache::connect;

#[tokio::test]
async fn an_adapter_is_built_in_or_refused_with_a_sentence() {
    assert_eq!(connect("moka:").unwrap().backend(), "moka");
    for url in ["redis://u:secret@host", "rediss://u:secret@host"] {
        match connect(url) {
            Ok(cache) => assert!(cfg!(feature = "redis") && cache.backend() == "redis", "{url}"),
            Err(error) => {
                let shown = url.replace("secret", "***");
                let sentence = format!(
                    "the cache address {shown:?} cannot be used: this build has no Redis adapter: \
                     build with --features redis, or without --no-default-features"
                );
                assert_eq!((error.to_string(), cfg!(feature = "redis")), (sentence, false));
            }
        }
    }
}
