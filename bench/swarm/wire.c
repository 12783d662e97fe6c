#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 17, EVENTS = 1024, TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

wire_totals wire;
static int epoll_fd, over_socketio, reports_left = 5;
static char **path_of, host_port[64];
static int path_count;
static struct sockaddr_in server;
/* All reads share one buffer, so that it stays in the processor's cache. */
static uint8_t *inbox;
static size_t inbox_size;

uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void wire_open(const char *host, int port, int socketio, char **paths, int npaths) {
  epoll_fd = epoll_create1(0);
  over_socketio = socketio;
  path_of = paths;
  path_count = npaths;
  server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &server.sin_addr);
  snprintf(host_port, sizeof host_port, "%s:%d", host, port);
}

static void watch(conn *c, int operation, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = c};
  epoll_ctl(epoll_fd, operation, c->fd, &e);
}

static void end(conn *c, state to) {
  if (c->state == READY) wire.ready--;
  c->state = to;
  close(c->fd); /* this also removes it from the epoll */
  free(c->held);
  c->held = NULL;
  c->nheld = 0;
}

static void die(conn *c, const char *why) {
  if (c->state == LEAVING) {
    end(c, OUT);
    return;
  }
  if (!c->slow && reports_left-- > 0) fprintf(stderr, "connection %d ended: %s, code %d, errno %d\n", c->idx, why, c->code, errno);
  if (!c->slow) wire.dead++;
  end(c, DEAD);
}

/* ---- out ---------------------------------------------------------------------------------------------------- */

static void emulate_network(conn *c) {
  /* Loopback buffers megabytes per connection; a network's segment size and a small window keep the kernel's share small. */
  int segment = 1460, window = 16384;
  setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
}

void wire_connect(conn *c) {
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  c->state = CONNECTING;
  c->lists = c->inflight = c->code = 0;
  wire.launched++;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (c->slow) emulate_network(c);
  if (connect(c->fd, (void *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
    die(c, "connect");
    return;
  }
  watch(c, EPOLL_CTL_ADD, EPOLLOUT | EPOLLIN);
}

static const char *line_of(const conn *c) { return path_of[c->idx % path_count]; }

static void send_upgrade(conn *c) {
  char request[4096];
  const char *line = line_of(c);
  int size = snprintf(request, sizeof request,
                      "GET %.*s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://%s\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                      (int)strcspn(line, "\t"), line, host_port, host_port);
  if (send(c->fd, request, size, MSG_NOSIGNAL) != size) {
    die(c, "request");
    return;
  }
  c->state = HANDSHAKE;
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static size_t write_header(uint8_t *out, int opcode, size_t size) {
  static const uint8_t key[4] = {1, 2, 3, 4};
  size_t used = 2;
  out[0] = 0x80 | opcode;
  out[1] = 0x80 | (size < 126 ? size : 126);
  if (size >= 126) {
    out[2] = size >> 8;
    out[3] = size;
    used = 4;
  }
  memcpy(out + used, key, 4);
  return used + 4;
}

/* Send one masked frame below 64 KB. Return 0 when the kernel has it, -1 when it takes nothing now or the connection died. */
int wire_send(conn *c, int opcode, const char *payload, size_t size) {
  static uint8_t out[70000];
  size_t head = write_header(out, opcode, size), done = 0;
  for (size_t i = 0; i < size; i++) out[head + i] = payload[i] ^ ((i & 3) + 1);
  while (done < head + size) {
    ssize_t sent = send(c->fd, out + done, head + size - done, MSG_NOSIGNAL);
    if (sent >= 0) {
      done += sent;
    } else if (errno != EAGAIN) {
      die(c, "send");
      return -1;
    } else if (!done) {
      return -1;
    }
  }
  return 0;
}

/* Close with a close frame, as a page does, or without one, as a phone that lost its network. */
void wire_leave(conn *c, int politely) {
  wire.left++;
  if (!politely) {
    end(c, OUT);
    return;
  }
  wire.ready--;
  c->state = LEAVING;
  wire_send(c, CLOSE, "\x03\xe9", 2);
}

void wire_pause(conn *c) {
  if (c->state == READY) watch(c, EPOLL_CTL_MOD, 0);
}

void wire_resume(conn *c) {
  if (c->state == READY) watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* ---- in ----------------------------------------------------------------------------------------------------- */

static void become_ready(conn *c) {
  c->state = READY;
  wire.ready++;
}

/* Send CONNECT with the auth data that follows the tab in the path's line: {"token":…}. */
static void connect_namespace(conn *c) {
  char packet[4096];
  const char *tab = strchr(line_of(c), '\t');
  c->state = SIO_SPACE;
  wire_send(c, TEXT, packet, snprintf(packet, sizeof packet, "40%s", tab ? tab + 1 : ""));
}

/* Handle Engine.IO's and Socket.IO's handshakes and pings; return 1 if the text was one. */
static int handle_socketio(conn *c, const uint8_t *text, size_t size) {
  if (c->state == SIO_OPEN && size && text[0] == '0') {
    connect_namespace(c);
  } else if (c->state == SIO_SPACE && size > 1 && text[0] == '4' && text[1] == '0') {
    become_ready(c);
  } else if (c->state == SIO_SPACE && size > 1 && text[0] == '4' && text[1] == '4') {
    die(c, "the namespace was refused");
  } else if (size == 1 && text[0] == '2') {
    wire_send(c, TEXT, "3", 1);
  } else {
    return 0;
  }
  return 1;
}

static void take_frame(conn *c, int opcode, const uint8_t *payload, size_t size) {
  wire.frames++;
  if (opcode == TEXT) {
    if (!over_socketio || !handle_socketio(c, payload, size)) talk_received(c, payload, size);
  } else if (opcode == PING) {
    wire_send(c, PONG, (const char *)payload, size);
  } else if (opcode == CLOSE) {
    c->code = size >= 2 ? payload[0] << 8 | payload[1] : 1005;
    die(c, "closed by the server");
  }
}

static int is_open(const conn *c) { return c->state >= HANDSHAKE && c->state <= LEAVING; }

/* Handle all complete frames; return their size in bytes. */
static size_t take_frames(conn *c, const uint8_t *bytes, size_t size) {
  size_t done = 0;
  while (size - done >= 2) {
    const uint8_t *b = bytes + done;
    uint64_t payload = b[1] & 127;
    size_t head = payload == 126 ? 4 : payload == 127 ? 10 : 2;
    if (size - done < head) break;
    if (head > 2) {
      payload = 0;
      for (size_t i = 2; i < head; i++) payload = payload << 8 | b[i];
    }
    if (size - done < head + payload) break;
    take_frame(c, b[0] & 15, b + head, payload);
    if (!is_open(c)) break;
    done += head + payload;
  }
  return done;
}

/* Handle the handshake's response; return its size, 0 while it is incomplete. */
static size_t take_answer(conn *c, const uint8_t *bytes, size_t size) {
  const uint8_t *end_of_head = memmem(bytes, size, "\r\n\r\n", 4);
  if (!end_of_head) return 0;
  if (!memmem(bytes, end_of_head - bytes, " 101 ", 5)) {
    die(c, "the upgrade was refused");
    return 0;
  }
  if (over_socketio) c->state = SIO_OPEN;
  else become_ready(c);
  return end_of_head + 4 - bytes;
}

static void hold(conn *c, const uint8_t *rest, size_t size) {
  if (!size) {
    free(c->held);
    c->held = NULL;
  } else {
    c->held = realloc(c->held, size);
    memcpy(c->held, rest, size);
  }
  c->nheld = size;
}

static uint8_t *inbox_with(const conn *c) {
  if (inbox_size < c->nheld + READ_BYTES + 1) {
    inbox_size = 2 * (c->nheld + READ_BYTES);
    inbox = realloc(inbox, inbox_size);
  }
  if (c->nheld) memcpy(inbox, c->held, c->nheld);
  return inbox;
}

/* Read once; return 1 if there may be more. */
static int read_some(conn *c) {
  uint8_t *bytes = inbox_with(c);
  ssize_t got = recv(c->fd, bytes + c->nheld, READ_BYTES, 0);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) die(c, got ? "recv" : "end of stream");
    return 0;
  }
  wire.bytes += got;
  wire.reads++;
  size_t size = c->nheld + got, done = 0;
  bytes[size] = 0;
  if (c->state == HANDSHAKE) done = take_answer(c, bytes, size);
  if (c->state > HANDSHAKE && is_open(c)) done += take_frames(c, bytes + done, size - done);
  if (!is_open(c)) return 0;
  hold(c, bytes + done, size - done);
  return got == READ_BYTES;
}

static void serve(conn *c, uint32_t events) {
  if (c->state == CONNECTING) {
    if (events & (EPOLLERR | EPOLLHUP)) die(c, "refused");
    else if (events & EPOLLOUT) send_upgrade(c);
    return;
  }
  for (int round = 0; round < 4 && is_open(c); round++)
    if (!read_some(c)) return;
}

/* Wait for events, at most `timeout_ms`, and handle them. */
void wire_turn(int timeout_ms) {
  static struct epoll_event happened[EVENTS];
  int count = epoll_wait(epoll_fd, happened, EVENTS, timeout_ms);
  if (count <= 0) return;
  uint64_t began = now();
  for (int i = 0; i < count; i++) {
    conn *c = happened[i].data.ptr;
    if (c->state == CONNECTING || is_open(c)) serve(c, happened[i].events);
  }
  talk_turned(now() - began);
}
