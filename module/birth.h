/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_BIRTH_H
#define AVFORK_BIRTH_H

#include <linux/types.h>

struct avfork_args;
struct avfork_birth;
struct avfork_nursery;
struct avfork_prepared;
struct task_struct;

struct avfork_birth *avfork_birth_new(struct avfork_nursery *nursery,
				      const struct avfork_args *args);
void avfork_birth_abort(struct avfork_birth *birth);
void avfork_birth_prepare(struct avfork_birth *birth,
			  struct avfork_prepared *prepared);
int avfork_birth_grant(struct avfork_birth *birth,
		       const struct avfork_args *args);
void avfork_birth_revoke(struct avfork_birth *birth);
void avfork_birth_free(struct avfork_birth *birth);
bool avfork_birth_given(struct task_struct *task);
int avfork_birth_complete(void *birth);

void avfork_birth_wait_all(void);

#endif
