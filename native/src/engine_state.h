/* What an engine was configured to: sessions with their keys, receive indexes, paths and labels. */
#ifndef WEAVE_ENGINE_STATE_H
#define WEAVE_ENGINE_STATE_H

#include "aead.h"
#include "endpoint.h"
#include "event_log.h"
#include "replay_window.h"
#include "u32_map.h"

#define COOKIE_BYTES 16

/* Keys of one phase, with what must never outlive or outnumber them: the send counter and the replay window. */
typedef struct phase_keys {
  /* The one given before; the newest comes first. */
  struct phase_keys *older;
  uint8_t phase;
  aead *sealer;
  aead *opener;
  uint64_t send_counter;
  replay_window window;
} phase_keys;

typedef struct {
  uint32_t number;
  bool has_cookies;
  uint8_t send_cookie[COOKIE_BYTES];
  uint8_t receive_cookie[COOKIE_BYTES];
  uint64_t plain_counter;
  phase_keys *newest;
  /* -1 before it is set. Its key may come later, or be gone. */
  int send_phase;
  bool has_direct;
  endpoint direct;
  event_mark roamed;
  event_mark sent;
  event_mark received;
} session;

typedef struct {
  session *owner;
  uint32_t tag;
  bool roams;
} receive_index;

typedef struct {
  uint32_t number;
  endpoint to;
  socket_address address;
  /* 0: the socket cannot reach it. */
  socklen_t address_length;
  uint32_t send_index;
  event_mark too_big;
  event_mark failed;
} path;

typedef struct {
  uint32_t index;
  uint32_t from;
  uint32_t to;
  uint32_t next_index;
  event_mark used;
} label;

typedef struct {
  u32_map sessions;
  u32_map indexes;
  u32_map paths;
  u32_map labels;
} engine_state;

/* What a change did: the first is success; the others are bugs of the caller or a lack of memory. */
typedef enum { STATE_CHANGED, STATE_THERE_ALREADY, STATE_NOT_THERE, STATE_NO_MEMORY } state_result;

static inline session *state_session(const engine_state *state, uint32_t number) {
  return u32_map_get(&state->sessions, number);
}

static inline path *state_path(const engine_state *state, uint32_t number) {
  return u32_map_get(&state->paths, number);
}

/* Null cookies: nothing plain. */
state_result state_add_session(engine_state *state, uint32_t number, const uint8_t *send, const uint8_t *receive);
void state_remove_session(engine_state *state, uint32_t number);
state_result state_add_key(engine_state *state, uint32_t number, uint8_t phase, const uint8_t *send,
                           const uint8_t *receive);
void state_remove_key(engine_state *state, uint32_t number, uint8_t phase);
state_result state_set_send_phase(engine_state *state, uint32_t number, uint8_t phase);
/* Null: no address. */
state_result state_set_direct(engine_state *state, uint32_t number, const endpoint *direct);
state_result state_add_index(engine_state *state, uint32_t index, uint32_t number, uint32_t tag, bool roams);
void state_remove_index(engine_state *state, uint32_t index);
/* `family` of the socket. */
state_result state_set_path(engine_state *state, uint32_t number, const endpoint *to, uint32_t send_index, int family);
void state_remove_path(engine_state *state, uint32_t number);
state_result state_set_label(engine_state *state, label value);
void state_remove_label(engine_state *state, uint32_t index);

phase_keys *session_phase(const session *owner, uint8_t phase);

/* Wipes and frees all of it. */
void state_clear(engine_state *state);

#endif
