/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_CHILD_H
#define AVFORK_CHILD_H

#include <linux/types.h>

struct avfork_child;

int avfork_child_init(void);
void avfork_child_exit(void);

bool avfork_child_wanted(int signal);
struct avfork_child *avfork_child_new(int signal);
void avfork_child_free(struct avfork_child *child);
void avfork_child_enter(struct avfork_child *child);

#endif
