//! Mails to people: by a server that speaks SMTP, or, where the shop lies in files and none is set, into a folder.

mod address;
mod folder;
mod letter;
mod smtp;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use lettre::message::Mailbox;
use soonshop_event_log::DatabaseLocation;
use soonshop_workers::mails::Mailer;

use address::public_url;
use folder::Folder;
use smtp::Smtp;

/// The pages of an embedded shop, where nothing else is said.
const EMBEDDED: &str = "http://127.0.0.1:8000";

/// How mails are sent.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct MailSettings {
    /// The server that sends mails: `smtp://USER:PASSWORD@HOST` with STARTTLS, or `smtps://…`. Without it, a shop on
    /// files writes them into its folder `mails`
    #[arg(long, env = "SOONSHOP_SMTP_URL", value_name = "URL", hide_env_values = true, global = true)]
    pub smtp_url: Option<String>,
    /// Who mails are from, such as `SoonShop <shop@example.org>`
    #[arg(long, env = "SOONSHOP_MAIL_FROM", value_name = "ADDRESS", global = true)]
    pub mail_from: Option<String>,
    /// The address that links in mails begin with, and whose name passkeys are for, such as `https://shop.example`
    #[arg(long, env = "SOONSHOP_PUBLIC_URL", value_name = "URL", global = true)]
    pub public_url: Option<String>,
}

/// What becomes of mails.
#[derive(Clone)]
pub struct Mailing {
    /// `None`: they wait, and expire.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// The folder that they are written into.
    pub folder: Option<PathBuf>,
}

impl MailSettings {
    /// The public address of the shop, without the `/` at its end, if it is known: a shop on files is one of this machine,
    /// where nothing else is said.
    pub(crate) fn public_address(&self, store: &DatabaseLocation) -> anyhow::Result<Option<String>> {
        let embedded = || matches!(store, DatabaseLocation::Sqlite(_)).then_some(EMBEDDED);
        let address = self.public_url.as_deref().or_else(embedded).map(public_url).transpose()?;
        Ok(address.map(|url| url.as_str().trim_end_matches('/').to_owned()))
    }

    /// Checks the settings, and says what becomes of mails. `store` may be a folder.
    pub fn mailing(&self, store: &DatabaseLocation) -> anyhow::Result<Mailing> {
        let public = self.public_url.as_deref().map(public_url).transpose()?;
        let from = self.mail_from.as_deref().map(mailbox).transpose()?;
        match (&self.smtp_url, store) {
            (Some(url), _) => {
                let (Some(from), Some(public)) = (from, public) else {
                    bail!(
                        "--smtp-url needs --mail-from and --public-url: who mails are from, and the address that their \
                         links begin with"
                    );
                };
                let smtp = Smtp::new(url, from, public)?;
                Ok(Mailing { mailer: Some(Arc::new(smtp)), folder: None })
            }
            (None, DatabaseLocation::Sqlite(data)) => {
                let folder = data.join("mails");
                let public = match public {
                    Some(public) => public,
                    None => public_url(EMBEDDED)?,
                };
                let mailer = Folder::new(folder.clone(), from, public);
                Ok(Mailing { mailer: Some(Arc::new(mailer)), folder: Some(folder) })
            }
            (None, _) => Ok(Mailing { mailer: None, folder: None }),
        }
    }
}

impl Mailing {
    /// What an operator should know when the shop starts.
    pub(crate) fn announce(&self) {
        match (&self.folder, &self.mailer) {
            (Some(folder), _) => tracing::info!(
                folder = %folder.display(),
                "mails are written into this folder, and sent to nobody: --smtp-url sends them"
            ),
            (None, None) => tracing::warn!(
                "no mails are sent, so nobody can register or set another password: --smtp-url names a server"
            ),
            (None, Some(_)) => {}
        }
    }
}

fn mailbox(text: &str) -> anyhow::Result<Mailbox> {
    text.parse().with_context(|| {
        format!("--mail-from {text:?} is no e-mail address, such as SoonShop <shop@example.org>")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_postgres(settings: &MailSettings) -> anyhow::Result<Mailing> {
        settings.mailing(&DatabaseLocation::parse("postgres://shop@localhost/shop").unwrap())
    }

    #[test]
    fn a_server_needs_to_know_who_mails_are_from_and_where_links_lead() {
        let url = Some("smtps://mail.example".to_owned());
        let alone = MailSettings { smtp_url: url.clone(), ..MailSettings::default() };
        let refused = on_postgres(&alone).err().unwrap().to_string();
        assert!(refused.contains("--mail-from and --public-url"), "{refused}");
        let all = MailSettings {
            smtp_url: url,
            mail_from: Some("Shop <shop@example.org>".to_owned()),
            public_url: Some("https://shop.example".to_owned()),
        };
        let mailing = on_postgres(&all).unwrap();
        assert!(mailing.mailer.is_some() && mailing.folder.is_none());
        let bad = MailSettings { mail_from: Some("nobody".to_owned()), ..all };
        assert!(on_postgres(&bad).err().unwrap().to_string().contains("--mail-from"));
        assert!(on_postgres(&MailSettings::default()).unwrap().mailer.is_none());
        let files =
            MailSettings::default().mailing(&DatabaseLocation::parse("sqlite://data").unwrap()).unwrap();
        assert!(files.folder.unwrap().ends_with("mails"));
    }
}
