import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * A second port of a node, with TLS and certificates of clients: the modules that bring them are not among the published
 * jars. The folder holds {@code valid.pem}, {@code server.key} and {@code authority.pem}.
 */
final class TlsPort {
  private TlsPort() {}

  static void open(int port, int plain, Path folder) throws Exception {
    SSLServerSocket server = (SSLServerSocket) context(folder).getServerSocketFactory()
        .createServerSocket(port, 50, InetAddress.getByName("127.0.0.1"));
    server.setNeedClientAuth(true);
    daemon(() -> {
      while (true) {
        Socket client = server.accept();
        daemon(() -> {
          try (client; Socket node = new Socket("127.0.0.1", plain)) {
            Thread back = daemon(() -> node.getInputStream().transferTo(client.getOutputStream()));
            client.getInputStream().transferTo(node.getOutputStream());
            node.shutdownOutput();
            back.join();
          }
        });
      }
    });
  }

  private static SSLContext context(Path folder) throws Exception {
    char[] none = new char[0];
    KeyStore own = KeyStore.getInstance("PKCS12");
    own.load(null, none);
    Certificate[] chain = { certificate(folder.resolve("valid.pem")) };
    own.setKeyEntry("server", key(folder.resolve("server.key")), none, chain);
    KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
    keys.init(own, none);
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, none);
    trusted.setCertificateEntry("authority", certificate(folder.resolve("authority.pem")));
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  private static Certificate certificate(Path file) throws Exception {
    try (InputStream pem = new ByteArrayInputStream(Files.readAllBytes(file))) {
      return CertificateFactory.getInstance("X.509").generateCertificate(pem);
    }
  }

  private static PrivateKey key(Path file) throws Exception {
    String body = Files.readString(file).replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
    return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(body)));
  }

  private interface Work {
    void run() throws Exception;
  }

  private static Thread daemon(Work work) {
    Thread thread = new Thread(() -> {
      try {
        work.run();
      } catch (IOException | InterruptedException e) {
        // A client that went away, or that was refused.
      } catch (Exception e) {
        e.printStackTrace();
      }
    });
    thread.setDaemon(true);
    thread.start();
    return thread;
  }
}
