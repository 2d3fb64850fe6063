//! The text of a mail. It holds nothing that a stranger typed.

use chrono::{DateTime, Utc};
use soonshop_identity::{Mail, MailKind};
use soonshop_texts::Language;
use url::Url;

use super::address::below;

/// A mail as people read it.
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
}

/// The page that a link leads to.
fn page(kind: MailKind) -> &'static str {
    match kind {
        MailKind::Reset => "account/reset",
        MailKind::Email => "account/email",
        MailKind::Undo => "account/undo",
        MailKind::Claim => "account/claim",
        // The others have no link.
        _ => "account/register",
    }
}

fn shown(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// When it was written down: its id has the time.
fn written_at(mail: &Mail) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = mail.id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

/// Writes a mail in its language.
pub(super) fn letter(mail: &Mail, public: &Url) -> Letter {
    let language = Language::of(&mail.language);
    let link = mail.link.as_ref().map(|link| below(public, &format!("{}?link={link}", page(mail.kind))));
    let (link, shop) = (link.unwrap_or_default(), public.host_str().unwrap_or_default());
    let until = shown(mail.expires_at);
    let at = written_at(mail).map(shown).unwrap_or_default();
    let key = format!("mail-{}", mail.kind.name());
    let clients = below(public, "account/clients");
    let values = [
        ("client", mail.client.as_deref().unwrap_or_default().into()),
        ("clients", clients.as_str().into()),
        ("link", link.as_str().into()),
        ("shop", shop.into()),
        ("until", until.as_str().into()),
        ("at", at.as_str().into()),
    ];
    Letter { subject: language.fill(&key, &[]), text: language.fill(&format!("{key}.text"), &values) + "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_written_in_its_language_with_its_link_and_without_the_address() {
        let public = Url::parse("https://shop.example/en/").unwrap();
        for kind in MailKind::ALL {
            let linked = !kind.is_notice() && kind != MailKind::AccountExists;
            for language in Language::ALL {
                let mail = Mail {
                    id: soonshop_domain::ids::new(),
                    kind,
                    address: "ada@example.org".to_owned(),
                    language: language.tag().to_owned(),
                    link: linked.then(|| "ssl_AAAA".to_owned()),
                    expires_at: "2026-01-02T03:04:05Z".parse().unwrap(),
                    tries: 0,
                    client: (kind == MailKind::ClientAllowed).then(|| "The app".to_owned()),
                };
                let written = letter(&mail, &public);
                let key = format!("mail-{}", kind.name());
                assert_ne!(written.subject, key, "{language:?}");
                assert!(written.text.contains("shop.example"), "{}", written.text);
                assert!(!written.text.contains("ada@") && !written.subject.contains("ada@"));
                assert!(!written.text.contains('{'), "{}", written.text);
                let link = format!("\nhttps://shop.example/en/{}?link=ssl_AAAA\n", page(kind));
                assert_eq!(written.text.contains(&link), linked, "{}", written.text);
                assert_eq!(written.text.contains("2026-01-02 03:04 UTC"), linked, "{}", written.text);
                let told = mail.client.is_some();
                assert_eq!(written.text.contains("The app"), told, "{}", written.text);
                let clients = "\nhttps://shop.example/en/account/clients\n";
                assert_eq!(written.text.contains(clients), told, "{}", written.text);
                let at = written_at(&mail).map(shown).unwrap();
                assert_eq!(written.text.contains(&at), kind.is_notice(), "{}", written.text);
            }
            let of = |language: Language| language.fill(&format!("mail-{}", kind.name()), &[]);
            assert_ne!(of(Language::English), of(Language::Chinese));
        }
    }
}
