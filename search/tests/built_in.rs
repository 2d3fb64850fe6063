//! A missing adapter is named in the error, with the feature that adds it. The contract needs all of them.

use soonshop_search::connect;

#[test]
fn an_adapter_is_built_in_or_refused_with_a_sentence() {
    assert_eq!(connect("tantivy://data").unwrap().backend(), "tantivy");
    for url in ["http://u:secret@host:9200", "https://u:secret@host:9200"] {
        match connect(url) {
            Ok(search) => {
                assert!(cfg!(feature = "elasticsearch") && search.backend() == "elasticsearch", "{url}");
            }
            Err(error) => {
                let sentence = "the search address cannot be used: this build has no Elasticsearch adapter: \
                                build with --features elasticsearch, or without --no-default-features";
                assert_eq!((&*error.to_string(), cfg!(feature = "elasticsearch")), (sentence, false));
            }
        }
    }
}
