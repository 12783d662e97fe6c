/* Connections: sockets on one epoll, the WebSocket handshake, frames out and in. What is said, talk.c knows. */
#ifndef WIRE_H
#define WIRE_H
#include <stddef.h>
#include <stdint.h>

typedef enum { OUT, CONNECTING, HANDSHAKE, SIO_OPEN, SIO_SPACE, READY, LEAVING, DEAD } state;

typedef struct {
  int fd, idx;
  state state;
  uint8_t sampled;  /* latency is taken here */
  uint8_t slow;     /* stops reading when the talk begins */
  uint8_t churner;  /* comes and goes while the others talk */
  uint16_t code;    /* of the server's close frame; 0: none came */
  int inflight;
  uint32_t lists;   /* whole rosters received since it came */
  uint8_t *held;    /* the beginning of a frame whose rest has not come */
  size_t nheld;
  uint64_t group, sum, order;   /* mixed: group messages heard, their serials' sum, a hash of their order */
  uint32_t direct, direct_due;  /* mixed: direct messages heard, and addressed here */
} conn;

/* What the wire saw, all connections together. */
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

/* talk.c: a whole text message came; one turn of the loop took so long. */
void talk_heard(conn *c, const uint8_t *text, size_t size);
void talk_turned(uint64_t ns);
#endif
