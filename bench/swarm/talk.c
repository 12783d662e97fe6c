#define _GNU_SOURCE
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 1, SAMPLED = 64, SECOND = 1000000000, DELIVERED = -1, FRIENDS = 3 };

/* Each message carries after its '@': sender:stamp:serial#padding; the serial begins with g (group) or d (direct). */
typedef struct {
  long sender;
  uint64_t stamp, serial;
  char kind;
} mark;

talk_counts counts;
histogram latency, turns;
int measuring;

static talk_plan plan;
static conn *conns;
static char *padding;
static uint64_t started, stop_at, listeners;
static uint64_t groups, directs, sender_turn, joins_due, leaves_due;
static int *direct_to; /* by serial: the direct message's recipient, DELIVERED once it arrived */
static size_t direct_space;
static uint64_t push_second, push_this_second;

void talk_open(const talk_plan *p, conn *c) {
  plan = *p;
  conns = c;
  padding = malloc(plan.payload + 1);
  memset(padding, 'x', plan.payload);
  padding[plan.payload] = 0;
  int apart = plan.stayers > SAMPLED ? plan.stayers / SAMPLED : 1;
  for (int i = 0; i < plan.connections; i++) {
    conns[i].idx = i;
    conns[i].slow = i >= plan.connections - plan.slow;
    conns[i].churner = !conns[i].slow && i >= plan.stayers;
    conns[i].sampled = i < plan.stayers && i % apart == 0;
  }
}

/* ---- sending ------------------------------------------------------------------------------------------------ */

static int note_direct(int to) {
  if (directs == direct_space) {
    direct_space = direct_space ? 2 * direct_space : 4096;
    direct_to = realloc(direct_to, direct_space * sizeof *direct_to);
  }
  direct_to[directs] = to;
  conns[to].direct_due++;
  return directs++;
}

static void post(conn *c, const char *message, int size) {
  if (wire_send(c, TEXT, message, size)) return;
  c->inflight++;
  counts.sent++;
  counts.window_sent += measuring;
}

static void send_group(conn *c) {
  char message[66000];
  const char *form = plan.socketio ? "42[\"group_chat\",{\"data\":\"@%d:%llu:#%s\"}]" : "{\"type\":2,\"data\":\"@%d:%llu:#%s\"}";
  post(c, message, snprintf(message, sizeof message, form, c->idx, (unsigned long long)now(), padding));
}

/* With an id that is unique over all runs, so that the server sends an Ack. */
static void send_group_acked(conn *c) {
  char message[66000];
  unsigned long long at = now();
  post(c, message, snprintf(message, sizeof message, "{\"type\":2,\"data\":\"@%d:%llu:#%s\",\"id\":\"%llx-%llx\"}",
                            c->idx, at, padding, (unsigned long long)started, (unsigned long long)counts.sent));
}

static void send_direct(conn *c) {
  char message[66000];
  post(c, message, snprintf(message, sizeof message, "{\"type\":3,\"to\":\"user%05d\",\"data\":\"@%d:%llu:#%s\"}",
                            rand() % plan.connections, c->idx, (unsigned long long)now(), padding));
}

/* The mixed run's messages carry a serial for the audit, and an id for an Ack. */
static void send_group_numbered(conn *c) {
  char message[66000];
  unsigned long long serial = groups++;
  post(c, message, snprintf(message, sizeof message, "{\"type\":2,\"data\":\"@%d:%llu:g%llu#%s\",\"id\":\"g%llu\"}",
                            c->idx, (unsigned long long)now(), serial, padding, serial));
}

static void send_direct_numbered(conn *c, int to) {
  char message[66000];
  unsigned long long serial = note_direct(to);
  post(c, message, snprintf(message, sizeof message,
                            "{\"type\":3,\"to\":\"user%05d\",\"data\":\"@%d:%llu:d%llu#%s\",\"id\":\"d%llu\"}",
                            to, c->idx, (unsigned long long)now(), serial, padding, serial));
}

static void fill_window(conn *c) {
  while (c->state == READY && c->inflight < plan.window && now() < stop_at) {
    int before = c->inflight;
    if (plan.kind == DIRECT) send_direct(c);
    else if (plan.acks) send_group_acked(c);
    else send_group(c);
    if (c->inflight == before) return;
  }
}

static conn *next_sender(void) { return &conns[sender_turn++ % plan.senders]; }

static uint64_t due(double rate) { return (now() - started) / 1e9 * rate; }

static void pace_group(void) {
  static uint64_t sent;
  for (uint64_t wanted = due(plan.rate); sent < wanted; sent++) {
    conn *c = next_sender();
    if (c->state != READY) continue;
    if (plan.kind == MIXED) send_group_numbered(c);
    else send_group(c);
  }
}

/* Each connection sends direct messages to a few others. */
static void pace_direct(void) {
  for (uint64_t wanted = due(plan.direct_rate); directs < wanted;) {
    int from = rand() % plan.stayers;
    if (conns[from].state != READY) return;
    send_direct_numbered(&conns[from], (from + 1 + rand() % FRIENDS) % plan.stayers);
  }
}

/* Churners disconnect in turn, every second one without a close frame, and reconnect when half of the others are gone. */
static void pace_churn(void) {
  uint64_t wanted = due(plan.churn), away = plan.churners / 2;
  for (; leaves_due < wanted; leaves_due++) {
    conn *c = &conns[plan.stayers + leaves_due % plan.churners];
    if (c->state != READY) continue;
    wire_leave(c, leaves_due % 2);
    counts.leaves++;
  }
  for (; joins_due + away < leaves_due; joins_due++) {
    conn *c = &conns[plan.stayers + joins_due % plan.churners];
    if (c->state != OUT) continue;
    wire_connect(c);
    counts.joins++;
  }
}

/* Begin sending; nothing is sent after `until`. */
void talk_begin(uint64_t until) {
  started = now();
  stop_at = until;
  listeners = wire.ready - plan.slow;
  for (int i = plan.connections - plan.slow; i < plan.connections; i++) wire_pause(&conns[i]);
  if (!plan.rate)
    for (int i = 0; i < plan.senders; i++) fill_window(&conns[i]);
}

/* Send the messages that are due by now. */
void talk_pace(void) {
  if (plan.rate) pace_group();
  if (plan.direct_rate) pace_direct();
  if (plan.churn) pace_churn();
}

/* ---- receiving ---------------------------------------------------------------------------------------------- */

static int read_mark(const char *at, mark *m) {
  char *rest;
  m->sender = strtol(at + 1, &rest, 10);
  if (*rest != ':' || m->sender < 0 || m->sender >= plan.connections) return 0;
  m->stamp = strtoull(rest + 1, &rest, 10);
  if (*rest != ':') return 0;
  m->kind = rest[1];
  m->serial = m->kind == '#' ? 0 : strtoull(rest + 2, NULL, 10);
  return 1;
}

static void record(conn *c, const mark *m) {
  if (c->churner) return;
  if (m->kind == 'g') {
    c->group++;
    c->sum += m->serial;
    c->order = (c->order ^ m->serial) * 0x100000001b3ull;
  } else if (m->serial < directs && direct_to[m->serial] == c->idx) {
    c->direct++;
    direct_to[m->serial] = DELIVERED;
  } else {
    counts.strayed++;
  }
}

/* A closed loop: a delivered message lets its sender send the next. */
static void release_window(conn *c, const mark *m) {
  if (plan.kind == GROUP && m->sender != c->idx) return;
  conn *sender = &conns[m->sender];
  sender->inflight--;
  fill_window(sender);
}

static int starts(const uint8_t *text, size_t size, const char *with) {
  size_t length = strlen(with);
  return size >= length && !memcmp(text, with, length);
}

static void count_push(size_t size) {
  uint64_t second = now() / SECOND;
  if (second != push_second) push_this_second = 0;
  push_second = second;
  push_this_second += size;
  counts.push_bytes += size;
  if (push_this_second > counts.push_peak) counts.push_peak = push_this_second;
}

/* Not a chat message but a roster, an Ack or an Error; over Socket.IO it is an event's argument.
 * The first roster of a connection is not a push. */
static void count_other(conn *c, const uint8_t *text, size_t size) {
  const uint8_t *object = plan.socketio ? memchr(text, '{', size) : NULL;
  if (object) {
    size -= object - text;
    text = object;
  }
  if (starts(text, size, "{\"type\":1,")) {
    if (c->lists++) count_push(size);
  } else if (starts(text, size, "{\"type\":5,")) {
    count_push(size);
  } else if (starts(text, size, "{\"type\":4,")) {
    counts.acks++;
  } else if (starts(text, size, "{\"type\":0,")) {
    if (!counts.errors++) fprintf(stderr, "connection %d received %.*s\n", c->idx, (int)(size < 200 ? size : 200), text);
  } else {
    counts.others++;
  }
}

void talk_received(conn *c, const uint8_t *text, size_t size) {
  mark m;
  const char *at = memchr(text, '@', size);
  if (!at) {
    count_other(c, text, size);
    return;
  }
  if (c->slow) return;
  counts.received++;
  counts.window_received += measuring;
  if (plan.kind == GROUP && !c->sampled && c->idx >= plan.senders) return;
  if (!read_mark(at, &m)) return;
  if (measuring && c->sampled) histogram_add(&latency, now() - m.stamp);
  if (plan.kind == MIXED) record(c, &m);
  else if (!plan.rate) release_window(c, &m);
}

void talk_turned(uint64_t ns) {
  if (measuring) histogram_add(&turns, ns);
}

/* ---- the audit ---------------------------------------------------------------------------------------------- */

/* Return the deliveries that the sent messages must result in; those to churners are not counted. */
uint64_t talk_expected(void) {
  if (plan.kind == MIXED) return groups * plan.stayers + directs;
  return plan.kind == DIRECT ? counts.sent : counts.sent * listeners;
}

uint64_t talk_arrived(void) {
  if (plan.kind != MIXED) return counts.received;
  uint64_t arrived = 0;
  for (int i = 0; i < plan.stayers; i++) arrived += conns[i].group + conns[i].direct;
  return arrived;
}

static void audit_group(const conn *c, talk_verdict *v) {
  uint64_t all = groups ? groups * (groups - 1) / 2 : 0;
  if (c->group < groups) v->group_missing += groups - c->group;
  else if (c->group > groups) v->group_twice += c->group - groups;
  else if (c->sum != all) v->group_missing++; /* one lost and another delivered twice */
  else if (c->order != conns[0].order) v->out_of_order++;
}

/* Audit a mixed run: every connection that stayed must have received everything, once, in the same order. */
talk_verdict talk_audit(void) {
  talk_verdict v = {.group = groups, .direct = directs, .direct_strayed = counts.strayed};
  for (int i = 0; i < plan.stayers; i++) {
    audit_group(&conns[i], &v);
    v.direct_missing += conns[i].direct_due - conns[i].direct;
  }
  v.acks_missing = counts.sent > counts.acks ? counts.sent - counts.acks : 0;
  return v;
}
