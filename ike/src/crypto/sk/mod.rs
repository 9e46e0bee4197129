//! Protection of IKE messages: the bodies of SK (RFC 7296 section 3.14) and SKF (RFC 7383 section
//! 2.5) payloads, with CBC and HMAC or with an AEAD (RFC 5282, RFC 7634).
//!
//! An [`SkKey`] serves one direction. What is protected is the message from the IKE header up to
//! the encrypted payload's own header, in SKF with the fragment numbers; the caller writes those,
//! with lengths that already count [`SkKey::sealed_len`], and the body goes behind them.
//!
//! Does not: build or read payloads, know fragments.

mod aead;
mod cbc;

use super::{
    random::Random,
    suite::{Encr, Integ},
};

/// The key that protects the messages of one direction of an IKE SA: `SK_e` and `SK_a`.
///
/// Neither printed nor cloned: an AEAD key counts its messages, and a copy would repeat a nonce.
pub struct SkKey {
    encr: Encr,
    cipher: Cipher,
}

enum Cipher {
    Aead(aead::Key),
    Cbc(cbc::Key),
}

/// The octet behind the padding that tells its length.
const PAD_LENGTH_LEN: usize = 1;

impl SkKey {
    /// Takes `SK_e` (with the salt at its end, if the cipher has one) and `SK_a` (empty for an AEAD).
    ///
    /// Made once per key: what an AEAD key seals carries nonces that are counted from zero in this value.
    ///
    /// # Errors
    /// [`UnfitKeys`] if a key has another length than the algorithm wants, or if the two
    /// algorithms do not go together.
    pub fn new(encr: Encr, integ: Option<Integ>, sk_e: &[u8], sk_a: &[u8]) -> Result<Self, UnfitKeys> {
        if sk_e.len() != encr.keying_len() || sk_a.len() != integ.map_or(0, Integ::key_len) {
            return Err(UnfitKeys);
        }
        let cipher = match (encr, integ) {
            (Encr::AesGcm16 { .. } | Encr::ChaCha20Poly1305, None) => Cipher::Aead(aead::Key::new(encr, sk_e)),
            (Encr::AesCbc { bits }, Some(integ)) => Cipher::Cbc(cbc::Key::new(bits, integ, sk_e, sk_a)),
            _ => return Err(UnfitKeys),
        };
        Ok(Self { encr, cipher })
    }

    /// Length in bytes of the payload body that protects `plaintext` bytes of payloads: IV,
    /// ciphertext with padding, ICV.
    #[must_use]
    pub fn sealed_len(&self, plaintext: usize) -> usize {
        self.encr.iv_len() + plaintext + self.padding(plaintext) + PAD_LENGTH_LEN + self.icv_len()
    }

    /// The most bytes of payloads whose protected body fits into `room` bytes.
    #[must_use]
    pub fn plaintext_room(&self, room: usize) -> usize {
        let ciphertext = room.saturating_sub(self.encr.iv_len() + self.icv_len());
        (ciphertext - ciphertext % self.block_len()).saturating_sub(PAD_LENGTH_LEN)
    }

    /// Protects `plaintext`, a chain of payloads, and appends the body to `message`.
    ///
    /// `message` begins with the IKE header and ends with the encrypted payload's header; its
    /// lengths already count the body. `random` makes the IV of the CBC ciphers.
    ///
    /// # Panics
    /// If an AEAD key is used for more than 2^64 messages.
    pub fn seal(&mut self, message: &mut Vec<u8>, plaintext: &[u8], random: &mut dyn Random) {
        let padding = self.padding(plaintext.len());
        let body = message.len();
        message.reserve(self.sealed_len(plaintext.len()));
        match &mut self.cipher {
            Cipher::Aead(key) => message.extend(key.next_iv()),
            Cipher::Cbc(_) => {
                message.resize(body + cbc::BLOCK_LEN, 0);
                random.fill(&mut message[body..]);
            }
        }
        message.extend(plaintext);
        message.resize(message.len() + padding, 0);
        message.push(u8::try_from(padding).expect("padding is shorter than a block"));
        match &self.cipher {
            Cipher::Aead(key) => key.seal(message, body),
            Cipher::Cbc(key) => key.seal(message, body),
        }
    }

    /// Checks and decrypts the body that begins at byte `body` of `message` and ends with it, and
    /// gives back the chain of payloads without padding.
    ///
    /// The integrity of the whole message is checked before anything is decrypted.
    ///
    /// # Errors
    /// [`Forged`] if the message is not what the holder of the key has made.
    pub fn open(&self, message: &[u8], body: usize) -> Result<Vec<u8>, Forged> {
        let (header, body) = message.split_at_checked(body).ok_or(Forged)?;
        let (iv, rest) = body.split_at_checked(self.encr.iv_len()).ok_or(Forged)?;
        let ciphertext_len = rest.len().checked_sub(self.icv_len()).ok_or(Forged)?;
        let (ciphertext, icv) = rest.split_at_checked(ciphertext_len).ok_or(Forged)?;
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(self.block_len()) {
            return Err(Forged);
        }
        let plaintext = match &self.cipher {
            Cipher::Aead(key) => key.open(header, iv, ciphertext, icv),
            Cipher::Cbc(key) => key.open(header, iv, ciphertext, icv),
        }?;
        without_padding(plaintext)
    }

    fn padding(&self, plaintext: usize) -> usize {
        let block = self.block_len();
        (block - (plaintext + PAD_LENGTH_LEN) % block) % block
    }

    /// What the ciphertext is a multiple of, in bytes. RFC 5282 section 3 asks for no alignment.
    fn block_len(&self) -> usize {
        match &self.cipher {
            Cipher::Aead(_) => 1,
            Cipher::Cbc(_) => cbc::BLOCK_LEN,
        }
    }

    fn icv_len(&self) -> usize {
        match &self.cipher {
            Cipher::Aead(_) => aead::ICV_LEN,
            Cipher::Cbc(key) => key.icv_len(),
        }
    }
}

/// Any padding that leaves a plaintext is right: RFC 7296 section 3.14 does not fix its bytes.
fn without_padding(mut plaintext: Vec<u8>) -> Result<Vec<u8>, Forged> {
    let padding = usize::from(plaintext.pop().ok_or(Forged)?);
    let length = plaintext.len().checked_sub(padding).ok_or(Forged)?;
    plaintext.truncate(length);
    Ok(plaintext)
}

/// Keys and algorithms do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys do not fit the negotiated algorithms")]
pub struct UnfitKeys;

/// The message was not made by the holder of the key, or was changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the integrity check failed")]
pub struct Forged;

#[cfg(test)]
mod tests;
