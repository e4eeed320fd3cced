//! The HTML file: what is in it, what cannot be, and how large it gets.

use super::recorded::{large, small};
use super::{case, render, render_events, table};
use crate::report::html::Html;

/// What stands between two marks.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end}")).0
}

fn data(page: &str) -> serde_json::Value {
    serde_json::from_str(between(page, "id=\"data\">", "</script>")).unwrap()
}

#[test]
fn a_page_needs_nothing_but_itself() {
    for (name, summary) in table() {
        let page = render(&Html, &summary);
        let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        // Neither fetched nor followed: the only address is the name space of SVG, which nobody asks for.
        let addresses: Vec<&str> = page.match_indices("://").map(|(at, _)| &page[at - 4..at + 13]).collect();
        assert_eq!(addresses, ["http://www.w3.org"], "{name}");
        for word in ["src=", "@import", "url(", "innerHTML", "outerHTML", "document.write", "eval("] {
            assert!(!page.contains(word), "{name}: {word}");
        }
        assert_eq!(page.matches("<script").count(), 2, "{name}");
        assert_eq!(page.matches("</script").count(), 2, "{name}");
    }
}

#[test]
fn the_policy_names_the_script_and_the_style_that_are_there() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let page = render(&Html, &case("killed"));
    for (begin, end) in [("<style>", "</style>"), ("</script>\n<script>", "</script>")] {
        let digest = sha2::Sha256::digest(between(&page, begin, end).as_bytes());
        let hash = base64::prelude::BASE64_STANDARD.encode(digest);
        assert!(page.contains(&format!("'sha256-{hash}'")), "{begin}");
    }
}

#[test]
fn findings_and_packages_are_read_without_the_script() {
    let page = render(&Html, &case("two"));
    for words in [
        "<article class=\"finding critical\" id=\"F2\">",
        "<bdi>evil-npmrc 1.2.3 (npm, postinstall)</bdi> <span class=\"verb\">read</span> <code>/home/u/.npmrc</code>",
        "A token in there publishes packages in your name.",
        "files: [&quot;/home/u/.npmrc&quot;]",
        "<th scope=\"row\"><bdi>evil-npmrc</bdi></th>",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert!(page.find("id=\"F2\"").unwrap() < page.find("id=\"F1\"").unwrap(), "the worst comes first");
}

#[test]
fn the_data_tell_every_process_with_its_parent_and_its_package() {
    let (summary, events) = small();
    let page = render_events(&Html, &summary, events);
    let data = data(&page);
    let processes = data["processes"].as_array().unwrap();
    assert_eq!(processes.len() as u64, summary.processes, "{}", summary.processes);
    let roots = processes.iter().filter(|process| process[2] == -1).count();
    assert_eq!(roots, 1);
    let finding = data["verdicts"].as_array().unwrap().iter().map(|verdict| verdict[2].as_i64().unwrap());
    assert!(finding.clone().all(|index| index >= 0 && (index as usize) < summary.findings.len()));
    assert!(finding.count() >= summary.findings.len());
    let strings = data["strings"].as_array().unwrap();
    let names =
        data["packages"].as_array().unwrap().iter().map(|index| &strings[index.as_u64().unwrap() as usize]);
    assert_eq!(names.count(), summary.packages.len());
}

#[test]
fn what_was_sent_is_on_the_map_of_the_network() {
    let (summary, events) = super::hostile::played(b"sent.example");
    let data = data(&render_events(&Html, &summary, events));
    let strings = |index: &serde_json::Value| data["strings"][index.as_u64().unwrap() as usize].clone();
    let sent: Vec<_> = data["network"].as_array().unwrap().iter().filter(|row| row[6] == 1234).collect();
    assert_eq!(sent.len(), 1, "{data}");
    assert_eq!(strings(&sent[0][2]), "sent.example (203.0.113.7:443)");
    assert_eq!((strings(&sent[0][3]), &sent[0][1]), ("sent".into(), &serde_json::json!(0)));
}

#[test]
fn an_install_of_1500_packages_stays_below_5_megabytes() {
    let (summary, events) = large(1500);
    assert!(summary.packages.len() >= 1500, "{}", summary.packages.len());
    let (count, processes) = (events.len(), summary.processes);
    let page = render_events(&Html, &summary, events);
    println!("{count} events, {processes} processes: {} bytes", page.len());
    assert!(page.len() < 5_000_000, "{}", page.len());
    // To be opened in a browser, whose time no unit test measures.
    if let Some(file) = std::env::var_os("PKGWARDEN_WRITE_LARGE_REPORT") {
        std::fs::write(file, page).unwrap();
    }
}
