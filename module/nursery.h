/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_NURSERY_H
#define AVFORK_NURSERY_H

#include <linux/types.h>

struct avfork_birth;
struct avfork_nursery;

struct avfork_nursery *avfork_nursery_new(void);
void avfork_nursery_get(struct avfork_nursery *nursery);
void avfork_nursery_put(struct avfork_nursery *nursery);

void avfork_nursery_close(struct avfork_nursery *nursery);
bool avfork_nursery_closed(const struct avfork_nursery *nursery);

struct avfork_birth *avfork_nursery_take(struct avfork_nursery *nursery);
bool avfork_nursery_give(struct avfork_nursery *nursery,
			 struct avfork_birth *birth);

#endif
