//! Output files are written atomically and never over an input.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Npz, command, data, names, rejected, scratch, tool};

/// A folder for one test that contains a batch and an alphabet.
struct Folder {
    path: PathBuf,
    batch: String,
    alphabet: String,
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = scratch(name);
        fs::create_dir_all(&path).expect("the folder");
        let folder = Self {
            batch: path.join("batch.npz").display().to_string(),
            alphabet: path.join("alphabet.txt").display().to_string(),
            path,
        };
        fs::write(&folder.batch, Npz::small().bytes()).expect("the batch");
        fs::write(&folder.alphabet, "-ab\n").expect("the alphabet");
        folder
    }

    fn join(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).expect("the folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    fn loss(&self, out: &str) -> [String; 6] {
        ["loss", &self.batch, "--backend", "cpu", "--out", out].map(str::to_owned)
    }

    fn plot(&self, out: &str) -> [String; 8] {
        let alphabet = &self.alphabet;
        [
            "align",
            &self.batch,
            "--alphabet",
            alphabet,
            "--item",
            "0",
            "--plot",
            out,
        ]
        .map(str::to_owned)
    }
}

/// Returns the arguments of each command that writes a file, here to `out`.
fn commands(folder: &Folder, out: &str) -> Vec<Vec<String>> {
    vec![folder.loss(out).to_vec(), folder.plot(out).to_vec()]
}

#[track_caller]
fn rejected_without_changes(folder: &Folder, arguments: &[String], reason: &str) {
    let before = (fs::read(&folder.batch), fs::read(&folder.alphabet));
    let files = folder.files();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    rejected(&arguments, "", reason);
    let after = (fs::read(&folder.batch), fs::read(&folder.alphabet));
    assert_eq!(before.0.expect("a batch"), after.0.expect("the batch"));
    assert_eq!(
        before.1.expect("an alphabet"),
        after.1.expect("the alphabet")
    );
    assert_eq!(files, folder.files(), "a file is left behind");
}

#[test]
fn an_output_never_replaces_an_input() {
    let folder = Folder::new("own_names");
    let up = folder.join("../own_names/batch.npz");
    for out in [&folder.batch, &up] {
        for arguments in commands(&folder, out) {
            rejected_without_changes(&folder, &arguments, "would overwrite");
        }
    }
    let alphabet = folder.plot(&folder.alphabet);
    rejected_without_changes(&folder, &alphabet, "--plot would overwrite");
}

#[test]
#[cfg(unix)]
fn an_output_never_replaces_an_input_through_a_link() {
    let folder = Folder::new("links");
    let inputs = [
        ("batch.npz", &folder.batch),
        ("alphabet.txt", &folder.alphabet),
    ];
    for (name, input) in inputs {
        fs::hard_link(input, folder.join(&format!("hard_{name}"))).expect("a hard link");
        std::os::unix::fs::symlink(name, folder.join(&format!("soft_{name}"))).expect("a link");
    }
    for out in ["hard_batch.npz", "soft_batch.npz"] {
        for arguments in commands(&folder, &folder.join(out)) {
            rejected_without_changes(&folder, &arguments, "would overwrite");
        }
    }
    for out in ["hard_alphabet.txt", "soft_alphabet.txt"] {
        let plot = folder.plot(&folder.join(out));
        rejected_without_changes(&folder, &plot, "would overwrite");
    }
    // The batch is a symbolic link, and the output is a hard link to the same file.
    let linked = Folder {
        batch: folder.join("soft_batch.npz"),
        ..Folder::new("links")
    };
    rejected_without_changes(
        &linked,
        &linked.loss(&folder.join("hard_batch.npz")),
        "overwrite",
    );
}

#[test]
#[cfg(unix)]
fn links_are_followed_and_permissions_are_preserved() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::new("followed");
    fs::create_dir_all(folder.join("deeper")).expect("a folder");
    symlink("deeper/real.npz", folder.join("link.npz")).expect("a link");
    // First the target of the link does not exist, then it does.
    for _ in 0..2 {
        let run = tool(folder.loss(&folder.join("link.npz")));
        assert_eq!(run.status, 0, "{}", run.stderr);
        let link = fs::symlink_metadata(folder.join("link.npz")).expect("the link");
        assert!(link.is_symlink());
        assert_eq!(names(&folder.join("deeper/real.npz")).len(), 3);
        fs::set_permissions(
            folder.join("deeper/real.npz"),
            fs::Permissions::from_mode(0o640),
        )
        .expect("permissions");
    }
    let mode = |name: &str| {
        let data = fs::metadata(folder.join(name)).expect("a file");
        data.permissions().mode() & 0o777
    };
    assert_eq!(mode("deeper/real.npz"), 0o640);
    // The same mode as a file of any other program.
    fs::write(folder.join("usual"), "").expect("a file");
    assert_eq!(tool(folder.loss(&folder.join("new.npz"))).status, 0);
    assert_eq!(mode("new.npz"), mode("usual"));
    symlink("loop.npz", folder.join("loop.npz")).expect("a link");
    rejected_without_changes(
        &folder,
        &folder.loss(&folder.join("loop.npz")),
        "cannot be written",
    );
}

#[test]
fn an_output_that_cannot_be_written_is_rejected_before_anything_runs() {
    let folder = Folder::new("unwritable");
    fs::create_dir_all(folder.join("folder")).expect("a folder");
    for out in ["folder", "folder/", "no/such/folder/out", "batch.npz/out"] {
        for arguments in commands(&folder, &folder.join(out)) {
            rejected_without_changes(&folder, &arguments, "cannot be written");
        }
    }
    // Running the suite first would take minutes.
    let report = folder.join("no/such/folder/report.md");
    rejected(
        &["validate", "--full", "--report", &report],
        "report.md",
        "cannot be written",
    );
}

#[test]
#[cfg(unix)]
fn devices_and_pipes_are_written_to_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;

    let folder = Folder::new("devices");
    for arguments in commands(&folder, "/dev/null") {
        let run = tool(&arguments);
        assert_eq!((run.status, &*run.stderr), (0, ""), "{arguments:?}");
    }
    let null = fs::symlink_metadata("/dev/null").expect("the device");
    assert!(null.file_type().is_char_device());
    for arguments in commands(&folder, "/dev/stdout") {
        rejected_without_changes(
            &folder,
            &arguments,
            "is stdout, where the report is printed",
        );
    }
    let pipe = folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo starts").success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).expect("the pipe")
    });
    assert_eq!(tool(folder.plot(&pipe)).status, 0);
    assert!(reader.join().expect("the reader").starts_with(b"<svg"));
    // A pipe is rejected as input, since opening it may block forever.
    rejected(&["loss", &pipe], "pipe", "not a regular file");
    rejected(&["loss", "/dev/zero"], "/dev/zero", "not a regular file");
    let name = folder.path.display().to_string();
    rejected(&["loss", &name], "devices", "not a regular file");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported_on_one_line() {
    let folder = Folder::new("full");
    for arguments in commands(&folder, "/dev/full") {
        rejected_without_changes(&folder, &arguments, "No space left on device");
    }
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("the device");
    let run = command()
        .args(["loss", "--backend", "cpu", &folder.batch])
        .stdout(full)
        .output();
    let run = run.expect("the tool starts");
    let stderr = String::from_utf8(run.stderr).expect("UTF-8");
    assert_eq!(
        (run.status.code(), stderr.lines().count()),
        (Some(1), 1),
        "{stderr}"
    );
    assert!(
        stderr.contains("cannot write to stdout: No space left"),
        "{stderr}"
    );
}

#[test]
#[cfg(unix)]
fn a_write_beyond_the_file_size_limit_preserves_the_older_result() {
    let folder = Folder::new("limited");
    let batch = data("cli/plain.npz");
    let folder = Folder { batch, ..folder };
    let out = folder.join("out");
    for arguments in commands(&folder, &out) {
        let arguments: Vec<String> = arguments
            .into_iter()
            .filter(|flag| flag != "--alphabet" && *flag != folder.alphabet)
            .collect();
        fs::write(&out, "older").expect("an older result");
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", "ulimit -f 1; exec \"$@\"", "sh"]);
        limited.arg(env!("CARGO_BIN_EXE_ctc-wgpu")).args(&arguments);
        limited.env("XDG_RUNTIME_DIR", std::env::temp_dir());
        let run = limited.output().expect("sh starts");
        let stderr = String::from_utf8(run.stderr).expect("UTF-8");
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.contains("cannot be written: File too large"),
            "{stderr}"
        );
        assert_eq!(fs::read(&out).expect("the older result"), b"older");
        assert_eq!(folder.files(), ["alphabet.txt", "batch.npz", "out"]);
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_preserves_the_older_report_and_leaves_no_file() {
    use std::os::unix::process::ExitStatusExt;

    for signal in ["INT", "TERM"] {
        let folder = Folder::new(&format!("interrupted_{signal}"));
        let report = folder.join("report.md");
        fs::write(&report, "older").expect("an older report");
        let mut run = command()
            .args([
                "validate",
                "--full",
                "--backend",
                "cpu",
                "--report",
                &report,
            ])
            .spawn()
            .expect("the tool starts");
        let unfinished = || {
            folder
                .files()
                .iter()
                .any(|name| name.ends_with(".unfinished"))
        };
        while !unfinished() {
            assert_eq!(
                run.try_wait().expect("a child"),
                None,
                "the run has already ended"
            );
            std::thread::yield_now();
        }
        let pid = run.id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &pid])
            .status();
        assert!(kill.expect("kill starts").success());
        let status = run.wait().expect("an exit status");
        assert_eq!(
            status.signal(),
            Some(if signal == "INT" { 2 } else { 15 }),
            "{status}"
        );
        assert_eq!(fs::read(&report).expect("the older report"), b"older");
        assert_eq!(folder.files(), ["alphabet.txt", "batch.npz", "report.md"]);
    }
}

#[test]
fn a_result_replaces_an_older_one_and_leaves_no_other_file() {
    let folder = Folder::new("replaced");
    for _ in 0..2 {
        for (arguments, out) in [
            (folder.loss("out.npz").to_vec(), "out.npz"),
            (folder.plot("out.svg").to_vec(), "out.svg"),
        ] {
            // A name without a folder is in the current folder.
            let run = command()
                .current_dir(&folder.path)
                .args(&arguments)
                .output();
            assert!(run.expect("the tool starts").status.success());
            assert!(Path::new(&folder.join(out)).is_file());
        }
    }
    assert_eq!(
        folder.files(),
        ["alphabet.txt", "batch.npz", "out.npz", "out.svg"]
    );
    let loss = folder.join("out.npz");
    assert_eq!(names(&loss), ["grad.npy", "loss.npy", "status.npy"]);
}
