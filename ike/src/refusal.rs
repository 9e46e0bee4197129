//! Refusals: what was refused, to whom, why, and what would have helped.
//!
//! A [`Refusal`] is told to the server only. The peer gets a notification of the RFC at most, never the reason.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cert::CertError;
use crate::crypto::sign::SignatureError;
use crate::event::{Path, SessionId};
use crate::identity::Identity;
use crate::proposal::{Mismatch, PolicyName, V1Mismatch};
use crate::wire::Malformed;
use crate::wire::num::{AuthMethod, ExchangeType, GroupId, NotifyType, PayloadType};
use crate::wire::v2::TrafficSelector;

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Between whom.
    pub path: Path,
    /// The session, if the message belonged to one.
    pub session: Option<SessionId>,
    /// The exchange in which it happened.
    pub exchange: ExchangeType,
    /// Who the peer says it is, if it said so.
    pub identity: Option<Identity>,
    /// The site whose tunnel it is about, by [`Site::name`](crate::Site::name), if that is known.
    pub site: Option<Arc<str>>,
    /// Why.
    pub reason: RefusalReason,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The bytes are no valid message.
    Malformed(Malformed),
    /// A payload that this exchange needs is missing, or is there twice.
    Payloads {
        /// What is wrong, such as "KE is missing".
        problem: &'static str,
    },
    /// A payload that we do not know is marked as critical.
    UnsupportedCritical(PayloadType),
    /// A future major version of IKE.
    MajorVersion(u8),
    /// None of the offered suites for the IKE SA is acceptable.
    IkeProposal(Mismatch),
    /// None of the offered suites for the Child SA is acceptable.
    ChildProposal(Mismatch),
    /// None of the transforms that an IKEv1 client offers for phase 1 is acceptable.
    V1Phase1Proposal(V1Mismatch),
    /// None of the transforms that an IKEv1 client offers for phase 2 is acceptable.
    V1Phase2Proposal(V1Mismatch),
    /// An IKEv1 client that was refused for nothing but its old algorithms.
    LegacyOnly {
        /// The named set that would let it in.
        policy: PolicyName,
        /// What it offers.
        mismatch: V1Mismatch,
    },
    /// The client begins aggressive mode, which is not switched on.
    AggressiveDisabled,
    /// The client wants to log in by XAUTH, which is not switched on.
    XAuthDisabled,
    /// The client wants L2TP, which is not switched on.
    L2tpDisabled,
    /// The client fell silent where Windows does when it sees that the gateway is behind address translation.
    GatewayBehindNat,
    /// The client was to log in by XAUTH and did not answer the question as it should.
    XAuthReply {
        /// What is wrong with the answer.
        problem: &'static str,
    },
    /// User name or password given by XAUTH is wrong.
    XAuthFailed,
    /// Not of the group that we would take; the client may try again with that one.
    OtherGroup {
        /// The right group.
        wanted: GroupId,
    },
    /// The public Diffie-Hellman value is not one that may be used.
    KeyExchange,
    /// The IDi payload is of a type that we do not know, or not valid.
    Identity,
    /// There is no pre-shared key for this identity and address.
    NoPsk,
    /// The pre-shared key of the client is another one than ours.
    WrongPsk,
    /// The peer does not use a postquantum preshared key, which is required (RFC 8784).
    PpkRequired,
    /// The peer insists on a postquantum preshared key that we do not have (RFC 8784).
    PpkUnknown,
    /// The peer has the address of a site, but calls itself otherwise.
    PeerIdentity {
        /// What that site calls itself.
        expected: Identity,
        /// What the peer calls itself.
        found: Identity,
    },
    /// The EAP method has not proven to the client who we are, and our certificate was to stay away (RFC 5998).
    EapNotMutual,
    /// The public key of the peer is another one than ours (RFC 7670).
    OtherRawKey,
    /// The client wants to log in by EAP, but the gateway has no certificate or no users.
    EapUnavailable {
        /// Whether it is the certificate that is missing.
        certificate_missing: bool,
    },
    /// The client logs in by certificate, but no authorities for clients are configured.
    CertificatesUnavailable,
    /// The gateway has no certificate, which this client expects.
    NoServerCertificate,
    /// An authentication method that we do not accept.
    AuthMethod(AuthMethod),
    /// The certificate of the client is not acceptable.
    Certificate(CertError),
    /// The signature of the client is wrong.
    Signature(SignatureError),
    /// Our key cannot make a signature that this client could verify.
    NoSignatureScheme {
        /// Why.
        problem: String,
    },
    /// The EAP server did not let the client in.
    EapFailed,
    /// The AUTH payload after EAP does not match the key of the EAP method.
    EapKeyMismatch,
    /// The EAP conversation was too long.
    EapTooLong,
    /// Nothing of the offered traffic may go through the tunnel.
    TrafficSelectors {
        /// TSi of the client.
        tsi: Vec<TrafficSelector>,
        /// TSr of the client.
        tsr: Vec<TrafficSelector>,
        /// What would be allowed on the side of the client.
        allowed_tsi: Vec<TrafficSelector>,
        /// What would be allowed on our side.
        allowed_tsr: Vec<TrafficSelector>,
    },
    /// The client did not ask for an address, and clients here only get in with one.
    NoAddressRequested,
    /// No address is left.
    NoAddress,
    /// The server denied access to an authenticated client.
    Denied,
    /// Transport mode, IPComp, AH or something else that this gateway does not do.
    Unsupported {
        /// What.
        what: &'static str,
    },
    /// Too many Child SAs.
    TooManyChildren,
    /// Too many requests in a short time.
    TooManyRequests,
    /// A Child SA that does not exist was to be rekeyed.
    UnknownChild,
    /// The client refused to renew keys.
    RekeyRefused {
        /// What it said.
        notify: NotifyType,
    },
    /// The client says that it does not believe who we are (RFC 7296 section 2.21.2).
    Distrusted,
    /// The site did not make a Child SA that we asked for.
    ChildRefused {
        /// What it said.
        notify: NotifyType,
    },
    /// The site answers with tunnel mode where the configuration says transport mode, or the other way round.
    Mode,
    /// The site refused what we began.
    PeerRefused {
        /// What it said.
        notify: NotifyType,
        /// Whether it has proven by the keys that it said so, if not who it is; otherwise anybody on the way may have.
        protected: bool,
    },
    /// A caller has the name of a site, but comes from an address that the site does not have.
    PeerAddress {
        /// Where the site is.
        expected: Vec<IpAddr>,
        /// Where this came from.
        found: IpAddr,
    },
    /// The site calls itself otherwise than the configuration says.
    OtherPeer {
        /// Who it has to be.
        expected: Identity,
        /// Who it says it is.
        found: Identity,
    },
    /// The site has chosen algorithms that were not offered.
    NotOffered,
    /// The peer of a site needs a Child SA in IKE_AUTH, and none was asked for (RFC 6023).
    Childless,
    /// The configuration of the site has no algorithms to offer.
    NothingToOffer,
    /// The site never answered.
    NoAnswer,
    /// The peer cannot show that it receives what we send to its new address (RFC 4555 section 3.7).
    PathCheck,
    /// The peer refuses the addresses that the session has moved to (RFC 4555 section 3.5).
    AddressesRefused {
        /// What it said.
        notify: NotifyType,
    },
    /// A client has asked to move to other addresses, and may not.
    Move {
        /// Why.
        problem: &'static str,
    },
    /// The client did not go on.
    TimedOut {
        /// With what it did not go on.
        waiting_for: &'static str,
    },
}

impl RefusalReason {
    /// A short name, as used for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Payloads { .. } => "payloads",
            Self::UnsupportedCritical(_) => "unsupported_critical",
            Self::MajorVersion(_) => "major_version",
            Self::IkeProposal(_) => "ike_proposal",
            Self::ChildProposal(_) => "child_proposal",
            Self::V1Phase1Proposal(_) => "v1_phase1_proposal",
            Self::V1Phase2Proposal(_) => "v1_phase2_proposal",
            Self::LegacyOnly { .. } => "legacy_only",
            Self::AggressiveDisabled => "aggressive_disabled",
            Self::XAuthDisabled => "xauth_disabled",
            Self::L2tpDisabled => "l2tp_disabled",
            Self::GatewayBehindNat => "gateway_behind_nat",
            Self::XAuthReply { .. } => "xauth_reply",
            Self::XAuthFailed => "xauth_failed",
            Self::OtherGroup { .. } => "other_group",
            Self::KeyExchange => "key_exchange",
            Self::Identity => "identity",
            Self::NoPsk => "no_psk",
            Self::WrongPsk => "wrong_psk",
            Self::PpkRequired => "ppk_required",
            Self::PpkUnknown => "ppk_unknown",
            Self::OtherRawKey => "other_raw_key",
            Self::PeerIdentity { .. } => "peer_identity",
            Self::EapNotMutual => "eap_not_mutual",
            Self::EapUnavailable { .. } => "eap_unavailable",
            Self::CertificatesUnavailable => "certificates_unavailable",
            Self::NoServerCertificate => "no_server_certificate",
            Self::AuthMethod(_) => "auth_method",
            Self::Certificate(_) => "certificate",
            Self::Signature(_) => "signature",
            Self::NoSignatureScheme { .. } => "no_signature_scheme",
            Self::EapFailed => "eap_failed",
            Self::EapKeyMismatch => "eap_key_mismatch",
            Self::EapTooLong => "eap_too_long",
            Self::TrafficSelectors { .. } => "traffic_selectors",
            Self::NoAddressRequested => "no_address_requested",
            Self::NoAddress => "no_address",
            Self::Denied => "denied",
            Self::Unsupported { .. } => "unsupported",
            Self::TooManyChildren => "too_many_children",
            Self::TooManyRequests => "too_many_requests",
            Self::UnknownChild => "unknown_child",
            Self::RekeyRefused { .. } => "rekey_refused",
            Self::Distrusted => "distrusted",
            Self::ChildRefused { .. } => "child_refused",
            Self::Mode => "mode",
            Self::PeerRefused { .. } => "peer_refused",
            Self::PeerAddress { .. } => "peer_address",
            Self::OtherPeer { .. } => "other_peer",
            Self::NotOffered => "not_offered",
            Self::Childless => "childless",
            Self::NothingToOffer => "nothing_to_offer",
            Self::NoAnswer => "no_answer",
            Self::PathCheck => "path_check",
            Self::AddressesRefused { .. } => "addresses_refused",
            Self::Move { .. } => "move",
            Self::TimedOut { .. } => "timed_out",
        }
    }

    /// The smallest change that would have helped, as a sentence for the operator; `None` if there is none here.
    #[must_use]
    pub fn fix(&self) -> Option<String> {
        Some(match self {
            Self::IkeProposal(mismatch) | Self::ChildProposal(mismatch) => match mismatch.would_help {
                Some(name) => format!("allow it with policy = [..., \"{}\"]", name.name()),
                None => "configure the client to offer one of the accepted suites".into(),
            },
            Self::V1Phase1Proposal(_) | Self::V1Phase2Proposal(_) => {
                "configure the client to offer AES with SHA-1 or SHA-2 and group 14, 19 or 20".into()
            }
            Self::LegacyOnly { policy, .. } => format!(
                "this looks like Android 10 or older, or an old router: let it in with policy = [..., \"{}\"]",
                policy.name()
            ),
            Self::AggressiveDisabled => {
                "remove the group name on the client, or set aggressive = true (which exposes a hash of the key)".into()
            }
            Self::XAuthDisabled => "add \"xauth\" to protocols, or use L2TP or IKEv2 on the client".into(),
            Self::L2tpDisabled => "add \"l2tp\" to protocols, or use IKEv2 on the client".into(),
            Self::GatewayBehindNat => "on this Windows client set AssumeUDPEncapsulationContextOnSendRule to 2 under \
                 HKLM\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent and restart it, and let UDP port 4500 through"
                .into(),
            Self::NoPsk => "add a psk for this identity or address, or one for everybody".into(),
            Self::WrongPsk => "enter the same pre-shared key on both sides".into(),
            Self::PpkRequired => "give the peer the postquantum key and its id, or let ppk_required be false".into(),
            Self::PpkUnknown => "enter the same postquantum key with the same id on both sides".into(),
            Self::PeerAddress { .. } => "correct peer, or write peer = \"any\" if its address changes".into(),
            Self::PeerIdentity { .. } => "set peer_id to what the peer calls itself, or its own id to that name".into(),
            Self::EapNotMutual => {
                "let the client use EAP-TLS, or expect the certificate of the gateway, or set eap_only = false".into()
            }
            Self::OtherRawKey => "set public_key to the key that the peer has now".into(),
            Self::EapUnavailable { certificate_missing: true } => {
                "set cert and key: clients with user name and password need a server certificate".into()
            }
            Self::EapUnavailable { certificate_missing: false } => {
                "add users, or let the client log in by certificate or pre-shared key".into()
            }
            Self::CertificatesUnavailable => "set ca to the authority that issued the client's certificate".into(),
            Self::Certificate(error) => return certificate_fix(error).map(Into::into),
            Self::NoServerCertificate => "set cert and key, or let the client use a pre-shared key".into(),
            Self::NoSignatureScheme { .. } => {
                "allow rsa_sha1, or use a certificate with another kind of key for this client".into()
            }
            Self::EapFailed | Self::XAuthFailed => "check user name and password".into(),
            Self::TrafficSelectors { .. } => "set routes to networks that the client asks for".into(),
            Self::NoAddressRequested => "let the client ask for a virtual address".into(),
            Self::NoAddress => "enlarge the pool".into(),
            Self::ChildRefused { notify: NotifyType::TS_UNACCEPTABLE } => {
                "set local and remote to the networks that the other side has as remote and local".into()
            }
            Self::ChildRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN } => {
                "set esp to algorithms that both sides have, perfect forward secrecy included".into()
            }
            Self::Mode => {
                "set the same mode on both sides; with address translation on the way only tunnel mode works".into()
            }
            Self::PeerRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN, .. } => {
                "set ike to algorithms that both sides have".into()
            }
            Self::PeerRefused { notify: NotifyType::AUTHENTICATION_FAILED, .. } => {
                "compare key, id and peer_id on both sides; the other side's log has the reason".into()
            }
            Self::OtherPeer { found, .. } => format!("set peer_id = \"{found}\" if that is the right one"),
            Self::NoAnswer => "check the address, and let UDP ports 500 and 4500 through in both directions".into(),
            Self::TimedOut { waiting_for: "the answer to IKE_AUTH" } => {
                "let UDP port 4500 and large datagrams through between the two sides".into()
            }
            Self::TimedOut { waiting_for: "IKE_AUTH" } => {
                "let UDP port 4500 and large datagrams through between client and gateway".into()
            }
            Self::TimedOut { waiting_for: "the fifth message of main mode" } => {
                "let UDP port 4500 through between client and gateway".into()
            }
            _ => return None,
        })
    }

    /// What happened, as a sentence for the operator, with the [`fix`](Self::fix) where there is one.
    #[must_use]
    pub fn explain(&self) -> String {
        match self.fix() {
            Some(fix) => format!("{self}; {fix}"),
            None => self.to_string(),
        }
    }
}

/// What to do about a client certificate that was refused.
fn certificate_fix(error: &CertError) -> Option<&'static str> {
    Some(match error {
        CertError::Expired { .. } => "issue a new certificate for the client",
        CertError::NotYetValid { .. } => "set the clocks of gateway and issuer",
        CertError::UnknownIssuer { .. } => "add that authority's certificate to ca, or let it issue the client's",
        CertError::BadSignature { .. } => "put the current certificate of that authority into ca",
        CertError::BadEku { .. } => "issue a certificate with clientAuth for the client",
        CertError::BadKeyUsage { .. } => "issue a certificate with digitalSignature for the client",
        CertError::NameMismatch { .. } => "let the client use a name that its certificate has",
        CertError::Revoked { .. } => "issue a new certificate for the client if it should come in",
        CertError::CrlMissing { uris, .. } if uris.is_empty() => {
            "add the revocation list of that authority to crl_files, or relax crl"
        }
        CertError::CrlMissing { .. } | CertError::CrlExpired { .. } => {
            "make sure that the gateway reaches the address of the list, or add it to crl_files, or relax crl"
        }
        CertError::BadCrl { .. } => "replace the revocation list by the current one of that authority",
        _ => return None,
    })
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "not a valid message: {malformed}"),
            Self::Payloads { problem } => write!(f, "not a valid request: {problem}"),
            Self::UnsupportedCritical(kind) => write!(f, "the client insists on a payload of type {kind}"),
            Self::MajorVersion(major) => write!(f, "the client speaks version {major} of IKE"),
            Self::IkeProposal(mismatch) => write!(f, "no acceptable IKE suite: {mismatch}"),
            Self::ChildProposal(mismatch) => write!(f, "no acceptable ESP suite: {mismatch}"),
            Self::V1Phase1Proposal(mismatch) => write!(f, "no acceptable IKEv1 phase 1 transform: {mismatch}"),
            Self::V1Phase2Proposal(mismatch) => write!(f, "no acceptable IKEv1 phase 2 transform: {mismatch}"),
            Self::LegacyOnly { mismatch, .. } => write!(f, "the client offers old algorithms only: {mismatch}"),
            Self::AggressiveDisabled => write!(f, "the client begins aggressive mode, which is switched off"),
            Self::XAuthDisabled => write!(f, "the client wants to log in by XAUTH, which is switched off"),
            Self::L2tpDisabled => write!(f, "the client wants L2TP, which is switched off"),
            Self::GatewayBehindNat => write!(f, "the client fell silent when it had to send from UDP port 4500"),
            Self::XAuthReply { problem } => write!(f, "the client's answer to the XAUTH question: {problem}"),
            Self::OtherGroup { wanted } => write!(f, "the client used another group than {wanted}, and may try again"),
            Self::KeyExchange => write!(f, "the client's Diffie-Hellman value is not acceptable"),
            Self::Identity => write!(f, "the client's identity is of an unknown kind or not valid"),
            Self::NoPsk => write!(f, "there is no pre-shared key for this client"),
            Self::WrongPsk => write!(f, "the client has another pre-shared key"),
            Self::PpkRequired => write!(f, "the peer uses no postquantum preshared key, which is required"),
            Self::PpkUnknown => write!(f, "the peer uses a postquantum preshared key that is not known here"),
            Self::PeerAddress { expected, found } => {
                let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
                write!(f, "the peer is expected at {}, this came from {found}", expected.join(", "))
            }
            Self::PeerIdentity { expected, found } => {
                write!(f, "the peer at this address should call itself {expected}; it calls itself {found}")
            }
            Self::EapNotMutual => {
                write!(
                    f,
                    "the client wants no certificate of the gateway, but its EAP method does not prove who that is"
                )
            }
            Self::OtherRawKey => write!(f, "the peer has another public key than the configured one"),
            Self::EapUnavailable { certificate_missing: true } => {
                write!(f, "the client wants to use name and password, but the gateway has no certificate")
            }
            Self::EapUnavailable { certificate_missing: false } => {
                write!(f, "the client wants to use name and password, but there are no users")
            }
            Self::CertificatesUnavailable => write!(f, "the client uses a certificate, but none are accepted"),
            Self::NoServerCertificate => write!(f, "the client expects a certificate, but the gateway has none"),
            Self::AuthMethod(method) => write!(f, "the client authenticates by {method}, which is not accepted"),
            Self::Certificate(problem) => write!(f, "the client's certificate is not acceptable: {problem}"),
            Self::Signature(problem) => write!(f, "the client's signature is not acceptable: {problem}"),
            Self::NoSignatureScheme { problem } => write!(f, "no signature that the client can verify: {problem}"),
            Self::EapFailed | Self::XAuthFailed => write!(f, "user name or password is wrong"),
            Self::EapKeyMismatch => write!(f, "the client derived another key from the password exchange"),
            Self::EapTooLong => write!(f, "the password exchange does not come to an end"),
            Self::TrafficSelectors { tsi, tsr, allowed_tsi, allowed_tsr } => write!(
                f,
                "the client asks for {} === {}, allowed is {} === {}",
                list(tsi),
                list(tsr),
                list(allowed_tsi),
                list(allowed_tsr)
            ),
            Self::NoAddressRequested => write!(f, "the client did not ask for an address"),
            Self::NoAddress => write!(f, "no address is left"),
            Self::Denied => write!(f, "the client is not allowed to connect"),
            Self::Unsupported { what } => write!(f, "the client demands {what}, which this gateway does not do"),
            Self::TooManyChildren => write!(f, "the client wants too many Child SAs"),
            Self::TooManyRequests => write!(f, "the client sends requests too fast"),
            Self::UnknownChild => write!(f, "the client rekeys a Child SA that does not exist"),
            Self::RekeyRefused { notify } => write!(f, "the client refused to renew keys: {notify}"),
            Self::Distrusted => {
                write!(
                    f,
                    "the other side does not believe who we are: it may miss our authority, or expect another name or key"
                )
            }
            Self::ChildRefused { notify } => write!(f, "the other side did not make the tunnel: {notify}"),
            Self::Mode => {
                write!(f, "the other side answers with tunnel mode where transport mode is wanted, or vice versa")
            }
            Self::PeerRefused { notify, .. } => write!(f, "the other side refused: {notify}"),
            Self::OtherPeer { expected, found } => {
                write!(f, "the other side calls itself {found}, expected is {expected}")
            }
            Self::NotOffered => write!(f, "the other side chose algorithms that were not offered"),
            Self::Childless => write!(f, "the other side makes no connection without a tunnel, and none is wanted"),
            Self::NothingToOffer => write!(f, "there are no algorithms to offer"),
            Self::NoAnswer => write!(f, "the other side does not answer"),
            Self::PathCheck => write!(f, "the peer does not show that it receives what is sent to its new address"),
            Self::AddressesRefused { notify } => write!(f, "the peer refuses the addresses that we moved to: {notify}"),
            Self::Move { problem } => write!(f, "the client cannot move to another address: {problem}"),
            Self::TimedOut { waiting_for } => write!(f, "the client did not go on with {waiting_for}"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client offered {}; accepted is {}", self.offered.join(", "), self.allowed.join("; or "))
    }
}

fn list(selectors: &[TrafficSelector]) -> String {
    if selectors.is_empty() {
        return "nothing".into();
    }
    selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
