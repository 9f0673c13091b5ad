//! What every command that manages a running service takes: which service, as whom, and how the answer is printed.

use std::path::PathBuf;

use clap::Args;
use url::Url;

/// Which service, as whom, and how.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Service")]
pub(crate) struct ServiceOptions {
    /// Base URL of the service [default: the `remora up` that runs on the data directory]
    #[arg(long, value_name = "URL", env = "REMORA_SERVICE", global = true)]
    pub(crate) service: Option<Url>,
    /// Data directory of the running `remora up` to manage [default: as for `remora up`, if one runs there]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Act as the administrator of that `remora up`, also where the environment names a credential
    #[arg(long, global = true)]
    pub(crate) admin: bool,
    /// The subscription, by id or name [default: the only one there is]
    #[arg(long, value_name = "ID|NAME", env = "AZURE_SUBSCRIPTION_ID", global = true)]
    pub(crate) subscription: Option<String>,
    /// The resource group [default: `remora` for what is made; all of them for what is listed or looked for]
    #[arg(short = 'g', long, value_name = "NAME", env = "REMORA_RESOURCE_GROUP", global = true)]
    pub(crate) resource_group: Option<String>,
    /// Certificate authorities (PEM) to trust besides the usual ones and SSL_CERT_FILE
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print the service's own JSON instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but what names each thing (its name or id), one a line
    #[arg(short, long, global = true, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

impl ServiceOptions {
    /// As they would be typed again after a command, with a space before; what only forms the output is left out.
    pub(crate) fn as_arguments(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                text.push_str(&format!(" {name} {}", shell_word(value)));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        add("--service", self.service.as_ref().map(Url::as_str));
        add("--data-dir", path(&self.data_dir).as_deref());
        add("--subscription", self.subscription.as_deref());
        add("--ca-file", path(&self.ca_file).as_deref());
        if self.admin {
            text.push_str(" --admin");
        }
        text
    }
}

/// A word as a shell takes it.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// For what cannot be undone.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Confirmation {
    /// Do not ask first
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// Tags of a new resource.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NewTags {
    /// A tag; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub(crate) tags: Vec<(String, String)>,
}

/// Changes of tags.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TagChanges {
    /// Set a tag; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub(crate) set: Vec<(String, String)>,
    /// Take a tag away; may be given several times
    #[arg(long = "remove-tag", value_name = "KEY")]
    pub(crate) remove: Vec<String>,
}

impl TagChanges {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it KEY=VALUE".to_owned()),
    }
}
