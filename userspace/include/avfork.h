/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavfork: an asynchronous vfork.
 *
 * A child made here shares the caller's memory, runs a function on a stack of
 * its own while the caller goes on, and starts with an empty descriptor table,
 * an empty signal mask and every disposition at its default. What else the child
 * shall have is granted in the call. A child should exec or return soon: what its
 * function returns is the exit status.
 *
 * The function may do what a thread may. But what holds a descriptor's number in
 * memory belongs to the parent: streams (stdio), syslog, resolver and NSS caches,
 * event loops, TLS and database handles, C++ thread_locals that own a descriptor.
 * Write with dprintf() or write() to descriptors that were granted; or share the
 * descriptor table, too, by AVFORK_SHARE_FDS. avfork(7) has the other exceptions.
 *
 * Each call that can fail returns -1 (NULL for a pointer) with errno set; then there
 * is no child, and nothing is kept. All calls may be made from any number of threads
 * at once, none from a signal handler or a child of vfork(2).
 */
#ifndef AVFORK_H
#define AVFORK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <linux/avfork.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/*
 * Flags, beside those of <linux/avfork.h>: AVFORK_SYNC, AVFORK_STDIO,
 * AVFORK_INTO_CGROUP, AVFORK_INHERIT_FDS, AVFORK_INHERIT_SIGNALS,
 * AVFORK_AUTOKILL, AVFORK_AUTOREAP, AVFORK_NNP, AVFORK_ISOLATE, and AVFORK_SHARE_FDS,
 * which goes with no grants, AVFORK_STDIO or AVFORK_INHERIT_FDS.
 *
 * AVFORK_NOSIGCHLD and AVFORK_WAITPID each do what both say, before an exec and after
 * it, for Linux has no way to give one alone: only avfork_waitpid() reaps the child,
 * and its death sends no signal.
 */
#define AVFORK_NOSIGCHLD	0x10000	/* no SIGCHLD when the child dies */
#define AVFORK_WAITPID		0x20000	/* out of reach of a program's wait() */

/* For avfork_exec() and avfork_exec_pipes() alone. */
#define AVFORK_SEARCH_PATH	0x40000	/* look for the program along PATH */

/**
 * struct avfork_opts - what avfork_with() and avfork_exec() may set
 * @size:       sizeof(struct avfork_opts)
 * @flags:      AVFORK_*
 * @cgroup_fd:  with AVFORK_INTO_CGROUP: the child's cgroup v2 directory
 * @fds:        @nr_fds descriptors to grant, in any order
 * @nr_fds:     their number
 * @pidfd:      receives a pidfd of the child, close-on-exec; NULL for none
 * @left:       receives a descriptor, close-on-exec, that is at its end when the child
 *              has exec'd or died. Where avfork_exec() cannot exec there is an int to
 *              be read first, the errno. NULL for none. Not with AVFORK_SHARE_FDS
 * @namespaces: CLONE_NEW*: namespaces made anew for the child; with AVFORK_ISOLATE
 *              those that are shared, and all others of the kernel are anew
 * @stack:      lowest byte of the child's stack, a multiple of 16; the child's
 *              until it has exec'd or died. NULL: a stack of the library's
 * @stack_size: bytes. With a @stack, a multiple of 16, at least
 *              AVFORK_STACK_MIN; without, the least that the stack shall have,
 *              0 for the default (256 KiB)
 * @before_exec: for avfork_exec() alone: runs in the child when that has all that is
 *              granted, and before the exec. NULL for nothing. Returns 0, or an errno
 *              with which the exec fails; of -1 the errno is errno
 * @before_arg: passed to it; the child's until it has exec'd or died
 *
 * All but @size may be 0. Members are added at the end, so a program and a library
 * may know more of them than the other: what is beyond a program's @size is 0, and
 * a library refuses with E2BIG what it does not know.
 */
struct avfork_opts {
	size_t size;
	int flags;
	int cgroup_fd;
	const struct avfork_fd *fds;
	size_t nr_fds;
	int *pidfd;
	int *left;
	uint64_t namespaces;
	void *stack;
	size_t stack_size;
	int (*before_exec)(void *);
	void *before_arg;
};

/* A child that waits to be started: avfork_prepare(). */
struct avfork_prepared;

#define AVFORK_OPTS_SIZE_VER0	88	/* sizeof the first struct avfork_opts */

/* struct avfork_opts opts = AVFORK_OPTS_INIT; */
#define AVFORK_OPTS_INIT \
	{ sizeof(struct avfork_opts), 0, 0, NULL, 0, NULL, NULL, 0, NULL, 0, NULL, NULL }

/**
 * avfork - run a function in a child, without waiting for it
 * @start_routine: runs in the child; its return value is the exit status
 * @arg:           passed to it
 *
 * Return: the child's pid.
 */
pid_t avfork(int (*start_routine)(void *), void *arg);

/**
 * avforkx - avfork() with flags
 * @flags: AVFORK_*, but not AVFORK_INTO_CGROUP, which needs avfork_with()
 */
pid_t avforkx(int flags, int (*start_routine)(void *), void *arg);

/**
 * avfork_with - avfork() with everything that can be chosen
 * @opts: read before the call returns; NULL for what avfork() does
 */
pid_t avfork_with(const struct avfork_opts *opts,
		  int (*start_routine)(void *), void *arg);

/* One line of an id map, see user_namespaces(7). */
struct avfork_ids {
	uint32_t inside;
	uint32_t outside;
	uint32_t count;
};

/**
 * struct avfork_bind - a file or directory that a container has
 * @source: of the caller's, with all that is mounted below
 * @target: where the container has it, from its root on
 * @flags:  AVFORK_WRITABLE, or 0: it is read-only
 */
struct avfork_bind {
	const char *source;
	const char *target;
	uint64_t flags;
};

#define AVFORK_WRITABLE		0x1

/**
 * struct avfork_container - what a container shares, and has
 * @size:         sizeof(struct avfork_container)
 * @flags:        AVFORK_WRITABLE: the root may be written
 * @shared:       CLONE_NEW*: the kinds of namespaces that are the caller's
 * @root:         a directory. NULL: an empty tree, where targets are made as needed
 * @binds:        @nr_binds files and directories that are seen there, in this order
 * @nr_binds:     their number
 * @uids:         @nr_uids ranges of user ids. None: the caller's own, as 0
 * @nr_uids:      their number
 * @gids:         the same of group ids
 * @nr_gids:      their number
 * @hostname:     NULL: "container"
 * @capabilities: 1 << CAP_*: what may be had inside, over the container's own
 *                namespaces alone
 *
 * All but @size may be 0, which shares nothing.
 */
struct avfork_container {
	size_t size;
	uint64_t flags;
	uint64_t shared;
	const char *root;
	const struct avfork_bind *binds;
	size_t nr_binds;
	const struct avfork_ids *uids;
	size_t nr_uids;
	const struct avfork_ids *gids;
	size_t nr_gids;
	const char *hostname;
	uint64_t capabilities;
};

#define AVFORK_CONTAINER_SIZE_VER0 96	/* sizeof the first struct avfork_container */

/**
 * avfork_container - avfork_with() for a child that shares nothing but what is named
 * @opts:      as for avfork_with(), but for namespaces, which are @container's;
 *             AVFORK_ISOLATE and AVFORK_NNP are set. Not with AVFORK_SYNC or
 *             AVFORK_SHARE_FDS
 * @container: NULL for a container that shares nothing
 *
 * Return: the child's pid, when the container is ready and @start_routine about to run
 * there. Where something of @container cannot be had the call fails, with the errno.
 */
pid_t avfork_container(const struct avfork_opts *opts,
		       const struct avfork_container *container,
		       int (*start_routine)(void *), void *arg);

/**
 * avfork_exec - make a child that execs
 * @opts: as for avfork_with()
 * @path: what to exec, as for execve(2), or with AVFORK_SEARCH_PATH for execvpe(3)
 * @argv: its arguments
 * @envp: its environment; NULL for the caller's
 *
 * All arguments are copied. Return: the child's pid; where the exec fails the child
 * exits with 127, and opts->left has exec's errno. With AVFORK_SYNC the call fails
 * instead, with that errno.
 */
pid_t avfork_exec(const struct avfork_opts *opts, const char *path,
		  char *const argv[], char *const envp[]);

/**
 * avfork_exec_pipes - avfork_exec() with pipes to the program
 * @in:  receives the end for writing of a pipe to its standard input
 * @out: receives the end for reading of a pipe from its standard output
 * @err: from its standard error; the same pointer as @out for one pipe of both
 *
 * Each may be NULL for no pipe. The ends are close-on-exec and block.
 */
pid_t avfork_exec_pipes(const struct avfork_opts *opts, const char *path,
			char *const argv[], char *const envp[],
			int *in, int *out, int *err);

/**
 * avfork_async - avfork() that tells when the child has left our memory
 * @done: called with the child's pid, in a thread of the library, when the
 *        child has exec'd or died: @arg may be freed. NULL for nothing
 *
 * Return: 0. The child is still to be waited for.
 */
int avfork_async(int (*start_routine)(void *), void *arg, void (*done)(pid_t));

/**
 * avfork_popen - popen(3): a stream from or to a command of the shell
 * @command: for sh -c. Apart from the stream it has descriptors 0, 1 and 2
 * @type:    "r", "w", or "r+" for both ways; "e" may be added and changes
 *           nothing: the stream's descriptor is close-on-exec
 *
 * Return: the stream, at once, for avfork_pclose(). Where the command cannot be
 * started the stream is at its end, or fails with EPIPE.
 */
FILE *avfork_popen(const char *command, const char *type);

/**
 * avfork_popenv - avfork_popen() without a shell
 * @argv: the command, looked for in PATH, and its arguments
 */
FILE *avfork_popenv(char *const argv[], const char *type);

/**
 * avfork_pclose - close a stream of avfork_popen() and wait for its command
 *
 * Return: the command's status, as waitpid(2) has it.
 */
int avfork_pclose(FILE *stream);

/**
 * avfork_system - system(3): run a command of the shell and wait for it
 * @command: as for avfork_popen(). NULL: whether there is a shell
 *
 * Return: the command's status, as waitpid(2) has it.
 */
int avfork_system(const char *command);

/**
 * avfork_prepare - make a child that waits to be started
 * @opts: what it inherits and is; @fds, @pidfd, @left, @stack and @before_exec are to be
 *        0, and of the flags there may be AVFORK_STDIO, AVFORK_INTO_CGROUP,
 *        AVFORK_INHERIT_SIGNALS, AVFORK_NNP and, with the module, AVFORK_AUTOKILL,
 *        AVFORK_AUTOREAP and AVFORK_WAITPID. NULL for nothing
 *
 * The child inherits what the caller has now: credentials, directory, limits,
 * namespaces, priority. Its descriptors are those that are granted at the start.
 * wait(2) does not find it before, and it ends with the process.
 *
 * Return: the child, for one of the next three calls.
 */
struct avfork_prepared *avfork_prepare(const struct avfork_opts *opts);

/**
 * avfork_start - have a prepared child run a function
 * @prepared: of this process; used up by success alone
 * @fds:      @nr_fds descriptors to grant, as in struct avfork_opts
 *
 * Return: the child's pid, for avfork_waitpid().
 */
pid_t avfork_start(struct avfork_prepared *prepared,
		   const struct avfork_fd *fds, size_t nr_fds,
		   int (*start_routine)(void *), void *arg);

/* The same with an exec, as avfork_exec()'s; all arguments are copied. */
pid_t avfork_start_exec(struct avfork_prepared *prepared,
			const struct avfork_fd *fds, size_t nr_fds,
			const char *path, char *const argv[],
			char *const envp[]);

/* Have a prepared child gone that will not be started. NULL: nothing. */
void avfork_discard(struct avfork_prepared *prepared);

/**
 * avfork_waitpid - waitpid(2) that reaps any child, whatever its flags
 */
pid_t avfork_waitpid(pid_t pid, int *status, int options);

/**
 * avfork_reserve - keep calls cheap, or a program single-threaded
 * @children: make what so many children at a time need, and keep that. 0: keep
 *            nothing that is not in use; the threads leave within two seconds
 *
 * Unless this is called, what one child needs is kept.
 *
 * Return: 0.
 */
int avfork_reserve(unsigned int children);

/**
 * avfork_backend - how children are made here
 *
 * Return: "kernel", "clone" or "taskq", or NULL with errno ENOSYS where
 * AVFORK_BACKEND in the environment asks for what is not available.
 */
const char *avfork_backend(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* AVFORK_H */
