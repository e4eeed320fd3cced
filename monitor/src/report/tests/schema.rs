//! Formats of others, held against their schemas. `schemas/README.md` says where those are from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::hostile::{played, rendered};
use super::recorded::{Told, small};
use super::table;
use crate::cli::format::Format;

/// Runs to try: a real one, one with every action and object, and the odd ones.
fn runs() -> Vec<(String, Told)> {
    let mut runs = vec![
        ("recorded".to_owned(), small()),
        ("every action".to_owned(), played(b"/home/u/.npmrc")),
        ("every action, strange".to_owned(), played(b"a\x1b\xff{0}[x](y) \"'<")),
        ("every action, nothing".to_owned(), played(b"")),
    ];
    runs.extend(table().into_iter().map(|(name, summary)| (name.to_owned(), (summary, Vec::new()))));
    runs
}

fn errors(validator: &jsonschema::Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn sarif_is_valid() {
    let schema: Value = serde_json::from_str(include_str!("schemas/sarif-schema-2.1.0.json")).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    assert!(!validator.is_valid(&json!({ "version": "2.1.0", "runs": [{}] })), "the schema says nothing");
    for (name, told) in runs() {
        let log: Value = serde_json::from_str(&rendered(Format::Sarif, &told)).unwrap();
        assert_eq!(errors(&validator, &log), Vec::<String>::new(), "{name}: {log:#}");
        let run = &log["runs"][0];
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), told.0.findings.len(), "{name}");
        let mut fingerprints: Vec<&Value> = Vec::new();
        for result in results {
            // What the schema cannot say.
            let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], result["ruleId"], "{name}");
            assert!(!rule["help"]["text"].as_str().unwrap().is_empty(), "{name}: {rule}");
            let fingerprint = &result["partialFingerprints"]["pkgwardenFinding/v1"];
            assert!(!fingerprints.contains(&fingerprint), "{name}: {fingerprint}");
            fingerprints.push(fingerprint);
        }
    }
}

#[test]
fn ocsf_is_valid() {
    let schemas: Value = serde_json::from_str(include_str!("schemas/ocsf-1.8.0.json")).unwrap();
    let validators: BTreeMap<&String, jsonschema::Validator> = schemas["classes"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(class, schema)| {
            let mut schema = schema.clone();
            schema["$schema"] = schemas["$schema"].clone();
            schema["$defs"] = schemas["$defs"].clone();
            (class, jsonschema::options().build(&schema).unwrap())
        })
        .collect();
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for (name, told) in runs() {
        for line in rendered(Format::Ocsf, &told).lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let class = event["class_uid"].to_string();
            let validator = validators.get(&class).unwrap_or_else(|| panic!("{name}: class {class}"));
            assert_eq!(errors(validator, &event), Vec::<String>::new(), "{name}: {event:#}");
            let number = |field: &str| event[field].as_u64().unwrap();
            assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"), "{name}");
            assert_eq!(number("category_uid"), number("class_uid") / 1000, "{name}");
            *met.entry(class).or_default() += 1;
        }
    }
    assert_eq!(met.keys().collect::<Vec<_>>(), validators.keys().copied().collect::<Vec<_>>(), "{met:?}");
}

#[test]
fn the_ocsf_schema_refuses_what_is_wrong() {
    let schemas: Value = serde_json::from_str(include_str!("schemas/ocsf-1.8.0.json")).unwrap();
    let mut schema = schemas["classes"]["1001"].clone();
    schema["$defs"] = schemas["$defs"].clone();
    schema["$schema"] = schemas["$schema"].clone();
    let validator = jsonschema::options().build(&schema).unwrap();
    let told = played(b"/x");
    let lines = rendered(Format::Ocsf, &told);
    let event: Value = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|event: &Value| event["class_uid"] == 1001)
        .unwrap();
    assert!(validator.is_valid(&event));
    for (field, value) in
        [("severity_id", json!(7)), ("class_uid", json!(1002)), ("made_up", json!(1)), ("file", json!({}))]
    {
        let mut wrong = event.clone();
        wrong[field] = value;
        assert!(!validator.is_valid(&wrong), "{field}");
    }
}

/// Fields of a document that hold values, by dotted name.
fn fields(value: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                // Our own, as a set of fields of its own.
                if at != "pkgwarden" {
                    fields(value, &at, found);
                }
            }
        }
        // A list of objects has the fields of each.
        Value::Array(values) if values.first().is_some_and(Value::is_object) => {
            values.iter().for_each(|value| fields(value, at, found));
        }
        _ => found.push((at.to_owned(), value.clone())),
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "long" | "integer" | "short" | "unsigned_long" => value.is_i64() || value.is_u64(),
        "ip" => value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
        "boolean" => value.is_boolean(),
        "date" => value.as_str().is_some_and(|text| crate::event::Timestamp::parse(text).is_some()),
        "keyword" | "constant_keyword" | "wildcard" | "text" | "match_only_text" => value.is_string(),
        _ => false,
    }
}

#[test]
fn ecs_is_valid() {
    let schema: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("schemas/ecs-9.4.0.json")).unwrap();
    let types = &schema["event.category"]["types"];
    for (name, told) in runs() {
        for line in rendered(Format::Ecs, &told).lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            let mut found = Vec::new();
            fields(&document, "", &mut found);
            for (field, value) in &found {
                let known =
                    schema.get(field).unwrap_or_else(|| panic!("{name}: ECS has no {field}: {document:#}"));
                assert_eq!(
                    value.is_array(),
                    known["array"] == true,
                    "{name}: {field} is a list or not: {value}"
                );
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                for value in values {
                    assert!(
                        fits(known["type"].as_str().unwrap(), value),
                        "{name}: {field} is {known}: {value}"
                    );
                    if let Some(allowed) = known["allowed"].as_array() {
                        assert!(allowed.contains(value), "{name}: {field}: {value}");
                    }
                }
            }
            for required in ["@timestamp", "ecs", "event", "message"] {
                let optional = required == "message" && document["rule"].is_null();
                assert!(optional || !document[required].is_null(), "{name}: {required}");
            }
            // Each type must be expected with one of the categories.
            let categories = document["event"]["category"].as_array().unwrap();
            for kind in document["event"]["type"].as_array().unwrap() {
                let expected =
                    |category: &Value| types[category.as_str().unwrap()].as_array().unwrap().contains(kind);
                assert!(categories.iter().any(expected), "{name}: {kind} with {categories:?}");
            }
        }
    }
}
