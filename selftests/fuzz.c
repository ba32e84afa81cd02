// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzzer of /dev/avfork: calls that are good but for some mutations, made by
 * an unprivileged user while their descriptors, memory, children and callers are
 * interfered with.
 *
 * A supervisor starts workers; a worker makes some hundred calls, and ends in
 * one of several ways, mid-call as well, with children alive. Its next
 * generation takes over. Each call is a function of the seed, the worker, its
 * generation and the number of the call alone, and so is what happens to the
 * child; only the interleaving is the machine's.
 *
 * What a call may return is worked out from the documentation. It is a success,
 * or one of the errors that this very call can have: see expect().
 *
 *   AVFORK_FUZZ_CALLS    how many calls
 *   AVFORK_FUZZ_SECONDS  for how long at most
 *   AVFORK_FUZZ_SEED     the seed, as the first line of output has it
 */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <time.h>

#include "../kselftest.h"
#include "fuzz-worker.h"

/* Unless the environment says how many or for how long. */
#define NR_CALLS	20000
#define NR_SECONDS	120
#define STUCK_SECONDS	180

static const char *const properties[NR_PROPERTIES] = {
	[ERRORS] = "a call succeeds, or fails with an error that it can have",
	[CONTROLS] = "good calls succeed all along",
	[REAPING] = "each child is reaped once, with the status it ended with",
	[DESCRIPTORS] = "a worker has the descriptors that it had before",
	[WORKERS] = "no worker crashes or hangs",
	[PROCESSES] = "no process is left",
	[COUNTER] = "the module has counted the same children",
};

/*
 * A tracer, which has every child of a worker stop before it starts, and may
 * leave or kill them all at any point.
 */
static void __attribute__((noreturn)) trace(unsigned int nr,
					    unsigned int generation, pid_t pid)
{
	struct rng rng = stream(nr, generation, OF_TRACER);
	const long options[] = {
		PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK,
		PTRACE_O_TRACEVFORKDONE, PTRACE_O_TRACEEXEC, PTRACE_O_TRACEEXIT,
		PTRACE_O_EXITKILL,
	};
	unsigned int events = below(&rng, 2000), i;
	struct start start;
	long chosen = options[0];
	int status, signal;

	for (i = 1; i < ARRAY_SIZE(options); i++)
		chosen |= one_in(&rng, 3) ? options[i] : 0;
	drop_privileges();
	word_wait(&shared->progress[nr].ready, 0);
	if (ptrace(PTRACE_SEIZE, pid, NULL, chosen))
		_exit(0);
	while (events--) {
		pid = waitpid(-1, &status, __WALL);
		if (pid < 0)
			break;
		if (!WIFSTOPPED(status))
			continue;
		start_read(pid, &start);
		/* A signal that it is to get, or something that we asked for. */
		signal = status >> 16 ? 0 : WSTOPSIG(status);
		if (one_in(&rng, 100))
			ptrace(PTRACE_DETACH, pid, NULL, signal);
		else
			ptrace(PTRACE_CONT, pid, NULL, signal);
	}
	_exit(0);
}

/* The supervisor. It inherits the children of its workers and of theirs. */
static pid_t workers[NR_WORKERS], tracers[NR_WORKERS];
static unsigned long orphans, generations, killed;
static int program;

static void start(unsigned int nr)
{
	unsigned int generation = shared->progress[nr].generation;
	struct rng rng = stream(nr, generation, OF_WORKER);

	shared->progress[nr].ready = 0;
	workers[nr] = fork();
	if (!workers[nr])
		work(nr, generation, program);
	if (workers[nr] < 0)
		ksft_exit_fail_msg("cannot fork\n");
	generations++;
	tracers[nr] = 0;
	if (!one_in(&rng, 4))
		return;
	tracers[nr] = fork();
	if (!tracers[nr])
		trace(nr, generation, workers[nr]);
}

static int find(const pid_t *pids, pid_t pid)
{
	int i;

	for (i = 0; i < NR_WORKERS; i++)
		if (pids[i] == pid)
			return i;
	return -1;
}

/* Kill what has lost its parent. */
static void kill_orphans(void)
{
	char path[64];
	FILE *file;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "r");
	if (!file)
		return;
	while (fscanf(file, "%d", &pid) == 1)
		if (find(workers, pid) < 0 && find(tracers, pid) < 0)
			kill(pid, SIGKILL);
	fclose(file);
}

static void worker_died(unsigned int nr, int status)
{
	struct progress *progress = &shared->progress[nr];

	/* By its own hand, a child's exit signal, its tracer's end. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		killed++;
	} else if (status) {
		ksft_print_msg("worker %u, generation %u, call %u: ended with %#x\n",
			       nr, progress->generation, progress->call,
			       status);
		/* The next one might fare no better. */
		if (++shared->broken[WORKERS] > 10)
			word_set(&shared->stop, 1);
	}
	workers[nr] = 0;
	if (tracers[nr])
		kill(tracers[nr], SIGKILL);
	/* A tracer that waits for a worker that never was ready. */
	kill_orphans();
	progress->generation++;
	if (!finished())
		start(nr);
}

/* Return: whether there are still children of any kind. */
static bool reap_some(void)
{
	int status, nr;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | __WALL)) > 0) {
		nr = find(workers, pid);
		if (WIFSTOPPED(status))
			/* A child's exit signal, again. */
			kill(pid, SIGCONT);
		else if (nr >= 0)
			worker_died(nr, status);
		else if (find(tracers, pid) >= 0)
			tracers[find(tracers, pid)] = 0;
		else
			orphans++;
	}
	return pid == 0;
}

/* Where the threads of @pid and of its children are. */
static void tell_of(pid_t pid)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "for pid in %d $(cat /proc/%d/task/*/children); do "
		 "cd /proc/$pid/task && for task in *; do "
		 "grep -E '^(Name|State|Pid|TracerPid|SigPnd|ShdPnd|SigBlk)' $task/status; "
		 "cat $task/syscall $task/stack; done; done | sed 's/^/# /'",
		 pid, pid);
	if (system(command))
		ksft_print_msg("cannot tell where %d is\n", pid);
}

/* A worker that makes no progress is killed, once, and told about. */
static void kill_stuck(void)
{
	static struct {
		unsigned int generation, call, seconds;
	} last[NR_WORKERS];
	unsigned int i;

	for (i = 0; i < NR_WORKERS; i++) {
		struct progress *now = &shared->progress[i];

		if (last[i].generation != now->generation ||
		    last[i].call != now->call)
			last[i].seconds = 0;
		last[i].generation = now->generation;
		last[i].call = now->call;
		if (!workers[i] || ++last[i].seconds != STUCK_SECONDS)
			continue;
		ksft_print_msg("worker %u, generation %u, call %u: stuck\n", i,
			       now->generation, now->call);
		tell_of(workers[i]);
		shared->broken[WORKERS]++;
		kill(workers[i], SIGKILL);
	}
}

static unsigned long number_from(const char *variable, unsigned long otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

static void report(void)
{
	unsigned int i;

	ksft_print_msg("%lu calls, %lu children, %lu of them controls\n",
		       shared->begun, shared->made, shared->controls_passed);
	ksft_print_msg("%lu generations of workers, %lu killed; %lu orphans\n",
		       generations, killed, orphans);
	for (i = 0; i < MAX_ERRNO; i++)
		if (shared->errors[i])
			ksft_print_msg("%s: %lu\n", strerrorname_np(i),
				       shared->errors[i]);
}

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/* Until the last process is gone. */
static void supervise(unsigned long seconds)
{
	const struct timespec second = { 1, 0 };
	time_t begin = now(), last = begin, stopped = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (reap_some()) {
		sigtimedwait(&set, NULL, &second);
		if (now() == last)
			continue;
		last = now();
		if (seconds && last - begin >= seconds)
			word_set(&shared->stop, 1);
		if (last % 30 == 0)
			ksft_print_msg("%ld s: %lu calls\n", last - begin,
				       shared->begun);
		kill_stuck();
		if (!finished())
			continue;
		kill_orphans();
		stopped = stopped ?: last;
		if (last - stopped > 2 * STUCK_SECONDS) {
			shared->broken[PROCESSES]++;
			return;
		}
	}
}

int main(void)
{
	unsigned long calls = number_from("AVFORK_FUZZ_CALLS", 0);
	unsigned long seconds = number_from("AVFORK_FUZZ_SECONDS", 0);
	unsigned long spawned, unsure;
	sigset_t set;
	int i;

	setlinebuf(stdout);
	ksft_print_header();
	if (access(AVFORK_DEVICE, F_OK))
		ksft_exit_skip("no " AVFORK_DEVICE "\n");
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		ksft_exit_fail_msg("no random number\n");
	seed = number_from("AVFORK_FUZZ_SEED", seed >> 32);
	ksft_print_msg("AVFORK_FUZZ_SEED=%llu\n", seed);
	ksft_set_plan(NR_PROPERTIES);

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (shared == MAP_FAILED || program < 0)
		ksft_exit_fail_msg("no memory or no /proc\n");
	if (!calls && !seconds) {
		calls = NR_CALLS;
		seconds = NR_SECONDS;
	}
	shared->limit = calls ?: -1UL;
	spawned = read_number(AVFORK_SPAWNED);

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/*
	 * khugepaged holds the lock of a worker's memory at the lowest priority:
	 * for minutes, where emulated CPUs are short.
	 */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (i = 0; i < NR_WORKERS; i++)
		start(i);
	supervise(seconds);
	report();

	/* Too few processes or too little memory for them, at times. */
	if (!shared->controls_passed ||
	    shared->controls_passed < shared->controls * 9 / 10)
		shared->broken[CONTROLS]++;
	/* Who was killed in a call could not say what came of it. */
	spawned = read_number(AVFORK_SPAWNED) - spawned;
	unsure = shared->begun - shared->returned;
	if (spawned < shared->made || spawned > shared->made + unsure) {
		ksft_print_msg("the module: %lu children, we: %lu and up to %lu\n",
			       spawned, shared->made, unsure);
		shared->broken[COUNTER]++;
	}
	for (i = 0; i < NR_PROPERTIES; i++)
		ksft_test_result(!shared->broken[i], "%s\n", properties[i]);
	return ksft_get_fail_cnt() ? ksft_exit_fail() : ksft_exit_pass();
}
