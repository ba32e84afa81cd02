// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/mman.h>

#include "sanitizer.h"
#include "wiped.h"

void *wiped_get(void *_Atomic *where, size_t size)
{
	/* Stays where it is for the life of the process and of its copies. */
	void *memory = atomic_load_explicit(where, memory_order_acquire);
	void *other = NULL;

	if (memory) {
		tsan_after(where);
		return memory;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	tsan_before(where);
	if (madvise(memory, size, MADV_WIPEONFORK) ||
	    !atomic_compare_exchange_strong(where, &other, memory)) {
		munmap(memory, size);
		memory = other;
	}
	return memory;
}
