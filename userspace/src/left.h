/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling by a descriptor that a child has left our memory: opts.left.
 *
 * The descriptor is the reading end of a pipe, whose writing end the child alone
 * has, close-on-exec: an exec closes it, and so does any death. A child that cannot
 * exec writes why.
 */
#ifndef LEFT_H
#define LEFT_H

#include "backend.h"

/*
 * A number for a descriptor of the child's that no grant of @opts has, nor standard
 * input, output or error: in the smallest table, but as high as can be, for a program
 * is likelier to want a low number for something else.
 */
int left_number(const struct avfork_opts *opts);

/* As spawn(), for a @child whose opts have ->left. */
pid_t left_spawn(struct child *child);

/**
 * struct left_end - the writing end, as the child has it
 * @fd:     its number, -1 for none
 * @device: by which, with @inode, the end is known again
 * @inode:  0 until left_know()
 */
struct left_end {
	int fd;
	dev_t device;
	ino_t inode;
};

/* In the child, before it runs anything of the program's. */
void left_know(struct left_end *end);

/* In the child: @error is why it does not exec. */
void left_tell(const struct left_end *end, int error);

#endif
