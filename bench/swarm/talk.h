/* The messages that the connections send, and the accounting of what they receive. */
#ifndef TALK_H
#define TALK_H
#include "histogram.h"
#include "wire.h"

typedef enum { GROUP, DIRECT, MIXED } kind;

/* The plan, filled from the command line. */
typedef struct {
  kind kind;
  int socketio, acks, connections, senders, window, slow, churners, stayers;
  double rate, direct_rate, churn; /* per second, all connections together; rate 0: a closed loop */
  int payload;
} talk_plan;

/* Counts since the start, and of the measured window. */
typedef struct {
  uint64_t sent, received, acks, errors, others;
  uint64_t window_sent, window_received;
  uint64_t joins, leaves, strayed;
  uint64_t push_bytes, push_peak; /* pushed rosters: in total, and in the worst second */
} talk_counts;

/* The result of a mixed run's audit. All but the first two are faults. */
typedef struct {
  uint64_t group, direct;
  uint64_t group_missing, group_twice, out_of_order, direct_missing, direct_strayed, acks_missing;
} talk_verdict;

extern talk_counts counts;
extern histogram latency, turns;
extern int measuring;

void talk_open(const talk_plan *plan, conn *conns);
void talk_begin(uint64_t until);
void talk_pace(void);
uint64_t talk_expected(void);
uint64_t talk_arrived(void);
talk_verdict talk_audit(void);
#endif
