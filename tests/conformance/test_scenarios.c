/* SPDX-License-Identifier: MIT */
/* test_scenarios.c - every case of cases.json and pinned.json, and the interpreter's own manners. */
#include "weft_test.h"

#include "scenario_cases.h"
#include "scenario_compare.h"
#include "scenario_run.h"

static void expect_all(const char *path, int count)
{
    struct tally tally;
    cr_assert(cases_check(path, stderr, &tally), "the cases can't be read");
    cr_expect(tally.different == 0, "%d cases differ, see above", tally.different);
    cr_assert(tally.same == count, "%d cases of %d ran", tally.same, count);
}

Test(scenarios, all)
{
    expect_all(WEFT_SCENARIO_CASES, 217);
}

/* What CPython's own tests of its locks and queues pin, and what lies around it. */
Test(scenarios, locks_and_queues)
{
    expect_all(WEFT_SCENARIO_PINNED, 102);
}

static void expect_bad(const char *program, const char *text)
{
    struct arena arena = {0};
    struct run_result result = scenario_run(&arena, program);
    bool is_as_expected = result.end == RUN_BAD && strstr(result.text, text) != NULL;
    if (!is_as_expected) {
        fprintf(stderr, "%s\n  gives: %s\n", program, result.text);
    }
    arena_free(&arena);
    cr_assert(is_as_expected);
}

Test(scenarios, bad_programs_are_told_with_their_place)
{
    expect_bad("", "1:1: there is no main");
    expect_bad("A{ log a }", "there is no main");
    expect_bad("main{ sleep 1", "1:14: expected ; or }");
    expect_bad("main{\n  slep 1 }", "2:3: expected a statement, not `slep`");
    expect_bad("main{ sleep x }", "1:13: expected a number, not `x`");
    expect_bad("main{ sleep 99999999999999999999 }", "1:13: expected a number");
    expect_bad("main{ spawn A }", "1:7: `A` is not defined");
    expect_bad("main{ log a } main{ }", "1:15: defined twice");
    expect_bad("main{ try{ log a } }", "expected catch or finally");
    expect_bad("main{ log \x01 }", "1:11: expected a printable ASCII character");
    expect_bad("main{ log a } }", "1:15: expected a definition");
}

static void expect_trace(const char *program, const char *expected)
{
    struct arena arena = {0};
    struct run_result result = scenario_run(&arena, program);
    bool is_as_expected =
        result.end == RUN_TRACED && trace_compare(&arena, expected, result.text).task == NULL;
    if (!is_as_expected) {
        fprintf(stderr, "%s\n  gives: %s\n", program, result.text);
    }
    arena_free(&arena);
    cr_assert(is_as_expected);
}

Test(scenarios, a_request_that_no_gathered_task_can_take_lets_the_run_go_on)
{
    expect_trace("main{ spawn E; ret 1 } E{ spawn s; gather o s; gjoin o } s{ yield }",
                 "@0 main.end=1 run=1 E.gjoin!C E.end!C");
}

Test(scenarios, a_request_before_a_gather_is_joined_is_told_to_everybody)
{
    expect_trace("main{ spawn A; spawn B; cancel self; gather o rx A; join o } A{ } B{ join o }",
                 "@0 main.cancel(main)=1 main.join(o)!C main.end!C B.join(o)!C B.end!C run!C");
}

Test(scenarios, a_request_goes_round_a_circle_of_gathers_once)
{
    expect_trace("main{ fut Q; spawn A } A{ gjoin A Q }", "@0 main.end=0 run=0 run.DEADLOCK");
}

Test(scenarios, one_group_of_errors_can_be_caught_by_what_is_in_it)
{
    const char *end = "@0 main.tg(G)!EG[E1] main.got main.end=0 run=0";
    expect_trace("main{ try{ tg G{ raise E1 } } catch EG[E2]{ } catch EG[E1]{ log got } }", end);
    expect_trace("main{ try{ raise EG[E1,T] } catch EG{ log got; raise } }",
                 "@0 main.got main.end!EG[E1,T] run!EG[E1,T]");
    expect_bad("main{ try{ } catch EG[{ } }", "1:20: expected a kind of exception or *");
}

Test(scenarios, every_program_ends)
{
    expect_bad("main{ loop 1000000{ yield } }", "1:21: the program does not end");
    expect_bad("main{ spawn A; sleep 5 } A{ loop 999999{ try{ yield } catch *{ } } }",
               "the program does not end");
    expect_bad("main{ spawn A; sleep 1 } A{ spawn A as B; spawn A }", "too many tasks");
    expect_bad("main{ call A } A{ call A }", "calls nest too deep");
}

Test(scenarios, a_difference_is_found_in_the_task_that_differs_first)
{
    struct arena arena = {0};
    const char *expected = "@0 main.a A.b @3 A.c main.end=0 run=0";
    cr_expect(trace_compare(&arena, expected, "@0 A.b main.a @3 main.end=0 run=0 A.c").task ==
              NULL);
    struct difference late =
        trace_compare(&arena, expected, "@0 main.a A.b @4 A.c @3 main.end=0 run=0");
    cr_assert(late.task != NULL && strcmp(late.task, "A") == 0);
    cr_expect(strcmp(late.expected, "@0 A.b @3 A.c") == 0);
    cr_expect(strcmp(late.actual, "@0 A.b @4 A.c") == 0);
    struct difference extra = trace_compare(&arena, expected, "@0 main.a A.b B.x @3 A.c run=1");
    cr_assert(extra.task != NULL && strcmp(extra.task, "B") == 0);
    cr_expect(trace_compare(&arena, expected, "").task != NULL);
    arena_free(&arena);
}
