//! `iked.conf` for OpenBSD's iked and its portable version.

use std::fmt::Write;

use super::other_end::{OtherEnd, Proof, by_limit, network, ports, protocol};
use crate::config::{Selector, SiteChild};

/// The file.
pub(super) fn render(end: &OtherEnd<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, end);
    out
}

fn write_all(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    writeln!(out, "# Other end of the site {}: /etc/iked.conf, mode 0600; `ikectl reload`.", end.site.name)?;
    if end.own_proof == Proof::Certificate {
        writeln!(
            out,
            "# Its certificate: /etc/iked/certs, its key: /etc/iked/private/local.key, our authority: /etc/iked/ca."
        )?;
    }
    for child in end.site.children.iter().flat_map(by_limit) {
        policy(out, end, &child)?;
    }
    Ok(())
}

fn policy(out: &mut String, end: &OtherEnd<'_>, child: &SiteChild) -> std::fmt::Result {
    let mode = if end.is_transport() { " transport" } else { "" };
    writeln!(out, "ikev2 \"cygnet-{}\" active{mode} esp \\", child.name)?;
    if protocol(child) != 0 {
        writeln!(out, "        proto {} \\", protocol(child))?;
    }
    for theirs in &child.remote {
        let same_family = |ours: &&Selector| ours.network.addr().is_ipv4() == theirs.network.addr().is_ipv4();
        for ours in child.local.iter().filter(same_family) {
            writeln!(out, "        from {} to {} \\", place(theirs), place(ours))?;
        }
    }
    if child.remote.is_empty() {
        let own = end.own_address.as_deref().unwrap_or("any");
        writeln!(out, "        from {own} to {} \\", end.our_address)?;
    }
    writeln!(out, "        peer {} \\", end.our_address)?;
    writeln!(out, "        ikesa enc aes-256-gcm prf hmac-sha2-384 group ecp384 \\")?;
    writeln!(out, "        childsa enc aes-256-gcm group ecp384 childsa enc aes-256-gcm group none \\")?;
    for (key, id) in [("srcid", end.own_id), ("dstid", end.our_id)] {
        if let Some(id) = id {
            writeln!(out, "        {key} \"{}\" \\", id.trim_start_matches('@'))?;
        }
    }
    let lifetimes = end.site.lifetimes;
    if let Some(age) = lifetimes.ike {
        writeln!(out, "        ikelifetime {} \\", age.as_secs())?;
    }
    match (lifetimes.child, lifetimes.bytes) {
        (Some(age), Some(bytes)) => writeln!(out, "        lifetime {} bytes {bytes} \\", age.as_secs())?,
        (Some(age), None) => writeln!(out, "        lifetime {} \\", age.as_secs())?,
        (None, _) => {}
    }
    match end.psk {
        Some(psk) if end.own_proof == Proof::Psk => writeln!(out, "        psk {}", key(psk)),
        _ => writeln!(out, "        ecdsa256"),
    }
}

/// A key in quotes, or in hexadecimal.
fn key(psk: &[u8]) -> String {
    let plain = psk.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=_.-".contains(b)) && !psk.starts_with(b"0x");
    match std::str::from_utf8(psk) {
        Ok(text) if plain => format!("\"{text}\""),
        _ => super::other_end::hexadecimal(psk),
    }
}

/// iked knows single ports, no ranges and no ICMP types; our side narrows what it asks for to what was configured.
fn place(selector: &Selector) -> String {
    match ports(selector) {
        Some(port) if selector.protocol != 1 && selector.protocol != 58 && !port.contains('-') => {
            format!("{} port {port}", network(selector))
        }
        _ => network(selector),
    }
}
