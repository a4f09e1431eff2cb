// SPDX-License-Identifier: MIT
/* select.c - waits for the first of several things: a worker that takes from two queues, notices when it has
 * had nothing to do for a while, and stops when it is told to. A simulation: sleeps take virtual time.
 */
#include <stdio.h>
#include <weft.h>

struct desk {
    weft_queue letters;
    weft_queue parcels;
    weft_event closing;
};

/* One case takes effect, the others take nothing: no letter is lost for a parcel. */
static intptr_t clerk(void *arg)
{
    struct desk *desk = arg;
    for (;;) {
        int letter, parcel;
        weft_case cases[] = {
            weft_case_get(&desk->letters, &letter),
            weft_case_get(&desk->parcels, &parcel),
            weft_case_event(&desk->closing),
            weft_case_after(1 * WEFT_S),
        };
        int chosen = weft_select(cases, 4, 0);
        switch (chosen) {
        case 0:
            printf("letter %d\n", letter);
            break;
        case 1:
            printf("parcel %d\n", parcel);
            break;
        case 2:
            puts("closing time");
            return 0;
        case 3:
            puts("a quiet second");
            break;
        default: /* -ECANCELED: nothing was taken */
            return chosen;
        }
    }
}

static intptr_t serve(struct desk *desk)
{
    weft_task *task;
    int rc = weft_spawn(&task, clerk, desk);
    for (int i = 1; rc == 0 && i <= 2; i++) {
        rc = weft_queue_put(&desk->letters, &i);
        rc = rc == 0 ? weft_sleep(300 * WEFT_MS) : rc;
        rc = rc == 0 ? weft_queue_put(&desk->parcels, &i) : rc;
        rc = rc == 0 ? weft_sleep(1300 * WEFT_MS) : rc;
    }
    weft_event_set(&desk->closing);
    return rc == 0 ? weft_await(task, NULL) : rc;
}

static intptr_t app(void *arg)
{
    (void)arg;
    struct desk desk = {.closing = WEFT_EVENT_INIT};
    int rc = weft_queue_init(&desk.letters, sizeof(int), 8, NULL);
    if (rc < 0) {
        return rc;
    }
    intptr_t end = weft_queue_init(&desk.parcels, sizeof(int), 8, NULL);
    if (end == 0) {
        end = serve(&desk);
        weft_queue_destroy(&desk.parcels);
    }
    weft_queue_destroy(&desk.letters);
    return end;
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}
