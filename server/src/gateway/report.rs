//! What the gateway tells people: log lines, the memory that `cygnet explain` reads, status.
//!
//! What a stranger can cause is logged at `debug`; one `info` line each for begin and end of a client session.

use cygnet_ike::crypto::suite::Encr;
use cygnet_ike::{ChildSuite, EspSpi, Path, Refusal, RefusalReason, SessionId};
use jiff::Unit;

use super::l2tp::{Channel, Progress};
use super::session::{Session, Stage};
use super::{Gateway, Now, ike_config};
use crate::config::{Peer, Site};
use crate::control::model;
use crate::explain::{self, Entry, Record, Story};
use crate::pool::PoolUsage;

/// What helps against a client of which no packet is authentic (RFC 4868 section 2.3).
const ALL_FORGED_FIX: &str = "with HMAC-SHA2-256 this client may cut the code to 96 bits, as Android 6 and 7 do: configure it for \
     SHA-1, SHA2-512 or AES-GCM, or set sha256_96 = true for all L2TP clients (and remove it where only this one fails)";

impl Gateway {
    /// Who is connected, and the counters of the control plane.
    #[must_use]
    pub fn status(&self, now: Now) -> model::Status {
        let mut sessions: Vec<_> = self.sessions.iter().map(|(&id, s)| self.describe(now, id, s)).collect();
        sessions.sort_by(|a, b| (&a.user, a.since).cmp(&(&b.user, b.since)));
        model::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            now: now.wall,
            name: self.settings.remote.as_ref().map(|r| r.name.clone()).unwrap_or_default(),
            sessions,
            sites: self.sites(now),
            pools: self.pools(),
            counters: self.counters(),
        }
    }

    /// What went wrong lately, newest first.
    #[must_use]
    pub fn explain(&self, filter: &model::ExplainFilter) -> Vec<Entry> {
        let site = filter.who.as_ref().and_then(|who| self.settings.sites.iter().find(|s| s.name == *who));
        match site {
            Some(site) => self.memory.find_any(&names_of(site), filter.limit),
            None => self.memory.find(filter.who.as_deref(), filter.limit),
        }
    }

    pub(super) fn report_established(&self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let inside: Vec<_> = session.lease.addresses().map(|a| a.to_string()).collect();
        tracing::info!(
            session = id.0,
            user = session.who(),
            via = session.via.name(),
            peer = %session.path.peer,
            nat = session.behind_nat,
            inside = inside.join(" "),
            cipher = session.cipher(),
            "client connected"
        );
    }

    pub(super) fn report_end(&mut self, now: Now, id: SessionId, session: &Session, reason: &str, fix: Option<String>) {
        let traffic = self.traffic(session);
        let lasted = now.wall.duration_since(session.since).as_secs();
        tracing::info!(
            session = id.0,
            user = session.who(),
            via = session.via.name(),
            peer = %session.path.peer,
            reason,
            seconds = lasted,
            bytes_in = traffic.bytes_in,
            bytes_out = traffic.bytes_out,
            "client disconnected"
        );
        self.memory.record(Record {
            when: now.wall,
            peer: session.path.peer,
            called: false,
            user: Some(session.who().to_owned()),
            exchange: "session".to_owned(),
            headline: format!("session ended: {reason}"),
            details: vec![format!(
                "connected for {}, {} bytes in, {} bytes out",
                duration(now, session),
                traffic.bytes_in,
                traffic.bytes_out
            )],
            fix,
        });
    }

    pub(super) fn report_refusal(&mut self, now: Now, refusal: &Refusal) {
        *self.refused.entry(refusal.reason.name()).or_default() += 1;
        let text = refusal.reason.to_string();
        tracing::debug!(
            session = refusal.session.map(|s| s.0),
            peer = %refusal.path.peer,
            exchange = %refusal.exchange,
            reason = refusal.reason.name(),
            "refused: {text}"
        );
        if matches!(
            refusal.reason,
            RefusalReason::EapFailed | RefusalReason::XAuthFailed | RefusalReason::Denied | RefusalReason::NoAddress
        ) {
            return; // we decided that, and have told why
        }
        let site = refusal.site.as_deref().and_then(|name| self.settings.sites.iter().find(|site| site.name == name));
        let story = site.and_then(|site| {
            let policy = ike_config::policy(&site.policy, &site.proposals).ok()?;
            Some(explain::of_site(site, &policy, refusal))
        });
        let Story { headline, details, fix } = story.unwrap_or_else(|| self.of_client(refusal));
        let user = refusal.site.as_ref().map(ToString::to_string);
        self.memory.record(Record {
            when: now.wall,
            peer: refusal.path.peer,
            called: refusal.session.is_some_and(|id| self.has_called(id)),
            user: user.or_else(|| refusal.identity.as_ref().map(ToString::to_string)),
            exchange: refusal.exchange.to_string(),
            headline,
            details,
            fix,
        });
    }

    /// Not one packet of a fresh SA pair was authentic.
    pub(super) fn report_all_forged(&mut self, now: Now, id: SessionId, inbound_spi: EspSpi) {
        let of_session = self.sessions.get(&id).map(|s| (s.who(), s.path, &s.children));
        let of_channel = self.channels.get(&id).map(|c| (c.identity.as_str(), c.path, &c.children));
        let of_client = of_session.or(of_channel).map(|(who, path, children)| {
            let cipher = children.iter().find(|child| child.inbound_spi == inbound_spi).map(|c| c.cipher.clone());
            (who.into(), path, cipher.unwrap_or_default())
        });
        let Some((who, path, cipher)) = of_client.or_else(|| self.site_of_pair(id, inbound_spi)) else { return };
        tracing::warn!(session = id.0, user = %who, peer = %path.peer, cipher, "no packet is authentic");
        self.memory.record(Record {
            when: now.wall,
            peer: path.peer,
            called: false,
            user: Some(who.to_string()),
            exchange: "ESP".to_owned(),
            headline: "cannot be read: every packet fails its integrity check".to_owned(),
            details: vec![format!("the cipher is {cipher}")],
            fix: Some(ALL_FORGED_FIX.to_owned()),
        });
    }

    /// A login with name and password failed; `text` is for the operator.
    pub(super) fn report_login_failure(
        &mut self,
        now: Now,
        path: Path,
        exchange: &str,
        user: Option<&str>,
        text: &str,
    ) {
        *self.refused.entry("login").or_default() += 1;
        tracing::debug!(peer = %path.peer, user, "login refused: {text}");
        let (headline, fix) = sentence_and_fix(text);
        self.memory.record(Record {
            when: now.wall,
            peer: path.peer,
            called: false,
            user: user.map(str::to_owned),
            exchange: exchange.to_owned(),
            headline,
            details: Vec::new(),
            fix,
        });
    }

    /// Somebody who proved their identity was not let in.
    pub(super) fn report_denial(&mut self, now: Now, session: &Session, text: &str) {
        *self.refused.entry("denied").or_default() += 1;
        tracing::warn!(peer = %session.path.peer, user = session.who(), "not let in: {text}");
        let (headline, fix) = sentence_and_fix(text);
        self.memory.record(Record {
            when: now.wall,
            peer: session.path.peer,
            called: false,
            user: Some(session.who().to_owned()),
            exchange: session.via.exchange().to_owned(),
            headline,
            details: Vec::new(),
            fix,
        });
    }

    /// An IPsec peer is gone without ever having had an L2TP session.
    pub(super) fn report_unfinished(&mut self, now: Now, channel: &Channel) {
        let (headline, fix) = match channel.progress {
            Progress::Phase1 => (
                "IKE phase 1 is done, but no phase 2 came",
                Some("choose \"L2TP over IPsec\" on the client; its log says why it stopped"),
            ),
            Progress::Ipsec => (
                "IPsec is up, but no L2TP came",
                Some("let the client's firewall pass UDP port 1701; on Linux its L2TP daemon (xl2tpd) has to run, too"),
            ),
            Progress::L2tp => ("L2TP began, but no session came up", None),
            Progress::Session => return,
        };
        *self.refused.entry("unfinished").or_default() += 1;
        tracing::debug!(peer = %channel.path.peer, "{headline}");
        self.memory.record(Record {
            when: now.wall,
            peer: channel.path.peer,
            called: false,
            user: None,
            exchange: "L2TP".to_owned(),
            headline: headline.to_owned(),
            details: vec![format!("the client calls itself {}", channel.identity)],
            fix: fix.map(str::to_owned),
        });
    }

    /// L2TP did not give a client what it asked for.
    pub(super) fn report_l2tp_refusal(&mut self, now: Now, refusal: &cygnet_l2tp::Refusal) {
        let Some(channel) = self.channels.get(&SessionId(refusal.channel.0)) else { return };
        let text = refusal.explain();
        *self.refused.entry("l2tp").or_default() += 1;
        tracing::debug!(session = refusal.channel.0, peer = %channel.path.peer, "L2TP refused: {text}");
        let (headline, fix) = match text.split_once(". ") {
            Some((headline, fix)) => (headline, Some(fix.to_owned())),
            None => (text.trim_end_matches('.'), None),
        };
        self.memory.record(Record {
            when: now.wall,
            peer: channel.path.peer,
            called: false,
            user: None,
            exchange: "L2TP".to_owned(),
            headline: headline.to_owned(),
            details: refusal.host_name.iter().map(|name| format!("the client's name is {name}")).collect(),
            fix,
        });
    }

    /// A PPP link ended before its client was let in.
    pub(super) fn report_ppp_failure(&mut self, now: Now, path: Path, text: &str, fix: Option<String>) {
        *self.refused.entry("ppp").or_default() += 1;
        tracing::debug!(peer = %path.peer, "PPP ended: {text}");
        self.memory.record(Record {
            when: now.wall,
            peer: path.peer,
            called: false,
            user: None,
            exchange: "PPP".to_owned(),
            headline: text.to_owned(),
            details: Vec::new(),
            fix,
        });
    }

    /// What a refusal means for somebody who is none of the sites.
    fn of_client(&self, refusal: &Refusal) -> Story {
        let text = refusal.reason.to_string();
        let (headline, details) =
            explain::mismatch(&refusal.reason, "client").unwrap_or_else(|| match text.split_once(": ") {
                Some((headline, details)) => (headline.to_owned(), details.split("; ").map(str::to_owned).collect()),
                None => (text, Vec::new()),
            });
        Story { headline, details, fix: self.fix_for_client(&refusal.reason) }
    }

    fn fix_for_client(&self, reason: &RefusalReason) -> Option<String> {
        let Some(remote) = &self.settings.remote else { return fix_for_stranger(reason) };
        let written = match reason {
            RefusalReason::IkeProposal(_) if !remote.proposals.ike.is_empty() => "ike",
            RefusalReason::ChildProposal(_) if !remote.proposals.esp.is_empty() => "esp",
            _ => return reason.fix(),
        };
        Some(format!("set {written} of [remote] to what the client offers, or let it offer one of the accepted suites"))
    }

    fn describe(&self, now: Now, id: SessionId, session: &Session) -> model::Session {
        let traffic = self.traffic(session);
        let heard = session.children.iter().filter_map(|c| self.meter.last_heard(c.inbound_spi)).max();
        let heard = heard.max(session.last_heard);
        model::Session {
            id: id.0,
            user: session.who().to_owned(),
            identity: session.identity.clone(),
            via: session.via.name().to_owned(),
            state: match session.stage {
                Stage::Admitting | Stage::Granted => model::SessionState::Connecting,
                Stage::Established => model::SessionState::Established,
            },
            inside: session.lease.addresses().collect(),
            from: session.path.peer,
            nat: session.behind_nat,
            cipher: session.cipher().to_owned(),
            since: session.since,
            idle_seconds: heard.map(|at| now.instant.saturating_duration_since(at).as_secs()),
            bytes_in: traffic.bytes_in,
            bytes_out: traffic.bytes_out,
            packets_in: traffic.packets_in,
            packets_out: traffic.packets_out,
        }
    }

    fn pools(&self) -> Vec<model::Pool> {
        let Some(remote) = &self.settings.remote else { return Vec::new() };
        let (v4, v6) = self.leases.usage();
        let of = |net: &ipnet::IpNet| {
            let usage: PoolUsage = if net.addr().is_ipv4() { v4 } else { v6 };
            model::Pool {
                network: *net,
                total: u64::try_from(usage.capacity).ok(),
                used: u64::try_from(usage.leased).unwrap_or(u64::MAX),
            }
        };
        remote.pools.iter().map(of).collect()
    }

    fn counters(&self) -> Vec<model::Counter> {
        let ike = self.ike.counters();
        let of_ike = [
            ("ike/received", ike.received),
            ("ike/sent", ike.sent),
            ("ike/malformed", ike.malformed),
            ("ike/unknown_spi", ike.unknown_spi),
            ("ike/forged", ike.forged),
            ("ike/unexpected", ike.unexpected),
            ("ike/retransmissions_answered", ike.retransmissions_answered),
            ("ike/retransmissions_sent", ike.retransmissions_sent),
            ("ike/cookies_sent", ike.cookies_sent),
            ("ike/overload_dropped", ike.overload_dropped),
            ("ike/half_open_expired", ike.half_open_expired),
            ("ike/half_open", ike.half_open),
            ("ike/established", ike.established),
            ("ike/sessions", ike.sessions),
        ];
        let l2tp = self.l2tp.counters();
        let of_l2tp = [
            ("l2tp/malformed", l2tp.malformed),
            ("l2tp/unknown", l2tp.unknown),
            ("l2tp/duplicates", l2tp.duplicates),
            ("l2tp/out_of_window", l2tp.out_of_window),
            ("l2tp/retransmissions", l2tp.retransmissions),
            ("l2tp/refused", l2tp.refused),
            ("l2tp/tunnels", l2tp.tunnels),
            ("l2tp/sessions", l2tp.sessions),
        ];
        let refused = self.refused.iter().map(|(name, &value)| (format!("refused/{name}"), value));
        let all = of_ike.into_iter().chain(of_l2tp).map(|(name, value)| (name.to_owned(), value)).chain(refused);
        all.map(|(name, value)| model::Counter { name, value }).collect()
    }
}

/// Where there are sites only, nobody else has a way in, and should not get one by the way.
fn fix_for_stranger(reason: &RefusalReason) -> Option<String> {
    match reason {
        RefusalReason::NoPsk | RefusalReason::CertificatesUnavailable | RefusalReason::EapUnavailable { .. } => Some(
            "no site fits this address and identity: if it is one of them, correct its peer and peer_id; if it is another \
             gateway, add a [site.NAME] for it"
                .to_owned(),
        ),
        RefusalReason::IkeProposal(_) => {
            Some("if this is one of the sites, set its ike or policy to what is offered".to_owned())
        }
        _ => reason.fix(),
    }
}

impl Session {
    /// Cipher of the newest SA pair; empty before the first.
    fn cipher(&self) -> &str {
        self.children.last().map_or("", |child| &child.cipher)
    }
}

/// How `cygnet status` names a suite: `aes-gcm-256`.
pub(super) fn cipher_name(suite: &ChildSuite) -> String {
    match suite.encr {
        Encr::AesGcm16 { bits } => format!("aes-gcm-{}", bits.bits()),
        Encr::ChaCha20Poly1305 => "chacha20-poly1305".to_owned(),
        Encr::AesCbc { bits } => format!("aes-cbc-{}", bits.bits()),
        Encr::TripleDesCbc => "3des-cbc".to_owned(),
    }
}

/// Texts of ours say what is wrong, and after a semicolon what to change.
pub(super) fn sentence_and_fix(text: &str) -> (String, Option<String>) {
    match text.split_once("; ") {
        Some((sentence, fix)) => (sentence.to_owned(), Some(fix.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// Under which names things are remembered that happened to a site: its own, and what its peer is called before it is known.
fn names_of(site: &Site) -> Vec<String> {
    let address = match &site.peer {
        Peer::Address(address) => Some(address.to_string()),
        Peer::Name(_) | Peer::Any => None,
    };
    [Some(site.name.clone()), site.peer_id.clone(), address].into_iter().flatten().collect()
}

fn duration(now: Now, session: &Session) -> String {
    let span = now.wall.since(session.since).and_then(|s| s.round(Unit::Second));
    span.map_or_else(|_| "an unknown time".to_owned(), |span| format!("{span:#}"))
}
