/* A hash map from 32-bit numbers to pointers, with open addressing. */
#ifndef WEAVE_U32_MAP_H
#define WEAVE_U32_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t key;
  /* Null in a free slot. */
  void *value;
} u32_slot;

typedef struct {
  u32_slot *slots;
  /* A power of two, or 0 before the first key. */
  size_t room;
  size_t count;
} u32_map;

void *u32_map_get(const u32_map *map, uint32_t key);

/* Puts `value`, which is not null, in the place of what was there. False if no memory is left. */
bool u32_map_put(u32_map *map, uint32_t key, void *value);

/* Removes the key and returns what it had, or null. */
void *u32_map_take(u32_map *map, uint32_t key);

/* Frees the map but none of the values. */
void u32_map_free(u32_map *map);

#endif
