// SPDX-License-Identifier: MIT
/* httpd_options.c - the command line of the example HTTP server. */
#include "command_line.h"
#include "httpd.h"

#include <getopt.h>

static const char usage[] =
    "usage: httpd [options]\n"
    "  --host ADDRESS         numeric address to listen on (127.0.0.1)\n"
    "  --port PORT            0 takes a free one (8080)\n"
    "  --timeout TIME         for a handler; then it is cancelled and the client gets 503 (5s)\n"
    "  --read-timeout TIME    for the rest of a request, then 408; also for sending (10s)\n"
    "  --idle-timeout TIME    between two requests of a connection (60s)\n"
    "  --grace TIME           for requests in flight after SIGINT or SIGTERM (10s)\n"
    "  --max-connections N    more clients wait until there is room (10000)\n"
    "  --max-header BYTES     request line and headers, else 431 (8192)\n"
    "  --max-body BYTES       else 413 (1048576)\n"
    "  --workers N            threads (as many as there are processors)\n"
    "  --io uring|epoll|auto  how the kernel is asked for input and output (auto)\n"
    "  --tls CERT KEY         serve https: files in PEM, the certificate first\n"
    "  --reuse-port           share the port with others that do so too\n"
    "  --stats                print the runtime's counters at the end\n"
    "  --quiet                no summary at the end\n"
    "routes: /   /sleep?ms=N   /fan?n=N   /work?us=N\n";

static const struct option long_options[] = {
    {"host", required_argument, NULL, 'h'},
    {"port", required_argument, NULL, 'p'},
    {"timeout", required_argument, NULL, 't'},
    {"read-timeout", required_argument, NULL, 'r'},
    {"idle-timeout", required_argument, NULL, 'i'},
    {"grace", required_argument, NULL, 'g'},
    {"max-connections", required_argument, NULL, 'c'},
    {"max-header", required_argument, NULL, 'H'},
    {"max-body", required_argument, NULL, 'B'},
    {"workers", required_argument, NULL, 'w'},
    {"io", required_argument, NULL, 'o'},
    {"tls", required_argument, NULL, 'T'},
    {"reuse-port", no_argument, NULL, 'R'},
    {"stats", no_argument, NULL, 's'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, '?' + 256},
    {0},
};

/* Takes the options that are sizes or numbers; false for all others. */
static bool parse_limit(struct options *options, int letter, const char *name, const char *text)
{
    switch (letter) {
    case 'p':
        options->port = parse_number(name, text, 0, 65535);
        return true;
    case 'c':
        options->connections_max = (size_t)parse_number(name, text, 1, 10000000);
        return true;
    case 'H':
        options->head_bytes_max = (size_t)parse_number(name, text, 256, 1 << 20);
        return true;
    case 'B':
        options->body_bytes_max = (size_t)parse_number(name, text, 0, INT64_MAX);
        return true;
    case 'w':
        options->workers = (int)parse_number(name, text, 1, 1024);
        return true;
    default:
        return false;
    }
}

static weft_io_backend parse_io(const char *text)
{
    static const char *const names[] = {
        [WEFT_IO_AUTO] = "auto", [WEFT_IO_EPOLL] = "epoll", [WEFT_IO_URING] = "uring"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (weft_io_backend)i;
        }
    }
    usage_error("--io: '%s' is none of uring, epoll, auto", text);
}

/* The second argument of --tls, which getopt_long knows nothing of. */
static void take_key(struct options *options, int argc, char **argv)
{
    if (optind >= argc || argv[optind][0] == '-') {
        usage_error("--tls: a certificate and a key are needed");
    }
    options->key_file = argv[optind++];
}

static void parse_option(struct options *options, int letter, const char *name, const char *text)
{
    switch (letter) {
    case 'h':
        options->host = text;
        break;
    case 't':
        options->timeout_ns = parse_duration(name, text);
        break;
    case 'r':
        options->read_ns = parse_duration(name, text);
        break;
    case 'i':
        options->idle_ns = parse_duration(name, text);
        break;
    case 'g':
        options->grace_ns = parse_duration(name, text);
        break;
    case 'o':
        options->io = parse_io(text);
        break;
    case 'T':
        options->certificate_file = text;
        break;
    case 'R':
        options->shares_port = true;
        break;
    case 's':
        options->has_stats = true;
        break;
    case 'q':
        options->is_quiet = true;
        break;
    case '?' + 256:
        fputs(usage, stdout);
        exit(EXIT_SUCCESS);
    default: /* getopt_long has said what is wrong */
        exit(EXIT_USAGE);
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){
        .host = "127.0.0.1",
        .port = 8080,
        .timeout_ns = 5 * WEFT_S,
        .read_ns = 10 * WEFT_S,
        .idle_ns = 60 * WEFT_S,
        .grace_ns = 10 * WEFT_S,
        .connections_max = 10000,
        .head_bytes_max = 8192,
        .body_bytes_max = 1 << 20,
    };
    int which = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, &which)) != -1;) {
        const char *name = long_options[which].name;
        if (!parse_limit(options, letter, name, optarg)) {
            parse_option(options, letter, name, optarg);
        }
        if (letter == 'T') {
            take_key(options, argc, argv);
        }
    }
    if (optind < argc) {
        usage_error("unexpected argument '%s'", argv[optind]);
    }
}
