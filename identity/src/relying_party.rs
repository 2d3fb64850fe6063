//! Passkeys as WebAuthn has them: what a browser is asked, and what it answers. Nothing here knows the tables.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use webauthn_rp::AuthenticatedCredential;
use webauthn_rp::bin::{Decode, Encode as _};
use webauthn_rp::request::auth::{
    AllowedCredentials, AuthenticationVerificationOptions, AuthenticatorAttachmentEnforcement,
    NonDiscoverableAuthenticationServerState, NonDiscoverableCredentialRequestOptions,
};
use webauthn_rp::request::register::{
    CoseAlgorithmIdentifier, CoseAlgorithmIdentifiers, PublicKeyCredentialCreationOptions,
    PublicKeyCredentialUserEntity, RegistrationServerState, RegistrationVerificationOptions, UserHandle16,
    Username,
};
use webauthn_rp::request::{
    AsciiDomain, Credentials as _, PublicKeyCredentialDescriptor, RpId, UserVerificationRequirement,
};
use webauthn_rp::response::auth::NonDiscoverableAuthentication16;
use webauthn_rp::response::auth::error::AuthCeremonyErr;
use webauthn_rp::response::register::{CompressedPubKey, DynamicState, Registration, StaticState};
use webauthn_rp::response::{AuthTransports, CredentialId};

use crate::Error;

/// The public key of a passkey, as it is stored: of Ed25519, P-256 or RSA. P-384 is not offered.
type StoredKey = StaticState<CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>>;

/// The site that passkeys are for: a browser gives an answer to no other, and tells which one asked.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    id: RpId,
    origin: String,
}

/// What a browser is asked, and what its answer is compared with.
pub(crate) struct Asked {
    /// As `PublicKeyCredential.parseCreationOptionsFromJSON` and `parseRequestOptionsFromJSON` take it.
    pub(crate) options: Value,
    /// The challenge is in it.
    pub(crate) state: String,
}

/// What of a passkey never changes, as its row has it, sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PasskeyKey {
    /// The id of the credential, in base64.
    pub(crate) id: String,
    key: String,
    transports: u8,
}

impl PasskeyKey {
    fn id(&self) -> Result<Vec<u8>, Error> {
        STANDARD.decode(&self.id).map_err(Error::internal)
    }

    fn descriptor(&self) -> Result<PublicKeyCredentialDescriptor<Vec<u8>>, Error> {
        let id = CredentialId::<Vec<u8>>::decode(self.id()?).map_err(Error::internal)?;
        let transports = AuthTransports::decode(self.transports).map_err(Error::internal)?;
        Ok(PublicKeyCredentialDescriptor { id, transports })
    }
}

/// A passkey that may answer.
pub(crate) struct KnownPasskey<'a> {
    pub(crate) key: &'a PasskeyKey,
    /// What its use changes, as its row has it: the signature counter is in it.
    pub(crate) state: &'a str,
}

/// What an answer that was right came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RightAnswer {
    /// Which of the known passkeys gave it.
    pub(crate) index: usize,
    /// What its row has from now on.
    pub(crate) state: String,
}

/// Why an answer was refused.
#[derive(Debug)]
pub(crate) enum RefusedAnswer {
    /// It answers another challenge, or comes from another place, or is no answer at all, or none of these passkeys gave it.
    Wrong(String),
    /// Its signature is right, and its counter is not above the one before: there are two of this passkey.
    Copied,
    Internal(Error),
}

impl From<Error> for RefusedAnswer {
    fn from(error: Error) -> Self {
        Self::Internal(error)
    }
}

/// What cannot be wrong is said with its type alone.
fn wrong(why: impl std::fmt::Display) -> RefusedAnswer {
    RefusedAnswer::Wrong(why.to_string())
}

/// Of what cannot be read nothing is repeated: the log of a process holds no text that somebody sent.
fn unreadable(error: serde_json::Error) -> RefusedAnswer {
    let (what, line, column) = (error.classify(), error.line(), error.column());
    RefusedAnswer::Wrong(format!("it cannot be read ({what:?}, line {line}, column {column})"))
}

fn handle(account: Uuid) -> Result<UserHandle16, Error> {
    UserHandle16::decode(*account.as_bytes()).map_err(Error::internal)
}

fn bytes(stored: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(stored).map_err(Error::internal)
}

impl RelyingParty {
    /// The site of that name and origin. `None`: the name is none that passkeys can be for.
    pub fn new(name: &str, origin: &str) -> Option<Self> {
        let id = AsciiDomain::try_from(name.to_owned()).ok().map(RpId::Domain)?;
        Some(Self { id, origin: origin.to_owned() })
    }

    /// Asks for a new passkey, which is none of those that the account has.
    pub(crate) fn ask_for_new(&self, account: Uuid, known: &[PasskeyKey]) -> Result<Asked, Error> {
        let handle = handle(account)?;
        let name = account.to_string();
        let user = PublicKeyCredentialUserEntity {
            name: Username::try_from(name.as_str()).map_err(Error::internal)?,
            id: &handle,
            display_name: None,
        };
        let known = known.iter().map(PasskeyKey::descriptor).collect::<Result<_, _>>()?;
        let mut options = PublicKeyCredentialCreationOptions::second_factor(&self.id, user, known);
        options.pub_key_cred_params = CoseAlgorithmIdentifiers::ALL.remove(CoseAlgorithmIdentifier::Es384);
        options.authenticator_selection.user_verification = UserVerificationRequirement::Preferred;
        options.extensions.cred_props = None;
        let (state, client) = options.start_ceremony().map_err(Error::internal)?;
        Ok(Asked {
            options: serde_json::to_value(&client).map_err(Error::internal)?,
            state: STANDARD.encode(state.encode().map_err(Error::internal)?),
        })
    }

    /// Takes the answer to [`ask_for_new`](Self::ask_for_new): the new passkey, and what its row has of its use.
    pub(crate) fn new_passkey(
        &self,
        state: &str,
        answer: &str,
    ) -> Result<(PasskeyKey, String), RefusedAnswer> {
        let state = RegistrationServerState::<16>::decode(&bytes(state)?).map_err(Error::internal)?;
        let answer = Registration::from_json_relaxed(answer.as_bytes()).map_err(unreadable)?;
        let options = RegistrationVerificationOptions::<String, String> {
            allowed_origins: std::slice::from_ref(&self.origin),
            // Some send what nobody asked for. Nothing is read of it.
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let made = state.verify(&self.id, &answer, &options).map_err(wrong)?;
        let Ok(key) = made.static_state().encode();
        let Ok(transports) = made.transports().encode();
        let Ok(used) = made.dynamic_state().encode();
        let id = STANDARD.encode(made.id().as_ref());
        Ok((PasskeyKey { id, key: STANDARD.encode(key), transports }, STANDARD.encode(used)))
    }

    /// Asks for an answer of one of these passkeys.
    pub(crate) fn ask(&self, known: &[PasskeyKey]) -> Result<Asked, Error> {
        let mut allowed = AllowedCredentials::with_capacity(known.len());
        for one in known {
            allowed.push(one.descriptor()?.into());
        }
        let options = NonDiscoverableCredentialRequestOptions::second_factor(&self.id, allowed);
        let mut options = options.map_err(Error::internal)?;
        options.options().user_verification = UserVerificationRequirement::Preferred;
        let (state, client) = options.start_ceremony().map_err(Error::internal)?;
        let state = state.encode().map_err(Error::internal)?;
        Ok(Asked {
            options: serde_json::to_value(&client).map_err(Error::internal)?,
            state: STANDARD.encode(state),
        })
    }

    /// Takes the answer to [`ask`](Self::ask).
    pub(crate) fn answer(
        &self,
        account: Uuid,
        (state, answer): (&str, &str),
        known: &[KnownPasskey<'_>],
    ) -> Result<RightAnswer, RefusedAnswer> {
        let state =
            NonDiscoverableAuthenticationServerState::decode(&bytes(state)?).map_err(Error::internal)?;
        let answer =
            NonDiscoverableAuthentication16::from_json_relaxed(answer.as_bytes()).map_err(unreadable)?;
        let id = STANDARD.encode(answer.raw_id().as_ref());
        let index = known.iter().position(|one| one.key.id == id);
        let index = index.ok_or_else(|| wrong("it is of none of these passkeys"))?;
        let one = &known[index];
        let key = StoredKey::decode(&bytes(&one.key.key)?).map_err(Error::internal)?;
        let used: [u8; 7] = bytes(one.state)?
            .try_into()
            .map_err(|_| Error::internal("the state of a passkey has another length"))?;
        let used = DynamicState::decode(used).map_err(Error::internal)?;
        let handle = handle(account)?;
        let mut passkey =
            AuthenticatedCredential::new(answer.raw_id(), &handle, key, used).map_err(Error::internal)?;
        let options = AuthenticationVerificationOptions::<String, String> {
            allowed_origins: std::slice::from_ref(&self.origin),
            error_on_unsolicited_extensions: false,
            auth_attachment_enforcement: AuthenticatorAttachmentEnforcement::Ignore(false),
            ..AuthenticationVerificationOptions::default()
        };
        match state.verify(&self.id, &answer, &mut passkey, &options) {
            Ok(_) => {
                let Ok(state) = passkey.dynamic_state().encode();
                Ok(RightAnswer { index, state: STANDARD.encode(state) })
            }
            Err(AuthCeremonyErr::SignatureCounter) => Err(RefusedAnswer::Copied),
            Err(error) => Err(wrong(error)),
        }
    }
}
