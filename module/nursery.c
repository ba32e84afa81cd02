// SPDX-License-Identifier: GPL-2.0
/*
 * A nursery: births that are kept for the next children of an open /dev/avfork.
 *
 * What a birth is made of costs the caller memory allocations, most of all the
 * empty descriptor table. A child that has started is in a better position to
 * make them: nobody waits for it. So it does not free its birth but makes it
 * ready for the next child and leaves it here.
 *
 * Each open file has a nursery of its own, so that what is kept is bounded by
 * what a process opens, and gone when that is closed. A nursery holds a reference
 * to the module, and so does every birth that is under way.
 */
#include <linux/atomic.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/slab.h>

#include "birth.h"
#include "nursery.h"

/* As many children as may be on their way at once and find a birth ready. */
#define NR_PLACES 8

/**
 * struct avfork_nursery - where births are kept
 * @users:  the open file and each birth that is under way
 * @closed: the file is no more
 * @places: a birth each, or NULL. Whoever exchanges a birth for NULL owns it
 */
struct avfork_nursery {
	refcount_t users;
	bool closed;
	struct avfork_birth *places[NR_PLACES];
};

/**
 * avfork_nursery_new - make an empty one
 *
 * Return: a reference to it, or NULL without memory.
 */
struct avfork_nursery *avfork_nursery_new(void)
{
	struct avfork_nursery *nursery;

	nursery = kzalloc(sizeof(*nursery), GFP_KERNEL_ACCOUNT);
	if (nursery) {
		refcount_set(&nursery->users, 1);
		/* The file that is being opened has one. */
		__module_get(THIS_MODULE);
	}
	return nursery;
}

/**
 * avfork_nursery_get - take a reference
 * @nursery: one that the caller has a reference to
 */
void avfork_nursery_get(struct avfork_nursery *nursery)
{
	refcount_inc(&nursery->users);
}

/**
 * avfork_nursery_put - drop a reference, and with the last one all births
 * @nursery: the nursery
 */
void avfork_nursery_put(struct avfork_nursery *nursery)
{
	unsigned int i;

	if (!refcount_dec_and_test(&nursery->users))
		return;
	for (i = 0; i < NR_PLACES; i++)
		if (nursery->places[i])
			avfork_birth_free(nursery->places[i]);
	kfree(nursery);
	module_put(THIS_MODULE);
}

/**
 * avfork_nursery_close - note that the open file is being released
 * @nursery: the file's
 */
void avfork_nursery_close(struct avfork_nursery *nursery)
{
	WRITE_ONCE(nursery->closed, true);
}

/**
 * avfork_nursery_closed - whether the open file is no more
 * @nursery: the file's
 *
 * Return: true once avfork_nursery_close() has been called.
 */
bool avfork_nursery_closed(const struct avfork_nursery *nursery)
{
	return READ_ONCE(nursery->closed);
}

/**
 * avfork_nursery_take - get a birth that was left there
 * @nursery: the nursery
 *
 * Return: a birth, which is the caller's now, or NULL when there is none.
 */
struct avfork_birth *avfork_nursery_take(struct avfork_nursery *nursery)
{
	struct avfork_birth *birth = NULL;
	unsigned int i;

	/*
	 * The exchange lets one taker have it, and orders what the giver wrote
	 * to the birth before what we read. The first look is but to leave
	 * empty places' cache line alone.
	 */
	for (i = 0; i < NR_PLACES && !birth; i++)
		if (READ_ONCE(nursery->places[i]))
			birth = xchg(&nursery->places[i], NULL);
	return birth;
}

/**
 * avfork_nursery_give - leave a birth for another child
 * @nursery: the nursery
 * @birth:   the birth
 *
 * Return: whether there was a place for it. If not it stays the caller's.
 */
bool avfork_nursery_give(struct avfork_nursery *nursery,
			 struct avfork_birth *birth)
{
	unsigned int i;

	for (i = 0; i < NR_PLACES; i++)
		if (!READ_ONCE(nursery->places[i]) &&
		    !cmpxchg(&nursery->places[i], NULL, birth))
			return true;
	return false;
}
