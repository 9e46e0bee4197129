//! Kernel switches for forwarding, below /proc/sys/net.
//!
//! Forwarding stays on when the gateway exits: by then others on the host (containers, another VPN) may rely on it,
//! and nothing tells us. What we set on the TUN disappears with it. `all.rp_filter` and other global settings are
//! left alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::NetError;
use super::link::InterfaceName;

/// Which address families are forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// There are IPv4 pools or sites.
    pub v4: bool,
    /// There are IPv6 pools or sites.
    pub v6: bool,
}

/// A setting that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The file below /proc/sys.
    pub path: PathBuf,
    /// Value before.
    pub old: String,
    /// Value now.
    pub new: &'static str,
}

/// Switches forwarding on and readies the TUN. Tells what was not already so.
///
/// IPv6 forwarding makes the kernel ignore router advertisements on interfaces with `accept_ra` 1, which would take
/// a cloud machine's default route away; these are set to 2 first, "accept although forwarding".
///
/// # Errors
/// If a setting has another value and cannot be written.
pub fn enable(families: Families, tun: &InterfaceName) -> Result<Vec<Changed>, NetError> {
    let net = Path::new("/proc/sys/net");
    let mut wanted: Vec<(PathBuf, &'static str)> = Vec::new();
    if families.v4 {
        wanted.push((net.join("ipv4/ip_forward"), "1"));
        let conf = net.join("ipv4/conf").join(tun.as_str());
        // The larger of this and `all` counts: 2 (loose) also where the host has 1 (strict). Sources are checked exactly
        // by our packet filter.
        wanted.push((conf.join("rp_filter"), "2"));
        wanted.push((conf.join("accept_redirects"), "0"));
    }
    if families.v6 {
        wanted.extend(accepting_router_advertisements(&net.join("ipv6/conf")).into_iter().map(|path| (path, "2")));
        wanted.push((net.join("ipv6/conf/all/forwarding"), "1"));
        wanted.push((net.join("ipv6/conf").join(tun.as_str()).join("accept_ra"), "0"));
    }
    let set = wanted.into_iter().filter_map(|(path, value)| set(path, value).transpose());
    set.collect()
}

/// Lets the source check of IPv4 take marks into account: the gateway's own packets have another way back than all others where a
/// tunnel's networks contain the peer. wg-quick(8) sets the same.
///
/// # Errors
/// As [`enable`].
pub fn let_marks_choose_routes() -> Result<Option<Changed>, NetError> {
    set(PathBuf::from("/proc/sys/net/ipv4/conf/all/src_valid_mark"), "1")
}

/// Whether a family is forwarded now.
#[must_use]
pub fn is_enabled() -> Families {
    let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|value| value.trim() != "0");
    Families { v4: is_on("/proc/sys/net/ipv4/ip_forward"), v6: is_on("/proc/sys/net/ipv6/conf/all/forwarding") }
}

/// The `accept_ra` files that hold 1, except those that apply to no interface.
fn accepting_router_advertisements(conf: &Path) -> Vec<PathBuf> {
    let interfaces = fs::read_dir(conf).into_iter().flatten().flatten();
    let real = interfaces.filter(|entry| entry.file_name() != "all" && entry.file_name() != "default");
    let files = real.map(|entry| entry.path().join("accept_ra"));
    files.filter(|path| fs::read_to_string(path).is_ok_and(|value| value.trim() == "1")).collect()
}

fn set(path: PathBuf, new: &'static str) -> Result<Option<Changed>, NetError> {
    let failed = |source| NetError::Sysctl { path: path.display().to_string(), value: new, source };
    let old = fs::read_to_string(&path).map_err(failed)?.trim().to_owned();
    if old == new {
        return Ok(None);
    }
    fs::write(&path, new).map_err(failed)?;
    Ok(Some(Changed { path, old, new }))
}
