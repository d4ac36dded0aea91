#include "kernel_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The kernel makes no longer datagram (Documentation/userspace-api/netlink/intro.rst). */
#define DATAGRAM_ROOM 32768
#define PROTOCOLS 32

typedef struct {
  uint32_t kind, tolerated, length;
} step_head;

typedef struct {
  const char *netns;
  const uint8_t *steps;
  size_t length;
  kernel_outcome *out;
} run_order;

/* The sockets of one run, by protocol; -1 = none yet. */
typedef struct {
  int sockets[PROTOCOLS];
  bool elsewhere;
  kernel_outcome *out;
} run_state;

/*
 * The one for netfilter in the namespace of the process is kept: when one is closed, the kernel waits until what its
 * transactions deleted is in use no more, about 10 ms.
 */
static pthread_mutex_t netfilter_lock = PTHREAD_MUTEX_INITIALIZER;
static int netfilter_socket = -1;

static int open_socket(uint32_t protocol) {
  int one = 1;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)protocol);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
  return fd;
}

static int socket_of(run_state *state, uint32_t protocol) {
  if (protocol >= PROTOCOLS) {
    errno = EPROTONOSUPPORT;
    return -1;
  }
  if (state->sockets[protocol] < 0) state->sockets[protocol] = open_socket(protocol);
  return state->sockets[protocol];
}

/* How many messages of these ask for an acknowledgement; -1 if their lengths do not fit. */
static int count_questions(const uint8_t *bytes, size_t length) {
  int questions = 0;
  for (size_t at = 0; at < length;) {
    struct nlmsghdr head;
    if (length - at < sizeof head) return -1;
    memcpy(&head, bytes + at, sizeof head);
    if (head.nlmsg_len < sizeof head || NLMSG_ALIGN(head.nlmsg_len) > length - at) return -1;
    if (head.nlmsg_flags & NLM_F_ACK) questions++;
    at += NLMSG_ALIGN(head.nlmsg_len);
  }
  return questions;
}

static int keep_reply(kernel_outcome *out, const void *message, size_t length) {
  if (out->room - out->length < length) {
    size_t room = 2 * out->room + length;
    uint8_t *replies = realloc(out->replies, room);
    if (replies == NULL) return ENOMEM;
    out->replies = replies;
    out->room = room;
  }
  memcpy(out->replies + out->length, message, length);
  out->length += length;
  return 0;
}

/* The text among the attributes after an error. Requests are not echoed, as NETLINK_CAP_ACK asks. */
static void keep_text(kernel_outcome *out, const uint8_t *message, const struct nlmsghdr *head) {
  size_t at = NLMSG_HDRLEN + sizeof(struct nlmsgerr);
  out->said[0] = '\0';
  if (!(head->nlmsg_flags & NLM_F_ACK_TLVS) || !(head->nlmsg_flags & NLM_F_CAPPED)) return;
  while (head->nlmsg_len - at >= NLA_HDRLEN && at < head->nlmsg_len) {
    struct nlattr attribute;
    memcpy(&attribute, message + at, sizeof attribute);
    if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > head->nlmsg_len - at) return;
    if (attribute.nla_type == NLMSGERR_ATTR_MSG) {
      size_t length = attribute.nla_len - NLA_HDRLEN;
      if (length >= sizeof out->said) length = sizeof out->said - 1;
      memcpy(out->said, message + at + NLA_HDRLEN, length);
      out->said[length] = '\0';
      return;
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
}

/* One answer; `*error` becomes the first failure. Returns whether it was an acknowledgement. */
static int take_answer(kernel_outcome *out, const uint8_t *message, const struct nlmsghdr *head, int *error) {
  if (head->nlmsg_type != NLMSG_ERROR) {
    int failure = keep_reply(out, message, NLMSG_ALIGN(head->nlmsg_len));
    if (*error == 0) *error = failure;
    return 0;
  }
  if (head->nlmsg_len < NLMSG_HDRLEN + sizeof(struct nlmsgerr)) return 1;
  int code;
  memcpy(&code, message + NLMSG_HDRLEN, sizeof code);
  if (code != 0 && *error == 0) {
    *error = -code;
    keep_text(out, message, head);
  }
  return 1;
}

/* The kernel answers before the sending of the question returns, so what is not there then never comes. */
static int read_answers(kernel_outcome *out, int fd, int questions) {
  _Alignas(NLMSG_ALIGNTO) uint8_t datagram[DATAGRAM_ROOM];
  int error = 0;
  while (questions > 0) {
    ssize_t count = recv(fd, datagram, sizeof datagram, MSG_DONTWAIT | MSG_TRUNC);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return error != 0 ? error : errno == EAGAIN ? EPROTO : errno;
    if ((size_t)count > sizeof datagram) return EMSGSIZE;
    for (size_t at = 0; at + NLMSG_HDRLEN <= (size_t)count;) {
      struct nlmsghdr head;
      memcpy(&head, datagram + at, sizeof head);
      if (head.nlmsg_len < NLMSG_HDRLEN || NLMSG_ALIGN(head.nlmsg_len) > (size_t)count - at) return EPROTO;
      questions -= take_answer(out, datagram + at, &head, &error);
      at += NLMSG_ALIGN(head.nlmsg_len);
    }
  }
  return error;
}

static int exchange(kernel_outcome *out, int fd, const uint8_t *bytes, size_t length) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  int questions = count_questions(bytes, length);
  if (questions < 0) return EINVAL;
  ssize_t count;
  do count = sendto(fd, bytes, length, 0, (struct sockaddr *)&kernel, sizeof kernel);
  while (count < 0 && errno == EINTR);
  return count < 0 ? errno : read_answers(out, fd, questions);
}

static int ask_netfilter(kernel_outcome *out, const uint8_t *bytes, size_t length) {
  pthread_mutex_lock(&netfilter_lock);
  if (netfilter_socket < 0) netfilter_socket = open_socket(NETLINK_NETFILTER);
  int error = netfilter_socket < 0 ? errno : exchange(out, netfilter_socket, bytes, length);
  /* After a failure more answers may have come than were read. */
  if (error != 0 && netfilter_socket >= 0) {
    close(netfilter_socket);
    netfilter_socket = -1;
  }
  pthread_mutex_unlock(&netfilter_lock);
  return error;
}

static int ask(run_state *state, uint32_t protocol, const uint8_t *bytes, size_t length) {
  if (protocol == NETLINK_NETFILTER && !state->elsewhere) return ask_netfilter(state->out, bytes, length);
  int fd = socket_of(state, protocol);
  return fd < 0 ? errno : exchange(state->out, fd, bytes, length);
}

static int write_file(const uint8_t *bytes, size_t length) {
  const char *path = (const char *)bytes;
  size_t end = strnlen(path, length);
  if (end == length) return EINVAL;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t count = write(fd, bytes + end + 1, length - end - 1);
  int error = count < 0 ? errno : 0;
  close(fd);
  return error;
}

static int do_step(run_state *state, const step_head *head, const uint8_t *bytes) {
  int error = head->kind == KERNEL_FILE ? write_file(bytes, head->length)
                                        : ask(state, head->kind, bytes, head->length);
  if (error == 0 || (uint32_t)error != head->tolerated) return error;
  state->out->said[0] = '\0';
  return 0;
}

static void do_steps(bool elsewhere, const uint8_t *steps, size_t length, kernel_outcome *out) {
  run_state state = {.elsewhere = elsewhere, .out = out};
  for (size_t i = 0; i < PROTOCOLS; i++) state.sockets[i] = -1;
  for (size_t at = 0; out->error == 0 && at < length;) {
    step_head head;
    if (length - at < sizeof head) {
      out->error = EINVAL;
      break;
    }
    memcpy(&head, steps + at, sizeof head);
    at += sizeof head;
    out->error = head.length > length - at ? EINVAL : do_step(&state, &head, steps + at);
    if (out->error != 0) break;
    at += head.length;
    out->step++;
  }
  for (size_t i = 0; i < PROTOCOLS; i++) {
    if (state.sockets[i] >= 0) close(state.sockets[i]);
  }
}

/* A thread that enters another namespace ends there: no other work is ever done in the wrong one. */
static void *run_inside(void *data) {
  run_order *order = data;
  int fd = open(order->netns, O_RDONLY | O_CLOEXEC);
  if (fd >= 0 && setns(fd, CLONE_NEWNET) == 0) {
    close(fd);
    do_steps(true, order->steps, order->length, order->out);
    return NULL;
  }
  order->out->error = errno;
  order->out->step = UINT32_MAX;
  if (fd >= 0) close(fd);
  return NULL;
}

void kernel_run(const char *netns, const uint8_t *steps, size_t length, kernel_outcome *out) {
  run_order order = {netns, steps, length, out};
  pthread_t thread;
  *out = (kernel_outcome){0};
  if (netns == NULL) {
    do_steps(false, steps, length, out);
    return;
  }
  /* The thread may have written its outcome before this returns. */
  int error = pthread_create(&thread, NULL, run_inside, &order);
  if (error == 0) {
    pthread_join(thread, NULL);
    return;
  }
  out->error = error;
  out->step = UINT32_MAX;
}

uint64_t kernel_namespace(const char *path) {
  struct statfs system;
  struct stat file;
  uint64_t number = 0;
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return 0;
  /* What a device makes of the question is not known, so only a file of the namespaces' file system is asked. */
  bool is_namespace = fstatfs(fd, &system) == 0 && system.f_type == NSFS_MAGIC;
  if (is_namespace && ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET && fstat(fd, &file) == 0) number = file.st_ino;
  close(fd);
  return number;
}
