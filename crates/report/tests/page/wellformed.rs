//! A reader of pages that forgives nothing: every tag is closed in its turn, every attribute is quoted, every `<`, `>`
//! and `&` in text is escaped.

/// An element of a page: its name and its attributes.
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

/// The elements of a page in their order, and its text.
///
/// # Panics
/// With the place and the fault, where the page is not well-formed.
pub fn read(page: &str) -> (Vec<Element>, String) {
    let rest = page.strip_prefix("<!DOCTYPE html>\n");
    let mut rest = rest.expect("the page begins with its document type");
    let (mut elements, mut open, mut text) = (Vec::new(), Vec::<String>::new(), String::new());
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        check_text(before);
        text.push_str(before);
        let end = tag_end(tag);
        let inner = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of turn");
            continue;
        }
        assert!(
            !open.is_empty() || elements.is_empty(),
            "<{inner}> stands behind the root element"
        );
        let (inner, empty) = inner
            .strip_suffix('/')
            .map_or((inner, false), |inner| (inner, true));
        let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        assert!(
            !name.is_empty() && name.chars().all(letters),
            "an element called {name:?}"
        );
        elements.push(Element {
            name: name.to_owned(),
            attributes: read_attributes(attributes),
        });
        if !empty {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    assert_eq!(rest, "\n", "something stands behind the root element");
    (elements, text)
}

/// Where the `>` of a tag stands; one inside of quotes is a fault that [`check_text`] finds.
fn tag_end(tag: &str) -> usize {
    let mut quoted = false;
    for (at, c) in tag.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return at,
            _ => {}
        }
    }
    panic!("a tag without an end: {:.80}", tag);
}

fn read_attributes(mut rest: &str) -> Vec<(String, String)> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !rest.trim_start().is_empty() {
        let (name, value) = rest
            .trim_start()
            .split_once("=\"")
            .expect("attributes are name=\"value\"");
        let (value, after) = value.split_once('"').expect("a closing quote");
        assert!(
            name.chars().all(|c| c.is_alphanumeric() || c == '-'),
            "an attribute called {name:?}"
        );
        assert!(attributes.iter().all(|(old, _)| old != name), "{name} twice");
        assert!(
            after.is_empty() || after.starts_with(' '),
            "no space behind {name}"
        );
        check_text(value);
        attributes.push((name.to_owned(), value.to_owned()));
        rest = after;
    }
    attributes
}

fn check_text(text: &str) {
    assert!(!text.contains(['<', '>']), "not escaped: {text:.80}");
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'),
        "a control character: {text:?}"
    );
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        let rest = &text[at..];
        assert!(
            known.iter().any(|entity| rest.starts_with(entity)),
            "not escaped: {rest:.20}"
        );
    }
}

/// Asserts that a page is well-formed, runs nothing and asks nothing of the network.
pub fn check_self_contained(page: &str) {
    let (elements, _) = read(page);
    for Element { name, attributes } in &elements {
        let forbidden = [
            "script",
            "link",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "foreignobject",
        ];
        assert!(!forbidden.contains(&name.as_str()), "<{name}>");
        for (key, value) in attributes {
            assert!(!key.starts_with("on"), "{key} of <{name}> runs a program");
            let names_a_resource = ["src", "href", "srcset", "data", "action", "poster", "background"];
            let embedded = value.starts_with("data:image/png;base64,");
            assert!(
                !names_a_resource.contains(&key.as_str()) || embedded,
                "{key}={value:.80}"
            );
            assert!(!value.contains("url("), "{key}={value:.80}");
        }
    }
    let rest = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for way in ["http:", "https:", "url(", "@import", "javascript:", "file:"] {
        let hits: Vec<&str> = rest.match_indices(way).map(|(at, _)| &rest[at..]).collect();
        assert!(hits.is_empty(), "{:.80}", hits[0]);
    }
}
