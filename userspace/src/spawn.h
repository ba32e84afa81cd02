/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a child: what all the public calls come down to.
 */
#ifndef SPAWN_H
#define SPAWN_H

#include "backend.h"

#define SHELL		"/bin/sh"
/* "--": a command may begin with a dash. */
#define SHELL_ARGV(command) { "sh", "-c", "--", (char *)(command), NULL }
#define EXIT_NO_EXEC	127	/* of a child that cannot do what it is for */

/*
 * Make @child. Its opts have been filled in by the library or checked by
 * opts_copy(). The child's pid, or -1 with errno, which is otherwise left alone.
 */
pid_t spawn(struct child *child);

/* Whether a child that crashes before its exec dies alone. */
bool crashes_alone(void);

/*
 * Reap @pid, which spawn() has made with @opts and the program is not to know of, and
 * close what the program has got of it. No cancellation point, unlike close().
 */
void spawn_undo(const struct avfork_opts *opts, pid_t pid);

/*
 * Copy a caller's @from, which may be an older or a newer struct than ours.
 * NULL stands for all defaults. 0, or -1 with errno.
 */
int opts_copy(struct avfork_opts *to, const struct avfork_opts *from);

/*
 * The same for any struct that begins with its size, @size bytes in this library and
 * @first in the first: copy_struct_from_user()'s rules, for our own memory.
 */
int sized_copy(void *to, size_t size, const void *from, size_t first);

/*
 * Make a child as @opts say, which are complete, that execs @argv[0], looked for in
 * PATH. All is copied. With AVFORK_SYNC a failure to exec is one of the call; else the
 * child exits with EXIT_NO_EXEC.
 */
pid_t exec_search(const struct avfork_opts *opts, char *const argv[]);

/*
 * The same, for a command of the shell that is to have @defaults, the kernel's set
 * of signals, handled by default.
 */
pid_t exec_shell(const struct avfork_opts *opts, const char *command,
		 kernel_sigset defaults);

/* Whether this is that version of Linux, or a later one. */
bool kernel_since(int major, int minor);

#define SEARCH_DEFAULT "/bin:/usr/bin"	/* where there is no PATH */

/*
 * Put in @name, of @size bytes, @file in the first of the directories in *@path with
 * which it fits. *@path moves on, and is NULL behind the last. False: there is none.
 */
bool search_next(const char **path, const char *file, char *name, size_t size);

/*
 * execve(2) or, unless @path is NULL, execvpe(3) in the directories of that; but a
 * file which is no program is no shell script either. Returns, with errno set, when
 * nothing could be run.
 */
void search_exec(const char *file, const char *path, char *const argv[],
		 char *const envp[]);

#endif
