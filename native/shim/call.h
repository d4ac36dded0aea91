/* One call of the daemon: HTTP/1.1 on its unix socket. */
#ifndef WEAVE_CALL_H
#define WEAVE_CALL_H

#include "buffer.h"

enum call_outcome {
  /* The daemon did it: its output is the answer. */
  CALL_DONE,
  /* The daemon refused: its output says why. */
  CALL_REFUSED,
  /* What came is not an answer of the daemon; errno says nothing. */
  CALL_STRANGE,
  /* Nobody listens on the socket. */
  CALL_ABSENT,
  /* Somebody listens, but the answer did not come whole, or not in time (errno is ETIMEDOUT then). */
  CALL_BROKEN,
  /* The socket cannot be used; errno says why. */
  CALL_IMPOSSIBLE,
};

/* `patience` is until when an absent daemon is waited for, `deadline` until when the answer is. */
enum call_outcome call(
    const char *socket_path,
    const struct buffer *body,
    long long patience,
    long long deadline,
    struct buffer *answer);

#endif
