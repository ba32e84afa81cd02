/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions that we are in the way of: libc's, or those of a library that is
 * preloaded after us.
 */
#ifndef REAL_H
#define REAL_H

/* All of them; libc may lack the last ones. */
#define REAL_FUNCTIONS(F)				\
	F(posix_spawn)					\
	F(posix_spawnp)					\
	F(posix_spawn_file_actions_init)		\
	F(posix_spawn_file_actions_destroy)		\
	F(posix_spawn_file_actions_addclose)		\
	F(posix_spawn_file_actions_addopen)		\
	F(posix_spawn_file_actions_adddup2)		\
	F(posix_spawn_file_actions_addchdir_np)		\
	F(posix_spawn_file_actions_addfchdir_np)	\
	F(posix_spawn_file_actions_addclosefrom_np)	\
	F(posix_spawn_file_actions_addtcsetpgrp_np)	\
	F(popen)					\
	F(pclose)					\
	F(fclose)					\
	F(system)					\
	F(pidfd_spawn)					\
	F(pidfd_spawnp)

enum real {
#define REAL_INDEX(function) REAL_##function,
	REAL_FUNCTIONS(REAL_INDEX)
#undef REAL_INDEX
	NR_REAL,
};

/*
 * The address of @function, or NULL. They are looked up when we are loaded, since
 * to do so takes a lock of the dynamic linker.
 */
void *real_address(enum real function);

#define REAL(function) \
	((__typeof__(function) *)real_address(REAL_##function))

#endif
