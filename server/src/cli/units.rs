//! Numbers for people: 1.2G, 3h12m.

/// Bytes in steps of 1000 with two digits at most: `88M`, `1.2G`.
pub(super) fn bytes(n: u64) -> String {
    let mut value = n;
    let mut rest = 0;
    for unit in ["", "K", "M", "G", "T", "P"] {
        if value < 10 && !unit.is_empty() && rest > 0 {
            return format!("{value}.{rest}{unit}");
        }
        if value < 1000 {
            return format!("{value}{unit}");
        }
        rest = value % 1000 / 100;
        value /= 1000;
    }
    format!("{value}E")
}

/// Seconds in its two largest units: `4s`, `9m`, `3h12m`, `2d4h`.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_two_or_three_digits() {
        let all = [0, 999, 1000, 1240, 3_100_000, 9_990_000, 88_400_000, 999_999_999, 1_200_000_000, u64::MAX];
        assert_eq!(all.map(bytes), ["0", "999", "1K", "1.2K", "3.1M", "9.9M", "88M", "999M", "1.2G", "18E"]);
    }

    #[test]
    fn durations_have_two_units() {
        let all = [0, 4, 59, 60, 599, 3600, 11_520, 86_399, 86_400, 187_200];
        let text = ["0s", "4s", "59s", "1m", "9m", "1h00m", "3h12m", "23h59m", "1d0h", "2d4h"];
        assert_eq!(all.map(duration), text);
    }
}
