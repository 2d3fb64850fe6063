//! Notes in people's own words: the reason of a command, a note on an event.
//!
//! A note is its writer's, and is encrypted under the writer's key. It may also be about a person. Then its text is
//! encrypted under a key of that person first, and the result under the writer's: it is gone once either of them is
//! erased. What says so is stored beside the note by the shop, so that no writer can have another value decrypted.

use std::collections::HashSet;

use serde_json::Value;
use soonshop_domain::{Personal, PersonalValue, Purpose, Sensitive, personal};
use uuid::Uuid;

use crate::{Error, Key, KeyStore};

/// A note before it is encrypted under its writer's key, and the key that its text is encrypted under, if any.
pub struct Draft {
    pub note: Personal<String>,
    /// The name of the key of the person that it is about.
    pub about: Option<String>,
}

/// The note with its text encrypted under a key of the person, if they have one: that of their account, or else that of
/// their invoices. Their keys are not made for a note, and one that was erased encrypts nothing.
pub async fn about(
    keys: &KeyStore,
    text: String,
    writer: Uuid,
    person: Option<Uuid>,
) -> Result<Draft, Error> {
    let of_writer = |text| Personal::new(text, writer, Purpose::Account);
    let Some(person) = person.filter(|person| *person != writer) else {
        return Ok(Draft { note: of_writer(text), about: None });
    };
    for purpose in [Purpose::Account, Purpose::Invoice] {
        let kid = personal::kid(person, purpose);
        let found = keys.keys(&HashSet::from([kid.clone()])).await?;
        if let Some(Key::Living(_)) = found.get(&kid) {
            let mut inner = Personal::new(text, person, purpose);
            keys.encrypt(&mut inner).await?;
            let jwe = inner.jwe().map(str::to_owned);
            let jwe = jwe.ok_or_else(|| Error::Keys("a note was not encrypted".to_owned()))?;
            return Ok(Draft { note: of_writer(jwe), about: Some(kid) });
        }
    }
    Ok(Draft { note: of_writer(text), about: None })
}

/// A stored note.
pub struct Note {
    /// As it is stored, and after [`read`] with its text.
    pub text: Personal<String>,
    /// The name of the key that its text is encrypted under, beside the writer's.
    pub about: Option<String>,
}

impl Note {
    /// The data subject whose key encrypts it: its writer.
    pub fn writer(&self) -> Option<Uuid> {
        let kid = crate::codec::kid_of(self.text.jwe()?).ok()?;
        personal::parse_kid(&kid).map(|(writer, _)| writer)
    }
}

impl Sensitive for Note {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        vec![&mut self.text]
    }
}

/// Decrypts notes. Those that cannot be decrypted stay encrypted; returns the index of each, and why.
pub async fn read(keys: &KeyStore, notes: &mut [Note]) -> Result<Vec<(usize, String)>, Error> {
    let mut damaged = keys.decrypt(&mut notes.iter_mut().collect::<Vec<_>>()).await?;
    // (Their index, and the text under the other key.)
    let mut inner = Vec::new();
    for (index, note) in notes.iter_mut().enumerate().filter(|(_, note)| note.about.is_some()) {
        let Some(jwe) = note.text.get().cloned() else { continue };
        // Whatever happens below, the text under the other key is not shown as a text.
        note.text.close();
        match serde_json::from_value(Value::String(jwe)) {
            Ok(text) => inner.push((index, Note { text, about: None })),
            Err(error) => damaged.push((index, error.to_string())),
        }
    }
    let of_persons = keys.decrypt(&mut inner.iter_mut().map(|(_, note)| note).collect::<Vec<_>>()).await?;
    damaged.extend(of_persons.into_iter().map(|(at, why)| (inner[at].0, why)));
    for (index, note) in inner {
        notes[index].text = note.text;
    }
    Ok(damaged)
}
