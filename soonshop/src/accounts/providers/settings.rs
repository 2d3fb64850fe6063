//! The file of providers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use soonshop_identity::CUSTOMER;
use url::Url;

use super::super::settings::account_role;
use super::remote::is_safe;

/// Where the providers of identities are described.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProviderOptions {
    /// The file with the providers of identities that people may sign in with, as TOML. It needs --public-url
    #[arg(long, env = "SOONSHOP_PROVIDERS", value_name = "FILE", global = true)]
    pub providers: Option<PathBuf>,
}

impl ProviderOptions {
    /// The roles that the file gives.
    pub(crate) fn roles(&self) -> anyhow::Result<Vec<String>> {
        let Some(file) = &self.providers else { return Ok(Vec::new()) };
        Ok(described(file)?.into_iter().flat_map(|one| one.roles.into_values()).collect())
    }
}

/// A provider, as the file describes it. It has no `Debug`: there is a secret in it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderSettings {
    /// In addresses and in the log.
    pub(super) name: String,
    /// On its button.
    pub(super) title: String,
    pub(super) issuer: String,
    pub(super) client_id: String,
    /// Absent: the shop is a public client there.
    client_secret_file: Option<PathBuf>,
    #[serde(skip)]
    pub(super) client_secret: Option<String>,
    /// Beside `openid`.
    #[serde(default = "usual_scopes")]
    pub(super) scopes: Vec<String>,
    /// Whether customers sign in with it.
    #[serde(default)]
    pub(super) customers: bool,
    /// Whether staff do.
    #[serde(default)]
    pub(super) staff: bool,
    /// The claim that names groups.
    pub(super) roles_claim: Option<String>,
    /// The role of each group.
    #[serde(default)]
    pub(super) roles: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: Vec<ProviderSettings>,
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

/// What the file says, without the secrets.
fn described(file: &Path) -> anyhow::Result<Vec<ProviderSettings>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    parse(&text).with_context(|| file.display().to_string())
}

/// Reads the file, and the secrets that it names: relative names are beside it.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<ProviderSettings>> {
    let mut all = described(file)?;
    for one in &mut all {
        if let Some(secret) = &one.client_secret_file {
            let secret = file.parent().unwrap_or(Path::new("")).join(secret);
            let text = std::fs::read_to_string(&secret).with_context(|| secret.display().to_string())?;
            one.client_secret = Some(text.trim().to_owned());
        }
    }
    Ok(all)
}

fn parse(text: &str) -> anyhow::Result<Vec<ProviderSettings>> {
    let all = toml::from_str::<File>(text)?.provider;
    let (mut names, mut issuers) = (BTreeSet::new(), BTreeSet::new());
    for one in &all {
        let name = &one.name;
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(good) {
            bail!("the name of a provider is made of a-z, 0-9 and -, and has at most 32 of them: {name:?}");
        }
        if !names.insert(name) || !issuers.insert(&one.issuer) {
            bail!("provider {name}: its name or its issuer is used twice");
        }
        if !Url::parse(&one.issuer).is_ok_and(|url| is_safe(&url) && url.query().is_none()) {
            bail!(
                "provider {name}: its issuer begins with https://, or with http:// and a name of this machine"
            );
        }
        if !one.customers && !one.staff {
            bail!("provider {name} is for nobody: say customers = true, staff = true, or both");
        }
        if !one.staff && (one.roles_claim.is_some() || !one.roles.is_empty()) {
            bail!("provider {name} gives roles, and is not for staff");
        }
        if one.roles_claim.is_some() == one.roles.is_empty() {
            bail!("provider {name}: roles_claim and [provider.roles] go together");
        }
        for role in one.roles.values() {
            if role == CUSTOMER || account_role(role).is_err() {
                bail!("provider {name}: {role:?} is no role of staff");
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[provider]]
        name = "work"
        title = "Work"
        issuer = "https://login.work.example"
        client_id = "shop"
        staff = true
        roles_claim = "groups"
        roles = { shop-admins = "admin", "shop support" = "support" }

        [[provider]]
        name = "all"
        title = "Everybody"
        issuer = "http://127.0.0.1:9000"
        client_id = "shop"
        customers = true
    "#;

    #[test]
    fn a_file_describes_several_providers_and_what_is_wrong_with_one_is_said() {
        let all = parse(GOOD).unwrap();
        assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["work", "all"]);
        assert_eq!(all[0].roles["shop support"], "support");
        assert_eq!(all[1].scopes, ["email", "profile"]);
        for (from, to, words) in [
            ("\"work\"", "\"Work\"", "a-z"),
            ("\"all\"", "\"work\"", "used twice"),
            ("http://127.0.0.1:9000", "https://login.work.example", "used twice"),
            ("https://login", "http://login", "https://"),
            ("customers = true", "", "for nobody"),
            ("staff = true", "customers = true", "not for staff"),
            ("roles_claim = \"groups\"", "", "go together"),
            ("\"admin\"", "\"Boss\"", "no role of staff"),
            ("\"admin\"", "\"customer\"", "no role of staff"),
            ("customers = true", "customer = true", "unknown field"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let refused = format!("{:#}", parse(&GOOD.replacen(from, to, 1)).err().unwrap());
            assert!(refused.contains(words), "{to}: {refused}");
        }
        assert!(parse("").unwrap().is_empty());
    }
}
