//! Markdown, as a renderer reads it.

use pulldown_cmark::{Event as Markup, Options, Parser, Tag};

use super::recorded::large;
use super::{case, render, render_events, table};
use crate::report::markdown::{MOST, Markdown};

/// Every piece of a page that is not text, and the text itself.
pub(super) fn parse(page: &str) -> (Vec<String>, String) {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    for piece in
        Parser::new_ext(page, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH)
    {
        match piece {
            Markup::Text(words) | Markup::Code(words) => text.push_str(&words),
            Markup::Html(markup) | Markup::InlineHtml(markup) => pieces.push(markup.into_string()),
            Markup::Start(tag) => pieces.push(match tag {
                Tag::Link { dest_url, .. } => format!("link {dest_url}"),
                Tag::Image { dest_url, .. } => format!("image {dest_url}"),
                other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
            }),
            Markup::SoftBreak | Markup::HardBreak => text.push('\n'),
            Markup::End(_) => {}
            other => pieces.push(format!("{other:?}")),
        }
    }
    (pieces, text)
}

/// What a page is made of, and nothing else: lines of markup that hold strange text are looked at by themselves.
pub(super) fn assert_plain(name: &str, page: &str) {
    let (pieces, _) = parse(page);
    for piece in pieces {
        let known =
            ["Heading", "Paragraph", "Table", "TableHead", "TableRow", "TableCell", "Strong", "BlockQuote"];
        if known.contains(&piece.as_str()) {
            continue;
        }
        let mut rest = piece.trim_end();
        let mut tags = Vec::new();
        while let Some((_, after)) = rest.split_once('<') {
            let (tag, after) = after.split_once('>').unwrap_or_else(|| panic!("{name}: {piece}"));
            tags.push(tag);
            rest = after;
        }
        let ours = ["code", "/code", "details", "/details", "summary", "/summary", "pre", "/pre"];
        assert!(tags.iter().all(|tag| ours.contains(tag)), "{name}: {piece}");
        // Text of an HTML block that holds no tag is a line of a rule; anything else would be markup of a stranger.
        assert!(!tags.is_empty() || !piece.contains(['<', '>']), "{name}: {piece}");
    }
}

#[test]
fn only_our_own_markup_is_markup() {
    for (name, summary) in table() {
        assert_plain(name, &render(&Markdown, &summary));
    }
}

#[test]
fn a_finding_is_a_row_and_a_fold_with_the_way_out() {
    let page = render(&Markdown, &case("two"));
    let (pieces, text) = parse(&page);
    assert_eq!(pieces.iter().filter(|piece| *piece == "TableRow").count(), 3, "{page}");
    assert_eq!(pieces.iter().filter(|piece| piece.contains("<details>")).count(), 4, "{page}");
    assert!(text.contains("critical") && text.contains("evil-npmrc 1.2.3 (npm, postinstall)"), "{text}");
    assert!(page.contains("<pre>objects&#58;"), "{page}");
    assert!(page.starts_with("### pkgwarden: 2 findings\n"), "{page}");
}

#[test]
fn what_was_not_stopped_is_said_first() {
    let page = render(&Markdown, &case("missed"));
    assert!(page.starts_with("### pkgwarden: 1 finding, 1 **not stopped**\n"), "{page}");
    assert!(page.contains("| **NOT STOPPED** |"), "{page}");
    assert!(render(&Markdown, &case("cut")).contains("breaks off"));
    assert!(render(&Markdown, &case("lossy")).contains("<code>ring-full 12</code>"));
}

#[test]
fn a_page_is_never_too_large_for_a_job_summary() {
    let (mut summary, events) = large(1500);
    for finding in &mut summary.findings {
        finding.why = "*why* ".repeat(2000);
    }
    summary.findings = summary.findings.iter().cycle().take(500).cloned().collect();
    let page = render_events(&Markdown, &summary, events);
    assert!(page.len() <= MOST, "{}", page.len());
    assert!(page.contains("more findings are not explained here"), "it says what is missing");
    assert!(
        page.contains("packages are not in this table") || page.contains("</details>\n"),
        "it ends whole"
    );
    assert_plain("large", &page);
}
