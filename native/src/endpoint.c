#include "endpoint.h"

#include <string.h>

#define ADDRESS_BYTES 16
#define MAPPED_PREFIX 12

static const uint8_t mapped[MAPPED_PREFIX] = {[10] = 0xff, [11] = 0xff};

bool endpoint_equal(const endpoint *a, const endpoint *b) {
  return memcmp(a->bytes, b->bytes, ENDPOINT_BYTES) == 0;
}

endpoint endpoint_of(const socket_address *address) {
  endpoint out;
  if (address->any.sa_family == AF_INET) {
    memcpy(out.bytes, mapped, MAPPED_PREFIX);
    memcpy(out.bytes + MAPPED_PREFIX, &address->v4.sin_addr, 4);
    memcpy(out.bytes + ADDRESS_BYTES, &address->v4.sin_port, 2);
  } else {
    memcpy(out.bytes, &address->v6.sin6_addr, ADDRESS_BYTES);
    memcpy(out.bytes + ADDRESS_BYTES, &address->v6.sin6_port, 2);
  }
  return out;
}

socklen_t endpoint_address(const endpoint *from, int family, socket_address *out) {
  memset(out, 0, sizeof *out);
  out->any.sa_family = (sa_family_t)family;
  if (family == AF_INET6) {
    memcpy(&out->v6.sin6_addr, from->bytes, ADDRESS_BYTES);
    memcpy(&out->v6.sin6_port, from->bytes + ADDRESS_BYTES, 2);
    return sizeof out->v6;
  }
  if (memcmp(from->bytes, mapped, MAPPED_PREFIX) != 0) return 0;
  memcpy(&out->v4.sin_addr, from->bytes + MAPPED_PREFIX, 4);
  memcpy(&out->v4.sin_port, from->bytes + ADDRESS_BYTES, 2);
  return sizeof out->v4;
}
