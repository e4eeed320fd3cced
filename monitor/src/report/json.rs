//! `pkgwarden.report/1`: the whole run as one JSON object.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::Report;
use crate::event::Event;
use crate::event::log::{Host, Rules};
use crate::event::text::{Text, visible_json};
use crate::event::time::Timestamp;
use crate::finding::{Finding, PackageSummary, Summary};
use crate::rule::syntax::Severity;

/// Name and version of the format.
pub const SCHEMA: &str = "pkgwarden.report/1";

/// One JSON object, indented.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

#[derive(Serialize)]
struct Root<'a> {
    schema: &'static str,
    version: &'a str,
    tier: &'static str,
    mode: &'static str,
    command: &'a [Text],
    #[serde(skip_serializing_if = "<[Text]>::is_empty")]
    started_by: &'a [Text],
    exit_code: Option<u8>,
    started: Timestamp,
    ended: Option<Timestamp>,
    complete: bool,
    host: &'a Host,
    rules: &'a Rules,
    processes: u64,
    scopes: u64,
    worst: Option<Severity>,
    findings: &'a [Finding],
    packages: &'a [PackageSummary],
    left_out: u64,
    lost: BTreeMap<&'a str, u64>,
}

impl Report for Json {
    fn render(
        &self,
        summary: &Summary,
        _: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Summary { run, end, findings, packages, processes, scopes, left_out, worst } = summary;
        let lost = end.iter().flat_map(|end| &end.lost).map(|(name, count)| (name.as_str(), *count));
        let root = Root {
            schema: SCHEMA,
            version: &run.version,
            tier: run.tier.word(),
            mode: run.mode.word(),
            command: &run.command,
            started_by: &run.started_by,
            exit_code: end.as_ref().and_then(|end| end.exit_code),
            started: run.time,
            ended: end.as_ref().map(|end| end.time),
            complete: end.as_ref().is_some_and(|end| end.lost.is_empty()) && *left_out == 0,
            host: &run.host,
            rules: &run.rules,
            processes: *processes,
            scopes: *scopes,
            worst: *worst,
            findings,
            packages,
            left_out: *left_out,
            lost: lost.collect(),
        };
        let mut json = visible_json(serde_json::to_vec_pretty(&root)?);
        json.push(b'\n');
        out.write_all(&json)
    }
}
