/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_CHILD_H
#define AVFORK_CHILD_H

#include <linux/types.h>

struct avfork_args;
struct avfork_child;
struct avfork_nursery;
struct avfork_prepared;
struct task_struct;

bool avfork_child_wanted(const struct avfork_args *args);
struct avfork_child *avfork_child_new(const struct avfork_args *args,
				      const struct avfork_nursery *nursery);
void avfork_child_set_prepared(struct avfork_child *child,
			       struct avfork_prepared *prepared);
void avfork_child_set_signal(struct avfork_child *child, int signal);
void avfork_child_free(struct avfork_child *child);
void avfork_child_enter(struct avfork_child *child,
			const struct avfork_nursery *nursery);

void avfork_child_made_task(struct task_struct *task);
void avfork_child_execed(void);
void avfork_child_exits(void);

void avfork_child_kill_all(const struct avfork_nursery *nursery);
void avfork_child_wait_all(void);

#endif
