// SPDX-License-Identifier: MIT
/* producer.c - results that travel: a future set by a task, and one set when a task has ended; after
 * the example of Future in Python's documentation.
 */
#include <stdio.h>
#include <weft.h>

/* Sets the future; the main task waits for it, on whichever worker. */
static intptr_t set_after(void *arg)
{
    weft_future *future = arg;
    int rc = weft_sleep(10 * WEFT_MS);
    return rc < 0 ? rc : weft_future_set(future, (intptr_t) "... world");
}

static intptr_t square(void *arg)
{
    const int *number = arg;
    return (intptr_t)*number * *number;
}

/* Runs on a worker when the task has ended; must neither await nor block. Setting a future or writing
 * another event loop's eventfd is what it is for. */
static void pass_on(weft_task *task, void *arg)
{
    weft_future *future = arg;
    intptr_t result = 0;
    if (weft_task_result(task, &result) == 0 && !weft_is_error(result)) {
        (void)weft_future_set(future, result);
    } else {
        (void)weft_future_cancel(future);
    }
}

static intptr_t await_word(void)
{
    weft_future word = WEFT_FUTURE_INIT; /* in this frame: the task ends before it does */
    weft_task *setter;
    int rc = weft_spawn(&setter, set_after, &word);
    if (rc < 0) {
        return rc;
    }
    puts("hello ...");
    intptr_t text = 0;
    rc = weft_future_await(&word, &text);
    int joined = weft_await(setter, NULL);
    if (rc == 0 && joined == 0) {
        puts((const char *)text);
    }
    return rc < 0 ? rc : joined;
}

static intptr_t await_callback(void)
{
    weft_future done = WEFT_FUTURE_INIT;
    int number = 7;
    weft_task *task;
    int rc = weft_spawn(&task, square, &number);
    if (rc < 0) {
        return rc;
    }
    rc = weft_on_done(task, pass_on, &done);
    intptr_t result = 0;
    if (rc == 0) {
        rc = weft_future_await(&done, &result);
    }
    int joined = weft_await(task, NULL);
    if (rc == 0 && joined == 0) {
        printf("%d squared is %ld\n", number, (long)result);
    }
    return rc < 0 ? rc : joined;
}

static intptr_t app(void *arg)
{
    (void)arg;
    intptr_t rc = await_word();
    return rc < 0 ? rc : await_callback();
}

int main(void)
{
    return weft_run(app, NULL, NULL) == 0 ? 0 : 1;
}
