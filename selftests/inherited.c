// SPDX-License-Identifier: GPL-2.0
/*
 * What a child has of the thread that calls, and of no other of its process: what
 * confines that, its namespaces, its credentials, its signals; and, where it is asked
 * for, the descriptor table itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "seccomp.h"

/* The ways to make a child. */
static const int ways[] = {
	0, AVFORK_SYNC, AVFORK_WAITPID, AVFORK_NOSIGCHLD,
	AVFORK_WAITPID | AVFORK_SYNC, AVFORK_AUTOREAP,
};

/* What a task is confined by, where it is, and who it is. */

#define FILTERED	EXDEV		/* mkdirat()'s errno under our filter */
#define READ_BY_ALL	"/etc/passwd"

/**
 * struct state - of a task
 * @no_new_privs: prctl(2)'s
 * @securebits:   prctl(2)'s
 * @seccomp:      prctl(2)'s
 * @filtered:     errno of a mkdirat(2) that cannot succeed
 * @locked:       errno of opening a file that everybody may read
 * @namespaces:   inodes: mnt, uts, ipc, net, cgroup, pid_for_children
 * @directory:    inode
 * @umask:        the file mode creation mask
 * @ids:          uid, gid, fsuid
 * @caps:         capget(2)'s
 * @nice:         getpriority(2)'s
 * @cpus:         how many it may run on
 * @slack:        of its timers
 */
struct state {
	int no_new_privs;
	int securebits;
	int seccomp;
	int filtered;
	int locked;
	ino_t namespaces[6];
	ino_t directory;
	mode_t umask;
	uid_t ids[3];
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	int nice;
	int cpus;
	int slack;
};

static ino_t inode(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

static void look(struct state *state)
{
	static const char *const namespaces[] = {
		"mnt", "uts", "ipc", "net", "cgroup", "pid_for_children",
	};
	struct __user_cap_header_struct self = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	cpu_set_t cpus;
	char path[64];
	size_t i;
	int fd;

	memset(state, 0, sizeof(*state));
	state->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	state->securebits = prctl(PR_GET_SECUREBITS);
	state->seccomp = prctl(PR_GET_SECCOMP);
	errno = 0;
	mkdirat(AT_FDCWD, "/nonesuch/directory", 0700);
	state->filtered = errno;
	fd = open(READ_BY_ALL, O_RDONLY | O_CLOEXEC);
	state->locked = fd < 0 ? errno : 0;
	close(fd);
	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		snprintf(path, sizeof(path), "/proc/thread-self/ns/%s",
			 namespaces[i]);
		state->namespaces[i] = inode(path);
	}
	state->directory = inode(".");
	state->umask = umask(0);
	umask(state->umask);
	state->ids[0] = geteuid();
	state->ids[1] = getegid();
	state->ids[2] = syscall(SYS_setfsuid, -1);
	syscall(SYS_capget, &self, state->caps);
	state->nice = getpriority(PRIO_PROCESS, 0);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	state->cpus = CPU_COUNT(&cpus);
	state->slack = prctl(PR_GET_TIMERSLACK);
}

/* The changes, for the calling thread alone. 0, or -1 where there is no such thing. */

static int confine(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int filter(void)
{
	return seccomp_refuse(SYS_mkdirat, FILTERED);
}

static int landlock(void)
{
	const struct landlock_ruleset_attr rules = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE,
	};
	int fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);

	if (fd < 0 || confine() || syscall(SYS_landlock_restrict_self, fd, 0))
		return -1;
	return close(fd);
}

static int leave_namespaces(void)
{
	return unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
}

static int leave_network(void)
{
	return unshare(CLONE_NEWNET);
}

static int leave_directory(void)
{
	if (unshare(CLONE_FS) || chdir("/proc"))
		return -1;
	umask(0123);
	return 0;
}

static int leave_user(void)
{
	return syscall(SYS_setresgid, 54321, 54321, 54321) ||
	       syscall(SYS_setresuid, 54321, 54321, 54321) ? -1 : 0;
}

static int leave_file_user(void)
{
	syscall(SYS_setfsuid, 54321);
	return syscall(SYS_setfsuid, -1) == 54321 ? 0 : -1;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct self = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	const struct __user_cap_data_struct few[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = 1 << CAP_KILL,
		  .permitted = 1 << CAP_KILL | 1 << CAP_CHOWN },
	};

	return prctl(PR_SET_SECUREBITS, SECBIT_NOROOT) ? -1 :
	       syscall(SYS_capset, &self, few);
}

static int be_nice(void)
{
	return setpriority(PRIO_PROCESS, gettid(), 7);
}

static int stay_on_a_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	return sysconf(_SC_NPROCESSORS_ONLN) < 2 ? -1 :
	       sched_setaffinity(0, sizeof(set), &set);
}

static int be_slack(void)
{
	return prctl(PR_SET_TIMERSLACK, 123456);
}

/**
 * struct report - a child's
 * @state: the child's
 * @done:  posted when that is there
 */
struct report {
	struct state state;
	sem_t done;
};

static int tell_state(void *arg)
{
	struct report *report = arg;

	look(&report->state);
	sem_post(&report->done);
	return 0;
}

/* Whether each child of the calling thread is in the same state as the thread. */
static int children_are_like_us(void)
{
	struct state own;
	size_t i;

	look(&own);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		struct report report;
		pid_t pid;

		sem_init(&report.done, 0, 0);
		pid = avforkx(ways[i], tell_state, &report);
		REQUIRE(pid > 0);
		wait_for(&report.done);
		if (!(ways[i] & AVFORK_AUTOREAP))
			REQUIRE(reap(pid) == 0);
		/* errno: by which field, were one to look for it. */
		for (errno = 0; errno < (int)sizeof(own); errno++)
			REQUIRE(((char *)&own)[errno] ==
				((char *)&report.state)[errno]);
	}
	return 0;
}

/* The older way: a thread that makes the children of all. */

static struct {
	sem_t asked, answered;
	struct report report;
} broker;

static void *broker_thread(void *arg)
{
	(void)arg;
	wait_for(&broker.asked);
	reap(avforkx(AVFORK_SYNC, tell_state, &broker.report));
	sem_post(&broker.answered);
	return NULL;
}

enum { ALIKE, FAILED, UNAVAILABLE, UNSEEN };

static void *changed_thread(void *arg)
{
	int (*change)(void) = arg;
	struct state before, after;

	look(&before);
	if (change())
		return (void *)(long)UNAVAILABLE;
	/* The controls: it is seen, and a child of another thread is not like that. */
	look(&after);
	sem_post(&broker.asked);
	wait_for(&broker.answered);
	if (!memcmp(&before, &after, sizeof(after)) ||
	    memcmp(&before, &broker.report.state, sizeof(before)))
		return (void *)(long)UNSEEN;
	return (void *)(long)(children_are_like_us() ? FAILED : ALIKE);
}

FIXTURE(thread)
{
};

FIXTURE_VARIANT(thread)
{
	int (*change)(void);
};

FIXTURE_SETUP(thread)
{
	sem_init(&broker.asked, 0, 0);
	sem_init(&broker.answered, 0, 0);
	sem_init(&broker.report.done, 0, 0);
}

FIXTURE_TEARDOWN(thread)
{
}

FIXTURE_VARIANT_ADD(thread, confined) { .change = confine };
FIXTURE_VARIANT_ADD(thread, filtered) { .change = filter };
FIXTURE_VARIANT_ADD(thread, locked) { .change = landlock };
FIXTURE_VARIANT_ADD(thread, namespaces) { .change = leave_namespaces };
FIXTURE_VARIANT_ADD(thread, network) { .change = leave_network };
FIXTURE_VARIANT_ADD(thread, directory) { .change = leave_directory };
FIXTURE_VARIANT_ADD(thread, user) { .change = leave_user };
FIXTURE_VARIANT_ADD(thread, file_user) { .change = leave_file_user };
FIXTURE_VARIANT_ADD(thread, capabilities) { .change = drop_capabilities };
FIXTURE_VARIANT_ADD(thread, nice) { .change = be_nice };
FIXTURE_VARIANT_ADD(thread, cpu) { .change = stay_on_a_cpu };
FIXTURE_VARIANT_ADD(thread, slack) { .change = be_slack };

TEST_F(thread, has_children_of_its_own)
{
	pthread_t other, thread;
	void *result;

	/* In the state in which the whole process was once. */
	ASSERT_PASSED(children_are_like_us());
	ASSERT_EQ(0, pthread_create(&other, NULL, broker_thread, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, changed_thread,
				    variant->change));
	ASSERT_EQ(0, pthread_join(thread, &result));
	if ((long)result == UNAVAILABLE)
		SKIP(return, "this system has no such thing, or not for us");
	ASSERT_EQ(ALIKE, (long)result)
		TH_LOG("failed at line %d (%d)", failure->line, failure->error);
	ASSERT_EQ(0, pthread_join(other, NULL));
	/* And ours are as they were. */
	ASSERT_PASSED(children_are_like_us());
}

/* A thread that has left the descriptor table of the others. */

#define OWN_FD 200

static int tell_inode(void *arg)
{
	struct stat st;

	if (!fstat(OWN_FD, &st))
		*(ino_t *)arg = st.st_ino;
	return 0;
}

static int grants_are_ours(int flags)
{
	const struct avfork_fd fd = { OWN_FD, OWN_FD, 0, 0 };
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = flags, .fds = &fd, .nr_fds = 1,
	};
	struct stat st;
	ino_t seen = 0;

	REQUIRE(!fstat(OWN_FD, &st));
	REQUIRE(reap(avfork_with(&opts, tell_inode, &seen)) == 0);
	REQUIRE(seen == st.st_ino);
	return 0;
}

static void *unshared_thread(void *arg)
{
	size_t i;
	int fd;

	(void)arg;
	if (unshare(CLONE_FILES))
		return "unshare";
	fd = memfd_create("of the thread", 0);
	if (dup2(fd, OWN_FD) != OWN_FD)
		return "dup2";
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (!(ways[i] & AVFORK_AUTOREAP) && grants_are_ours(ways[i]))
			return "grant";
	return NULL;
}

TEST(thread_has_descriptors_of_its_own)
{
	pthread_t thread;
	void *failed;
	size_t i;
	int fd;

	fd = memfd_create("of the process", 0);
	ASSERT_EQ(OWN_FD, dup2(fd, OWN_FD));
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (!(ways[i] & AVFORK_AUTOREAP))
			ASSERT_PASSED(grants_are_ours(ways[i]));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unshared_thread, NULL));
	ASSERT_EQ(0, pthread_join(thread, &failed));
	ASSERT_EQ(NULL, failed)
		TH_LOG("%s, line %d", (char *)failed, failure->line);
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (!(ways[i] & AVFORK_AUTOREAP))
			ASSERT_PASSED(grants_are_ours(ways[i]));
}

/* Signals, as the program finds them that the child has become. */

/**
 * struct signals - two lines of /proc/PID/status
 * @blocked: SigBlk
 * @ignored: SigIgn
 * @caught:  SigCgt
 */
struct signals {
	unsigned long long blocked, ignored, caught;
};

static int parse_signals(int fd, struct signals *signals)
{
	char text[4096] = "", *line;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return -1;
	line = strstr(text, "SigBlk:");
	return line && sscanf(line, "SigBlk: %llx SigIgn: %llx SigCgt: %llx",
			      &signals->blocked, &signals->ignored,
			      &signals->caught) == 3 ? 0 : -1;
}

/* @flags: of a child that becomes a program, which tells. */
static int signals_of_program(int flags, struct signals *signals)
{
	char *const argv[] = { "cat", "/proc/self/status", NULL };
	int pidfd = -1, file = memfd_create("status", MFD_CLOEXEC);
	const struct avfork_fd fd = { file, 1, 0, 0 };
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = flags, .fds = &fd, .nr_fds = 1,
		.pidfd = &pidfd,
	};
	struct pollfd ended = { .events = POLLIN };
	pid_t pid = avfork_exec(&opts, "/bin/cat", argv, NULL);

	REQUIRE(pid > 0);
	ended.fd = pidfd;
	REQUIRE(poll(&ended, 1, -1) == 1);
	close(pidfd);
	REQUIRE(!parse_signals(file, signals));
	close(file);
	/* Where SIGCHLD is ignored, only a hidden one is left to be found. */
	avfork_waitpid(pid, NULL, 0);
	return 0;
}

static void handler(int sig)
{
	(void)sig;
}

/* @arg: what SIGCHLD is set to. */
static int try_inherited_signals(void *arg)
{
	static const int hidden[] = {
		0, AVFORK_SYNC, AVFORK_WAITPID, AVFORK_NOSIGCHLD,
		AVFORK_WAITPID | AVFORK_SYNC, AVFORK_AUTOREAP, AVFORK_AUTOKILL,
		AVFORK_AUTOKILL | AVFORK_WAITPID,
		AVFORK_AUTOKILL | AVFORK_AUTOREAP,
	};
	struct signals own, childs;
	sigset_t set;
	size_t i;
	int fd;

	/* With the first thread libc catches a signal. */
	REQUIRE(reap(avforkx(AVFORK_WAITPID, return_arg, NULL)) == 0);
	signal(SIGCHLD, arg);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGRTMAX, SIG_IGN);
	signal(SIGUSR1, handler);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_SETMASK, &set, NULL);
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	REQUIRE(!parse_signals(fd, &own));
	close(fd);
	REQUIRE(own.blocked && own.ignored && own.caught);

	for (i = 0; i < ARRAY_SIZE(hidden); i++) {
		errno = i;
		REQUIRE(!signals_of_program(hidden[i] | AVFORK_NNP |
					    AVFORK_INHERIT_SIGNALS, &childs));
		errno = i;
		REQUIRE(childs.blocked == own.blocked);
		REQUIRE(childs.ignored == own.ignored);
		REQUIRE(!childs.caught);
		/* The control, and the other promise. */
		REQUIRE(!signals_of_program(hidden[i] | AVFORK_NNP, &childs));
		REQUIRE(!childs.blocked && !childs.ignored && !childs.caught);
	}
	/* Nor is anything of it another for us. */
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	REQUIRE(!parse_signals(fd, &childs));
	close(fd);
	REQUIRE(!memcmp(&childs, &own, sizeof(own)));
	return 0;
}

TEST(signals)
{
	ASSERT_PASSED(in_copy(try_inherited_signals, SIG_DFL));
	ASSERT_PASSED(in_copy(try_inherited_signals, SIG_IGN));
	ASSERT_PASSED(in_copy(try_inherited_signals, handler));
}

/* The descriptor table. */

FIXTURE(shared)
{
	int fds[2];
};

FIXTURE_VARIANT(shared)
{
	int flags;
};

FIXTURE_SETUP(shared)
{
	struct avfork_info info = { 0 };
	int device;

	ASSERT_EQ(0, pipe2(self->fds, O_CLOEXEC));
	if (!backend_is("kernel"))
		return;
	device = open("/dev/avfork", O_RDWR | O_CLOEXEC);
	if (device >= 0 && !ioctl(device, AVFORK_IOC_INFO, &info) &&
	    info.flags & AVFORK_SHARE_FDS) {
		close(device);
		return;
	}
	SKIP(_exit(255), "this module shares no descriptor tables");
}

FIXTURE_TEARDOWN(shared)
{
}

FIXTURE_VARIANT_ADD(shared, plain) { .flags = AVFORK_SHARE_FDS };
FIXTURE_VARIANT_ADD(shared, sync) { .flags = AVFORK_SHARE_FDS | AVFORK_SYNC };
FIXTURE_VARIANT_ADD(shared, waitpid) {
	.flags = AVFORK_SHARE_FDS | AVFORK_WAITPID,
};
FIXTURE_VARIANT_ADD(shared, autokill) {
	.flags = AVFORK_SHARE_FDS | AVFORK_AUTOKILL | AVFORK_NNP,
};

#define TAKEN_FD 300

static int open_and_close(void *arg)
{
	const int *fds = arg;

	REQUIRE(dup2(fds[1], TAKEN_FD) == TAKEN_FD);
	REQUIRE(!close(fds[0]));
	return 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

TEST_F(shared, table)
{
	const int flags = variant->flags & ~AVFORK_SHARE_FDS;
	unsigned int nr_fds;

	/* The control: a table of its own has neither, and does not touch ours. */
	ASSERT_EQ(1, reap(avforkx(flags, open_and_close, self->fds)));
	nr_fds = count_fds();
	ASSERT_FALSE(is_open(TAKEN_FD));
	ASSERT_TRUE(is_open(self->fds[0]));

	ASSERT_PASSED(reap(avforkx(variant->flags, open_and_close, self->fds)));
	ASSERT_TRUE(is_open(TAKEN_FD));
	ASSERT_FALSE(is_open(self->fds[0]));
	/* What the child leaves is ours. */
	ASSERT_EQ(nr_fds, count_fds());
}

/* From then on each has its own, with what has no FD_CLOEXEC. */
TEST_F(shared, until_exec)
{
	char *const argv[] = {
		"sh", "-c", "exec 9>/dev/null; echo a; read b; echo $b", NULL,
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = variant->flags,
	};
	int in[2], out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char text[8] = "";
	pid_t pid;

	/* The device is opened now, and not as number 9. */
	ASSERT_EQ(9, dup3(null, 9, O_CLOEXEC));
	ASSERT_EQ(0, reap(avforkx(variant->flags, return_arg, NULL)));
	ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	ASSERT_EQ(0, dup2(in[0], 0));
	ASSERT_EQ(1, dup2(out[1], 1));
	in[1] = fcntl(in[1], F_DUPFD_CLOEXEC, 20);
	out[0] = fcntl(out[0], F_DUPFD_CLOEXEC, 20);
	null = fcntl(null, F_DUPFD_CLOEXEC, 20);
	close(9);
	pid = avfork_exec(&opts, "/bin/sh", argv, NULL);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(2, read(out[0], text, sizeof(text)));
	ASSERT_FALSE(is_open(9));
	ASSERT_EQ(0, dup2(null, 0));
	ASSERT_EQ(1, dup2(null, 1));
	ASSERT_EQ(2, write(in[1], "b\n", 2));
	ASSERT_EQ(2, read(out[0], text, sizeof(text)));
	ASSERT_STREQ("b\n", text);
	ASSERT_EQ(0, reap(pid));
}

/* What we close is closed, whoever is between us and the child. */
TEST_F(shared, pipe_ends)
{
	char *const argv[] = { "sh", "-c", "echo; read line", NULL };
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = variant->flags,
	};
	int in[2], out[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	ASSERT_EQ(0, dup2(in[0], 0));
	ASSERT_EQ(1, dup2(out[1], 1));
	pid = avfork_exec(&opts, "/bin/sh", argv, NULL);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(1, read(out[0], &byte, 1));
	/* It has exec'd, lives, and has none of the pipe: nor has anybody. */
	close(self->fds[1]);
	ASSERT_EQ(0, read(self->fds[0], &byte, 1));
	ASSERT_EQ(0, avfork_waitpid(pid, NULL, WNOHANG));
	ASSERT_EQ(1, write(in[1], "\n", 1));
	ASSERT_EQ(0, reap(pid));
}

TEST_F(shared, with_nothing_granted)
{
	struct avfork_fd fd = { 2, 2, 0, 0 };
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = variant->flags, .fds = &fd,
		.nr_fds = 1,
	};
	unsigned int nr_fds;

	ASSERT_EQ(4, reap(avforkx(variant->flags, return_arg, (void *)4)));
	nr_fds = count_fds();
	ASSERT_EQ(-1, avfork_with(&opts, return_arg, NULL));
	ASSERT_EQ(EINVAL, errno);
	opts.nr_fds = 0;
	opts.flags |= AVFORK_STDIO;
	errno = 0;
	ASSERT_EQ(-1, avfork_with(&opts, return_arg, NULL));
	ASSERT_EQ(EINVAL, errno);
	opts.flags = variant->flags | AVFORK_INHERIT_FDS;
	errno = 0;
	ASSERT_EQ(-1, avfork_with(&opts, return_arg, NULL));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(nr_fds, count_fds());
	ASSERT_EQ(-1, waitpid(-1, NULL, __WALL));
}

TEST_HARNESS_MAIN
