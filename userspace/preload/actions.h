/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File actions: what posix_spawn(3) does with the child's descriptors and its
 * working directory, in the order in which the program has asked for it.
 *
 * The program's object is libc's, complete, and may be passed to libc at any time.
 * What libc has noted in it only libc can read. So there is a list of our own
 * beside, in the object's padding.
 */
#ifndef ACTIONS_H
#define ACTIONS_H

#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>

#include <avfork.h>

enum action_kind {
	ACTION_CLOSE,
	ACTION_OPEN,
	ACTION_DUP2,
	ACTION_CHDIR,
	ACTION_FCHDIR,
	ACTION_CLOSEFROM,
	ACTION_TCSETPGRP,
};

/**
 * struct action - one of them
 * @kind:  which of the members below are used
 * @fd:    all but chdir: the descriptor; the old one of dup2
 * @newfd: dup2
 * @oflag: open
 * @mode:  open
 * @path:  open, chdir; our copy
 */
struct action {
	enum action_kind kind;
	int fd;
	int newfd;
	int oflag;
	mode_t mode;
	char *path;
};

/**
 * struct actions - ours of an object; all zero is none, as it is to libc
 * @list:      the actions
 * @used:      their number
 * @allocated: for how many @list has room
 */
struct actions {
	struct action *list;
	int used;
	int allocated;
};

/*
 * Our list of @object, which may be NULL. NULL where it lacks one of libc's: for
 * want of memory, or as libc's own function has added that, which callers reach
 * that look it up there (dlmopen(3), RTLD_DEEPBIND).
 */
const struct actions *actions_of(const posix_spawn_file_actions_t *object);

/*
 * Of the caller's descriptors those that are close-on-exec and that @actions or
 * the program @file need all the same. How many, or -1 for more than @max.
 */
int actions_grants(const struct actions *actions, const char *file,
		   struct avfork_fd *grants, int max);

/* A copy of @actions at *@to, a multiple of 8, and the bytes that the copy needs. */
const struct actions *actions_copy(const struct actions *actions, char **to);
size_t actions_size(const struct actions *actions);

/*
 * In the child: do them all. -1 with errno where one fails. @again says if all that
 * was done can be done a second time, by another child, and in that case whether
 * what failed may succeed there: a path led to nothing, but could have led through
 * one of the descriptors that this child has not.
 */
int actions_perform(const struct actions *actions, bool *again);

#endif
