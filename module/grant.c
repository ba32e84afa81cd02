// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_IOC_GRANT, once its argument is in the kernel: the calling task leaves
 * its descriptor table for one that has nothing but what is granted, as
 * unshare(CLONE_FILES) and close(2) of the rest would have it.
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
	 * (fdget()), and this code is there as long as the device is open.
	 * Whoever drops the last reference in a system call frees the file when
	 * that returns, so this one lasts.
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
