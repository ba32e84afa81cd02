/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AVFORK_PROBES_H
#define AVFORK_PROBES_H

int avfork_probes_init(void);
void avfork_probes_exit(void);

#endif
