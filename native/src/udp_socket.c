#include "udp_socket.h"

#include "endpoint.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Granted beyond net.core.rmem_max, as the other beyond wmem_max, to who has CAP_NET_ADMIN. */
#define RECEIVE_BUFFER_BYTES (8 << 20)

static void set(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

/* What an old kernel lacks costs speed, not function. */
static void tune(int fd, int family) {
  /* Without CAP_NET_ADMIN only the first of each pair has an effect. */
  set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set(fd, SOL_UDP, UDP_GRO, 1);
  /* Path MTU is probed by the links: never fragment, and do not believe ICMP, which anybody may forge. */
  set(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  if (family == AF_INET6) set(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

/* The low bits of a datagram's receiver index (datagram.h) are its lane, as router/wire/lanes.ts says. */
#define LANE_OFFSET 4
#define LANE_MASK 15

/* Chooses by number of the socket. A datagram that is too short to have an index goes to the first. */
static int spread_lanes(int fd, socket_share share) {
  struct sock_filter choose[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, LANE_OFFSET),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, LANE_MASK),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, share.count),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  struct sock_fprog program = {.len = sizeof choose / sizeof *choose, .filter = choose};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

/*
 * The kernel joins datagrams of one flow that come one behind the other, and then chooses a socket for all of them. All
 * lanes are one flow to it, but it joins nothing across a difference in the hop limit.
 */
#define HOP_LIMIT 64

static void part_lanes(int fd, int family, socket_share share) {
  if (share.count == 1) return;
  set(fd, SOL_IP, IP_TTL, HOP_LIMIT - (int)share.number);
  if (family == AF_INET6) set(fd, SOL_IPV6, IPV6_UNICAST_HOPS, HOP_LIMIT - (int)share.number);
}

static int bind_to(int family, const uint8_t *address, size_t bytes, uint16_t port, socket_share share) {
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (share.count > 1) set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  socket_address at;
  memset(&at, 0, sizeof at);
  at.any.sa_family = (sa_family_t)family;
  socklen_t length;
  if (family == AF_INET6) {
    set(fd, SOL_IPV6, IPV6_V6ONLY, bytes != 0);
    memcpy(&at.v6.sin6_addr, address, bytes);
    at.v6.sin6_port = htons(port);
    length = sizeof at.v6;
  } else {
    memcpy(&at.v4.sin_addr, address, bytes);
    at.v4.sin_port = htons(port);
    length = sizeof at.v4;
  }
  if (bind(fd, &at.any, length) == 0 && (share.count == 1 || spread_lanes(fd, share) == 0)) return fd;
  int error = errno;
  close(fd);
  return -error;
}

/* Sharing would join the sockets of another daemon that shares; the first of ours looks whether the port is free. */
static int bind_first(int family, const uint8_t *address, size_t bytes, uint16_t port, socket_share share) {
  if (share.count > 1 && share.number == 0) {
    int alone = bind_to(family, address, bytes, port, (socket_share){.number = 0, .count = 1});
    if (alone < 0) return alone;
    close(alone);
  }
  return bind_to(family, address, bytes, port, share);
}

int udp_socket_open(const uint8_t *address, size_t bytes, uint16_t port, socket_share share, int *family) {
  *family = bytes == 4 ? AF_INET : AF_INET6;
  int fd = bind_first(*family, address, bytes, port, share);
  if (fd == -EAFNOSUPPORT && bytes == 0) {
    *family = AF_INET;
    fd = bind_first(*family, address, bytes, port, share);
  }
  if (fd < 0) return fd;
  tune(fd, *family);
  part_lanes(fd, *family, share);
  return fd;
}
