//! The authentication protocols and their names on the wire: option 3 of LCP (RFC 1661 section 6.2).

use crate::frame::Protocol;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// MS-CHAP version 2, RFC 2759: what every stock client has.
    MsChapV2,
    /// EAP with the MSCHAPv2 method, RFC 3748.
    Eap,
    /// CHAP with MD5, RFC 1994. The gateway must know the clear password.
    ChapMd5,
    /// PAP, RFC 1334: the password itself.
    Pap,
}

impl Method {
    /// All of them, strongest first.
    pub const ALL: [Self; 4] = [Self::MsChapV2, Self::Eap, Self::ChapMd5, Self::Pap];

    /// The PPP protocol number of its packets.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::MsChapV2 | Self::ChapMd5 => Protocol::CHAP,
            Self::Eap => Protocol::EAP,
            Self::Pap => Protocol::PAP,
        }
    }

    /// The value of LCP's Authentication-Protocol option: the protocol, and for CHAP the algorithm.
    #[must_use]
    pub const fn option(self) -> &'static [u8] {
        match self {
            Self::MsChapV2 => &[0xc2, 0x23, 0x81],
            Self::Eap => &[0xc2, 0x27],
            Self::ChapMd5 => &[0xc2, 0x23, 0x05],
            Self::Pap => &[0xc0, 0x23],
        }
    }

    /// The method that such an option value names; `None` for others, such as MS-CHAP version 1.
    #[must_use]
    pub fn of_option(value: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.option() == value)
    }

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MsChapV2 => "MS-CHAPv2",
            Self::Eap => "EAP",
            Self::ChapMd5 => "CHAP-MD5",
            Self::Pap => "PAP",
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_their_method_and_nothing_else() {
        for method in Method::ALL {
            assert_eq!(Method::of_option(method.option()), Some(method));
            assert_eq!(method.option()[..2], method.protocol().0.to_be_bytes());
        }
        for other in
            [&[][..], &[0xc2, 0x23], &[0xc2, 0x23, 0x80], &[0xc2, 0x23, 0x81, 0], &[0xc0, 0x23, 0], &[0xc0, 0x25]]
        {
            assert_eq!(Method::of_option(other), None, "{other:02x?}");
        }
    }
}
