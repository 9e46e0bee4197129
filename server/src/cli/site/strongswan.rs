//! `swanctl.conf` for strongSwan 5.9 and later.

use std::fmt::Write;
use std::net::IpAddr;

use super::other_end::{OtherEnd, Proof, commented, hexadecimal, ports, quoted_key, span};
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
    let name = end.name();
    writeln!(
        out,
        "# Other end of the site {}: /etc/swanctl/conf.d/{name}.conf, mode 0600, then `swanctl --load-all`.",
        site.name
    )?;
    out.push_str(&end.address_note());
    files(out, end)?;
    device(out, end)?;
    writeln!(out, "connections {{\n  {name} {{\n    version = 2")?;
    writeln!(out, "    proposals = {}", proposals(end.ike(), "aes256gcm16-prfsha384-ecp384", end.accepts_defaults()))?;
    if let Some(address) = &end.own_address {
        writeln!(out, "    # local_addrs = {address}   # behind NAT its private address, or leave it out")?;
    }
    writeln!(out, "    remote_addrs = {}", end.our_address)?;
    writeln!(out, "    mobike = {}", yes(site.mobike))?;
    writeln!(out, "    encap = {}", yes(site.force_udp_encap))?;
    writeln!(out, "    dpd_delay = {}", site.liveness.map_or_else(|| "0s".to_owned(), span))?;
    writeln!(out, "    rekey_time = {}", site.lifetimes.ike.map_or_else(|| "0s".to_owned(), span))?;
    if let Some(every) = site.reauthentication {
        writeln!(out, "    reauth_time = {}", span(every))?;
    }
    writeln!(out, "    keyingtries = 0")?;
    if end.device().is_some() {
        writeln!(out, "    if_id_in = {0}\n    if_id_out = {0}", end.device_number())?;
    }
    if let Some(ppk) = &site.ppk {
        writeln!(out, "    ppk_id = {}", ppk.id)?;
        writeln!(out, "    ppk_required = {}", yes(ppk.required))?;
    }
    side(out, "local", end.own_proof, end.own_id, "other-end")?;
    side(out, "remote", end.our_proof, end.our_id, &name)?;
    writeln!(out, "    children {{")?;
    for child in &site.children {
        write_child(out, end, child)?;
    }
    writeln!(out, "    }}\n  }}\n}}")?;
    secrets(out, end)
}

/// What has to be copied by hand.
fn files(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    match end.own_proof {
        Proof::Psk => {}
        Proof::Certificate => writeln!(out, "# Its certificate: x509/other-end.pem, its key: private/.")?,
        Proof::RawKey => {
            writeln!(out, "# Its private key: private/. Its public key, without the marks: pubkey/other-end.pem.")?;
            out.push_str(&commented(&end.own_public_key().unwrap_or_default()));
        }
    }
    match end.our_proof {
        Proof::Psk => {}
        Proof::Certificate => writeln!(out, "# The authority of our certificate: x509ca/.")?,
        Proof::RawKey => {
            writeln!(out, "# Our public key, without the marks: pubkey/{}.pem.", end.name())?;
            out.push_str(&commented(&end.our_public_key().unwrap_or_default()));
        }
    }
    Ok(())
}

/// How the device of a route-based tunnel comes to be.
fn device(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    let Some(device) = end.device() else { return Ok(()) };
    writeln!(out, "# Packets go through a network device, and routes decide which; both are yours to make:")?;
    writeln!(out, "#   ip link add {device} type xfrm if_id {}", end.device_number())?;
    writeln!(out, "#   ip link set {device} up")?;
    let routed = end.routed();
    for network in &routed {
        writeln!(out, "#   ip route add {network} dev {device}")?;
    }
    if routed.is_empty() {
        writeln!(out, "#   ip route add NETWORK dev {device}   # for each network behind the Cygnet")?;
    }
    Ok(())
}

fn side(out: &mut String, name: &str, proof: Proof, id: Option<&str>, file: &str) -> std::fmt::Result {
    writeln!(out, "    {name} {{")?;
    writeln!(out, "      auth = {}", if proof == Proof::Psk { "psk" } else { "pubkey" })?;
    match (proof, name) {
        (Proof::Certificate, "local") => writeln!(out, "      certs = {file}.pem")?,
        (Proof::RawKey, _) => writeln!(out, "      pubkeys = {file}.pem")?,
        _ => {}
    }
    if let Some(id) = id {
        writeln!(out, "      id = \"{}\"", identity(id))?;
    }
    writeln!(out, "    }}")
}

/// strongSwan knows the types by other prefixes.
fn identity(id: &str) -> String {
    match id.strip_prefix("keyid:").map(|key| (key, key.strip_prefix("0x"))) {
        Some((_, Some(hex))) => format!("@#{hex}"),
        Some((text, None)) => format!("keyid:{text}"),
        None => id.to_owned(),
    }
}

fn write_child(out: &mut String, end: &OtherEnd<'_>, child: &SiteChild) -> std::fmt::Result {
    let lifetimes = end.site.lifetimes;
    writeln!(out, "      {} {{", child.name)?;
    writeln!(out, "        esp_proposals = {}", proposals(end.esp(), "aes256gcm16", end.accepts_defaults()))?;
    if end.is_transport() {
        writeln!(out, "        mode = transport")?;
    }
    let lists = [("local_ts", &child.remote), ("remote_ts", &child.local)];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        let list: Vec<String> = list.iter().map(|s| selector(s, end.is_transport())).collect();
        writeln!(out, "        {key} = {}", list.join(", "))?;
    }
    writeln!(out, "        rekey_time = {}", lifetimes.child.map_or_else(|| "0s".to_owned(), span))?;
    if let Some(bytes) = lifetimes.bytes {
        writeln!(out, "        rekey_bytes = {bytes}")?;
    }
    if let Some(packets) = lifetimes.packets {
        writeln!(out, "        rekey_packets = {packets}")?;
    }
    // A trap for everything would catch the operator's own connection.
    let start = if end.begins || end.device().is_some() { "start" } else { "trap" };
    writeln!(
        out,
        "        start_action = {start}\n        close_action = {start}\n        dpd_action = restart\n      }}"
    )
}

fn selector(selector: &Selector, transport: bool) -> String {
    let net = if transport { "dynamic".to_owned() } else { selector.network.to_string() };
    match (selector.protocol, ports(selector)) {
        (0, _) => net,
        (protocol, None) => format!("{net}[{protocol}]"),
        (protocol, Some(ports)) => format!("{net}[{protocol}/{ports}]"),
    }
}

fn proposals(configured: &[String], best: &str, defaults: bool) -> String {
    match configured {
        [] if defaults => format!("{best},default"),
        [] => best.to_owned(),
        list => list.join(","),
    }
}

fn secrets(out: &mut String, end: &OtherEnd<'_>) -> std::fmt::Result {
    if end.psk.is_none() && end.site.ppk.is_none() {
        return Ok(());
    }
    writeln!(out, "secrets {{")?;
    if let Some(psk) = end.psk {
        writeln!(out, "  ike-{} {{", end.name())?;
        // Without any, the key would serve for every peer.
        let address = |text: &str| text.parse::<IpAddr>().is_ok().then(|| text.to_owned());
        let ours = end.our_id.map(identity).or_else(|| address(&end.our_address));
        let theirs = end.own_id.map(identity).or_else(|| end.own_address.clone());
        for (n, id) in [ours, theirs].into_iter().flatten().enumerate() {
            writeln!(out, "    id-{} = \"{id}\"", n + 1)?;
        }
        writeln!(out, "    secret = {}\n  }}", quoted_key(psk))?;
    }
    if let Some(ppk) = &end.site.ppk {
        let secret = hexadecimal(ppk.secret.expose());
        writeln!(out, "  ppk-{} {{\n    id = {}\n    secret = {secret}\n  }}", end.name(), ppk.id)?;
    }
    writeln!(out, "}}")
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}
