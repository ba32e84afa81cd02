// SPDX-License-Identifier: GPL-2.0
/*
 * How a child of /dev/avfork starts, and that nothing is left of thousands.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "spawning.h"

#include <pthread.h>

TEST_F(spawn, parent_goes_on)
{
	struct child *child = &self->child;

	child_init(child, child_blocks, child);
	SPAWN(child);
	EXPECT_EQ(0, waitpid(child->pid, NULL, WNOHANG));
	EXPECT_EQ(1, word_get(&child->in_memory));
	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

static int child_answers(void *arg)
{
	struct exchange *exchange = arg;

	exchange->mapped = (char *)sys(SYS_mmap, NULL, PAGE,
				       PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	exchange->mapped[100] = 'x';
	word_wait(&exchange->question, 0);
	word_set(&exchange->answer, exchange->question + 1);
	return 0;
}

TEST_F(spawn, memory_is_shared)
{
	struct exchange exchange = { 0 };

	child_init(&self->child, child_answers, &exchange);
	SPAWN(&self->child);
	word_set(&exchange.question, 41);
	word_wait(&exchange.answer, 0);
	EXPECT_EQ(42, exchange.answer);
	EXPECT_EQ('x', exchange.mapped[100]);
	EXPECT_EQ(EXITED(0), child_reap(&self->child));
	/* It is still there. */
	EXPECT_EQ('x', exchange.mapped[100]);
	EXPECT_EQ(0, munmap(exchange.mapped, PAGE));
}

/* The child's first instructions. */
void registers_entry(void);
asm(REGISTERS_ENTRY);

static void registers_of_child(struct __test_metadata *_metadata,
			       FIXTURE_DATA(spawn) *self,
			       struct registers *registers)
{
	struct child *child = &self->child;

	registers_soil(registers);
	child->args.entry = (uintptr_t)registers_entry;
	child->args.arg = (uintptr_t)registers;
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

TEST_F(spawn, registers_are_clean)
{
	struct registers registers;
	size_t i;

	child_init(&self->child, NULL, NULL);
	self->child.args.tls = 0;
	bases_soil();
	registers_of_child(_metadata, self, &registers);
	bases_clean();

	for (i = 0; i < ARRAY_SIZE(registers.general); i++) {
		if (i == REGISTER_ARG || i == REGISTER_SP)
			continue;
		EXPECT_EQ(0, registers.general[i]) {
			TH_LOG("register %zu", i);
		}
	}
	EXPECT_EQ((uintptr_t)&registers, registers.general[REGISTER_ARG]);
	EXPECT_EQ(FLAGS_AT_START, registers.flags);
	EXPECT_EQ(0, registers.tls);
	EXPECT_TRUE(bases_are_clean(&registers));
}

TEST_F(spawn, fpu_is_clean)
{
	struct registers registers;
	struct fpu_control old;

	child_init(&self->child, NULL, NULL);
	fpu_soil(&old);
	registers_of_child(_metadata, self, &registers);
	fpu_clean(&old);
	EXPECT_EQ(NULL, fpu_dirt(&registers)) {
		TH_LOG("%s", fpu_dirt(&registers));
	}
}

TEST_F(spawn, stack_is_as_at_a_call)
{
	struct registers registers;

	child_init(&self->child, NULL, NULL);
	self->child.args.stack_size = AVFORK_STACK_MIN;
	registers_of_child(_metadata, self, &registers);
	EXPECT_EQ(SP_AT_START(self->child.args.stack + AVFORK_STACK_MIN),
		  registers.general[REGISTER_SP]);
}

static int child_stores_frame(void *arg)
{
	*(void **)arg = __builtin_frame_address(0);
	return 0;
}

TEST_F(spawn, stack_is_its_own)
{
	void *frame = NULL;
	struct child *child = &self->child;

	child_init(child, child_stores_frame, &frame);
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_LT(child->args.stack, (uintptr_t)frame);
	EXPECT_GT(child->args.stack + child->args.stack_size,
		  (uintptr_t)frame);
}

TEST_F(spawn, tls_is_the_given)
{
	struct registers registers;
	/* It need not be aligned, nor point to anything. */
	const __u64 tls = 0x1234567;

	child_init(&self->child, NULL, NULL);
	self->child.args.tls = tls;
	registers_of_child(_metadata, self, &registers);
	EXPECT_EQ(tls, registers.tls);
}

TEST_F(spawn, longer_args_with_zero_tail)
{
	struct {
		struct avfork_args args;
		char tail[1000];
	} longer = { 0 };
	struct child *child = &self->child;

	child_init(child, child_returns, (void *)3);
	longer.args = child->args;
	child->pid = sys(SYS_ioctl, self->device,
			 _IOC(_IOC_WRITE, AVFORK_IOC_MAGIC,
			      _IOC_NR(AVFORK_IOC_SPAWN), sizeof(longer)),
			 &longer);
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(EXITED(3), child_reap(child));
}

static void *spawn_in_thread(void *arg)
{
	FIXTURE_DATA(spawn) *self = arg;

	child_spawn(self->device, &self->child);
	return NULL;
}

/* As after fork(): the process is the parent, not the thread. */
TEST_F(spawn, outlives_the_thread_that_made_it)
{
	struct child *child = &self->child;
	pthread_t thread;

	child_init(child, child_blocks, child);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spawn_in_thread, self));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(0, waitpid(child->pid, NULL, WNOHANG));
	word_set(&child->go, 1);
	EXPECT_EQ(EXITED(0), child_reap(child));
}

#define CHILD_DEVICE 3

static int child_spawns(void *arg)
{
	struct child *grandchild = arg;

	if (child_spawn(CHILD_DEVICE, grandchild) < 0)
		return 100;
	return child_reap(grandchild) >> 8;
}

TEST_F(spawn, child_can_spawn)
{
	struct avfork_fd grant = { self->device, CHILD_DEVICE, 0, 0 };
	struct child grandchild;

	child_init(&grandchild, child_returns, (void *)5);
	child_init(&self->child, child_spawns, &grandchild);
	child_grant(&self->child, &grant, 1);
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(5), child_reap(&self->child));
}

/* What is left */

TEST_F(spawn, nothing_is_left_of_thousands)
{
	struct child *child = &self->child;
	struct avfork_fd grants[100];
	struct slabs before, after;
	int i, pidfd;

	for (i = 0; i < (int)ARRAY_SIZE(grants); i++)
		grants[i] = (struct avfork_fd){ self->device, 2 * i, 0, 0 };
	slabs_read(&before);
	if (!before.nr)
		SKIP(return, "cannot read /proc/slabinfo");
	for (i = 0; i < LEAK_ROUNDS; i++) {
		child_init(child, i % 20 ? child_returns : child_execs,
			   (void *)EXECED);
		child_grant(child, grants, ARRAY_SIZE(grants));
		child->args.exit_signal = i % 2 ? 0 : SIGCHLD;
		child->args.pidfd = (uintptr_t)&pidfd;
		SPAWN(child);
		ASSERT_EQ(EXITED(EXECED), child_reap(child));
		close(pidfd);
	}
	EXPECT_EQ(NULL, slabs_grown(&before, &after)) {
		TH_LOG("%s has grown", slabs_grown(&before, &after));
	}
}

TEST_HARNESS_MAIN
