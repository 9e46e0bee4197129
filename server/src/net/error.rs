//! What can go wrong with the host's network, in words for the operator.

/// Why the host's network could not be read or changed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel refused a netlink request.
    #[error("cannot {action}: {source}{}", hint.map(|h| format!("; {h}")).unwrap_or_default())]
    Netlink {
        /// What was tried.
        action: String,
        /// The kernel's answer.
        source: std::io::Error,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// There is no such interface.
    #[error("there is no network interface {0}")]
    NoInterface(String),
    /// The program nft is not installed.
    #[error(
        "the program `nft` was not found; install the package nftables (apt install nftables, dnf install nftables, apk add nftables)"
    )]
    NftMissing,
    /// nft refused our rules.
    #[error("cannot {action}: {message}{}", hint.map(|h| format!("; {h}")).unwrap_or_default())]
    Nft {
        /// What was tried.
        action: &'static str,
        /// What nft said.
        message: String,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// A kernel setting below /proc/sys could not be read or written.
    #[error(
        "cannot set {path} to {value}: {source}; set it yourself (sysctl) or start the gateway with CAP_NET_ADMIN and a writable /proc/sys"
    )]
    Sysctl {
        /// The file.
        path: String,
        /// The wanted value.
        value: String,
        /// Why not.
        source: std::io::Error,
    },
}
