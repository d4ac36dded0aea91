#include "event_log.h"

#include <string.h>

enum { WORD_TYPE, WORD_NUMBER, WORD_FIRST, WORD_SECOND, WORD_THIRD };

void event_log_begin(event_log *log, uint32_t *drops, uint32_t *events, uint8_t *sources) {
  *log = (event_log){.drops = drops, .events = events, .sources = sources, .drain = 1};
}

/* Those that only count can wait, unless there is soon no room for more of them. */
static bool is_urgent(const event_log *log, event_type type) {
  if (log->count >= EVENT_CAPACITY / 2) return true;
  return type == EVENT_ROAMED || type == EVENT_TOO_BIG || type == EVENT_SEND_FAILED;
}

/* The event of the mark's owner in this round, which is new with zero values if need be; null if the log is full. */
static uint32_t *entry(event_log *log, event_mark *mark, event_type type, uint32_t number) {
  if (mark->drain == log->drain) return log->events + mark->slot * EVENT_WORDS;
  log->urgent |= is_urgent(log, type);
  if (log->count == EVENT_CAPACITY) return NULL;
  mark->drain = log->drain;
  mark->slot = log->count++;
  uint32_t *words = log->events + mark->slot * EVENT_WORDS;
  words[WORD_TYPE] = type;
  words[WORD_NUMBER] = number;
  words[WORD_FIRST] = words[WORD_SECOND] = words[WORD_THIRD] = 0;
  return words;
}

void event_roamed(event_log *log, event_mark *mark, uint32_t session, const endpoint *from) {
  if (entry(log, mark, EVENT_ROAMED, session) == NULL) return;
  memcpy(log->sources + mark->slot * ENDPOINT_BYTES, from->bytes, ENDPOINT_BYTES);
}

void event_too_big(event_log *log, event_mark *mark, uint32_t path, uint32_t size) {
  uint32_t *words = entry(log, mark, EVENT_TOO_BIG, path);
  if (words != NULL && (words[WORD_FIRST] == 0 || size < words[WORD_FIRST])) words[WORD_FIRST] = size;
}

void event_send_failed(event_log *log, event_mark *mark, uint32_t path, int error, bool of_link) {
  uint32_t *words = entry(log, mark, EVENT_SEND_FAILED, path);
  if (words == NULL) return;
  words[WORD_FIRST] = (uint32_t)error;
  words[of_link ? WORD_THIRD : WORD_SECOND]++;
}

void event_repeated(event_log *log, event_mark *mark, event_type type, uint32_t session, uint32_t datagrams,
                    uint32_t bytes) {
  uint32_t *words = entry(log, mark, type, session);
  if (words == NULL) return;
  words[WORD_FIRST] += datagrams;
  words[WORD_SECOND] += bytes;
}

void event_label_used(event_log *log, event_mark *mark, uint32_t index, uint32_t bytes) {
  uint32_t *words = entry(log, mark, EVENT_LABEL_USED, index);
  if (words == NULL) return;
  words[WORD_FIRST]++;
  words[WORD_SECOND] += bytes;
}

uint32_t event_log_drain(event_log *log) {
  uint32_t count = log->count;
  log->count = 0;
  log->urgent = log->dropped = false;
  log->drain++;
  return count;
}
