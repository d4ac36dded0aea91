#include "engine_state.h"

#include <stdlib.h>
#include <string.h>

static void free_phase(phase_keys *keys);
static void free_values(u32_map *map);

state_result state_add_session(engine_state *state, uint32_t number, const uint8_t *send, const uint8_t *receive) {
  if (state_session(state, number) != NULL) return STATE_THERE_ALREADY;
  session *added = calloc(1, sizeof *added);
  if (added == NULL || !u32_map_put(&state->sessions, number, added)) {
    free(added);
    return STATE_NO_MEMORY;
  }
  added->number = number;
  added->send_phase = -1;
  if (send != NULL && receive != NULL) {
    added->has_cookies = true;
    memcpy(added->send_cookie, send, COOKIE_BYTES);
    memcpy(added->receive_cookie, receive, COOKIE_BYTES);
  }
  return STATE_CHANGED;
}

/* A number used again must not inherit the indexes of the session that had it before. */
static void remove_indexes(engine_state *state, const session *owner) {
  for (size_t at = 0; at < state->indexes.room;) {
    u32_slot slot = state->indexes.slots[at];
    receive_index *index = slot.value;
    if (index != NULL && index->owner == owner) {
      /* Another may have moved into this slot. */
      state_remove_index(state, slot.key);
    } else {
      at++;
    }
  }
}

void state_remove_session(engine_state *state, uint32_t number) {
  session *removed = u32_map_take(&state->sessions, number);
  if (removed == NULL) return;
  remove_indexes(state, removed);
  while (removed->newest != NULL) {
    phase_keys *keys = removed->newest;
    removed->newest = keys->older;
    free_phase(keys);
  }
  explicit_bzero(removed, sizeof *removed);
  free(removed);
}

state_result state_add_key(engine_state *state, uint32_t number, uint8_t phase, const uint8_t *send,
                           const uint8_t *receive) {
  session *owner = state_session(state, number);
  if (owner == NULL) return STATE_NOT_THERE;
  if (session_phase(owner, phase) != NULL) return STATE_THERE_ALREADY;
  phase_keys *keys = calloc(1, sizeof *keys);
  if (keys == NULL) return STATE_NO_MEMORY;
  keys->phase = phase;
  keys->sealer = aead_new(send);
  keys->opener = aead_new(receive);
  if (keys->sealer == NULL || keys->opener == NULL) {
    free_phase(keys);
    return STATE_NO_MEMORY;
  }
  keys->older = owner->newest;
  owner->newest = keys;
  return STATE_CHANGED;
}

void state_remove_key(engine_state *state, uint32_t number, uint8_t phase) {
  session *owner = state_session(state, number);
  if (owner == NULL) return;
  for (phase_keys **link = &owner->newest; *link != NULL; link = &(*link)->older) {
    phase_keys *keys = *link;
    if (keys->phase != phase) continue;
    *link = keys->older;
    free_phase(keys);
    return;
  }
}

state_result state_set_send_phase(engine_state *state, uint32_t number, uint8_t phase) {
  session *owner = state_session(state, number);
  if (owner == NULL) return STATE_NOT_THERE;
  owner->send_phase = phase;
  return STATE_CHANGED;
}

state_result state_set_direct(engine_state *state, uint32_t number, const endpoint *direct) {
  session *owner = state_session(state, number);
  if (owner == NULL) return STATE_NOT_THERE;
  owner->has_direct = direct != NULL;
  if (direct != NULL) owner->direct = *direct;
  return STATE_CHANGED;
}

/* Puts a copy of `size` bytes under the key and frees what was there. */
static state_result replace(u32_map *map, uint32_t key, const void *value, size_t size) {
  void *copy = malloc(size);
  void *before = u32_map_get(map, key);
  if (copy == NULL || !u32_map_put(map, key, copy)) {
    free(copy);
    return STATE_NO_MEMORY;
  }
  memcpy(copy, value, size);
  free(before);
  return STATE_CHANGED;
}

state_result state_add_index(engine_state *state, uint32_t index, uint32_t number, uint32_t tag, bool roams) {
  receive_index value = {.owner = state_session(state, number), .tag = tag, .roams = roams};
  if (value.owner == NULL) return STATE_NOT_THERE;
  return replace(&state->indexes, index, &value, sizeof value);
}

void state_remove_index(engine_state *state, uint32_t index) {
  free(u32_map_take(&state->indexes, index));
}

state_result state_set_path(engine_state *state, uint32_t number, const endpoint *to, uint32_t send_index,
                            int family) {
  path value = {.number = number, .to = *to, .send_index = send_index};
  value.address_length = endpoint_address(to, family, &value.address);
  return replace(&state->paths, number, &value, sizeof value);
}

void state_remove_path(engine_state *state, uint32_t number) {
  free(u32_map_take(&state->paths, number));
}

state_result state_set_label(engine_state *state, label value) {
  return replace(&state->labels, value.index, &value, sizeof value);
}

void state_remove_label(engine_state *state, uint32_t index) {
  free(u32_map_take(&state->labels, index));
}

phase_keys *session_phase(const session *owner, uint8_t phase) {
  phase_keys *keys = owner->newest;
  while (keys != NULL && keys->phase != phase) keys = keys->older;
  return keys;
}

void state_clear(engine_state *state) {
  for (size_t at = 0; at < state->sessions.room;) {
    u32_slot slot = state->sessions.slots[at];
    if (slot.value == NULL) at++;
    else state_remove_session(state, slot.key);
  }
  u32_map_free(&state->sessions);
  free_values(&state->indexes);
  free_values(&state->paths);
  free_values(&state->labels);
}

static void free_phase(phase_keys *keys) {
  aead_free(keys->sealer);
  aead_free(keys->opener);
  free(keys);
}

static void free_values(u32_map *map) {
  for (size_t at = 0; at < map->room; at++) free(map->slots[at].value);
  u32_map_free(map);
}
