//! Integrity of the CBC suites: HMAC-SHA1-96 (RFC 2404) and HMAC-SHA2 (RFC 4868) over header, IV and ciphertext, and, with
//! ESN, the upper half of the sequence number behind them (RFC 4303 section 2.8).

use hmac::{Hmac, KeyInit, Mac as _};
use ring::hmac::{Context, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Key};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::drop_reason::DropReason;
use crate::suite::Integ;

/// Length of a key derived by [`Mac::derive`], in octets.
pub(super) const DERIVED_LEN: usize = 16;

/// The longest ICV, in octets: HMAC-SHA-512-256.
const MAX_ICV_LEN: usize = 32;

pub(super) struct Mac {
    icv_len: usize,
    key: MacKey,
}

enum MacKey {
    Sha1(Hmac<Sha1>),
    Sha2(Key),
}

impl Mac {
    pub(super) fn new(integ: Integ, key: &[u8]) -> Self {
        let key = match integ {
            Integ::HmacSha1_96 => MacKey::Sha1(Hmac::new_from_slice(key).expect("HMAC takes keys of any length")),
            Integ::HmacSha256_128 => MacKey::Sha2(Key::new(HMAC_SHA256, key)),
            Integ::HmacSha384_192 => MacKey::Sha2(Key::new(HMAC_SHA384, key)),
            Integ::HmacSha512_256 => MacKey::Sha2(Key::new(HMAC_SHA512, key)),
        };
        Self { icv_len: integ.icv_len(), key }
    }

    pub(super) fn icv_len(&self) -> usize {
        self.icv_len
    }

    /// Writes the ICV into the last octets of `packet`.
    pub(super) fn append(&self, hidden_half: Option<[u8; 4]>, packet: &mut [u8]) {
        let (authenticated, icv) = packet.split_at_mut(packet.len() - self.icv_len);
        icv.copy_from_slice(&self.code(authenticated, hidden_half)[..self.icv_len]);
    }

    /// Compares, in constant time, the ICV in the last octets of `packet`.
    pub(super) fn verify(&self, hidden_half: Option<[u8; 4]>, packet: &[u8]) -> Result<(), DropReason> {
        let (authenticated, icv) = packet.split_at(packet.len() - self.icv_len);
        let code = self.code(authenticated, hidden_half);
        if bool::from(code[..self.icv_len].ct_eq(icv)) { Ok(()) } else { Err(DropReason::Integrity) }
    }

    /// A key of its own from the integrity key: the first octets of the untruncated code over `label`.
    ///
    /// `label` must be shorter than any packet, so that no packet's code is ever computed over the same octets.
    pub(super) fn derive(&self, label: &[u8]) -> Zeroizing<[u8; DERIVED_LEN]> {
        let code = Zeroizing::new(self.code(label, None));
        let mut key = Zeroizing::new([0; DERIVED_LEN]);
        key.copy_from_slice(&code[..DERIVED_LEN]);
        key
    }

    /// The code, cut to [`MAX_ICV_LEN`] octets or followed by zeros.
    fn code(&self, authenticated: &[u8], hidden_half: Option<[u8; 4]>) -> [u8; MAX_ICV_LEN] {
        let hidden = hidden_half.as_ref().map_or(&[][..], |half| half);
        let mut code = [0; MAX_ICV_LEN];
        match &self.key {
            MacKey::Sha1(keyed) => {
                let mut mac = keyed.clone();
                mac.update(authenticated);
                mac.update(hidden);
                fill(&mut code, &mac.finalize().into_bytes());
            }
            MacKey::Sha2(key) => {
                let mut context = Context::with_key(key);
                context.update(authenticated);
                context.update(hidden);
                fill(&mut code, context.sign().as_ref());
            }
        }
        code
    }
}

fn fill(code: &mut [u8; MAX_ICV_LEN], computed: &[u8]) {
    let len = computed.len().min(MAX_ICV_LEN);
    code[..len].copy_from_slice(&computed[..len]);
}

const _: () = assert!(DERIVED_LEN <= 20, "HMAC-SHA1 gives 20 octets");
