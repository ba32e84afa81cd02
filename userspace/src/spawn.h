/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a child: what all the public calls come down to.
 */
#ifndef SPAWN_H
#define SPAWN_H

#include "backend.h"

/*
 * Make @child. Its opts have been filled in by the library or checked by
 * opts_copy(). The child's pid, or -1 with errno, which is otherwise left alone.
 */
pid_t spawn(struct child *child);

/*
 * Copy a caller's @from, which may be an older or a newer struct than ours.
 * NULL stands for all defaults. 0, or -1 with errno.
 */
int opts_copy(struct avfork_opts *to, const struct avfork_opts *from);

#endif
