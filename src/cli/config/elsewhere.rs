//! Keys that no file has, for what they say is said on the command line or in the environment.

/// What `export` takes as a flag only.
const FLAGS: [&str; 12] = [
    "allow_shrink",
    "concurrency",
    "log_format",
    "max_duration",
    "memory",
    "new_table",
    "now",
    "rate",
    "report",
    "take_over",
    "temp_dir",
    "until",
];

/// The remedy, when `key` in the section `path` is none of the file but is said elsewhere.
pub fn remedy(path: &str, key: &str) -> Option<String> {
    let name = key.replace('-', "_").to_lowercase();
    if path == "streams" {
        return None;
    }
    if name == "api_url" || name == "cio_api_url" {
        return Some("no key of this file: this is the variable CIO_API_URL, or the flag --api-url".to_owned());
    }
    let is_flag = FLAGS.contains(&name.as_str());
    is_flag.then(|| format!("no key of this file: this is a flag, --{}", name.replace('_', "-")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn each_is_a_flag_of_export() {
        let command = Args::command();
        let export = command.find_subcommand("export").unwrap();
        let flags = || export.get_arguments().chain(command.get_arguments());
        for key in FLAGS {
            let flag = key.replace('_', "-");
            assert!(flags().any(|arg| arg.get_long() == Some(&flag)), "{key}");
            assert!(remedy("", key).is_some_and(|text| text.ends_with(&format!("--{flag}"))));
        }
        assert!(remedy("", "api_url").is_some_and(|text| text.contains("CIO_API_URL")));
        assert_eq!(remedy("streams", "rate"), None);
        assert_eq!(remedy("", "regoin"), None);
    }
}
