//! One HTML file: findings, packages, timeline, network and processes. It needs no network and no other file.
//!
//! Findings and packages are in the page itself and are read without its script; the rest is drawn from data. Three walls
//! keep strange text from being obeyed: it is escaped where it stands, the data are JSON without a `<`, and the policy of
//! the page allows its own script and style, by hash, and nothing else.

use std::io::{self, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::Report;
use super::trace::Trace;
use crate::event::Event;
use crate::finding::Summary;

mod data;
mod page;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// One HTML file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Html;

impl Report for Html {
    fn render(
        &self,
        summary: &Summary,
        events: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let trace = Trace::follow(summary, events);
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            hash(SCRIPT),
            hash(STYLE)
        );
        let title = page::title(summary);
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        )?;
        page::write(summary, &trace, out)?;
        let data = data::json(summary, &trace)?;
        write!(
            out,
            "<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n"
        )?;
        out.write_all(b"</body>\n</html>\n")
    }
}

/// As a Content-Security-Policy names a script or a style (CSP level 3, section 2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// Text in which nothing means anything to HTML, in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in super::layout::plain(text, super::layout::Screen::default()).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
