/* SPDX-License-Identifier: MIT */
/* scenario_operation.c - the table of the language's operations. */
#include "scenario_operation.h"

#include <stdlib.h>
#include <string.h>

/* Sorted by name. Those without a function belong to parts that the library does not have yet. */
static const struct operation operations[] = {
    {"acq", "l", NULL},
    {"addv", "li", NULL},
    {"advance", "i", do_advance},
    {"ascomp", "s*", do_completions},
    {"at_cancel", "il", do_cancel_at},
    {"at_set", "ilv", do_set_at},
    {"await", "l", do_join},
    {"babort", "l", NULL},
    {"barrier", "li", NULL},
    {"breset", "l", NULL},
    {"bsem", "li", NULL},
    {"bstat", "l", NULL},
    {"bwait", "l", NULL},
    {"call", "D", do_call},
    {"cancel", "l", do_cancel},
    {"cond", "l", NULL},
    {"count", "L", do_count},
    {"ctxget", "l", do_get_local},
    {"ctxset", "lv", do_set_local},
    {"cwait", "l", NULL},
    {"cwaitge", "lmi", NULL},
    {"drop", "l", do_drop},
    {"eclr", "l", NULL},
    {"eset", "l", NULL},
    {"event", "l", NULL},
    {"ewait", "l", NULL},
    {"fail", "lx", do_fail},
    {"fut", "l", do_future},
    {"gather", "lr*", do_make_gather},
    {"gcancel", "l", do_group_cancel},
    {"get", "l", NULL},
    {"getnw", "l", NULL},
    {"getv", "l", NULL},
    {"gjoin", "r*", do_gather},
    {"gspawn", "lDa", do_group_spawn},
    {"join", "l", do_join},
    {"lock", "l", NULL},
    {"locked", "l", NULL},
    {"log", "w", do_log},
    {"loop", "i{", do_loop},
    {"mktg", "l", do_make_group},
    {"notify", "lI", NULL},
    {"notifyall", "l", NULL},
    {"ntasks", "", do_count_tasks},
    {"park", "", do_park},
    {"put", "lv", NULL},
    {"putnw", "lv", NULL},
    {"qdone", "l", NULL},
    {"qjoin", "l", NULL},
    {"qsize", "l", NULL},
    {"queue", "lI", NULL},
    {"raise", "X", do_raise},
    {"rel", "l", NULL},
    {"resched", "ls", do_reschedule},
    {"ret", "V", do_return},
    {"sacq", "l", NULL},
    {"sem", "li", NULL},
    {"set", "lv", do_set},
    {"setv", "li", NULL},
    {"shield", "l", do_shield},
    {"shieldobj", "lm", do_shield_object},
    {"shutdown", "ln", NULL},
    {"sigint", "", do_interrupt},
    {"sigint_at", "i", do_interrupt_at},
    {"sleep", "i", do_sleep},
    {"spawn", "Da", do_spawn},
    {"srel", "l", NULL},
    {"state", "l", do_state},
    {"sval", "l", NULL},
    {"tg", "l{", do_group},
    {"tmo", "ls{", do_timeout},
    {"try", "{c", do_try},
    {"tstate", "l", do_timeout_state},
    {"uncancel", "L", do_uncancel},
    {"wait", "k*", do_wait},
    {"waitfor", "ls", do_wait_for},
    {"waitforshield", "ls", do_wait_for_shield},
    {"wfcall", "Ds", do_call_for},
    {"wfget", "ls", NULL},
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
