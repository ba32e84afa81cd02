// SPDX-License-Identifier: GPL-2.0
/*
 * libavfork-preload.so: what spawner.c prints is the same without it, with it,
 * and where it has to leave all to libc because there is no backend.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>

#include "../kselftest_harness.h"
#include "helpers.h"

#define PRELOAD	"libavfork-preload.so"
#define SKIPPED	4

FIXTURE(program) {
};

/*
 * @preload:    use the library
 * @libc_fails: and have libc's functions fail, so that a test that passes is
 *              known to have been served by avfork
 * @async:      AVFORK_PRELOAD=async
 * @backend:    AVFORK_BACKEND
 */
FIXTURE_VARIANT(program) {
	bool preload;
	bool libc_fails;
	bool async;
	const char *backend;
};

FIXTURE_VARIANT_ADD(program, libc) {
};

FIXTURE_VARIANT_ADD(program, kernel) {
	.preload = true,
	.libc_fails = true,
	.backend = "kernel",
};

/* Serves "taskq", too: no child made ahead can inherit. */
FIXTURE_VARIANT_ADD(program, clone) {
	.preload = true,
	.libc_fails = true,
	.backend = "clone",
};

FIXTURE_VARIANT_ADD(program, async) {
	.preload = true,
	.libc_fails = true,
	.async = true,
	.backend = "clone",
};

FIXTURE_VARIANT_ADD(program, no_backend) {
	.preload = true,
	.backend = "none",
};

/* As it is used: served by the module, or by libc. */
FIXTURE_VARIANT_ADD(program, by_default) {
	.preload = true,
};

/* The module is asked, and libc's functions fail where it is not. */
static bool by_module_alone(const FIXTURE_VARIANT(program) *variant)
{
	return variant->libc_fails && !strcmp(variant->backend, "kernel");
}

static bool by_clone_alone(const FIXTURE_VARIANT(program) *variant)
{
	return variant->libc_fails && !strcmp(variant->backend, "clone");
}

/* The library is where the linker would find it, or nowhere. */
static void *open_preload(void)
{
	return dlopen(PRELOAD, RTLD_NOW | RTLD_LOCAL);
}

FIXTURE_SETUP(program)
{
}

FIXTURE_TEARDOWN(program)
{
}

#define NOT_IF_ASYNC(reason) do {					\
	if (variant->async)						\
		SKIP(return, reason);					\
} while (0)

/* Why @variant cannot be had here, or NULL. */
static const char *lacking(const FIXTURE_VARIANT(program) *variant)
{
	if (variant->preload && !open_preload())
		return "no " PRELOAD " in LD_LIBRARY_PATH";
	if (variant->backend)
		setenv("AVFORK_BACKEND", variant->backend, true);
	else
		unsetenv("AVFORK_BACKEND");
	setenv("AVFORK_PRELOAD", variant->async ? "async" : "", true);
	if (variant->libc_fails && !avfork_backend())
		return "no such backend";
	return NULL;
}

static void exec_spawner(const FIXTURE_VARIANT(program) *variant,
			 const char *name, int out)
{
	char preload[sizeof(PRELOAD) + PATH_MAX + 1] = PRELOAD;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (variant->libc_fails)
		snprintf(preload, sizeof(preload), PRELOAD ":%s",
			 sibling("nospawn.so"));
	if (variant->preload)
		setenv("LD_PRELOAD", preload, true);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	/* Where the linker complains of a library that it cannot load. */
	dup2(out, STDERR_FILENO);
	execl(sibling("spawner"), "spawner", "case", name, NULL);
}

/* Play case @name: what it printed, to @text, and how it ended. */
static int play(const FIXTURE_VARIANT(program) *variant, const char *name,
		char *text, size_t size)
{
	size_t used = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		exec_spawner(variant, name, ends[1]);
		_exit(126);
	}
	close(ends[1]);
	while ((got = read(ends[0], text + used, size - 1 - used)) > 0)
		used += got;
	text[used] = '\0';
	close(ends[0]);
	return reap(pid);
}

#define ASSERT_PRINTS(name, expected) do {				\
	const char *__lacking = lacking(variant);			\
	char __text[1000];						\
	int __status;							\
									\
	if (__lacking)							\
		SKIP(return, "%s", __lacking);				\
	__status = play(variant, name, __text, sizeof(__text));		\
	if (__status == SKIPPED)					\
		SKIP(return, "%s", __text);				\
	ASSERT_STREQ(expected, __text);					\
	ASSERT_EQ(0, __status);						\
} while (0)

TEST_F(program, inherit)
{
	ASSERT_PRINTS("inherit",
		      "open 0 1 2 20\n"
		      "20: twenty\n"
		      "open 0 1 2 20\n"
		      "20: twenty\n");
}

TEST_F(program, dup2)
{
	ASSERT_PRINTS("dup2",
		      "open 0 1 2 6 7 22\n"
		      "6: twenty-two\n"
		      "7: twenty\n"
		      "22: twenty-two\n"
		      "open 0 1 2 20 21 22\n"
		      "20: twenty-one\n"
		      "21: twenty\n"
		      "nothing here\n");
}

TEST_F(program, dup2_onto_itself)
{
	ASSERT_PRINTS("dup2_onto_itself",
		      "open 0 1 2 20 21\n"
		      "20: twenty\n"
		      "21: twenty-one\n"
		      "open 0 1 2 21\n");
}

TEST_F(program, dup2_of_closed)
{
	NOT_IF_ASYNC("its errors are a status of 127");
	ASSERT_PRINTS("dup2_of_closed",
		      "error: EBADF\n"
		      "error: EBADF\n"
		      "error: EBADF\n"
		      "error: EBADF\n");
}

TEST_F(program, close)
{
	ASSERT_PRINTS("close",
		      "open 0 1 2 21\n"
		      "21: twenty-one\n");
}

TEST_F(program, closefrom)
{
	ASSERT_PRINTS("closefrom",
		      "open 0 1 2 20\n"
		      "20: twenty\n"
		      "open 0 1 2 50\n");
}

TEST_F(program, closefrom_refused)
{
	/* The module makes none for a caller under a filter. */
	ASSERT_PRINTS("closefrom_refused", by_module_alone(variant) ?
		      "error: ENOTRECOVERABLE\n" :
		      "open 0 1 2\n");
}

TEST_F(program, closefrom_unknown)
{
	/* The module makes none for a caller under a filter. */
	ASSERT_PRINTS("closefrom_unknown", by_module_alone(variant) ?
		      "error: ENOTRECOVERABLE\n" :
		      "open 0 1 2\n");
}

TEST_F(program, open)
{
	ASSERT_PRINTS("open",
		      "open 0 1 2 5 6 7 8 20\n"
		      "20: a file\n"
		      "5: twenty-one\n"
		      "6: a file\n"
		      "mode 100640\n"
		      "20: twenty\n");
}

TEST_F(program, open_errors)
{
	ASSERT_PRINTS("open_errors",
		      "error: ENOENT\n"
		      "0 -1\n"
		      "error: ENOTDIR\n"
		      "error: EEXIST\n"
		      "error: ENOENT\n");
}

TEST_F(program, open_by_descriptor)
{
	/* Without the module a child has them all. */
	ASSERT_PRINTS("open_by_descriptor", by_module_alone(variant) ?
		      "error: ENOTRECOVERABLE\n"
		      "error: ENOTRECOVERABLE\n"
		      "error: ENOTRECOVERABLE\n"
		      "error: ENOTRECOVERABLE\n"
		      "error: ENOTRECOVERABLE\n"
		      "error: ENOTRECOVERABLE\n" :
		      "5: twenty\n"
		      "5: twenty\n"
		      "5: twenty\n"
		      "5: twenty\n"
		      "5: twenty\n"
		      "5: twenty\n"
		      "in /usr\n");
}

TEST_F(program, open_only_once)
{
	ASSERT_PRINTS("open_only_once",
		      "error: ENOENT\n"
		      "error: ENOENT\n");
}

TEST_F(program, chdir)
{
	ASSERT_PRINTS("chdir",
		      "in /usr\n"
		      "in /\n"
		      "error: ENOENT\n"
		      "in /\n");
}

TEST_F(program, fchdir)
{
	ASSERT_PRINTS("fchdir",
		      "in /usr\n"
		      "open 0 1 2 22\n"
		      "in /proc\n"
		      "in /\n"
		      "error: ENOTDIR\n"
		      "error: EBADF\n"
		      "in /\n");
}

TEST_F(program, order)
{
	ASSERT_PRINTS("order",
		      "open 0 1 2 5 6 7 8\n"
		      "5: b's\n"
		      "6: twenty\n"
		      "7: a's\n"
		      "8: a's\n");
}

TEST_F(program, signals)
{
	ASSERT_PRINTS("signals",
		      "ignored 2 3\n"
		      "blocked 1 12\n"
		      "ignored 2 3\n"
		      "blocked 1 12\n"
		      "ignored 2 3\n"
		      "blocked 10 64\n"
		      "ignored 3\n"
		      "blocked 1 12\n"
		      "ignored\n"
		      "blocked 10 64\n"
		      "ignored 2 3\n"
		      "blocked 1 12\n");
}

TEST_F(program, signal_meanwhile)
{
	ASSERT_PRINTS("signal_meanwhile", "pending 10\n");
}

TEST_F(program, groups)
{
	NOT_IF_ASYNC("its errors are a status of 127");
	ASSERT_PRINTS("groups",
		      "group: the parent's\n"
		      "session: the parent's\n"
		      "group: its own\n"
		      "session: the parent's\n"
		      "group: its own\n"
		      "session: its own\n"
		      "error: EPERM\n"
		      "group: another\n"
		      "session: the parent's\n"
		      "error: EPERM\n");
}

TEST_F(program, tcsetpgrp)
{
	ASSERT_PRINTS("tcsetpgrp",
		      "foreground: the parent's\n"
		      "foreground: the parent's\n"
		      "foreground: its own\n"
		      "group: its own\n"
		      "foreground: its own\n"
		      "group: its own\n"
		      "foreground: the parent's\n"
		      "group: the parent's\n"
		      "error: ENOTTY\n"
		      "error: EBADF\n");
}

TEST_F(program, reset_ids)
{
	ASSERT_PRINTS("reset_ids",
		      "users 0 0 0 groups 0 0 0\n"
		      "users 0 34 0 groups 0 12 0\n"
		      "users 0 0 0 groups 0 0 0\n"
		      "users 0 34 34 groups 0 12 0\n");
}

TEST_F(program, scheduler)
{
	ASSERT_PRINTS("scheduler",
		      "policy 3 priority 0\n"
		      "policy 0 priority 0\n"
		      "policy 3 priority 0\n"
		      "policy 0 priority 0\n"
		      "error: EINVAL\n"
		      "error: EINVAL\n"
		      "policy 3 priority 0\n");
}

TEST_F(program, realtime)
{
	ASSERT_PRINTS("realtime",
		      "policy 2 priority 3\n"
		      "policy 0 priority 0\n");
}

TEST_F(program, vfork_flag)
{
	ASSERT_PRINTS("vfork_flag", "it ran\n");
}

TEST_F(program, exec)
{
	ASSERT_PRINTS("exec",
		      "environment: ONE=1\n"
		      "environment: ONE=1\n"
		      "environment: none\n"
		      "environment: none\n"
		      "environment: ONE=1\n"
		      "environment: ONE=1\n"
		      "error: ENOENT\n");
}

TEST_F(program, exec_errors)
{
	NOT_IF_ASYNC("its errors are a status of 127");
	ASSERT_PRINTS("exec_errors",
		      "error: ENOENT\n"
		      "error: ENOENT\n"
		      "error: EACCES\n"
		      "error: ENOTDIR\n"
		      "error: ENOEXEC\n"
		      "error: ENOENT\n"
		      "error: ENAMETOOLONG\n"
		      "error: EACCES\n");
}

TEST_F(program, path)
{
	NOT_IF_ASYNC("its errors are a status of 127");
	ASSERT_PRINTS("path",
		      "environment: none\n"
		      "error: ENOEXEC\n"
		      "error: ENOENT\n"
		      "error: ENOENT\n"
		      "error: ENAMETOOLONG\n"
		      "error: EACCES\n"
		      "environment: none\n"
		      "error: ENOENT\n"
		      "error: ENOENT\n"
		      "environment: none\n"
		      "environment: none\n"
		      "error: ENOENT\n"
		      "error: ENOENT\n");
}

TEST_F(program, bad_descriptors)
{
	ASSERT_PRINTS("bad_descriptors", "none was added\n");
}

TEST_F(program, many_actions)
{
	ASSERT_PRINTS("many_actions",
		      "open 0 1 2 21\n"
		      "21: twenty\n"
		      "open 0 1 2 21\n"
		      "21: twenty\n");
}

TEST_F(program, many_descriptors)
{
	ASSERT_PRINTS("many_descriptors", variant->libc_fails ?
		      "error: ENOTRECOVERABLE\n" :
		      "open 0 1 2 5\n"
		      "5: some\n");
}

TEST_F(program, libcs_object)
{
	ASSERT_PRINTS("libcs_object",
		      "open 0 1 2 5 6\n"
		      "5: twenty\n"
		      "in /usr\n");
}

TEST_F(program, nothing_left)
{
	ASSERT_PRINTS("nothing_left",
		      "first\n"
		      "last\n");
}

TEST_F(program, errno_is_kept)
{
	ASSERT_PRINTS("errno_is_kept", "errno: ENOTNAM\n");
}

TEST_F(program, errno_after_error)
{
	if (!variant->preload)
		SKIP(return, "glibc's own is another before 2.41");
	ASSERT_PRINTS("errno_after_error", "errno: ENOTNAM\n");
}

TEST_F(program, unseen)
{
	ASSERT_PRINTS("unseen",
		      "open 0 1 2 5 6 21\n"
		      "error: ENOENT\n"
		      "seen 0\n");
}

TEST_F(program, no_malloc)
{
	NOT_IF_ASYNC("a carrier is a thread");
	ASSERT_PRINTS("no_malloc",
		      "mallocs 0\n"
		      "error: ENOENT\n");
}

TEST_F(program, single_threaded)
{
	NOT_IF_ASYNC("a carrier is a thread");
	ASSERT_PRINTS("single_threaded",
		      "it ran\n"
		      "single 1\n"
		      "threads 1\n");
}

TEST_F(program, one_more_process)
{
	ASSERT_PRINTS("one_more_process",
		      "two ran\n");
}

TEST_F(program, small_stack)
{
	ASSERT_PRINTS("small_stack",
		      "error: ENOENT\n");
}

TEST_F(program, sigchld_ignored)
{
	ASSERT_PRINTS("sigchld_ignored",
		      "error: ENOENT\n"
		      "error: ENOENT\n");
}

TEST_F(program, cancellation)
{
	ASSERT_PRINTS("cancellation", "status 0\n");
}

TEST_F(program, threads)
{
	ASSERT_PRINTS("threads", "all spawned\n");
}

TEST_F(program, after_fork)
{
	ASSERT_PRINTS("after_fork",
		      "open 0 1 2 5\n"
		      "5: twenty\n"
		      "open 0 1 2 5\n"
		      "5: twenty\n");
}

/* Those that libc has more of than we, and guests, are always left to libc. */
TEST_F(program, foreign_actions)
{
	ASSERT_PRINTS("foreign_actions", variant->libc_fails ?
		      "error: ENOTRECOVERABLE\n"
		      "open 0 1 2 5\n"
		      "5: twenty\n" :
		      "open 0 1 2 5 6\n"
		      "5: twenty\n"
		      "6: twenty\n"
		      "open 0 1 2 5\n"
		      "5: twenty\n");
}

TEST_F(program, in_vfork)
{
	ASSERT_PRINTS("in_vfork", variant->libc_fails ?
		      "before\n"
		      "in the child: ENOTRECOVERABLE\n"
		      "after\n" :
		      "before\n"
		      "in the child: 0\n"
		      "after\n");
}

TEST_F(program, in_vfork_of_copy)
{
	ASSERT_PRINTS("in_vfork_of_copy", variant->libc_fails ?
		      "in the child: ENOTRECOVERABLE\n"
		      "after\n" :
		      "in the child: 0\n"
		      "after\n");
}

TEST_F(program, popen)
{
	ASSERT_PRINTS("popen",
		      "one\n"
		      "two\n"
		      "status 300\n"
		      "written\n"
		      "status 400\n"
		      "status 9\n"
		      "status 7f00\n"
		      "error: EINVAL\n"
		      "error: EINVAL\n"
		      "error: EINVAL\n"
		      "0 1\n"
		      "open 0 1 2 20\n"
		      "status 0\n");
}

TEST_F(program, popen_fclose)
{
	ASSERT_PRINTS("popen_fclose",
		      "status 300\n");
}

TEST_F(program, popen_lost)
{
	ASSERT_PRINTS("popen_lost",
		      "status ffffffff\n"
		      "error: EPIPE\n"
		      "status 300\n");
}

TEST_F(program, popen_oriented)
{
	ASSERT_PRINTS("popen_oriented",
		      "orientation -1\n");
}

TEST_F(program, popen_cancelled)
{
	ASSERT_PRINTS("popen_cancelled",
		      "status 300\n");
}

TEST_F(program, popen_in_copy)
{
	ASSERT_PRINTS("popen_in_copy",
		      "open 0 1 2\n"
		      "status 0\n"
		      "status ffffffff\n"
		      "error: ECHILD\n"
		      "status 300\n");
}

TEST_F(program, system)
{
	ASSERT_PRINTS("system",
		      "status 300\n"
		      "status 9\n"
		      "status 7f00\n"
		      "shell 1\n"
		      "status 0\n"
		      "status 2\n"
		      "signals 2\n"
		      "status 600\n");
}

TEST_F(program, hyphen)
{
	if (!variant->libc_fails)
		SKIP(return, "libc's own may be older than POSIX.1-2024");
	ASSERT_PRINTS("hyphen",
		      "status 7f00\n"
		      "status 7f00\n");
}

TEST_F(program, no_process)
{
	if (!variant->libc_fails)
		SKIP(return, "libc's own may be older than POSIX.1-2024");
	ASSERT_PRINTS("no_process",
		      "error: EAGAIN\n"
		      "error: EAGAIN\n");
}

TEST_F(program, looked_up)
{
	ASSERT_PRINTS("looked_up", "open 0 1 2 5\n");
}

TEST_F(program, old_version)
{
	ASSERT_PRINTS("old_version", "run by a shell\n");
}

TEST_F(program, pidfd)
{
	ASSERT_PRINTS("pidfd",
		      "open 0 1 2 5\n"
		      "status 0\n"
		      "open 0 1 2 5\n"
		      "status 0\n");
}

TEST_F(program, pidfd_last_number)
{
	if (by_module_alone(variant))
		SKIP(return, "the number is given back, and libc has it");
	ASSERT_PRINTS("pidfd_last_number",
		      "open 0 1 2\n"
		      "status 0\n");
}

TEST_F(program, cgroup)
{
	ASSERT_PRINTS("cgroup",
		      "cgroup: the parent's\n"
		      "cgroup: spawner\n"
		      "open 0 1 2\n"
		      "cgroup: spawner\n"
		      "session: its own\n"
		      "open 0 1 2 5\n");
}

/* No child is made, and so libc is asked for one. */
TEST_F(program, cgroup_of_closed)
{
	ASSERT_PRINTS("cgroup_of_closed", variant->libc_fails ?
		      "error: ENOTRECOVERABLE\n" :
		      "error: EBADF\n");
}

TEST_F(program, handler_knows_pid)
{
	ASSERT_PRINTS("handler_knows_pid", "unknown: 0\n");
}

/* Beside "clone", which waits, for a control. */
TEST_F(program, returns_before_exec)
{
	if (!variant->async && !by_clone_alone(variant))
		SKIP(return, "posix_spawn() waits for the exec");
	ASSERT_PRINTS("returns_before_exec", variant->async ?
		      "before the exec\n"
		      "status 7f00\n"
		      "error: ENOENT\n"
		      "error: ENOENT\n"
		      "error: EACCES\n"
		      "error: EACCES\n" :
		      "after the exec\n"
		      "error: EBADF\n"
		      "error: ENOENT\n"
		      "error: ENOENT\n"
		      "error: EACCES\n"
		      "error: EACCES\n");
}

/* A program without a dynamic linker does not notice. */
TEST(static_program)
{
	pid_t pid = fork();

	if (!pid) {
		setenv("LD_PRELOAD", PRELOAD, true);
		close(STDIN_FILENO);
		execl(sibling("echo"), "echo", "1", "2", NULL);
		_exit(126);
	}
	ASSERT_EQ(2, reap(pid));
}

/* Without the module, and unless another backend is asked for, all is libc's. */
TEST_F(program, left_to_libc)
{
	FIXTURE_VARIANT(program) unforced = *variant;
	char text[100];

	if (!variant->libc_fails || lacking(variant))
		SKIP(return, "libc's functions are wanted");
	unforced.backend = NULL;
	unsetenv("AVFORK_BACKEND");
	ASSERT_EQ(0, play(&unforced, "vfork_flag", text, sizeof(text)));
	ASSERT_STREQ(access("/dev/avfork", F_OK) ? "error: ENOTRECOVERABLE\n" :
						   "it ran\n", text);
}

/* Nothing gets in a program's way but what it is meant to. */
TEST(exported_names)
{
	/* Of glibc 2.39, and of one after that. */
	static const char *const newer[] = {
		"pidfd_spawn", "pidfd_spawnp",
		"posix_spawn_file_actions_addchdir",
		"posix_spawn_file_actions_addfchdir",
	};
	void *library = open_preload();
	size_t i;

	if (!library)
		SKIP(return, "no " PRELOAD " in LD_LIBRARY_PATH");
	ASSERT_NE(dlsym(RTLD_DEFAULT, "posix_spawn"),
		  dlsym(library, "posix_spawn"));
	ASSERT_EQ(NULL, dlsym(library, "avfork"));
	ASSERT_EQ(NULL, dlsym(library, "avfork_with"));
	/* No program shall find what libc has not. */
	for (i = 0; i < sizeof(newer) / sizeof(*newer); i++)
		ASSERT_EQ(!dlsym(RTLD_DEFAULT, newer[i]),
			  !dlsym(library, newer[i]));
}

TEST_HARNESS_MAIN
