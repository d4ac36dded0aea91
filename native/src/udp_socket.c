#include "udp_socket.h"

#include "endpoint.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Granted beyond net.core.rmem_max and wmem_max to who has CAP_NET_ADMIN. */
#define BUFFER_BYTES (8 << 20)

static void set(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

/* What an old kernel lacks costs speed, not function. */
static void tune(int fd, int family) {
  /* Without CAP_NET_ADMIN only the first of each pair has an effect. */
  set(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
  set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set(fd, SOL_UDP, UDP_GRO, 1);
  /* Path MTU is probed by the links: never fragment, and do not believe ICMP, which anybody may forge. */
  set(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  if (family == AF_INET6) set(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

static int bind_to(int family, const uint8_t *address, size_t bytes, uint16_t port) {
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
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
  if (bind(fd, &at.any, length) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

int udp_socket_open(const uint8_t *address, size_t bytes, uint16_t port, int *family) {
  *family = bytes == 4 ? AF_INET : AF_INET6;
  int fd = bind_to(*family, address, bytes, port);
  if (fd == -EAFNOSUPPORT && bytes == 0) {
    *family = AF_INET;
    fd = bind_to(*family, address, bytes, port);
  }
  if (fd >= 0) tune(fd, *family);
  return fd;
}
