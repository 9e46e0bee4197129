//! The option negotiation automaton of RFC 1661 section 4.1, as data.
//!
//! [`transition`] looks up what to do and which state follows. Counters, timers and packets belong to `control`.
//!
//! The RFC's footnotes: `p` (passive) and `r` (restart) are options that we do not use, so an Open in Stopped and later
//! changes nothing; `x` (crossed connection) needs no other action here.

use Action::{Irc, Sca, Scj, Scn, Scr, Ser, Sta, Str, Tld, Tlf, Tls, Tlu, Zrc};
use State::{AckReceived, AckSent, Closed, Closing, Initial, Opened, ReqSent, Starting, Stopped, Stopping};

/// Where a control protocol is, RFC 1661 section 4.2. The order is the RFC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// 0: the lower layer is down, no Open has occurred.
    Initial,
    /// 1: Open, but the lower layer is down.
    Starting,
    /// 2: the lower layer is up, no Open has occurred.
    Closed,
    /// 3: Open, but negotiation has ended or failed.
    Stopped,
    /// 4: a Terminate-Request was sent after Close.
    Closing,
    /// 5: as Closing, but Open: the peer or an error ended it.
    Stopping,
    /// 6: a Configure-Request was sent, neither side has acknowledged.
    ReqSent,
    /// 7: the peer has acknowledged ours.
    AckReceived,
    /// 8: we have acknowledged the peer's.
    AckSent,
    /// 9: both have.
    Opened,
}

/// What happens to a control protocol, RFC 1661 section 4.3. The order is that of the RFC's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// The lower layer can carry packets.
    Up,
    /// The lower layer cannot any more.
    Down,
    /// The link may be opened.
    Open,
    /// The link must not be open.
    Close,
    /// TO+: timeout with counter above zero.
    TimeoutRetry,
    /// TO-: timeout with counter expired.
    TimeoutExpired,
    /// RCR+: acceptable Configure-Request.
    RequestGood,
    /// RCR-: Configure-Request to be naked or rejected.
    RequestBad,
    /// RCA: Configure-Ack.
    Ack,
    /// RCN: Configure-Nak or -Reject.
    NakOrReject,
    /// RTR: Terminate-Request.
    TerminateRequest,
    /// RTA: Terminate-Ack.
    TerminateAck,
    /// RUC: unknown code.
    UnknownCode,
    /// RXJ+: a Code-Reject or Protocol-Reject that can be lived with.
    RejectPermitted,
    /// RXJ-: a Code-Reject or Protocol-Reject that cannot.
    RejectFatal,
    /// RXR: Echo-Request, Echo-Reply or Discard-Request.
    Echo,
}

/// What has to be done, RFC 1661 section 4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// This-Layer-Up.
    Tlu,
    /// This-Layer-Down.
    Tld,
    /// This-Layer-Started.
    Tls,
    /// This-Layer-Finished.
    Tlf,
    /// Initialize-Restart-Count.
    Irc,
    /// Zero-Restart-Count.
    Zrc,
    /// Send-Configure-Request.
    Scr,
    /// Send-Configure-Ack.
    Sca,
    /// Send-Configure-Nak or -Reject.
    Scn,
    /// Send-Terminate-Request.
    Str,
    /// Send-Terminate-Ack.
    Sta,
    /// Send-Code-Reject.
    Scj,
    /// Send-Echo-Reply.
    Ser,
}

/// Actions in order, and the state that follows.
pub type Transition = (&'static [Action], State);

/// What `event` leads to in `state`; `None` if it cannot occur there (a dash in the RFC's table).
#[must_use]
pub fn transition(state: State, event: Event) -> Option<Transition> {
    TABLE[event as usize][state as usize]
}

/// Nothing to do but the state.
const fn to(state: State) -> Option<Transition> {
    Some((&[], state))
}

const fn act(actions: &'static [Action], state: State) -> Option<Transition> {
    Some((actions, state))
}

/// A row for each event, a column for each state.
#[rustfmt::skip]
const TABLE: [[Option<Transition>; 10]; 16] = [
    // Up
    [to(Closed), act(&[Irc, Scr], ReqSent), None, None, None, None, None, None, None, None],
    // Down
    [None, None, to(Initial), act(&[Tls], Starting), to(Initial), to(Starting),
     to(Starting), to(Starting), to(Starting), act(&[Tld], Starting)],
    // Open
    [act(&[Tls], Starting), to(Starting), act(&[Irc, Scr], ReqSent), to(Stopped), to(Stopping), to(Stopping),
     to(ReqSent), to(AckReceived), to(AckSent), to(Opened)],
    // Close
    [to(Initial), act(&[Tlf], Initial), to(Closed), to(Closed), to(Closing), to(Closing),
     act(&[Irc, Str], Closing), act(&[Irc, Str], Closing), act(&[Irc, Str], Closing), act(&[Tld, Irc, Str], Closing)],
    // TO+
    [None, None, None, None, act(&[Str], Closing), act(&[Str], Stopping),
     act(&[Scr], ReqSent), act(&[Scr], ReqSent), act(&[Scr], AckSent), None],
    // TO-
    [None, None, None, None, act(&[Tlf], Closed), act(&[Tlf], Stopped),
     act(&[Tlf], Stopped), act(&[Tlf], Stopped), act(&[Tlf], Stopped), None],
    // RCR+
    [None, None, act(&[Sta], Closed), act(&[Irc, Scr, Sca], AckSent), to(Closing), to(Stopping),
     act(&[Sca], AckSent), act(&[Sca, Tlu], Opened), act(&[Sca], AckSent), act(&[Tld, Scr, Sca], AckSent)],
    // RCR-
    [None, None, act(&[Sta], Closed), act(&[Irc, Scr, Scn], ReqSent), to(Closing), to(Stopping),
     act(&[Scn], ReqSent), act(&[Scn], AckReceived), act(&[Scn], ReqSent), act(&[Tld, Scr, Scn], ReqSent)],
    // RCA
    [None, None, act(&[Sta], Closed), act(&[Sta], Stopped), to(Closing), to(Stopping),
     act(&[Irc], AckReceived), act(&[Scr], ReqSent), act(&[Irc, Tlu], Opened), act(&[Tld, Scr], ReqSent)],
    // RCN
    [None, None, act(&[Sta], Closed), act(&[Sta], Stopped), to(Closing), to(Stopping),
     act(&[Irc, Scr], ReqSent), act(&[Scr], ReqSent), act(&[Irc, Scr], AckSent), act(&[Tld, Scr], ReqSent)],
    // RTR
    [None, None, act(&[Sta], Closed), act(&[Sta], Stopped), act(&[Sta], Closing), act(&[Sta], Stopping),
     act(&[Sta], ReqSent), act(&[Sta], ReqSent), act(&[Sta], ReqSent), act(&[Tld, Zrc, Sta], Stopping)],
    // RTA
    [None, None, to(Closed), to(Stopped), act(&[Tlf], Closed), act(&[Tlf], Stopped),
     to(ReqSent), to(ReqSent), to(AckSent), act(&[Tld, Scr], ReqSent)],
    // RUC
    [None, None, act(&[Scj], Closed), act(&[Scj], Stopped), act(&[Scj], Closing), act(&[Scj], Stopping),
     act(&[Scj], ReqSent), act(&[Scj], AckReceived), act(&[Scj], AckSent), act(&[Scj], Opened)],
    // RXJ+
    [None, None, to(Closed), to(Stopped), to(Closing), to(Stopping),
     to(ReqSent), to(ReqSent), to(AckSent), to(Opened)],
    // RXJ-
    [None, None, act(&[Tlf], Closed), act(&[Tlf], Stopped), act(&[Tlf], Closed), act(&[Tlf], Stopped),
     act(&[Tlf], Stopped), act(&[Tlf], Stopped), act(&[Tlf], Stopped), act(&[Tld, Irc, Str], Stopping)],
    // RXR
    [None, None, to(Closed), to(Stopped), to(Closing), to(Stopping),
     to(ReqSent), to(AckReceived), to(AckSent), act(&[Ser], Opened)],
];

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 10] =
        [Initial, Starting, Closed, Stopped, Closing, Stopping, ReqSent, AckReceived, AckSent, Opened];

    const EVENTS: [(Event, &str); 16] = [
        (Event::Up, "Up"),
        (Event::Down, "Down"),
        (Event::Open, "Open"),
        (Event::Close, "Close"),
        (Event::TimeoutRetry, "TO+"),
        (Event::TimeoutExpired, "TO-"),
        (Event::RequestGood, "RCR+"),
        (Event::RequestBad, "RCR-"),
        (Event::Ack, "RCA"),
        (Event::NakOrReject, "RCN"),
        (Event::TerminateRequest, "RTR"),
        (Event::TerminateAck, "RTA"),
        (Event::UnknownCode, "RUC"),
        (Event::RejectPermitted, "RXJ+"),
        (Event::RejectFatal, "RXJ-"),
        (Event::Echo, "RXR"),
    ];

    /// RFC 1661 section 4.1 without its footnotes.
    #[rustfmt::skip]
    const PRINTED: &str = "\
Event|             0             1             2             3             4             5             6             7             8             9
   Up|             2     irc,scr/6             -             -             -             -             -             -             -             -
 Down|             -             -             0         tls/1             0             1             1             1             1         tld/1
 Open|         tls/1             1     irc,scr/6             3             5             5             6             7             8             9
Close|             0         tlf/0             2             2             4             4     irc,str/4     irc,str/4     irc,str/4 tld,irc,str/4
  TO+|             -             -             -             -         str/4         str/5         scr/6         scr/6         scr/8             -
  TO-|             -             -             -             -         tlf/2         tlf/3         tlf/3         tlf/3         tlf/3             -
 RCR+|             -             -         sta/2 irc,scr,sca/8             4             5         sca/8     sca,tlu/9         sca/8 tld,scr,sca/8
 RCR-|             -             -         sta/2 irc,scr,scn/6             4             5         scn/6         scn/7         scn/6 tld,scr,scn/6
  RCA|             -             -         sta/2         sta/3             4             5         irc/7         scr/6     irc,tlu/9     tld,scr/6
  RCN|             -             -         sta/2         sta/3             4             5     irc,scr/6         scr/6     irc,scr/8     tld,scr/6
  RTR|             -             -         sta/2         sta/3         sta/4         sta/5         sta/6         sta/6         sta/6 tld,zrc,sta/5
  RTA|             -             -             2             3         tlf/2         tlf/3             6             6             8     tld,scr/6
  RUC|             -             -         scj/2         scj/3         scj/4         scj/5         scj/6         scj/7         scj/8         scj/9
 RXJ+|             -             -             2             3             4             5             6             6             8             9
 RXJ-|             -             -         tlf/2         tlf/3         tlf/2         tlf/3         tlf/3         tlf/3         tlf/3 tld,irc,str/5
  RXR|             -             -             2             3             4             5             6             7             8         ser/9
";

    fn print() -> String {
        let mut out = "Event|".to_owned();
        for column in 0..STATES.len() {
            out += &format!(" {column:>13}");
        }
        for (event, name) in EVENTS {
            out += &format!("\n{name:>5}|");
            for state in STATES {
                out += &format!(" {:>13}", cell(state, event));
            }
        }
        out + "\n"
    }

    fn cell(state: State, event: Event) -> String {
        let Some((actions, next)) = transition(state, event) else { return "-".to_owned() };
        let next = STATES.iter().position(|s| *s == next).expect("all states are listed");
        let names: Vec<String> = actions.iter().map(|action| format!("{action:?}").to_lowercase()).collect();
        if names.is_empty() { next.to_string() } else { format!("{}/{next}", names.join(",")) }
    }

    #[test]
    fn prints_the_table_of_rfc_1661() {
        assert_eq!(print(), PRINTED, "\n{}", print());
    }

    #[test]
    fn a_layer_that_was_up_is_told_before_it_leaves_opened() {
        for (event, name) in EVENTS {
            let Some((actions, next)) = transition(Opened, event) else { continue };
            assert_eq!(actions.first() == Some(&Tld), next != Opened, "{name}");
        }
        for state in STATES.into_iter().filter(|state| *state != Opened) {
            for (event, name) in EVENTS {
                let Some((actions, next)) = transition(state, event) else { continue };
                assert_eq!(actions.contains(&Tlu), next == Opened, "{name} in {state:?}");
                assert!(!actions.contains(&Tld), "{name} in {state:?}");
            }
        }
    }
}
