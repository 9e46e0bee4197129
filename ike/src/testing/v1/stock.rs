//! The clients that people have: what each offers in which order, its vendor IDs and its habits.
//!
//! First messages are byte for byte what such a client sends, apart from the cookie. What no source tells (the order of
//! attributes in Windows' quick mode, and what Windows 7 sends besides another version) is a guess.

use std::net::Ipv4Addr;

use crate::wire::IkeSpi;
use crate::wire::num::ExchangeType;
use crate::wire::v1::{Flags, Header, MessageBuilder, Payload, VendorId, vid};

use super::config::{V1ClientConfig, V1Id};
use super::offer::{Dialect, EspTransform, IsakmpTransform, isakmp_offer};

/// A stock client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    /// Windows 7, L2TP.
    Windows7,
    /// Windows 10 and 11, L2TP.
    Windows10,
    /// macOS and iOS, L2TP.
    Apple,
    /// Android 6, L2TP.
    Android6,
    /// Android 7 to 11, L2TP.
    Android7,
    /// ChromeOS, L2TP by strongSwan.
    ChromeOs,
    /// NetworkManager-l2tp with strongSwan.
    NetworkManager,
    /// strongSwan with its default proposals: more than 100 transforms.
    Strongswan,
}

const DES: u16 = 1;
const TRIPLE_DES: u16 = 5;
const AES: u16 = 7;
const MD5: u16 = 1;
const SHA1: u16 = 2;
const SHA256: u16 = 4;
const SHA384: u16 = 5;
const SHA512: u16 = 6;

/// Cipher and key length.
type Cipher = (u16, Option<u16>);

const AES128: Cipher = (AES, Some(128));
const AES192: Cipher = (AES, Some(192));
const AES256: Cipher = (AES, Some(256));
const DES3: Cipher = (TRIPLE_DES, None);

impl Stock {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Windows7,
        Self::Windows10,
        Self::Apple,
        Self::Android6,
        Self::Android7,
        Self::ChromeOs,
        Self::NetworkManager,
        Self::Strongswan,
    ];

    /// The first message of main mode.
    ///
    /// # Panics
    /// Never: every offer fits a message.
    #[must_use]
    pub fn first_message(self, cookie: IkeSpi) -> Vec<u8> {
        let header = Header {
            initiator_cookie: cookie,
            responder_cookie: None,
            next_payload: None,
            minor_version: 0,
            exchange: ExchangeType::IDENTITY_PROTECTION,
            flags: Flags::NONE,
            message_id: 0,
        };
        let mut builder = MessageBuilder::new(&header);
        let offer = isakmp_offer(&self.isakmp(), self.dialect(), self.isakmp_life());
        builder.push(&Payload::SecurityAssociation(offer));
        for id in self.vendor_ids() {
            builder.push(&Payload::VendorId(VendorId(&id)));
        }
        builder.finish().expect("fits a message")
    }

    /// A whole client of this kind, for L2TP with a pre-shared key.
    #[must_use]
    pub fn config(self, psk: &[u8], address: Ipv4Addr, server: Ipv4Addr) -> V1ClientConfig {
        const UDP: u8 = 17;
        const L2TP: u16 = 1701;
        let mut config = V1ClientConfig::l2tp(psk, address, server);
        config.dialect = self.dialect();
        config.isakmp = self.isakmp();
        config.isakmp_life = self.isakmp_life();
        config.esp = self.esp();
        config.vendor_ids = self.vendor_ids();
        match self {
            Self::Windows7 | Self::Windows10 => {
                config.esp_kilobytes = Some(250_000);
                config.counts_message_ids = true;
                config.nonce_len = 48;
            }
            Self::Apple => {
                config.identity = V1Id::ip4(address, UDP, 500);
                config.local_id = V1Id::ip4(address, UDP, 56_322);
                config.initial_contact = true;
                config.over_padding = 20;
                config.flags_fragments = true;
            }
            Self::Android6 | Self::Android7 => {
                config.identity = V1Id::ip4(address, UDP, 500);
                config.local_id = V1Id::ip4(address, UDP, 0);
                config.esp_life = 28_800;
                config.initial_contact = true;
                config.over_padding = 20;
                config.flags_fragments = true;
            }
            Self::ChromeOs | Self::NetworkManager | Self::Strongswan => {
                config.local_id = V1Id::ip4(address, UDP, L2TP);
                config.nonce_len = 32;
            }
        }
        config
    }

    /// How it writes proposals.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Windows7 | Self::Windows10 => Dialect::Windows,
            Self::Apple | Self::Android6 | Self::Android7 => Dialect::Racoon,
            Self::ChromeOs | Self::NetworkManager | Self::Strongswan => Dialect::Strongswan,
        }
    }

    const fn isakmp_life(self) -> u32 {
        match self {
            Self::Apple => 3600,
            Self::ChromeOs | Self::NetworkManager | Self::Strongswan => 11_880,
            Self::Windows7 | Self::Windows10 | Self::Android6 | Self::Android7 => 28_800,
        }
    }

    /// Transforms of phase 1.
    #[must_use]
    pub fn isakmp(self) -> Vec<IsakmpTransform> {
        let list = |list: &[(Cipher, u16, u16)]| {
            list.iter().map(|((encr, bits), hash, group)| IsakmpTransform::psk(*encr, *bits, *hash, *group)).collect()
        };
        match self {
            Self::Windows7 | Self::Windows10 => {
                list(&[(AES256, SHA1, 20), (AES128, SHA1, 19), (AES256, SHA1, 14), (DES3, SHA1, 14), (DES3, SHA1, 2)])
            }
            Self::Apple => {
                let strong = [SHA256, SHA1, MD5, SHA512].map(|hash| (AES256, hash, 14));
                let middle = [SHA256, SHA1, MD5].map(|hash| (AES256, hash, 5));
                let weak = [SHA256, SHA1, MD5].map(|hash| (AES256, hash, 2));
                let weakest = [(AES128, SHA1, 2), (AES128, MD5, 2), (DES3, SHA1, 2), (DES3, MD5, 2)];
                list(&[&strong[..], &middle, &weak, &weakest].concat())
            }
            Self::Android6 => {
                let ciphers = [AES256, AES128, DES3, (DES, None)];
                let all = ciphers.into_iter().flat_map(|cipher| [SHA256, SHA1, MD5].map(|hash| (cipher, hash, 2)));
                list(&all.collect::<Vec<_>>())
            }
            Self::Android7 => {
                let of = |cipher, hashes: &[u16]| hashes.iter().map(|hash| (cipher, *hash, 2)).collect::<Vec<_>>();
                list(
                    &[
                        of(AES256, &[SHA384, SHA256, SHA512, SHA1, MD5]),
                        of(AES128, &[SHA512, SHA384, SHA256, SHA1, MD5]),
                        of(DES3, &[SHA256, SHA1, MD5]),
                        of((DES, None), &[SHA256, SHA1, MD5]),
                    ]
                    .concat(),
                )
            }
            Self::ChromeOs => {
                let own = list(&[(AES128, SHA256, 15), (AES128, SHA1, 14), (DES3, SHA1, 5), (DES3, SHA1, 2)]);
                [own, Self::Strongswan.isakmp()].concat()
            }
            Self::NetworkManager => list(&[
                (AES256, SHA256, 14),
                (AES256, SHA256, 5),
                (AES256, SHA256, 2),
                (AES256, SHA1, 14),
                (AES256, SHA1, 5),
                (AES256, SHA1, 2),
                (AES256, SHA1, 20),
                (AES128, SHA1, 2),
                (AES128, SHA1, 19),
                (DES3, SHA1, 14),
                (DES3, SHA1, 2),
            ]),
            Self::Strongswan => {
                let mut all = Vec::new();
                for cipher in [AES128, AES192, AES256, DES3] {
                    for hash in [SHA256, SHA384, SHA512, SHA1] {
                        all.extend([19, 20, 21, 15, 16, 18, 14].map(|group| (cipher, hash, group)));
                    }
                }
                list(&all)
            }
        }
    }

    /// Transforms of phase 2.
    #[must_use]
    pub fn esp(self) -> Vec<EspTransform> {
        const AES256: (u8, Option<u16>) = (12, Some(256));
        const AES128: (u8, Option<u16>) = (12, Some(128));
        const DES3: (u8, Option<u16>) = (3, None);
        const DES: (u8, Option<u16>) = (2, None);
        let product = |ciphers: &[(u8, Option<u16>)], auths: &[u16]| {
            let with = |(id, bits): &(u8, Option<u16>)| {
                let (id, bits) = (*id, *bits);
                auths.iter().map(move |auth| EspTransform { id, bits, auth: Some(*auth) }).collect::<Vec<_>>()
            };
            ciphers.iter().flat_map(with).collect::<Vec<_>>()
        };
        match self {
            Self::Windows7 | Self::Windows10 | Self::NetworkManager => product(&[AES256, AES128, DES3], &[2]),
            Self::Apple => product(&[AES256, AES128, DES3], &[5, 2, 1]),
            Self::Android6 => product(&[AES256, AES128, DES3, DES], &[5, 2, 1]),
            Self::Android7 => product(&[AES256, AES128, DES3, DES], &[7, 6, 2, 5, 1]),
            Self::ChromeOs | Self::Strongswan => {
                let gcm = EspTransform { id: 20, bits: Some(128), auth: None };
                [vec![gcm], product(&[AES128], &[5, 2]), product(&[DES3], &[2, 1])].concat()
            }
        }
    }

    /// Vendor IDs of the first message.
    #[must_use]
    pub fn vendor_ids(self) -> Vec<Vec<u8>> {
        let versioned = |id: &[u8], version: u32| [id, &version.to_be_bytes()].concat();
        let fragmentation = || versioned(vid::FRAGMENTATION, 0x8000_0000);
        let plain = |ids: &[&[u8]]| ids.iter().map(|id| id.to_vec()).collect::<Vec<_>>();
        match self {
            Self::Windows7 | Self::Windows10 => {
                let version = if self == Self::Windows7 { 8 } else { 9 };
                let own = vec![versioned(vid::MS_KEY_MODS, 1), versioned(vid::MS_NT5, version)];
                let others = plain(&[
                    vid::NAT_T_RFC,
                    vid::NAT_T_02_LF,
                    vid::FRAGMENTATION,
                    vid::MS_NEGOTIATION_DISCOVERY,
                    vid::MS_INITIAL_CONTACT,
                    vid::MS_CGA,
                ]);
                [own, others].concat()
            }
            Self::Apple => {
                let nat_t = plain(&[
                    vid::NAT_T_RFC,
                    vid::NAT_T_APPLE,
                    vid::NAT_T_08,
                    vid::NAT_T_07,
                    vid::NAT_T_06,
                    vid::NAT_T_05,
                    vid::NAT_T_04,
                    vid::NAT_T_03,
                    vid::NAT_T_02,
                    vid::NAT_T_02_LF,
                ]);
                [nat_t, vec![fragmentation(), vid::DPD.to_vec()]].concat()
            }
            Self::Android6 | Self::Android7 => {
                let nat_t = plain(&[vid::NAT_T_RFC, vid::NAT_T_02, vid::NAT_T_02_LF, vid::NAT_T_00]);
                [nat_t, vec![fragmentation(), vid::DPD.to_vec()]].concat()
            }
            Self::ChromeOs | Self::NetworkManager | Self::Strongswan => {
                let front = plain(&[vid::XAUTH, vid::DPD]);
                [front, vec![fragmentation()], plain(&[vid::NAT_T_RFC, vid::NAT_T_02_LF])].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::HEADER_LEN;
    use crate::wire::v1::{Payloads, SecurityAssociation};

    /// Sizes of real messages: Windows as recorded, the others counted from the fields that their sources write.
    #[test]
    fn first_messages_have_the_sizes_of_real_ones() {
        let len = |stock: Stock| stock.first_message(IkeSpi([1; 8])).len();
        assert_eq!((len(Stock::Windows7), len(Stock::Windows10)), (408, 408));
        assert_eq!((len(Stock::Apple), len(Stock::Android7)), (788, 724));
    }

    fn offer_of(stock: Stock) -> (usize, usize) {
        let message = stock.first_message(IkeSpi([1; 8]));
        let header = Header::parse(&message).expect("valid");
        let payloads = Payloads::parse(header.next_payload, &message[HEADER_LEN..]).expect("valid");
        let sa = SecurityAssociation::parse(payloads.entries()[0].body).expect("valid");
        (sa.proposals[0].transforms.len(), payloads.vendor_ids().count())
    }

    #[test]
    fn first_messages_have_the_transforms_and_vendor_ids_that_are_known() {
        assert_eq!(offer_of(Stock::Windows10), (5, 8));
        assert_eq!(offer_of(Stock::Apple), (14, 12));
        assert_eq!(offer_of(Stock::Android6), (12, 6));
        assert_eq!(offer_of(Stock::Android7), (16, 6));
        assert_eq!(offer_of(Stock::NetworkManager), (11, 5));
        assert_eq!(offer_of(Stock::Strongswan).0, 112);
        assert_eq!(offer_of(Stock::ChromeOs).0, 116);
    }

    /// The first transform of Windows, which has its lifetime in four bytes.
    #[test]
    fn writes_attributes_in_the_order_of_each_client() {
        let first = |stock: Stock| {
            let offer = isakmp_offer(&stock.isakmp(), stock.dialect(), stock.isakmp_life());
            offer.proposals[0].transforms[0].attributes.bytes().to_vec()
        };
        let windows = [
            [0x80, 1, 0, 7],
            [0x80, 14, 1, 0],
            [0x80, 2, 0, 2],
            [0x80, 4, 0, 20],
            [0x80, 3, 0, 1],
            [0x80, 11, 0, 1],
            [0, 12, 0, 4],
            [0, 0, 0x70, 0x80],
        ];
        assert_eq!(first(Stock::Windows10), windows.concat());
        let apple = [
            [0x80, 11, 0, 1],
            [0x80, 12, 0x0e, 0x10],
            [0x80, 1, 0, 7],
            [0x80, 14, 1, 0],
            [0x80, 3, 0, 1],
            [0x80, 2, 0, 4],
            [0x80, 4, 0, 14],
        ];
        assert_eq!(first(Stock::Apple), apple.concat());
    }
}
