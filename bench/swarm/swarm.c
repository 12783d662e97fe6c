/* swarm: the load. One thread, one epoll, many WebSocket (or Socket.IO) connections.
 *
 * It opens N connections, each with the next path of a file; a tab may follow the path, and then the auth data of a
 * Socket.IO client. Then some of them send: each keeps a number of messages in flight (a closed loop), or all together
 * send at a rate. Every received frame is counted. Latency comes from the timestamp in each message, on about 64
 * connections spread over all that stay and read.
 *
 * build: cc -O2 -o swarm *.c
 * It prints one JSON line as each phase begins, and one with the result.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "talk.h"

enum { PRIORITY = -10, MAX_PENDING = 64, MAX_PATHS = 200000, SECOND = 1000000000, WARM_UP = 1, CONNECT_TIMEOUT = 120 };

static talk_plan plan = {.payload = 64};
static conn *conns;
static const char *host = "127.0.0.1", *path_file;
static int port;
static double seconds = 5, settle = 2;
static volatile sig_atomic_t resume_requested;

/* The load's own time: running on its core, and waiting for it. */
typedef struct {
  uint64_t at, ran, waited;
} effort;

static effort effort_now(void) {
  effort e = {.at = now()};
  unsigned long long ran = 0, waited = 0;
  FILE *f = fopen("/proc/self/schedstat", "r");
  if (f && fscanf(f, "%llu %llu", &ran, &waited) != 2) ran = waited = 0;
  if (f) fclose(f);
  e.ran = ran;
  e.waited = waited;
  return e;
}

static const struct option options[] = {
    {"host", 1, 0, 'h'},    {"port", 1, 0, 'p'},   {"paths", 1, 0, 'f'},       {"connections", 1, 0, 'n'},
    {"senders", 1, 0, 's'}, {"window", 1, 0, 'w'}, {"rate", 1, 0, 'r'},        {"seconds", 1, 0, 't'},
    {"payload", 1, 0, 'b'}, {"settle", 1, 0, 'e'}, {"kind", 1, 0, 'k'},        {"socketio", 0, 0, 'i'},
    {"slow", 1, 0, 'l'},    {"churn", 1, 0, 'c'},  {"churners", 1, 0, 'u'},    {"direct-rate", 1, 0, 'd'},
    {"acks", 0, 0, 'a'},    {0},
};

static void usage(void) {
  fprintf(stderr, "usage: swarm --port P --paths FILE --connections N [--host H] [--kind group|direct|mixed] [--socketio]\n"
                  "  [--senders N] [--window N | --rate R] [--direct-rate R] [--churners N --churn R] [--slow N]\n"
                  "  [--payload BYTES] [--settle S] [--seconds S] [--acks]\n");
  exit(2);
}

static kind read_kind(const char *name) {
  if (!strcmp(name, "group")) return GROUP;
  if (!strcmp(name, "direct")) return DIRECT;
  if (strcmp(name, "mixed")) usage();
  return MIXED;
}

static void read_option(int letter) {
  switch (letter) {
    case 'h': host = optarg; break;
    case 'p': port = atoi(optarg); break;
    case 'f': path_file = optarg; break;
    case 'n': plan.connections = atoi(optarg); break;
    case 's': plan.senders = atoi(optarg); break;
    case 'w': plan.window = atoi(optarg); break;
    case 'r': plan.rate = atof(optarg); break;
    case 't': seconds = atof(optarg); break;
    case 'b': plan.payload = atoi(optarg); break;
    case 'e': settle = atof(optarg); break;
    case 'k': plan.kind = read_kind(optarg); break;
    case 'i': plan.socketio = 1; break;
    case 'a': plan.acks = 1; break;
    case 'l': plan.slow = atoi(optarg); break;
    case 'c': plan.churn = atof(optarg); break;
    case 'u': plan.churners = atoi(optarg); break;
    case 'd': plan.direct_rate = atof(optarg); break;
    default: usage();
  }
}

static void read_options(int argc, char **argv) {
  for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) read_option(letter);
  plan.stayers = plan.connections - plan.slow - plan.churners;
  int sensible = port && path_file && plan.connections > 0 && plan.stayers > 0 && plan.senders <= plan.stayers &&
                 plan.payload >= 0 && plan.payload <= 60000 && (!plan.churn || plan.churners > 1) &&
                 (plan.kind != MIXED || (plan.senders && plan.rate));
  if (!sensible) usage();
}

static int read_paths(char ***paths) {
  static char line[4096];
  int count = 0;
  FILE *f = fopen(path_file, "r");
  if (!f) {
    perror(path_file);
    exit(2);
  }
  *paths = malloc(sizeof **paths * MAX_PATHS);
  while (count < MAX_PATHS && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    if (*line) (*paths)[count++] = strdup(line);
  }
  fclose(f);
  return count;
}

static void raise_descriptor_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void on_signal(int number) {
  (void)number;
  resume_requested = 1;
}

/* ---- the phases --------------------------------------------------------------------------------------------- */

static void announce(const char *phase) {
  printf("{\"phase\":\"%s\"}\n", phase);
  fflush(stdout);
}

static void turn_for(double how_long) {
  for (uint64_t end = now() + (uint64_t)(how_long * SECOND); now() < end;) wire_turn(10);
}

static double connect_all(void) {
  uint64_t began = now();
  announce("connecting");
  while (wire.ready + wire.dead < plan.connections && now() - began < (uint64_t)CONNECT_TIMEOUT * SECOND) {
    while (wire.launched < plan.connections && wire.launched - wire.ready - wire.dead < MAX_PENDING) wire_connect(&conns[wire.launched]);
    wire_turn(10);
  }
  return (now() - began) / 1e9;
}

static void resume_slow(void) {
  resume_requested = 0;
  for (int i = plan.connections - plan.slow; i < plan.connections; i++) wire_resume(&conns[i]);
}

/* Send messages (or stay idle, without senders); return the measured seconds. */
static double talk(void) {
  uint64_t began = now(), measured = began + (uint64_t)WARM_UP * SECOND, until = measured + (uint64_t)(seconds * SECOND);
  announce("talking");
  if (plan.senders) talk_begin(until);
  while (now() < until) {
    if (!measuring && now() >= measured) {
      measuring = 1;
      announce("measuring");
    }
    talk_pace();
    wire_turn(plan.rate ? 1 : 5);
    if (resume_requested) resume_slow();
  }
  measuring = 0;
  announce("measured");
  return (now() - measured) / 1e9;
}

/* Wait until all messages in flight have arrived, or none has for a second. */
static void drain(void) {
  uint64_t began = now(), progress = began, arrived = talk_arrived();
  while (talk_arrived() < talk_expected() && now() - progress < SECOND && now() - began < 10ull * SECOND) {
    wire_turn(10);
    if (talk_arrived() == arrived) continue;
    arrived = talk_arrived();
    progress = now();
  }
}

/* ---- the result --------------------------------------------------------------------------------------------- */

static void print_slow(void) {
  int closed = 0, too_slow = 0, open = 0;
  for (int i = plan.connections - plan.slow; i < plan.connections; i++) {
    closed += conns[i].state == DEAD;
    too_slow += conns[i].code == 4408;
    open += conns[i].state == READY;
  }
  printf(",\"slow_closed\":%d,\"slow_told_4408\":%d,\"slow_open\":%d", closed, too_slow, open);
}

static void print_audit(void) {
  talk_verdict v = talk_audit();
#define U(x) (unsigned long long)(x)
  printf(",\"sent_group\":%llu,\"sent_direct\":%llu,\"joins\":%llu,\"leaves\":%llu,\"group_missing\":%llu,\"group_twice\":%llu,"
         "\"out_of_order\":%llu,\"direct_missing\":%llu,\"direct_strayed\":%llu,\"acks_missing\":%llu",
         U(v.group), U(v.direct), U(counts.joins), U(counts.leaves), U(v.group_missing), U(v.group_twice),
         U(v.out_of_order), U(v.direct_missing), U(v.direct_strayed), U(v.acks_missing));
}

static void print_counts(double connecting, double measured, uint64_t boot_bytes) {
  int came = wire.ready + wire.dead;
  printf("{\"ready\":%d,\"dead\":%d,\"connect_per_s\":%.0f,\"boot_mb\":%.2f,\"sent_per_s\":%.1f,\"deliveries_per_s\":%.1f",
         wire.ready, wire.dead, came / connecting, boot_bytes / 1e6, counts.window_sent / measured, counts.window_received / measured);
  printf(",\"sent\":%llu,\"deliveries\":%llu,\"missing\":%lld,\"errors\":%llu,\"others\":%llu,\"window_deliveries\":%llu",
         U(counts.sent), U(counts.received), plan.senders ? (long long)(talk_expected() - talk_arrived()) : 0, U(counts.errors),
         U(counts.others), U(counts.window_received));
  if (plan.acks) printf(",\"acks_missing\":%llu", U(counts.sent > counts.acks ? counts.sent - counts.acks : 0));
  printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"samples\":%llu", histogram_ms(&latency, 0.5),
         histogram_ms(&latency, 0.99), histogram_ms(&latency, 1), U(latency.total));
  printf(",\"push_mb\":%.2f,\"push_mb_per_s\":%.2f", counts.push_bytes / 1e6, counts.push_peak / 1e6);
}

static void print_effort(const char *name, effort from, effort to) {
  double span = to.at - from.at;
  printf(",\"%s_cpu\":%.3f,\"%s_wait\":%.3f", name, (to.ran - from.ran) / span, name, (to.waited - from.waited) / span);
}

int main(int argc, char **argv) {
  char **paths;
  read_options(argc, argv);
  raise_descriptor_limit();
  /* Other processes on this core must not look like the server's latency; without permission they may. */
  setpriority(PRIO_PROCESS, 0, PRIORITY);
  signal(SIGUSR1, on_signal);
  conns = calloc(plan.connections, sizeof *conns);
  int path_count = read_paths(&paths);
  wire_open(host, port, plan.socketio, paths, path_count);
  talk_open(&plan, conns);

  effort start = effort_now();
  double connecting = connect_all();
  effort connected = effort_now();
  announce("settling");
  turn_for(settle);
  uint64_t boot_bytes = wire.bytes, boot_reads = wire.reads;
  effort before = effort_now();
  double measured = talk();
  effort after = effort_now();
  double frames_per_read = wire.reads > boot_reads ? (double)counts.received / (wire.reads - boot_reads) : 0;
  if (plan.senders) drain();
  if (plan.slow) {
    resume_slow();
    turn_for(2);
  }
  print_counts(connecting, measured, boot_bytes);
  printf(",\"frames_per_read\":%.2f,\"turn_p99_ms\":%.3f,\"turn_max_ms\":%.3f", frames_per_read,
         histogram_ms(&turns, 0.99), histogram_ms(&turns, 1));
  print_effort("connect_load", start, connected);
  print_effort("load", before, after);
  if (plan.slow) print_slow();
  if (plan.kind == MIXED) print_audit();
  printf("}\n");
  return 0;
}
