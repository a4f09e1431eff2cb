// SPDX-License-Identifier: MIT
/* load_report.c - counters into text and JSON. */
#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const failure_names[FAILURE_COUNT] = {
    [FAILED_CONNECT] = "connect", [FAILED_RESET] = "reset",       [FAILED_CLOSED] = "closed",
    [FAILED_TIMEOUT] = "timeout", [FAILED_PROTOCOL] = "protocol",
};

static void add_meter(struct totals *totals, const struct meter *meter)
{
    latencies_add(&totals->latencies, &meter->histogram);
    totals->sent += atomic_load(&meter->sent);
    totals->hang_ups += atomic_load(&meter->hang_ups);
    for (int i = 0; i < STATUS_CLASSES; i++) {
        uint64_t count = atomic_load(&meter->answers[i]);
        totals->answers[i] += count;
        totals->answered += count;
    }
    for (int i = 0; i < FAILURE_COUNT; i++) {
        uint64_t count = atomic_load(&meter->failures[i]);
        totals->failures[i] += count;
        totals->failed += count;
    }
}

void report_read_totals(struct load *load)
{
    load->previous = load->now;
    memset(&load->now, 0, sizeof load->now);
    for (int i = 0; i < METERS; i++) {
        add_meter(&load->now, &load->meters[i]);
    }
}

static double ms_at(const struct latencies *latencies, double share)
{
    return (double)latencies_at(latencies, share) / 1e6;
}

/* Live lines go where they do not get into the JSON. */
void report_second(const struct load *load, long second)
{
    static struct latencies recent; /* large, and only the main task comes here */
    const struct totals *now = &load->now;
    const struct totals *previous = &load->previous;
    if (load->options.is_quiet) {
        return;
    }
    recent = now->latencies;
    latencies_subtract(&recent, &previous->latencies);
    FILE *out = load->options.is_json ? stderr : stdout;
    fprintf(out,
            "%4ld s  %8" PRIu64 " req/s   p50 %.3f ms   p99 %.3f ms   errors %" PRIu64
            "   hung up %" PRIu64 "\n",
            second, now->answered - previous->answered, ms_at(&recent, 0.5), ms_at(&recent, 0.99),
            now->failed - previous->failed, now->hang_ups - previous->hang_ups);
    fflush(out);
}

static double cpu_us_per_request(const struct load *load, const struct result *result)
{
    uint64_t served = load->now.answered + load->now.hang_ups;
    return served > 0 ? result->server_cpu_s * 1e6 / (double)served : 0;
}

static void print_text(const struct load *load, const struct result *result)
{
    const struct options *options = &load->options;
    const struct totals *totals = &load->now;
    const struct latencies *latencies = &totals->latencies;
    printf("clients    %ld connections, %.1f s, pipeline %ld, ", options->connections,
           result->elapsed_s, options->pipeline);
    if (options->rate > 0) {
        printf("%.0f requests/s wanted\n", options->rate);
    } else {
        printf("each as fast as it is answered\n");
    }
    printf("requests   %" PRIu64 " answered, %.0f requests/s\n", totals->answered,
           (double)totals->answered / result->elapsed_s);
    printf("answers    2xx %" PRIu64 "   3xx %" PRIu64 "   4xx %" PRIu64 "   5xx %" PRIu64 "\n",
           totals->answers[2], totals->answers[3], totals->answers[4], totals->answers[5]);
    printf("latency    p50 %.3f   p90 %.3f   p99 %.3f   p99.9 %.3f   max %.3f ms\n",
           ms_at(latencies, 0.5), ms_at(latencies, 0.9), ms_at(latencies, 0.99),
           ms_at(latencies, 0.999), (double)latencies->max_ns / 1e6);
    printf("errors    ");
    for (int i = 0; i < FAILURE_COUNT; i++) {
        printf(" %s %" PRIu64 "  ", failure_names[i], totals->failures[i]);
    }
    printf(" (hung up on purpose: %" PRIu64 ")\n", totals->hang_ups);
    if (result->server_cpu_s >= 0) {
        printf("server     %.2f s of CPU, %.2f us per request\n", result->server_cpu_s,
               cpu_us_per_request(load, result));
    }
}

static void print_json_counts(const struct totals *totals)
{
    printf("\"answers\":{");
    for (int i = 1; i < STATUS_CLASSES; i++) {
        printf("%s\"%dxx\":%" PRIu64, i > 1 ? "," : "", i, totals->answers[i]);
    }
    printf("},\"errors\":{");
    for (int i = 0; i < FAILURE_COUNT; i++) {
        printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", failure_names[i], totals->failures[i]);
    }
    printf("},\"hung_up\":%" PRIu64, totals->hang_ups);
}

static void print_json(const struct load *load, const struct result *result)
{
    const struct options *options = &load->options;
    const struct totals *totals = &load->now;
    const struct latencies *latencies = &totals->latencies;
    printf("{\"connections\":%ld,\"pipeline\":%ld,\"rate\":%.0f,\"seconds\":%.3f,",
           options->connections, options->pipeline, options->rate, result->elapsed_s);
    printf("\"sent\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"requests_per_second\":%.1f,",
           totals->sent, totals->answered, (double)totals->answered / result->elapsed_s);
    printf("\"latency_ms\":{\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"p99.9\":%.4f,\"max\":%.4f},",
           ms_at(latencies, 0.5), ms_at(latencies, 0.9), ms_at(latencies, 0.99),
           ms_at(latencies, 0.999), (double)latencies->max_ns / 1e6);
    print_json_counts(totals);
    if (result->server_cpu_s >= 0) {
        printf(",\"server_cpu_seconds\":%.2f,\"server_cpu_us_per_request\":%.3f",
               result->server_cpu_s, cpu_us_per_request(load, result));
    }
    printf("}\n");
}

void report_end(const struct load *load, const struct result *result)
{
    if (load->options.is_json) {
        print_json(load, result);
    } else {
        print_text(load, result);
    }
}
