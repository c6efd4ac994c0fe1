//! Names, texts and paths as the engines' languages write them.

/// `text` in a comment, which ends with the line.
pub(super) fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A text in SQL.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name in DuckDB's SQL. Always with quotes: which words are reserved changes with the version.
pub(super) fn double(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name in Spark's SQL.
pub(super) fn back(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text in Python.
pub(super) fn python(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// A path in a pattern of DuckDB or Polars that stands for itself.
pub(super) fn glob(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            '[' | '*' | '?' => out.extend(['[', c, ']']),
            c => out.push(c),
        }
    }
    out
}

/// The same for Spark, whose patterns are Hadoop's.
pub(super) fn hadoop_glob(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        if "[]{}*?\\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_what_it_stands_in() {
        assert_eq!(line("/a\nDROP TABLE x"), "/a\u{fffd}DROP TABLE x");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(double("a\"b"), "\"a\"\"b\"");
        assert_eq!(back("a`b"), "`a``b`");
        assert_eq!(python("a\"b\\c\nd"), "\"a\\\"b\\\\c\\U0000000ad\"");
    }

    #[test]
    fn a_path_is_no_pattern() {
        assert_eq!(glob("/la[k]e?"), "/la[[]k]e[?]");
        assert_eq!(hadoop_glob("/la[k]e{1}"), "/la\\[k\\]e\\{1\\}");
    }
}
