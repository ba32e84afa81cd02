// SPDX-License-Identifier: GPL-2.0
/*
 * A child's descriptor table, built from its grants.
 *
 * The kernel's dup_fd() allocates the table, so that it is one of the kernel's
 * own and put_files_struct() can free it. What dup_fd() is given to copy is a
 * template of ours that has no files: the copy is empty, and as large as the
 * template's highest open bit asks for. The granted files then go into it
 * directly. Nobody else has seen the table yet, so none of this takes a lock,
 * and its cost depends on the grants alone, not on the caller's table.
 *
 * An empty table of the smallest size, which is what most children need, may
 * have been made ahead.
 */
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <linux/avfork.h>

#include "compat.h"
#include "symbols.h"
#include "table.h"

/* Grants that need no memory to be read into. */
#define FEW_GRANTS 8

/* Grants that are made in one piece: others wait so long for the table's lock. */
#define GRANTS_AT_ONCE 1024U

/* As large as a caller asks for: charged to it, and no news for the log. */
#define GRANTS_GFP (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/*
 * The template for tables of up to NR_OPEN_DEFAULT descriptors, which is the
 * size that every files_struct brings with it. dup_fd() locks what it copies;
 * one template a CPU keeps spawning CPUs off each other's lock. A task that
 * migrates meanwhile does no harm, as nothing ever writes to a template.
 */
static DEFINE_PER_CPU(struct files_struct, small_template);

static void template_init(struct files_struct *files)
{
	struct fdtable *fdt = &files->fdtab;

	spin_lock_init(&files->file_lock);
	fdt->max_fds = NR_OPEN_DEFAULT;
	fdt->fd = files->fd_array;
	fdt->open_fds = files->open_fds_init;
	fdt->close_on_exec = files->close_on_exec_init;
	fdt->full_fds_bits = files->full_fds_bits_init;
	RCU_INIT_POINTER(files->fdt, fdt);
}

/**
 * avfork_table_init - make the templates
 */
void avfork_table_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		template_init(per_cpu_ptr(&small_template, cpu));
}

/**
 * avfork_table_empty - make a table ahead of its use
 *
 * Return: an empty one of NR_OPEN_DEFAULT descriptors, which put_files_struct()
 * frees, or NULL without memory.
 */
struct files_struct *avfork_table_empty(void)
{
	struct files_struct *table;

	table = avfork_dup_all(static_call(avfork_dup_fd),
			       raw_cpu_ptr(&small_template));
	return IS_ERR(table) ? NULL : table;
}

/*
 * An empty table that has room for descriptors 0 to @highest: @empty, which is
 * NULL afterwards, or a new one.
 */
static struct files_struct *table_get(unsigned int highest,
				      struct files_struct **empty)
{
	unsigned int slots = ALIGN(highest + 1, BITS_PER_LONG);
	struct large_template {
		struct files_struct files;
		struct file *fd[];
	} *template;
	struct files_struct *table;
	unsigned long *bits;

	if (slots <= NR_OPEN_DEFAULT) {
		table = *empty ? *empty : avfork_table_empty();
		*empty = NULL;
		return table ? table : ERR_PTR(-ENOMEM);
	}
	/* What the kernel's own tables obey; kvmalloc() would warn beyond it. */
	if (struct_size(template, fd, slots) > INT_MAX)
		return ERR_PTR(-EMFILE);

	template = kvzalloc(struct_size(template, fd, slots), GRANTS_GFP);
	bits = kvcalloc(2 * BITS_TO_LONGS(slots), sizeof(*bits), GRANTS_GFP);
	if (template && bits) {
		template_init(&template->files);
		template->files.fdtab.max_fds = slots;
		template->files.fdtab.fd =
			(struct file __rcu **)template->fd;
		/*
		 * dup_fd() sizes its copy by the highest open descriptor, and
		 * then clears the bits of those that have no file. The other
		 * two bitmaps are all zero: the second half serves for both.
		 */
		template->files.fdtab.open_fds = bits;
		__set_bit(highest, bits);
		template->files.fdtab.close_on_exec =
		template->files.fdtab.full_fds_bits =
			bits + BITS_TO_LONGS(slots);
		table = avfork_dup_all(static_call(avfork_dup_fd),
				       &template->files);
	} else {
		table = ERR_PTR(-ENOMEM);
	}
	kvfree(bits);
	kvfree(template);
	return table;
}

/* Nobody else can see @table: neither its lock nor RCU is needed. */
static struct fdtable *private_fdtable(struct files_struct *table)
{
	return rcu_dereference_raw(table->fdt);
}

/* Put @file into @table as @fd, which is free; the reference goes with it. */
static void table_install(struct files_struct *table, unsigned int fd,
			  struct file *file, bool cloexec)
{
	struct fdtable *fdt = private_fdtable(table);
	unsigned int word = fd / BITS_PER_LONG;

	rcu_assign_pointer(fdt->fd[fd], file);
	if (cloexec)
		__set_bit(fd, fdt->close_on_exec);
	__set_bit(fd, fdt->open_fds);
	if (!~fdt->open_fds[word])
		__set_bit(word, fdt->full_fds_bits);
}

/*
 * What grants are made from and into.
 *
 * @table:        the child's
 * @files:        the caller's, which is locked: that keeps a file alive until it
 *                has our reference
 * @as_they_are:  no number may change, and no FD_CLOEXEC be lost
 */
struct granting {
	struct files_struct *table;
	struct files_struct *files;
	bool as_they_are;
};

static bool closes_on_exec(struct files_struct *files, unsigned int fd)
{
	return test_bit(fd, files_fdtable(files)->close_on_exec);
}

static int grant_fds(const struct granting *granting,
		     const struct avfork_fd *fds, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		bool cloexec = fds[i].flags & FD_CLOEXEC;
		struct file *file;

		/* A number that is granted twice. */
		if (fd_is_open(fds[i].child_fd,
			       private_fdtable(granting->table)))
			return -EINVAL;
		file = files_lookup_fd_locked(granting->files,
					      fds[i].parent_fd);
		if (!file)
			return -EBADF;
		if (granting->as_they_are &&
		    (fds[i].child_fd != fds[i].parent_fd ||
		     (!cloexec && closes_on_exec(granting->files,
						 fds[i].parent_fd))))
			return -EPERM;
		table_install(granting->table, fds[i].child_fd, get_file(file),
			      cloexec);
	}
	return 0;
}

/*
 * The list of grants. A piece of it is made at once: a descriptor that another
 * thread moves meanwhile is found under its old number or the new one, as by
 * fork(2). Between pieces others get the lock.
 */
static int grant_list(const struct granting *granting,
		      const struct avfork_fd *fds, unsigned int nr)
{
	int err;

	while (nr > GRANTS_AT_ONCE) {
		err = grant_fds(granting, fds, GRANTS_AT_ONCE);
		if (err)
			return err;
		fds += GRANTS_AT_ONCE;
		nr -= GRANTS_AT_ONCE;
		spin_unlock(&granting->files->file_lock);
		cond_resched();
		spin_lock(&granting->files->file_lock);
	}
	return grant_fds(granting, fds, nr);
}

/* A number that is closed, or being opened, has no file. A grant of it wins. */
static int grant_same(const struct granting *granting, unsigned int fd)
{
	struct file *file = files_lookup_fd_locked(granting->files, fd);

	if (!file || fd_is_open(fd, private_fdtable(granting->table)))
		return 0;
	if (granting->as_they_are && closes_on_exec(granting->files, fd))
		return -EPERM;
	table_install(granting->table, fd, get_file(file), false);
	return 0;
}

static int grant_stdio(const struct granting *granting)
{
	return grant_same(granting, 0) ?: grant_same(granting, 1) ?:
	       grant_same(granting, 2);
}

/*
 * What is inherited, in one piece as by fork(2), and whatever its number: the
 * caller has a table as large.
 */

/* What exec would leave open of @fdt, in the word of its bitmaps. */
static unsigned long inherited(const struct fdtable *fdt, unsigned int word)
{
	return fdt->open_fds[word] & ~fdt->close_on_exec[word];
}

/* Return: the highest descriptor that is inherited, 0 when there is none. */
static unsigned int highest_inherited(struct files_struct *files)
{
	struct fdtable *fdt;
	unsigned int word, highest = 0;

	spin_lock(&files->file_lock);
	fdt = files_fdtable(files);
	for (word = fdt->max_fds / BITS_PER_LONG; word-- > 0;) {
		if (inherited(fdt, word)) {
			highest = word * BITS_PER_LONG +
				  __fls(inherited(fdt, word));
			break;
		}
	}
	spin_unlock(&files->file_lock);
	return highest;
}

/*
 * Return: 0, or -EAGAIN when the caller's table has outgrown the child's since
 * that was made.
 */
static int grant_inherited(const struct granting *granting)
{
	unsigned int max_fds = private_fdtable(granting->table)->max_fds;
	struct fdtable *fdt = files_fdtable(granting->files);
	unsigned int word;

	for (word = 0; word < fdt->max_fds / BITS_PER_LONG; word++) {
		unsigned long bits = inherited(fdt, word);
		unsigned int bit;

		if (bits && word >= max_fds / BITS_PER_LONG)
			return -EAGAIN;
		for_each_set_bit(bit, &bits, BITS_PER_LONG) {
			int err = grant_same(granting,
					     word * BITS_PER_LONG + bit);

			if (err)
				return err;
		}
	}
	return 0;
}

/* Copy the list of @nr grants. Return: 0 or -EFAULT. */
static int read_fds(struct avfork_fd *fds, const struct avfork_fd __user *from,
		    unsigned int nr)
{
	while (nr > GRANTS_AT_ONCE) {
		if (copy_from_user(fds, from, GRANTS_AT_ONCE * sizeof(*fds)))
			return -EFAULT;
		fds += GRANTS_AT_ONCE;
		from += GRANTS_AT_ONCE;
		nr -= GRANTS_AT_ONCE;
		cond_resched();
	}
	return copy_from_user(fds, from, nr * sizeof(*fds)) ? -EFAULT : 0;
}

/* Return: the highest descriptor granted (0 when there is none) or an errno. */
static int check_fds(const struct avfork_fd *fds, unsigned int nr)
{
	unsigned long limit = min_t(unsigned long, rlimit(RLIMIT_NOFILE),
				    AVFORK_FD_LIMIT);
	unsigned int i;
	int highest = 0;

	for (i = 0; i < nr; i++) {
		if (fds[i].flags & ~FD_CLOEXEC || fds[i].reserved)
			return -EINVAL;
		if (fds[i].child_fd < 0)
			return -EINVAL;
		if (fds[i].child_fd >= limit)
			return -EMFILE;
		highest = max(highest, fds[i].child_fd);
		if (i % GRANTS_AT_ONCE == GRANTS_AT_ONCE - 1)
			cond_resched();
	}
	return highest;
}

/**
 * avfork_table_size - how large current's table is
 *
 * Return: the number of descriptors that it has room for.
 */
unsigned int avfork_table_size(void)
{
	unsigned int size;

	rcu_read_lock();
	size = files_fdtable(current->files)->max_fds;
	rcu_read_unlock();
	return size;
}

/**
 * avfork_table_build - make the descriptor table that @grants describes
 * @grants:      checked by the caller but for the list, whose descriptors are
 *               current's
 * @as_they_are: refuse grants under another number, and those that lose
 *               FD_CLOEXEC
 * @empty:       what avfork_table_empty() has made, or NULL; NULL afterwards if
 *               used
 *
 * The granted files are pinned when this returns: what the caller closes after
 * that stays open in the table.
 *
 * Return: a table that put_files_struct() frees, or an ERR_PTR: -EFAULT for
 * grants that cannot be read, -EINVAL for a malformed one or a number granted
 * twice, -EMFILE beyond RLIMIT_NOFILE or AVFORK_FD_LIMIT, -EBADF for a closed
 * descriptor, -EPERM for what @as_they_are refuses, -ENOMEM.
 */
struct files_struct *avfork_table_build(const struct avfork_grants *grants,
					bool as_they_are,
					struct files_struct **empty)
{
	struct avfork_fd few[FEW_GRANTS], *fds = few;
	struct granting granting = {
		.files = current->files,
		.as_they_are = as_they_are,
	};
	unsigned int highest = 0;
	int ret = 0;

	if (grants->nr_fds) {
		/* That many cannot all have numbers of their own below it. */
		if (grants->nr_fds > min_t(unsigned long,
					   rlimit(RLIMIT_NOFILE),
					   AVFORK_FD_LIMIT))
			return ERR_PTR(-EMFILE);
		if (grants->nr_fds > FEW_GRANTS)
			fds = kvmalloc_array(grants->nr_fds, sizeof(*fds),
					     GRANTS_GFP);
		if (!fds)
			return ERR_PTR(-ENOMEM);
		ret = read_fds(fds, u64_to_user_ptr(grants->fds),
			       grants->nr_fds) ?:
		      check_fds(fds, grants->nr_fds);
		if (ret < 0) {
			granting.table = ERR_PTR(ret);
			goto free_fds;
		}
		highest = ret;
	}

	do {
		if (grants->flags & AVFORK_INHERIT_FDS)
			highest = max(highest,
				      highest_inherited(granting.files));
		granting.table = table_get(highest, empty);
		if (IS_ERR(granting.table) ||
		    (!grants->nr_fds && !grants->flags))
			break;
		spin_lock(&granting.files->file_lock);
		ret = grant_list(&granting, fds, grants->nr_fds);
		if (!ret && grants->flags & AVFORK_INHERIT_FDS)
			ret = grant_inherited(&granting);
		if (!ret && grants->flags & AVFORK_STDIO)
			ret = grant_stdio(&granting);
		spin_unlock(&granting.files->file_lock);
		if (ret) {
			static_call(avfork_put_files_struct)(granting.table);
			granting.table = ERR_PTR(ret);
		}
	} while (ret == -EAGAIN && !fatal_signal_pending(current));
free_fds:
	if (fds != few)
		kvfree(fds);
	return granting.table;
}
