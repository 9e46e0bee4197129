//! Why bytes are not a message: a fixed list, so that each reason can be a counter.

/// A reason why bytes were refused. It never holds bytes of the peer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// Fewer than the 28 bytes of an IKE header.
    #[error("IKE header too short")]
    HeaderTooShort,
    /// The Length field differs from the number of bytes received.
    #[error("IKE header length differs from the datagram's")]
    MessageLength,
    /// The initiator's SPI is zero.
    #[error("initiator SPI is zero")]
    InitiatorSpi,
    /// Both SPIs are the same.
    #[error("initiator and responder SPI are equal")]
    EqualSpis,
    /// The major version is neither 1 nor 2.
    #[error("unsupported major version")]
    MajorVersion,
    /// The exchange type does not exist in this version.
    #[error("unknown exchange type")]
    ExchangeType,
    /// More bytes than [`limits::MAX_MESSAGE`](super::limits::MAX_MESSAGE).
    #[error("message too long")]
    MessageTooLong,
    /// A generic payload header is cut off.
    #[error("payload header cut off")]
    PayloadHeader,
    /// A payload is shorter than its own header or longer than what is left.
    #[error("payload length out of range")]
    PayloadLength,
    /// More than [`limits::MAX_PAYLOADS`](super::limits::MAX_PAYLOADS).
    #[error("too many payloads")]
    TooManyPayloads,
    /// Bytes follow the last payload.
    #[error("bytes after the last payload")]
    TrailingBytes,
    /// The SA payload or one of its proposals.
    #[error("invalid SA payload")]
    SecurityAssociation,
    /// The SPI of a proposal has a size that does not fit its protocol, or is zero.
    #[error("SPI of a proposal does not fit its protocol")]
    ProposalSpi,
    /// Proposal numbers do not start at one or above, or do not increase.
    #[error("proposal numbers out of order")]
    ProposalNumber,
    /// More than [`limits::MAX_PROPOSALS`](super::limits::MAX_PROPOSALS).
    #[error("too many proposals")]
    TooManyProposals,
    /// A transform or its attributes.
    #[error("invalid transform")]
    Transform,
    /// More than [`limits::MAX_TRANSFORMS`](super::limits::MAX_TRANSFORMS) or too many attributes of one transform.
    #[error("too many transforms or transform attributes")]
    TooManyTransforms,
    /// The KE payload.
    #[error("invalid KE payload")]
    KeyExchange,
    /// An identification payload.
    #[error("invalid identification payload")]
    Identification,
    /// A certificate payload, or a certificate that is too long.
    #[error("invalid certificate payload")]
    Certificate,
    /// More than [`limits::MAX_CERTIFICATES`](super::limits::MAX_CERTIFICATES).
    #[error("too many certificates")]
    TooManyCertificates,
    /// A certificate request payload.
    #[error("invalid certificate request payload")]
    CertificateRequest,
    /// The AUTH payload.
    #[error("invalid AUTH payload")]
    Authentication,
    /// The nonce payload: fewer than 16 or more than 256 bytes.
    #[error("invalid nonce length")]
    Nonce,
    /// A notify payload.
    #[error("invalid notify payload")]
    Notify,
    /// A delete payload.
    #[error("invalid delete payload")]
    Delete,
    /// A traffic selector payload.
    #[error("invalid traffic selector payload")]
    TrafficSelector,
    /// More than [`limits::MAX_TRAFFIC_SELECTORS`](super::limits::MAX_TRAFFIC_SELECTORS).
    #[error("too many traffic selectors")]
    TooManyTrafficSelectors,
    /// The configuration payload or one of its attributes.
    #[error("invalid configuration payload")]
    Configuration,
    /// More than [`limits::MAX_CONFIGURATION_ATTRIBUTES`](super::limits::MAX_CONFIGURATION_ATTRIBUTES).
    #[error("too many configuration attributes")]
    TooManyConfigurationAttributes,
    /// The EAP payload is shorter than an EAP header.
    #[error("invalid EAP payload")]
    Eap,
    /// The encrypted fragment payload: number or total out of range.
    #[error("invalid encrypted fragment payload")]
    EncryptedFragment,
    /// The data attributes of a transform or of a Mode Config message.
    #[error("invalid data attribute")]
    Attribute,
    /// More than [`limits::MAX_V1_ATTRIBUTES`](super::limits::MAX_V1_ATTRIBUTES).
    #[error("too many data attributes")]
    TooManyAttributes,
    /// The domain of interpretation is not IPsec, or the situation is not SIT_IDENTITY_ONLY.
    #[error("unsupported domain of interpretation or situation")]
    Doi,
    /// The HASH payload is empty.
    #[error("empty HASH payload")]
    Hash,
    /// The SIG payload is empty.
    #[error("empty SIG payload")]
    Signature,
    /// The NAT-D payload is empty or longer than any hash.
    #[error("invalid NAT-D payload")]
    NatDetection,
    /// The NAT-OA payload.
    #[error("invalid NAT-OA payload")]
    NatOriginalAddress,
    /// The vendors' fragment payload: no data, or the number is out of range.
    #[error("invalid fragment payload")]
    Fragment,
}
