//! Mails as files in a folder, for a shop that is tried: each is a text that its owner alone may read.

use std::io::{self, Write as _};
use std::path::PathBuf;

use async_trait::async_trait;
use lettre::message::Mailbox;
use soonshop_event_log::private_files;
use soonshop_identity::{Mail, Unsent};
use soonshop_workers::mails::Mailer;
use url::Url;

use super::letter::letter;

/// A folder that mails are written into.
pub(super) struct Folder {
    path: PathBuf,
    from: Option<Mailbox>,
    public: Url,
}

impl Folder {
    pub(super) fn new(path: PathBuf, from: Option<Mailbox>, public: Url) -> Self {
        Self { path, from, public }
    }

    fn text(&self, mail: &Mail) -> String {
        let letter = letter(mail, &self.public);
        let from = self.from.as_ref().map_or_else(|| "SoonShop".to_owned(), ToString::to_string);
        format!("From: {from}\nTo: {}\nSubject: {}\n\n{}", mail.address, letter.subject, letter.text)
    }

    /// A mail that comes again is written again.
    fn write(&self, mail: &Mail) -> io::Result<()> {
        private_files::make_folder(&self.path)?;
        // Complete under its name, or not there.
        let begun = self.path.join(format!("{}.part", mail.id));
        let mut file = private_files::create(&begun)?;
        file.write_all(self.text(mail).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&begun, self.path.join(format!("{}.txt", mail.id)))
    }
}

#[async_trait]
impl Mailer for Folder {
    async fn send(&self, mail: &Mail) -> Result<(), Unsent> {
        let failed =
            |error: io::Error| Unsent { reason: format!("{}: {error}", self.path.display()), refused: false };
        self.write(mail).map_err(failed)
    }
}
