#include "replay_window.h"

#include <string.h>

static void advance(replay_window *window, uint64_t counter) {
  uint64_t from = window->highest / 64;
  uint64_t to = counter / 64;
  if (!window->any || to - from >= REPLAY_WORDS) memset(window->words, 0, sizeof window->words);
  else
    for (uint64_t word = from + 1; word <= to; word++) window->words[word % REPLAY_WORDS] = 0;
  window->any = true;
  window->highest = counter;
}

replay_verdict replay_window_accept(replay_window *window, uint64_t counter) {
  if (!window->any || counter > window->highest) advance(window, counter);
  else if (window->highest - counter >= REPLAY_COUNTERS) return COUNTER_TOO_OLD;
  uint64_t *word = &window->words[counter / 64 % REPLAY_WORDS];
  uint64_t bit = UINT64_C(1) << counter % 64;
  if ((*word & bit) != 0) return COUNTER_REPLAYED;
  *word |= bit;
  return COUNTER_NEW;
}
