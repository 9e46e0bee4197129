//! Why a PPP link ended, in words for the operator.

use cygnet_ppp::auth::Method;
use cygnet_ppp::event::WantedAuth;
use cygnet_ppp::{CloseReason, frame::Protocol};

/// For clients that demand encryption by PPP (MPPE, RFC 3078).
pub(super) const MPPE_FIX: &str = "the client may demand MPPE, encryption by PPP, which IPsec makes needless: choose optional \
     encryption on Windows (-EncryptionLevel Optional), remove require-mppe from pppd";

/// What happened.
pub(super) fn text(reason: &CloseReason) -> String {
    match reason {
        CloseReason::PeerTerminated => "closed by the client".to_owned(),
        CloseReason::NoAnswer(protocol) => format!("the client does not answer to {protocol}"),
        CloseReason::PeerDead { lost_echoes } => {
            format!("the client no longer answers ({lost_echoes} echo requests were lost)")
        }
        CloseReason::LoginTimeout => "the client did not finish its login in time".to_owned(),
        CloseReason::Looped => "our own frames came back from the client".to_owned(),
        CloseReason::NotConverging(protocol) => format!("client and gateway cannot agree on the options of {protocol}"),
        CloseReason::AuthProtocolRefused { allowed, wanted } => {
            let allowed: Vec<&str> = allowed.iter().map(|method| method.name()).collect();
            let wanted = wanted.as_ref().map(|wanted| format!(" and wants {}", name(wanted))).unwrap_or_default();
            format!("the client refuses to log in by {}{wanted}", allowed.join(" or "))
        }
        CloseReason::ProtocolRejected(protocol) => format!("the client does not know {protocol}"),
        CloseReason::AuthenticationFailed => "user name or password is wrong".to_owned(),
        CloseReason::UserChanged => "the client logged in again as somebody else".to_owned(),
        CloseReason::AddressRefused { asked } => format!("the client insists on the address {asked}"),
        CloseReason::NoNetworkProtocol => "the client takes neither an IPv4 nor an IPv6 address".to_owned(),
        CloseReason::NoAddress => "no address is left".to_owned(),
        CloseReason::TooManyDevices => "the user is connected with too many devices".to_owned(),
        CloseReason::Administrative => "closed by the operator".to_owned(),
        CloseReason::Shutdown => "the gateway stops".to_owned(),
        CloseReason::LowerLayerDown => "L2TP ended".to_owned(),
        CloseReason::Denied(text) => text.clone(),
        other => format!("PPP ended ({other:?})"),
    }
}

/// The smallest change that would have helped.
pub(super) fn fix(reason: &CloseReason) -> Option<String> {
    Some(match reason {
        CloseReason::AuthProtocolRefused { wanted: Some(wanted), .. } => match method(wanted) {
            Some(method) => format!(
                "allow MS-CHAPv2 in the client's settings, or add \"{}\" to ppp_auth on the gateway",
                key(method)
            ),
            None => "allow MS-CHAPv2 in the client's settings".to_owned(),
        },
        CloseReason::AuthProtocolRefused { wanted: None, .. } => {
            "allow MS-CHAPv2 in the client's settings: on Windows under Security, \"Allow these protocols\"".to_owned()
        }
        CloseReason::AddressRefused { .. } => "let the client take its address from the server".to_owned(),
        CloseReason::ProtocolRejected(_) | CloseReason::NoNetworkProtocol => {
            "switch IPv4 on in the client's settings of this connection".to_owned()
        }
        _ => return None,
    })
}

/// Whether nobody has told the reason yet: what `judge` and `open` refuse they explain themselves.
pub(super) fn is_news(reason: &CloseReason) -> bool {
    !matches!(
        reason,
        CloseReason::AuthenticationFailed
            | CloseReason::NoAddress
            | CloseReason::TooManyDevices
            | CloseReason::Denied(_)
            | CloseReason::Shutdown
            | CloseReason::LowerLayerDown
    )
}

fn method(wanted: &WantedAuth) -> Option<Method> {
    let [high, low] = wanted.protocol.0.to_be_bytes();
    Method::of_option(&[&[high, low][..], wanted.algorithm.as_slice()].concat())
}

fn name(wanted: &WantedAuth) -> String {
    match (method(wanted), wanted.protocol, wanted.algorithm) {
        (Some(method), ..) => method.to_string(),
        (None, Protocol::CHAP, Some(0x80)) => "MS-CHAPv1".to_owned(),
        (None, protocol, _) => protocol.to_string(),
    }
}

/// Its name in the configuration.
fn key(method: Method) -> &'static str {
    match method {
        Method::MsChapV2 => "mschapv2",
        Method::Eap => "eap",
        Method::ChapMd5 => "chap-md5",
        Method::Pap => "pap",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(protocol: Protocol, algorithm: Option<u8>) -> CloseReason {
        let wanted = Some(WantedAuth { protocol, algorithm });
        CloseReason::AuthProtocolRefused { allowed: vec![Method::MsChapV2, Method::Eap], wanted }
    }

    #[test]
    fn a_client_that_wants_another_login_is_told_the_line_to_change() {
        let pap = refused(Protocol::PAP, None);
        assert_eq!(text(&pap), "the client refuses to log in by MS-CHAPv2 or EAP and wants PAP");
        assert!(fix(&pap).is_some_and(|fix| fix.ends_with("add \"pap\" to ppp_auth on the gateway")));
        let md5 = refused(Protocol::CHAP, Some(5));
        assert!(fix(&md5).is_some_and(|fix| fix.contains("\"chap-md5\"")), "{:?}", fix(&md5));
        let v1 = refused(Protocol::CHAP, Some(0x80));
        assert!(text(&v1).ends_with("wants MS-CHAPv1") && fix(&v1).is_some_and(|fix| !fix.contains("ppp_auth")));
    }
}
