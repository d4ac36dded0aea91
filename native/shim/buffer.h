/* Bytes that grow. */
#ifndef WEAVE_BUFFER_H
#define WEAVE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
  char *bytes;
  size_t length;
  size_t room;
};

/* Ends the process with code 5 if there is no memory. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);

/*
 * Reads until the end of `fd`. False with errno set: EFBIG if there are more than `limit` bytes, ETIMEDOUT if
 * `deadline` (see clock.h) passes.
 */
bool buffer_read_all(struct buffer *buffer, int fd, size_t limit, long long deadline);

#endif
