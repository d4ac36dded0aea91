#include "call.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_MS 50
#define ANSWER_LIMIT (16u << 20)

static int connect_once(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* EAGAIN: more wait to be accepted than the daemon's queue holds. */
static bool is_absence(int error) {
  return error == ENOENT || error == ECONNREFUSED || error == EAGAIN || error == ENOTDIR;
}

static int connect_patiently(const char *path, long long patience) {
  for (;;) {
    int fd = connect_once(path);
    if (fd >= 0 || !is_absence(errno) || clock_now() >= patience) return fd;
    int error = errno;
    clock_sleep(RETRY_MS);
    errno = error;
  }
}

static bool send_all(int fd, const char *bytes, size_t length, long long deadline) {
  while (length > 0) {
    if (!clock_poll(fd, POLLOUT, deadline)) return false;
    ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return false;
    }
    bytes += count;
    length -= (size_t)count;
  }
  return true;
}

/* Where the line after `at` begins; null if there is none. */
static const char *next_line(const char *at, const char *end) {
  const char *mark = memchr(at, '\n', (size_t)(end - at));
  return mark == NULL ? NULL : mark + 1;
}

/* Leaves the body in `answer`. */
static enum call_outcome understand(struct buffer *answer) {
  static const char LENGTH[] = "content-length:";
  /* Where the reading of numbers ends, whatever came. */
  buffer_append(answer, "", 1);
  answer->length--;
  const char *end = answer->bytes + answer->length;
  const char *line = answer->length > 12 ? next_line(answer->bytes, end) : NULL;
  if (line == NULL) return answer->length == 0 || answer->bytes[0] == 'H' ? CALL_BROKEN : CALL_STRANGE;
  if (strncmp(answer->bytes, "HTTP/1.1 ", 9) != 0) return CALL_STRANGE;
  int status = atoi(answer->bytes + 9);
  long long length = -1;
  while (line != NULL && line < end && *line != '\r' && *line != '\n') {
    if ((size_t)(end - line) > sizeof LENGTH && strncasecmp(line, LENGTH, sizeof LENGTH - 1) == 0) {
      length = atoll(line + sizeof LENGTH - 1);
    }
    line = next_line(line, end);
  }
  const char *body = line == NULL || line >= end ? NULL : next_line(line, end);
  if (body == NULL) return CALL_BROKEN;
  if (length < 0) return CALL_STRANGE;
  if (end - body < length) return CALL_BROKEN;
  memmove(answer->bytes, body, (size_t)length);
  answer->length = (size_t)length;
  if (status == 200) return CALL_DONE;
  return status == 422 ? CALL_REFUSED : CALL_STRANGE;
}

enum call_outcome call(
    const char *socket_path,
    const struct buffer *body,
    long long patience,
    long long deadline,
    struct buffer *answer) {
  int fd = connect_patiently(socket_path, patience);
  if (fd < 0) return is_absence(errno) ? CALL_ABSENT : CALL_IMPOSSIBLE;
  char head[256];
  int length = snprintf(
      head, sizeof head,
      "POST /cni HTTP/1.1\r\nHost: weave-ts\r\nContent-Type: application/x-weave-ts-cni\r\n"
      "Content-Length: %zu\r\nConnection: close\r\n\r\n",
      body->length);
  errno = 0;
  bool whole = send_all(fd, head, (size_t)length, deadline) && send_all(fd, body->bytes, body->length, deadline);
  /* A daemon that refuses a long body answers before it has read all of it. */
  if (!whole && errno != EPIPE && errno != ECONNRESET) return CALL_BROKEN;
  errno = 0;
  whole = buffer_read_all(answer, fd, ANSWER_LIMIT, deadline);
  int error = errno;
  close(fd);
  if (!whole && error == EFBIG) return CALL_STRANGE;
  errno = whole ? 0 : error;
  return whole || answer->length > 0 ? understand(answer) : CALL_BROKEN;
}
