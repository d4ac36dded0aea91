/*
 * Puts frames on an interface as a container might that has a raw socket: `inject INTERFACE` sends each record of its
 * standard input. A record is a length u32 LE of what follows | virtio-net header 10 | frame; the header tells the
 * kernel to cut a super-frame into segments or to complete a checksum.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { LONGEST_RECORD = 10 + 66000, QUEUE_BYTES = 16 << 20 };

static unsigned char record[LONGEST_RECORD];

static int failed(const char *what) {
  fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
  return 1;
}

int main(int argc, char **argv) {
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  int on = 1, bytes = QUEUE_BYTES;
  if (argc != 2 || fd < 0) return failed("usage: inject INTERFACE");
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) return failed(argv[1]);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0) return failed("PACKET_VNET_HDR");
  uint8_t prefix[4];
  while (fread(prefix, 1, sizeof prefix, stdin) == sizeof prefix) {
    size_t length = (size_t)prefix[0] | (size_t)prefix[1] << 8 | (size_t)prefix[2] << 16;
    if (length > sizeof record || fread(record, 1, length, stdin) != length) return failed("a record is cut short");
    if (send(fd, record, length, 0) < 0) return failed("send");
  }
  return 0;
}
