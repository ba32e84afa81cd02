/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children that do nothing but exec.
 */
#ifndef EXEC_H
#define EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include <avfork.h>

#include "signals.h"

#define SHELL "/bin/sh"

/*
 * Make a child as @opts say, which are complete, that execs @path. With
 * @search, a @path without a slash is looked for in PATH. All is copied. With
 * AVFORK_SYNC a failure to exec is one of the call; else the child exits with
 * 127.
 */
pid_t exec_spawn(const struct avfork_opts *opts, const char *path, bool search,
		 char *const argv[], char *const envp[]);

/*
 * The same, for a command of the shell that is to have @defaults, the kernel's set
 * of signals, handled by default.
 */
pid_t exec_shell(const struct avfork_opts *opts, const char *command,
		 kernel_sigset defaults);

#endif
