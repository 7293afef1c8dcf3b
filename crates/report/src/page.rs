//! One HTML page that holds everything it shows: text, tables, drawings and pictures.
//!
//! It asks nothing of the network and runs no program in the reader's browser (and forbids both, by its content
//! security policy), follows the reader's choice of light or dark, and is one column on a narrow screen. It is also
//! well-formed XML. Text is escaped here; drawings come as [`Svg`], which only this crate makes.

use std::fmt::Write;
use std::path::Path;

use crate::markup::{base64, escape};
use crate::{ReportError, Svg, atomic};

/// The background on a light screen.
pub(crate) const LIGHT: &str = "#fcfcfa";
/// The background on a dark screen.
pub(crate) const DARK: &str = "#16181c";

/// The colours stand at the top, all else follows from them.
const STYLE: &str = include_str!("page.css");

/// A page in the making: sections with text, numbers, figures, tables. What is added belongs to the newest section;
/// figures that follow each other stand side by side where there is room.
///
/// ```
/// let page = report::Page::new("digits")
///     .section("Result")
///     .numbers(&[("steps", "1,000".to_owned())])
///     .table(&["key", "value"], &[vec!["seed".to_owned(), "7".to_owned()]]);
/// assert!(page.to_html().contains("<h2>Result</h2>"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    title: String,
    /// Seconds after which a browser loads the file again.
    refresh: Option<u32>,
    body: String,
    in_section: bool,
    in_figures: bool,
}

impl Page {
    /// A page with its heading.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            refresh: None,
            body: String::new(),
            in_section: false,
            in_figures: false,
        }
    }

    /// A page that an open browser loads again every so many seconds, at least 1, since somebody writes it anew.
    #[must_use]
    pub fn refresh(self, seconds: u32) -> Self {
        Self {
            refresh: Some(seconds.max(1)),
            ..self
        }
    }

    /// Begins a section.
    #[must_use]
    pub fn section(mut self, heading: &str) -> Self {
        self.end_figures();
        if self.in_section {
            self.body.push_str("</section>\n");
        }
        self.in_section = true;
        self.push(format_args!("<section>\n<h2>{}</h2>\n", escape(heading)))
    }

    /// A paragraph.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.end_figures();
        self.push(format_args!("<p>{}</p>\n", escape(text)))
    }

    /// A few numbers with what they are, to be seen at once.
    #[must_use]
    pub fn numbers(mut self, numbers: &[(&str, String)]) -> Self {
        self.end_figures();
        self.body.push_str("<dl class=\"numbers\">\n");
        for (name, value) in numbers {
            let (name, value) = (escape(name), escape(value));
            self = self.push(format_args!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
        }
        self.body.push_str("</dl>\n");
        self
    }

    /// A drawing with its caption.
    #[must_use]
    pub fn figure_svg(mut self, caption: &str, svg: &Svg) -> Self {
        self.begin_figures();
        let caption = escape(caption);
        self.push(format_args!(
            "<figure>\n<figcaption>{caption}</figcaption>\n{}</figure>\n",
            svg.as_str()
        ))
    }

    /// A picture, a whole PNG file, with its caption. Its pixels stay squares when it is enlarged.
    #[must_use]
    pub fn figure_png(mut self, caption: &str, png: &[u8]) -> Self {
        self.begin_figures();
        let size = png_size(png).map_or(String::new(), |(width, height)| {
            format!(" width=\"{width}\" height=\"{height}\"")
        });
        let (caption, data) = (escape(caption), base64(png));
        self.push(format_args!(
            "<figure>\n<figcaption>{caption}</figcaption>\n\
             <img alt=\"{caption}\"{size} src=\"data:image/png;base64,{data}\"/>\n</figure>\n"
        ))
    }

    /// A table: names of the columns, none for a table without a head, and rows of cells.
    #[must_use]
    pub fn table(mut self, columns: &[&str], rows: &[Vec<String>]) -> Self {
        self.end_figures();
        self.body.push_str("<div class=\"wide\"><table>\n");
        if !columns.is_empty() {
            self.body.push_str("<thead><tr>");
            for column in columns {
                self = self.push(format_args!("<th scope=\"col\">{}</th>", escape(column)));
            }
            self.body.push_str("</tr></thead>\n");
        }
        self.body.push_str("<tbody>\n");
        for row in rows {
            self.body.push_str("<tr>");
            for cell in row {
                self = self.push(format_args!("<td>{}</td>", escape(cell)));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody>\n</table></div>\n");
        self
    }

    /// Text in its own lines and columns: a file.
    #[must_use]
    pub fn code(mut self, text: &str) -> Self {
        self.end_figures();
        self.push(format_args!("<pre><code>{}</code></pre>\n", escape(text)))
    }

    /// The whole document.
    pub fn to_html(&self) -> String {
        let mut page = self.clone();
        page.end_figures();
        if page.in_section {
            page.body.push_str("</section>\n");
        }
        let (title, body) = (escape(&page.title), &page.body);
        let refresh = page.refresh.map_or(String::new(), |seconds| {
            format!("<meta http-equiv=\"refresh\" content=\"{seconds}\"/>\n")
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"/>\n\
             {refresh}<title>{title}</title>\n<style>\n:root {{ --light: {LIGHT}; --dark: {DARK}; }}\n{STYLE}</style>\n</head>\n\
             <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
        )
    }

    /// Writes the document atomically.
    ///
    /// # Errors
    /// [`ReportError::Io`] naming the file.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        atomic::write_bytes(path, self.to_html().as_bytes())
    }

    fn push(mut self, markup: std::fmt::Arguments<'_>) -> Self {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(markup);
        self
    }

    fn begin_figures(&mut self) {
        if !self.in_figures {
            self.body.push_str("<div class=\"figures\">\n");
        }
        self.in_figures = true;
    }

    fn end_figures(&mut self) {
        if self.in_figures {
            self.body.push_str("</div>\n");
        }
        self.in_figures = false;
    }
}

/// Width and height from the header of a PNG file.
fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let at = |from: usize| Some(u32::from_be_bytes(png.get(from..from + 4)?.try_into().ok()?));
    let header = png.starts_with(b"\x89PNG\r\n\x1a\n") && png.get(12..16) == Some(b"IHDR");
    header.then_some(()).and_then(|()| at(16).zip(at(20)))
}
