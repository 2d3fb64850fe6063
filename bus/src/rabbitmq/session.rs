//! A connection to `RabbitMQ`, and the socket below it.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, OwnedIdentity, OwnedTLSConfig, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties};
use soonshop_certificates::{Invalid, ServerTls};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::link::Health;

/// A connection with a channel. When dropped it closes properly, but soon hangs up without an answer.
pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    pub(super) channel: Channel,
    pub(super) health: Health,
    line: Option<Line>,
}

impl Session {
    /// Connects, and opens a channel.
    pub(super) async fn open(
        line: Line,
        uri: &AMQPUri,
        role: &str,
        patience: Duration,
    ) -> lapin::Result<Self> {
        let connection = Arc::new(line.connect(uri, role, patience).await?);
        let channel = connection.create_channel().await?;
        Ok(Self { connection, channel, health: Health::default(), line: Some(line) })
    }

    pub(super) fn broken(&self) -> bool {
        let status = self.connection.status();
        // A blocked connection is expected to be silent.
        !status.connected() || (self.health.broken() && !status.blocked())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        const GOODBYE: Duration = Duration::from_secs(1);
        let (connection, line) = (Arc::clone(&self.connection), self.line.take());
        if let Ok(runtime) = Handle::try_current()
            && !self.broken()
        {
            // Ends by itself, or earlier with the runtime.
            drop(runtime.spawn(async move {
                let _ = timeout(GOODBYE, connection.close(200, "OK".into())).await;
                drop(line);
            }));
        }
    }
}

/// The socket below a connection, closed when dropped. lapin drives each connection in a thread that ends with the
/// socket, and waits without limit for a broker that accepts but never answers: without this, every attempt to
/// connect to a hanging broker would leak a thread.
pub(super) struct Line {
    socket: Arc<Socket>,
    trust: Trust,
}

/// The authorities that are trusted with TLS, and the client's certificate.
#[derive(Clone)]
enum Trust {
    /// The authorities of the address alone.
    Named(RustlsConnector),
    /// The public ones.
    Public(Option<(Vec<u8>, Vec<u8>)>),
}

#[derive(Default)]
struct Socket(Mutex<Option<TcpStream>>);

impl Line {
    /// Reads the files of TLS, for one connection.
    pub(super) fn new(tls: &ServerTls) -> Result<Self, Invalid> {
        let trust = match tls.config()? {
            Some(config) => Trust::Named(RustlsConnector::from(config)),
            None => Trust::Public(tls.read()?.own),
        };
        Ok(Self { socket: Arc::default(), trust })
    }

    async fn connect(&self, uri: &AMQPUri, role: &str, patience: Duration) -> lapin::Result<Connection> {
        let addresses = tokio::net::lookup_host((uri.authority.host.as_str(), uri.authority.port)).await?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let properties =
            ConnectionProperties::default().with_connection_name(format!("soonshop-bus {role}").into());
        // Weak: lapin's thread keeps this closure as long as it lives.
        let (socket, trust) = (Arc::downgrade(&self.socket), self.trust.clone());
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connector(
            uri.clone(),
            runtime,
            async move |uri: AMQPUri, runtime| {
                // Until there is a socket, only this time limit ends the thread.
                let stream = timeout(patience, AsyncTcpStream::connect(&runtime, addresses.clone()));
                let stream = stream.await.map_err(std::io::Error::from)??;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    let ours = TcpStream::from(plain.get_ref().as_fd().try_clone_to_owned()?);
                    match socket.upgrade() {
                        Some(socket) => *socket.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ours),
                        // The caller is gone.
                        None => ours.shutdown(Shutdown::Both)?,
                    }
                }
                Ok(match uri.scheme {
                    AMQPScheme::AMQP => stream,
                    AMQPScheme::AMQPS => match &trust {
                        Trust::Named(connector) => stream.into_rustls(connector, &uri.authority.host).await?,
                        Trust::Public(own) => {
                            let identity = own.clone().map(|(pem, key)| OwnedIdentity::PKCS8 { pem, key });
                            let config = OwnedTLSConfig { identity, cert_chain: None };
                            stream.into_tls(&uri.authority.host, config.as_ref()).await?
                        }
                    },
                })
            },
            properties,
        )
        .await
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(socket) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            // Fails if it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
