//! From the octets of a control message to its attributes, and to the first thing that forbids to act upon it.

use crate::avp::{Avp, IETF, RawAvp};
use crate::error::{Malformed, RefusalReason};
use crate::hidden::unhide;
use crate::secret::Secret;

use super::name_of;

/// The attributes of a message, in the order of the message, and its first fault.
#[derive(Debug)]
pub struct Attributes {
    kind: u16,
    avps: Vec<Avp>,
    fault: Option<RefusalReason>,
}

impl Attributes {
    /// Reads what follows the header of a control message. Hidden attributes are read with the secret.
    ///
    /// # Errors
    /// The octets are no sequence of AVPs, or the first is not a Message Type.
    pub fn read(payload: &[u8], secret: Option<&Secret>) -> Result<Self, Malformed> {
        let (first, mut rest) = RawAvp::parse(payload)?;
        let (kind, kind_mandatory) = message_type(&first).ok_or(Malformed("the first AVP is not a Message Type"))?;
        let mut reader = Reader { kind, secret, random_vector: None, seen: 0, avps: Vec::new(), fault: None };
        if kind_mandatory && name_of(kind).is_none() {
            reader.fault = Some(RefusalReason::UnknownMessage { kind });
        }
        while !rest.is_empty() {
            let (avp, after) = RawAvp::parse(rest)?;
            if let Err(fault) = reader.take(&avp)
                && avp.mandatory
            {
                reader.fault.get_or_insert(fault);
            }
            rest = after;
        }
        Ok(Self { kind, avps: reader.avps, fault: reader.fault })
    }

    /// Message Type.
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// The RFC's name of the message.
    #[must_use]
    pub fn name(&self) -> &'static str {
        printed_name(self.kind)
    }

    /// The first fault that forbids to act upon the message.
    #[must_use]
    pub fn fault(&self) -> Option<RefusalReason> {
        self.fault
    }

    /// The tunnel id of the sender, which is needed to answer even what cannot be understood.
    #[must_use]
    pub fn assigned_tunnel_id(&self) -> Option<u16> {
        self.take(|avp| if let Avp::AssignedTunnelId(id) = avp { Some(*id) } else { None })
    }

    /// The session id of the sender, likewise.
    #[must_use]
    pub fn assigned_session_id(&self) -> Option<u16> {
        self.take(|avp| if let Avp::AssignedSessionId(id) = avp { Some(*id) } else { None })
    }

    /// The Host Name AVP.
    #[must_use]
    pub fn host_name(&self) -> Option<&[u8]> {
        self.avps.iter().find_map(|avp| if let Avp::HostName(name) = avp { Some(name.as_slice()) } else { None })
    }

    /// The value of the attribute that `pick` recognizes.
    pub(super) fn take<T>(&self, pick: impl FnMut(&Avp) -> Option<T>) -> Option<T> {
        self.avps.iter().find_map(pick)
    }
}

/// Type and M bit of a Message Type AVP.
fn message_type(avp: &RawAvp<'_>) -> Option<(u16, bool)> {
    let plain = avp.vendor == IETF && !avp.hidden && !avp.reserved;
    match Avp::parse(avp.attribute, avp.value) {
        Some(Ok(Avp::MessageType(kind))) if plain => Some((kind, avp.mandatory)),
        _ => None,
    }
}

fn printed_name(kind: u16) -> &'static str {
    name_of(kind).unwrap_or("message of unknown type")
}

struct Reader<'a> {
    kind: u16,
    secret: Option<&'a Secret>,
    random_vector: Option<Vec<u8>>,
    /// One bit for each attribute that came.
    seen: u64,
    avps: Vec<Avp>,
    fault: Option<RefusalReason>,
}

impl Reader<'_> {
    fn take(&mut self, raw: &RawAvp<'_>) -> Result<(), RefusalReason> {
        let message = printed_name(self.kind);
        let unknown = RefusalReason::UnknownMandatory { message, vendor: raw.vendor, attribute: raw.attribute };
        if raw.vendor != IETF || raw.reserved {
            return Err(unknown);
        }
        let value = self.reveal(raw)?;
        let value = value.as_deref().unwrap_or(raw.value);
        let parsed = Avp::parse(raw.attribute, value).ok_or(unknown)?;
        let avp = parsed.map_err(|Malformed(what)| RefusalReason::Invalid { message, what })?;
        if let Avp::RandomVector(vector) = avp {
            self.random_vector = Some(vector);
            return Ok(());
        }
        let bit = 1_u64.checked_shl(u32::from(raw.attribute)).unwrap_or(0);
        if self.seen & bit != 0 || raw.attribute == 0 {
            return Err(RefusalReason::Invalid { message, what: "an attribute comes twice" });
        }
        self.seen |= bit;
        self.avps.push(avp);
        Ok(())
    }

    /// The value of a hidden attribute; `None` if it is not hidden.
    fn reveal(&self, raw: &RawAvp<'_>) -> Result<Option<Vec<u8>>, RefusalReason> {
        if !raw.hidden {
            return Ok(None);
        }
        let message = printed_name(self.kind);
        let secret = self.secret.ok_or(RefusalReason::Hidden { message })?;
        let missing = RefusalReason::Invalid { message, what: "hidden attribute without Random Vector" };
        let vector = self.random_vector.as_deref().ok_or(missing)?;
        let revealed = unhide(raw.attribute, raw.value, secret, vector);
        revealed
            .map(Some)
            .map_err(|_| RefusalReason::Invalid { message, what: "hidden attribute, or the secrets differ" })
    }
}
