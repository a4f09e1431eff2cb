/* SPDX-License-Identifier: MIT */
/* test_solo_runtimes.c - a worker that is alone, until somebody begins another runtime. */
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "solo_guests.h"

/* Who comes in the middle of a round. */
struct others {
    struct round *round;
    struct guest guest;
    pthread_t thread;
    void *(*fn)(void *);
    uint64_t random;
};

static void invite_others(struct round *round)
{
    struct others *others = round->others;

    invite_guests(&others->guest, 1, round->house, NULL, &others->random);
    wt_check(pthread_create(&others->thread, NULL, others->fn, others) == 0);
}

static long play_with_others(void *(*fn)(void *), uint64_t *random)
{
    struct house house;
    struct others others = {.guest = {.manner = AT_TIMES}, .fn = fn, .random = draw(random) | 1};
    struct round round = {.house = &house,
                          .random = draw(random),
                          .turns = 2 + (long)(draw(random) % 400),
                          .invite = invite_others,
                          .others = &others};

    others.round = &round;
    house_open(&house);
    run(&round);
    wt_check(pthread_join(others.thread, NULL) == 0);
    atomic_store(&house.is_over, 1);
    see_off(&others.guest, 1);
    house_close(&house);
    return round.was_alone;
}

static void *run_another(void *arg)
{
    struct others *others = arg;
    uint64_t random = others->random * 3 | 1;
    struct round round = {.house = others->round->house,
                          .random = draw(&random),
                          .turns = (long)(draw(&random) % 400)};

    dither(&random);
    run(&round);
    return NULL;
}

static long with_another_runtime(uint64_t *random)
{
    return play_with_others(run_another, random);
}

static void *start_a_crowd(void *arg)
{
    const weft_options options = {.workers = 2, .diagnostic = ignore};
    struct others *others = arg;
    uint64_t random = others->random * 5 | 1;
    struct round round = {.house = others->round->house,
                          .random = draw(&random),
                          .turns = (long)(draw(&random) % 200)};
    intptr_t value = -1;
    weft_runtime *runtime;
    weft_task *task;

    dither(&random);
    wt_check(weft_runtime_start(&runtime, &options) == 0);
    wt_check(weft_runtime_submit(runtime, &task, main_task, &round, NULL) == 0);
    wt_check(weft_thread_join(task, 20 * WEFT_S, &value) == 0 && value == 0);
    weft_drop(task);
    wt_check(weft_runtime_stop(runtime) == 0);
    return NULL;
}

static long with_several_workers(uint64_t *random)
{
    return play_with_others(start_a_crowd, random);
}

/* On a helper's worker, beside the one that started the helper. */
static intptr_t upgrade_many(void *arg)
{
    struct round *round = arg;

    wt_check(wf_load_acq(&wf_solo.thread) != wf_solo_self());
    for (int i = 0; i < 2000; i++) {
        upgrade_one(round->desk, &round->random);
    }
    atomic_store(&round->is_over, 1);
    return 0;
}

/* A worker starts and stops runtimes of one worker: there are two then, however few threads there were before. */
static intptr_t start_helpers(void *arg)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};
    struct round *round = arg;
    weft_runtime *helper;

    for (long i = 0; i < round->turns; i++) {
        round->was_alone |= wf_load_acq(&wf_solo.thread) == wf_solo_self();
        wt_check(weft_runtime_start(&helper, &options) == 0);
        atomic_store(&round->is_over, 0);
        wt_check(weft_runtime_submit(helper, NULL, upgrade_many, round, NULL) == 0);
        wt_check(grow_on(round) == 0);
        wt_check(weft_runtime_stop(helper) == 0);
        for (int j = 0; j < 200; j++) {
            dither(&round->random); /* until the kernel has forgotten the thread */
        }
    }
    return 0;
}

static long with_helpers(uint64_t *random)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};
    struct desk desk = {0};
    struct round round = {.desk = &desk, .random = draw(random) | 1, .turns = 4};

    wf_solo_find(true);
    wt_check(weft_run(start_helpers, &round, &options) == 0);
    return round.was_alone;
}

/* In a process of its own, some times in a row. After a crowd one thread can be alone again where it is the only
 * one, which a process of the test framework need not be. Returns how often it was alone. */
static long play_apart(long (*play_once)(uint64_t *), uint64_t seed)
{
    enum { IN_A_ROW = 4, FAILED = 100 };
    uint64_t random = seed | 1;
    long alone = 0;
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL);
        for (int i = 0; i < IN_A_ROW; i++) {
            alone += play_once(&random);
        }
        fflush(NULL);
        _exit(atomic_load(&wt_failures) != 0 ? FAILED : (int)alone);
    }
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) <= IN_A_ROW,
              "seed 0x%" PRIx64 ": status %#x", seed, (unsigned)status);
    return WEXITSTATUS(status);
}

/* By an emulator, too: some. */
enum { PROCESSES = STRESS_COUNT(80) > 4 ? STRESS_COUNT(80) : 4 };

static void play_all_apart(long (*play_once)(uint64_t *))
{
    uint64_t random = wt_seed() | 1;
    long alone = 0;

    for (long i = 0; i < PROCESSES; i++) {
        alone += play_apart(play_once, draw(&random));
    }
    conclude(__func__, PROCESSES, alone);
}

Test(stress_solo, another_runtime_comes, .timeout = 60)
{
    play_all_apart(with_another_runtime);
}

Test(stress_solo, several_workers_come, .timeout = 60)
{
    play_all_apart(with_several_workers);
}

Test(stress_solo, a_fiber_starts_others, .timeout = 60)
{
    play_all_apart(with_helpers);
}
