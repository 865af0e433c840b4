//! Numbers in sentences.

/// `1 region`, `4,000 regions`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = match (number, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    };
    format!("{} {plural}", grouped(number))
}

/// Thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12 s`, `4 m`, `3 h`, `2 d`: rounded down.
pub fn duration(ms: u64) -> String {
    match ms / 1_000 {
        0 => format!("{ms} ms"),
        s @ 1..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} m", s / 60),
        s @ 3_600..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// Per mille as `80 %`, `80.4 %`.
pub fn percent(per_mille: u64) -> String {
    match (per_mille / 10, per_mille % 10) {
        (whole, 0) => format!("{whole} %"),
        (whole, tenth) => format!("{whole}.{tenth} %"),
    }
}

/// `512 KiB`, `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let step = (bytes.max(1).ilog2() / 10) as usize;
    if step == 0 {
        return format!("{bytes} B");
    }
    let shown = format!("{:.1}", bytes as f64 / f64::from(1_u32 << 10).powi(step as i32));
    format!("{} {}", shown.strip_suffix(".0").unwrap_or(&shown), UNITS[step])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1, "region"), "1 region");
        assert_eq!(count(1_234_567, "entry"), "1,234,567 entries");
        assert_eq!(grouped(999), "999");
        assert_eq!([800, 26, 1_000].map(percent), ["80 %", "2.6 %", "100 %"]);
        assert_eq!(
            [0, 59_999, 60_000, 172_799_000, 172_800_000].map(duration),
            ["0 ms", "59 s", "1 m", "47 h", "2 d"]
        );
        assert_eq!(
            [0, 1_023, 1_536, 1 << 30, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "1 GiB", "16 EiB"]
        );
    }
}
