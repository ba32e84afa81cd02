// SPDX-License-Identifier: GPL-2.0
/*
 * That a spawn touches nothing of its parent, counted: no page fault, no lock of its
 * memory, no page copied, no request of its own cancelled; and that it does not wait for
 * a cgroup. Each next to what fork(2), vfork(2) and posix_spawn(3) do.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "maker.h"

#include <linux/io_uring.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>

/* Waiting */

static bool file_says(const char *path, const char *text)
{
	char buffer[512];

	read_text(path, buffer, sizeof(buffer));
	return strstr(buffer, text);
}

static void await_file(const char *path, const char *text)
{
	while (!file_says(path, text))
		sched_yield();
}

static int child_notes(void *ran)
{
	word_set(ran, 1);
	return 0;
}

/**
 * struct caller - a thread that makes a child in a cgroup
 * @make:     the call
 * @device:   /dev/avfork
 * @child:    the child
 * @tid:      of the thread, once that runs
 * @returned: whether the call has returned
 * @ran:      whether the child has run
 */
struct caller {
	long (*make)(struct caller *caller);
	int device;
	struct child child;
	__u32 tid;
	__u32 returned;
	__u32 ran;
};

static long by_device(struct caller *caller)
{
	return child_spawn(caller->device, &caller->child);
}

/* The child runs on this stack, where there is little that it could spoil. */
static long by_clone(struct caller *caller)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = caller->child.args.cgroup_fd,
	};
	long pid = sys(SYS_clone3, &args, sizeof(args));

	if (!pid)
		sys(SYS_exit_group, child_notes(&caller->ran));
	return pid;
}

static void *call(void *arg)
{
	struct caller *caller = arg;

	word_set(&caller->tid, sys(SYS_gettid));
	caller->child.pid = caller->make(caller);
	word_set(&caller->returned, 1);
	return NULL;
}

static void caller_init(struct caller *caller, int device, int cgroup)
{
	*caller = (struct caller){ .make = by_device, .device = device };
	child_init(&caller->child, child_notes, &caller->ran);
	caller->child.args.flags = AVFORK_INTO_CGROUP;
	caller->child.args.cgroup_fd = cgroup;
}

/* Wait until the only process of a frozen cgroup is frozen. */
static void await_frozen(struct __test_metadata *_metadata, const char *cgroup)
{
	char path[96], procs[96];
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
	await_file(path, "populated 1");
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
	pid = read_number(procs);
	ASSERT_LT(0, pid);
	EXPECT_TRUE(file_says(path, "frozen 1"));
	/* The cgroup may say so before a new process has got there. */
	snprintf(procs, sizeof(procs), "/proc/%d/stat", pid);
	await_file(procs, ") S ");
	EXPECT_TRUE(file_says(path, "frozen 1"));
}

static void call_waits(struct __test_metadata *_metadata,
		       struct caller *caller, const char *cgroup, int nr)
{
	char path[96], text[32];
	pthread_t thread;

	snprintf(path, sizeof(path), "%s/cgroup.freeze", cgroup);
	ASSERT_EQ(0, write_file(path, "1"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, call, caller));
	word_wait(&caller->tid, 0);
	await_frozen(_metadata, cgroup);
	/* It sleeps in that very call, of which all the rest is done. */
	snprintf(text, sizeof(text), "%d 0x", nr);
	snprintf(path, sizeof(path), "/proc/%d/syscall", caller->tid);
	await_file(path, text);
	EXPECT_EQ(0, word_get(&caller->returned));
	EXPECT_EQ(0, word_get(&caller->ran));

	snprintf(path, sizeof(path), "%s/cgroup.freeze", cgroup);
	ASSERT_EQ(0, write_file(path, "0"));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(1, word_get(&caller->ran));
	EXPECT_LT(0, caller->child.pid);
	EXPECT_EQ(EXITED(0), child_reap(&caller->child));
}

/*
 * Who waits for the child to exec waits for the cgroup that it is in: as long
 * as that is frozen, and likewise as long as it is throttled.
 */
TEST_F(untouched, frozen_cgroup_does_not_hold_up)
{
	struct maker *maker = &self->maker;
	struct caller caller;
	char cgroup[64], path[96];
	int fd = cgroup_make(cgroup, sizeof(cgroup));

	if (fd < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	caller_init(&caller, maker->device, fd);
	caller.make = by_clone;
	call_waits(_metadata, &caller, cgroup, SYS_clone3);
	caller_init(&caller, maker->device, fd);
	caller.child.args.flags |= AVFORK_SYNC;
	call_waits(_metadata, &caller, cgroup, SYS_ioctl);

	snprintf(path, sizeof(path), "%s/cgroup.freeze", cgroup);
	ASSERT_EQ(0, write_file(path, "1"));
	caller_init(&caller, maker->device, fd);
	/* No other thread is left to thaw it, if this waited. */
	call(&caller);
	ASSERT_LT(0, caller.child.pid);
	await_frozen(_metadata, cgroup);
	EXPECT_EQ(0, word_get(&caller.ran));
	EXPECT_EQ(0, waitpid(caller.child.pid, NULL, WNOHANG));
	ASSERT_EQ(0, write_file(path, "0"));
	EXPECT_EQ(EXITED(0), child_reap(&caller.child));
	EXPECT_EQ(1, word_get(&caller.ran));
	close(fd);
	EXPECT_EQ(0, cgroup_remove(cgroup));
}

/* Memory */

#define TRACING		"/sys/kernel/tracing/"
#define LOCKED		"events/mmap_lock/mmap_lock_acquire_returned"

static char instance[64];

static int trace_set(const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", instance, file);
	return write_file(path, text);
}

/*
 * How often the memory @mm, as the trace has it, was locked since the last
 * call. When @mm is empty it is set to the first one there.
 */
static int trace_count(char *mm, size_t size)
{
	char path[96], line[512];
	FILE *trace;
	int nr = 0;

	snprintf(path, sizeof(path), "%s/trace", instance);
	trace = fopen(path, "r");
	while (trace && fgets(line, sizeof(line), trace)) {
		char *at = strstr(line, " mm=");

		if (*line == '#' || !at)
			continue;
		at[strcspn(at + 1, " ") + 1] = '\0';
		if (!*mm)
			snprintf(mm, size, "%s", at);
		nr += !strcmp(mm, at);
	}
	if (trace)
		fclose(trace);
	/* That empties it. */
	close(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
	return nr;
}

/*
 * Whoever writes to a lock of the memory stops the page faults and mappings of
 * all threads. Counted is what the caller locks and, until it has died, the
 * child.
 */
TEST_F(untouched, memory_is_not_locked)
{
	struct maker *maker = &self->maker;
	char pid[16], mm[64] = "";
	int locked[NR_WAYS][2] = { 0 };
	enum way way;
	int exec;

	if (access(TRACING LOCKED, F_OK))
		SKIP(return, "no tracepoint mmap_lock_acquire_returned");
	snprintf(instance, sizeof(instance), TRACING "instances/avfork-%d",
		 getpid());
	ASSERT_EQ(0, mkdir(instance, 0700));
	snprintf(pid, sizeof(pid), "%d", getpid());
	ASSERT_EQ(0, trace_set("tracing_on", "0"));
	ASSERT_EQ(0, trace_set("set_event_pid", pid));
	ASSERT_EQ(0, trace_set("options/event-fork", "1"));
	/* Early after boot there are no hashes yet, and all look the same. */
	ASSERT_EQ(0, trace_set("options/hash-ptr", "0"));
	ASSERT_EQ(0, trace_set(LOCKED "/filter", "write == 1"));
	ASSERT_EQ(0, trace_set(LOCKED "/enable", "1"));

	/* A lock of ours, to know its name; and that there is one to count. */
	prepare(maker, false, 0);
	ASSERT_EQ(0, trace_set("tracing_on", "1"));
	child_free(&maker->child);
	ASSERT_EQ(0, trace_set("tracing_on", "0"));
	ASSERT_EQ(1, trace_count(mm, sizeof(mm)));

	for (way = 0; way < NR_WAYS; way++) {
		for (exec = way == BY_POSIX_SPAWN; exec < 2; exec++) {
			prepare(maker, exec, 0);
			ASSERT_EQ(0, trace_set("tracing_on", "1"));
			ASSERT_LT(0, make(maker, way));
			if (exec)
				child_has_execed(maker->control[0]);
			ASSERT_TRUE(ends(maker));
			ASSERT_EQ(0, trace_set("tracing_on", "0"));
			locked[way][exec] = trace_count(mm, sizeof(mm));
			EXPECT_EQ(EXITED(0), child_reap(&maker->child));
			TH_LOG("%s, %s: locked %d times", names[way],
			       exec ? "exec" : "exit", locked[way][exec]);
		}
	}
	for (exec = 0; exec < 2; exec++) {
		EXPECT_LT(0, locked[BY_FORK][exec]);
		EXPECT_EQ(0, locked[BY_VFORK][exec]);
		EXPECT_EQ(0, locked[BY_AVFORK][exec]);
	}
	/* The C library maps a stack for the child, and unmaps it. */
	EXPECT_LE(2, locked[BY_POSIX_SPAWN][true]);
	EXPECT_EQ(0, trace_set(LOCKED "/enable", "0"));
	EXPECT_EQ(0, rmdir(instance));
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

/* Memory of our own that is there, a page at a time. */
static char *resident(size_t pages)
{
	char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	/* There may be no huge pages to be without. */
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	memset(memory, 1, pages * PAGE);
	return memory;
}

#define NR_PAGES	2000

/* Faults of ours in the call, and when we write to NR_PAGES thereafter. */
static void count_faults(struct __test_metadata *_metadata,
			 struct maker *maker, enum way way,
			 char *memory, long counts[2])
{
	long before, between;
	int i;

	prepare(maker, true, 0);
	before = faults();
	make(maker, way);
	between = faults();
	for (i = 0; i < NR_PAGES; i++)
		__atomic_store_n(&memory[i * PAGE], 2, __ATOMIC_RELAXED);
	counts[0] = between - before;
	counts[1] = faults() - between;
	ASSERT_LT(0, maker->child.pid);
	ASSERT_TRUE(child_has_execed(maker->control[0]));
	ASSERT_TRUE(ends(maker));
	EXPECT_EQ(EXITED(0), child_reap(&maker->child));
}

/*
 * A copy on write is made by whoever writes first: with fork(2), all of the
 * memory that the parent writes to faults again, page by page.
 */
TEST_F(untouched, pages_do_not_fault)
{
	struct maker *maker = &self->maker;
	char *memory = resident(NR_PAGES);
	long counts[NR_WAYS][2];
	enum way way;

	for (way = 0; way < NR_WAYS; way++) {
		/* The code of the first call is not there yet. */
		count_faults(_metadata, maker, way, memory, counts[way]);
		count_faults(_metadata, maker, way, memory, counts[way]);
		TH_LOG("%s: %ld faults in the call, %ld after it", names[way],
		       counts[way][0], counts[way][1]);
	}
	EXPECT_LE(NR_PAGES, counts[BY_FORK][1]);
	EXPECT_EQ(0, counts[BY_VFORK][1]);
	EXPECT_EQ(0, counts[BY_POSIX_SPAWN][1]);
	EXPECT_EQ(0, counts[BY_AVFORK][0]);
	EXPECT_EQ(0, counts[BY_AVFORK][1]);
}

/* Input and output under way */

#define NR_BUFFERS	64U
#define NR_ENTRIES	8

/**
 * struct uring - a ring, and two requests in it
 * @fd:      its descriptor
 * @queues:  its memory
 * @sqes:    the requests
 * @params:  where things are there
 * @buffer:  registered memory
 * @pipes:   that the requests wait for
 */
struct uring {
	int fd;
	char *queues;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
	char *buffer;
	int pipes[2][2];
};

enum request { POLL, READ_FIXED, NR_REQUESTS };

/* Return: whether there is io_uring. */
static bool uring_init(struct __test_metadata *_metadata, struct uring *ring)
{
	struct iovec iovec;

	memset(ring, 0, sizeof(*ring));
	ring->fd = sys(SYS_io_uring_setup, NR_ENTRIES, &ring->params);
	if (ring->fd == -ENOSYS || ring->fd == -EPERM)
		return false;
	ASSERT_LE(0, ring->fd);
	ASSERT_NE(0, ring->params.features & IORING_FEAT_SINGLE_MMAP);
	ring->queues = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    ring->fd, IORING_OFF_SQ_RING);
	ASSERT_NE(MAP_FAILED, (void *)ring->queues);
	ring->sqes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  ring->fd, IORING_OFF_SQES);
	ASSERT_NE(MAP_FAILED, (void *)ring->sqes);
	ring->buffer = resident(NR_BUFFERS);
	iovec.iov_base = ring->buffer;
	iovec.iov_len = NR_BUFFERS * PAGE;
	ASSERT_EQ(0, sys(SYS_io_uring_register, ring->fd,
			 IORING_REGISTER_BUFFERS, &iovec, 1));
	ASSERT_EQ(0, pipe2(ring->pipes[POLL], O_CLOEXEC));
	ASSERT_EQ(0, pipe2(ring->pipes[READ_FIXED], O_CLOEXEC));
	return true;
}

static int uring_submit(struct uring *ring, enum request request)
{
	__u32 *tail = (__u32 *)(ring->queues + ring->params.sq_off.tail);
	__u32 *array = (__u32 *)(ring->queues + ring->params.sq_off.array);
	__u32 index = *tail % ring->params.sq_entries;
	struct io_uring_sqe *sqe = &ring->sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->fd = ring->pipes[request][0];
	sqe->user_data = request;
	if (request == POLL) {
		sqe->opcode = IORING_OP_POLL_ADD;
		sqe->poll32_events = POLLIN;
	} else {
		sqe->opcode = IORING_OP_READ_FIXED;
		sqe->addr = (uintptr_t)ring->buffer;
		sqe->len = sizeof(__u32);
	}
	array[index] = index;
	__atomic_add_fetch(tail, 1, __ATOMIC_RELEASE);
	return sys(SYS_io_uring_enter, ring->fd, 1, 0, 0);
}

static bool uring_has_result(struct uring *ring)
{
	return *(__u32 *)(ring->queues + ring->params.cq_off.head) !=
	       word_get((__u32 *)(ring->queues + ring->params.cq_off.tail));
}

/* Wait for one of @request, which has to be the next. */
static int uring_result(struct __test_metadata *_metadata, struct uring *ring,
			enum request request)
{
	__u32 *head = (__u32 *)(ring->queues + ring->params.cq_off.head);
	struct io_uring_cqe *cqe = (void *)(ring->queues +
					    ring->params.cq_off.cqes);

	while (!uring_has_result(ring))
		sys(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS);
	cqe += *head % ring->params.cq_entries;
	EXPECT_EQ(request, cqe->user_data);
	__atomic_add_fetch(head, 1, __ATOMIC_RELEASE);
	return cqe->res;
}

/* How many pages of ours, from @memory on, are others in the process @pid. */
static int copied(struct __test_metadata *_metadata, pid_t pid,
		  const char *memory)
{
	__u64 frames[2][NR_BUFFERS];
	char path[2][32] = { "/proc/self/pagemap" };
	int i, nr = 0;

	snprintf(path[1], sizeof(path[1]), "/proc/%d/pagemap", pid);
	for (i = 0; i < 2; i++) {
		int fd = open(path[i], O_RDONLY | O_CLOEXEC);

		ASSERT_LE(0, fd);
		ASSERT_EQ(sizeof(frames[i]),
			  pread(fd, frames[i], sizeof(frames[i]),
				(uintptr_t)memory / PAGE * sizeof(__u64)));
		close(fd);
	}
	for (i = 0; i < NR_BUFFERS; i++) {
		/* Bits 0 to 54 are the page frame. */
		ASSERT_NE(0, frames[0][i] << 9);
		nr += frames[0][i] << 9 != frames[1][i] << 9;
	}
	return nr;
}

/*
 * Pages that a device may write to cannot be shared for a copy on write. Before
 * Linux 5.9 a parent that wrote to one after fork(2) had another page from then
 * on, and what the device wrote was lost. Since then the page stays, and
 * fork(2) itself makes a copy of each, be they gigabytes.
 */
TEST_F(untouched, registered_buffers_are_not_copied)
{
	struct maker *maker = &self->maker;
	char *ordinary = resident(NR_BUFFERS);
	struct child *child = &maker->child;
	struct uring ring;
	pid_t pid;

	if (!uring_init(_metadata, &ring))
		SKIP(return, "no io_uring here");
	pid = fork();
	if (!pid) {
		pause();
		_exit(1);
	}
	TH_LOG("fork: %d pages of %u copied",
	       copied(_metadata, pid, ring.buffer), NR_BUFFERS);
	EXPECT_EQ(NR_BUFFERS, copied(_metadata, pid, ring.buffer));
	EXPECT_EQ(0, copied(_metadata, pid, ordinary));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	child_init(child, child_blocks, child);
	ASSERT_LT(0, child_spawn(maker->device, child));
	EXPECT_EQ(0, copied(_metadata, child->pid, ring.buffer));
	EXPECT_EQ(0, copied(_metadata, child->pid, ordinary));
	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

/* Both requests are under way, a child comes and is gone, and they end. */
static void requests_survive(struct __test_metadata *_metadata,
			     struct maker *maker, struct uring *ring)
{
	const __u32 data = 0x12345678;
	enum request request;

	*(__u32 *)ring->buffer = 0;
	for (request = 0; request < NR_REQUESTS; request++)
		ASSERT_EQ(1, uring_submit(ring, request));
	ASSERT_LT(0, make(maker, BY_AVFORK));
	ring->buffer[PAGE - 1]++;
	ASSERT_TRUE(maker->exec ? child_has_execed(maker->control[0]) :
				 ends(maker));
	EXPECT_FALSE(uring_has_result(ring));
	ASSERT_EQ(4, write(ring->pipes[POLL][1], &data, 4));
	EXPECT_EQ(POLLIN, uring_result(_metadata, ring, POLL) & POLLIN);
	ASSERT_EQ(4, write(ring->pipes[READ_FIXED][1], &data, 4));
	EXPECT_EQ(4, uring_result(_metadata, ring, READ_FIXED));
	EXPECT_EQ(data, *(__u32 *)ring->buffer);
	/* For the next time. */
	ASSERT_EQ(4, read(ring->pipes[POLL][0], ring->buffer, 4));
	ASSERT_TRUE(ends(maker));
	EXPECT_EQ(EXITED(0), child_reap(&maker->child));
}

/*
 * Exec cancels what the caller has requested: here, by a copy of ours through
 * our ring. A child that shares the memory has requested nothing.
 */
TEST_F(untouched, requests_are_not_cancelled)
{
	struct maker *maker = &self->maker;
	static const __u64 flags[] = { 0, AVFORK_SYNC };
	struct uring ring;
	int i;

	if (!uring_init(_metadata, &ring))
		SKIP(return, "no io_uring here");
	prepare(maker, true, 0);
	maker->child.pid = fork();
	if (!maker->child.pid) {
		if (uring_submit(&ring, POLL) == 1)
			end_copy(maker);
		_exit(1);
	}
	ASSERT_TRUE(child_has_execed(maker->control[0]));
	EXPECT_EQ(-ECANCELED, uring_result(_metadata, &ring, POLL));
	ASSERT_TRUE(ends(maker));
	EXPECT_EQ(EXITED(0), child_reap(&maker->child));

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		prepare(maker, false, flags[i]);
		requests_survive(_metadata, maker, &ring);
		prepare(maker, true, flags[i]);
		requests_survive(_metadata, maker, &ring);
	}
}

TEST_HARNESS_MAIN
