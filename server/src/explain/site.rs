//! What a refusal means for a site: our side of the story, and the change that helps, in the words of `[site.NAME]`.
//!
//! The reasons of the IKE engine speak of clients; here the same thing is said about another gateway, with what we offered,
//! asked for or expected, since that is what has to be compared with its configuration.

use cygnet_ike::cert::CertError;
use cygnet_ike::proposal::{Mismatch, Policy};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{Refusal, RefusalReason};

use crate::config::{LocalAuth, Peer, PeerAuth, Selector, Site};

/// What `cygnet explain` says about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// What happened.
    pub headline: String,
    /// What was seen and what was wanted, a line each.
    pub details: Vec<String>,
    /// The smallest change that helps.
    pub fix: Option<String>,
}

/// Tells what `refusal` means for `site`, whose algorithms are `policy`.
#[must_use]
pub fn of_site(site: &Site, policy: &Policy, refusal: &Refusal) -> Story {
    let (headline, mut details) = headline(&refusal.reason);
    details.extend(our_side(site, policy, refusal));
    Story {
        headline,
        details,
        fix: fix(site, &refusal.reason).or_else(|| refusal.reason.fix().map(|fix| about_peer(&fix))),
    }
}

/// The engine's sentence about another gateway instead of a client.
#[must_use]
pub fn sentence_about_peer(reason: &RefusalReason) -> String {
    about_peer(&reason.to_string())
}

/// The sentence; what the two sides offer are details.
fn headline(reason: &RefusalReason) -> (String, Vec<String>) {
    match mismatch(reason, "peer") {
        Some(told) => told,
        None => (sentence_about_peer(reason), Vec::new()),
    }
}

/// Two sides without a common suite: the sentence, and what each of them has, a line for each suite.
pub fn mismatch(reason: &RefusalReason, other: &str) -> Option<(String, Vec<String>)> {
    let (headline, mismatch) = match reason {
        RefusalReason::IkeProposal(mismatch) => ("no acceptable IKE suite", mismatch),
        RefusalReason::ChildProposal(mismatch) => ("no acceptable ESP suite", mismatch),
        _ => return None,
    };
    let offered = format!("{other} offered {}", mismatch.offered.join(", "));
    let accepted = mismatch.allowed.iter().map(|suite| format!("accepted is {suite}"));
    Some((headline.to_owned(), [offered].into_iter().chain(accepted).collect()))
}

/// Names may hold the word, so only what the engine says is replaced.
fn about_peer(text: &str) -> String {
    let words = [
        ("the client did not go on with the answer", "the peer did not send the answer"),
        ("between client and gateway", "between the two gateways"),
        ("the client", "the peer"),
        ("this client", "this peer"),
        ("client offered", "peer offered"),
    ];
    words.into_iter().fold(text.to_owned(), |text, (engine, ours)| text.replace(engine, ours))
}

/// What the operator has to compare with the configuration of the peer.
fn our_side(site: &Site, policy: &Policy, refusal: &Refusal) -> Vec<String> {
    let identities = || {
        let own = site.id.clone().unwrap_or_else(|| format!("{} (our address)", refusal.path.local.ip()));
        let peer = match &site.peer_id {
            Some(id) => id.clone(),
            None => "whoever has this site's key".to_owned(),
        };
        vec![
            format!("we call ourselves {own} and prove it by {}", own_proof(site)),
            format!("the peer has to be {peer}, by {}", peer_proof(site)),
        ]
    };
    match &refusal.reason {
        RefusalReason::PeerRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN, .. } => {
            policy.ike().iter().map(|offer| format!("we offered for IKE  {offer}")).collect()
        }
        RefusalReason::ChildRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN } => {
            policy.child().iter().map(|offer| format!("we offered for ESP  {offer}")).collect()
        }
        RefusalReason::ChildRefused { notify: NotifyType::TS_UNACCEPTABLE } => networks(site),
        RefusalReason::PeerRefused { notify: NotifyType::AUTHENTICATION_FAILED, .. }
        | RefusalReason::Distrusted
        | RefusalReason::WrongPsk
        | RefusalReason::PeerIdentity { .. }
        | RefusalReason::PeerAddress { .. }
        | RefusalReason::OtherPeer { .. }
        | RefusalReason::AuthMethod(_) => identities(),
        RefusalReason::NoAnswer | RefusalReason::TimedOut { .. } => {
            vec![format!("we called from {} to {}", refusal.path.local, refusal.path.peer)]
        }
        _ => Vec::new(),
    }
}

fn own_proof(site: &Site) -> &'static str {
    match site.local_auth {
        LocalAuth::Psk(_) => "pre-shared key",
        LocalAuth::Certificate(_) => "certificate",
        LocalAuth::RawKey(_) => "public key",
    }
}

fn peer_proof(site: &Site) -> &'static str {
    match site.peer_auth {
        PeerAuth::Psk(_) => "pre-shared key",
        PeerAuth::Certificate(_) => "certificate",
        PeerAuth::RawKey(_) => "public key",
    }
}

fn networks(site: &Site) -> Vec<String> {
    let list = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let child = |child: &crate::config::SiteChild| {
        format!("we asked for {}: local {}, remote {}", child.name, list(&child.local), list(&child.remote))
    };
    site.children.iter().map(child).collect()
}

/// What to change, where the engine's advice is for clients or could say more.
fn fix(site: &Site, reason: &RefusalReason) -> Option<String> {
    let name = &site.name;
    Some(match reason {
        RefusalReason::WrongPsk | RefusalReason::NoPsk => {
            format!("enter the same key on both sides; here it is psk of [site.{name}]")
        }
        RefusalReason::PeerRefused { notify: NotifyType::AUTHENTICATION_FAILED, .. } | RefusalReason::Distrusted => {
            format!(
                "compare key and identities with the peer's configuration (`cygnet site export {name}` prints how it should \
             look); the peer's log has the reason"
            )
        }
        RefusalReason::PeerRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN, .. } => {
            format!("set ike of [site.{name}] to what the peer accepts, or allow one of these there")
        }
        RefusalReason::ChildRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN } => format!(
            "set esp of [site.{name}] to what the peer accepts: often only the group (perfect forward secrecy) differs, with \
             or without -ecp384, -modp2048"
        ),
        RefusalReason::ChildRefused { notify: NotifyType::TS_UNACCEPTABLE } => {
            "the peer needs the mirror image: its local networks are our `remote`, its remote ones our `local`"
                .to_owned()
        }
        RefusalReason::TrafficSelectors { .. } => {
            format!("set local and remote of [site.{name}] to what the peer asks for, or make it ask for these")
        }
        RefusalReason::PpkRequired => {
            format!("give the peer the post-quantum key, or write required = false in ppk of [site.{name}]")
        }
        RefusalReason::PpkUnknown => {
            format!("give [site.{name}] the peer's key: ppk = {{ id = \"NAME\", secret = \"file:PATH\" }}")
        }
        RefusalReason::CertificatesUnavailable => {
            format!("add ca = \"FILE\" to [site.{name}], the authority of the peer's certificate")
        }
        RefusalReason::NoServerCertificate => {
            format!("add cert and key to [site.{name}], or let the peer expect a pre-shared key")
        }
        RefusalReason::AuthMethod(_) => {
            format!("let both sides use the same: psk, or cert, key and ca of [site.{name}]")
        }
        RefusalReason::NoSignatureScheme { .. } => {
            "use a certificate with another kind of key for this peer".to_owned()
        }
        RefusalReason::RekeyRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN | NotifyType::INVALID_KE_PAYLOAD } => {
            format!(
                "the two sides differ about perfect forward secrecy: write the same group into esp of [site.{name}] and there, \
             or none"
            )
        }
        RefusalReason::RekeyRefused { notify: NotifyType::TS_UNACCEPTABLE } => {
            "the networks were changed on one side since the tunnel came up: make them mirror images again".to_owned()
        }
        RefusalReason::PathCheck => format!(
            "packets come from a new address of the peer, but ours do not arrive there: check the router or firewall in front \
             of it, or write mobike = false in [site.{name}] so that a new tunnel is made instead"
        ),
        RefusalReason::AddressesRefused { .. } => {
            format!("allow the peer to follow our addresses, or write mobike = false in [site.{name}]")
        }
        RefusalReason::Mode => {
            format!("write the same mode in [site.{name}] and there; behind NAT only tunnel mode works")
        }
        RefusalReason::NothingToOffer => format!("correct policy, ike and esp of [site.{name}]"),
        RefusalReason::NotOffered => "update the peer: it answers with what nobody has offered".to_owned(),
        RefusalReason::Certificate(error) => return certificate_fix(name, error),
        RefusalReason::NoAnswer | RefusalReason::TimedOut { waiting_for: "IKE_SA_INIT" } => no_answer(site),
        RefusalReason::IkeProposal(mismatch) => algorithms(name, "ike", &site.proposals.ike, mismatch),
        RefusalReason::ChildProposal(mismatch) => algorithms(name, "esp", &site.proposals.esp, mismatch),
        RefusalReason::PeerAddress { .. } => format!(
            "correct peer of [site.{name}] if that is the right one, or write peer = \"any\" if its address changes"
        ),
        _ => return None,
    })
}

/// Suites that are written out leave `policy` without effect.
fn algorithms(name: &str, key: &str, written: &[String], mismatch: &Mismatch) -> String {
    match mismatch.would_help.filter(|_| written.is_empty()) {
        Some(policy) => format!("allow it with policy = [..., \"{}\"] in [site.{name}]", policy.name()),
        None => {
            format!("set {key} of [site.{name}] to what the peer offers, or let it offer one of the accepted suites")
        }
    }
}

fn no_answer(site: &Site) -> String {
    let where_to = match &site.peer {
        Peer::Address(address) => address.to_string(),
        Peer::Name(host) => format!("what {host} points to"),
        Peer::Any => "it".to_owned(),
    };
    format!(
        "is {where_to} right, and does IKE run there? let UDP ports 500 and 4500 through in both directions, also at a \
         provider's firewall"
    )
}

fn certificate_fix(name: &str, error: &CertError) -> Option<String> {
    Some(match error {
        CertError::Expired { .. } => "issue a new certificate for the peer".to_owned(),
        CertError::NotYetValid { .. } => "set the clocks of both gateways and of the issuer".to_owned(),
        CertError::UnknownIssuer { .. } => {
            format!("add that authority to ca of [site.{name}], or let the peer send its intermediate certificates")
        }
        CertError::BadSignature { .. } => {
            format!("put the current certificate of that authority into ca of [site.{name}]")
        }
        CertError::NameMismatch { .. } => {
            format!("set peer_id of [site.{name}] to a name in the peer's certificate, or issue one with that name")
        }
        CertError::BadEku { .. } => "issue a certificate with serverAuth and clientAuth for the peer".to_owned(),
        CertError::BadKeyUsage { .. } => "issue a certificate with digitalSignature for the peer".to_owned(),
        CertError::Revoked { .. } => "if that was right, give the peer a new certificate".to_owned(),
        CertError::CrlMissing { .. } => format!(
            "add the list to crl_files of [site.{name}], or make it reachable by HTTP, or write crl = \"relaxed\""
        ),
        CertError::CrlExpired { .. } => format!("publish a new list, or write crl = \"relaxed\" in [site.{name}]"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cygnet_ike::Path;
    use cygnet_ike::proposal::PolicyName;
    use cygnet_ike::wire::num::ExchangeType;

    use super::*;
    use crate::config::{Crl, CrlPolicy, Lifetimes, Proposals, Secret, SiteChild, SiteMode, Start};

    fn berlin() -> Site {
        let psk = Arc::new(Secret::from("a-key"));
        let selector = |net: &str| Selector::all_of(net.parse().unwrap());
        Site {
            name: "berlin".into(),
            peer: Peer::Address("198.51.100.7".parse().unwrap()),
            local_address: None,
            id: None,
            peer_id: Some("berlin.example.org".into()),
            local_auth: LocalAuth::Psk(Arc::clone(&psk)),
            peer_auth: PeerAuth::Psk(psk),
            ppk: None,
            start: Start::Always,
            mode: SiteMode::Tunnel,
            routes: true,
            nat: vec![],
            policy: vec![crate::config::Policy::Compatible],
            proposals: Proposals::default(),
            lifetimes: Lifetimes { child: None, ike: None, bytes: None, packets: None },
            liveness: None,
            reauthentication: None,
            mobike: true,
            force_udp_encap: false,
            crl: Crl { policy: CrlPolicy::Relaxed, files: vec![] },
            mtu: None,
            children: vec![SiteChild {
                name: "lan".into(),
                local: vec![selector("10.1.0.0/16"), selector("fd01::/64")],
                remote: vec![Selector { protocol: 6, first_port: 443, last_port: 443, ..selector("10.2.0.9/32") }],
            }],
        }
    }

    fn story(reason: RefusalReason) -> Story {
        let path = Path { local: "203.0.113.1:500".parse().unwrap(), peer: "198.51.100.7:500".parse().unwrap() };
        let refusal = Refusal {
            path,
            session: None,
            exchange: ExchangeType::IKE_AUTH,
            identity: None,
            site: Some("berlin".into()),
            reason,
        };
        let policy = Policy::named(&[PolicyName::Compatible]).with_ike(&["aes256gcm16-prfsha384-ecp384"]).unwrap();
        of_site(&berlin(), &policy.with_child(&["aes256gcm16-ecp384"]).unwrap(), &refusal)
    }

    fn told(notify: NotifyType) -> Story {
        story(RefusalReason::PeerRefused { notify, protected: true })
    }

    #[test]
    fn algorithms_that_the_peer_refuses_are_listed() {
        let ike = told(NotifyType::NO_PROPOSAL_CHOSEN);
        assert_eq!(ike.headline, "the other side refused: NO_PROPOSAL_CHOSEN");
        assert_eq!(ike.details, ["we offered for IKE  aes256gcm16; prfsha384; ecp384"]);
        assert!(ike.fix.unwrap().starts_with("set ike of [site.berlin]"));
        let esp = story(RefusalReason::ChildRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN });
        assert_eq!(esp.details, ["we offered for ESP  aes256gcm16"]);
        assert!(esp.fix.unwrap().contains("perfect forward secrecy"));
    }

    #[test]
    fn identities_and_proofs_are_compared() {
        let refused = told(NotifyType::AUTHENTICATION_FAILED);
        let details = [
            "we call ourselves 203.0.113.1 (our address) and prove it by pre-shared key",
            "the peer has to be berlin.example.org, by pre-shared key",
        ];
        assert_eq!(refused.details, details);
        assert!(refused.fix.unwrap().contains("`cygnet site export berlin`"));
        let key = story(RefusalReason::WrongPsk);
        assert_eq!(
            (key.headline.as_str(), key.details.as_slice()),
            ("the peer has another pre-shared key", &details.map(str::to_owned)[..])
        );
        assert_eq!(key.fix.as_deref(), Some("enter the same key on both sides; here it is psk of [site.berlin]"));
        let other = story(RefusalReason::OtherPeer {
            expected: "berlin.example.org".parse().unwrap(),
            found: "@lyon".parse().unwrap(),
        });
        assert!(other.fix.unwrap().contains("peer_id = \"lyon\""));
    }

    #[test]
    fn suites_that_are_written_out_are_to_be_changed_there() {
        let mismatch = Mismatch {
            offered: vec!["chacha20poly1305".into()],
            allowed: vec!["aes128; sha1; prfsha1; modp1024".into(), "aes256gcm16; ecp384".into()],
            would_help: Some(PolicyName::Modern),
        };
        let advice = story(RefusalReason::ChildProposal(mismatch.clone()));
        assert_eq!(advice.headline, "no acceptable ESP suite");
        let details = [
            "peer offered chacha20poly1305",
            "accepted is aes128; sha1; prfsha1; modp1024",
            "accepted is aes256gcm16; ecp384",
        ];
        assert_eq!(advice.details, details, "a line for each suite");
        assert_eq!(advice.fix.as_deref(), Some("allow it with policy = [..., \"modern\"] in [site.berlin]"));
        let written = algorithms("berlin", "esp", &["aes256gcm16".to_owned()], &mismatch);
        assert!(written.starts_with("set esp of [site.berlin]"), "{written}");
    }

    #[test]
    fn a_peer_from_elsewhere_is_no_stranger_without_a_key() {
        let away = story(RefusalReason::PeerAddress {
            expected: vec!["203.0.113.77".parse().unwrap()],
            found: "203.0.113.1".parse().unwrap(),
        });
        assert_eq!(away.headline, "the peer is expected at 203.0.113.77, this came from 203.0.113.1");
        assert!(away.fix.unwrap().contains("peer = \"any\""));
    }

    #[test]
    fn networks_are_shown_as_they_were_asked_for() {
        let refused = story(RefusalReason::ChildRefused { notify: NotifyType::TS_UNACCEPTABLE });
        assert_eq!(refused.details, ["we asked for lan: local 10.1.0.0/16 fd01::/64, remote 10.2.0.9 tcp/443"]);
        assert!(refused.fix.unwrap().contains("mirror image"));
    }

    #[test]
    fn silence_names_both_ends() {
        let later = story(RefusalReason::TimedOut { waiting_for: "the answer to IKE_AUTH" });
        assert_eq!(later.headline, "the peer did not send the answer to IKE_AUTH");
        assert!(later.fix.unwrap().contains("UDP port 4500"));
        let silence = story(RefusalReason::NoAnswer);
        assert_eq!(silence.details, ["we called from 203.0.113.1:500 to 198.51.100.7:500"]);
        assert!(silence.fix.unwrap().starts_with("is 198.51.100.7 right, and does IKE run there?"));
    }

    #[test]
    fn certificates_are_those_of_the_peer() {
        let issuer = CertError::UnknownIssuer { subject: "CN=berlin".into(), issuer: "CN=CA".into() };
        let unknown = story(RefusalReason::Certificate(issuer));
        assert!(unknown.headline.starts_with("the peer's certificate is not acceptable"), "{unknown:?}");
        assert!(unknown.fix.unwrap().contains("ca of [site.berlin]"));
        let revoked =
            story(RefusalReason::Certificate(CertError::Revoked { subject: "CN=berlin".into(), since: None }));
        assert_eq!(revoked.fix.as_deref(), Some("if that was right, give the peer a new certificate"));
    }

    #[test]
    fn every_advice_speaks_of_the_peer() {
        let reasons = [
            RefusalReason::NoPsk,
            RefusalReason::PpkRequired,
            RefusalReason::PpkUnknown,
            RefusalReason::OtherRawKey,
            RefusalReason::CertificatesUnavailable,
            RefusalReason::NoServerCertificate,
            RefusalReason::Mode,
            RefusalReason::NotOffered,
            RefusalReason::NothingToOffer,
            RefusalReason::Distrusted,
            RefusalReason::TooManyChildren,
            RefusalReason::PathCheck,
            RefusalReason::AddressesRefused { notify: NotifyType::UNACCEPTABLE_ADDRESSES },
            RefusalReason::RekeyRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN },
            RefusalReason::RekeyRefused { notify: NotifyType::TEMPORARY_FAILURE },
            RefusalReason::TimedOut { waiting_for: "the answer to IKE_AUTH" },
        ];
        for reason in reasons {
            let story = story(reason);
            let all = format!("{} {:?} {:?}", story.headline, story.details, story.fix);
            assert!(!all.contains("client"), "{all}");
        }
    }
}
