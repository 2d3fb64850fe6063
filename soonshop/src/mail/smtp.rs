//! Mails by a server that speaks SMTP. Without TLS only where the server is this machine.

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Identity, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use soonshop_certificates::ServerTls;
use soonshop_identity::{Mail, Unsent};
use soonshop_workers::mails::Mailer;
use url::Url;

use super::address::is_this_machine;
use super::letter::letter;
use crate::cause::chain;

/// How long a step of the conversation may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// From its beginning: `smtps:`.
    Whole,
    /// By STARTTLS, without which nothing is sent: `smtp:`.
    StartTls,
    /// Not at all: `smtp:…?tls=off`.
    None,
}

/// A server that takes mails.
pub(super) struct Smtp {
    host: String,
    port: u16,
    encryption: Encryption,
    files: ServerTls,
    credentials: Option<Credentials>,
    from: Mailbox,
    public: Url,
}

/// Decodes percent-encoding. A `+` stays a `+` in a login, unlike in a form; a `=` is no end of it.
fn decoded(part: &str) -> String {
    let form = part.replace('+', "%2B").replace('=', "%3D");
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

impl Smtp {
    /// Reads the server's address. It is never shown: there is a password in it.
    pub(super) fn new(url: &str, from: Mailbox, public: Url) -> anyhow::Result<Self> {
        let form = "--smtp-url is smtp://USER:PASSWORD@HOST:PORT or smtps://USER:PASSWORD@HOST:PORT";
        let mut url = Url::parse(url).context(form)?;
        let Some(host) = url.host_str().map(str::to_owned).filter(|host| !host.is_empty()) else {
            bail!(form)
        };
        let off = url.query_pairs().any(|(name, value)| name == "tls" && value == "off");
        if off {
            let rest: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(name, _)| name != "tls")
                .map(|(n, v)| (n.into(), v.into()))
                .collect();
            url.query_pairs_mut().clear().extend_pairs(rest);
        }
        let encryption = match (url.scheme(), off) {
            ("smtps", false) => Encryption::Whole,
            ("smtp", false) => Encryption::StartTls,
            ("smtp", true) if is_this_machine(&host) => Encryption::None,
            ("smtp", true) => bail!("--smtp-url: tls=off is for a server on this machine only"),
            _ => bail!(form),
        };
        let instead = (encryption == Encryption::None).then_some("an address without tls=off");
        let files = ServerTls::take_usable(&mut url, instead).context("--smtp-url")?;
        if url.query().is_some_and(|query| !query.is_empty()) || !["", "/"].contains(&url.path()) {
            bail!("--smtp-url takes ca, cert, key and tls=off, and nothing else");
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (name, Some(password)) if !name.is_empty() => {
                Some(Credentials::new(decoded(name), decoded(password)))
            }
            _ => bail!("--smtp-url has a name and a password, or neither"),
        };
        let port = url.port().unwrap_or(if encryption == Encryption::Whole { 465 } else { 587 });
        Ok(Self { host, port, encryption, files, credentials, from, public })
    }

    /// The files of TLS are read now: they may have been renewed.
    fn tls(&self) -> Result<Tls, String> {
        if self.encryption == Encryption::None {
            return Ok(Tls::None);
        }
        let pem = self.files.read().map_err(|error| format!("TLS with this server: {error}"))?;
        let failed = |error: lettre::transport::smtp::Error| chain(&error);
        let mut parameters = TlsParameters::builder(self.host.trim_matches(['[', ']']).to_owned());
        if let Some(ca) = pem.ca {
            parameters = parameters
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(&ca).map_err(failed)?);
        }
        if let Some((certificate, key)) = pem.own {
            parameters = parameters.identify_with(Identity::from_pem(&certificate, &key).map_err(failed)?);
        }
        let parameters = parameters.build_rustls().map_err(failed)?;
        Ok(match self.encryption {
            Encryption::Whole => Tls::Wrapper(parameters),
            _ => Tls::Required(parameters),
        })
    }

    fn message(&self, mail: &Mail) -> Result<Message, String> {
        let letter = letter(mail, &self.public);
        let to: Address = mail.address.parse().map_err(|_| "it is no address of a mail".to_owned())?;
        let host = self.public.host_str().unwrap_or_default();
        // No machine answers it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            // The same however often it is sent, so that a reader's program can tell.
            .message_id(Some(format!("<{}@{host}>", mail.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text)
            .map_err(|error| error.to_string())
    }
}

/// Whether the server does not take this one mail, as its address does not exist there.
fn is_refusal(error: &lettre::transport::smtp::Error) -> bool {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    error.is_client() || ["550", "551", "552", "553"].contains(&code.as_str())
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), Unsent> {
        let message = self.message(mail).map_err(|reason| Unsent { reason, refused: true })?;
        let tls = self.tls().map_err(|reason| Unsent { reason, refused: false })?;
        let name = self.public.host_str().unwrap_or_default().to_owned();
        let server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.host.as_str())
            .port(self.port)
            .timeout(Some(PATIENCE))
            .hello_name(ClientId::Domain(name))
            .tls(tls);
        let server = match &self.credentials {
            Some(credentials) => server.credentials(credentials.clone()),
            None => server,
        };
        let sent = server.build().send(message).await;
        sent.map(drop).map_err(|error| Unsent { reason: chain(&error), refused: is_refusal(&error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smtp(url: &str) -> anyhow::Result<Smtp> {
        Smtp::new(url, "shop@example.org".parse().unwrap(), Url::parse("https://shop.example").unwrap())
    }

    #[test]
    fn the_address_of_the_server_says_how_it_is_spoken_with() {
        let both = smtp("smtp://shop:p%40ss%2B+word@mail.example").unwrap();
        assert_eq!((both.encryption, both.port), (Encryption::StartTls, 587));
        assert_eq!(both.credentials, Some(Credentials::new("shop".to_owned(), "p@ss++word".to_owned())));
        let whole = smtp("smtps://mail.example").unwrap();
        assert_eq!((whole.encryption, whole.port, whole.credentials), (Encryption::Whole, 465, None));
        let plain = smtp("smtp://127.0.0.1:1025?tls=off").unwrap();
        assert_eq!((plain.encryption, plain.port), (Encryption::None, 1025));
    }

    #[test]
    fn a_bad_address_of_the_server_is_refused_without_its_password() {
        for bad in [
            "smtp://shop:hunter2@mail.example?tls=off",
            "http://shop:hunter2@mail.example",
            "smtps://shop:hunter2@mail.example?tls=off",
            "smtp://shop:hunter2@mail.example?x=1",
            "smtp://shop:hunter2@mail.example/path",
            "smtp://:hunter2@mail.example",
            "smtp://shop@mail.example",
            "smtp://shop:hunter2@mail.example?ca=/nowhere/at/all",
            "smtp://shop:hunter2@",
            "hunter2",
        ] {
            let refused = format!("{:#}", smtp(bad).err().unwrap());
            assert!(refused.contains("--smtp-url"), "{bad}: {refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}
