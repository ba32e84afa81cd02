// SPDX-License-Identifier: GPL-2.0
/*
 * What a child of /dev/avfork does not do: take its parent along when memory is
 * short where the child is, hold what its parent has let go of, make siblings
 * that nobody can wait for, outlive its owner, gain privileges, wait for somebody
 * to reap it. Next to it children of clone3(2), with which that happens.
 */
#include "../kselftest_harness.h"
#include "device.h"

#include <linux/close_range.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define PATIENCE	100000	/* milliseconds */
#define LITTLE_PATIENCE	300	/* where it is to be in vain */

/* Each test is a process, which has these for itself. */
static int device;
static struct child child;

/* For what is not the subject of a test. */
#define NEED(condition) need(condition, #condition, __LINE__)

static void need(bool met, const char *condition, int line)
{
	if (met)
		return;
	fprintf(stderr, "# harmless.c:%d: not %s; the last error was: %m\n",
		line, condition);
	abort();
}

/* Have one that nobody else has. */
static void device_reopen(void)
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

static int start_child(void *child)
{
	child_start(child);
	return 0;
}

/* clone3(2), whose child runs ours on the stack that @args has. */
static long clone_child(struct clone_args *args)
{
	return sys_child(SYS_clone3, (long)args, sizeof(*args), start_child,
			 &child);
}

/* As child_spawn(), whatever makes it. */
static int child_make(enum way way)
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

static bool answer(void)
{
	char byte;

	return sys(SYS_read, STDIN_FILENO, &byte, 1) == 1 &&
	       sys(SYS_write, STDIN_FILENO, &byte, 1) == 1;
}

static int echo(void *unused)
{
	while (answer())
		;
	return ANSWERED;
}

/* At the other end: whether it is answered. */
static bool answers(int wire)
{
	char byte = 0;

	return write(wire, &byte, 1) == 1 && read(wire, &byte, 1) == 1;
}

/* Whether nobody has the other end of @fd, or will have in a while. */
static bool is_closed(int fd, int patience)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&poller, 1, patience) == 1 && read(fd, &byte, 1) <= 0;
}

/* Wait for the only child, and end in the way it did. */
static int reap(void *unused)
{
	int status;

	if (sys(SYS_wait4, -1, &status, __WALL, NULL) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + status;
}

/* As container runtimes do: a child, but of our parent. */
static int make_sibling(void *unused)
{
	pid_t pid = sys(SYS_clone, CLONE_PARENT);

	if (!pid)
		sys(SYS_exit_group, SIBLING);
	return sys(SYS_write, STDIN_FILENO, &pid, sizeof(pid)) != sizeof(pid);
}

static int sleep_for_good(void *unused)
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

static int become(void *arg)
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
static void child_runs(int program, bool execs)
{
	child_init(&child, execs ? become : programs[program].run,
		   &programs[program]);
}

/*
 * Start the child with one end of a socket as its descriptor 0. Return: the
 * other.
 */
static int child_begins(enum way way)
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

/* One that answers. */
static int echo_begins(__u64 flags, bool execs)
{
	child_runs(ECHO, execs);
	child.args.flags = flags;
	return child_begins(BY_DEVICE);
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
static int leave_cpu(cpu_set_t cpus)
{
	int cpu = 0;

	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	CPU_CLR(cpu, &cpus);
	NEED(!sched_setaffinity(0, sizeof(cpus), &cpus));
	return cpu;
}

/* In this order: there the caller would not come so far as to be urgent. */
static void run_on(int cpu, int priority)
{
	const struct sched_param param = { .sched_priority = priority };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	NEED(!sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param));
	NEED(!sched_setaffinity(0, sizeof(cpus), &cpus));
}

static void spin(int cpu, __u32 *spins)
{
	run_on(cpu, SPINNER_PRIORITY);
	for (;;)
		__atomic_add_fetch(spins, 1, __ATOMIC_RELAXED);
}

/* Wait until there, on the CPU, is who spins. */
static void see_spin(__u32 *spins)
{
	__u32 before = word_get(spins);

	while (word_get(spins) == before)
		sched_yield();
}

/* A number in /proc/@pid/status, or -1. */
static long status_number(pid_t pid, const char *key)
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
static int be_parent(int wire)
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
static void scene_begin(void)
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
static bool has_run(void)
{
	if (!scene.held || scene.way != BY_DEVICE)
		return false;
	see_spin(scene.spins);
	return status_number(scene.child, "voluntary_ctxt_switches") ||
	       status_number(scene.child, "nonvoluntary_ctxt_switches");
}

/* Whether @pid is dead; it stays to be reaped. */
static bool is_dead(pid_t pid)
{
	siginfo_t info;

	return !waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
}

/* Let the child run. */
static void scene_release(void)
{
	if (scene.held)
		kill(scene.spinner, SIGKILL);
}

static void scene_end(void)
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
static int before_it_runs(enum way way, enum act act, int (*look)(void))
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
/* Much enough to be killed for. */
#define PARENT_MEMORY	(16 << 20)

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

/* Its parent's memory: not to be lost because there is none where the child is. */

/* Use up the memory of the scene's cgroup. Return: the wait status of who did. */
static int use_up(void)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = scene.cgroup,
	};
	int status = -1;
	pid_t pid = sys(SYS_clone3, &args, sizeof(args));

	if (!pid)
		_exit(hog_memory(NULL));
	waitpid(pid, &status, 0);
	return status;
}

/* How a parent ends while that happens, @rounds times if it lives so long. */
static int without_memory(enum way way, __u64 flags, int rounds)
{
	scene.way = way;
	scene.flags = flags | AVFORK_INTO_CGROUP;
	scene.memory = PARENT_MEMORY;
	scene.echoes = true;
	scene_begin();
	for (; rounds && answers(scene.wire); rounds--)
		NEED(use_up() == SIGKILL);
	scene_end();
	return scene.ended;
}

TEST_F(harmless, out_of_memory)
{
	/* A kernel that checks all it does is slow. */
	bool slow = !access("/sys/kernel/debug/kmemleak", F_OK);

	EXPECT_EQ(EXITED(ANSWERED),
		  without_memory(BY_DEVICE, 0, slow ? 20 : 100));
	EXPECT_EQ(EXITED(ANSWERED),
		  without_memory(BY_DEVICE, AVFORK_SHARE_FDS, slow ? 5 : 20));
}

TEST_F(harmless, out_of_memory_while_parent_waits)
{
	EXPECT_EQ(EXITED(ANSWERED),
		  without_memory(BY_DEVICE, AVFORK_SYNC, 3));
}

TEST_F(harmless, out_of_memory_by_clone)
{
	int tries, killed = 0;

	for (tries = 0; tries < 3 && !killed; tries++)
		killed += without_memory(BY_CLONE_VM, 0, 1) == SIGKILL;
	EXPECT_LT(0, killed);
}

static int see_memory_used_up(void)
{
	NEED(use_up() == SIGKILL);
	return has_run() ? AGAIN : 0;
}

TEST_F(harmless, out_of_memory_before_it_runs)
{
	scene.memory = PARENT_MEMORY;
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, ANSWER, see_memory_used_up));
	EXPECT_EQ(EXITED(ANSWERED), scene.ended);
	scene.flags = AVFORK_SHARE_FDS;
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, ANSWER, see_memory_used_up));
	EXPECT_EQ(EXITED(ANSWERED), scene.ended);
	scene.flags = 0;
	EXPECT_EQ(0, before_it_runs(BY_CLONE_VM, ANSWER, see_memory_used_up));
	EXPECT_EQ(SIGKILL, scene.ended);
}

TEST_F(harmless, out_of_memory_after_exec)
{
	child_runs(HOG, true);
	child.args.flags = AVFORK_INTO_CGROUP;
	child.args.cgroup_fd = scene.cgroup;
	ASSERT_LT(0, child_spawn(device, &child));
	EXPECT_EQ(SIGKILL, child_reap(&child));
}

#define SCORE_ADJ "/proc/self/oom_score_adj"

static int write_score(void *unused)
{
	long fd = sys_open(SCORE_ADJ, O_WRONLY);

	sys(SYS_write, fd, "500", 3);
	sys(SYS_close, fd);
	return echo(NULL);
}

TEST_F(harmless, oom_score)
{
	long before = read_number(SCORE_ADJ);
	char path[64];
	enum way way;
	bool ours;
	int wire;

	for (way = BY_DEVICE; way <= BY_CLONE_VM; way++) {
		ours = way == BY_DEVICE;
		child_init(&child, write_score, NULL);
		wire = child_begins(way);
		EXPECT_TRUE(answers(wire));
		snprintf(path, sizeof(path), "/proc/%d/oom_score_adj",
			 child.pid);
		EXPECT_EQ(500, read_number(path));
		EXPECT_EQ(ours ? before : 500, read_number(SCORE_ADJ));
		EXPECT_EQ(0, write_file(path, "600"));
		EXPECT_EQ(ours ? before : 600, read_number(SCORE_ADJ));
		EXPECT_EQ(0, write_file(SCORE_ADJ, "700"));
		EXPECT_EQ(ours ? 600 : 700, read_number(path));
		kill(child.pid, SIGKILL);
		EXPECT_EQ(SIGKILL, child_reap(&child));
		close(wire);
	}
}

/*
 * Its parent's descriptors: it has none that it was not granted, ever, unless all
 * of them are asked for.
 */

static int see_end_of_pipe(void)
{
	bool closed = is_closed(scene.pipe, scene.way == BY_DEVICE ?
				PATIENCE : LITTLE_PATIENCE);

	return has_run() ? AGAIN : closed;
}

TEST_F(harmless, pipe_of_dead_parent)
{
	EXPECT_EQ(1, before_it_runs(BY_DEVICE, LEAVE, see_end_of_pipe));
	EXPECT_EQ(0, before_it_runs(BY_CLONE_FILES, LEAVE, see_end_of_pipe));
	EXPECT_EQ(0, before_it_runs(BY_FORK, LEAVE, see_end_of_pipe));
}

static int be_notified(void)
{
	int err = 0;

	NEED(is_dead(scene.parent));
	if (mq_notify(scene.queue, &notify_nobody))
		err = errno;
	return has_run() ? AGAIN : err;
}

TEST_F(harmless, notification_of_dead_parent)
{
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, LEAVE, be_notified));
	EXPECT_EQ(EBUSY, before_it_runs(BY_CLONE_FILES, LEAVE, be_notified));
}

/* As bits; there are no more of them. */
static int list_descriptors(void)
{
	int fd, found = 0;
	struct stat status;
	char path[48];

	for (fd = 0; fd < 31; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", scene.child, fd);
		if (!lstat(path, &status))
			found |= 1 << fd;
	}
	return has_run() ? AGAIN : found;
}

TEST_F(harmless, descriptors_before_it_runs)
{
	const int granted = 1 << STDIN_FILENO | 1 << GRANTED;

	EXPECT_EQ(granted, before_it_runs(BY_DEVICE, ANSWER, list_descriptors));
	EXPECT_NE(granted,
		  before_it_runs(BY_CLONE_FILES, ANSWER, list_descriptors));
	scene.flags = AVFORK_SHARE_FDS;
	EXPECT_NE(granted,
		  before_it_runs(BY_DEVICE, ANSWER, list_descriptors));
}

/* Whether the parent's lock is gone when it has acted and the child has died. */
static int see_lock_lost(void)
{
	struct pollfd poller = { .events = POLLIN };
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };

	NEED(answers(scene.wire));
	if (has_run())
		return AGAIN;
	poller.fd = sys(SYS_pidfd_open, scene.child, 0);
	scene_release();
	kill(scene.child, SIGKILL);
	NEED(poll(&poller, 1, PATIENCE) == 1);
	close(poller.fd);
	NEED(!fcntl(scene.lock, F_GETLK, &lock));
	return lock.l_type == F_UNLCK;
}

TEST_F(harmless, locks)
{
	int rounds, lost = 0;
	enum act act;

	for (act = UNSHARE; act <= EXEC; act++) {
		scene.way = BY_DEVICE;
		scene.act = act;
		for (rounds = 0; rounds < 40; rounds++) {
			scene_begin();
			lost += see_lock_lost();
			scene_end();
		}
		EXPECT_EQ(0, lost);
		EXPECT_EQ(0, before_it_runs(BY_DEVICE, act, see_lock_lost));
		EXPECT_EQ(1,
			  before_it_runs(BY_CLONE_FILES, act, see_lock_lost));
	}
}

/* Its siblings: their parent, which is its own, waits for them as for any child. */

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Whose death a pending @signal tells of, or 0. */
static pid_t told_of(int signal)
{
	const struct timespec at_once = { 0, 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	return sigtimedwait(&set, &info, &at_once) == signal ? info.si_pid : 0;
}

/*
 * Have the child make one, and reap both. Return: 0, or why a plain waitpid(2)
 * did not find it. @told: whether SIGCHLD told of its death.
 */
static int reap_sibling(enum way way, int exit_signal, bool execs, bool *told)
{
	int wire, status, err = 0;
	pid_t pid;

	child_runs(MAKE_SIBLING, execs);
	child.args.exit_signal = exit_signal;
	wire = child_begins(way);
	NEED(read(wire, &pid, sizeof(pid)) > 0);
	close(wire);
	if (waitpid(pid, &status, 0) != pid) {
		err = errno;
		NEED(waitpid(pid, &status, __WALL) == pid);
	}
	NEED(status == EXITED(SIBLING));
	*told = told_of(SIGCHLD) == pid;
	NEED(child_reap(&child) == 0);
	return err;
}

TEST_F(harmless, siblings)
{
	int signal, way;
	bool told;

	block_signals();
	for (signal = 0; signal <= SIGUSR1; signal += SIGUSR1) {
		EXPECT_EQ(0, reap_sibling(BY_DEVICE, signal, true, &told));
		EXPECT_TRUE(told);
		EXPECT_EQ(0, told_of(SIGCHLD));
		EXPECT_EQ(signal ? child.pid : 0, told_of(SIGUSR1));
	}
	/* Its SIGCHLD may be one with the child's, which has that by then. */
	EXPECT_EQ(0, reap_sibling(BY_CLONE_VM, 0, true, &told));
	told_of(SIGCHLD);
	/* Before an exec it has the child's signal, as clone(2) has it. */
	for (way = BY_DEVICE; way <= BY_CLONE_VM; way++) {
		EXPECT_EQ(ECHILD, reap_sibling(way, 0, false, &told));
		EXPECT_FALSE(told);
	}
}

/* AVFORK_AUTOKILL: it lives as long as what it was made through. */

/* How one of echo_begins() ends, which is dead, or was left alone. */
static int echo_ends(int wire, bool dead)
{
	if (dead ? !is_closed(wire, PATIENCE) : !answers(wire))
		return -1;
	close(wire);
	return child_reap(&child);
}

TEST_F(harmless, autokill_by_close)
{
	int others = device, execs, copy, wire;
	pid_t holder;

	for (execs = 0; execs < 2; execs++) {
		device_reopen();
		wire = echo_begins(AVFORK_AUTOKILL, execs);
		copy = dup(device);
		EXPECT_TRUE(answers(wire));
		close(device);
		EXPECT_TRUE(answers(wire));
		holder = fork();
		if (!holder)
			sleep_for_good(NULL);
		close(copy);
		EXPECT_TRUE(answers(wire));
		kill(holder, SIGKILL);
		EXPECT_EQ(holder, waitpid(holder, NULL, 0));
		EXPECT_EQ(SIGKILL, echo_ends(wire, true));

		device_reopen();
		wire = echo_begins(AVFORK_AUTOKILL, execs);
		close(device);
		EXPECT_EQ(SIGKILL, echo_ends(wire, true));
	}
	device = others;
}

TEST_F(harmless, autokill_of_no_other)
{
	int ours = device, execs, wire;

	for (execs = 0; execs < 2; execs++) {
		device_reopen();
		wire = echo_begins(0, execs);
		close(device);
		EXPECT_EQ(EXITED(ANSWERED), echo_ends(wire, false));

		device = ours;
		wire = echo_begins(AVFORK_AUTOKILL, execs);
		device_reopen();
		close(device);
		device = ours;
		EXPECT_EQ(EXITED(ANSWERED), echo_ends(wire, false));
	}
}

/*
 * How a child ends when its parent leaves, or execs, or is killed where it would
 * wait.
 */
static int without_owner(enum act act, __u64 flags, bool execs)
{
	scene.act = act;
	scene.flags = flags;
	scene.echoes = true;
	scene.execs = execs;
	scene_begin();
	NEED(answers(scene.wire));
	kill(scene.parent, act == WAIT ? SIGKILL : SIGUSR1);
	if (flags & AVFORK_AUTOKILL) {
		NEED(is_closed(scene.wire, PATIENCE));
	} else {
		NEED(act == EXEC || is_dead(scene.parent));
		NEED(answers(scene.wire));
	}
	scene_end();
	return act == EXEC ? scene.ended : scene.orphan;
}

TEST_F(harmless, autokill_by_end_of_owner)
{
	int execs;

	for (execs = 0; execs < 2; execs++) {
		EXPECT_EQ(SIGKILL,
			  without_owner(LEAVE, AVFORK_AUTOKILL, execs));
		EXPECT_EQ(EXITED(ANSWERED), without_owner(LEAVE, 0, execs));
		EXPECT_EQ(SIGKILL, without_owner(WAIT, AVFORK_AUTOKILL, execs));
		EXPECT_EQ(EXITED(ANSWERED), without_owner(WAIT, 0, execs));
		/* The program that it has become tells. */
		EXPECT_EQ(EXITED(128 + SIGKILL),
			  without_owner(EXEC, AVFORK_AUTOKILL, execs));
		EXPECT_EQ(EXITED(ANSWERED), without_owner(EXEC, 0, execs));
	}
}

/* Whether the child dies when it may run, and its owner has died. */
static int see_death(void)
{
	struct pollfd poller = { .events = POLLIN };
	int ret = AGAIN;

	poller.fd = sys(SYS_pidfd_open, scene.child, 0);
	NEED(poller.fd >= 0);
	NEED(is_dead(scene.parent));
	if (!has_run()) {
		scene_release();
		ret = poll(&poller, 1, scene.flags & AVFORK_AUTOKILL ?
			   PATIENCE : LITTLE_PATIENCE);
	}
	close(poller.fd);
	return ret;
}

TEST_F(harmless, autokill_before_it_runs)
{
	scene.flags = AVFORK_AUTOKILL;
	EXPECT_EQ(1, before_it_runs(BY_DEVICE, LEAVE, see_death));
	scene.flags = 0;
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, LEAVE, see_death));
}

static int spawn(__u64 flags)
{
	child_init(&child, child_returns, NULL);
	child.args.flags = flags;
	return child_spawn(device, &child) < 0 ? child.pid : child_reap(&child);
}

TEST(autokill_without_privileges)
{
	device_reopen();
	if (become_nobody())
		SKIP(return, "needs root, to become somebody else");
	EXPECT_EQ(-EPERM, spawn(AVFORK_AUTOKILL));
	EXPECT_EQ(0, spawn(AVFORK_AUTOKILL | AVFORK_NNP));
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	EXPECT_EQ(0, spawn(AVFORK_AUTOKILL));
}

/* AVFORK_NNP: it has no_new_privs from the start, and for good. */

static int tell_no_new_privs(void *unused)
{
	return sys(SYS_prctl, PR_GET_NO_NEW_PRIVS);
}

TEST_F(harmless, no_new_privs)
{
	int set, execs, wire;

	for (set = 0; set < 2; set++) {
		child_init(&child, tell_no_new_privs, NULL);
		child.args.flags = set ? AVFORK_NNP : 0;
		ASSERT_LT(0, child_spawn(device, &child));
		EXPECT_EQ(EXITED(set), child_reap(&child));
		for (execs = 0; execs < 2; execs++) {
			wire = echo_begins(set ? AVFORK_NNP : 0, execs);
			EXPECT_TRUE(answers(wire));
			EXPECT_EQ(set, status_number(child.pid, "NoNewPrivs"));
			EXPECT_EQ(EXITED(ANSWERED),
				  echo_ends(wire, false));
		}
		EXPECT_EQ(0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	}
}

/* AVFORK_AUTOREAP: nobody is told of its death, nor can ask. */

/* What a wait says for a child with exit signal 0, dead. */
static int wait_for_quiet(__u64 flags, bool execs)
{
	struct pollfd poller = { .events = POLLIN };
	int wire;

	child_runs(ECHO, execs);
	child.args.flags = flags;
	child.args.exit_signal = 0;
	child.args.pidfd = (uintptr_t)&poller.fd;
	wire = child_begins(BY_DEVICE);
	NEED(answers(wire));
	NEED(poll(&poller, 1, 0) == 0);
	NEED(sys(SYS_wait4, child.pid, NULL, WNOHANG | __WALL) == 0);
	close(wire);
	NEED(poll(&poller, 1, PATIENCE) == 1);
	close(poller.fd);
	NEED(!told_of(SIGCHLD));
	return child_reap(&child);
}

TEST_F(harmless, autoreap)
{
	int execs, pidfd = -1;
	struct avfork_info info;

	block_signals();
	child_init(&child, child_returns, NULL);
	child.args.flags = AVFORK_AUTOREAP;
	child.args.pidfd = (uintptr_t)&pidfd;
	EXPECT_EQ(-EINVAL, child_spawn(device, &child));
	ASSERT_EQ(0, ioctl(device, AVFORK_IOC_INFO, &info));
	if (!(info.flags & AVFORK_AUTOREAP)) {
		TH_LOG("not with this kernel");
		child.args.exit_signal = 0;
		EXPECT_EQ(-EOPNOTSUPP, child_spawn(device, &child));
		EXPECT_EQ(-1, pidfd);
		return;
	}
	for (execs = 0; execs < 2; execs++) {
		EXPECT_EQ(-ECHILD, wait_for_quiet(AVFORK_AUTOREAP, execs));
		EXPECT_EQ(EXITED(ANSWERED), wait_for_quiet(0, execs));
	}
}

TEST_HARNESS_MAIN
