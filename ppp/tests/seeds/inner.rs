//! What clients ask of their link, alone and in its IP packet.

/// DHCPINFORM of macOS and of Windows, from 10.20.0.9.
pub(crate) fn dhcp() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let macos: &[&[u8]] = &[&[53, 1, 8], &[61, 7, 8, 0, 0, 0, 1, 0, 0], &[55, 6, 6, 44, 43, 1, 249, 15, 255, 0, 0]];
    let windows: &[&[u8]] =
        &[&[53, 1, 8, 12, 6], b"LAPTOP", &[60, 8], b"MSFT 5.0", &[55, 8, 1, 3, 6, 15, 44, 121, 249, 252, 255]];
    [("macos", macos), ("windows", windows)].into_iter().map(|(name, options)| {
        let mut out = vec![1, 8, 6, 0, 0, 0, 0, 1, 0, 0, 0, 0, 10, 20, 0, 9];
        out.resize(236, 0);
        out.extend([99, 130, 83, 99]);
        out.extend(options.concat());
        (name, out)
    })
}

/// Information-request and Solicit.
pub(crate) fn dhcpv6() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let client = [0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9];
    let ask = [0, 6, 0, 4, 0, 23, 0, 24];
    let association = [0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    [
        ("information_request", [&[11, 1, 2, 3], &client[..], &ask].concat()),
        ("solicit", [&[1, 1, 2, 3], &client[..], &association].concat()),
    ]
    .into_iter()
}

/// Whole IP packets.
pub(crate) fn packets() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let v4 = dhcp().map(|(name, message)| (name, ipv4(&message)));
    let information_request = dhcpv6().map(|(name, message)| (name, ipv6(17, 2, &udp(546, 547, &message))));
    let solicitation = [133, 0, 0, 0, 0, 0, 0, 0];
    let mut neighbor = vec![135, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80];
    neighbor.resize(23, 0);
    neighbor.push(1);
    let discovery = [("router_solicitation", solicitation.to_vec()), ("neighbor_solicitation", neighbor)];
    let discovery = discovery.into_iter().map(|(name, message)| (name, ipv6(58, 0, &message)));
    v4.chain(information_request).chain(discovery)
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).expect("a short message");
    let header = [source, destination, length, 0].map(u16::to_be_bytes).concat();
    [&header, payload].concat()
}

fn ipv4(message: &[u8]) -> Vec<u8> {
    let udp = udp(68, 67, message);
    let [high, low] = u16::try_from(udp.len() + 20).expect("a short message").to_be_bytes();
    let header = [0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0, 10, 20, 0, 9, 255, 255, 255, 255];
    [&header, &udp[..]].concat()
}

/// From fe80::9 to ff02::2, or ff02::1:2 for DHCPv6; with the checksum at the place where ICMPv6 has it.
fn ipv6(next: u8, all_servers: u8, segment: &[u8]) -> Vec<u8> {
    let mut segment = segment.to_vec();
    let [high, low] = u16::try_from(segment.len()).expect("a short message").to_be_bytes();
    let mut out = vec![0x60, 0, 0, 0, high, low, next, 255];
    let mut addresses = [0; 32];
    (addresses[0], addresses[1], addresses[15]) = (0xfe, 0x80, 9);
    (addresses[16], addresses[17], addresses[31]) = (0xff, 2, 2);
    addresses[29] = u8::from(all_servers > 0);
    if next == 58 {
        let pseudo = [&addresses[..], &[0, 0, high, low, 0, 0, 0, next], &segment].concat();
        let sum = pseudo.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum::<u32>();
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded");
        segment[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    out.extend(addresses);
    out.extend(segment);
    out
}
