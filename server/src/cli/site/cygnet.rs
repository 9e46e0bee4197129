//! `cygnet.toml` for another Cygnet.

use std::fmt::Write;
use std::time::Duration;

use super::other_end::{OtherEnd, Proof, commented, hexadecimal, is_everything, span};
use crate::config::{Selector, SiteChild};

/// How often a silent peer is asked where the file says nothing.
const USUAL_LIVENESS: Option<Duration> = Some(Duration::from_secs(30));

/// The file.
pub(super) fn render(end: &OtherEnd<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, end);
    out
}

fn write_all(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    let site = end.site;
    writeln!(
        out,
        "# Other end of the site {}: a part of cygnet.toml, mode 0600; choose another name if it has one.",
        site.name
    )?;
    out.push_str(&end.address_note());
    files(out, end)?;
    writeln!(out, "[site.{}]", site.name)?;
    writeln!(out, "peer = {}", string(&end.our_address))?;
    proofs(out, end)?;
    for (key, id) in [("id", end.own_id), ("peer_id", end.our_id)] {
        if let Some(id) = id {
            writeln!(out, "{key} = {}", string(id))?;
        }
    }
    if !end.begins {
        writeln!(out, "start = \"demand\"")?;
    }
    if end.is_transport() {
        writeln!(out, "mode = \"transport\"")?;
    }
    if let Some(device) = end.device() {
        writeln!(out, "mode = \"interface\"\ninterface = {}", string(device))?;
    }
    let policies: Vec<String> = site.policy.iter().map(|policy| string(policy.name())).collect();
    writeln!(out, "policy = [{}]", policies.join(", "))?;
    for (key, list) in [("ike", end.ike()), ("esp", end.esp())] {
        if !list.is_empty() {
            let list: Vec<String> = list.iter().map(|text| string(text)).collect();
            writeln!(out, "{key} = [{}]", list.join(", "))?;
        }
    }
    for (key, age) in [("child_lifetime", site.lifetimes.child), ("ike_lifetime", site.lifetimes.ike)] {
        let age = age.map_or_else(|| "false".to_owned(), |age| string(&span(age)));
        writeln!(out, "{key} = {age}")?;
    }
    settings(out, end)?;
    if let Some(ppk) = &site.ppk {
        let secret = hexadecimal(ppk.secret.expose());
        writeln!(out, "ppk = {{ id = {}, secret = \"{secret}\", required = {} }}", string(&ppk.id), ppk.required)?;
    }
    match site.children.as_slice() {
        [one] => networks(out, one, end),
        several => several.iter().try_for_each(|child| {
            writeln!(out, "\n[[site.{}.child]]\nname = {}", site.name, string(&child.name))?;
            networks(out, child, end)
        }),
    }
}

/// What has to be copied by hand.
fn files(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    match end.own_proof {
        Proof::Psk => {}
        Proof::Certificate => {
            writeln!(out, "# Beside it: other-end.pem, its certificate; other-end.key (mode 0600), the key.")?;
        }
        Proof::RawKey => writeln!(out, "# Beside it: other-end.key (mode 0600), its private key.")?,
    }
    match end.our_proof {
        Proof::Psk => {}
        Proof::Certificate => writeln!(out, "# Beside it: ca.pem, the authority of our certificate.")?,
        Proof::RawKey => {
            writeln!(out, "# Beside it: cygnet.pub, our public key; without the marks:")?;
            out.push_str(&commented(&end.our_public_key().unwrap_or_default()));
        }
    }
    match end.psk {
        Some(psk) if literal(psk).is_none() => {
            writeln!(
                out,
                "# Beside it: {}.psk (mode 0600), a copy of the file with our key, which is no text.",
                end.site.name
            )
        }
        _ => Ok(()),
    }
}

/// What differs from the defaults.
fn settings(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    let site = end.site;
    if let Some(bytes) = site.lifetimes.bytes {
        writeln!(out, "rekey_bytes = {bytes}")?;
    }
    if let Some(packets) = site.lifetimes.packets {
        writeln!(out, "rekey_packets = {packets}")?;
    }
    if let Some(every) = site.reauthentication {
        writeln!(out, "reauth = {}", string(&span(every)))?;
    }
    if site.liveness != USUAL_LIVENESS {
        let liveness = site.liveness.map_or_else(|| "false".to_owned(), |delay| string(&span(delay)));
        writeln!(out, "liveness = {liveness}")?;
    }
    if !site.mobike {
        writeln!(out, "mobike = false")?;
    }
    if site.force_udp_encap {
        writeln!(out, "force_udp_encap = true")?;
    }
    if let Some(mtu) = site.mtu {
        writeln!(out, "mtu = {mtu}")?;
    }
    Ok(())
}

/// A key as it can be written into the file: text that does not say where a key is.
fn literal(psk: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(psk).ok()?;
    (!["file:", "env:", "cred:"].iter().any(|prefix| text.starts_with(prefix))).then_some(text)
}

fn proofs(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    if let Some(text) = end.psk {
        let text = literal(text).map_or_else(|| format!("file:{}.psk", end.site.name), str::to_owned);
        writeln!(out, "psk = {}", string(&text))?;
    }
    match end.own_proof {
        Proof::Psk => {}
        Proof::Certificate => writeln!(out, "cert = \"other-end.pem\"\nkey = \"other-end.key\"")?,
        Proof::RawKey => writeln!(out, "key = \"other-end.key\"")?,
    }
    match end.our_proof {
        Proof::Psk => Ok(()),
        Proof::Certificate => writeln!(out, "ca = \"ca.pem\""),
        Proof::RawKey => writeln!(out, "public_key = \"cygnet.pub\""),
    }
}

fn networks(out: &mut String, child: &SiteChild, end: &OtherEnd<'_>) -> std::fmt::Result {
    let transport = end.is_transport();
    let default = |list: &[Selector]| end.device().is_some() && is_everything(list);
    let lists = [("local", &child.remote), ("remote", &child.local)];
    for (key, list) in lists.into_iter().filter(|(_, list)| !default(list)) {
        let list: Vec<String> = list.iter().map(|s| selector(s, transport)).filter(|text| !text.is_empty()).collect();
        if !list.is_empty() {
            let list: Vec<String> = list.iter().map(|text| string(text)).collect();
            writeln!(out, "{key} = [{}]", list.join(", "))?;
        }
    }
    Ok(())
}

/// Without the network in transport mode, where it has no meaning.
fn selector(selector: &Selector, transport: bool) -> String {
    if transport { selector.limit().unwrap_or_default() } else { selector.to_string() }
}

/// A TOML string.
fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
