#include "address_module.h"

#include "glue.h"
#include "link_news.h"
#include "watcher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel makes no longer datagram (Documentation/userspace-api/netlink/intro.rst). */
#define DATAGRAM_ROOM 32768

typedef struct {
  int fd;
  watcher *watch;
  bool broken;
} address_watch;

/* Every pod's interface brings and takes addresses of its link alone, which nobody elsewhere can reach. */
static bool is_address_news(const uint8_t *payload, size_t length) {
  struct ifaddrmsg body;
  if (length < sizeof body) return true;
  memcpy(&body, payload, sizeof body);
  return body.ifa_scope < RT_SCOPE_LINK;
}

static bool is_news(const uint8_t *datagram, size_t length) {
  for (size_t at = 0; length - at >= NLMSG_HDRLEN;) {
    struct nlmsghdr head;
    memcpy(&head, datagram + at, sizeof head);
    if (head.nlmsg_len < NLMSG_HDRLEN || NLMSG_ALIGN(head.nlmsg_len) > length - at) return true;
    const uint8_t *payload = datagram + at + NLMSG_HDRLEN;
    size_t room = head.nlmsg_len - NLMSG_HDRLEN;
    bool of_address = head.nlmsg_type == RTM_NEWADDR || head.nlmsg_type == RTM_DELADDR;
    if (of_address && is_address_news(payload, room)) return true;
    /* With an interface that is deleted its addresses are, which is told, too. */
    if (head.nlmsg_type == RTM_NEWLINK && is_link_news(payload, room)) return true;
    at += NLMSG_ALIGN(head.nlmsg_len);
  }
  return false;
}

/* Empties the socket; whether JavaScript is to be told. What the kernel had to leave out counts as news. */
static bool take_news(void *context, uint32_t ready) {
  (void)ready;
  address_watch *self = context;
  _Alignas(NLMSG_ALIGNTO) uint8_t datagram[DATAGRAM_ROOM];
  bool news = false;
  for (;;) {
    ssize_t count = recv(self->fd, datagram, sizeof datagram, MSG_DONTWAIT);
    if (count >= 0) news |= is_news(datagram, (size_t)count);
    else if (errno == ENOBUFS) news = true;
    else if (errno != EINTR) return news;
  }
}

static int open_socket(void) {
  struct sockaddr_nl groups = {
      .nl_family = AF_NETLINK,
      .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
  };
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0 || bind(fd, (struct sockaddr *)&groups, sizeof groups) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  address_watch *self = data;
  watcher_stop(&self->watch);
  free(self);
}

/* watchAddresses(onChange): handle, in the network namespace of the thread. */
static napi_value watch_addresses(napi_env env, napi_callback_info info) {
  napi_value argument, handle;
  glue_arguments(env, info, 1, &argument);
  address_watch *self = calloc(1, sizeof *self);
  if (self == NULL) {
    MUST(napi_throw_error(env, "ENOMEM", "No memory is left to watch addresses."));
    return NULL;
  }
  self->fd = open_socket();
  if (self->fd < 0) {
    glue_throw_errno(env, "cannot watch the addresses of this host", errno);
    free(self);
    return NULL;
  }
  if (!watcher_start(env, self->fd, argument, &self->watch, &self->broken)) {
    free(self);
    MUST(napi_throw_error(env, NULL, "The event loop does not take the socket that tells of addresses."));
    return NULL;
  }
  watcher_ask_first(self->watch, take_news, self, 0);
  MUST(napi_create_external(env, self, finalize, NULL, &handle));
  return handle;
}

/* stopWatchingAddresses(handle) */
static napi_value stop_watching(napi_env env, napi_callback_info info) {
  napi_value argument;
  glue_arguments(env, info, 1, &argument);
  address_watch *self = glue_pointer(env, argument);
  if (self == NULL) return NULL;
  watcher_stop(&self->watch);
  return glue_undefined(env);
}

static bool write_address(const struct sockaddr *from, char *text) {
  const void *bytes = NULL;
  if (from == NULL) return false;
  if (from->sa_family == AF_INET) bytes = &((const struct sockaddr_in *)from)->sin_addr;
  else if (from->sa_family == AF_INET6) bytes = &((const struct sockaddr_in6 *)from)->sin6_addr;
  return bytes != NULL && inet_ntop(from->sa_family, bytes, text, INET6_ADDRSTRLEN) != NULL;
}

static void add_text(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value value = NULL;
  MUST(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value));
  MUST(napi_set_named_property(env, object, name, value));
}

/* hostAddresses(): [{name, address, running}], but for those of the loopback; running: up, and with a carrier. */
static napi_value host_addresses(napi_env env, napi_callback_info info) {
  (void)info;
  struct ifaddrs *all = NULL;
  napi_value list, running, entry = NULL;
  uint32_t count = 0;
  if (getifaddrs(&all) != 0) {
    glue_throw_errno(env, "cannot list the addresses of this host", errno);
    return NULL;
  }
  MUST(napi_create_array(env, &list));
  for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next) {
    char text[INET6_ADDRSTRLEN];
    if ((each->ifa_flags & IFF_LOOPBACK) || !write_address(each->ifa_addr, text)) continue;
    MUST(napi_create_object(env, &entry));
    add_text(env, entry, "name", each->ifa_name);
    add_text(env, entry, "address", text);
    unsigned both = IFF_UP | IFF_RUNNING;
    MUST(napi_get_boolean(env, (each->ifa_flags & both) == both, &running));
    MUST(napi_set_named_property(env, entry, "running", running));
    MUST(napi_set_element(env, list, count++, entry));
  }
  freeifaddrs(all);
  return list;
}

void address_register(napi_env env, napi_value exports) {
  glue_export(env, exports, "watchAddresses", watch_addresses);
  glue_export(env, exports, "stopWatchingAddresses", stop_watching);
  glue_export(env, exports, "hostAddresses", host_addresses);
}
