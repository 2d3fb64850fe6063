//! The duties of every client of a server that speaks TLS with a certificate signed by an authority of this test only,
//! and that asks for certificates of clients. The tests of each adapter include this file.

use std::path::PathBuf;

use tokio::net::{TcpListener, TcpStream};

/// The names of the parameters in an address: of the authorities, the client's certificate and its key.
pub(crate) type Names = [&'static str; 3];

/// The certificate of an authority, and that of a client, its key and nobody else's.
struct Files {
    ca: Option<&'static str>,
    own: Option<&'static str>,
}

const RIGHT: Files = Files { ca: Some("authority.pem"), own: Some("client.pem") };

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `eval \"$(tests/services/services.sh env)\"`")
    })
}

/// A file of `tests/data/tls`, as the servers use it: the keys are readable by their owner only.
fn file(name: &str) -> String {
    PathBuf::from(variable("TLS_FILES")).join(name).display().to_string()
}

/// The address with the files that are right.
pub(crate) fn right(address: &str, names: Names) -> String {
    with(address, names, &RIGHT)
}

fn with(address: &str, names: Names, files: &Files) -> String {
    let [ca, certificate, key] = names;
    let mut parameters = Vec::new();
    parameters.extend(files.ca.map(|name| format!("{ca}={}", file(name))));
    parameters.extend(files.own.map(|name| format!("{certificate}={}", file(name))));
    parameters.extend(files.own.map(|_| format!("{key}={}", file("client.key"))));
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{}", parameters.join("&"))
}

/// The address of a server that speaks TLS.
pub(crate) fn server(name: &str) -> String {
    variable(name)
}

/// The same server under an address that its certificate does not have.
async fn elsewhere(address: &str) -> String {
    let (before, after) = address.split_once("@localhost:").unwrap_or_else(|| panic!("{address}"));
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let (port, rest) = after.split_at(digits);
    let port: u16 = port.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    format!("{before}@{here}{rest}")
}

/// Asks the server with the right files, and with each wrong one, of which every one is refused for its reason. `ask`
/// has the message of a connection that is not made.
pub(crate) async fn only_the_right_files_are_taken(
    address: &str,
    names: Names,
    ask: impl AsyncFn(String) -> Result<(), String>,
) {
    let asked = async |files: &Files| ask(with(address, names, files)).await;
    assert_eq!(asked(&RIGHT).await, Ok(()));
    for (what, files, words) in [
        ("another authority", Files { ca: Some("other-authority.pem"), ..RIGHT }, Some("UnknownIssuer")),
        ("no authority", Files { ca: None, ..RIGHT }, Some("UnknownIssuer")),
        ("no certificate", Files { own: None, ..RIGHT }, None),
        ("a certificate of another authority", Files { own: Some("client-of-other.pem"), ..RIGHT }, None),
        (
            "a certificate that has ended",
            Files { own: Some("client-expired.pem"), ..RIGHT },
            Some("2020-12-31T23:59:59Z"),
        ),
    ] {
        let message = asked(&files).await.expect_err(what);
        assert!(message.contains(words.unwrap_or_default()), "{what}: {message}");
    }
    let message = ask(right(&elsewhere(address).await, names)).await.expect_err("another host");
    assert!(message.contains("not valid for name"), "{message}");
}
