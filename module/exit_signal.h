/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_EXIT_SIGNAL_H
#define AVFORK_EXIT_SIGNAL_H

struct avfork_exit_signal;

int avfork_exit_signal_init(void);
void avfork_exit_signal_exit(void);

struct avfork_exit_signal *avfork_exit_signal_new(int signal);
void avfork_exit_signal_free(struct avfork_exit_signal *kept);
void avfork_exit_signal_keep(struct avfork_exit_signal *kept);

#endif
