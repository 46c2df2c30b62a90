//! Tables for people: columns as wide as they must be, one space more between them.

use alloy_primitives::Address;
use serde_json::Value;

/// Lines of cells under their headings, aligned. Without lines: a word about that.
pub fn table(headings: &[&str], lines: &[Vec<String>], none: &str) -> String {
    if lines.is_empty() {
        return format!("{none}\n");
    }
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let head: Vec<String> = headings.iter().map(ToString::to_string).collect();
    std::iter::once(&head).chain(lines).map(|line| row(line, &widths)).collect()
}

fn row(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let space = width.saturating_sub(cell.chars().count()).saturating_add(2);
        text.push_str(cell);
        text.push_str(&" ".repeat(space));
    }
    format!("{}\n", text.trim_end())
}

/// Names and values below each other.
pub fn sheet(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let shown = lines.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// A JSON value as people read it: text without quotes, lists with commas, nothing for null.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // Addresses as wallets show them.
        Value::String(text) if text.len() == 42 => {
            text.parse::<Address>().map_or_else(|_| text.clone(), |address| address.to_string())
        }
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The first digits of an id, enough to tell two apart in a table.
pub fn short(value: &Value) -> String {
    let text = plain(value);
    match text.len() > 14 && text.starts_with("0x") && text.is_ascii() {
        true => format!("{}…", &text[..12]),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned() {
        let lines = [
            vec!["1".to_owned(), "España".to_owned(), "x".to_owned()],
            vec!["22".into(), "a".into(), "y".into()],
        ];
        let text = table(&["ID", "NAME", "Z"], &lines, "none");
        assert_eq!(text, "ID  NAME    Z\n1   España  x\n22  a       y\n");
        assert_eq!(table(&["ID"], &[], "no members"), "no members\n");
    }

    #[test]
    fn values_are_plain() {
        assert_eq!(plain(&json!(["a", 1, null, true])), "a, 1, , yes");
        assert_eq!(short(&json!(format!("0x{}", "ab".repeat(32)))), "0xababababab…");
        assert_eq!(short(&json!("LEI")), "LEI");
        let address = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
        assert_eq!(plain(&json!(address)), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(
            sheet(&[("a", "1".into()), ("long", String::new()), ("b", "2".into())]),
            "a     1\nb     2\n"
        );
    }
}
