/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_TABLE_H
#define AVFORK_TABLE_H

#include <linux/types.h>

struct avfork_args;
struct files_struct;

void avfork_table_init(void);
struct files_struct *avfork_table_empty(void);
struct files_struct *avfork_table_build(const struct avfork_args *args,
					struct files_struct **empty);

#endif
