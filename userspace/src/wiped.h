/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * State of a process that is not its copies': threads, children, locks.
 */
#ifndef WIPED_H
#define WIPED_H

#include <stdatomic.h>
#include <stddef.h>

/*
 * The @size bytes at *@where, which are all zero at first, and again in every
 * fork()ed copy, however that is made. NULL with errno ENOMEM, or EINVAL from a
 * kernel before 4.14.
 */
void *wiped_get(void *_Atomic *where, size_t size);

#endif
