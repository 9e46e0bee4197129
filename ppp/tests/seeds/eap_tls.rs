//! Beginnings of EAP-TLS logins as scripts of `cygnet_ppp::fuzzing::eap_tls`.

/// TLS_AES_128_GCM_SHA256 and TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
const SUITES: [u8; 4] = [0x13, 0x01, 0xc0, 0x2b];
const ACKNOWLEDGEMENT: &[u8] = &[0];
/// TLS alert: fatal, unknown_ca.
const ALERT: &[u8] = &[0, 21, 3, 3, 0, 2, 2, 48];

/// A ClientHello of either version and what may follow it.
pub(crate) fn handshakes() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let whole = |hello: Vec<u8>| [vec![0], hello].concat();
    let (old, new) = (hello(&[3, 3]), hello(&[3, 4]));
    let length = u32::try_from(new.len()).expect("a short message").to_be_bytes();
    let (head, tail) = new.split_at(60);
    let first = [&[0xc0][..], &length, head].concat();
    let acknowledged = [ACKNOWLEDGEMENT; 8];
    [
        ("tls12", script(&[&[&*whole(old)][..], &acknowledged].concat())),
        ("tls13", script(&[&[&*whole(new.clone())][..], &acknowledged].concat())),
        ("fragments", script(&[&first, &whole(tail.to_vec())])),
        ("alert", script(&[&whole(new.clone()), ACKNOWLEDGEMENT, ACKNOWLEDGEMENT, ACKNOWLEDGEMENT, ALERT])),
        ("not_acknowledged", script(&[&whole(new.clone()), &whole(new)])),
        ("empty", script(&[ACKNOWLEDGEMENT])),
    ]
    .into_iter()
}

fn script(packets: &[&[u8]]) -> Vec<u8> {
    packets.iter().flat_map(|packet| with_length(packet)).collect()
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).expect("a short packet").to_be_bytes(), bytes].concat()
}

/// A record with a ClientHello (RFC 8446 section 4.1.2) of a client that has one version.
fn hello(version: &[u8]) -> Vec<u8> {
    let extension = |kind: u16, body: &[u8]| [kind.to_be_bytes().to_vec(), with_length(body)].concat();
    let key = [&[0, 29][..], &with_length(&[9; 32])].concat();
    let extensions = [
        extension(10, &with_length(&[0, 29])),
        extension(11, &[1, 0]),
        extension(13, &with_length(&[4, 3, 8, 4])),
        extension(23, &[]),
        extension(43, &[&[2], version].concat()),
        extension(51, &with_length(&key)),
    ]
    .concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &with_length(&SUITES), &[1, 0], &with_length(&extensions)].concat();
    let message = [&[1, 0][..], &with_length(&body)].concat();
    [&[22, 3, 1][..], &with_length(&message)].concat()
}
