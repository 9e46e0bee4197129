//! What our rules dropped, by reason.

use std::collections::HashMap;

/// Counters of the table, and what they count.
pub(super) const COUNTERS: [(&str, &str); 7] = [
    ("spoofed_inside", "from the tunnel with an address that was not leased"),
    ("spoofed_outside", "from elsewhere with a tunnel address, or to a client by a wrong way"),
    ("client_to_client", "between clients, not allowed"),
    ("inbound", "connections to clients, not allowed"),
    ("gateway_access", "from clients to the gateway itself, not allowed"),
    ("clear_l2tp", "L2TP outside of IPsec"),
    ("unrouted", "to clients and sites that are not connected"),
];

/// Packets dropped since the table was last replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// From the tunnel with a source that was not leased.
    pub spoofed_inside: u64,
    /// From elsewhere with a tunnel address as source, or to a client by an interface that does not lead back.
    pub spoofed_outside: u64,
    /// Between clients.
    pub client_to_client: u64,
    /// New connections from others to clients.
    pub inbound: u64,
    /// From clients to closed ports of the gateway.
    pub gateway_access: u64,
    /// L2TP outside of IPsec.
    pub clear_l2tp: u64,
    /// To clients and sites that are not connected.
    pub unrouted: u64,
}

impl Drops {
    /// Reads `nft -j list counters table inet cygnet`. `None` if it isn't that.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let listing: Listing = serde_json::from_slice(json).ok()?;
        let counters = listing.nftables.into_iter().filter_map(|object| object.counter);
        let packets: HashMap<String, u64> = counters.map(|c| (c.name, c.packets)).collect();
        let of = |name: &str| packets.get(name).copied();
        Some(Self {
            spoofed_inside: of("spoofed_inside")?,
            spoofed_outside: of("spoofed_outside")?,
            client_to_client: of("client_to_client")?,
            inbound: of("inbound")?,
            gateway_access: of("gateway_access")?,
            clear_l2tp: of("clear_l2tp")?,
            unrouted: of("unrouted")?,
        })
    }
}

pub(super) fn counter_definition(name: &str, comment: &str) -> String {
    format!("counter {name} {{ comment \"{comment}\" }}")
}

#[derive(serde::Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

#[derive(serde::Deserialize)]
struct Object {
    counter: Option<Counter>,
}

#[derive(serde::Deserialize)]
struct Counter {
    name: String,
    packets: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_listing() {
        let counters: String = COUNTERS
            .iter()
            .zip(1..)
            .map(|((name, _), n)| {
                format!(r#", {{"counter": {{"family": "inet", "name": "{name}", "packets": {n}, "bytes": 9}}}}"#)
            })
            .collect();
        let json = format!(r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6"}}}}{counters}]}}"#);
        let expected = Drops {
            spoofed_inside: 1,
            spoofed_outside: 2,
            client_to_client: 3,
            inbound: 4,
            gateway_access: 5,
            clear_l2tp: 6,
            unrouted: 7,
        };
        assert_eq!(Drops::parse(json.as_bytes()), Some(expected));
    }

    #[test]
    fn other_listings_are_not_counters() {
        assert_eq!(Drops::parse(b"{\"nftables\": []}"), None);
        assert_eq!(Drops::parse(b"Error: No such file"), None);
    }
}
