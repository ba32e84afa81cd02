// SPDX-License-Identifier: LGPL-2.1-or-later
//! Command: std::process::Command by libavfork, for a pre_exec that costs no fork.
//!
//!	let output = Command::new("ls").arg("-l").current_dir("/").output()?;
//!
//! What differs from std: the program is looked for along the caller's PATH, whatever
//! env() says; of the descriptors that lack FD_CLOEXEC only 0, 1 and 2 are inherited;
//! and a pre_exec closure runs in the parent's memory, whose variables it may set.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{c_void, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::os::raw::{c_char, c_int, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::{AsRawFd, FromRawFd};
use std::os::unix::process::ExitStatusExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{ExitStatus, Output};
use std::ptr::{null, null_mut};
use std::thread;

const AVFORK_SYNC: c_int = 0x1;
const AVFORK_STDIO: c_int = 0x2;
const AVFORK_SEARCH_PATH: c_int = 0x40000;

/// struct avfork_fd
#[repr(C)]
struct Grant {
    parent_fd: c_int,
    child_fd: c_int,
    flags: c_uint,
    reserved: c_uint,
}

/// struct avfork_opts
#[repr(C)]
struct Opts {
    size: usize,
    flags: c_int,
    cgroup_fd: c_int,
    fds: *const Grant,
    nr_fds: usize,
    pidfd: *mut c_int,
    left: *mut c_int,
    namespaces: u64,
    stack: *mut c_void,
    stack_size: usize,
    before_exec: Option<extern "C" fn(*mut c_void) -> c_int>,
    before_arg: *mut c_void,
}

extern "C" {
    fn avfork_exec_pipes(
        opts: *const Opts,
        path: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
        stdin: *mut c_int,
        stdout: *mut c_int,
        stderr: *mut c_int,
    ) -> c_int;
    fn avfork_waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn chdir(path: *const c_char) -> c_int;
}

const EINVAL: c_int = 22;
const ECANCELED: c_int = 125;

type Closure = Box<dyn FnMut() -> io::Result<()> + Send + Sync>;

pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Option<BTreeMap<OsString, OsString>>,
    dir: Option<Vec<u8>>,
    closures: Vec<Closure>,
}

/// What the child does before the exec. The parent waits, so all may be borrowed.
struct Before<'a> {
    dir: Option<CString>,
    closures: &'a mut [Closure],
}

impl Before<'_> {
    fn run(&mut self) -> io::Result<()> {
        if let Some(dir) = &self.dir {
            if unsafe { chdir(dir.as_ptr()) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        self.closures.iter_mut().try_for_each(|closure| closure())
    }
}

/// No panic may leave this: the caller is C. Nor may one come from the payload's drop.
extern "C" fn before_exec(arg: *mut c_void) -> c_int {
    let before = unsafe { &mut *(arg as *mut Before) };
    match catch_unwind(AssertUnwindSafe(|| before.run())) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => error.raw_os_error().filter(|&e| e > 0).unwrap_or(EINVAL),
        Err(payload) => {
            mem::forget(payload);
            ECANCELED
        }
    }
}

fn c_strings<S: Into<Vec<u8>>>(strings: impl IntoIterator<Item = S>) -> io::Result<Vec<CString>> {
    strings.into_iter().map(|s| Ok(CString::new(s)?)).collect()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([null()]).collect()
}

impl Command {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Command {
            program: program.as_ref().into(),
            args: Vec::new(),
            env: None,
            dir: None,
            closures: Vec::new(),
        }
    }

    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().into());
        self
    }

    pub fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let env = self.env.get_or_insert_with(|| env::vars_os().collect());
        env.insert(name.as_ref().into(), value.as_ref().into());
        self
    }

    pub fn env_clear(&mut self) -> &mut Self {
        self.env = Some(BTreeMap::new());
        self
    }

    pub fn current_dir(&mut self, dir: impl AsRef<OsStr>) -> &mut Self {
        self.dir = Some(dir.as_ref().as_bytes().into());
        self
    }

    /// # Safety
    /// The closure runs beside the other threads, in their memory. What it may do is in
    /// avfork(7): more than after fork, but it must not keep the number of a descriptor.
    pub unsafe fn pre_exec<F>(&mut self, closure: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        self.closures.push(Box::new(closure));
        self
    }

    pub fn spawn(&mut self) -> io::Result<Child> {
        self.spawn_with(&[], null_mut(), null_mut())
    }

    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    pub fn output(&mut self) -> io::Result<Output> {
        let input = File::open("/dev/null")?;
        let grant = Grant {
            parent_fd: input.as_raw_fd(),
            child_fd: 0,
            flags: 0,
            reserved: 0,
        };
        let (mut out, mut err) = (-1, -1);
        let mut child = self.spawn_with(&[grant], &mut out, &mut err)?;
        let (stdout, stderr) = thread::scope(|scope| {
            let stderr = scope.spawn(|| read_all(err));
            (read_all(out), stderr.join().unwrap())
        });
        Ok(Output {
            status: child.wait()?,
            stdout: stdout?,
            stderr: stderr?,
        })
    }

    fn spawn_with(
        &mut self,
        grants: &[Grant],
        stdout: *mut c_int,
        stderr: *mut c_int,
    ) -> io::Result<Child> {
        let argv = c_strings(
            [&self.program]
                .into_iter()
                .chain(&self.args)
                .map(|s| s.as_bytes()),
        )?;
        // The library's own look at environ would be without std's lock.
        let vars = self.env.clone().unwrap_or_else(|| env::vars_os().collect());
        let envp = c_strings(
            vars.iter()
                .map(|(n, v)| [n.as_bytes(), b"=", v.as_bytes()].concat()),
        )?;
        let mut before = Before {
            dir: c_strings(self.dir.clone())?.pop(),
            closures: &mut self.closures,
        };
        let needed = before.dir.is_some() || !before.closures.is_empty();
        let opts = Opts {
            size: mem::size_of::<Opts>(),
            flags: AVFORK_SYNC | AVFORK_STDIO | AVFORK_SEARCH_PATH,
            cgroup_fd: 0,
            fds: grants.as_ptr(),
            nr_fds: grants.len(),
            pidfd: null_mut(),
            left: null_mut(),
            namespaces: 0,
            stack: null_mut(),
            stack_size: 0,
            before_exec: if needed { Some(before_exec) } else { None },
            before_arg: &mut before as *mut Before as *mut c_void,
        };
        let (argv, envp) = (pointers(&argv), pointers(&envp));
        let (path, argv, envp) = (argv[0], argv.as_ptr(), envp.as_ptr());
        let pid = unsafe { avfork_exec_pipes(&opts, path, argv, envp, null_mut(), stdout, stderr) };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Child { pid, status: None })
    }
}

/// As std's, a child that nobody waits for stays a zombie.
pub struct Child {
    pid: c_int,
    status: Option<ExitStatus>,
}

impl Child {
    pub fn id(&self) -> u32 {
        self.pid as u32
    }

    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.status {
                return Ok(status);
            }
            let mut status = 0;
            if unsafe { avfork_waitpid(self.pid, &mut status, 0) } >= 0 {
                self.status = Some(ExitStatus::from_raw(status));
                continue;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

fn read_all(fd: c_int) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    unsafe { File::from_raw_fd(fd) }.read_to_end(&mut bytes)?;
    Ok(bytes)
}
