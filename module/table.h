/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_TABLE_H
#define AVFORK_TABLE_H

#include <linux/types.h>

/* What the descriptors of a table are granted by, besides a list of them. */
#define AVFORK_GRANT_FLAGS (AVFORK_STDIO | AVFORK_INHERIT_FDS)

struct avfork_grants;
struct files_struct;

void avfork_table_init(void);
struct files_struct *avfork_table_empty(void);
unsigned int avfork_table_size(void);
struct files_struct *avfork_table_build(const struct avfork_grants *grants,
					bool as_they_are,
					struct files_struct **empty);

#endif
