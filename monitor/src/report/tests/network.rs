//! Who talked to whom, in the formats for people.

use monitor_common::verdict::Achieved;

use super::{NARROW, WIDE, case, finding, package, render, summary};
use crate::event::log::End;
use crate::event::model::Scope;
use crate::event::traffic::Traffic;
use crate::finding::Summary;
use crate::report::human::Human;
use crate::report::markdown::Markdown;
use crate::rule::load::load;

fn flow(host: Option<&str>, address: &str, port: u16, sent: u64, refused: u64) -> Traffic {
    Traffic {
        tree: 10,
        scope: Some(Scope(0xabc)),
        actor: "script:npm".into(),
        package: Some(package()),
        address: address.parse().unwrap(),
        port,
        protocol: if port == 53 { 17 } else { 6 },
        domain: host.map(Into::into),
        sent,
        refused,
    }
}

fn talkative(traffic: Vec<Traffic>) -> Summary {
    let quiet = summary(vec![]);
    Summary { end: quiet.end.map(|end| End { traffic, ..end }), ..quiet }
}

fn told(summary: &Summary) -> String {
    anstream::adapter::strip_str(&render(&Human { screen: WIDE }, summary)).to_string()
}

fn everything() -> Vec<Traffic> {
    vec![
        flow(None, "127.0.0.53", 53, 90, 0),
        flow(Some("files.example.org"), "203.0.113.9", 443, 1234, 0),
        flow(Some("files.example.org"), "203.0.113.10", 443, 66, 0),
        flow(None, "2001:db8::7", 8000, 0, 2),
        Traffic {
            scope: None,
            package: None,
            actor: "manager:npm".into(),
            ..flow(Some("registry.npm.example"), "203.0.113.1", 443, 20_000, 0)
        },
    ]
}

#[test]
fn hosts_are_listed_by_package_and_managers_get_a_line() {
    let text = told(&talkative(everything()));
    assert!(text.contains("network: npm itself sent 20 kB to registry.npm.example"), "{text}");
    let section = text.split_once("Network\n").unwrap().1;
    let lines: Vec<String> =
        section.lines().take(3).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "evil-npmrc 1.2.3 (npm, postinstall)",
            "[2001:db8::7]:8000 refused",
            "files.example.org:443 1.3 kB sent"
        ]
    );
    assert!(!section.contains("127.0.0.53"), "{text}");
}

#[test]
fn the_allow_list_is_a_rule_file_that_allows_what_was_reached_and_nothing_else() {
    let text = told(&talkative(everything()));
    let yaml: Vec<&str> = text
        .lines()
        .skip_while(|line| line.trim() != "objects:")
        .map(|line| line.get(4..).unwrap_or(""))
        .collect();
    let yaml = yaml.join("\n");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hosts.yaml"), &yaml).unwrap();
    let set = load(&[folder.path().to_owned()])
        .unwrap_or_else(|problems| panic!("{}: {yaml}", problems.render(false)));
    assert!(set.rules.iter().any(|rule| rule.id == "LOCAL-SCRIPT-NPM-HOSTS-443"), "{yaml}");
    assert!(yaml.contains("  # script-npm-hosts-8000: {"), "{yaml}");
    assert_eq!(
        yaml.matches("  # was refused\n").count() + usize::from(yaml.ends_with("# was refused")),
        2,
        "{yaml}"
    );
    assert!(!yaml.contains("registry.npm.example"), "{yaml}");
}

#[test]
fn a_refused_connection_is_listed_and_offers_no_list() {
    let mut two = case("two");
    two.findings[1].achieved = Achieved::Denied;
    let text = told(&two);
    let section = text.split_once("Network\n").unwrap().1;
    assert!(section.contains("203.0.113.7:443"), "{text}");
    assert!(!section.contains("To let scripts"), "{text}");
}

#[test]
fn who_sent_nothing_is_not_mentioned() {
    assert!(!told(&summary(vec![finding()])).contains("Network"));
    assert!(!render(&Markdown, &summary(vec![])).contains("on the network"));
}

#[test]
fn what_strangers_chose_stays_text() {
    let odd = flow(Some("a\u{1b}[2J|<b>\u{202e}"), "203.0.113.9", 443, 5, 0);
    let summary = talkative(vec![odd]);
    for screen in [WIDE, NARROW] {
        let text = anstream::adapter::strip_str(&render(&Human { screen }, &summary)).to_string();
        assert!(
            text.chars().all(|character| character == '\n' || crate::event::text::is_visible(character)),
            "{text}"
        );
    }
    let page = render(&Markdown, &summary);
    assert!(page.contains("1 host on the network") && !page.contains("<b>"), "{page}");
}
