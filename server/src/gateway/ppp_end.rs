//! Why a PPP link ended, in words for the operator: the sentence, and the smallest change that would have helped.

use cygnet_ppp::CloseReason;
use cygnet_ppp::auth::{AuthFailure, Method};
use cygnet_ppp::event::WantedAuth;

use super::report::sentence_and_fix;

/// For clients that demand encryption by PPP (MPPE, RFC 3078).
pub(super) const MPPE_FIX: &str = "the client may demand MPPE, encryption by PPP, which IPsec makes needless: choose optional \
     encryption on Windows (-EncryptionLevel Optional), remove require-mppe from pppd";

/// What happened, and what to change.
pub(super) fn explain(reason: &CloseReason) -> (String, Option<String>) {
    let (text, fix) = sentence_and_fix(&reason.to_string());
    let better = match reason {
        CloseReason::AuthProtocolRefused { wanted: Some(wanted), .. } => method(wanted).map(|method| {
            format!("allow MS-CHAPv2 in the client's settings, or add \"{}\" to ppp_auth on the gateway", key(method))
        }),
        CloseReason::AuthProtocolRefused { wanted: None, .. } => {
            Some("allow MS-CHAPv2 in the client's settings; on Windows: Security, \"Allow these protocols\"".to_owned())
        }
        CloseReason::ProtocolRejected(_) | CloseReason::NoNetworkProtocol => {
            Some("switch IPv4 on in the client's settings of this connection".to_owned())
        }
        _ => None,
    };
    (text, better.or(fix))
}

/// Whether nobody has told the reason yet: what `judge` and `open` refuse they explain themselves.
pub(super) fn is_news(reason: &CloseReason) -> bool {
    !matches!(
        reason,
        CloseReason::AuthenticationFailed(AuthFailure::Rejected)
            | CloseReason::NoAddress
            | CloseReason::TooManyDevices
            | CloseReason::Denied(_)
            | CloseReason::Shutdown
            | CloseReason::LowerLayerDown
    )
}

fn method(wanted: &WantedAuth) -> Option<Method> {
    let protocol = wanted.protocol.0.to_be_bytes();
    Method::of_option(&[&protocol[..], wanted.algorithm.as_slice()].concat())
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
    use cygnet_ppp::frame::Protocol;

    use super::*;

    fn refused(protocol: Protocol, algorithm: Option<u8>) -> (String, Option<String>) {
        let wanted = Some(WantedAuth { protocol, algorithm });
        explain(&CloseReason::AuthProtocolRefused { allowed: vec![Method::MsChapV2, Method::Eap], wanted })
    }

    #[test]
    fn a_client_that_wants_another_login_is_told_the_line_to_change() {
        for (protocol, algorithm, key) in
            [(Protocol::PAP, None, "pap"), (Protocol::CHAP, Some(5), "chap-md5"), (Protocol::EAP, None, "eap")]
        {
            let (text, fix) = refused(protocol, algorithm);
            assert!(text.contains("wants to authenticate by") && !text.contains(';'), "{text}");
            assert!(fix.as_ref().is_some_and(|fix| fix.contains(&format!("add \"{key}\" to ppp_auth"))), "{fix:?}");
        }
        let (_, fix) = refused(Protocol::CHAP, Some(0x80));
        assert!(fix.is_some_and(|fix| !fix.contains("add \"")), "MS-CHAP version 1 cannot be switched on");
    }
}
