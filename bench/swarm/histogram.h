/* Durations in logarithmic buckets: fixed memory for any number of values, each with an error below one percent. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H
#include <stdint.h>

enum { FINE_BITS = 8, FINE = 1 << FINE_BITS, BUCKETS = (64 - FINE_BITS + 1) * FINE };

typedef struct {
  uint64_t count[BUCKETS];
  uint64_t total, max;
} histogram;

static inline void histogram_add(histogram *h, uint64_t ns) {
  int shift = ns < FINE ? 0 : 63 - __builtin_clzll(ns) - FINE_BITS + 1;
  h->count[shift * FINE / 2 + (ns >> shift)]++;
  h->total++;
  if (ns > h->max) h->max = ns;
}

/* Return the q-quantile in milliseconds; -1 without values. */
static inline double histogram_ms(const histogram *h, double q) {
  if (!h->total) return -1;
  uint64_t before = 0, wanted = (uint64_t)((h->total - 1) * q);
  for (int i = 0; i < BUCKETS; i++) {
    before += h->count[i];
    if (before <= wanted) continue;
    int shift = i < FINE ? 0 : i / (FINE / 2) - 1;
    double value = (double)(i - shift * FINE / 2) * (double)(1ull << shift);
    return (value < h->max ? value : h->max) / 1e6;
  }
  return h->max / 1e6;
}
#endif
