// SPDX-License-Identifier: GPL-2.0
/*
 * Reaching the kernel functions that are not exported.
 *
 * A kprobe knows where a function is, a static call reaches it. On x86 a static
 * call is a direct call patched into place. That matters: with
 * CONFIG_X86_KERNEL_IBT the kernel seals the ENDBR of functions whose address
 * it never takes, and calling one of those through a pointer raises #CP. A
 * direct call needs no ENDBR, nor does it pay for a retpoline.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/kprobes.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/utsname.h>

#include "compat.h"
#include "symbols.h"

static bool allow_other_kernel;
module_param(allow_other_kernel, bool, 0444);
MODULE_PARM_DESC(allow_other_kernel,
		 "load on a kernel that the module was not built for, at the risk of a crash (default: no)");

DEFINE_STATIC_CALL_NULL(avfork_kernel_clone, kernel_clone);
DEFINE_STATIC_CALL_NULL(avfork_dup_fd, dup_fd);
DEFINE_STATIC_CALL_NULL(avfork_put_files_struct, put_files_struct);
DEFINE_STATIC_CALL_NULL(avfork_get_signal, get_signal);
DEFINE_STATIC_CALL_NULL(avfork_kernel_wait4, kernel_wait4);
DEFINE_STATIC_CALL_NULL(avfork_pidfd_prepare, pidfd_prepare);

static void *find_function(const char *name)
{
	/*
	 * Disabled: registering resolves the name and patches nothing. Behind
	 * an ENDBR the address is that of the instruction after it, which is
	 * as good a target for a direct call.
	 */
	struct kprobe kp = {
		.symbol_name = name,
		.flags = KPROBE_FLAG_DISABLED,
	};
	int err = register_kprobe(&kp);

	if (err) {
		pr_err("this kernel has no usable %s() (error %d)\n", name, err);
		return ERR_PTR(err);
	}
	unregister_kprobe(&kp);
	return kp.addr;
}

#define bind(function) ({						\
	typeof(function) *__found = find_function(#function);		\
									\
	if (!IS_ERR(__found))						\
		static_call_update(avfork_##function, __found);		\
	PTR_ERR_OR_ZERO(__found);					\
})

/*
 * A function that is found by name need not be the one whose prototype the
 * module was built with. Modversions has no checksum of those that are not
 * exported, a release name stands for many builds of a distribution, and
 * dup_fd() has changed within Linux 6.1. So the build has to be the same: its
 * number, date and, of a distribution, version. (Who builds kernels with a fixed
 * date gets no more from that than from the release name.)
 */
static bool kernel_fits(void)
{
	const char *running = init_uts_ns.name.version, *built = UTS_VERSION;

	/* Read from memory, not out of instructions: a test exchanges it there. */
	OPTIMIZER_HIDE_VAR(built);
	if (!strcmp(running, built) || allow_other_kernel)
		return true;
	pr_err("built for the kernel \"%s\", but this is \"%s\": build it anew\n",
	       built, running);
	return false;
}

/**
 * avfork_symbols_bind - find every function and bind its static call
 *
 * Return: 0, -ENOEXEC on a kernel that the module was not built for,
 * -EOPNOTSUPP without kprobes, -ENOENT for a function that is missing, or
 * another errno of register_kprobe(); with the cause in the log.
 */
int avfork_symbols_bind(void)
{
	if (!kernel_fits())
		return -ENOEXEC;
	if (!IS_ENABLED(CONFIG_KPROBES)) {
		pr_err("this kernel has no CONFIG_KPROBES\n");
		return -EOPNOTSUPP;
	}
	return bind(kernel_clone) ?: bind(dup_fd) ?: bind(put_files_struct) ?:
	       bind(get_signal) ?: bind(kernel_wait4) ?: bind(pidfd_prepare);
}
