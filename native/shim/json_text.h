/* As much of JSON as the shim needs: one text out of an object, and texts put into one. */
#ifndef WEAVE_JSON_TEXT_H
#define WEAVE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum json_found {
  /* Nothing, null or an empty text, or the input is no object. */
  JSON_NONE,
  JSON_TEXT,
  /* No text, one longer than `room - 1` bytes, or one with what we do not decode: escapes beyond ASCII, and NUL. */
  JSON_UNUSABLE,
};

/*
 * The text under `key` in the outermost object; of a repeated key the last, as JSON.parse has it. Whatever follows a
 * flaw in the input is not looked at: the daemon judges the whole.
 */
enum json_found json_text(const char *input, size_t length, const char *key, char *out, size_t room);

/* Writes `text` as JSON, with quotes. */
void json_print(FILE *out, const char *text);

#endif
