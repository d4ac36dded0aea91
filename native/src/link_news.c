#include "link_news.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* The payload of the first attribute of this type; NULL if there is none. */
static const uint8_t *find_attribute(const uint8_t *payload, size_t length, unsigned short type, size_t *room) {
  for (size_t at = 0; at + sizeof(struct rtattr) <= length;) {
    struct rtattr attribute;
    memcpy(&attribute, payload + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > length - at) return NULL;
    *room = attribute.rta_len - sizeof attribute;
    if ((attribute.rta_type & NLA_TYPE_MASK) == type) return payload + at + sizeof attribute;
    at += RTA_ALIGN(attribute.rta_len);
  }
  return NULL;
}

/* Ports of a bridge, as those of pods mostly are, have no addresses; those of a VRF have. */
static bool is_bridge_port(const uint8_t *attributes, size_t length) {
  static const char *const bridges[] = {"bridge", "openvswitch"};
  size_t room = 0;
  const uint8_t *link = find_attribute(attributes, length, IFLA_LINKINFO, &room);
  const uint8_t *kind = link == NULL ? NULL : find_attribute(link, room, IFLA_INFO_SLAVE_KIND, &room);
  if (kind == NULL) return false;
  for (size_t i = 0; i < sizeof bridges / sizeof *bridges; i++) {
    size_t size = strlen(bridges[i]);
    if (room >= size && memcmp(kind, bridges[i], size) == 0 && (room == size || kind[size] == '\0')) return true;
  }
  return false;
}

bool is_link_news(const uint8_t *payload, size_t length) {
  struct ifinfomsg body;
  if (length < sizeof body) return true;
  memcpy(&body, payload, sizeof body);
  if (body.ifi_family != AF_UNSPEC) return false;
  size_t start = NLMSG_ALIGN(sizeof body);
  return length < start || !is_bridge_port(payload + start, length - start);
}
