// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A parent as large programs are: hundreds of MiB resident, thousands of
 * descriptors, threads at work. It runs pipelines by avfork, and then shows
 * what it pays for a child, beside vfork, posix_spawn and fork.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <avfork.h>

#define MEMORY_MIB	256
#define DESCRIPTORS	5000
#define THREADS		2
#define ROUNDS		21

static char *memory;
static const size_t memory_size = MEMORY_MIB << 20;

/* ---- The parent ---- */

static void *work(void *arg)
{
	volatile unsigned long *counter = arg;

	for (;;)
		++*counter;
	return NULL;
}

static void become_large(void)
{
	static unsigned long counters[THREADS];
	struct rlimit limit;
	int i;

	memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	/* As most databases ask for: huge pages would make fork cheaper. */
	madvise(memory, memory_size, MADV_NOHUGEPAGE);
	memset(memory, 1, memory_size);

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (i = 0; i < DESCRIPTORS; i++)
		/* Without O_CLOEXEC: as a library does it that forgot. */
		if (open("/dev/null", O_RDONLY) < 0)
			err(1, "open");

	for (i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, &counters[i]))
			errx(1, "pthread_create");
	}
}

/* ---- A pipeline ---- */

struct command {
	char **argv;
};

/* Runs in the child: in the parent's memory, but with its own descriptors. */
static int run(void *arg)
{
	const struct command *command = arg;

	execvp(command->argv[0], command->argv);
	return 127;
}

/* Start @command with @in, @out and our stderr, and nothing else. */
static pid_t start(struct command *command, int in, int out)
{
	const struct avfork_fd fds[] = {
		{ .parent_fd = in, .child_fd = STDIN_FILENO },
		{ .parent_fd = out, .child_fd = STDOUT_FILENO },
		{ .parent_fd = STDERR_FILENO, .child_fd = STDERR_FILENO },
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts),
		.fds = fds,
		.nr_fds = 3,
	};

	return avfork_with(&opts, run, command);
}

/*
 * Run @nr commands as a pipeline. The pipes' ends need no care: a child has
 * those that it is granted, whatever else is open here, and may be closed here
 * as soon as the call has returned.
 */
static void pipeline(struct command *commands, int nr)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pids[nr];
	int i, status;

	for (i = 0; i < nr; i++) {
		int ends[2] = { -1, STDOUT_FILENO };

		if (i < nr - 1 && pipe2(ends, O_CLOEXEC))
			err(1, "pipe2");
		pids[i] = start(&commands[i], in, ends[1]);
		if (pids[i] < 0)
			err(1, "avfork");
		close(in);
		if (i < nr - 1)
			close(ends[1]);
		in = ends[0];
	}
	for (i = 0; i < nr; i++) {
		if (avfork_waitpid(pids[i], &status, 0) < 0 || status)
			errx(1, "%s failed", commands[i].argv[0]);
	}
}

#define COMMAND(...) { (char *[]){ __VA_ARGS__, NULL } }

static void show_pipelines(void)
{
	struct command longest[] = {
		COMMAND("ls", "/usr/bin"),
		COMMAND("awk", "{ print length, $0 }"),
		COMMAND("sort", "-rn"),
		COMMAND("sed", "-n", "1,3p"),
	};
	struct command descriptors[] = {
		COMMAND("ls", "/proc/self/fd"),
		COMMAND("tr", "\\n", " "),
	};

	printf("The three longest names in /usr/bin, by a pipeline of four:\n");
	fflush(stdout);
	pipeline(longest, 4);
	printf("\nThe descriptors that a child finds open (3 is its own, for the listing):\n");
	fflush(stdout);
	pipeline(descriptors, 2);
	printf("\n\n");
}

/* ---- What it costs ---- */

static struct command nothing = COMMAND("/bin/true");

static pid_t by_avfork(void)
{
	return avforkx(AVFORK_STDIO, run, &nothing);
}

static pid_t by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execv(nothing.argv[0], nothing.argv);
		_exit(127);
	}
	return pid;
}

static pid_t by_posix_spawn(void)
{
	extern char **environ;
	pid_t pid;
	int error = posix_spawn(&pid, nothing.argv[0], NULL, NULL,
				nothing.argv, environ);

	return error ? -1 : pid;
}

static pid_t by_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(run(&nothing));
	return pid;
}

static const struct method {
	const char *name;
	pid_t (*spawn)(void);
} methods[] = {
	{ "avfork", by_avfork },
	{ "vfork", by_vfork },
	{ "posix_spawn", by_posix_spawn },
	{ "fork", by_fork },
};

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static long page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median time until the call returns, and the faults of one pass after it. */
static double measure(const struct method *method, long *faults)
{
	double took[ROUNDS];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		double start = now_ms();
		pid_t pid = method->spawn();

		took[i] = now_ms() - start;
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			err(1, "%s", method->name);
	}
	*faults = page_faults();
	for (size_t page = 0; page < memory_size; page += sysconf(_SC_PAGESIZE))
		memory[page]++;
	*faults = page_faults() - *faults;

	qsort(took, ROUNDS, sizeof(*took), compare);
	return took[ROUNDS / 2];
}

static void show_costs(void)
{
	const size_t nr = sizeof(methods) / sizeof(*methods);
	double mine = 0;

	printf("What the parent pays for a child that runs /bin/true (median of %d):\n\n",
	       ROUNDS);
	printf("  %-12s %22s %10s %18s\n", "", "the call returns after",
	       "x avfork", "page faults then");
	for (size_t i = 0; i < nr; i++) {
		long faults;
		double took = measure(&methods[i], &faults);

		if (!mine)
			mine = took;
		printf("  %-12s %19.2f ms %10.1f %18ld\n", methods[i].name,
		       took, took / mine, faults);
	}
	printf("\nvfork and posix_spawn stop the parent until the child has exec'd; fork copies\nits page tables and has it fault on every page that it writes afterwards.\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	become_large();
	printf("A parent with %d MiB resident, %d descriptors and %d busy threads; backend: %s\n\n",
	       MEMORY_MIB, DESCRIPTORS, THREADS,
	       avfork_backend() ?: "none");
	show_pipelines();
	show_costs();
	return 0;
}
