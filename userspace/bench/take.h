/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One child, and what it costs.
 */
#ifndef TAKE_H
#define TAKE_H

#include <stdbool.h>

#include "method.h"
#include "sample.h"

/* Enter or leave a class that no other task here preempts. */
void set_undisturbed(bool undisturbed);

/*
 * Make a child, and reap it: what its caller paid, and what it took in all. Returns
 * the latter. Either may be NULL.
 */
double take(const struct method *method, struct samples *caller,
	    struct samples *spawn);

#endif
