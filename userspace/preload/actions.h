/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File actions: what posix_spawn(3) does with the child's descriptors and its
 * working directory, in the order in which the program has asked for it.
 */
#ifndef ACTIONS_H
#define ACTIONS_H

#include <dlfcn.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>

#include <avfork.h>

/* The function that we are in the way of. */
#define REAL(function) \
	((__typeof__(function) *)dlsym(RTLD_NEXT, #function))

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
 * struct actions - what we make of a posix_spawn_file_actions_t
 * @libc:      the members that libc uses, zero: to it, nothing is to be done
 * @magic:     ACTIONS_MAGIC: our posix_spawn_file_actions_init() was called
 * @list:      the actions
 * @used:      their number
 * @allocated: for how many @list has room
 */
struct actions {
	uint64_t libc[2];
	uint64_t magic;
	struct action *list;
	size_t used;
	size_t allocated;
};

#define ACTIONS_MAGIC 0x6b726f6676610001

/*
 * @object as ours, or NULL: it was initialised by libc's own function, which
 * callers reach that look it up there (dlmopen(3), RTLD_DEEPBIND).
 */
struct actions *actions_ours(const posix_spawn_file_actions_t *object);

/*
 * Of the caller's descriptors those that are close-on-exec and that @actions
 * or the program @file need all the same. Writes at most @actions->used + 1
 * @grants, and returns how many.
 */
size_t actions_grants(const struct actions *actions, const char *file,
		      struct avfork_fd *grants);

/* In the child: do them all. -1 with errno where one fails. */
int actions_perform(const struct actions *actions);

/* Initialise @object for libc and repeat all @actions there. 0 or an errno. */
int actions_for_libc(const struct actions *actions,
		     posix_spawn_file_actions_t *object);

#endif
