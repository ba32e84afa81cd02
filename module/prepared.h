/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_PREPARED_H
#define AVFORK_PREPARED_H

#include <linux/types.h>

struct avfork_args;
struct avfork_birth;
struct avfork_child;
struct avfork_nursery;
struct avfork_prepared;
struct task_struct;

long avfork_prepare(struct avfork_nursery *nursery,
		    const struct avfork_args *args);

void avfork_prepared_conceive(struct avfork_prepared *prepared,
			      struct avfork_birth *birth,
			      struct avfork_child *child);
void avfork_prepared_given(struct avfork_prepared *prepared,
			   struct task_struct *task);
void avfork_prepared_wait(struct avfork_prepared *prepared);
void avfork_prepared_leaves(struct avfork_prepared *prepared);
void avfork_prepared_maker_leaves(void);

#endif
