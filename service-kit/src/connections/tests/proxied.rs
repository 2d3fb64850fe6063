//! Reports of a proxy about a client, and of a client about itself.

use super::*;
use crate::rates::Network;

#[tokio::test]
async fn only_a_trusted_proxy_or_the_connection_itself_says_that_a_client_speaks_tls() {
    let proxies = |text: &str| vec![text.parse::<Network>().unwrap()];
    for (proxies, believed) in
        [(Vec::new(), false), (proxies("10.0.0.0/8"), false), (proxies("127.0.0.1"), true)]
    {
        let served = behind(ServerSettings { proxies: proxies.into(), ..ServerSettings::default() }).await;
        for (field, https) in [
            ("X-Forwarded-Proto: https", true),
            ("Forwarded: for=198.51.100.9;proto=https", true),
            ("X-Forwarded-Proto: http", false),
            ("Forwarded: for=198.51.100.9;proto=https\r\nX-Forwarded-Proto: http", false),
            ("X-Forwarded-Ssl: on", false),
            ("X-Forwarded-Host: evil.example", false),
        ] {
            let answer = served
                .tell(
                    format!("GET /tls HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{field}\r\n\r\n")
                        .as_bytes(),
                )
                .await;
            let expected = believed && https;
            assert!(
                answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&expected.to_string()),
                "{field}: {answer}"
            );
            assert_eq!(answer.contains("strict-transport-security: "), expected, "{field}: {answer}");
            let mut asked = asks("http://localhost/tls");
            for (name, value) in field.split("\r\n").filter_map(|line| line.split_once(": ")) {
                let name = axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
                asked.headers_mut().insert(name, value.parse().unwrap());
            }
            let answer = served.http2().await.send_request(asked).await.unwrap();
            assert_eq!(answer.headers().contains_key("strict-transport-security"), expected, "{field}");
        }
    }
}
