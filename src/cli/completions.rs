//! `wgrad completions`: what a shell needs to complete wgrad's commands and flags.

use clap::{Args, Command};
use clap_complete::Shell;

use super::predict;
use crate::error::Result;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad completions bash > ~/.local/share/bash-completion/completions/wgrad
  wgrad completions zsh > ~/.zfunc/_wgrad
  wgrad completions fish > ~/.config/fish/completions/wgrad.fish
  wgrad completions powershell >> $PROFILE
  wgrad completions elvish >> ~/.config/elvish/rc.elv";

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The shell that is to read it
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

pub(super) fn run(flags: &Flags, mut program: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut program, "wgrad", &mut script);
    predict::deliver(&script)
}
