//! `ipsec.conf` for libreswan 4 and later, with the line for `ipsec.secrets` as a comment. "left" is the other end, "right" is we.

use std::fmt::Write;

use super::other_end::{OtherEnd, Proof, by_limit, network, ports, protocol, quoted_key, span};
use crate::config::{Selector, SiteChild};

/// The file.
pub(super) fn render(end: &OtherEnd<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, end);
    out
}

fn write_all(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    let site = &end.site;
    writeln!(
        out,
        "# Other end of the site {}: /etc/ipsec.d/cygnet.conf; \"left\" is there, \"right\" is here.",
        site.name
    )?;
    for child in site.children.iter().flat_map(by_limit) {
        connection(out, end, &child)?;
    }
    if let Some(psk) = end.psk {
        let own = end.own_id.map_or_else(|| end.own_address.clone().unwrap_or_else(|| "%any".to_owned()), identity);
        let ours = end.our_id.map_or_else(|| end.our_address.clone(), identity);
        writeln!(out, "\n# Into /etc/ipsec.d/cygnet.secrets (mode 0600), without the mark at the beginning:")?;
        writeln!(out, "# {own} {ours} : PSK {}", quoted_key(psk))?;
    }
    Ok(())
}

fn connection(out: &mut String, end: &OtherEnd<'_>, child: &SiteChild) -> std::fmt::Result {
    let site = end.site;
    writeln!(out, "conn cygnet-{}", child.name)?;
    let mut line = |key: &str, value: &str| writeln!(out, "    {key}={value}");
    line("ikev2", "insist")?;
    line("authby", if end.own_proof == Proof::Psk { "secret" } else { "ecdsa,rsa-sha2" })?;
    line("left", "%defaultroute")?;
    if let Some(id) = end.own_id.map(identity).or_else(|| end.own_address.clone()) {
        line("leftid", &id)?;
    }
    line("right", &end.our_address)?;
    line("rightid", &end.our_id.map_or_else(|| end.our_address.clone(), identity))?;
    match end.own_proof {
        Proof::Certificate => line("leftcert", "other-end")?,
        Proof::Psk | Proof::RawKey => {}
    }
    if end.is_transport() {
        line("type", "transport")?;
    }
    subnets(out, "left", &child.remote, protocol(child), end.is_transport())?;
    subnets(out, "right", &child.local, protocol(child), end.is_transport())?;
    let mut line = |key: &str, value: &str| writeln!(out, "    {key}={value}");
    if let [_, ..] = end.esp() {
        line("esp", &end.esp().join(","))?;
    }
    if let Some(age) = site.lifetimes.ike {
        line("ikelifetime", &span(age))?;
    }
    if let Some(age) = site.lifetimes.child {
        line("salifetime", &span(age))?;
    }
    line("mobike", "no")?;
    line("fragmentation", "yes")?;
    if let Some(delay) = site.liveness {
        line("dpddelay", &delay.as_secs().to_string())?;
        line("dpdtimeout", &(delay.as_secs() * 4).to_string())?;
    }
    line("auto", if end.begins { "start" } else { "ondemand" })
}

/// One side of a connection; `protocol` is that of the connection, which the two sides have in common.
fn subnets(out: &mut String, side: &str, list: &[Selector], protocol: u8, transport: bool) -> std::fmt::Result {
    if protocol != 0 {
        // It knows single ports, no ranges and no ICMP types; our side narrows what it asks for to what was configured.
        let single = list.first().and_then(ports).filter(|port| protocol != 1 && protocol != 58 && !port.contains('-'));
        writeln!(out, "    {side}protoport={protocol}/{}", single.as_deref().unwrap_or("%any"))?;
    }
    match list {
        [] => Ok(()),
        _ if transport => Ok(()),
        [one] => writeln!(out, "    {side}subnet={}", one.network),
        several => {
            let nets: Vec<String> = several.iter().map(network).collect();
            writeln!(out, "    {side}subnets={{{}}}", nets.join(","))
        }
    }
}

/// Names have a `@` in front.
fn identity(id: &str) -> String {
    let is_name = id.parse::<std::net::IpAddr>().is_err() && !id.contains('@') && !id.contains(':');
    match id.strip_prefix("keyid:").map(|key| key.strip_prefix("0x").unwrap_or(key)) {
        Some(key) => format!("@#{key}"),
        None if is_name => format!("@{id}"),
        None => id.to_owned(),
    }
}
