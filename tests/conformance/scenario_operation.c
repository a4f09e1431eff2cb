/* SPDX-License-Identifier: MIT */
/* scenario_operation.c - the table of the language's operations. */
#include "scenario_operation.h"

#include <stdlib.h>
#include <string.h>

/* Sorted by name. */
static const struct operation operations[] = {
    {"acq", "l", do_acquire},
    {"addv", "li", do_add_variable},
    {"advance", "i", do_advance},
    {"ascomp", "s*", do_completions},
    {"at_cancel", "il", do_cancel_at},
    {"at_set", "ilv", do_set_at},
    {"await", "l", do_join},
    {"babort", "l", do_barrier_abort},
    {"barrier", "li", do_barrier},
    {"breset", "l", do_barrier_reset},
    {"bsem", "li", do_bounded_semaphore},
    {"bstat", "l", do_barrier_state},
    {"bwait", "l", do_barrier_wait},
    {"call", "D", do_call},
    {"cancel", "l", do_cancel},
    {"cond", "l", do_condition},
    {"count", "L", do_count},
    {"ctxget", "l", do_get_local},
    {"ctxset", "lv", do_set_local},
    {"cwait", "l", do_condition_wait},
    {"cwaitge", "lmi", do_condition_wait_for},
    {"drop", "l", do_drop},
    {"eclr", "l", do_event_clear},
    {"eset", "l", do_event_set},
    {"event", "l", do_event},
    {"ewait", "l", do_event_wait},
    {"fail", "lx", do_fail},
    {"fut", "l", do_future},
    {"gather", "lr*", do_make_gather},
    {"gcancel", "l", do_group_cancel},
    {"get", "l", do_get},
    {"getnw", "l", do_try_get},
    {"getv", "l", do_get_variable},
    {"gjoin", "r*", do_gather},
    {"gspawn", "lDa", do_group_spawn},
    {"join", "l", do_join},
    {"lock", "l", do_lock},
    {"locked", "l", do_locked},
    {"log", "w", do_log},
    {"loop", "i{", do_loop},
    {"mktg", "l", do_make_group},
    {"notify", "lI", do_notify},
    {"notifyall", "l", do_notify_all},
    {"ntasks", "", do_count_tasks},
    {"park", "", do_park},
    {"put", "lv", do_put},
    {"putnw", "lv", do_try_put},
    {"qdone", "l", do_queue_done},
    {"qjoin", "l", do_queue_join},
    {"qsize", "l", do_queue_size},
    {"queue", "lI", do_queue},
    {"raise", "X", do_raise},
    {"rel", "l", do_release},
    {"resched", "ls", do_reschedule},
    {"ret", "V", do_return},
    {"sacq", "l", do_semaphore_acquire},
    {"sem", "li", do_semaphore},
    {"set", "lv", do_set},
    {"setv", "li", do_set_variable},
    {"shield", "l", do_shield},
    {"shieldobj", "lm", do_shield_object},
    {"shutdown", "ln", do_shutdown},
    {"sigint", "", do_interrupt},
    {"sigint_at", "i", do_interrupt_at},
    {"sleep", "i", do_sleep},
    {"spawn", "Da", do_spawn},
    {"srel", "l", do_semaphore_release},
    {"state", "l", do_state},
    {"sval", "l", do_semaphore_value},
    {"tg", "l{", do_group},
    {"tmo", "ls{", do_timeout},
    {"try", "{c", do_try},
    {"tstate", "l", do_timeout_state},
    {"uncancel", "L", do_uncancel},
    {"wait", "k*", do_wait},
    {"waitfor", "ls", do_wait_for},
    {"waitforshield", "ls", do_wait_for_shield},
    {"wfcall", "Ds", do_call_for},
    {"wfget", "ls", do_get_within},
    {"yield", "", do_yield},
};

static int compare(const void *name, const void *operation)
{
    return strcmp(name, ((const struct operation *)operation)->name);
}

const struct operation *operation_find(const char *name)
{
    return bsearch(name, operations, sizeof operations / sizeof operations[0], sizeof operations[0],
                   compare);
}
