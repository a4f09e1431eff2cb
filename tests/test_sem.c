/* SPDX-License-Identifier: MIT */
/* test_sem.c - counting, the order of asking, many at once; the turns of an event loop. */
#include "sync_test.h"

static weft_sem sem;

Test(sem, from_a_plain_thread)
{
    weft_sem fresh = WEFT_SEM_INIT(3);
    cr_assert_eq(weft_sem_value(&fresh), 3);
    cr_assert_eq(weft_sem_try_acquire(&fresh, 2), 0);
    cr_assert_eq(weft_sem_try_acquire(&fresh, 2), -EAGAIN);
    cr_assert_eq(weft_sem_release(&fresh, 4), 0);
    cr_assert_eq(weft_sem_value(&fresh), 5);
    cr_assert_eq(weft_sem_release(&fresh, WEFT_SEM_MAX - 4), -EOVERFLOW);
    cr_assert_eq(weft_sem_release(&fresh, UINT32_MAX), -EOVERFLOW);
    cr_assert_eq(weft_sem_release(&fresh, WEFT_SEM_MAX - 5), 0);
    cr_assert_eq(weft_sem_value(&fresh), WEFT_SEM_MAX);
    cr_assert_eq(weft_sem_try_acquire(&fresh, WEFT_SEM_MAX), 0);
    cr_assert_eq(weft_sem_destroy(&fresh), 0);
    cr_assert_eq(sizeof(weft_sem), 32);
}

Test(sem, misuse_is_told)
{
    weft_sem fresh;
    cr_assert_eq(weft_sem_init(NULL, 0, 0), -EINVAL);
    cr_assert_eq(weft_sem_init(&fresh, 3, 2), -EINVAL);
    cr_assert_eq(weft_sem_init(&fresh, WEFT_SEM_MAX + 1, 0), -EINVAL);
    cr_assert_eq(weft_sem_init(&fresh, 0, WEFT_SEM_MAX + 1), -EINVAL);
    cr_assert_eq(weft_sem_init(&fresh, 1, 2), 0);
    cr_assert_eq(weft_sem_try_acquire(NULL, 1), -EINVAL);
    cr_assert_eq(weft_sem_try_acquire(&fresh, 0), -EINVAL);
    cr_assert_eq(weft_sem_try_acquire(&fresh, 3), -EINVAL);
    cr_assert_eq(weft_sem_release(NULL, 1), -EINVAL);
    cr_assert_eq(weft_sem_release(&fresh, 0), -EINVAL);
    cr_assert_eq(weft_sem_release(&fresh, 2), -EOVERFLOW);
    cr_assert_eq(weft_sem_release(&fresh, 1), 0);
    cr_assert_eq(weft_sem_release(&fresh, 1), -EOVERFLOW);
    cr_assert_eq(weft_sem_value(&fresh), 2);
    cr_assert_eq(weft_sem_value(NULL), 0);
    cr_assert_eq(weft_sem_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_sem_acquire(&fresh, 1), -EPERM);
    cr_assert_eq(weft_sem_acquire(NULL, 0), -EPERM);
}

struct asking {
    char name;
    uint32_t need;
};

static intptr_t ask(void *arg)
{
    const struct asking *asking = arg;
    int rc = weft_sem_acquire(&sem, asking->need);
    step(rc == 0 ? asking->name : '!');
    return rc;
}

static struct asking askings[16];
static int asking_count;

static weft_task *spawn_asking(char name, uint32_t need)
{
    struct asking *asking = &askings[asking_count++ % 16];
    *asking = (struct asking){name, need};
    return spawn_parked(ask, asking);
}

static intptr_t basics(void *arg)
{
    (void)arg;
    wt_check(weft_sem_init(&sem, 1, 2) == 0);
    wt_check(weft_sem_acquire(NULL, 1) == -EINVAL && weft_sem_acquire(&sem, 0) == -EINVAL);
    wt_check(weft_sem_acquire(&sem, 3) == -EINVAL);
    wt_check(weft_sem_acquire(&sem, 1) == 0 && weft_sem_value(&sem) == 0);
    weft_task *a = spawn_asking('a', 1);
    weft_task *b = spawn_asking('b', 1);
    wt_check(weft_sem_destroy(&sem) == -EBUSY && weft_sem_try_acquire(&sem, 1) == -EAGAIN);
    wt_check(weft_sem_release(&sem, 1) == 0 && weft_sem_value(&sem) == 0); /* it is a's already */
    wt_check(weft_cancel(a) == 1 && finish(a) == -ECANCELED && saw("a"));  /* M04 */
    wt_check(weft_cancel(b) == 1 && finish(b) == -ECANCELED && saw("!"));
    wt_check(weft_sem_value(&sem) == 0 && weft_sem_destroy(&sem) == 0);
    wt_check(weft_within(WEFT_S, weft_sem_acquire(&sem, 1)) == -ETIMEDOUT);
    wt_check(weft_sem_release(&sem, 1) == 0 && weft_cancel(weft_self()) == 1);
    wt_check(weft_sem_acquire(&sem, 1) == -ECANCELED && weft_sem_value(&sem) == 1);
    return 0;
}

Test(sem, a_permit_changes_hands_at_the_release)
{
    simulate(basics);
}

/* M07: who comes while a woken waiter has not run waits behind it, though permits are left. */
static intptr_t turns(void *arg)
{
    (void)arg;
    wt_check(weft_sem_init(&sem, 0, 0) == 0);
    weft_task *a = spawn_asking('a', 1);
    wt_check(weft_sem_release(&sem, 2) == 0 && weft_sem_value(&sem) == 1);
    wt_check(weft_sem_try_acquire(&sem, 1) == -EAGAIN);
    wt_check(weft_sem_acquire(&sem, 1) == 0 && saw("a") && weft_sem_value(&sem) == 0);
    wt_check(finish(a) == 0 && weft_sem_destroy(&sem) == 0);
    return 0;
}

Test(sem, takes_the_turns_of_an_event_loop)
{
    simulate(turns);
}

/* Who asks for many holds up those behind, until it is served or cancelled. */
static intptr_t many(void *arg)
{
    (void)arg;
    wt_check(weft_sem_init(&sem, 0, 0) == 0);
    weft_task *a = spawn_asking('a', 3);
    weft_task *b = spawn_asking('b', 1);
    weft_task *c = spawn_asking('c', 2);
    wt_check(weft_sem_release(&sem, 2) == 0 && weft_sem_value(&sem) == 2);
    wt_check(weft_yield() == 0 && saw("") && weft_sem_try_acquire(&sem, 1) == -EAGAIN);
    wt_check(weft_sem_release(&sem, 2) == 0 && weft_sem_value(&sem) == 0);
    wt_check(weft_yield() == 0 && saw("ab"));
    weft_task *d = spawn_asking('d', 1);
    wt_check(weft_sem_release(&sem, 1) == 0 && weft_yield() == 0 && saw(""));
    wt_check(weft_cancel(c) == 1); /* d goes on, because c leaves */
    wt_check(finish(d) == 0 && saw("!d") && weft_sem_value(&sem) == 0);
    wt_check(finish(a) == 0 && finish(b) == 0 && finish(c) == -ECANCELED);
    /* A release passes over who has been cancelled and has not run. */
    a = spawn_asking('a', 3);
    b = spawn_asking('b', 1);
    wt_check(weft_cancel(a) == 1 && weft_sem_release(&sem, 1) == 0 && weft_sem_value(&sem) == 0);
    wt_check(finish(b) == 0 && finish(a) == -ECANCELED && saw("!b"));
    return 0;
}

Test(sem, who_asks_for_many_is_not_passed_over)
{
    simulate(many);
}

/* ---- never more than there are, in any order ---- */

enum { PERMITS = 3 };

static int taken;

static intptr_t use_often(void *arg)
{
    uint32_t need = (uint32_t)(intptr_t)arg;
    for (int i = 0; i < 20; i++) {
        int rc = weft_sem_acquire(&sem, need);
        if (rc < 0) {
            return rc;
        }
        taken += (int)need;
        wt_check(taken <= PERMITS);
        rc = weft_yield();
        taken -= (int)need;
        wt_check(weft_sem_release(&sem, need) == 0);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static intptr_t crowd(void *arg)
{
    weft_task *tasks[8];
    (void)arg;
    wt_check(weft_sem_init(&sem, PERMITS, PERMITS) == 0);
    for (intptr_t i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], use_often, (void *)(i % PERMITS + 1)) == 0);
    }
    wt_check(weft_sleep(1) == 0);
    wt_check(weft_cancel(tasks[2]) >= 0 && weft_cancel(tasks[5]) >= 0);
    for (int i = 0; i < 8; i++) {
        intptr_t result = finish(tasks[i]);
        wt_check(result == 0 || result == -ECANCELED);
    }
    wt_check(taken == 0 && weft_sem_value(&sem) == PERMITS && weft_sem_destroy(&sem) == 0);
    return 0;
}

Test(sem, never_gives_more_than_there_are)
{
    simulate_seeds(crowd);
}
