/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A shell that prints a line when it has started, and exits when it gets one:
 * a child that is known to have exec'd. It is given nothing but its standard
 * input and output. Include it after the harness.
 */
#ifndef AVFORK_SHELL_H
#define AVFORK_SHELL_H

#include <fcntl.h>
#include <spawn.h>

#include <avfork.h>

struct shell {
	pid_t pid;
	int in, out;
};

#define SHELL_STATUS	3

static char *const shell_argv[] = {
	"sh", "-c", "echo; read line; exit 3", NULL
};

static inline int exec_shell(void *unused)
{
	execv("/bin/sh", shell_argv);
	return 127;
}

static inline pid_t shell_by_posix_spawn(int in, int out)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	error = posix_spawn(&pid, "/bin/sh", &actions, NULL, shell_argv,
			    environ);
	posix_spawn_file_actions_destroy(&actions);
	return error ? -1 : pid;
}

static inline pid_t shell_by_avfork_flags(int in, int out, int flags)
{
	const struct avfork_fd fds[] = {
		{ .parent_fd = in, .child_fd = 0 },
		{ .parent_fd = out, .child_fd = 1 },
	};
	const struct avfork_opts opts = {
		.size = sizeof(opts),
		.flags = flags,
		.fds = fds,
		.nr_fds = ARRAY_SIZE(fds),
	};

	return avfork_with(&opts, exec_shell, NULL);
}

static inline pid_t shell_by_avfork(int in, int out)
{
	return shell_by_avfork_flags(in, out, 0);
}

static inline pid_t shell_by_private_avfork(int in, int out)
{
	return shell_by_avfork_flags(in, out,
				     AVFORK_WAITPID | AVFORK_NOSIGCHLD);
}

/* Returns when the shell runs: when the child has exec'd. */
static inline void shell_start(struct __test_metadata *_metadata,
			       struct shell *shell,
			       pid_t (*start)(int in, int out))
{
	int in[2], out[2];
	char newline;

	ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	shell->pid = start(in[0], out[1]);
	ASSERT_GT(shell->pid, 0);
	close(in[0]);
	close(out[1]);
	shell->in = in[1];
	shell->out = out[0];
	ASSERT_EQ(1, read(shell->out, &newline, 1));
}

/* Have the shell exit. */
static inline void shell_finish(struct __test_metadata *_metadata,
				struct shell *shell)
{
	ASSERT_EQ(1, write(shell->in, "\n", 1));
	close(shell->in);
	close(shell->out);
}

#endif
