//! `ipsec.conf` for libreswan 4 and later, with the line for `ipsec.secrets` as a comment. "left" is the other end, "right" is we.

use std::fmt::Write;

use anyhow::bail;
use cygnet_ike::identity::Identity;

use super::algorithms::{libreswan_esp, libreswan_ike};
use super::other_end::{OtherEnd, Proof, by_family, hexadecimal, network, ports, protocol, quoted_key, span};
use crate::config::{Selector, SiteChild};

/// The algorithms, in its own words; empty: as it likes.
struct Algorithms {
    ike: String,
    esp: String,
    no_esn: bool,
}

/// The file.
///
/// # Errors
/// The site needs something that libreswan does not have.
pub(super) fn render(end: &OtherEnd<'_>) -> anyhow::Result<String> {
    if end.own_proof == Proof::RawKey || end.our_proof == Proof::RawKey {
        bail!(
            "libreswan keeps bare keys in a store and a form of its own; use certificates or a pre-shared key with it"
        );
    }
    if end.own_proof != end.our_proof {
        bail!("with libreswan both sides have a certificate, or both the pre-shared key");
    }
    let (esp, no_esn) = libreswan_esp(end.esp())?;
    let algorithms = Algorithms { ike: libreswan_ike(end.ike())?, esp, no_esn };
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, end, &algorithms);
    Ok(out)
}

fn write_all(out: &mut String, end: &OtherEnd<'_>, algorithms: &Algorithms) -> std::fmt::Result {
    writeln!(
        out,
        "# Other end of the site {}: /etc/ipsec.d/{}.conf; \"left\" is there, \"right\" is here.",
        end.site.name,
        end.name()
    )?;
    out.push_str(&end.address_note());
    if end.own_proof == Proof::Certificate {
        writeln!(out, "# Its certificate, its key and the authority of our certificate go into its store:")?;
        writeln!(
            out,
            "#   openssl pkcs12 -export -name other-end -in other-end.pem -inkey other-end.key -certfile ca.pem -out other-end.p12"
        )?;
        writeln!(out, "#   ipsec import other-end.p12")?;
        writeln!(out, "#   certutil -A -d sql:/var/lib/ipsec/nss -n cygnet-ca -t CT,, -i ca.pem")?;
    }
    if end.device().is_some() {
        let device = end.device_number();
        writeln!(
            out,
            "# Packets go through the network device ipsec{device}, and routes decide which; those are yours:"
        )?;
        let routed = end.routed();
        for network in &routed {
            writeln!(out, "#   ip route add {network} dev ipsec{device}")?;
        }
        if routed.is_empty() {
            writeln!(out, "#   ip route add NETWORK dev ipsec{device}   # for each network behind the Cygnet")?;
        }
    }
    for child in end.connections().into_iter().flat_map(by_family) {
        connection(out, end, algorithms, &child)?;
    }
    secrets(out, end)
}

fn secrets(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    if end.psk.is_none() && end.site.ppk.is_none() {
        return Ok(());
    }
    let own = end.own_id.map_or_else(|| end.own_address.clone().unwrap_or_else(|| "%any".to_owned()), identity);
    let ours = end.our_id.map_or_else(|| end.our_address.clone(), identity);
    let file = end.name();
    writeln!(out, "\n# Into /etc/ipsec.d/{file}.secrets (mode 0600), without the mark at the beginning:")?;
    if let Some(psk) = end.psk {
        writeln!(out, "# {own} {ours} : PSK {}", quoted_key(psk))?;
    }
    if let Some(ppk) = &end.site.ppk {
        writeln!(out, "# {own} {ours} : PPKS \"{}\" {}", ppk.id, hexadecimal(ppk.secret.expose()))?;
    }
    Ok(())
}

fn connection(out: &mut String, end: &OtherEnd<'_>, algorithms: &Algorithms, child: &SiteChild) -> std::fmt::Result {
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
    if end.own_proof == Proof::Certificate {
        line("leftcert", "other-end")?;
        line("leftsendcert", "always")?;
    }
    if end.is_transport() {
        line("type", "transport")?;
    }
    if end.device().is_some() {
        line("ipsec-interface", &end.device_number().to_string())?;
    }
    subnets(out, "left", &child.remote, protocol(child), end.is_transport())?;
    subnets(out, "right", &child.local, protocol(child), end.is_transport())?;
    settings(out, end, algorithms)
}

fn settings(out: &mut String, end: &OtherEnd<'_>, algorithms: &Algorithms) -> std::fmt::Result {
    let site = end.site;
    let mut line = |key: &str, value: &str| writeln!(out, "    {key}={value}");
    for (key, list) in [("ike", &algorithms.ike), ("esp", &algorithms.esp)] {
        if !list.is_empty() {
            line(key, list)?;
        }
    }
    if algorithms.no_esn {
        line("esn", "no")?;
    }
    if let Some(ppk) = &site.ppk {
        line("ppk", if ppk.required { "insist" } else { "yes" })?;
    }
    if site.force_udp_encap {
        line("encapsulation", "yes")?;
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
    let starts = end.begins || end.device().is_some();
    line("auto", if starts { "start" } else { "ondemand" })
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

/// Names have a `@` in front, subjects of certificates stand in quotes.
fn identity(id: &str) -> String {
    if let Ok(Identity::DerAsn1Dn(_)) = id.parse::<Identity>() {
        return format!("\"{id}\"");
    }
    let is_name = id.parse::<std::net::IpAddr>().is_err() && !id.contains('@') && !id.contains(':');
    match id.strip_prefix("keyid:").map(|key| key.strip_prefix("0x").unwrap_or(key)) {
        Some(key) => format!("@#{key}"),
        None if is_name => format!("@{id}"),
        None => id.to_owned(),
    }
}
