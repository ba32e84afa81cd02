/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_GRANT_H
#define AVFORK_GRANT_H

#include <linux/types.h>

struct avfork_grants;
struct file;

long avfork_grant(struct file *device, const struct avfork_grants *grants,
		  bool as_they_are);

#endif
