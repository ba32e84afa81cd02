// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_IOC_GRANT, once its argument is in the kernel: the calling task leaves
 * its descriptor table for a new one that has nothing but what is granted. The
 * table that it leaves stays with whoever shares it, and is closed if nobody does:
 * its POSIX record locks end, those of granted files as well, for the new table is
 * another owner.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/task.h>

#include <linux/avfork.h>

#include "grant.h"
#include "symbols.h"
#include "table.h"

/**
 * avfork_grant - give current a descriptor table of its own
 * @device:      the open file that it is asked of
 * @grants:      what is in the table; unchecked
 * @as_they_are: as for avfork_table_build()
 *
 * Return: 0, -EINVAL for an unknown flag or a reserved field that is not zero,
 * or an errno of avfork_table_build().
 */
long avfork_grant(struct file *device, const struct avfork_grants *grants,
		  bool as_they_are)
{
	struct files_struct *before, *table, *none = NULL;

	if (grants->flags & ~(u64)AVFORK_GRANT_FLAGS || grants->reserved)
		return -EINVAL;
	table = avfork_table_build(grants, as_they_are, &none);
	if (IS_ERR(table))
		return PTR_ERR(table);

	/*
	 * The ioctl's reference to the device may be borrowed from the table
	 * that goes (fdget()): this one is the call's own. If it is the last, the
	 * file is released when the system call returns (fput()). If another
	 * process drops the last one after us, rmmod may begin at once: it waits
	 * for these last instructions, which do not sleep, as it does for those
	 * of a child (avfork_birth_wait_all()).
	 */
	get_file(device);
	/* task_lock: what /proc and pidfd_getfd() read ->files under. */
	task_lock(current);
	before = current->files;
	current->files = table;
	task_unlock(current);
	static_call(avfork_put_files_struct)(before);
	fput(device);
	return 0;
}
