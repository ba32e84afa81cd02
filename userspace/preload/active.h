/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ACTIVE_H
#define ACTIVE_H

#include <stdbool.h>

/*
 * Whether a call of the program is ours at all. If not it is libc's from the first
 * instruction: there is no module that would make children for the caller, nor does
 * AVFORK_BACKEND ask for another backend; or this process is a guest in another's
 * memory. Takes no lock.
 */
bool is_active(void);

#endif
