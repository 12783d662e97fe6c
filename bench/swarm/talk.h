/* What the connections say, and the books on what they hear. */
#ifndef TALK_H
#define TALK_H
#include "histogram.h"
#include "wire.h"

typedef enum { GROUP, DIRECT, MIXED } kind;

/* The plan, filled from the command line. */
typedef struct {
  kind kind;
  int socketio, acks, connections, senders, window, slow, churners, stayers;
  double rate, direct_rate, churn; /* a second, all connections together; rate 0: as fast as they come back */
  int payload;
} talk_plan;

/* Counts since the start, and those of the measured window. */
typedef struct {
  uint64_t sent, heard, acks, errors, others;
  uint64_t window_sent, window_heard;
  uint64_t joins, leaves, strayed;
  uint64_t push_bytes, push_peak; /* rosters pushed: in all, and in the worst second */
} talk_counts;

/* What a mixed run is held to when it has ended. All but the first two are faults. */
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
