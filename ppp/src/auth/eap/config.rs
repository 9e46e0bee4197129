//! Which methods a login may use.

use super::EapType;
use super::tls::EapTls;

/// A way to prove who one is inside EAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EapMethod {
    /// Name and password: EAP-MSCHAPv2.
    MsChapV2,
    /// A certificate: EAP-TLS, RFC 5216 and RFC 9190.
    Tls,
}

impl EapMethod {
    /// Its number, RFC 3748 section 5.
    #[must_use]
    pub const fn eap_type(self) -> EapType {
        match self {
            Self::MsChapV2 => EapType::MSCHAPV2,
            Self::Tls => EapType::TLS,
        }
    }

    /// Whether it is good enough to prove who the gateway is, too, so that IKE needs no signature (RFC 5998 section 4): a
    /// password that can be guessed is not.
    #[must_use]
    pub const fn is_mutual(self) -> bool {
        matches!(self, Self::Tls)
    }
}

/// What the gateway offers. The default is EAP-MSCHAPv2.
#[derive(Clone, Debug)]
pub struct EapConfig {
    /// The preferred method first; a client that refuses it may have another one. With none of them nobody gets in.
    pub methods: Vec<EapMethod>,
    /// Without it [`EapMethod::Tls`] is not offered.
    pub tls: Option<EapTls>,
}

impl Default for EapConfig {
    fn default() -> Self {
        Self { methods: vec![EapMethod::MsChapV2], tls: None }
    }
}

impl EapConfig {
    /// For packets of at most `octets`.
    #[must_use]
    pub(crate) fn fitting(self, octets: usize) -> Self {
        Self { tls: self.tls.map(|tls| tls.fitting(octets)), ..self }
    }

    /// The methods that are possible, the preferred one first.
    pub(super) fn offers(&self) -> Vec<EapMethod> {
        let possible = |method: &EapMethod| *method != EapMethod::Tls || self.tls.is_some();
        self.methods.iter().copied().filter(possible).collect()
    }
}
