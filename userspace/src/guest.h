/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>

/*
 * Whether this process is a guest in another's memory: a child of vfork(2), or
 * of a libavfork that the program has itself. It must be left to libc, since
 * our copy of the library would take it for the owner.
 */
bool is_guest(void);

#endif
