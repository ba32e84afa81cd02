/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors of /dev/avfork that a process has.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <linux/avfork.h>

/* A descriptor, or 0: not open. device_common is the one for most children. */
extern _Atomic int device_common;
/*
 * The one whose end is that of children with AVFORK_AUTOKILL: no copy by fork(3)
 * has it open.
 */
extern _Atomic int device_own;

/* @device's descriptor, opened if it is not, or 0 with errno. */
int device_get(_Atomic int *device);

/* Have @device opened anew: @fd, its descriptor, is some other file's by now. */
void device_lost(_Atomic int *device, int fd);

/*
 * The ioctl @request with @args, by @device's descriptor, which is opened anew if it is
 * not the device any more. A pid, or a descriptor, or -1 with errno.
 */
int device_call(_Atomic int *device, unsigned long request, const void *args);

/* Whether @fd is of a prepared child, asked for without a struct. */
bool device_has_prepared(int fd);

/* Give @device's descriptor back, until it is asked for the next time. */
void device_close(_Atomic int *device);

/* Whether @fd is the device; what it says of itself is in @info then. */
bool device_ask(int fd, struct avfork_info *info);

#endif
