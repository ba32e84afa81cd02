/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AVFORK_PRELOAD=async: a posix_spawn() that returns before the exec. POSIX lets a
 * child that cannot exec exit with 127 instead of having the call fail.
 */
#ifndef ASYNC_H
#define ASYNC_H

#include "actions.h"

/*
 * Whether a call with these attributes' @flags, @actions and program may be made so:
 * it is asked for, nothing that the caller could see of the child is missing when the
 * call returns, and the program, looked for in @path unless that is NULL, is there.
 */
bool async_may(short flags, const struct actions *actions, const char *file,
	       const char *path);

#endif
