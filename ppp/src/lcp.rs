//! The options of LCP (RFC 1661 section 6), and what stock clients do with them.
//!
//! We ask for an MRU, an authentication protocol and a magic number; nothing else is worth a round. The client may have
//! PFC and ACFC (frames are read in every form anyway), any ACCM, any sensible MRU, and no options at all. Rejected are
//! callback, multilink, quality reports, authentication of the gateway and everything unknown.
//!
//! Does not: codes and phases (see `control`, `link`).

use crate::auth::Method;
use crate::config::{LinkConfig, MAX_MRU, MIN_MRU};
use crate::control::{Judgement, Negotiation};
use crate::event::{CloseReason, WantedAuth};
use crate::frame::Protocol;
use crate::generator::Generator;
use crate::option::{ConfigOption, OptionWriter, Options};

/// Naks of a magic number that is our own before the link counts as looped (RFC 1661 section 6.4).
const MAX_COLLISIONS: u32 = 5;

/// Types of LCP options.
pub(crate) mod kind {
    /// Maximum-Receive-Unit, RFC 1661 section 6.1.
    pub(crate) const MRU: u8 = 1;
    /// Async-Control-Character-Map, RFC 1662 section 7.1; means nothing inside L2TP.
    pub(crate) const ACCM: u8 = 2;
    /// Authentication-Protocol, RFC 1661 section 6.2.
    pub(crate) const AUTH: u8 = 3;
    /// Magic-Number, RFC 1661 section 6.4.
    pub(crate) const MAGIC: u8 = 5;
    /// Protocol-Field-Compression, RFC 1661 section 6.5.
    pub(crate) const PFC: u8 = 7;
    /// Address-and-Control-Field-Compression, RFC 1661 section 6.6.
    pub(crate) const ACFC: u8 = 8;
}

/// What the client asked for and got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerOptions {
    pub(crate) mru: u16,
    pub(crate) short_protocol: bool,
    pub(crate) omit_address_control: bool,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self { mru: MAX_MRU, short_protocol: false, omit_address_control: false }
    }
}

/// Both sides' options.
pub(crate) struct Lcp {
    generator: Generator,
    /// `None` once the client rejected the option: then 1500 holds.
    mru: Option<u16>,
    /// `None` once the client rejected the option.
    magic: Option<u32>,
    collisions: u32,
    /// Naks after which an option is rejected instead.
    max_naks: u32,
    auth: AuthChoice,
    peer: PeerOptions,
}

impl Lcp {
    pub(crate) fn new(config: &LinkConfig, mut generator: Generator) -> Self {
        let magic = Some(generator.magic());
        let (mru, auth) = (Some(config.offered_mru()), AuthChoice::new(&config.auth));
        let max_naks = config.timing.max_failure;
        Self { generator, mru, magic, collisions: 0, max_naks, auth, peer: PeerOptions::default() }
    }

    /// The method that the last Configure-Request asked for; `None` if none is left.
    pub(crate) fn auth(&self) -> Option<Method> {
        self.auth.current
    }

    /// Largest information field that the client may send.
    pub(crate) fn local_mru(&self) -> u16 {
        self.mru.unwrap_or(MAX_MRU)
    }

    /// Our magic number for echoes; zero without one (RFC 1661 section 5.8).
    pub(crate) fn magic(&self) -> u32 {
        self.magic.unwrap_or(0)
    }

    pub(crate) fn peer(&self) -> PeerOptions {
        self.peer
    }

    pub(crate) fn generator(&mut self) -> &mut Generator {
        &mut self.generator
    }

    /// Our own magic number in a request of the peer: a loop, or a coincidence that another number resolves.
    fn judge_magic(&mut self, option: ConfigOption<'_>) -> Option<Judgement> {
        let theirs = option.u32()?;
        if theirs != 0 && Some(theirs) != self.magic {
            return None;
        }
        self.collisions += u32::from(theirs != 0);
        if self.collisions > MAX_COLLISIONS {
            return Some(Judgement::Hopeless(CloseReason::Looped));
        }
        let mut nak = OptionWriter::new();
        nak.push(kind::MAGIC, &self.generator.magic().to_be_bytes());
        Some(Judgement::Nak(nak))
    }
}

impl Negotiation for Lcp {
    const PROTOCOL: Protocol = Protocol::LCP;

    fn request(&self, out: &mut OptionWriter) {
        if let Some(mru) = self.mru {
            out.push(kind::MRU, &mru.to_be_bytes());
        }
        if let Some(method) = self.auth.current {
            out.push(kind::AUTH, method.option());
        }
        if let Some(magic) = self.magic {
            out.push(kind::MAGIC, &magic.to_be_bytes());
        }
    }

    fn judge(&mut self, options: &Options<'_>, naks: u32) -> Judgement {
        // First of all: on a looped link everything else is our own request, too.
        if let Some(judgement) = options.find(kind::MAGIC).and_then(|option| self.judge_magic(option)) {
            return judgement;
        }
        let (mut reject, mut nak) = (OptionWriter::new(), OptionWriter::new());
        let mut peer = PeerOptions::default();
        for option in options.iter() {
            let known = match (option.kind, option.data.len()) {
                (kind::ACCM | kind::MAGIC, 4) => true,
                (kind::PFC, 0) => {
                    peer.short_protocol = true;
                    true
                }
                (kind::ACFC, 0) => {
                    peer.omit_address_control = true;
                    true
                }
                (kind::MRU, 2) => {
                    let mru = option.u16().unwrap_or(MAX_MRU);
                    peer.mru = mru.clamp(MIN_MRU, MAX_MRU);
                    let fine = peer.mru == mru;
                    if !fine {
                        nak.push(kind::MRU, &peer.mru.to_be_bytes());
                    }
                    fine || naks < self.max_naks
                }
                _ => false,
            };
            if !known {
                reject.push(option.kind, option.data);
            }
        }
        if !reject.is_empty() {
            return Judgement::Reject(reject);
        }
        if !nak.is_empty() {
            return Judgement::Nak(nak);
        }
        self.peer = peer;
        self.collisions = 0;
        Judgement::Ack
    }

    fn on_nak(&mut self, options: &Options<'_>) -> Result<(), CloseReason> {
        for option in options.iter() {
            match option.kind {
                kind::MRU => {
                    let mru = option.u16().filter(|mru| (MIN_MRU..=MAX_MRU).contains(mru));
                    self.mru = self.mru.and(mru.or(self.mru));
                }
                kind::AUTH => self.auth.refused(option.data)?,
                kind::MAGIC => self.magic = self.magic.map(|_| self.generator.magic()),
                _ => {} // wishes for options that we do not use
            }
        }
        Ok(())
    }

    fn on_reject(&mut self, options: &Options<'_>) -> Result<(), CloseReason> {
        for option in options.iter() {
            match option.kind {
                kind::MRU => self.mru = None,
                kind::MAGIC => self.magic = None,
                _ => return Err(self.auth.hopeless(None)),
            }
        }
        Ok(())
    }
}

/// The method that is asked for, and which are left.
struct AuthChoice {
    allowed: Vec<Method>,
    /// Allowed and not refused so far, the preferred one first.
    left: Vec<Method>,
    current: Option<Method>,
}

impl AuthChoice {
    fn new(allowed: &[Method]) -> Self {
        Self { allowed: allowed.to_vec(), left: allowed.to_vec(), current: allowed.first().copied() }
    }

    /// The client refuses the current method in favour of another: take that if it is allowed, else the next one.
    fn refused(&mut self, wanted: &[u8]) -> Result<(), CloseReason> {
        self.left.retain(|method| Some(*method) != self.current);
        let theirs = Method::of_option(wanted).filter(|method| self.left.contains(method));
        self.current = theirs.or(self.left.first().copied());
        if self.current.is_some() { Ok(()) } else { Err(self.hopeless(Some(wanted))) }
    }

    fn hopeless(&self, wanted: Option<&[u8]>) -> CloseReason {
        let wanted = wanted.and_then(WantedAuth::of_option);
        CloseReason::AuthProtocolRefused { allowed: self.allowed.clone(), wanted }
    }
}
