/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors of /dev/avfork that a process has.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/avfork.h>

/**
 * struct device - an open /dev/avfork
 * @word: the descriptor, and a count of the times that it was opened, in one
 *        word: a thread that replaces what it found stale shall not mistake for
 *        that what another has opened since, and found the same number free.
 *        0: not open
 */
struct device {
	_Atomic uint64_t word;
};

/* The one for most children. */
extern struct device device_common;
/*
 * The one whose end is that of children with AVFORK_AUTOKILL: no copy by fork(3)
 * has it open.
 */
extern struct device device_own;

/* @device's word, opened if it is not. 0 where that fails, with errno. */
uint64_t device_get(struct device *device);

/* The same in place of @stale, a word whose descriptor is not the device. */
uint64_t device_open(struct device *device, uint64_t stale);

/* Give @device's descriptor back, until it is asked for the next time. */
void device_close(struct device *device);

static inline int device_fd(uint64_t word)
{
	return (int)(word >> 32) - 1;
}

/* Whether @fd is the device; what it says of itself is in @info then. */
bool device_ask(int fd, struct avfork_info *info);

#endif
