//! Command lines in questions: which word is the program, which one the script.

/// What an interpreter runs.
pub(super) struct Script<'a> {
    pub(super) name: String,
    pub(super) arguments: &'a [&'a str],
}

/// The first argument that is no option, or the module behind `-m`. Code on the command line (`-c`, `-e`) is no script.
pub(super) fn script<'a>(words: &'a [&'a str]) -> Option<Script<'a>> {
    let arguments = words.get(1..)?;
    for (index, word) in arguments.iter().enumerate() {
        match *word {
            "-m" => {
                let module = arguments.get(index + 1)?;
                return Some(Script { name: format!("-m {module}"), arguments: &arguments[index + 2..] });
            }
            "-c" | "-e" | "--eval" | "-p" | "--print" => return None,
            option if option.starts_with('-') => {}
            name => {
                return Some(Script { name: name.to_owned(), arguments: &arguments[index + 1..] });
            }
        }
    }
    None
}

pub(super) fn words(command: &str) -> Vec<&str> {
    command.split_ascii_whitespace().collect()
}

pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

pub(super) fn command(name: &str, arguments: &[&str]) -> Vec<u8> {
    let name = name.strip_prefix("-m ").unwrap_or(name);
    let mut bytes = base_name(name.as_bytes()).to_vec();
    for argument in arguments {
        bytes.push(0);
        bytes.extend_from_slice(argument.as_bytes());
    }
    bytes
}
