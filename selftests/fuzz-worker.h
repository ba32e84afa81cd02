/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A worker of the fuzzer: it makes the calls, does to their children and to itself
 * what a program may, has a second thread interfere, and looks for what is left.
 */
#ifndef AVFORK_SELFTEST_FUZZ_WORKER_H
#define AVFORK_SELFTEST_FUZZ_WORKER_H

#include <grp.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "device.h"
#include "fuzz-call.h"

#define NR_WORKERS	4
#define CONTROL_EVERY	100

/* What has to hold, and the results of the test. */
enum property {
	ERRORS, CONTROLS, REAPING, DESCRIPTORS, WORKERS, PROCESSES, COUNTER,
	NR_PROPERTIES,
};

/* What all processes share. Children only add to counters. */
static struct shared {
	unsigned long begun;		/* calls */
	unsigned long returned;
	unsigned long made;		/* children */
	unsigned long controls;
	unsigned long controls_passed;
	unsigned long errors[MAX_ERRNO];
	unsigned long broken[NR_PROPERTIES];
	unsigned long limit;		/* of calls */
	__u32 stop;
	struct progress {
		unsigned int generation;
		unsigned int call;
		__u32 ready;		/* to be traced */
	} progress[NR_WORKERS];
} *shared;

#define count(what) __atomic_fetch_add(&shared->what, 1, __ATOMIC_RELAXED)

static bool finished(void)
{
	return word_get(&shared->stop) ||
	       __atomic_load_n(&shared->begun, __ATOMIC_RELAXED) >=
	       shared->limit;
}

/* A stream's third number is that of a call, or one of these. */
#define OF_WORKER	-1UL
#define OF_INTRUDER	-2UL
#define OF_TRACER	-3UL

static struct worker {
	unsigned int nr;
	unsigned int generation;
	bool pidfds_unknown;		/* written where they may be lost */
	pid_t pid;
	struct rng intruder;
	__u32 intruding;
	unsigned int last_call;
	pthread_mutex_t lock;		/* for the intruder and the slots' pids */
	struct slot slots[NR_SLOTS];
} worker = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct progress *progress(void)
{
	return &shared->progress[worker.nr];
}

static void __attribute__((format(printf, 2, 3)))
broken(enum property property, const char *format, ...)
{
	char text[512];
	va_list ap;

	if (__atomic_fetch_add(&shared->broken[property], 1,
			       __ATOMIC_RELAXED) >= 10)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	dprintf(STDOUT_FILENO, "# worker %u, generation %u, call %u: %s\n",
		worker.nr, worker.generation, progress()->call, text);
}

static long spawn(int device, unsigned int cmd, __u64 args)
{
	long ret;

	count(begun);
	ret = sys(SYS_ioctl, device, cmd, args);
	/* A prepared child was counted when it was prepared. */
	if (ret > 0 && device != PREPARED)
		count(made);
	count(returned);
	return ret;
}

static void child_spawns(int device, __u64 stack)
{
	struct avfork_args args;

	/* No memset(): it is libc's, and whose thread pointer is this? */
	args = (struct avfork_args) {
		.flags = AVFORK_SYNC,
		.entry = (uintptr_t)entry_exit,
		.stack = stack,
		.stack_size = AVFORK_STACK_MIN,
		.exit_signal = SIGCHLD,
	};
	spawn(device, AVFORK_IOC_SPAWN, (uintptr_t)&args);
}

/* Have another table: of no grant or one, and with flags or without. */
static void child_grants_itself(int device)
{
	const long random = sys(SYS_getpid);
	const struct avfork_fd grant = { device, random % MAX_FDS, 0, 0 };
	const struct avfork_grants grants = {
		.flags = random & (AVFORK_STDIO | AVFORK_INHERIT_FDS),
		.fds = (uintptr_t)&grant,
		.nr_fds = random & 1,
	};

	sys(SYS_ioctl, device, AVFORK_IOC_GRANT, &grants);
}

static int behave(void *arg)
{
	static const struct timespec moment = { 0, 1000000 };
	static char *const argv[] = { "avfork-child", NULL };
	struct slot *slot = arg;
	int device = slot->shares ? DEVICE : CHILD_DEVICE;
	int program = slot->shares ? PROGRAM : CHILD_PROGRAM;

	switch (slot->behaviour) {
	case RETURN:
		return slot->status >> 8;
	case EXIT:
		sys(SYS_exit, slot->status >> 8);
		break;
	case SLEEP:
		sys(SYS_nanosleep, &moment, NULL);
		break;
	case SPAWN:
		child_spawns(device,
			     (uintptr_t)slot->child.memory + CHILD_TLS);
		break;
	case GRANT:
		child_grants_itself(device);
		break;
	case FORK:
		if (!sys_fork())
			sys(SYS_exit_group);
		break;
	case GROUP:
		sys(SYS_setsid);
		break;
	case SIGNAL_PARENT:
		sys(SYS_kill, worker.pid, SIGUSR1);
		break;
	case EXEC:
		sys(SYS_execveat, program, "", argv, argv + 1, AT_EMPTY_PATH);
		break;
	case STOP:
		sys(SYS_kill, sys(SYS_getpid), SIGSTOP);
		__attribute__((fallthrough));
	case PAUSE:
		for (;;)
			sys_pause();
	case TRACED:
		sys(SYS_ptrace, PTRACE_TRACEME);
		sys(SYS_kill, sys(SYS_getpid), SIGTRAP);
		break;
	default:
		break;
	}
	return 0;
}

static void judge(const struct call *call, long ret)
{
	const struct avfork_args *a = &call->args;

	if (ret < 0 && ret > -MAX_ERRNO)
		count(errors[-ret]);
	if (ret >= 0 ? call->success :
	    ret > -MAX_ERRNO && call->errors[-ret])
		return;
	broken(ERRORS,
	       "returned %ld: fd %d cmd %#x at %#llx (tail %d, limits %lu %lu), flags %#llx namespaces %#llx entry %#llx arg %#llx stack %#llx+%#llx tls %#llx release %#llx pidfd %#llx fds %#llx %u exit_signal %u cgroup_fd %d reserved %u",
	       ret, call->device, call->cmd, call->at, call->tail,
	       call->nofile, call->nproc, a->flags, a->namespaces, a->entry,
	       a->arg, a->stack, a->stack_size, a->tls, a->release, a->pidfd,
	       a->fds, a->nr_fds, a->exit_signal, a->cgroup_fd, a->reserved);
}

/* The soft limits of the worker. */
static void set_limits(rlim_t nofile, rlim_t nproc)
{
	const struct rlimit files = { nofile, MAX_FDS };
	const struct rlimit processes = { nproc, MAX_PROCESSES };

	if (setrlimit(RLIMIT_NOFILE, &files) ||
	    setrlimit(RLIMIT_NPROC, &processes))
		abort();
}

/* A worker's children */

/* The intruder kills by pid: not when the pid may be another's. */
static pid_t slot_take(struct slot *slot)
{
	pid_t pid;

	pthread_mutex_lock(&worker.lock);
	pid = slot->child.pid;
	slot->child.pid = 0;
	pthread_mutex_unlock(&worker.lock);
	return pid;
}

/* Wait for the end of the child that is there, and bring it about. */
static void slot_reap(struct slot *slot, bool force)
{
	pid_t pid = slot_take(slot);
	int status, signal, ret, stops = 0;

	if (!pid)
		return;
	if (force || !slot->ends) {
		slot->status = -1;
		kill(pid, SIGKILL);
	}
	for (;;) {
		ret = sys(SYS_wait4, pid, &status, __WALL, NULL);
		if (ret == -EINTR)
			continue;
		if (ret != pid || !WIFSTOPPED(status))
			break;
		/* We trace it, and a traced init survives all its crashes. */
		if (++stops == 50) {
			slot->status = -1;
			kill(pid, SIGKILL);
		}
		signal = WSTOPSIG(status);
		if (signal == SIGSTOP || signal == SIGTRAP)
			signal = 0;
		ptrace(PTRACE_CONT, pid, NULL, signal);
	}
	if (ret != pid)
		broken(REAPING, "wait for %d: %d", pid, ret);
	else if (slot->status >= 0 && status != slot->status)
		broken(REAPING, "%d ended with %#x, not %#x", pid, status,
		       slot->status);
	else if (slot->status >= 0 && slot->child.in_memory)
		broken(REAPING, "%d is dead and its release word set", pid);
	if (slot->pidfd >= 0)
		close(slot->pidfd);
	ret = sys(SYS_wait4, pid, &status, __WALL | WNOHANG, NULL);
	if (ret != -ECHILD)
		broken(REAPING, "second wait for %d: %d", pid, ret);
}

/* Make others look at a process's descriptors. */
static void read_descriptors(pid_t pid)
{
	char path[32], entries[2048];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	sys(SYS_getdents64, fd, entries, sizeof(entries));
	close(fd);
}

static void take_descriptor(pid_t pid, int number)
{
	int pidfd = sys(SYS_pidfd_open, pid, 0);
	int fd = sys(SYS_pidfd_getfd, pidfd, number, 0);

	if (fd >= 0)
		close(fd);
	if (pidfd >= 0)
		close(pidfd);
}

/* What becomes of a child at once; what ends later is reaped later. */
static void slot_act(struct slot *slot, struct rng *rng)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGCONT, SIGWINCH };
	pid_t pid = slot->child.pid;

	switch (below(rng, 16)) {
	case 0 ... 3:
		slot_reap(slot, false);
		break;
	case 4:
		slot->status = -1;
		kill(pid, PICK(rng, signals));
		break;
	case 5:
		kill(pid, SIGSTOP);
		sched_yield();
		kill(pid, SIGCONT);
		break;
	case 6:
		ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT |
		       PTRACE_O_TRACEEXEC);
		ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
		break;
	case 7:
		ptrace(PTRACE_ATTACH, pid, NULL, NULL);
		if (one_in(rng, 2))
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
		break;
	case 8:
		read_descriptors(pid);
		break;
	case 9:
		take_descriptor(pid, CHILD_DEVICE);
		break;
	case 10:
		sys(SYS_pidfd_send_signal, slot->pidfd, SIGCONT, NULL, 0);
		break;
	default:
		break;
	}
}

/*
 * Children end with any signal, the C library's own as well. A worker handles
 * two, and takes the others now and then.
 */
static void block_signals(void)
{
	__u64 all = -1;

	sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
}

static void handle_signals(void)
{
	__u64 others = ~(1UL << (SIGUSR1 - 1) | 1UL << (SIGWINCH - 1));

	sys(SYS_rt_sigprocmask, SIG_SETMASK, &others, NULL, sizeof(others));
}

static void handle(int signal)
{
}

static void take_signals(void)
{
	static const struct timespec now;
	__u64 all = -1;
	int ret;

	do {
		ret = sys(SYS_rt_sigtimedwait, &all, NULL, &now, sizeof(all));
	} while (ret > 0 || ret == -EINTR);
}

/* How a worker may end. Only the first lets it look after its children. */
enum end { IN_ORDER, BY_EXIT, BY_EXEC, BY_KILL, NR_ENDS };

static void end(enum end how)
{
	static char *const argv[] = { "avfork-child", NULL };

	/* For a program that is exec'd: children may still end. */
	block_signals();
	if (how == BY_EXEC)
		sys(SYS_execveat, PROGRAM, "", argv, argv + 1, AT_EMPTY_PATH);
	if (how == BY_KILL)
		kill(getpid(), SIGKILL);
	_exit(0);
}

/*
 * The intruder: a worker's second thread. It does what it can to the memory, the
 * descriptors and the children that calls are about, and ends some workers in
 * the middle of one.
 */
static void intrude(struct rng *rng)
{
	static const int signals[] = { SIGKILL, SIGSTOP, SIGCONT, SIGCONT };
	struct view *const views[] = { &args_view, &grants_view, &target_view };
	struct slot *slot = &worker.slots[below(rng, NR_SLOTS)];
	int number = VOLATILE + below(rng, NR_OWN - VOLATILE);
	pid_t pid;
	int signal;

	switch (below(rng, 8)) {
	case 0 ... 1:
		view_change(PICK(rng, views), rng);
		break;
	case 2:
		dup3(one_in(rng, 2) ? DEVICE : below(rng, VOLATILE), number,
		     one_in(rng, 2) ? O_CLOEXEC : 0);
		break;
	case 3:
		close(number);
		break;
	case 4:
		signal = PICK(rng, signals);
		pthread_mutex_lock(&worker.lock);
		pid = slot->child.pid;
		if (pid > 0) {
			if (signal == SIGKILL)
				slot->status = -1;
			else
				slot->ends = false;
			kill(pid, signal);
		}
		pthread_mutex_unlock(&worker.lock);
		break;
	case 5:
		sys(SYS_tgkill, worker.pid, worker.pid, SIGUSR1);
		break;
	case 6:
		/* Whom it finds there, it does not harm. */
		kill(0, SIGWINCH);
		break;
	default:
		pid = slot->child.pid;
		if (pid <= 0)
			break;
		/* The worker may be looking for lost descriptors. */
		pthread_mutex_lock(&worker.lock);
		if (one_in(rng, 2))
			read_descriptors(pid);
		else
			take_descriptor(pid, CHILD_DEVICE);
		pthread_mutex_unlock(&worker.lock);
	}
}

static void *intruder(void *arg)
{
	struct rng *rng = &worker.intruder;
	enum end how = below(rng, 3) ? IN_ORDER : below(rng, NR_ENDS);

	block_signals();
	word_set(&worker.intruding, 1);
	for (;;) {
		const struct timespec pause = { 0, below(rng, 4000000) };

		nanosleep(&pause, NULL);
		intrude(rng);
		if (how != IN_ORDER && progress()->call >= worker.last_call / 2)
			end(how);
	}
	return arg;
}

/* A worker */

static void drop_privileges(void)
{
	if (!geteuid() &&
	    (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	     setresuid(NOBODY, NOBODY, NOBODY)))
		abort();
	/* To be traced, and to have a /proc of its own. */
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void become_privileged(void)
{
	char map[32];

	snprintf(map, sizeof(map), "%u %u 1", geteuid(), geteuid());
	has_privileges = !unshare(CLONE_NEWUSER);
	prctl(PR_SET_DUMPABLE, 1);
	if (has_privileges)
		write_file("/proc/self/uid_map", map);
}

static void as(int number, int fd, int flags)
{
	if (fd < 0 || dup3(fd, number, flags) != number)
		abort();
}

/* @program: this very one, open; the user may not be able to */
static void open_descriptors(int program)
{
	const struct epoll_event event = { .events = EPOLLIN };
	struct avfork_info info;
	int fds[2], null, cgroup;

	/* All that is opened first is out of the way of the numbers to be. */
	program = fcntl(program, F_DUPFD, 100);
	close_range(DEVICE, 99, 0);
	do {
		null = open("/dev/null", O_RDONLY);
	} while (null >= 0 && null < NR_OWN);
	as(STDIN_FILENO, null, 0);
	as(DEVICE, open(AVFORK_DEVICE, O_RDWR), O_CLOEXEC);
	can_autoreap = !ioctl(DEVICE, AVFORK_IOC_INFO, &info) &&
		       info.flags & AVFORK_AUTOREAP;
	as(PROGRAM, program, O_CLOEXEC);
	as(ROOT, open("/", O_PATH), 0);
	if (pipe2(fds, O_NONBLOCK))
		abort();
	as(PIPE_READ, fds[0], O_CLOEXEC);
	as(PIPE_WRITE, fds[1], 0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		abort();
	as(SOCKET, fds[0], 0);
	as(SOCKET_PEER, fds[1], O_CLOEXEC);
	as(EPOLL, epoll_create1(0), O_CLOEXEC);
	as(EVENT, eventfd(0, 0), 0);
	epoll_ctl(EPOLL, EPOLL_CTL_ADD, PIPE_READ, (void *)&event);
	as(PROC, open("/proc", O_RDONLY | O_DIRECTORY), O_CLOEXEC);
	cgroup = open(CGROUP_ROOT, O_PATH | O_DIRECTORY);
	has_cgroup = !access(CGROUP_ROOT "/cgroup.procs", F_OK);
	as(CGROUP, cgroup < 0 ? ROOT : cgroup, O_CLOEXEC);
	as(PREPARED, dup(ROOT), O_CLOEXEC);
	close_range(NR_OWN, ~0U, 0);
}

/* Between children: nothing may be left of those there were. */
static void look_after(void)
{
	unsigned int i;
	int lowest;

	for (i = 0; i < NR_SLOTS; i++)
		slot_reap(&worker.slots[i], false);
	/* A prepared child may just be ending, whose descriptor another had. */
	for (i = 0; i < 10000 && !no_child_left(); i++)
		usleep(1000);
	if (i == 10000)
		broken(REAPING, "there is a child more");
	take_signals();

	pthread_mutex_lock(&worker.lock);
	lowest = fcntl(STDIN_FILENO, F_DUPFD, NR_OWN);
	if (lowest != NR_OWN && !worker.pidfds_unknown)
		broken(DESCRIPTORS, "%d is the lowest that is free", lowest);
	close_range(NR_OWN, ~0U, 0);
	pthread_mutex_unlock(&worker.lock);
	worker.pidfds_unknown = false;
}

/* Have PREPARED be a child that waits. Return: whether there is one. */
static bool prepare_child(struct rng *rng)
{
	static const __u64 flags[] = {
		0, AVFORK_INHERIT_SIGNALS, AVFORK_NNP,
		AVFORK_AUTOKILL | AVFORK_NNP,
	};
	const struct avfork_args args = {
		.flags = PICK(rng, flags),
		.namespaces = has_privileges && one_in(rng, 4) ? CLONE_NEWPID :
			      0,
	};
	int fd = spawn(DEVICE, AVFORK_IOC_PREPARE, (uintptr_t)&args);

	if (fd < 0)
		return false;
	dup3(fd, PREPARED, O_CLOEXEC);
	close(fd);
	/* The intruder may have taken the number before: see for a small size. */
	return sys(SYS_ioctl, PREPARED, AVFORK_IOC_START & ~IOCSIZE_MASK,
		   NULL) == -EINVAL;
}

static void make_call(unsigned int nr)
{
	struct slot *slot = &worker.slots[nr % NR_SLOTS];
	bool control = nr % CONTROL_EVERY == CONTROL_EVERY - 1;
	struct rng rng = stream(worker.nr, worker.generation, nr);
	static struct call the_call;
	struct call *call = &the_call;
	bool wanted = true, limited;
	unsigned int n;
	long ret;

	slot_reap(slot, one_in(&rng, 2));
	call_init(call, slot, rng);
	if (!control) {
		slot->behaviour = below(&call->rng, NR_BEHAVIOURS);
		for (n = below(&call->rng, 5); n > 0; n--)
			mutate(call);
		wanted = one_in(&call->rng, 8);
	}
	call_place(call);
	expect(call);
	/* A child takes some 20 times longer than a call that fails. */
	while (!wanted && call->success) {
		mutate(call);
		call_place(call);
		expect(call);
	}

	/* For want of processes or memory. */
	if (call->device == PREPARED && !prepare_child(&call->rng))
		return;
	limited = call->nofile != MAX_FDS || call->nproc != MAX_PROCESSES;
	if (limited)
		set_limits(call->nofile, call->nproc);
	ret = spawn(call->device, call->cmd, call->at);
	if (limited)
		set_limits(MAX_FDS, MAX_PROCESSES);
	judge(call, ret);
	/* Unstarted, it ends here. */
	if (call->device == PREPARED)
		dup3(ROOT, PREPARED, O_CLOEXEC);

	if (call->args.pidfd && call->args.pidfd != (uintptr_t)&slot->pidfd)
		worker.pidfds_unknown = true;
	/* What a failed call has written there means nothing. */
	if (ret <= 0 || !call->args.pidfd)
		slot->pidfd = -1;
	if (ret > 0) {
		if (call->args.release != slot->child.args.release)
			slot->child.in_memory = 0;
		slot->child.pid = ret;
		slot_act(slot, &call->rng);
	}
	if (control) {
		count(controls);
		if (ret > 0)
			count(controls_passed);
	}
}

static void __attribute__((noreturn)) work(unsigned int nr,
					   unsigned int generation,
					   int program)
{
	struct rng rng = stream(nr, generation, OF_WORKER);
	enum end how = below(&rng, 2) ? IN_ORDER : below(&rng, NR_ENDS);
	const struct sigaction action = { .sa_handler = handle };
	pthread_t thread;
	unsigned int i;

	worker.nr = nr;
	worker.generation = generation;
	worker.intruder = stream(nr, generation, OF_INTRUDER);
	worker.last_call = 100 + below(&rng, 1500);
	worker.pid = getpid();
	progress()->call = 0;
	setpgid(0, 0);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGWINCH, &action, NULL);
	block_signals();
	set_limits(MAX_FDS, MAX_PROCESSES);
	drop_privileges();
	open_descriptors(program);
	view_init(&args_view);
	view_init(&grants_view);
	view_init(&target_view);
	for (i = 0; i < NR_SLOTS; i++)
		child_init(&worker.slots[i].child, behave, &worker.slots[i]);
	if (one_in(&rng, 3))
		become_privileged();
	word_set(&progress()->ready, 1);
	/* Without it nobody shares the table: the kernel then counts less. */
	if (!one_in(&rng, 3)) {
		if (pthread_create(&thread, NULL, intruder, NULL))
			abort();
		word_wait(&worker.intruding, 0);
	}
	/* Only now: pthread_create() has unblocked some. */
	handle_signals();

	for (i = 0; i < worker.last_call && !finished(); i++) {
		progress()->call = i;
		make_call(i);
		if (i % 128 == 127)
			look_after();
	}
	if (how != IN_ORDER)
		end(how);
	look_after();
	_exit(0);
}

#endif
