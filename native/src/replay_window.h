/* A sliding window over the counters of one key (after RFC 6479). */
#ifndef WEAVE_REPLAY_WINDOW_H
#define WEAVE_REPLAY_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_COUNTERS 65536
/* One word more than the window needs: moving on clears whole words only. */
#define REPLAY_WORDS (REPLAY_COUNTERS / 64 + 1)

typedef struct {
  bool any;
  uint64_t highest;
  uint64_t words[REPLAY_WORDS];
} replay_window;

typedef enum { COUNTER_NEW, COUNTER_REPLAYED, COUNTER_TOO_OLD } replay_verdict;

/* Takes the counter of a datagram whose tag was found valid. A window of zero bytes is an empty one. */
replay_verdict replay_window_accept(replay_window *window, uint64_t counter);

#endif
