// SPDX-License-Identifier: GPL-2.0
/*
 * The hazards of fork() and its relatives that the literature names, among it
 * "A fork() in the road" (Baumann et al., HotOS 2019), and that avfork() is
 * free of them. Each test first shows that the hazard is real: it plays the
 * scenario with the older call and asserts what goes wrong.
 *
 * Here is what comes of being a copy, and of stopping instead; descriptors.c,
 * reaping.c and memory.c have the rest, in the same manner.
 *
 * Memory that is shared and a descriptor table that is not have a hazard of their
 * own, which fork() has not: whoever keeps a descriptor's number in memory meets
 * another file under it in the child. Those tests show that it is real, too, and
 * that AVFORK_SHARE_FDS is free of it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <syslog.h>

#include "../kselftest_harness.h"
#include "scenario.h"
#include "arch.h"
#include "handler.h"

/* Wait until @task sleeps in the system call @nr, or in @or_nr. */
static bool await_sleep(pid_t task, long nr, long or_nr)
{
	time_t deadline = time(NULL) + PATIENCE_SECONDS;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/syscall", task);
	while (time(NULL) < deadline) {
		FILE *file = fopen(path, "r");
		long seen = -1;

		if (!file)
			return false;
		/* A task that runs has the word "running" there. */
		if (fscanf(file, "%ld", &seen) != 1)
			seen = -1;
		fclose(file);
		if (seen >= 0 && (seen == nr || seen == or_nr))
			return true;
		sched_yield();
	}
	return false;
}

/* Standard I/O */

static int print_line(void *file)
{
	return fputs("child\n", file) < 0;
}

static void print_in_both(struct __test_metadata *_metadata, spawn_fn *spawn,
			  char *written, size_t size)
{
	FILE *file = tmpfile();
	ssize_t got;

	ASSERT_NE(NULL, file);
	ASSERT_GE(fputs("parent\n", file), 0);
	ASSERT_EQ(0, reap(spawn(print_line, file)));
	ASSERT_EQ(0, fflush(file));
	got = pread(fileno(file), written, size - 1, 0);
	ASSERT_GE(got, 0);
	written[got] = '\0';
	fclose(file);
}

/*
 * What the parent has printed, but stdio not yet written, is in the child's
 * copy of the buffer as well. Its exit() writes it, and so does the parent.
 */
TEST_F(hazard, output_is_printed_twice)
{
	char written[64];

	print_in_both(_metadata, by_fork, written, sizeof(written));
	ASSERT_STREQ("parent\nchild\nparent\n", written);

	print_in_both(_metadata, avfork, written, sizeof(written));
	ASSERT_STREQ("parent\nchild\n", written);
}

static int draw_number(void *unused)
{
	stage->message = random();
	return 0;
}

struct draws {
	long by_child, by_parent;
};

static struct draws draw_in_both(struct __test_metadata *_metadata,
				 spawn_fn *spawn)
{
	struct draws draws;

	srandom(1);
	ASSERT_EQ(0, reap(spawn(draw_number, NULL)));
	draws.by_child = stage->message;
	draws.by_parent = random();
	return draws;
}

/*
 * The state of a random number generator is copied too: parent and child go on
 * to draw the same numbers, for keys, nonces or names of temporary files.
 */
TEST_F(hazard, random_numbers_repeat)
{
	struct draws draws;
	long first, second;

	srandom(1);
	first = random();
	second = random();
	ASSERT_NE(first, second);

	draws = draw_in_both(_metadata, by_fork);
	ASSERT_EQ(first, draws.by_child);
	ASSERT_EQ(first, draws.by_parent);

	draws = draw_in_both(_metadata, avfork);
	ASSERT_EQ(first, draws.by_child);
	ASSERT_EQ(second, draws.by_parent);
}

/* Numbers of descriptors in shared memory */

static pid_t by_sharing(int (*routine)(void *), void *arg)
{
	return avforkx(AVFORK_SHARE_FDS, routine, arg);
}

/**
 * struct output - a stream of the parent that the child writes to
 * @stream: the parent's
 * @other:  the file that a redirected child has under the stream's number
 */
struct output {
	FILE *stream;
	FILE *other;
};

static int print_and_flush(void *arg)
{
	struct output *output = arg;

	return fputs("child\n", output->stream) < 0 || fflush(output->stream);
}

static int redirect_and_print(void *arg)
{
	struct output *output = arg;

	if (dup2(fileno(output->other), fileno(output->stream)) < 0)
		return 1;
	return print_and_flush(output);
}

static pid_t by_fork_redirected(int (*unused)(void *), void *arg)
{
	return by_fork(redirect_and_print, arg);
}

static pid_t by_granting(int (*routine)(void *), void *arg)
{
	struct output *output = arg;
	const struct avfork_fd fd = {
		.parent_fd = fileno(output->other),
		.child_fd = fileno(output->stream),
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts), .fds = &fd, .nr_fds = 1,
	};

	return avfork_with(&opts, routine, arg);
}

/* What has been written to @file, of whatever process. */
static const char *content(FILE *file)
{
	static char text[64];
	ssize_t got = pread(fileno(file), text, sizeof(text) - 1, 0);

	text[got < 0 ? 0 : got] = '\0';
	return text;
}

/*
 * The child of @spawn exits with @status, and this is what the two files have then.
 * The child's error is the parent's: they share the stream.
 */
static void print_in(struct __test_metadata *_metadata, spawn_fn *spawn,
		     int status, const char *in_stream, const char *in_other)
{
	struct output output = { tmpfile(), tmpfile() };

	ASSERT_NE(NULL, output.stream);
	ASSERT_NE(NULL, output.other);
	ASSERT_GE(fputs("parent\n", output.stream), 0);
	ASSERT_EQ(status, reap(spawn(print_and_flush, &output)));
	ASSERT_EQ(status, !!ferror(output.stream));
	ASSERT_EQ(0, fflush(output.stream));
	ASSERT_STREQ(in_stream, content(output.stream));
	ASSERT_STREQ(in_other, content(output.other));
	fclose(output.stream);
	fclose(output.other);
}

/*
 * A child that flushes a stream writes what its parent has printed before to what
 * the child has under the stream's number. The buffer is empty then, for the parent
 * as well.
 */
TEST_F(hazard, output_of_the_parent_is_lost)
{
	print_in(_metadata, by_fork, 0, "parent\nchild\nparent\n", "");
	/* A descriptor that is not open: the text is gone. */
	print_in(_metadata, avfork, 1, "", "");

	print_in(_metadata, by_fork_redirected, 0, "parent\n",
		 "parent\nchild\n");
	/* Another file: the text is there instead. */
	print_in(_metadata, by_granting, 0, "", "parent\nchild\n");

	print_in(_metadata, by_sharing, 0, "parent\nchild\n", "");
}

/*
 * Go to a chroot with a socket in place of the system's log, which syslog() looks
 * for by its path. Nothing is left of it in the file system when the log is closed.
 */
static int make_log(struct __test_metadata *_metadata)
{
	struct sockaddr_un address = {
		.sun_family = AF_UNIX, .sun_path = "/dev/log",
	};
	int log;

	/* The device of the library's, if any, is not in there. */
	ASSERT_NE(NULL, avfork_backend());
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("none", "/tmp", "tmpfs", 0, NULL));
	ASSERT_EQ(0, mkdir("/tmp/dev", 0700));
	ASSERT_EQ(0, chroot("/tmp"));
	log = socket(AF_UNIX, SOCK_DGRAM, 0);
	ASSERT_GE(log, 0);
	ASSERT_EQ(0, bind(log, (struct sockaddr *)&address, sizeof(address)));
	return log;
}

/* Whether what has arrived at @socket, all of which is read, has @text in it. */
static bool arrived(int socket, const char *text)
{
	char message[256];
	bool found = false;
	ssize_t got;

	while ((got = recv(socket, message, sizeof(message) - 1,
			   MSG_DONTWAIT)) > 0) {
		message[got] = '\0';
		found |= strstr(message, text) != NULL;
	}
	return found;
}

static int log_a_line(void *text)
{
	syslog(LOG_INFO, "%s", (char *)text);
	return 0;
}

/* Whether the client of a server gets what that logs when a child has logged. */
static bool client_gets_the_log(struct __test_metadata *_metadata, int log,
				spawn_fn *spawn)
{
	int client[2];
	bool gets;

	/* As inetd has it: the connection is descriptor 0. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, client));
	ASSERT_EQ(0, dup2(client[0], 0));
	openlog("server", LOG_NDELAY, LOG_DAEMON);
	ASSERT_EQ(0, reap(spawn(log_a_line, "of the child")));
	ASSERT_TRUE(arrived(log, "of the child"));
	log_a_line("secret");
	gets = arrived(client[1], "secret");
	ASSERT_EQ(!gets, arrived(log, "secret"));
	closelog();
	close(client[0]);
	close(client[1]);
	return gets;
}

/*
 * The C library keeps the number of the log's socket. Under that the child has
 * nothing; so syslog() there opens another socket, and keeps its number, which is
 * somebody else's in the parent.
 */
TEST_F(hazard, log_goes_to_a_client)
{
	int log;

	if (geteuid())
		SKIP(return, "needs root, for a log of its own");
	log = make_log(_metadata);
	ASSERT_FALSE(client_gets_the_log(_metadata, log, by_fork));
	ASSERT_TRUE(client_gets_the_log(_metadata, log, avfork));
	ASSERT_FALSE(client_gets_the_log(_metadata, log, by_sharing));
}

/* Locks and threads */

struct owner {
	pthread_mutex_t lock;
	pthread_t thread;
	sem_t has_it;
	sem_t release;
};

static void *own_lock(void *arg)
{
	struct owner *owner = arg;

	pthread_mutex_lock(&owner->lock);
	sem_post(&owner->has_it);
	await(&owner->release);
	pthread_mutex_unlock(&owner->lock);
	return NULL;
}

static void owner_start(struct __test_metadata *_metadata, struct owner *owner)
{
	ASSERT_EQ(0, pthread_mutex_init(&owner->lock, NULL));
	ASSERT_EQ(0, sem_init(&owner->has_it, 0, 0));
	ASSERT_EQ(0, sem_init(&owner->release, 0, 0));
	ASSERT_EQ(0, pthread_create(&owner->thread, NULL, own_lock, owner));
	ASSERT_TRUE(await(&owner->has_it));
}

/* Returns when the lock is free. */
static void owner_finish(struct __test_metadata *_metadata, struct owner *owner)
{
	sem_post(&owner->release);
	ASSERT_EQ(0, pthread_join(owner->thread, NULL));
}

static int try_lock_after_go(void *arg)
{
	struct owner *owner = arg;
	int error;

	if (!await(&stage->go))
		return ETIMEDOUT;
	error = pthread_mutex_trylock(&owner->lock);
	if (!error)
		pthread_mutex_unlock(&owner->lock);
	return error;
}

/* What the child finds at a lock whose owner has released it by then. */
static int try_released_lock(struct __test_metadata *_metadata, spawn_fn *spawn)
{
	static struct owner owner;
	pid_t pid;

	owner_start(_metadata, &owner);
	pid = spawn(try_lock_after_go, &owner);
	ASSERT_GT(pid, 0);
	owner_finish(_metadata, &owner);
	sem_post(&stage->go);
	return reap(pid);
}

struct locked_work {
	struct owner owner;
	char *text;
};

static int work_locked(void *arg)
{
	struct locked_work *work = arg;

	pthread_mutex_lock(&work->owner.lock);
	if (asprintf(&work->text, "pid %d", getpid()) < 0)
		return 1;
	pthread_mutex_unlock(&work->owner.lock);
	return 0;
}

/*
 * The child gets a copy of every lock, but only of the thread that forked. A
 * lock that another thread held stays locked there forever, be it malloc's, the
 * dynamic linker's or a logger's: whoever waits for it never comes back.
 */
TEST_F(hazard, lock_of_another_thread_is_never_released)
{
	static struct locked_work work;
	char expected[32];
	pid_t pid;

	ASSERT_EQ(EBUSY, try_released_lock(_metadata, by_fork));
	ASSERT_EQ(0, try_released_lock(_metadata, avfork));

	/* It can also wait for the owner, and use the heap and stdio then. */
	owner_start(_metadata, &work.owner);
	pid = avfork(work_locked, &work);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(await_sleep(pid, SYS_futex, SYS_futex));
	ASSERT_EQ(NULL, work.text);
	owner_finish(_metadata, &work.owner);
	ASSERT_EQ(0, reap(pid));
	snprintf(expected, sizeof(expected), "pid %d", pid);
	ASSERT_STREQ(expected, work.text);
	free(work.text);
	ASSERT_EQ(0, pthread_mutex_trylock(&work.owner.lock));
}

struct request {
	struct request *next;
	int question, answer;
	bool done;
};

/* A library that has a thread do its work, as resolvers and loggers do. */
static struct service {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct request *first, **end;
	int served;
	bool stop;
} service = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.end = &service.first,
};

static void *serve(void *unused)
{
	struct request *request;

	pthread_mutex_lock(&service.lock);
	while (!service.stop || service.first) {
		request = service.first;
		if (!request) {
			pthread_cond_wait(&service.changed, &service.lock);
			continue;
		}
		service.first = request->next;
		if (!service.first)
			service.end = &service.first;
		request->answer = request->question + 1;
		request->done = true;
		service.served++;
		pthread_cond_broadcast(&service.changed);
	}
	pthread_mutex_unlock(&service.lock);
	return NULL;
}

/* Requests are served in the order in which @queued is posted. */
static int ask(int question, sem_t *queued)
{
	struct request request = { .question = question };

	pthread_mutex_lock(&service.lock);
	*service.end = &request;
	service.end = &request.next;
	pthread_cond_broadcast(&service.changed);
	sem_post(queued);
	while (!request.done)
		pthread_cond_wait(&service.changed, &service.lock);
	pthread_mutex_unlock(&service.lock);
	return request.answer;
}

static int ask_in_child(void *unused)
{
	return ask(41, &stage->ready);
}

/*
 * The library believes that its worker thread runs, but in the child there is
 * none: a request is queued, and nobody ever takes it from the queue.
 */
TEST_F(hazard, worker_thread_is_gone)
{
	pthread_t worker;
	pid_t pid;

	ASSERT_EQ(0, pthread_create(&worker, NULL, serve, NULL));
	/*
	 * Once it has served it waits, and without the lock: a child forked
	 * while the worker starts may find that taken, and not even queue.
	 */
	ASSERT_EQ(1, ask(0, &stage->go));

	pid = by_fork(ask_in_child, NULL);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(await(&stage->ready));
	/* The worker serves what came later, and has never seen the child's. */
	ASSERT_EQ(8, ask(7, &stage->go));
	ASSERT_EQ(2, service.served);
	ASSERT_TRUE(await_sleep(pid, SYS_futex, SYS_futex));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-SIGKILL, reap(pid));

	ASSERT_EQ(42, reap(avfork(ask_in_child, NULL)));
	ASSERT_EQ(3, service.served);

	pthread_mutex_lock(&service.lock);
	service.stop = true;
	pthread_cond_broadcast(&service.changed);
	pthread_mutex_unlock(&service.lock);
	ASSERT_EQ(0, pthread_join(worker, NULL));
}

/* Signals */

static int signal_group(void *unused)
{
	kill(0, SIGUSR1);
	return 0;
}

static int stay_for_signal(void *unused)
{
	return sleep(PATIENCE_SECONDS);
}

/*
 * A signal for the whole process group, as the terminal sends it, reaches a
 * vfork()ed child before it execs. The parent's handler runs there and acts on
 * the parent's memory, unknown to the parent.
 */
TEST_F(hazard, handler_of_the_parent_runs_in_the_child)
{
	pid_t pid;
	int i;

	handle(_metadata, SIGUSR1, count_signal);
	ASSERT_EQ(0, reap(by_vfork(signal_group, NULL)));
	ASSERT_EQ(1, handled_by_child);
	ASSERT_EQ(1, handled_by_parent);

	handle(_metadata, SIGUSR1, count_signal);
	ASSERT_EQ(-SIGUSR1, reap(avfork(signal_group, NULL)));
	ASSERT_EQ(0, handled_by_child);
	ASSERT_EQ(1, handled_by_parent);

	/* Nor is there a moment in which it would, however early the signal. */
	for (i = 0; i < 300; i++) {
		pid = avfork(stay_for_signal, NULL);
		ASSERT_GT(pid, 0);
		ASSERT_EQ(0, kill(0, SIGUSR1));
		ASSERT_EQ(-SIGUSR1, reap(pid));
	}
	ASSERT_EQ(0, handled_by_child);
	ASSERT_EQ(1 + 300, handled_by_parent);
}

/* The parent's progress */

/* A start routine that blocks until someone opens the other end. */
static int open_fifo(void *path)
{
	return open(path, O_RDONLY) < 0;
}

/* A process whose first step is open_fifo(). */
static pid_t by_posix_spawn(int (*unused)(void *), void *path)
{
	static char *const argv[] = { "sh", "-c", "exit 0", NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0);
	error = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return error ? -1 : pid;
}

struct caller {
	spawn_fn *spawn;
	char *fifo;
	pid_t tid, pid;
	atomic_bool returned;
};

static void *call(void *arg)
{
	struct caller *caller = arg;

	caller->tid = gettid();
	sem_post(&stage->ready);
	caller->pid = caller->spawn(open_fifo, caller->fifo);
	caller->returned = true;
	return NULL;
}

/* The call does not return until another thread has helped its child on. */
static void call_is_stuck(struct __test_metadata *_metadata, spawn_fn *spawn,
			  char *fifo, long nr, long or_nr)
{
	struct caller caller = { .spawn = spawn, .fifo = fifo };
	pthread_t thread;
	int fd;

	ASSERT_EQ(0, pthread_create(&thread, NULL, call, &caller));
	ASSERT_TRUE(await(&stage->ready));
	ASSERT_TRUE(await_sleep(caller.tid, nr, or_nr));
	ASSERT_FALSE(caller.returned);
	fd = open(fifo, O_WRONLY);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_TRUE(caller.returned);
	ASSERT_GT(caller.pid, 0);
	ASSERT_EQ(0, reap(caller.pid));
	close(fd);
}

/*
 * vfork() and posix_spawn() stop the caller until the child has exec'd. What
 * the child does before, and the exec, may take long: a slow file system, a
 * large program. A caller that is needed for the child to go on is lost.
 */
TEST_F(hazard, parent_is_stopped)
{
	char fifo[] = "/tmp/avfork-XXXXXX";
	pid_t pid;
	int fd;

	/* The name is ours, what has it is not needed. */
	fd = mkstemp(fifo);
	ASSERT_GE(fd, 0);
	close(fd);
	ASSERT_EQ(0, unlink(fifo));
	ASSERT_EQ(0, mkfifo(fifo, 0600));

	call_is_stuck(_metadata, by_vfork, fifo, SYS_OF_VFORK, SYS_OF_VFORK);
	call_is_stuck(_metadata, by_posix_spawn, fifo, SYS_clone3, SYS_clone);

	/* No other thread: if the call waited, the test would not end. */
	pid = avfork(open_fifo, fifo);
	ASSERT_GT(pid, 0);
	fd = open(fifo, O_WRONLY);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, reap(pid));
	close(fd);
	unlink(fifo);
}

/* Crashes */

static int dereference_null(void *unused)
{
	return *(volatile int *)NULL;
}

static volatile bool endless = true;

static int overflow_stack(void *unused)
{
	/* No longer than a page, lest it reach beyond the guard. */
	volatile char frame[4096];

	frame[0] = 0;
	/* The frame is still needed when the call has returned. */
	return endless ? overflow_stack(NULL) + frame[0] : 0;
}

static int call_abort(void *unused)
{
	abort();
}

static int kill_self(void *unused)
{
	return raise(SIGKILL);
}

/*
 * A fork()ed child that crashes does so alone. One that shares the memory must
 * not take the parent along, nor the thread pointer and stack that it borrowed.
 */
TEST_F(hazard, crash_stays_in_the_child)
{
	static const struct {
		int (*routine)(void *);
		int signal;
	} crashes[] = {
		{ dereference_null, SIGSEGV },
		{ overflow_stack, SIGSEGV },
		{ call_abort, SIGABRT },
		{ kill_self, SIGKILL },
	};
	unsigned int threads;
	int i;

	ASSERT_EQ(5, reap(avfork(return_arg, (void *)5)));
	threads = count_threads();
	ASSERT_GE(threads, 1);

	for (i = 0; i < 100; i++) {
		typeof(*crashes) *crash = &crashes[i % ARRAY_SIZE(crashes)];

		ASSERT_EQ(-crash->signal, reap(avfork(crash->routine, NULL)));
		ASSERT_EQ(5, reap(avfork(return_arg, (void *)5)));
	}
	/* A carrier that was not given back would still be there. */
	ASSERT_TRUE(COMES_TRUE(count_threads() <= threads, PATIENCE_SECONDS));
}

TEST_HARNESS_MAIN
