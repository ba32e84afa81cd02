// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dlfcn.h>
#include <stdatomic.h>

#include "real.h"

static void *_Atomic addresses[NR_REAL];

static void *look_up(enum real function)
{
	static const char *const names[] = {
#define REAL_NAME(function) #function,
		REAL_FUNCTIONS(REAL_NAME)
#undef REAL_NAME
	};
	void *address = dlsym(RTLD_NEXT, names[function]);

	atomic_store_explicit(&addresses[function], address,
			      memory_order_relaxed);
	return address;
}

void *real_address(enum real function)
{
	void *address = atomic_load_explicit(&addresses[function],
					     memory_order_relaxed);

	/* Another library's constructor may be before ours. */
	return address ? address : look_up(function);
}

static void __attribute__((constructor)) look_up_all(void)
{
	enum real function;

	/* To look for what is not there takes longer than all the others. */
	for (function = 0; function < REAL_pidfd_spawn; function++)
		look_up(function);
}
