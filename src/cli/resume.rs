//! `--resume RUN`: what must be as it was for a run to go on.

use std::path::Path;

use super::flags::{Overrides, RunFlags, Shared};
use super::print::Printer;
use super::project::Project;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::train::checkpoint::Checkpoint;
use crate::train::folder::Folder;

/// A run that is to go on.
pub(super) struct Resumed {
    pub folder: Folder,
    pub checkpoint: Checkpoint,
}

impl Resumed {
    /// Reads the checkpoint before anything else.
    pub fn read(run: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::read(run)?;
        Ok(Resumed { folder: Folder::reopen(run)?, checkpoint })
    }

    /// Lets flags that were not given say what the run says.
    pub fn complete(&self, flags: &mut RunFlags, shared: &mut Shared, overrides: &Overrides) -> Result<()> {
        if flags.config.is_none() {
            let path = self.folder.path().join("config.toml");
            if !path.exists() {
                self.folder.write_all(&[("config.toml", self.checkpoint.config.to_toml().as_bytes())])?;
            }
            flags.config = Some(path);
        }
        if !overrides.is_given("device") {
            shared.device.clone_from(&self.checkpoint.device);
        }
        Ok(())
    }

    /// Refuses to go on with other settings or other data.
    pub fn check(&self, project: &Project, printer: &Printer) -> Result<()> {
        let (before, now) = (&self.checkpoint.config, project.config());
        let differences: Vec<_> =
            before.differences(now).into_iter().filter(|difference| difference.key != "train.epochs").collect();
        if let Some(first) = differences.first() {
            let list: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let problem = format!("the run cannot go on with other settings: {}", list.join("; "));
            let remedy = "resume without them, or train anew without --resume";
            return Err(project.locate((first.key.clone(), Error::data(problem).remedy(remedy))));
        }
        self.check_epochs(now).map_err(|error| project.locate(("train.epochs".into(), error)))?;
        if self.checkpoint.data_sha256 != project.data.checksum {
            let short = |sum: &str| sum.chars().take(12).collect::<String>();
            let (was, is) = (short(&self.checkpoint.data_sha256), short(&project.data.checksum));
            return Err(Error::data(format!(
                "the data has changed since this run began: SHA-256 {was}… then, {is}… now"
            ))
            .at(&project.data.source)
            .remedy("bring the old data back, or train anew without --resume"));
        }
        let adapter = project.device.info().adapter;
        if adapter != self.checkpoint.adapter {
            printer.warn(format!(
                "the run was on {}; on {adapter} it goes on, but not bit for bit as it would have there",
                self.checkpoint.adapter
            ));
        }
        Ok(())
    }

    fn check_epochs(&self, now: &Config) -> Result<()> {
        let (before, epochs) = (self.checkpoint.config.train.epochs, now.train.epochs);
        let state = &self.checkpoint.state;
        let done = state.epochs.len() + usize::from(state.open.steps > 0);
        if epochs < done {
            let problem = format!("{done} epochs are done already or begun, {epochs} are asked for");
            return Err(Error::data(problem).remedy(format!("give {done} or more")));
        }
        let schedule = &now.schedule;
        let spans_all = schedule.name == "one_cycle" || (schedule.name == "cosine" && schedule.epochs.is_none());
        if epochs != before && spans_all {
            let problem = format!("the {} schedule was laid out for {before} epochs", schedule.name);
            return Err(Error::data(problem).remedy(format!("resume with {before} epochs, or train anew")));
        }
        Ok(())
    }
}
