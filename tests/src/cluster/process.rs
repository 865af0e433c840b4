//! One process of the cluster: its command, its log, and every way to end it.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its output goes, added at the end.
    pub log: PathBuf,
    /// Its working folder.
    pub folder: PathBuf,
}

/// A process that may or may not run. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    start: Start,
    /// From its start until it is reaped; one that ended by itself stays here until somebody looks.
    child: Option<Child>,
    starts: u32,
}

/// Lines of the log that stand in an error.
const TAIL_LINES: usize = 8;
/// Bytes at the end of a log among which those lines are looked for.
const TAIL_BYTES: u64 = 16 << 10;
/// How often an ending process is looked at. `waitpid` with a deadline does not exist.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

impl Process {
    /// A process that is not started yet.
    pub fn new(name: &str, start: Start) -> Process {
        Process { name: name.to_string(), start, child: None, starts: 0 }
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.start.log
    }

    /// The arguments, to be changed before the next start.
    pub fn start_mut(&mut self) -> &mut Start {
        &mut self.start
    }

    /// The id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<()> {
        if self.is_running() {
            bail!("{} runs already", self.name);
        }
        if let Some(mut ended) = self.child.take() {
            ended.wait()?;
        }
        let open = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.start.log)
                .with_context(|| format!("opening {}", self.start.log.display()))
        };
        let child = Command::new(&self.start.program)
            .args(&self.start.arguments)
            .current_dir(&self.start.folder)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .spawn()
            .with_context(|| format!("starting {} ({})", self.name, self.start.program.display()))?;
        self.starts += 1;
        self.child = Some(child);
        Ok(())
    }

    /// Whether it was started and has not ended, by itself or by us.
    pub fn is_running(&self) -> bool {
        self.child.is_some() && self.peek().is_none()
    }

    /// If it ended without being told to: how, and the last lines of its log.
    pub fn premature_end(&self) -> Option<String> {
        let status = self.peek()?;
        Some(format!("{} ended ({status}); its log ends with\n{}", self.name, self.log_tail()))
    }

    /// SIGKILL, as a crash of the process; waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { bail!("{} does not run", self.name) };
        child.kill().with_context(|| format!("killing {}", self.name))?;
        child.wait().with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// SIGSTOP: it stands still, its connections stay open.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, if it runs.
    pub fn request_stop(&self) -> Result<()> {
        if self.child.is_some() { self.signal(Signal::TERM) } else { Ok(()) }
    }

    /// Whether it does not run (any more).
    pub fn has_stopped(&mut self) -> Result<bool> {
        if let Some(child) = self.child.as_mut()
            && child.try_wait()?.is_some()
        {
            self.child = None;
        }
        Ok(self.child.is_none())
    }

    /// Waits until it ends by itself; how it ended.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let Some(child) = self.child.as_mut() else { bail!("{} does not run", self.name) };
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} still runs after {limit:?}; its log ends with\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// The whole log.
    pub fn log_text(&self) -> Result<String> {
        let bytes = std::fs::read(&self.start.log)
            .with_context(|| format!("reading {}", self.start.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let text = tail_text(&self.start.log).unwrap_or_else(|error| format!("({error})"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// No thread of it panicked, as far as its log tells; one that was never started has none.
    pub fn ensure_no_panic(&self) -> Result<()> {
        if self.starts == 0 {
            return Ok(());
        }
        let log = self.log_text()?;
        let panic = log.lines().find(|line| line.contains(" panicked at "));
        ensure!(panic.is_none(), "{}: {}", self.name, panic.unwrap_or_default());
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} does not run", self.name))?;
        let pid = Pid::from_child(child);
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.name))
    }

    /// The status of an end that nobody of ours asked for, without reaping the child (that needs `&mut`).
    fn peek(&self) -> Option<ExitStatus> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let pid = Pid::from_child(self.child.as_ref()?);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let found = waitid(WaitId::Pid(pid), options).ok().flatten()?;
        let raw = match (found.exit_status(), found.terminating_signal()) {
            (Some(code), _) => code << 8,
            (None, Some(signal)) => signal,
            (None, None) => return None,
        };
        Some(ExitStatus::from_raw(raw))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn tail_text(path: &Path) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Process) {
        let folder = tempfile::tempdir().unwrap();
        let start = Start {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_string(), script.to_string()],
            log: folder.path().join("log"),
            folder: folder.path().to_path_buf(),
        };
        let mut process = Process::new("shell", start);
        process.start().unwrap();
        (folder, process)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn an_end_by_itself_is_told_with_the_log() {
        let (_folder, mut process) = shell("echo out of luck; exit 3");
        while process.is_running() {
            std::thread::sleep(LOOK_INTERVAL);
        }
        let text = process.premature_end().unwrap();
        assert!(text.contains("out of luck") && text.contains('3'), "{text}");
        assert_eq!(process.wait_end(LONG).unwrap().code(), Some(3));
    }

    #[test]
    fn a_panic_in_the_log_is_found() {
        let (_folder, mut process) = shell("echo \"thread 'x' panicked at a.rs:1\" >&2");
        process.wait_end(LONG).unwrap();
        assert!(process.ensure_no_panic().unwrap_err().to_string().contains("a.rs:1"));
        let (_folder, mut process) = shell("echo 'no panic today'");
        process.wait_end(LONG).unwrap();
        process.ensure_no_panic().unwrap();
    }

    #[test]
    fn a_deaf_process_is_killed_in_the_end() {
        let (_folder, mut process) = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
        while !process.log_text().unwrap().contains("ready") {
            std::thread::sleep(LOOK_INTERVAL);
        }
        process.request_stop().unwrap();
        assert!(process.wait_end(Duration::from_millis(200)).is_err());
        assert!(!process.has_stopped().unwrap());
        process.kill().unwrap();
        assert!(process.has_stopped().unwrap());
        assert!(!process.is_running());
        assert!(process.kill().is_err(), "it was gone already");
    }

    #[test]
    fn a_paused_process_can_be_killed() {
        let (_folder, mut process) = shell("sleep 600");
        process.pause().unwrap();
        assert!(process.is_running());
        process.kill().unwrap();
        process.start().unwrap();
        assert_eq!(process.starts(), 2);
    }
}
