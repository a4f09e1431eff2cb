/* SPDX-License-Identifier: MIT */
/* scenario_main.c - weft-scenario: runs programs of the scenario language and prints their traces. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scenario_cases.h"
#include "scenario_run.h"

enum { EXIT_DIFFERENT = 1, EXIT_BAD = 2 };

static int usage(void)
{
    fputs("weft-scenario [FILE]        run one program, of a file or standard input; print its "
          "trace\n"
          "weft-scenario --json FILE   run a list of {\"id\", \"program\"}; print a line of JSON "
          "for each\n"
          "weft-scenario --check FILE  compare such a list with its \"expect\" and \"also\"\n",
          stderr);
    return EXIT_BAD;
}

static int run_one(const char *path)
{
    struct arena arena = {0};
    const char *program = file_read(&arena, path);
    int status = EXIT_BAD;
    if (program == NULL) {
        fprintf(stderr, "weft-scenario: %s: %s\n", path, strerror(errno));
    } else {
        struct run_result result = scenario_run(&arena, program);
        if (result.end == RUN_TRACED) {
            printf("%s\n", result.text);
            status = 0;
        } else {
            fprintf(stderr, "weft-scenario: %s:%s\n", path != NULL ? path : "-", result.text);
        }
    }
    arena_free(&arena);
    return status;
}

int main(int argc, char **argv)
{
    if (argc <= 2 && (argc < 2 || argv[1][0] != '-')) {
        return run_one(argc == 2 ? argv[1] : NULL);
    }
    if (argc == 3 && strcmp(argv[1], "--json") == 0) {
        return cases_trace(argv[2], stdout) ? 0 : EXIT_BAD;
    }
    if (argc == 3 && strcmp(argv[1], "--check") == 0) {
        struct tally tally;
        if (!cases_check(argv[2], stdout, &tally)) {
            return EXIT_BAD;
        }
        return tally.different > 0 ? EXIT_DIFFERENT : 0;
    }
    return usage();
}
