/* As much of JSON as the shim needs: one text out of an object, and texts put into one. */
#ifndef WEAVE_JSON_TEXT_H
#define WEAVE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * The text under `key` in the outermost object; of a repeated key the last, as JSON.parse has it. False if there is
 * none, if it is longer than `room - 1` bytes or empty, or if the input is no object. Whatever follows a flaw in the
 * input is not looked at: the daemon judges the whole.
 */
bool json_text(const char *input, size_t length, const char *key, char *out, size_t room);

/* Writes `text` as JSON, with quotes. */
void json_print(FILE *out, const char *text);

#endif
