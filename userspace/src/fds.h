/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FDS_H
#define FDS_H

/* Close all descriptors from @first on, by system calls alone. 0, or -1 with errno. */
int close_from(int first);

#endif
