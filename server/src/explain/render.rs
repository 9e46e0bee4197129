//! Entries as text for people.

use std::fmt::Write;

use jiff::{Timestamp, tz::TimeZone};

use super::Entry;

/// `entries` as blocks of text; times in `zone`, with their date unless it is that of `now`.
#[must_use]
pub fn render(entries: &[Entry], now: Timestamp, zone: &TimeZone) -> String {
    entries.iter().map(|entry| block(entry, now, zone)).collect::<Vec<_>>().join("\n")
}

/// A point in time in `zone`, with its date unless it is that of `now`.
#[must_use]
pub fn moment(when: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let when = when.to_zoned(zone.clone());
    let today = when.date() == now.to_zoned(zone.clone()).date();
    when.strftime(if today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
}

fn block(entry: &Entry, now: Timestamp, zone: &TimeZone) -> String {
    let record = &entry.record;
    let when = moment(record.when, now, zone);
    let user = record.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
    let times = if entry.times > 1 { format!(" ({} times)", entry.times) } else { String::new() };
    let direction = if record.called { "to" } else { "from" };
    let predicate = ["refused", "cannot be read"].iter().any(|begin| record.headline.starts_with(begin));
    let colon = if predicate { "" } else { ":" };
    let (exchange, peer, headline) = (&record.exchange, record.peer, &record.headline);
    let mut out = format!("{when} {exchange}{user} {direction} {peer}{colon} {headline}{times}\n");
    for line in record.details.iter().chain(&record.fix) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Record;

    #[test]
    fn says_who_what_why_and_what_to_do() {
        let when: Timestamp = "2026-11-21T12:04:31Z".parse().unwrap();
        let record = Record {
            when,
            peer: "203.0.113.8:500".parse().unwrap(),
            called: false,
            user: None,
            exchange: "IKE_SA_INIT".into(),
            headline: "refused: no common algorithms".into(),
            details: vec![
                "client offered  aes256-sha1-modp1024".into(),
                "policy compatible needs modp2048 or better".into(),
            ],
            fix: Some("allow it with  policy = [\"compatible\", \"legacy-windows-ikev2\"]".into()),
        };
        let first = Entry { record: record.clone(), times: 1 };
        let second =
            Entry { record: Record { user: Some("alice".into()), details: vec![], fix: None, ..record }, times: 3 };
        assert_eq!(
            render(&[first, second.clone()], when, &TimeZone::UTC),
            "12:04:31 IKE_SA_INIT from 203.0.113.8:500 refused: no common algorithms\n  \
             client offered  aes256-sha1-modp1024\n  \
             policy compatible needs modp2048 or better\n  \
             allow it with  policy = [\"compatible\", \"legacy-windows-ikev2\"]\n\n\
             12:04:31 IKE_SA_INIT of alice from 203.0.113.8:500 refused: no common algorithms (3 times)\n"
        );
        let called =
            Record { called: true, headline: "the other side does not answer".into(), ..second.record.clone() };
        assert!(
            render(&[Entry { record: called, times: 1 }], when, &TimeZone::UTC)
                .starts_with("12:04:31 IKE_SA_INIT of alice to 203.0.113.8:500: the other side does not answer\n")
        );
        let next_day = "2026-11-22T00:00:01Z".parse().unwrap();
        assert!(render(&[second], next_day, &TimeZone::UTC).starts_with("2026-11-21 12:04:31 IKE_SA_INIT of alice"));
    }
}
