// SPDX-License-Identifier: GPL-2.0
/*
 * A hundred thousand children from eight threads, of every kind, leave nothing:
 * no process, descriptor, thread, kernel memory or kernel message.
 *
 * AVFORK_STRESS_SPAWNS sets another number.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/membarrier.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include <avfork.h>

#include "../kselftest.h"
#include "helpers.h"

#define NR_THREADS	8
#define NR_SPAWNS	100000
#define WINDOW		8	/* children of a thread at a time */

static unsigned long spawns_each;
static atomic_ulong spawned;
static atomic_uint failures;
static const char *program;

/* Up to ten of these are worth reading. */
#define COMPLAIN(fmt, ...) do {						\
	if (failures++ < 10)						\
		ksft_print_msg("line %d: " fmt "\n", __LINE__,		\
			       ##__VA_ARGS__);				\
} while (0)

/* The kinds of children: each starts one, and tells how it shall end. */

static int spin(void *arg)
{
	for (;;)
		__asm__ volatile ("");
	return (int)(long)arg;
}

static int run_program(void *arg)
{
	char *argv[] = { "echo", "argument", NULL };
	char *envp[] = { NULL };

	execve(arg, argv, envp);
	return 127;
}

static int answer(void *arg)
{
	/* Two descriptors, and no more. */
	if (fcntl(0, F_GETFD) != -1 || fcntl(4, F_GETFD) != -1 ||
	    write(3, arg, 1) != 1)
		return 1;
	return fcntl(20, F_GETFD) == FD_CLOEXEC ? 0 : 2;
}

static pid_t start_plain(unsigned int n, int *ends)
{
	*ends = n & 0x7f;
	return avfork(return_arg, (void *)(long)*ends);
}

static pid_t start_sync(unsigned int n, int *ends)
{
	*ends = n & 0x7f;
	return avforkx(AVFORK_SYNC | AVFORK_STDIO, return_arg,
		       (void *)(long)*ends);
}

static pid_t start_hidden(unsigned int n, int *ends)
{
	*ends = n & 0x7f;
	return avforkx(n & 1 ? AVFORK_NOSIGCHLD : AVFORK_WAITPID, return_arg,
		       (void *)(long)*ends);
}

static pid_t start_exec(unsigned int n, int *ends)
{
	/* The number of its arguments, when its input turns out to be closed. */
	*ends = 1;
	return avforkx(n & 16 ? AVFORK_NOSIGCHLD : 0, run_program,
		       (void *)program);
}

static pid_t start_killed(unsigned int n, int *ends)
{
	pid_t pid = avforkx(n & 16 ? AVFORK_WAITPID : 0, spin, NULL);

	*ends = -SIGKILL;
	if (n & 32)
		sched_yield();
	if (pid > 0)
		kill(pid, SIGKILL);
	return pid;
}

static pid_t start_granted(unsigned int n, int *ends)
{
	struct avfork_fd fds[2] = {
		{ .child_fd = 3 }, { .child_fd = 20, .flags = FD_CLOEXEC },
	};
	struct avfork_opts opts = {
		.size = sizeof(opts), .fds = fds, .nr_fds = 2,
	};
	char sent = (char)n, got = 0;
	int pair[2], pidfd = -1;
	pid_t pid;

	*ends = 0;
	if (pipe2(pair, O_CLOEXEC))
		return -1;
	fds[0].parent_fd = pair[1];
	fds[1].parent_fd = pair[0];
	opts.pidfd = &pidfd;
	pid = avfork_with(&opts, answer, &sent);
	close(pair[1]);
	if (pid > 0 && (read(pair[0], &got, 1) != 1 || got != sent))
		COMPLAIN("read %d for %d", got, sent);
	close(pair[0]);
	close(pidfd);
	return pid;
}

static pid_t start_refused(unsigned int n, int *ends)
{
	struct avfork_fd fds[2] = {
		{ .parent_fd = 2, .child_fd = 5 },
		{ .parent_fd = 1000, .child_fd = 6 },
	};
	struct avfork_opts opts = {
		.size = sizeof(opts), .fds = fds, .nr_fds = 2,
	};

	errno = 0;
	if (avfork_with(&opts, return_arg, NULL) != -1 || errno != EBADF)
		COMPLAIN("a closed descriptor was granted (errno %d)", errno);
	return start_plain(n, ends);
}

/* How often each, of 16. */
static pid_t (*const kinds[16])(unsigned int n, int *ends) = {
	start_plain, start_granted, start_plain, start_killed,
	start_hidden, start_plain, start_sync, start_plain,
	start_exec, start_plain, start_granted, start_plain,
	start_hidden, start_refused, start_plain, start_killed,
};

static void *spawn_many(void *arg)
{
	struct {
		pid_t pid;
		int ends;
	} children[WINDOW] = { };
	unsigned long n;
	int end;

	(void)arg;
	for (n = 0; n < spawns_each + WINDOW; n++) {
		unsigned int slot = n % WINDOW;

		if (n >= WINDOW && children[slot].pid > 0) {
			end = reap(children[slot].pid);
			if (end != children[slot].ends)
				COMPLAIN("child %lu ended with %d, not %d",
					 n - WINDOW, end, children[slot].ends);
		}
		if (n >= spawns_each)
			continue;
		children[slot].pid = kinds[n % 16](n, &children[slot].ends);
		if (children[slot].pid <= 0)
			COMPLAIN("spawn %lu failed, errno %d", n, errno);
		spawned++;
	}
	return NULL;
}

static void spawn_all(unsigned long total)
{
	pthread_t threads[NR_THREADS];
	unsigned long start = spawned;
	unsigned int i, ticks = 0;

	spawns_each = total / NR_THREADS;
	total = spawns_each * NR_THREADS;
	for (i = 0; i < NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, spawn_many, NULL))
			ksft_exit_fail_msg("no thread\n");
	while (!COMES_TRUE(spawned - start == total, 5))
		ksft_print_msg("%u s: %lu of %lu\n", ticks += 5,
			       spawned - start, total);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Kernel memory, by what /proc/slabinfo says of the caches that spawns use. */

#define MAX_CACHES 64

struct cache {
	char name[32];
	long active;
};

static const char *const cache_prefixes[] = {
	"task_struct", "signal_cache", "sighand_cache", "files_cache", "filp",
	"pid", "cred_jar", "mm_struct", "vm_area", "anon_vma", "fs_cache",
	"task_delay_info", "kmalloc-", "eventpoll", "nsproxy", "uts_namespace",
};

static unsigned int read_caches(struct cache caches[MAX_CACHES])
{
	FILE *file = fopen("/proc/slabinfo", "r");
	unsigned int nr = 0, i;
	char line[512];

	if (!file)
		return 0;
	while (nr < MAX_CACHES && fgets(line, sizeof(line), file)) {
		struct cache *cache = &caches[nr];

		if (sscanf(line, "%31s %ld", cache->name, &cache->active) != 2)
			continue;
		for (i = 0; i < ARRAY_SIZE(cache_prefixes); i++)
			if (!strncmp(cache->name, cache_prefixes[i],
				     strlen(cache_prefixes[i])))
				break;
		nr += i < ARRAY_SIZE(cache_prefixes);
	}
	fclose(file);
	return nr;
}

/* What was freed in an RCU callback, or by a worker, is free after this. */
static void settle(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
		usleep(100000);
	}
}

/* The name of a cache that has grown by more than @slack objects, or NULL. */
static const char *grown_cache(const struct cache *before, unsigned int nr,
			       long slack)
{
	static struct cache after[MAX_CACHES];
	unsigned int i, j, nr_after = read_caches(after);

	for (i = 0; i < nr_after; i++)
		for (j = 0; j < nr; j++)
			if (!strcmp(after[i].name, before[j].name) &&
			    after[i].active > before[j].active + slack)
				return after[i].name;
	return NULL;
}

/* Memory as a whole: what this process has of it, and what all have left. */

#define MIB	(1024L * 1024)

struct memory {
	long resident, mapped, available;
};

static struct memory read_memory(void)
{
	return (struct memory) {
		.resident = proc_bytes("/proc/self/status", "VmRSS"),
		.mapped = proc_bytes("/proc/self/status", "VmSize"),
		.available = proc_bytes("/proc/meminfo", "MemAvailable"),
	};
}

/*
 * The C library keeps some stacks of threads that have ended, and the kernel
 * some pages on each CPU: no more of them for more children.
 */
static bool memory_is_as(const struct memory *before, struct memory *now)
{
	*now = read_memory();
	return now->resident < before->resident + 8 * MIB &&
	       now->mapped < before->mapped + 64 * MIB &&
	       now->available > before->available - 64 * MIB;
}

/* KASAN keeps what is freed for a while: slabinfo tells nothing there. */
static bool has_kasan(void)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	bool found = false;
	char line[512];

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, " kasan_quarantine") ||
			strstr(line, " kasan_report");
	if (file)
		fclose(file);
	return found;
}

/* An emulated CPU that had to wait for its host: no word about the kernel. */
static bool is_of_a_slow_machine(const char *text)
{
	return !strncmp(text, "hrtimer: interrupt took", 23) ||
	       !strncmp(text, "clocksource: ", 13);
}

/* What the kernel has said since @log was opened: the number of complaints. */
static unsigned int read_complaints(int log)
{
	unsigned int complaints = 0, priority;
	char record[8192];
	ssize_t length;

	for (;;) {
		char *text;

		length = read(log, record, sizeof(record) - 1);
		if (length < 0 && errno == EPIPE)
			continue;
		if (length <= 0)
			return complaints;
		record[length] = '\0';
		text = strchr(record, ';');
		/* The facility above, KERN_WARNING and worse below. */
		if (!text || sscanf(record, "%u", &priority) != 1 ||
		    priority > 4)
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (is_of_a_slow_machine(text + 1))
			continue;
		ksft_print_msg("kernel: %s\n", text + 1);
		complaints++;
	}
}

int main(void)
{
	const char *wanted = getenv("AVFORK_STRESS_SPAWNS");
	unsigned long total = wanted ? strtoul(wanted, NULL, 0) : NR_SPAWNS;
	static struct cache before[MAX_CACHES];
	unsigned int nr_caches, nr_fds;
	struct memory memory, memory_before;
	const char *cache = NULL;
	bool reaped, pool_left, flat;
	int log;

	setlinebuf(stdout);
	ksft_print_header();
	ksft_set_plan(7);
	/* Another arena is 64 MiB of addresses, whenever two threads meet. */
	mallopt(M_ARENA_MAX, 1);
	program = strdup(sibling("echo"));
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log >= 0)
		lseek(log, 0, SEEK_END);

	/* What is allocated once, and what each CPU keeps, is there after these. */
	spawn_all(NR_THREADS * 1000);
	pool_left = threads_leave();
	nr_fds = count_fds();
	settle();
	nr_caches = read_caches(before);
	memory_before = read_memory();

	spawn_all(total);
	ksft_test_result(!failures, "%lu children ended as they should\n",
			 spawned);
	reaped = waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD;
	ksft_test_result(reaped, "no process is left\n");
	ksft_test_result(pool_left && threads_leave(), "no carrier is left\n");
	ksft_test_result(count_fds() == nr_fds, "no descriptor is left\n");

	if (!nr_caches) {
		ksft_test_result_skip("kernel memory: cannot read /proc/slabinfo\n");
	} else if (has_kasan()) {
		ksft_test_result_skip("kernel memory: KASAN delays what is freed; kmemleak watches there\n");
	} else {
		/*
		 * Some slack, as each CPU keeps slabs whose free objects count
		 * as active; what one spawn in fifty leaks is found.
		 */
		COMES_TRUE((settle(), !(cache = grown_cache(before, nr_caches,
						total / 50 + 512))), 60);
		if (cache)
			ksft_print_msg("%s has grown\n", cache);
		ksft_test_result(!cache, "no kernel memory is left\n");
	}

	if (has_kasan()) {
		ksft_test_result_skip("memory: KASAN delays what is freed\n");
	} else {
		flat = COMES_TRUE(memory_is_as(&memory_before, &memory), 60);
		ksft_print_msg("resident, mapped, available: %ld, %ld, %ld KiB, then %ld, %ld, %ld KiB\n",
			       memory_before.resident / 1024,
			       memory_before.mapped / 1024,
			       memory_before.available / 1024,
			       memory.resident / 1024, memory.mapped / 1024,
			       memory.available / 1024);
		ksft_test_result(flat, "memory is as before\n");
	}

	if (log < 0)
		ksft_test_result_skip("kernel log: cannot read /dev/kmsg\n");
	else
		ksft_test_result(!read_complaints(log),
				 "the kernel has no complaint\n");
	return ksft_get_fail_cnt() ? ksft_exit_fail() : ksft_exit_pass();
}
