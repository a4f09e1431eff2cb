// SPDX-License-Identifier: MIT
/* load_options.c - the command line of the example load generator. */
#include "command_line.h"
#include "load.h"

#include <getopt.h>
#include <netdb.h>

static const char usage[] =
    "usage: load [options] [http[s]://HOST[:PORT][/PATH]]\n"
    "  --host HOST            server (127.0.0.1)\n"
    "  --port PORT            its port (8080)\n"
    "  --connections N        clients at the same time (64)\n"
    "  --duration TIME        how long (10s)\n"
    "  --pipeline N           requests that each client has under way (1)\n"
    "  --rate N               requests a second in all; else each client sends when answered\n"
    "  --mix PATH[:WEIGHT],.. what to ask for, e.g. /:80,/sleep?ms=5:20\n"
    "  --flaky PERCENT        of the requests, after which the client hangs up at once (0)\n"
    "  --timeout TIME         for an answer (10s)\n"
    "  --tls                  as with https://\n"
    "  --authorities FILE     who certifies the server, in PEM; else any certificate will do\n"
    "  --pid PID              of the server, for its CPU time per request\n"
    "  --workers N            threads (as many as there are processors)\n"
    "  --json                 the final results as JSON on standard output\n"
    "  --quiet                no line each second\n";

static const struct option long_options[] = {
    {"host", required_argument, NULL, 'h'},
    {"port", required_argument, NULL, 'p'},
    {"connections", required_argument, NULL, 'c'},
    {"duration", required_argument, NULL, 'd'},
    {"pipeline", required_argument, NULL, 'P'},
    {"rate", required_argument, NULL, 'r'},
    {"mix", required_argument, NULL, 'm'},
    {"flaky", required_argument, NULL, 'f'},
    {"timeout", required_argument, NULL, 't'},
    {"tls", no_argument, NULL, 'T'},
    {"authorities", required_argument, NULL, 'A'},
    {"pid", required_argument, NULL, 'i'},
    {"workers", required_argument, NULL, 'w'},
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, '?' + 256},
    {0},
};

struct texts {
    char *mix;
    char *url;
};

static double parse_real(const char *option, const char *text, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= most)) {
        usage_error("--%s: '%s' is not a number from 0 to %g", option, text, most);
    }
    return value;
}

static bool parse_amount(struct options *options, int letter, const char *name, const char *text)
{
    switch (letter) {
    case 'p':
        options->port = parse_number(name, text, 1, 65535);
        return true;
    case 'c':
        options->connections = parse_number(name, text, 1, 1000000);
        return true;
    case 'd':
        options->duration_ns = parse_duration(name, text);
        return true;
    case 'P':
        options->pipeline = parse_number(name, text, 1, 64);
        return true;
    case 'r':
        options->rate = parse_real(name, text, 1e9);
        return true;
    case 'f':
        options->flaky_share = parse_real(name, text, 100) / 100;
        return true;
    case 't':
        options->timeout_ns = parse_duration(name, text);
        return true;
    case 'i':
        options->server_pid = parse_number(name, text, 1, INT32_MAX);
        return true;
    case 'w':
        options->workers = (int)parse_number(name, text, 1, 1024);
        return true;
    default:
        return false;
    }
}

static void parse_option(struct options *options, int letter, char *text, struct texts *texts)
{
    switch (letter) {
    case 'h':
        options->host = text;
        break;
    case 'm':
        texts->mix = text;
        break;
    case 'T':
        options->is_secure = true;
        break;
    case 'A':
        options->authorities_file = text;
        break;
    case 'j':
        options->is_json = true;
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

/* Host and port go to the options, "/path" stays. Cuts the text up: the host moves over the last '/'
 * of the scheme, which makes room for its end before the path. */
static void parse_url(struct options *options, struct texts *texts)
{
    static const char *const schemes[] = {"http://", "https://"};
    bool is_secure = strncmp(texts->url, schemes[1], strlen(schemes[1])) == 0;
    const char *scheme = schemes[is_secure];
    if (strncmp(texts->url, scheme, strlen(scheme)) != 0) {
        usage_error("'%s' does not begin with http:// or https://", texts->url);
    }
    options->is_secure = options->is_secure || is_secure;
    char *host = texts->url + strlen(scheme);
    size_t length = strcspn(host, "/");
    if (host[length] == '/' && texts->mix == NULL) {
        texts->mix = host + length;
    }
    host = memmove(host - 1, host, length);
    host[length] = '\0';
    char *port = strrchr(host, ':');
    options->port =
        port == NULL ? (is_secure ? 443 : 80) : parse_number("port", port + 1, 1, 65535);
    if (port != NULL) {
        *port = '\0';
    }
    options->host = host;
}

static void add_route(struct options *options, const char *path, long weight)
{
    if (options->route_count == ROUTES_MAX) {
        usage_error("--mix: more than %d paths", ROUTES_MAX);
    }
    struct load_route *route = &options->routes[options->route_count];
    int length =
        snprintf(route->request, sizeof route->request, "GET %s HTTP/1.1\r\nHost: %s:%ld\r\n\r\n",
                 path, options->host, options->port);
    if (*path != '/' || length < 0 || (size_t)length >= sizeof route->request) {
        usage_error("--mix: '%s' is no path, or too long", path);
    }
    route->length = (size_t)length;
    long before = options->route_count > 0 ? route[-1].weight_sum : 0;
    route->weight_sum = before + weight;
    options->route_count++;
}

static void parse_mix(struct options *options, char *mix)
{
    char *rest = NULL;
    for (char *part = strtok_r(mix, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        long weight = 1;
        char *colon = strrchr(part, ':');
        if (colon != NULL) {
            *colon = '\0';
            weight = parse_number("mix", colon + 1, 1, 1000000);
        }
        add_route(options, part, weight);
    }
    if (options->route_count == 0) {
        usage_error("--mix: no path");
    }
}

static void resolve(struct options *options)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char port[16];
    snprintf(port, sizeof port, "%ld", options->port);
    int rc = getaddrinfo(options->host, port, &hints, &found);
    if (rc != 0) {
        usage_error("can't resolve '%s': %s", options->host, gai_strerror(rc));
    }
    memcpy(&options->address, found->ai_addr, found->ai_addrlen);
    options->address_length = found->ai_addrlen;
    freeaddrinfo(found);
}

void options_parse(struct options *options, int argc, char **argv)
{
    static char root[] = "/";
    *options = (struct options){
        .host = "127.0.0.1",
        .port = 8080,
        .connections = 64,
        .pipeline = 1,
        .duration_ns = 10 * WEFT_S,
        .timeout_ns = 10 * WEFT_S,
    };
    struct texts texts = {0};
    int which = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, &which)) != -1;) {
        if (!parse_amount(options, letter, long_options[which].name, optarg)) {
            parse_option(options, letter, optarg, &texts);
        }
    }
    texts.url = argv[optind];
    if (texts.url != NULL && argv[optind + 1] != NULL) {
        usage_error("unexpected argument '%s'", argv[optind + 1]);
    }
    if (texts.url != NULL) {
        parse_url(options, &texts);
    }
    parse_mix(options, texts.mix != NULL ? texts.mix : root);
    resolve(options);
}
