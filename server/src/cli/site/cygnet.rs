//! `cygnet.toml` for another Cygnet.

use std::fmt::Write;

use super::other_end::{OtherEnd, Proof, hexadecimal, span};
use crate::config::{Selector, SiteChild};

/// The file.
pub(super) fn render(end: &OtherEnd<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, end);
    out
}

fn write_all(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    let site = end.site;
    writeln!(out, "# Other end of the site {}: cygnet.toml, mode 0600.\n[site.cygnet]", site.name)?;
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
    if let Some(ppk) = &site.ppk {
        let secret = hexadecimal(ppk.secret.expose());
        writeln!(out, "ppk = {{ id = {}, secret = \"{secret}\", required = {} }}", string(&ppk.id), ppk.required)?;
    }
    match site.children.as_slice() {
        [one] => networks(out, one, end.is_transport()),
        several => several.iter().try_for_each(|child| {
            writeln!(out, "\n[[site.cygnet.child]]\nname = {}", string(&child.name))?;
            networks(out, child, end.is_transport())
        }),
    }
}

fn proofs(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    if let Some(text) = end.psk {
        writeln!(out, "psk = {}", string(&String::from_utf8_lossy(text)))?;
    }
    match end.own_proof {
        Proof::Psk => {}
        Proof::Certificate => writeln!(out, "cert = \"other-end.pem\"\nkey = \"other-end.key\"")?,
        Proof::RawKey => writeln!(out, "key = \"other-end.key\"")?,
    }
    match end.our_proof {
        Proof::Psk => Ok(()),
        Proof::Certificate => writeln!(out, "ca = \"ca.pem\"   # the authority of our certificate"),
        Proof::RawKey => writeln!(out, "public_key = \"cygnet.pub\"   # openssl pkey -in KEY -pubout, of our key"),
    }
}

fn networks(out: &mut String, child: &SiteChild, transport: bool) -> std::fmt::Result {
    for (key, list) in [("local", &child.remote), ("remote", &child.local)] {
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
