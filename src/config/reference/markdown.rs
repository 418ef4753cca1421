//! The reference as Markdown: one table per structure.

pub fn reference_markdown() -> String {
    String::new()
}
