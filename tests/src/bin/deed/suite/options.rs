//! The words behind `deed suite`.

use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;

const USAGE: &str = "usage: deed suite [--pkgwarden PATH] [--tiers kill,deny|none] [--only NAME]... [--limit SECONDS] \
                     [--flood COUNT] [--list]";
/// What each run may take. Far more than it does: emulated machines are slow, and slower beside other work.
const LIMIT: Duration = Duration::from_secs(240);
/// Opens of a flood.
const FLOOD: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Options {
    pub(super) pkgwarden: PathBuf,
    pub(super) tiers: Vec<String>,
    /// Then a tier that this kernel has not is a failure.
    pub(super) asked_for_tiers: bool,
    pub(super) only: Vec<String>,
    pub(super) limit: Duration,
    pub(super) flood: u64,
    pub(super) list: bool,
}

impl Options {
    pub(super) fn parse(words: &[&str]) -> Result<Self, Failure> {
        let mut options = Self {
            pkgwarden: "/bin/pkgwarden".into(),
            tiers: vec!["kill".into(), "deny".into()],
            asked_for_tiers: false,
            only: Vec::new(),
            limit: LIMIT,
            flood: FLOOD,
            list: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if *word == "--list" {
                options.list = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("nothing behind {word}\n{USAGE}"))?;
            match *word {
                "--pkgwarden" => options.pkgwarden = std::path::absolute(value)?,
                "--tiers" => {
                    // None: bare only.
                    let tiers = value.split(',').filter(|tier| *tier != "none");
                    options.tiers = tiers.map(str::to_owned).collect();
                    options.asked_for_tiers = true;
                }
                "--only" => options.only.push((*value).to_owned()),
                "--limit" => options.limit = Duration::from_secs(value.parse()?),
                "--flood" => options.flood = value.parse()?,
                _ => return Err(format!("what is {word}?\n{USAGE}").into()),
            }
        }
        if let Some(tier) = options.tiers.iter().find(|tier| !matches!(tier.as_str(), "kill" | "deny")) {
            return Err(format!("there is no tier `{tier}`; there are kill and deny").into());
        }
        Ok(options)
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
