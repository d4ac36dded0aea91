/*
 * Generator and receiver of UDP load for the benchmark; iperf3's one system call per datagram is slower than the
 * tunnels.
 *
 *   udp-load send RUN ADDRESS PORT BYTES RATE SECONDS   RATE in datagrams per second, 0 = as fast as it goes
 *   udp-load receive RUN PORT
 *
 * Payload: RUN u32 | sequence u32 | zeros, so BYTES >= 8; both in host order. Only datagrams of the same RUN count: what
 * an earlier sender left in a queue does not. The sender prints "SENT NANOSECONDS".
 * The receiver prints "ready", counts distinct sequence numbers until its standard input ends and no datagram has come
 * for 200 ms, and prints "DISTINCT DUPLICATES REORDERED". Standard input may say how many there must be: for those it
 * waits 10 s. SIGALRM ends both if they hang.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  BATCH = 64,
  MAX_BYTES = 2048,
  SOCKET_BYTES = 16 << 20,
  /* One bit per sequence number: 64 Mi datagrams are 20 s at 3 million per second. */
  MAX_SEQUENCES = 1 << 26,
  TICK_NS = 100000,
  QUIET_MS = 200,
  MISSING_MS = 10000,
  HANG_SECONDS = 60
};

static const uint64_t SECOND_NS = 1000000000ull;

static unsigned char buffers[BATCH][MAX_BYTES];
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];
static unsigned char seen[MAX_SEQUENCES / 8];

static void fail(const char *what) {
  fprintf(stderr, "udp-load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t at) {
  struct timespec t = {.tv_sec = (time_t)(at / SECOND_NS), .tv_nsec = (long)(at % SECOND_NS)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void prepare_batch(size_t bytes) {
  for (int i = 0; i < BATCH; i++) {
    vectors[i].iov_base = buffers[i];
    vectors[i].iov_len = bytes;
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
}

static int udp_socket(int option, int forced) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int size = SOCKET_BYTES;
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size);
  return fd;
}

/* Sends `count` (at most BATCH) datagrams with consecutive numbers from `next`; returns how many the kernel took. */
static uint32_t send_batch(int fd, uint32_t run, uint32_t next, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    uint32_t header[2] = {run, next + i};
    memcpy(buffers[i], header, sizeof header);
  }
  int sent = sendmmsg(fd, messages, count, 0);
  if (sent >= 0) return (uint32_t)sent;
  /* A full queue is loss before the tunnel: not counted as offered. */
  if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED) return 0;
  fail("sendmmsg");
  return 0;
}

static int sender(uint32_t run, char **argv) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  size_t bytes = (size_t)atoi(argv[2]);
  double rate = atof(argv[3]);
  if (inet_pton(AF_INET, argv[0], &to.sin_addr) != 1 || bytes < 8 || bytes > MAX_BYTES) {
    fprintf(stderr, "udp-load: ADDRESS is IPv4, BYTES 8 to %d\n", MAX_BYTES);
    return 2;
  }
  int fd = udp_socket(SO_SNDBUF, SO_SNDBUFFORCE);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
  prctl(PR_SET_TIMERSLACK, 1);
  prepare_batch(bytes);
  uint32_t sent = 0;
  uint64_t began = now_ns(), now = began;
  uint64_t end = began + (uint64_t)(atof(argv[4]) * (double)SECOND_NS);
  for (uint64_t tick = began; now < end && sent < MAX_SEQUENCES - BATCH; now = now_ns()) {
    double due = rate == 0 ? BATCH : (double)(now - began) * rate / (double)SECOND_NS - sent;
    unsigned count = due < 0 ? 0 : due > BATCH ? BATCH : (unsigned)due;
    if (count > 0) sent += send_batch(fd, run, sent, count);
    if (rate == 0 || count == BATCH) continue;
    tick = tick + TICK_NS > now ? tick + TICK_NS : now + TICK_NS;
    sleep_until(tick);
  }
  printf("%u %llu\n", sent, (unsigned long long)(now - began));
  return 0;
}

static uint64_t distinct, duplicates, reordered;
static uint32_t highest;

static void count_datagram(uint32_t run, const unsigned char *payload, unsigned length) {
  uint32_t header[2];
  if (length < sizeof header) return;
  memcpy(header, payload, sizeof header);
  uint32_t sequence = header[1];
  if (header[0] != run || sequence >= MAX_SEQUENCES) return;
  unsigned char bit = (unsigned char)(1u << (sequence & 7));
  if (seen[sequence >> 3] & bit) {
    duplicates++;
    return;
  }
  seen[sequence >> 3] |= bit;
  distinct++;
  if (sequence < highest) reordered++;
  else highest = sequence;
}

/* Reads what there is on standard input; false at its end. */
static int read_expected(uint64_t *expected) {
  char text[32];
  ssize_t length = read(0, text, sizeof text - 1);
  if (length <= 0) return 0;
  text[length] = 0;
  *expected = strtoull(text, NULL, 10);
  return 1;
}

static int receiver(uint32_t run, char **argv) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[0]))};
  int fd = udp_socket(SO_RCVBUF, SO_RCVBUFFORCE);
  int reuse = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) fail("bind");
  prepare_batch(MAX_BYTES);
  printf("ready\n");
  fflush(stdout);
  struct pollfd watched[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  uint64_t expected = 0;
  for (int ended = 0;;) {
    int patience = distinct < expected ? MISSING_MS : QUIET_MS;
    int ready = poll(watched, ended ? 1 : 2, ended ? patience : -1);
    if (ready == 0) break;
    if (!ended && (watched[1].revents & (POLLIN | POLLHUP))) ended = !read_expected(&expected);
    if (!(watched[0].revents & POLLIN)) continue;
    int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) count_datagram(run, buffers[i], messages[i].msg_len);
  }
  printf("%llu %llu %llu\n", (unsigned long long)distinct, (unsigned long long)duplicates,
         (unsigned long long)reordered);
  return 0;
}

int main(int argc, char **argv) {
  alarm(HANG_SECONDS);
  uint32_t run = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
  if (argc == 8 && strcmp(argv[1], "send") == 0) return sender(run, argv + 3);
  if (argc == 4 && strcmp(argv[1], "receive") == 0) return receiver(run, argv + 3);
  fprintf(stderr, "usage: udp-load send RUN ADDRESS PORT BYTES RATE SECONDS | udp-load receive RUN PORT\n");
  return 2;
}
