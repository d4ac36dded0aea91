#include "json_text.h"

#include <string.h>

struct cursor {
  const char *at;
  const char *end;
};

static void skip_space(struct cursor *c) {
  while (c->at < c->end && memchr(" \t\r\n", *c->at, 4) != NULL) c->at++;
}

static int hex(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit |= 0x20;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* One character after a backslash; -1 if it is not one that a path or a version needs. */
static int unescape(struct cursor *c) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (c->at >= c->end) return -1;
  const char *found = memchr(from, *c->at, sizeof from - 1);
  if (found != NULL) {
    c->at++;
    return to[found - from];
  }
  if (*c->at != 'u' || c->end - c->at < 5) return -1;
  int value = 0;
  for (int i = 1; i <= 4; i++) {
    int digit = hex(c->at[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  c->at += 5;
  return value > 0 && value < 0x80 ? value : -1;
}

/*
 * Reads the string that begins here. True if it ends; `*usable` says whether it is in `out`, which it is not if it is
 * too long or holds what we do not decode.
 */
static bool read_string(struct cursor *c, char *out, size_t room, bool *usable) {
  size_t length = 0;
  *usable = true;
  for (c->at++; c->at < c->end;) {
    int byte = (unsigned char)*c->at++;
    if (byte == '"') {
      if (length >= room) *usable = false;
      else out[length] = '\0';
      return true;
    }
    if (byte == '\\') {
      byte = unescape(c);
      if (byte < 0) {
        *usable = false;
        if (c->at < c->end) c->at++;
        continue;
      }
    }
    if (length < room) out[length] = (char)byte;
    length++;
  }
  return false;
}

/* Passes over one value; its brackets need only balance. */
static bool skip_value(struct cursor *c) {
  char ignored[1];
  bool usable;
  size_t depth = 0;
  while (c->at < c->end) {
    char byte = *c->at;
    if (byte == '"') {
      if (!read_string(c, ignored, sizeof ignored, &usable)) return false;
      continue;
    }
    if (byte == '{' || byte == '[') depth++;
    if (depth == 0 && (byte == ',' || byte == '}' || byte == ']')) return true;
    if (byte == '}' || byte == ']') depth--;
    c->at++;
  }
  return false;
}

/* What is under a key; the cursor stays before whatever is no string. */
static enum json_found read_text(struct cursor *c, char *out, size_t room) {
  static const char NOTHING[] = "null";
  bool usable;
  if ((size_t)(c->end - c->at) >= sizeof NOTHING - 1 && memcmp(c->at, NOTHING, sizeof NOTHING - 1) == 0) return JSON_NONE;
  if (c->at >= c->end || *c->at != '"') return JSON_UNUSABLE;
  if (!read_string(c, out, room, &usable)) return JSON_NONE;
  if (!usable) return JSON_UNUSABLE;
  return out[0] == '\0' ? JSON_NONE : JSON_TEXT;
}

enum json_found json_text(const char *input, size_t length, const char *key, char *out, size_t room) {
  struct cursor c = {input, input + length};
  char name[64];
  bool usable;
  enum json_found found = JSON_NONE;
  skip_space(&c);
  if (c.at >= c.end || *c.at++ != '{') return JSON_NONE;
  for (;;) {
    skip_space(&c);
    if (c.at >= c.end || *c.at != '"' || !read_string(&c, name, sizeof name, &usable)) return found;
    bool wanted = usable && strcmp(name, key) == 0;
    skip_space(&c);
    if (c.at >= c.end || *c.at++ != ':') return found;
    skip_space(&c);
    if (wanted) found = read_text(&c, out, room);
    if (!skip_value(&c) || *c.at++ != ',') return found;
  }
}

void json_print(FILE *out, const char *text) {
  fputc('"', out);
  for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
    if (*at == '"' || *at == '\\') fprintf(out, "\\%c", *at);
    else if (*at < 0x20) fprintf(out, "\\u%04x", *at);
    else fputc(*at, out);
  }
  fputc('"', out);
}
