/* Connections: sockets on one epoll, the WebSocket handshake, frames in and out. talk.c knows the messages. */
#ifndef WIRE_H
#define WIRE_H
#include <stddef.h>
#include <stdint.h>

typedef enum { OUT, CONNECTING, HANDSHAKE, SIO_OPEN, SIO_SPACE, READY, LEAVING, DEAD } state;

typedef struct {
  int fd, idx;
  state state;
  uint8_t sampled;  /* its latencies are recorded */
  uint8_t slow;     /* stops reading when the messages begin */
  uint8_t churner;  /* disconnects and reconnects during the run */
  uint16_t code;    /* of the server's close frame; 0: none */
  int inflight;
  uint32_t lists;   /* whole rosters received since it connected */
  uint8_t *held;    /* the beginning of an incomplete frame */
  size_t nheld;
  uint64_t group, sum, order;   /* mixed: group messages received, their serials' sum, a hash of their order */
  uint32_t direct, direct_due;  /* mixed: direct messages received, and addressed to it */
} conn;

/* Totals of all connections. */
typedef struct {
  uint64_t bytes, reads, frames;
  int ready, dead, left, launched;
} wire_totals;

extern wire_totals wire;

void wire_open(const char *host, int port, int socketio, char **paths, int npaths);
void wire_connect(conn *c);
void wire_leave(conn *c, int politely);
void wire_pause(conn *c);
void wire_resume(conn *c);
int wire_send(conn *c, int opcode, const char *payload, size_t size);
void wire_turn(int timeout_ms);
uint64_t now(void);

/* Callbacks in talk.c: a complete text message arrived; one turn of the loop took `ns`. */
void talk_received(conn *c, const uint8_t *text, size_t size);
void talk_turned(uint64_t ns);
#endif
