// SPDX-License-Identifier: GPL-2.0
/*
 * What a child of /dev/avfork is to its parent and to others: its pidfd, its cgroup,
 * its namespaces, what it has copies of, and what a tracer sees of it.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "spawning.h"

#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static long fdinfo_pid(int pidfd)
{
	char path[64], text[512];
	ssize_t len;
	char *pid;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	pid = strstr(text, "\nPid:");
	return pid ? strtol(pid + 5, NULL, 10) : -1;
}

TEST_F(spawn, pidfd_is_of_the_child)
{
	struct child *child = &self->child;
	siginfo_t info = { 0 };
	struct pollfd poller;
	int pidfd = -1;

	child_init(child, child_pauses, NULL);
	child->args.pidfd = (uintptr_t)&pidfd;
	SPAWN(child);
	ASSERT_LE(0, pidfd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(pidfd, F_GETFD));
	EXPECT_EQ(child->pid, fdinfo_pid(pidfd));

	poller = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	EXPECT_EQ(0, poll(&poller, 1, 0));
	EXPECT_EQ(0, syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
	EXPECT_EQ(1, poll(&poller, 1, -1));
	EXPECT_EQ(0, syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, NULL));
	EXPECT_EQ(child->pid, info.si_pid);
	EXPECT_EQ(CLD_KILLED, info.si_code);
	EXPECT_EQ(SIGTERM, info.si_status);
	child_free(child);
	close(pidfd);
}

TEST_F(spawn, cgroup_is_the_given)
{
	struct child *child = &self->child;
	char path[64], procs[96], proc[64], text[256] = "";
	int cgroup = cgroup_make(path, sizeof(path));
	int fd;

	if (cgroup < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	child_init(child, child_blocks, child);
	child->args.flags = AVFORK_INTO_CGROUP;
	child->args.cgroup_fd = cgroup;
	SPAWN(child);
	close(cgroup);

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	EXPECT_EQ(child->pid, read_number(procs));
	snprintf(proc, sizeof(proc), "/proc/%d/cgroup", child->pid);
	fd = open(proc, O_RDONLY | O_CLOEXEC);
	EXPECT_LT(0, read(fd, text, sizeof(text) - 1));
	close(fd);
	EXPECT_NE(NULL, strstr(text, path + strlen(CGROUP_ROOT)));

	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(0, cgroup_remove(path));
}

static const struct {
	const char *name;
	__u64 flag;
} namespaces[] = {
	{ "mnt", CLONE_NEWNS },
	{ "cgroup", CLONE_NEWCGROUP },
	{ "uts", CLONE_NEWUTS },
	{ "ipc", CLONE_NEWIPC },
	{ "user", CLONE_NEWUSER },
	{ "pid", CLONE_NEWPID },
	{ "net", CLONE_NEWNET },
	{ "time_for_children", CLONE_NEWTIME },
};

#define NS_NAME 64

/* The namespace of kind @name that @pid is in, "" where there is none such. */
static void namespace_of(pid_t pid, const char *name, char ns[NS_NAME])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	memset(ns, 0, NS_NAME);
	if (readlink(path, ns, NS_NAME - 1) < 0)
		ns[0] = '\0';
}

/* The namespaces, as a set of flags, in which @pid is not with us. */
static __u64 namespaces_apart(pid_t pid)
{
	char ours[NS_NAME], theirs[NS_NAME];
	__u64 apart = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		namespace_of(getpid(), namespaces[i].name, ours);
		namespace_of(pid, namespaces[i].name, theirs);
		if (strcmp(ours, theirs))
			apart |= namespaces[i].flag;
	}
	return apart;
}

static __u64 namespaces_known(void)
{
	char ns[NS_NAME];
	__u64 known = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		namespace_of(getpid(), namespaces[i].name, ns);
		if (ns[0])
			known |= namespaces[i].flag;
	}
	return known;
}

static int child_reports_pid(void *arg)
{
	struct exchange *exchange = arg;

	word_set(&exchange->answer, sys(SYS_getpid));
	word_wait(&exchange->question, 0);
	return 0;
}

static void namespaces_are_new(struct __test_metadata *_metadata,
			       FIXTURE_DATA(spawn) *self, __u64 flags)
{
	struct exchange exchange = { 0 };
	struct child *child = &self->child;

	child_init(child, child_reports_pid, &exchange);
	child->args.namespaces = flags;
	SPAWN(child);
	word_wait(&exchange.answer, 0);
	EXPECT_EQ(flags & CLONE_NEWPID ? 1 : child->pid, exchange.answer);
	EXPECT_EQ(flags, namespaces_apart(child->pid));
	word_set(&exchange.question, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

TEST_F(spawn, namespace_is_new)
{
	__u64 known = namespaces_known();
	size_t i;

	if (geteuid())
		SKIP(return, "needs root");
	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		if (known & namespaces[i].flag)
			namespaces_are_new(_metadata, self, namespaces[i].flag);
		else
			TH_LOG("no %s namespaces here", namespaces[i].name);
	}
	namespaces_are_new(_metadata, self, known);
}

/* At the latest: kernels differ in whether the child is in it before. */
TEST_F(spawn, time_namespace_is_entered_at_exec)
{
	char ours[NS_NAME], fresh[NS_NAME], theirs[NS_NAME];
	struct child *child = &self->child;
	struct avfork_fd grant;
	int control[2];

	if (geteuid() || !(namespaces_known() & CLONE_NEWTIME))
		SKIP(return, "needs root and a kernel with time namespaces");
	child_init(child, child_blocks_and_execs, child);
	child->args.namespaces = CLONE_NEWTIME;
	control_open(_metadata, control, child, &grant);
	SPAWN(child);
	namespace_of(getpid(), "time", ours);
	namespace_of(child->pid, "time_for_children", fresh);
	EXPECT_STRNE(ours, fresh);
	word_set(&child->go, 1);
	ASSERT_TRUE(child_has_execed(control[0]));
	namespace_of(child->pid, "time", theirs);
	EXPECT_STREQ(fresh, theirs);
	namespace_of(getpid(), "time", theirs);
	EXPECT_STREQ(ours, theirs);
	EXPECT_TRUE(child_shall_exit(control[0], 0));
	EXPECT_EQ(EXITED(0), child_reap(child));
	close(control[0]);
	close(control[1]);
}

/**
 * struct attributes - of a process, as fork() copies them
 */
struct attributes {
	char cwd[256];
	unsigned int mask;
	struct rlimit limit;
	int nice;
	int group;
	int session;
	unsigned int uids[3];
	unsigned int gids[3];
	__u64 cpus[64];
	unsigned int personality;
	int no_new_privs;
};

static void attributes_read(struct attributes *attributes)
{
	struct attributes *a = attributes;

	sys(SYS_getcwd, a->cwd, sizeof(a->cwd));
	a->mask = sys(SYS_umask, 0);
	sys(SYS_umask, a->mask);
	sys(SYS_getrlimit, RLIMIT_FSIZE, &a->limit);
	a->nice = sys(SYS_getpriority, PRIO_PROCESS, 0);
	a->group = sys(SYS_getpgid, 0);
	a->session = sys(SYS_getsid, 0);
	sys(SYS_getresuid, &a->uids[0], &a->uids[1], &a->uids[2]);
	sys(SYS_getresgid, &a->gids[0], &a->gids[1], &a->gids[2]);
	sys(SYS_sched_getaffinity, 0, sizeof(a->cpus), a->cpus);
	a->personality = sys(SYS_personality, 0xffffffff);
	a->no_new_privs = sys(SYS_prctl, PR_GET_NO_NEW_PRIVS);
}

static int child_changes_attributes(void *arg)
{
	const struct rlimit limit = { 4096, 8192 };
	const __u64 cpus = 2;

	attributes_read(arg);
	sys(SYS_chdir, "/proc");
	sys(SYS_umask, 0777);
	sys(SYS_setrlimit, RLIMIT_FSIZE, &limit);
	sys(SYS_setpriority, PRIO_PROCESS, 0, 15);
	sys(SYS_setsid);
	sys(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus);
	sys(SYS_personality, 0x0040000);
	sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
	sys(SYS_chroot, "/proc");
	sys(SYS_setresgid, 8, 8, 8);
	sys(SYS_setresuid, 8, 8, 8);
	return sys(SYS_getppid) == sys(SYS_getpgid, 0);
}

TEST_F(spawn, attributes_are_copies)
{
	const struct rlimit limit = { 1 << 20, 1 << 21 };
	struct attributes before, after, of_child;
	struct child *child = &self->child;
	const __u64 cpus = 1;

	/* Some that are not the defaults. */
	ASSERT_EQ(0, chdir("/dev"));
	umask(027);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, 3));
	ASSERT_EQ(0, sys(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus));
	if (!geteuid())
		ASSERT_EQ(0, setresgid(1, 2, 3));

	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	memset(&of_child, 0, sizeof(of_child));
	attributes_read(&before);
	child_init(child, child_changes_attributes, &of_child);
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	attributes_read(&after);
	EXPECT_EQ(0, memcmp(&before, &of_child, sizeof(before)));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_STREQ("/dev", of_child.cwd);
	EXPECT_EQ(027, of_child.mask);
}

static int child_reports_parent(void *arg)
{
	return sys(SYS_getppid) == *(pid_t *)arg;
}

TEST_F(spawn, parent_is_the_caller)
{
	pid_t pid = getpid();

	child_init(&self->child, child_reports_parent, &pid);
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(1), child_reap(&self->child));
}

/* What a tracer sees: the events of clone(2), by flags and exit signal. */
FIXTURE(ptrace) {
	int device;
	struct child child;
};

FIXTURE_VARIANT(ptrace) {
	__u64 flags;
	int exit_signal;
	int event;
};

FIXTURE_SETUP(ptrace)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(ptrace)
{
	EXPECT_TRUE(no_child_left());
}

FIXTURE_VARIANT_ADD(ptrace, fork) {
	.exit_signal = SIGCHLD,
	.event = PTRACE_EVENT_FORK,
};

FIXTURE_VARIANT_ADD(ptrace, clone) {
	.exit_signal = 0,
	.event = PTRACE_EVENT_CLONE,
};

FIXTURE_VARIANT_ADD(ptrace, vfork) {
	.flags = AVFORK_SYNC,
	.exit_signal = SIGCHLD,
	.event = PTRACE_EVENT_VFORK,
};

#define STOPPED_BY(sig)		((sig) << 8 | 0x7f)
#define STOPPED_AT(event)	((event) << 16 | STOPPED_BY(SIGTRAP))

TEST_F(ptrace, event_is_seen)
{
	struct child *child = &self->child;
	struct start start;
	unsigned long message = 0;
	int status, vfork_done = 0;
	pid_t pid;

	child_init(child, child_returns, (void *)11);
	child->args.flags = variant->flags;
	child->args.exit_signal = variant->exit_signal;
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		child_spawn(self->device, child);
		_exit(child_reap(child) >> 8);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(STOPPED_BY(SIGSTOP), status);
	ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL,
			    PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE |
			    PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE |
			    PTRACE_O_EXITKILL));
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(STOPPED_AT(variant->event), status);
	ASSERT_EQ(0, ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message));

	/* The child is traced, too, and stops before its first instruction. */
	ASSERT_EQ(message, waitpid(message, &status, __WALL));
	EXPECT_EQ(STOPPED_BY(SIGSTOP), status);
	ASSERT_EQ(0, start_read(message, &start));
	EXPECT_EQ(child->args.entry, start.pc);
	EXPECT_EQ(child->args.arg, start.arg);
	EXPECT_EQ(SP_AT_START(child->args.stack + child->args.stack_size),
		  start.sp);
	EXPECT_EQ(-1, start.nr);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, message, NULL, NULL));

	/* Its parent may be told of its death, and goes on. */
	for (;;) {
		int sig = 0;

		ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, sig));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (!WIFSTOPPED(status))
			break;
		if (status == STOPPED_AT(PTRACE_EVENT_VFORK_DONE))
			vfork_done++;
		else
			ASSERT_EQ(STOPPED_BY(SIGCHLD), status);
	}
	EXPECT_EQ(EXITED(11), status);
	EXPECT_EQ(variant->event == PTRACE_EVENT_VFORK, vfork_done);
	child_free(child);
}

/*
 * A signal at birth has the kernel look whether a system call is to be made again,
 * which it would tell by the register that a call's result is in: on some
 * architectures the one that the argument is in, too. So it is by a tracer's
 * SIGSTOP, with arguments that are the kernel's own numbers for that.
 */
static long argument_at_birth;

static int child_keeps_argument(void *arg)
{
	argument_at_birth = (long)arg;
	return 12;
}

static void __attribute__((noreturn)) child_start_with(long arg)
{
	sys(SYS_exit_group, child_keeps_argument((void *)arg));
	__builtin_unreachable();
}

TEST_F(spawn, signal_at_birth_restarts_nothing)
{
	/* ERESTARTSYS, -NOINTR, -NOHAND, -_RESTARTBLOCK */
	static const long arguments[] = { -512, -513, -514, -516 };
	struct child *child = &self->child;
	unsigned long message;
	int status;
	size_t i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(arguments); i++) {
		child_init(child, NULL, NULL);
		child->args.entry = (uintptr_t)child_start_with;
		child->args.arg = arguments[i];
		pid = fork();
		if (!pid) {
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGSTOP);
			child_spawn(self->device, child);
			status = child_reap(child);
			_exit(argument_at_birth == arguments[i] ?
			      status >> 8 : 1);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL,
				    PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL));
		ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(STOPPED_AT(PTRACE_EVENT_FORK), status);
		ASSERT_EQ(0, ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message));
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
		/* The signal is there, and goes on to be delivered. */
		ASSERT_EQ(message, waitpid(message, &status, __WALL));
		ASSERT_EQ(STOPPED_BY(SIGSTOP), status);
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, message, NULL, SIGWINCH));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(EXITED(12), status);
		child_free(child);
	}
}

/* The other call */

TEST_F(spawn, info_is_complete)
{
	struct {
		struct avfork_info info;
		char tail[100];
	} longer;
	struct avfork_info info;
	size_t i;

	memset(&info, 0x5a, sizeof(info));
	ASSERT_EQ(0, ioctl(self->device, AVFORK_IOC_INFO, &info));
	EXPECT_EQ(4, info.abi_version);
	EXPECT_EQ(0, info.reserved);
	EXPECT_EQ(0, info.reserved1);
	/* AUTOREAP depends on the kernel: its own test finds out. */
	EXPECT_EQ(AVFORK_SYNC | AVFORK_STDIO | AVFORK_INTO_CGROUP |
		  AVFORK_INHERIT_FDS | AVFORK_INHERIT_SIGNALS |
		  AVFORK_AUTOKILL | AVFORK_NNP | AVFORK_SHARE_FDS |
		  AVFORK_ISOLATE,
		  info.flags & ~(__u64)AVFORK_AUTOREAP);
	/* The kernel's tables begin with 64 and grow to powers of two. */
	EXPECT_LE(64, info.table_size);
	ASSERT_EQ(700, fcntl(self->device, F_DUPFD_CLOEXEC, 700));
	ASSERT_EQ(0, ioctl(self->device, AVFORK_IOC_INFO, &info));
	EXPECT_LE(701, info.table_size);
	EXPECT_GE(2048, info.table_size);
	close(700);
	for (i = 0; i < ARRAY_SIZE(namespaces); i++)
		EXPECT_NE(0, info.namespaces & namespaces[i].flag);
	EXPECT_EQ(i, __builtin_popcountll(info.namespaces));
	/* Time namespaces depend on the kernel. */
	EXPECT_EQ(namespaces_known() & ~(__u64)CLONE_NEWTIME,
		  info.isolated & ~(__u64)CLONE_NEWTIME);

	memset(&longer, 0x5a, sizeof(longer));
	ASSERT_EQ(0, ioctl(self->device,
			   _IOC(_IOC_READ, AVFORK_IOC_MAGIC,
				_IOC_NR(AVFORK_IOC_INFO), sizeof(longer)),
			   &longer));
	EXPECT_EQ(0, memcmp(&info, &longer.info, sizeof(info)));
	for (i = 0; i < sizeof(longer.tail); i++)
		EXPECT_EQ(0, longer.tail[i]);
}

TEST_HARNESS_MAIN
