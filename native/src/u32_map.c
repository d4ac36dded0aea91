#include "u32_map.h"

#include <stdlib.h>

#define FIRST_ROOM 16

/* Fibonacci hashing: indexes are random, but sessions and paths are small numbers in a row. */
static size_t home(const u32_map *map, uint32_t key) {
  return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (map->room - 1);
}

/* The slot that has the key, or the free one where it would go. At least one slot is free. */
static u32_slot *find(const u32_map *map, uint32_t key) {
  size_t at = home(map, key);
  while (map->slots[at].value != NULL && map->slots[at].key != key) at = (at + 1) & (map->room - 1);
  return &map->slots[at];
}

static bool grow(u32_map *map) {
  u32_map larger = {.room = map->room == 0 ? FIRST_ROOM : 2 * map->room, .count = map->count};
  larger.slots = calloc(larger.room, sizeof *larger.slots);
  if (larger.slots == NULL) return false;
  for (size_t i = 0; i < map->room; i++) {
    if (map->slots[i].value != NULL) *find(&larger, map->slots[i].key) = map->slots[i];
  }
  free(map->slots);
  *map = larger;
  return true;
}

void *u32_map_get(const u32_map *map, uint32_t key) {
  return map->count == 0 ? NULL : find(map, key)->value;
}

bool u32_map_put(u32_map *map, uint32_t key, void *value) {
  if (2 * (map->count + 1) > map->room && !grow(map)) return false;
  u32_slot *slot = find(map, key);
  if (slot->value == NULL) map->count++;
  slot->key = key;
  slot->value = value;
  return true;
}

void *u32_map_take(u32_map *map, uint32_t key) {
  if (map->count == 0) return NULL;
  u32_slot *slot = find(map, key);
  void *value = slot->value;
  if (value == NULL) return NULL;
  /* Those behind it move up unless that would put them before their home. */
  size_t mask = map->room - 1;
  size_t hole = (size_t)(slot - map->slots);
  for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
    size_t wanted = home(map, map->slots[at].key);
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    map->slots[hole] = map->slots[at];
    hole = at;
  }
  map->slots[hole].value = NULL;
  map->count--;
  return value;
}

void u32_map_free(u32_map *map) {
  free(map->slots);
  *map = (u32_map){0};
}
