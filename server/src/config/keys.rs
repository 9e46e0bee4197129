//! Every key of the configuration file, in one place.
//!
//! The reader accepts exactly these, the reference page `docs/configuration.md` describes exactly these (a test compares
//! them), and a key that belongs to a later version is refused by name rather than as unknown.

/// A table of the file.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name as written between brackets; empty for the top level.
    pub(super) name: &'static str,
    /// The keys that work.
    pub(super) keys: &'static [&'static str],
    /// Keys that will work one day, each with what it will do.
    pub(super) planned: &'static [(&'static str, &'static str)],
}

/// The top level.
pub(super) const TOP: Table = Table {
    name: "",
    keys: &["remote", "site", "psk", "ppk", "users", "daemon", "log"],
    planned: &[
        ("group", "groups of users and their rules"),
        ("radius", "users in RADIUS"),
        ("metrics", "the Prometheus endpoint"),
        ("hook", "programs that run when a session begins or ends"),
        ("web", "the web page"),
    ],
};

/// `[remote]`.
pub(super) const REMOTE: Table = Table {
    name: "remote",
    keys: &[
        "protocols",
        "name",
        "id",
        "listen",
        "psk",
        "cert",
        "key",
        "key_password",
        "ca",
        "crl",
        "crl_files",
        "eap",
        "eap_only",
        "ppk_required",
        "unique",
        "reauth",
        "child_lifetime",
        "ike_lifetime",
        "mobike",
        "pool",
        "dns",
        "dns_domains",
        "routes",
        "nat",
        "client_to_client",
        "policy",
        "ike",
        "esp",
        "rsa_sha1",
        "force_udp_encap",
        "liveness",
        "replay_window",
        "mtu",
        "nbns",
        "ppp_auth",
        "l2tp_tunnels",
        "l2tp_sessions",
        "aggressive",
        "vendor_ids",
        "sha256_96",
        "allow_weak_psk",
    ],
    planned: &[("rate", "limits of speed"), ("accounting", "accounting")],
};

/// One site in `[site]`.
pub(super) const SITE: Table = Table {
    name: "site.NAME",
    keys: &[
        "peer",
        "local",
        "remote",
        "child",
        "start",
        "mode",
        "interface",
        "routes",
        "nat",
        "psk",
        "cert",
        "key",
        "key_password",
        "ca",
        "public_key",
        "id",
        "peer_id",
        "ppk",
        "crl",
        "crl_files",
        "policy",
        "ike",
        "esp",
        "child_lifetime",
        "ike_lifetime",
        "rekey_bytes",
        "rekey_packets",
        "reauth",
        "liveness",
        "mobike",
        "force_udp_encap",
        "local_address",
        "mtu",
    ],
    planned: &[("rate", "limits of speed")],
};

/// One child of a site.
pub(super) const SITE_CHILD: Table =
    Table { name: "site.NAME.child", keys: &["name", "local", "remote"], planned: &[] };

/// The post-quantum key of a site.
pub(super) const SITE_PPK: Table = Table { name: "site.NAME.ppk", keys: &["id", "secret", "required"], planned: &[] };

/// One user in `[users]`, when written as a table.
pub(super) const USER: Table = Table {
    name: "users.NAME",
    keys: &["password", "nt_hash", "address", "expires", "devices", "disabled"],
    planned: &[
        ("group", "groups of users and their rules"),
        ("rate", "limits of speed"),
        ("quota", "limits of volume"),
        ("totp", "a second factor"),
    ],
};

/// `[daemon]`.
pub(super) const DAEMON: Table = Table {
    name: "daemon",
    keys: &["state_dir", "socket", "users_file", "interface", "workers"],
    planned: &[("user", "an own user for the daemon")],
};

/// `[log]`.
pub(super) const LOG: Table = Table {
    name: "log",
    keys: &["level", "format"],
    planned: &[("flows", "a log of refused or all connections"), ("privacy", "logs without addresses")],
};

/// The only key of the users file.
pub(super) const USERS_FILE: Table = Table { name: "", keys: &["users"], planned: &[] };
