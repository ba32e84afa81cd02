/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing descriptors in a child: by bare system calls, which no other library
 * sees, without malloc() and whatever a filter or a missing /proc refuses.
 */
#ifndef FDS_H
#define FDS_H

/* Close @first, which is not negative, and all above it. */
void close_from(int first);

#endif
