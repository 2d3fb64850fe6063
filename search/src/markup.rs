//! Mark-up in texts: HTML that came with a description is neither searched nor shown. The stored text stays as given.

use std::borrow::Cow;

/// Elements that begin or end a line: the words before and after them are apart.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "button",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "iframe",
    "img",
    "input",
    "legend",
    "li",
    "link",
    "main",
    "menu",
    "meta",
    "nav",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "p",
    "picture",
    "pre",
    "script",
    "section",
    "select",
    "source",
    "style",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
    "video",
];

/// Elements within a line: a word may go on across them.
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "audio", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "ins", "kbd", "label", "mark", "nobr", "q", "rp", "rt", "ruby", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
];

/// Elements whose content is not shown.
const HIDDEN: &[&str] = &["script", "style", "template"];

/// Texts from feeds are often escaped once or twice more than they should be.
const MOST_ROUNDS: usize = 3;

/// The longest name of a character, such as `CounterClockwiseContourIntegral`.
const LONGEST_ENTITY: usize = 32;

/// The text as a browser would show it: without tags and comments, with entities as their characters.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    for _ in 0..MOST_ROUNDS {
        match once(&shown) {
            Some(less) => shown = Cow::Owned(less),
            None => break,
        }
    }
    shown
}

/// Like [`visible`]; a text of nothing but mark-up stays as it is.
pub(crate) fn visible_name(text: &str) -> Cow<'_, str> {
    let shown = visible(text);
    if shown.trim().is_empty() { Cow::Borrowed(text) } else { shown }
}

/// One level of mark-up less; `None`: there is none.
fn once(text: &str) -> Option<String> {
    let mut shown = String::with_capacity(text.len());
    let (mut rest, mut changed) = (text, false);
    // Behind the last end of a tag there is no tag, and behind that of an entity no entity.
    let (tags, entities) = (text.rfind('>'), text.rfind(';'));
    tags.or(entities)?;
    while let Some(at) = rest.find(['<', '&']) {
        let here = text.len() - rest.len() + at;
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        let read = if rest.starts_with('<') {
            tags.filter(|last| here < *last).and_then(|_| tag(rest))
        } else {
            entities.filter(|last| here < *last).and_then(|_| entity(rest))
        };
        let Some((length, stands_for)) = read else {
            shown.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        };
        changed = true;
        rest = &rest[length..];
        match stands_for {
            Effect::Character(character) => shown.push(character),
            Effect::Text(text) => shown.push_str(text),
            Effect::Nothing => {}
            Effect::Break if shown.is_empty() || shown.ends_with('\n') => {}
            Effect::Break => shown.push('\n'),
        }
    }
    shown.push_str(rest);
    changed.then_some(shown)
}

/// The effect of a piece of mark-up on the screen.
enum Effect<'a> {
    Character(char),
    Text(&'a str),
    Nothing,
    Break,
}

/// The tag or comment at the beginning of the text, and its length. A `<` that opens none is a sign of the text.
fn tag(text: &str) -> Option<(usize, Effect<'_>)> {
    if let Some(comment) = text.strip_prefix("<!--") {
        return Some((4 + comment.find("-->")? + 3, Effect::Nothing));
    }
    if let Some(data) = text.strip_prefix("<![CDATA[") {
        let content = &data[..data.find("]]>")?];
        return Some((9 + content.len() + 3, Effect::Text(content)));
    }
    let inner = text[1..].strip_prefix('/').unwrap_or(&text[1..]);
    if inner.starts_with("!DOCTYPE") || inner.starts_with("!doctype") || inner.starts_with('?') {
        return Some((text.find('>')? + 1, Effect::Break));
    }
    let letters = inner.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | ':'))?;
    let name = inner[..letters].to_ascii_lowercase();
    let block = BLOCKS.contains(&name.as_str());
    // Others are not of HTML, unless they have a prefix, such as `o:p`: `a <y and z> b` is a text.
    let known =
        block || INLINE.contains(&name.as_str()) || name.contains([':', '-']) && !name.starts_with('-');
    if !known || !inner[letters..].starts_with(|c: char| c.is_whitespace() || matches!(c, '/' | '>')) {
        return None;
    }
    let mut length = text.len() - inner.len() + letters + end_of_tag(&inner[letters..])?;
    if HIDDEN.contains(&name.as_str()) && !text.starts_with("</") {
        length += hidden(&text[length..], &name);
    }
    Some((length, if block { Effect::Break } else { Effect::Nothing }))
}

/// The length up to and with the `>` that is in no quoted value.
fn end_of_tag(attributes: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in attributes.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at + 1),
            // A quote opens a value only after a `=`: the inch sign of a broken tag opens none.
            (None, '"' | '\'') if attributes[..at].trim_end().ends_with('=') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    // A quote that is never closed was none.
    attributes.find('>').map(|at| at + 1)
}

/// The length of what is not shown, with the closing tag; without one, everything.
fn hidden(text: &str, name: &str) -> usize {
    let closing = format!("</{name}");
    let Some(at) = text.to_ascii_lowercase().find(&closing) else { return text.len() };
    text[at..].find('>').map_or(text.len(), |end| at + end + 1)
}

/// The entity at the beginning of the text, and its length.
fn entity(text: &str) -> Option<(usize, Effect<'_>)> {
    let end = text.bytes().take(LONGEST_ENTITY + 2).position(|byte| byte == b';')?;
    let decoded = htmlescape::decode_html(&text[..=end]).ok()?;
    let mut characters = decoded.chars();
    match (characters.next(), characters.next()) {
        // A control character is neither shown nor searched.
        (Some(c), None) if c.is_control() && !c.is_whitespace() => Some((end + 1, Effect::Nothing)),
        (Some(c), None) => Some((end + 1, Effect::Character(c))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_entities_and_comments_are_not_shown() {
        assert_eq!(visible("Not <b>this</b> &amp; \"that\""), "Not this & \"that\"");
        assert_eq!(visible("<ul><li>Red</li><li>Blue</li></ul>"), "Red\nBlue\n");
        assert_eq!(visible("Red<b>bull</b>"), "Redbull");
        assert_eq!(visible("a<br/>b<BR>c"), "a\nb\nc");
        assert_eq!(visible("<a title=\"x > y\" href='/p?a=1&b=2'>here</a>"), "here");
        assert_eq!(
            visible("<!-- no --><style>p { color: red }</style>yes<script>f('</p>')</script>"),
            "yes\n"
        );
        assert_eq!(visible("caf&eacute; &#26479; &#x676F;&nbsp;&hellip;"), "café 杯 杯\u{a0}…");
        assert_eq!(visible("&lt;p&gt;escaped&lt;/p&gt; &amp;amp; twice"), "escaped\n & twice");
        assert_eq!(visible("<![CDATA[Red]]> <o:p></o:p>mug"), "Red mug");
        assert_eq!(visible("红色<strong>连衣裙</strong>"), "红色连衣裙");
    }

    #[test]
    fn signs_of_a_text_stay() {
        for text in
            ["5 < 6 & 7 > 3", "a<b", "<3", "if x <y and z> w", "R&D; M&M", "&nosuch;", "<b", "&#0;x", "&;"]
        {
            let shown = visible(text);
            assert!(shown == text || text == "&#0;x" && shown == "x", "{text}: {shown}");
        }
        assert_eq!(visible_name("<script>"), "<script>");
        assert_eq!(visible_name("Salt &amp; Pepper"), "Salt & Pepper");
    }

    #[test]
    fn a_long_text_takes_no_long_time() {
        for part in ["<", "&", "<b ", "<script>", "<a b=\"", "&amp;", "<!--"] {
            for end in [">", ";"] {
                let long = part.repeat(20_000) + end;
                assert!(visible(&long).len() <= long.len());
            }
        }
    }
}
