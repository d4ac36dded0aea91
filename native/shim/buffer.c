#include "buffer.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536

static const char NO_MEMORY[] = "{\"cniVersion\":\"1.1.0\",\"code\":5,\"msg\":\"no memory is left\"}\n";

static void make_room(struct buffer *buffer, size_t length) {
  if (buffer->room - buffer->length >= length) return;
  size_t room = buffer->room * 2 > buffer->length + length ? buffer->room * 2 : buffer->length + length;
  char *bytes = realloc(buffer->bytes, room);
  if (bytes == NULL) {
    ssize_t ignored = write(STDOUT_FILENO, NO_MEMORY, sizeof NO_MEMORY - 1);
    (void)ignored;
    exit(1);
  }
  buffer->bytes = bytes;
  buffer->room = room;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
  make_room(buffer, length);
  memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
}

bool buffer_read_all(struct buffer *buffer, int fd, size_t limit, long long deadline) {
  for (;;) {
    if (!clock_poll(fd, POLLIN, deadline)) return false;
    make_room(buffer, CHUNK);
    ssize_t count = read(fd, buffer->bytes + buffer->length, CHUNK);
    if (count == 0) return true;
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return false;
    }
    buffer->length += (size_t)count;
    if (buffer->length > limit) {
      errno = EFBIG;
      return false;
    }
  }
}
