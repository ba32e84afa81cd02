// SPDX-License-Identifier: GPL-2.0
// What userspace/example/command.rs promises. Prints a line for each test.

use command::Command;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{self, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

fn error_of<T>(result: io::Result<T>) -> i32 {
    result
        .err()
        .and_then(|error| error.raw_os_error())
        .unwrap_or(0)
}

fn sh(command: &str) -> Command {
    let mut sh = Command::new("sh");
    sh.arg("-c").args([command]);
    sh
}

fn text(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn status() -> bool {
    sh("exit 3").status().unwrap().code() == Some(3)
        && sh("kill -TERM $$").status().unwrap().signal() == Some(15)
        && Command::new("true").status().unwrap().success()
}

fn output() -> bool {
    let output = sh("cat; echo out; echo err >&2; exit 4").output().unwrap();
    output.stdout == b"out\n" && output.stderr == b"err\n" && output.status.code() == Some(4)
}

// More than a pipe holds, on both at once.
fn much_output() -> bool {
    let output = sh("yes | head -c 300000 >&2 & yes | head -c 300000; wait")
        .output()
        .unwrap();
    output.stdout.len() == 300000 && output.stderr.len() == 300000
}

fn environment() -> bool {
    let home = std::env::var("HOME").unwrap_or_default();
    text(sh("echo $A$HOME").env("A", "b")) == format!("b{}\n", home)
        && text(Command::new("env").env_clear().env("A", "b").env("C", "d")) == "A=b\nC=d\n"
}

fn current_dir() -> bool {
    text(Command::new("pwd").current_dir("/usr")) == "/usr\n"
        && error_of(Command::new("pwd").current_dir("/nonexistent").spawn()) == 2
        && std::env::current_dir().unwrap() != std::path::Path::new("/usr")
}

fn exec_errors() -> bool {
    error_of(Command::new("/nonexistent/program").spawn()) == 2
        && error_of(Command::new("/etc/passwd").output()) == 13
        && Command::new("nul\0").spawn().err().unwrap().kind() == io::ErrorKind::InvalidInput
        && process::Command::new("nul\0").spawn().err().unwrap().kind()
            == io::ErrorKind::InvalidInput
}

static SEEN: AtomicU32 = AtomicU32::new(0);

fn note() -> io::Result<()> {
    SEEN.store(process::id(), SeqCst);
    Ok(())
}

// The memory is the parent's; std's command, the control, forks for its closure.
fn pre_exec_without_fork() -> bool {
    let mut forked = process::Command::new("true");
    unsafe { forked.pre_exec(note) };
    forked.status().unwrap();
    if SEEN.load(SeqCst) != 0 {
        return false;
    }
    let mut child = unsafe { Command::new("true").pre_exec(note) }
        .spawn()
        .unwrap();
    SEEN.load(SeqCst) == child.id() && child.wait().unwrap().success()
}

fn pre_exec_in_order() -> bool {
    let mut list = Command::new("pwd");
    list.current_dir("/usr");
    unsafe {
        list.pre_exec(|| std::env::set_current_dir("bin"));
        list.pre_exec(|| std::env::set_current_dir(".."));
    }
    text(&mut list) == "/usr\n" && text(&mut list) == "/usr\n"
}

fn pre_exec_fails() -> bool {
    let mut command = Command::new("true");
    let mut other = Command::new("true");
    unsafe {
        command.pre_exec(|| Err(io::Error::from_raw_os_error(18)));
        other.pre_exec(|| Err(io::Error::new(io::ErrorKind::Other, "x")));
    }
    error_of(command.spawn()) == 18 && error_of(other.spawn()) == 22
}

// Nothing is told on standard error, and the parent can still panic as ever.
fn pre_exec_panics() -> bool {
    let mut command = Command::new("true");
    unsafe { command.pre_exec(|| panic!("in the child")) };
    panic::set_hook(Box::new(|_| ()));
    let errors = [error_of(command.spawn()), error_of(command.spawn())];
    let caught = catch_unwind(|| panic!("in the parent")).is_err();
    let _ = panic::take_hook();
    errors == [125, 125] && caught && !std::thread::panicking()
}

fn main() {
    let tests: [(&str, fn() -> bool); 10] = [
        ("status()", status),
        ("output()", output),
        ("output() of more than pipes hold", much_output),
        ("env(), env_clear()", environment),
        ("current_dir()", current_dir),
        ("an exec that fails", exec_errors),
        ("pre_exec() costs no fork", pre_exec_without_fork),
        (
            "pre_exec() in order, after current_dir(), each time",
            pre_exec_in_order,
        ),
        ("pre_exec() that fails", pre_exec_fails),
        ("pre_exec() that panics", pre_exec_panics),
    ];
    let mut failed = false;
    for (name, test) in tests {
        let ok = catch_unwind(test).unwrap_or(false);
        println!("{} {}", if ok { "ok" } else { "not ok" }, name);
        failed |= !ok;
    }
    process::exit(failed as i32);
}
