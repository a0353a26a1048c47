use std::path::PathBuf;

use clap::Parser as _;

use super::*;

/// The file that packages install.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/portscope.toml");

struct Written(PathBuf);

impl Written {
    fn of(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portscope-{}-config-{name}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn with(name: &str, text: &str, words: &[&str]) -> Result<Vec<String>, String> {
    let file = Written::of(name, text);
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    match with_file(&words, "serve", &file.0) {
        Ok(words) => Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect()),
        Err(Failure::Usage { told, hint }) => Err(format!(
            "{} | {}",
            told.replace(&file.0.display().to_string(), "FILE"),
            hint.unwrap_or_default()
        )),
        Err(other) => Err(format!("{other:?}")),
    }
}

#[test]
fn keys_become_words_and_those_that_were_given_win() {
    let text = "[serve]\ntop = 7\nreleases = true\nnetns = ['shop', 'host']\nverbose = 1\nhistory = \"30m\"\n\
                [record]\nring = \"1GiB\"\n";
    let words = with("words", text, &["portscope", "serve", "--top", "9"]).unwrap();
    let expected = [
        "portscope",
        "serve",
        "--releases",
        "--netns=shop",
        "--netns=host",
        "--verbose",
        "--history=30m",
        "--top",
        "9",
    ];
    assert_eq!(words, expected);
    Cli::try_parse_from(words).unwrap();
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let cases = [
        ("[serve]\ntpo = 7\n", "FILE, line 2: there is no option tpo | did you mean top?"),
        ("\n[serv]\n", "FILE, line 2: there is no section serv | did you mean serve?"),
        ("[serve]\nreleases = 'yes'\n", "FILE, line 2: releases cannot be that | give true or false"),
        (
            "[serve]\n\ntop = 0\n",
            "FILE, line 3: top: invalid value '0' for '--top <N>': 0 is not in 1..=200 | see --help",
        ),
        (
            "[serve]\nlisten = ['nowhere']\n",
            "FILE, line 2: listen: invalid value 'nowhere' for '--listen <ADDRESS>'",
        ),
        ("[serve]\ntop = 1.5\n", "FILE, line 2: top cannot be that | give a text or a number"),
        ("[serve]\nconfig = 'x'\n", "FILE, line 2: there is no option config"),
        ("serve = 1\n", "FILE, line 1: serve is no section | write [serve]"),
        ("[serve\n", "FILE, line 1: "),
        ("[serve]\ntop = 1\ntop = 2\n", "FILE, line 3: "),
    ];
    for (text, expected) in cases {
        let told = with("wrong", text, &["portscope", "serve"]).unwrap_err();
        assert!(told.starts_with(expected), "{text:?}: {told}, not {expected}");
    }
}

#[test]
fn the_example_says_what_holds_without_it() {
    let text = fs::read_to_string(EXAMPLE).unwrap();
    let bare: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // `#key = value`, not `# words`.
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    for section in SECTIONS {
        let needed: &[&str] = if section == "record" { &["-w", "x"] } else { &[] };
        let plain: Vec<OsString> = ["portscope", section].iter().chain(needed).map(OsString::from).collect();
        let file = Written::of(section, &bare);
        let words = with_file(&plain, section, &file.0).unwrap();
        assert!(words.len() > plain.len(), "{section} has no option in {EXAMPLE}");
        let [with, without] =
            [words, plain].map(|words| format!("{:?}", Cli::try_parse_from(words).unwrap()));
        assert_eq!(with, without);
    }
}
