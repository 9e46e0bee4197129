//! `iked.conf` for OpenBSD's iked and its portable version.

use std::fmt::Write;
use std::net::IpAddr;

use anyhow::bail;
use cygnet_ike::identity::Identity;

use super::algorithms::{iked_esp, iked_ike};
use super::other_end::{OtherEnd, Proof, commented, network, ports, protocol};
use crate::config::{Selector, SiteChild};

/// What is proposed where `ike` and `esp` say nothing.
const USUAL_IKE: &str = "ikesa enc aes-256-gcm prf hmac-sha2-384 group ecp384";
const USUAL_ESP: &str = "childsa enc aes-256-gcm group ecp384 childsa enc aes-256-gcm group none";

/// The file.
///
/// # Errors
/// The site needs something that iked does not have.
pub(super) fn render(end: &OtherEnd<'_>) -> anyhow::Result<String> {
    if end.site.ppk.as_ref().is_some_and(|ppk| ppk.required) {
        bail!("iked has no post-quantum keys (RFC 8784); remove `required` from `ppk`, and the tunnel is made without");
    }
    if end.own_proof != end.our_proof {
        bail!("with iked both sides prove themselves in the same way: by certificate, bare key or pre-shared key");
    }
    for id in [end.own_id, end.our_id].into_iter().flatten() {
        if let Ok(Identity::KeyId(_) | Identity::DerAsn1Dn(_)) = id.parse::<Identity>() {
            bail!("iked would take \"{id}\" for a DNS name; write names or addresses into `id` and `peer_id`");
        }
    }
    let unnamed = |child: &SiteChild| child.local.iter().chain(&child.remote).any(|s| s.network.prefix_len() == 0);
    if end.device().is_some() && end.site.children.iter().any(unnamed) {
        bail!(
            "iked decides by networks what goes through a tunnel; name them in `local` and `remote` of [site.{}]",
            end.site.name
        );
    }
    let proposals = |list: Vec<String>, usual: &str| if list.is_empty() { usual.to_owned() } else { list.join(" ") };
    let ike = proposals(iked_ike(end.ike())?, USUAL_IKE);
    let esp = proposals(iked_esp(end.esp())?, USUAL_ESP);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, end, &[ike, esp]);
    Ok(out)
}

fn write_all(out: &mut String, end: &OtherEnd<'_>, algorithms: &[String; 2]) -> std::fmt::Result {
    writeln!(out, "# Other end of the site {}: /etc/iked.conf, mode 0600; `ikectl reload`.", end.site.name)?;
    out.push_str(&end.address_note());
    if end.site.ppk.is_some() {
        writeln!(out, "# iked has no post-quantum keys (RFC 8784): this tunnel is made without.")?;
    }
    match end.own_proof {
        Proof::Psk => {}
        Proof::Certificate => writeln!(
            out,
            "# Its certificate: /etc/iked/certs, its key: /etc/iked/private/local.key, our authority: /etc/iked/ca."
        )?,
        Proof::RawKey => {
            writeln!(out, "# Its private key: /etc/iked/private/local.key. Our public key, without the marks:")?;
            writeln!(out, "# /etc/iked/pubkeys/{}", public_key_file(end))?;
            out.push_str(&commented(&end.our_public_key().unwrap_or_default()));
        }
    }
    for child in end.connections() {
        policy(out, end, algorithms, &child)?;
    }
    Ok(())
}

/// Where it looks for our public key: the directory tells the type of our identity.
fn public_key_file(end: &OtherEnd<'_>) -> String {
    let id = end.our_id.unwrap_or(&end.our_address);
    let id = id.strip_prefix('@').unwrap_or(id);
    match id.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => format!("ipv4/{v4}"),
        Ok(IpAddr::V6(v6)) => format!("ipv6/{v6}"),
        Err(_) if id.contains('@') => format!("ufqdn/{id}"),
        Err(_) => format!("fqdn/{id}"),
    }
}

fn policy(out: &mut String, end: &OtherEnd<'_>, algorithms: &[String; 2], child: &SiteChild) -> std::fmt::Result {
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
    for proposals in algorithms {
        writeln!(out, "        {proposals} \\")?;
    }
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
        _ => {
            // Any signature is the default: the line before was the last one.
            let end_of_last = out.trim_end_matches(" \\\n").len();
            out.truncate(end_of_last);
            writeln!(out)
        }
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
