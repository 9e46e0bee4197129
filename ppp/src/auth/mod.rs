//! Who is at the other end: the authentication protocols of PPP, server side, as bytes in and bytes out.
//!
//! Nothing here has a socket, a clock or a list of users.

use zeroize::Zeroizing;

/// A way for the client to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Name and password in the clear, RFC 1334.
    Pap,
    /// CHAP with MD5, RFC 1994.
    ChapMd5,
    /// MS-CHAPv2, RFC 2759.
    MsChapV2,
    /// EAP, RFC 3748; the method inside is MSCHAPv2.
    Eap,
}

/// What a client gave to prove who it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// From PAP.
    Pap {
        /// The name as given.
        user: String,
    },
}

/// The answer to [`Credentials`].
#[non_exhaustive]
pub enum Verdict {
    /// They are right.
    Accepted {
        /// The account.
        user: String,
        /// MS-CHAPv2: the authenticator response, RFC 2759 section 8.7.
        authenticator_response: Option<Zeroizing<[u8; 20]>>,
    },
    /// They are not, or the account may not come in.
    Rejected,
}
