//! Sections `server` and `client`: addresses, encryption, what callers may do.

use crate::base::certificate::certified_key;
use std::net::SocketAddr;

use super::headers;
use crate::config::{
    file::{File, Server, Tls},
    read::Place,
};

pub fn check(file: &File, root: &Place<'_>) {
    let server = root.member("server");
    check_addresses(&file.server, &server);
    if let Some(tls) = &file.server.tls {
        check_tls(tls, &server.member("tls"));
    }
    if file.server.state_directory.as_ref().is_some_and(|directory| !directory.is_absolute()) {
        server.member("state_directory").error("this path depends on where azgate is started; write an absolute path");
    }
    check_name_servers(&file.server.dns.servers, &server.member("dns").member("servers"));
    check_client(file, &root.member("client"));
}

fn check_name_servers(servers: &[SocketAddr], place: &Place<'_>) {
    for (index, server) in servers.iter().enumerate() {
        let element = place.element(index);
        if server.port() == 0 || server.ip().is_unspecified() || server.ip().is_multicast() {
            element.error("no name server can be asked at this address; write that of one, such as `10.0.0.2`");
        }
        if servers[..index].contains(server) {
            element.error("this name server stands here already; remove one of them");
        }
    }
}

/// Checks a PEM document; its text is not repeated.
pub fn check_pem(text: &str, label: &str, place: &Place<'_>) {
    let (begin, end) = (text.matches("-----BEGIN ").count(), text.matches("-----END ").count());
    if text.starts_with('/') {
        place.error("this is a path, not PEM; write `file.` in front of it");
    } else if begin == 0 || begin != end || !text.contains(&format!("{label}-----")) {
        place.error(format!("this is no PEM; expected text with `-----BEGIN {label}-----`, or `file./path` to it"));
    }
}

fn check_addresses(server: &Server, place: &Place<'_>) {
    let listen = place.member("listen");
    if server.listen.is_empty() && !listen.has_gaps() {
        listen.error("there is no address to listen on; add one such as `127.0.0.1:8080`");
    }
    for (index, address) in server.listen.iter().enumerate() {
        if let Some(earlier) = server.listen[..index].iter().position(|earlier| overlap(earlier, address)) {
            let earlier = listen.element(earlier).position();
            listen.element(index).error(format!("this address overlaps with the one at {earlier}; remove one of them"));
        }
    }
    let admin = place.member("admin");
    if server.listen.iter().any(|address| overlap(address, &server.admin.listen)) {
        admin.member("listen").error("callers are served at this address; give operators another port");
    }
    if server.admin.key.is_none() && !server.admin.listen.ip().is_loopback() {
        admin
            .member("listen")
            .warn("metrics and health are open to everybody who reaches this address; use a loopback address");
    }
}

/// Whether both cannot be bound. Port 0 is a free port, another one each time.
fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || same_family && (a.ip().is_unspecified() || b.ip().is_unspecified()))
}

fn check_tls(tls: &Tls, place: &Place<'_>) {
    let certificate = place.member("certificate");
    if tls.certificate.is_empty() {
        certificate.error("the certificate is missing; add it, usually as `file./path`");
    } else {
        check_pem(&tls.certificate, "CERTIFICATE", &certificate);
    }
    let complete = tls.certificate.contains("CERTIFICATE-----");
    match &tls.private_key {
        Some(key) if complete && key.expose().contains("PRIVATE KEY-----") => {
            if let Err(why) = certified_key(&tls.certificate, key.expose()) {
                place.error(format!("{why}; give the chain and the key that were made together"));
            }
        }
        None => place.member("private_key").error("the private key is missing; add it, usually as `file./path`"),
        Some(key) => check_pem(key.expose(), "PRIVATE KEY", &place.member("private_key")),
    }
    if let Some(authority) = &tls.client_ca {
        check_pem(authority, "CERTIFICATE", &place.member("client_ca"));
    }
}

fn check_client(file: &File, place: &Place<'_>) {
    let client = &file.client;
    headers::check_forwarded(&client.forward_headers, &place.member("forward_headers"));
    if client.allow_direct_keys && client.direct_endpoints.is_empty() {
        place.member("direct_endpoints").warn("callers with a direct key can reach no Azure resource; list origins");
    }
    let enforce = place.member("enforce_auth_on_inference");
    if !client.enforce_auth_on_inference {
        if let Some(address) = file.server.listen.iter().find(|address| !address.ip().is_loopback()) {
            enforce.warn(format!("everybody who reaches `{address}` may use every key; set it to true"));
        }
    } else if file.governance.virtual_keys.is_empty() && !client.allow_direct_keys {
        enforce.warn(
            "every request needs a virtual key and there is none; add one to `governance.virtual_keys` \
             (`azgate key new` makes it)",
        );
    }
}
