// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Prepared children without the module. Three problems, and what solves them:
 *
 * What the maker has open must not stay open because a child waits. So the child has
 * a table of its own, which before avfork_prepare() returns has lost all but one end
 * of a socket pair. The child waits for a message there: what to run, and by
 * SCM_RIGHTS the descriptors that are granted, which the kernel pins at the call. The
 * maker may close its own, or end, right after.
 *
 * The child must not outlive its maker if it is not started. It waits for the other
 * end of the pair to be closed, by an exec as well, or, where a fork()ed copy of the
 * maker has that end open, for the maker's death, by a pidfd.
 *
 * wait() must not find it. So it is made without an exit signal. Linux sets SIGCHLD at
 * an exec: a started child is one for every wait() when it has exec'd, and before that
 * for those with __WALL, as avfork_waitpid() is. What hides an ordinary child from
 * all waits, a guardian (guard.c), could not be told later whether to do so.
 *
 * Signals are blocked while the child waits; what came is dropped at the start.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carrier.h"
#include "clone.h"
#include "fds.h"
#include "memory.h"
#include "namespaces.h"
#include "prepared.h"
#include "spawn.h"

#define GRANTS_MOST	253	/* SCM_MAX_FD: as many as one message takes */
#define CHILD_END	0	/* the child's end of the pair, in the child */

/* What a message's descriptors are in. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(GRANTS_MOST * sizeof(int))];
};

/*
 * Receive what the maker has sent: a prelude, with its descriptors as the sources of
 * the grants. False: there is nothing, and will be nothing.
 */
static bool receive(struct prelude *prelude, size_t size)
{
	union control control;
	struct iovec data = { .iov_base = prelude, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	const struct cmsghdr *rights;
	size_t i, received = 0;

	if (syscall(SYS_recvmsg, CHILD_END, &message,
		    MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return false;
	rights = CMSG_FIRSTHDR(&message);
	if (rights)
		received = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	/* Our RLIMIT_NOFILE may have been lowered from outside. */
	if (received != prelude->nr_fds)
		syscall(SYS_exit_group, EXIT_NO_EXEC);
	for (i = 0; i < received; i++)
		memcpy(&prelude->fds[i].parent_fd,
		       CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
	return true;
}

/* To ignore a signal is to drop what is pending of it. */
static void drop_signals(void)
{
	kernel_sigset pending = 0;

	syscall(SYS_rt_sigpending, &pending, sizeof(pending));
	for (; pending; pending &= pending - 1) {
		int signal = __builtin_ctzll(pending) + 1;

		if (signals_set(signal, SIG_IGN) != SIG_IGN)
			signals_set(signal, SIG_DFL);
	}
}

/* The waiting child's start routine. All signals are blocked. */
static int wait_start(void *arg)
{
	const struct avfork_prepared *prepared = arg;
	const struct loan loan = prepared->loan;
	char memory[sizeof(struct prelude) +
		    GRANTS_MOST * sizeof(struct avfork_fd)]
		__attribute__((aligned(16)));
	struct prelude *prelude = (struct prelude *)memory;
	/* Not there in a pid namespace of our own, nor before Linux 5.3. */
	struct pollfd files[] = {
		{ .fd = CHILD_END, .events = POLLIN },
		{ .fd = (int)syscall(SYS_pidfd_open, syscall(SYS_getppid), 0),
		  .events = POLLIN },
	};

	/* From here on *prepared is the maker's alone. */
	loan_set(&loan, 0);
	while (syscall(SYS_ppoll, files, 2, NULL, NULL, 0) < 0 &&
	       errno == EINTR)
		;
	/* A maker that has died may have sent it before. */
	if (!receive(prelude, sizeof(memory)))
		return 0;
	drop_signals();
	prelude_run(prelude);
}

static bool is_alive(const struct avfork_prepared *prepared)
{
	return loan_is(&prepared->loan, 0);
}

/* The child, which shares nothing with anybody once it waits: 0, or -1. */
static int make_child(struct avfork_prepared *prepared, int child_end)
{
	const struct avfork_fd fd = {
		.parent_fd = child_end, .child_fd = CHILD_END,
	};
	struct avfork_opts opts = prepared->opts;
	const struct child child = {
		.opts = &opts, .start_routine = wait_start, .arg = prepared,
		.mask = ALL_SIGNALS,
	};

	opts.flags &= ~AVFORK_STDIO;
	opts.fds = &fd;
	opts.nr_fds = 1;
	prepared->pid = carrier_spawn_own(&child, &prepared->loan, NULL);
	if (prepared->pid < 0)
		return -1;
	/* Until it waits. */
	loan_wait_while(&prepared->loan, LOAN_STARTING);
	return 0;
}

static int make(struct avfork_prepared *prepared)
{
	struct stat file;
	int ends[2], ret;

	/* An exec would have the program's wait() find what shall be hidden. */
	if (prepared->opts.flags & (AVFORK_HIDDEN | AVFORK_AUTOREAP |
				    AVFORK_AUTOKILL)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (clone_check(&prepared->opts) ||
	    (prepared->opts.flags & AVFORK_ISOLATE &&
	     namespaces_isolate(&prepared->opts)))
		return -1;
	if (!crashes_alone()) {
		errno = ENOSYS;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) ||
	    fds_above_stdio(ends))
		return -1;
	fstat(ends[0], &file);
	prepared->fd = ends[0];
	prepared->inode = file.st_ino;
	ret = make_child(prepared, ends[1]);
	syscall(SYS_close, ends[1]);
	if (ret)
		syscall(SYS_close, ends[0]);
	return ret;
}

/* Whether the program has not closed our descriptor, and opened another file there. */
static bool has_fd(const struct avfork_prepared *prepared)
{
	struct stat file;

	return !fstat(prepared->fd, &file) && S_ISSOCK(file.st_mode) &&
	       file.st_ino == prepared->inode;
}

/**
 * struct kept - what a started child needs of ours until it has exec'd
 * @next: another
 * @loan: ends then
 */
struct kept {
	struct kept *next;
	struct loan loan;
	_Alignas(16) char memory[];
};

/*
 * No lock, which a fork() could copy while it is held. Nobody takes a part of the list,
 * so nothing of it comes back while one is added.
 */
static struct kept *_Atomic all_kept;

static void kept_add(struct kept *kept)
{
	kept->next = atomic_load(&all_kept);
	while (!atomic_compare_exchange_weak(&all_kept, &kept->next, kept))
		;
}

/* Nobody is told when a child needs its part no more: whoever keeps the next looks. */
static void kept_free_old(void)
{
	struct kept *kept = atomic_exchange(&all_kept, NULL);

	while (kept) {
		struct kept *next = kept->next;

		if (loan_has_ended(&kept->loan))
			free(kept);
		else
			kept_add(kept);
		kept = next;
	}
}

/* For kept_add() if the child has been started, or else for free(). */
static struct kept *kept_new(size_t size, const struct loan *loan)
{
	struct kept *kept = malloc(sizeof(*kept) + size);

	kept_free_old();
	if (kept)
		kept->loan = *loan;
	return kept;
}

static int send_start(const struct avfork_prepared *prepared,
		      struct prelude *prelude)
{
	const size_t nr = prelude->nr_fds;
	union control control = {
		.header = {
			.cmsg_len = CMSG_LEN(nr * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct iovec data = {
		.iov_base = prelude,
		.iov_len = sizeof(*prelude) + nr * sizeof(struct avfork_fd),
	};
	const struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = nr ? &control : NULL,
		.msg_controllen = nr ? CMSG_SPACE(nr * sizeof(int)) : 0,
	};
	size_t i;

	for (i = 0; i < nr; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int),
		       &prelude->fds[i].parent_fd, sizeof(int));
	if (syscall(SYS_sendmsg, prepared->fd, &message, MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		errno = ESRCH;
	return -1;
}

static int send_grants(const struct avfork_prepared *prepared,
		       const struct child *child)
{
	char memory[prelude_size(child)] __attribute__((aligned(16)));
	struct carrier carrier = {
		.loan = prepared->loan,
		.stack = memory, .stack_size = sizeof(memory),
	};
	struct prelude *prelude = prelude_put_grants(&carrier, child);

	if (!prelude)
		return -1;
	prelude->handlers_gone = true;
	return send_start(prepared, prelude);
}

static pid_t start(struct avfork_prepared *prepared, struct child *child)
{
	struct avfork_opts opts = *child->opts;
	struct kept *kept = NULL;

	/* One that shares our memory and our descriptors: the child is not its own. */
	if (is_guest()) {
		errno = EPERM;
		return -1;
	}
	/* AVFORK_STDIO may add three. */
	if (opts.nr_fds > GRANTS_MOST - 3) {
		errno = EMFILE;
		return -1;
	}
	if (!is_alive(prepared) || !has_fd(prepared)) {
		errno = ESRCH;
		return -1;
	}
	if (child->copy) {
		kept = kept_new(child->copy_size, &prepared->loan);
		if (!kept)
			return -1;
		child->arg = child->copy(kept->memory, child->arg);
		child->copy = NULL;
	}
	/* Dispositions are set since it was prepared; what is left is the mask. */
	opts.flags = (opts.flags & AVFORK_STDIO) | AVFORK_INHERIT_SIGNALS;
	child->opts = &opts;
	if (send_grants(prepared, child)) {
		free(kept);
		return -1;
	}
	if (kept)
		kept_add(kept);
	return prepared->pid;
}

/* Unlike close(), no cancellation point. */
static void close_fd(struct avfork_prepared *prepared)
{
	if (has_fd(prepared))
		syscall(SYS_close, prepared->fd);
}

/*
 * Its pid is nobody else's until it is reaped, and only waits with __WALL for any
 * child could have done so, when it had been killed.
 */
static void end(struct avfork_prepared *prepared)
{
	int pidfd;

	/* A stopped one does not see that the descriptor is closed. */
	pidfd = (int)syscall(SYS_pidfd_open, prepared->pid, 0);
	if (pidfd >= 0) {
		if (is_alive(prepared))
			syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		syscall(SYS_close, pidfd);
	}
	while (syscall(SYS_wait4, prepared->pid, NULL, __WALL, NULL) < 0 &&
	       errno == EINTR)
		;
}

const struct prepared_kind prepared_clone = {
	.make = make,
	.start = start,
	.close = close_fd,
	.end = end,
};
