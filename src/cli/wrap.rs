//! Sentences in lines that a terminal holds.

use std::fmt::Write;

/// Columns of a terminal that nobody has widened.
pub const WIDTH: usize = 80;

/// Writes `text` behind `first`, and what is carried over behind `rest`.
pub fn wrap(out: &mut String, first: &str, rest: &str, text: &str) {
    let mut line = first.to_owned();
    let mut begins = true;
    for word in text.split(' ') {
        if !begins && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = rest.to_owned();
            begins = true;
        }
        line.push_str(if begins { "" } else { " " });
        line.push_str(word);
        begins = false;
    }
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_is_wrapped_and_a_long_word_stays_whole() {
        let mut out = String::new();
        let text = format!("{} {}", "word ".repeat(30).trim(), "x".repeat(100));
        wrap(&mut out, "name  ", "      ", &text);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with("name  word") && lines[1].starts_with("      word"));
        assert!(
            lines
                .iter()
                .filter(|line| line.contains("word"))
                .all(|line| line.chars().count() <= WIDTH)
        );
        assert_eq!(lines.last().unwrap().trim(), "x".repeat(100));
    }
}
