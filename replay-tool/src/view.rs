//! `view`: the pages of the audit trail for an export, on this machine only. No shop is needed: the rows of the file
//! are loaded into a read model in a temporary folder, and the shop's endpoints answer from there.

use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use soonshop_audit::export::InvalidExport;
use soonshop_audit::file::File;
use soonshop_audit_web::http::{Viewer, role_that_may_see, router_of_file};
use soonshop_audit_web::refusals::PagesOfRefusals;
use soonshop_cache::Cache;
use soonshop_domain::clock;
use soonshop_event_log::{Database, DatabaseLocation, EventLog, KeyStore, MasterKeys};
use soonshop_migrations::Namespace;
use soonshop_projections::Registry;
use soonshop_search::Search;
use soonshop_service_kit::access::{Access, Role};
use soonshop_service_kit::connections::{InvalidTls, Tls, date};
use soonshop_service_kit::health::Health;
use soonshop_service_kit::listening::must_be_of_this_machine;
use soonshop_service_kit::metrics::Http;
use soonshop_service_kit::serve::{ServerSettings, serve};
use soonshop_service_kit::work::Work;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::folder::Folder;
use crate::output::Line;
use crate::sentences::Remedy;
use crate::{Ended, Failure, Language, Outcome, Output, Sentence, Stop, exit};

/// How often the certificate is looked at.
const LOOK: Duration = Duration::from_secs(30);

/// How long open requests may still take at the end.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub struct Options {
    pub file: PathBuf,
    pub listen: SocketAddr,
    /// Certificate and key, to speak TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The language of the pages; None: the browser's.
    pub language: Option<Language>,
}

/// Why a file is not shown.
enum NotShown {
    /// It does not match its manifest.
    Differs(String),
    /// It is no export, or cannot be read.
    Unread(String),
    Failed(Failure),
}

impl From<InvalidExport> for NotShown {
    fn from(unread: InvalidExport) -> Self {
        match unread {
            InvalidExport::Differs(_) => Self::Differs(unread.to_string()),
            InvalidExport::NoExport(_) => Self::Unread(unread.to_string()),
            InvalidExport::Io(error) => Self::Unread(error.to_string()),
        }
    }
}

impl<F: Into<Failure>> From<F> for NotShown {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// The fault of a certificate or its key, as a sentence of the tool.
fn tls_fault(invalid: &InvalidTls) -> Sentence {
    match invalid {
        InvalidTls::Certificate(file, error) => {
            Sentence::NoPemCertificate { file: file.clone(), detail: error.to_string() }
        }
        InvalidTls::NoCertificate(file) => Sentence::NoCertificate { file: file.clone() },
        InvalidTls::Damaged(file, error) => {
            Sentence::CertificateDamaged { file: file.clone(), detail: error.clone() }
        }
        InvalidTls::Key(file, error) => Sentence::NoPemKey { file: file.clone(), detail: error.to_string() },
        InvalidTls::File(file, error) => Sentence::OfFile { file: file.clone(), detail: error.to_string() },
        InvalidTls::Apart(certificate, key) => {
            Sentence::NotItsKey { certificate: certificate.clone(), key: key.clone() }
        }
        InvalidTls::Unusable(file, error) => {
            Sentence::CertificateUnusable { file: file.clone(), detail: error.to_string() }
        }
        InvalidTls::Ended(file, at) => Sentence::CertificateEnded { file: file.clone(), date: date(*at) },
        InvalidTls::NotYet(file, at) => Sentence::CertificateNotYet { file: file.clone(), date: date(*at) },
        InvalidTls::Readable(why) => Sentence::KeyExposed { detail: why.clone() },
        InvalidTls::NoAuthority(_)
        | InvalidTls::Authority(..)
        | InvalidTls::Alone(..)
        | InvalidTls::Parameter(_)
        | InvalidTls::WithoutTls(..) => Sentence::ServersTls { detail: invalid.to_string() },
    }
}

/// Shows the file until stopped.
pub async fn view(options: &Options, out: &Output, stop: &Stop) -> Outcome {
    must_be_of_this_machine(options.listen)
        .map_err(|_| Failure::Usage(Sentence::NotLoopback { address: options.listen.to_string() }))?;
    let tls = options.tls.as_ref().map(|(certificate, key)| Tls::read(certificate, key)).transpose();
    let tls =
        tls.map_err(|invalid| Failure::Usage(Sentence::BadTls { why: Box::new(tls_fault(&invalid)) }))?;
    let folder = Folder::new()?;
    let shop = Shop::new(&folder).await?;
    let name = || options.file.display().to_string();
    match load(options, &shop, out, stop).await {
        Ok(file) => Err(show(options, tls, &shop, file, out, stop).await),
        Err(NotShown::Differs(why)) => {
            let sentence = Sentence::ManifestDiffers { file: name(), detail: why };
            let response = sentence.to_string();
            out.message("error", &json!({ "message": response }));
            out.say(&Sentence::ByTool { text: Box::new(sentence) });
            Ok(Ended { code: exit::FOUND, summary: json!({ "result": "differs", "reason": response }) })
        }
        Err(NotShown::Unread(detail)) => Err(Failure::Usage(Sentence::OfFile { file: name(), detail })),
        Err(NotShown::Failed(Failure::Usage(sentence))) => {
            Err(Failure::Usage(Sentence::OfFile { file: name(), detail: sentence.text(out.language()) }))
        }
        Err(NotShown::Failed(failure)) => Err(failure),
    }
}

async fn load(options: &Options, shop: &Shop, out: &Output, stop: &Stop) -> Result<File, NotShown> {
    let open = std::fs::File::open(&options.file).map_err(InvalidExport::Io)?;
    let name = options.file.file_name().unwrap_or(options.file.as_os_str()).to_string_lossy().into_owned();
    let may_see = |role: &str| role_that_may_see(role).is_some();
    let file = File::load(name, BufReader::new(open), &shop.registry, may_see, |count| {
        let status = json!({ "phase": "read", "done": count });
        let text = Sentence::ReadingRows { count };
        out.progress(&Line { done: count, total: 0, text, status }, false);
        if stop.is_asked() { Err(NotShown::Failed(stop.failure())) } else { Ok(()) }
    });
    let file = file.await?;
    out.finish();
    Ok(file)
}

/// Serves the pages until stopped, and says why it ended.
async fn show(
    options: &Options,
    tls: Option<Tls>,
    shop: &Shop,
    file: File,
    out: &Output,
    stop: &Stop,
) -> Failure {
    let listening = async {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, address))
    };
    let (listener, address) = match listening.await {
        Ok(listening) => listening,
        Err(error) => {
            let (address, detail) = (options.listen.to_string(), error.to_string());
            return Failure::Usage(Sentence::NotListening { address, detail });
        }
    };
    let language = options.language.map(|language| format!("?lang={}", language.tag())).unwrap_or_default();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{address}/audit/timeline{language}");
    let (count, listed) = (file.manifest().count(), file.manifest().listed());
    let mut response = json!({
        "address": address, "file": file.name(), "count": count, "head": listed.head, "role": listed.role,
    });
    let about = Sentence::Showing { count, head: listed.head, role: listed.role.clone() };
    if let Some(signer) = file.manifest().signed_by() {
        response["signed_by"] = signer.fingerprint.as_str().into();
        out.say(&Sentence::SignedBy { fingerprint: signer.fingerprint.clone() });
    }
    let shutdown = CancellationToken::new();
    let Some(role) = role_that_may_see(file.role()) else {
        return Failure::unexpected("the file was loaded for a role that may not see it");
    };
    let (viewer, file) = (shop.viewer(role, &shutdown), Arc::new(file));
    let pages = PagesOfRefusals::of_file(Arc::clone(&file));
    let router = router_of_file(viewer, file);
    let server_settings =
        ServerSettings { pages: Some(Arc::new(pages)), tls: tls.clone(), ..ServerSettings::default() };
    let serving = serve(listener, router, Http::default(), &server_settings, shutdown.clone(), GRACE);
    out.result("status", &response, |_| address);
    out.say(&about);
    let stopped = async {
        stop.requested().await;
        shutdown.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = serving => stop.failure(),
        () = stopped => stop.failure(),
        () = watch(tls.as_ref(), out) => Failure::unexpected("the certificate is not looked at any more"),
    }
}

/// Warns of a certificate that is not as it should be, now and whenever that changes.
async fn watch(tls: Option<&Tls>, out: &Output) {
    let Some(tls) = tls else { return std::future::pending().await };
    let (mut ticks, mut before) = (tokio::time::interval(LOOK), None);
    loop {
        ticks.tick().await;
        let complaint = tls.complaint(clock::now());
        if let Some(detail) = complaint.clone().filter(|_| complaint != before) {
            out.warn(Sentence::OwnCertificate { file: tls.file(), detail });
            out.say(&Sentence::WhatToDo { remedy: Remedy("own-certificate") });
        }
        before = complaint;
    }
}

/// The parts of a shop that the endpoints need.
struct Shop {
    registry: Registry,
    log: EventLog,
    search: Arc<dyn Search>,
    cache: Arc<dyn Cache>,
}

impl Shop {
    async fn new(folder: &Folder) -> Result<Self, Failure> {
        let database = Database::new(DatabaseLocation::Sqlite(folder.path().to_owned()));
        for namespace in [Namespace::Log, Namespace::Keys, Namespace::Operations] {
            let db = database.namespace(namespace.name())?;
            soonshop_migrations::migrate(namespace, &db.connection).await.map_err(Failure::unexpected)?;
        }
        let masters = folder.path().join("master.key");
        MasterKeys::create(&masters)?;
        let keys = KeyStore::new(database.namespace("keys")?, MasterKeys::read(&masters)?);
        Ok(Self {
            registry: Registry::new(&database)?,
            log: EventLog::new(database.namespace("log")?, keys),
            search: soonshop_search::connect(&format!(
                "tantivy://{}",
                folder.path().join("search").display()
            ))?,
            cache: soonshop_cache::connect("moka:")?,
        })
    }

    fn viewer(&self, role: Role, stop: &CancellationToken) -> Viewer {
        Viewer {
            registry: self.registry.clone(),
            log: self.log.clone(),
            search: Arc::clone(&self.search),
            cache: Arc::clone(&self.cache),
            health: Health::new(),
            access: Access::everybody(role),
            work: Work::default(),
            stop: stop.clone(),
        }
    }
}
