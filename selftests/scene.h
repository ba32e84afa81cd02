/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A parent and its child, made by the device or by clone3(2), where memory is short or
 * where the child has not run yet. Include it after the harness.
 */
#ifndef AVFORK_SELFTEST_SCENE_H
#define AVFORK_SELFTEST_SCENE_H

#include <linux/close_range.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "device.h"

#define PATIENCE	100000	/* milliseconds */
#define LITTLE_PATIENCE	300	/* where it is to be in vain */

/* Each test is a process, which has these for itself. */
static int device;
static struct child child;

/* For what is not the subject of a test. */
#define NEED(condition) need(condition, #condition, __FILE__, __LINE__)

static inline void need(bool met, const char *condition, const char *file,
			int line)
{
	if (met)
		return;
	fprintf(stderr, "# %s:%d: not %s; the last error was: %m\n", file,
		line, condition);
	abort();
}

/* Have one that nobody else has. */
static inline void device_reopen(void)
{
	device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	NEED(device >= 0);
}

enum way { BY_DEVICE, BY_CLONE_VM, BY_CLONE_FILES, BY_FORK };

static const __u64 clone_flags[] = {
	[BY_CLONE_VM] = CLONE_VM,
	[BY_CLONE_FILES] = CLONE_VM | CLONE_FILES,
	[BY_FORK] = 0,
};

static inline int start_child(void *child)
{
	child_start(child);
	return 0;
}

/* clone3(2), whose child runs ours on the stack that @args has. */
static inline long clone_child(struct clone_args *args)
{
	return sys_child(SYS_clone3, (long)args, sizeof(*args), start_child,
			 &child);
}

/* As child_spawn(), whatever makes it. */
static inline int child_make(enum way way)
{
	struct clone_args args = {
		.flags = clone_flags[way],
		.exit_signal = child.args.exit_signal,
		.stack = child.args.stack,
		.stack_size = child.args.stack_size,
		.cgroup = child.args.cgroup_fd,
	};

	if (way == BY_DEVICE)
		return child_spawn(device, &child);
	if (child.args.flags & AVFORK_INTO_CGROUP)
		args.flags |= CLONE_INTO_CGROUP;
	child.pid = clone_child(&args);
	return child.pid;
}

/*
 * What children run, as they are or when they have become a program for it. Many
 * have a socket as descriptor 0, and answer there.
 */

#define ANSWERED	7
#define SIBLING		3

static inline bool answer(void)
{
	char byte;

	return sys(SYS_read, STDIN_FILENO, &byte, 1) == 1 &&
	       sys(SYS_write, STDIN_FILENO, &byte, 1) == 1;
}

static inline int echo(void *unused)
{
	while (answer())
		;
	return ANSWERED;
}

/* At the other end: whether it is answered. */
static inline bool answers(int wire)
{
	char byte = 0;

	return write(wire, &byte, 1) == 1 && read(wire, &byte, 1) == 1;
}

/* Whether nobody has the other end of @fd, or will have in a while. */
static inline bool is_closed(int fd, int patience)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&poller, 1, patience) == 1 && read(fd, &byte, 1) <= 0;
}

/* Wait for the only child, and end in the way it did. */
static inline int reap(void *unused)
{
	int status;

	if (sys(SYS_wait4, -1, &status, __WALL, NULL) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + status;
}

/* As container runtimes do: a child, but of our parent. */
static inline int make_sibling(void *unused)
{
	pid_t pid = sys(SYS_clone, CLONE_PARENT);

	if (!pid)
		sys(SYS_exit_group, SIBLING);
	return sys(SYS_write, STDIN_FILENO, &pid, sizeof(pid)) != sizeof(pid);
}

static inline int sleep_for_good(void *unused)
{
	for (;;)
		sys_pause();
	return 0;
}

enum { ECHO, HOG, REAP, MAKE_SIBLING };

static struct program {
	char *name;
	int (*run)(void *unused);
} programs[] = {
	[ECHO] = { "avfork-echo", echo },
	[HOG] = { "avfork-hog", hog_memory },
	[REAP] = { "avfork-reap", reap },
	[MAKE_SIBLING] = { "avfork-sibling", make_sibling },
};

static inline int become(void *arg)
{
	const struct program *program = arg;
	char *const argv[] = { program->name, NULL };
	char *const envp[] = { NULL };

	return -sys(SYS_execve, own_path, argv, envp);
}

static void __attribute__((constructor)) became(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc == 1 && i < ARRAY_SIZE(programs); i++)
		if (!strcmp(argv[0], programs[i].name))
			_exit(programs[i].run(NULL));
}

/* A child to be that runs it. */
static inline void child_runs(int program, bool execs)
{
	child_init(&child, execs ? become : programs[program].run,
		   &programs[program]);
}

/*
 * Start the child with one end of a socket as its descriptor 0. Return: the
 * other.
 */
static inline int child_begins(enum way way)
{
	static struct avfork_fd grant;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int wire[2];

	NEED(null >= 0);
	NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire));
	NEED(dup2(wire[1], STDIN_FILENO) == 0);
	close(wire[1]);
	child_grant(&child, &grant, 1);
	NEED(child_make(way) > 0);
	dup2(null, STDIN_FILENO);
	close(null);
	return wire[0];
}

/*
 * How a child is kept from running, in the kernel too: it and its parent are
 * bound to a CPU where a process spins that comes before the child; the parent
 * comes before both. After most of a second the scheduler has mercy on it, so it
 * is looked at whether the child has run. Even then it does not get to user
 * space, as its cgroup is frozen.
 */
enum { SPINNER_PRIORITY = 1, PARENT_PRIORITY };

/* One of @cpus for them, the others for the caller. Return: the one. */
static inline int leave_cpu(cpu_set_t cpus)
{
	int cpu = 0;

	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	CPU_CLR(cpu, &cpus);
	NEED(!sched_setaffinity(0, sizeof(cpus), &cpus));
	return cpu;
}

/* In this order: there the caller would not come so far as to be urgent. */
static inline void run_on(int cpu, int priority)
{
	const struct sched_param param = { .sched_priority = priority };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	NEED(!sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param));
	NEED(!sched_setaffinity(0, sizeof(cpus), &cpus));
}

static inline void spin(int cpu, __u32 *spins)
{
	run_on(cpu, SPINNER_PRIORITY);
	for (;;)
		__atomic_add_fetch(spins, 1, __ATOMIC_RELAXED);
}

/* Wait until there, on the CPU, is who spins. */
static inline void see_spin(__u32 *spins)
{
	__u32 before = word_get(spins);

	while (word_get(spins) == before)
		sched_yield();
}

/* A number in /proc/@pid/status, or -1. */
static inline long status_number(pid_t pid, const char *key)
{
	char path[32], line[256];
	size_t len = strlen(key);
	long number = -1;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "r");
	while (status && number < 0 && fgets(line, sizeof(line), status))
		if (!strncmp(line, key, len) && line[len] == ':')
			number = strtol(line + len + 1, NULL, 10);
	if (status)
		fclose(status);
	return number;
}

/**
 * struct scene - a process with a child, both made for a test
 * @cgroup:  one with little memory
 * @frozen:  one in that
 * @cpu:     for those who are held
 * @way:     how the child is made
 * @act:     what the parent then does
 * @flags:   the child's; with AVFORK_INTO_CGROUP it is in @cgroup
 * @memory:  how much the parent has, in bytes
 * @held:    whether the child is kept from running
 * @echoes:  whether it is the child that answers, and the parent acts on SIGUSR1;
 *           else the child sleeps, and the parent answers when it has acted
 * @execs:   whether a child that answers is a program of its own
 * @wire:    to whoever answers
 * @pipe:    reading end of one that the parent has the writing end of
 * @lock:    a file that the parent has locked
 * @queue:   a queue that notifies the parent
 * @parent:  its pid
 * @child:   that of a child that sleeps
 * @spinner: that of who keeps it from running
 * @spins:   how often that has spun; shared memory
 * @ended:   wait status of the parent, or -1
 * @orphan:  that of a child that the parent has left behind, or -1
 */
static struct scene {
	int cgroup;
	int frozen;
	int cpu;
	enum way way;
	enum act { WAIT, ANSWER, LEAVE, UNSHARE, CLOSE_RANGE, EXEC } act;
	__u64 flags;
	size_t memory;
	bool held;
	bool echoes;
	bool execs;
	int wire;
	int pipe;
	int lock;
	mqd_t queue;
	pid_t parent;
	pid_t child;
	pid_t spinner;
	__u32 *spins;
	int ended;
	int orphan;
} scene;

#define GRANTED	9	/* beside descriptor 0 */

static const struct sigevent notify_nobody = { .sigev_notify = SIGEV_NONE };

/* What the parent in the scene does. Return: its exit status. */
static inline int be_parent(int wire)
{
	struct avfork_fd grants[] = {
		{ .child_fd = STDIN_FILENO }, { .child_fd = GRANTED },
	};
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	sigset_t go;
	char byte;

	/* A child of clone3(2) would have a copy, and not see its own end. */
	close(scene.wire);
	NEED(!dup2(wire, STDIN_FILENO) && !close(wire));
	device_reopen();
	if (scene.memory)
		memset(mmap(NULL, scene.memory, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1,
		       scene.memory);
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, NULL);
	NEED(!fcntl(scene.lock, F_SETLK, &lock));
	NEED(!mq_notify(scene.queue, &notify_nobody));

	if (scene.echoes)
		child_runs(ECHO, scene.execs);
	else
		child_init(&child, sleep_for_good, NULL);
	if (!(scene.flags & AVFORK_SHARE_FDS))
		child_grant(&child, grants, ARRAY_SIZE(grants));
	child.args.flags = scene.flags;
	if (scene.held)
		child.args.flags |= AVFORK_INTO_CGROUP;
	if (child.args.flags & AVFORK_INTO_CGROUP)
		child.args.cgroup_fd = scene.held ? scene.frozen : scene.cgroup;
	if (scene.held) {
		NEED(answer() && read(STDIN_FILENO, &byte, 1) == 1);
		run_on(scene.cpu, PARENT_PRIORITY);
	}
	NEED(child_make(scene.way) > 0);
	if (scene.echoes) {
		/* It is the child's, unless both have one table. */
		if (!(scene.flags & AVFORK_SHARE_FDS))
			close(STDIN_FILENO);
		sigwaitinfo(&go, NULL);
	} else {
		NEED(write(STDIN_FILENO, &child.pid, sizeof(child.pid)) > 0);
	}

	switch (scene.act) {
	case WAIT:
		return reap(NULL);
	case LEAVE:
		return 0;
	case EXEC:
		return become(&programs[scene.echoes ? REAP : ECHO]);
	case UNSHARE:
		NEED(!unshare(CLONE_FILES));
		break;
	case CLOSE_RANGE:
		NEED(!sys(SYS_close_range, 1000, ~0U, CLOSE_RANGE_UNSHARE));
		break;
	case ANSWER:
		break;
	}
	return echo(NULL);
}

/* Up to where the child has been made, or the parent waits for SIGUSR1. */
static inline void scene_begin(void)
{
	int wire[2], pipe[2];
	char name[32];

	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, wire));
	NEED(!pipe2(pipe, 0));
	snprintf(name, sizeof(name), "/avfork-%d", getpid());
	scene.lock = memfd_create("avfork", 0);
	scene.queue = mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
	NEED(scene.lock >= 0 && scene.queue >= 0 && !mq_unlink(name));
	scene.wire = wire[0];
	scene.pipe = pipe[0];
	scene.parent = fork();
	if (!scene.parent)
		_exit(be_parent(wire[1]));
	close(wire[1]);
	if (scene.held) {
		/* As late as can be. */
		NEED(answers(scene.wire));
		scene.spinner = fork();
		if (!scene.spinner) {
			close(pipe[1]);
			spin(scene.cpu, scene.spins);
		}
		see_spin(scene.spins);
		NEED(write(scene.wire, "", 1) == 1);
	}
	close(pipe[1]);
	scene.child = 0;
	if (!scene.echoes)
		NEED(read(scene.wire, &scene.child, sizeof(scene.child)) > 0);
}

/*
 * Whether a child that is held has run: then it has left the CPU when somebody
 * else is there. With other children than ours that makes no difference.
 */
static inline bool has_run(void)
{
	if (!scene.held || scene.way != BY_DEVICE)
		return false;
	see_spin(scene.spins);
	return status_number(scene.child, "voluntary_ctxt_switches") ||
	       status_number(scene.child, "nonvoluntary_ctxt_switches");
}

/* Whether @pid is dead; it stays to be reaped. */
static inline bool is_dead(pid_t pid)
{
	siginfo_t info;

	return !waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
}

/* Let the child run. */
static inline void scene_release(void)
{
	if (scene.held)
		kill(scene.spinner, SIGKILL);
}

static inline void scene_end(void)
{
	int status;
	pid_t pid;

	scene_release();
	if (scene.child)
		kill(scene.child, SIGKILL);
	kill(scene.parent, SIGUSR1);
	close(scene.wire);
	close(scene.pipe);
	close(scene.lock);
	scene.ended = -1;
	scene.orphan = -1;
	while ((pid = sys(SYS_wait4, -1, &status, __WALL, NULL)) > 0) {
		if (pid == scene.parent)
			scene.ended = status;
		else if (pid != scene.spinner)
			scene.orphan = status;
	}
	/* Some kernels leak who shall be notified and is dead, but for this. */
	NEED(!mq_send(scene.queue, "", 0, 0));
	mq_close(scene.queue);
}

#define AGAIN	(-2)	/* the child has run */

/* What @look sees when the parent has acted, and the child has not run. */
static inline int before_it_runs(enum way way, enum act act, int (*look)(void))
{
	int tries = 20, result;
	cpu_set_t cpus;

	NEED(!sched_getaffinity(0, sizeof(cpus), &cpus));
	scene.cpu = leave_cpu(cpus);
	scene.way = way;
	scene.act = act;
	scene.held = true;
	do {
		scene_begin();
		result = look();
		scene_end();
	} while (result == AGAIN && --tries);
	if (result == AGAIN)
		fprintf(stderr, "# the child has run, each time\n");
	scene.held = false;
	NEED(!sched_setaffinity(0, sizeof(cpus), &cpus));
	return result;
}

FIXTURE(harmless) {
	int descriptors;
	char path[64];
	char frozen[80];
};

/* Little enough to be used up soon, more than what a program needs. */
#define CGROUP_MEMORY	"4M"

FIXTURE_SETUP(harmless)
{
	device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	if (geteuid())
		SKIP(_exit(255), "needs root, for cgroups and priorities");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(_exit(255), "needs two CPUs");
	scene.cgroup = cgroup_make(self->path, sizeof(self->path));
	if (scene.cgroup < 0)
		SKIP(_exit(255), "no cgroup v2 in " CGROUP_ROOT);
	ASSERT_EQ(0, cgroup_write(self->path, "memory.max", CGROUP_MEMORY));
	/* It is there when swap is. */
	cgroup_write(self->path, "memory.swap.max", "0");
	snprintf(self->frozen, sizeof(self->frozen), "%s/frozen", self->path);
	ASSERT_EQ(0, mkdir(self->frozen, 0755));
	ASSERT_EQ(0, cgroup_write(self->frozen, "cgroup.freeze", "1"));
	scene.frozen = open(self->frozen, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, scene.frozen);
	scene.spins = mmap(NULL, sizeof(*scene.spins), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)scene.spins);
	/* Of children that have lost their parent. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	signal(SIGPIPE, SIG_IGN);
	self->descriptors = count_descriptors();
}

FIXTURE_TEARDOWN(harmless)
{
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(self->descriptors, count_descriptors());
	EXPECT_EQ(0, cgroup_remove(self->frozen));
	EXPECT_EQ(0, cgroup_remove(self->path));
}

/* Its siblings: their parent, which is its own, waits for them as for any child. */

static inline void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Whose death a pending @signal tells of, or 0. */
static inline pid_t told_of(int signal)
{
	const struct timespec at_once = { 0, 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	return sigtimedwait(&set, &info, &at_once) == signal ? info.si_pid : 0;
}

#endif
