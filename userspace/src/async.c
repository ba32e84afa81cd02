// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Being told when a child has left our memory: a watcher is a thread that waits for
 * the loans of many children at once. There is one while there is a child to wait
 * for, and another only while the first has no room.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "memory.h"
#include "pool.h"
#include "spawn.h"
#include "thread.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449	/* on every architecture; musl 1.2.3 has no name for it */
#endif

#define WATCHES		(FUTEX_WAITV_MAX - 1)	/* beside the watcher's own futex */
#define WATCHERS	130			/* room for all that the pool lends */

/**
 * struct watch - one child
 * @done: called with @pid when @loan has ended; NULL: there is no child here
 * @pid:  0 while the child is being made
 */
struct watch {
	void (*done)(pid_t pid);
	pid_t pid;
	struct loan loan;
};

/**
 * struct watcher - one thread, and the children that it waits for
 * @lock:    for @running and @watches
 * @running: the thread is there, and stays while @busy is not 0
 * @first:   of @watches, to look at: each has its turn
 * @busy:    how many children there are in @watches, or with their @done
 * @changed: a futex: the thread is to look at @watches anew
 * @tid:     the thread's, once that runs. A futex
 */
struct watcher {
	pthread_mutex_t lock;
	bool running;
	unsigned int first;
	atomic_uint busy;
	_Atomic uint32_t changed;
	_Atomic uint32_t tid;
	struct watch watches[WATCHES];
};

/* fork() wipes them: the copy has neither the threads nor the children. */
static void *_Atomic the_watchers;

/*
 * Put in @futexes what to wait for, and in @nr how much. Whether there is a child
 * instead that has left: it is taken out of @watcher, and is in @left.
 */
static bool look(struct watcher *watcher, struct futex_waitv *futexes,
		 unsigned int *nr, struct watch *left)
{
	bool found = false;
	unsigned int i;

	futexes[0].uaddr = (uintptr_t)&watcher->changed;
	futexes[0].val = atomic_load(&watcher->changed);
	*nr = 1;
	pthread_mutex_lock(&watcher->lock);
	for (i = 0; i < WATCHES && !found; i++) {
		struct watch *watch =
			&watcher->watches[(watcher->first + i) % WATCHES];
		struct futex_waitv *futex = &futexes[*nr];
		uint32_t word;

		if (!watch->done || !watch->pid)
			continue;
		word = atomic_load(watch->loan.word);
		found = word - watch->loan.ticket >= LOAN_TICKET;
		if (found) {
			*left = *watch;
			watch->done = NULL;
			watcher->first += i + 1;
		}
		futex->uaddr = (uintptr_t)watch->loan.word;
		futex->val = word;
		++*nr;
	}
	pthread_mutex_unlock(&watcher->lock);
	return found;
}

/* Whether the thread of @watcher is to end: from here on there is none. */
static bool watcher_ends(struct watcher *watcher)
{
	bool ends;

	pthread_mutex_lock(&watcher->lock);
	ends = !atomic_load(&watcher->busy);
	if (ends)
		watcher->running = false;
	pthread_mutex_unlock(&watcher->lock);
	return ends;
}

static void *watcher_thread(void *arg);

/* For the caller, who holds the lock. 0 or an errno. */
static int watcher_start(struct watcher *watcher)
{
	uint32_t last = atomic_exchange(&watcher->tid, 0);
	int error = thread_start(POOL_STACK_SIZE, watcher_thread, watcher, NULL);

	watcher->running = !error;
	/* Somebody may wait for one of the two: watcher_wait_idle(). */
	if (error) {
		atomic_store(&watcher->tid, last);
		futex_wake(&watcher->tid);
	}
	return error;
}

/* A function of the program's has left the thread, by pthread_exit(): another goes on. */
static void done_exits(void *arg)
{
	struct watcher *watcher = arg;

	pthread_mutex_lock(&watcher->lock);
	watcher->running = false;
	/* If that fails, the next call tries again. */
	if (atomic_fetch_sub(&watcher->busy, 1) != 1)
		watcher_start(watcher);
	pthread_mutex_unlock(&watcher->lock);
}

/* Whether we are still the watcher: in a copy that a function has made there is none. */
static bool tell(struct watcher *watcher, const struct watch *left)
{
	bool running;

	pthread_cleanup_push(done_exits, watcher);
	left->done(left->pid);
	pthread_cleanup_pop(0);
	pthread_mutex_lock(&watcher->lock);
	running = watcher->running;
	if (running)
		atomic_fetch_sub(&watcher->busy, 1);
	pthread_mutex_unlock(&watcher->lock);
	return running;
}

static void *watcher_thread(void *arg)
{
	/* Not private, as the kernel's wake-up for a child that leaves is not. */
	struct futex_waitv futexes[FUTEX_WAITV_MAX] = {
		[0 ... FUTEX_WAITV_MAX - 1] = { .flags = FUTEX_32 },
	};
	struct watcher *watcher = arg;
	struct watch left;
	unsigned int nr;

	prctl(PR_SET_NAME, "avfork-async");
	atomic_store(&watcher->tid, (uint32_t)syscall(SYS_gettid));
	futex_wake(&watcher->tid);
	while (!watcher_ends(watcher)) {
		if (look(watcher, futexes, &nr, &left)) {
			if (!tell(watcher, &left))
				break;
			continue;
		}
		/* A filter may know nothing of the call, which is of Linux 5.16. */
		if (syscall(SYS_futex_waitv, futexes, nr, 0, NULL, 0) < 0 &&
		    errno != EAGAIN && errno != EINTR)
			usleep(10000);
	}
	return NULL;
}

/* Room in @watcher, which has a thread then: in *@found, NULL for none. 0 or an errno. */
static int watch_get(struct watcher *watcher, void (*done)(pid_t),
		     struct watch **found)
{
	struct watch *watch, *end = watcher->watches + WATCHES;
	int error = 0;

	pthread_mutex_lock(&watcher->lock);
	for (watch = watcher->watches; watch < end && watch->done; watch++)
		;
	if (watch < end && !watcher->running)
		error = watcher_start(watcher);
	if (watch < end && !error) {
		*watch = (struct watch){ .done = done };
		atomic_fetch_add(&watcher->busy, 1);
	}
	pthread_mutex_unlock(&watcher->lock);
	*found = watch < end ? watch : NULL;
	return error;
}

/* Have @watcher know what has become of @watch: a child with @loan, or none if @pid < 0. */
static void watch_set(struct watcher *watcher, struct watch *watch, pid_t pid,
		      const struct loan *loan)
{
	pthread_mutex_lock(&watcher->lock);
	watch->pid = pid;
	watch->loan = *loan;
	if (pid < 0) {
		watch->done = NULL;
		atomic_fetch_sub(&watcher->busy, 1);
	}
	pthread_mutex_unlock(&watcher->lock);
	atomic_fetch_add(&watcher->changed, 1);
	futex_wake(&watcher->changed);
}

/* Wait until the thread of @watcher is gone, unless somebody else needs it. */
static void watcher_wait_idle(struct watcher *watcher)
{
	futex_wait_while(&watcher->tid, 0);
	while (!atomic_load(&watcher->busy) &&
	       !syscall(SYS_tgkill, getpid(), atomic_load(&watcher->tid), 0))
		sched_yield();
}

int avfork_async(int (*start_routine)(void *), void *arg, void (*done)(pid_t))
{
	const struct avfork_opts opts = { 0 };
	struct child child = {
		.opts = &opts, .start_routine = start_routine, .arg = arg,
	};
	struct watcher *watcher, *end;
	struct watch *watch;
	pid_t pid;
	int error;

	/* Before there is a thread, which a child must not make. */
	if (!done || !start_routine || is_child())
		return spawn(&child) < 0 ? -1 : 0;

	/* The thread comes first: a child could not be taken back. */
	watcher = wiped_get(&the_watchers, WATCHERS * sizeof(*watcher));
	if (!watcher)
		return -1;
	end = watcher + WATCHERS;
	do
		error = watch_get(watcher, done, &watch);
	while (!error && !watch && ++watcher < end);
	if (error || !watch) {
		errno = error ? error : EAGAIN;
		return -1;
	}
	pid = spawn(&child);
	error = errno;
	watch_set(watcher, watch, pid, &child.loan);
	/* What fails keeps nothing. */
	if (pid < 0)
		watcher_wait_idle(watcher);
	errno = error;
	return pid < 0 ? -1 : 0;
}
