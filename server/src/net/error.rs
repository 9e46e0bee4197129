//! What can go wrong with the host's network, in words for the operator.

use std::io;

/// What to do when the kernel says that we may not.
pub(super) const NEED_NET_ADMIN: &str = "run the gateway as root or give it CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN, containers: --cap-add NET_ADMIN)";

/// Why the host's network could not be read or changed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel refused a netlink request.
    #[error("cannot {action}: {source}{}", advice(*hint))]
    Netlink {
        /// What was tried.
        action: String,
        /// The kernel's answer.
        source: io::Error,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// Not a name that an interface can have.
    #[error("{0:?} cannot be the name of a network interface: 1 to 15 letters, digits, '-', '_' or '.'")]
    BadInterfaceName(String),
    /// There is no such interface.
    #[error("there is no network interface {0}")]
    NoInterface(String),
    /// The program nft is not installed.
    #[error(
        "the program `nft` was not found; install the package nftables (apt install nftables, dnf install nftables, apk add nftables)"
    )]
    NftMissing,
    /// nft could not be run, or did not finish.
    #[error("cannot run `nft`: {0}")]
    NftBroken(io::Error),
    /// nft refused our rules.
    #[error("cannot {action}: nft says: {message}{}", advice(*hint))]
    Nft {
        /// What was tried.
        action: &'static str,
        /// What nft said.
        message: String,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Ended,
    /// A kernel setting could not be read or written.
    #[error(
        "cannot set {path} to {value}: {source}; set it yourself with sysctl, or run the gateway as root with a writable /proc/sys"
    )]
    Sysctl {
        /// The file.
        path: String,
        /// The wanted value.
        value: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl NetError {
    /// Gives a netlink error its action and a hint.
    pub(super) fn netlink(action: impl Into<String>, error: &rtnetlink::Error) -> Self {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other.to_string()),
        };
        let hint = match source.raw_os_error() {
            Some(libc::EPERM) => Some(NEED_NET_ADMIN),
            Some(libc::EACCES | libc::EAFNOSUPPORT) => Some(
                "is IPv6 switched off? see `sysctl net.ipv6.conf.all.disable_ipv6`; remove the IPv6 pool or switch it on",
            ),
            _ => None,
        };
        Self::Netlink { action: action.into(), source, hint }
    }
}

fn advice(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}
