//! Parts of documents that are written here: from `<!-- NAME:begin -->` to `<!-- NAME:end -->`. The rest is people's.

use anyhow::{Context, Result};

/// What stands between the markers of this name.
pub(crate) fn part<'a>(document: &'a str, name: &str) -> Result<&'a str> {
    Ok(split(document, name)?.1)
}

/// The document with this text, of whole lines, between the markers.
pub(crate) fn replaced(document: &str, name: &str, text: &str) -> Result<String> {
    let (before, _, after) = split(document, name)?;
    Ok(format!("{before}{}\n{text}{}{after}", begin(name), end(name)))
}

fn split<'a>(document: &'a str, name: &str) -> Result<(&'a str, &'a str, &'a str)> {
    let (begin, end) = (begin(name), end(name));
    let (before, rest) = document.split_once(&begin).with_context(|| format!("the page has no {begin}"))?;
    let (part, after) = rest.split_once(&end).with_context(|| format!("the page has no {end}"))?;
    Ok((before, part, after))
}

fn begin(name: &str) -> String {
    format!("<!-- {name}:begin -->")
}

fn end(name: &str) -> String {
    format!("<!-- {name}:end -->")
}

#[cfg(test)]
mod tests {
    use super::{part, replaced};

    #[test]
    fn replaces_its_own_part_only() {
        let page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\n<!-- y:begin -->\n<!-- y:end -->\nb\n";
        let new = replaced(page, "x", "new\n").unwrap();
        assert_eq!(new, page.replace("old", "new"));
        assert_eq!(part(&new, "x").unwrap(), "\nnew\n");
        assert!(part(page, "z").is_err());
    }
}
