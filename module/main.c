// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/avfork: processes that share their parent's memory, run on a stack of
 * their own and start with nothing but what they are granted.
 *
 * The child is made by the kernel's own kernel_clone(), so that pids, ptrace,
 * audit, cgroups, rlimits, LSMs, namespaces and pidfds behave as with clone(2).
 * This module decides only how it starts:
 *
 *   spawn.c        the parent's call, from struct avfork_args to kernel_clone()
 *   prepared.c     children that are made by one call and started by another
 *   grant.c        the call that gives the calling task a table, and no child
 *   birth.c        what passes from parent to child, and the child's first steps
 *   nursery.c      births that are kept for the next children
 *   table.c        the child's descriptor table, built from its grants
 *   child.c        what is remembered of a child while it lives
 *   oom.c          why the OOM killer does not choose children
 *   probes.c       the moments in every task's life that the module looks at
 *   symbols.c      the functions that the kernel does not export
 *   trace.h        the tracepoints
 *   arch/          the child's registers, one file an architecture
 *   compat.h       the differences between kernels, found from their headers
 *
 * An open file of the device keeps the module loaded and has a nursery. Children
 * with AVFORK_AUTOKILL are killed when it is released.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/seccomp.h>
#include <linux/stringify.h>
#include <linux/uaccess.h>

#include "arch/arch.h"
#include "birth.h"
#include "child.h"
#include "compat.h"
#include "grant.h"
#include "nursery.h"
#include "oom.h"
#include "prepared.h"
#include "probes.h"
#include "spawn.h"
#include "symbols.h"
#include "table.h"

static bool allow_seccomp;
module_param(allow_seccomp, bool, 0644);
MODULE_PARM_DESC(allow_seccomp,
		 "let processes under seccomp spawn, and renumber what they grant themselves, even where their filter forbids clone or dup2 (default: no)");

static int count_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", avfork_count((uintptr_t)kp->arg));
}

/* insmod calls it without a look at the mode. */
static int count_set(const char *value, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops count_ops = {
	.set = count_set,
	.get = count_get,
};
module_param_cb(spawned, &count_ops, (void *)AVFORK_SPAWNED, 0444);
MODULE_PARM_DESC(spawned, "how many calls made a child, to be read");
module_param_cb(failed, &count_ops, (void *)AVFORK_FAILED, 0444);
MODULE_PARM_DESC(failed, "how many calls made none, to be read");

/* Whether a filter may forbid current what an ioctl would let it do. */
static bool is_confined(void)
{
	return seccomp_mode(&current->seccomp) != SECCOMP_MODE_DISABLED &&
	       !READ_ONCE(allow_seccomp);
}

/* Before the argument is read: a caller can ask without one. */
static int check_caller(void)
{
	return is_confined() ? -EPERM : avfork_arch_check();
}

static long ioctl_spawn(struct file *file, const void __user *arg, size_t size)
{
	struct avfork_args args;
	long ret;
	int err;

	err = check_caller();
	if (err)
		return err;
	err = avfork_args_read(&args, arg, size);
	if (err)
		return err;
	if (!(args.flags & AVFORK_SHARE_FDS))
		return avfork_spawn(file->private_data, &args, NULL);

	/*
	 * The ioctl's reference to the device may be borrowed from the caller's
	 * table (fdget()), where the child can close the device before the call
	 * has returned. This reference is the call's own. What becomes of the
	 * last instructions is told in avfork_grant().
	 */
	get_file(file);
	ret = avfork_spawn(file->private_data, &args, NULL);
	fput(file);
	return ret;
}

static long ioctl_prepare(struct file *file, const void __user *arg,
			  size_t size)
{
	struct avfork_args args;
	int err = check_caller() ?: avfork_args_read(&args, arg, size);

	return err ?: avfork_prepare(file->private_data, &args);
}

/*
 * No process is made. What remains is what close(2), unshare(CLONE_FILES), dup2(2)
 * and fcntl(2) do. A filter may judge the latter two by the numbers of
 * descriptors, so for whoever has a filter no granted descriptor changes its
 * number or loses FD_CLOEXEC. A filter that means to keep descriptors open has to
 * refuse the ioctl as it refuses close(2).
 */
static long ioctl_grant(struct file *file, const void __user *arg, size_t size)
{
	struct avfork_grants grants;
	int err;

	BUILD_BUG_ON(sizeof(grants) != AVFORK_GRANTS_SIZE_VER0);
	if (size < AVFORK_GRANTS_SIZE_VER0)
		return -EINVAL;
	err = copy_struct_from_user(&grants, sizeof(grants), arg, size);
	if (err)
		return err;
	return avfork_grant(file, &grants, is_confined());
}

static long ioctl_info(void __user *arg, size_t size)
{
	const struct avfork_info info = {
		.abi_version = AVFORK_ABI_VERSION,
		.table_size = avfork_table_size(),
		.flags = AVFORK_FLAGS & ~(CLONE_AUTOREAP ? 0 : AVFORK_AUTOREAP),
		.namespaces = AVFORK_NAMESPACES,
		.isolated = AVFORK_ISOLATED,
	};
	size_t known = min(size, sizeof(info));

	BUILD_BUG_ON(sizeof(info) != AVFORK_INFO_SIZE_VER2);
	if (size < AVFORK_INFO_SIZE_VER0)
		return -EINVAL;
	if (copy_to_user(arg, &info, known) ||
	    clear_user(arg + known, size - known))
		return -EFAULT;
	return 0;
}

static long avfork_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);

	/* Whatever size @cmd has: that of the caller's struct. */
	switch (cmd & ~IOCSIZE_MASK) {
	case AVFORK_IOC_SPAWN & ~IOCSIZE_MASK:
		return ioctl_spawn(file, argp, size);
	case AVFORK_IOC_INFO & ~IOCSIZE_MASK:
		return ioctl_info(argp, size);
	case AVFORK_IOC_GRANT & ~IOCSIZE_MASK:
		return ioctl_grant(file, argp, size);
	case AVFORK_IOC_PREPARE & ~IOCSIZE_MASK:
		return ioctl_prepare(file, argp, size);
	default:
		return -ENOTTY;
	}
}

static int avfork_open(struct inode *inode, struct file *file)
{
	file->private_data = avfork_nursery_new();
	return file->private_data ? 0 : -ENOMEM;
}

static int avfork_release(struct inode *inode, struct file *file)
{
	struct avfork_nursery *nursery = file->private_data;

	avfork_nursery_close(nursery);
	avfork_child_kill_all(nursery);
	avfork_nursery_put(nursery);
	return 0;
}

/* No compat_ioctl: a 32-bit caller gets ENOTTY. */
static const struct file_operations avfork_fops = {
	.owner = THIS_MODULE,
	.open = avfork_open,
	.release = avfork_release,
	.unlocked_ioctl = avfork_ioctl,
};

static struct miscdevice avfork_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "avfork",
	.fops = &avfork_fops,
	/* It gives nobody more than clone(2) does. */
	.mode = 0666,
};

static int __init avfork_init(void)
{
	int err;

	err = avfork_symbols_bind();
	if (err)
		return err;
	err = avfork_oom_init();
	if (err)
		return err;
	avfork_table_init();
	err = avfork_probes_init();
	if (err)
		goto oom_exit;
	err = misc_register(&avfork_device);
	if (err)
		goto probes_exit;
	return 0;

probes_exit:
	avfork_probes_exit();
oom_exit:
	avfork_oom_exit();
	return err;
}

static void __exit avfork_exit(void)
{
	misc_deregister(&avfork_device);
	avfork_birth_wait_all();
	avfork_probes_exit();
	avfork_oom_exit();
}

module_init(avfork_init);
module_exit(avfork_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The avfork authors");
MODULE_VERSION(__stringify(AVFORK_VERSION));
MODULE_DESCRIPTION("Asynchronous vfork: processes that start with only what they are granted");
