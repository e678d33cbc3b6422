//! nginx as Debian sets it up (sendfile, tcp_nopush), one worker, without its access log; with a certificate it
//! speaks TLS only.

use std::net::SocketAddr;
use std::path::Path;

use crate::child::{Cores, SERVER_CORE, Server, pause};
use crate::proc;

pub(crate) fn start(
    folder: &Path,
    address: SocketAddr,
    certificate: Option<&Path>,
) -> anyhow::Result<(Server, Vec<u32>)> {
    let config = folder.join("nginx.conf");
    std::fs::write(&config, text(folder, address, certificate))?;
    let config = config.to_string_lossy();
    let args = ["-c", &*config, "-p", &*folder.to_string_lossy()];
    let mut nginx =
        Server::start(Cores::One(SERVER_CORE), Path::new("nginx"), &args, &folder.join("nginx.log"))?;
    nginx.wait_for(address)?;
    let mut pids = proc::children(nginx.pid())?;
    while pids.is_empty() {
        pause();
        pids = proc::children(nginx.pid())?;
    }
    pids.push(nginx.pid());
    Ok((nginx, pids))
}

/// The certificate's folder is one that `otaru certs new` has filled.
fn text(folder: &Path, address: SocketAddr, certificate: Option<&Path>) -> String {
    let (ssl, certificate) = certificate.map_or_else(Default::default, |folder| {
        let folder = folder.display();
        let text = format!(
            "ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server-key.pem;
            ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers AES128-SHA256;"
        );
        ("ssl", text)
    });
    let folder = folder.display();
    format!(
        "daemon off;
        user root;
        worker_processes 1;
        pid {folder}/nginx.pid;
        error_log {folder}/nginx-error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            sendfile on;
            tcp_nopush on;
            keepalive_timeout 600;
            keepalive_requests 1000000000;
            {certificate}
            server {{ listen {address} {ssl}; root {folder}; }}
        }}"
    )
}
