//! Logins as scripts: the method, then the client's packets.

use cygnet_ppp::auth::eap::EapConfig;
use cygnet_ppp::auth::testing::Client;
use cygnet_ppp::auth::{AuthSeed, Authenticator, Method};
use cygnet_ppp::testing::epoch;

/// One login of each method, as far as it gets until the password is judged.
pub(crate) fn logins() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let names = ["mschapv2", "eap", "chap_md5", "pap"];
    names.into_iter().zip(0_u8..).zip(Method::ALL).map(|((name, number), method)| (name, login(number, method)))
}

fn login(number: u8, method: Method) -> Vec<u8> {
    // As in `cygnet_ppp::fuzzing::auth`, so that the answers fit.
    let seed = AuthSeed { challenge: [7; 16], unused_challenge: [8; 16], identifier: 1 };
    let mut gateway = Authenticator::new(method, seed, "gateway", &EapConfig::default(), epoch());
    let mut client = Client::new(method, "CORP\\alice", "secret");
    let mut script = vec![number];
    let mut packet = client.start();
    loop {
        if let Some(packet) = packet.take() {
            script.push(u8::try_from(packet.len()).expect("a short packet"));
            script.extend(&packet);
            gateway.handle(epoch(), &packet);
        }
        match gateway.poll_transmit() {
            Some(request) => packet = client.handle(&request),
            None => return script,
        }
    }
}
