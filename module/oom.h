/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_OOM_H
#define AVFORK_OOM_H

struct task_struct;

int avfork_oom_init(void);
void avfork_oom_exit(void);

void avfork_oom_spare(struct task_struct *child);

#endif
